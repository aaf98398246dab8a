"""Where linkers are found and written when no folder is given."""

from pathlib import Path

from el.base.errors import InputError
from el.base.places import data_folder
from el.linking.folder import FORMAT, is_linker

# In the current folder: all of MeSH, made by `el index`; the sample, made by the pipeline.
_HERE = Path("models")
_MESH, _PIPELINE = "mesh", "linker"
_INDEX = "`el index` makes one of all of MeSH; see `el index --help` for an ontology of your own"


def linkers_folder() -> Path:
    """Returns the folder of the user's linkers that this version reads.

    Each format has a folder of its own, so that two versions of this project stand side by side.
    """
    return data_folder() / "linkers" / FORMAT


def new_linker_folder(name: str) -> Path:
    """Returns where a new linker goes: `models` of the current folder where it exists, else the user's."""
    return (_HERE if _HERE.is_dir() else linkers_folder()) / name


def find_linker(given: str | Path | None = None) -> Path:
    """Returns the folder of a linker.

    Args:
        given: a folder, or the name of a linker in `models` of the current folder or in the user's folder.
            None takes the first that exists: models/mesh, models/linker, the user's `mesh`, or the only
            linker in the user's folder.

    Raises:
        InputError: there is no such linker, or it is unclear which one is meant.
    """
    if given is None:
        return _default_linker()
    folder = Path(given)
    if folder.is_dir():
        return folder
    if folder.name == str(given):
        for place in (_HERE / folder, linkers_folder() / folder):
            if is_linker(place):
                return place
    raise InputError(given, "", "no linker here", f"{_INDEX}. {_known()}")


def _default_linker() -> Path:
    own = linkers_folder()
    for folder in (_HERE / _MESH, _HERE / _PIPELINE, own / _MESH):
        if folder.is_dir():
            return folder
    linkers = _linkers(own)
    if len(linkers) == 1:
        return linkers[0]
    if linkers:
        raise InputError(own, "", "holds several linkers", f"Choose one with --linker. {_known()}")
    raise InputError(own, "", "no linker here yet", f"{_INDEX}. {_known()}".strip())


def _linkers(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if is_linker(path)) if folder.is_dir() else []


def _known() -> str:
    """What a person can choose from, and linkers that other versions left."""
    own = linkers_folder()
    names = [path.name for path in [*_linkers(_HERE), *_linkers(own)]]
    text = f"Known linkers: {', '.join(dict.fromkeys(names))}. " if names else ""
    others = {
        path.name: _linkers(path)
        for path in sorted(own.parent.glob("*"))
        if path.is_dir() and path.name != FORMAT
    }
    for format, linkers in others.items():
        for linker in linkers:
            text += f"{linker} is of format {format}, which this version does not read: make it again. "
    return text.strip()
