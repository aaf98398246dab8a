"""How a tagger is trained, as a value; apart from the trainer, whose import takes seconds."""

from dataclasses import dataclass

from el.base.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class TaggerConfig:
    """How a tagger is trained.

    Attributes:
        epochs: passes over the windows.
        batch: windows a step.
        learning_rate: peak rate of the encoder; rises over the first tenth of the steps, then falls linearly.
        head_learning_rate: of all that is not pretrained.
        weight_decay: AdamW's.
        max_tokens: of a window, special ones included.
        overlap: tokens that two windows of a long document share.
        layers: of the encoder, from its first on, that are kept; None for all.
        dropout: of embeddings and of the last layer's vectors.
        hidden_words: share of words that the encoder does not see, in each step others.
        hidden_names: share of the dictionary's finds that it does not see.
        with_dev: whether the tagger that is kept learns from dev too, after the choices were made there; the
            one that is measured on dev never does.
        checkpoint_every: steps between checkpoints.
        seed: of the head, the batches and what is hidden.
    """

    epochs: int
    batch: int
    learning_rate: float
    head_learning_rate: float
    weight_decay: float
    max_tokens: int
    overlap: int
    layers: int | None
    dropout: float
    hidden_words: float
    hidden_names: float
    with_dev: bool
    checkpoint_every: int
    seed: int

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "checkpoint_every", *(() if self.layers is None else ("layers",))):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        for name in ("learning_rate", "head_learning_rate"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be between 0 and 1")
        for name in ("dropout", "hidden_words", "hidden_names"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be 0 or more and below 1")
        if self.weight_decay < 0:
            raise ConfigError(f"weight_decay is {self.weight_decay}; it must not be negative")
        if not 0 <= self.overlap < self.max_tokens - 2:
            raise ConfigError(f"overlap is {self.overlap}; it must be below max_tokens - 2, and not negative")
