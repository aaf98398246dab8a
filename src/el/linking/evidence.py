"""What speaks for each concept that a mention may mean, and how much each kind of it counts."""

import heapq
import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter

import numpy as np
import numpy.typing as npt

from el.base.errors import ConfigError
from el.base.text import spelling
from el.linking.query import Query
from el.linking.rankers import ModelRanker
from el.linking.synonyms import LearnedSynonyms
from el.models.inputs import query_input
from el.ontology.spellings import Spellings

# The kinds of evidence, each a number for every candidate.
KINDS = (
    "model",  # the model's score of the concept's best name, below that of the best candidate
    "similarity",  # the same of the dot products that retrieved
    "spelling",  # 1 where a name is spelled like the mention, written out
    "preferred_name",  # 1 where that is the concept's preferred name
    "short_form",  # 1 where a name is spelled like a mention that is to be written out
    "descriptor",  # 1 for a descriptor, 0 for a supplementary record
    "type",  # 1 where the concept is of the mention's type
    "learned_share",  # the share of the form's training mentions that have the concept
    "learned_count",  # log(1 + their number)
    "known",  # log(1 + the number of all training mentions of the concept)
    "in_document",  # how sure it is that a mention of another form in the document means the concept
)
# What can be switched off.
GROUPS = {
    "dictionary": ("spelling", "preferred_name", "short_form"),
    "learned": ("learned_share", "learned_count", "known"),
    "types": ("type",),
    "document": ("in_document",),
}
_COLUMN = {kind: column for column, kind in enumerate(KINDS)}
# Names that a learned synonym proposes of its concept.
_LEARNED_NAMES = 8
# Mentions whose scores are kept for when they occur again; a thousand take 1 to 4 MB.
_REMEMBERED = 1 << 13


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence for the n candidate concepts of one mention.

    Attributes:
        concepts: (n,) int64, ascending concept rows.
        names: (n,) int64, the name row of each that is spelled like the mention, or else scored best.
        values: (n, len(KINDS)) float32.
    """

    concepts: npt.NDArray[np.int64]
    names: npt.NDArray[np.int64]
    values: npt.NDArray[np.float32]

    def of(self, kind: str) -> npt.NDArray[np.float32]:
        """Returns the (n,) values of one kind."""
        column: npt.NDArray[np.float32] = self.values[:, _COLUMN[kind]]
        return column


@dataclass(frozen=True, slots=True)
class _Form:
    """What is known of a mention's form, whatever its place and type.

    Attributes:
        equal: name rows that are spelled like the mention, written out.
        short: name rows that are spelled like a mention that is to be written out.
        learned: how many training mentions of the form each concept row has.
    """

    equal: npt.NDArray[np.int64]
    short: npt.NDArray[np.int64]
    learned: Counter[int]


@dataclass(frozen=True, slots=True)
class _Scored:
    """What the model makes of a mention's form.

    Attributes:
        form: what else is known of it.
        names: (n,) int64, the name rows that were scored.
        similarities: (n,) float32, their dot products.
        scores: (n,) float32.
    """

    form: _Form
    names: npt.NDArray[np.int64]
    similarities: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]


# What is read of a mention, its text, and what that stands for: all that its scores depend on.
_Key = tuple[str, str, str]


class EvidenceCollector:
    """Collects the evidence for mentions. Equal mentions are scored once, and remembered for a while.

    Candidates are the names that the model's first stage retrieves, those spelled like the mention or what it
    stands for, and those of concepts that training mentions of its form have.

    Args:
        ranker: retrieves and scores names.
        spellings: of the ontology's names; None where spelling is not to count.
        synonyms: what the training documents show; None where that is not to be used.
        candidates: the only ids that may be answered; None for all.
    """

    def __init__(
        self,
        ranker: ModelRanker,
        spellings: Spellings | None,
        synonyms: LearnedSynonyms | None = None,
        candidates: Collection[str] | None = None,
    ) -> None:
        self.ranker = ranker
        self.spellings = spellings
        self.synonyms = synonyms
        self.ontology = ranker.ontology
        self._allowed: npt.NDArray[np.bool_] | None = None
        if candidates is not None:
            self._allowed = np.isin(np.array(self.ontology.ids), sorted(candidates))
        # As bytes, a quarter of what texts take.
        self._kinds = np.array(self.ontology.kinds, dtype=np.bytes_)
        self._known = np.zeros(len(self.ontology), dtype=np.float32)
        for concept_id, count in (synonyms.concept_counts if synonyms else {}).items():
            self._known[self.ontology.row_of[concept_id]] = np.log1p(count)
        self._remembered: dict[_Key, _Scored] = {}
        self._descriptors = np.array(self.ontology.concepts["record"].to_pylist()) == "descriptor"

    def collect(self, queries: Sequence[Query]) -> list[Evidence]:
        """Returns the evidence for each query."""
        keys = [(query_input(q.expanded, q.left, q.right), q.text, q.expanded) for q in queries]
        scored = self._scored(list(dict.fromkeys(keys)))
        # Of equal mentions of one type, once.
        places = [(key, query.type) for query, key in zip(queries, keys, strict=True)]
        found = {(key, type): self._evidence(type, scored[key]) for key, type in dict.fromkeys(places)}
        return [found[place] for place in places]

    def _scored(self, keys: Sequence[_Key]) -> dict[_Key, _Scored]:
        """What the model makes of distinct mentions; of those that were asked for before, as it did then."""
        # Taken out, and put back as the latest.
        scored = {key: self._remembered.pop(key) for key in keys if key in self._remembered}
        new = [key for key in keys if key not in scored]
        forms = [self._form(text, expanded) for _, text, expanded in new]
        found = self.ranker.retrieve([text for text, _, _ in new], [self._proposed(form) for form in forms])
        for place, (key, form) in enumerate(zip(new, forms, strict=True)):
            # Copies, or else the whole batch is kept.
            columns = found.name_rows, found.similarities, found.scores
            scored[key] = _Scored(form, *(column[place].copy() for column in columns))
        self._remembered |= scored
        for key in list(itertools.islice(self._remembered, max(len(self._remembered) - _REMEMBERED, 0))):
            del self._remembered[key]
        return scored

    def _form(self, text: str, expanded: str) -> _Form:
        short = self._spelled(text if text != expanded else "")
        return _Form(self._spelled(expanded), short, self._learned(expanded))

    def _proposed(self, form: _Form) -> npt.NDArray[np.int64]:
        names = [form.equal, form.short]
        names += [self._names(concept)[:_LEARNED_NAMES] for concept in form.learned]
        # Each once, in this order.
        rows = np.array(list(dict.fromkeys(np.concatenate(names).tolist())), dtype=np.int64)
        return rows if self._allowed is None else rows[self._allowed[self._concepts(rows)]]

    def _spelled(self, text: str) -> npt.NDArray[np.int64]:
        return np.empty(0, dtype=np.int64) if self.spellings is None else self.spellings.names(text)

    def _evidence(self, type: str, scored: _Scored) -> Evidence:
        form, names, scores = scored.form, scored.names, scored.scores
        concepts, position = np.unique(self._concepts(names), return_inverse=True)
        best = np.empty(len(concepts), dtype=np.int64)
        # The last one written stays: the one with the highest score, of equals the first name.
        order = np.lexsort((-names, scores))
        best[position[order]] = names[order]
        values = np.zeros((len(concepts), len(KINDS)), dtype=np.float32)
        for kind, given in (("model", scores), ("similarity", scored.similarities)):
            column = np.full(len(concepts), -np.inf, dtype=np.float32)
            np.maximum.at(column, position, given)
            values[:, _COLUMN[kind]] = column - column.max(initial=-np.inf)
        # What is spelled like the mention, written out, has the last word on the name.
        for kind, alike in (("short_form", form.short), ("spelling", form.equal)):
            rows, alike = self._places(alike, concepts)
            values[rows, _COLUMN[kind]] = 1.0
            best[rows] = alike
        preferred = self.ontology.first_name[concepts] == best
        values[:, _COLUMN["preferred_name"]] = preferred * values[:, _COLUMN["spelling"]]
        values[:, _COLUMN["descriptor"]] = self._descriptors[concepts]
        values[:, _COLUMN["type"]] = self._kinds[concepts] == type.encode()
        self._add_learned(values, concepts, form.learned)
        return Evidence(concepts, best, values)

    def _add_learned(
        self, values: npt.NDArray[np.float32], concepts: npt.NDArray[np.int64], learned: Counter[int]
    ) -> None:
        for concept, count in learned.items():
            # All but those that are no candidates.
            row = concepts == concept
            values[row, _COLUMN["learned_share"]] = count / learned.total()
            values[row, _COLUMN["learned_count"]] = np.log1p(count)
        values[:, _COLUMN["known"]] = self._known[concepts]

    def _learned(self, text: str) -> Counter[int]:
        """How many training mentions of a form each concept row has."""
        if self.synonyms is None:
            return Counter()
        counts = self.synonyms.counts_of(text)
        return Counter({self.ontology.row_of[concept_id]: count for concept_id, count in counts.items()})

    def _places(
        self, names: npt.NDArray[np.int64], concepts: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Where the concepts of names stand among some, and the names, without those of other concepts.

        Last first: who writes them one by one ends with the first.
        """
        if not len(names) or not len(concepts):
            return np.empty(0, dtype=np.int64), names[:0]
        wanted = self._concepts(names)
        places = np.minimum(np.searchsorted(concepts, wanted), len(concepts) - 1)
        known = concepts[places] == wanted
        return places[known][::-1], names[known][::-1]

    def _concepts(self, names: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return self.ontology.concept_of_name[names]

    def _names(self, concept: int) -> npt.NDArray[np.int64]:
        return np.arange(self.ontology.first_name[concept], self.ontology.first_name[concept + 1])


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What a linker does that answers only above a threshold.

    Attributes:
        threshold: the least score of an answer.
        coverage: the share of mentions that get an answer.
        precision: the share of answers that are right; an answer to a mention without a concept is wrong.
    """

    threshold: float
    coverage: float
    precision: float


@dataclass(frozen=True)
class Combination:
    """How much each kind of evidence counts: a concept's score is the weighted sum.

    Attributes:
        weights: by kind; kinds that are not in it count nothing.
        curve: what such weights reach on documents that they were not fitted on, the lowest threshold first.
    """

    weights: dict[str, float]
    curve: tuple[OperatingPoint, ...] = ()

    def __post_init__(self) -> None:
        unknown = set(self.weights) - set(KINDS)
        if unknown:
            raise ConfigError(f"evidence: {', '.join(sorted(unknown))} unknown; kinds are {', '.join(KINDS)}")
        for kind, weight in self.weights.items():
            if not isinstance(weight, int | float) or not math.isfinite(weight):
                raise ConfigError(f"evidence: the weight of {kind} is {weight!r}; a number is needed")

    def scores(self, evidence: Evidence) -> npt.NDArray[np.float64]:
        """Returns (n,) float64 scores: logits, of which the softmax is the candidates' probability."""
        weights = np.array([self.weights.get(kind, 0.0) for kind in KINDS])
        scores: npt.NDArray[np.float64] = evidence.values.astype(np.float64) @ weights
        return scores

    def shares(self, evidence: Evidence) -> npt.NDArray[np.float64]:
        """Returns the (n,) float64 softmax of the scores: each candidate's probability."""
        scores = self.scores(evidence)
        powers = np.exp(scores - scores.max(initial=-np.inf))
        shares: npt.NDArray[np.float64] = powers / powers.sum()
        return shares

    def operating_point(self, precision: float) -> OperatingPoint:
        """The point of the curve that answers most among those with a precision, or a better one.

        Raises:
            ConfigError: no threshold reaches it.
        """
        reached = [point for point in self.curve if point.precision >= precision]
        if not reached:
            best = max((f"{point.precision:.3f}" for point in self.curve), default="nothing measured")
            raise ConfigError(f"no threshold reaches a precision of {precision}; the best is {best}")
        return max(reached, key=lambda point: point.coverage)


def kinds_of(groups: Collection[str]) -> tuple[str, ...]:
    """The kinds of evidence that are left when only some of the `GROUPS` are switched on."""
    off = {kind for group, kinds in GROUPS.items() if group not in groups for kind in kinds}
    return tuple(kind for kind in KINDS if kind not in off)


def combination_name(groups: Collection[str]) -> str:
    """What the weights for some `GROUPS` are called."""
    return "+".join(("model", *(group for group in GROUPS if group in groups)))


class DocumentReading:
    """What a first reading of documents says: which concepts their mentions have.

    Args:
        combination: reads them for the first time. Where it looks at types, mentions of other types do not
            count for each other.
    """

    def __init__(self, combination: Combination) -> None:
        self._combination = combination
        self._typed = "type" in combination.weights
        # By document, type and concept: the largest share that each form has of it.
        self._read: defaultdict[tuple[str, str], defaultdict[int, dict[str, float]]]
        self._read = defaultdict(lambda: defaultdict(dict))

    def add(self, queries: Sequence[Query], evidence: Sequence[Evidence]) -> None:
        """Reads mentions, each with its evidence."""
        for query, own in zip(queries, evidence, strict=True):
            if len(own.concepts):
                shares = self._combination.shares(own)
                best = int(shares.argmax())
                of_form = self._read[self._place(query)][int(own.concepts[best])]
                form = spelling(query.expanded)
                of_form[form] = max(of_form.get(form, 0.0), float(shares[best]))

    def added_to(self, queries: Sequence[Query], evidence: Sequence[Evidence]) -> list[Evidence]:
        """Returns the evidence for mentions with `in_document`, when all of their documents have been read.

        That is the largest share that the concept has as the first candidate of a mention of the same
        document that is spelled otherwise; 0 where it is none's.
        """
        # The two forms with most are enough: one of them is another than the mention's own.
        most = {
            place: {
                concept: heapq.nlargest(2, forms.items(), key=itemgetter(1))
                for concept, forms in read.items()
            }
            for place, read in self._read.items()
        }
        return [
            _with_others(own, spelling(query.expanded), most.get(self._place(query), {}))
            for query, own in zip(queries, evidence, strict=True)
        ]

    def _place(self, query: Query) -> tuple[str, str]:
        return query.document_id, query.type if self._typed else ""


def with_document(
    queries: Sequence[Query], evidence: Sequence[Evidence], combination: Combination
) -> list[Evidence]:
    """Adds what a first reading of each document says: which concepts its mentions of other forms have.

    Args:
        queries: n mentions, all of their documents that are to count.
        evidence: for each of them.
        combination: see `DocumentReading`.

    Returns:
        The evidence with `in_document`, see `DocumentReading.added_to`.
    """
    reading = DocumentReading(combination)
    reading.add(queries, evidence)
    return reading.added_to(queries, evidence)


def _with_others(own: Evidence, form: str, read: Mapping[int, Sequence[tuple[str, float]]]) -> Evidence:
    values = own.values.copy()
    values[:, _COLUMN["in_document"]] = [
        next((share for other, share in read.get(concept, ()) if other != form), 0.0)
        for concept in own.concepts.tolist()
    ]
    return replace(own, values=values)
