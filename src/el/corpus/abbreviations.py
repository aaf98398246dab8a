"""Abbreviations that a text defines in brackets, found by the algorithm of Schwartz & Hearst (2003).

"A simple algorithm for identifying abbreviation definitions in biomedical text", Pacific Symposium on
Biocomputing 2003, 451-462. In addition, second names in brackets are found with the help of mentions.
"""

import bisect
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping

from el.corpus.types import Document, Mention

# The most words and characters of a short form (section 3.1 of the paper). At larger values, more texts in
# brackets that are not abbreviations are taken for short forms.
_MAX_SHORT_WORDS = 2
_MAX_SHORT_CHARACTERS = 10
# The characters before a bracket, and in it, that are searched for a long form. No long form is longer; at a
# larger value, a long text takes more time.
_MAX_LONG_CHARACTERS = 2000

_CLOSING = {"(": ")", "[": "]"}
# The ends of parts in brackets. "(AKI; n = 30)", "(AKI, stage 3)" and "(AKI: 3 patients)" have two parts.
_PART_ENDS = re.compile(r"[;,:]\s+")
_NESTED = re.compile(r"\s+[(\[].*", re.DOTALL)
_SENTENCE_END = re.compile(r"[.!?]\s+(?=[A-Z])")
_WORD = re.compile(r"[^\s-]+")
_QUOTES = "\"'“”‘’"
_OPENING_ONLY = re.compile(r"\s*[(\[]\s*")
_BRACKET_GOES_ON = re.compile(r"\s*[)\];,:]")


def find_abbreviations(text: str) -> dict[str, str]:
    """Finds the abbreviations that `text` defines in brackets.

    Both orders are recognised: "acute kidney injury (AKI)" and "AKI (acute kidney injury)". If a short form
    is defined twice, the first definition counts.

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
    """Finds the second names that a document defines in brackets: abbreviations and others.

    Letters alone do not show that "cyclosporine (CSA)" or "dizocilpine (MK-801)" names one concept twice.
    Mentions do: a mention is a second name if it stands in brackets directly after another mention of the
    same type, is shorter than that mention, is a single word, and holds a capital or a digit.

    Args:
        document: the document. Only the places and types of its mentions are used, not the ids.
        mentions: further mentions, such as those found by the linker.

    Returns:
        Short form -> long form. The abbreviations found by their letters come first.
    """
    text = document.text
    found = find_abbreviations(text)
    every = sorted({*document.mentions, *mentions}, key=lambda mention: (mention.start, mention.stop))
    whole = [mention for mention in every if not mention.is_discontinuous and mention.role != "part"]
    for before, mention in itertools.pairwise(whole):
        if expand(mention.text, found) == mention.text and _is_second_name(text, before, mention):
            found[mention.text] = expand(before.text, found)
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
    forms = [text]
    if len(text) > 1:
        forms.append(text + "s")
    if len(text) > 2 and text.endswith("s"):
        forms.append(text[:-1])
    return next((abbreviations[form] for form in forms if form in abbreviations), text)


def _brackets(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yields, for each pair of brackets, the text before it in the same sentence, and the parts inside it.

    If the pair is nested in another pair, the text before it begins inside that other pair.
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
    # The starts of sentences are found once: with a search for each bracket, a long text would take hours.
    sentences = [match.end() for match in _SENTENCE_END.finditer(text)]
    for start, stop, enclosing in sorted(pairs):
        earlier = bisect.bisect_left(sentences, start)
        sentence = sentences[earlier - 1] if earlier else 0
        before = text[max(enclosing, sentence, start - _MAX_LONG_CHARACTERS) : start].strip()
        inside = text[start + 1 : min(stop, start + 1 + _MAX_LONG_CHARACTERS)]
        yield before, [part.strip().strip(_QUOTES) for part in _PART_ENDS.split(inside)]


def _pair(before: str, part: str) -> tuple[str, str] | None:
    """The (short form, long form) that a part in brackets and the text before the brackets define."""
    # In "(AKI [stage 3])", only the text before the inner bracket can be a short form.
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
    """Whether a text can be a short form: 2 to 10 characters, one or two words, and a capital."""
    return (
        2 <= len(text) <= _MAX_SHORT_CHARACTERS
        and len(text.split()) <= _MAX_SHORT_WORDS
        and text[0].isalnum()
        # The paper requires only a letter, which would admit "(i.e." and "(patient 2)" too.
        and any(character.isupper() for character in text)
        and _is_balanced(text)
    )


def _long_form(short: str, candidate: str) -> str | None:
    """The shortest end of `candidate` that `short` abbreviates; None if it cannot be a long form."""
    long_form = _match(short, candidate)
    if long_form is None and short.endswith("s") and len(short) > 2:
        # The short form may be a plural and the long form a singular.
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
    """Finds the letters of `short` in `candidate`, from right to left (figure 1 of the paper).

    The first letter of `short` must begin a word or follow a sign. The long form begins with the word that
    holds this letter.
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
