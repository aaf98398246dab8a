"""Learned synonyms: surface forms that annotators linked to one concept, used as further names of it."""

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from el.base.errors import InputError
from el.base.files import atomic_file
from el.base.text import normalise
from el.corpus.abbreviations import document_abbreviations, expand
from el.corpus.types import Document
from el.ontology.ontology import Ontology

_HEADER = "form\tconcept\tcount\n"


@dataclass(frozen=True)
class LearnedSynonyms:
    """How often annotators linked a surface form to a concept.

    Attributes:
        counts: normalised surface form -> concept id -> number of mentions.
    """

    counts: dict[str, Counter[str]]

    @classmethod
    def of_documents(cls, documents: Iterable[Document], known: Container[str]) -> "LearnedSynonyms":
        """Counts the mentions that have exactly one id.

        Abbreviations that a document defines are written out, so that the meaning of "AKI" in one document
        is not carried over to others.

        Args:
            documents: annotated documents.
            known: the ids that count, such as an `Ontology`; mentions of other ids are left out.
        """
        counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for document in documents:
            abbreviations = document_abbreviations(document)
            for mention in document.mentions:
                if len(mention.concept_ids) == 1 and mention.concept_ids[0] in known:
                    form = normalise(expand(mention.text, abbreviations))
                    # A form of punctuation only is empty after normalisation; nothing is learned from it.
                    if form:
                        counts[form][mention.concept_ids[0]] += 1
        return cls(dict(counts))

    def counts_of(self, text: str) -> Counter[str]:
        """Returns for each concept id how many mentions of a form have it."""
        return self.counts.get(normalise(text), Counter())

    def rows_of(self, text: str, ontology: Ontology) -> Counter[int]:
        """Returns for each concept row how many mentions of a form have the concept.

        Raises:
            KeyError: a concept is not in the ontology; see `of_concepts`.
        """
        counts = self.counts_of(text)
        return Counter({ontology.row_of[concept_id]: count for concept_id, count in counts.items()})

    @cached_property
    def concept_counts(self) -> Counter[str]:
        """For each concept id the number of its mentions, over all forms."""
        total: Counter[str] = Counter()
        for counts in self.counts.values():
            total.update(counts)
        return total

    def of_concepts(self, known: Container[str]) -> "LearnedSynonyms":
        """Returns the learned synonyms of the ids in `known`."""
        kept = {
            form: Counter({concept_id: count for concept_id, count in counts.items() if concept_id in known})
            for form, counts in self.counts.items()
        }
        return LearnedSynonyms({form: counts for form, counts in kept.items() if counts})

    def save(self, path: Path) -> None:
        """Writes a table of tab-separated form, concept id and count under a header, atomically."""
        with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as stream:
            stream.write(_HEADER)
            for form, counts in sorted(self.counts.items()):
                for concept_id, count in sorted(counts.items()):
                    stream.write(f"{form}\t{concept_id}\t{count}\n")

    @classmethod
    def load(cls, path: Path, known: Container[str] | None = None) -> "LearnedSynonyms":
        """Reads what `save` wrote.

        Args:
            path: the table.
            known: the ids that may occur; None for any.

        Raises:
            InputError: the table is missing or broken, or contains an id that is not in `known`.
        """
        counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for number, line in _lines(path):
            form, _, rest = line.partition("\t")
            concept_id, _, count = rest.partition("\t")
            unknown = known is not None and concept_id not in known
            if unknown or not concept_id or not count.isdecimal():
                problem = "not a form, a known concept id and a count"
                raise InputError(path, f"line {number}", problem, "Assemble the linker again")
            counts[form][concept_id] += int(count)
        return cls(dict(counts))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yields (line number, line without its line break) for each line after the header, which is line 1."""
    try:
        with path.open(encoding="utf-8", newline="\n") as stream:
            next(stream, None)
            for number, line in enumerate(stream, start=2):
                yield number, line.removesuffix("\n")
    except (FileNotFoundError, UnicodeDecodeError) as error:
        raise InputError(path, "", "missing or not UTF-8", "Assemble the linker again") from error
