"""Queries: the mentions that a protocol scores, with everything a ranker may look at."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from el.base.text import context_window
from el.corpus.abbreviations import document_abbreviations, expand
from el.corpus.types import Document, Mention
from el.corpus.views import mentions_full, restricted_triples
from el.evaluation.protocol import Protocol


@dataclass(frozen=True, slots=True)
class Query:
    """One mention to be linked.

    Attributes:
        id: "document id/mention id".
        document_id: the document's id.
        text: the surface form.
        type: the mention's type in lower case, such as "chemical".
        gold: its gold ids, none for a NIL mention; a ranker must not look at them.
        expanded: the long form where the document defines the surface form as an abbreviation,
            otherwise `text`.
        left: the text before the mention, cut at the mention's offset; "" without context.
        right: the text after it.
    """

    id: str
    document_id: str
    text: str
    type: str
    gold: tuple[str, ...]
    expanded: str
    left: str = ""
    right: str = ""


def full_queries(documents: Iterable[Document], context_characters: int = 0) -> list[Query]:
    """The mentions with at least one gold id, composites as wholes, in corpus order.

    Args:
        documents: annotated documents.
        context_characters: the most characters of context on each side.
    """
    return _queries(
        documents, lambda document: [m for m in mentions_full(document) if m.concept_ids], context_characters
    )


def nil_queries(documents: Iterable[Document], context_characters: int = 0) -> list[Query]:
    """The mentions whose annotators found no concept for them, in corpus order; `gold` is empty.

    Args:
        documents: annotated documents.
        context_characters: the most characters of context on each side.
    """
    return _queries(
        documents,
        lambda document: [m for m in mentions_full(document) if not m.concept_ids],
        context_characters,
    )


def restricted_queries(documents: Iterable[Document], context_characters: int = 0) -> list[Query]:
    """The unique (mention, passage, id) of one id in one piece, in corpus order.

    Args:
        documents: annotated documents.
        context_characters: the most characters of context on each side.
    """
    return _queries(
        documents,
        lambda document: [mention for _, _, mention in restricted_triples([document])],
        context_characters,
    )


def _queries(
    documents: Iterable[Document],
    mentions_of: Callable[[Document], Iterable[Mention]],
    context_characters: int,
) -> list[Query]:
    return [
        query
        for document in documents
        for query in mention_queries(document, mentions_of(document), context_characters)
    ]


def protocol_queries(
    protocol: Protocol, documents: Iterable[Document], context_characters: int = 0
) -> list[Query]:
    """The mentions that `protocol` scores, in corpus order."""
    if protocol.mentions == "restricted":
        return restricted_queries(documents, context_characters)
    return full_queries(documents, context_characters)


def protocol_candidates(protocol: Protocol, queries: Iterable[Query]) -> set[str] | None:
    """The ids that may be ranked for the queries of one split; None for all of the ontology."""
    if protocol.candidates == "all":
        return None
    return {concept_id for query in queries for concept_id in query.gold}


def mention_queries(
    document: Document, mentions: Iterable[Mention], context_characters: int = 0
) -> list[Query]:
    """Queries for mentions of a document, in the order given.

    Args:
        document: gives the context, and the abbreviations that it defines.
        mentions: some of its mentions, or others found in its text.
        context_characters: the most characters of context on each side.

    Raises:
        ValueError: a mention's offsets are not within the document's text.
    """
    text = document.text
    mentions = list(mentions)
    abbreviations = document_abbreviations(document, mentions)
    queries = []
    for mention in mentions:
        left, right = context_window(text, mention.start, mention.stop, context_characters)
        queries.append(
            Query(
                id=f"{document.id}/{mention.id}",
                document_id=document.id,
                text=mention.text,
                type=mention.type,
                gold=mention.concept_ids,
                expanded=expand(mention.text, abbreviations),
                left=left,
                right=right,
            )
        )
    return queries
