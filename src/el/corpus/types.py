"""Documents, mentions and their links as plain values.

Offsets are Unicode code points, half-open, into `Document.text`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Role = Literal["single", "composite", "part"]


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """The characters start:stop of a document's text."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Mention:
    """A piece of text that names one or more concepts.

    Attributes:
        id: unique in its document.
        spans: where it stands, in order; several for a discontinuous mention.
        text: its surface form. For a discontinuous mention, the pieces as the corpus joins them.
        type: "chemical", "disease", or what the corpus says, in lower case.
        concept_ids: the gold ids; empty for NIL and for mentions still to be linked. Several ids
            belong to a composite ("renal and hepatic failure"), each naming one of its parts (a part
            without a concept has no id here), or to one expression that means several concepts.
        part_texts: for a composite, the texts of its parts, in the order of `concept_ids`; empty
            where the corpus does not give them.
        role: "part" for a part that the corpus annotates beside its composite, such as "renal
            failure"; "composite" for the composite itself; otherwise "single".
    """

    id: str
    spans: tuple[Span, ...]
    text: str
    type: str
    concept_ids: tuple[str, ...] = ()
    part_texts: tuple[str, ...] = ()
    role: Role = "single"

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
    """A stretch of a document: its kind ("title", "abstract"), its offset and its text."""

    kind: str
    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class Document:
    """A document: passages at increasing offsets, and mentions in order of their start.

    Attributes:
        id: unique in its corpus.
        passages: at increasing offsets, not overlapping.
        mentions: ordered by start, then stop.
        relations: what the corpus says beside the mentions, as (kind, first id, second id).
        source: what the reader keeps in order to write the document as it came; pickles, and means nothing
            to all others. Two documents that differ in it alone are equal.
    """

    id: str
    passages: tuple[Passage, ...]
    mentions: tuple[Mention, ...] = ()
    relations: tuple[tuple[str, str, str], ...] = ()
    source: object = field(default=None, compare=False, repr=False)

    @classmethod
    def of_text(cls, document_id: str, text: str) -> "Document":
        """A document of one passage, without mentions."""
        return cls(document_id, (Passage("text", 0, text),))

    @property
    def text(self) -> str:
        """The passages at their offsets; gaps between them are filled with spaces."""
        pieces: list[str] = []
        length = 0
        for passage in self.passages:
            pieces.append(" " * (passage.offset - length))
            pieces.append(passage.text)
            length = passage.offset + len(passage.text)
        return "".join(pieces)

    def text_of(self, spans: tuple[Span, ...]) -> str:
        """The characters of `spans`, pieces joined by one space."""
        text = self.text
        return " ".join(text[span.start : span.stop] for span in spans)


@dataclass(frozen=True, slots=True)
class Link:
    """One candidate concept of a mention.

    Attributes:
        concept_id: the candidate's id.
        name: the concept's preferred name.
        score: higher is better; comparable within one mention only.
        matched_name: the name of the concept that came nearest to the mention.
    """

    concept_id: str
    name: str
    score: float
    matched_name: str


def margin_of(links: Sequence[Link]) -> float:
    """How far the first candidate's score lies above that of the next; 0 where there is none."""
    first, second = (*(link.score for link in links[:2]), 0.0, 0.0)[:2]
    return first - second


@dataclass(frozen=True, slots=True)
class LinkedMention:
    """A mention and its candidates.

    Attributes:
        mention: the mention.
        links: its candidates, best first.
        predicted: the ids it is linked to; empty for NIL, several for a composite.
        decided_by: the stage that decided; "" if unknown.
        margin: see `margin_of`; of a composite the least that one of its parts has.
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
        """The concept that the mention is linked to, the first of `predicted`; None for NIL."""
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
        """The score of each id in `predicted`, in order; None for an id that is not in `links`."""
        scores = {link.concept_id: link.score for link in self.links}
        return tuple(scores.get(concept_id) for concept_id in self.predicted)


@dataclass(frozen=True, slots=True)
class LinkedDocument:
    """A document and those of its mentions that were linked, ordered by start, then stop."""

    document: Document
    mentions: tuple[LinkedMention, ...]

    @property
    def given(self) -> dict[str, LinkedMention]:
        """What was linked of the document's own mentions, by id."""
        own = self._own_spans
        return {
            linked.mention.id: linked
            for linked in self.mentions
            if own.get(linked.mention.id) == linked.mention.spans
        }

    @property
    def found(self) -> tuple[LinkedMention, ...]:
        """The linked mentions that the document does not have: those that the linker found."""
        own = self._own_spans
        return tuple(linked for linked in self.mentions if own.get(linked.mention.id) != linked.mention.spans)

    @property
    def _own_spans(self) -> dict[str, tuple[Span, ...]]:
        return {mention.id: mention.spans for mention in self.document.mentions}
