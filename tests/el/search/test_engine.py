"""Engines: compiled models give what the models themselves give."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from el.errors import InputError, MismatchError
from el.models import BiEncoder, EncoderSource, FixedScorer, Hypencoder, RetrievalModel
from el.search.compiling import TorchEngine, compile_model, make_engine
from el.search.engine import CompiledEngine
from tests.tiny import WIDTH, tiny_encoder, tiny_hypencoder

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


def models(source: EncoderSource) -> dict[str, RetrievalModel]:
    return {
        "bi_encoder": BiEncoder.from_encoder(source).eval(),
        "one tower": tiny_hypencoder(source).eval(),
        "query tower retrieves": two_towers(source, trained=True),
        "passage tower retrieves": two_towers(source, trained=False),
    }


@pytest.fixture(params=["bi_encoder", "one tower", "query tower retrieves", "passage tower retrieves"])
def model(request: pytest.FixtureRequest, source: EncoderSource) -> RetrievalModel:
    return models(source)[request.param]


def passages(count: int, each: int) -> npt.NDArray[np.float32]:
    vectors = np.random.default_rng(1).normal(size=(count, each, WIDTH)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def test_compiled_is_as_the_model(model: RetrievalModel) -> None:
    compiled, plain = make_engine(model), TorchEngine(model)
    assert isinstance(compiled, CompiledEngine)
    assert (compiled.kind, compiled.passage_tower) == (plain.kind, plain.passage_tower)
    assert compiled.model == model.fingerprint()
    for count, each in ((1, 1), (4, 7), (3, 200)):
        texts, names = TEXTS[:count], passages(count, each)
        ours, expected = compiled.encode(texts), plain.encode(texts)
        assert ours.vectors.dtype == np.float32
        # Both in bf16, where the machine has it.
        np.testing.assert_allclose(ours.vectors, expected.vectors, atol=1e-2)
        scores = compiled.score(compiled.generate(ours), names)
        others = plain.score(plain.generate(expected), names)
        assert scores.shape == (count, each)
        assert scores.dtype == np.float32
        spread = np.abs(others).max()
        np.testing.assert_allclose(scores, others, atol=0.03 * spread)


def test_what_was_encoded_before_stays_so(model: RetrievalModel) -> None:
    engine, names = make_engine(model), passages(1, 3)
    first = engine.encode(["cold"])
    before = first.vectors.copy()
    generated = engine.generate(first).of(np.array([0]))
    scores = engine.score(generated, names)
    other = engine.encode(["acute liver failure"])
    assert np.array_equal(first.vectors, before)
    assert np.array_equal(engine.score(generated, names), scores)
    # Generated anew, while the q-net of the other is under way.
    np.testing.assert_allclose(engine.score(engine.generate(first), names), scores, rtol=1e-4)
    # In the background, and with others.
    several = engine.generate(engine.encode(["acute liver failure", "cold"])).of(np.array([0]))
    expected = engine.score(several, names)
    np.testing.assert_allclose(engine.score(engine.generate(other), names), expected, rtol=1e-2, atol=1e-3)


def test_qnets_whose_memory_is_used_again_do_not_score(source: EncoderSource) -> None:
    engine = make_engine(tiny_hypencoder(source).eval())
    for texts in (["cold"], ["cold", "lead"]):
        generated, names = engine.generate(engine.encode(texts)), passages(len(texts), 3)
        engine.score(generated, names)
        engine.generate(engine.encode(texts))
        with pytest.raises(AssertionError, match="until the next"):
            engine.score(generated, names)


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
