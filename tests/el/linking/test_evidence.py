from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from el.base.errors import ConfigError
from el.corpus.known_forms import Sense
from el.linking.evidence import (
    GROUPS,
    KINDS,
    NONE_KINDS,
    Calibration,
    Combination,
    Evidence,
    EvidenceCollector,
    OperatingPoint,
    calibration_group,
    is_acronym,
    with_document,
)
from el.linking.query import Query
from el.linking.rankers import ModelRanker, Retrieved
from el.linking.synonyms import LearnedSynonyms
from el.ontology.ontology import Concept, Name, Ontology
from el.ontology.spellings import Spellings
from tests.el.linking.test_synonyms import document
from tests.tiny import tiny_ontology, tiny_ranker
from tests.work import assert_in_proportion


@pytest.fixture(scope="module")
def ontology() -> Ontology:
    return tiny_ontology()


@pytest.fixture(scope="module")
def ranker(ontology: Ontology, tmp_path_factory: pytest.TempPathFactory) -> ModelRanker:
    return tiny_ranker(tmp_path_factory.mktemp("ranker"), ontology, 5)


def query(text: str, expanded: str = "", kind: str = "disease", gold: tuple[str, ...] = ()) -> Query:
    return Query("d/0", "d", text, kind, gold, expanded or text)


def collect(ranker: ModelRanker, query: Query, dictionary: bool = True, **options: Any) -> Evidence:
    spellings = Spellings.of_ontology(ranker.ontology) if dictionary else None
    collector = EvidenceCollector(ranker, spellings, **options)
    return collector.collect([query])[0]


def of(evidence: Evidence, ontology: Ontology, kind: str, concept_id: str) -> float:
    (place,) = np.flatnonzero(evidence.concepts == ontology.row_of[concept_id])
    return float(evidence.of(kind)[place])


def test_names_spelled_like_the_mention_are_candidates(ranker: ModelRanker, ontology: Ontology) -> None:
    # Read with its context the mention lies near none of its equals; they are there nevertheless.
    few = ModelRanker(ranker.engine, ranker.vectors, ontology, 3)
    given = replace(query("COLD"), left="The patient had a", right="and took lithium.")
    called = ["D003139", "D029424", "D003080"]
    without = {ontology.ids[row] for row in collect(few, given, dictionary=False).concepts}
    assert not without.issuperset(called)
    evidence = collect(few, given)
    assert [of(evidence, ontology, "spelling", i) for i in called] == [1.0, 1.0, 1.0]
    assert evidence.of("spelling").sum() == 3
    assert not evidence.of("preferred_name").any()
    assert [of(evidence, ontology, "type", i) for i in called] == [1.0, 1.0, 0.0]
    evidence = collect(ranker, query("Head ache"))
    assert of(evidence, ontology, "preferred_name", "D006261") == 1.0
    place = list(evidence.concepts).index(ontology.row_of["D006261"])
    assert ontology.name_texts[evidence.names[place]] == "Headache"


def test_a_mention_to_be_written_out_keeps_what_its_short_form_says(
    ranker: ModelRanker, ontology: Ontology
) -> None:
    evidence = collect(ranker, query("APAP", "head pain"))
    assert of(evidence, ontology, "short_form", "D000082") == 1.0
    assert of(evidence, ontology, "spelling", "D000082") == 0.0
    assert of(evidence, ontology, "spelling", "D006261") == 1.0
    assert of(evidence, ontology, "short_form", "D006261") == 0.0


def test_scores_are_those_of_each_concepts_best_name(ranker: ModelRanker, ontology: Ontology) -> None:
    evidence = collect(ranker, query("aspirin"))
    found = ranker.retrieve(["aspirin"], [Spellings.of_ontology(ontology).names("aspirin")], alone=[0])
    concepts = ontology.concept_of_name[found.name_rows[0]]
    for kind, scores in (("model", found.scores[0]), ("similarity", found.similarities[0])):
        expected = [scores[concepts == concept].max() - scores.max() for concept in evidence.concepts]
        np.testing.assert_allclose(evidence.of(kind), expected, atol=1e-6)
    assert evidence.of("model").max() == evidence.of("similarity").max() == 0.0


