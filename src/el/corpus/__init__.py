"""Documents with mentions, and the formats that they are read from and written to."""

from el.corpus.types import Document, Mention, Passage, Span

__all__ = ["Document", "Mention", "Passage", "Span"]
