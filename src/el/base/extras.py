"""Optional packages, and the extras of this project that install them."""

import contextlib
from collections.abc import Iterator

from el.base.errors import ElError

PROJECT = "hypencoder-entity-linking"


class MissingExtraError(ElError, ModuleNotFoundError):
    """A package of an extra is not installed."""


@contextlib.contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Wraps imports of optional packages. If a package is missing, the error names the extra to install.

    Args:
        extra: the extra that contains the packages, as pyproject.toml calls it.

    Raises:
        MissingExtraError: a package that is imported in the block is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        # A missing module of this project is a bug, not a missing extra.
        if error.name is None or error.name.partition(".")[0] in ("el", "etl"):
            raise
        package = error.name.partition(".")[0]
        raise MissingExtraError(
            f"the package {package} is not installed. Install the extra [{extra}]: "
            f"pip install '{PROJECT}[{extra}]'"
        ) from None
