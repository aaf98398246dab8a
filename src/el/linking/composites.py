"""Readings of mentions that name several concepts at once, such as "renal and hepatic failure"."""

import itertools
import re
from collections.abc import Iterator, Sequence

# A locant of a chemical name. A comma between locants separates no members: "1,2-dichloroethane".
_LOCANT = r"(?:\d{1,2}[A-Za-z]?|[A-Za-z])'*"
# What stands between the members of a coordination.
_AND = re.compile(rf",? (?:and/or|and|or|&|as well as) |, |,(?!{_LOCANT}(?:,{_LOCANT}){{0,10}}[-(])| ?/ ?")
# The most words of a piece that are shared with the other members. A larger value makes more readings.
_SHARED_WORDS = 4
# The most pieces and characters of a coordination. Longer lists are rarely one mention.
_MAX_PIECES = 8
_MAX_CHARACTERS = 300
# The most readings of a mention. Each is linked, so a larger value takes more time.
_MAX_READINGS = 12
# A number or letter, and the nouns that it belongs to: "diabetes type 1", "vitamin B12".
_MARKER = r"(?:\d+[A-Za-z]?|[IVX]+[A-Da-d]?|[A-Z]\d*|alpha|beta|gamma|delta)"
_NOUN = r"(?:types?|stages?|grades?|class(?:es)?|groups?|phases?|factors?|vitamins?|subtypes?)"
_WITH_NOUN = re.compile(rf"(?P<before>.*?)\b(?P<noun>{_NOUN}) (?P<marker>{_MARKER})$", re.IGNORECASE)
_BEGINS_WITH_MARKER = re.compile(rf"{_MARKER}(?= |$)")
_BEGINS_WITH_NOUN = re.compile(rf"{_NOUN} {_MARKER}(?= |$)", re.IGNORECASE)
# The beginnings of words that a coordination may share the end of: "hypo- and hypertension".
_BEGINNINGS = (
    "hyper hypo micro macro pre post intra extra anti pro mono poly uni bi hemi para tetra cardio cerebro "
    "nephro hepato neuro gastro broncho osteo arthro endo peri inter sub supra over under neo dys eu iso"
)
# What follows a preposition belongs to all members: "nausea and vomiting of pregnancy".
_PREPOSITIONS = "of in during with due to from after associated related caused by"


def readings(text: str) -> list[tuple[str, ...]]:
    """Returns what a coordination may stand for, the most usual reading first.

    - Members share words at the end, at the beginning, or both: "breast and lung cancer", "pulmonary edema or
      fibrosis", "liver and kidney damage or failure" (four members).
    - Members share a part of a word: "hypo- and hyperthyroidism".
    - Members share a noun and differ in a number or letter: "types 1 and 2 diabetes", "hepatitis B and C".
    - Members share nothing: "nausea and vomiting", "type 2 diabetes with diabetic nephropathy".

    Args:
        text: a mention.

    Returns:
        Readings of two or more different texts; none if the text is no coordination.
    """
    # Blanks are single here, so the patterns take linear time.
    text = " ".join(text.split())
    if len(text) > _MAX_CHARACTERS:
        return []
    pieces = [piece.strip() for piece in _AND.split(text)]
    if len(pieces) == 1:
        with_another = tuple(piece.strip() for piece in text.split(" with "))
        return [with_another] if len(set(with_another)) == 2 and all(with_another) else []
    if not 2 <= len(pieces) <= _MAX_PIECES or not all(pieces):
        return []
    pieces = _with_word_ends(pieces)
    numbered = _with_nouns(pieces)
    possible = _readings(pieces) if numbered is None else _readings_of_numbered(numbered)
    found = dict.fromkeys(tuple(dict.fromkeys(parts)) for parts in possible)
    return list(itertools.islice((parts for parts in found if len(parts) > 1), _MAX_READINGS))


def _with_word_ends(pieces: Sequence[str]) -> list[str]:
    """Completes pieces that end in a hyphen: "hypo- and hypertension"."""
    completed = list(pieces)
    for place in range(len(pieces) - 2, -1, -1):
        following = completed[place + 1].split()[0]
        if pieces[place].endswith("-") and len(pieces[place]) > 1 and (end := _word_end(following)):
            completed[place] = pieces[place][:-1] + end
    return completed


def _word_end(word: str) -> str:
    """Returns what stands after the beginning of a word: "tension" for "hypertension"; "" if unknown."""
    beginning, hyphen, end = word.partition("-")
    if hyphen and beginning:
        return f"-{end}"
    known = [beginning for beginning in _BEGINNINGS.split() if word.lower().startswith(beginning)]
    return word[len(max(known, key=len)) :] if known else ""


def _with_nouns(pieces: Sequence[str]) -> list[str] | None:
    """Gives each number the noun before the first: "types 1", "2 diabetes" are "type 1", "type 2 diabetes".

    What stands before the noun belongs to all: "diabetes mellitus types 1 and 2". None if a piece has no
    number where one is expected.
    """
    first = _WITH_NOUN.match(pieces[0])
    if first is None:
        return None
    noun = first["noun"].lower()
    singular = {"class": "class", "classes": "class"}.get(noun, noun.removesuffix("s"))
    completed = [f"{first['before']}{singular} {first['marker']}"]
    for piece in pieces[1:]:
        if _BEGINS_WITH_MARKER.match(piece):
            completed.append(f"{first['before']}{singular} {piece}")
        elif _BEGINS_WITH_NOUN.match(piece):
            completed.append(f"{first['before']}{piece}")
        else:
            return None
    return completed


def _readings_of_numbered(pieces: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yields readings of pieces that differ in their numbers. They may share what follows the last number."""
    last = pieces[-1].split()
    for cut in range(len(pieces[0].split()), len(last)):
        tail = " ".join(last[cut:])
        yield (*(f"{piece} {tail}" for piece in pieces[:-1]), pieces[-1])
    yield tuple(pieces)


def _readings(pieces: Sequence[str]) -> Iterator[tuple[str, ...]]:
    # The shared words are the end or the beginning of one piece. The pieces before it end with the shared
    # words, and those after it begin with them. The last piece comes first: "renal and hepatic failure".
    last, prepositions = len(pieces) - 1, frozenset(_PREPOSITIONS.split())
    for pivot in [last, *range(last)]:
        words = pieces[pivot].split()
        # Few shared words come first.
        cuts = sorted(range(1, len(words)), key=lambda cut: len(words) - cut if pivot else cut)
        for cut in cuts[:_SHARED_WORDS]:
            # No piece ends or begins with a preposition alone.
            ends, begins = words[cut - 1] in prepositions, words[cut] in prepositions
            if (pivot > 0 and ends) or (pivot < last and begins):
                continue
            left = [*pieces[:pivot], " ".join(words[:cut])]
            right = [" ".join(words[cut:]), *pieces[pivot + 1 :]]
            yield tuple(f"{one} {other}" for one in left for other in right)
    if prepositions.isdisjoint(pieces[-1].split()):
        yield tuple(pieces)
