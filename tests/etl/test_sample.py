"""The embedded sample: what it promises, what it is written as, and how bad mark-up is refused."""

import gzip
import re
import shutil
from collections import defaultdict
from pathlib import Path

import pytest
from bioc import biocxml
from bioc.datastructure import BioCAnnotation
from lxml import etree

from el.base.errors import InputError
from el.corpus.types import Document, Mention
from etl.sample import SOURCE, SPLITS, Record, main, read_corpus, read_mesh, write_corpus, write_mesh

DOCUMENTS = {"train": 64, "dev": 16, "test": 16}
AMBIGUOUS = {"MS", "PD", "CP", "RA", "PCP"}
HEAD = "#1\nt| On [aspirin|C:D001241]\n"


@pytest.fixture(scope="module")
def records() -> dict[str, Record]:
    return read_mesh(SOURCE / "mesh")


@pytest.fixture(scope="module")
def corpora(records: dict[str, Record]) -> dict[str, list[Document]]:
    return {split: read_corpus(SOURCE / "corpus" / f"{split}.txt", records) for split in SPLITS}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    assert main(["--out", str(folder)]) == 0
    return folder


def _mentions(documents: list[Document]) -> list[Mention]:
    """All mentions but the parts of composites."""
    return [mention for document in documents for mention in document.mentions if mention.role != "part"]


def _introduced_abbreviations(document: Document) -> list[Mention]:
    """Mentions that stand alone in parentheses and come back later with the same ids."""
    text = document.text
    return [
        mention
        for mention in document.mentions
        if text[mention.start - 1 : mention.start] == "("
        and text[mention.stop : mention.stop + 1] == ")"
        and any(
            (later.text, later.concept_ids) == (mention.text, mention.concept_ids)
            for later in document.mentions
            if later.start > mention.start
        )
    ]


# ---- What the sample promises


def test_number_and_size_of_documents(corpora: dict[str, list[Document]]) -> None:
    assert {split: len(documents) for split, documents in corpora.items()} == DOCUMENTS
    documents = [document for split in SPLITS for document in corpora[split]]
    assert len({document.id for document in documents}) == len(documents)
    for document in documents:
        assert 60 <= len(document.text.split()) <= 140
        assert document.relations


@pytest.mark.parametrize(
    ("split", "abbreviations", "composites", "discontinuous", "nil"),
    [("train", 64, 10, 14, 16), ("dev", 20, 3, 5, 4), ("test", 20, 5, 7, 3)],
)
def test_hard_cases(
    corpora: dict[str, list[Document]],
    split: str,
    abbreviations: int,
    composites: int,
    discontinuous: int,
    nil: int,
) -> None:
    documents = corpora[split]
    mentions = _mentions(documents)
    everything = [mention for document in documents for mention in document.mentions]
    assert sum(len(_introduced_abbreviations(document)) for document in documents) >= abbreviations
    assert sum(mention.role == "composite" for mention in mentions) >= composites
    assert sum(mention.is_discontinuous for mention in everything) >= discontinuous
    assert sum(mention.is_discontinuous and mention.role == "single" for mention in everything) >= 2
    assert sum(not mention.concept_ids for mention in mentions) >= nil
    assert any(concept_id.startswith("C") for mention in mentions for concept_id in mention.concept_ids)


@pytest.mark.parametrize("split", ["dev", "test"])
def test_a_good_part_is_unseen_in_training(corpora: dict[str, list[Document]], split: str) -> None:
    training = _mentions(corpora["train"])
    forms = {mention.text.lower() for mention in training}
    ids = {concept_id for mention in training for concept_id in mention.concept_ids}
    mentions = [mention for mention in _mentions(corpora[split]) if mention.concept_ids]
    assert sum(mention.text.lower() not in forms for mention in mentions) >= 0.25 * len(mentions)
    assert sum(ids.isdisjoint(mention.concept_ids) for mention in mentions) >= 0.25 * len(mentions)


