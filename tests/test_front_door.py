"""What `import el` gives, and that nothing is loaded before it is needed."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import el
from tests.tiny import save_tiny_linker

SECONDS = 300
HEAVY = ("torch", "numpy", "openvino", "transformers")

LOADED = """
import json, sys
import el
dir(el), el.__version__
before = set(sys.modules)
el.Document
print(json.dumps([sorted(before), sorted(sys.modules)]))
"""
# The module of each name is that of its definition.
PLACES = {
    "BiEncoder": "el.models.biencoder",
    "Document": "el.corpus.types",
    "Hypencoder": "el.models.hypencoder",
    "LinkedDocument": "el.corpus.types",
    "LinkedMention": "el.corpus.types",
    "Linker": "el.linking.linker",
    "load_model": "el.models.loading",
}
LINKED = """
import json, sys
import el
document = el.Linker.load(sys.argv[1])("Aspirin helps. Headache.")
found = [(mention.text, mention.id, mention.score) for mention in document.mentions]
print(json.dumps({"found": found, "modules": sorted(sys.modules)}))
"""


def run(script: str, *arguments: str) -> object:
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_importing_the_package_loads_nothing() -> None:
    before, after = run(LOADED)
    assert set(HEAVY).isdisjoint(before)
    assert [name for name in before if name.startswith("el.")] == []
    # Types of documents are light too.
    assert "el.corpus.types" in after
    assert {"torch", "openvino", "transformers"}.isdisjoint(after)


@pytest.mark.parametrize("name", PLACES)
def test_names_resolve(name: str) -> None:
    assert getattr(el, name) is getattr(importlib.import_module(PLACES[name]), name)
    assert getattr(el, name).__module__ == PLACES[name]


def test_names_are_listed() -> None:
    assert set(dir(el)) == set(el.__all__) == {*PLACES, "__version__"}
    namespace: dict[str, object] = {}
    exec("from el import *", namespace)
    assert PLACES.keys() <= namespace.keys()


@pytest.mark.parametrize("name", ["linker", "Nothing", "__path_"])
def test_an_unknown_name_is_told(name: str) -> None:
    with pytest.raises(AttributeError, match=f"module 'el' has no attribute '{name}'"):
        getattr(el, name)
    assert not hasattr(el, name)


def test_a_document_is_linked_without_pytorch(tmp_path: Path) -> None:
    linked = run(LINKED, str(save_tiny_linker(tmp_path / "linker")))
    found = linked["found"]
    assert [(text, id_) for text, id_, _ in found] == [("Aspirin", "D001241"), ("Headache", "D006261")]
    assert all(0.99 < score <= 1.0 for *_, score in found)
    assert "openvino" in linked["modules"]
    assert {"torch", "transformers"}.isdisjoint(linked["modules"])
