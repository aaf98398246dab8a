"""Missing packages are told with the extra that has them."""

import re
import sys
import tomllib
from pathlib import Path

import pytest

from el.base.errors import ElError
from el.base.extras import PROJECT, MissingExtraError, needs_extra

ROOT = Path(__file__).parents[3]


def import_absent(name: str) -> None:
    raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@pytest.mark.parametrize("module", ["absent", "absent.below.it"])
def test_package_and_extra_are_named(module: str) -> None:
    with pytest.raises(MissingExtraError) as caught, needs_extra("spacy"):
        import_absent(module)
    assert str(caught.value) == (
        "the package absent is not installed. Install the extra [spacy]: "
        "pip install 'hypencoder-entity-linking[spacy]'"
    )
    # The one message is enough: a chained traceback would hide it.
    assert caught.value.__suppress_context__


def test_a_package_that_is_really_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    # As if it were not installed: `import` refuses what is None here.
    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.delitem(sys.modules, "el.integrations.pandas", raising=False)
    with pytest.raises(MissingExtraError, match=re.escape("[pandas]")):
        import el.integrations.pandas  # noqa: F401


def test_it_is_an_error_for_a_person_and_for_imports() -> None:
    # So a command prints it, and `try: import ... except ImportError` works.
    assert issubclass(MissingExtraError, ElError)
    assert issubclass(MissingExtraError, ModuleNotFoundError)


@pytest.mark.parametrize("module", ["el", "el.absent", "etl.absent"])
def test_a_missing_module_of_the_project_is_no_missing_extra(module: str) -> None:
    with pytest.raises(ModuleNotFoundError) as caught, needs_extra("spacy"):
        import_absent(module)
    assert type(caught.value) is ModuleNotFoundError
    assert caught.value.name == module


def test_a_package_whose_name_begins_alike_is_another() -> None:
    with pytest.raises(MissingExtraError, match="the package elastic is not installed"), needs_extra("spacy"):
        import_absent("elastic")


def test_an_error_without_a_name_stays() -> None:
    error = ModuleNotFoundError("no name")
    with pytest.raises(ModuleNotFoundError) as caught, needs_extra("spacy"):
        raise error
    assert caught.value is error


def test_other_errors_stay() -> None:
    error = ImportError("cannot import name", name="spacy")
    with pytest.raises(ImportError) as caught, needs_extra("spacy"):
        raise error
    assert caught.value is error


def test_of_two_extras_the_inner_one_is_named() -> None:
    with pytest.raises(MissingExtraError, match=re.escape("[pandas]")), needs_extra("spacy"):  # noqa: SIM117
        with needs_extra("pandas"):
            import_absent("pandas")


def test_nothing_happens_where_nothing_is_missing() -> None:
    with needs_extra("spacy"):
        import json
    assert json.loads("1") == 1


def test_every_extra_that_is_named_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == PROJECT
    named = {
        extra
        for folder in ("src", "etl")
        for path in (ROOT / folder).rglob("*.py")
        for extra in re.findall(r'needs_extra\("(\w+)"\)', path.read_text(encoding="utf-8"))
    }
    assert {"pandas", "spacy"} <= named <= project["optional-dependencies"].keys()
