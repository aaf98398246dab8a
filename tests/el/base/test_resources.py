"""Work for which there is no room is refused before it starts."""

from pathlib import Path

import pytest

from el.base.errors import ElError
from el.base.resources import check_room


def test_what_fits_may_begin(tmp_path: Path) -> None:
    check_room(tmp_path / "not" / "there", 1, 1, "the index")
    # To ask for room makes no folder.
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("disk", "memory", "message"),
    [
        (10**18, 1, r"the index takes 1000000000\.0 GB on disk, but [\d.]+ GB are free\. Free some space"),
        (1, 10**18, r"the index takes 1000000000\.0 GB of memory, but [\d.]+ GB are available\. Close"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, disk: int, memory: int, message: str) -> None:
    with pytest.raises(ElError, match=message):
        check_room(tmp_path / "not" / "there", disk, memory, "the index")
