import gzip
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from el.base.errors import ElError, InputError
from el.base.files import read_json, sha256_file, write_json
from el.ontology.mesh import convert_mesh
from el.ontology.ontology import Name, Ontology
from el.ontology.retired import load_retired_ids
from tests.make_mesh_xml import make_mesh_xml

TABLE = "mesh_id_label_mappings.tsv"
SUPPLEMENTARY_TABLE = "mesh_supp_id_label_mappings.tsv"


def write_source(raw: Path, **more: str) -> Path:
    """Writes source.json for the files that stand in the folder now."""
    files = {path.name: sha256_file(path) for path in raw.iterdir() if path.name != "source.json"}
    write_json(raw / "source.json", {"source": "made up", "files": files, **more})
    return raw


@pytest.fixture
def xml(tmp_path: Path) -> Path:
    raw = tmp_path / "xml"
    raw.mkdir()
    make_mesh_xml(raw, descriptors=20, supplementary=30)
    return write_source(raw, year="2099")


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    raw = tmp_path / "tables"
    raw.mkdir()
    (raw / TABLE).write_text("D1\tone\teins|uno\tD02\t\nD2\ttwo\t\tC04\t\n")
    (raw / SUPPLEMENTARY_TABLE).write_text("C1\tthree\t\tD1,D2\nC2\tfour\t\tD1\nC3\tfive\t\t\n")
    return write_source(raw, version="1.24.0")


def test_tables(tables: Path, tmp_path: Path) -> None:
    report = convert_mesh(tables, tmp_path / "ontology")
    ontology = Ontology.load(tmp_path / "ontology")
    assert ontology.ids == ["D1", "D2", "C1", "C2", "C3"]
    assert ontology.kinds == ["chemical", "disease", "disease", "chemical", "other"]
    assert ontology["D1"].names == (Name("one"), Name("eins"), Name("uno"))
    assert ontology.info == read_json(tables / "source.json")
    assert report == {
        "concepts": 5,
        "names": 7,
        "counts": {
            "kind": {"chemical": 2, "disease": 2, "other": 1},
            "record": {"descriptor": 2, "supplementary": 3},
            "relation": {"preferred": 7},
            "source": {},
        },
        "fingerprint": ontology.fingerprint,
        "info": ontology.info,
    }
    assert read_json(tmp_path / "ontology" / "report.json") == report


def test_xml(xml: Path, tmp_path: Path) -> None:
    report = convert_mesh(xml, tmp_path / "ontology")
    ontology = Ontology.load(tmp_path / "ontology")
    assert report["counts"]["record"] == {"descriptor": 20, "supplementary": 30}
    assert set(report["counts"]["relation"]) == {"preferred", "narrower", "broader", "related"}
    assert len(ontology) == 50
    assert all(concept.definition for concept in ontology if concept.record == "descriptor")
    assert all(len(concept.mapped_to) > 0 for concept in ontology if concept.record == "supplementary")
    assert ontology.info["year"] == "2099"


def test_gzipped_xml_gives_the_same_ontology(xml: Path, tmp_path: Path) -> None:
    plain = convert_mesh(xml, tmp_path / "plain")
    for path in list(xml.glob("*.xml")):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    zipped = convert_mesh(write_source(xml), tmp_path / "zipped")
    assert zipped["fingerprint"] == plain["fingerprint"]
    assert zipped["counts"] == plain["counts"]


def test_same_input_gives_the_same_bytes(xml: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        convert_mesh(xml, tmp_path / name)
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("first", "second")
    )
    assert {"concepts.parquet", "names.parquet"} <= first.keys()
    assert first == second


