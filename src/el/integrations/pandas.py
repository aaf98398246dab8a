"""Linked documents as a pandas data frame."""

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
    "source": "str",
    "score": "float64",
    "predicted": "bool",
    "decided_by": "str",
    "margin": "float64",
}


def links_frame(documents: Iterable[LinkedDocument]) -> pd.DataFrame:
    """Returns a row for each candidate of each mention, the best candidate first.

    Args:
        documents: linked documents, as `Linker.link` yields them.

    Returns:
        A data frame with these columns, whose dtypes are in `COLUMNS`:

        document, mention: the ids of the document and of the mention.
        start, stop: the mention's offsets in code points.
        text, type: the mention's surface form and type.
        rank: the rank of the candidate, from 1.
        id, name: the candidate's id and preferred name.
        matched_name: the candidate's name that came nearest to the mention.
        source: where that name comes from, if it is an outside name; "" otherwise.
        score: the candidate's score.
        predicted: whether the mention is linked to the candidate.
        decided_by: the stage that decided.
        margin: the mention's margin (`LinkedMention.margin`).
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
            link.source,
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
