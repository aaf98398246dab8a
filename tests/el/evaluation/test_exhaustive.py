"""All names scored as on a GPU, here on the CPU, against the plain way."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from el.base.errors import ElError
from el.benchmark.exhaustive import main
from el.evaluation import exhaustive
from el.evaluation.exhaustive import QUERY_BATCH, AllNames, HeldNames, names_on, rank_exhaustively
from el.index.vectors import NameVectors
from el.models.qnet import QNetConfig, QNets
from tests.tiny import tiny_encoder, tiny_hypencoder, tiny_ontology, tiny_vectors

CPU = torch.device("cpu")
WIDTH = 16
CONFIGS = [
    QNetConfig((WIDTH, WIDTH, WIDTH, 1), input_scale=4.0),
    QNetConfig((WIDTH, 8, 1), activation_type="gelu", do_residual=False, do_layer_norm=False),
    QNetConfig((WIDTH, WIDTH, 1), do_residual_on_last=True, layer_norm_before_residual=False),
]


def random_vectors(count: int) -> NameVectors:
    return NameVectors(np.random.default_rng(1).normal(size=(count, WIDTH)).astype(np.float16), {})


def random_qnets(config: QNetConfig, count: int = 5) -> QNets:
    torch.manual_seed(1)
    weights = [torch.randn(count, *shape) / shape[0] ** 0.5 for shape in config.weight_shapes]
    return QNets(weights, [torch.randn(count, out) for _, out in config.weight_shapes[:-1]], config)


def scores_of(qnets: QNets, vectors: NameVectors) -> Tensor:
    return qnets(torch.from_numpy(vectors.gather(np.arange(len(vectors)))))


@pytest.fixture(autouse=True)
def in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """In bf16, which some machines multiply, names that score nearly the same change places."""
    monkeypatch.setattr(exhaustive, "supports_bf16", lambda _: False)


@dataclass
class Traced:
    """The calls of what would be compiled.

    Attributes:
        shapes: of each call, (q-nets, names, width).
        scores: of each call, what it returned.
    """

    shapes: list[tuple[int, ...]] = field(default_factory=list)
    scores: list[Tensor] = field(default_factory=list)


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Traced:
    """Traces what would be compiled, as a whole, without a compiler, and notes its calls."""
    compile_it, calls = torch.compile, Traced()

    def traced(function: Callable[..., Tensor], **options: Any) -> Callable[..., Tensor]:
        run = compile_it(function, backend="eager", fullgraph=True, **options)

        def noting(weights: list[Tensor], biases: list[Tensor], config: QNetConfig, names: Tensor) -> Tensor:
            scores = run(weights, biases, config, names)
            calls.shapes.append((len(weights[0]), *names.shape))
            # Whoever asked may change them.
            calls.scores.append(scores.clone())
            return scores

        return noting

    # It keeps no more than a few shapes.
    torch.compiler.reset()
    monkeypatch.setattr(torch, "compile", traced)
    return calls


@pytest.mark.parametrize("config", CONFIGS)
def test_held_names_are_scored_as_others_are(config: QNetConfig, traced: Traced) -> None:
    vectors, qnets = random_vectors(100), random_qnets(config)
    expected = scores_of(qnets, vectors)
    held = HeldNames(CPU, vectors, 30)
    best = held.best(qnets, 7)
    assert torch.equal(best, AllNames(CPU, vectors, 30).best(qnets, 7))
    assert torch.equal(best, expected.topk(7, dim=1).indices)
    torch.testing.assert_close(torch.cat(traced.scores, dim=1)[:, :100], expected, rtol=1e-4, atol=1e-5)
    # The last block was filled up.
    assert traced.shapes == [(5, 30, WIDTH)] * 4


@pytest.mark.parametrize(("count", "block"), [(100, 50), (100, 1000), (1, 1), (7, 6)])
@pytest.mark.parametrize("k", [1, 6, 200])
def test_blocks(count: int, block: int, k: int, traced: Traced) -> None:
    vectors, qnets = random_vectors(count), random_qnets(CONFIGS[0], 3)
    # So that names of zeros would be among the best.
    qnets.weights[-1].neg_()
    expected = scores_of(qnets, vectors).topk(min(k, count), dim=1).indices
    for names in (HeldNames(CPU, vectors, block), AllNames(CPU, vectors, block)):
        assert torch.equal(names.best(qnets, k), expected)
    assert len(traced.shapes) == -(-count // min(block, count))


def test_in_bf16(monkeypatch: pytest.MonkeyPatch, traced: Traced) -> None:
    monkeypatch.setattr(exhaustive, "supports_bf16", lambda _: True)
    vectors, qnets = random_vectors(300), random_qnets(CONFIGS[0])
    expected = scores_of(qnets, vectors).argmax(dim=1)
    for names in (HeldNames(CPU, vectors, 100), AllNames(CPU, vectors, 100)):
        assert (names.best(qnets, 20) == expected[:, None]).any(dim=1).all()


def test_rankings_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, traced: Traced) -> None:
    source, ontology = tiny_encoder(tmp_path / "encoder"), tiny_ontology()
    vectors, model = tiny_vectors(source, ontology, tmp_path), tiny_hypencoder(source).eval()
    texts = [f"{text} {number}" for number in range(20) for text in ("cold", "lead poisoning")]
    expected = rank_exhaustively(model, vectors, ontology, texts, 5)
    monkeypatch.setattr(exhaustive, "names_on", lambda device, vectors: HeldNames(device, vectors, 10))
    found = rank_exhaustively(model, vectors, ontology, texts, 5)
    assert [r.concept_ids for r in found] == [r.concept_ids for r in expected]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.scores, other.scores, rtol=1e-4, atol=1e-4)
    # Of 32 and 8 mentions.
    assert {shape[:2] for shape in traced.shapes} == {(QUERY_BATCH, 10)}


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(*_: object) -> Tensor:
        raise RuntimeError("no Triton\nmore")

    monkeypatch.setattr(torch, "compile", lambda function, dynamic: broken)
    vectors, qnets = random_vectors(100), random_qnets(CONFIGS[0])
    held = HeldNames(CPU, vectors, 30)
    for _ in range(2):
        assert torch.equal(held.best(qnets, 7), scores_of(qnets, vectors).topk(7, dim=1).indices)
    assert capsys.readouterr().err == (
        "note: all names are scored without torch.compile, because it failed: no Triton\n"
    )


def test_too_little_memory_is_not_taken_for_a_missing_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> Tensor:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(torch, "compile", lambda function, dynamic: full)
    with pytest.raises(torch.OutOfMemoryError):
        HeldNames(CPU, random_vectors(100), 30).best(random_qnets(CONFIGS[0]), 7)


def test_blocks_are_as_large_as_the_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu, vectors = torch.device("cuda"), random_vectors(100)
    monkeypatch.setattr(exhaustive, "HeldNames", lambda device, vectors, block: block)
    blocks = []
    for free in (80 * 10**9, 10**7):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, free))
        blocks.append(names_on(gpu, vectors))
    assert blocks[0] == 1 << 16
    assert 256 <= blocks[1] < 1 << 16
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10**6, 10**10))
    with pytest.raises(ElError, match="100 names do not fit into the GPU's memory"):
        names_on(gpu, vectors)
    assert type(names_on(CPU, vectors)) is AllNames


def test_the_speed_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--names", "600", "--width", "8"])
    told = json.loads(capsys.readouterr().out)
    assert told.keys() == {"device", "flops", "matmul_flops", "times_as_long"}
    assert told["matmul_flops"] > 0 < told["flops"]
