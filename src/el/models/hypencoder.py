"""The Hypencoder: a query becomes a q-net that scores passage vectors (arXiv 2502.05364).

It reads and writes the layout of the released checkpoints (`jfkback/hypencoder.N_layer`).
"""

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedTokenizerBase

from el.base.errors import ConfigError, InputError
from el.base.files import atomic_folder, read_json, write_json
from el.models.base import RetrievalModel
from el.models.checkpoint import (
    BACKBONE_FOLDER,
    PASSAGE_BACKBONE_FOLDER,
    assign_tensors,
    find_backbone_config,
    load_tensors,
    resolve_checkpoint,
    save_tensors,
)
from el.models.hyper_head import HyperHead
from el.models.qnet import QNetConfig, QNets
from el.models.tower import (
    EncoderSource,
    Pooling,
    Tower,
    check_model_files,
    empty_transformer,
    load_tokenizer,
    load_tower,
)

ARCHITECTURE = "HypencoderDualEncoder"
# Texts that a tower encodes at once. Memory grows with this number.
_TEXT_BATCH = 64
# How far the first token's attention logit is at least above the others'. A softmax then leaves at most e^-20
# to each other token. A larger value makes attention harder, and gradients smaller.
_FIRST_TOKEN_GAP = 20.0
# Added to the variance of every direction, as a share of the mean variance. It keeps the regression from
# separating tokens along directions of hardly any variance. A larger value makes the gap smaller.
_RIDGE = 1e-3
_QUERY, _PASSAGE, _HEAD = "query_encoder.transformer.", "passage_encoder.transformer.", "query_encoder."


