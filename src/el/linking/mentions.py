"""Which mentions of a document are linked: those that it brings along, and those that are found."""

import itertools
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from el.corpus.types import Document, Mention
from el.linking.synonyms import LearnedSynonyms
from el.ontology.ontology import Kind, Ontology, kind_of_type, part_bounds
from el.ontology.spellings import Spellings
from el.tagging.finder import SOUGHT, DictionaryFinder, Found, as_mentions, longest
from el.tagging.tagger import Tagger

FindMentions = Literal["auto", "always", "never"]


class MentionFinder:
    """Finds the mentions of documents that a linker links.

    Args:
        ontology: what they are linked to.
        spellings: of its names.
        synonyms: learned synonyms; they tell of which parts of a merged ontology the tagger was taught.
        tagger: the folder of a compiled tagger; without one, names of the ontology are found.

    Attributes:
        kinds: what texts are searched for; empty where the ontology has neither chemicals nor diseases.
    """

    def __init__(
        self, ontology: Ontology, spellings: Spellings, synonyms: LearnedSynonyms | None, tagger: Path | None
    ) -> None:
        self._ontology = ontology
        self._spellings = spellings
        self._synonyms = synonyms
        self._tagger_folder = tagger
        known = set(ontology.kinds)
        self.kinds: tuple[Kind, ...] = tuple(kind for kind in SOUGHT if kind in known)

    @property
    def has_tagger(self) -> bool:
        """Whether a tagger finds mentions; if not, only names of the ontology are found."""
        return self._tagger is not None

    def mentions(
        self, documents: Sequence[Document], find: FindMentions, types: Collection[str] | None
    ) -> list[Sequence[Mention]]:
        given = [[m for m in document.mentions if self._is_linked(m.type, types)] for document in documents]
        searched = [find == "always" or (find == "auto" and not d.mentions) for d in documents]
        chosen = [document for document, yes in zip(documents, searched, strict=True) if yes]
        found = iter(self.found(chosen) if chosen else [])
        return [
            _with_found(document, own, next(found)) if yes else own
            for document, own, yes in zip(documents, given, searched, strict=True)
        ]

    def found(self, documents: Sequence[Document]) -> list[tuple[Mention, ...]]:
        """What is found in the texts of documents, whatever mentions they have: one tuple a document."""
        if self._tagger is None:
            return [self._finder.mentions(document) for document in documents]
        read = self._tagger.find(documents)
        return [
            as_mentions(*pair) for pair in zip(documents, map(self._with_own, documents, read), strict=True)
        ]

    def _with_own(self, document: Document, read: Iterable[Found]) -> list[Found]:
        """What the tagger found of types that the ontology has concepts of, and names of `_own_finder`."""
        own = () if self._own_finder is None else self._own_finder.find_in(document)
        return longest(own, (found for found in read if found.kind in self.kinds))

    def _is_linked(self, type: str, types: Collection[str] | None) -> bool:
        if types is not None:
            return type in types
        # An ontology of other things says nothing of types, and neither do mentions without one.
        return not type or not self.kinds or kind_of_type(type) in self.kinds

    @cached_property
    def _finder(self) -> DictionaryFinder:
        # Beside chemicals and diseases, the others of MeSH are mostly not what a text is about.
        return DictionaryFinder(self._spellings, self.kinds or ("other",))

    @cached_property
    def _tagger(self) -> Tagger | None:
        # It knows none but the kinds that texts are searched for.
        if self._tagger_folder is None or not self.kinds:
            return None
        return Tagger(self._tagger_folder, self._finder)

    @cached_property
    def _own_finder(self) -> DictionaryFinder | None:
        """Finds names of those parts of a merged ontology of which no training mention has a concept.

        A tagger knows of its own ontology what texts mean by it; of others it was taught nothing.
        """
        rows = self._untaught()
        return DictionaryFinder(self._spellings.among(rows), self.kinds) if len(rows) else None

    def _untaught(self) -> npt.NDArray[np.int64]:
        """The name rows of these parts."""
        taught = (
            {self._ontology.row_of[i] for i in self._synonyms.concept_counts} if self._synonyms else set()
        )
        rows = []
        for start, stop in itertools.pairwise(part_bounds(self._ontology)):
            if taught and taught.isdisjoint(range(start, stop)):
                rows.append(np.arange(self._ontology.first_name[start], self._ontology.first_name[stop]))
        return np.concatenate(rows) if rows else np.empty(0, dtype=np.int64)


def _with_found(document: Document, given: Sequence[Mention], found: Sequence[Mention]) -> list[Mention]:
    """Those of a document's own mentions that are linked, and those found where none of its own stands."""
    taken = [span for mention in document.mentions for span in mention.spans]
    new = [
        mention
        for mention in found
        if not any(span.start < mention.stop and mention.start < span.stop for span in taken)
    ]
    return sorted([*given, *new], key=lambda mention: (mention.start, mention.stop))
