"""A tiny encoder with random weights and a tiny ontology: for tests in which a model has to run."""

import atexit
import functools
import itertools
import shutil
import string
import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig, BertModel, BertTokenizer

from el.evaluation.protocol import Protocol
from el.index.build import build_name_vectors
from el.index.vectors import NameVectors
from el.linking.config import LinkerConfig
from el.linking.evidence import GROUPS, Combination, combination_name, kinds_of
from el.linking.folder import save_linker
from el.linking.rankers import ModelRanker
from el.linking.synonyms import LearnedSynonyms
from el.models.base import RetrievalModel
from el.models.biencoder import BiEncoder
from el.models.hypencoder import Hypencoder
from el.models.inputs import InputVariant, name_inputs
from el.models.tower import EncoderSource
from el.ontology.ontology import Concept, Name, Ontology
from el.runtime.compile import make_engine
from el.tagging.config import TaggerConfig
from el.tagging.store import TrainedTagger, fresh_tagger

WIDTH = 32
_MAX_TOKENS = 32
_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_CHARACTERS = string.ascii_lowercase + string.digits + "-+'()[],.:"


def tiny_encoder(folder: Path) -> EncoderSource:
    """Saves a BERT of two layers, 32 wide, and its tokenizer of single characters; the same every time."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = _SPECIAL + list(_CHARACTERS) + [f"##{character}" for character in _CHARACTERS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    tokenizer = BertTokenizer(vocab=str(folder / "vocab.txt"), do_lower_case=True)
    tokenizer.model_max_length = _MAX_TOKENS
    tokenizer.save_pretrained(str(folder))
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=2 * WIDTH,
        max_position_embeddings=64,
    )
    with torch.random.fork_rng():
        torch.manual_seed(1)
        BertModel(config).save_pretrained(str(folder))
    return EncoderSource(
        name="tiny",
        source="folder",
        location=str(folder),
        hub_name="tiny",
        pooling="mean",
        max_tokens=_MAX_TOKENS,
    )


def tiny_hypencoder(source: EncoderSource, seed: int = 1, **options: Any) -> Hypencoder:
    """A Hypencoder of two towers and one hidden layer, with a random head; the same for the same seed.

    Args:
        source: what `tiny_encoder` saved.
        seed: of torch, which goes on from there.
        options: more fields of the q-nets' configuration.
    """
    torch.manual_seed(seed)
    return Hypencoder.from_encoder(source, [WIDTH, WIDTH, 1], shared_encoder=False, normalize=True, **options)


def tiny_near_identity(source: EncoderSource, *, normalize: bool = True) -> Hypencoder:
    """A Hypencoder of one tower and two hidden layers, as training leaves one that starts as a dot product.

    The values are on both sides of zero.
    """
    torch.manual_seed(7)
    model = Hypencoder.from_encoder(
        source, [WIDTH, WIDTH, WIDTH, 1], normalize=normalize, input_scale=WIDTH**0.5
    ).eval()
    model.initialise_as_dot_product(20.0, [])
    head = model.head
    with torch.no_grad():
        for i in range(2):
            head.weight_query_embeddings[i].normal_()
            head.weight_hyper_projection[i].weight.normal_(std=0.1 / WIDTH)
            head.weight_hyper_projection[i].bias.normal_(std=0.01)
            head.hyper_base_matrices[i].add_(0.1 / WIDTH * torch.randn(WIDTH, WIDTH))
    assert head.is_near_identity()
    return model


def tiny_vectors(source: EncoderSource, ontology: Ontology, folder: Path) -> NameVectors:
    """Vectors of an ontology's names by a tiny encoder, in `folder`."""
    model = BiEncoder.from_encoder(source)
    return build_name_vectors(model, ontology, ontology.name_texts, folder / "vectors", folder)


def tiny_ranker(folder: Path, ontology: Ontology, retrieved: int) -> ModelRanker:
    """A ranker with an untrained tiny Hypencoder; its parts are put in `folder`."""
    source = tiny_encoder(folder / "encoder")
    vectors = tiny_vectors(source, ontology, folder)
    return ModelRanker(make_engine(tiny_hypencoder(source).eval()), vectors, ontology, retrieved)


