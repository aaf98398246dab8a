"""The mentions of a document that each evaluation protocol counts.

BC5CDR's BioC files annotate a composite and also its parts. A protocol counts either the one or the other.
"""

from collections.abc import Iterable

from el.corpus.types import Document, Mention, Passage


def mentions_full(document: Document) -> tuple[Mention, ...]:
    """Returns the mentions as PubTator has them: composites but not their parts, and NIL included."""
    return tuple(mention for mention in document.mentions if mention.role != "part")


def mentions_restricted(document: Document) -> tuple[Mention, ...]:
    """Returns the continuous mentions of exactly one concept: parts but not composites, and no NIL."""
    return tuple(
        mention
        for mention in document.mentions
        if mention.role != "composite" and len(mention.concept_ids) == 1 and not mention.is_discontinuous
    )


def restricted_triples(documents: Iterable[Document]) -> list[tuple[Document, Passage, Mention]]:
    """Returns the unique triples (mention text, passage, concept id) of the `restricted` protocol.

    Texts are compared case-sensitively. A passage is a title or an abstract.

    Returns:
        For each triple, in corpus order: the document, the passage in which the first mention of the triple
        begins, and this mention.
    """
    triples: dict[tuple[str, str, int, str], tuple[Document, Passage, Mention]] = {}
    for document in documents:
        for mention in mentions_restricted(document):
            passage = passage_of(document, mention)
            key = (document.id, mention.text, passage.offset, mention.concept_ids[0])
            triples.setdefault(key, (document, passage, mention))
    return list(triples.values())


def passage_of(document: Document, mention: Mention) -> Passage:
    """Returns the passage in which a mention begins.

    Raises:
        ValueError: the mention begins in no passage.
    """
    for passage in document.passages:
        if passage.offset <= mention.start < passage.offset + len(passage.text):
            return passage
    raise ValueError(f"mention {mention.id} of document {document.id} begins in no passage")
