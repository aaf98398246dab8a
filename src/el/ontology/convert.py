"""Converts ontology files to folders in the project's format, and merges such folders."""

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from el.base.errors import ElError
from el.base.files import read_json, sha256_file
from el.ontology.files import Reading, read_ontology_file
from el.ontology.mapped import MappedNames, mapped_names
from el.ontology.ontology import Concept, Ontology, part_bounds, write_ontology

# In the info of a first part: the fingerprint of the whole ontology, and the number of its names.
_WHOLE, _WHOLE_NAMES = "part_of", "names_of_whole"


def convert_file(
    path: Path, folder: Path, reading: Reading | None = None, notes: list[str] | None = None
) -> dict[str, Any]:
    """Writes an ontology file as an ontology folder.

    Args:
        path, reading, notes: see `read_ontology_file`.
        folder: the folder to write. It is replaced as a whole, or stays untouched if there is an error.

    Returns:
        The manifest.

    Raises:
        ElError: see `read_ontology_file`.
    """
    info = {"source": "file", "files": {path.name: sha256_file(path)}}
    return write_ontology(read_ontology_file(path, reading, notes), folder, info)


def merge_ontologies(
    parts: Mapping[str, Path],
    folder: Path,
    mappings: Mapping[str, set[str]] | None = None,
    notes: list[str] | None = None,
) -> dict[str, Any]:
    """Writes several ontologies as one, in their order.

    A concept of a file that is mapped to one concept of another ontology becomes names of that concept
    (`el.ontology.mapped`).

    Args:
        parts: the user's name for each ontology -> its folder.
        folder: the folder to write. It is replaced as a whole, or stays untouched if there is an error.
        mappings: id of a concept -> ids of the same concept in other ontologies; None for none.
        notes: receives a line about each group of mapped concepts.

    Returns:
        The manifest.

    Raises:
        ElError: two ontologies have a concept with the same id.
        InputError: a part is missing or broken.
    """
    ontologies = {name: Ontology.load(part) for name, part in parts.items()}
    mapped = mapped_names(ontologies, mappings or {})
    if notes is not None:
        notes += mapped.lines()
    given = [part for ontology in ontologies.values() for part in _parts(ontology, mapped)]
    info = {"source": "merged", "parts": given}
    return write_ontology(_all_concepts(ontologies, mapped), folder, info)


def write_first_part(whole: Ontology, folder: Path) -> dict[str, Any]:
    """Writes the concepts of an ontology that most mentions mean: descriptors, and all diseases.

    Args:
        whole: the ontology.
        folder: the folder to write. It is replaced as a whole, or stays untouched if there is an error.

    Returns:
        The manifest. Its info has the fingerprint of the whole and the number of its names; see `part_of`.
    """
    info = whole.info | {_WHOLE: whole.fingerprint, _WHOLE_NAMES: len(whole.concept_of_name)}
    bounds = list(itertools.pairwise(part_bounds(whole)))
    if bounds:
        counts = [sum(_is_first(whole.concept(row)) for row in range(*bound)) for bound in bounds]
        parts = zip(whole.info["parts"], counts, strict=True)
        info |= {"parts": [part | {"concepts": count} for part, count in parts]}
    return write_ontology(filter(_is_first, whole), folder, info)


def _is_first(concept: Concept) -> bool:
    return concept.record == "descriptor" or concept.kind == "disease"


def part_of(folder: Path) -> tuple[str, str] | None:
    """Returns the whole of which an ontology's folder holds the first part; None if it holds a whole.

    Returns:
        The fingerprint of the whole, and what the folder holds, such as "184,210 of 783,980 names".

    Raises:
        InputError: the manifest is broken.
    """
    manifest = read_json(folder / "manifest.json")
    info = manifest.get("info", {}) if isinstance(manifest, dict) else {}
    if _WHOLE not in info:
        return None
    return info[_WHOLE], f"{manifest['names']:,} of {info[_WHOLE_NAMES]:,} names (descriptors and diseases)"


def _parts(ontology: Ontology, mapped: MappedNames) -> list[dict[str, Any]]:
    """The parts of an ontology, each with the number of its concepts; see `part_bounds`."""
    if len(part_bounds(ontology)) > 1:
        return list(ontology.info["parts"])
    gone = sum(concept_id in ontology for concept_id in mapped.target_of)
    return [ontology.info | {"concepts": len(ontology) - gone}]


def _all_concepts(ontologies: Mapping[str, Ontology], mapped: MappedNames) -> Iterator[Concept]:
    owners: dict[str, str] = {}
    for name, ontology in ontologies.items():
        for concept in ontology:
            owner = owners.setdefault(concept.id, name)
            if owner != name:
                raise ElError(f"{name}: the id {concept.id} is in {owner} too. Give each concept a unique id")
            kept = mapped.applied_to(concept)
            if kept is not None:
                yield kept
