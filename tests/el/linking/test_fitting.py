from collections import Counter
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from el.base.errors import ConfigError
from el.evaluation.calibration import calibration_error, reliability
from el.linking.evidence import GROUPS, KINDS, NONE_KINDS, Combination, Evidence, combination_name, kinds_of
from el.linking.fitting import (
    FOLDS,
    Example,
    FittingSet,
    HeldOut,
    best_found_threshold,
    collected,
    coverage_curve,
    fit_all,
    fit_calibrations,
    fit_combination,
    fitting_sets,
    held_out,
    make_examples,
)
from el.linking.rankers import ModelRanker
from el.linking.synonyms import LearnedSynonyms
from el.ontology.ontology import Ontology
from el.ontology.spellings import Spellings
from tests.el.linking.test_evidence import query
from tests.el.linking.test_synonyms import document
from tests.tiny import tiny_ontology, tiny_ranker


@pytest.fixture(scope="module")
def ontology() -> Ontology:
    return tiny_ontology()


@pytest.fixture(scope="module")
def ranker(ontology: Ontology, tmp_path_factory: pytest.TempPathFactory) -> ModelRanker:
    return tiny_ranker(tmp_path_factory.mktemp("ranker"), ontology, 5)


def none(**values: float) -> npt.NDArray[np.float32]:
    """Evidence that no candidate is right."""
    return np.array([values.get(kind, 0.0) for kind in NONE_KINDS], dtype=np.float32)


RARE = ("outside_spelling", "outside_acronym", "short_form", "learned_share", "in_document")


def made_up(
    generator: np.random.Generator,
    weights: dict[str, float],
    size: int,
    candidates: int = 6,
    none_weights: dict[str, float] | None = None,
) -> list[Example]:
    """Mentions of which the gold candidate, or none, is drawn from the softmax of a true weighted sum."""
    examples = []
    for _ in range(size):
        values = generator.normal(size=(candidates, len(KINDS))).astype(np.float32)
        values[:, KINDS.index("similarity")] *= 0.1
        # Rare evidence is rare.
        values[:, KINDS.index("spelling")] = generator.random(candidates) < 0.2
        values[:, [KINDS.index(kind) for kind in RARE]] = 0.0
        rows = np.arange(candidates)
        evidence = Evidence(rows, rows, values, none(similarity=float(generator.random())))
        true = Combination(weights, none_weights or {})
        shares = true.shares(evidence)
        drawn = generator.choice(candidates + 1, p=np.append(shares, max(1 - shares.sum(), 0.0)))
        gold = rows == drawn
        examples.append(Example(evidence, gold))
    return examples


def test_weights_are_found_again() -> None:
    true = {"model": 2.0, "spelling": -1.0, "type": 0.5, "similarity": 10.0}
    fitted = fit_combination(made_up(np.random.default_rng(1), true, 2000), list(true)).weights
    # Also that of a kind of small numbers.
    assert fitted == pytest.approx(true, rel=0.12, abs=0.1)
    # What may not be used has no weight.
    assert set(fitted) == set(true)


def test_a_calibration_makes_wrong_weights_reliable() -> None:
    generator = np.random.default_rng(5)
    examples = made_up(generator, {"model": 1.5, "spelling": 1.0}, 4000, none_weights={"constant": 1.0})
    # Far too sure, and without the case that no candidate is right.
    wrong = Combination({"model": 6.0, "spelling": 4.0})
    evidence, gold = [one.evidence for one in examples], [one.gold for one in examples]
    calibrated = replace(wrong, calibrations=fit_calibrations(wrong, evidence[:2000], gold[:2000]))
    assert set(calibrated.calibrations) == {"seen"}
    errors = []
    for probabilities in (wrong.shares, calibrated.probabilities):
        scores = [probabilities(one) for one in evidence[2000:]]
        right = [answer[one.argmax()] for one, answer in zip(scores, gold[2000:], strict=True)]
        best = np.array([one.max() for one in scores])
        errors.append(calibration_error(reliability(np.array(right), best)))
    assert errors[0] > 0.3
    assert errors[1] < 0.05


def test_mentions_without_their_concept_teach_doubt() -> None:
    examples = made_up(np.random.default_rng(3), {"model": 1.0}, 20)
    lost = [Example(one.evidence, np.zeros(6, dtype=bool)) for one in examples[:10]]
    of_all, of_some = (fit_combination(examples + more, ["model"]) for more in (lost, []))
    assert of_all.shares(examples[0].evidence).sum() < of_some.shares(examples[0].evidence).sum()
    with pytest.raises(ConfigError, match="no weights can be learned"):
        fit_combination(lost, ["model"])


