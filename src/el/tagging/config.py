"""The parameters of a tagger's training.

The module stands apart from the trainer because importing the trainer takes seconds.
"""

from dataclasses import dataclass

from el.base.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class TaggerConfig:
    """The parameters of a tagger's training.

    Attributes:
        epochs: the number of passes over all windows.
        batch: the number of windows in a step.
        learning_rate: the peak learning rate of the encoder. The rate rises over the first tenth of the
            steps, then falls linearly to 0.
        head_learning_rate: the peak learning rate of all weights that are not pretrained.
        weight_decay: the weight decay of AdamW.
        max_tokens: the most tokens of a window, special tokens included.
        overlap: the most tokens that two neighbouring windows of a long document share.
        layers: how many layers of the encoder are kept, counted from the first; None for all.
        dropout: the dropout rate of the embeddings and of the last layer's vectors.
        hidden_words: the share of words that are masked. Each step masks other words.
        hidden_names: the share of the dictionary's names that are hidden from the encoder. Each step hides
            other names.
        notes: the number of made-up clinical notes (`el.tagging.notes`) among the documents of an epoch.
        with_dev: whether the final tagger is trained on dev too, after all choices were made on dev. The
            tagger that is measured on dev is never trained on dev.
        checkpoint_every: the number of steps between two checkpoints.
        seed: the seed of the head's weights, of the batches, and of what is hidden.
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
    notes: int
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
        if self.notes < 0:
            raise ConfigError(f"notes is {self.notes}; it must not be negative")
        if self.weight_decay < 0:
            raise ConfigError(f"weight_decay is {self.weight_decay}; it must not be negative")
        if not 0 <= self.overlap < self.max_tokens - 2:
            raise ConfigError(f"overlap is {self.overlap}; it must be below max_tokens - 2, and not negative")