def test_what_training_mentions_show(ranker: ModelRanker, ontology: Ontology) -> None:
    forms = [("yellow", "D017093"), ("yellow", "D017093"), ("yellow", "D003139"), ("icterus", "D017093")]
    synonyms = LearnedSynonyms.of_documents([document(f, (f, i)) for f, i in forms], ontology)
    evidence = collect(ranker, query("Yellow"), synonyms=synonyms)
    assert of(evidence, ontology, "learned_share", "D017093") == pytest.approx(2 / 3)
    assert of(evidence, ontology, "learned_count", "D003139") == pytest.approx(np.log(2))
    assert of(evidence, ontology, "known", "D017093") == pytest.approx(np.log(4))
    assert evidence.of("learned_share").sum() == pytest.approx(1)
    without = collect(ranker, query("Yellow"))
    assert not any(without.of(kind).any() for kind in GROUPS["learned"])


def test_learned_concepts_are_candidates(ranker: ModelRanker, ontology: Ontology) -> None:
    retrieved = collect(ranker, query("skin")).concepts
    absent = ontology.ids[next(row for row in range(len(ontology)) if row not in retrieved)]
    synonyms = LearnedSynonyms.of_documents([document("skin", ("skin", absent))], ontology)
    evidence = collect(ranker, query("skin"), synonyms=synonyms)
    assert of(evidence, ontology, "learned_share", absent) == 1.0


def test_without_the_dictionary_spelling_counts_nothing(ranker: ModelRanker) -> None:
    assert any(collect(ranker, query("cold")).of(kind).any() for kind in GROUPS["dictionary"])
    evidence = collect(ranker, query("cold"), dictionary=False)
    assert not any(evidence.of(kind).any() for kind in GROUPS["dictionary"])


def test_only_allowed_candidates(ranker: ModelRanker, ontology: Ontology) -> None:
    synonyms = LearnedSynonyms.of_documents([document("cold", ("cold", "D008094"))], ontology)
    allowed = {"D003139", "D000082", "not known"}
    restricted = ModelRanker(ranker.engine, ranker.vectors, ontology, 5, allowed)
    evidence = collect(restricted, query("cold"), synonyms=synonyms, candidates=allowed)
    assert {ontology.ids[row] for row in evidence.concepts} == {"D003139", "D000082"}


def test_a_combination_is_a_weighted_sum() -> None:
    values = np.zeros((2, len(KINDS)), dtype=np.float32)
    values[:, KINDS.index("model")] = [-1.0, 0.0]
    values[:, KINDS.index("spelling")] = [1.0, 0.0]
    evidence = Evidence(
        np.array([3, 4]), np.array([7, 8]), values, np.zeros(len(NONE_KINDS), dtype=np.float32)
    )
    scores = Combination({"model": 2.0, "spelling": 0.5}).scores(evidence)
    assert scores.tolist() == [-1.5, 0.0]
    with pytest.raises(ConfigError, match="colour unknown"):
        Combination({"colour": 1.0})
    for weight in (float("nan"), "1.0", None):
        with pytest.raises(ConfigError, match="the weight of model"):
            Combination({"model": weight})  # type: ignore[dict-item]


def test_the_operating_point_answers_most_at_a_precision() -> None:
    curve = [
        OperatingPoint(0.1, 1.0, 0.9, 0.8),
        OperatingPoint(0.5, 0.7, 0.95, 0.9),
        OperatingPoint(0.9, 0.2, 0.97, 0.95),
    ]
    combination = Combination({}, curve=tuple(curve))
    assert combination.operating_point(0.85) == curve[1]
    assert combination.operating_point(0.5) == curve[0]
    with pytest.raises(ConfigError, match=r"a precision of 0\.99; the best is 0\.950"):
        combination.operating_point(0.99)
    with pytest.raises(ConfigError, match="nothing measured"):
        Combination({}).operating_point(0.5)


