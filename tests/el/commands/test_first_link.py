"""The first links that a user sees: the sample document, the shipped parts and the embedded slice of MeSH."""

from pathlib import Path

import pytest

from el.commands.index import main as index
from el.commands.link import SAMPLE
from el.commands.link import main as link
from el.corpus.types import LinkedMention
from el.linking.linker import Linker

# Every mention of the document with its concept, in the order of the text. "hepatic necrosis" is an injury by
# a drug here; annotators of BC5CDR would choose D047508 too.
LINKS = [
    ("Acute liver failure", "D017114"),
    ("overdose", "D062787"),
    ("acetaminophen", "D000082"),
    ("migraine", "D008881"),
    ("acetaminophen", "D000082"),
    ("APAP", "D000082"),
    ("paracetamol", "D000082"),
    ("nausea", "D009325"),
    ("vomiting", "D014839"),
    ("abdominal pain", "D015746"),
    ("APAP", "D000082"),
    ("Hepatic encephalopathy", "D006501"),
    ("acute kidney injury", "D058186"),
    ("AKI", "D058186"),
    ("acute liver failure", "D017114"),
    ("ALF", "D017114"),
    ("overdose", "D062787"),
    ("glutathione", "D005978"),
    ("N-acetyl-p-benzoquinone imine", "C028473"),
    ("NAPQI", "C028473"),
    ("hepatic necrosis", "D056486"),
    ("acetylcysteine", "D000111"),
    ("lactulose", "D007792"),
    ("AKI", "D058186"),
    ("ALF", "D017114"),
    ("chronic alcoholism", "D000437"),
    ("isoniazid", "D007538"),
    ("phenobarbital", "D010634"),
    ("hepatotoxicity", "D056486"),
    ("APAP", "D000082"),
]


@pytest.fixture(scope="module")
def linker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("first") / "sample"
    index(["sample", "--output", str(folder)])
    return folder


def mentions(linker: Path, text: str) -> list[LinkedMention]:
    return list(Linker.load(linker)(text).mentions)


def test_every_link_of_the_sample_document_is_right(linker: Path) -> None:
    found = mentions(linker, SAMPLE.read_text(encoding="utf-8"))
    assert [(one.text, one.id) for one in found] == LINKS


@pytest.mark.parametrize(
    "text",
    [
        "Aminotransferases were above 8,000 U/L and the INR was 4.2.",
        "The level was 12 mg/L, then 3 U/L.",
        "She stayed for 72 hours without dialysis.",
    ],
)
def test_units_and_tests_are_not_linked(linker: Path, text: str) -> None:
    assert mentions(linker, text) == []


def test_the_command_links_it_without_an_input(linker: Path, capsys: pytest.CaptureFixture[str]) -> None:
    link(["--linker", str(linker)])
    lines = capsys.readouterr().out.splitlines()
    assert [(row[3], row[5]) for row in (line.split("\t") for line in lines[1:])] == LINKS
