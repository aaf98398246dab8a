import json
import os
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from el.base.errors import InputError
from el.corpus.bioc_xml import read_bioc
from el.corpus.store import read_documents
from el.corpus.types import Mention
from el.corpus.views import mentions_full, restricted_triples
from el.evaluation.queries import mesh_queries
from el.ontology.equivalents import write_equivalents
from el.ontology.ontology import Concept, Name, Ontology, kind_of_type
from el.ontology.retired import load_retired_ids
from etl.convert_corpus import KNOWN_ERRORS, SPLITS, KnownErrors, convert_corpus, main, summary
from etl.fetch_corpus import CORPORA, CorpusSource, fetch_corpus

ONTOLOGY = Ontology.from_concepts(
    [Concept(name, (Name(f"name of {name}"),), "disease") for name in ("D000001", "D000002", "C000009")]
)
RETIRED = {"C000001": "D000001", "C000009": "D000002"}

BIOC = """<?xml version='1.0' encoding='UTF-8'?><!DOCTYPE collection SYSTEM 'BioC.dtd'>
<collection><source/><date/><key/><document><id>7</id>
<passage><infon key="type">title</infon><offset>0</offset><text>Renal and hepatic failure</text>
<annotation id="0"><infon key="type">Disease</infon><infon key="CompositeRole">CompositeMention</infon>
<infon key="MESH">C000001|D000002</infon><location offset="0" length="25"/>
<text>Renal and hepatic failure</text></annotation>
<annotation id="1"><infon key="type">Disease</infon><infon key="CompositeRole">IndividualMention</infon>
<infon key="MESH">C000001</infon><location offset="0" length="5"/><location offset="18" length="7"/>
<text>Renal failure</text></annotation>
<annotation id="2"><infon key="type">Disease</infon><infon key="CompositeRole">IndividualMention</infon>
<infon key="MESH">D000002</infon><location offset="10" length="15"/><text>hepatic failure</text></annotation>
</passage><passage><infon key="type">abstract</infon><offset>26</offset><text>Ache, pain, grief.</text>
<annotation id="3"><infon key="type">Disease</infon><infon key="MESH">-1</infon>
<location offset="26" length="4"/><text>Ache</text></annotation>
<annotation id="4"><infon key="type">Mood</infon><infon key="MESH">D999999</infon>
<location offset="32" length="4"/><text>pain</text></annotation>
<annotation id="5"><infon key="type">Disease</infon><infon key="MESH">C000009</infon>
<location offset="38" length="5"/><text>grief</text></annotation>
</passage></document></collection>
"""
# One character off, as in the official BC5CDR files.
BIOC_OFF = BIOC.replace('offset="18"', 'offset="17"')
MOVE = "document dev, annotation 1: moved from 0:5, 17:24 to 0:5, 18:25"
PUBTATOR = """7|t|Renal and hepatic failure
7|a|Ache, pain, grief.
7\t0\t25\tRenal and hepatic failure\tDisease\tC000001|D000002\tRenal failure|hepatic failure
7\t26\t30\tAche\tDisease\t-1
7\t32\t36\tpain\tMood\tD999999
7\t38\t43\tgrief\tDisease\tC000009

"""


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    for split in SPLITS:
        (folder / f"{split}.BioC.xml").write_text(BIOC.replace(">7<", f">{split}<"), encoding="utf-8")
        pubtator = "".join(line.replace("7", split, 1) if line.startswith("7") else line for line in _lines())
        (folder / f"{split}.PubTator.txt").write_text(pubtator, encoding="utf-8")
    return folder


def _lines() -> list[str]:
    return PUBTATOR.splitlines(keepends=True)


def convert(raw: Path) -> dict[str, Any]:
    return convert_corpus(raw, ONTOLOGY, RETIRED, raw.parent / "corpus")


