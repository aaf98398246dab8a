"""Loading a checkpoint takes little more memory than the checkpoint."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel

from el.models import Hypencoder
from el.models.qnet import QNetConfig
from el.models.tower import Tower

WIDTH = 768
# Memory is measured in a process of its own: this one has had other models in it.
SCRIPT = """
import sys, threading
import psutil
from transformers import AutoModel, BertConfig
from el.models import Hypencoder
# transformers imports a model's code when it is first asked for.
AutoModel.from_config(BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=1))
process = psutil.Process()
before = process.memory_info().rss
seen, done = [before], threading.Event()
def watch():
    while not done.wait(0.001):
        seen.append(process.memory_info().rss)
watcher = threading.Thread(target=watch)
watcher.start()
model = Hypencoder.from_pretrained(sys.argv[1])
# What is mapped from the file counts once it is read.
total = sum(parameter.sum().item() for parameter in model.parameters())
done.set()
watcher.join()
print(max([*seen, process.memory_info().rss]) - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="measures resident memory as Linux counts it")
@pytest.mark.parametrize("layout", ["safetensors", "bin"])
def test_peak_memory_of_loading(layout: str, tmp_path: Path) -> None:
    bert = BertModel(BertConfig(vocab_size=20_000, hidden_size=WIDTH, num_hidden_layers=2))
    head = QNetConfig((WIDTH, WIDTH, WIDTH, 1))
    model = Hypencoder.from_tower(Tower(bert, "cls", normalize=False), head, None, "x", shared_encoder=True)
    folder = tmp_path / "model"
    model.save_pretrained(folder)
    path = folder / "model.safetensors"
    if layout == "bin":
        tensors = model._released_names()
        torch.save(tensors, folder / "pytorch_model.bin")
        path.unlink()
        path = folder / "pytorch_model.bin"
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder)], capture_output=True, text=True, check=True
    )
    assert int(run.stdout) < 1.3 * path.stat().st_size
