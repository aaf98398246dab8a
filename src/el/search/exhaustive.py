"""Every name scored by every q-net: what a search is measured against."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from el.evaluation.rankings import Ranking, rank_concepts
from el.index.exact import merge_best
from el.index.vectors import NameVectors
from el.models import Hypencoder
from el.models.base import supports_bf16
from el.models.qnet import QNets
from el.ontology import Ontology
from el.progress import progress

# Mentions whose q-nets score at once. With more, what lies between the layers leaves the cache.
_QUERY_BATCH = 32
# Names that a batch of q-nets scores at once: what lies between the layers then stays in the cache.
_NAME_BLOCK = 256
# Of these, so many are scored once more, exactly.
_RESCORED = 256


@torch.inference_mode()
def rank_exhaustively(
    model: Hypencoder,
    vectors: NameVectors,
    ontology: Ontology,
    texts: Sequence[str],
    k: int,
    description: str = "",
) -> list[Ranking]:
    """Ranks all names by the q-nets' scores, without a first stage: what a search is measured against.

    Where the machine multiplies bf16 in hardware, all names are scored in bf16, and the best of them
    once more in float32.
    """
    rankings: list[Ranking] = []
    with progress(description, len(texts)) as advance:
        for start in range(0, len(texts), _QUERY_BATCH):
            batch = texts[start : start + _QUERY_BATCH]
            encoding = model.tokenize(batch)
            qnets = model.encode_queries(encoding["input_ids"], encoding["attention_mask"])
            names = _best_of_all(qnets, vectors, model.device)
            scores = qnets(torch.from_numpy(vectors.gather(names)).to(model.device)).cpu().numpy()
            rankings += rank_concepts(names, scores, ontology.concept_of_name, ontology.ids, k)
            advance(len(batch))
    return rankings


def _best_of_all(qnets: QNets, vectors: NameVectors, device: torch.device) -> npt.NDArray[np.int64]:
    """Returns (B, K) rows of the names that the q-nets score best."""
    precision = torch.bfloat16 if supports_bf16(device) else torch.float32
    fast = qnets.to(precision)
    count = len(vectors)
    best = torch.full((len(qnets), min(_RESCORED, count)), -torch.inf)
    found = torch.zeros(best.shape, dtype=torch.int64)
    for start in range(0, count, _NAME_BLOCK):
        rows = torch.arange(start, min(start + _NAME_BLOCK, count))
        block = torch.from_numpy(vectors.gather(rows.numpy())).to(device, precision)
        best, found = merge_best(best, found, fast(block).float().cpu(), rows)
    return found.numpy()
