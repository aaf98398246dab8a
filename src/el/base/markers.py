"""Numbers and letters that tell concepts apart: the 2 of "type 2 diabetes", the B of "hepatitis B".

A mention and a name may write a marker differently: "type II", "type 2" and "type two" have the same one, and
so have "IL-1β", "IL-1 beta" and "IL-1b".
"""

import re
from functools import lru_cache

from el.base.text import plain_characters, spell_greek

# Runs of letters, and of digits. "T2DM" and "SCA3" have a letter run, a number, and a letter run or nothing.
_RUN = re.compile(r"[^\W\d_]+|\d+")
_POSSESSIVE = re.compile(r"(?<=[^\W\d_])'s\b")
# A Roman numeral up to 20, optionally with a letter: "II", "IVA", "IIb". The numeral is group 1.
_ROMAN = re.compile(r"(X{0,2}(?:IX|IV|V?I{0,3}))([A-Da-d]?)")
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10}
_NUMBERS = "one two three four five six seven eight nine ten"
_SPELLED = {name: str(number) for number, name in enumerate(_NUMBERS.split(), start=1)}
# The nouns after which a spelled number is a marker. Elsewhere it rarely is one: "testosterone", "one".
_NOUNS = "type types stage stages grade grades class group phase factor subtype complex"
_BEFORE_SPELLED = frozenset(_NOUNS.split())
_LETTERS = "epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi omega"
# A text may write one of the first Greek letters as the Latin one: "TNF-a".
_GREEK = {name: name for name in _LETTERS.split()}
_GREEK |= {"alpha": "a", "alfa": "a", "beta": "b", "gamma": "g", "delta": "d"}


@lru_cache(maxsize=1 << 17)
def markers(text: str) -> frozenset[str]:
    """Returns the markers of a mention or a name: numbers in Arabic digits, and letters in lower case.

    A number is a run of digits, a Roman numeral, or a spelled number after a noun such as "type". A letter is
    a Greek letter, a capital that stands alone, or a letter that follows a digit or a hyphen.
    """
    text = _POSSESSIVE.sub("", spell_greek(plain_characters(text)))
    # A word alone is a name, and no marker of one: "I" is iodine.
    if text.isalpha():
        return frozenset()
    found: set[str] = set()
    before = ""
    for match in _RUN.finditer(text):
        run = match[0]
        if run.isdigit():
            found.add(run.lstrip("0") or "0")
        else:
            found |= _of_letters(run, _touching(text, match.start()), _following(text, match.end()), before)
        before = run
    return frozenset(found)


def _of_letters(run: str, touching: str, following: str, before: str) -> set[str]:
    """Returns the markers in a run of letters.

    Args:
        run: the letters.
        touching: the character before the run; "" at the start of the text.
        following: the first character after the run and a number that touches it; "" at the end of the text.
        before: the run before it; "" for the first.
    """
    if run.lower() in _GREEK:
        return {_GREEK[run.lower()]}
    if before.lower() in _BEFORE_SPELLED and run.lower() in _SPELLED:
        return {_SPELLED[run.lower()]}
    roman = _ROMAN.fullmatch(run)
    # A numeral comes after a word. One letter is a numeral only after a long word: "type I", "MPS I".
    if roman and roman[1] and len(before) > (2 if len(roman[1]) == 1 else 0) and not touching.isalnum():
        return {str(_roman_value(roman[1])), roman[2].lower()} - {""}
    if len(run) > 1:
        return set()
    # A capital alone, or before a number: "hepatitis B", "B12". The T of "T2DM" is no marker.
    stands_alone = run.isupper() and not touching.isalnum() and not following.isalnum()
    return {run.lower()} if stands_alone or touching.isdigit() or (touching == "-" and before) else set()


def _touching(text: str, start: int) -> str:
    return text[start - 1] if start else ""


def _following(text: str, stop: int) -> str:
    while stop < len(text) and text[stop].isdigit():
        stop += 1
    return text[stop : stop + 1]


def _roman_value(numeral: str) -> int:
    values = [_ROMAN_VALUES[letter] for letter in numeral]
    following = [*values[1:], 0]
    return sum(-value if value < after else value for value, after in zip(values, following, strict=True))