def test_progress_goes_to_stderr(
    tables: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("el.base.progress._SECONDS_BETWEEN_LINES", 0.0)
    convert_mesh(tables, tmp_path / "ontology")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "read MeSH records: 5" in captured.err


@pytest.mark.parametrize("missing", [TABLE, SUPPLEMENTARY_TABLE])
def test_half_a_mesh(tables: Path, tmp_path: Path, missing: str) -> None:
    (tables / missing).unlink()
    with pytest.raises(InputError, match=r"no complete MeSH: expected .*Run the fetch stage"):
        convert_mesh(tables, tmp_path / "ontology")


def test_two_meshes(tables: Path, xml: Path, tmp_path: Path) -> None:
    shutil.copytree(xml, tables, dirs_exist_ok=True)
    with pytest.raises(
        InputError, match=r"more than one release of MeSH: desc2099.xml, .*Keep the two files of one"
    ):
        convert_mesh(tables, tmp_path / "ontology")


def test_changed_file(tables: Path, tmp_path: Path) -> None:
    with (tables / TABLE).open("a") as stream:
        stream.write("D3\tsix\t\t\t\n")
    with pytest.raises(InputError, match=f"{TABLE}: its checksum is not the one in source.json"):
        convert_mesh(tables, tmp_path / "ontology")


@pytest.mark.parametrize("source", [[], {"source": "made up"}, {"files": {}}, {"source": "x", "files": []}])
def test_unusable_source(tables: Path, tmp_path: Path, source: object) -> None:
    write_json(tables / "source.json", source)
    with pytest.raises(InputError, match=r"source\.json: lacks"):
        convert_mesh(tables, tmp_path / "ontology")


def test_no_source(tables: Path, tmp_path: Path) -> None:
    (tables / "source.json").unlink()
    with pytest.raises(InputError, match="no such file"):
        convert_mesh(tables, tmp_path / "ontology")


def test_broken_input_leaves_nothing(tables: Path, tmp_path: Path) -> None:
    (tables / SUPPLEMENTARY_TABLE).write_text("C1\tthree\n")
    with pytest.raises(InputError, match="line 1"):
        convert_mesh(write_source(tables), tmp_path / "ontology")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tables"]


def test_repeated_id(tables: Path, tmp_path: Path) -> None:
    (tables / SUPPLEMENTARY_TABLE).write_text("D1\tthree\t\t\n")
    with pytest.raises(ElError, match="D1 occurs twice"):
        convert_mesh(write_source(tables), tmp_path / "ontology")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_memory_does_not_grow_with_the_files(tmp_path: Path) -> None:
    small = _peak_memory(tmp_path, descriptors=100, supplementary=9_000)
    large = _peak_memory(tmp_path, descriptors=300, supplementary=27_000)
    # 20 MB against 60 MB of XML; the set of ids grows, and what the allocators keep varies a little.
    # Records that stay in the tree would add some 300 MB.
    assert large - small < 50


def _peak_memory(tmp_path: Path, descriptors: int, supplementary: int) -> float:
    """Returns the peak resident memory, in MB, of a process that converts files of this many records."""
    raw = tmp_path / f"raw{descriptors}"
    raw.mkdir()
    make_mesh_xml(raw, descriptors, supplementary)
    write_source(raw)
    # Not getrusage: its peak starts at the size of the process that this one is forked from.
    script = (
        "import sys; from pathlib import Path; "
        "from el.ontology.mesh import convert_mesh; "
        "convert_mesh(Path(sys.argv[1]), Path(sys.argv[2])); "
        "print(Path('/proc/self/status').read_text())"
    )
    command = [sys.executable, "-c", script, str(raw), str(tmp_path / f"out{descriptors}")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=600)
    peak = re.search(r"VmHWM:\s+(\d+) kB", done.stdout)
    assert peak is not None
    return int(peak[1]) / 1024


def test_retired_ids_of_the_repository() -> None:
    retired = load_retired_ids()
    assert len(retired) == 82
    assert retired["C026098"] == "D000077287"  # levetiracetam


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "line 1: the columns are not"),
        ("retired_id\tcurrent_id\n", "line 1: 2 columns separated by tabs, not 3"),
        ("retired_id\tcurrent_name\tcurrent_id\n", "line 1: the columns are not"),
        ("retired_id\tcurrent_id\tcurrent_name\tnote\n", "line 1: 4 columns separated by tabs, not 3"),
        ("{head}C1\tD1\n", "line 2: 2 columns separated by tabs, not 3"),
        ("{head}C1\tD1\tone\tmore\n", "line 2: 4 columns separated by tabs, not 3"),
        ("{head}C1\t\tone\n", "line 2: an empty cell"),
        ("{head}C1\tC1\tone\n", "line 2: C1 is replaced by itself"),
        ("{head}C1\tD1\tone\nC1\tD2\ttwo\n", "line 3: C1 is listed twice"),
        ("{head}C2\tD1\tone\nC1\tC2\ttwo\n", "line 3: C1 is replaced by C2, which is itself retired"),
    ],
)
def test_malformed_retired_ids(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "retired.tsv"
    path.write_text(text.format(head="retired_id\tcurrent_id\tcurrent_name\n"))
    with pytest.raises(InputError, match=problem):
        load_retired_ids(path)


def test_missing_retired_ids(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_retired_ids(tmp_path / "retired.tsv")
