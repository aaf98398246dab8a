"""Evaluating one system: rankings to predictions and figures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from el.corpus.store import read_documents
from el.corpus.types import Document
from el.errors import InputError
from el.evaluation.metrics import flat_metrics
from el.evaluation.protocol import Protocol
from el.evaluation.queries import Query, protocol_candidates, protocol_queries
from el.evaluation.rankings import Prediction, Ranker, make_predictions
from el.evaluation.rows import Seen, rows_of

# Makes a system for the ids that a protocol allows; None for all.
MakeRanker = Callable[[set[str] | None], Ranker]


@dataclass(frozen=True)
class Split:
    """A split to be scored, and what the others show of forms and ids.

    Attributes:
        name: "dev" or "test".
        documents: its documents.
        seen: what the training documents show: train for dev, train and dev for test.
    """

    name: str
    documents: Sequence[Document]
    seen: Seen


def load_split(corpus: Path, name: str) -> Split:
    """Reads a split of a converted corpus.

    Raises:
        InputError: the split is missing, broken or empty.
    """
    documents = list(read_documents(corpus / f"{name}.jsonl"))
    if not documents:
        raise InputError(corpus / f"{name}.jsonl", "", "holds no documents", "Convert the corpus again")
    return Split(name, documents, Seen.of_documents(known_documents(corpus, name)))


def known_documents(corpus: Path, split: str) -> list[Document]:
    """The documents whose annotations may be used when `split` is scored: never its own."""
    known = ["train", "dev"] if split == "test" else ["train"]
    return [document for name in known for document in read_documents(corpus / f"{name}.jsonl")]


def split_queries(split: Split, protocol: Protocol, context_characters: int) -> list[Query]:
    """The mentions of a split that a protocol scores."""
    return protocol_queries(protocol, split.documents, context_characters)


def evaluate(
    system: str, make_ranker: MakeRanker, split: Split, protocol: Protocol, context_characters: int
) -> tuple[dict[str, float], list[Prediction]]:
    """Ranks a protocol's candidates for its mentions.

    Args:
        system: the system's name, for the metrics' keys.
        make_ranker: makes the system for the candidates of the protocol.
        split: whose mentions.
        protocol: which of them, and against what.
        context_characters: how much context queries carry on each side.

    Returns:
        Flat metrics, as `flat_metrics` gives them, and the predictions.
    """
    queries = split_queries(split, protocol, context_characters)
    ranker = make_ranker(protocol_candidates(protocol, queries))
    rankings = ranker.rank(queries, protocol.retrieved)
    predictions = make_predictions(queries, rankings, rows_of(queries, split.seen))
    return flat_metrics(protocol, system, predictions), predictions
