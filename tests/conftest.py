"""What all tests share."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest file comes first, so that two processes end at about the same time."""
    items.sort(key=lambda item: item.path.name != "test_pipeline.py")
