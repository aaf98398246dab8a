"""q-nets: small networks that score passage vectors, one network for each query.

A Hypencoder turns a query into the weights and biases of a q-net (Killingback et al., "Hypencoder",
arXiv 2502.05364). `QNets` holds the q-nets of a batch of queries.
"""

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, SupportsIndex

import torch
from torch import Tensor
from torch.nn import functional

from el.base.errors import ConfigError

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "gelu": functional.gelu,
    "leaky_relu": functional.leaky_relu,
}


@dataclass(frozen=True)
class QNetConfig:
    """The architecture of a q-net. Field names and defaults are those of the released checkpoints.

    Attributes:
        vector_dimensions: widths v = [v0, v1, ..., vN, 1] of the vectors between layers. They are the widths
            of the passage vector, of the outputs of the N hidden layers, and of the score.
        activation_type: relu, tanh, sigmoid, gelu or leaky_relu.
        do_dropout: whether training applies dropout to the input of each hidden layer.
        dropout_prob: the share of coordinates that dropout sets to zero.
        do_layer_norm: whether each hidden layer is followed by a layer norm without parameters.
        do_residual: whether hidden layers add their input to their output.
        do_residual_on_last: the same for the last hidden layer; None stands for `do_residual`.
        layer_norm_before_residual: whether the norm comes before the residual is added.
        input_scale: a factor on the passage vectors. The published architecture has no such factor, which
            is the same as 1. Vectors of length 1 need sqrt(v0) to have the variance that the layers are
            initialised for.

    Raises:
        ConfigError: no q-net can have these values.
    """

    vector_dimensions: tuple[int, ...]
    activation_type: str = "relu"
    do_dropout: bool = False
    dropout_prob: float = 0.1
    do_layer_norm: bool = True
    do_residual: bool = True
    do_residual_on_last: bool | None = False
    layer_norm_before_residual: bool = True
    input_scale: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "vector_dimensions", tuple(self.vector_dimensions))
        if self.do_residual_on_last is None:
            object.__setattr__(self, "do_residual_on_last", self.do_residual)
        self._check()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "QNetConfig":
        """Reads `converter_kwargs` of a checkpoint. Missing keys have their defaults.

        Raises:
            ConfigError: a key is unknown, or a value is not possible for a q-net.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigError(
                f"converter_kwargs: unknown {', '.join(unknown)}; known are {', '.join(sorted(known))}"
            )
        if "vector_dimensions" not in values:
            raise ConfigError("converter_kwargs: vector_dimensions is missing; set it to [D, ..., D, 1]")
        if not isinstance(values["vector_dimensions"], list | tuple):
            raise ConfigError(
                f"converter_kwargs: vector_dimensions {values['vector_dimensions']!r} is not a list; "
                "[D, ..., D, 1] is needed"
            )
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Returns the published keys as JSON values. `input_scale` is added only if it is not 1."""
        values = asdict(self)
        values["vector_dimensions"] = list(self.vector_dimensions)
        if self.input_scale == 1.0:
            del values["input_scale"]
        return values

    @property
    def depth(self) -> int:
        """N, the number of hidden layers. A "2-layer" q-net has two."""
        return len(self.vector_dimensions) - 2

    @property
    def weight_shapes(self) -> list[tuple[int, int]]:
        """(in, out) of the N + 1 weight matrices."""
        return list(zip(self.vector_dimensions[:-1], self.vector_dimensions[1:], strict=True))

    def has_residual(self, layer: int) -> bool:
        """Whether hidden layer `layer`, counted from 0, adds its input to its output."""
        return bool(self.do_residual_on_last) if layer == self.depth - 1 else self.do_residual

    def finish_layer(self, layer: int, z: Tensor, x: Tensor) -> Tensor:
        """Applies activation, norm and residual of a hidden layer, which follow its product.

        Args:
            layer: the number of the layer, from 0.
            z: (..., v[layer + 1]), the layer's input times its weights, plus its bias.
            x: (..., v[layer]), the layer's input.

        Returns:
            (..., v[layer + 1]), the layer's output.
        """
        z = _ACTIVATIONS[self.activation_type](z)
        if self.do_layer_norm and self.layer_norm_before_residual:
            z = functional.layer_norm(z, z.shape[-1:])
        if self.has_residual(layer):
            z = z + x
        if self.do_layer_norm and not self.layer_norm_before_residual:
            z = functional.layer_norm(z, z.shape[-1:])
        return z

    def _check(self) -> None:
        widths = self.vector_dimensions
        if not all(type(width) is int for width in widths):
            raise ConfigError(f"vector_dimensions {list(widths)}: whole numbers are needed")
        if len(widths) < 3 or widths[-1] != 1 or min(widths) < 1:
            raise ConfigError(
                f"vector_dimensions {list(widths)}: expected [passage width, hidden widths ..., 1], "
                "at least one hidden layer"
            )
        if self.activation_type not in _ACTIVATIONS:
            raise ConfigError(
                f"activation_type {self.activation_type!r}: one of {', '.join(_ACTIVATIONS)} is needed"
            )
        if not 0.0 <= self.dropout_prob < 1.0:
            raise ConfigError(f"dropout_prob {self.dropout_prob}: it must be at least 0 and below 1")
        if self.do_residual_on_last and not self.do_residual:
            raise ConfigError("do_residual_on_last needs do_residual; switch both on, or both off")
        for layer in range(self.depth):
            if self.has_residual(layer) and widths[layer] != widths[layer + 1]:
                raise ConfigError(
                    f"hidden layer {layer} has a residual but changes the width from {widths[layer]} to "
                    f"{widths[layer + 1]}; switch do_residual off or keep the width"
                )


