"""Stage: fetches the raw corpus, as BioC XML, PubTator text or both."""

import shutil
from collections.abc import Mapping
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

SPLITS = ("train", "dev", "test")
FORMATS = ("BioC.xml", "PubTator.txt")


@dataclass(frozen=True)
class Corpus:
    """A corpus on the web.

    Attributes:
        url: the address of the folder with the archives.
        archives: name of each zip archive -> its members: name in the archive -> (name in the output folder,
            SHA-256). The archives have no pins, because they may be packed again with the same files.
    """

    url: str
    archives: Mapping[str, Mapping[str, tuple[str, str]]]


CORPORA = {
    "bc5cdr": Corpus(
        "https://ftp.ncbi.nlm.nih.gov/pub/lu/BC5CDR",
        {
            "CDR_Data.zip": {
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
        },
    ),
    "ncbi_disease": Corpus(
        "https://www.ncbi.nlm.nih.gov/CBBresearch/Dogan/DISEASE",
        {
            "NCBItrainset_corpus.zip": {
                "NCBItrainset_corpus.txt": (
                    "train.PubTator.txt",
                    "f311381b28a6d0f641f57f4a963bb83619c2bdec5cd9caabb1381f894d5db817",
                ),
            },
            "NCBIdevelopset_corpus.zip": {
                "NCBIdevelopset_corpus.txt": (
                    "dev.PubTator.txt",
                    "02db559974624ae9cbe6cd95d64d953e6926bb63afb6b25b63e53bd8b41a4b55",
                ),
            },
            "NCBItestset_corpus.zip": {
                "NCBItestset_corpus.txt": (
                    "test.PubTator.txt",
                    "61c8050bf6979ef7b943ec1158dfc03b651ea3367d4c37356f9de4841e85c9a3",
                ),
            },
        },
    ),
}

# The most bytes of an archive, and of its members together, unpacked. The limits protect the disk from an
# address that sends something else; at larger values, more of it may arrive.
_MAX_ARCHIVE_BYTES = 64 << 20
_MAX_MEMBER_BYTES = 64 << 20


@dataclass(frozen=True)
class CorpusSource:
    """Where the corpus comes from.

    Attributes:
        source: "bc5cdr" and "ncbi_disease" are corpora that are fetched, "both" is the two of them. "path" is
            a local folder.
        url: for one corpus that is fetched, the address of the folder with its archives; "" for the official
            one (`CORPORA`).
        mirror: a local folder with the archives, or its address; "" for none. The mirror is tried before
            `url`. The environment variable EL_MIRROR overrides this parameter.
        path: for "path", a folder with {train,dev,test}.BioC.xml or .PubTator.txt or both.
    """

    source: Literal["bc5cdr", "ncbi_disease", "both", "path"]
    url: str = ""
    mirror: str = ""
    path: str = ""


def fetch_corpus(source: CorpusSource, out: Path, cache: Path, *, patience: Patience = PATIENCE) -> None:
    """Writes {train,dev,test}.BioC.xml or .PubTator.txt or both, and source.json, into the folder `out`.

    With the source "both", a folder of each corpus's name has its files. Other data never replaces the source
    that the parameters name.

    Args:
        source: where the corpus comes from.
        out: the folder to write. It is replaced as a whole, or stays untouched if there is an error.
        cache: the folder that keeps downloads; see `el.base.download.obtain`.
        patience: how long to keep trying an address.

    Raises:
        ConfigError: the source is "path" and the path is empty, or "both" and there is an address.
        FetchError: neither mirror nor address provides an archive, or the disk is full.
        InputError: a file is broken or missing, or does not have the pinned checksum.
    """
    with disk_errors(out), atomic_folder(out) as folder:
        if source.source == "path":
            _copy_splits(source.path, folder)
            write_source(folder, {"source": source.source, "from": "a local folder"})
        elif source.source == "both":
            if source.url:
                raise ConfigError("data.corpus.url: one address for two corpora. Set data.corpus.mirror")
            for name in CORPORA:
                (folder / name).mkdir()
                _fetch(name, source, folder / name, cache, patience)
        else:
            _fetch(source.source, source, folder, cache, patience)


def _fetch(name: str, source: CorpusSource, folder: Path, cache: Path, patience: Patience) -> None:
    """Writes the files of a corpus's archives, and source.json."""
    corpus = CORPORA[name]
    url = (source.url or corpus.url).rstrip("/")
    origins: dict[str, None] = {}
    for archive_name, members in corpus.archives.items():
        archive = obtain(
            [archive_name],
            [f"{url}/{archive_name}"],
            mirror_location(source.mirror),
            cache,
            max_bytes=_MAX_ARCHIVE_BYTES,
            remedy=_remedy(corpus),
            patience=patience,
        )
        pins = {member: pin for member, (_, pin) in members.items()}
        extract_members(archive.path, pins, folder, _MAX_MEMBER_BYTES)
        for member, (file, _) in members.items():
            (folder / member).rename(folder / file)
        origins[archive.origin] = None
    write_source(folder, {"source": name, "from": ", ".join(origins)})


def _remedy(corpus: Corpus) -> str:
    return (
        f"Put {', '.join(corpus.archives)} into a folder and name the folder in the environment variable "
        "EL_MIRROR or the parameter data.corpus.mirror; or go back to the made-up sample: "
        "`python -m el.pipeline.compose`, then `dvc repro`."
    )


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
