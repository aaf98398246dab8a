"""The benchmark: that it runs over a linker, and that its figures say what they are called."""

import json
from pathlib import Path

import numpy as np
import pytest

from el.base.errors import ConfigError, ElError, UsageError
from el.benchmark.linking import with_context
from el.benchmark.page import size_curves
from el.benchmark.scaling import scaled_vectors
from el.benchmark.timing import STEPS
from el.commands.bench import main
from el.index.vectors import NameVectors
from el.linking.linker import Linker
from el.models.inputs import tokens_for
from tests.tiny import save_tiny_linker

CORPUS = """1|t|A cold after aspirin
1|a|Acute liver failure, then headache.
1\t2\t6\tcold\tDisease\tD003139
1\t13\t20\taspirin\tChemical\tD001241
1\t21\t40\tAcute liver failure\tDisease\tD017114
"""
SECTION = "benchmark: {mentions: 3, batch: 2, candidates: 40, exhaustive: 2, sizes: [5, 90]}\n"


@pytest.fixture(scope="module")
def linker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_linker(tmp_path_factory.mktemp("linker") / "tiny")


@pytest.fixture
def arguments(linker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(SECTION)
    Path("corpus.txt").write_text(CORPUS)
    arguments = ["--linker", str(linker), "corpus.txt", "--depths", "2", "3", "--output", "out"]
    return [*arguments, "--params", "params.yaml"]


def test_a_linker_that_is_made_to_read_context(linker: Path, tmp_path: Path) -> None:
    long = ["cold " * 50]
    for folder, context in ((with_context(linker, 20, tmp_path), 20), (linker, 0)):
        opened = Linker.load(folder)
        assert opened.inputs.context_characters == context
        (tokens,) = opened.ranker.engine.tokenize(long)
        assert (len(tokens) == tokens_for(20)) is bool(context)


def test_a_linker_is_timed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main(arguments)
    figures = json.loads(Path("out/latency.json").read_text())
    systems = ["bi_encoder", "hypencoder_2", "hypencoder_2_compact", "hypencoder_3_untrained"]
    for system in systems:
        steps = sum(figures[f"{system}/{step}_p50_ms"] for step in STEPS)
        assert 0 < steps <= figures[f"{system}/total_p95_ms"] * 3
        assert figures[f"{system}/mentions_per_second"] > 0
    # Of few names the search misses none, and what the heads without training answer is not looked at.
    assert figures["hypencoder_2/recall@10"] == 1
    assert figures["hypencoder_2/sample_accuracy@1"] == figures["hypencoder_2/exhaustive_accuracy@1"]
    assert "hypencoder_3_untrained/accuracy@1" not in figures
    assert {"bi_encoder_flat/total_p50_ratio", "graph_search/against_ours"} <= set(figures)
    assert figures["el_link/documents_per_second"] > 0
    assert figures["el_link_finding/documents_per_second"] > 0
    assert figures["el_link_context/documents_per_second"] > 0
    # Of a process without PyTorch.
    assert 0 < figures["el_link/peak_memory_mb"] < figures["peak_memory_mb"]
    curves = size_curves(figures)
    assert [count for count, _ in curves["hypencoder_2"]] == [5, figures["names"], 90]
    assert Path("out/sizes.svg").read_text().startswith("<svg")
    printed = capsys.readouterr().out
    assert [system for system in systems if f"| {system} |" not in printed] == []
    with pytest.raises(UsageError, match="--force"):
        main(arguments)
    Path("out/latency.json").unlink()
    with pytest.raises(UsageError, match=r"no latency\.json"):
        main([*arguments, "--force"])


def test_a_corpus_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--linker", "x"])
    assert stop.value.code == 2
    assert "CORPUS" in capsys.readouterr().err


def test_without_an_output_nothing_is_written(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    main([argument for argument in arguments if argument not in ("--output", "out")])
    assert "| bi_encoder |" in capsys.readouterr().out
    assert sorted(path.name for path in Path().iterdir()) == ["corpus.txt", "params.yaml"]


def test_a_corpus_without_ids_is_refused(arguments: list[str]) -> None:
    Path("corpus.txt").write_text("1|t|A cold\n1|a|\n")
    with pytest.raises(ElError, match="no mention has an id"):
        main(arguments)


def test_sizes_are_numbers_of_names(arguments: list[str]) -> None:
    Path("params.yaml").write_text(SECTION.replace("[5, 90]", "[0]"))
    with pytest.raises(ConfigError, match="1 or more"):
        main(arguments)


def test_more_names_are_like_those_there_are(tmp_path: Path) -> None:
    matrix = np.random.default_rng(1).normal(size=(50, 64)).astype(np.float16)
    vectors = NameVectors(matrix, {})
    fewer, more = (scaled_vectors(vectors, count, tmp_path).vectors[:] for count in (20, 120))
    lengths = np.linalg.norm(matrix.astype(np.float32), axis=1)
    assert {tuple(row) for row in fewer.tolist()} < {tuple(row) for row in matrix.astype(float).tolist()}
    assert more.shape == (120, 64)
    # All of them once, then with noise: like the same name still, and as long.
    np.testing.assert_allclose(sorted(np.linalg.norm(more[:50], axis=1)), sorted(lengths), rtol=1e-2)
    cosines = (more[50:100] * more[:50]).sum(axis=1) / np.linalg.norm(more[:50], axis=1) ** 2
    assert 0.9 < cosines.min() < cosines.max() < 0.99
