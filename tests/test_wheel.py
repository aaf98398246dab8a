"""The wheel is the product: installed in an empty environment, in an empty folder, it links.

No clone, no DVC, no extra: what is missing here, a user misses.
"""

import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# An installation downloads a gigabyte where pip has no cache.
_SECONDS = 1200
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


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", str(folder), str(ROOT)], check=True, timeout=_SECONDS)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "environment", with_pip=True)
    python = folder / "environment" / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--no-compile"]
    subprocess.run(
        [*install, "--constraint", str(ROOT / "constraints.txt"), str(wheel)], check=True, timeout=_SECONDS
    )
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
    listed = installed.run(installed.python, "-m", "pip", "list", "--format", "freeze").stdout.lower()
    names = {line.partition("==")[0] for line in listed.splitlines()}
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
