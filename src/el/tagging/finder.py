"""Finds mentions in plain text with a dictionary: the names of an ontology."""

import bisect
import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from el.base.text import normalise
from el.corpus.abbreviations import expand, find_abbreviations, numbers_of
from el.corpus.types import Document, Mention, Span
from el.ontology.ontology import Kind
from el.ontology.spellings import Spellings, words_of

# The kinds of concept that are looked for. A name of several kinds gets the kind that stands first here.
SOUGHT: tuple[Kind, ...] = ("chemical", "disease")
# The fewest letters and digits of a name that is looked for. A text rarely means the concept where it has a
# shorter name ("Ca", "I"). A larger value loses more short names.
_MIN_CHARACTERS = 3
# The same for a name in Chinese, Japanese or Korean, where most names have two or three signs.
_MIN_SYLLABLES = 2
# The most letters and digits of a name in capitals that counts as an abbreviation. An abbreviation is found
# in capitals only, because in lower case it is often a common word ("AIDS"). With a larger value, longer
# names that an ontology writes in capitals are missed in lower case.
_MAX_ABBREVIATION = 6

# The most words of a short form that a document defines; hyphens separate words too. Longer short forms are
# not found. A larger value makes the search slower.
_ABBREVIATION_WORDS = 3

# The end of a sentence or of a paragraph. A name does not cross it.
_BREAK = re.compile(r"[.;:!?]\s|[。！？；：]|\n\s*\n")
# Signs that stand for a syllable or a word: Han and Hangul.
_SYLLABLES = re.compile(
    "[\u2e80-\u2fdf\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff]"
)

# Words that are names in MeSH but mostly mean something else: common English words ("lead"), and words so
# general that a text rarely names a concept with them ("syndrome").
_COMMON = (
    "acid acids aids air all ampoule base bases can case cell clay coke compound compounds death disease "
    "diseases disorder disorders drug drugs dust elements emergencies emergency fat fats food gas gases "
    "gel gels ice impact injuries injury ions lead lesion lesions light lime liquid liquids media metal "
    "metals mixture oil oils paint pharmaceutical plan plasma powder powders preparations pure salt salts "
    "sand sign signs silk soap soil solution solutions solvent solvents symptom symptoms syndrome "
    "syndromes tea time tin vehicle vehicles water"
)
_COMMON_WORDS = frozenset(_COMMON.split())


@dataclass(frozen=True, slots=True, order=True)
class Found:
    """A mention found in a text: the characters `start:stop`, and the kind of its concept."""

    start: int
    stop: int
    kind: Kind


