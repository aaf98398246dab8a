"""The mentions that a protocol scores, as queries, and the candidates that it allows."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from el.corpus.types import Document, Mention
from el.corpus.views import mentions_full, restricted_triples
from el.evaluation.mentions import annotated_kinds
from el.evaluation.protocol import Protocol
from el.evaluation.vocabularies import MESH, vocabulary_of
from el.linking.query import Query, mention_queries

FindIn = Callable[[Sequence[Document]], Sequence[Iterable[Mention]]]
"""Finds the mentions of each document."""


def full_queries(documents: Iterable[Document], context_characters: int = 0) -> list[Query]:
    """Returns the mentions with a gold id, a composite as one mention, in corpus order.

    Args:
        documents: annotated documents.
        context_characters: the most characters of context on each side.
    """
    return _queries(
        documents, lambda document: [m for m in mentions_full(document) if m.concept_ids], context_characters
    )


def mesh_queries(documents: Iterable[Document], context_characters: int = 0) -> list[Query]:
    """Returns those of `full_queries` whose ids the corpus itself gives as ids of MeSH.

    Mentions with an id of another vocabulary are left out, also if it was mapped to MeSH.

    Args:
        documents: annotated documents.
        context_characters: the most characters of context on each side.
    """
    return _by_mesh_ids(documents, context_characters)[True]


def _by_mesh_ids(documents: Iterable[Document], context_characters: int) -> dict[bool, list[Query]]:
    """Returns `full_queries` in two groups: whether the corpus itself gives ids of MeSH."""
    documents = list(documents)
    mentions = [m for document in documents for m in mentions_full(document) if m.concept_ids]
    groups: dict[bool, list[Query]] = {True: [], False: []}
    for query, mention in zip(full_queries(documents, context_characters), mentions, strict=True):
        ids = mention.original_ids or mention.concept_ids
        groups[all(vocabulary_of(concept_id) == MESH for concept_id in ids)].append(query)
    return groups


def nil_queries(documents: Iterable[Document], context_characters: int = 0) -> list[Query]:
    """Returns the NIL mentions: those for which annotators found no concept. In corpus order, without `gold`.

    Args:
        documents: annotated documents.
        context_characters: the most characters of context on each side.
    """
    return _queries(
        documents,
        lambda document: [m for m in mentions_full(document) if not m.concept_ids],
        context_characters,
    )


def found_queries(documents: Iterable[Document], find: FindIn, context_characters: int = 0) -> list[Query]:
    """Returns the mentions that a finder finds, in corpus order.

    A mention has the gold ids of the annotation at the same place, and none if there is no such annotation.

    Args:
        documents: annotated documents.
        find: finds mentions in documents, such as `MentionFinder.found`.
        context_characters: the most characters of context on each side.
    """
    queries = []
    for document in documents:
        gold = {(m.start, m.stop): m.concept_ids for m in mentions_full(document)}
        # The annotations are hidden: second names in brackets are recognised with the help of mentions.
        bare = replace(document, mentions=())
        (found,) = find([bare])
        mentions = [replace(m, concept_ids=gold.get((m.start, m.stop), ())) for m in found]
        queries += mention_queries(bare, mentions, context_characters)
    return queries


def undefined_queries(queries: Iterable[Query]) -> list[Query]:
    """Returns the abbreviations among queries as if their documents did not define them."""
    return [
        replace(
            query,
            document_id=f"{query.document_id}, undefined",
            source_id=query.source_id or query.document_id,
            is_undefined=True,
            expanded=query.text,
        )
        for query in queries
        if query.expanded != query.text
    ]


def fitting_queries(documents: Sequence[Document], find: FindIn, context_characters: int = 0) -> list[Query]:
    """Returns the mentions that a linker's weights are fitted on.

    These are mentions with a gold id, NIL mentions, mentions that a finder finds, and abbreviations as if
    their documents did not define them. What is found of a kind that the documents do not annotate is left
    out: it is neither right nor wrong.

    Args:
        documents: annotated documents.
        find: see `found_queries`.
        context_characters: the most characters of context on each side.
    """
    given = full_queries(documents, context_characters) + nil_queries(documents, context_characters)
    kinds = annotated_kinds(documents)
    found = found_queries(documents, find, context_characters)
    return given + [query for query in found if query.type in kinds] + undefined_queries(given)


def restricted_queries(documents: Iterable[Document], context_characters: int = 0) -> list[Query]:
    """Returns the unique (mention, passage, id) with one id and in one piece, in corpus order.

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
    """Returns the mentions that a protocol scores, in corpus order."""
    if protocol.mentions == "restricted":
        return restricted_queries(documents, context_characters)
    if protocol.mentions == "mesh_ids":
        return mesh_queries(documents, context_characters)
    return full_queries(documents, context_characters)


def unscored_queries(
    protocol: Protocol, documents: Iterable[Document], context_characters: int = 0
) -> list[Query]:
    """Returns mentions with a gold id that a protocol does not score, but that systems see.

    Under "mesh_ids", a system that reads whole documents then gives a mention the same answer as under
    "full".
    """
    if protocol.mentions != "mesh_ids":
        return []
    return _by_mesh_ids(documents, context_characters)[False]


def protocol_candidates(protocol: Protocol, queries: Iterable[Query]) -> set[str] | None:
    """Returns the ids that may be ranked for the queries of a split; None for all ids of the ontology."""
    if protocol.candidates == "all":
        return None
    return {concept_id for query in queries for concept_id in query.gold}
