import pytest

from el.corpus.types import Document, Mention, Passage, Role, Span
from el.corpus.views import mentions_full, mentions_restricted, passage_of, restricted_triples

TITLE, ABSTRACT = "Ache or renal and hepatic failure", "An ache, Ache, ache."


def mention(name: str, start: int, text: str, ids: tuple[str, ...], role: Role = "single") -> Mention:
    return Mention(name, (Span(start, start + len(text)),), text, "disease", ids, role=role)


DOCUMENT = Document(
    "1",
    (Passage("title", 0, TITLE), Passage("abstract", 34, ABSTRACT)),
    (
        mention("title", 0, "Ache", ("D1",)),
        mention("composite", 8, "renal and hepatic failure", ("D2", "D3"), "composite"),
        Mention("split", (Span(8, 13), Span(26, 33)), "renal failure", "disease", ("D2",), role="part"),
        mention("part", 18, "hepatic failure", ("D3",), "part"),
        mention("first", 37, "ache", ("D1",)),
        mention("capital", 43, "Ache", ("D1",)),
        mention("again", 49, "ache", ("D1",)),
        mention("nil", 49, "ache", ()),
        mention("several", 49, "ache", ("D1", "D4")),
        mention("other id", 49, "ache", ("D4",)),
    ),
)


def names(mentions: tuple[Mention, ...]) -> list[str]:
    return [mention.id for mention in mentions]


def test_full_leaves_out_the_parts() -> None:
    left = {mention.id for mention in DOCUMENT.mentions} - {"split", "part"}
    assert set(names(mentions_full(DOCUMENT))) == left


def test_restricted_is_single_ids_in_one_piece() -> None:
    expected = ["title", "part", "first", "capital", "again", "other id"]
    assert names(mentions_restricted(DOCUMENT)) == expected


def test_triples_are_unique_by_text_passage_and_id() -> None:
    other = Document("2", DOCUMENT.passages, DOCUMENT.mentions[:1])
    triples = restricted_triples([DOCUMENT, other])
    found = [(document.id, passage.kind, mention.id) for document, passage, mention in triples]
    assert found == [
        ("1", "title", "title"),
        ("1", "title", "part"),
        ("1", "abstract", "first"),
        ("1", "abstract", "capital"),
        ("1", "abstract", "other id"),
        ("2", "title", "title"),
    ]


def test_a_mention_in_a_gap_has_no_passage() -> None:
    with pytest.raises(ValueError, match="begins in no passage"):
        passage_of(DOCUMENT, mention("gap", 33, " ", ()))