def test_short_forms_whose_meaning_the_context_decides(corpora: dict[str, list[Document]]) -> None:
    meanings: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    splits: dict[str, set[str]] = defaultdict(set)
    for split, documents in corpora.items():
        for mention in _mentions(documents):
            if mention.text in AMBIGUOUS:
                meanings[mention.text].add(mention.concept_ids)
                splits[mention.text].add(split)
    assert all(len(meanings[form]) >= 2 for form in AMBIGUOUS)
    for split in SPLITS:
        assert sum(split in splits[form] for form in AMBIGUOUS) >= 3
    # One abstract gives a form one meaning.
    for document in (document for documents in corpora.values() for document in documents):
        ids: dict[str, set[tuple[str, ...]]] = defaultdict(set)
        for mention in document.mentions:
            ids[mention.text].add(mention.concept_ids)
        assert all(len(ids[form]) == 1 for form in AMBIGUOUS & ids.keys())


def test_every_occurrence_of_a_short_form_is_marked(corpora: dict[str, list[Document]]) -> None:
    for document in (document for documents in corpora.values() for document in documents):
        marked = {(span.start, span.stop) for mention in document.mentions for span in mention.spans}
        for form in {mention.text for mention in _introduced_abbreviations(document)}:
            for match in re.finditer(rf"(?<!\w){re.escape(form)}(?!\w)", document.text):
                inside = [s for s in marked if s[0] <= match.start() and match.end() <= s[1]]
                assert inside, (document.id, form, match.start())


def test_the_slice_is_large_enough_and_closed(records: dict[str, Record]) -> None:
    assert sum(bool(record.tree_numbers) for record in records.values()) >= 1800
    assert sum(not record.tree_numbers for record in records.values()) >= 500
    assert {record.kind for record in records.values()} == {"chemical", "disease", "other"}
    assert {record.record_class for record in records.values()} == {"1", "2", "3"}
    for record in records.values():
        assert bool(record.tree_numbers) == record.id.startswith("D")
        assert all(heading.lstrip("*") in records for heading in record.mapped_to)


def test_mentioned_concepts_exist_with_the_right_kind_and_a_note(
    corpora: dict[str, list[Document]], records: dict[str, Record]
) -> None:
    for mention in (mention for documents in corpora.values() for mention in _mentions(documents)):
        for concept_id in mention.concept_ids:
            assert records[concept_id].kind == mention.type
            assert records[concept_id].note.endswith(".")


# ---- What is written


@pytest.mark.parametrize("split", SPLITS)
def test_bioc_says_what_the_mark_up_says(
    written: Path, corpora: dict[str, list[Document]], split: str
) -> None:
    collection = biocxml.loads((written / "corpus" / f"{split}.BioC.xml").read_text(encoding="utf-8"))
    assert [document.id for document in collection.documents] == [document.id for document in corpora[split]]
    for found, document in zip(collection.documents, corpora[split], strict=True):
        text = document.text
        annotations = [annotation for passage in found.passages for annotation in passage.annotations]
        assert [passage.text for passage in found.passages] == [passage.text for passage in document.passages]
        assert [annotation.id for annotation in annotations] == [str(i) for i in range(len(annotations))]
        for annotation, mention in zip(annotations, document.mentions, strict=True):
            pieces = [text[place.offset : place.end] for place in annotation.locations]
            assert annotation.text == " ".join(pieces) == mention.text
            assert annotation.infons["type"].lower() == mention.type
            assert annotation.infons["MESH"] == ("|".join(mention.concept_ids) or "-1")
        relations = [
            (r.infons["relation"], r.infons["Chemical"], r.infons["Disease"]) for r in found.relations
        ]
        assert tuple(relations) == document.relations


@pytest.mark.parametrize("split", SPLITS)
def test_pubtator_and_bioc_say_the_same(written: Path, split: str) -> None:
    collection = biocxml.loads((written / "corpus" / f"{split}.BioC.xml").read_text(encoding="utf-8"))
    content = (written / "corpus" / f"{split}.PubTator.txt").read_text(encoding="utf-8")
    assert content.endswith("\n\n")
    blocks = [block.split("\n") for block in content.removesuffix("\n\n").split("\n\n")]
    for lines, document in zip(blocks, collection.documents, strict=True):
        title, abstract = (passage.text for passage in document.passages)
        assert lines[:2] == [f"{document.id}|t|{title}", f"{document.id}|a|{abstract}"]
        text = f"{title} {abstract}"
        annotations = [annotation for passage in document.passages for annotation in passage.annotations]
        expected = [_pubtator_row(document.id, text, one, annotations) for one in annotations]
        expected += [
            [document.id, "CID", relation.infons["Chemical"], relation.infons["Disease"]]
            for relation in document.relations
        ]
        assert [line.split("\t") for line in lines[2:]] == [row for row in expected if row]


