"""Linked documents as a pandas table."""

from collections.abc import Iterable

from el.base.extras import needs_extra
from el.corpus.types import LinkedDocument

with needs_extra("pandas"):
    import pandas as pd

COLUMNS = {
    "document": "str",
    "mention": "str",
    "start": "int64",
    "stop": "int64",
    "text": "str",
    "type": "str",
    "rank": "int64",
    "id": "str",
    "name": "str",
    "matched_name": "str",
    "score": "float64",
    "predicted": "bool",
    "decided_by": "str",
    "margin": "float64",
}


def links_frame(documents: Iterable[LinkedDocument]) -> pd.DataFrame:
    """Returns a row for each candidate of each mention, best first.

    Args:
        documents: what `Linker.link` yields.

    Returns:
        The `COLUMNS`: the document's and the mention's ids, its offsets (code points), text and type; the
        candidate's rank from 1, id, names and score; whether it is an answer; what decided; and
        the mention's margin, see `LinkedMention`.
    """
    rows = [
        (
            document.document.id,
            linked.mention.id,
            linked.mention.start,
            linked.mention.stop,
            linked.mention.text,
            linked.mention.type,
            rank,
            link.concept_id,
            link.name,
            link.matched_name,
            link.score,
            link.concept_id in linked.predicted,
            linked.decided_by,
            linked.margin,
        )
        for document in documents
        for linked in document.mentions
        for rank, link in enumerate(linked.links, start=1)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
