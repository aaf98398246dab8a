from el.corpus.types import Document, Link, LinkedDocument, LinkedMention, Mention, Span
from el.integrations.pandas import COLUMNS, links_frame


def test_a_row_for_each_candidate() -> None:
    document = Document.of_text("d", "A cold after APAP")
    links = Link("D1", "Common Cold", 0.75, "Cold"), Link("D2", "COLD", 0.25, "COLD")
    cold = LinkedMention(Mention("0", (Span(2, 6),), "cold", "disease"), links, ("D1",), "dictionary", 0.5)
    nothing = LinkedMention(Mention("1", (Span(13, 17),), "APAP", "chemical"), (), ())
    frame = links_frame([LinkedDocument(document, (cold, nothing))])
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == COLUMNS
    assert frame["id"].tolist() == ["D1", "D2"]
    assert frame["predicted"].tolist() == [True, False]
    assert frame.loc[
        0, ["document", "start", "stop", "text", "rank", "score", "decided_by", "margin"]
    ].tolist() == [
        "d",
        2,
        6,
        "cold",
        1,
        0.75,
        "dictionary",
        0.5,
    ]
    assert links_frame([]).dtypes.astype(str).to_dict() == COLUMNS
