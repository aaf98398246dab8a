"""Stage: scores systems on every split and protocol of the parameters.

The systems are:
lookup            majority of the training annotations of a form
exact             names with the spelling of the mention
lookup_exact      lookup, then exact
tfidf             character 3-grams
encoder           the encoder, as it was pretrained
aligned           the encoder after the stage `align`
bi_encoder        fine-tuned
hypencoder_N      fine-tuned, with N hidden layers
el_link           the linker without learned synonyms
el_link_learned   the linker with the learned synonyms of the training documents
"""

import functools
from dataclasses import dataclass

import numpy as np

from el.base.cli import command_parser, run_command
from el.base.errors import ConfigError
from el.base.files import atomic_folder, write_json
from el.base.params import load_section
from el.evaluation.baselines import ExactMatch, FirstAnswer, MajorityLookup, TfidfNames
from el.evaluation.exhaustive import rank_exhaustively
from el.evaluation.predictions import write_predictions
from el.evaluation.protocol import Protocol, named_protocol
from el.evaluation.run import Split, evaluate, known_documents, load_split, split_queries
from el.linking.linker import Linker
from el.linking.rankers import ModelRanker, distinct_inputs
from el.linking.ranking import Ranker
from el.models.base import RetrievalModel
from el.models.biencoder import BiEncoder
from el.models.hypencoder import Hypencoder
from el.models.loading import load_model
from el.pipeline.common import LINKER, METRICS, Workspace
from el.runtime.compile import make_engine
from el.runtime.engine import Engine

LEXICAL = ("lookup", "exact", "lookup_exact", "tfidf")


@dataclass(frozen=True)
class EvaluateConfig:
    """What is scored.

    Attributes:
        splits: dev, test or both; choices are made on dev alone.
        protocols: names of protocols that ship with the package, such as "full".
        candidates: number of names that a model's first stage retrieves per mention.
        exhaustive: number of distinct surface forms of each split, spread evenly, for which the q-nets also
            rank all names. They show what the first stage costs in accuracy; 0 measures nothing.
    """

    splits: tuple[str, ...]
    protocols: tuple[str, ...]
    candidates: int
    exhaustive: int

    def __post_init__(self) -> None:
        if not self.splits or not set(self.splits) <= {"dev", "test"}:
            raise ConfigError(f"splits is {list(self.splits)}; some of dev and test are needed")
        if self.candidates < 1 or self.exhaustive < 0:
            raise ConfigError(
                f"candidates is {self.candidates}; it must be 1 or more. exhaustive is {self.exhaustive}; it "
                "must be 0 or more"
            )


class SystemMaker:
    """Makes the rankers of one system, for one split at a time. A model is loaded once for all of them."""

    def __init__(self, space: Workspace, system: str, config: EvaluateConfig) -> None:
        self.space = space
        self.system = system
        self.config = config
        self.model = None if system in LEXICAL or system.startswith("el_link") else self._model()

    def _model(self) -> RetrievalModel:
        if self.system == "encoder":
            return BiEncoder.from_encoder(self.space.encoder).eval()
        if self.system == "aligned":
            return load_model(self.space.models / "aligned")
        return load_model(self.space.finetuned(self.system))

    def make(self, split: str, candidates: set[str] | None) -> Ranker:
        """Makes a ranker for a split. `candidates` are the ids that may be ranked; None for all."""
        if self.model is not None:
            return self.model_ranker(split, candidates)
        if self.system.startswith("el_link"):
            return self._linker(split, candidates)
        return self._lexical(split, candidates)

    @functools.cached_property
    def _engine(self) -> Engine:
        assert self.model is not None
        return make_engine(self.model)

    @property
    def has_qnets(self) -> bool:
        """Whether the system generates q-nets."""
        return self.model is not None and self.model.kind == "hypencoder"

    def model_ranker(self, split: str, candidates: set[str] | None) -> ModelRanker:
        """Makes the ranker of a system that is a model."""
        assert self.model is not None
        vectors = self.space.vectors(self.model)
        description = f"{self.system} on {split}"
        return ModelRanker(
            self._engine, vectors, self.space.ontology, self.config.candidates, candidates, description
        )

    def _linker(self, split: str, candidates: set[str] | None) -> Ranker:
        linker = Linker.load(LINKER)
        learned = (
            known_documents(self.space.data / "corpus", split) if self.system == "el_link_learned" else None
        )
        return linker.restricted(candidates, learned)

    def _lexical(self, split: str, candidates: set[str] | None) -> Ranker:
        def lookup() -> Ranker:
            known = known_documents(self.space.data / "corpus", split)
            return MajorityLookup(known, candidates, expand_abbreviations=True)

        def exact() -> Ranker:
            return ExactMatch(self.space.ontology, candidates, expand_abbreviations=True)

        if self.system == "lookup":
            return lookup()
        if self.system == "exact":
            return exact()
        if self.system == "lookup_exact":
            return FirstAnswer([lookup(), exact()])
        return TfidfNames(self.space.ontology, candidates, expand_abbreviations=True)


