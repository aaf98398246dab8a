"""Evaluates one system: turns its rankings into predictions and figures."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from el.base.errors import ConfigError, InputError
from el.corpus.splits import split_documents, split_files
from el.corpus.store import read_documents
from el.corpus.types import Document
from el.evaluation.metrics import METRIC_DECIMALS, flat_metrics
from el.evaluation.predictions import Prediction, make_predictions
from el.evaluation.protocol import Protocol
from el.evaluation.queries import nil_queries, protocol_candidates, protocol_queries, unscored_queries
from el.evaluation.rows import Seen, rows_of
from el.linking.query import Query
from el.linking.ranking import Ranker, Ranking

# Makes a ranker of the candidates that a protocol allows; None allows all ids.
MakeRanker = Callable[[set[str] | None], Ranker]


@dataclass(frozen=True)
class Split:
    """A split to score, and the forms and ids that its training documents show.

    Attributes:
        name: "dev" or "test".
        documents: the documents of the split.
        seen: the forms and ids of the training documents: of train for dev, of train and dev for test.
        corpora: for several corpora together, the name of each -> its documents of the split.
    """

    name: str
    documents: Sequence[Document]
    seen: Seen
    corpora: Mapping[str, Sequence[Document]] = field(default_factory=dict)

    @property
    def of_corpora(self) -> list[Sequence[Document]]:
        """The documents of each corpus; all documents, if there is one corpus."""
        return list(self.corpora.values()) or [self.documents]

    def scored(self, protocol: Protocol) -> Sequence[Document]:
        """Returns the documents that a protocol scores.

        Raises:
            ConfigError: the protocol scores a corpus that is not in the split.
        """
        if not protocol.corpus:
            return self.documents
        if protocol.corpus not in self.corpora:
            raise ConfigError(
                f"evaluate.protocols: {protocol.name} scores the corpus {protocol.corpus}, which the data do "
                "not have. Choose data=both, or another protocol"
            )
        return self.corpora[protocol.corpus]


def load_split(corpus: Path, name: str) -> Split:
    """Reads a split of a converted corpus, or of several corpora (`el.corpus.splits`).

    Raises:
        InputError: the split is missing or broken, or a corpus has no documents in it.
    """
    corpora: dict[str, list[Document]] = {}
    for corpus_name, path in split_files(corpus, name).items():
        corpora[corpus_name] = list(read_documents(path))
        if not corpora[corpus_name]:
            raise InputError(path, "", "holds no documents", "Convert the corpus again")
    documents = [document for of_corpus in corpora.values() for document in of_corpus]
    corpora.pop("", None)
    return Split(name, documents, Seen.of_documents(known_documents(corpus, name)), corpora)


def known_documents(corpus: Path, split: str) -> list[Document]:
    """Returns the documents whose annotations a system may use when a split is scored.

    For "test" these are train and dev, otherwise train only.
    """
    known = ["train", "dev"] if split == "test" else ["train"]
    return [document for name in known for document in split_documents(corpus, name)]


def split_queries(split: Split, protocol: Protocol, context_characters: int) -> list[Query]:
    """Returns the mentions of a split that a protocol scores."""
    return protocol_queries(protocol, split.scored(protocol), context_characters)


def evaluate(
    system: str,
    make_ranker: MakeRanker,
    split: Split,
    protocol: Protocol,
    context_characters: int,
    retrieved: int | None = None,
) -> tuple[dict[str, float], list[Prediction]]:
    """Evaluates a system on a split under a protocol.

    Args:
        system: the system's name, for the metrics' keys.
        make_ranker: makes the system for the candidates of the protocol.
        split: the split to score.
        protocol: says which mentions are scored, and against which candidates.
        context_characters: the most characters of context on each side of a query.
        retrieved: how many names the system's first stage retrieves; None for a system without a first stage.

    Returns:
        Flat metrics and the predictions. The metrics are those of `flat_metrics` and two more kinds. With a
        first stage the row "all" has "recall@<retrieved>": the share of mentions with a gold id among the
        concepts of the retrieved names. If there are NIL mentions, there is a row "nil" with "count", their
        number, and "accuracy@1", the share that gets no answer; not under the protocol "restricted".
    """
    queries = split_queries(split, protocol, context_characters)
    # The protocol "restricted" does not score NIL mentions.
    documents = split.scored(protocol)
    nil = nil_queries(documents, context_characters) if protocol.mentions != "restricted" else []
    unscored = unscored_queries(protocol, documents, context_characters)
    ranker = make_ranker(protocol_candidates(protocol, queries))
    most = max(protocol.retrieved, retrieved or 0)
    rankings, others = _rank_together(ranker, queries, [*nil, *unscored], most)
    predictions = make_predictions(queries, rankings, rows_of(queries, split.seen))
    metrics = flat_metrics(protocol, system, predictions)
    prefix = f"{protocol.name}/{system}"
    if retrieved is not None and queries:
        metrics[f"{prefix}/all/recall@{retrieved}"] = _share(
            not set(query.gold).isdisjoint(ranking.concept_ids)
            for query, ranking in zip(queries, rankings, strict=True)
        )
    if nil:
        metrics[f"{prefix}/nil/count"] = len(nil)
        metrics[f"{prefix}/nil/accuracy@1"] = _share(
            not ranking.concept_ids for ranking in others[: len(nil)]
        )
    return metrics, predictions


def _rank_together(
    ranker: Ranker, queries: Sequence[Query], others: Sequence[Query], k: int
) -> tuple[list[Ranking], list[Ranking]]:
    """Ranks the queries that a protocol scores, and others, document by document.

    A system that reads whole documents then cannot tell which of their mentions are scored.
    """
    everything = [*queries, *others]
    documents = dict.fromkeys(query.document_id for query in everything)
    places = {document: place for place, document in enumerate(documents)}
    order = sorted(range(len(everything)), key=lambda row: places[everything[row].document_id])
    ranked = ranker.rank([everything[row] for row in order], k)
    rankings = [ranking for _, ranking in sorted(zip(order, ranked, strict=True), key=lambda pair: pair[0])]
    return rankings[: len(queries)], rankings[len(queries) :]


def _share(values: Iterable[bool]) -> float:
    return round(float(np.mean(list(values))), METRIC_DECIMALS)
