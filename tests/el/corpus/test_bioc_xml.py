import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from el.base.errors import ElError, InputError
from el.corpus.bioc_xml import read_bioc
from el.corpus.checks import MentionError
from el.corpus.formats import Corpus, OutputFormat, open_corpus
from el.corpus.types import Document, Link, LinkedDocument, LinkedMention, Mention, Span
from tests.el.corpus.strategies import documents, few, odd_documents
from tests.el.corpus.writing import written

HEAD = "<?xml version='1.0' encoding='UTF-8'?><!DOCTYPE collection SYSTEM 'BioC.dtd'>"


def annotation(number: int, text: str, *spans: tuple[int, int], **infons: str) -> str:
    infons = {"type": "Disease", **infons}
    lines = [f'<infon key="{key}">{value}</infon>' for key, value in infons.items()]
    lines += [f'<location offset="{start}" length="{stop - start}"/>' for start, stop in spans]
    return f'<annotation id="{number}">{"".join(lines)}<text>{text}</text></annotation>'


def collection(text: str, *annotations: str, offset: int = 0, head: str = HEAD) -> str:
    return (
        f"{head}<collection><source/><date/><key/><document><id>77</id><passage>"
        f'<infon key="type">title</infon><offset>{offset}</offset><text>{text}</text>'
        f"{''.join(annotations)}</passage></document></collection>"
    )


def read(tmp_path: Path, xml: str, tolerance: int = 0, moved: list[str] | None = None) -> Document:
    path = tmp_path / "corpus.xml"
    path.write_text(xml, encoding="utf-8")
    (document,) = read_bioc(path, tolerance, moved)
    return document


def rewritten(tmp_path: Path, document: Document) -> Document:
    return read(tmp_path, written("bioc", replace(document, source=None)))


@few
@given(document=documents())
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, document: Document) -> None:
    assert rewritten(tmp_path_factory.getbasetemp(), document) == document


def test_composites_get_their_parts_in_the_order_of_their_ids(tmp_path: Path) -> None:
    xml = collection(
        "Failure: renal and hepatic failure.",
        annotation(
            4, "renal and hepatic failure", (9, 34), MESH="D000002|D000001", CompositeRole="CompositeMention"
        ),
        annotation(5, "renal failure", (9, 14), (27, 34), MESH="D000001", CompositeRole="IndividualMention"),
        annotation(6, "hepatic failure", (19, 34), MESH="D000002", CompositeRole="IndividualMention"),
        annotation(9, "Failure", (0, 7), MESH="-1"),
    )
    document = read(tmp_path, xml)
    failure, composite, renal, hepatic = document.mentions
    assert [mention.id for mention in document.mentions] == ["9", "4", "5", "6"]
    assert (failure.role, failure.concept_ids, failure.type) == ("single", (), "disease")
    assert (composite.role, composite.concept_ids) == ("composite", ("D000002", "D000001"))
    assert composite.part_texts == ("hepatic failure", "renal failure")
    assert (renal.role, renal.spans) == ("part", (Span(9, 14), Span(27, 34)))
    assert hepatic.role == "part"
    assert rewritten(tmp_path, document) == document


def test_composites_get_no_part_texts_where_a_part_has_another_id(tmp_path: Path) -> None:
    xml = collection(
        "renal and hepatic failure",
        annotation(
            0, "renal and hepatic failure", (0, 25), MESH="D000001|D000002", CompositeRole="CompositeMention"
        ),
        annotation(1, "hepatic failure", (10, 25), MESH="D000001", CompositeRole="IndividualMention"),
    )
    assert read(tmp_path, xml).mentions[0].part_texts == ()


def test_parts_are_those_inside_the_composite_each_taken_once(tmp_path: Path) -> None:
    text = "renal failure, renal and hepatic failure"
    xml = collection(
        text,
        annotation(0, "renal failure", (0, 13), MESH="D000001", CompositeRole="IndividualMention"),
        annotation(1, text[15:], (15, 40), MESH="D000001|D000001", CompositeRole="CompositeMention"),
        annotation(2, "renal", (15, 20), MESH="D000001", CompositeRole="IndividualMention"),
        annotation(3, "hepatic failure", (25, 40), MESH="D000001", CompositeRole="IndividualMention"),
    )
    (composite,) = (mention for mention in read(tmp_path, xml).mentions if mention.role == "composite")
    assert composite.part_texts == ("renal", "hepatic failure")


