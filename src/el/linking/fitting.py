"""The linker's weights, fitted on mentions with known concepts, and what its scores are worth."""

import itertools
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from el.base.errors import ConfigError
from el.linking.evidence import (
    KINDS,
    Combination,
    Evidence,
    EvidenceCollector,
    OperatingPoint,
    combination_name,
    kinds_of,
    with_document,
)
from el.linking.query import Query
from el.linking.rankers import ModelRanker
from el.linking.synonyms import LearnedSynonyms
from el.ontology.ontology import Ontology
from el.ontology.spellings import Spellings

# The parts that dev's documents are divided into; each is judged by weights of the others.
FOLDS = 5
# Candidates of a mention that weights are fitted on: those that the model scores best, and all for which some
# rare evidence speaks. The others' probability is next to nothing, and there are hundreds.
_FITTED = 48
_RARE = [KINDS.index(kind) for kind in ("spelling", "short_form", "learned_share", "in_document")]
# Keeps weights small where the evidence says little; times the square of weights for kinds of variance 1.
_RIDGE = 1e-3
# Of a kind that is the same for all candidates.
_LEAST_SPREAD = 1e-3


@dataclass(frozen=True)
class Example:
    """One mention to learn weights from.

    Attributes:
        evidence: its candidates.
        gold: (n,) bool, which of them are right; if none is, nothing is learned.
    """

    evidence: Evidence
    gold: npt.NDArray[np.bool_]


def gold_candidates(query: Query, evidence: Evidence, ontology: Ontology) -> npt.NDArray[np.bool_]:
    """(n,) bool: which candidates of a mention are gold ones."""
    return np.array([ontology.ids[row] in query.gold for row in evidence.concepts], dtype=bool)


def make_examples(
    queries: Sequence[Query], evidence: Sequence[Evidence], ontology: Ontology
) -> list[Example]:
    """One example for all mentions of a document that are alike."""
    examples: dict[tuple[Hashable, ...], Example] = {}
    for query, own in zip(queries, evidence, strict=True):
        alike = (
            query.document_id,
            query.text,
            query.expanded,
            query.left,
            query.right,
            query.type,
            query.gold,
        )
        if alike not in examples:
            examples[alike] = Example(own, gold_candidates(query, own, ontology))
    return list(examples.values())


