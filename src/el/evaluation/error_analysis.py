"""What is wrong with wrong answers, by MeSH's trees and by spelling: a guess that a person can check."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from el.corpus.abbreviations import is_short_form
from el.evaluation.predictions import Prediction
from el.linking.query import Query
from el.ontology.ontology import Ontology
from el.ontology.spellings import Spellings

# In the order in which they are tried; the first that fits is taken.
ErrorKind = Literal[
    "no answer",  # nothing was answered
    "not in ontology",  # no gold concept is in the ontology
    "gold questionable",  # the answer has a name that is spelled like the mention, no gold concept has
    "short form",  # looks like an abbreviation, but the document does not define it
    "too general",  # the answer stands above a gold concept
    "too specific",  # the answer stands below a gold concept
    "sibling",  # answer and gold concept have a parent in common
    "same branch",  # they have a tree's main branch in common
    "other",
]
ERROR_KINDS: tuple[ErrorKind, ...] = get_args(ErrorKind)


@dataclass(frozen=True, slots=True)
class LinkingError:
    """Equal wrong answers to mentions of one form.

    Attributes:
        text: the mention.
        expanded: what it stands for; `text` where it is no abbreviation.
        type: the mentions' type.
        gold: gold ids.
        answer: the id that was answered; "" for none.
        kind: what seems to be wrong.
        unseen_form: whether the training documents do not have the form.
        rank: the place of the first gold id among the answers, from 1; 0 where it is not among them.
        documents: ids of the documents, one each mention.
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
    """Sorts wrong answers by what seems to be wrong.

    Args:
        ontology: gives tree numbers, and the headings that supplementary records map to.
        spellings: of its names.
    """

    def __init__(self, ontology: Ontology, spellings: Spellings) -> None:
        self.ontology = ontology
        self.spellings = spellings

    def errors(self, queries: Sequence[Query], predictions: Sequence[Prediction]) -> list[LinkingError]:
        """Returns the errors of one system, the most frequent first.

        Args:
            queries: mentions with gold ids.
            predictions: for the same mentions in the same order.
        """
        documents: dict[LinkingError, list[str]] = {}
        for query, prediction in zip(queries, predictions, strict=True):
            answer = prediction.ranked[0] if prediction.ranked else ""
            if answer not in query.gold:
                documents.setdefault(self._error(query, prediction, answer), []).append(query.document_id)
        errors = [replace(error, documents=tuple(where)) for error, where in documents.items()]
        return sorted(errors, key=lambda error: (-len(error.documents), error.text))

    def _error(self, query: Query, prediction: Prediction, answer: str) -> LinkingError:
        rank = next((n for n, id_ in enumerate(prediction.ranked, start=1) if id_ in query.gold), 0)
        kind, unseen = self.kind(query, answer), "unseen_form" in prediction.rows
        return LinkingError(
            query.text, query.expanded, query.type, query.gold, answer, kind, unseen, rank, ()
        )

    def kind(self, query: Query, answer: str) -> ErrorKind:
        """What seems to be wrong with a wrong answer; "" for none."""
        if not answer:
            return "no answer"
        gold = [concept_id for concept_id in query.gold if concept_id in self.ontology]
        if not gold:
            return "not in ontology"
        alike = self._spelled_like(query.expanded)
        if answer in alike and alike.isdisjoint(gold):
            return "gold questionable"
        if query.text == query.expanded and is_short_form(query.text) and query.text.upper() == query.text:
            return "short form"
        return next((kind for kind in (self._relation(answer, id_) for id_ in gold) if kind), "other")

    def _spelled_like(self, text: str) -> set[str]:
        concepts = self.ontology.concept_of_name[self.spellings.names(text)]
        return {self.ontology.ids[row] for row in concepts}

    def _relation(self, answer: str, gold: str) -> ErrorKind | None:
        ours, theirs = self._places(answer), self._places(gold)
        if _is_above(ours, theirs):
            return "too general"
        if _is_above(theirs, ours):
            return "too specific"
        if not _parents(ours).isdisjoint(_parents(theirs)):
            return "sibling"
        branches = ({number.split(".")[0] for number in places} for places in (ours, theirs))
        return "same branch" if set.intersection(*branches) else None

    def _places(self, concept_id: str) -> list[str]:
        """Positions in MeSH's trees; a supplementary record stands below the headings that it maps to."""
        concept = self.ontology[concept_id]
        headings = [self.ontology[heading] for heading in concept.mapped_to if heading in self.ontology]
        below = [f"{number}.{concept_id}" for heading in headings for number in heading.tree_numbers]
        return [*concept.tree_numbers, *below]


def _is_above(upper: Iterable[str], lower: Iterable[str]) -> bool:
    """Whether a position in MeSH's trees is an ancestor of another."""
    return any(below.startswith(f"{above}.") for above in upper for below in lower)


def _parents(places: Iterable[str]) -> set[str]:
    return {number.rpartition(".")[0] for number in places if "." in number}