def test_weights_for_every_choice_of_evidence(ranker: ModelRanker, ontology: Ontology) -> None:
    synonyms = LearnedSynonyms.of_documents([document("skin", ("skin", "D012964"))], ontology)
    queries = [query("Headache", gold=("D006261",)), query("cold", gold=("D003139",))]
    queries.append(query("skin", gold=("D012964",)))
    learned = fit_all(ranker, Spellings.of_ontology(ontology), [FittingSet(queries, synonyms)])
    assert len(learned) == 16
    for name, combination in learned.items():
        groups = name.split("+")[1:]
        assert name == combination_name(groups)
        assert set(combination.weights) == set(kinds_of(groups))
    assert learned["model+dictionary"].weights["spelling"] > 0.5
    assert learned["model+learned"].weights["learned_share"] > 0.5
    assert kinds_of(GROUPS) == KINDS
    # Three mentions of one document: nothing can be held out.
    assert all(not combination.curve for combination in learned.values())


def judged(row: int, spelled: int | None) -> tuple[Evidence, npt.NDArray[np.float32]]:
    """Two candidates, the concepts of two rows; spelling speaks for one of them."""
    values = np.zeros((2, len(KINDS)), dtype=np.float32)
    if spelled is not None:
        values[spelled, KINDS.index("spelling")] = 1.0
    return Evidence(np.array([row, row + 1]), np.array([0, 1]), values, none()), values


def test_alike_mentions_are_one_example_that_counts_for_all(ontology: Ontology) -> None:
    evidence, _ = judged(0, 0)
    same = query("cold", gold=(ontology.ids[1],))
    queries = [same, same, replace(same, document_id="other"), replace(same, text="Cold")]
    examples = make_examples(queries, [evidence] * 4, ontology)
    assert len(examples) == 3
    assert examples[0].gold.tolist() == [False, True]
    assert [example.weight for example in examples] == [2.0, 1.0, 1.0]
    others = [
        replace(same, is_found=True),
        replace(same, document_id="hidden", is_undefined=True),
    ]
    found, hidden = make_examples(others, [evidence] * 2, ontology)
    assert 0 < hidden.weight < found.weight < 1


def test_an_example_counts_by_its_weight() -> None:
    """Three times the weight is three times the mention."""
    examples = made_up(np.random.default_rng(5), {"model": 1.0, "type": 1.0}, 40)
    heavy = [replace(example, weight=3.0) for example in examples[:10]]
    weighted = fit_combination([*heavy, *examples[10:]], ["model", "type"])
    repeated = fit_combination([*examples[:10] * 3, *examples[10:]], ["model", "type"])
    # Scaled by the spread of the values, which repetitions change a little.
    assert weighted.weights == pytest.approx(repeated.weights, rel=0.05)


def test_mentions_are_judged_by_weights_of_other_documents(ontology: Ontology) -> None:
    """In one document spelling misleads; weights that had seen it would not be as sure."""
    queries, evidence = [], []
    for number in range(FOLDS):
        for repeat in range(4):
            gold = ontology.ids[1 if number == 0 else 0]
            queries.append(replace(query(f"m{number}{repeat}", gold=(gold,)), document_id=f"d{number}"))
            evidence.append(judged(0, 0)[0])
    decided = held_out(queries, evidence, ["spelling"], ontology)
    assert decided.right.tolist() == [False] * 4 + [True] * 16
    # All others say that spelling is always right; those judged by weights that saw document 0 are less sure.
    assert decided.scores[:4].min() > decided.scores[4:].max()
    nothing = Evidence(
        np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty((0, len(KINDS))), none()
    )
    decided = held_out([*queries, queries[0]], [*evidence, nothing], ["spelling"], ontology)
    assert (decided.right[-1], decided.scores[-1]) == (False, 0.0)
    with pytest.raises(ConfigError, match="1 documents with concepts: 5 are"):
        held_out(queries[:2], evidence[:2], ["spelling"], ontology)


def in_one_group(right: npt.NDArray[np.bool_], scores: npt.NDArray[np.float64]) -> HeldOut:
    return HeldOut(right, scores, np.full(len(right), "seen"))


def test_the_weights_of_none_are_found_again() -> None:
    weights, none_weights = {"model": 2.0}, {"similarity": 3.0}
    examples = made_up(np.random.default_rng(1), weights, 3000, none_weights=none_weights)
    assert 0.1 < sum(not example.gold.any() for example in examples) / len(examples) < 0.9
    fitted = fit_combination(examples, list(weights))
    assert fitted.none_weights["similarity"] == pytest.approx(3.0, abs=0.5)
    # The evidence is 0 for all other kinds, so nothing is known about their weights.
    assert all(abs(fitted.none_weights[kind]) < 0.5 for kind in NONE_KINDS if kind != "similarity")


def test_a_precision_holds_for_each_group() -> None:
    """At a score of .8, found mentions are right half of the time, and others always."""
    right, scores = np.ones(400, dtype=bool), np.full(400, 0.8)
    scores[:200] = 0.9
    right[200:300:2] = False
    groups = np.repeat(["seen", "found", "unseen"], [100, 200, 100])
    curve = coverage_curve(HeldOut(right, scores, groups))
    assert [(p.threshold, p.precision, p.lowest_precision) for p in curve[:1]] == [(0.8, 0.875, 0.75)]
    assert Combination({}, curve=tuple(curve)).operating_point(0.8).threshold == 0.9


