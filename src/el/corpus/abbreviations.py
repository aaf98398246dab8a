"""Abbreviations that a text defines in brackets: "acute kidney injury (AKI)".

What stands in brackets is judged as Schwartz & Hearst (2003) do, "A simple algorithm for identifying
abbreviation definitions in biomedical text", Pacific Symposium on Biocomputing 2003, 451-462. Of the texts
that may be the long form, the one whose letters fit best is taken (`el.corpus.long_forms`). In addition,
second names in brackets are found with the help of mentions.
"""

import bisect
import itertools
import re
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from el.corpus.long_forms import MAX_CHARACTERS, long_form_before, whole_cost
from el.corpus.types import Document, Mention, Span

# The most words of a short form, and its most letters and digits (section 3.1 of the paper). At larger
# values, more texts in brackets that are not abbreviations are taken for short forms.
_MAX_SHORT_WORDS = 2
_MAX_SHORT_CHARACTERS = 10
# The most parts of a text in brackets that are looked at. A larger value takes more time.
_MAX_PARTS = 12

_CLOSING = {"(": ")", "[": "]"}
_BRACKET = re.compile(r"[()\[\]]")
_FULL_WIDTH = str.maketrans("（）［］；：，", "()[];:,")
# The ends of parts in brackets. "(AKI; n = 30)", "(AKI, stage 3)", "(AKI: 3 patients)" and "(AKI = acute
# kidney injury)" have two parts, "(AKI and CKD)" too.
_PART_ENDS = re.compile(r"[;:,]\s+(?:(?:and|or)\s+)?|\s+(?:and|or)\s+|\s+=\s+")
# What stands between two terms of a list.
_BETWEEN_TERMS = re.compile(r"(?:\s|,|\b(?:and|or)\b)+$")
_NESTED = re.compile(r"\s+[(\[].*", re.DOTALL)
_SENTENCE_END = re.compile(r"[.!?](?<!\bSt\.)(?<!\bDr\.)(?<!\bvs\.)\s+(?=[A-Z])|\n\s*\n")
_QUOTES = "\"'“”‘’"
# The start of a long form in other brackets: "(IGF II) and", "(TNF)-induced". "(RS)-" belongs to the
# name of a chemical.
_BEGINS_IN_BRACKETS = re.compile(
    r"[(\[](?![RSEZrs\d,±+-]+[)\]])[^)\]]*[A-Z\d][^)\]]*[)\]](?:[\s,]|-(?=[A-Za-z]{3}))"
)
# Brackets that belong to the word before them, as in "A(2A)" and "[Ca(2+)]".
_JOINED_BRACKETS = re.compile(r"(?:\b\w|\d|\W\w{2})[(\[]$")
_OPENING_ONLY = re.compile(r"\s*[(\[（［]\s*")
_BRACKET_GOES_ON = re.compile(r"\s*[)\]）］;,:]")

# Words before a short form in brackets: "(hereafter AKI)", "(also known as AKI)".
_LEAD_IN = re.compile(
    r"(?:(?:also|here|hereafter|henceforth|herein|now|hereinafter|formerly|previously|commonly|often|"
    r"sometimes|simply|abbreviated|abbreviation|abbr\.?|called|termed|named|known|designated|denoted|labelled|"
    r"labeled|defined|referred|to|as|by|the|so-called|acronym|or|and|i\.?\s?e\.?|that is|in short|a|an)"
    r"[,:]?\s+)+"
)
_SECOND_NAME = re.compile(r"\b(?:called|termed|known as|named|referred to as|abbreviated)\b", re.IGNORECASE)
# Words behind a short form in brackets: "(AKI for short)", "(AKI hereafter)".
_LEAD_OUT = re.compile(
    r"\s+(?:hereafter|henceforth|herein|here|for short|in short|below|respectively|in the following|"
    r"in this \w+)$",
    re.IGNORECASE,
)
# What introduces examples, sources and comparisons, but no names.
_NO_NAME = re.compile(
    r"(?:e\.?\s?g|for example|for instance|such as|including|includes?|see|vs|versus|cf|compared|"
    r"mainly|mostly|especially|particularly|from|reviewed|data|not|except)(?!\w)",
    re.IGNORECASE,
)
# What is no short form: places in a paper ("Fig. 2"), amounts ("10 mM"), statistics, years.
_NO_SHORT_FORM = re.compile(
    r"(?:figs?|tables?|tab|refs?|eqs?|eqn|day|vol|nos?|sec|suppl|box|app|pp?)(?:\.|\s)\s*\S*"
    r"|[\d.,]+\s*(?:[munkpμµ]?(?:g|l|m|mol|eq|iu|u|gy|bq|ci|s|v|w|hz|da|pa|cal|j|k|c|f|h)|cm|mm\s?hg|kda|"
    r"[munkpμµ]?g/\S+|ppm|bpm|min|hrs?|days?|years?|yrs?|weeks?|months?|x|th|st|nd|rd)\.?"
    r"|.*[=<>%±≥≤~≈°@#\\].*"
    r"|USA|[\d\W]+",
    re.IGNORECASE,
)
# A capitalised word, as opposed to a short form. "Abeta" is none.
_CAPITALISED = re.compile(r"[A-Z](?!alpha|beta|gamma)[a-z]{3,}(?:[\s.-]\S+)?")
# The second word of a short form that has two: a number, a Greek letter, a few capitals.
_SECOND_WORD = re.compile(r"[\dIVX]+[A-Za-z]?|[^\W\d_]|alpha|beta|gamma|\S*[A-Z]\S*")


