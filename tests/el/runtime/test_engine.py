"""Engines: compiled models give what the models themselves give."""

import copy
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from el.base.errors import InputError, MismatchError
from el.base.files import sampled_sha256
from el.models.base import RetrievalModel
from el.models.biencoder import BiEncoder
from el.models.hypencoder import Hypencoder
from el.models.straightening import straighten
from el.models.tower import EncoderSource
from el.runtime import engine as search_engine
from el.runtime import single
from el.runtime.compile import TorchEngine, compile_model, make_engine
from el.runtime.engine import CompiledEngine, Encoded, Engine
from el.runtime.networks import compiled
from el.runtime.single import SingleMention
from el.studies.controls import FixedScorer
from tests.tiny import WIDTH, tiny_encoder, tiny_hypencoder, tiny_near_identity

TEXTS = ["acute liver failure", "cold", "n-acetyl-l-cysteine " * 10, "lead"]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> EncoderSource:
    return tiny_encoder(tmp_path_factory.mktemp("encoder"))


def two_towers(source: EncoderSource, trained: bool) -> Hypencoder:
    """The query tower is another than the passage tower, and retrieves only where it was trained to."""
    model = tiny_hypencoder(source).eval()
    with torch.no_grad():
        for parameter in model.query_tower.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.02)
    model.retrieve_by_query_tower(trained=trained)
    return model


def straightened(source: EncoderSource) -> Hypencoder:
    """A model that starts as a dot product, as training and straightening leave it."""
    model = tiny_near_identity(source)
    assert straighten(model, TEXTS)
    assert model.scores_at_low_rank()
    return model


@pytest.fixture(scope="module")
def models(source: EncoderSource) -> dict[str, RetrievalModel]:
    hypencoders = {
        "one tower": tiny_hypencoder(source).eval(),
        "query tower retrieves": two_towers(source, trained=True),
        "passage tower retrieves": two_towers(source, trained=False),
    }
    for model in hypencoders.values():
        # At the start of training all q-nets are nearly the same, and attention is sharp, which bf16 blurs.
        torch.nn.init.normal_(model.head.weight_query_embeddings[-1])
        torch.nn.init.normal_(model.head.weight_hyper_projection[-1].weight, std=0.5 * WIDTH**-0.5)
    near = {"straightened": straightened(source)}
    return {"bi_encoder": BiEncoder.from_encoder(source).eval(), **hypencoders, **near}


@pytest.fixture(
    params=[
        "bi_encoder",
        "one tower",
        "query tower retrieves",
        "passage tower retrieves",
        "straightened",
    ]
)
def model(request: pytest.FixtureRequest, models: dict[str, RetrievalModel]) -> RetrievalModel:
    return copy.deepcopy(models[request.param])


OpenEngine = Callable[[RetrievalModel], CompiledEngine]


@pytest.fixture(scope="module")
def open_engine(tmp_path_factory: pytest.TempPathFactory) -> OpenEngine:
    """Compiles each model once, and opens a new engine at each call."""
    folders: dict[str, Path] = {}

    def opened(model: RetrievalModel) -> CompiledEngine:
        name = model.fingerprint()
        if name not in folders:
            folders[name] = tmp_path_factory.mktemp("compiled") / "model"
            compile_model(model, folders[name])
        return CompiledEngine(folders[name])

    return opened


def encode(engine: Engine, texts: Sequence[str]) -> Encoded:
    return engine.encode(engine.tokenize(texts), alone=len(texts) == 1)


def passages(count: int, each: int) -> npt.NDArray[np.float16]:
    vectors = np.random.default_rng(1).normal(size=(count, each, WIDTH))
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float16)


def test_compiled_is_as_the_model(model: RetrievalModel) -> None:
    compiled, plain = make_engine(model), TorchEngine(model)
    assert isinstance(compiled, CompiledEngine)
    assert (compiled.kind, compiled.passage_tower) == (plain.kind, plain.passage_tower)
    assert compiled.model == model.fingerprint()
    spread = np.abs(plain.score(encode(plain, TEXTS[:1]), passages(1, 200))).max()
    for count, each in ((1, 1), (4, 7), (3, 200)):
        texts, names = TEXTS[:count], passages(count, each)
        ours, expected = encode(compiled, texts), encode(plain, texts)
        assert ours.vectors.dtype == np.float32
        # Both in bf16, where the machine has it.
        np.testing.assert_allclose(ours.vectors, expected.vectors, atol=1e-2)
        scores, others = compiled.score(ours, names), plain.score(expected, names)
        assert scores.shape == (count, each)
        assert scores.dtype == np.float32
        np.testing.assert_allclose(scores, others, atol=0.03 * spread)