@pytest.mark.parametrize("key", ["MESH", "identifier", "Identifier"])
def test_ids_come_from_any_of_the_usual_infons(tmp_path: Path, key: str) -> None:
    xml = collection("Ache", annotation(0, "Ache", (0, 4), **{key: "MESH:D000001"}))
    assert read(tmp_path, xml).mentions[0].concept_ids == ("D000001",)


def test_offsets_are_code_points(tmp_path: Path) -> None:
    xml = collection("😀é ache", annotation(0, "ache", (13, 17)), offset=10)
    assert read(tmp_path, xml).mentions[0].spans == (Span(13, 17),)


def test_sentences_become_one_passage(tmp_path: Path) -> None:
    xml = (
        f"{HEAD}<collection><source/><date/><key/><document><id>77</id><passage>"
        '<infon key="type">abstract</infon><offset>5</offset>'
        f"<sentence><offset>5</offset><text>One.</text></sentence>"
        f"<sentence><offset>11</offset><text>Ache.</text>{annotation(0, 'Ache', (11, 15))}</sentence>"
        "</passage></document></collection>"
    )
    document = read(tmp_path, xml)
    (passage,) = document.passages
    assert (passage.kind, passage.offset, passage.text) == ("abstract", 5, "One.  Ache.")
    assert document.mentions[0].text == "Ache"


def test_relations_are_read_from_infons_and_from_nodes(tmp_path: Path) -> None:
    relations = (
        '<relation id="R0"><infon key="relation">CID</infon><infon key="Chemical">D000001</infon>'
        '<infon key="Disease">D000002</infon></relation>'
        '<relation id="R1"><infon key="type">treats</infon><node refid="0" role="a"/>'
        '<node refid="1" role="b"/></relation>'
    )
    xml = collection("Ache").replace("</document>", f"{relations}</document>")
    document = read(tmp_path, xml)
    assert document.relations == (("CID", "D000001", "D000002"), ("treats", "0", "1"))
    assert rewritten(tmp_path, document) == document


@pytest.mark.parametrize("shift", [-2, -1, 1, 2, 3])
def test_a_text_that_is_not_at_its_offsets_is_refused(tmp_path: Path, shift: int) -> None:
    start, stop = 4 + shift, 8 + shift
    xml = collection("One ache more", annotation(3, "ache", (start, stop)))
    moved: list[str] = []
    with pytest.raises(InputError) as caught:
        read(tmp_path, xml, moved=moved)
    found = "One ache more"[start:stop]
    hint = "; these look like offsets that count from 1" if shift == 1 else ""
    assert str(caught.value) == (
        f"{tmp_path / 'corpus.xml'}: document 77, annotation 3: expected 'ache' at {start}:{stop}, found "
        f"{found!r}{hint}. Count offsets in Unicode code points from the start of the document, or correct "
        "the text"
    )
    assert moved == []


def test_locations_within_the_tolerance_are_moved(tmp_path: Path) -> None:
    xml = collection(
        "renal and hepatic failures",
        annotation(0, "renal failures", (0, 5), (17, 25)),
        annotation(1, "and hepatic", (4, 15)),
        annotation(2, "hepatic", (10, 17)),
    )
    moved: list[str] = []
    first, second, third = read(tmp_path, xml, 2, moved).mentions
    assert first.spans == (Span(0, 5), Span(18, 26))
    assert second.spans == (Span(6, 17),)
    assert third.spans == (Span(10, 17),)
    assert moved == [
        "document 77, annotation 0: moved from 0:5, 17:25 to 0:5, 18:26",
        "document 77, annotation 1: moved from 4:15 to 6:17",
    ]


@pytest.mark.parametrize(("tolerance", "shift"), [(1, -1), (1, 1), (2, -2), (2, 1), (3, 3)])
def test_locations_are_moved_either_way(tmp_path: Path, tolerance: int, shift: int) -> None:
    xml = collection("One ache more", annotation(0, "ache", (4 + shift, 8 + shift)))
    assert read(tmp_path, xml, tolerance).mentions[0].spans == (Span(4, 8),)


@pytest.mark.parametrize(("tolerance", "shift"), [(1, -2), (1, 2), (2, 3)])
def test_locations_beyond_the_tolerance_are_refused(tmp_path: Path, tolerance: int, shift: int) -> None:
    xml = collection("One ache more", annotation(0, "ache", (4 + shift, 8 + shift)))
    with pytest.raises(InputError, match="document 77, annotation 0: expected 'ache'"):
        read(tmp_path, xml, tolerance)


