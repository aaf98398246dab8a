from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from lxml import etree

from el.base.errors import ElError, InputError
from el.corpus.bioc_xml import read_bioc
from el.corpus.formats import open_corpus
from el.corpus.types import Document, Link, LinkedDocument, LinkedMention, Mention, Span
from tests.el.corpus.strategies import documents, few
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
        f"{found!r}{hint}. Count offsets in Unicode code points from the start of the document, or correct the text"
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
