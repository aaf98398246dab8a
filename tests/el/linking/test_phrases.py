"""Phrases that need knowledge beside MeSH's own names, with the shipped parts.

The concepts and their lures are MeSH's, beside the embedded slice. Their outside names are those of MONDO,
DOID, HP and EFO, in a file that is mapped to them.
"""

from pathlib import Path

import pytest

from el.commands.index import main as index
from el.linking.linker import Linker

FIXTURES = Path(__file__).parents[2] / "fixtures"


@pytest.fixture(scope="module")
def linker(tmp_path_factory: pytest.TempPathFactory) -> Linker:
    folder = tmp_path_factory.mktemp("phrases") / "linker"
    files = [str(FIXTURES / name) for name in ("phrases.jsonl", "phrases_outside.jsonl")]
    index(["sample", *files, "--output", str(folder)])
    return Linker.load(folder)


@pytest.mark.parametrize(
    ("text", "mention", "concept"),
    [
        ("Patients with HCV infection were treated.", "HCV infection", "D006526"),
        ("She has SCA2 and falls.", "SCA2", "D020754"),
        ("Mutations cause FRDA in this family.", "FRDA", "D005621"),
        ("Families with Pendred syndrome were seen.", "Pendred syndrome", "C536648"),
        ("Intracellular cAMP rose.", "cAMP", "D000242"),
        ("RBV was given with interferon.", "RBV", "D012254"),
        ("Bannayan-Zonana syndrome is rare.", "Bannayan-Zonana syndrome", "D006223"),
        ("X-linked retinitis pigmentosa is severe.", "retinitis pigmentosa", "D012174"),
        ("A woman with breast cancer.", "breast cancer", "D001943"),
        ("A man with lung cancer.", "lung cancer", "D008175"),
        ("PMH: HTN, T2DM, CKD.", "T2DM", "D003924"),
        ("PMH: HTN, T2DM, CKD.", "CKD", "D051436"),
    ],
)
def test_a_phrase_is_linked(linker: Linker, text: str, mention: str, concept: str) -> None:
    found = {one.text: one.id for one in linker(text).mentions}
    assert found.get(mention) == concept
