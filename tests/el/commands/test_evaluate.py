"""`python -m el.evaluate`, on a corpus as others write it."""

import gzip
import json
from pathlib import Path

import pytest

from el.base.errors import ElError, InputError, UsageError
from el.commands.evaluate import main
from el.linking.config import LinkerConfig
from el.linking.synonyms import LearnedSynonyms
from tests.el.linking.test_synonyms import document
from tests.tiny import save_tiny_linker, tiny_ontology

# Types of NCBI's disease corpus, prefixes, several ids, OMIM, a gene, and an id that was retired.
CORPUS = """\
1|t|Paracetamol and acute liver failure
1|a|TP53 and a headache.
1\t0\t11\tParacetamol\tChemical\tMESH:D000082
1\t16\t35\tacute liver failure\tSpecificDisease\tMESH:D017114|OMIM:123456
1\t36\t40\tTP53\tGene\t7157
1\t47\t55\theadache\tModifier\tD000001+D006261

2|t|Lead
2|a|It hurts.
2\t0\t4\tLead\tChemical\tD999999
2\t8\t13\thurts\tDisease\t-1

"""


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.txt"
    path.write_text(CORPUS)
    return path


@pytest.fixture(scope="module")
def linker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    known = LearnedSynonyms.of_documents([document("headache", ("headache", "D006261"))], tiny_ontology())
    folder = tmp_path_factory.mktemp("linkers") / "linker"
    return save_tiny_linker(folder, LinkerConfig(use_learned_synonyms=True), known)


