"""The folded head: the scores that the q-nets themselves give."""

from typing import Any

import pytest
import torch

from el.models.folded import FoldedGenerator, FoldedQNets
from el.models.qnet import QNetConfig
from tests.el.models.test_hyper_head import ENCODER_WIDTH, make_head

PLAIN: dict[str, Any] = {"do_residual": False}


@pytest.mark.parametrize(
    ("widths", "options"),
    [
        ((6, 6, 6, 1), {}),
        ((6, 6, 6, 6, 6, 1), {"input_scale": 3.0, "do_residual_on_last": True}),
        ((6, 4, 5, 1), PLAIN),
        ((6, 1, 1), PLAIN | {"do_layer_norm": False}),
        ((6, 6, 1), {"do_layer_norm": False, "activation_type": "tanh"}),
        ((6, 6, 6, 1), {"layer_norm_before_residual": False, "activation_type": "gelu"}),
        ((6, 6, 6, 1), {"do_dropout": True}),
    ],
)
def test_scores_are_those_of_the_qnets(widths: tuple[int, ...], options: dict[str, Any]) -> None:
    head = make_head(QNetConfig(widths, **options)).eval()
    hidden = torch.randn(3, 5, ENCODER_WIDTH)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]])
    passages = torch.randn(3, 7, 6)
    with torch.inference_mode():
        expected = head(hidden, mask)(passages)
        scores = FoldedQNets(head)(passages, *FoldedGenerator(head)(hidden, mask))
    assert expected.std() > 0.01
    torch.testing.assert_close(scores, expected, atol=1e-3, rtol=1e-3)


def test_the_head_stays_as_it_was() -> None:
    head = make_head(QNetConfig((6, 6, 6, 1)))
    before = {name: tensor.clone() for name, tensor in head.state_dict().items()}
    with torch.no_grad():
        for folded in (FoldedGenerator(head), FoldedQNets(head)):
            for parameter in folded.parameters():
                parameter.zero_()
    assert all(torch.equal(before[name], tensor) for name, tensor in head.state_dict().items())
