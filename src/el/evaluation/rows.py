"""The rows of a result table, and the queries that each row counts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from el.corpus.types import Document
from el.linking.query import Query


@dataclass(frozen=True, slots=True)
class Seen:
    """The surface forms and ids that occur in the training documents.

    Attributes:
        forms: the case-folded surface forms of the mentions with a gold id, parts of composites included.
        ids: the gold ids of these mentions.
    """

    forms: frozenset[str]
    ids: frozenset[str]

    @classmethod
    def of_documents(cls, documents: Iterable[Document]) -> "Seen":
        """Collects the forms and ids of all mentions with a gold id."""
        mentions = [mention for document in documents for mention in document.mentions if mention.concept_ids]
        return cls(
            frozenset(mention.text.casefold() for mention in mentions),
            frozenset(concept_id for mention in mentions for concept_id in mention.concept_ids),
        )


def rows_of(queries: Sequence[Query], seen: Seen) -> list[tuple[str, ...]]:
    """Returns the rows of `el.evaluation.protocol.ROWS` that count each query, in the order of the queries.

    all: every query.
    chemical, disease: the queries of this type, whatever the corpus calls it (`Query.type`).
    unseen_form: the surface form does not occur in `seen`; case is ignored.
    unseen_id: no gold id of the query occurs in `seen`.
    abbreviation: the document defines the surface form as an abbreviation.
    unique: the first query with its surface form (case is ignored), type and set of gold ids.
    """
    uniques: set[tuple[str, str, frozenset[str]]] = set()
    rows = []
    for query in queries:
        key = (query.text.casefold(), query.type, frozenset(query.gold))
        holds = {
            "all": True,
            "chemical": query.type == "chemical",
            "disease": query.type == "disease",
            "unseen_form": query.text.casefold() not in seen.forms,
            "unseen_id": seen.ids.isdisjoint(query.gold),
            "abbreviation": query.expanded != query.text,
            "unique": key not in uniques,
        }
        uniques.add(key)
        rows.append(tuple(row for row, member in holds.items() if member))
    return rows
