"""Fits the linker's weights on mentions with and without a concept, and measures precision by score.

It is separate from `el.linking.evidence`, because fitting needs PyTorch and linking does not.
"""

import contextlib
import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from el.base.errors import ConfigError
from el.linking.evidence import (
    KINDS,
    LEAST_SHARE,
    NONE_KINDS,
    Calibration,
    Combination,
    Evidence,
    EvidenceCollector,
    OperatingPoint,
    calibration_group,
    combination_name,
    group_of,
    kinds_of,
    with_document,
)
from el.linking.query import Query
from el.linking.rankers import ModelRanker
from el.linking.synonyms import LearnedSynonyms
from el.ontology.ontology import Ontology
from el.ontology.spellings import Spellings

# The number of parts that the documents of dev are divided into. Each part is decided by weights that were
# fitted on the others. More parts take more fits.
FOLDS = 5
# The number of candidates of a mention, best model scores first, that weights are fitted on. Candidates with
# evidence of the rare kinds are used in addition. A mention has hundreds of others, whose probability is
# close to 0; at a larger value, fitting takes more time and memory.
_FITTED = 24
_RARE = [
    KINDS.index(kind)
    for kind in (
        "spelling",
        "outside_spelling",
        "outside_acronym",
        "short_form",
        "learned_share",
        "in_document",
    )
]
# The factor of the squared weights in the loss, for kinds scaled to variance 1. A larger value pulls weights
# closer to 0.
_RIDGE = 1e-3
# The factor of the squared offset and logarithm of the slope in the loss of a calibration. A larger value
# keeps groups with few mentions closer to their shares.
_CALIBRATION_RIDGE = 1e-4
# The lowest slope of a calibration. It keeps the slope positive when it is rounded.
_LEAST_SLOPE = 1e-4
# How much a mention counts that the linker found, and one of which the definition is hidden. With larger
# values, the accuracy of given mentions falls. With smaller ones, the scores of these are less reliable.
_FOUND, _UNDEFINED = 0.3, 0.1
# The fewest answers of a group whose precision counts at an operating point. With a smaller number, the
# precision is unreliable; with a larger one, small groups are not looked at.
_COUNTED = 30
# The number of mentions from which on several threads save time.
_MANY = 10_000
# The lowest standard deviation that a kind is divided by. It avoids a division by 0 for a kind that has the
# same value for all candidates.
_LEAST_SPREAD = 1e-3


@dataclass(frozen=True)
class Example:
    """One mention to learn weights from.

    Attributes:
        evidence: the evidence for its n candidates.
        gold: (n,) bool, which candidates are right; possibly none.
        weight: how much the mention counts.
    """

    evidence: Evidence
    gold: npt.NDArray[np.bool_]
    weight: float = 1.0


def gold_candidates(query: Query, evidence: Evidence, ontology: Ontology) -> npt.NDArray[np.bool_]:
    """Returns (n,) bool: whether each candidate of a mention is a gold concept."""
    found = np.zeros(len(evidence.concepts), dtype=bool)
    # A mention has one gold concept or two: comparing with each takes a tenth of the time of `np.isin`.
    for concept_id in query.gold:
        found |= evidence.concepts == ontology.row_of.get(concept_id, -1)
    return found


def make_examples(
    queries: Sequence[Query], evidence: Sequence[Evidence], ontology: Ontology
) -> list[Example]:
    """Makes one example for all equal mentions of a document. It counts as often as they occur.

    Mentions that the linker found count `_FOUND` times as much, and those of which the definition is hidden
    `_UNDEFINED` times.
    """
    examples: dict[tuple[Hashable, ...], Example] = {}
    counts: Counter[tuple[Hashable, ...]] = Counter()
    for query, candidates in zip(queries, evidence, strict=True):
        alike = (
            query.document_id,
            query.text,
            query.expanded,
            query.left,
            query.right,
            query.type,
            query.gold,
            query.is_found,
            query.senses,
        )
        counts[alike] += 1
        if alike not in examples:
            weight = _UNDEFINED if query.is_undefined else _FOUND if query.is_found else 1.0
            examples[alike] = Example(candidates, gold_candidates(query, candidates, ontology), weight)
    return [replace(example, weight=example.weight * counts[key]) for key, example in examples.items()]


