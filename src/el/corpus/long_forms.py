"""Finds the long form of a short form among the words of a text, by the cost of matching their letters.

Schwartz & Hearst (2003) take the shortest text whose letters fit, so that a long form is cut short wherever a
letter repeats: "aplastic anemia (AA)" becomes "anemia". Here the text with the lowest cost is taken: letters
of the short form that begin a word cost nothing, letters inside a word and words without a letter cost most.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

# The most characters of a long form. A longer one is not found; at a larger value, a text with many brackets
# takes more time.
MAX_CHARACTERS = 400
# The most words of a long form beyond two for each letter of the short form. Numbers and single letters are
# words too, and the names of chemicals hold many. A larger value takes more time.
_MORE_WORDS = 12

# Costs. Those of a letter of the short form: inside a word whose first letter is matched (directly behind the
# letter matched before it, or later), and inside a word whose first letter is not matched.
_ADJACENT, _INSIDE, _WITHOUT_INITIAL = 0.2, 0.5, 1.2
# Those of a word without a letter of the short form: the last word, any other word, a word behind a hyphen, a
# function word, a number or a single letter.
_LAST_WORD, _WORD, _JOINED_WORD, _FUNCTION_WORD, _LOCANT = 0.9, 0.6, 0.25, 0.2, 0.1
# Words that a long form does not run over, and marks between words.
_BARRIER, _COMMA, _BRACKET = 3.0, 0.3, 1.5
# A long form that begins with a function word, or with a word that often stands before a term. A long form
# that begins inside a word with a hyphen, as in "cisplatin-induced".
_FUNCTION_START, _WEAK_START, _HYPHEN_START = 1.4, 1.1, 0.3
# A chemical reading of a short form ("OH" for "hydroxy"), and a number in a formula that no word stands for.
_CHEMICAL, _COUNT = 0.3, 0.5
# A short form whose letters stand in another order: "β-amyloid (Aβ)", "diabetes mellitus type 2 (T2DM)".
_TURNED = 0.3
# The cost that a known term saves, if it ends where the long form ends and its letters fit.
_TERM = 1.0
# The most that a long form may cost: for each letter, and in addition. Larger values admit more texts that
# are not long forms.
_MOST_PER_LETTER, _MOST_IN_ADDITION = 0.6, 0.3
# The same for short forms that are mostly something else, such as countries; see `_AMBIGUOUS`.
_MOST_AMBIGUOUS = 0.25

_GREEK = {
    "α": "alpha",
    "β": "beta",
    "γ": "gamma",
    "δ": "delta",
    "ε": "epsilon",
    "ζ": "zeta",
    "η": "eta",
    "θ": "theta",
    "κ": "kappa",
    "λ": "lambda",
    "μ": "mu",
    "ω": "omega",
    "σ": "sigma",
    "τ": "tau",
}
# Spelled Greek letters in a short form are one sign. The shorter names are parts of other short forms.
_SPELLED_GREEK = ("alpha", "beta", "gamma", "delta", "epsilon", "theta", "kappa", "lambda", "omega", "sigma")
_ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x")
_SPELLED = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
# A Roman or spelled number -> the number.
_NUMBERS = {form: str(number) for forms in (_ROMAN, _SPELLED) for number, form in enumerate(forms, start=1)}
_HYPHENS = "-‐‑–"
# Symbols of chemistry whose letters are not those of the word, in the case in which they are written.
_SYMBOLS = {
    "OH": ("hydroxy", "ol"),
    "Me": ("methyl", "me"),
    "Et": ("ethyl", "et"),
    "Na": ("sodium", "na"),
    "K": ("potassium",),
    "Fe": ("iron", "ferr"),
    "Cu": ("copper", "cupr"),
    "Ag": ("silver",),
    "Au": ("gold", "aur"),
    "Hg": ("mercur",),
    "Pb": ("lead",),
    "Sn": ("tin",),
    "Sb": ("antimon",),
    "Cl": ("chlor",),
    "O": ("ox",),
}
_SYMBOL = re.compile("|".join(sorted(_SYMBOLS, key=len, reverse=True)))
# Short forms that may be read as formulas: "6-OHDA", "NaCl". Those in which numbers count atoms or groups:
# "H2O2", "PaO2", "25(OH)D".
_FORMULA = re.compile(r"\d|[A-Z][a-z]")
_COUNTS_ATOMS = re.compile(r"(?:[PSV][a-z]?)?(?:[HNCSKP]|O|Cl|Na|Li|Ca|Fe|Mg|Br|[\d().+-])+[A-Za-z]?\d?")
_NUMBERED_TYPE = re.compile(r"T\d[A-Z]")
_ATOM_COUNT = re.compile(r"(?<=[A-Za-z)])\d+")

# A letter, a number or a spelled Greek letter of a short form.
_SIGN = re.compile(rf"{'|'.join(_SPELLED_GREEK)}|\d+|[^\W\d_]", re.IGNORECASE)
# A word of a text. Greek letters, and numbers joined to letters, are words.
_TOKEN = re.compile(
    r"[αβγδεζηθκλμωστΑΒΓΔΕΖΗΘΚΛΜΩΣΤµ]|\d+"
    r"|[^\W\d_αβγδεζηθκλμωστµ][\u0300-\u036f]*(?:['’]?[^\W\d_αβγδεζηθκλμωστµ][\u0300-\u036f]*)*"
)
_FUNCTION_WORDS_TEXT = "a an and as at by for in into of on or over the to with without"
_FUNCTION_WORDS = frozenset(_FUNCTION_WORDS_TEXT.split())
_BARRIERS_TEXT = (
    "although am are be because been being but can could did do does done had has have having he her his how "
    "however if is it its may might must our shall she should since than that their there therefore these "
    "they this those thus was we were what when where whereas whether which while who whom whose will would "
    "after before during versus vs using via among between despite showed shown revealed caused received "
    "underwent developed diagnosed treated compared"
)
_BARRIERS = frozenset(_BARRIERS_TEXT.split())
# Words that often stand before a term and share its first letter, but seldom belong to it.
_WEAK_STARTS_TEXT = (
    "adding additional administered administration affected all also analysis any approximately assessed "
    "both called carried case cases caused cells certain children chosen consecutive considered control "
    "controls daily decreased describe described detected determined dose doses drug drugs each effect "
    "effects eight elderly elevated eleven evaluated every examined exposure few first five four frequent "
    "function given group groups had healthy history hypothesized identified immediate including "
    "increased induced investigated known level levels low many marked measured men mice more most mouse "
    "named new nine no observed often one other patient patients plasma possible presence present "
    "presented prior rat rats receiving recent reduced reported role same second selected serum seven "
    "several significant similar six some studied study subjects subsequent such suffered suspected "
    "taking ten three toward treatment trial two undergoing use used various women"
)
_WEAK_STARTS = frozenset(_WEAK_STARTS_TEXT.split())
# Words behind a term that do not belong to it, unless a letter stands for them.
_TRAILING_TEXT = (
    "patient patients subject subjects case cases group groups mice rats animals level levels treatment "
    "therapy administration"
)
_TRAILING = frozenset(_TRAILING_TEXT.split())
# Short forms that are mostly countries, Roman numerals or statistics. They are found only where nearly all
# letters begin a word.
_AMBIGUOUS_TEXT = "USA US UK II III VI VII VIII IX XI SD SE SEM CI OR HR RR ANOVA IQR"
_AMBIGUOUS = frozenset(_AMBIGUOUS_TEXT.split())
# Parts of names of chemicals that stand before a term and belong to it.
_DESCRIPTORS_TEXT = "cis trans tert sec rs dl ortho meta para bis"
_DESCRIPTORS = frozenset(_DESCRIPTORS_TEXT.split())


@dataclass(frozen=True, slots=True)
class _Word:
    """A word of a text, in small letters and without accents.

    Attributes:
        start: its first character in the text.
        stop: the character after it.
        readings: the word, and other spellings of it: "2", "ii" and "two".
        gap: the cost of the signs between the word and the next one.
        is_joined: whether a hyphen stands before the word.
    """

    start: int
    stop: int
    readings: tuple[str, ...]
    gap: float
    is_joined: bool

    @property
    def skip_cost(self) -> float:
        """The cost of the word if it has no letter of the short form."""
        word = self.readings[0]
        if word in _BARRIERS:
            return _BARRIER
        if word in _FUNCTION_WORDS:
            return _FUNCTION_WORD
        if self.is_locant:
            return _LOCANT
        return _JOINED_WORD if self.is_joined else _WORD

    @property
    def is_locant(self) -> bool:
        """Whether the word is a number, a letter or a descriptor, as in names of chemicals."""
        word = self.readings[0]
        return len(word) == 1 or word.isdigit() or word in _GREEK.values() or word in _DESCRIPTORS


@dataclass(frozen=True, slots=True)
class _Sign:
    """A letter, a number or a symbol of a short form.

    Attributes:
        texts: what a word holds for it.
        is_symbol: whether it is a symbol of chemistry.
        drop_cost: the cost if no word holds it; infinite if it has to be held.
    """

    texts: tuple[str, ...]
    is_symbol: bool = False
    drop_cost: float = float("inf")


def long_form_before(
    short: str, text: str, start: int, stop: int, terms: Set[int] = frozenset()
) -> tuple[int, int] | None:
    """Finds the long form of a short form at the end of `text[start:stop]`.

    The long form begins with the first letter of the short form. It ends at `stop`, without words such as
    "patients" that no letter stands for.

    Args:
        short: the short form.
        text: the text.
        start: the first character that the long form may have.
        stop: the character after the long form.
        terms: the first characters of terms that end at `stop`, such as mentions. A term is preferred if its
            letters fit.

    Returns:
        The (start, stop) of the long form, or None if the letters fit nowhere.
    """
    best: tuple[float, int, int] | None = None
    for end in _ends(text, start, stop):
        words = _words(text, max(start, end - MAX_CHARACTERS), end, 2 * len(short) + _MORE_WORDS)
        for place, cost in _start_costs(short, words).items():
            begin = _long_start(text, words, place, start)
            if end == stop and not terms.isdisjoint((begin, words[place].start)):
                cost -= _TERM
            else:
                cost += _start_cost(text, words[place], begin)
            # Of equal costs, the longer text counts.
            candidate = (cost, begin, -end)
            if _is_possible(short, text, begin, end) and (best is None or candidate < best):
                best = candidate
    return None if best is None or best[0] > _most(short) else (best[1], -best[2])


def whole_cost(short: str, text: str, start: int, stop: int) -> float | None:
    """Returns the cost of the whole of `text[start:stop]` as the long form of a short form.

    Returns:
        The cost, or None if the text cannot be the long form.
    """
    words = _words(text, start, min(stop, start + MAX_CHARACTERS), 2 * len(short) + _MORE_WORDS)
    if (
        not words
        or text[start : words[0].start].strip("([{'\"“‘")
        or not _is_possible(short, text, start, stop)
    ):
        return None
    costs = [
        cost
        for place, cost in _start_costs(short, words).items()
        if cost <= _most(short) and all(word.is_locant for word in words[:place])
    ]
    return min(costs, default=None)


def is_term_like(text: str) -> bool:
    """Whether a text can be the start of a term: it holds no verb or function word, nor an odd first word."""
    words = [word.readings[0] for word in _words(text, 0, len(text), len(text))]
    return (
        bool(words)
        and words[0] not in _WEAK_STARTS
        and _BARRIERS.isdisjoint(words)
        and _FUNCTION_WORDS.isdisjoint(words)
    )


def _most(short: str) -> float:
    if short in _AMBIGUOUS:
        return _MOST_AMBIGUOUS
    return _MOST_PER_LETTER * sum(map(str.isalnum, short)) + _MOST_IN_ADDITION


def _is_possible(short: str, text: str, start: int, stop: int) -> bool:
    """Whether a text is longer than the short form, balanced in brackets, and without the short form."""
    long_form = text[start:stop]
    return (
        len(long_form) > len(short)
        and all(long_form.count(left) == long_form.count(right) for left, right in ("()", "[]"))
        and not re.search(rf"(?<!\w){re.escape(short)}(?!\w)", long_form)
    )


def _ends(text: str, start: int, stop: int) -> Iterator[int]:
    """Yields where a long form may end: before words such as "patients", and at `stop`."""
    words = _words(text, max(start, stop - MAX_CHARACTERS), stop, 2)
    if (
        len(words) == 2
        and words[1].readings[0] in _TRAILING
        and words[1].stop == stop
        and text[words[0].stop : words[1].start].isspace()
    ):
        yield words[0].stop
    yield stop


def _long_start(text: str, words: Sequence[_Word], place: int, start: int) -> int:
    """Returns where a long form begins whose first matched word is `words[place]`.

    Numbers and single letters that are joined to the word belong to the long form, as in "1-methyl"; so does
    an opening bracket that the long form closes.
    """
    first = words[place].start
    chunk = first
    while chunk > start and not text[chunk - 1].isspace():
        chunk -= 1
    joined = [word for word in words[:place] if word.start >= chunk]
    between = text[chunk:first]
    if all(word.is_locant for word in joined) and not re.search(r"[/:;]", between):
        return chunk + len(between) - len(between.lstrip("\"'“‘.,"))
    return first


def _start_cost(text: str, word: _Word, begin: int) -> float:
    """The cost of a long form that begins with a word."""
    first = word.readings[0]
    if first in _BARRIERS:
        return _BARRIER
    joined_behind = text[word.stop : word.stop + 1] in tuple(_HYPHENS)
    if first in _FUNCTION_WORDS and not joined_behind:
        return _FUNCTION_START
    if first in _WEAK_STARTS and not joined_behind:
        return _WEAK_START
    return _HYPHEN_START if begin and text[begin - 1] in f"{_HYPHENS}/" else 0.0


def _start_costs(short: str, words: Sequence[_Word]) -> dict[int, float]:
    """Returns place -> cost for each word with which a long form that ends with the last word may begin.

    The first sign of the short form begins this word.
    """
    best: dict[int, float] = {}
    for signs, extra in _readings(short):
        for place, cost in _costs(signs, words, _most(short) + _TERM).items():
            best[place] = min(best.get(place, float("inf")), cost + extra)
    return best


def _costs(signs: Sequence[_Sign], words: Sequence[_Word], most: float) -> dict[int, float]:
    """Matches signs to words by dynamic programming, from the last word to the first.

    It ends where every cost is above `most`.
    """
    count = len(signs)
    infinite = float("inf")
    # The cost of matching the signs from each place on with the words behind the present one.
    behind = [infinite] * count + [0.0]
    for place in range(count - 1, -1, -1):
        behind[place] = behind[place + 1] + signs[place].drop_cost
    found: dict[int, float] = {}
    for number in range(len(words) - 1, -1, -1):
        word = words[number]
        is_last = number == len(words) - 1
        skip = max(_LAST_WORD, word.skip_cost) if is_last and not word.is_locant else word.skip_cost
        here = [behind[place] + skip + word.gap for place in range(count + 1)]
        for place in range(count):
            if not any(text in reading for text in signs[place].texts for reading in word.readings):
                continue
            for matched, cost, from_initial in _matches(word, signs, place):
                total = cost + behind[matched] + word.gap
                here[place] = min(here[place], total)
                if place == 0 and from_initial:
                    found[number] = min(found.get(number, infinite), total)
        for place in range(count - 1, -1, -1):
            here[place] = min(here[place], here[place + 1] + signs[place].drop_cost)
        behind = here
        if min(behind) > most:
            break
    return {number: cost for number, cost in found.items() if cost < infinite}


def _matches(word: _Word, signs: Sequence[_Sign], place: int) -> Iterator[tuple[int, float, bool]]:
    """Yields (place after the signs, cost, whether at the word's start) for signs that a word can hold."""
    for reading in word.readings:
        for from_initial in (True, False):
            # Where the matched text ends in the word -> cost.
            ends = _first_ends(reading, signs[place], from_initial)
            following = place
            while ends:
                following += 1
                yield following, min(ends.values()), from_initial
                if following == len(signs):
                    break
                ends = _next_ends(reading, signs[following], ends)


def _first_ends(reading: str, sign: _Sign, from_initial: bool) -> dict[int, float]:
    if from_initial:
        return {len(text): 0.0 for text in sign.texts if _begins(reading, text)}
    cost = _INSIDE if sign.is_symbol else _WITHOUT_INITIAL
    return {at + len(text): cost for text in sign.texts for at in _places(reading, text, 1)}


def _next_ends(reading: str, sign: _Sign, ends: dict[int, float]) -> dict[int, float]:
    following: dict[int, float] = {}
    for before, cost in ends.items():
        for text in sign.texts:
            for at in _places(reading, text, before):
                total = cost + (_ADJACENT if at == before or sign.is_symbol else _INSIDE)
                end = at + len(text)
                following[end] = min(following.get(end, float("inf")), total)
    return following


def _begins(reading: str, text: str) -> bool:
    if text.isdigit():
        # A number is matched as a whole: "3" does not stand for "36". Only years are cut short: "COVID-19".
        return reading == text or (len(reading) == 4 and len(text) == 2 and reading == f"20{text}")
    return reading.startswith(text)


def _places(reading: str, text: str, start: int) -> Iterator[int]:
    if text.isdigit():
        return
    at = reading.find(text, start)
    while at >= 0:
        yield at
        at = reading.find(text, at + 1)


def _readings(short: str) -> Iterator[tuple[list[_Sign], float]]:
    """Yields the signs of a short form, and what the reading costs in addition."""
    signs = [_Sign((text,)) for text in _sign_texts(short)]
    yield signs, 0.0
    head, _, tail = short.rpartition(" ")
    if head and tail.isupper() and tail.lower() in _ROMAN:
        # "MPS II", whose long form may hold a 2.
        yield [*(_Sign((text,)) for text in _sign_texts(head)), _Sign((_NUMBERS[tail.lower()],))], 0.0
    if len(short) > 2 and short.endswith("s") and not short[-2].islower():
        # The short form is a plural. The long form may be a singular, or have another plural.
        yield signs[:-1], 0.0
    if signs and signs[-1].texts[0] in _GREEK.values():
        # "β-amyloid (Aβ)".
        yield [signs[-1], *signs[:-1]], _TURNED
    if _NUMBERED_TYPE.match(short):
        # "diabetes mellitus type 2 (T2DM)".
        yield [*signs[2:], *signs[:2]], _TURNED
    if _FORMULA.search(short):
        chemical = list(_chemical_signs(short))
        if any(sign.is_symbol or sign.drop_cost < float("inf") for sign in chemical):
            yield chemical, _CHEMICAL


def _sign_texts(short: str) -> Iterator[str]:
    for match in _SIGN.finditer(short):
        yield _folded(match[0])


def _chemical_signs(short: str) -> Iterator[_Sign]:
    """Yields the signs of a short form that is read as a formula."""
    is_formula = ("O" in short or "Cl" in short) and _COUNTS_ATOMS.fullmatch(short) is not None
    counts = {match.start() for match in _ATOM_COUNT.finditer(short)} if is_formula else set()
    position = 0
    while position < len(short):
        symbol, sign = _SYMBOL.match(short, position), _SIGN.match(short, position)
        if symbol is not None:
            yield _Sign((*_SYMBOLS[symbol[0]], _folded(symbol[0])), is_symbol=True)
        elif sign is not None:
            drop = _COUNT if position in counts else float("inf")
            yield _Sign((_folded(sign[0]),), drop_cost=drop)
        matched = symbol or sign
        position = matched.end() if matched else position + 1


def _words(text: str, start: int, stop: int, most: int) -> list[_Word]:
    """Returns the last words of `text[start:stop]`, in order."""
    matches = list(_TOKEN.finditer(text, start, stop))[-most:]
    words = []
    for number, match in enumerate(matches):
        following = matches[number + 1].start() if number + 1 < len(matches) else stop
        gap = _gap_cost(text[match.end() : following]) if number + 1 < len(matches) else 0.0
        is_joined = match.start() > start and text[match.start() - 1] in _HYPHENS
        words.append(_Word(match.start(), match.end(), _spellings(match[0]), gap, is_joined))
    return words


def _gap_cost(between: str) -> float:
    if re.search(r"[;:!?]\s", between):
        return _BARRIER
    if re.search(r"\s[(\[]|[)\]]\s.*[(\[]", between):
        return _BRACKET
    return _COMMA if re.search(r",\s", between) else 0.0


def _spellings(word: str) -> tuple[str, ...]:
    folded = _folded(word)
    return (folded, _NUMBERS[folded]) if folded in _NUMBERS else (folded,)


def _folded(text: str) -> str:
    """Returns a word in small letters, without accents, and with Greek letters spelled out."""
    if text.isascii():
        return text.lower()
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).casefold()
    return "".join(_GREEK.get(character, character) for character in plain)
