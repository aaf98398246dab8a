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

All are scored by one process, because starting one takes as long as scoring a system on a small corpus.
Systems that an interrupted run has scored are not scored again.
"""

import functools
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from el.base.cli import run_command
from el.base.files import atomic_folder
from el.corpus.splits import split_checksum
from el.evaluation.baselines import ExactMatch, FirstAnswer, MajorityLookup, TfidfNames
from el.evaluation.exhaustive import rank_exhaustively
from el.evaluation.protocol import Protocol
from el.evaluation.run import Split, known_documents, split_queries
from el.linking.query import Query
from el.linking.rankers import ModelRanker, distinct_inputs
from el.linking.ranking import Ranker, Ranking
from el.models.base import RetrievalModel
from el.models.biencoder import BiEncoder
from el.models.hypencoder import Hypencoder
from el.models.loading import load_model
from el.pipeline.common import RUNS, Workspace
from el.pipeline.scoring import LEXICAL, UNTUNED, EvaluateConfig, Scoring
from el.runtime.compile import make_engine
from el.training.config import run_key


def model_of(space: Workspace, system: str) -> RetrievalModel:
    """Loads the model of a system that has one."""
    if system == "encoder":
        return BiEncoder.from_encoder(space.encoder).eval()
    return load_model(space.models / "aligned" if system == "aligned" else space.finetuned(system))


def lexical_ranker(space: Workspace, system: str, split: str, candidates: set[str] | None) -> Ranker:
    """Makes the ranker of a system without a model. `candidates` are the only ids to rank; None for all."""

    def lookup() -> Ranker:
        known = known_documents(space.data / "corpus", split)
        return MajorityLookup(known, candidates, expand_abbreviations=True)

    def exact() -> Ranker:
        return ExactMatch(space.ontology, candidates, expand_abbreviations=True)

    if system == "lookup":
        return lookup()
    if system == "exact":
        return exact()
    if system == "lookup_exact":
        return FirstAnswer([lookup(), exact()])
    return TfidfNames(space.ontology, candidates, expand_abbreviations=True)


class Remembering:
    """A ranker that ranks equal inputs once, also of different calls: protocols share mentions.

    Args:
        ranker: ranks the inputs that are new.
    """

    def __init__(self, ranker: Ranker) -> None:
        self._ranker = ranker
        self._rankings: dict[tuple[str, int], Ranking] = {}

    def rank(self, queries: Sequence[Query], k: int) -> list[Ranking]:
        """Returns one ranking per query, of at most `k` concepts."""
        new = {query.input: query for query in queries if (query.input, k) not in self._rankings}
        if new:
            rankings = self._ranker.rank(list(new.values()), k)
            self._rankings |= {(text, k): one for text, one in zip(new, rankings, strict=True)}
        return [self._rankings[query.input, k] for query in queries]


class ModelSystem:
    """Makes the rankers of a system that is a model. The model is compiled once for all of them."""

    def __init__(self, space: Workspace, system: str, model: RetrievalModel, config: EvaluateConfig) -> None:
        self.space = space
        self.system = system
        self.model = model
        self.config = config
        self.vectors = space.vectors(model)
        self._engine = make_engine(model)
        self._rankers: dict[str, Remembering] = {}

    def ranker(self, split: str, candidates: set[str] | None) -> Ranker:
        """Returns a ranker for a split. `candidates` are the only ids that may be ranked; None for all."""
        if candidates is None and split in self._rankers:
            return self._rankers[split]
        description = f"{self.system} on {split}"
        ontology, retrieved = self.space.ontology, self.config.candidates
        ranker = ModelRanker(self._engine, self.vectors, ontology, retrieved, candidates, description)
        if candidates is not None:
            return ranker
        return self._rankers.setdefault(split, Remembering(ranker))

    def exhaustive_metrics(self, split: Split, protocol: Protocol) -> Mapping[str, float]:
        """Returns a q-net's accuracy@1 over all names and over retrieved names, on the same sample.

        None are measured for a bi-encoder, for a protocol that does not allow all names or scores one of
        several corpora, and without mentions.
        """
        is_asked = self.config.exhaustive and protocol.candidates == "all" and not protocol.corpus
        if not (is_asked and isinstance(self.model, Hypencoder)):
            return {}
        queries = split_queries(split, protocol, self.space.inputs.context_characters)
        if not queries:
            return {}
        texts, positions = distinct_inputs(queries)
        chosen = np.unique(np.linspace(0, len(texts) - 1, self.config.exhaustive).astype(int))
        sample = [queries[positions.index(place)] for place in chosen]
        description = f"{self.system} on {split.name}, all names"
        inputs = [texts[place] for place in chosen]
        vectors, ontology = self.vectors, self.space.ontology
        rankings = {
            "exhaustive_sample": rank_exhaustively(self.model, vectors, ontology, inputs, 1, description),
            "retrieved_sample": self.ranker(split.name, None).rank(sample, 1),
        }
        prefix = f"{protocol.name}/{self.system}"
        metrics: dict[str, float] = {f"{prefix}/exhaustive_sample/count": len(sample)}
        for name, ranked in rankings.items():
            right = [r.concept_ids[0] in query.gold for query, r in zip(sample, ranked, strict=True)]
            metrics[f"{prefix}/{name}/accuracy@1"] = round(sum(right) / len(right), 6)
        return metrics


class Evaluation:
    """Scores systems. Each is kept in `runs/` until all are scored.

    Args:
        space: the workspace.
    """

    def __init__(self, space: Workspace) -> None:
        self.space = space
        self.scoring = Scoring(space)
        self.scratch = RUNS / f"evaluate-{space.label}"
        corpus = {name: split_checksum(space.data / "corpus", name) for name in ("train", "dev", "test")}
        self._inputs = corpus | {"ontology": space.ontology.fingerprint, "inputs": repr(space.inputs)}

    def score(self, system: str) -> Path:
        """Scores a system, unless an interrupted run did. Returns the folder of its outputs."""
        model = None if system in LEXICAL else model_of(self.space, system)
        inputs = self._inputs | {"system": system}
        if model is not None:
            inputs |= {"model": model.fingerprint(), "settings": model.settings()}
        config = self.scoring.config
        folder = self.scratch / run_key(config, inputs)
        if folder.is_dir():
            return folder
        with atomic_folder(folder) as out:
            if model is None:
                make = functools.partial(lexical_ranker, self.space, system)
                self.scoring.write(out, system, make)
            else:
                made = ModelSystem(self.space, system, model, config)
                self.scoring.write(out, system, made.ranker, config.candidates, made.exhaustive_metrics)
        return folder

    def publish(self, system: str, folder: Path) -> None:
        """Copies the outputs of a system to their place, with the few figures that `dvc metrics` shows."""
        with atomic_folder(self.space.evaluation(system)) as out:
            shutil.copytree(folder, out, dirs_exist_ok=True)
        self.scoring.write_summary(system)


def main() -> None:
    space = Workspace.here()
    evaluation = Evaluation(space)
    folders = {system: evaluation.score(system) for system in (*LEXICAL, *UNTUNED, *space.trained_systems)}
    for system, folder in folders.items():
        evaluation.publish(system, folder)
    shutil.rmtree(evaluation.scratch)


if __name__ == "__main__":
    run_command(main, __doc__)
