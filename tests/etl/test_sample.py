"""The embedded sample: what it promises."""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest

from el.corpus.bioc_xml import read_bioc
from el.corpus.pubtator import read_pubtator
from el.corpus.types import Document, Mention
from el.corpus.views import mentions_full
from el.ontology.mesh import convert_mesh
from el.ontology.mesh_source import SAMPLE_MESH, MeshSource, fetch_mesh
from el.ontology.ontology import Ontology

SAMPLE = Path(__file__).parents[2] / "etl" / "sample"
SPLITS = ("train", "dev", "test")
DOCUMENTS = {"train": 64, "dev": 16, "test": 16}
AMBIGUOUS = {"MS", "PD", "CP", "RA", "PCP"}


@pytest.fixture(scope="module")
def ontology(tmp_path_factory: pytest.TempPathFactory) -> Ontology:
    folder = tmp_path_factory.mktemp("mesh")
    fetch_mesh(MeshSource(source="path", path=str(SAMPLE_MESH)), folder / "raw", folder / "cache")
    convert_mesh(folder / "raw", folder / "ontology")
    return Ontology.load(folder / "ontology")


@pytest.fixture(scope="module")
def corpora() -> dict[str, list[Document]]:
    return {split: list(read_bioc(SAMPLE / "corpus" / f"{split}.BioC.xml")) for split in SPLITS}


def _mentions(documents: list[Document]) -> list[Mention]:
    """All mentions but the parts of composites."""
    return [mention for document in documents for mention in document.mentions if mention.role != "part"]


def _introduced_abbreviations(document: Document) -> list[Mention]:
    """Mentions that stand alone in parentheses and come back later with the same ids."""
    text = document.text
    return [
        mention
        for mention in document.mentions
        if text[mention.start - 1 : mention.start] == "("
        and text[mention.stop : mention.stop + 1] == ")"
        and any(
            (later.text, later.concept_ids) == (mention.text, mention.concept_ids)
            for later in document.mentions
            if later.start > mention.start
        )
    ]


def test_number_and_size_of_documents(corpora: dict[str, list[Document]]) -> None:
    assert {split: len(documents) for split, documents in corpora.items()} == DOCUMENTS
    documents = [document for split in SPLITS for document in corpora[split]]
    assert len({document.id for document in documents}) == len(documents)
    for document in documents:
        assert 60 <= len(document.text.split()) <= 140
        assert document.relations


@pytest.mark.parametrize(
    ("split", "abbreviations", "composites", "discontinuous", "nil"),
    [("train", 64, 10, 14, 16), ("dev", 20, 3, 5, 4), ("test", 20, 5, 7, 3)],
)
def test_hard_cases(
    corpora: dict[str, list[Document]],
    split: str,
    abbreviations: int,
    composites: int,
    discontinuous: int,
    nil: int,
) -> None:
    documents = corpora[split]
    mentions = _mentions(documents)
    everything = [mention for document in documents for mention in document.mentions]
    assert sum(len(_introduced_abbreviations(document)) for document in documents) >= abbreviations
    assert sum(mention.role == "composite" for mention in mentions) >= composites
    assert sum(mention.is_discontinuous for mention in everything) >= discontinuous
    assert sum(mention.is_discontinuous and mention.role == "single" for mention in everything) >= 2
    assert sum(not mention.concept_ids for mention in mentions) >= nil
    assert any(concept_id.startswith("C") for mention in mentions for concept_id in mention.concept_ids)


@pytest.mark.parametrize("split", ["dev", "test"])
def test_a_good_part_is_unseen_in_training(corpora: dict[str, list[Document]], split: str) -> None:
    training = _mentions(corpora["train"])
    forms = {mention.text.lower() for mention in training}
    ids = {concept_id for mention in training for concept_id in mention.concept_ids}
    mentions = [mention for mention in _mentions(corpora[split]) if mention.concept_ids]
    assert sum(mention.text.lower() not in forms for mention in mentions) >= 0.25 * len(mentions)
    assert sum(ids.isdisjoint(mention.concept_ids) for mention in mentions) >= 0.25 * len(mentions)


def test_short_forms_whose_meaning_the_context_decides(corpora: dict[str, list[Document]]) -> None:
    meanings: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    splits: dict[str, set[str]] = defaultdict(set)
    for split, documents in corpora.items():
        for mention in _mentions(documents):
            if mention.text in AMBIGUOUS:
                meanings[mention.text].add(mention.concept_ids)
                splits[mention.text].add(split)
    assert all(len(meanings[form]) >= 2 for form in AMBIGUOUS)
    for split in SPLITS:
        assert sum(split in splits[form] for form in AMBIGUOUS) >= 3
    # One abstract gives a form one meaning.
    for document in (document for documents in corpora.values() for document in documents):
        ids: dict[str, set[tuple[str, ...]]] = defaultdict(set)
        for mention in document.mentions:
            ids[mention.text].add(mention.concept_ids)
        assert all(len(ids[form]) == 1 for form in AMBIGUOUS & ids.keys())


def test_every_occurrence_of_a_short_form_is_marked(corpora: dict[str, list[Document]]) -> None:
    checked = 0
    for document in (document for documents in corpora.values() for document in documents):
        marked = {(span.start, span.stop) for mention in document.mentions for span in mention.spans}
        for form in {mention.text for mention in _introduced_abbreviations(document)}:
            for match in re.finditer(rf"(?<!\w){re.escape(form)}(?!\w)", document.text):
                inside = [s for s in marked if s[0] <= match.start() and match.end() <= s[1]]
                assert inside, (document.id, form, match.start())
                checked += 1
    # Each of those that `test_hard_cases` counts is there twice at least.
    assert checked >= 2 * (64 + 20 + 20)


def test_the_slice_is_large_enough(ontology: Ontology) -> None:
    records = ontology.concepts["record"].to_pylist()
    assert records.count("descriptor") >= 1800
    assert records.count("supplementary") >= 500
    assert set(ontology.kinds) == {"chemical", "disease", "other"}


def test_mentioned_concepts_exist_with_the_right_kind_and_a_note(
    corpora: dict[str, list[Document]], ontology: Ontology
) -> None:
    definitions, records = ontology.concepts["definition"], ontology.concepts["record"]
    mentions = [mention for documents in corpora.values() for mention in _mentions(documents)]
    assert sum(len(mention.concept_ids) for mention in mentions) > 500
    for mention in mentions:
        for concept_id in mention.concept_ids:
            row = ontology.row_of[concept_id]
            assert ontology.kinds[row] == mention.type
            # A supplementary record has its note in another element, which is not read.
            if records[row].as_py() == "descriptor":
                assert definitions[row].as_py().endswith(".")


@pytest.mark.parametrize("split", SPLITS)
def test_pubtator_and_bioc_say_the_same(corpora: dict[str, list[Document]], split: str) -> None:
    """PubTator has no parts of composites, and gives a discontinuous mention from its start to its stop."""

    def said(documents: Sequence[Document]) -> list[object]:
        return [
            (
                document.id,
                document.text,
                sorted(
                    (m.start, m.stop, m.type, m.concept_ids, m.part_texts) for m in mentions_full(document)
                ),
                sorted(document.relations),
            )
            for document in documents
        ]

    assert said(corpora[split]) == said(list(read_pubtator(SAMPLE / "corpus" / f"{split}.PubTator.txt")))
