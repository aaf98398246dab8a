"""Normalised names for comparison, and context windows."""

import re
import string
import unicodedata

_GREEK_LETTERS = "αβγδεζηθικλμνξοπρστυφχψω"
_GREEK_NAMES = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu "
    "nu xi omicron pi rho sigma tau upsilon phi chi psi omega"
)
# Spaces around, so that "TNFα" becomes what "TNF-alpha" becomes.
_SPELLED = str.maketrans(
    {letter: f" {name} " for letter, name in zip(_GREEK_LETTERS, _GREEK_NAMES.split(), strict=True)}
)
_APOSTROPHES = str.maketrans(dict.fromkeys("’‘ʼ`´′", "'") | {"″": "''", "ŉ": "'n"})
_POSSESSIVE = re.compile(r"(?<=[^\W\d_])'s\b")
# All but letters, digits, plus signs, and primes after a digit.
_SEPARATORS = re.compile(r"(?:[^\w+']|_|(?<![\d'])'+)+")
# What becomes of each ASCII character in a text without apostrophes.
_ASCII = str.maketrans(
    {chr(code): " " for code in range(128)}
    | {character: character.lower() for character in f"{string.ascii_letters}{string.digits}+"}
)


def normalise(text: str) -> str:
    """Brings spellings of one name together, for exact comparison.

    Compatibility forms and accents are undone, case is folded, Greek letters are spelled out, a
    possessive 's is dropped, and punctuation becomes a space. What tells chemicals apart stays:

    - locants: punctuation separates and is never deleted, so "1,2-dichloroethane" becomes
      "1 2 dichloroethane", and not "12 dichloroethane";
    - primes after a digit: "2'-deoxyuridine" is not "2-deoxyuridine";
    - plus signs: "Na+" is not "Na", "(+)-tubocurarine" not "(-)-tubocurarine".

    Returns:
        Lower-case words with single spaces between; "" if there is no letter, digit or plus sign.
        Normalised text stays as it is when normalised again.
    """
    # Nearly all names of MeSH; the general way takes eight times as long.
    if text.isascii() and "'" not in text and "`" not in text:
        return " ".join(text.translate(_ASCII).split())
    return _normalise_any(text)


def spelling(text: str) -> str:
    """What is left of a name when blanks and most signs do not count: "KF 17837" and "KF-17837" are one.

    Looser than `normalise`: of chemicals it may make one of two, such as "1,2-" and "12-".
    """
    return normalise(text).replace(" ", "")


def _normalise_any(text: str) -> str:
    # Before the decomposition, which would turn some apostrophes into a space and an accent.
    text = unicodedata.normalize("NFKD", text.translate(_APOSTROPHES))
    text = "".join(character for character in text if not unicodedata.combining(character))
    text = text.casefold().translate(_SPELLED)
    text = _POSSESSIVE.sub("", text)
    return " ".join(_SEPARATORS.sub(" ", text).split())


def context_window(text: str, start: int, stop: int, characters: int) -> tuple[str, str]:
    """Returns the text to the left and to the right of `text[start:stop]`.

    Cut at the offsets, so that it is the right one of several occurrences; at the far ends cut between
    words. What touches the mention is kept as it is: `left + text[start:stop] + right` stands in `text`.

    Args:
        text: the document's text.
        start: offset of the mention's first character.
        stop: offset after its last character.
        characters: the most characters on each side.

    Raises:
        ValueError: the offsets are not within the text, or `characters` is negative.
    """
    if not 0 <= start <= stop <= len(text):
        raise ValueError(f"no characters {start}:{stop} in a text of {len(text)}")
    if characters < 0:
        raise ValueError(f"a window of {characters} characters")
    first, last = max(0, start - characters), min(len(text), stop + characters)
    while 0 < first < start and not text[first - 1].isspace():
        first += 1
    while stop < last < len(text) and not text[last].isspace():
        last -= 1
    return text[first:start].lstrip(), text[stop:last].rstrip()