def test_a_mention_may_have_no_right_candidate() -> None:
    doubtful = Combination({"model": 1.0}, {"constant": 1.0, "acronym": 2.0})
    known = candidates(0.0)
    acronym = replace(
        known, none=np.array([kind in ("constant", "acronym") for kind in NONE_KINDS], dtype="f4")
    )
    assert doubtful.shares(known).tolist() == pytest.approx([1 / 3, 1 / 3])
    assert doubtful.shares(acronym).tolist() == pytest.approx([1 / (2 + np.exp(3))] * 2)
    # Without weights, one candidate always is right.
    assert Combination({"model": 1.0}).shares(acronym).sum() == pytest.approx(1)
    with pytest.raises(ConfigError, match="colour unknown"):
        Combination({}, {"colour": 1.0})


def test_probabilities_are_calibrated_for_each_group() -> None:
    two = Evidence(
        np.array([0, 1]),
        np.array([0, 1]),
        np.array([[kind == "model" for kind in KINDS], [0.0] * len(KINDS)], dtype="f4"),
        np.array([kind == "constant" for kind in NONE_KINDS], dtype="f4"),
    )
    weights = ({"model": 1.0}, {"constant": 0.0})
    shares = Combination(*weights).shares(two)
    for line in (Calibration(-1.0, 1.0), Calibration(1.0, 1.0), Calibration(0.0, 3.0), Calibration(9.0, 2.0)):
        combination = Combination(*weights, {"seen": line, "unseen": Calibration(5.0, 0.1)})
        assert combination.shares(two).tolist() == shares.tolist()
        probabilities = combination.probabilities(two)
        logit = line.offset + line.slope * np.log(shares[0] / (1 - shares[0]))
        assert probabilities[0] == pytest.approx(1 / (1 + np.exp(-logit)))
        # The order stays, and there is no more than certainty.
        assert probabilities[0] > probabilities[1] >= 0
        assert probabilities.sum() <= 1 + 1e-9
    # Another group, and a mention without candidates.
    assert Combination(*weights, {"unseen": line}).probabilities(two).tolist() == shares.tolist()
    empty = Evidence(two.concepts[:0], two.names[:0], two.values[:0], two.none)
    assert Combination(*weights, {"seen": line}).probabilities(empty).tolist() == []


@pytest.mark.parametrize("slope", [1e-4, 3.0, 1e4])
def test_any_calibration_gives_probabilities(slope: float) -> None:
    found = [Calibration(0.0, slope).probability(share) for share in (0.0, 1e-9, 0.3, 0.5, 1.0)]
    assert found == sorted(found)
    assert all(0 <= one <= 1 for one in found)
    assert found[3] == 0.5


@pytest.mark.parametrize(
    ("on", "group"),
    [
        ((), "seen"),
        (("unlearned",), "unseen"),
        (("unlearned", "acronym"), "acronym"),
        (("unlearned", "unspelled", "acronym", "unknown_acronym"), "unknown acronym"),
        (("unlearned", "unspelled", "acronym", "unknown_acronym", "found"), "found"),
    ],
)
def test_groups_of_calibrations(on: tuple[str, ...], group: str) -> None:
    none = np.array([kind in on for kind in NONE_KINDS], dtype="f4")
    assert calibration_group(replace(candidates(0.0), none=none)) == group


@pytest.mark.parametrize("text", ["DVT", "DVTs", "T2DM", "mTOR", "5-FU", "MI"])
def test_acronyms(text: str) -> None:
    assert is_acronym(text)


@pytest.mark.parametrize(
    "text", ["Aspirin", "aspirin", "A", "renal failure", "Na", "HEPATITIS", "HIV infection"]
)
def test_what_is_no_acronym(text: str) -> None:
    assert not is_acronym(text)


