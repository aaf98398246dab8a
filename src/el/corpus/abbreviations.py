"""Abbreviations that a text defines, by the algorithm of Schwartz & Hearst (2003).

"A simple algorithm for identifying abbreviation definitions in biomedical text", Pacific Symposium on
Biocomputing 2003, 451-462. Beside it, second names in brackets that only the mentions of a text show.
"""

import bisect
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping

from el.corpus.types import Document, Mention

# A short form: at most two words and ten characters (the paper's section 3.1).
_MAX_SHORT_WORDS = 2
_MAX_SHORT_CHARACTERS = 10
# As much of what stands before a bracket, and in it, is looked at: no long form has more.
_MAX_LONG_CHARACTERS = 2000

_CLOSING = {"(": ")", "[": "]"}
# "(AKI; n = 30)", "(AKI, stage 3)" and "(AKI: 3 patients)" have two parts each.
_PART_ENDS = re.compile(r"[;,:]\s+")
_NESTED = re.compile(r"\s+[(\[].*", re.DOTALL)
_SENTENCE_END = re.compile(r"[.!?]\s+(?=[A-Z])")
_WORD = re.compile(r"[^\s-]+")
_QUOTES = "\"'“”‘’"
_OPENING_ONLY = re.compile(r"\s*[(\[]\s*")
_BRACKET_GOES_ON = re.compile(r"\s*[)\];,:]")


def find_abbreviations(text: str) -> dict[str, str]:
    """Finds the abbreviations that `text` defines in brackets.

    Both orders are understood, "acute kidney injury (AKI)" and "AKI (acute kidney injury)". If a short
    form is defined twice, its first definition wins.

    Returns:
        Short form -> long form, both as the text spells them, in the order of their definitions.
    """
    found: dict[str, str] = {}
    for before, parts in _brackets(text):
        for part in parts:
            pair = _pair(before, part)
            if pair is not None:
                found.setdefault(*pair)
                break
    return found


def document_abbreviations(document: Document, mentions: Iterable[Mention] = ()) -> dict[str, str]:
    """Finds what a document defines in brackets: abbreviations and other second names of its mentions.

    Letters do not tell that "cyclosporine (CSA)" and "dizocilpine (MK-801)" name one thing twice. But where a
    mention stands in brackets right behind another of its type, is shorter, a single word and holds a
    capital or a digit, it does.

    Args:
        document: its text and its mentions; of these, places and types are looked at, and no ids.
        mentions: more of its mentions, such as those found in its text.

    Returns:
        Short form -> long form; what letters tell comes first.
    """
    text = document.text
    found = find_abbreviations(text)
    every = sorted({*document.mentions, *mentions}, key=lambda mention: (mention.start, mention.stop))
    whole = [mention for mention in every if not mention.is_discontinuous and mention.role != "part"]
    for before, mention in itertools.pairwise(whole):
        if expand(mention.text, found) == mention.text and _is_said_again(text, before, mention):
            found[mention.text] = expand(before.text, found)
    return found


def _is_said_again(text: str, before: Mention, mention: Mention) -> bool:
    """Whether a mention is another, shorter name of the one before it, in brackets."""
    return (
        mention.type == before.type
        and len(mention.text) <= min(_MAX_SHORT_CHARACTERS, len(before.text) - 1)
        and len(mention.text.split()) == 1
        and any(character.isupper() or character.isdigit() for character in mention.text)
        and _OPENING_ONLY.fullmatch(text, before.stop, mention.start) is not None
        and _BRACKET_GOES_ON.match(text, mention.stop) is not None
    )


def expand(text: str, abbreviations: Mapping[str, str]) -> str:
    """Returns the long form of `text`, or `text` itself if it is no short form.

    A plural counts as its singular: with "NSAID" or "NSAIDs" defined, either is expanded. A single
    letter has no plural: "As" is arsenic, and no "A" is.
    """
    forms = [text]
    if len(text) > 1:
        forms.append(text + "s")
    if len(text) > 2 and text.endswith("s"):
        forms.append(text[:-1])
    return next((abbreviations[form] for form in forms if form in abbreviations), text)


