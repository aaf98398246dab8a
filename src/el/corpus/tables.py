"""Writes links without the documents: as a table, and as JSON lines."""

import json
import re
from collections.abc import Iterable
from typing import TextIO

from el.corpus.fields import format_ids, format_scores, link_row
from el.corpus.types import LinkedDocument, LinkedMention

TSV_COLUMNS = ("document", "start", "stop", "text", "type", "ids", "scores", "names", "margin")

# What would end a field or a line, or control a terminal.
_BLANKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
# Spreadsheet programs take such a field for a formula, and run it.
_FORMULA = re.compile(r"[=+\-@']")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
# What must be told from the `|` that joins ids and names.
_ESCAPED = re.compile(r"[\\|]")


class TableWriter:
    """Writes a table with a header, one mention a line. The columns `TSV_COLUMNS` are separated by tabs.

    Ids, scores and preferred names are joined by `|`, in the same order. The ids are `-1` for NIL. The margin
    is the first candidate's score minus the second candidate's; see `el.corpus.types.margin_of`.

    Fields are safe to show in a terminal and in a spreadsheet program:

    - white space and control characters become one space, and there is none at the ends of a field;
    - a `|` inside an id or a name is written as `\\|`, and a backslash there as two;
    - a field that begins with `=`, `+`, `-`, `@` or `'` gets a `'` before it, so that no program takes it for
      a formula. Numbers, such as the NIL id `-1`, get none. To undo this, remove one `'` from the beginning.
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
            self._stream.write("\t".join(map(_safe, _fields(linked.document.id, mention))) + "\n")

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
        format_ids(_escaped(linked.predicted)),
        format_scores(linked.scores),
        "|".join(_escaped(names.get(concept_id, "") for concept_id in linked.predicted)),
        f"{linked.margin:.4f}",
    ]


def _escaped(fields: Iterable[str]) -> list[str]:
    return [_ESCAPED.sub(r"\\\g<0>", field) for field in fields]


def _safe(field: str) -> str:
    field = _BLANKS.sub(" ", field).strip()
    is_formula = _FORMULA.match(field) and not _NUMBER.fullmatch(field)
    return f"'{field}" if is_formula else field
