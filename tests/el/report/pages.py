"""Linked documents of our own, and their page."""

import io
from collections.abc import Iterable

from el.corpus.types import Document, Link, LinkedDocument, LinkedMention, Mention, Passage, Span, margin_of
from el.report.linked import linked_page

RENAL = (
    Link("D051437", "Renal Insufficiency", 0.9381, "Renal Failure"),
    Link("D058186", "Acute Kidney Injury", 0.031, "Acute Renal Failure"),
)
HEPATIC = (Link("D017093", "Liver Failure", 0.961, "Hepatic Failure"),)
UNKNOWN = (Link("C000657245", "remdesivir", 0.11, "remdesivir"),)


def linked_mention(
    document: Document,
    words: str,
    type: str,
    links: Iterable[Link] = (),
    predicted: Iterable[str] = (),
    decided_by: str = "",
) -> LinkedMention:
    """A mention of the first place where words stand; "…" leaves something out."""
    spans, start = [], 0
    for piece in words.split("…"):
        start = document.text.index(piece, start)
        spans.append(Span(start, start + len(piece)))
        start += len(piece)
    mention = Mention(words, tuple(spans), document.text_of(tuple(spans)), type)
    return LinkedMention(mention, tuple(links), tuple(predicted), decided_by, margin_of(links))


def report() -> LinkedDocument:
    """A title and an abstract: a composite of two mentions, one of them in two pieces; and a NIL."""
    title = "Renal and hepatic failure after zoltrixamide"
    document = Document("first", (Passage("title", 0, title), Passage("abstract", 45, "It was mild.")))
    mentions = (
        linked_mention(document, "Renal…failure", "disease", RENAL, ["D051437"], "dictionary"),
        linked_mention(
            document, "Renal and hepatic failure", "disease", RENAL + HEPATIC, ["D051437", "D017093"]
        ),
        linked_mention(document, "hepatic failure", "disease", HEPATIC, ["D017093"], "learned_synonym"),
        linked_mention(document, "zoltrixamide", "chemical", UNKNOWN, [], "hypencoder"),
    )
    return LinkedDocument(document, mentions)


def short_note() -> LinkedDocument:
    """A paragraph with one sure mention."""
    document = Document("second", (Passage("paragraph", 0, "Aspirin helps."),))
    links = (Link("D001241", "Aspirin", 1.0, "Aspirin"), Link("OMIM:1", "Other", 0.0, "Other"))
    return LinkedDocument(
        document, (linked_mention(document, "Aspirin", "chemical", links, ["D001241"], "dictionary"),)
    )


def render(*documents: LinkedDocument, title: str = "Linked", source: str = "") -> str:
    """The page of documents."""
    stream = io.StringIO()
    with linked_page(stream, title, source) as page:
        for document in documents:
            page.write(document)
    return stream.getvalue()
