"""The token classifier of a tagger, and its loss.

The classifier is an encoder that reads two more features of each word: the dictionary's label and the shape.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from el.base.errors import ConfigError
from el.tagging.encoding import SHAPE_COUNT
from el.tagging.labels import COUNT, legal_transitions

# The score of an illegal transition. It is so low that no best path uses one. A value much further from 0
# would cost precision: scores are summed in float32.
_FORBIDDEN = -1e4


class TaggerModel(nn.Module):
    """Scores labels for each word piece, and holds the scores of transitions (a linear-chain CRF).

    The dictionary's labels and the words' shapes are embedded, and added to the embeddings of the pieces.
    Their embeddings start at 0, so that the encoder starts as it was pretrained.

    Args:
        transformer: an encoder that takes `inputs_embeds` and whose output has `last_hidden_state`.
    """

    def __init__(self, transformer: nn.Module) -> None:
        super().__init__()
        width = int(transformer.config.hidden_size)  # type: ignore[union-attr, arg-type]
        self.transformer = transformer
        # The token vectors do not depend on the pooler; without it the saved tagger is smaller.
        transformer.pooler = None  # type: ignore[assignment]
        self.names = nn.Embedding(COUNT, width)
        self.shapes = nn.Embedding(SHAPE_COUNT, width)
        for embedding in (self.names, self.shapes):
            nn.init.zeros_(embedding.weight)
        self.dropout = nn.Dropout(0.0)
        self.head = nn.Linear(width, COUNT)
        self.transitions = nn.Parameter(torch.zeros(COUNT + 2, COUNT + 2))

    def forward(self, input_ids: Tensor, attention_mask: Tensor, names: Tensor, shapes: Tensor) -> Tensor:
        """Scores pieces.

        Args:
            input_ids: (B, S) int64.
            attention_mask: (B, S), 0 for padding.
            names: (B, S) int64, the dictionary's label of each piece's word.
            shapes: (B, S) int64, the shape of each piece's word.

        Returns:
            (B, S, COUNT), the score of each label.
        """
        embedded = self.transformer.get_input_embeddings()(input_ids)  # type: ignore[operator]
        embedded = self.dropout(embedded + self.names(names) + self.shapes(shapes))
        hidden = self.transformer(inputs_embeds=embedded, attention_mask=attention_mask).last_hidden_state
        scores: Tensor = self.head(self.dropout(hidden))
        return scores


def keep_layers(transformer: nn.Module, layers: int) -> None:
    """Removes all layers of an encoder but the first `layers`.

    Raises:
        ConfigError: the encoder has fewer layers, or is not built like BERT.
    """
    encoder = getattr(transformer, "encoder", None)
    stack = getattr(encoder, "layer", None)
    if not isinstance(encoder, nn.Module) or not isinstance(stack, nn.ModuleList) or len(stack) < layers:
        raise ConfigError(
            f"layers is {layers}; the encoder has fewer layers, or is not built like BERT. Use null to keep "
            "all layers"
        )
    encoder.layer = stack[:layers]
    transformer.config.num_hidden_layers = layers  # type: ignore[union-attr]


def word_scores(scores: Tensor, words: Tensor, count: int) -> Tensor:
    """Returns the scores of words: the mean of the scores of their pieces.

    Args:
        scores: (B, S, L), L scores of each piece.
        words: (B, S) int64, the place of each piece's word; `count` for special tokens and padding.
        count: W, the number of words in the longest row.

    Returns:
        (B, W, L); 0 at the places after a shorter row's last word.
    """
    member = functional.one_hot(words, count + 1)[:, :, :count].to(scores.dtype)
    total = member.transpose(1, 2) @ scores
    return total / member.sum(dim=1).clamp(min=1.0).unsqueeze(-1)


def crf_loss(emissions: Tensor, labels: Tensor, unknown: Tensor, transitions: Tensor) -> Tensor:
    """Returns the negative log-likelihood of the labels under a linear-chain CRF, per word.

    Where a row's label is 0, one of its unknown labels may be right as well. The likelihood is then that of
    all legal sequences that fit (Tsuboi et al. 2008, training CRFs with incomplete annotations).

    Args:
        emissions: (B, W, COUNT) float32, the score of each label for each word.
        labels: (B, W) int64, a legal sequence in each row, of at least one word; -1 after a shorter row's
            last word.
        unknown: (B, COUNT) bool, the labels of kinds that are not annotated in a row; False for label 0.
        transitions: (COUNT + 2, COUNT + 2), laid out as in `el.tagging.labels.legal_transitions`.

    Returns:
        A scalar: the sum over all rows, divided by the number of words.
    """
    legal = torch.from_numpy(legal_transitions()).to(transitions.device)
    scores = torch.where(legal, transitions, _FORBIDDEN)
    inner, start, stop = scores[:COUNT, :COUNT], scores[COUNT, :COUNT], scores[:COUNT, COUNT + 1]
    present = labels >= 0
    right = functional.one_hot(labels.clamp(min=0), COUNT).bool()
    right = right | ((labels == 0).unsqueeze(2) & unknown.unsqueeze(1))

    # The sequences with right labels, then all sequences.
    both = torch.cat([torch.where(right, emissions, _FORBIDDEN), emissions])
    held = torch.cat([present, present])
    forward = start + both[:, 0]
    for place in range(1, labels.shape[1]):
        following = torch.logsumexp(forward.unsqueeze(2) + inner, dim=1) + both[:, place]
        forward = torch.where(held[:, place : place + 1], following, forward)
    likely, total = torch.logsumexp(forward + stop, dim=1).chunk(2)
    return (total - likely).sum() / present.sum()
