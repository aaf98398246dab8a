"""The page of linked documents: complete, self-contained, and safe against what texts may hold."""

import base64
import contextlib
import dataclasses
import hashlib
import io
import json
import math
import re
from typing import Any

import lxml.html
import pytest
from hypothesis import example, given

from el.corpus.types import Document, Link, LinkedDocument, LinkedMention, Mention, Passage, Span
from el.report.linked import linked_page
from tests.el.corpus.strategies import documents, few
from tests.el.report.pages import linked_mention, render, report, short_note

NASTY = "</script></title><script>alert(1)</script><img src=x onerror=alert(2)> \"' & &amp; \u202eevil"


def parsed(page: str) -> Any:
    return lxml.html.document_fromstring(page)


def nasty_document(nasty: str = NASTY) -> LinkedDocument:
    """The same text at every place that takes one."""
    document = Document(nasty, (Passage(nasty, 0, nasty),))
    links = (Link(nasty, nasty, 0.5, nasty + "2"), Link("D1", nasty, 0.25, nasty))
    return LinkedDocument(document, (linked_mention(document, nasty, nasty, links, [nasty], nasty),))


def data_of(article: Any) -> Any:
    return json.loads(article.find("script").text)


def bare(document: Document) -> LinkedDocument:
    return LinkedDocument(document, tuple(LinkedMention(mention, (), ()) for mention in document.mentions))


@few
@given(documents())
@example(Document("1", (Passage("title", 2, "\n two\r\nlines\r"), Passage("p", 20, "\t<b>  &amp;\xa0"))))
@example(Document("1", (Passage("title", 0, NASTY),), (Mention("0", (Span(2, 30),), "", "x"),)))
def test_the_texts_are_those_of_the_documents(document: Document) -> None:
    (article,) = parsed(render(bare(document))).iter("article")
    assert article.find_class("text")[0].text_content() == document.text
    for number, mention in enumerate(document.mentions):
        marks = article.xpath(f".//span[@data-m='{number}'][not(contains(@class, 'bridge'))]")
        text = "".join(mark.text_content() for mark in marks)
        assert text == "".join(document.text[span.start : span.stop] for span in mention.spans)


def test_what_a_page_cannot_hold_is_replaced() -> None:
    document = Document("1", (Passage("p", 0, "a\0b\x1bc\ud800d\ufffee"),))
    page = render(LinkedDocument(document, ()))
    page.encode()
    assert parsed(page).find_class("text")[0].text_content() == "a\ufffdb\ufffdc\ufffdd\ufffde"


def test_texts_cannot_break_out_of_the_page() -> None:
    root = parsed(render(nasty_document(), nasty_document(), title=NASTY, source=NASTY))
    assert root.findtext(".//title") == root.findtext(".//h1") == NASTY
    assert root.get_element_by_id("source").text == NASTY
    # One of each document, that of the page, and the program.
    assert len(list(root.iter("script"))) == 4
    assert not list(root.iter("img"))
    allowed = {
        "aria-label aria-labelledby aria-live autocomplete charset class content data-kind data-m data-nil "
        "data-score data-stage data-type dir for hidden href http-equiv id lang max min name placeholder "
        "rel role scope step tabindex target title type value"
    }
    names = {name for element in root.iter() for name in element.attrib}
    assert names <= set(*map(str.split, allowed))
    article = next(root.iter("article"))
    assert article.findtext("h2") == NASTY
    assert [cell.text_content() for cell in article.find(".//tbody/tr")] == [
        NASTY,
        NASTY,
        f"{NASTY} {NASTY} matched {NASTY}2",
        "0.500",
        "0.250",
        NASTY,
    ]
    assert data_of(article)["lists"][0][0] == [NASTY, NASTY, 0.5, NASTY + "2"]


