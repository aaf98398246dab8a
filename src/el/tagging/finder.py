"""Mentions found in plain text by a dictionary: the names of an ontology."""

import bisect
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from el.base.text import normalise
from el.corpus.abbreviations import expand, find_abbreviations
from el.corpus.types import Document, Mention, Span
from el.ontology.ontology import Kind
from el.ontology.spellings import Spellings

# The kinds of concept that texts are searched for; a name of both is of the first.
SOUGHT: tuple[Kind, ...] = ("chemical", "disease")
# Shorter names ("Ca", "I") are mostly something else.
_MIN_CHARACTERS = 3
# Up to here a name in capitals is taken for an abbreviation, that is told from a word by its capitals.
_MAX_ABBREVIATION = 6

# Words, parted also by hyphens, of the longest abbreviation that a document may define.
_ABBREVIATION_WORDS = 3

_APOSTROPHES = "'’‘ʼ`´′″"
# A word with its primes ("2'"), accents that follow their letters, and plus signs, as `normalise` keeps them.
# A possessive 's belongs to no word.
_WORD = re.compile(
    rf"(?<=[^\W\d_])[{_APOSTROPHES}]s\b|((?:(?:[^\W_]|[+\u0300-\u036f])+(?:(?<=\d)[{_APOSTROPHES}]+)?)+)"
)
# Between two words of one name there is no end of a sentence or paragraph.
_BREAK = re.compile(r"[.;:!?]\s|\n\s*\n")

# Names of chemicals and diseases in MeSH that are common English words, or so general that naming a concept
# is not what the text does.
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
    """A mention found in a text: the characters start:stop, and the kind of the concept."""

    start: int
    stop: int
    kind: Kind


class DictionaryFinder:
    """Finds names of an ontology in text: leftmost first, of those the longest, never overlapping.

    Words are compared normalised, and whole words only; a name does not run over the end of a sentence. To
    keep noise down these are not looked for:

    - names of fewer than three letters and digits, and names without any letter;
    - single common English words that are names too, such as "lead", "water" or "syndrome".

    Names of up to six letters and digits in capitals ("COPD", "AIDS") are found in capitals only, these words
    too.

    Args:
        spellings: of the names of an ontology.
        kinds: the kinds of concept to look for. A name of several kinds is of the one that is first here.
    """

    def __init__(self, spellings: Spellings, kinds: Sequence[Kind] = SOUGHT) -> None:
        self._spellings = spellings
        self._ontology = spellings.ontology
        self._order = {kind: place for place, kind in enumerate(kinds)}

    def find(self, text: str, abbreviations: Mapping[str, str] | None = None) -> Iterator[Found]:
        """Yields the names found in `text`, in order; offsets are code points.

        Args:
            text: where to look.
            abbreviations: short form -> long form; a short form is found where its long form is a name.
        """
        words = [match.span(1) for match in _WORD.finditer(text) if match[1]]
        forms = [normalise(text[start:stop]) for start, stop in words]
        ends = self._ends(text, words, forms, abbreviations or {})
        place = 0
        while place < len(words):
            start, place = place, place + 1
            for stop in ends[start]:
                surface = text[words[start][0] : words[stop - 1][1]]
                kind = self._kind_of(surface, " ".join(forms[start:stop]), abbreviations or {})
                if kind is not None:
                    yield Found(words[start][0], words[stop - 1][1], kind)
                    place = stop
                    break

    def mentions(self, document: Document) -> tuple[Mention, ...]:
        """Finds mentions in each passage of a document, in order.

        Abbreviations that the document defines are found too. Mentions have the concept's kind as type, no
        ids, and are numbered from "0"; numbers that the document's own mentions have are passed over.
        """
        return as_mentions(document, self.find_in(document))

    def find_in(self, document: Document) -> Iterator[Found]:
        """The same as places in the document's text."""
        abbreviations = find_abbreviations(document.text)
        for passage in document.passages:
            for found in self.find(passage.text, abbreviations):
                yield Found(passage.offset + found.start, passage.offset + found.stop, found.kind)

    def _ends(
        self,
        text: str,
        words: Sequence[tuple[int, int]],
        forms: Sequence[str],
        abbreviations: Mapping[str, str],
    ) -> list[list[int]]:
        """For each word, behind which words a name may end that begins with it; longest first.

        All spellings of a text are looked up at once: one by one they take five times as long.
        """
        most = self._spellings.longest([form.partition(" ")[0] for form in forms])
        short_forms = {form for short in abbreviations for form in (short, short + "s", short[:-1])}
        places, spellings = [], []
        ends: list[list[int]] = [[] for _ in words]
        for place in range(len(words)):
            longest = max(most[place], _ABBREVIATION_WORDS if abbreviations else 0)
            for stop in range(place + 1, min(place + longest, len(words)) + 1):
                if stop > place + 1 and _BREAK.search(text, words[stop - 2][1], words[stop - 1][0]):
                    break
                if text[words[place][0] : words[stop - 1][1]] in short_forms:
                    ends[place].append(stop)
                elif stop <= place + most[place]:
                    places.append((place, stop))
                    spellings.append("".join(forms[place:stop]).replace(" ", ""))
        for (place, stop), known in zip(places, self._spellings.known(spellings).tolist(), strict=True):
            if known:
                ends[place].append(stop)
        return [sorted(own, reverse=True) for own in ends]

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
        """Of each name that is looked for, the concept's kind, and whether it is an abbreviation."""
        if not _is_looked_for(form):
            return []
        found = []
        for row in self._spellings.names(form).tolist():
            name = self._ontology.name_text(row)
            kind = self._ontology.kinds[int(self._ontology.concept_of_name[row])]
            is_abbreviation = _is_abbreviation(name)
            # The spelling alone would make "KF 17837" of "KF17837".
            is_same = kind in self._order and normalise(name) == form
            if is_same and (is_abbreviation or form not in _COMMON_WORDS):
                found.append((kind, is_abbreviation))
        return found

    def _first(self, kinds: Sequence[tuple[Kind, bool]]) -> Kind:
        return min((kind for kind, _ in kinds), key=self._order.__getitem__)


def longest(first: Iterable[Found], second: Iterable[Found]) -> list[Found]:
    """What two found in one text, in order: of those that overlap the longest, of equals the first's."""
    taken: list[Found] = []
    stops: list[int] = []
    # Of the same length those of the first come first, as sorting is stable.
    for one in sorted([*first, *second], key=lambda one: one.start - one.stop):
        place = bisect.bisect_right(stops, one.start)
        if place == len(taken) or one.stop <= taken[place].start:
            taken.insert(place, one)
            stops.insert(place, one.stop)
    return taken


def as_mentions(document: Document, found: Iterable[Found]) -> tuple[Mention, ...]:
    """What was found in a document's text as mentions, without ids and in the same order.

    They are numbered from "0"; numbers that the document's own mentions have are passed over.
    """
    taken = {mention.id for mention in document.mentions}
    numbers = (str(number) for number in itertools.count() if str(number) not in taken)
    text = document.text
    return tuple(
        Mention(next(numbers), (Span(one.start, one.stop),), text[one.start : one.stop], one.kind)
        for one in found
    )


def _is_looked_for(form: str) -> bool:
    characters = sum(character.isalnum() for character in form)
    return characters >= _MIN_CHARACTERS and any(character.isalpha() for character in form)


def _is_abbreviation(name: str) -> bool:
    return name == name.upper() and sum(character.isalnum() for character in name) <= _MAX_ABBREVIATION
