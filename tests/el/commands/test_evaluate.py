"""`python -m el.evaluate`, on a corpus as others write it."""

import gzip
import json
from pathlib import Path

import pytest

from el.base.errors import InputError, UsageError
from el.commands.evaluate import main, prepared
from el.corpus.pubtator import read_pubtator
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


def test_what_counts(corpus: Path) -> None:
    documents, notes = prepared(read_pubtator(corpus), tiny_ontology(), {"D000001": "D003139"})
    mentions = [mention for document in documents for mention in document.mentions]
    assert [(mention.text, mention.type, mention.concept_ids) for mention in mentions] == [
        ("Paracetamol", "chemical", ("D000082",)),
        ("acute liver failure", "disease", ("D017114", "OMIM:123456")),
        ("headache", "disease", ("D003139", "D006261")),
        ("Lead", "chemical", ("D999999",)),
        ("hurts", "disease", ()),
    ]
    assert notes == [
        "left out: 1 mentions of type gene",
        "ids that are not in the ontology: 2 (OMIM:123456, D999999, ...)",
    ]


def test_ids_of_an_ontology_other_than_mesh_count(corpus: Path) -> None:
    corpus.write_text(CORPUS.replace("D000001+D006261", "HOSP-12|HP:0002315"))
    documents, notes = prepared(read_pubtator(corpus), {"HOSP-12"}, {})
    assert [mention.concept_ids for mention in documents[0].mentions][2] == ("HOSP-12",)
    assert notes[0] == "left out: 1 mentions of type gene"


def test_figures_of_a_corpus(
    corpus: Path, linker: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    main([str(corpus), "--linker", str(linker), "--output", str(out)])
    shown = capsys.readouterr()
    assert "left out: 1 mentions of type gene" in shown.err
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


def test_a_corpus_without_ids_is_refused(linker: Path, tmp_path: Path) -> None:
    path = tmp_path / "genes.txt"
    path.write_text("1|t|TP53\n1|a|\n1\t0\t4\tTP53\tGene\t7157\n\n")
    with pytest.raises(InputError, match=r"genes\.txt.*no mention has an id of MeSH"):
        main([str(path), "--linker", str(linker)])
