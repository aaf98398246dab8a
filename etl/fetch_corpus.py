"""Stage: fetches the raw corpus, as BioC XML and PubTator text."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from el.base.cli import run_command
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
from el.base.files import atomic_folder
from el.base.params import load_params, load_section

ARCHIVE = "CDR_Data.zip"
SPLITS = ("train", "dev", "test")
FORMATS = ("BioC.xml", "PubTator.txt")

# The members of the BC5CDR archive: name in the archive -> (name in the output folder, SHA-256). The archive
# itself has no pin, because it may be packed again with the same files.
BC5CDR_MEMBERS = {
    "CDR_TrainingSet.BioC.xml": (
        "train.BioC.xml",
        "37d03c8ebb22369fbf8f2099e4bc6570accba8473e9129dddd6278e7e01e1adc",
    ),
    "CDR_TrainingSet.PubTator.txt": (
        "train.PubTator.txt",
        "7afcec134e3d4871e74b0398d92850d3c9ac94c0bdc780003f2d60184c012bd8",
    ),
    "CDR_DevelopmentSet.BioC.xml": (
        "dev.BioC.xml",
        "6ec138899a4b6448b40adf4e159a06184f68f8a5a7e13575903c5e127d734d88",
    ),
    "CDR_DevelopmentSet.PubTator.txt": (
        "dev.PubTator.txt",
        "9e18d8e700168887a7919e62f67ac2ce2357e3f409a48ee992906abdd80fe3e5",
    ),
    "CDR_TestSet.BioC.xml": (
        "test.BioC.xml",
        "32d94f03c52e028931513ab52719b5bc7bb8e4fc0e3d99bba37e2b7442e3da35",
    ),
    "CDR_TestSet.PubTator.txt": (
        "test.PubTator.txt",
        "a3c48d5f35bdfce20c2371778abedc9fd24d1da092207072e5181ad53c8d0e2f",
    ),
}

# The most bytes of the archive, and of its members together, unpacked. The limits protect the disk from an
# address that sends something else; at larger values, more of it may arrive.
_MAX_ARCHIVE_BYTES = 64 << 20
_MAX_MEMBER_BYTES = 64 << 20

_REMEDY = (
    f"Put {ARCHIVE} into a folder and name the folder in the environment variable EL_MIRROR or the "
    "parameter data.corpus.mirror; or go back to the made-up sample: `python -m el.pipeline.compose`, then "
    "`dvc repro`."
)


@dataclass(frozen=True)
class CorpusSource:
    """Where the corpus comes from.

    Attributes:
        source: "bc5cdr" is BC5CDR, which is fetched. "path" is a local folder.
        url: for "bc5cdr", the address of the archive.
        mirror: a local folder with CDR_Data.zip, or its base address; "" for none. The mirror is tried before
            the address. The environment variable EL_MIRROR overrides this parameter.
        path: for "path", a folder with {train,dev,test}.BioC.xml or .PubTator.txt or both.
    """

    source: Literal["bc5cdr", "path"]
    url: str = "https://ftp.ncbi.nlm.nih.gov/pub/lu/BC5CDR/CDR_Data.zip"
    mirror: str = ""
    path: str = ""


def fetch_corpus(source: CorpusSource, out: Path, cache: Path, *, patience: Patience = PATIENCE) -> None:
    """Writes {train,dev,test}.BioC.xml and .PubTator.txt and source.json into the folder `out`.

    Other data never replaces the source that the parameters name.

    Args:
        source: where the corpus comes from.
        out: the folder to write. It is replaced as a whole, or stays untouched if there is an error.
        cache: the folder that keeps downloads; see `el.base.download.obtain`.
        patience: how long to keep trying an address.

    Raises:
        ConfigError: the source is "path" and the path is empty, or the address does not end in a file name.
        FetchError: neither mirror nor address provides the archive, or the disk is full.
        InputError: a file is broken or missing, or does not have the pinned checksum.
    """
    with disk_errors(out), atomic_folder(out) as folder:
        if source.source == "bc5cdr":
            origin = _fetch_bc5cdr(source, folder, cache, patience)
        else:
            _copy_splits(source.path, folder)
            origin = "a local folder"
        write_source(folder, {"source": source.source, "from": origin})


def _fetch_bc5cdr(source: CorpusSource, folder: Path, cache: Path, patience: Patience) -> str:
    archive = obtain(
        [ARCHIVE],
        [source.url],
        mirror_location(source.mirror),
        cache,
        max_bytes=_MAX_ARCHIVE_BYTES,
        remedy=_REMEDY,
        patience=patience,
    )
    pins = {member: pin for member, (_, pin) in BC5CDR_MEMBERS.items()}
    extract_members(archive.path, pins, folder, _MAX_MEMBER_BYTES)
    for member, (name, _) in BC5CDR_MEMBERS.items():
        (folder / member).rename(folder / name)
    return archive.origin


def _copy_splits(path: str, folder: Path) -> None:
    if not path:
        raise ConfigError("data.corpus.path: empty. With `source: path`, give the folder of the corpus")
    given = Path(path).expanduser().resolve()
    for split in SPLITS:
        names = [f"{split}.{suffix}" for suffix in FORMATS]
        held = [name for name in names if (given / name).is_file()]
        if not held:
            remedy = "Give a folder with BioC XML or PubTator text for each of train, dev and test"
            raise InputError(given, "", f"neither {names[0]} nor {names[1]} exists", remedy)
        for name in held:
            shutil.copyfile(given / name, folder / name)


def main() -> None:
    """Runs the stage with the section `data.corpus` of params.yaml."""
    params = load_params()
    data = Path(params["data"]["folder"])
    fetch_corpus(
        load_section(CorpusSource, params, "data.corpus"), data / "raw" / "corpus", data / "downloads"
    )


if __name__ == "__main__":
    run_command(main, __doc__)
