"""The wheel is the product: installed in an empty environment, in an empty folder, it links.

No clone, no DVC, no extra: what is missing here, a user misses.
"""

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
# Much more than any command takes: what takes longer hangs.
_SECONDS = 240
TERMS = (
    "id,name,synonyms,kind\n"
    "HOSP-1,glowing elbow syndrome,elbow that glows,disease\n"
    "HOSP-2,wobbly knee,knee wobble,disease\n"
    "HOSP-3,sparkle acid,,chemical\n"
)
CORPUS = (
    "1|t|Knee wobble\n1|a|after sparkle acid.\n"
    "1\t0\t11\tKnee wobble\tDisease\tHOSP-2\n1\t18\t30\tsparkle acid\tChemical\tHOSP-3\n\n"
)
SCRIPT = """
import sys
import el
for mention in el.Linker.load()("A wobbly knee, no sparkle acid.").mentions:
    print(mention.text, mention.id, mention.name, sep="\\t")
assert "torch" not in sys.modules
assert "site-packages" in el.__file__
"""


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel, and an empty folder to work in."""

    python: Path
    folder: Path

    def run(self, *command: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment["EL_HOME"] = str(self.folder / "home")
        done = subprocess.run(
            [str(part) for part in command],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
        return done

    def el(self, *arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        return self.run(self.python.with_name("el"), *arguments, code=code)


def required(distribution: metadata.Distribution, extras: set[str]) -> Iterator[Requirement]:
    """Yields what a distribution requires here, with these extras."""
    for requirement in map(Requirement, distribution.requires or ()):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in {"", *extras}):
            yield requirement


def add_requirements(packages: Path) -> None:
    """Adds what the wheel requires to its environment, as links into the environment of the tests.

    To unpack a gigabyte once more takes minutes, and tests nothing of the wheel.
    """
    (wheel,) = metadata.distributions(path=[str(packages)])
    waiting, seen = [*required(wheel, set())], set()
    while waiting:
        requirement = waiting.pop()
        if str(requirement) not in seen:
            seen.add(str(requirement))
            distribution = metadata.distribution(requirement.name)
            link_files(distribution, packages)
            waiting += required(distribution, requirement.extras)


def link_files(distribution: metadata.Distribution, packages: Path) -> None:
    """Links the files of a distribution but its scripts, and what Python has compiled of them."""
    for file in distribution.files or ():
        if ".." in file.parts:
            continue
        source = Path(str(distribution.locate_file(file)))
        compiled = Path("__pycache__", f"{source.stem}.{sys.implementation.cache_tag}.pyc")
        for path in (Path(source.name), *([compiled] if source.suffix == ".py" else [])):
            link = packages / file.parent / path
            if (source.parent / path).exists() and not link.exists():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(source.parent / path)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip"]
    build = [*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([*build, str(ROOT)], check=True, timeout=_SECONDS)
    (wheel,) = folder.glob("*.whl")
    environment = folder / "environment"
    venv.create(environment)
    python = environment / "bin" / "python"
    inside = [*pip, "--python", str(python)]
    subprocess.run([*inside, "install", "--quiet", "--no-deps", str(wheel)], check=True, timeout=_SECONDS)
    add_requirements(Path(sysconfig.get_path("purelib", "venv", {"base": str(environment)})))
    # What is there is what the wheel and its requirements ask for, in these versions.
    subprocess.run([*inside, "check"], check=True, timeout=_SECONDS)
    (folder / "work").mkdir()
    return Installed(python, folder / "work")


@pytest.fixture(scope="module")
def linker(installed: Installed) -> Path:
    """A linker of a small ontology, in the user's folder, by the trained parts inside the package."""
    (installed.folder / "hospital.csv").write_text(TERMS, encoding="utf-8")
    printed = installed.el("index", "hospital.csv").stdout
    assert printed.startswith(str(installed.folder / "home"))
    return Path(printed.strip())


def test_the_base_has_no_package_of_the_pipeline(installed: Installed) -> None:
    listed = installed.run(sys.executable, "-m", "pip", "--python", installed.python, "freeze").stdout.lower()
    names = {line.partition("==")[0] for line in listed.splitlines()}
    assert {"numpy", "openvino", "torch", "transformers"} <= names
    extras = {"dvc", "dvclive", "hydra-core", "accelerate", "sentence-transformers", "matplotlib"}
    assert not names & (extras | {"scikit-learn", "pandas", "spacy", "rdflib"})


def test_a_text_is_linked(installed: Installed, linker: Path) -> None:
    (installed.folder / "note.txt").write_text("An elbow that glows after sparkle acid.", encoding="utf-8")
    for command in (("el",), (installed.python, "-m", "el")):
        program = command if len(command) > 1 else (installed.python.with_name("el"),)
        rows = [line.split("\t") for line in installed.run(*program, "link", "note.txt").stdout.splitlines()]
        assert [row[3:6] for row in rows[1:]] == [
            ["elbow that glows", "disease", "HOSP-1"],
            ["sparkle acid", "chemical", "HOSP-3"],
        ]
    assert sorted(path.name for path in installed.folder.iterdir()) == ["home", "hospital.csv", "note.txt"]


def test_the_front_door_in_python(installed: Installed, linker: Path) -> None:
    printed = installed.run(installed.python, "-c", SCRIPT).stdout
    assert printed == "wobbly knee\tHOSP-2\twobbly knee\nsparkle acid\tHOSP-3\tsparkle acid\n"


def test_a_corpus_is_evaluated(installed: Installed, linker: Path, tmp_path: Path) -> None:
    (tmp_path / "corpus.pubtator").write_text(CORPUS, encoding="utf-8")
    table = installed.el("evaluate", tmp_path / "corpus.pubtator", "--linker", linker.name).stdout
    assert "2 mentions against 3 concepts" in table
    assert "| el_link | 1.000 (1.000–1.000) |" in table


def test_a_missing_extra_is_named(installed: Installed) -> None:
    for module, extra in (
        ("el.pipeline.compose", "pipeline"),
        ("el.integrations.pandas", "pandas"),
        ("el.integrations.spacy", "spacy"),
    ):
        done = installed.run(installed.python, "-c", f"import {module}", code=1)
        assert f"pip install 'hypencoder-entity-linking[{extra}]'" in done.stderr
    (installed.folder / "terms.ttl").write_text("@prefix x: <http://x/> .\n", encoding="utf-8")
    done = installed.el("index", "terms.ttl", "--kind", "disease", code=1)
    (installed.folder / "terms.ttl").unlink()
    assert "pip install 'hypencoder-entity-linking[ontologies]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_data_folder_that_cannot_be_written(installed: Installed) -> None:
    (installed.folder / "file").write_text("not a folder", encoding="utf-8")
    environment = f"EL_HOME={installed.folder / 'file'}"
    (installed.folder / "terms.csv").write_text(TERMS, encoding="utf-8")
    command = ("env", environment, installed.python.with_name("el"), "index", "terms.csv")
    done = installed.run(*command, code=74)
    for name in ("file", "terms.csv"):
        (installed.folder / name).unlink()
    assert "Traceback" not in done.stderr
    assert "Set the environment variable EL_HOME" in done.stderr