class DictionaryFinder:
    """Finds names of an ontology in text. The names found do not overlap.

    The search goes from left to right. Of several names that start at the same word, the longest is found.
    Only whole words are compared, in normalised form (`normalise`). In scripts without blanks between words,
    each character counts as a word (`words_of`). A name does not cross the end of a sentence. To reduce
    noise, these names are not looked for:

    - names of fewer than three letters and digits, or of one sign in Chinese, Japanese or Korean;
    - names without any letter;
    - single common English words that are names too, such as "lead", "water" or "syndrome".

    Names of up to six letters and digits in capitals ("COPD", "AIDS") are abbreviations. They are found in
    capitals only, but also where the same letters are a common word ("AIDS", "aids").

    Args:
        spellings: the spellings of the ontology's names.
        kinds: the kinds of concept to look for. A name of several kinds gets the kind that stands first here.
    """

    def __init__(self, spellings: Spellings, kinds: Sequence[Kind] = SOUGHT) -> None:
        self._spellings = spellings
        self._ontology = spellings.ontology
        self._order = {kind: place for place, kind in enumerate(kinds)}

    def find(self, text: str, abbreviations: Mapping[str, str] | None = None) -> Iterator[Found]:
        """Yields the names found in `text`, in order. Offsets are code points.

        Args:
            text: the text to search.
            abbreviations: short form -> long form. A short form is found if its long form is a name.
        """
        words = words_of(text)
        forms = [normalise(text[start:stop]) for start, stop in words]
        ends = self._ends(text, words, forms, abbreviations or {})
        place = 0
        while place < len(words):
            start, place = place, place + 1
            for stop in ends[start]:
                surface = text[words[start][0] : words[stop - 1][1]]
                kind = self._kind_of(surface, normalise(surface), abbreviations or {})
                if kind is not None:
                    yield Found(words[start][0], words[stop - 1][1], kind)
                    place = stop
                    break

    def mentions(self, document: Document) -> tuple[Mention, ...]:
        """Returns the mentions found in each passage of a document, in order.

        Abbreviations that the document defines are found too. A mention's type is the kind of its concept;
        mentions have no concept ids. They are numbered from "0"; a number that a mention of `document` has is
        skipped.
        """
        return as_mentions(document, self.find_in(document))

    def find_in(self, document: Document) -> Iterator[Found]:
        """Yields what `mentions` returns, as places in the document's text (code points)."""
        abbreviations = find_abbreviations(document.text)
        for passage in document.passages:
            for found in self.find(passage.text, abbreviations):
                yield Found(passage.offset + found.start, passage.offset + found.stop, found.kind)

    def kind_of(self, text: str) -> Kind | None:
        """Returns the kind of the names that are looked for and spelled like `text`; None without any."""
        return self._kind_of(text, normalise(text), {})

    def _ends(
        self,
        text: str,
        words: Sequence[tuple[int, int]],
        forms: Sequence[str],
        abbreviations: Mapping[str, str],
    ) -> list[list[int]]:
        """Returns for each word the ends of the names that may start there, longest name first.

        An end is the place after the name's last word. All spellings of a text are looked up at once, because
        single look-ups take five times as long.
        """
        longest_names = self._spellings.longest([form.partition(" ")[0] for form in forms])
        short_forms = {form for short in abbreviations for form in numbers_of(short)}
        places, spellings = [], []
        ends: list[list[int]] = [[] for _ in words]
        for place in range(len(words)):
            most_words = max(longest_names[place], _ABBREVIATION_WORDS if abbreviations else 0)
            for stop in range(place + 1, min(place + most_words, len(words)) + 1):
                if stop > place + 1 and _BREAK.search(text, words[stop - 2][1], words[stop - 1][0]):
                    break
                if text[words[place][0] : words[stop - 1][1]] in short_forms:
                    ends[place].append(stop)
                elif stop <= place + longest_names[place]:
                    places.append((place, stop))
                    spellings.append("".join(forms[place:stop]).replace(" ", ""))
        for (place, stop), known in zip(places, self._spellings.known(spellings).tolist(), strict=True):
            if known:
                ends[place].append(stop)
        return [sorted(stops, reverse=True) for stops in ends]

    def _kind_of(self, surface: str, form: str, abbreviations: Mapping[str, str]) -> Kind | None:
        long_form = expand(surface, abbreviations)
        if long_form != surface:
            kinds = self._kinds(normalise(long_form))
            if kinds:
                return self._first(kinds)
        kinds = self._kinds(form)
        in_any_case = any(not is_abbreviation for _, is_abbreviation in kinds)
        return self._first(kinds) if kinds and (in_any_case or surface == surface.upper()) else None

    def _kinds(self, form: str) -> list[tuple[Kind, bool]]:
        """Returns (kind, whether it is an abbreviation) of each name with this form that is looked for."""
        if not _is_looked_for(form):
            return []
        found = []
        for row in self._spellings.names(form).tolist():
            name = self._ontology.name_text(row)
            kind = self._ontology.kinds[int(self._ontology.concept_of_name[row])]
            is_abbreviation = _is_abbreviation(name)
            # `Spellings` ignores spaces, so it also returns "KF17837" for "KF 17837".
            is_same = kind in self._order and normalise(name) == form
            if is_same and (is_abbreviation or form not in _COMMON_WORDS):
                found.append((kind, is_abbreviation))
        return found

    def _first(self, kinds: Sequence[tuple[Kind, bool]]) -> Kind:
        return min((kind for kind, _ in kinds), key=self._order.__getitem__)


def longest(first: Iterable[Found], second: Iterable[Found]) -> list[Found]:
    """Merges the mentions that two finders found in one text.

    Of mentions that overlap, the longest is kept; of equally long ones, the one in `first`.

    Returns:
        The mentions kept, in order.
    """
    taken: list[Found] = []
    stops: list[int] = []
    # Longest first. Sorting is stable, so of equally long mentions those of `first` come first.
    for one in sorted([*first, *second], key=lambda one: one.start - one.stop):
        place = bisect.bisect_right(stops, one.start)
        if place == len(taken) or one.stop <= taken[place].start:
            taken.insert(place, one)
            stops.insert(place, one.stop)
    return taken


def as_mentions(document: Document, found: Iterable[Found]) -> tuple[Mention, ...]:
    """Returns places in a document's text as mentions, in the same order.

    The mentions have no concept ids. They are numbered from "0"; a number that a mention of `document` has is
    skipped.
    """
    taken = {mention.id for mention in document.mentions}
    numbers = (str(number) for number in itertools.count() if str(number) not in taken)
    text = document.text
    return tuple(
        Mention(next(numbers), (Span(one.start, one.stop),), text[one.start : one.stop], one.kind)
        for one in found
    )


def _is_looked_for(form: str) -> bool:
    # A normalised Hangul syllable consists of several letters.
    form = unicodedata.normalize("NFC", form)
    characters = sum(character.isalnum() for character in form)
    least = _MIN_SYLLABLES if _SYLLABLES.search(form) else _MIN_CHARACTERS
    return characters >= least and any(character.isalpha() for character in form)


def _is_abbreviation(name: str) -> bool:
    return name == name.upper() and sum(character.isalnum() for character in name) <= _MAX_ABBREVIATION
