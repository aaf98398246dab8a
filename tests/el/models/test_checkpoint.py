"""Checkpoint files: every layout that occurs, and everything that can be wrong with them."""

import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from el.base.errors import ElError, InputError
from el.models.biencoder import BiEncoder
from el.models.checkpoint import find_backbone_config, load_tensors, resolve_checkpoint
from el.models.hypencoder import Hypencoder
from el.models.loading import load_model
from tests.tiny import tiny_encoder, tiny_hypencoder

Tensors = dict[str, Tensor]
QUERY, PASSAGE = "query_encoder.transformer.", "passage_encoder.transformer."
WORDS = f"{QUERY}embeddings.word_embeddings.weight"


def read(folder: Path) -> Tensors:
    tensors: Tensors = load_file(folder / "model.safetensors")
    return {name: tensor.clone() for name, tensor in tensors.items()}


def rewrite(folder: Path, tensors: Tensors) -> None:
    save_file({name: tensor.clone() for name, tensor in tensors.items()}, folder / "model.safetensors")


def to_bin(folder: Path, tensors: Any, **options: Any) -> Path:
    (folder / "model.safetensors").unlink(missing_ok=True)
    torch.save(tensors, folder / "pytorch_model.bin", **options)
    return folder / "pytorch_model.bin"


def both_copies(tensors: Tensors) -> Tensors:
    return tensors | {
        name.replace(QUERY, PASSAGE): t for name, t in tensors.items() if name.startswith(QUERY)
    }


def assert_same(parity: Path, fingerprint: str) -> None:
    assert Hypencoder.from_pretrained(parity / "2_layer").fingerprint() == fingerprint


@pytest.fixture
def fingerprint(parity: Path) -> str:
    return Hypencoder.from_pretrained(parity / "2_layer").fingerprint()


@pytest.mark.parametrize("zipped", [True, False])
def test_bin_as_on_the_hub(parity: Path, fingerprint: str, zipped: bool) -> None:
    folder = parity / "2_layer"
    to_bin(folder, both_copies(read(folder)), _use_new_zipfile_serialization=zipped)
    (parity / "hub_format" / "config.json").replace(folder / "config.json")
    assert_same(parity, fingerprint)


@pytest.mark.parametrize("copies", ["query", "passage", "both", "mixed"])
def test_shared_tower_by_either_name(parity: Path, fingerprint: str, copies: str) -> None:
    folder = parity / "2_layer"
    tensors = both_copies(read(folder))
    drop = {"query": PASSAGE, "passage": QUERY, "both": "-", "mixed": f"{QUERY}encoder.layer.1."}[copies]
    rewrite(folder, {name: tensor for name, tensor in tensors.items() if not name.startswith(drop)})
    assert_same(parity, fingerprint)


def test_copies_of_a_shared_tower_that_differ(parity: Path) -> None:
    folder = parity / "2_layer"
    tensors = both_copies(read(folder))
    name = f"{PASSAGE}encoder.layer.1.output.dense.bias"
    for wrong in (tensors[name] + 1.0, tensors[name][:3], tensors[name].half()):
        rewrite(folder, tensors | {name: wrong})
        with pytest.raises(InputError, match=f"{name}.*differs from the query tower's"):
            Hypencoder.from_pretrained(folder)


def test_stray_buffers_missing_poolers_and_half_precision(parity: Path, fingerprint: str) -> None:
    folder = parity / "2_layer"
    tensors = read(folder)
    tensors[f"{QUERY}embeddings.position_ids"] = torch.arange(64).unsqueeze(0)
    rewrite(folder, tensors)
    assert_same(parity, fingerprint)
    rewrite(folder, {name: tensor for name, tensor in tensors.items() if ".pooler." not in name})
    model = Hypencoder.from_pretrained(folder)
    assert model.passage_tower.fingerprint() == saved_fingerprint(parity, read(folder))
    rewrite(folder, {name: t.half() if t.is_floating_point() else t for name, t in tensors.items()})
    model = Hypencoder.from_pretrained(folder)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    words = model.query_tower.transformer.state_dict()["embeddings.word_embeddings.weight"]
    assert torch.equal(words, tensors[WORDS].half().float())