def exhaustive_metrics(maker: SystemMaker, split: Split, protocol: Protocol) -> dict[str, float]:
    """Returns accuracy@1 of a Hypencoder over all names and over retrieved names, on the same sample."""
    queries = split_queries(split, protocol, maker.space.inputs.context_characters)
    texts, positions = distinct_inputs(queries)
    chosen = np.unique(np.linspace(0, len(texts) - 1, maker.config.exhaustive).astype(int))
    sample = [queries[positions.index(place)] for place in chosen]
    ranker = maker.model_ranker(split.name, None)
    assert isinstance(maker.model, Hypencoder)
    description = f"{maker.system} on {split.name}, all names"
    rankings = {
        "exhaustive_sample": rank_exhaustively(
            maker.model,
            ranker.vectors,
            ranker.ontology,
            [texts[place] for place in chosen],
            1,
            description,
        ),
        "retrieved_sample": ranker.rank(sample, 1),
    }
    prefix = f"{protocol.name}/{maker.system}"
    metrics: dict[str, float] = {f"{prefix}/exhaustive_sample/count": len(sample)}
    for name, ranked in rankings.items():
        right = [r.concept_ids[0] in query.gold for query, r in zip(sample, ranked, strict=True)]
        metrics[f"{prefix}/{name}/accuracy@1"] = round(sum(right) / len(right), 6)
    return metrics


def protocols(space: Workspace) -> list[Protocol]:
    """Returns the protocols of the parameters."""
    return [named_protocol(name) for name in space.params["evaluate"]["protocols"]]


def evaluate_system(space: Workspace, system: str, config: EvaluateConfig) -> None:
    """Scores a system. Writes its figures, its predictions, and the few figures that `dvc metrics` shows."""
    maker = SystemMaker(space, system, config)
    summary: dict[str, float] = {}
    with atomic_folder(space.evaluation(system)) as out:
        for name in config.splits:
            split = load_split(space.data / "corpus", name)
            metrics: dict[str, float] = {}
            for protocol in protocols(space):
                make = functools.partial(maker.make, name)
                context = space.inputs.context_characters
                retrieved = config.candidates if maker.model is not None else None
                figures, predictions = evaluate(system, make, split, protocol, context, retrieved)
                metrics |= figures
                write_predictions(out / f"{name}-{protocol.name}.jsonl.gz", predictions)
                if config.exhaustive and maker.has_qnets and protocol.candidates == "all":
                    metrics |= exhaustive_metrics(maker, split, protocol)
                summary |= _summary(name, protocol, system, metrics)
            write_json(out / f"{name}.json", metrics)
    write_json(METRICS / f"{system}.json", summary)


def main() -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--systems", nargs="+", required=True, metavar="SYSTEM")
    space = Workspace.here()
    config = load_section(EvaluateConfig, space.params, "evaluate")
    for system in parser.parse_args().systems:
        evaluate_system(space, system, config)


def _summary(split: str, protocol: Protocol, system: str, metrics: dict[str, float]) -> dict[str, float]:
    """Returns the few figures that `dvc metrics diff` shows."""
    row = f"{protocol.name}/{system}/all"
    names = ("accuracy@1", "mrr")
    return {f"{split}.{protocol.name}.{m}": metrics[f"{row}/{m}"] for m in names if f"{row}/{m}" in metrics}


if __name__ == "__main__":
    run_command(main)