def test_what_speaks_against_every_candidate(ranker: ModelRanker, ontology: Ontology) -> None:
    synonyms = LearnedSynonyms.of_documents([document("chill", ("chill", "D003139"))], ontology)

    def against(query: Query) -> set[str]:
        values = collect(ranker, query, synonyms=synonyms).none
        return {kind for kind, value in zip(NONE_KINDS, values, strict=True) if value == 1.0}

    assert against(query("cold")) == {"constant", "unlearned"}
    assert against(query("chill")) == {"constant", "unspelled"}
    unknown = {"constant", "unspelled", "unlearned"}
    assert against(query("DVT")) == unknown | {"acronym", "unknown_acronym"}
    assert against(query("COPD")) == {"constant", "unlearned", "acronym"}
    # The document says what it stands for.
    assert against(query("DVT", "common cold")) == {"constant", "unlearned"}
    assert against(replace(query("rash"), is_found=True)) == unknown | {"found", "unspelled_found"}


def test_markers_speak_for_the_concept_that_has_them(ranker: ModelRanker, ontology: Ontology) -> None:
    for text, expected in (("sodium 23", "D012964"), ("lithium 7", "D008094")):
        evidence = collect(ranker, query(text))
        equal = [ontology.ids[row] for row in evidence.concepts[evidence.of("markers_equal") > 0]]
        assert equal == [expected]
    evidence = collect(ranker, query("sodium 23"))
    assert of(evidence, ontology, "markers_missing", "D008094") == 1.0
    assert of(evidence, ontology, "markers_missing", "D012964") == 0.0
    # "Sodium" has no number, so "Sodium-23" does not speak against the concept.
    assert of(collect(ranker, query("sodium")), ontology, "markers_added", "D012964") == 0.0


def candidates(model: float) -> Evidence:
    values = np.zeros((2, len(KINDS)), dtype=np.float32)
    values[1, KINDS.index("model")] = model
    return Evidence(np.array([3, 4]), np.array([7, 8]), values, np.zeros(len(NONE_KINDS), dtype=np.float32))


def test_other_mentions_of_a_document_speak_for_their_concept() -> None:
    sure, unsure = query("renal failure"), query("ARF")
    queries = [
        sure,
        unsure,
        replace(unsure, text="Arf", expanded="Arf"),
        replace(unsure, type="chemical"),
        replace(unsure, document_id="elsewhere"),
    ]
    first = Combination({"model": 1.0, "type": 1.0})
    read = with_document(queries, [candidates(2.0), *[candidates(0.0)] * 4], first)
    share = float(first.shares(candidates(2.0))[1])
    of = [one.of("in_document").tolist() for one in read]
    # From "ARF", where both have the same share, the first.
    assert of[0] == [0.5, 0.0]
    assert of[1] == of[2] == [0.0, pytest.approx(share)]
    # Not of another type, not of another document.
    assert of[3] == of[4] == [0.0, 0.0]
    # Types do not count where the first reading does not look at them.
    untyped = with_document(queries, [candidates(2.0), *[candidates(0.0)] * 4], Combination({"model": 1.0}))
    assert untyped[3].of("in_document").tolist() == of[1]


def test_documents_of_many_forms_take_time_in_proportion() -> None:
    def read(count: int) -> None:
        queries = [query(f"form {number}") for number in range(count)]
        evidence = with_document(queries, [candidates(0.0)] * count, Combination({"model": 1.0}))
        assert evidence[-1].of("in_document").tolist() == [0.5, 0.0]

    assert_in_proportion(read, 300)


