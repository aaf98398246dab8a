"""Texts: characters that look alike, names normalised for comparison, and context windows around mentions."""

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
_GREEK = re.compile(f"[{_GREEK_LETTERS}]", re.IGNORECASE)
# In German, "ß" follows a small letter. Elsewhere it stands for beta: "ß-thalassemia", "IL-1ß", "TGFß1".
_BETA = re.compile(r"(?<![^\W\d_A-Z])ß")
_WORD = re.compile(r"\w+")
_LATIN_LETTER = re.compile("[A-Za-z]")
_CYRILLIC_LETTER = re.compile("[\u0400-\u04ff]")
# Cyrillic letters that look like Latin ones.
_CYRILLIC = str.maketrans("АВЕКМНОРСТХЅІЈаеорсухѕіј", "ABEKMHOPCTXSIJaeopcyxsij")
# Signs that NFKC leaves alone or turns into something that looks different.
_SIGNS = dict.fromkeys("‘’‚‛ʹʼˈ`´′‵＇", "'") | dict.fromkeys("“”„‟«»＂", '"')
_SIGNS |= {"″": "''", "‴": "'''", "−": "-", "⁃": "-", "⁄": "/", "∕": "/"} | dict.fromkeys("™®©℠", "")
_EMOJI = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\u2b00-\u2bff\u20e3]")
_VARIATION_SELECTORS = range(0xFE00, 0xFE10)


class _Plain(dict[int, str]):
    """Maps a code point to what stands for it in plain text. Each is worked out when it first occurs."""

    def __missing__(self, code: int) -> str:
        self[code] = plain = _plain_character(chr(code))
        return plain


class _PlainOneForOne(dict[int, str]):
    """The same map for the characters that one character stands for; other characters stay."""

    def __missing__(self, code: int) -> str:
        plain = _PLAIN[code]
        self[code] = plain = plain if len(plain) == 1 else chr(code)
        return plain


_PLAIN, _PLAIN_ONE_FOR_ONE = _Plain(), _PlainOneForOne()
_WHITE_SPACE = re.compile(r"\s")


def _plain_character(character: str) -> str:
    if character in _SIGNS:
        return _SIGNS[character]
    category = unicodedata.category(character)
    if category == "Cf" or ord(character) in _VARIATION_SELECTORS:
        return ""
    if character in "\t\n\r":
        return character
    if category in ("Cc", "Zs") or _EMOJI.match(character):
        return " "
    if category == "Pd":
        return "-"
    plain = unicodedata.normalize("NFKC", character)
    if plain == character:
        return character
    # NFKC turns an accent that stands alone into a blank and an accent.
    return " " if plain.startswith(" ") else "".join(map(_plain_character, plain))


def plain_characters(text: str) -> str:
    """Gives characters that look alike, or that cannot be seen, the same form.

    - Subscripts, superscripts, ligatures and other compatibility forms (NFKC): "H₂O₂" becomes "H2O2".
    - Dashes, minus signs, quotation marks, apostrophes, primes and blanks become their ASCII characters.
    - Invisible characters, such as soft hyphens and blanks of no width, and trademark signs are deleted.
    - Control characters and emoji become blanks.
    - "ß" becomes β where it stands for beta. Cyrillic letters in a word with Latin letters become Latin.

    A text that was made plain does not change when it is made plain again.
    """
    if _is_plain(text):
        return text
    text = _BETA.sub("β", unicodedata.normalize("NFC", text.translate(_PLAIN)))
    if _CYRILLIC_LETTER.search(text):
        text = _WORD.sub(lambda word: _latin(word[0]), text)
    return text


def _is_plain(text: str) -> bool:
    """Whether a text is plain ASCII, as nearly all names are: a shortcut."""
    return text.isascii() and text.isprintable() and "`" not in text


def plain_one_for_one(text: str) -> str:
    """Does what `plain_characters` does with characters that become one character. Offsets stay the same."""
    return text if _is_plain(text) else text.translate(_PLAIN_ONE_FOR_ONE)


def with_spaces(text: str) -> str:
    """Returns a text with a space in place of each white space. Its length stays the same."""
    return _WHITE_SPACE.sub(" ", text)


def spell_greek(text: str) -> str:
    """Replaces Greek letters by their names, separated from other letters: "TNFα" becomes "TNF alpha"."""
    return text if text.isascii() else _GREEK.sub(_greek_name, text)


def _greek_name(letter: re.Match[str]) -> str:
    text, start, stop = letter.string, *letter.span()
    before = " " if start and text[start - 1].isalnum() else ""
    after = " " if stop < len(text) and text[stop].isalnum() and not _GREEK.match(text, stop) else ""
    return f"{before}{_SPELLED[ord(letter[0].lower())].strip()}{after}"


def _latin(word: str) -> str:
    # Two searches: one pattern for both letters takes quadratic time in a long word, such as a sequence.
    has_both = _LATIN_LETTER.search(word) and _CYRILLIC_LETTER.search(word)
    return word.translate(_CYRILLIC) if has_both else word


# Letters with a stroke, and joined letters, which Unicode does not decompose: "Sjøgren", "œdema".
_UNDECOMPOSED = str.maketrans("øØłŁđĐħĦı", "oollddhhi") | {
    ord(joined): letters for joined, letters in (("æ", "ae"), ("Æ", "ae"), ("œ", "oe"), ("Œ", "oe"))
}
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

    Characters are made plain (`plain_characters`), accents are removed, case is folded, Greek letters are
    spelled out, a possessive 's is dropped, and punctuation becomes a space. Signs that distinguish chemicals
    stay:

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
    text = unicodedata.normalize("NFKD", plain_characters(text)).translate(_UNDECOMPOSED)
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
