"""What all tests share."""

import gc
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from el.base.places import HOME_VARIABLE

# Test processes share the cores, and tiny models gain nothing by threads: several wait for each other.
# Libraries read this when they are imported, here and in the commands that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A busy machine is not a fault of the code.
settings.register_profile("el", deadline=None)
settings.load_profile("el")


@pytest.fixture(scope="session", autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test sees or writes what its user keeps."""
    before = os.environ.get(HOME_VARIABLE)
    os.environ[HOME_VARIABLE] = str(tmp_path_factory.mktemp("home"))
    yield
    os.environ.pop(HOME_VARIABLE)
    if before is not None:
        os.environ[HOME_VARIABLE] = before


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest file comes first, so that two processes end at about the same time."""
    items.sort(key=lambda item: item.path.name != "test_pipeline.py")


def pytest_collection_finish() -> None:
    """What is imported stays. Each training collects garbage, and would look through it for half a second."""
    gc.collect()
    gc.freeze()