def test_equal_mentions_are_scored_once_and_the_latest_remembered(
    ranker: ModelRanker, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    retrieve = ModelRanker.retrieve

    def spy(self: ModelRanker, texts: list[str], *options: Any) -> Retrieved:
        asked.extend(texts)
        return retrieve(self, texts, *options)

    monkeypatch.setattr(ModelRanker, "retrieve", spy)
    monkeypatch.setattr("el.linking.evidence._REMEMBERED", 2)
    collector = EvidenceCollector(ranker, None)
    first = collector.collect([query("cold"), query("cold"), query("skin")])
    again = collector.collect([query("cold")])[0]
    assert asked == ["cold", "skin"]
    assert np.array_equal(first[0].values, again.values)
    # "skin" was asked for longest ago.
    collector.collect([query("lead")])
    collector.collect([query("cold"), query("skin")])
    assert asked == ["cold", "skin", "lead", "skin"]
    # A form that stands for something else is another.
    collector.collect([query("cold", "common cold")])
    assert asked[-1] == "common cold"


def test_outside_names_are_evidence_of_their_own(tmp_path: Path) -> None:
    concepts = [
        Concept("D1", (Name("Breast Neoplasms"), Name("breast cancer", source="MONDO")), "disease"),
        Concept("D2", (Name("Friedreich Ataxia"), Name("FRDA", source="MEDIC")), "disease"),
        Concept("D3", (Name("Cold"),), "disease"),
    ]
    ontology = Ontology.from_concepts(concepts)
    ranker = tiny_ranker(tmp_path, ontology, 3)
    evidence = collect(ranker, query("Breast Cancer"))
    assert of(evidence, ontology, "outside_spelling", "D1") == 1.0
    assert not evidence.of("spelling").any()
    place = list(evidence.concepts).index(ontology.row_of["D1"])
    assert ontology.name_source(int(evidence.names[place])) == "MONDO"
    evidence = collect(ranker, query("FRDA"))
    assert of(evidence, ontology, "outside_acronym", "D2") == 1.0
    assert not evidence.of("outside_spelling").any()
    assert not collect(ranker, query("Cold")).of("outside_spelling").any()


def test_senses_that_are_no_concepts_are_evidence(ranker: ModelRanker, ontology: Ontology) -> None:
    given = replace(query("HA"), senses=(Sense("headache", "disease", 0.8), Sense("x", "other", 0.2)))
    evidence = collect(ranker, given)
    assert evidence.none[NONE_KINDS.index("other_sense")] == pytest.approx(0.2)
    # The sense belongs to the place, not to the form: the same form without it has none.
    assert not collect(ranker, query("HA")).none[NONE_KINDS.index("other_sense")]


def test_a_likely_sense_is_read_as_if_the_document_defined_it(
    ranker: ModelRanker, ontology: Ontology
) -> None:
    given = replace(query("HA"), senses=(Sense("headache", "disease", 0.7), Sense("x", "other", 0.3)))
    assumed, written = collect(ranker, given), collect(ranker, query("HA", "headache"))
    assert assumed.of("model").tolist() == written.of("model").tolist()
    assert of(assumed, ontology, "spelling", "D006261") == 1.0
    # But it is known that nothing defines it.
    assert assumed.none[NONE_KINDS.index("assumed")] == 1.0
    assert written.none[NONE_KINDS.index("assumed")] == 0.0


@pytest.mark.parametrize(
    "changes",
    [
        {"senses": tuple(Sense(name, "disease", 0.3) for name in ("headache", "x", "y"))},
        {"senses": (Sense("x", "other", 0.7), Sense("headache", "disease", 0.3)), "is_found": True},
        {"senses": (Sense("x", "other", 1.0),)},
        {"expanded": "heart attack"},
    ],
)
def test_other_senses_and_definitions_are_not_written_out(changes: dict[str, Any]) -> None:
    given = replace(query("HA"), senses=(Sense("headache", "disease", 1.0),))
    assert given.assumed().expanded == "headache"
    assert not replace(given, **changes).is_assumed
    assert replace(given, **changes).assumed() == replace(given, **changes)


def test_a_given_mention_has_a_sense_of_its_type() -> None:
    senses = (
        Sense("x", "other", 0.6),
        Sense("hydroxyapatite", "chemical", 0.25),
        Sense("headache", "disease", 0.15),
    )
    given = replace(query("HA"), senses=senses)
    assert given.assumed().expanded == "headache"
    assert replace(given, type="chemical").assumed().expanded == "hydroxyapatite"
    assert not replace(given, type="gene").is_assumed
    # A chemical is no reading of a disease.
    assert not replace(given, senses=senses[:2]).is_assumed


def test_a_name_of_the_ontology_is_not_read_as_something_else(
    ranker: ModelRanker, ontology: Ontology
) -> None:
    given = replace(query("cold"), senses=(Sense("headache", "disease", 1.0),))
    evidence = collect(ranker, given)
    assert of(evidence, ontology, "spelling", "D003139") == 1.0
    assert evidence.none[NONE_KINDS.index("assumed")] == 0.0