def saved_fingerprint(parity: Path, tensors: Tensors) -> str:
    rewrite(parity / "2_layer", tensors)
    return Hypencoder.from_pretrained(parity / "2_layer").passage_tower.fingerprint()


def test_faults_are_named(parity: Path) -> None:
    folder = parity / "2_layer"
    tensors = read(folder)
    tensors["query_encoder.transformer.odd.weight"] = tensors.pop(WORDS)
    tensors[f"{QUERY}embeddings.LayerNorm.weight"] = torch.ones(31)
    rewrite(folder, tensors)
    with pytest.raises(InputError) as caught:
        Hypencoder.from_pretrained(folder)
    message = str(caught.value)
    assert f"missing {WORDS}" in message
    assert "unknown query_encoder.transformer.odd.weight" in message
    assert f"{QUERY}embeddings.LayerNorm.weight has shape (31,) instead of (32,)" in message


def test_many_faults_are_counted(parity: Path) -> None:
    folder = parity / "2_layer"
    rewrite(folder, {name: t for name, t in read(folder).items() if not name.startswith(QUERY)})
    with pytest.raises(InputError, match=r"missing .*; and \d\d more"):
        Hypencoder.from_pretrained(folder)


@pytest.mark.parametrize("name", ["hyper_base_matrices.1", "key_projections.4.bias"])
def test_missing_part_of_the_head(parity: Path, name: str) -> None:
    folder = parity / "2_layer"
    tensors = read(folder)
    del tensors[f"query_encoder.{name}"]
    rewrite(folder, tensors)
    with pytest.raises(InputError, match=f"missing query_encoder.{name}"):
        Hypencoder.from_pretrained(folder)


def test_unshared_tower_needs_its_own_tensors(parity: Path) -> None:
    folder = parity / "extra_nonsquare"
    rewrite(folder, {name: t for name, t in read(folder).items() if not name.startswith(PASSAGE)})
    with pytest.raises(InputError, match=f"missing {PASSAGE}"):
        Hypencoder.from_pretrained(folder)


class Malicious:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("zipped", [True, False, None])
def test_pickle_with_code_is_refused_and_not_run(parity: Path, tmp_path: Path, zipped: bool | None) -> None:
    folder, victim = parity / "2_layer", tmp_path / "victim"
    content = read(folder) | {"query_encoder.code": Malicious(victim)}
    if zipped is None:
        (folder / "model.safetensors").unlink()
        (folder / "pytorch_model.bin").write_bytes(pickle.dumps(content, protocol=2))
    else:
        to_bin(folder, content, _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match=r"refused|broken"):
        Hypencoder.from_pretrained(folder)
    assert not victim.exists()
    # The pickle would have done it.
    pickle.loads(pickle.dumps(Malicious(victim)))
    assert victim.exists()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("layout", ["safetensors", "zip", "legacy"])
def test_truncated_files(parity: Path, share: float, layout: str) -> None:
    folder = parity / "2_layer"
    path = folder / "model.safetensors"
    if layout != "safetensors":
        path = to_bin(folder, read(folder), _use_new_zipfile_serialization=layout == "zip")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match="broken"):
        load_tensors(folder)


@pytest.mark.parametrize("content", [[1, 2], {"state_dict": {}}, {"weight": 3.0}])
def test_bin_that_holds_something_else(tmp_path: Path, content: Any) -> None:
    to_bin(tmp_path, content)
    with pytest.raises(InputError, match="other things than tensors by name"):
        load_tensors(tmp_path)


def test_no_weights_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"neither model\.safetensors nor pytorch_model\.bin"):
        load_tensors(tmp_path)


def test_released_backbone_is_known_without_the_hub(tmp_path: Path) -> None:
    config = find_backbone_config(tmp_path, "google-bert/bert-base-uncased")
    assert (config.hidden_size, config.num_hidden_layers, config.vocab_size) == (768, 12, 30522)
    config.hidden_size = 1
    assert find_backbone_config(tmp_path, "google-bert/bert-base-uncased").hidden_size == 768


