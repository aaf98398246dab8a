from pathlib import Path

import pytest

from el.base.errors import InputError
from el.corpus.inputs import find_inputs


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    names = ("b.xml", "a.txt", "a.ann", "sub/c.txt.gz", "sub/c.ann.gz", "sub/d.ann", "sub/deep/[e].txt")
    for name in (*names, ".hidden", ".git/f.txt", "annotation.conf"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["."], ["a.txt", "b.xml", "sub/c.txt.gz", "sub/d.ann", "sub/deep/[e].txt"]),
        (["sub", "b.xml"], ["sub/c.txt.gz", "sub/d.ann", "sub/deep/[e].txt", "b.xml"]),
        (["*.txt"], ["a.txt"]),
        (["**/*.txt"], ["a.txt", "sub/deep/[e].txt"]),
        (["**"], ["a.txt", "b.xml", "sub/c.txt.gz", "sub/d.ann", "sub/deep/[e].txt"]),
        (["su?/*.gz"], ["sub/c.txt.gz"]),
        (["b.xml", "./b.xml", "sub/../b.xml"], ["b.xml"]),
        (["a.ann", "a.txt"], ["a.txt"]),
        (["sub/deep/[e].txt"], ["sub/deep/[e].txt"]),
        ([".hidden"], [".hidden"]),
    ],
)
def test_each_file_is_found_once(folder: Path, arguments: list[str], expected: list[str]) -> None:
    assert [str(path) for path in find_inputs(arguments)] == expected
    absolute = find_inputs([folder / argument for argument in arguments])
    assert [path.resolve() for path in absolute] == [(folder / name).resolve() for name in expected]


def test_links_do_not_lead_in_circles(folder: Path) -> None:
    (folder / "sub" / "up").symlink_to(folder)
    assert len(find_inputs(["."])) == 5


@pytest.mark.parametrize(
    ("argument", "problem"),
    [
        ("absent", "absent: no such file or folder"),
        ("*.pdf", r"\*\.pdf: no file matches"),
        ("empty", "empty: holds no files"),
    ],
)
def test_what_matches_nothing_is_named(folder: Path, argument: str, problem: str) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match=problem):
        find_inputs(["a.txt", argument])