@pytest.mark.parametrize(
    ("xml", "problem"),
    [
        (collection("Ache", annotation(0, "Ache")), "no location"),
        (collection("Ache", annotation(0, "", (2, 2))), "empty or negative"),
        (
            collection("Ache", annotation(0, "Ache", (0, 4))).replace('offset="0"', 'offset="x"'),
            "document 77, annotation 0: Expected `int`, got `str`",
        ),
        (collection("Ache")[:-20], "line 1: not well-formed"),
        ("<article/>", "<article>, not <collection>"),
        (collection("Ache &what;"), "uses the entity 'what'"),
        (
            collection("Ache").replace(
                "</passage>", "</passage><passage><offset>3</offset><text>x</text></passage>"
            ),
            "starts before 4",
        ),
    ],
)
def test_broken_files_are_refused(tmp_path: Path, xml: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        read(tmp_path, xml)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        list(read_bioc(tmp_path / "none.xml"))


@pytest.mark.parametrize(
    "declarations",
    [
        '<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">',
        '<!ENTITY c SYSTEM "secret.txt">',
        '<!ENTITY % c SYSTEM "more.dtd"> %c;',
    ],
)
def test_entities_are_refused(tmp_path: Path, declarations: str) -> None:
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    xml = collection("Ache &c;", head=f"<!DOCTYPE collection [{declarations}]>")
    with pytest.raises(InputError, match="declares the entity"):
        read(tmp_path, xml)


def test_a_declared_document_type_is_never_loaded(tmp_path: Path) -> None:
    (tmp_path / "BioC.dtd").write_text('<!ENTITY c "loaded">', encoding="utf-8")
    assert read(tmp_path, collection("Ache")).text == "Ache"
    with pytest.raises(InputError):
        read(tmp_path, collection("Ache &c;"))


def test_links_are_written_beside_gold_ids(tmp_path: Path) -> None:
    document = read(tmp_path, collection("Ache", annotation(0, "Ache", (0, 4), MESH="D000001")))
    link = Link("D000002", "Pain", 0.75, "ache")
    linked = LinkedMention(document.mentions[0], (link,), ("D000002",), "search")
    xml = written("bioc", LinkedDocument(document, (linked,)))
    for infon in (
        '<infon key="MESH">D000001</infon>',
        '<infon key="identifier">D000002</infon>',
        '<infon key="score">0.7500</infon>',
        '[{"id": "D000002", "name": "Pain", "score": 0.75, "matched_name": "ache"}]',
        '<infon key="decided_by">search</infon>',
    ):
        assert infon in xml
    assert read(tmp_path, xml) == document


def test_the_same_documents_give_the_same_file_on_any_day() -> None:
    assert "<date></date>" in written("bioc")


def test_a_collection_may_say_nothing_below_its_documents(tmp_path: Path) -> None:
    xml = collection("Ache").replace("</collection>", "<source/></collection>")
    with pytest.raises(InputError, match="<source> after the first document"):
        read(tmp_path, xml)


def test_annotations_without_an_id_get_one(tmp_path: Path) -> None:
    marks = [
        annotation(1, "One", (0, 3)).replace(' id="1"', ""),
        annotation(2, "two", (4, 7)),
        annotation(3, "six", (8, 11)).replace(' id="3"', ' id=""'),
    ]
    relation = '<relation id="1"><node refid="2" role="a"/></relation>'
    document = read(tmp_path, collection("One two six", *marks, relation))
    assert [(mention.id, mention.text) for mention in document.mentions] == [
        ("3", "One"),
        ("2", "two"),
        ("4", "six"),
    ]
    linked = tuple(LinkedMention(mention, (), (f"D00000{mention.id}",)) for mention in document.mentions)
    again = read(tmp_path, written("bioc", LinkedDocument(document, linked)))
    assert [mention.concept_ids for mention in again.mentions] == [("D000003",), ("D000002",), ("D000004",)]


def test_comments_and_instructions_are_no_text_and_stay(tmp_path: Path) -> None:
    document = read(tmp_path, collection("An<!-- old --> <?go on?>ache"))
    assert document.text == "An ache"
    assert "<text>An<!-- old --> <?go on?>ache</text>" in written("bioc", document)


def test_what_stands_above_the_documents_is_kept(tmp_path: Path) -> None:
    head = (
        "<?xml version='1.0' encoding='ISO-8859-1' standalone='no'?>\n"
        "<!DOCTYPE collection PUBLIC '-//a//b' 'http://example.org/\"BioC\".dtd'>"
    )
    xml = collection("Aché", head=head).replace("<source/>", "<source>é</source><infon key='k'>v</infon>")
    path = tmp_path / "in.xml"
    path.write_bytes(xml.encode("latin-1"))
    corpus = open_corpus(path)
    (document,) = corpus
    assert document.text == "Aché"
    assert written("bioc", document, head=corpus.head).startswith(
        f"{head.replace('ISO-8859-1', 'UTF-8')}"
        "<collection><source>é</source><infon key='k'>v</infon><date/><key/><document>"
    )


def test_found_mentions_go_where_they_begin(tmp_path: Path) -> None:
    sentences = "".join(
        f"<sentence><offset>{offset}</offset><text>One.</text></sentence>" for offset in (0, 5)
    )
    relation = '<relation id="R"><node refid="0" role="a"/></relation>'
    xml = collection("Ache").replace("<text>Ache</text>", sentences + relation)
    other = f"<passage><offset>10</offset><text>Two</text>{relation}</passage></document>"
    document = read(tmp_path, xml.replace("</document>", other))
    found = [Mention("", (Span(start, start + 1),), document.text[start], "") for start in (6, 10)]
    linked = tuple(LinkedMention(mention, (), ()) for mention in found)
    tree = etree.fromstring(written("bioc", LinkedDocument(document, linked)).encode())
    # The second sentence; the passage, before its relation.
    assert [a.get("id") for a in tree.findall(".//sentence[2]/annotation")] == ["1"]
    assert [child.tag for child in tree.findall(".//passage")[1]] == [
        "offset",
        "text",
        "annotation",
        "relation",
    ]


def test_a_text_may_be_as_long_as_the_parser_reads(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 1: larger than 10 MB\. Split it"):
        read(tmp_path, collection("a" * 10_100_000))


def test_characters_that_xml_cannot_hold_are_refused(tmp_path: Path) -> None:
    document = read(tmp_path, collection("Ache"))
    with pytest.raises(ElError, match="cannot hold"):
        written("bioc", Document("\x00", document.passages))


def opened(tmp_path: Path, content: str | bytes) -> Corpus:
    path = tmp_path / "corpus.xml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return open_corpus(path, "bioc")


def collect(corpus: Corpus) -> tuple[list[Document], list[InputError]]:
    errors: list[InputError] = []
    return list(corpus.documents(errors.append)), errors


def with_links(document: Document) -> LinkedDocument:
    return LinkedDocument(document, tuple(LinkedMention(m, (), ("D000009",)) for m in document.mentions))


def several(*texts: str, head: str = HEAD, end: str = "\n") -> str:
    """A collection with a document for each text, on a line of its own."""
    rows = [
        f"<document><id>{number}</id><passage><offset>0</offset><text>{text}</text></passage></document>"
        for number, text in enumerate(texts, start=1)
    ]
    return end.join([head, "<collection>", *rows, "</collection>", ""])


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("nalo<b>xone</b> nausea", "naloxone nausea"),
        ("Ca<sup>2+</sup> <i>in <b>vi</b>vo</i>", "Ca2+ in vivo"),
        ("H<sub>2</sub>O<sub><![CDATA[2]]></sub> &lt;<x y='>'/>5", "H2O2 <5"),
        ("a<!-- <b> --><?c <d>?><text>b</text><![CDATA[<e>&]]>", "ab<e>&"),
    ],
)
def test_elements_inside_a_text_are_text_and_stay(tmp_path: Path, text: str, plain: str) -> None:
    mark = annotation(1, "a<i>ch</i>e", (len(plain), len(plain) + 4), MESH="D00<b>0001</b>")
    xml = collection(text + "ache", mark) + "\n"
    corpus = opened(tmp_path, xml)
    (document,) = corpus
    assert document.text == plain + "ache"
    assert document.mentions[0].concept_ids == ("D000001",)
    assert written("bioc", document, head=corpus.head) == xml
    linked = written("bioc", with_links(document), head=corpus.head)
    assert f"<text>{text}ache</text>" in linked
    (again,) = opened(tmp_path, linked)
    assert again == document


