from dataclasses import replace

import pytest

from el.corpus.types import Document, Mention, Passage, Role, Span
from el.evaluation.baselines import ExactMatch, FirstAnswer, MajorityLookup, TfidfNames
from el.linking.query import Query
from el.linking.ranking import Ranker, Ranking
from el.ontology.ontology import Concept, Name, Ontology, Record


def concept(concept_id: str, *names: str, record: Record = "descriptor") -> Concept:
    return Concept(concept_id, tuple(Name(name) for name in names), "disease", record=record)


def query(text: str, expanded: str = "") -> Query:
    return Query("1/0", "1", text, "disease", ("unused",), expanded or text)


def ranked(ranker: Ranker, text: str, k: int = 10, expanded: str = "") -> tuple[str, ...]:
    (ranking,) = ranker.rank([query(text, expanded)], k)
    assert len(ranking.scores) == len(ranking.concept_ids)
    assert list(ranking.scores) == sorted(ranking.scores, reverse=True)
    return ranking.concept_ids


@pytest.fixture(scope="module")
def ontology() -> Ontology:
    return Ontology.from_concepts(
        [
            concept("C3", "Shock", record="supplementary"),
            concept("D4", "Circulatory Collapse", "Shock"),
            concept("C1", "Septic State", "Shock", record="supplementary"),
            concept("D2", "Shock"),
            concept("D1", "shock."),
            concept("D7", "Acute Kidney Injury", "Acute Renal Failure"),
            concept("D8", "Kidney Neoplasms", "Cancer of Kidney"),
        ]
    )


@pytest.fixture(scope="module")
def training() -> list[Document]:
    texts = [
        ("AKI", "D7"),
        ("AKI", "D8"),
        ("aki", "D8"),
        ("tie", "D9 D1"),
        ("nil", ""),
        ("x y", "D5 D6"),
        ("x", "D5"),
    ]
    mentions = []
    for number, (text, ids) in enumerate(texts):
        role: Role = "part" if text == "x" else "single"
        mentions.append(Mention(str(number), (Span(0, 1),), text, "disease", tuple(ids.split()), role=role))
    return [Document("1", (Passage("title", 0, "text"),), tuple(mentions))]


def test_lookup_ranks_by_frequency_then_id(training: list[Document]) -> None:
    lookup = MajorityLookup(training)
    assert lookup.rank([query("Aki")], 10) == [Ranking(("D8", "D7"), (2 / 3, 1 / 3))]
    assert ranked(lookup, "aki", k=1) == ("D8",)
    assert ranked(lookup, "tie") == ("D1", "D9")
    assert ranked(lookup, "x") == ("D5",)
    assert ranked(lookup, "nil") == ranked(lookup, "never seen") == ()


def test_exact_match_prefers_preferred_names_then_descriptors_then_small_ids(ontology: Ontology) -> None:
    assert ranked(ExactMatch(ontology), "SHOCK") == ("D1", "D2", "C3", "D4", "C1")
    assert ranked(ExactMatch(ontology), "shock", k=2) == ("D1", "D2")
    assert ranked(ExactMatch(ontology), "acute-renal failure") == ("D7",)
    assert ranked(ExactMatch(ontology), "renal failure") == ()


def test_signs_alone_are_equal_to_nothing(training: list[Document]) -> None:
    signs = Ontology.from_concepts([concept("D1", "Something", "++")])
    (document,) = training
    mention = replace(document.mentions[0], text="--", concept_ids=("D1",))
    for ranker in (ExactMatch(signs), MajorityLookup([replace(document, mentions=(mention,))])):
        assert ranked(ranker, "--") == ()


def test_tfidf_finds_similar_names(ontology: Ontology) -> None:
    tfidf = TfidfNames(ontology)
    assert ranked(tfidf, "acute renal failures")[0] == "D7"
    assert ranked(tfidf, "kidney cancer", k=1) == ("D8",)
    assert ranked(tfidf, "shock")[:2] == ("C1", "C3")
    assert ranked(tfidf, "zzzz") == ()


def test_tfidf_scores_are_cosines_of_the_best_name(ontology: Ontology) -> None:
    (ranking,) = TfidfNames(ontology).rank([query("cancer of kidney")], 10)
    assert ranking.scores[0] == pytest.approx(1)
    assert ranking.concept_ids == ("D8", "D7")


def test_tfidf_keeps_the_order_of_queries_over_batches_and_repetitions(ontology: Ontology) -> None:
    texts = [name for name in ontology.name_texts for _ in range(3)] + [f"shock {i}" for i in range(40)]
    tfidf = TfidfNames(ontology)
    together = tfidf.rank([query(text) for text in texts], 3)
    # A product of one row may round otherwise than the same row of a larger product.
    for text, ranking in zip(texts, together, strict=True):
        (alone,) = tfidf.rank([query(text)], 3)
        assert alone.concept_ids == ranking.concept_ids
        assert alone.scores == pytest.approx(ranking.scores)


def test_candidates_restrict_all_of_them(ontology: Ontology, training: list[Document]) -> None:
    candidates = {"D4", "D7", "not in the ontology"}
    assert ranked(MajorityLookup(training, candidates), "aki") == ("D7",)
    assert ranked(ExactMatch(ontology, candidates), "shock") == ("D4",)
    assert ranked(TfidfNames(ontology, candidates), "shock") == ("D4",)
    assert ranked(TfidfNames(ontology, candidates), "cancer of kidney") == ("D7",)


def test_abbreviations_are_expanded_if_asked(ontology: Ontology, training: list[Document]) -> None:
    long_form = "acute kidney injury"
    assert ranked(ExactMatch(ontology), "AKI", expanded=long_form) == ()
    assert ranked(ExactMatch(ontology, expand_abbreviations=True), "AKI", expanded=long_form) == ("D7",)
    assert ranked(TfidfNames(ontology), "AKI", expanded=long_form) == ()
    assert ranked(TfidfNames(ontology, expand_abbreviations=True), "AKI", expanded=long_form)[0] == "D7"
    assert ranked(MajorityLookup(training), "AKI", expanded="x") == ("D8", "D7")
    assert ranked(MajorityLookup(training, expand_abbreviations=True), "AKI", expanded="x") == ("D5",)


def test_first_answer_asks_the_next_only_where_there_is_none(
    ontology: Ontology, training: list[Document]
) -> None:
    both = FirstAnswer([MajorityLookup(training), ExactMatch(ontology)])
    rankings = both.rank([query("shock"), query("aki"), query("unknown"), query("acute renal failure")], 1)
    assert [ranking.concept_ids for ranking in rankings] == [("D1",), ("D8",), (), ("D7",)]
