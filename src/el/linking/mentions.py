"""Chooses which mentions of a document are linked: those given with the document, and those found."""

import bisect
import itertools
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from el.corpus.types import Document, Mention, Span
from el.linking.synonyms import LearnedSynonyms
from el.ontology.ontology import Kind, Ontology, kind_of_type, part_bounds
from el.ontology.spellings import Spellings
from el.tagging.finder import SOUGHT, DictionaryFinder, Found, as_mentions, longest
from el.tagging.short_forms import with_known_forms, with_short_forms
from el.tagging.tagger import Tagger

FindMentions = Literal["auto", "always", "never"]


class MentionFinder:
    """Chooses the mentions of documents that a linker links, and finds mentions in texts.

    Args:
        ontology: the linker's ontology.
        spellings: the spellings of its names.
        synonyms: learned synonyms; they show which parts of a merged ontology the tagger was trained on.
        tagger: the folder of a compiled tagger. Without a tagger, names of the ontology are found.

    Attributes:
        kinds: the kinds of concepts that texts are searched for; empty if the ontology has neither chemicals
            nor diseases.
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
        """Returns the mentions to link of each document. For `find` and `types` see `Linker.link`."""
        given = [[m for m in document.mentions if self.is_linked(m.type, types)] for document in documents]
        searched = [find == "always" or (find == "auto" and not d.mentions) for d in documents]
        chosen = [document for document, yes in zip(documents, searched, strict=True) if yes]
        found = iter(self.found(chosen) if chosen else [])
        return [
            _with_found(document, linked, next(found)) if yes else linked
            for document, linked, yes in zip(documents, given, searched, strict=True)
        ]

    def found(self, documents: Sequence[Document]) -> list[tuple[Mention, ...]]:
        """Returns the mentions found in the texts of documents, one tuple per document.

        Given mentions of the documents are ignored. A short form that a document defines is found wherever it
        stands if its long form is found, and has the type of its long form.
        """
        if self._tagger is None:
            found = [list(self._finder.find_in(document)) for document in documents]
        else:
            found = list(map(self._with_untaught, documents, self._tagger.find(documents)))
        return [
            as_mentions(document, self._with_known_forms(document, of_document))
            for document, of_document in zip(documents, found, strict=True)
        ]

    def _with_known_forms(self, document: Document, found: Sequence[Found]) -> list[Found]:
        """Adds short forms to what was found: those that the document defines, and known ones."""
        defined = with_short_forms(document, found, self._finder.kind_of)
        return with_known_forms(document, defined, self.kinds)

    def _with_untaught(self, document: Document, tagged: Iterable[Found]) -> list[Found]:
        """Returns what the tagger found of the ontology's kinds, with the names of `_untaught_finder`."""
        names = () if self._untaught_finder is None else self._untaught_finder.find_in(document)
        return longest(names, (found for found in tagged if found.kind in self.kinds))

    def is_linked(self, type: str, types: Collection[str] | None) -> bool:
        """Whether given mentions of a type are linked.

        Args:
            type: the type, in lower case; "" for a mention without a type.
            types: see `Linker.link`.
        """
        if types is not None:
            return type in types
        # Mentions without a type are linked. If the ontology has no chemicals or diseases, all mentions are.
        return not type or not self.kinds or kind_of_type(type) in self.kinds

    @cached_property
    def _finder(self) -> DictionaryFinder:
        # Other kinds are found only if the ontology has nothing else. In MeSH, they would add names of
        # organs, methods and places to the chemicals and diseases.
        return DictionaryFinder(self._spellings, self.kinds or ("other",))

    @cached_property
    def _tagger(self) -> Tagger | None:
        # The tagger knows chemicals and diseases only.
        if self._tagger_folder is None or not self.kinds:
            return None
        return Tagger(self._tagger_folder, self._finder)

    @cached_property
    def _untaught_finder(self) -> DictionaryFinder | None:
        """Finds names of those parts of a merged ontology that the tagger was not trained on.

        These are the parts without any concept among the learned synonyms. None if there are none.
        """
        rows = self._untaught_names()
        return DictionaryFinder(self._spellings.among(rows), self.kinds) if len(rows) else None

    def _untaught_names(self) -> npt.NDArray[np.int64]:
        """Returns the (n,) int64 name rows of the parts that the tagger was not trained on."""
        taught = (
            {self._ontology.row_of[i] for i in self._synonyms.concept_counts} if self._synonyms else set()
        )
        rows = []
        for start, stop in itertools.pairwise(part_bounds(self._ontology)):
            if taught and taught.isdisjoint(range(start, stop)):
                rows.append(np.arange(self._ontology.first_name[start], self._ontology.first_name[stop]))
        return np.concatenate(rows) if rows else np.empty(0, dtype=np.int64)


def _with_found(document: Document, given: Sequence[Mention], found: Sequence[Mention]) -> list[Mention]:
    """Returns given mentions and found ones, sorted. Found mentions that overlap a given one are left out."""
    taken = _joined(span for mention in document.mentions for span in mention.spans)
    starts = [span.start for span in taken]
    # The stretches do not overlap, so a mention overlaps one of them if it overlaps the last before its end.
    before = ((mention, bisect.bisect_left(starts, mention.stop)) for mention in found)
    new = [mention for mention, count in before if not count or taken[count - 1].stop <= mention.start]
    return sorted([*given, *new], key=lambda mention: (mention.start, mention.stop))


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Returns the stretches that spans cover, in order. Stretches do not overlap."""
    stretches: list[Span] = []
    for span in sorted(spans):
        if stretches and span.start <= stretches[-1].stop:
            stretches[-1] = Span(stretches[-1].start, max(stretches[-1].stop, span.stop))
        else:
            stretches.append(span)
    return stretches