def test_own_backbone_comes_first(parity: Path) -> None:
    values = json.loads((parity / "tiny-bert" / "config.json").read_text())
    (parity / "2_layer" / "backbone").mkdir()
    own = parity / "2_layer" / "backbone" / "config.json"
    own.write_text(json.dumps(values | {"num_hidden_layers": 1}))
    assert find_backbone_config(parity / "2_layer", "tiny-bert").num_hidden_layers == 1
    own.write_text('{"model_type": "no-such-model"}')
    with pytest.raises(InputError, match="not the configuration of a backbone"):
        find_backbone_config(parity / "2_layer", "tiny-bert")


def test_backbone_that_nobody_has(parity: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("el.models.checkpoint.backbone_config", unreachable)
    for name in ("gone", ""):
        with pytest.raises(ElError, match=r"Put the backbone's config\.json into .*backbone"):
            find_backbone_config(parity / "2_layer", name)


def unreachable(location: str) -> None:
    raise OSError(f"{location}: no connection")


def test_checkpoint_that_nobody_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def refuse(name: str, allow_patterns: list[str]) -> str:
        asked.append((name, allow_patterns))
        raise OSError("no connection")

    monkeypatch.setattr("el.models.checkpoint.snapshot_download", refuse)
    with pytest.raises(ElError, match="checkpoint some/name: no such folder"):
        resolve_checkpoint("some/name")
    # Code that a repository carries is not even fetched.
    assert asked[0][0] == "some/name"
    assert not [pattern for pattern in asked[0][1] if pattern.endswith(".py")]
    assert resolve_checkpoint(tmp_path) == tmp_path


def test_the_bin_of_the_tests_is_what_torch_writes(parity: Path) -> None:
    path = to_bin(parity / "2_layer", read(parity / "2_layer"))
    assert zipfile.is_zipfile(path)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "module._orig_mod."])
def test_known_prefixes_are_removed(
    parity: Path, fingerprint: str, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = parity / "2_layer"
    capsys.readouterr()
    rewrite(folder, {prefix + name: tensor for name, tensor in read(folder).items()})
    assert_same(parity, fingerprint)
    assert capsys.readouterr().err.count(f"removed the prefix '{prefix}'") == 1


@pytest.mark.parametrize("prefix", ["student.", "net.module.", "module.student."])
def test_unknown_prefixes_are_named(parity: Path, prefix: str) -> None:
    folder = parity / "2_layer"
    rewrite(folder, {prefix + name: tensor for name, tensor in read(folder).items()})
    with pytest.raises(InputError, match=rf"have the prefix '{prefix.removeprefix('module.')}'"):
        Hypencoder.from_pretrained(folder)


def test_a_prefix_of_some_names_is_no_wrapper(parity: Path) -> None:
    folder = parity / "2_layer"
    tensors = read(folder)
    tensors[f"module.{WORDS}"] = tensors.pop(WORDS)
    rewrite(folder, tensors)
    with pytest.raises(InputError, match=rf"missing {WORDS}|unknown module\.{WORDS}"):
        Hypencoder.from_pretrained(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "pointer of Git LFS"),
        ("<!doctype html><title>Sign in</title>", "HTML or XML page"),
        ("", "the file is empty"),
        ('{"hidden', "truncated|begins with"),
    ],
)
def test_files_that_were_not_fetched_properly(tmp_path: Path, name: str, content: str, message: str) -> None:
    source = tiny_encoder(tmp_path / "encoder")
    tiny_hypencoder(source).save_pretrained(tmp_path / "model")
    (tmp_path / "model" / name).write_text(content)
    with pytest.raises(InputError, match=rf"{name}: .*({message})"):
        load_model(tmp_path / "model")
    (tmp_path / "encoder" / name).write_text(content)
    with pytest.raises(InputError, match=rf"{name}: .*({message})"):
        BiEncoder.from_encoder(source)


@pytest.mark.parametrize("prefix", ["module.", "student.encoder."])
def test_an_encoder_that_lacks_weights_is_refused(tmp_path: Path, prefix: str) -> None:
    source = tiny_encoder(tmp_path)
    rewrite(tmp_path, {prefix + name: tensor for name, tensor in read(tmp_path).items()})
    with pytest.raises(InputError, match=rf"lacks 37 of its weights.*it has {prefix}"):
        BiEncoder.from_encoder(source)