def _brackets(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yields, for each pair of brackets, what stands before it in its sentence, and its parts.

    Before a bracket within another, only what stands in that other.
    """
    open_at: list[int] = []
    pairs: list[tuple[int, int, int]] = []
    for position, character in enumerate(text):
        if character in _CLOSING:
            open_at.append(position)
        elif open_at and character == _CLOSING[text[open_at[-1]]]:
            start = open_at.pop()
            enclosing = open_at[-1] + 1 if open_at else 0
            pairs.append((start, position, enclosing))
    # Where sentences begin: cut again for each bracket, a long text would take hours.
    sentences = [match.end() for match in _SENTENCE_END.finditer(text)]
    for start, stop, enclosing in sorted(pairs):
        earlier = bisect.bisect_left(sentences, start)
        sentence = sentences[earlier - 1] if earlier else 0
        before = text[max(enclosing, sentence, start - _MAX_LONG_CHARACTERS) : start].strip()
        inside = text[start + 1 : min(stop, start + 1 + _MAX_LONG_CHARACTERS)]
        yield before, [part.strip().strip(_QUOTES) for part in _PART_ENDS.split(inside)]


def _pair(before: str, part: str) -> tuple[str, str] | None:
    """The (short form, long form) of a bracket's part and what stands before the bracket."""
    # Of "(AKI [stage 3])", only what stands before the inner bracket can be a short form.
    short = _NESTED.sub("", part).strip(_QUOTES)
    if is_short_form(short):
        long_form = _long_form(short, before)
        if long_form is not None:
            return short, long_form
    last_word = before.split()[-1].strip(_QUOTES) if before else ""
    if is_short_form(last_word):
        long_form = _long_form(last_word, part)
        if long_form is not None:
            return last_word, long_form
    return None


def is_short_form(text: str) -> bool:
    """Whether a text can be a short form: short, in one or two words, with a capital."""
    return (
        2 <= len(text) <= _MAX_SHORT_CHARACTERS
        and len(text.split()) <= _MAX_SHORT_WORDS
        and text[0].isalnum()
        # The paper asks for a letter, but "(i.e." and "(patient 2)" hold letters too.
        and any(character.isupper() for character in text)
        and _is_balanced(text)
    )


def _long_form(short: str, candidate: str) -> str | None:
    """The shortest end of `candidate` that `short` abbreviates, if that can be a long form."""
    long_form = _match(short, candidate)
    if long_form is None and short.endswith("s") and len(short) > 2:
        # A plural of which the long form is singular.
        long_form = _match(short[:-1], candidate)
    if long_form is None:
        return None
    characters = sum(character.isalnum() for character in short)
    words = _WORD.findall(long_form)
    fits = (
        len(long_form) > len(short)
        and len(words) <= min(characters + 5, 2 * characters)
        and not re.search(rf"\b{re.escape(short)}\b", long_form)
        and _is_balanced(long_form)
    )
    return long_form if fits else None


def _is_balanced(text: str) -> bool:
    return all(text.count(left) == text.count(right) for left, right in _CLOSING.items())


def _match(short: str, candidate: str) -> str | None:
    """The paper's figure 1: finds the letters of `short` in `candidate`, from the right to the left.

    The first letter has to begin a word; the long form begins with the word that holds it.
    """
    position = len(candidate)
    for index in range(len(short) - 1, -1, -1):
        if not short[index].isalnum():
            continue
        letter = short[index].lower()
        position -= 1
        while position >= 0 and not (
            candidate[position].lower() == letter
            and (index > 0 or position == 0 or not candidate[position - 1].isalnum())
        ):
            position -= 1
        if position < 0:
            return None
    start = max((place for place in range(position) if candidate[place].isspace()), default=-1) + 1
    return candidate[start:]
