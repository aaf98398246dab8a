"""What all tests share."""

import pytest
from hypothesis import settings

# A busy machine is not a fault of the code.
settings.register_profile("el", deadline=None)
settings.load_profile("el")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest file comes first, so that two processes end at about the same time."""
    items.sort(key=lambda item: item.path.name != "test_pipeline.py")
