from pathlib import Path

import pytest

from el.corpus.checks import MentionError, make_document, offset_hint
from el.corpus.types import Mention, Passage, Span

TITLE = Passage("title", 0, "β-Blockers 😀 and naïve.")
ABSTRACT = Passage("abstract", 24, "IFN‐γ rose in 𝔸 sepsis.")
TEXT = f"{TITLE.text} {ABSTRACT.text}"


def bytes_before(text: str, surface: str, encoding: str = "utf-8", unit: int = 1) -> int:
    return len(text[: text.index(surface)].encode(encoding)) // unit


@pytest.mark.parametrize("surface", ["naïve", "rose", "sepsis"])
def test_offsets_in_bytes_are_recognised(surface: str) -> None:
    start = bytes_before(TEXT, surface)
    spans = [Span(start, start + len(surface.encode()))]
    assert offset_hint(TEXT, spans, surface) == "these look like offsets in bytes of UTF-8"


@pytest.mark.parametrize("surface", ["naïve", "rose", "sepsis"])
def test_offsets_in_utf_16_are_recognised(surface: str) -> None:
    start = bytes_before(TEXT, surface, "utf-16-le", 2)
    spans = [Span(start, start + len(surface))]
    assert offset_hint(TEXT, spans, surface) == "these look like offsets in UTF-16 units"


def test_offsets_in_bytes_are_recognised_inside_a_passage_whose_own_offset_fits() -> None:
    start = ABSTRACT.offset + bytes_before(ABSTRACT.text, "sepsis")
    hint = offset_hint(TEXT, [Span(start, start + 6)], "sepsis", [TITLE, ABSTRACT])
    assert hint == "these look like offsets in bytes of UTF-8"


@pytest.mark.parametrize("surface", ["IFN‐γ", "rose", "sepsis"])
def test_offsets_relative_to_the_passage_are_recognised(surface: str) -> None:
    start = ABSTRACT.text.index(surface)
    hint = offset_hint(TEXT, [Span(start, start + len(surface))], surface, [TITLE, ABSTRACT])
    assert hint == "these look like offsets relative to the passage"


def test_pieces_and_offsets_from_1_are_recognised() -> None:
    assert offset_hint("One two six", [Span(1, 4), Span(9, 12)], "One six") == (
        "these look like offsets that count from 1"
    )
    start = bytes_before(TEXT, "rose")
    spans = [Span(start, start + 4), Span(start + 5, start + 7)]
    assert offset_hint(TEXT, spans, "rose in") == "these look like offsets in bytes of UTF-8"


@pytest.mark.parametrize(
    ("spans", "surface"),
    [([Span(3, 6)], "xyz"), ([Span(10**12, 10**12 + 3)], "rose"), ([Span(-9, -3)], "a"), ([], "a")],
)
def test_nothing_is_said_of_other_offsets(spans: list[Span], surface: str) -> None:
    assert offset_hint(TEXT, spans, surface, [TITLE, ABSTRACT]) == ""


def test_the_error_of_a_mention_says_what_its_offsets_look_like() -> None:
    mention = Mention("7", (Span(6, 10),), "rose", "chemical")
    skipped: list[object] = []
    document = make_document(Path("x"), "1", [TITLE, ABSTRACT], [mention], skip=skipped.append)
    assert document.mentions == ()
    (error,) = skipped
    assert isinstance(error, MentionError)
    assert "found 'kers'; these look like offsets relative to the passage. " in str(error)
