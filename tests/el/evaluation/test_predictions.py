import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from el.base.errors import InputError
from el.evaluation.predictions import make_predictions, read_predictions, write_predictions
from el.linking.query import Query
from el.linking.ranking import Ranking, make_ranking, rank_concepts

IDS = ["D9", "D1", "D5", "D2"]
CONCEPT_OF_NAME = np.array([0, 0, 1, 2, 2, 2, 3])


def rank(rows: list[int], scores: list[float], k: int) -> Ranking:
    ranking, *others = rank_concepts(
        np.array([rows]), np.array([scores], dtype=np.float32), CONCEPT_OF_NAME, IDS, k
    )
    assert not others
    return ranking


def test_a_concept_scores_as_its_best_name() -> None:
    assert rank([0, 3, 1, 4], [0.5, 0.75, 1.0, 0.25], 10) == Ranking(("D9", "D5"), (1.0, 0.75))


def test_ties_are_broken_by_id_also_at_the_cut() -> None:
    assert rank([0, 2, 3, 6], [0.5, 0.5, 0.5, 0.5], 10).concept_ids == ("D1", "D2", "D5", "D9")
    assert rank([0, 2, 3, 6], [0.5, 0.5, 0.5, 0.5], 2).concept_ids == ("D1", "D2")


def test_places_that_a_search_left_empty_are_skipped() -> None:
    assert rank([2, -1, -1], [0.5, 9.0, 9.0], 10) == Ranking(("D1",), (0.5,))
    assert rank([-1], [0.0], 10) == Ranking((), ())


@given(
    st.lists(
        st.lists(
            st.tuples(st.integers(-1, 6), st.sampled_from([-1.0, 0.0, 0.5, 2.0])), min_size=5, max_size=5
        ),
        max_size=4,
    ),
    st.integers(1, 5),
)
def test_ranking_agrees_with_a_plain_one(batch: list[list[tuple[int, float]]], k: int) -> None:
    rows = np.array([[row for row, _ in names] for names in batch], dtype=np.int64).reshape(-1, 5)
    scores = np.array([[score for _, score in names] for names in batch], dtype=np.float32).reshape(-1, 5)
    expected = []
    for names in batch:
        best: dict[str, float] = {}
        for row, score in names:
            if row >= 0:
                concept_id = IDS[CONCEPT_OF_NAME[row]]
                best[concept_id] = max(score, best.get(concept_id, score))
        expected.append(make_ranking(best, k))
    assert rank_concepts(rows, scores, CONCEPT_OF_NAME, IDS, k) == expected


def test_make_ranking_orders_by_score_then_id() -> None:
    assert make_ranking({"D2": 1.0, "D1": 1.0, "D3": 2.0}, 2) == Ranking(("D3", "D1"), (2.0, 1.0))


QUERY = Query("77/0", "77", "renal failure", "disease", ("D1", "D2"), "renal failure", "secret ", " text")


def test_predictions_keep_what_a_file_keeps() -> None:
    ranking = Ranking(tuple(f"D{i}" for i in range(120)), tuple(1 / (i + 3) for i in range(120)))
    (prediction,) = make_predictions([QUERY], [ranking], [("all", "disease")])
    assert prediction.ranked == ranking.concept_ids[:100]
    assert prediction.scores == (0.3333, 0.25, 0.2, 0.1667, 0.1429, 0.125, 0.1111, 0.1, 0.0909, 0.0833)
    assert (prediction.query_id, prediction.document_id) == ("77/0", "77")
    assert (prediction.gold, prediction.rows) == (("D1", "D2"), ("all", "disease"))


def test_as_many_rankings_as_queries() -> None:
    with pytest.raises(ValueError, match="shorter"):
        make_predictions([QUERY], [], [("all",)])


@pytest.mark.parametrize("name", ["predictions.jsonl", "predictions.jsonl.gz"])
def test_predictions_come_back_equal_without_text_and_with_the_same_bytes(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rankings = [Ranking(("D1", "D3"), (0.5, 0.25)), Ranking((), ())]
    predictions = make_predictions([QUERY, QUERY], rankings, [("all",), ("all", "unique")])
    write_predictions(tmp_path / name, predictions)
    data = (tmp_path / name).read_bytes()
    assert read_predictions(tmp_path / name) == predictions
    plain = gzip.decompress(data) if name.endswith(".gz") else data
    assert plain.count(b"\n") == 2
    assert not any(text in plain for text in (b"renal", b"secret", b"text"))
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
    write_predictions(tmp_path / name, predictions)
    assert (tmp_path / name).read_bytes() == data


def test_broken_predictions_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    with pytest.raises(InputError, match="no such file"):
        read_predictions(path)
    path.write_text('{"query": "77/0"}\n')
    with pytest.raises(InputError, match="line 1: not a prediction"):
        read_predictions(path)
    path.write_text("{\n")
    with pytest.raises(InputError, match="line 1: not a prediction"):
        read_predictions(path)
    packed = tmp_path / "predictions.jsonl.gz"
    whole = gzip.compress(b"{}")
    # Cut; not gzipped; and a block whose type does not exist.
    for data in (whole[:-4], b"{}", whole[:10] + b"\xff" * 8):
        packed.write_bytes(data)
        with pytest.raises(InputError, match="broken"):
            read_predictions(packed)