@pytest.mark.parametrize(
    "body",
    [
        "<section><passage><offset>0</offset><text>Ache</text></passage></section>",
        "<passage><offset>0</offset><text>Ac</text><text>he</text></passage>",
        "<passage><offset>0</offset><offset>1</offset><text>Ache</text></passage>",
        "<passage><offset>0</offset><body><text>Ache</text></body></passage>",
        "<passage><offset>0</offset><text>Ache</text><list><annotation id='1'/></list></passage>",
    ],
)
def test_content_in_a_wrong_place_is_not_passed_over(tmp_path: Path, body: str) -> None:
    xml = several("One", "Two").replace("</id>", "</id>" + body, 1)
    documents, (error,) = collect(opened(tmp_path, xml))
    assert [document.id for document in documents] == ["2"]
    assert "document at line 3: not BioC XML (" in str(error)


@pytest.mark.parametrize(
    "encoding",
    ["GBK", "UTF-7", "Big5", "Shift_JIS", "EUC-KR", "hex", "UTF-32", "utf-16", "unicode_escape", "no such"],
)
def test_other_encodings_are_refused(tmp_path: Path, encoding: str) -> None:
    corpus = opened(tmp_path, collection("Ache", head=f"<?xml version='1.0' encoding='{encoding}'?>"))
    with pytest.raises(
        InputError, match=r"encoding that cannot be read|not well-formed|encoding .* incorrect"
    ):
        list(corpus)