def tiny_ontology() -> Ontology:
    """Fourteen concepts of MeSH with a few names each; "cold" is a name of two of them."""
    return Ontology.from_concepts(
        [
            _concept("D000082", "chemical", "Acetaminophen", "Paracetamol", "APAP", "Hydroxyacetanilide"),
            _concept("D001241", "chemical", "Aspirin", "Acetylsalicylic Acid"),
            _concept("D000111", "chemical", "Acetylcysteine", "N-Acetyl-L-cysteine"),
            _concept("D008094", "chemical", "Lithium", "Lithium-7"),
            _concept("D007854", "chemical", "Lead"),
            _concept("D012964", "chemical", "Sodium", "Sodium-23"),
            _concept(
                "D017114", "disease", "Liver Failure, Acute", "Acute Hepatic Failure", "Acute Liver Failure"
            ),
            _concept("D017093", "disease", "Liver Failure", "Hepatic Failure"),
            _concept(
                "D056486", "disease", "Chemical and Drug Induced Liver Injury", "Drug-Induced Liver Injury"
            ),
            _concept("D058186", "disease", "Acute Kidney Injury", "Acute Renal Failure"),
            _concept("D006261", "disease", "Headache", "Head Pain"),
            _concept("D003139", "disease", "Common Cold", "Cold", "Coryza, Acute"),
            _concept("D029424", "disease", "Pulmonary Disease, Chronic Obstructive", "COPD", "COLD"),
            _concept("D003080", "other", "Cold Temperature", "Cold"),
        ]
    )


def tiny_protocol(rows: tuple[str, ...] = ("all",), bootstrap_samples: int = 200) -> Protocol:
    """A protocol named "full" in which two concepts are retrieved and looked at."""
    return Protocol(
        name="full",
        mentions="full",
        candidates="all",
        retrieved=2,
        cutoffs=(1, 2),
        rows=rows,
        bootstrap_samples=bootstrap_samples,
        bootstrap_seed=0,
    )


def _concept(concept_id: str, kind: str, *names: str) -> Concept:
    return Concept(concept_id, tuple(Name(name) for name in names), kind)  # type: ignore[arg-type]


TINY_TAGGER = TaggerConfig(
    epochs=30,
    batch=4,
    learning_rate=3e-3,
    head_learning_rate=1e-2,
    weight_decay=0.0,
    max_tokens=48,
    overlap=16,
    layers=None,
    dropout=0.1,
    hidden_words=0.05,
    hidden_names=0.1,
    notes=2,
    with_dev=False,
    checkpoint_every=2,
    seed=1,
)


def tiny_tagger(model: RetrievalModel) -> TrainedTagger:
    """A tagger on a tiny model's tower, not trained; all is random, so that everything counts."""
    tagger = fresh_tagger(model, TINY_TAGGER)
    torch.manual_seed(3)
    own = tagger.model
    with torch.no_grad():
        for parameter in (own.names.weight, own.shapes.weight, own.transitions):
            parameter.normal_()
    own.eval()
    return tagger


def tiny_combinations() -> dict[str, Combination]:
    """Weights with which learned synonyms outweigh the dictionary, and that the model."""
    weights = {"model": 1.0, "spelling": 20.0, "learned_share": 40.0}
    return {
        combination_name(groups): Combination(
            {kind: weight for kind, weight in weights.items() if kind in kinds_of(groups)}
        )
        for size in range(len(GROUPS) + 1)
        for groups in itertools.combinations(GROUPS, size)
    }


def save_tiny_linker(
    folder: Path,
    config: LinkerConfig | None = None,
    synonyms: LearnedSynonyms | None = None,
    with_tagger: bool = False,
) -> Path:
    """Saves a linker for the tiny ontology, its Hypencoder random but always the same. Returns its folder.

    Args:
        folder: where to.
        config: its settings.
        synonyms: learned synonyms, if it is to have any.
        with_tagger: whether it has a tagger, which is as random.
    """
    if config is None and synonyms is None:
        # Most tests have one of these two.
        shutil.copytree(_plain_linker(with_tagger), folder)
        return folder
    return _save_linker(folder, config, synonyms, with_tagger)


@functools.cache
def _plain_linker(with_tagger: bool) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="tiny-"))
    atexit.register(shutil.rmtree, folder)
    return _save_linker(folder / "linker", None, None, with_tagger)


def _save_linker(
    folder: Path, config: LinkerConfig | None, synonyms: LearnedSynonyms | None, with_tagger: bool
) -> Path:
    parts = folder.with_name(f"{folder.name}-parts")
    ontology = tiny_ontology()
    ontology.save(parts / "ontology")
    torch.manual_seed(1)
    model = Hypencoder.from_encoder(tiny_encoder(parts / "encoder"), [WIDTH, WIDTH, WIDTH, 1]).eval()
    model.save_pretrained(parts / "model")
    texts = name_inputs(ontology, 0)
    vectors = build_name_vectors(model, ontology, texts, parts / "vectors", parts / "scratch")
    tagger = tiny_tagger(model).save(parts / "tagger") if with_tagger else None
    save_linker(
        folder,
        model=parts / "model",
        ontology=parts / "ontology",
        vectors=vectors,
        combinations=tiny_combinations(),
        config=config or LinkerConfig(),
        inputs=InputVariant(),
        synonyms=synonyms,
        made_by={"data": "tiny"},
        tagger=tagger,
    )
    return folder
