"""The hyper-head: from a query's token vectors to the weights and biases of its q-net."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from el.base.errors import ConfigError
from el.models.qnet import QNetConfig, QNets

# The release divides by 768 whatever the encoder's width.
_PUBLISHED_WIDTH = 768
# Nearly all coordinates of unit variance, and of token vectors, are above minus this.
_SHIFT = 2.0
# Share of a layer's scale up to which what is not the identity counts as little. The shipped head had .21
# when it was straightened, which cost no accuracy that could be told from chance.
_NEAR = 0.25
# Of a hidden layer's bias, so that ReLU leaves nearly all coordinates of unit variance as they are.
_LEAST_SHIFT = 1.0
# Of a value's bias, in deviations of the value over token vectors of unit variance: few are below zero.
_LEAST_VALUE = 2.0
# Directions that a straightened base has beside d I. On dev the shipped model has an accuracy@1 of .910 with
# none, .9115 with 8, 16 and 32, and .911 with all.
BASE_RANK = 8
# Of d, what a straightened base may have on average beyond these: several times half precision's roundings.
_LEAST_REST = 2e-3
# Activations that leave large positive numbers as they are.
_IDENTITY_ABOVE_ZERO = ("relu", "gelu", "leaky_relu")


def split_base(base: Tensor) -> tuple[Tensor, Tensor]:
    """Returns d, and what a straightened layer's (D, D) base, with the projection's bias, has beside d I.

    Its few other directions leave all but 2 `BASE_RANK` singular values at d.
    """
    scale = torch.linalg.svdvals(base).median()
    return scale, base - scale * torch.eye(len(base), device=base.device)


class HyperHead(nn.Module):
    """Attention of learned queries over the tokens, then a projection, plus a base q-net.

    The parts carry the names of the released checkpoints. For weight matrix i with (in, out) =
    (v[i], v[i+1]), and for bias i with (in, out) = (v[i+1], 1) and projections j = N + 1 + i:

        A = softmax(E_i K_j(H)^T / sqrt(out))      E_i: learned, (out, in)
        C = LayerNorm(ReLU(A V_j(H)))
        W_i = (C P_i^T + B_i)^T                    B_i: the base, (out, in)

    Args:
        config: the q-nets' shape.
        encoder_width: D, the width of the query tower's token vectors.
    """

    def __init__(self, config: QNetConfig, encoder_width: int) -> None:
        super().__init__()
        self.config = config
        weights = config.weight_shapes
        biases = [(out, 1) for _, out in weights[:-1]]
        self.hyper_base_matrices = nn.ParameterList(_empty(1, out, into) for into, out in weights)
        self.hyper_base_vectors = nn.ParameterList(_empty(1, width) for width, _ in biases)
        self.weight_query_embeddings = nn.ParameterList(_empty(1, out, into) for into, out in weights)
        self.bias_query_embeddings = nn.ParameterList(_empty(1, 1, width) for width, _ in biases)
        self.weight_hyper_projection = nn.ModuleList(nn.Linear(into, into) for into, _ in weights)
        self.bias_hyper_projection = nn.ModuleList(nn.Linear(width, width) for width, _ in biases)
        self.key_projections = nn.ModuleList(nn.Linear(encoder_width, into) for into, _ in weights + biases)
        self.value_projections = nn.ModuleList(nn.Linear(encoder_width, into) for into, _ in weights + biases)

    @torch.no_grad()
    def initialise(self) -> None:
        """Draws a fresh head as published; the caller seeds torch."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                module.reset_parameters()
        for i, base in enumerate(self.hyper_base_matrices):
            nn.init.normal_(base, std=math.sqrt(2 / _PUBLISHED_WIDTH))
            nn.init.normal_(self.weight_query_embeddings[i], std=10)
            nn.init.normal_(_linear(self.weight_hyper_projection, i).weight, std=1 / _PUBLISHED_WIDTH**2)
            # The release zeroes these biases for the weights only, not for the q-net's biases.
            for projections in (self.weight_hyper_projection, self.key_projections, self.value_projections):
                nn.init.zeros_(_linear(projections, i).bias)
        for base, query in zip(self.hyper_base_vectors, self.bias_query_embeddings, strict=True):
            nn.init.zeros_(base)
            nn.init.normal_(query, std=10)

    @torch.no_grad()
    def initialise_as_dot_product(self, scale: float, first_token: Tensor | None = None) -> None:
        """Starts as the cosine of passage and query, times `scale`; the caller seeds torch.

        Ours, not the published start, from which a q-net must first learn to compare at all. Hidden layers
        begin as the identity: with weights I and bias b, relu(x + b) = x + b for nearly all x of unit
        variance, the norm takes b away, and weights are divided by what residuals have added up to. The
        output weights begin as the query's mean or first token vector: attention to all tokens or to the
        first alone, values I. The parts of hidden layers that depend on the query begin at zero; from the
        published start's projections training makes them grow.

        Passages must come with unit variance (see `QNetConfig.input_scale`).

        Args:
            scale: factor on the cosine.
            first_token: for encoders that pool by the first token, a (D,) direction on which that token's
                projection is far above those of the others; None where they take the mean.

        Raises:
            ConfigError: q-nets whose layers cannot be the identity.
        """
        width = self.config.vector_dimensions[0]
        same_width = set(self.config.vector_dimensions[:-1]) == {_linear(self.key_projections, 0).in_features}
        if not same_width or not self.config.do_layer_norm:
            raise ConfigError(
                "a start as dot product needs equal widths and layer norms; use the published one"
            )
        if self.config.activation_type not in _IDENTITY_ABOVE_ZERO:
            raise ConfigError(
                f"a start as dot product needs one of {', '.join(_IDENTITY_ABOVE_ZERO)}, not "
                f"{self.config.activation_type}; use the published one"
            )
        self.initialise()
        magnitude = 1.0
        for layer in range(self.config.depth):
            self.hyper_base_matrices[layer].copy_(torch.eye(width) / magnitude)
            self.hyper_base_vectors[layer].fill_(_SHIFT)
            _zero(self.bias_hyper_projection[layer])
            grows = self.config.has_residual(layer) and self.config.layer_norm_before_residual
            magnitude = magnitude + 1.0 if grows else 1.0
        output = self.config.depth
        self.hyper_base_matrices[output].zero_()
        keys = _linear(self.key_projections, output)
        _zero(keys)
        if first_token is not None:
            # The attention's logits become the projections on the direction.
            query = self.weight_query_embeddings[output].flatten()
            keys.weight.copy_(torch.outer(query / query.square().sum(), first_token))
        values = _linear(self.value_projections, output)
        values.weight.copy_(torch.eye(width))
        values.bias.fill_(_SHIFT)
        # Both vectors have the length sqrt(width).
        _linear(self.weight_hyper_projection, output).weight.copy_(
            torch.eye(width) * scale / (width * magnitude)
        )

    @torch.no_grad()
    def is_near_identity(self) -> bool:
        """Whether hidden layers are nearly multiples of the identity, as after a start as dot product.

        Scores are then nearly dot products of passages with the output weights, which therefore retrieve. A
        unit's weights are d e_i, the identity's, and two things more, whose lengths are compared with d: the
        rest of the base, on average over units, and about |P|, for rows of C have length sqrt(in). Holds for
        passages of unit variance.
        """
        config, width = self.config, self.config.vector_dimensions[0]
        if set(config.vector_dimensions[:-1]) != {width} or not config.do_layer_norm:
            return False
        if config.activation_type not in _IDENTITY_ABOVE_ZERO:
            return False
        for layer in range(config.depth):
            base = self.hyper_base_matrices[layer][0]
            scale = base.diagonal().mean()
            rest = base - scale * torch.eye(width, device=base.device)
            projection = _linear(self.weight_hyper_projection, layer).weight
            # Not the other way round, for numbers that are none.
            if not rest.norm() / math.sqrt(width) + projection.norm() < _NEAR * scale:
                return False
            if not self.hyper_base_vectors[layer].min() > _LEAST_SHIFT:
                return False
        return True

    @torch.no_grad()
    def is_straight(self) -> bool:
        """Whether hidden layers are near the identity, and such as `el.models.straightening` makes them.

        Their contexts are linear in A but for their norm: ReLU leaves the values as they are, for nearly all
        token vectors of unit variance. And beside d I bases have few directions. Takes milliseconds a layer.
        """
        return self.is_near_identity() and all(map(self._is_straight, range(self.config.depth)))

    def _is_straight(self, layer: int) -> bool:
        value = _linear(self.value_projections, layer)
        projection = _linear(self.weight_hyper_projection, layer)
        if not (value.bias > _LEAST_VALUE * value.weight.norm(dim=1)).all():
            return False
        scale, rest = split_base(self.hyper_base_matrices[layer][0] + projection.bias)
        beyond = torch.linalg.svdvals(rest)[BASE_RANK:]
        return bool(beyond.norm() < _LEAST_REST * math.sqrt(len(rest)) * scale)

    def attended_values(self, hidden: Tensor, attention_mask: Tensor, layer: int) -> Tensor:
        """Returns A V of a hidden layer, (B, v[layer + 1], v[layer]); takes what `forward` takes."""
        queries = self.weight_query_embeddings[layer]
        return self._attended(hidden, (attention_mask == 0).unsqueeze(1), layer, queries)

    def output_weights(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """Returns the q-nets' (B, v[N]) output weights; takes what `forward` takes."""
        return self._weight(hidden, (attention_mask == 0).unsqueeze(1), self.config.depth).squeeze(1)

    def forward(self, hidden: Tensor, attention_mask: Tensor) -> QNets:
        """Generates q-nets.

        Args:
            hidden: (B, S, D) token vectors of the query tower's last layer.
            attention_mask: (B, S), 0 where padded; every row has a token.
        """
        padding = (attention_mask == 0).unsqueeze(1)
        depth = self.config.depth
        weights = [self._weight(hidden, padding, i).transpose(1, 2) for i in range(depth + 1)]
        biases = [self._bias(hidden, padding, i) for i in range(depth)]
        return QNets(weights, biases, self.config, training=self.training)

    def _weight(self, hidden: Tensor, padding: Tensor, i: int) -> Tensor:
        """Returns the (B, out, in) weights of layer i."""
        base: Tensor = self.hyper_base_matrices[i]
        queries, projection = self.weight_query_embeddings[i], self.weight_hyper_projection[i]
        return self._generate(hidden, padding, i, queries, projection) + base

    def _bias(self, hidden: Tensor, padding: Tensor, i: int) -> Tensor:
        """Returns the (B, out) bias of hidden layer i."""
        base: Tensor = self.hyper_base_vectors[i]
        j = self.config.depth + 1 + i
        queries, projection = self.bias_query_embeddings[i], self.bias_hyper_projection[i]
        return self._generate(hidden, padding, j, queries, projection).squeeze(1) + base

    def _generate(
        self, hidden: Tensor, padding: Tensor, j: int, queries: Tensor, projection: nn.Module
    ) -> Tensor:
        """Returns (B, out, in) for the j-th key and value projections."""
        context = functional.relu(self._attended(hidden, padding, j, queries))
        projected: Tensor = projection(functional.layer_norm(context, context.shape[-1:]))
        return projected

    def _attended(self, hidden: Tensor, padding: Tensor, j: int, queries: Tensor) -> Tensor:
        """A V, (B, out, in)."""
        keys: Tensor = self.key_projections[j](hidden)
        values: Tensor = self.value_projections[j](hidden)
        logits = torch.matmul(queries, keys.transpose(1, 2)) / math.sqrt(queries.shape[1])
        attention = logits.masked_fill(padding, float("-inf")).softmax(dim=-1)
        return torch.matmul(attention, values)


def _empty(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(*shape))


def _zero(module: nn.Module) -> None:
    for parameter in module.parameters():
        nn.init.zeros_(parameter)


def _linear(modules: nn.ModuleList, index: int) -> nn.Linear:
    module = modules[index]
    assert isinstance(module, nn.Linear)
    return module