@pytest.mark.parametrize("encoding", ["windows-1252", "ISO-8859-15", "iso-8859-1", "US-ASCII"])
def test_western_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    text = "Ache" if "ASCII" in encoding else "Aché"
    xml = several(text, text, head=f"<?xml version='1.0' encoding='{encoding}'?>")
    corpus = opened(tmp_path, xml.encode(encoding))
    documents = list(corpus)
    assert [document.text for document in documents] == [text, text]
    assert written("bioc", *documents, head=corpus.head) == xml.replace(encoding, "UTF-8")


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (b"\x01", r"line 4: holds the control character U\+0001 at byte"),
        (b"\x1b", r"line 4: holds the control character U\+001B"),
        (b"\xef\xbf\xbe", r"line 4: holds U\+FFFE"),
        (b"\xe9", "line 4: not UTF-8 at byte"),
        (b"\xed\xa0\x80", "line 4: not UTF-8"),
        (b"&#x1;", "line 4: not well-formed XML .reference to invalid character"),
        (b"p < 5", "line 4: not well-formed XML"),
        (b"A & B", "line 4: not well-formed XML"),
        (b"</text>", "line 4: not well-formed XML .mismatched tag"),
        (b"<b>" * 300 + b"</b>" * 300, "document at line 4: not BioC XML .Excessive depth"),
    ],
)
def test_a_damaged_document_does_not_hide_the_next(tmp_path: Path, bad: bytes, problem: str) -> None:
    corpus = opened(tmp_path, several("One", "T@wo", "Six", "Ten").encode().replace(b"@", bad))
    documents, (error,) = collect(corpus)
    assert [document.id for document in documents] == ["1", "3", "4"]
    assert re.search(problem, str(error))
    with pytest.raises(InputError, match=problem):
        list(corpus)


def test_a_nul_byte_is_named_and_does_not_hide_the_next_document(tmp_path: Path) -> None:
    texts = ["One " * 20_000, "T\0wo", "Six", "\0", "Ten"]
    documents, errors = collect(opened(tmp_path, several(*texts)))
    assert [document.id for document in documents] == ["1", "3", "5"]
    assert ["line 4: holds the control character U+0000" in str(error) for error in errors] == [True, False]
    assert "line 6: holds the control character U+0000" in str(errors[1])


@pytest.mark.parametrize(("cut", "left"), [(1, 2), (14, 2), (15, 1), (60, 1)])
def test_a_cut_file_gives_the_documents_before_the_cut(tmp_path: Path, cut: int, left: int) -> None:
    documents, errors = collect(opened(tmp_path, several("One", "Two").rstrip()[:-cut]))
    assert len(documents) == left
    assert len(errors) == 1


def test_a_document_without_an_end_does_not_hide_the_next(tmp_path: Path) -> None:
    xml = several("One", "Two", "Six").replace("</document>", "", 1)
    documents, (error,) = collect(opened(tmp_path, xml))
    assert [document.id for document in documents] == ["2", "3"]
    assert "line 4: a document starts before the end of the last one" in str(error)


