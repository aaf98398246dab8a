"""The mentions and synonyms that weights are fitted on, of one corpus and of two."""

from pathlib import Path

from el.corpus.store import write_documents
from el.corpus.types import Document, Mention, Span
from el.evaluation.fitting_data import corpus_sets
from el.linking.query import Query
from el.ontology.ontology import Concept, Name, Ontology

ONTOLOGY = Ontology.from_concepts(
    [Concept("D1", (Name("fever"),), "disease"), Concept("D2", (Name("aspirin"),), "chemical")]
)


def write(folder: Path, name: str, *mentions: tuple[str, str, str]) -> None:
    folder.mkdir(parents=True)
    for split in ("train", "dev", "test"):
        text = " ".join(form for form, _, _ in mentions)
        annotated = tuple(
            Mention(str(n), (Span(text.index(form), text.index(form) + len(form)),), form, kind, (gold,))
            for n, (form, kind, gold) in enumerate(mentions)
        )
        document = Document(f"{name}-{split}", Document.of_text("", text).passages, annotated)
        write_documents(folder / f"{split}.jsonl", [document])


def name_of(query: Query) -> str:
    """The document of a query; several sets of one corpus number their documents."""
    return query.document_id.partition(",")[0]


def find(documents: object) -> list[tuple[Mention, ...]]:
    """Finds a chemical and a disease in every document."""
    found = (Mention("0", (Span(0, 1),), "x", "chemical"), Mention("1", (Span(1, 2),), "y", "disease"))
    return [found]


def test_each_corpus_is_read_with_its_own_synonyms_and_with_the_others(tmp_path: Path) -> None:
    write(tmp_path / "a", "a", ("fever", "disease", "D1"), ("ASA", "chemical", "D2"))
    write(tmp_path / "b", "b", ("hot", "disease", "D1"))
    sets = corpus_sets([tmp_path], ONTOLOGY, find, 0)
    documents = [{name_of(query) for query in one.queries} for one in sets]
    assert sorted(map(sorted, documents)) == [["a-dev"], ["a-dev"], ["b-dev"], ["b-dev"]]
    known = [
        (min(of_set), "ASA" in {form.upper() for form in one.synonyms.counts})
        for of_set, one in zip(documents, sets, strict=True)
    ]
    assert sorted(known) == [("a-dev", False), ("a-dev", True), ("b-dev", False), ("b-dev", True)]
    # What is found of a kind that a corpus does not annotate is neither right nor wrong.
    found = {(name_of(query), query.type) for one in sets for query in one.queries if query.is_found}
    assert found <= {("a-dev", "chemical"), ("a-dev", "disease"), ("b-dev", "disease")}


def test_one_corpus_is_one_set(tmp_path: Path) -> None:
    write(tmp_path / "a", "a", ("fever", "disease", "D1"))
    (one,) = corpus_sets([tmp_path / "a"], ONTOLOGY, find, 0)
    assert {query.text for query in one.queries if not query.is_found} == {"fever"}