def test_the_page_needs_nothing_from_elsewhere() -> None:
    page = render(report(), short_note())
    root = parsed(page)
    policy = root.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")[0]
    for kind, text in (("style", root.findtext(".//style")), ("script", root.xpath("//script")[-1].text)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert not root.xpath("//@src | //@style | //link")
    links = root.xpath("//@href")
    assert links
    assert all(re.match(r"#|https://meshb\.nlm\.nih\.gov/record/ui\?ui=[CD]\d+$", to) for to in links)
    assert "@import" not in page
    assert "url(" not in page


def test_marks_have_the_kind_of_their_type() -> None:
    document = Document("1", (Passage("title", 0, "PKU, statins, BRCA1"),))
    types = {"PKU": "specificdisease", "statins": "chemicalentity", "BRCA1": "gene"}
    mentions = tuple(linked_mention(document, words, type) for words, type in types.items())
    text = parsed(render(LinkedDocument(document, mentions))).find_class("text")[0]
    found = {mark.text_content(): mark.get("class").split() for mark in text.xpath(".//span[@data-m]")}
    for words, kind in (("PKU", "disease"), ("statins", "chemical"), ("BRCA1", "other")):
        assert kind in found[words]


def test_passages_are_headings_and_paragraphs_by_their_kind() -> None:
    text = parsed(render(report())).find_class("text")[0]
    assert [element.tag for element in text] == ["h3", "p"]


def test_mentions_are_marked_once_for_the_keyboard_and_by_type() -> None:
    article = next(parsed(render(report())).iter("article"))
    handles = article.find_class("handle")
    assert [handle.get("id") for handle in handles] == ["d1m0", "d1m1", "d1m2", "d1m3"]
    assert [handle.get("data-type") for handle in handles] == ["disease"] * 3 + ["chemical"]
    assert ["data-nil" in handle.attrib for handle in handles] == [False, False, False, True]
    # Of a composite the least score counts, of a NIL the first candidate's.
    assert [handle.get("data-score") for handle in handles] == ["0.938", "0.938", "0.961", "0.110"]
    assert handles[1].get("aria-label") == (
        "Renal and hepatic failure: Renal Insufficiency D051437; Liver Failure D017093, score 0.938"
    )
    assert handles[3].get("aria-label") == "zoltrixamide: NIL, best score 0.110"
    classes = {mark.get("data-m"): set(mark.classes) for mark in article.xpath(".//span[@data-m]")}
    assert {"chemical", "nil"} <= classes["3"]
    assert "disease" in classes["0"]
    assert "nil" not in classes["0"]
    # Each overlapping mention stands in the next longer one, its line nearer to the text.
    assert article.xpath(".//span[@data-m='2']/../@data-m") == ["1", "1"]
    assert [classes[number] & {"under1", "under2"} for number in "012"] == [{"under2"}, {"under1"}, set()]


def test_links_are_in_a_table_that_needs_no_script() -> None:
    article = next(parsed(render(report())).iter("article"))
    rows = [[cell.text_content() for cell in row] for row in article.findall(".//tbody/tr")]
    assert rows[0] == [
        "Renal failure",
        "disease",
        "Renal Insufficiency D051437 matched Renal Failure",
        "0.938",
        "0.907",
        "dictionary",
    ]
    # What was learned need not be like any name of the concept.
    assert rows[2][2] == "Liver Failure D017093 closest Hepatic Failure"
    assert rows[2][5] == "learned synonym"
    nil = "NIL first candidate: remdesivir"
    assert rows[3] == ["zoltrixamide", "chemical", nil, "0.110", "0.110", "model (q-net)"]
    for handle in article.find_class("handle"):
        assert article.get_element_by_id(handle.get("href")[1:]).tag == "tr"


@pytest.mark.parametrize(
    ("concept_id", "linked"),
    [("D000082", True), ("C000657245", True), ("Q000009", True), ("OMIM:104300", False), ("D00008", False)],
)
def test_ids_of_mesh_alone_are_linked_to_it(concept_id: str, linked: bool) -> None:
    document = Document("1", (Passage("p", 0, "x"),))
    mention = linked_mention(document, "x", "disease", [], [concept_id])
    (cell,) = parsed(render(LinkedDocument(document, (mention,)))).xpath("//tbody/tr/td[2]")
    assert cell.text_content() == concept_id
    assert cell.xpath(".//a/@href") == [f"https://meshb.nlm.nih.gov/record/ui?ui={concept_id}"] * linked


def test_candidates_are_stored_once() -> None:
    first, second, *others = report().mentions
    twice = dataclasses.replace(first, mention=second.mention)
    article = next(parsed(render(LinkedDocument(report().document, (first, twice, *others)))).iter("article"))
    data = data_of(article)
    assert data["mentions"] == [
        [0, ["D051437"], 0.9071],
        [0, ["D051437"], 0.9071],
        [1, ["D017093"], 0.961],
        [2, [], 0.11],
    ]
    assert data["lists"][0][0] == ["D051437", "Renal Insufficiency", 0.9381, "Renal Failure"]
    # A matched name that is the preferred name is not repeated.
    assert data["lists"][2] == [["C000657245", "remdesivir", 0.11, ""]]


def test_scores_that_are_no_numbers_are_left_out() -> None:
    document = Document("1", (Passage("p", 0, "x"),))
    links = [Link("D1", "one", math.nan, "one"), Link("D2", "two", -math.inf, "two")]
    mention = linked_mention(document, "x", "disease", links, ["D1"])
    article = next(parsed(render(LinkedDocument(document, (mention,)))).iter("article"))
    assert [score for _, _, score, _ in data_of(article)["lists"][0]] == [None, None]
    assert data_of(article)["mentions"] == [[0, ["D1"], None]]
    assert article.find_class("handle")[0].get("data-score") == ""


def test_the_margin_is_that_of_the_mention() -> None:
    mentions = tuple(dataclasses.replace(linked, margin=0.123456) for linked in report().mentions)
    article = next(parsed(render(LinkedDocument(report().document, mentions))).iter("article"))
    assert [margin for _, _, margin in data_of(article)["mentions"]] == [0.1235] * 4
    assert article.xpath(".//tbody/tr/td[4]/text()") == ["0.123"] * 4
    bare_mention = linked_mention(report().document, "mild", "disease")
    article = next(parsed(render(LinkedDocument(report().document, (bare_mention,)))).iter("article"))
    assert data_of(article)["mentions"] == [[0, [], None]]


def test_the_summary_counts_what_was_written() -> None:
    root = parsed(render(report(), short_note()))
    assert root.get_element_by_id("summary").text == "2 documents, 5 mentions: 4 linked, 1 NIL"
    types = [option.text for option in root.get_element_by_id("of-type")]
    assert types == ["all", "disease (3)", "chemical (2)"]
    stages = [option.text for option in root.get_element_by_id("by-stage")]
    assert stages == ["all", "dictionary (2)", "unknown (1)", "learned synonym (1)", "model (q-net) (1)"]
    assert parsed(render(short_note())).get_element_by_id("summary").text.startswith("1 document, 1 mention:")
    assert parsed(render()).get_element_by_id("summary").text.startswith("0 documents, 0 mentions:")


def test_documents_are_written_as_they_come() -> None:
    stream = io.StringIO()
    with linked_page(stream, "Linked") as page:
        page.write(report())
        assert stream.getvalue().rstrip().endswith("</article>")
        page.write(short_note())
        assert "Aspirin helps" not in stream.getvalue().split("</article>")[0]
        assert "Aspirin</span> helps" in stream.getvalue()
    assert stream.getvalue().rstrip().endswith("</html>")


def test_a_page_that_was_broken_off_does_not_look_whole() -> None:
    stream = io.StringIO()
    with contextlib.suppress(KeyboardInterrupt), linked_page(stream, "Linked") as page:
        page.write(report())
        raise KeyboardInterrupt
    assert "</html>" not in stream.getvalue()
