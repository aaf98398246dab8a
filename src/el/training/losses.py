"""The losses over a query's candidates. Every kind of model is trained with them."""

from torch import Tensor
from torch.nn import functional


def masked_cross_entropy(scores: Tensor, positive: Tensor, ignored: Tensor) -> Tensor:
    """Returns the cross-entropy of the positives against all candidates that are not ignored.

    With one positive in each row and nothing ignored this is the published in-batch cross-entropy. With
    several positives, their probabilities are added before the logarithm (the marginal likelihood of BioSyn,
    Sung et al. 2020).

    Args:
        scores: (B, K).
        positive: (B, K) bool; at least one positive in each row.
        ignored: (B, K) bool; candidates that take no part, such as another query's name of the same concept.

    Returns:
        The mean over the batch, a scalar.
    """
    valid = scores.float().masked_fill(ignored, float("-inf"))
    gold = valid.masked_fill(~positive, float("-inf"))
    return (valid.logsumexp(dim=1) - gold.logsumexp(dim=1)).mean()


def margin_mse(scores: Tensor, teacher: Tensor, positive: Tensor, ignored: Tensor) -> Tensor:
    """Returns the squared error of the margins between positives and negatives against a teacher's margins.

    This is the mean of ((s+ - s-) - (t+ - t-))^2 over all pairs of a positive and a negative of one query
    (Hofstätter et al. 2020), with scores s and the teacher's scores t. The published Hypencoders were trained
    with it.

    Args:
        scores: (B, K).
        teacher: (B, K), on the scale that the scores shall have.
        positive: (B, K) bool.
        ignored: (B, K) bool; candidates that take no part.

    Returns:
        A scalar; 0 if no query has both a positive and a negative.
    """
    error = scores.float() - teacher.float()
    margins = error.unsqueeze(2) - error.unsqueeze(1)
    valid = ~ignored
    pairs = (positive & valid).unsqueeze(2) & (~positive & valid).unsqueeze(1)
    return margins[pairs].square().sum() / pairs.sum().clamp(min=1)


def distillation(scores: Tensor, teacher: Tensor, squared_weight: float, empty: Tensor) -> Tensor:
    """Returns the distance of scores from a teacher's scores.

    The distance is KL(softmax(teacher) || softmax(scores)), plus `squared_weight` times the mean squared
    difference of the scores. For the squared difference both sides are centred over the candidates of a
    query, because an offset of all scores changes no ranking.

    Args:
        scores: (B, K).
        teacher: (B, K), on the scale of logits.
        squared_weight: the weight of the second term.
        empty: (B, K) bool; places that hold no candidate.

    Returns:
        The mean over the batch, a scalar.
    """
    scores, teacher = scores.float(), teacher.float()
    # Empty places do not get minus infinity, because 0 times infinity is NaN in the divergence.
    log_scores, log_teacher = (
        values.masked_fill(empty, -1e4).log_softmax(dim=1) for values in (scores, teacher)
    )
    divergence = functional.kl_div(log_scores, log_teacher, log_target=True, reduction="batchmean")
    count = (~empty).sum(dim=1, keepdim=True)
    difference = (scores - teacher).masked_fill(empty, 0.0)
    centred = (difference - difference.sum(dim=1, keepdim=True) / count).masked_fill(empty, 0.0)
    return divergence + squared_weight * centred.square().sum() / count.sum()