def test_every_mention_is_kept_and_counted(raw: Path) -> None:
    report = convert(raw)
    assert report["dev"] == {
        "source": "dev.BioC.xml",
        "documents": 1,
        "annotations": 6,
        "mentions": 4,
        "mentions_by_type": {"disease": 3, "mood": 1},
        "nil": 1,
        "nil_with_parts": 1,
        "several_ids": 1,
        "composites": 1,
        "composites_without_part_texts": 0,
        "parts": 2,
        "discontinuous": 1,
        "id_twice_in_mention": 0,
        "annotated_twice": 0,
        "distinct_ids": 4,
        "mentions_with_mapped_ids": 0,
        "ids_not_in_ontology": {"D999999": 1},
        "mentions_with_no_id_in_ontology": 1,
        "relations": 0,
        "documents_left_out": {},
        "restricted": {"mentions": 3, "triples": 3, "distinct_ids": 3},
        "retired_ids_replaced": {"C000001 -> D000001": 2},
        "ids_mapped": {},
        "annotations_moved": 0,
        "moves": [],
        "texts_corrected": 0,
        "corrections": [],
        "pubtator_differences": [],
    }
    assert report["documents_in_several_splits"] == []
    assert json.loads((raw.parent / "corpus" / "report.json").read_text(encoding="utf-8")) == report
    (document,) = read_documents(raw.parent / "corpus" / "dev.jsonl")
    ids = [mention.concept_ids for mention in document.mentions]
    # C000009 is listed as retired, but this ontology still has it; D999999 is nowhere and stays.
    assert ids == [("D000001", "D000002"), ("D000001",), ("D000002",), (), ("D999999",), ("C000009",)]


def make_off(raw: Path) -> None:
    (raw / "dev.BioC.xml").write_text(BIOC_OFF.replace(">7<", ">dev<"), encoding="utf-8")


def test_a_wrong_offset_is_refused(raw: Path) -> None:
    make_off(raw)
    problem = r"dev\.BioC\.xml: document dev, annotation 1: expected 'Renal failure' at 0:5, 17:24, found"
    with pytest.raises(InputError, match=f"{problem}.*Count offsets in Unicode code points"):
        convert(raw)
    assert not (raw.parent / "corpus").exists()


def test_what_the_tolerance_moves_is_counted(raw: Path) -> None:
    untouched = convert(raw)
    make_off(raw)
    report = convert_corpus(raw, ONTOLOGY, RETIRED, raw.parent / "corpus", KnownErrors(tolerance=1))
    assert report["dev"] == untouched["dev"] | {"annotations_moved": 1, "moves": [MOVE]}
    assert (report["train"], report["test"]) == (untouched["train"], untouched["test"])


def test_the_summary_is_short_and_silent_where_all_is_well(raw: Path) -> None:
    report = convert(raw)
    (line,) = summary(report)
    assert line == (
        "gold ids that are not in the ontology: 1 (D999999); "
        "3 of 12 mentions have no other id and cannot be linked correctly"
    )
    for split in SPLITS:
        report[split] |= {"annotations_moved": 2, "ids_not_in_ontology": {}}
    assert list(summary(report)) == ["annotations moved to the place of their text: 6"]
    ids = {f"D{number}": number for number in range(1, 8)}
    report["dev"] |= {"ids_not_in_ontology": ids, "mentions_with_no_id_in_ontology": 1234}
    _, line = summary(report)
    assert line.startswith("gold ids that are not in the ontology: 7 (D7, D6, D5, D4, D3, ...); 1,236 of")


