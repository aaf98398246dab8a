"""The hyper-head: it turns a query's token vectors into the weights and biases of a q-net.

`HyperHead.forward` is the published head. The two starts, and the tests of what training made of a head, are
methods too, because they use the same parameters.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from el.base.errors import ConfigError
from el.models.qnet import QNetConfig, QNets

# The release divides by 768, whatever the encoder's width.
_PUBLISHED_WIDTH = 768
# Bias of hidden layers and values at a start as dot product, in standard deviations of a coordinate. Nearly
# all coordinates are above -2, so ReLU leaves them unchanged once the bias is added. With a larger bias, ReLU
# changes even fewer.
_SHIFT = 2.0
# How far a layer may be from the identity to count as near: the limit of the rest's length, as a share of the
# layer's scale d. The shipped head had .21 when it was straightened, and lost no accuracy that could be
# distinguished from chance. A larger limit lets heads be straightened that may lose more.
_NEAR = 0.25
# Smallest bias of a hidden layer near the identity, in standard deviations of a coordinate. ReLU then leaves
# most coordinates unchanged. With a larger value, fewer heads count as near.
_LEAST_SHIFT = 1.0
# Smallest bias of a straightened head's values, in standard deviations of the value over token vectors of
# unit variance. Few values are then below zero. With a larger value, fewer heads count as straight.
_LEAST_VALUE = 2.0
# Directions that a straightened base has besides d I. On dev, the shipped model has an accuracy@1 of .910
# with none, .9115 with 8, 16 and 32, and .911 with all. Each direction costs 4 D operations a passage and
# layer.
BASE_RANK = 8
# What a straightened base may have besides d I and these directions: the root mean square of the rows'
# lengths, as a share of d. It allows several times the rounding of half precision. With a larger limit,
# scoring at low rank would leave out more of the base.
_MOST_REST = 2e-3
# Activations that leave large positive numbers unchanged, or nearly so.
_IDENTITY_ABOVE_ZERO = ("relu", "gelu", "leaky_relu")


def split_base(base: Tensor) -> tuple[Tensor, Tensor]:
    """Splits the base of a straightened layer into d I and a rest of low rank.

    d is the median of the singular values: all but 2 `BASE_RANK` of them are d.

    Args:
        base: (D, D), with the projection's bias added.

    Returns:
        d, a scalar, and the rest, (D, D).
    """
    scale = torch.linalg.svdvals(base).median()
    return scale, base - scale * torch.eye(len(base), device=base.device)


class HyperHead(nn.Module):
    """Attention of learned queries over the tokens, then a projection, plus a base q-net.

    The parameters have the names of the released checkpoints. Weight matrix i has (in, out) = (v[i], v[i+1])
    and projections j = i. Bias i has (in, out) = (v[i+1], 1) and projections j = N + 1 + i. With the token
    vectors H:

        A = softmax(E_i K_j(H)^T / sqrt(out))      E_i: learned, (out, in)
        C = LayerNorm(ReLU(A V_j(H)))
        W_i = (C P_i^T + 1 b_p^T + B_i)^T          P_i, b_p: the projection; B_i: the base, (out, in)

    Source: arXiv 2502.05364 and the released code.

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
        """Draws fresh parameters as published. The caller seeds torch."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                module.reset_parameters()
        for i, base in enumerate(self.hyper_base_matrices):
            nn.init.normal_(base, std=math.sqrt(2 / _PUBLISHED_WIDTH))
            nn.init.normal_(self.weight_query_embeddings[i], std=10)
            nn.init.normal_(_linear(self.weight_hyper_projection, i).weight, std=1 / _PUBLISHED_WIDTH**2)
            # The release sets these projections' biases to zero for weights, but not for biases.
            for projections in (self.weight_hyper_projection, self.key_projections, self.value_projections):
                nn.init.zeros_(_linear(projections, i).bias)
        for base, query in zip(self.hyper_base_vectors, self.bias_query_embeddings, strict=True):
            nn.init.zeros_(base)
            nn.init.normal_(query, std=10)

    @torch.no_grad()
    def initialise_as_dot_product(self, scale: float, first_token: Tensor | None = None) -> None:
        """Starts as the cosine of passage and query, times `scale`. The caller seeds torch.

        This start is not published. From the published one, a q-net must first learn to compare at all.

        - Hidden layers begin as the identity. With weights I and bias b, relu(x + b) = x + b for nearly all x
          of unit variance, and the layer norm removes b. Weights are divided by the sum that residuals have
          built up.
        - The output weights begin as the query's mean or first token vector. Attention is equal for all
          tokens, or selects the first. The values are I.
        - The query-dependent parts of hidden layers begin near zero, with the published projections, and grow
          in training.

        Passages must have unit variance (see `QNetConfig.input_scale`).

        Args:
            scale: factor on the cosine.
            first_token: for encoders that pool by the first token, the (D,) direction on which the projection
                of this token is far above those of the others; None for encoders that take the mean.

        Raises:
            ConfigError: the q-nets' layers cannot be the identity.
        """
        width = self.config.vector_dimensions[0]
        same_width = set(self.config.vector_dimensions[:-1]) == {_linear(self.key_projections, 0).in_features}
        if not same_width or not self.config.do_layer_norm:
            raise ConfigError(
                "qnet.start: dot_product needs equal widths and layer norms; use the published start"
            )
        if self.config.activation_type not in _IDENTITY_ABOVE_ZERO:
            raise ConfigError(
                f"qnet.start: dot_product needs as activation_type one of {', '.join(_IDENTITY_ABOVE_ZERO)}, "
                f"not {self.config.activation_type}; use the published start"
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
            # The logits of attention are then the tokens' projections on the direction.
            query = self.weight_query_embeddings[output].flatten()
            keys.weight.copy_(torch.outer(query / query.square().sum(), first_token))
        values = _linear(self.value_projections, output)
        values.weight.copy_(torch.eye(width))
        values.bias.fill_(_SHIFT)
        # Passage vector and context both have the length sqrt(width).
        _linear(self.weight_hyper_projection, output).weight.copy_(
            torch.eye(width) * scale / (width * magnitude)
        )

    @torch.no_grad()
    def is_near_identity(self) -> bool:
        """Whether hidden layers are nearly multiples of the identity, as after a start as dot product.

        Scores are then nearly dot products of passages with the output weights, so these weights retrieve.
        The weights of unit i are d e_i, as in d I, plus two terms: the rest of the base, and the projected
        context. The test compares the terms' lengths with d. The length of the rest is an average over units.
        The length of the projected context is about |P|, because rows of C have the length sqrt(in). The test
        is valid for passages of unit variance.
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
            # Written with `not` so that a head with NaN is not near the identity.
            if not rest.norm() / math.sqrt(width) + projection.norm() < _NEAR * scale:
                return False
            if not self.hyper_base_vectors[layer].min() > _LEAST_SHIFT:
                return False
        return True

    @torch.no_grad()
    def is_straight(self) -> bool:
        """Whether hidden layers are near the identity and straight, as `el.models.straightening` makes them.

        The contexts of a straight layer are linear in A, except for their norm: ReLU leaves the values of
        nearly all token vectors of unit variance unchanged. The base of a straight layer has few directions
        besides d I. The test takes milliseconds for each layer.
        """
        return self.is_near_identity() and all(map(self._is_straight, range(self.config.depth)))

    def _is_straight(self, layer: int) -> bool:
        value = _linear(self.value_projections, layer)
        projection = _linear(self.weight_hyper_projection, layer)
        if not (value.bias > _LEAST_VALUE * value.weight.norm(dim=1)).all():
            return False
        scale, rest = split_base(self.hyper_base_matrices[layer][0] + projection.bias)
        beyond = torch.linalg.svdvals(rest)[BASE_RANK:]
        return bool(beyond.norm() < _MOST_REST * math.sqrt(len(rest)) * scale)

    def attended_values(self, hidden: Tensor, attention_mask: Tensor, layer: int) -> Tensor:
        """Returns A V of a hidden layer, (B, v[layer + 1], v[layer]). See `forward` for other arguments."""
        queries = self.weight_query_embeddings[layer]
        return self._attended(hidden, (attention_mask == 0).unsqueeze(1), layer, queries)

    def output_weights(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """Returns the q-nets' (B, v[N]) output weights. See `forward` for the arguments."""
        return self._weight(hidden, (attention_mask == 0).unsqueeze(1), self.config.depth).squeeze(1)

    def forward(self, hidden: Tensor, attention_mask: Tensor) -> QNets:
        """Generates q-nets.

        Args:
            hidden: (B, S, D) token vectors of the query tower's last layer.
            attention_mask: (B, S), 0 where padded. No row may be all padding.
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
        """Returns C P^T, with the projection's bias, (B, out, in); j is the number of key and value."""
        context = functional.relu(self._attended(hidden, padding, j, queries))
        projected: Tensor = projection(functional.layer_norm(context, context.shape[-1:]))
        return projected

    def _attended(self, hidden: Tensor, padding: Tensor, j: int, queries: Tensor) -> Tensor:
        """Returns A V, (B, out, in)."""
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
