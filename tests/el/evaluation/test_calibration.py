import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from el.evaluation.calibration import Bin, calibration_error, reliability


def test_a_reliability_curve() -> None:
    """Two sure answers of which one is wrong, and one that is as doubtful as it is wrong."""
    bins = reliability(np.array([True, False, False]), np.array([1.0, 0.9, 0.05]))
    assert len(bins) == 10
    assert bins[0] == Bin(1, pytest.approx(0.05), 0.0)
    assert bins[9] == Bin(2, pytest.approx(0.95), 0.5)
    assert all(one == Bin(0, 0.0, 0.0) for one in bins[1:9])
    assert calibration_error(bins) == pytest.approx((0.05 + 2 * 0.45) / 3)


def test_without_answers_there_is_no_error() -> None:
    assert calibration_error(reliability(np.zeros(0, dtype=bool), np.zeros(0))) == 0.0


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=50))
def test_each_answer_is_in_one_bin(answers: list[tuple[bool, float]]) -> None:
    right, scores = (np.array(column) for column in zip(*answers, strict=True))
    bins = reliability(right.astype(bool), scores.astype(np.float64))
    assert sum(one.count for one in bins) == len(answers)
    assert sum(one.count * one.accuracy for one in bins) == pytest.approx(right.sum())
    assert 0.0 <= calibration_error(bins) <= 1.0
    # Answers whose score is their accuracy in each bin have no error.
    fair = [Bin(one.count, one.accuracy, one.accuracy) for one in bins]
    assert calibration_error(fair) == 0.0
