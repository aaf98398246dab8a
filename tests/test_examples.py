"""The examples run as their first lines say."""

import subprocess
import sys
from pathlib import Path

import pytest

from el.linking import places
from el.ontology.ontology import Ontology
from tests.tiny import save_tiny_linker, tiny_encoder, tiny_ontology

EXAMPLES = Path(__file__).parent.parent / "examples"
TERMS = {concept.id: (concept.kind, [name.text for name in concept.names]) for concept in tiny_ontology()}
CORPUS = (
    "{0}1|t|Aspirin and lithium\n{0}1|a|Headache and a cold.\n"
    "{0}1\t0\t7\tAspirin\tChemical\tD001241\n{0}1\t12\t19\tlithium\tChemical\tD008094\n"
    "{0}1\t20\t28\tHeadache\tDisease\tD006261\n{0}1\t35\t39\tcold\tDisease\tD003139\n\n"
)


def run(name: str, *arguments: object) -> list[list[str]]:
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_link(tmp_path: Path) -> None:
    linker = save_tiny_linker(tmp_path / "linker")
    rows = run("link.py", "Aspirin for a headache", linker)
    assert [row[:6] for row in rows] == [
        ["0", "7", "Aspirin", "chemical", "D001241", "Aspirin"],
        ["14", "22", "headache", "disease", "D006261", "Headache"],
    ]


def test_own_ontology(tmp_path: Path) -> None:
    expected = [["Sparkle acid", "HOSP-3", "sparkle acid"]]
    expected += [["elbow that glows", "HOSP-1", "glowing elbow syndrome"]]
    assert run("own_ontology.py", tmp_path) == expected
    assert len(Ontology.load(tmp_path / "linker" / "ontology")) == 3
    # A second run opens the linker that the first has made.
    made = (tmp_path / "linker" / "manifest.json").stat().st_mtime_ns
    assert run("own_ontology.py", tmp_path) == expected
    assert (tmp_path / "linker" / "manifest.json").stat().st_mtime_ns == made


def test_train(tmp_path: Path) -> None:
    rows = [f"{id_},{names[0].replace(',', ' ')},{kind}" for id_, (kind, names) in TERMS.items()]
    (tmp_path / "terms.csv").write_text("\n".join(["id,name,kind", *rows]) + "\n", encoding="utf-8")
    for number, split in enumerate(("train", "dev"), start=1):
        text = "".join(CORPUS.format(10 * number + document) for document in range(5))
        (tmp_path / f"{split}.pubtator").write_text(text, encoding="utf-8")
    tiny_encoder(tmp_path / "encoder")
    arguments = ["--ontology", tmp_path / "terms.csv", "--encoder", tmp_path / "encoder", "--steps", "2"]
    arguments += ["--train", tmp_path / "train.pubtator", "--dev", tmp_path / "dev.pubtator"]
    printed = run("train.py", *arguments, "--out", tmp_path / "out")
    outcomes = [line[0] for line in printed if line[0].startswith(("bi_encoder", "hypencoder"))]
    assert [line.partition(":")[0] for line in outcomes] == ["bi_encoder", "hypencoder"]
    assert (tmp_path / "out" / "hypencoder" / "config.json").is_file()
    assert (tmp_path / "out" / "bi_encoder" / "modules.json").is_file()


@pytest.mark.parametrize("name", ["link.py", "own_ontology.py", "train.py"])
def test_examples_are_short(name: str) -> None:
    assert len((EXAMPLES / name).read_text(encoding="utf-8").splitlines()) <= 70


def test_the_trained_parts_ship_with_the_package() -> None:
    assert places.default_trained_parts().is_relative_to(Path(places.__file__).parents[1])
    assert (places.default_trained_parts() / "model" / "config.json").is_file()
