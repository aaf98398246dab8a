"""What a DVC stage depends on is what its command imports.

A stage whose code is missing from `deps` keeps stale results after an edit. A dependency that a stage does
not have makes it run for nothing.
"""

import re
from pathlib import Path
from typing import Any

import grimp
import pytest
import yaml

ROOT = Path(__file__).parent.parent
STAGES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]

# Imported by stages, but no output changes with them.
NEVER_IN_OUTPUTS = {
    "src/el/base/cli.py": "messages and exit codes",
    "src/el/base/errors.py": "messages",
    "src/el/base/extras.py": "messages",
    "src/el/base/params.py": "reads parameters, which stages depend on by themselves",
    "src/el/base/places.py": "folders of the user, which stages do not use",
    "src/el/base/progress.py": "messages",
    "src/el/index/estimate.py": "messages",
    "src/el/base/stand_ins.py": "messages",
    "src/el/base/resources.py": "room is asked for, nothing is written",
}
# Imported by a module that several stages share, but not used by the stage.
NOT_USED = {
    "benchmark": {"src/el/tagging": "mentions are given"},
    "evaluate": {"src/el/tagging": "mentions are given"},
    "machine": {"src/el": "runs every time"},
}


def _imported(graph: grimp.ImportGraph, module: str) -> set[str]:
    """The files of a module and of all that it imports, also within functions."""
    names = {module} | graph.find_upstream_modules(module)
    paths = (Path(*name.split(".")) for name in names)
    paths = (path if path.parts[0] == "etl" else "src" / path for path in paths)
    return {
        (path / "__init__.py" if (ROOT / path).is_dir() else path.with_suffix(".py")).as_posix()
        for path in paths
    }


def _is_in(path: str, folders: Any) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        return grimp.build_graph("el", "etl", exclude_type_checking_imports=True, cache_dir=None)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_what_it_imports(graph: grimp.ImportGraph, name: str) -> None:
    stage = STAGES[name]
    command = re.match(r"python -m (\S+)", stage["cmd"])
    assert command is not None
    imported = _imported(graph, command[1])
    code = [dep for dep in stage.get("deps", []) if dep.startswith(("src/", "etl/")) and "/sample" not in dep]
    left_out = NEVER_IN_OUTPUTS.keys() | NOT_USED.get(name, {}).keys()
    needed = {path for path in imported if not path.endswith("__init__.py") and not _is_in(path, left_out)}
    assert sorted(path for path in needed if not _is_in(path, code)) == [], "missing from deps"
    assert [dep for dep in code if not any(_is_in(path, [dep]) for path in imported)] == [], "not imported"
    assert not left_out & set(code), "both in deps and left out"


def test_what_is_left_out_exists() -> None:
    paths = [*NEVER_IN_OUTPUTS, *(path for left_out in NOT_USED.values() for path in left_out)]
    assert all((ROOT / path).exists() for path in paths)
    assert NOT_USED.keys() <= STAGES.keys()
