"""Sorts wrong answers into kinds of error, by MeSH's trees and by spelling.

The kinds are a guess. They help a person who reads the errors.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from el.corpus.abbreviations import is_short_form
from el.evaluation.predictions import Prediction
from el.linking.query import Query
from el.ontology.ontology import Ontology
from el.ontology.spellings import Spellings

# In the order in which they are tried: an error is of the first kind that fits.
ErrorKind = Literal[
    "no answer",  # the system gave no answer
    "not in ontology",  # no gold concept is in the ontology
    "gold questionable",  # the answer has a name spelled like the mention, and no gold concept has one
    "short form",  # the mention looks like an abbreviation that the document does not define
    "too general",  # the answer is an ancestor of a gold concept
    "too specific",  # the answer is a descendant of a gold concept
    "sibling",  # the answer and a gold concept have a parent in common
    "same branch",  # both are in the same main branch of a tree
    "other",
]
ERROR_KINDS: tuple[ErrorKind, ...] = get_args(ErrorKind)


@dataclass(frozen=True, slots=True)
class LinkingError:
    """A wrong answer that a system gave to one or more equal mentions.

    Attributes:
        text: the mentions' surface form.
        expanded: the long form of an abbreviation; equal to `text` for other mentions.
        type: the mentions' type.
        gold: the gold ids.
        answer: the id that the system answered; "" for no answer.
        kind: the kind of error.
        unseen_form: whether the surface form does not occur in the training documents.
        rank: the place of the first gold id among the ranked ids, from 1; 0 if none is among them.
        documents: the document id of each mention.
    """

    text: str
    expanded: str
    type: str
    gold: tuple[str, ...]
    answer: str
    kind: ErrorKind
    unseen_form: bool
    rank: int
    documents: tuple[str, ...]


class ErrorAnalysis:
    """Sorts the wrong answers of a system into kinds of error.

    Args:
        ontology: gives tree numbers, and the headings that supplementary records map to.
        spellings: the spellings of the ontology's names.
    """

    def __init__(self, ontology: Ontology, spellings: Spellings) -> None:
        self.ontology = ontology
        self.spellings = spellings

    def errors(self, queries: Sequence[Query], predictions: Sequence[Prediction]) -> list[LinkingError]:
        """Returns the errors of one system, the most frequent first.

        Args:
            queries: mentions with gold ids.
            predictions: the system's prediction for each query, in the same order.
        """
        documents: dict[LinkingError, list[str]] = {}
        for query, prediction in zip(queries, predictions, strict=True):
            answer = prediction.ranked[0] if prediction.ranked else ""
            if answer not in query.gold:
                documents.setdefault(self._error(query, prediction, answer), []).append(query.document_id)
        errors = [replace(error, documents=tuple(ids)) for error, ids in documents.items()]
        return sorted(errors, key=lambda error: (-len(error.documents), error.text))

    def _error(self, query: Query, prediction: Prediction, answer: str) -> LinkingError:
        rank = next((n for n, id_ in enumerate(prediction.ranked, start=1) if id_ in query.gold), 0)
        kind, unseen = self.kind(query, answer), "unseen_form" in prediction.rows
        return LinkingError(
            query.text, query.expanded, query.type, query.gold, answer, kind, unseen, rank, ()
        )

    def kind(self, query: Query, answer: str) -> ErrorKind:
        """Returns the kind of error of a wrong answer.

        Args:
            query: the mention.
            answer: the id that the system answered; "" for no answer.
        """
        if not answer:
            return "no answer"
        gold = [concept_id for concept_id in query.gold if concept_id in self.ontology]
        if not gold:
            return "not in ontology"
        same_spelling = self._spelled_like(query.expanded)
        if answer in same_spelling and same_spelling.isdisjoint(gold):
            return "gold questionable"
        if query.text == query.expanded and is_short_form(query.text) and query.text.upper() == query.text:
            return "short form"
        return next((kind for kind in (self._relation(answer, id_) for id_ in gold) if kind), "other")

    def _spelled_like(self, text: str) -> set[str]:
        concepts = self.ontology.concept_of_name[self.spellings.names(text)]
        return {self.ontology.ids[row] for row in concepts}

    def _relation(self, answer: str, gold: str) -> ErrorKind | None:
        answer_places, gold_places = self._places(answer), self._places(gold)
        if _is_above(answer_places, gold_places):
            return "too general"
        if _is_above(gold_places, answer_places):
            return "too specific"
        if not _parents(answer_places).isdisjoint(_parents(gold_places)):
            return "sibling"
        branches = ({number.split(".")[0] for number in places} for places in (answer_places, gold_places))
        return "same branch" if set.intersection(*branches) else None

    def _places(self, concept_id: str) -> list[str]:
        """Returns tree numbers. A supplementary record gets made-up ones, below the headings it maps to."""
        concept = self.ontology[concept_id]
        headings = [self.ontology[heading] for heading in concept.mapped_to if heading in self.ontology]
        below = [f"{number}.{concept_id}" for heading in headings for number in heading.tree_numbers]
        return [*concept.tree_numbers, *below]


def _is_above(upper: Iterable[str], lower: Iterable[str]) -> bool:
    """Returns whether one of the upper tree numbers is an ancestor of one of the lower ones."""
    return any(below.startswith(f"{above}.") for above in upper for below in lower)


def _parents(places: Iterable[str]) -> set[str]:
    return {number.rpartition(".")[0] for number in places if "." in number}
