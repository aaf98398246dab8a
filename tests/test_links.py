"""Links and images of the pages point to what is there."""

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "results/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "src" / "el" / "trained").glob("*/README.md")),
]
_FENCED = re.compile(r"^ *(```|~~~).*?^ *\1", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]+`")
# [text](target), ![text](target "title"), [name]: target, and HTML.
_TARGETS = re.compile(
    r"\]\(\s*<?([^)\s>]+)>?[^)]*\)|^ {0,3}\[[^\]]+\]:\s*(\S+)|\b(?:src|href)=[\"']([^\"']+)[\"']",
    re.MULTILINE,
)
_ELSEWHERE = re.compile(r"[a-z][a-z+.-]*:|//", re.IGNORECASE)
_HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$", re.MULTILINE)


def targets_of(text: str) -> list[str]:
    """The links and images of a page that are not addresses elsewhere."""
    plain = _CODE.sub("", _FENCED.sub("", text))
    targets = ["".join(match.groups("")) for match in _TARGETS.finditer(plain)]
    return [target for target in targets if not _ELSEWHERE.match(target)]


def anchors_of(text: str) -> set[str]:
    """What a fragment may be: the headings as GitHub writes them, the second of a kind with a number."""
    seen: Counter[str] = Counter()
    anchors = set(re.findall(r"\b(?:id|name)=\"([^\"]+)\"", text))
    for heading in _HEADING.findall(_FENCED.sub("", text)):
        # Of a link only its text shows.
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        anchors.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    return anchors


def faults_of(page: Path) -> list[str]:
    faults = []
    for target in targets_of(page.read_text(encoding="utf-8")):
        path, _, fragment = target.partition("#")
        file = page.parent / path if path else page
        if not file.exists():
            faults.append(f"{target}: no such file")
        elif fragment and (
            file.suffix != ".md" or fragment not in anchors_of(file.read_text(encoding="utf-8"))
        ):
            faults.append(f"{target}: no such heading")
    return faults


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_point_to_what_is_there(page: Path) -> None:
    assert faults_of(page) == []


def test_there_are_links_to_look_at() -> None:
    targets = {page.relative_to(ROOT).as_posix(): targets_of(page.read_text("utf-8")) for page in PAGES}
    assert len(PAGES) > 8
    assert "docs/hypencoder.svg" in targets["README.md"]
    assert sum("#" in target for page in targets.values() for target in page) > 10


def test_what_is_wrong_is_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text(
        "# What it costs\n\n## A `b`, c?\n\n## A b c\n\n```\n# no heading\n```\n"
    )
    (tmp_path / "page.md").write_text(
        "# Here\n[a](other.md) ![b](gone.png) [c](other.md#what-it-costs) [d](other.md#a-b-c)\n"
        "[e](other.md#a-b-c-1) [f](other.md#a-b-c-2) [g](other.md#no-heading) [h](#here) [i](#there)\n"
        '[j](https://example.org/gone) `[k](gone.md)` [l][m] <img src="gone.svg">\n\n[m]: lost.md\n\n'
        '```\n[n](gone.md)\n```\n[two\nlines](away.md "title")\n'
    )
    assert faults_of(tmp_path / "page.md") == [
        "gone.png: no such file",
        "other.md#a-b-c-2: no such heading",
        "other.md#no-heading: no such heading",
        "#there: no such heading",
        "gone.svg: no such file",
        "lost.md: no such file",
        "away.md: no such file",
    ]
