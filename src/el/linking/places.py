"""Where linkers are looked for and written if the user names no folder."""

from pathlib import Path

from el.base.errors import InputError
from el.base.places import data_folder
from el.index.estimate import MESH_OPERATIONS, encoding_minutes
from el.linking.folder import FORMAT, is_linker, trained_on

# Trained parts that ship with the package, and those that `el index` takes.
TRAINED = Path(__file__).parents[1] / "trained"
DEFAULT_TRAINED = "bc5cdr_indra-minilm"

# Folders of linkers in the current folder. `el index` makes "mesh" and "sample", and the pipeline "linker".
_HERE = Path("models")
_MESH, _SAMPLE, _PIPELINE = "mesh", "sample", "linker"


def default_trained_parts() -> Path:
    """Returns the folder of the trained parts that ship with the package."""
    return TRAINED / DEFAULT_TRAINED


def linkers_folder() -> Path:
    """Returns the folder of the user's linkers that this version reads.

    Each format has a separate folder, so that two versions of this project can be used side by side.
    """
    return data_folder() / "linkers" / FORMAT


def new_linker_folder(name: str) -> Path:
    """Returns the folder of a new linker: in ./models if that exists, otherwise in the user's folder."""
    return (_HERE if _HERE.is_dir() else linkers_folder()) / name


def find_linker(given: str | Path | None = None) -> Path:
    """Returns the folder of a linker.

    Args:
        given: a folder, or the name of a linker in `models` of the current folder or in the user's folder.
            None stands for the first that exists: models/mesh, models/linker, the user's `mesh`, the only
            other linker in the user's folder, models/sample, the user's `sample`. If the pipeline made
            models/linker from the embedded sample, it comes last, because it is hardly trained.

    Raises:
        InputError: there is no such linker, or the user's folder holds several and none was named.
    """
    if given is None:
        return _default_linker()
    folder = Path(given)
    places = [folder]
    if folder.name == str(given):
        places += [_HERE / folder, linkers_folder() / folder]
    found = next((place for place in places if is_linker(place)), None)
    if found is None:
        raise InputError(str(given) or '""', "", "no linker here", f"{_remedy()}. {_known()}".strip())
    return found


def _default_linker() -> Path:
    users = linkers_folder()
    pipeline = _HERE / _PIPELINE
    is_of_sample = trained_on(pipeline) == _SAMPLE
    for folder in (_HERE / _MESH, *([] if is_of_sample else [pipeline]), users / _MESH):
        if folder.is_dir():
            return folder
    linkers = [path for path in _linkers(users) if path.name != _SAMPLE]
    if len(linkers) > 1:
        raise InputError(users, "", "holds several linkers", f"Choose one with --linker. {_known()}")
    last = (_HERE / _SAMPLE, users / _SAMPLE, *([pipeline] if is_of_sample else []))
    found = next((folder for folder in (*linkers, *last) if folder.is_dir()), None)
    if found is None:
        raise InputError(users, "", "no linker here yet", f"{_remedy()}. {_known()}".strip())
    return found


def _remedy() -> str:
    # The index takes a third of the time that encoding takes, about.
    minutes = encoding_minutes(MESH_OPERATIONS) * 4 / 3
    return (
        "`el index sample` makes one for a small slice of MeSH within a minute, and `el index` one for all "
        f"of MeSH, in about {max(minutes, 1):.0f} min on this machine; see `el index --help` for your own "
        "ontology"
    )


def _linkers(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if is_linker(path)) if folder.is_dir() else []


def _known() -> str:
    """Returns a sentence about the linkers to choose from, and about linkers of other versions."""
    users = linkers_folder()
    names = [path.name for path in [*_linkers(_HERE), *_linkers(users)]]
    text = f"Known linkers: {', '.join(dict.fromkeys(names))}. " if names else ""
    others = {
        path.name: _linkers(path)
        for path in sorted(users.parent.glob("*"))
        if path.is_dir() and path.name != FORMAT
    }
    for format, linkers in others.items():
        for linker in linkers:
            text += (
                f"{linker} is of format {format}, which this version does not read: make it again with "
                "`el index`. "
            )
    return text.strip()
