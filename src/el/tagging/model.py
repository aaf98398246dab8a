"""The token classifier: an encoder that also reads a dictionary's finds and how words are spelt."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from el.base.errors import ConfigError
from el.tagging.encoding import SHAPE_COUNT
from el.tagging.labels import COUNT, legal_transitions

# Of labels that may not follow each other: never taken, and small enough to be summed in single precision.
_FORBIDDEN = -1e4


class TaggerModel(nn.Module):
    """Scores of labels for each word piece, and of transitions between labels (a linear-chain CRF).

    What the dictionary finds and how words are spelt is embedded and added to the embeddings of the pieces;
    these additions start at 0, so that the encoder starts as it was pretrained.

    Args:
        transformer: an encoder whose output has `last_hidden_state` and that takes `inputs_embeds`.
    """

    def __init__(self, transformer: nn.Module) -> None:
        super().__init__()
        width = int(transformer.config.hidden_size)  # type: ignore[union-attr, arg-type]
        self.transformer = transformer
        # Takes no part in token vectors.
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
            attention_mask: (B, S), 0 where padded.
            names: (B, S) int64, the dictionary's labels.
            shapes: (B, S) int64, how the words are spelt.

        Returns:
            (B, S, COUNT) scores of labels.
        """
        embedded = self.transformer.get_input_embeddings()(input_ids)  # type: ignore[operator]
        embedded = self.dropout(embedded + self.names(names) + self.shapes(shapes))
        hidden = self.transformer(inputs_embeds=embedded, attention_mask=attention_mask).last_hidden_state
        scores: Tensor = self.head(self.dropout(hidden))
        return scores


def keep_layers(transformer: nn.Module, layers: int) -> None:
    """Takes all but the first layers of an encoder away.

    Raises:
        ConfigError: it is built otherwise than a BERT, or has fewer.
    """
    encoder = getattr(transformer, "encoder", None)
    stack = getattr(encoder, "layer", None)
    if not isinstance(encoder, nn.Module) or not isinstance(stack, nn.ModuleList) or len(stack) < layers:
        raise ConfigError(
            f"layers is {layers}; the encoder has fewer, or is built otherwise. Use null for all"
        )
    encoder.layer = stack[:layers]
    transformer.config.num_hidden_layers = layers  # type: ignore[union-attr]


def word_scores(scores: Tensor, words: Tensor, count: int) -> Tensor:
    """The mean scores of each word's pieces.

    Args:
        scores: (B, S, L), of pieces.
        words: (B, S) int64, the word that a piece belongs to; `count` for those that belong to none.
        count: W, words of the longest row.

    Returns:
        (B, W, L); 0 where a row has fewer words.
    """
    member = functional.one_hot(words, count + 1)[:, :, :count].to(scores.dtype)
    total = member.transpose(1, 2) @ scores
    return total / member.sum(dim=1).clamp(min=1.0).unsqueeze(-1)


def crf_loss(emissions: Tensor, labels: Tensor, transitions: Tensor) -> Tensor:
    """The negative log likelihood of labels, a word on average.

    Args:
        emissions: (B, W, COUNT) float32.
        labels: (B, W) int64, legal in each row; -1 where a row has fewer words. Each row has one or more.
        transitions: (COUNT + 2, COUNT + 2), as `el.tagging.labels.legal_transitions` has them.
    """
    legal = torch.from_numpy(legal_transitions()).to(transitions.device)
    scores = torch.where(legal, transitions, _FORBIDDEN)
    inner, start, stop = scores[:COUNT, :COUNT], scores[COUNT, :COUNT], scores[:COUNT, COUNT + 1]
    present = labels >= 0
    known = labels.clamp(min=0)
    lengths = present.sum(dim=1)

    last = known.gather(1, lengths.unsqueeze(1) - 1).squeeze(1)
    own = (emissions.gather(2, known.unsqueeze(2)).squeeze(2) * present).sum(dim=1)
    steps = (inner[known[:, :-1], known[:, 1:]] * present[:, 1:]).sum(dim=1)
    gold = own + steps + start[known[:, 0]] + stop[last]

    forward = start + emissions[:, 0]
    for place in range(1, labels.shape[1]):
        following = torch.logsumexp(forward.unsqueeze(2) + inner, dim=1) + emissions[:, place]
        forward = torch.where(present[:, place : place + 1], following, forward)
    partition = torch.logsumexp(forward + stop, dim=1)
    return (partition - gold).sum() / lengths.sum()
