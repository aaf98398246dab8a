"""Mentions found in plain text by a dictionary: the names of an ontology."""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from el.abbreviations import expand, find_abbreviations
from el.corpus.types import Document, Mention, Span
from el.ontology import Kind, Ontology
from el.text import normalise

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

    The 592 thousand names of chemicals and diseases in MeSH take 7 seconds and 110 MB.
    """

    def __init__(self, ontology: Ontology, kinds: Sequence[Kind] = ("chemical", "disease")) -> None:
        """Indexes the names.

        Args:
            ontology: the concepts.
            kinds: the kinds of concept to look for. A name of several kinds is of the one that is first here.
        """
        self._kinds: dict[str, Kind] = {}
        # Names that are spelt otherwise than in capitals, at least once.
        self._any_case: set[str] = set()
        # First word of a name -> words in the longest name that begins with it.
        self._most_words: dict[str, int] = {}
        order = {kind: place for place, kind in enumerate(kinds)}
        for text, concept_row in zip(ontology.name_texts, ontology.concept_of_name.tolist(), strict=True):
            kind = ontology.kinds[concept_row]
            form = normalise(text) if kind in order else ""
            is_abbreviation = _is_abbreviation(text)
            if not _is_looked_for(form) or (form in _COMMON_WORDS and not is_abbreviation):
                continue
            self._kinds[form] = min(kind, self._kinds.get(form, kind), key=order.__getitem__)
            if not is_abbreviation:
                self._any_case.add(form)
            first, words = form.partition(" ")[0], form.count(" ") + 1
            self._most_words[first] = max(words, self._most_words.get(first, 0))

    def find(self, text: str, abbreviations: Mapping[str, str] | None = None) -> Iterator[Found]:
        """Yields the names found in `text`, in order; offsets are code points.

        Args:
            text: where to look.
            abbreviations: short form -> long form; a short form is found where its long form is a name.
        """
        words = [match.span(1) for match in _WORD.finditer(text) if match[1]]
        forms = [normalise(text[start:stop]) for start, stop in words]
        place = 0
        while place < len(words):
            stop, kind = self._longest(text, words, forms, place, abbreviations or {})
            if kind is not None:
                yield Found(words[place][0], words[stop - 1][1], kind)
            place = stop

    def mentions(self, document: Document) -> tuple[Mention, ...]:
        """Finds mentions in each passage of a document, in order.

        Abbreviations that the document defines are found too. Mentions have the concept's kind as type, no
        ids, and are numbered from "0"; numbers that the document's own mentions have are passed over.
        """
        abbreviations = find_abbreviations(document.text)
        found = (
            Found(passage.offset + found.start, passage.offset + found.stop, found.kind)
            for passage in document.passages
            for found in self.find(passage.text, abbreviations)
        )
        return as_mentions(document, found)

    def _longest(
        self,
        text: str,
        words: Sequence[tuple[int, int]],
        forms: Sequence[str],
        place: int,
        abbreviations: Mapping[str, str],
    ) -> tuple[int, Kind | None]:
        """The word behind the longest name from the word `place`, and its kind; (next word, None) if none."""
        most = self._most_words.get(forms[place].partition(" ")[0], 0)
        most = max(most, _ABBREVIATION_WORDS if abbreviations else 0)
        last = place + 1
        while last < min(place + most, len(words)) and not _BREAK.search(
            text, words[last - 1][1], words[last][0]
        ):
            last += 1
        for stop in range(last, place, -1):
            surface = text[words[place][0] : words[stop - 1][1]]
            kind = self._kind_of(surface, " ".join(forms[place:stop]), abbreviations)
            if kind is not None:
                return stop, kind
        return place + 1, None

    def _kind_of(self, surface: str, form: str, abbreviations: Mapping[str, str]) -> Kind | None:
        long_form = expand(surface, abbreviations)
        if long_form != surface and normalise(long_form) in self._kinds:
            return self._kinds[normalise(long_form)]
        if form in self._any_case or surface == surface.upper():
            return self._kinds.get(form)
        return None


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
