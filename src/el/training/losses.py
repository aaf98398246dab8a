"""Losses over a query's candidates; every model is trained with these."""

from torch import Tensor
from torch.nn import functional


def masked_cross_entropy(scores: Tensor, positive: Tensor, ignored: Tensor) -> Tensor:
    """Cross-entropy of the positives against all candidates that are not ignored.

    With one positive a query and nothing ignored this is the published in-batch cross-entropy. With
    several, their probabilities are added before the logarithm (the marginal likelihood of BioSyn,
    Sung et al. 2020).

    Args:
        scores: (B, K).
        positive: (B, K) bool; at least one in each row.
        ignored: (B, K) bool; candidates that take no part, such as another query's name of the same
            concept.

    Returns:
        The mean over the batch, a scalar.
    """
    valid = scores.float().masked_fill(ignored, float("-inf"))
    gold = valid.masked_fill(~positive, float("-inf"))
    return (valid.logsumexp(dim=1) - gold.logsumexp(dim=1)).mean()


def margin_mse(scores: Tensor, teacher: Tensor, positive: Tensor, ignored: Tensor) -> Tensor:
    """Squared error of the margins between positives and negatives against a teacher's margins.

    The mean over all pairs of a positive and a negative of one query of
    ((s+ - s-) - (t+ - t-))^2 (Hofstätter et al. 2020), as Hypencoders were published with.

    Args:
        scores: (B, K).
        teacher: (B, K), on the scale that the scores are to learn.
        positive: (B, K) bool.
        ignored: (B, K) bool; candidates that take no part.

    Returns:
        A scalar; 0 where no query has both a positive and a negative.
    """
    error = scores.float() - teacher.float()
    margins = error.unsqueeze(2) - error.unsqueeze(1)
    valid = ~ignored
    pairs = (positive & valid).unsqueeze(2) & (~positive & valid).unsqueeze(1)
    return margins[pairs].square().sum() / pairs.sum().clamp(min=1)


def distillation(scores: Tensor, teacher: Tensor, squared_weight: float, empty: Tensor) -> Tensor:
    """How far scores are from a teacher's, as distributions over the candidates and as numbers.

    KL(softmax(teacher) || softmax(scores)) plus `squared_weight` times the mean squared difference
    of the scores, both centred over the candidates (a score's offset changes no ranking).

    Args:
        scores: (B, K).
        teacher: (B, K), on the scale of logits.
        squared_weight: weight of the second term.
        empty: (B, K) bool; places that hold no candidate.

    Returns:
        The mean over the batch, a scalar.
    """
    scores, teacher = scores.float(), teacher.float()
    # Not minus infinity: 0 times that is no number.
    log_scores, log_teacher = (
        values.masked_fill(empty, -1e4).log_softmax(dim=1) for values in (scores, teacher)
    )
    divergence = functional.kl_div(log_scores, log_teacher, log_target=True, reduction="batchmean")
    count = (~empty).sum(dim=1, keepdim=True)
    difference = (scores - teacher).masked_fill(empty, 0.0)
    centred = (difference - difference.sum(dim=1, keepdim=True) / count).masked_fill(empty, 0.0)
    return divergence + squared_weight * centred.square().sum() / count.sum()
