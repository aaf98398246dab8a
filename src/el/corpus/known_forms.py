"""Short forms that people know without a definition: "HTN", "DVT", "APAP", and what they mean.

The table `short_forms.tsv` was written for this project. It has a row for each sense of a short form, the
most frequent sense in hospital notes first. Senses that are neither chemicals nor diseases are there too:
"PE" may be a physical examination.
"""

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from el.base.errors import InputError
from el.corpus.types import Span

SHORT_FORMS = Path(__file__).with_name("short_forms.tsv")

_HEADER = ["short_form", "long_form", "kind", "context"]
_KINDS = ("chemical", "disease", "other")
_REMEDY = "Correct the table"
# The characters on each side of a short form in which words of its senses are looked for. At a larger value,
# words of other topics count too.
_WINDOW = 200
# How much less likely each further sense is than the one before it, if no word around it tells. At a larger
# value, the order of the table counts more.
_NEXT = 3.0
# How much likelier a sense is for each of its words that stands near. At a larger value, words count more
# than the order of the table.
_WORD = 4.0
# The fewest characters of a word in the table that may be the beginning of a longer word in the text.
_STEM = 4

_WORDS = re.compile(r"[^\W_]+")
_START = re.compile(r"(?<![\w#])(?<!\d-)\w")
_END = re.compile(r"(?!\w|\+|-\d)")


@dataclass(frozen=True, slots=True)
class Sense:
    """What a short form may mean at its place in a text.

    Attributes:
        long_form: the term, written out.
        kind: "chemical", "disease" or "other".
        share: how likely this sense is; the shares of a form's senses sum to 1.
    """

    long_form: str
    kind: str
    share: float


@dataclass(frozen=True, slots=True)
class _Row:
    long_form: str
    kind: str
    context: tuple[str, ...]


def long_forms(form: str) -> tuple[str, ...]:
    """Returns the long forms of a known short form; none for another text."""
    return tuple(row.long_form for row in _rows_of(form) if row.kind != "other")


def senses_of(text: str, span: Span) -> tuple[Sense, ...]:
    """Returns the senses of a known short form, by the words around it; none for another text.

    Args:
        text: the document's text.
        span: the place of the form.
    """
    rows = _rows_of(text[span.start : span.stop])
    if len(rows) < 2:
        return tuple(Sense(row.long_form, row.kind, 1.0) for row in rows)
    around = f"{text[max(span.start - _WINDOW, 0) : span.start]} {text[span.stop : span.stop + _WINDOW]}"
    words = set(_WORDS.findall(around.lower()))
    weights = [_NEXT**-place * _WORD ** _heard(row, words) for place, row in enumerate(rows)]
    return tuple(
        Sense(row.long_form, row.kind, weight / sum(weights))
        for row, weight in zip(rows, weights, strict=True)
    )


def known_forms(text: str) -> Iterator[Span]:
    """Yields the places in a text where a known short form stands as a whole word, in order."""
    table = _table()
    place = 0
    for match in _START.finditer(text):
        if match.start() < place:
            continue
        for length in _lengths():
            stop = match.start() + length
            if text[match.start() : stop] in table and _END.match(text, stop):
                yield Span(match.start(), stop)
                place = stop
                break


def _heard(row: _Row, words: set[str]) -> int:
    """How many words of a sense are among some words, each as it is or as the beginning of a longer word."""
    return sum(
        stem in words or (len(stem) >= _STEM and any(word.startswith(stem) for word in words))
        for stem in row.context
    )


def _rows_of(form: str) -> tuple[_Row, ...]:
    table = _table()
    # The plural of a form in capitals: "DVTs".
    singular = form[:-1] if form.endswith("s") and form[:-1].isupper() else form
    return table.get(form) or table.get(singular, ())


@functools.cache
def _lengths() -> tuple[int, ...]:
    """The lengths of the known forms, the longest first."""
    return tuple(sorted({len(form) for form in _table()}, reverse=True))


@functools.cache
def _table() -> Mapping[str, tuple[_Row, ...]]:
    return read_short_forms(SHORT_FORMS)


def read_short_forms(path: Path) -> dict[str, tuple[_Row, ...]]:
    """Reads a table of short forms.

    Args:
        path: a file in UTF-8 with the columns short_form, long_form, kind and context, separated by tabs, and
            a header with these names. The words of the context are separated by `|`.

    Returns:
        Short form -> its senses.

    Raises:
        InputError: a column is missing, a cell is empty, or a kind is unknown.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    if not lines or lines[0].split("\t") != _HEADER:
        raise InputError(path, "line 1", f"the columns are not {', '.join(_HEADER)}", _REMEDY)
    table: dict[str, tuple[_Row, ...]] = {}
    for number, line in enumerate(lines[1:], start=2):
        cells = line.split("\t")
        if len(cells) != len(_HEADER) or not all(cells[:3]) or cells[2] not in _KINDS:
            problem = f"not a form, a long form, one of {', '.join(_KINDS)}, and words"
            raise InputError(path, f"line {number}", problem, _REMEDY)
        form, long_form, kind, context = cells
        words = tuple(word for word in context.lower().split("|") if word)
        table[form] = (*table.get(form, ()), _Row(long_form, kind, words))
    return table
