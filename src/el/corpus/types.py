"""Documents, mentions and links as plain values.

Offsets count Unicode code points of `Document.text`. A span includes its start and excludes its stop.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Role = Literal["single", "composite", "part"]


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """The characters `start:stop` of a document's text."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Mention:
    """A piece of text that names one or more concepts.

    Attributes:
        id: unique in the document.
        spans: the places of the mention, in order. A discontinuous mention has several.
        text: the surface form. For a discontinuous mention, the pieces as the corpus joins them.
        type: the corpus's type in lower case, such as "disease" or "specificdisease".
        concept_ids: the gold ids; empty for NIL and for a mention that is not linked yet. A composite ("renal
            and hepatic failure") has one id for each part; a part without a concept has no id here. An
            expression that means several concepts has several ids too.
        part_texts: for a composite, the texts of its parts, in the order of `concept_ids`; empty if the
            corpus does not give the texts.
        role: "composite" for a composite. "part" for a part, such as "renal failure", that the corpus
            annotates in addition to the composite. "single" for all other mentions.
        original_ids: the ids that the corpus gives, if one of them is of another vocabulary and `concept_ids`
            has its equivalent in the ontology instead; empty if no id was replaced in this way.
    """

    id: str
    spans: tuple[Span, ...]
    text: str
    type: str
    concept_ids: tuple[str, ...] = ()
    part_texts: tuple[str, ...] = ()
    role: Role = "single"
    original_ids: tuple[str, ...] = ()

    @property
    def start(self) -> int:
        return self.spans[0].start

    @property
    def stop(self) -> int:
        return self.spans[-1].stop

    @property
    def is_discontinuous(self) -> bool:
        return len(self.spans) > 1


@dataclass(frozen=True, slots=True)
class Passage:
    """A section of a document.

    Attributes:
        kind: "title", "abstract", or another kind that the format names.
        offset: the place of the first character in `Document.text`.
        text: the characters.
    """

    kind: str
    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class Document:
    """A document: passages and mentions.

    Attributes:
        id: unique in the corpus.
        passages: in the order of their offsets; they do not overlap.
        mentions: ordered by start, then stop.
        relations: relations that the corpus annotates, as (kind, first id, second id).
        source: what a reader keeps so that the writer of the same format can reproduce the document. It can
            be pickled. No other code uses it, and it does not count when documents are compared.
    """

    id: str
    passages: tuple[Passage, ...]
    mentions: tuple[Mention, ...] = ()
    relations: tuple[tuple[str, str, str], ...] = ()
    source: object = field(default=None, compare=False, repr=False)

    @classmethod
    def of_text(cls, document_id: str, text: str) -> "Document":
        """Returns a document with one passage and no mentions."""
        return cls(document_id, (Passage("text", 0, text),))

    @property
    def text(self) -> str:
        """The passages at their offsets, with spaces in the gaps between them."""
        pieces: list[str] = []
        length = 0
        for passage in self.passages:
            pieces.append(" " * (passage.offset - length))
            pieces.append(passage.text)
            length = passage.offset + len(passage.text)
        return "".join(pieces)

    def text_of(self, spans: tuple[Span, ...]) -> str:
        """Returns the characters of `spans`, with one space between the pieces."""
        text = self.text
        return " ".join(text[span.start : span.stop] for span in spans)


@dataclass(frozen=True, slots=True)
class Link:
    """One candidate concept of a mention.

    Attributes:
        concept_id: the concept's id.
        name: the concept's preferred name.
        score: higher is better. The score of a linker is the probability that the concept is right, with
            weights that were fitted on dev. So scores of different mentions can be compared; `nil_below` is
            one threshold for all of them. Those of one mention sum to 1 at most.
        matched_name: the concept's name that is most similar to the mention.
        source: where the matched name comes from, if it is an outside name, such as "MONDO"; "" otherwise.
    """

    concept_id: str
    name: str
    score: float
    matched_name: str
    source: str = ""

    @property
    def described_name(self) -> str:
        """The matched name, with its source in brackets if it is an outside name."""
        return f"{self.matched_name} ({self.source})" if self.source else self.matched_name


def margin_of(links: Sequence[Link]) -> float:
    """Returns the first candidate's score minus the second candidate's.

    A missing candidate counts as a score of 0.

    Args:
        links: candidates, best first.
    """
    first, second = (*(link.score for link in links[:2]), 0.0, 0.0)[:2]
    return first - second


@dataclass(frozen=True, slots=True)
class LinkedMention:
    """A mention and its candidates.

    Attributes:
        mention: the mention.
        links: the candidates, best first.
        predicted: the ids that the mention is linked to; empty for NIL, several for a composite.
        decided_by: the stage of linking that decided; "" if unknown.
        margin: see `margin_of`. A composite has the smallest margin of its parts.
    """

    mention: Mention
    links: tuple[Link, ...]
    predicted: tuple[str, ...]
    decided_by: str = ""
    margin: float = 0.0

    @property
    def text(self) -> str:
        """The mention's surface form."""
        return self.mention.text

    @property
    def type(self) -> str:
        """The mention's type, such as "chemical"."""
        return self.mention.type

    @property
    def start(self) -> int:
        """The offset of the mention's first character."""
        return self.mention.start

    @property
    def stop(self) -> int:
        """The offset after the mention's last character."""
        return self.mention.stop

    @property
    def id(self) -> str | None:
        """The concept that the mention is linked to: the first of `predicted`; None for NIL."""
        return self.predicted[0] if self.predicted else None

    @property
    def name(self) -> str | None:
        """The preferred name of `id`; None for NIL."""
        return next((link.name for link in self.links if link.concept_id == self.id), None)

    @property
    def score(self) -> float | None:
        """The score of `id`; None for NIL."""
        return self.scores[0] if self.predicted else None

    @property
    def scores(self) -> tuple[float | None, ...]:
        """The score of each id in `predicted`, in order; None for an id without a candidate in `links`."""
        scores = {link.concept_id: link.score for link in self.links}
        return tuple(scores.get(concept_id) for concept_id in self.predicted)


@dataclass(frozen=True, slots=True)
class LinkedDocument:
    """A document and its linked mentions, ordered by start, then stop.

    The linked mentions may be annotated in the document, or found in its text by the linker.
    """

    document: Document
    mentions: tuple[LinkedMention, ...]

    @property
    def given(self) -> dict[str, LinkedMention]:
        """The linked mentions that are annotated in the document, by id."""
        annotated = self._annotated_spans
        return {
            linked.mention.id: linked
            for linked in self.mentions
            if annotated.get(linked.mention.id) == linked.mention.spans
        }

    @property
    def found(self) -> tuple[LinkedMention, ...]:
        """The linked mentions that are not annotated in the document: the linker found them."""
        annotated = self._annotated_spans
        return tuple(
            linked for linked in self.mentions if annotated.get(linked.mention.id) != linked.mention.spans
        )

    @property
    def _annotated_spans(self) -> dict[str, tuple[Span, ...]]:
        return {mention.id: mention.spans for mention in self.document.mentions}