def fit_combination(examples: Sequence[Example], kinds: Sequence[str]) -> Combination:
    """Fits weights by maximum likelihood: the softmax over a mention's candidates, of the gold ones' sum.

    Args:
        examples: mentions.
        kinds: of evidence that may be used.

    Raises:
        ConfigError: no example has a gold candidate.
    """
    usable = [_likely(example) for example in examples if example.gold.any()]
    if not usable:
        raise ConfigError("no mention has its concept among its candidates: no weights can be learned")
    columns = [KINDS.index(kind) for kind in kinds]
    shape = (len(usable), max(len(example.gold) for example in usable))
    values = torch.zeros(*shape, len(columns))
    gold, empty = torch.zeros(shape, dtype=torch.bool), torch.ones(shape, dtype=torch.bool)
    for row, example in enumerate(usable):
        size = len(example.gold)
        values[row, :size] = torch.from_numpy(example.evidence.values[:, columns])
        gold[row, :size] = torch.from_numpy(example.gold)
        empty[row, :size] = False
    # Equally strict with kinds of small and of large numbers.
    spread = values[~empty].std(dim=0).clamp_min(_LEAST_SPREAD)
    values /= spread
    weights = torch.zeros(len(columns), requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        scores = (values @ weights).masked_fill(empty, -torch.inf)
        right = scores.masked_fill(~gold, -torch.inf).logsumexp(dim=1) - scores.logsumexp(dim=1)
        value = _RIDGE * weights.square().sum() - right.mean()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    fitted = zip(kinds, (weights.detach() / spread).tolist(), strict=True)
    return Combination({kind: round(weight, 4) for kind, weight in fitted})


def _likely(example: Example) -> Example:
    """The candidates of an example that weights are fitted on."""
    own = example.evidence
    kept = example.gold | own.values[:, _RARE].any(axis=1)
    kept[np.argsort(-own.of("model"), kind="stable")[:_FITTED]] = True
    return Example(Evidence(own.concepts[kept], own.names[kept], own.values[kept]), example.gold[kept])


def read_and_fit(
    queries: Sequence[Query],
    evidence: Sequence[Evidence],
    rows: Sequence[int],
    kinds: Sequence[str],
    ontology: Ontology,
) -> tuple[Sequence[Evidence], Combination]:
    """Fits weights on some mentions; where what their documents say is to count, after a first reading.

    Args:
        queries: n mentions.
        evidence: for each of them.
        rows: those to fit on, whole documents.
        kinds: of evidence that may be used.
        ontology: whose concepts these are.

    Returns:
        The evidence of all n mentions as the weights need it, and the weights.
    """

    def fitted(read: Sequence[Evidence], used: Sequence[str]) -> Combination:
        examples = make_examples([queries[row] for row in rows], [read[row] for row in rows], ontology)
        return fit_combination(examples, used)

    if "in_document" in kinds:
        first = fitted(evidence, [kind for kind in kinds if kind != "in_document"])
        evidence = with_document(queries, evidence, first)
    return evidence, fitted(evidence, kinds)


@dataclass(frozen=True)
class HeldOut:
    """What weights of other documents make of n mentions.

    Attributes:
        right: (n,) bool, whether the first concept is a gold one; False where there is none.
        scores: (n,) float64 between 0 and 1, the first concept's probability; 0 where there is none.
    """

    right: npt.NDArray[np.bool_]
    scores: npt.NDArray[np.float64]


def held_out(
    queries: Sequence[Query], evidence: Sequence[Evidence], kinds: Sequence[str], ontology: Ontology
) -> HeldOut:
    """Decides each mention by weights that were fitted on the documents of the other folds.

    Args:
        queries: n mentions with their gold ids; for one without any, no concept is right.
        evidence: for each of them.
        kinds: of evidence that may be used.
        ontology: whose concepts these are.

    Raises:
        ConfigError: there are too few documents to hold some out.
    """
    documents = sorted({query.document_id for query in queries if query.gold})
    if len(documents) < FOLDS:
        raise ConfigError(f"{len(documents)} documents with concepts: {FOLDS} are needed to hold some out")
    fold_of = {document: number % FOLDS for number, document in enumerate(documents)}
    # Documents without any concept go with the first.
    folds = np.array([fold_of.get(query.document_id, 0) for query in queries])
    right, scores = np.zeros(len(queries), dtype=bool), np.zeros(len(queries))
    for fold in range(FOLDS):
        others = np.flatnonzero(folds != fold).tolist()
        read, combination = read_and_fit(queries, evidence, others, kinds, ontology)
        for row in np.flatnonzero(folds == fold).tolist():
            shares = combination.shares(read[row])
            if len(shares):
                best = int(shares.argmax())
                right[row] = gold_candidates(queries[row], read[row], ontology)[best]
                scores[row] = shares[best]
    return HeldOut(right, scores)


def coverage_curve(decided: HeldOut, points: int = 101) -> list[OperatingPoint]:
    """Returns coverage and precision at thresholds that divide the mentions evenly, the lowest first.

    No point answers less than a hundredth of the mentions.

    Args:
        decided: mentions, with and without concepts.
        points: the most operating points.
    """
    order = np.argsort(-decided.scores, kind="stable")
    scores, right = decided.scores[order], np.cumsum(decided.right[order])
    # The precision of a few answers says little.
    fewest = -(-len(order) // 100)
    counts = np.unique(np.linspace(fewest, len(order), points).round().astype(int))
    curve = {}
    for count in counts:
        # Equal scores are on the same side of a threshold.
        answered = int(np.searchsorted(-scores, -scores[count - 1], side="right"))
        threshold = float(scores[count - 1])
        curve[threshold] = OperatingPoint(
            threshold, answered / len(order), float(right[answered - 1]) / answered
        )
    return [curve[threshold] for threshold in sorted(curve)]


def fit_all(
    ranker: ModelRanker, spellings: Spellings, synonyms: LearnedSynonyms, queries: Sequence[Query]
) -> dict[str, Combination]:
    """Fits weights for every choice of `GROUPS`, by `combination_name`.

    Their curves are of held-out documents; empty where there are too few to hold some out.

    Args:
        ranker: retrieves and scores names.
        spellings: of the ontology's names.
        synonyms: of other documents than those of the queries.
        queries: mentions with gold ids; those without any count in the operating points alone.
    """
    ontology, every = ranker.ontology, range(len(queries))
    fitted = {}
    # Candidates are those that each choice has when it is used.
    for dictionary, learned in itertools.product(("", "dictionary"), ("", "learned")):
        collector = EvidenceCollector(
            ranker, spellings if dictionary else None, synonyms if learned else None
        )
        evidence = collector.collect(queries)
        for types, document in itertools.product(("", "types"), ("", "document")):
            groups = (dictionary, learned, types, document)
            kinds = kinds_of(groups)
            _, combination = read_and_fit(queries, evidence, every, kinds, ontology)
            try:
                curve = coverage_curve(held_out(queries, evidence, kinds, ontology))
            except ConfigError:
                curve = []
            fitted[combination_name(groups)] = replace(combination, curve=tuple(curve))
    return fitted
