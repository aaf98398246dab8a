"""Adds the short forms that a document defines to the mentions that are found in it."""

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from el.corpus.abbreviations import document_definitions, numbers_of
from el.corpus.known_forms import known_forms, senses_of
from el.corpus.long_forms import is_term_like
from el.corpus.types import Document, Span
from el.ontology.ontology import Kind
from el.tagging.finder import Found, as_mentions, longest

_WORD_START = re.compile(r"(?<!\w)(?<!\d-)\w")
_WORD_END = re.compile(r"(?!\w|\+|-\d)")
# The least share of the likeliest kind of a known short form that is a mention. At a larger value, fewer
# forms with several senses are found.
_SURE = 0.6
_COORDINATION = re.compile(r"\b(?:and|or)\b|[,/&]", re.IGNORECASE)


def with_short_forms(
    document: Document, found: Sequence[Found], kind_of: Callable[[str], Kind | None]
) -> list[Found]:
    """Adds the defined short forms of a document to the mentions found in it.

    A short form is a mention wherever it stands as a whole word, in the singular or the plural, if its long
    form is a mention. It has the kind of its long form. A long form is a mention if a mention ends where the
    long form ends, or if it is the name of a disease. A mention that is only the end of a long form ("vein
    thrombosis" of "deep vein thrombosis") becomes the whole long form if that is a name of the ontology, or
    reads as a term.

    Args:
        document: the document.
        found: mentions found in its text, in order, not overlapping.
        kind_of: returns the kind of the concepts that have a name spelled like a text, or None.

    Returns:
        The mentions, in order, not overlapping. A longer mention that contains a short form stays.
    """
    text = document.text
    definitions = document_definitions(Document("", document.passages), as_mentions(document, found))
    if not definitions:
        return list(found)
    starts, stops = {one.start: one for one in found}, {one.stop: one for one in found}
    kinds: dict[str, Kind | None] = {}
    added: list[Found] = []
    for definition in definitions:
        long_form = definition.long
        kind, is_whole = _kind_and_extent(text, long_form, starts, stops, kind_of)
        # If a document defines a short form twice, the first definition counts.
        kinds.setdefault(text[definition.short.start : definition.short.stop], kind)
        if kind is not None and is_whole:
            added.append(Found(long_form.start, long_form.stop, kind))
    # A form that is itself defined is not the plural of another one.
    forms = {
        form: kind
        for short, kind in kinds.items()
        for form in numbers_of(short)
        if kind is not None and (form == short or form not in kinds) and _is_sought(form)
    }
    added += _occurrences(text, forms)
    return longest(added, found)


def with_known_forms(document: Document, found: Sequence[Found], kinds: Sequence[Kind]) -> list[Found]:
    """Adds known short forms (`el.corpus.known_forms`) to the mentions found in a document.

    A form is a mention if its likeliest kind is sought and sure enough, if it has a capital letter, if it
    overlaps no mention, and if the document does not define it.

    Args:
        document: the document.
        found: mentions found in its text, in order, not overlapping.
        kinds: the kinds that are sought.
    """
    text = document.text
    added = []
    for passage in document.passages:
        for span in known_forms(passage.text):
            place = Span(passage.offset + span.start, passage.offset + span.stop)
            shares: defaultdict[str, float] = defaultdict(float)
            for sense in senses_of(text, place):
                shares[sense.kind] += sense.share
            kind = max(kinds, key=shares.__getitem__, default=None)
            form = text[place.start : place.stop]
            is_sure = kind is not None and shares[kind] >= _SURE
            # A word in lower case is mostly no mention where a tagger finds none.
            if kind is not None and is_sure and form != form.lower():
                added.append(Found(place.start, place.stop, kind))
    # Definitions take time, and most documents have no such form.
    if not added:
        return list(found)
    defined = {
        text[definition.short.start : definition.short.stop]
        for definition in document_definitions(Document("", document.passages), ())
    }
    return _with_free(found, (one for one in added if text[one.start : one.stop] not in defined))


def _with_free(found: Sequence[Found], added: Iterable[Found]) -> list[Found]:
    """Adds those mentions that overlap none that was found."""
    starts, stops = [one.start for one in found], [one.stop for one in found]
    free = [one for one in added if bisect_left(starts, one.stop) == bisect_right(stops, one.start)]
    return sorted([*found, *free])


def _kind_and_extent(
    text: str,
    long_form: Span,
    starts: Mapping[int, Found],
    stops: Mapping[int, Found],
    kind_of: Callable[[str], Kind | None],
) -> tuple[Kind | None, bool]:
    """Returns the kind of a long form, and whether the whole long form becomes a mention.

    Args:
        text: the document's text.
        long_form: the place of the long form.
        starts: the mentions found, by their first characters.
        stops: the mentions found, by the characters after them.
        kind_of: see `with_short_forms`.
    """
    name = kind_of(text[long_form.start : long_form.stop])
    last = stops.get(long_form.stop)
    if last is None and name != "disease":
        # MeSH has proteins among the chemicals ("lactate dehydrogenase"), which taggers do not mark.
        return None, False
    if last is None or name is not None:
        return name, True
    others = [starts[at] for at in range(long_form.start, last.start) if at in starts]
    added = text[long_form.start : last.start]
    is_whole = (
        is_term_like(added)
        and all(one.kind == last.kind for one in others)
        and not (others and _COORDINATION.search(added))
    )
    return last.kind, is_whole


def _is_sought(form: str) -> bool:
    """Whether a form is looked for in the text. A single letter mostly means something else there."""
    return sum(map(str.isalnum, form)) > 1


def _occurrences(text: str, forms: Mapping[str, Kind]) -> Iterator[Found]:
    """Yields the places where forms stand as whole words."""
    # Short forms are short, so that few lengths are looked up at each word.
    lengths = sorted({len(form) for form in forms}, reverse=True)
    for match in _WORD_START.finditer(text):
        for length in lengths:
            stop = match.start() + length
            kind = forms.get(text[match.start() : stop])
            if kind is not None and _WORD_END.match(text, stop):
                yield Found(match.start(), stop, kind)
                break