def _pubtator_row(
    document_id: str, text: str, annotation: BioCAnnotation, annotations: list[BioCAnnotation]
) -> list[str]:
    """The row that a BioC annotation should have; none for the part of a composite."""
    role = annotation.infons.get("CompositeRole")
    if role == "IndividualMention":
        return []
    start, stop = annotation.locations[0].offset, annotation.locations[-1].end
    infons = annotation.infons
    row = [document_id, str(start), str(stop), text[start:stop], infons["type"], infons["MESH"]]
    if role == "CompositeMention":
        parts = {
            part.infons["MESH"]: part.text
            for part in annotations
            if part.infons.get("CompositeRole") == "IndividualMention"
            and start <= part.locations[0].offset
            and part.locations[-1].end <= stop
        }
        row.append("|".join(parts[concept_id] for concept_id in infons["MESH"].split("|")))
    return row


def test_parts_of_composites_stand_where_their_words_stand(
    records: dict[str, Record], tmp_path: Path
) -> None:
    line = (
        "a| With [renal and acute hepatic failure|D:D051437+D017114|renal failure+acute hepatic failure].\n"
    )
    document = _read(tmp_path, HEAD + line, records)[0]
    parts = [mention for mention in document.mentions if mention.role == "part"]
    assert [part.text for part in parts] == ["renal failure", "acute hepatic failure"]
    assert [document.text_of(part.spans) for part in parts] == ["renal failure", "acute hepatic failure"]
    assert [len(part.spans) for part in parts] == [2, 1]


def test_brackets_bars_and_backslashes_as_text(records: dict[str, Record], tmp_path: Path) -> None:
    document = _read(tmp_path, HEAD + "a| A \\| and [\\[3H\\]-x\\\\y|C:-] \\[sic\\].\n", records)[0]
    assert document.passages[1].text == "A | and [3H]-x\\y [sic]."
    assert [mention.text for mention in document.mentions] == ["aspirin", "[3H]-x\\y"]


def test_mesh_xml_holds_the_slice(written: Path, records: dict[str, Record]) -> None:
    descriptors = _xml(written / "mesh" / "desc_sample.xml.gz")
    supplementary = _xml(written / "mesh" / "supp_sample.xml.gz")
    ids = [element.text for element in descriptors.iterfind("DescriptorRecord/DescriptorUI")]
    ids += [element.text for element in supplementary.iterfind("SupplementalRecord/SupplementalRecordUI")]
    assert ids == list(records)
    for element in [*descriptors, *supplementary]:
        record = records[element[0].text or ""]
        terms = [term.text for term in element.iterfind("ConceptList/Concept/TermList/Term/String")]
        assert terms[0] == record.name
        assert sorted(filter(None, terms)) == sorted([record.name, *(name.text for name in record.synonyms)])
        note = element.findtext("ConceptList/Concept/ScopeNote") or element.findtext("Note") or ""
        assert note == record.note


def test_marked_synonyms_in_mesh_xml(written: Path) -> None:
    tags = {
        term.findtext("String"): term.get("LexicalTag")
        for term in _xml(written / "mesh" / "desc_sample.xml.gz").iter("Term")
    }
    assert (tags["APAP"], tags["AIDS"], tags["Acetaminophen"]) == ("ABB", "ACR", "NON")
    record = _descriptor(written, "D009020")
    preferred, *narrower = record.iterfind("ConceptList/Concept")
    assert preferred.get("PreferredConceptYN") == "Y"
    assert [one.findtext("ConceptName/String") for one in narrower] == [
        "Morphine Sulfate",
        "MS Contin",
        "Duramorph",
    ]
    relations = list(preferred.iterfind("ConceptRelationList/ConceptRelation"))
    assert [relation.findtext("Concept2UI") for relation in relations] == [
        one.findtext("ConceptUI") for one in narrower
    ]
    assert {relation.get("RelationName") for relation in relations} == {"NRW"}


