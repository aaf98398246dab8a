"""Texts: names normalised for comparison, and context windows around mentions."""

import re
import string
import unicodedata

_GREEK_LETTERS = "αβγδεζηθικλμνξοπρστυφχψω"
_GREEK_NAMES = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu "
    "nu xi omicron pi rho sigma tau upsilon phi chi psi omega"
)
# With spaces around the name: "TNFα" and "TNF-alpha" both become "tnf alpha".
_SPELLED = str.maketrans(
    {letter: f" {name} " for letter, name in zip(_GREEK_LETTERS, _GREEK_NAMES.split(), strict=True)}
)
_APOSTROPHES = str.maketrans(dict.fromkeys("’‘ʼ`´′", "'") | {"″": "''", "ŉ": "'n"})
_POSSESSIVE = re.compile(r"(?<=[^\W\d_])'s\b")
# All characters except letters, digits, plus signs, and primes after a digit.
_SEPARATORS = re.compile(r"(?:[^\w+']|_|(?<![\d'])'+)+")
# ASCII character -> its normalised form, in a text without apostrophes.
_ASCII = str.maketrans(
    {chr(code): " " for code in range(128)}
    | {character: character.lower() for character in f"{string.ascii_letters}{string.digits}+"}
)


def normalise(text: str) -> str:
    """Gives the spellings of one name the same form, for exact comparison.

    Compatibility forms (NFKD) and accents are removed, case is folded, Greek letters are spelled out, a
    possessive 's is dropped, and punctuation becomes a space. Signs that distinguish chemicals stay:

    - locants: punctuation becomes a space and is never deleted. "1,2-dichloroethane" becomes
      "1 2 dichloroethane", not "12 dichloroethane";
    - primes after a digit: "2'-deoxyuridine" differs from "2-deoxyuridine";
    - plus signs: "Na+" differs from "Na", and "(+)-tubocurarine" from "(-)-tubocurarine".

    Returns:
        Lower-case words separated by single spaces; "" if there is no letter, digit or plus sign. A
        normalised text does not change when it is normalised again.
    """
    # A shortcut for nearly all names of MeSH: the general function takes eight times as long.
    if text.isascii() and "'" not in text and "`" not in text:
        return " ".join(text.translate(_ASCII).split())
    return _normalise_any(text)


def spelling(text: str) -> str:
    """Returns the normalised name without blanks: "KF 17837" and "KF-17837" have the same spelling.

    This comparison is looser than that of `normalise`: two chemicals, such as "1,2-" and "12-", may have the
    same spelling.
    """
    return normalise(text).replace(" ", "")


def _normalise_any(text: str) -> str:
    # Apostrophes come first: the decomposition turns some of them into a space and an accent.
    text = unicodedata.normalize("NFKD", text.translate(_APOSTROPHES))
    text = "".join(character for character in text if not unicodedata.combining(character))
    text = text.casefold().translate(_SPELLED)
    text = _POSSESSIVE.sub("", text)
    return " ".join(_SEPARATORS.sub(" ", text).split())


def context_window(text: str, start: int, stop: int, characters: int) -> tuple[str, str]:
    """Returns the text to the left and to the right of the mention `text[start:stop]`.

    The outer ends are cut between words. The inner ends are not changed: `left + text[start:stop] + right` is
    a part of `text`. The mention is given by its offsets, because its words may occur several times.

    Args:
        text: the document's text.
        start: the offset of the mention's first character.
        stop: the offset after the mention's last character.
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
