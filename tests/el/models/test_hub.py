"""The scores that a released model's card gives; for machines that reach the hub: `EL_HUB=1 pytest`."""

import os

import pytest
import torch

from el.models.hypencoder import Hypencoder

QUERIES = ["how many states are there in india", "when do concussion symptoms appear"]
PASSAGES = [
    "India has 28 states and 8 union territories.",
    "Concussion symptoms can appear immediately or up to 72 hours after the injury.",
]
SCORES = torch.tensor([[-12.1192, -32.7046], [-34.0934, -13.5832]])


@pytest.mark.skipif(not os.environ.get("EL_HUB"), reason="fetches 560 MB from the model hub: set EL_HUB=1")
def test_golden_scores_of_the_model_card() -> None:
    model = Hypencoder.from_pretrained("jfkback/hypencoder.6_layer")
    with torch.inference_mode():
        scores = model.encode_queries_text(QUERIES)(model.encode_passages_text(PASSAGES))
    torch.testing.assert_close(scores, SCORES, atol=1e-3, rtol=0)
