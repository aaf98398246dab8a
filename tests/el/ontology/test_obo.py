from pathlib import Path

import pytest

from el.base.errors import InputError
from el.ontology.files import Reading, read_ontology_file
from el.ontology.ontology import Concept, Name
from tests.el.ontology.strategies import write

OBO = r"""format-version: 1.4
default-namespace: findings
import: http://example.org/other.obo ! not there
! a comment

[Term]
id: HP:0000001 ! root
name: Short \"finger\" {source="X:1"} ! a comment
namespace: root
def: "Says \"short\"\nof a finger." [X:1 "a reference"] {comment="x"}
synonym: "Stubby  finger" EXACT layperson []
synonym: "Short thumb" NARROW []
synonym: "Short bone" BROAD [X:1]
synonym: "Stub" []
is_a: HP:0000000 ! All

[Term]
id: HP:0000002
name: alpha {2\! beta} acid!

[Typedef]
id: part_of
name: part of

[Term]
id: HP:0000003
name: old
is_obsolete: true
replaced_by: HP:0000002

[Term]
id: X:1
is_obsolete: true
"""
FIRST = Concept(
    "HP:0000001",
    (Name('Short "finger"'), Name("Stubby finger")),
    "disease",
    definition='Says "short" of a finger.',
)
SECOND = Concept("HP:0000002", (Name("alpha {2! beta} acid!"),), "disease")


def read(path: Path, notes: list[str] | None = None, **changes: str) -> list[Concept]:
    return list(read_ontology_file(path, Reading(kind="disease", **changes), notes))  # type: ignore[arg-type]


def test_terms(tmp_path: Path) -> None:
    notes: list[str] = []
    assert read(write(tmp_path / "own.obo", OBO), notes) == [FIRST, SECOND]
    assert notes == [
        "imports http://example.org/other.obo ! not there: not loaded",
        "2 obsolete concepts skipped (1 have a successor)",
    ]


def test_terms_without_a_name_are_skipped(tmp_path: Path) -> None:
    notes: list[str] = []
    unnamed = '\n[Term]\nid: CHEBI:1\nsynonym: "acid" EXACT []\n\n[Term]\nid: CHEBI:2\nname:\n'
    assert read(write(tmp_path / "own.obo", OBO + unnamed), notes) == [FIRST, SECOND]
    assert notes[1:] == [
        "2 terms without a name skipped",
        "2 obsolete concepts skipped (1 have a successor)",
    ]


def test_all_synonyms(tmp_path: Path) -> None:
    first, _ = read(write(tmp_path / "own.obo", OBO), synonyms="all")
    assert [(name.text, name.relation) for name in first.names[1:]] == [
        ("Stubby finger", "preferred"),
        ("Short thumb", "narrower"),
        ("Short bone", "broader"),
        ("Stub", "related"),
    ]


@pytest.mark.parametrize(
    ("namespace", "found"), [("root", [FIRST]), ("findings", [SECOND]), ("HP", [FIRST, SECOND])]
)
def test_a_namespace(tmp_path: Path, namespace: str, found: list[Concept]) -> None:
    notes: list[str] = []
    assert read(write(tmp_path / "own.obo", OBO), notes, namespace=namespace) == found
    skipped = [f"1 concepts of other namespaces than {namespace} skipped"] if len(found) == 1 else []
    assert notes[2:] == skipped


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "own.obo: holds no concepts"),
        ("format-version: 1.4\n\n[Term]\nid HP:1\n", "line 4: neither a stanza"),
        (
            "[Term]\nid: HP:1\nname: a\nsynonym: b EXACT []\n",
            "line 4: the text of synonym is not in double quotes",
        ),
        ('[Term]\nid: HP:1\nname: a\ndef: "b\n', "line 4: the text of def is not in double quotes"),
        ("\n[Term]\nid: HP:1\n", "no concepts are left: 1 terms without a name skipped"),
        ("[Term]\nname: a\n", "line 1: no id"),
        (
            "[Term]\nid: HP:1\nname: a\n[Term]\nid: HP:1\nname: b\n",
            "line 4: the id HP:1 is also in line 1",
        ),
        (
            "[Term]\nid: HP:1\nname: a\nis_obsolete: true\n",
            r"no concepts are left: 1 obsolete concepts skipped \(0 have",
        ),
    ],
)
def test_bad_files(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(write(tmp_path / "own.obo", text))


def test_no_concept_of_a_namespace(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2 concepts of other namespaces than UBERON"):
        read(write(tmp_path / "own.obo", OBO), namespace="UBERON")