def test_a_coverage_curve() -> None:
    decided = in_one_group(np.array([True, False, True, True]), np.array([0.9, 0.2, 0.9, 0.5]))
    curve = [(p.threshold, p.coverage, round(p.precision, 3)) for p in coverage_curve(decided)]
    assert curve == [(0.2, 1.0, 0.75), (0.5, 0.75, 1.0), (0.9, 0.5, 1.0)]
    # Of many mentions, no point rests on one or two.
    many = coverage_curve(in_one_group(np.ones(1000, dtype=bool), np.linspace(0.0, 1.0, 1000)))
    assert min(point.coverage for point in many) == 0.01


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10)), min_size=1, max_size=40), st.integers(2, 30))
def test_a_threshold_does_what_its_operating_point_says(
    mentions: list[tuple[bool, int]], points: int
) -> None:
    right = np.array([hit for hit, _ in mentions])
    scores = np.array([score / 10 for _, score in mentions])
    curve = coverage_curve(in_one_group(right, scores), points)
    for point in curve:
        answered = scores >= point.threshold
        assert point.coverage == pytest.approx(answered.mean())
        assert point.precision == pytest.approx(right[answered].mean())
    assert curve[0].coverage == 1.0
    assert len(curve) <= points


def test_weights_hardly_depend_on_unlikely_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = made_up(np.random.default_rng(4), {"model": 4.0, "spelling": 1.0}, 300, candidates=100)
    few = fit_combination(examples, ["model", "spelling"]).weights
    monkeypatch.setattr("el.linking.fitting._FITTED", 100)
    every = fit_combination(examples, ["model", "spelling"]).weights
    assert few != every
    assert few == pytest.approx(every, rel=0.05)


def test_weights_learn_from_the_rest_of_a_document(ontology: Ontology) -> None:
    """A mention that nothing else tells apart means what a mention of another form means."""
    queries, evidence = [], []
    for number in range(10):
        gold = number % 2
        clear = replace(query("clear", gold=(ontology.ids[gold],)), document_id=f"d{number}")
        queries += [clear, replace(clear, text="vague", expanded="vague")]
        evidence += [judged(0, gold)[0], judged(0, None)[0]]
    alone = held_out(queries, evidence, ["spelling"], ontology)
    together = held_out(queries, evidence, ["spelling", "in_document"], ontology)
    assert alone.right[1::2].mean() == 0.5
    assert together.right.all()


def test_the_threshold_of_found_mentions_has_the_best_f1() -> None:
    right = np.array([True, True, False, True, False, False, True])
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.1])
    groups = np.array(["found"] * 6 + ["seen"])
    # With 4 answers, 3 are right; of 5 gold mentions: 6 / 9. With 2: 4 / 7. With 6: 6 / 11.
    assert best_found_threshold(HeldOut(right, scores, groups), 5) == 0.6
    every = HeldOut(np.array([True, True]), np.array([0.9, 0.2]), np.array(["found"] * 2))
    assert best_found_threshold(every, 2) == 0.0
    assert best_found_threshold(HeldOut(right[:0], scores[:0], groups[:0]), 3) == 0.0


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 9)), min_size=1, max_size=12), st.integers(1, 20))
def test_no_other_threshold_has_a_better_f1(mentions: list[tuple[bool, int]], gold: int) -> None:
    right = np.array([hit for hit, _ in mentions])
    scores = np.array([score / 10 for _, score in mentions])
    gold = max(gold, int(right.sum()))

    def f1(threshold: float) -> float:
        answered = scores >= threshold
        return float(2 * right[answered].sum() / (answered.sum() + gold))

    chosen = best_found_threshold(HeldOut(right, scores, np.array(["found"] * len(right))), gold)
    assert f1(chosen) == pytest.approx(max(map(f1, [0.0, *scores.tolist()])))


def test_each_corpus_is_read_with_the_synonyms_of_each(ontology: Ontology) -> None:
    queries = [[query("one")], [query("two")]]
    known = [LearnedSynonyms({}), LearnedSynonyms({"two": Counter({ontology.ids[0]: 1})})]
    sets = fitting_sets(queries, known)
    assert [(one.queries[0].text, one.synonyms) for one in sets] == [
        ("one", known[0]),
        ("one", known[1]),
        ("two", known[0]),
        ("two", known[1]),
    ]
    # A document that is read twice is two documents, but of one source.
    first, second = sets[0].queries[0], sets[1].queries[0]
    assert first.document_id != second.document_id
    assert second.source_id == first.document_id


def test_without_learned_synonyms_each_corpus_is_read_once(ranker: ModelRanker, ontology: Ontology) -> None:
    queries, spellings = [[query("one")], [query("two")]], Spellings.of_ontology(ontology)
    sets = fitting_sets(queries, [LearnedSynonyms({}), LearnedSynonyms({})])
    texts = {
        learned: [one.text for one in collected(ranker, spellings, sets, learned=learned)[0]]
        for learned in (True, False)
    }
    assert texts == {True: ["one", "one", "two", "two"], False: ["one", "two"]}