@dataclass(frozen=True, eq=False)
class QNets:
    """The q-nets of B queries. A call with passage vectors returns scores.

    Attributes:
        weights: N + 1 tensors; number i is (B, v[i], v[i+1]).
        biases: N tensors; number i is (B, v[i+1]). The output layer has no bias.
        config: the architecture.
        training: whether dropout is applied, if the config has dropout.
    """

    weights: list[Tensor]
    biases: list[Tensor]
    config: QNetConfig
    training: bool = False

    def __call__(self, passages: Tensor) -> Tensor:
        """Scores passages.

        Args:
            passages: (M, v0), the same for all q-nets; or (B, M, v0), different passages for each q-net. They
                are converted to the q-nets' dtype.

        Returns:
            (B, M) scores, in the q-nets' dtype.
        """
        x = passages.to(self.weights[0].dtype) * self.config.input_scale
        for layer, bias in enumerate(self.biases):
            x = self._hidden(layer, x, bias)
        return torch.matmul(x, self.weights[-1]).squeeze(-1)

    def _hidden(self, layer: int, x: Tensor, bias: Tensor) -> Tensor:
        config = self.config
        z = functional.dropout(x, config.dropout_prob, training=self.training and config.do_dropout)
        return config.finish_layer(layer, torch.matmul(z, self.weights[layer]) + bias.unsqueeze(1), x)

    def __len__(self) -> int:
        """B, the number of q-nets."""
        return int(self.weights[0].shape[0])

    def __getitem__(self, index: SupportsIndex | slice) -> "QNets":
        """Returns one q-net, as a batch of one, or a slice of the q-nets.

        Raises:
            IndexError: there is no q-net with this number.
        """
        if not isinstance(index, slice):
            index = operator.index(index)
            if not -len(self) <= index < len(self):
                raise IndexError(f"there is no q-net {index}: the batch has {len(self)}")
            index = slice(index % len(self), index % len(self) + 1)
        return self._map(lambda tensor: tensor[index])

    def __iter__(self) -> Iterator["QNets"]:
        return (self[index] for index in range(len(self)))

    def to(self, *args: Any, **kwargs: Any) -> "QNets":
        """Moves or casts all tensors. The arguments are those of `torch.Tensor.to`."""
        return self._map(lambda tensor: tensor.to(*args, **kwargs))

    def _map(self, change: Callable[[Tensor], Tensor]) -> "QNets":
        return QNets(
            [change(weight) for weight in self.weights],
            [change(bias) for bias in self.biases],
            self.config,
            self.training,
        )
