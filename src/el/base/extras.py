"""Optional packages, and the extras of this project that install them."""

import contextlib
from collections.abc import Iterator

from el.base.errors import ElError

PROJECT = "hypencoder-entity-linking"


class MissingExtraError(ElError, ModuleNotFoundError):
    """A package is not installed that an extra brings."""


@contextlib.contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Around imports of optional packages: where one is missing, says which extra brings it.

    Raises:
        MissingExtraError: a package that is imported in the block is not installed.
    """
    try:
        yield
    except MissingExtraError:
        raise
    except ModuleNotFoundError as error:
        # A module of this project that is missing is a bug.
        if error.name is None or error.name.partition(".")[0] in ("el", "etl"):
            raise
        package = error.name.partition(".")[0]
        raise MissingExtraError(
            f"the package {package} is not installed. The extra [{extra}] brings it: "
            f"pip install '{PROJECT}[{extra}]'"
        ) from error