def fit_combination(
    examples: Sequence[Example], kinds: Sequence[str], start: Combination | None = None
) -> Combination:
    """Fits weights by maximum likelihood.

    The likelihood of a mention is the summed probability of its gold candidates, or the probability that no
    candidate is right, by the softmax of `Combination.shares`.

    Args:
        examples: the mentions.
        kinds: the kinds of evidence that may be used.
        start: weights to start from, such as those of similar examples; None for 0. The likelihood has one
            maximum, so that a start near it only saves time.

    Raises:
        ConfigError: no example has a gold candidate.
    """
    usable = [_likely(example) for example in examples]
    if not any(example.gold.any() for example in usable):
        raise ConfigError("no mention has its concept among its candidates: no weights can be learned")
    columns = [KINDS.index(kind) for kind in kinds]
    shape = (len(usable), max(len(example.gold) for example in usable))
    values = torch.zeros(*shape, len(columns))
    none = torch.from_numpy(np.stack([example.evidence.none for example in usable]))
    gold, empty = torch.zeros(shape, dtype=torch.bool), torch.ones(shape, dtype=torch.bool)
    for row, example in enumerate(usable):
        size = len(example.gold)
        values[row, :size] = torch.from_numpy(example.evidence.values[:, columns])
        gold[row, :size] = torch.from_numpy(example.gold)
        empty[row, :size] = False
    # Scaled, so that the penalty on the weights treats kinds with small and with large values alike.
    spread = values[~empty].std(dim=0).clamp_min(_LEAST_SPREAD)
    # The constant has no spread. Its weight then counts as it is.
    none_spread = torch.where(none.std(dim=0) < _LEAST_SPREAD, 1.0, none.std(dim=0))
    values /= spread
    none /= none_spread
    # The case that no candidate is right is one more column of the candidates.
    gold = torch.cat([gold, ~gold.any(dim=1, keepdim=True)], dim=1)
    empty = torch.cat([empty, torch.zeros(len(usable), 1, dtype=torch.bool)], dim=1)
    counts = torch.tensor([example.weight for example in usable])
    share = counts / counts.sum()
    start = start or Combination({})
    weights = _scaled(start.weights, kinds, spread)
    none_weights = _scaled(start.none_weights, NONE_KINDS, none_spread)
    optimiser = torch.optim.LBFGS([weights, none_weights], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        logits = torch.cat([values @ weights, (none @ none_weights).unsqueeze(1)], dim=1)
        logits = logits.masked_fill(empty, -torch.inf)
        right = logits.masked_fill(~gold, -torch.inf).logsumexp(dim=1) - logits.logsumexp(dim=1)
        right = right * share
        penalty = weights.square().sum() + none_weights.square().sum()
        value = _RIDGE * penalty - right.sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    return Combination(
        _rounded(kinds, weights.detach() / spread), _rounded(NONE_KINDS, none_weights.detach() / none_spread)
    )


def _scaled(weights: Mapping[str, float], kinds: Sequence[str], spread: torch.Tensor) -> torch.Tensor:
    """Returns weights of scaled kinds, to be fitted."""
    return (torch.tensor([weights.get(kind, 0.0) for kind in kinds]) * spread).requires_grad_()


def fit_calibrations(
    combination: Combination, evidence: Sequence[Evidence], gold: Sequence[npt.NDArray[np.bool_]]
) -> dict[str, Calibration]:
    """Fits a calibration for each group of mentions, by maximum likelihood that the first concept is right.

    Args:
        combination: the weights; its own calibrations are not used.
        evidence: the evidence for each of m mentions.
        gold: for each mention, (n,) bool, which of its candidates are right.
    """
    firsts: defaultdict[str, list[tuple[float, bool]]] = defaultdict(list)
    for candidates, right in zip(evidence, gold, strict=True):
        shares = combination.shares(candidates)
        if len(shares):
            best = int(shares.argmax())
            firsts[calibration_group(candidates)].append((float(shares[best]), bool(right[best])))
    return {group: _fit_calibration(*zip(*answers, strict=True)) for group, answers in sorted(firsts.items())}


def _fit_calibration(shares: Sequence[float], right: Sequence[bool]) -> Calibration:
    logits = torch.tensor(shares, dtype=torch.float64).logit(eps=LEAST_SHARE)
    truth = torch.tensor(right, dtype=torch.float64)
    # The slope is positive, so that of two mentions of a group the one with the larger share stays first.
    offset, log_slope = (torch.zeros(1, dtype=torch.float64, requires_grad=True) for _ in range(2))
    optimiser = torch.optim.LBFGS([offset, log_slope], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        calibrated = offset + log_slope.exp() * logits
        value = torch.nn.functional.binary_cross_entropy_with_logits(calibrated, truth)
        value = value + _CALIBRATION_RIDGE * (offset.square() + log_slope.square()).sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    return Calibration(round(offset.item(), 4), max(round(log_slope.exp().item(), 4), _LEAST_SLOPE))


def _rounded(kinds: Sequence[str], weights: torch.Tensor) -> dict[str, float]:
    return {kind: round(weight, 4) for kind, weight in zip(kinds, weights.tolist(), strict=True)}


def _likely(example: Example) -> Example:
    """Returns an example with those candidates that weights are fitted on."""
    every = example.evidence
    kept = example.gold | every.values[:, _RARE].any(axis=1)
    kept[np.argsort(-every.of("model"), kind="stable")[:_FITTED]] = True
    return Example(
        replace(every, concepts=every.concepts[kept], names=every.names[kept], values=every.values[kept]),
        example.gold[kept],
        example.weight,
    )


def read_and_fit(
    queries: Sequence[Query],
    evidence: Sequence[Evidence],
    rows: Sequence[int],
    kinds: Sequence[str],
    ontology: Ontology,
    start: Combination | None = None,
) -> tuple[Sequence[Evidence], Combination]:
    """Fits weights and calibrations on some mentions. With "in_document", a first decision comes before.

    Args:
        queries: n mentions.
        evidence: the evidence for each of them.
        rows: the mentions to fit on, whole documents.
        kinds: the kinds of evidence that may be used.
        ontology: the ontology of the candidates.
        start: see `fit_combination`.

    Returns:
        The evidence of all n mentions, with "in_document" if it is used; and the weights.
    """

    def fitted(read: Sequence[Evidence], used: Sequence[str]) -> Combination:
        chosen, candidates = [queries[row] for row in rows], [read[row] for row in rows]
        gold = [gold_candidates(*pair, ontology) for pair in zip(chosen, candidates, strict=True)]
        with _few_threads(len(rows)):
            combination = fit_combination(make_examples(chosen, candidates, ontology), used, start)
            return replace(combination, calibrations=fit_calibrations(combination, candidates, gold))

    if "in_document" in kinds:
        first = fitted(evidence, [kind for kind in kinds if kind != "in_document"])
        evidence = with_document(queries, evidence, first)
    return evidence, fitted(evidence, kinds)


@contextlib.contextmanager
def _few_threads(mentions: int) -> Iterator[None]:
    """Makes PyTorch use one thread for few mentions: on small tensors several threads mostly wait."""
    threads = torch.get_num_threads()
    if mentions < _MANY:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True)
class HeldOut:
    """Decisions on n mentions by weights that were fitted on other documents.

    Attributes:
        right: (n,) bool, whether the first concept is a gold concept; False if there is no first concept.
        scores: (n,) float64 between 0 and 1, the first concept's probability; 0 if there is none.
        groups: (n,) str, the group of each mention; see `group_of`.
    """

    right: npt.NDArray[np.bool_]
    scores: npt.NDArray[np.float64]
    groups: npt.NDArray[np.str_]


def held_out(
    queries: Sequence[Query],
    evidence: Sequence[Evidence],
    kinds: Sequence[str],
    ontology: Ontology,
    start: Combination | None = None,
) -> HeldOut:
    """Decides each mention by weights that were fitted on the documents of the other folds.

    Args:
        queries: n mentions with their gold ids. For a mention without gold ids, no concept is right.
        evidence: the evidence for each of them.
        kinds: the kinds of evidence that may be used.
        ontology: the ontology of the candidates.
        start: see `fit_combination`.

    Raises:
        ConfigError: there are fewer than `FOLDS` documents with gold ids.
    """
    documents = sorted({_source_id(query) for query in queries if query.gold})
    if len(documents) < FOLDS:
        raise ConfigError(
            f"{len(documents)} documents with concepts: {FOLDS} are needed to hold some out. Give more"
        )
    fold_of = {document: number % FOLDS for number, document in enumerate(documents)}
    # Documents without any concept are assigned to the first fold.
    folds = np.array([fold_of.get(_source_id(query), 0) for query in queries])
    right, scores = np.zeros(len(queries), dtype=bool), np.zeros(len(queries))
    for fold in range(FOLDS):
        others = np.flatnonzero(folds != fold).tolist()
        read, combination = read_and_fit(queries, evidence, others, kinds, ontology, start)
        for row in np.flatnonzero(folds == fold).tolist():
            probabilities = combination.probabilities(read[row])
            if len(probabilities):
                best = int(probabilities.argmax())
                right[row] = gold_candidates(queries[row], read[row], ontology)[best]
                scores[row] = probabilities[best]
    return HeldOut(right, scores, np.array([group_of(candidates) for candidates in evidence]))


def _source_id(query: Query) -> str:
    return query.source_id or query.document_id


def coverage_curve(decided: HeldOut, points: int = 101) -> list[OperatingPoint]:
    """Returns coverage and precision at thresholds that are spread evenly over the mentions, lowest first.

    Every point answers at least a hundredth of the mentions.

    Args:
        decided: decisions on mentions with and without concepts.
        points: the most operating points.
    """
    order = np.argsort(-decided.scores, kind="stable")
    scores, right = decided.scores[order], np.cumsum(decided.right[order])
    groups = [_counts(decided.groups[order] == group, decided.right[order]) for group in set(decided.groups)]
    # A hundredth of the mentions, rounded up. The precision of fewer answers is unreliable.
    fewest = -(-len(order) // 100)
    counts = np.unique(np.linspace(fewest, len(order), points).round().astype(int))
    curve = {}
    for count in counts:
        # Mentions with the threshold's score are answered too, so the count may grow.
        answered = int(np.searchsorted(-scores, -scores[count - 1], side="right"))
        threshold, precision = float(scores[count - 1]), float(right[answered - 1]) / answered
        lowest = [
            right_in[answered - 1] / answered_in[answered - 1]
            for answered_in, right_in in groups
            if answered_in[answered - 1] >= _COUNTED
        ]
        curve[threshold] = OperatingPoint(
            threshold, answered / len(order), precision, float(min([precision, *lowest]))
        )
    return [curve[threshold] for threshold in sorted(curve)]


def _counts(
    inside: npt.NDArray[np.bool_], right: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Returns (n,) counts among the first 1 to n mentions: those in a group, and of these the right ones."""
    return np.cumsum(inside), np.cumsum(inside & right)


def best_found_threshold(decided: HeldOut, gold: int) -> float:
    """Returns the score below which found mentions get no concept, for the best F1 of links.

    A link is right if its mention and its concept are. F1 is 2 x right links / (links + gold mentions).
    Source: van Rijsbergen, "Information Retrieval", 1979.

    Args:
        decided: decisions on mentions; only those of the group "found" count.
        gold: the number of gold mentions with a concept in the documents of these decisions.

    Returns:
        The threshold, to four decimals; 0 if there are no found mentions.
    """
    found = decided.groups == "found"
    order = np.argsort(-decided.scores[found], kind="stable")
    scores, right = decided.scores[found][order], np.cumsum(decided.right[found][order])
    if not len(scores):
        return 0.0
    f1 = 2 * right / (np.arange(1, len(scores) + 1) + gold)
    # Of equal scores, all are answered or none.
    f1[:-1][scores[:-1] == scores[1:]] = 0.0
    best = int(f1.argmax())
    return 0.0 if best == len(scores) - 1 else math.floor(scores[best] * 10_000) / 10_000


@dataclass(frozen=True)
class FittingSet:
    """Mentions that weights are fitted on, and the learned synonyms that are evidence for them.

    Attributes:
        queries: mentions with their gold ids, and mentions for which no candidate is right.
        synonyms: learned synonyms of other documents than those of the queries.
        is_again: whether another set has the same mentions, with other synonyms.
    """

    queries: Sequence[Query]
    synonyms: LearnedSynonyms
    is_again: bool = False


def fitting_sets(queries: Sequence[Sequence[Query]], synonyms: Sequence[LearnedSynonyms]) -> list[FittingSet]:
    """Returns a set for each corpus with the learned synonyms of each corpus.

    So the weights also see what learned synonyms are worth on a corpus that they do not come from.

    Args:
        queries: for each corpus, mentions of its dev documents.
        synonyms: for each corpus, the learned synonyms of its training documents.
    """
    sets = []
    for own, of_corpus in enumerate(queries):
        for other, known in enumerate(synonyms):
            if own == other:
                sets.append(FittingSet(of_corpus, known))
                continue
            renamed = [
                replace(
                    query,
                    document_id=f"{query.document_id}, synonyms {other}",
                    source_id=query.source_id or query.document_id,
                )
                for query in of_corpus
            ]
            sets.append(FittingSet(renamed, known, is_again=True))
    return sets


def collected(
    ranker: ModelRanker, spellings: Spellings | None, sets: Sequence[FittingSet], *, learned: bool
) -> tuple[list[Query], list[Evidence]]:
    """Returns the mentions of all sets, and the evidence for each.

    Without learned synonyms, sets of the same mentions are equal, and only one of them is used.

    Args:
        ranker: retrieves and scores names.
        spellings: see `EvidenceCollector`.
        sets: the sets.
        learned: whether learned synonyms are evidence.
    """
    queries: list[Query] = []
    evidence: list[Evidence] = []
    for one in sets:
        if one.is_again and not learned:
            continue
        collector = EvidenceCollector(ranker, spellings, one.synonyms if learned else None)
        queries += one.queries
        evidence += collector.collect(one.queries)
    return queries, evidence


def fit_all(ranker: ModelRanker, spellings: Spellings, sets: Sequence[FittingSet]) -> dict[str, Combination]:
    """Fits weights for every choice of `GROUPS`. Returns them by `combination_name`.

    Their curves and thresholds are measured on held-out documents. They are empty and 0 if there are too few
    documents.

    Args:
        ranker: retrieves and scores names.
        spellings: the spellings of the ontology's names.
        sets: the mentions to fit on.
    """
    fitted = {}
    # The dictionary and learned synonyms also propose candidates, so evidence is collected for each choice of
    # the two.
    for dictionary, learned in itertools.product(("", "dictionary"), ("", "learned")):
        queries, evidence = collected(ranker, spellings if dictionary else None, sets, learned=bool(learned))
        for types, document in itertools.product(("", "types"), ("", "document")):
            groups = (dictionary, learned, types, document)
            fitted[combination_name(groups)] = fit_measured(
                queries, evidence, kinds_of(groups), ranker.ontology
            )
    return fitted


def fit_measured(
    queries: Sequence[Query], evidence: Sequence[Evidence], kinds: Sequence[str], ontology: Ontology
) -> Combination:
    """Fits weights on mentions, and measures their operating points on held-out documents.

    Args:
        queries: n mentions with their gold ids, and mentions for which no candidate is right.
        evidence: the evidence for each of them.
        kinds: the kinds of evidence that may be used.
        ontology: the ontology of the candidates.
    """
    _, combination = read_and_fit(queries, evidence, range(len(queries)), kinds, ontology)
    try:
        decided = held_out(queries, evidence, kinds, ontology, combination)
    except ConfigError:
        return combination
    given = [query for query in queries if query.gold and not query.is_found and not query.is_undefined]
    below = best_found_threshold(decided, len(given))
    return replace(combination, found_below=below, curve=tuple(coverage_curve(decided)))
