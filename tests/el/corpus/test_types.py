from hypothesis import given

from el.corpus.types import Document, Link, LinkedMention, Mention, Passage, Span
from tests.el.corpus.strategies import documents, few


@few
@given(documents())
def test_passages_stand_at_their_offsets(document: Document) -> None:
    for passage in document.passages:
        assert document.text[passage.offset : passage.offset + len(passage.text)] == passage.text
    last = document.passages[-1]
    assert len(document.text) == last.offset + len(last.text)


def test_pieces_are_joined_by_a_space() -> None:
    document = Document("1", (Passage("title", 2, "renal and hepatic failure"),))
    assert document.text_of((Span(2, 7), Span(20, 27))) == "renal failure"


def test_scores_follow_the_predicted_ids() -> None:
    links = (Link("D1", "one", 0.9, "uno"), Link("D2", "two", 0.4, "due"))
    linked = LinkedMention(Mention("0", (Span(0, 1),), "x", "disease"), links, ("D2", "D3", "D1"))
    assert linked.scores == (0.4, None, 0.9)
