"""Writes links without the documents: as a table, and as JSON lines."""

import json
from typing import TextIO

from el.corpus.fields import format_ids, format_scores, link_row
from el.corpus.types import LinkedDocument, LinkedMention

TSV_COLUMNS = ("document", "start", "stop", "text", "type", "ids", "scores", "names", "margin")


class TableWriter:
    """Writes a table with a header, one mention a line. The columns `TSV_COLUMNS` are separated by tabs.

    Ids, scores and preferred names are joined by `|`, in the same order. The ids are `-1` for NIL. The margin
    is the first candidate's score minus the second candidate's; see `el.corpus.types.margin_of`.
    """

    def __init__(self, stream: TextIO, head: object = None) -> None:
        """Writes the table's header.

        Args:
            stream: an open text stream.
            head: not used: a table has no room for a corpus's head.
        """
        del head
        self._stream = stream
        stream.write("\t".join(TSV_COLUMNS) + "\n")

    def write(self, linked: LinkedDocument) -> None:
        """Writes the links of one document."""
        for mention in linked.mentions:
            # A mention may hold a line end or a tab.
            fields = [" ".join(field.split()) for field in _fields(linked.document.id, mention)]
            self._stream.write("\t".join(fields) + "\n")

    def finish(self) -> None:
        """Nothing follows the last line."""


class LinksWriter:
    """Writes one JSON object for each mention, one a line.

    Keys: document, mention, spans, text, type, predicted, decided_by, margin (the first candidate's score
    minus the second candidate's), candidates (id, name, score, matched_name; best first).
    """

    def __init__(self, stream: TextIO, head: object = None) -> None:
        """Prepares a writer.

        Args:
            stream: an open text stream.
            head: not used: the lines have no room for a corpus's head.
        """
        del head
        self._stream = stream

    def write(self, linked: LinkedDocument) -> None:
        """Writes the links of one document."""
        for found in linked.mentions:
            row = {
                "document": linked.document.id,
                "mention": found.mention.id,
                "spans": [[span.start, span.stop] for span in found.mention.spans],
                "text": found.mention.text,
                "type": found.mention.type,
                **link_row(found),
            }
            self._stream.write(json.dumps(row, ensure_ascii=False) + "\n")

    def finish(self) -> None:
        """Nothing follows the last line."""


def _fields(document_id: str, linked: LinkedMention) -> list[str]:
    mention = linked.mention
    names = {link.concept_id: link.name for link in linked.links}
    return [
        document_id,
        str(mention.start),
        str(mention.stop),
        mention.text,
        mention.type,
        format_ids(linked.predicted),
        format_scores(linked.scores),
        "|".join(names.get(concept_id, "") for concept_id in linked.predicted),
        f"{linked.margin:.4f}",
    ]