@dataclass(frozen=True, slots=True)
class Definition:
    """A place where a text defines a short form.

    Attributes:
        short: the place of the short form in the text.
        long: the place of its long form.
    """

    short: Span
    long: Span


@dataclass(frozen=True, slots=True)
class _Bracket:
    """A pair of brackets.

    Attributes:
        start: the first character before the bracket that a definition may have: the start of the sentence,
            or the character behind an enclosing bracket.
        opening: the place of the opening bracket.
        closing: the place of the closing bracket.
    """

    start: int
    opening: int
    closing: int


def find_definitions(text: str, terms: Iterable[Span] = ()) -> list[Definition]:
    """Finds the places where `text` defines abbreviations in brackets.

    Recognised are "acute kidney injury (AKI)", "AKI (acute kidney injury)" and "(acute kidney injury, AKI)",
    in round, square and full-width brackets. One pair of brackets may define several short forms.

    Args:
        text: the text.
        terms: the places of known terms, such as mentions. A term directly before a bracket is preferred as
            the long form if its letters fit.

    Returns:
        The definitions, in the order of their brackets, then of their short forms.
    """
    plain = text.translate(_FULL_WIDTH)
    term_starts: defaultdict[int, set[int]] = defaultdict(set)
    for term in terms:
        term_starts[term.stop].add(term.start)
    found: list[Definition] = []
    brackets = list(_brackets(plain))
    openings = {bracket.closing: bracket.opening for bracket in brackets}
    # The opening bracket of a definition -> the start of its long form.
    long_starts: dict[int, int] = {}
    for bracket in brackets:
        parts = _parts(plain, bracket)
        defined = (
            _defined_inside(plain, bracket, parts, openings, term_starts)
            or _defined_before(plain, bracket, parts)
            or _defined_by_neighbours(plain, parts)
        )
        defined = [_with_long_start(one, long_starts) for one in defined]
        defined = [one for one in defined if _BEGINS_IN_BRACKETS.match(plain, one.long.start) is None]
        if defined:
            long_starts[bracket.opening] = defined[-1].long.start
        found += sorted(defined, key=lambda definition: definition.short.start)
    return found


def _with_long_start(definition: Definition, long_starts: Mapping[int, int]) -> Definition:
    """Returns a definition whose long form does not begin with the short form of another definition.

    In "tumor necrosis factor (TNF)-induced apoptosis (TIA)", it begins with "tumor".
    """
    start = long_starts.get(definition.long.start, definition.long.start)
    return Definition(definition.short, Span(start, definition.long.stop))


def find_abbreviations(text: str) -> dict[str, str]:
    """Finds the abbreviations that `text` defines in brackets; see `find_definitions`.

    If a short form is defined twice, the first definition counts.

    Returns:
        Short form -> long form, both as the text spells them, in the order of their definitions.
    """
    return _as_mapping(text, find_definitions(text))