@pytest.fixture
def repository(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with params.yaml and the folder `d`: an ontology and a raw corpus that is one character off."""
    make_off(raw)
    (tmp_path / "params.yaml").write_text("data: {folder: d}", encoding="utf-8")
    ONTOLOGY.save(tmp_path / "d" / "ontology")
    shutil.move(raw, tmp_path / "d" / "raw" / "corpus")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_origin(repository: Path, **values: str) -> None:
    (repository / "d" / "raw" / "corpus" / "source.json").write_text(json.dumps(values), encoding="utf-8")


def test_bc5cdr_is_moved_and_the_user_told(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_origin(repository, source="bc5cdr")
    main()
    captured = capsys.readouterr()
    assert captured.out == ""
    moved, unknown = captured.err.splitlines()
    assert moved == "annotations moved to the place of their text: 1; see d/corpus/report.json"
    # C000001 is in no table of retired ids but that of these tests.
    assert unknown.startswith("gold ids that are not in the ontology: 2 (C000001, D999999); 3 of 12")
    assert unknown.endswith("; see d/corpus/report.json")
    assert json.loads((repository / "d" / "corpus" / "report.json").read_text())["dev"]["moves"] == [MOVE]


@pytest.mark.parametrize("origin", ["path", "sample", ""])
def test_no_other_corpus_is_moved(repository: Path, origin: str) -> None:
    write_origin(repository, source=origin)
    with pytest.raises(InputError, match="document dev, annotation 1: expected 'Renal failure'"):
        main()


def test_a_corpus_must_say_where_it_is_from(repository: Path) -> None:
    for remedy in ("no such file", "lacks 'source'"):
        with pytest.raises(InputError, match=rf"source\.json: {remedy}"):
            main()
        write_origin(repository)


def write_two(repository: Path) -> Path:
    """Makes the raw corpus two corpora, of which the second has documents of its own."""
    raw = repository / "d" / "raw" / "corpus"
    (raw / "bc5cdr").mkdir()
    for path in list(raw.glob("*.*")):
        shutil.move(path, raw / "bc5cdr" / path.name)
    (raw / "bc5cdr" / "source.json").write_text('{"source": "bc5cdr"}', encoding="utf-8")
    other = raw / "ncbi_disease"
    other.mkdir()
    for split in SPLITS:
        text = f"{split}2|t|Grief\n{split}2|a|\n{split}2\t0\t5\tGrief\tDisease\tD000002\n\n"
        (other / f"{split}.PubTator.txt").write_text(text, encoding="utf-8")
    (other / "source.json").write_text('{"source": "ncbi_disease"}', encoding="utf-8")
    return other


def test_two_corpora_are_converted_each_to_a_folder(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_two(repository)
    main()
    # Each is corrected as its own errors ask for, and only that of BC5CDR is.
    assert "moved to the place of their text: 1; see d/corpus/bc5cdr/report.json" in capsys.readouterr().err
    documents = {
        name: [document.id for document in read_documents(repository / "d" / "corpus" / name / "dev.jsonl")]
        for name in ("bc5cdr", "ncbi_disease")
    }
    assert documents == {"bc5cdr": ["dev"], "ncbi_disease": ["dev2"]}


def test_two_corpora_with_a_document_of_the_same_id_are_refused(repository: Path) -> None:
    path = write_two(repository) / "dev.PubTator.txt"
    path.write_text(path.read_text(encoding="utf-8").replace("dev2", "train"), encoding="utf-8")
    with pytest.raises(InputError, match="document train: is in bc5cdr and in ncbi_disease"):
        main()
    assert not (repository / "d" / "corpus").exists()


def test_pubtator_alone_is_enough(raw: Path) -> None:
    (raw / "dev.BioC.xml").unlink()
    report = convert(raw)
    assert report["dev"]["source"] == "dev.PubTator.txt"
    assert (report["dev"]["mentions"], report["dev"]["parts"]) == (4, 0)
    assert report["dev"]["pubtator_differences"] is None


def test_differences_between_the_formats_are_listed(raw: Path) -> None:
    path = raw / "dev.PubTator.txt"
    text = path.read_text(encoding="utf-8").replace("Mood\tD999999", "Mood\tD000001")
    text = text.replace("grief.", "grief!").replace("\n\n", "\ndev\tCID\tD000001\tD000002\n\n")
    path.write_text(text + "8|t|More\n8|a|More\n", encoding="utf-8")
    assert convert(raw)["dev"]["pubtator_differences"] == [
        "document 8: only in PubTator",
        "document dev, text: differs",
        "document dev, 32:36 mood D999999 with 0 part texts: only in BioC",
        "document dev, 32:36 mood D000001 with 0 part texts: only in PubTator",
        "document dev, relations: differ",
    ]


def test_a_discontinuous_mention_is_no_difference_to_pubtator(raw: Path) -> None:
    (raw / "dev.BioC.xml").write_text(
        BIOC.replace(">7<", ">dev<").replace(
            'offset="32" length="4"/><text>pain</text>',
            'offset="32" length="1"/><location offset="34" length="2"/><text>p in</text>',
        ),
        encoding="utf-8",
    )
    report = convert(raw)["dev"]
    assert (report["discontinuous"], report["pubtator_differences"]) == (2, [])


def test_a_document_in_two_splits_is_reported(raw: Path) -> None:
    for split in ("dev", "test"):
        (raw / f"{split}.PubTator.txt").unlink()
        (raw / f"{split}.BioC.xml").write_text(BIOC, encoding="utf-8")
    assert convert(raw)["documents_in_several_splits"] == ["7"]


def test_repetitions_are_counted(raw: Path) -> None:
    path = raw / "dev.PubTator.txt"
    (raw / "dev.BioC.xml").unlink()
    repeated = "dev\t32\t36\tpain\tMood\tD999999\n"
    twice = "dev\t38\t43\tgrief\tMood\tC000001|D000001\n"
    text = path.read_text(encoding="utf-8").replace(repeated, 2 * repeated + twice)
    path.write_text(text, encoding="utf-8")
    report = convert(raw)["dev"]
    assert report["annotated_twice"] == 1
    assert report["id_twice_in_mention"] == 1


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("<collection><source/><date/><key/></collection>", "holds no documents"),
        (BIOC.replace("</collection>", BIOC[BIOC.index("<document>") :]), "document 7: occurs 2 times"),
    ],
)
def test_splits_that_cannot_be_used_are_refused(raw: Path, content: str, problem: str) -> None:
    (raw / "test.BioC.xml").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=problem):
        convert(raw)
    assert not (raw.parent / "corpus").exists()


def test_a_missing_split_is_refused(raw: Path) -> None:
    (raw / "test.BioC.xml").unlink()
    (raw / "test.PubTator.txt").unlink()
    with pytest.raises(InputError, match=r"neither test\.BioC\.xml nor test\.PubTator\.txt exists"):
        convert(raw)


# Everything that is odd in the NCBI Disease corpus: its types, `|` and `+`, blanks and prefixes in ids, ids
# of OMIM, a text with more blanks than stand at its offsets, and a document that occurs again.
NCBI_DISEASE = """
7|t|Breast and ovarian cancer
7|a|PKU, ache "plus" and grief.
7\t0\t25\tBreast and ovarian cancer\tCompositeMention\tD000001|OMIM:000009
7\t26\t29\tPKU\tSpecificDisease\tOMIM:104300
7\t31\t42\tache "plus"  \tModifier\t D000001+D000002
7\t47\t52\tgrief\tDiseaseClass\tMESH:C000001

"""
EQUIVALENTS = {"OMIM:104300": "D000002", "OMIM:000008": "D999999"}


@pytest.fixture
def ncbi_disease(tmp_path: Path) -> Path:
    folder = tmp_path / "ncbi"
    folder.mkdir()
    for split in SPLITS:
        text = NCBI_DISEASE.replace("\n7", f"\n{split}")
        (folder / f"{split}.PubTator.txt").write_text(text + text * (split == "train"), encoding="utf-8")
    return folder


def convert_ncbi(raw: Path, equivalents: dict[str, str] = EQUIVALENTS) -> dict[str, Any]:
    errors = KNOWN_ERRORS["ncbi_disease"]
    return convert_corpus(raw, ONTOLOGY, RETIRED, raw.parent / "corpus", errors, equivalents)


def mentions_of(raw: Path, split: str) -> tuple[Mention, ...]:
    (document,) = read_documents(raw.parent / "corpus" / f"{split}.jsonl")
    return document.mentions


def test_what_is_odd_in_the_ncbi_disease_corpus(ncbi_disease: Path) -> None:
    report = convert_ncbi(ncbi_disease)
    train = report["train"]
    assert (train["documents"], train["documents_left_out"]) == (1, {"train": 1})
    assert (train["mentions"], train["composites"], train["several_ids"]) == (4, 1, 2)
    assert train["mentions_by_type"] == {
        "compositemention": 1,
        "specificdisease": 1,
        "modifier": 1,
        "diseaseclass": 1,
    }
    assert train["retired_ids_replaced"] == {"C000001 -> D000001": 1}
    assert (train["ids_mapped"], train["mentions_with_mapped_ids"]) == ({"OMIM:104300 -> D000002": 1}, 1)
    assert train["ids_not_in_ontology"] == {"OMIM:000009": 1}
    assert train["texts_corrected"] == 1
    assert train["corrections"] == [
        "document train, annotation 2: replaced by the text at 31:42, which differs in white space"
    ]
    assert (report["dev"]["mentions"], report["dev"]["documents_left_out"]) == (4, {})
    kept = [
        (m.text, m.type, m.role, m.concept_ids, m.original_ids) for m in mentions_of(ncbi_disease, "test")
    ]
    assert kept == [
        ("Breast and ovarian cancer", "compositemention", "composite", ("D000001", "OMIM:000009"), ()),
        ("PKU", "specificdisease", "single", ("D000002",), ("OMIM:104300",)),
        ('ache "plus"', "modifier", "single", ("D000001", "D000002"), ()),
        ("grief", "diseaseclass", "single", ("D000001",), ()),
    ]


def test_the_summary_says_what_was_corrected_and_mapped(ncbi_disease: Path) -> None:
    assert list(summary(convert_ncbi(ncbi_disease))) == [
        "documents left out, because they occur twice: 1",
        "texts of mentions corrected to the white space at their offsets: 3",
        "gold ids of other vocabularies that were mapped to the ontology: 1 (OMIM:104300 -> D000002); "
        "they are in 3 of 12 mentions",
        "gold ids that are not in the ontology: 1 (OMIM:000009); "
        "0 of 12 mentions have no other id and cannot be linked correctly",
    ]


def with_ids(raw: Path, *ids: str) -> tuple[Mention, ...]:
    """Converts mentions with these ids, one each, and returns them."""
    lines = "".join(f"dev\t0\t4\tAche\tDisease\t{each}\n" for each in ids)
    (raw / "dev.PubTator.txt").write_text(f"dev|t|Ache.\n{lines}", encoding="utf-8")
    convert_ncbi(raw)
    return mentions_of(raw, "dev")


def test_two_spellings_of_an_id_are_one(ncbi_disease: Path) -> None:
    spellings = ("MIM:104300", "omim:104300", "OMIM:0104300")
    for mention in with_ids(ncbi_disease, *spellings):
        assert (mention.concept_ids, len(mention.original_ids)) == (("D000002",), 1)
    others = ("104300", "OMIMPS:104300", "OMIM:104301", "OMIM:000008", "HP:104300", "x")
    for mention, given in zip(with_ids(ncbi_disease, *others), others, strict=True):
        assert (mention.concept_ids, mention.original_ids) == ((given,), ())


def test_a_mapped_id_that_the_mention_has_already_is_kept_once(ncbi_disease: Path) -> None:
    one, retired = with_ids(ncbi_disease, "D000002|OMIM:104300", "C000001|OMIM:104300")
    assert (one.concept_ids, one.original_ids) == (("D000002",), ("D000002", "OMIM:104300"))
    assert (retired.concept_ids, retired.original_ids) == (("D000001", "D000002"), ("C000001", "OMIM:104300"))


def test_without_equivalents_ids_of_other_vocabularies_stay(ncbi_disease: Path) -> None:
    report = convert_ncbi(ncbi_disease, {})
    assert report["dev"]["ids_not_in_ontology"] == {"OMIM:000009": 1, "OMIM:104300": 1}
    assert (report["dev"]["ids_mapped"], report["dev"]["mentions_with_mapped_ids"]) == ({}, 0)
    assert report["dev"]["mentions_with_no_id_in_ontology"] == 1


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('ache "plus"  ', 'ache "minus"', "expected 'ache \"minus\"' at 31:42"),
        ('ache "plus"  ', 'ache"plus"', "expected 'ache\"plus\"' at 31:42"),
        ("\n\n", "\n\ndev|t|Breast and ovarian cancer\n\n", "document dev: occurs 2 times"),
    ],
)
def test_other_errors_in_the_ncbi_disease_corpus_are_refused(
    ncbi_disease: Path, old: str, new: str, problem: str
) -> None:
    path = ncbi_disease / "dev.PubTator.txt"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(InputError, match=problem):
        convert_ncbi(ncbi_disease)


def test_no_other_corpus_is_corrected(ncbi_disease: Path) -> None:
    with pytest.raises(InputError, match="document train, annotation 2: expected"):
        convert_corpus(ncbi_disease, ONTOLOGY, RETIRED, ncbi_disease.parent / "corpus")
    with pytest.raises(InputError, match="document train: occurs 2 times"):
        convert_corpus(
            ncbi_disease, ONTOLOGY, RETIRED, ncbi_disease.parent / "corpus", KnownErrors(white_space=True)
        )


def test_the_stage_reads_the_equivalents_of_the_ontology(
    ncbi_disease: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "params.yaml").write_text("data: {folder: d}", encoding="utf-8")
    ONTOLOGY.save(tmp_path / "d" / "ontology")
    write_equivalents(tmp_path / "d" / "ontology", EQUIVALENTS)
    (ncbi_disease / "source.json").write_text('{"source": "ncbi_disease"}', encoding="utf-8")
    shutil.move(ncbi_disease, tmp_path / "d" / "raw" / "corpus")
    monkeypatch.chdir(tmp_path)
    main()
    assert "mapped to the ontology: 1 (OMIM:104300 -> D000002)" in capsys.readouterr().err


BC5CDR_COUNTS = {
    "documents": (500, 500, 500),
    "annotations": (9570, 9773, 9928),
    "mentions": (9385, 9591, 9809),
    "nil": (76, 59, 91),
    "nil_with_parts": (76, 60, 91),
    "several_ids": (98, 100, 75),
    "composites": (89, 89, 57),
    "parts": (185, 182, 119),
    "discontinuous": (73, 43, 37),
    "relations": (1038, 1012, 1066),
    "annotated_twice": (0, 0, 0),
}
BC5CDR_TYPES = ((5203, 4182), (5347, 4244), (5385, 4424))


@pytest.mark.real
def test_bc5cdr_comes_out_as_the_protocol_counts_it(tmp_path: Path) -> None:
    archive = Path(os.environ.get("EL_MIRROR", "")) / "CDR_Data.zip"
    if "EL_MIRROR" not in os.environ or not archive.is_file():
        pytest.skip("EL_MIRROR names no folder with CDR_Data.zip")
    names = {"Training": "train", "Development": "dev", "Test": "test"}
    raw = tmp_path / "raw"
    raw.mkdir()
    with zipfile.ZipFile(archive) as members:
        for theirs, split in names.items():
            for suffix in ("BioC.xml", "PubTator.txt"):
                member = f"CDR_Data/CDR.Corpus.v010516/CDR_{theirs}Set.{suffix}"
                (raw / f"{split}.{suffix}").write_bytes(members.read(member))

    report = convert_corpus(raw, ONTOLOGY, load_retired_ids(), tmp_path / "corpus", KNOWN_ERRORS["bc5cdr"])

    for key, counts in BC5CDR_COUNTS.items():
        assert tuple(report[split][key] for split in SPLITS) == counts, key
    for split, (chemicals, diseases) in zip(SPLITS, BC5CDR_TYPES, strict=True):
        assert report[split]["mentions_by_type"] == {"chemical": chemicals, "disease": diseases}
    assert report["test"]["restricted"] == {"mentions": 9725, "triples": 5516, "distinct_ids": 1312}
    assert [report[split]["annotations_moved"] for split in SPLITS] == [3, 1, 0]
    assert [len(report[split]["moves"]) for split in SPLITS] == [3, 1, 0]
    # In two composites of the test split the parts' ids are not those of the composite.
    assert [len(report[split]["pubtator_differences"]) for split in SPLITS] == [0, 0, 4]
    assert report["documents_in_several_splits"] == []

    original = [
        mention for document in read_bioc(raw / "test.BioC.xml") for mention in mentions_full(document)
    ]
    ids = {concept_id for mention in original for concept_id in mention.concept_ids}
    ids_alone = {mention.concept_ids for mention in original if len(mention.concept_ids) == 1}
    assert (len(ids), len(ids_alone)) == (1315, 1303)

    test = list(read_documents(tmp_path / "corpus" / "test.jsonl"))
    triples = restricted_triples(test)
    assert len(triples) == 5516
    # Two pairs of the 1,312 ids are one concept in the current MeSH.
    assert len({mention.concept_ids[0] for _, _, mention in triples}) == 1310
    assert report["test"]["distinct_ids"] == 1313


# Document 8528200 occurs twice in the file of train. It has 11 mentions, all with ids of MeSH.
NCBI_DISEASE_COUNTS = {
    "documents": (592, 100, 100),
    "mentions": (5145 - 11, 787, 960),
    "distinct_ids": (647, 170, 200),
    "nil": (0, 0, 0),
    "annotated_twice": (0, 0, 0),
    "documents_left_out": ({"8528200": 1}, {}, {}),
    "texts_corrected": (1, 0, 0),
    "relations": (0, 0, 0),
}
# Mentions with ids of MeSH alone, of OMIM alone, and of both.
NCBI_DISEASE_VOCABULARIES = ((4764 - 11, 373, 8), (713, 74, 0), (865, 93, 2))


@pytest.mark.real
def test_the_ncbi_disease_corpus_comes_out_as_counted(tmp_path: Path) -> None:
    mirror, archives = Path(os.environ.get("EL_MIRROR", "")), CORPORA["ncbi_disease"].archives
    if "EL_MIRROR" not in os.environ or not all((mirror / name).is_file() for name in archives):
        pytest.skip(f"EL_MIRROR names no folder with {', '.join(archives)}")
    fetch_corpus(CorpusSource("ncbi_disease"), tmp_path / "raw", tmp_path / "cache")

    report = convert_ncbi(tmp_path / "raw", {})

    for key, counts in NCBI_DISEASE_COUNTS.items():
        assert tuple(report[split][key] for split in SPLITS) == counts, key
    assert report["documents_in_several_splits"] == []
    for split, counts in zip(SPLITS, NCBI_DISEASE_VOCABULARIES, strict=True):
        documents = list(read_documents(tmp_path / "corpus" / f"{split}.jsonl"))
        mentions = [mention for document in documents for mention in document.mentions]
        ids = {concept_id for mention in mentions for concept_id in mention.concept_ids}
        # One spelling for each id.
        assert all(re.fullmatch(r"[CD]\d{6}|OMIM:\d{6}", concept_id) for concept_id in ids)
        omim = [[i.startswith("OMIM:") for i in mention.concept_ids] for mention in mentions]
        found = [not any(each) for each in omim], [all(each) for each in omim]
        assert (sum(found[0]), sum(found[1]), len(mentions) - sum(found[0]) - sum(found[1])) == counts
        assert len(mesh_queries(documents)) == counts[0]
        assert all(kind_of_type(mention.type) == "disease" for mention in mentions)