ANNOTATIONS = [
    '<annotation id="C"><infon key="type">citation</infon><location offset="4" length="0"/>'
    "<text/></annotation>",
    "<annotation id = 'G'><infon key='type'>Gene</infon><location length='3' offset='0'/>"
    "<text>one</text></annotation>",
    '<annotation id="V"><infon key="type">variant</infon><text>ache</text></annotation>',
    '<annotation id="L"><infon key="type">lab</infon><location offset="x" length="4"/>'
    "<text>ache</text></annotation>",
    '<annotation id="B"><infon key="type">lab</infon><location offset="4"/>'
    "<text>ache</text><!-- b --></annotation>",
]


@pytest.mark.parametrize("other", ANNOTATIONS)
def test_a_bad_annotation_costs_that_annotation_and_is_written_as_it_was(tmp_path: Path, other: str) -> None:
    relation = "<relation id='R'><node refid='C1' role=''/><node refid='none' role='x'/></relation>"
    xml = collection("One ache", annotation(1, "ache", (4, 8)), other, relation) + "\n"
    corpus = opened(tmp_path, xml)
    (document,), (error,) = collect(corpus)
    assert [mention.id for mention in document.mentions] == ["1"]
    assert document.relations == (("", "C1", "none"),)
    assert isinstance(error, MentionError)
    assert f'key="type">{error.type}<' in other.replace("'", '"').lower()
    assert written("bioc", document, head=corpus.head) == xml
    linked = written("bioc", with_links(document), head=corpus.head)
    assert other + relation in linked
    json_errors: list[InputError] = []
    (tmp_path / "out.json").write_text(written("bioc-json", with_links(document)), encoding="utf-8")
    (again,) = open_corpus(tmp_path / "out.json", "bioc-json").documents(json_errors.append)
    assert again.mentions == (replace(document.mentions[0], concept_ids=("D000009",)),)


def test_annotations_of_one_id_are_mentions_of_their_own(tmp_path: Path) -> None:
    marks = [annotation(1, "One", (0, 3)), annotation(1, "ache", (4, 8)), annotation(2, "One ache", (0, 8))]
    (document,) = opened(tmp_path, collection("One ache", *marks))
    assert {mention.text: mention.id for mention in document.mentions} == {
        "One": "1",
        "ache": "3",
        "One ache": "2",
    }
    links = tuple(LinkedMention(m, (), (f"D00000{m.id}",)) for m in document.mentions)
    tree = etree.fromstring(written("bioc", LinkedDocument(document, links)).encode())
    infons = [(a.get("id"), a.findtext("infon[@key='identifier']")) for a in tree.iter("annotation")]
    assert infons == [("1", "D000001"), ("1", "D000003"), ("2", "D000002")]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_links_keep_all_else_byte_for_byte(tmp_path: Path, end: str) -> None:
    marks = (
        f"{end}  <annotation  id='1'>{end}    <infon key='a>b' x=\"/>\">&#233;&lt;</infon>{end}"
        f"    <infon key='score'>7</infon>{end}    <location length='4' offset='4'></location>{end}"
        f"    <text>ache</text>{end}  </annotation>{end}"
    )
    xml = several("One ache", "Two", end=end).replace("</text>", f"</text>{marks}", 1)
    xml = "\ufeff" + xml.replace("<document>", "<!-- <document> --><document z='1'>")
    corpus = opened(tmp_path, xml)
    first, second = corpus
    assert written("bioc", first, second, head=corpus.head) == xml
    found = LinkedMention(Mention("", (Span(0, 3),), "One", "chemical"), (), ())
    linked = with_links(first)
    linked = replace(linked, mentions=(*linked.mentions, found))
    text = written("bioc", linked, second, head=corpus.head)
    assert text.count("\n") == text.count(end)
    # The new annotation; the new infons; the renamed infon.
    text = re.sub(r'\s*<annotation id="[0-9]+">.*?</annotation>', "", text)
    assert len(re.findall(rf"{end}    <infon key=\"", text)) == 5
    text = re.sub(r'\s*<infon key="(identifier|score|candidates|decided_by)">[^<]*</infon>', "", text)
    assert text.replace('<infon key="given_score">', "<infon key='score'>") == xml


