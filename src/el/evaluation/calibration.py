"""How far scores can be trusted: reliability curves and the expected calibration error.

Source: Guo et al., "On calibration of modern neural networks", ICML 2017, section 2.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# The number of bins of equal width between 0 and 1. With more, a bin holds fewer mentions and its accuracy is
# less certain.
_BINS = 10


@dataclass(frozen=True)
class Bin:
    """The answers with scores between two values.

    Attributes:
        count: the number of answers.
        score: the mean score; 0 without answers.
        accuracy: the share of answers that are right; 0 without answers.
    """

    count: int
    score: float
    accuracy: float


def reliability(right: npt.NDArray[np.bool_], scores: npt.NDArray[np.float64]) -> list[Bin]:
    """Returns the reliability curve of n answers: one bin for each tenth of the scores, lowest first.

    Args:
        right: (n,) bool, whether each answer is right.
        scores: (n,) float64 between 0 and 1.
    """
    places = np.minimum((scores * _BINS).astype(np.int64), _BINS - 1)
    bins = []
    for place in range(_BINS):
        inside = places == place
        count = int(inside.sum())
        means = (float(values[inside].mean()) if count else 0.0 for values in (scores, right))
        bins.append(Bin(count, *means))
    return bins


def calibration_error(bins: list[Bin]) -> float:
    """Returns the expected calibration error: the mean distance of score and accuracy over all answers.

    The formula is equation 3 of the paper. Without answers, the error is 0.
    """
    total = sum(one.count for one in bins)
    return sum(one.count * abs(one.score - one.accuracy) for one in bins) / max(total, 1)