@dataclass(frozen=True)
class HypencoderConfig:
    """The content of a checkpoint's config.json. Defaults are those of the released code.

    Attributes:
        qnet: the q-nets' shape (`converter_kwargs`).
        query_model: the query backbone, a hub name or folder (`model_name_or_path`).
        passage_model: the passage backbone.
        shared_encoder: whether one tower serves both sides.
        encoder_width: D, `base_encoder_output_dim`.
        pooling: how passages are pooled, "cls" or "mean".
        normalize: whether passage vectors are scaled to length 1. Not in the published architecture.
        embedding_representation: how the query tower pools a vector that it is trained to make besides the
            q-net; None if there is no such vector. This project trains the vector to be near its passages, so
            the vector may retrieve them.
        freeze_query: whether the query backbone is excluded from training.
        freeze_passage: whether the passage backbone is excluded from training.
        loss_type: names of the losses of the training. They are only read and written again.
        loss_kwargs: settings of these losses. They are only read and written again.
    """

    qnet: QNetConfig
    query_model: str = ""
    passage_model: str = ""
    shared_encoder: bool = False
    encoder_width: int = 768
    pooling: Pooling = "cls"
    normalize: bool = False
    embedding_representation: str | None = None
    freeze_query: bool = False
    freeze_passage: bool = False
    loss_type: Sequence[str] = ()
    loss_kwargs: Sequence[dict[str, Any]] = field(default=())

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "HypencoderConfig":
        """Reads the values of config.json. Missing keys have the defaults of the released code.

        Raises:
            ConfigError: a value is not possible for a Hypencoder.
        """
        query, passage = (values.get(f"{side}_encoder_kwargs") or {} for side in ("query", "passage"))
        if not isinstance(query, dict) or not isinstance(passage, dict):
            raise ConfigError(
                "query_encoder_kwargs and passage_encoder_kwargs must be JSON objects. "
                "Correct the checkpoint's config.json"
            )
        losses, settings = values.get("loss_type") or [], values.get("loss_kwargs") or []
        return cls(
            qnet=QNetConfig.from_dict(query.get("converter_kwargs") or {}),
            query_model=query.get("model_name_or_path", ""),
            passage_model=passage.get("model_name_or_path", ""),
            shared_encoder=values.get("shared_encoder", False),
            encoder_width=query.get("base_encoder_output_dim", 768),
            pooling=passage.get("pooling_type", "cls"),
            normalize=passage.get("normalize", False),
            embedding_representation=query.get("embedding_representation"),
            freeze_query=query.get("freeze_transformer", False),
            freeze_passage=passage.get("freeze_transformer", False),
            loss_type=[losses] if isinstance(losses, str) else list(losses),
            loss_kwargs=[settings] if isinstance(settings, dict) else list(settings),
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns config.json in the released layout. `normalize` is added only if it is true."""
        passage: dict[str, Any] = {
            "model_name_or_path": self.passage_model,
            "pooling_type": self.pooling,
            "freeze_transformer": self.freeze_passage,
        }
        if self.normalize:
            passage["normalize"] = True
        return {
            "architectures": [ARCHITECTURE],
            "query_encoder_kwargs": {
                "model_name_or_path": self.query_model,
                "freeze_transformer": self.freeze_query,
                "embedding_representation": self.embedding_representation,
                "base_encoder_output_dim": self.encoder_width,
                "converter_kwargs": self.qnet.to_dict(),
            },
            "passage_encoder_kwargs": passage,
            "shared_encoder": self.shared_encoder,
            # The released code requires at least one loss, and one entry of settings for each.
            "loss_type": list(self.loss_type) or ["cross_entropy"],
            "loss_kwargs": list(self.loss_kwargs) or [{}],
        }


class Hypencoder(RetrievalModel):
    """A query tower with a hyper-head, and a passage tower.

    Args:
        config: the content of config.json.
        query_tower: encodes queries. Its token vectors are the input of the head.
        passage_tower: encodes passages; None if the query tower encodes both.
        head: generates q-nets.
        tokenizer: for the methods that take text; None if the checkpoint has no tokenizer.

    Raises:
        ConfigError: the widths of config, towers and q-nets contradict each other.
    """

    kind = "hypencoder"

    def __init__(
        self,
        config: HypencoderConfig,
        query_tower: Tower,
        passage_tower: Tower | None,
        head: HyperHead,
        tokenizer: PreTrainedTokenizerBase | None,
    ) -> None:
        super().__init__(query_tower, passage_tower, tokenizer)
        self.spec = config
        self.head = head
        width, first = self.passage_tower.width, config.qnet.vector_dimensions[0]
        if first != width:
            raise ConfigError(
                f"q-net input width {first}, but the passage tower gives vectors of width {width}. "
                f"Set vector_dimensions to [{width}, ..., 1]"
            )
        if query_tower.width != config.encoder_width:
            raise ConfigError(
                f"base_encoder_output_dim {config.encoder_width}, but the query tower has width "
                f"{query_tower.width}. Set base_encoder_output_dim to this width"
            )

    @classmethod
    def from_encoder(
        cls,
        source: EncoderSource | str | Path,
        vector_dimensions: Sequence[int],
        *,
        shared_encoder: bool = True,
        normalize: bool = False,
        **options: Any,
    ) -> "Hypencoder":
        """Puts a fresh head, initialised as published, on a pretrained encoder.

        Args:
            source: the encoder, or its folder or hub name. Passages are pooled as the encoder says. With a
                folder or hub name alone they are pooled as published, by their first token.
            vector_dimensions: the q-nets' widths, [D, ..., 1].
            shared_encoder: whether one tower serves both sides.
            normalize: whether passage vectors are scaled to length 1 (not as published).
            options: further fields of `QNetConfig`.
        """
        source = source if isinstance(source, EncoderSource) else EncoderSource.of(source)
        tower = load_tower(source, normalize)
        tokenizer = load_tokenizer(source.resolve(), min(source.max_tokens, tower.max_positions))
        qnet = QNetConfig(tuple(vector_dimensions), **options)
        return cls.from_tower(tower, qnet, tokenizer, source.hub_name, shared_encoder=shared_encoder)

    @classmethod
    def from_tower(
        cls,
        tower: Tower,
        qnet: QNetConfig,
        tokenizer: PreTrainedTokenizerBase | None,
        model_name: str,
        *,
        shared_encoder: bool,
    ) -> "Hypencoder":
        """Puts a fresh head on a tower. If the tower is not shared, the passage tower is a copy."""
        config = HypencoderConfig(
            qnet=qnet,
            query_model=model_name,
            passage_model=model_name,
            shared_encoder=shared_encoder,
            encoder_width=tower.width,
            pooling=tower.pooling,
            normalize=tower.normalize,
        )
        head = HyperHead(qnet, tower.width)
        head.initialise()
        passage_tower = None if shared_encoder else copy.deepcopy(tower)
        return cls(config, tower, passage_tower, head, tokenizer)

    def initialise_as_dot_product(self, scale: float, texts: Sequence[str]) -> None:
        """Starts the head as the towers' cosine, times `scale` (`HyperHead.initialise_as_dot_product`).

        Args:
            scale: factor on the cosine.
            texts: some hundred inputs that are like the queries. They are used only if the towers pool by the
                first token: the direction that separates this token from the others is found on them.

        Raises:
            ConfigError: the q-nets' layers cannot be the identity, or no direction separates first tokens.
        """
        first_token = None if self.query_tower.pooling == "mean" else self._first_token(texts)
        self.head.initialise_as_dot_product(scale, first_token)

    @torch.no_grad()
    def _first_token(self, texts: Sequence[str]) -> Tensor:
        """Returns the (D,) direction that separates first tokens from others, by ridge regression.

        The least projection of a first token is `_FIRST_TOKEN_GAP` above the largest one of another token.
        """
        first, others = [], []
        for start in range(0, len(texts), _TEXT_BATCH):
            encoding = self.tokenize(texts[start : start + _TEXT_BATCH])
            hidden = self.query_tower.hidden(encoding["input_ids"], encoding["attention_mask"])
            first.append(hidden[:, 0].double())
            others.append(hidden[:, 1:][encoding["attention_mask"][:, 1:].bool()].double())
        chosen, rest = torch.cat(first), torch.cat(others)
        tokens = torch.cat([chosen, rest])
        centred = tokens - tokens.mean(dim=0)
        covariance = centred.T @ centred / len(centred)
        covariance.diagonal().add_(_RIDGE * covariance.diagonal().mean())
        direction = torch.linalg.solve(covariance, centred[: len(chosen)].mean(dim=0))
        gap = (chosen @ direction).min() - (rest @ direction).max()
        if gap <= 0:
            raise ConfigError(
                "qnet.start: dot_product finds no direction that separates this encoder's first tokens from "
                "the others; use the published start (schedule=distilled)"
            )
        first_token: Tensor = direction * _FIRST_TOKEN_GAP / gap
        return first_token.float()

    def settings(self) -> str:
        return f"{super().settings()} {json.dumps(self.spec.to_dict(), sort_keys=True)}"

    def split_towers(self) -> None:
        super().split_towers()
        self.spec = replace(self.spec, shared_encoder=False)

    def encode_queries(self, input_ids: Tensor, attention_mask: Tensor) -> QNets:
        """Encodes B queries: (B, S) int64 token ids and their mask. Returns their q-nets."""
        qnets: QNets = self.head(self.query_tower.hidden(input_ids, attention_mask), attention_mask)
        return qnets

    @property
    def retrieval_tower(self) -> Tower:
        """The query tower if its vectors are trained to retrieve, otherwise the passage tower.

        A published query tower is trained for q-nets alone. This project also trains its vectors to retrieve,
        if vectors have length 1. `embedding_representation` then names the pooling.
        """
        trained = self.spec.normalize and self.spec.embedding_representation == self.spec.pooling
        return self.query_tower if trained else self.passage_tower

    def retrieve_by_query_tower(self, trained: bool) -> None:
        """Records whether the query tower's vectors are trained to retrieve."""
        self.spec = replace(self.spec, embedding_representation=self.spec.pooling if trained else None)

    def scores_at_low_rank(self) -> bool:
        """Whether q-nets can be scored at low rank (`el.models.low_rank`).

        The scores are then nearly dot products of the passages, all of length 1, with the output weights.
        """
        return self.spec.normalize and self.head.is_straight()

    def vector_encoder(self) -> Callable[[Tensor, Tensor], Tensor]:
        """Returns the function that maps queries to the vectors that retrieve their candidates.

        If q-nets are scored at low rank, these are the q-nets' output weights, scaled to length 1. Otherwise
        they are the vectors of the retrieval tower.
        """
        return self._output_vectors if self.scores_at_low_rank() else self.retrieval_tower

    def _output_vectors(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        hidden = self.query_tower.hidden(input_ids, attention_mask)
        return functional.normalize(self.head.output_weights(hidden, attention_mask), dim=-1)

    def encode_with_vectors(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[QNets, Tensor]:
        hidden = self.query_tower.hidden(input_ids, attention_mask)
        qnets: QNets = self.head(hidden, attention_mask)
        if self.retrieval_tower is self.query_tower:
            return qnets, self.query_tower.pool(hidden, attention_mask)
        return qnets, self.retrieval_tower(input_ids, attention_mask)

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes the released layout as safetensors, with tokenizer and backbone configuration.

        A shared tower is written twice: the released code fills a missing copy with random numbers.
        """
        query, passage = self.query_tower.config, self.passage_tower.config
        with atomic_folder(Path(folder)) as temporary:
            write_json(temporary / "config.json", self.spec.to_dict())
            query.save_pretrained(temporary / BACKBONE_FOLDER)
            if passage.to_dict() != query.to_dict():
                passage.save_pretrained(temporary / PASSAGE_BACKBONE_FOLDER)
            save_tensors(temporary / "model.safetensors", self._released_names())
            if self.tokenizer is not None:
                self.tokenizer.save_pretrained(temporary)

    def _released_names(self) -> dict[str, Tensor]:
        parts: list[tuple[str, nn.Module]] = [
            (_HEAD, self.head),
            (_QUERY, self.query_tower.transformer),
            (_PASSAGE, self.passage_tower.transformer),
        ]
        return {prefix + name: tensor for prefix, part in parts for name, tensor in part.state_dict().items()}

    @classmethod
    def from_pretrained(cls, location: str | Path) -> "Hypencoder":
        """Loads a checkpoint from a folder or the hub, in float32.

        The checkpoint may be released, from a fork, or from this project. The backbone is built from its
        configuration; no other weights are read.

        Raises:
            InputError: a file is missing or broken, or a tensor is missing, unknown or has another shape.
            ConfigError: the configuration has a value that is not possible for a Hypencoder.
        """
        folder = resolve_checkpoint(location)
        check_model_files(folder)
        values = read_json(folder / "config.json")
        if not isinstance(values, dict):
            raise InputError(folder / "config.json", "", "not a JSON object", "Fetch the checkpoint again")
        config = HypencoderConfig.from_dict(values)
        query_tower = _empty_tower(folder, config.query_model, BACKBONE_FOLDER, config)
        passage_tower = None
        if not config.shared_encoder:
            passage_tower = _empty_tower(folder, config.passage_model, PASSAGE_BACKBONE_FOLDER, config)
        longest = min(tower.max_positions for tower in (query_tower, passage_tower) if tower is not None)
        tokenizer = _tokenizer_of(folder, longest)
        with torch.device("meta"):
            head = HyperHead(config.qnet, config.encoder_width)
        model = cls(config, query_tower, passage_tower, head, tokenizer)
        model._assign(folder)
        model._freeze()
        return model.eval()

    def _freeze(self) -> None:
        """Excludes the backbones from training that the configuration excludes (`freeze_transformer`)."""
        if self.spec.freeze_query:
            self.query_tower.requires_grad_(False)
        if self.spec.freeze_passage:
            self.passage_tower.requires_grad_(False)

    def _assign(self, folder: Path) -> None:
        path, tensors = load_tensors(folder, _HEAD)
        query = {name: tensors.pop(name) for name in list(tensors) if name.startswith(_QUERY)}
        passage = {name: tensors.pop(name) for name in list(tensors) if name.startswith(_PASSAGE)}
        if self.own_passage_tower is not None:
            assign_tensors(path, _PASSAGE, self.own_passage_tower.transformer, passage)
        else:
            query = _one_copy(path, query, passage)
        assign_tensors(path, _QUERY, self.query_tower.transformer, query)
        assign_tensors(path, _HEAD, self.head, tensors)


def _one_copy(path: Path, query: dict[str, Tensor], passage: dict[str, Tensor]) -> dict[str, Tensor]:
    """Returns the tensors of a shared tower, with the query tower's names.

    A file may hold either copy of them, or both.

    Raises:
        InputError: the copies differ.
    """
    tensors = dict(query)
    for name, tensor in passage.items():
        other = tensors.setdefault(_QUERY + name.removeprefix(_PASSAGE), tensor)
        if other is not tensor and (other.dtype != tensor.dtype or not torch.equal(other, tensor)):
            raise InputError(
                path,
                name,
                "differs from the query tower's tensor, but shared_encoder is true",
                "Set shared_encoder to false, or fetch the checkpoint again",
            )
    return tensors


def _tokenizer_of(folder: Path, max_tokens: int) -> PreTrainedTokenizerBase | None:
    if not (folder / "tokenizer_config.json").is_file():
        return None
    tokenizer = load_tokenizer(folder)
    # A tokenizer that was saved without a maximal length would not cut texts at all.
    tokenizer.model_max_length = min(tokenizer.model_max_length, max_tokens)
    return tokenizer


def _empty_tower(folder: Path, name: str, own_folder: str, config: HypencoderConfig) -> Tower:
    backbone = find_backbone_config(folder, name, own_folder)
    return Tower(empty_transformer(backbone), config.pooling, config.normalize)