def document_definitions(document: Document, mentions: Iterable[Mention] = ()) -> list[Definition]:
    """Finds the places where a document defines second names in brackets: abbreviations and others.

    A mention that ends right before a bracket is preferred as the long form of the short form in it.

    Letters alone do not show that "cyclosporine (CSA)" or "dizocilpine (MK-801)" names one concept twice.
    Mentions do: a mention is a second name if it stands in brackets directly after another mention of the
    same type, is shorter than that mention, is a single word, and holds a capital or a digit.

    Args:
        document: the document. Only the places and types of its mentions are used, not the ids.
        mentions: further mentions, such as those found by the linker.

    Returns:
        The definitions. The abbreviations found by their letters come first.
    """
    text = document.text
    every = sorted({*document.mentions, *mentions}, key=lambda mention: (mention.start, mention.stop))
    whole = [mention for mention in every if not mention.is_discontinuous and mention.role != "part"]
    definitions = find_definitions(text, [Span(one.start, one.stop) for one in whole])
    long_forms: dict[str, Span] = {}
    for one in definitions:
        long_forms.setdefault(text[one.short.start : one.short.stop], one.long)
    for before, mention in itertools.pairwise(whole):
        if _defined(mention.text, long_forms) is None and _is_second_name(text, before, mention):
            form = _defined(before.text, long_forms)
            long_form = Span(before.start, before.stop) if form is None else long_forms[form]
            long_forms[mention.text] = long_form
            definitions.append(Definition(Span(mention.start, mention.stop), long_form))
    return definitions


def document_abbreviations(document: Document, mentions: Iterable[Mention] = ()) -> dict[str, str]:
    """Finds the second names that a document defines in brackets; see `document_definitions`.

    Returns:
        Short form -> long form. The abbreviations found by their letters come first.
    """
    return _as_mapping(document.text, document_definitions(document, mentions))