def test_figures_of_a_corpus(
    corpus: Path, linker: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    main([str(corpus), "--linker", str(linker), "--output", str(out)])
    shown = capsys.readouterr()
    assert "left out: 1 mention with numbers without a prefix as ids (7157)" in shown.err
    assert "scored by other ids: 1 mention also with OMIM ids (OMIM:123456)" in shown.err
    assert "2 mentions with ids that the ontology does not have (D000001, D999999)" in shown.err
    lines = [line for line in shown.out.splitlines() if line.startswith("| ")]
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["model", "el_link", "el_link_learned"]
    figures = json.loads((out / "figures.json").read_text())
    assert figures["full/el_link/all/count"] == 4
    # By spelling: all but the one whose id the ontology does not have.
    assert figures["full/el_link/all/accuracy@1"] == 0.75
    assert figures["full/el_link/nil/count"] == 1
    assert figures["full/el_link/unseen_form/count"] == 3
    rows = gzip.decompress((out / "el_link.jsonl.gz").read_bytes()).decode().splitlines()
    assert [json.loads(row)["ranked"][0] for row in rows[:2]] == ["D000082", "D017114"]
    with pytest.raises(UsageError, match="exists"):
        main([str(corpus), "--linker", str(linker), "--output", str(out)])


@pytest.mark.parametrize(
    ("ids", "reason"),
    [
        ("7157", "numbers without a prefix"),
        ("C0018681", r"1 mention with UMLS ids \(C0018681\)"),
        ("HP:0002315", "HP ids"),
        ("SNOMEDCT_US:25064002", "SNOMED CT ids"),
        ("R51.9", "ICD-10 ids"),
        # The vocabulary is that of the ontology, which has none of these ids: all would be misses.
        ("D999999", r"does not have \(D999999\)"),
    ],
)
def test_a_corpus_that_cannot_be_scored_is_refused(
    ids: str, reason: str, linker: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other.txt"
    path.write_text(f"1|t|headache\n1|a|\n1\t0\t8\theadache\tDisease\t{ids}\n\n")
    with pytest.raises(InputError, match=rf"other\.txt: no mention has an id of the linker's.*{reason}"):
        main([str(path), "--linker", str(linker)])
    assert not capsys.readouterr().out


def test_ids_of_another_vocabulary_are_scored_by_a_mapping(
    linker: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, mapping = tmp_path / "corpus.txt", tmp_path / "map.tsv"
    path.write_text(CORPUS.replace("MESH:D000082", "UMLS:C0000970"))
    mapping.write_text("cui\tmesh\nC0000970\tMESH:D000082\n")
    main([str(path), "--linker", str(linker), "--mapping", str(mapping), "--output", str(tmp_path / "out")])
    assert "1 mention with mapped ids (UMLS:C0000970 = D000082)" in capsys.readouterr().err
    figures = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert (figures["full/el_link/all/count"], figures["full/el_link/all/accuracy@1"]) == (4, 0.75)


_SECOND = CORPUS.partition("\n\n")[2]


@pytest.mark.parametrize(
    ("added", "message"),
    [
        (_SECOND, "document 2: occurs again. "),
        (_SECOND.replace("D999999", "D007854"), "document 2: occurs again, with another content"),
        ("3|t|Cold\n3|a|\n3\t1\t4\tCold\tDisease\tD003139\n\n", "expected 'Cold' at 1:4"),
        ("3|t|Cold\n3|a|\n3\t0\t3\tCold\tDisease\tD003139\n\n", "expected 'Cold' at 0:3"),
    ],
)
def test_what_is_broken_is_refused_or_passed_over(
    added: str, message: str, corpus: Path, linker: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(corpus), "--linker", str(linker)])
    figures = capsys.readouterr().out
    corpus.write_text(CORPUS + added)
    with pytest.raises(InputError, match=message):
        main([str(corpus), "--linker", str(linker)])
    with pytest.raises(ElError, match="1 document or mention was not scored"):
        main([str(corpus), "--linker", str(linker), "--keep-going"])
    shown = capsys.readouterr()
    assert shown.out == figures
    assert shown.err.count("skipped: ") == 1
    assert message in shown.err


def test_a_document_of_two_files_is_one(corpus: Path, linker: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text(_SECOND)
    with pytest.raises(InputError, match=r"other\.txt: document 2: occurs again"):
        main([str(corpus), str(other), "--linker", str(linker)])


@pytest.mark.parametrize("type", ["Gene", "Mutation", "CellLine"])
def test_mentions_that_are_not_scored_cost_nothing(
    type: str, corpus: Path, linker: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their text is not the one at their place."""
    corpus.write_text(CORPUS.rstrip("\n") + f"\n2\t0\t2\tnone\t{type}\t7157\n\n")
    main([str(corpus), "--linker", str(linker)])
    shown = capsys.readouterr()
    assert "1 annotation of types that are not scored cannot be used. The first:" in shown.err
    assert "| el_link" in shown.out
    corpus.write_text(corpus.read_text().replace(f"\t{type}\t", "\tDisease\t"))
    with pytest.raises(InputError, match="expected 'none'"):
        main([str(corpus), "--linker", str(linker)])


def test_found_mentions_are_scored_by_place_and_id(
    corpus: Path, linker: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    main([str(corpus), "--linker", str(linker), "--output", str(out), "--find-mentions"])
    assert "Mentions found in the text, corpus.txt." in capsys.readouterr().out
    figures = json.loads((out / "figures.json").read_text())
    # A mention of a type that is not sought is no miss.
    assert figures["el_link/all/count"] == 5
    assert figures["el_link/mentions/count"] == 4
    assert figures["el_link/all/recall"] > 0.5
    assert 0 < figures["el_link/documents/f1"] <= 1


def test_links_at_places_that_are_not_scored_do_not_count(
    linker: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "1|t|headache and acute liver failure\n1|a|\n1\t0\t8\theadache\tDisease\tD006261\n"
    whole, other = tmp_path / "whole.txt", tmp_path / "other.txt"
    whole.write_text(f"{text}1\t13\t32\tacute liver failure\tDisease\tD017114\n\n")
    other.write_text(f"{text}1\t13\t32\tacute liver failure\tDisease\tOMIM:123456\n\n")
    figures = {}
    for path in (whole, other):
        main([str(path), "--linker", str(linker), "-o", str(tmp_path / path.stem), "--find-mentions"])
        figures[path] = json.loads((tmp_path / path.stem / "figures.json").read_text())
    capsys.readouterr()
    assert figures[other]["el_link/all/precision"] == figures[whole]["el_link/all/precision"] == 1.0
    assert figures[other]["el_link/mentions/precision"] == 1.0
    assert figures[other]["el_link/mentions/count"] == 1