def test_namespaces_of_the_collection_are_kept(tmp_path: Path) -> None:
    xml = several("One", "Two").replace("<collection>", "<collection xmlns='a' xmlns:b='c'>")
    xml = xml.replace("</id>", "</id><b:annotation/>")
    corpus = opened(tmp_path, xml)
    documents = list(corpus)
    assert [document.text for document in documents] == ["One", "Two"]
    assert written("bioc", *documents, head=corpus.head) == xml
    # In a collection that declares none of them.
    (tmp_path / "corpus.xml").write_text(written("bioc", *documents), encoding="utf-8")
    assert list(open_corpus(tmp_path / "corpus.xml")) == documents


@pytest.mark.parametrize(
    ("ids", "key"),
    [
        (("D000001",), "MESH"),
        (("D000001", "C000657245"), "MESH"),
        (("HP:0001250",), "identifier"),
        (("C0001234",), "identifier"),
        (("OMIM:123456", "D000001"), "identifier"),
        ((), None),
    ],
)
def test_only_ids_of_mesh_are_named_so(tmp_path: Path, ids: tuple[str, ...], key: str | None) -> None:
    mention = Mention("1", (Span(0, 4),), "Ache", "disease", ids)
    document = replace(Document.of_text("1", "Ache"), mentions=(mention,))
    (infons,) = re.findall(r"<annotation.*?<location", written("bioc", document), re.DOTALL)
    assert [name for name in re.findall(r'key="(.*?)"', infons) if name != "type"] == ([key] if key else [])
    assert rewritten(tmp_path, document) == document


@few
@given(document=odd_documents(), format=st.sampled_from(["bioc", "bioc-json"]))
def test_what_is_written_is_read_back_or_refused(
    tmp_path_factory: pytest.TempPathFactory, document: Document, format: OutputFormat
) -> None:
    path = tmp_path_factory.getbasetemp() / "odd"
    try:
        text = written(format, document)
        path.write_bytes(text.encode())
    except ElError:
        return
    assert list(open_corpus(path, format)) == [document]


@pytest.mark.parametrize(
    "document",
    [
        Document("a\n b\t", (), ()),
        Document(" ", (), (), (("x\r", " y ", "\n"), ("", "", ""), ("CID", "a|b", "c"))),
        replace(
            Document.of_text("1", " \r\n\u2028 "), mentions=(Mention(" \n'\"<", (Span(0, 1),), " ", "a&<"),)
        ),
    ],
)
@pytest.mark.parametrize("format", ["bioc", "bioc-json"])
def test_odd_values_are_held(tmp_path: Path, document: Document, format: OutputFormat) -> None:
    path = tmp_path / "odd"
    path.write_bytes(written(format, document).encode())
    assert list(open_corpus(path, format)) == [document]


@pytest.mark.parametrize(
    "changed",
    [
        {"concept_ids": ("a|b",)},
        {"concept_ids": (" a",)},
        {"concept_ids": ("-1",)},
        {"concept_ids": ("MESH:D000001",)},
        {"concept_ids": ("a,b", "c")},
        {"type": "Disease"},
        {"text": "ache"},
        {"spans": (Span(0, 9),)},
        {"id": ""},
    ],
)
@pytest.mark.parametrize("format", ["bioc", "bioc-json"])
def test_values_that_would_be_read_as_others_are_refused(
    changed: dict[str, Any], format: OutputFormat
) -> None:
    mention = replace(Mention("1", (Span(0, 4),), "Ache", "disease"), **changed)
    document = replace(Document.of_text("1", "Ache"), mentions=(mention,))
    with pytest.raises(ElError, match="BioC cannot hold document '1'"):
        written(format, document)


@pytest.mark.parametrize("character", ["\x00", "\x1f", "\ufffe", "\ud800"])
def test_characters_that_no_reader_reads_are_refused(character: str) -> None:
    with pytest.raises(ElError):
        written("bioc", Document.of_text("1", character))
    if character == "\ud800":
        with pytest.raises(ElError, match="half a surrogate pair"):
            written("bioc-json", Document.of_text("1", character))


def test_composites_in_thousands_take_linear_time(tmp_path: Path) -> None:
    marks = [
        annotation(number, "Ache", (0, 4), MESH="D000001|D000002", CompositeRole=role)
        for number, role in enumerate(["CompositeMention", "IndividualMention"] * 3000)
    ]
    assert len(read(tmp_path, collection("Ache", *marks)).mentions) == 6000
