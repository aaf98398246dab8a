"""Forms that people know without a definition: "HTN", "DVT", "Lasix", "mets", and what they mean.

The tables `short_forms.tsv` and `clinical_words.tsv` were written for this project. They have a row for each
sense of a form, the most frequent sense in hospital notes first. Senses that are neither chemicals nor
diseases are there too: "PE" may be a physical examination. Forms in lower case stand for any case but
capitals.
"""

import functools
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from el.base.errors import InputError
from el.corpus.types import Span

SHORT_FORMS = Path(__file__).with_name("short_forms.tsv")
CLINICAL_WORDS = Path(__file__).with_name("clinical_words.tsv")

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
# The characters at the beginning of a form by which it is looked up. A larger value takes more memory.
_PREFIX = 2
# The fewest characters of a word in the table that may be the beginning of a longer word in the text.
_STEM = 4

_WORDS = re.compile(r"[^\W_]+")
_START = re.compile(r"(?<![\w#])(?<!\d-)\w")
_END = re.compile(r"(?!\w|\+|-\d)")


@dataclass(frozen=True, slots=True)
class Sense:
    """What a known form may mean at its place in a text.

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


def frequent_senses() -> Iterator[tuple[str, str, str]]:
    """Yields each known form with the long form and the kind of its most frequent sense in hospital notes."""
    for form, rows in _table().items():
        yield form, rows[0].long_form, rows[0].kind


def senses_of(text: str, span: Span) -> tuple[Sense, ...]:
    """Returns the senses of a known form, by the words around it; none for another text.

    Args:
        text: the document's text.
        span: the place of the form.
    """
    rows = _rows_of(text[span.start : span.stop])
    if len(rows) < 2:
        return tuple(Sense(row.long_form, row.kind, 1.0) for row in rows)
    around = f"{text[max(span.start - _WINDOW, 0) : span.start]} {text[span.stop : span.stop + _WINDOW]}"
    words = _joined(around)
    weights = [_NEXT**-place * _WORD ** _count(row, words) for place, row in enumerate(rows)]
    return tuple(
        Sense(row.long_form, row.kind, weight / sum(weights))
        for row, weight in zip(rows, weights, strict=True)
    )


def known_forms(text: str) -> Iterator[Span]:
    """Yields the places in a text where a known form stands as a whole word, the longest at each place."""
    place = 0
    for match in _START.finditer(text):
        if match.start() < place:
            continue
        for length in _lengths_at(text, match.start()):
            stop = match.start() + length
            if _END.match(text, stop) and _rows_of(text[match.start() : stop]):
                yield Span(match.start(), stop)
                place = stop
                break


def _joined(text: str) -> str:
    """Returns the words of a text in lower case, with one space before and after each."""
    return f" {' '.join(_WORDS.findall(text.lower()))} "


def _count(row: _Row, words: str) -> int:
    """How many words of a sense are among others, each as it is or as the beginning of a longer word.

    Args:
        row: the sense. Its words may have several parts, such as "d-dimer".
        words: the others, by `_joined`.
    """
    return sum(
        (stem[:-1] if len(stem) - len("  ") >= _STEM else stem) in words for stem in map(_joined, row.context)
    )


def _rows_of(form: str) -> tuple[_Row, ...]:
    table = _table()
    if form in table:
        return table[form]
    if form.endswith("s") and form[:-1].isupper():
        # The plural of a form in capitals: "DVTs".
        return table.get(form[:-1], ())
    # Words may begin a sentence. Forms in capitals are others than the same letters in lower case.
    return () if form.isupper() else table.get(form.lower(), ())


def _lengths_at(text: str, start: int) -> tuple[int, ...]:
    """The lengths that a form at this place may have, the longest first."""
    lengths = _lengths()
    # A form may be shorter than the prefix.
    prefixes = dict.fromkeys(text[start : start + size].lower() for size in range(_PREFIX, 0, -1))
    return tuple(length for prefix in prefixes for length in lengths.get(prefix, ()))


@functools.cache
def _lengths() -> Mapping[str, tuple[int, ...]]:
    """The lengths of the known forms by their first characters, the longest first."""
    lengths: defaultdict[str, set[int]] = defaultdict(set)
    for form in _table():
        # One more for the plural.
        lengths[form[:_PREFIX].lower()] |= {len(form), len(form) + 1}
    return {prefix: tuple(sorted(of_prefix, reverse=True)) for prefix, of_prefix in lengths.items()}


@functools.cache
def _table() -> Mapping[str, tuple[_Row, ...]]:
    table = read_known_forms(SHORT_FORMS)
    for form, rows in read_known_forms(CLINICAL_WORDS).items():
        table[form] = (*table.get(form, ()), *rows)
    return table


def read_known_forms(path: Path) -> dict[str, tuple[_Row, ...]]:
    """Reads a table of known forms.

    Args:
        path: a file in UTF-8 with the columns short_form, long_form, kind and context, separated by tabs, and
            a header with these names. The words of the context are separated by `|`.

    Returns:
        Form -> its senses.

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
