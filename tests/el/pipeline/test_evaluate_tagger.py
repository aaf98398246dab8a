"""How well plain text is linked, on a corpus of three documents."""

from pathlib import Path

import pytest

from el.base.errors import ElError
from el.corpus.store import write_documents
from el.linking.linker import Linker
from el.pipeline.evaluate_tagger import score
from el.report.found import found_table
from tests.el.linking.test_synonyms import document
from tests.tiny import save_tiny_linker


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    folder = tmp_path_factory.mktemp("evaluated")
    train = document("jaundiced skin", ("jaundiced skin", "D017093"))
    test = document("Headache, then lithium and gnosis", ("Headache", "D006261"), ("gnosis", "D017093"))
    for split, documents in (("train", [train]), ("dev", [train]), ("test", [test])):
        write_documents(folder / f"{split}.jsonl", documents)
    linker = Linker.load(save_tiny_linker(folder / "linker", with_tagger=True))
    return score(linker, folder, "test")


def test_what_the_dictionary_finds_is_counted(flat: dict[str, float]) -> None:
    # It finds "Headache", rightly. It also finds "lithium", but the corpus annotates no chemicals.
    names = ("precision", "recall", "f1", "count")
    for row in ("all", "disease", "mentions", "documents"):
        assert [flat[f"dictionary/{row}/{name}"] for name in names] == [1.0, 0.5, 0.666667, 2]
    assert flat["tagger/all/count"] == 2
    assert not any("/chemical/" in key for key in flat)


def test_a_linker_without_a_tagger_is_refused(tmp_path: Path) -> None:
    write_documents(tmp_path / "dev.jsonl", [document("a cold")])
    linker = Linker.load(save_tiny_linker(tmp_path / "linker"))
    with pytest.raises(ElError, match="no tagger"):
        score(linker, tmp_path, "dev")


def test_table_has_a_row_for_each_system(flat: dict[str, float]) -> None:
    lines = found_table(flat, "Caption.").markdown().splitlines()
    assert lines[0] == "Caption."
    assert "| span and type | dictionary | 1.000 | .500 | .667 (.667–.667) | 2 |" in lines
    assert sum("| tagger |" in line for line in lines) == 5
