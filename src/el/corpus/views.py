"""Which of a document's mentions a protocol counts.

BC5CDR's BioC files annotate a composite and its parts side by side. A protocol takes one or the other.
"""

from collections.abc import Iterable

from el.corpus.types import Document, Mention, Passage


def mentions_full(document: Document) -> tuple[Mention, ...]:
    """The mentions as PubTator has them: composites as wholes, their parts left out, NIL included."""
    return tuple(mention for mention in document.mentions if mention.role != "part")


def mentions_restricted(document: Document) -> tuple[Mention, ...]:
    """The mentions of exactly one concept in one piece: parts in place of composites, no NIL."""
    return tuple(
        mention
        for mention in document.mentions
        if mention.role != "composite" and len(mention.concept_ids) == 1 and not mention.is_discontinuous
    )


def restricted_triples(documents: Iterable[Document]) -> list[tuple[Document, Passage, Mention]]:
    """The unique (mention text, passage, concept id) of the `restricted` protocol, in corpus order.

    Texts are compared as they are written, upper and lower case apart. A triple is given by its first
    mention, with the document and the passage (title or abstract) that it begins in.
    """
    triples: dict[tuple[str, str, int, str], tuple[Document, Passage, Mention]] = {}
    for document in documents:
        for mention in mentions_restricted(document):
            passage = passage_of(document, mention)
            key = (document.id, mention.text, passage.offset, mention.concept_ids[0])
            triples.setdefault(key, (document, passage, mention))
    return list(triples.values())


def passage_of(document: Document, mention: Mention) -> Passage:
    """Returns the passage that a mention begins in.

    Raises:
        ValueError: it begins in none.
    """
    for passage in document.passages:
        if passage.offset <= mention.start < passage.offset + len(passage.text):
            return passage
    raise ValueError(f"mention {mention.id} of document {document.id} begins in no passage")
