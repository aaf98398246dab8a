"""Losses against sums written out."""

import math

import pytest
import torch
from torch.nn import functional

from el.training.losses import distillation, margin_mse, masked_cross_entropy

SCORES = torch.tensor([[1.0, 2.0, 0.5, -1.0], [0.0, -2.0, 3.0, 1.0]])
NOTHING = torch.zeros(2, 4, dtype=torch.bool)


def marks(*rows: str) -> torch.Tensor:
    return torch.tensor([[character == "x" for character in row] for row in rows])


def test_one_positive_is_plain_cross_entropy() -> None:
    expected = functional.cross_entropy(SCORES, torch.tensor([1, 3]))
    torch.testing.assert_close(masked_cross_entropy(SCORES, marks(".x..", "...x"), NOTHING), expected)


def test_several_positives_add_their_probabilities() -> None:
    probabilities = SCORES.softmax(dim=1)
    expected = -(math.log(probabilities[0, 0] + probabilities[0, 2]) + math.log(probabilities[1, 3])) / 2
    loss = masked_cross_entropy(SCORES, marks("x.x.", "...x"), NOTHING)
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_ignored_candidates_take_no_part() -> None:
    loss = masked_cross_entropy(SCORES, marks(".x..", "...x"), marks("..x.", "x.x."))
    first = functional.cross_entropy(SCORES[:1, [0, 1, 3]], torch.tensor([1]))
    second = functional.cross_entropy(SCORES[1:, [1, 3]], torch.tensor([1]))
    torch.testing.assert_close(loss, (first + second) / 2)


def test_no_gradient_for_what_is_ignored() -> None:
    scores = SCORES.clone().requires_grad_()
    masked_cross_entropy(scores, marks(".x..", "...x"), marks("..x.", "x...")).backward()
    assert scores.grad is not None
    assert scores.grad.isfinite().all()
    assert torch.equal(scores.grad == 0, marks("..x.", "x..."))


def test_cross_entropy_in_float32_of_half_precision_scores() -> None:
    assert masked_cross_entropy(SCORES.bfloat16(), marks(".x..", "...x"), NOTHING).dtype == torch.float32


def test_margin_mse_written_out() -> None:
    teacher = torch.tensor([[0.5, 1.0, 0.0, 2.0], [1.0, 1.0, 2.0, -1.0]])
    positive, ignored = marks(".x..", "x.x."), marks("x...", "....")
    pairs = [(0, 1, 2), (0, 1, 3), (1, 0, 1), (1, 0, 3), (1, 2, 1), (1, 2, 3)]
    errors = [
        ((SCORES[q, p] - SCORES[q, n]) - (teacher[q, p] - teacher[q, n])).item() ** 2 for q, p, n in pairs
    ]
    assert margin_mse(SCORES, teacher, positive, ignored).item() == pytest.approx(sum(errors) / len(errors))
    assert margin_mse(SCORES, SCORES + 7, positive, ignored).item() == pytest.approx(0, abs=1e-6)


def test_margin_mse_of_nothing_to_compare_is_zero() -> None:
    scores = SCORES.clone().requires_grad_()
    loss = margin_mse(scores, SCORES * 2, ~NOTHING, NOTHING)
    loss.backward()
    assert loss.item() == 0.0
    assert scores.grad is not None
    assert scores.grad.isfinite().all()


def test_distillation_written_out() -> None:
    teacher = torch.tensor([[0.5, 1.0, 0.0, 2.0], [1.0, 1.0, 2.0, -1.0]])
    p, q = teacher.softmax(dim=1), SCORES.softmax(dim=1)
    divergence = (p * (p.log() - q.log())).sum() / 2
    gap = (SCORES - SCORES.mean(1, keepdim=True)) - (teacher - teacher.mean(1, keepdim=True))
    torch.testing.assert_close(distillation(SCORES, teacher, 0.0, NOTHING), divergence)
    torch.testing.assert_close(
        distillation(SCORES, teacher, 0.3, NOTHING), divergence + 0.3 * (gap**2).mean()
    )


def test_distillation_is_zero_at_the_teacher_up_to_an_offset() -> None:
    offset = torch.tensor([[5.0], [-3.0]])
    assert distillation(SCORES + offset, SCORES, 1.0, NOTHING).item() == pytest.approx(0.0, abs=1e-6)
    assert distillation(SCORES * 2, SCORES, 1.0, NOTHING).item() > 0.1


def test_empty_places_take_no_part() -> None:
    teacher = SCORES.flip(1)
    wide = torch.cat([SCORES, torch.full((len(SCORES), 2), 9.0)], dim=1)
    wide_teacher = torch.cat([teacher, torch.full((len(SCORES), 2), -3.0)], dim=1)
    empty = torch.zeros_like(wide, dtype=torch.bool)
    empty[:, -2:] = True
    expected = distillation(SCORES, teacher, 0.3, NOTHING)
    torch.testing.assert_close(distillation(wide, wide_teacher, 0.3, empty), expected)