def test_mentions_that_come_one_at_a_time_are_as_in_a_batch(
    model: RetrievalModel, open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine(model)
    # Two are of the same number of tokens.
    names = {count: passages(len(TEXTS), count) for count in (3, 5)}
    together = encode(engine, TEXTS)
    expected = {count: engine.score(together, own) for count, own in names.items()}
    made = []

    class Counted(SingleMention):
        def __init__(self, networks: Sequence[Any], tokens: int) -> None:
            super().__init__(networks, tokens)
            made.append(tokens)

    monkeypatch.setattr(search_engine, "SingleMention", Counted)
    for _ in range(3):
        for place, text in enumerate(TEXTS):
            encoded = encode(engine, [text])
            np.testing.assert_allclose(encoded.vectors[0], together.vectors[place], atol=1e-2)
            engine.wait(encoded)
            for count, own in names.items():
                scores = engine.score(encoded, own[place : place + 1])
                assert (scores.shape, scores.dtype) == ((1, count), np.float32)
                spread = np.abs(expected[count]).max()
                np.testing.assert_allclose(scores[0], expected[count][place], atol=0.03 * spread)
    assert len(made) == len(set(made)) > 1


def test_what_was_encoded_before_stays_so(model: RetrievalModel, open_engine: OpenEngine) -> None:
    engine, names = open_engine(model), passages(1, 3)
    first = encode(engine, ["cold"])
    vectors, scores = first.vectors.copy(), engine.score(first, names)
    kept = scores.copy()
    # While its q-net is being generated, that of the first is not at hand any more.
    other = encode(engine, ["lead"])
    assert np.array_equal(first.vectors, vectors)
    again, others = engine.score(first, names), engine.score(other, names)
    assert np.array_equal(scores, kept)
    spread = np.abs(kept).max()
    np.testing.assert_allclose(again, kept, atol=0.03 * spread)
    assert np.abs(others - kept).max() > 0.1 * spread


def test_a_mention_alone_has_the_same_values_each_time(
    model: RetrievalModel, open_engine: OpenEngine
) -> None:
    engine, names = open_engine(model), passages(1, 64)
    scores = [engine.score(encode(engine, [text]), names).tobytes() for text in ("cold", "lead") * 12]
    assert len(set(scores)) == 2


def test_a_qnet_is_whole_before_the_next_begins(
    models: dict[str, RetrievalModel], open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, calls = iter(["query", "generator"]), []

    class Recorded:
        """A network that is ready to run, in the order in which they are made."""

        def __init__(self, request: Any) -> None:
            self.name, self.request = next(names), request

        def __getattr__(self, call: str) -> Any:
            if call in ("infer", "start_async", "wait"):
                calls.append(f"{self.name}: {call}")
            return getattr(self.request, call)

    monkeypatch.setattr(single, "compiled", lambda *given, **options: Recorded(compiled(*given, **options)))
    engine = open_engine(models["one tower"])
    for text in ("cold", "lead"):
        calls.clear()
        encode(engine, [text])
        # What generates reads where the query's network writes.
        assert calls == ["generator: wait", "query: infer", "generator: start_async"]


def test_however_many_mentions_come(models: dict[str, RetrievalModel], open_engine: OpenEngine) -> None:
    engine = open_engine(models["straightened"])
    texts = ["a" * (1 + number % 20) for number in range(16)]
    names = passages(16, 5)
    together = encode(engine, texts)
    expected = engine.score(together, names)
    for count in (1, 2, 7, 8, 9, 15, 16):
        some = encode(engine, texts[:count])
        assert some.vectors.shape == (count, WIDTH)
        np.testing.assert_allclose(some.vectors, together.vectors[:count], atol=1e-2)
        scores = engine.score(some, names[:count])
        assert scores.shape == (count, 5)
        np.testing.assert_allclose(scores, expected[:count], atol=0.03 * np.abs(expected).max())


def test_what_generated_weights_change_is_what_it_should_be(source: EncoderSource) -> None:
    model, names = straightened(source), passages(len(TEXTS), 50)
    ours, expected = [], []
    for _ in range(2):
        engine, plain = make_engine(model), TorchEngine(model)
        ours.append(engine.score(encode(engine, TEXTS), names))
        expected.append(plain.score(encode(plain, TEXTS), names))
        with torch.no_grad():
            for projection in model.head.weight_hyper_projection[:-1]:
                projection.weight.zero_()
    changes = [(with_them - without).ravel() for with_them, without in (ours, expected)]
    assert np.corrcoef(changes)[0, 1] > 0.85


def test_nearly_equal_names_are_told_apart(
    models: dict[str, RetrievalModel], open_engine: OpenEngine
) -> None:
    engine = open_engine(models["one tower"])
    # In bf16 scores of such a size are at least 1 / 2 ** 9 of it apart, or the same. Fails on no machine that
    # has float32 alone.
    names = passages(1, 1) + 1e-3 * np.random.default_rng(2).normal(size=(1, 200, WIDTH)).astype(np.float16)
    for texts in (["cold"], ["cold", "lead"]):
        scores = engine.score(encode(engine, texts), names.repeat(len(texts), axis=0))
        assert all(len(np.unique(row)) > 150 for row in scores)


def test_what_cannot_be_compiled_runs_as_it_is(source: EncoderSource) -> None:
    towers = BiEncoder.from_encoder(source)
    model = FixedScorer(towers.query_tower, None, towers.tokenizer, 2).eval()
    assert isinstance(make_engine(model), TorchEngine)


def test_broken_files(source: EncoderSource, tmp_path: Path) -> None:
    compile_model(tiny_hypencoder(source).eval(), tmp_path / "c")
    for name in ("query.bin", "generator.bin", "scorer.bin"):
        path = tmp_path / "c" / name
        data = path.read_bytes()
        path.write_bytes(data[:-8])
        with pytest.raises(InputError, match=rf"{name}: missing, truncated or altered"):
            CompiledEngine(tmp_path / "c")
        path.write_bytes(data)
    for name in ("query.xml", "tokenizer.json"):
        path = tmp_path / "c" / name
        data = path.read_bytes()
        path.write_bytes(data[:100])
        with pytest.raises(InputError, match="broken"):
            CompiledEngine(tmp_path / "c")
        path.write_bytes(data)
    manifest = json.loads((tmp_path / "c" / "manifest.json").read_text())
    (tmp_path / "c" / "manifest.json").write_text(json.dumps({"format": manifest["format"], "kind": "x"}))
    with pytest.raises(InputError, match=r"manifest\.json: factor, .* is missing"):
        CompiledEngine(tmp_path / "c")
    (tmp_path / "c" / "manifest.json").write_text(json.dumps(manifest | {"format": "el-compiled-0"}))
    with pytest.raises(MismatchError, match="el-compiled"):
        CompiledEngine(tmp_path / "c")


def _resealed(folder: Path) -> None:
    """Writes the checksums of the weights as they are into the manifest."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["weights"] = {name: sampled_sha256(folder / name) for name in manifest["weights"]}
    path.write_text(json.dumps(manifest))


def _nan(folder: Path) -> None:
    path = folder / "query.bin"
    path.write_bytes(np.full(path.stat().st_size // 2, np.nan, dtype=np.float16).tobytes())


def _cut(folder: Path) -> None:
    path = folder / "query.bin"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _exchanged(folder: Path) -> None:
    for suffix in (".xml", ".bin"):
        query, generator = folder / f"query{suffix}", folder / f"generator{suffix}"
        content = query.read_bytes()
        query.write_bytes(generator.read_bytes())
        generator.write_bytes(content)


def _one_for_all(folder: Path) -> None:
    for suffix in (".xml", ".bin"):
        (folder / f"scorer{suffix}").write_bytes((folder / f"query{suffix}").read_bytes())


def _page(folder: Path) -> None:
    (folder / "scorer.xml").write_text("<html><body>404</body></html>")


def _empty(folder: Path) -> None:
    (folder / "generator.bin").write_bytes(b"")


@pytest.mark.parametrize("damage", [_nan, _cut, _exchanged, _one_for_all, _page, _empty])
def test_damaged_networks_with_right_checksums_are_refused(
    source: EncoderSource, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    compile_model(tiny_hypencoder(source).eval(), tmp_path)
    assert CompiledEngine(tmp_path).width == WIDTH
    damage(tmp_path)
    _resealed(tmp_path)
    with pytest.raises(InputError, match=r"broken|do not fit together|do not compute"):
        CompiledEngine(tmp_path)