def test_the_same_bytes_on_every_run(written: Path, tmp_path: Path) -> None:
    write_corpus(tmp_path / "corpus")
    write_mesh(tmp_path / "mesh")
    files = sorted(path.relative_to(written) for path in written.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert len(files) == 8
    for file in files:
        assert (written / file).read_bytes() == (tmp_path / file).read_bytes()


def _xml(path: Path) -> etree._Element:
    return etree.fromstring(gzip.decompress(path.read_bytes()))


def _descriptor(written: Path, concept_id: str) -> etree._Element:
    for record in _xml(written / "mesh" / "desc_sample.xml.gz"):
        if record.findtext("DescriptorUI") == concept_id:
            return record
    raise AssertionError(f"no {concept_id}")


# ---- Bad sources


def _read(folder: Path, text: str, records: dict[str, Record]) -> list[Document]:
    path = folder / "train.txt"
    path.write_text(text, encoding="utf-8")
    return read_corpus(path, records)


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        (HEAD + "a| An [open|C:D001241 mention.\n", 3, "broken mention"),
        (HEAD + "a| A [mention] without type.\n", 3, "broken mention"),
        (HEAD + "a| A stray ] bracket.\n", 3, "without its"),
        (HEAD + "a| [Aspirin|G:D001241].\n", 3, "unknown type 'G'"),
        (HEAD + "a| [Aspirin|D001241].\n", 3, "cannot read"),
        (HEAD + "a| [Aspirin|C:D999999].\n", 3, "D999999 is not in the slice"),
        (HEAD + "a| [Aspirin|D:D001241].\n", 3, "is not a disease"),
        (HEAD + "a| [Pain or fever|D:D010146+D005334|pains+fever].\n", 3, "part 'pains' is not made"),
        (HEAD + "a| [pain or fever|D:D010146+D005334|pain].\n", 3, "1 parts for 2 ids"),
        (HEAD + "a| No first [piece|#1].\n", 3, "no earlier piece"),
        (HEAD + "a| Text.\nr| D001241 D010146\n", 4, "not of two mentioned ids"),
        (HEAD + "a| Text.\nb| More.\n", 4, "unknown kind of line"),
        (HEAD + "\n#2\nt| Title\na| Text.\n", 1, "not one title and an abstract"),
        (HEAD + "a| Text.\n\n" + HEAD + "a| Text.\n", 5, "document 1 occurs twice"),
        ("#sample-1\nt| Title\na| Text.\n", 1, "not a document id"),
    ],
)
def test_bad_mark_up_is_refused(
    records: dict[str, Record], tmp_path: Path, text: str, line: int, problem: str
) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        _read(tmp_path, text, records)
    assert caught.value.path == tmp_path / "train.txt"
    assert caught.value.place == f"line {line}"


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        ("descriptors.tsv", "id\tname", "ui\tname", "wrong header"),
        ("descriptors.tsv", "\tAspirin\t", "\tAspirin", "4 columns instead of 5"),
        ("descriptors.tsv", "\nD001241\t", "\nD000082\t", "D000082 occurs twice"),
        ("supplementary.tsv", "*D000971", "*D999999", "not in the slice"),
    ],
)
def test_bad_tables_are_refused(tmp_path: Path, file: str, old: str, new: str, problem: str) -> None:
    shutil.copytree(SOURCE / "mesh", tmp_path / "mesh")
    path = tmp_path / "mesh" / file
    content = path.read_text(encoding="utf-8")
    assert old in content
    path.write_text(content.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError, match=problem) as caught:
        read_mesh(tmp_path / "mesh")
    assert caught.value.path == path


def test_a_missing_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        write_corpus(tmp_path / "out", tmp_path)
    assert not (tmp_path / "out").exists()


def test_the_command_prints_errors_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(folder: Path) -> None:
        raise InputError(folder, "line 1", "broken", "Mend it")

    monkeypatch.setattr("etl.sample.write_corpus", refuse)
    assert main(["--out", str(tmp_path)]) == 1
    assert "line 1: broken. Mend it" in capsys.readouterr().err