def _as_mapping(text: str, definitions: Iterable[Definition]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in definitions:
        found.setdefault(text[one.short.start : one.short.stop], text[one.long.start : one.long.stop])
    return found


def _is_second_name(text: str, before: Mention, mention: Mention) -> bool:
    """Whether a mention in brackets is a shorter name for the mention before the brackets."""
    return (
        mention.type == before.type
        and len(mention.text) <= min(_MAX_SHORT_CHARACTERS, len(before.text) - 1)
        and len(mention.text.split()) == 1
        and any(character.isupper() or character.isdigit() for character in mention.text)
        and _OPENING_ONLY.fullmatch(text, before.stop, mention.start) is not None
        and _BRACKET_GOES_ON.match(text, mention.stop) is not None
    )


def expand(text: str, abbreviations: Mapping[str, str]) -> str:
    """Returns the long form of `text`, or `text` itself if it is not a short form.

    Singular and plural are not distinguished: if "NSAID" or "NSAIDs" is defined, both are expanded. A single
    letter has no plural: "As" is arsenic, not several "A".
    """
    form = _defined(text, abbreviations)
    return text if form is None else abbreviations[form]


def _defined(text: str, abbreviations: Container[str]) -> str | None:
    """Returns the defined short form that `text` is, in the singular or the plural; None if it is none."""
    return next((form for form in numbers_of(text) if form in abbreviations), None)


def numbers_of(short: str) -> list[str]:
    """Returns a short form, its plural, and its singular if it can be a plural."""
    forms = [short]
    if len(short) > 1:
        forms.append(short + "s")
    if len(short) > 2 and short.endswith("s"):
        forms.append(short[:-1])
    return forms


def is_short_form(text: str) -> bool:
    """Whether a text can be a short form: 2 to 10 letters and digits, one or two words, and a capital."""
    return (
        len(text) >= 2
        and sum(map(str.isalnum, text)) <= _MAX_SHORT_CHARACTERS
        and len(text.split()) <= _MAX_SHORT_WORDS
        and text[0].isalnum()
        # The paper requires only a letter, which would admit "(i.e." and "(patient 2)" too.
        and any(character.isupper() for character in text)
        and all(text.count(left) == text.count(right) for left, right in _CLOSING.items())
    )


def _is_candidate(text: str) -> bool:
    """Whether a text in brackets is looked up as a short form."""
    words = text.split()
    return (
        is_short_form(text)
        and sum(map(str.isalnum, text)) > 1
        and _NO_SHORT_FORM.fullmatch(text) is None
        and _CAPITALISED.fullmatch(text) is None
        and (len(words) == 1 or _SECOND_WORD.fullmatch(words[1]) is not None)
    )


def _brackets(text: str) -> Iterator[_Bracket]:
    """Yields the pairs of brackets in `text`, in order."""
    open_at: list[int] = []
    pairs: list[tuple[int, int, int]] = []
    for match in _BRACKET.finditer(text):
        position, character = match.start(), match[0]
        if character in _CLOSING:
            open_at.append(position)
        elif open_at and character == _CLOSING[text[open_at[-1]]]:
            opening = open_at.pop()
            enclosing = open_at[-1] + 1 if open_at else 0
            pairs.append((opening, position, enclosing))
    # The starts of sentences are found once: with a search for each bracket, a long text would take hours.
    sentences = [match.end() for match in _SENTENCE_END.finditer(text)]
    for opening, closing, enclosing in sorted(pairs):
        earlier = bisect.bisect_left(sentences, opening)
        sentence = sentences[earlier - 1] if earlier else 0
        yield _Bracket(max(enclosing, sentence, opening - MAX_CHARACTERS), opening, closing)


def _parts(text: str, bracket: _Bracket) -> list[Span]:
    """Returns the parts of a text in brackets, up to the first that introduces examples or sources."""
    start, stop = bracket.opening + 1, min(bracket.closing, bracket.opening + 1 + MAX_CHARACTERS)
    ends = list(itertools.islice(_PART_ENDS.finditer(text, start, stop), _MAX_PARTS))
    starts = [start, *(end.end() for end in ends)]
    stops = [*(end.start() for end in ends), stop]
    parts = itertools.starmap(Span, zip(starts, stops, strict=True))
    stripped = (_stripped(text, part.start, part.stop) for part in parts)
    return list(
        itertools.takewhile(lambda part: _NO_NAME.match(text, part.start, part.stop) is None, stripped)
    )


def _stripped(text: str, start: int, stop: int) -> Span:
    """Returns the place of a text without the blanks and quotes around it."""
    part = text[start:stop]
    left = part.lstrip().lstrip(_QUOTES)
    return Span(stop - len(left), stop - len(left) + len(left.rstrip().rstrip(_QUOTES)))


def _short_form(text: str, part: Span) -> Span | None:
    """Returns the place of the short form in a part of a text in brackets, without words around it."""
    start = part.start
    lead_in = _LEAD_IN.match(text, start, part.stop)
    if lead_in is not None and lead_in.end() < part.stop:
        start = lead_in.end()
    # In "(AKI [stage 3])", only the text before the inner bracket can be a short form.
    inner = _NESTED.sub("", text[start : part.stop])
    short = _stripped(text, start, start + len(_LEAD_OUT.sub("", inner)))
    return short if _is_candidate(text[short.start : short.stop]) else None


def _defined_inside(
    text: str,
    bracket: _Bracket,
    parts: Sequence[Span],
    openings: Mapping[int, int],
    term_starts: Mapping[int, Set[int]],
) -> list[Definition]:
    """Returns the definitions of short forms in brackets whose long forms stand before the brackets."""
    stop = _trimmed(text, bracket.start, bracket.opening)
    previous = openings.get(stop - 1, bracket.start)
    if previous > bracket.start and text[previous - 1].isspace():
        # Another pair of brackets stands between: "acute kidney injury [12] (AKI)".
        stop = _trimmed(text, bracket.start, previous)
    if _JOINED_BRACKETS.search(text[max(bracket.start, bracket.opening - 3) : bracket.opening + 1]):
        return []
    shorts = [
        short
        for number, part in enumerate(parts)
        if (short := _short_form(text, part)) is not None and not _is_address(text, parts[:number])
    ]
    found = _listed(text, bracket.start, stop, shorts, term_starts)
    if not found and parts:
        found = _with_shared_noun(text, bracket.start, stop, parts[0], term_starts)
    if not found:
        return []
    defined = {one.short for one in found}
    for part in parts:
        short = _short_form(text, part)
        # "(HF, also called CHF)" says that CHF is another name, whatever its letters.
        if short and short not in defined and _SECOND_NAME.search(text, part.start, short.start):
            found.append(Definition(short, found[-1].long))
    return found


def _is_address(text: str, parts: Sequence[Span]) -> bool:
    """Whether the parts before another are the start of an address: "(Boston, MA)"."""
    return bool(parts) and _CAPITALISED.fullmatch(text, parts[-1].start, parts[-1].stop) is not None


def _listed(
    text: str,
    start: int,
    stop: int,
    shorts: Sequence[Span],
    term_starts: Mapping[int, Set[int]],
) -> list[Definition]:
    """Returns the definitions of short forms, whose long forms stand in the same order at the end of a text.

    Two short forms may share a long form: "nonsteroidal anti-inflammatory drug (NSAID, NSAIDs)".
    """
    found: list[Definition] = []
    end = stop
    for short in reversed(shorts):
        form = text[short.start : short.stop]
        place = long_form_before(form, text, start, end, term_starts.get(end, frozenset()))
        if place is None and found:
            last = found[-1].long
            place = long_form_before(form, text, last.start, last.stop)
        if place is not None:
            found.append(Definition(short, Span(*place)))
            end = start + len(_BETWEEN_TERMS.sub("", text[start : place[0]]))
    return found[::-1]


def _with_shared_noun(
    text: str, start: int, stop: int, part: Span, term_starts: Mapping[int, Set[int]]
) -> list[Definition]:
    """Returns the definition in "methotrexate group (MTX group)", where both forms end with one noun."""
    form, _, noun = text[part.start : part.stop].rpartition(" ")
    before = text[start:stop]
    if len(noun) < 4 or not noun.islower() or not before.endswith(f" {noun}") or not _is_candidate(form):
        return []
    end = stop - len(noun) - 1
    place = long_form_before(form, text, start, end, term_starts.get(end, frozenset()))
    return [] if place is None else [Definition(Span(part.start, part.start + len(form)), Span(*place))]


def _trimmed(text: str, start: int, stop: int) -> int:
    """Returns the end of the text `start:stop` without blanks, quotes and commas behind it."""
    return start + len(text[start:stop].rstrip().rstrip(_QUOTES + ","))


def _defined_before(text: str, bracket: _Bracket, parts: Sequence[Span]) -> list[Definition]:
    """Returns the definition of a short form directly before brackets that begin with its long form."""
    before = text[bracket.start : bracket.opening].rstrip()
    words = [match.start() for match in re.finditer(r"\S+", before[-2 * _MAX_SHORT_CHARACTERS - 4 :])]
    offset = bracket.start + max(0, len(before) - 2 * _MAX_SHORT_CHARACTERS - 4)
    for first in words[-1:] + words[-2:-1]:
        short = _stripped(text, offset + first, bracket.start + len(before))
        if not parts or not _is_candidate(text[short.start : short.stop]):
            continue
        long_form = _leading_long_form(text[short.start : short.stop], text, parts)
        if long_form is not None:
            return [Definition(short, long_form)]
    return []


def _leading_long_form(short: str, text: str, parts: Sequence[Span]) -> Span | None:
    """Returns the place of the long form that a text in brackets begins with.

    The long form may hold several parts, as in "HFMD (hand, foot and mouth disease)".
    """
    start = parts[0].start
    lead_in = _LEAD_IN.match(text, start, parts[-1].stop)
    if lead_in is not None:
        start = lead_in.end()
    costs = [(whole_cost(short, text, start, part.stop), part.stop) for part in parts if start < part.stop]
    fitting = [(cost, stop) for cost, stop in costs if cost is not None]
    return Span(start, min(fitting)[1]) if fitting else None


def _defined_by_neighbours(text: str, parts: Sequence[Span]) -> list[Definition]:
    """Returns the definitions in "(acute kidney injury, AKI)" and "(AKI, acute kidney injury)"."""
    found: list[Definition] = []
    for number, part in enumerate(parts):
        short = _short_form(text, part)
        if short is None:
            continue
        form = text[short.start : short.stop]
        before = [] if _is_address(text, parts[:number]) else parts[max(0, number - 1) : number]
        neighbours = [*before, *parts[number + 1 : number + 2]]
        for long_form in neighbours:
            if whole_cost(form, text, long_form.start, long_form.stop) is not None:
                found.append(Definition(short, long_form))
                break
    return found
