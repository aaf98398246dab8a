"""The evidence for each candidate concept of a mention, and its combination into a score.

The evidence is a table with a row per candidate and a column per kind (`KINDS`). There is also evidence that
none of the candidates is right (`NONE_KINDS`), which tells how sure a score may be. A `Combination` holds a
weight per kind; `el.linking.fitting` fits the weights.
"""

import heapq
import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter

import numpy as np
import numpy.typing as npt

from el.base.errors import ConfigError
from el.base.markers import markers
from el.base.text import spelling
from el.linking.query import Query
from el.linking.rankers import ModelRanker
from el.linking.synonyms import LearnedSynonyms
from el.ontology.spellings import Spellings

# The kinds of evidence. Each is one number for every candidate.
KINDS = (
    "model",  # the model's score of the concept's best name, minus that of the best candidate (<= 0)
    "similarity",  # the same for the dot products by which names were retrieved
    "spelling",  # 1 if a name of the ontology is spelled like the mention with abbreviations written out
    "preferred_name",  # 1 if that name is the concept's preferred name
    "outside_spelling",  # 1 if an outside name is spelled so, and the mention is no undefined acronym
    "outside_acronym",  # 1 if an outside name is spelled so, and the mention is an undefined acronym
    "short_form",  # 1 if a name is spelled like the mention and the mention is an abbreviation
    "descriptor",  # 1 for a descriptor, 0 for a supplementary record
    "type",  # 1 if the concept's kind is the mention's type
    "learned_share",  # the share of the form's training mentions that have the concept
    "learned_count",  # log(1 + the number of the form's training mentions that have the concept)
    "known",  # log(1 + the number of all training mentions of the concept)
    "markers_equal",  # 1 if a name has the same numbers and letters (`markers`) as the mention, if any
    "markers_missing",  # 1 if no name has all markers of the mention
    "markers_added",  # 1 if each name with the most markers of the mention has others too
    "in_document",  # the best probability of the concept for a mention of another form in the document
)
# The kinds of evidence that no candidate is right. Each is one number for the mention.
NONE_KINDS = (
    "constant",  # 1
    "model",  # the model's score of the best name
    "similarity",  # the dot product of the best name
    "unspelled",  # 1 if no name is spelled like the mention with abbreviations written out
    "unlearned",  # 1 if no training mention has the form
    "acronym",  # 1 if the mention is an acronym that the document does not define
    "unknown_acronym",  # 1 if it is such an acronym, unspelled and unlearned
    "found",  # 1 if the linker found the mention; the mention itself may be wrong then
    "assumed",  # 1 if the mention is read as the long form of a known form
    "assumed_found",  # 1 if it is read so, and the linker found it
    "other_sense",  # the share of senses of a known short form that are neither chemicals nor diseases
    "unspelled_found",  # 1 if it found the mention, and the mention is unspelled and unlearned
)
# The groups of kinds that can be switched off.
GROUPS = {
    "dictionary": ("spelling", "preferred_name", "outside_spelling", "outside_acronym", "short_form"),
    "learned": ("learned_share", "learned_count", "known"),
    "types": ("type",),
    "document": ("in_document",),
}
_COLUMN = {kind: column for column, kind in enumerate(KINDS)}
# The most names of a concept that become candidates because learned synonyms have the concept. At a larger
# value, retrieved names have less room.
_LEARNED_NAMES = 8
# Shares are kept this far from 0 and 1, because their logits must be finite.
LEAST_SHARE = 1e-9
# The most mentions whose scores are kept in case they occur again. A thousand mentions take 1 to 4 MB.
_REMEMBERED = 1 << 13


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence for the n candidate concepts of one mention.

    Attributes:
        concepts: (n,) int64, ascending concept rows.
        names: (n,) int64, a name row of each concept: the name that is spelled like the mention, otherwise
            the name with the best score.
        values: (n, len(KINDS)) float32, the evidence.
        none: (len(NONE_KINDS),) float32, the evidence that no candidate is right.
    """

    concepts: npt.NDArray[np.int64]
    names: npt.NDArray[np.int64]
    values: npt.NDArray[np.float32]
    none: npt.NDArray[np.float32]

    def of(self, kind: str) -> npt.NDArray[np.float32]:
        """Returns the (n,) values of one kind."""
        column: npt.NDArray[np.float32] = self.values[:, _COLUMN[kind]]
        return column


@dataclass(frozen=True, slots=True)
class _Form:
    """What is known about a mention's surface form, independent of its place and type.

    Attributes:
        equal: name rows that are spelled like the mention with abbreviations written out.
        short: name rows that are spelled like the mention, if the mention is an abbreviation.
        learned: concept row -> number of the form's training mentions that have it.
    """

    equal: npt.NDArray[np.int64]
    short: npt.NDArray[np.int64]
    learned: Counter[int]


@dataclass(frozen=True, slots=True)
class _Scored:
    """The names that the model scored for a mention.

    Attributes:
        form: what else is known about the mention's form.
        names: (n,) int64, the name rows that were scored.
        similarities: (n,) float32, their dot products with the mention's vector.
        scores: (n,) float32, the model's scores.
    """

    form: _Form
    names: npt.NDArray[np.int64]
    similarities: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Reading:
    """What the place of a mention adds to its form.

    Attributes:
        is_found: whether the linker found the mention.
        is_assumed: whether the mention is read as the long form of a known form.
        other_sense: the share of senses of a known form that are neither chemicals nor diseases; 0 if the
            document defines the form.
    """

    is_found: bool
    is_assumed: bool
    other_sense: float


def _other_sense(query: Query) -> float:
    if query.text != query.expanded:
        return 0.0
    return sum(sense.share for sense in query.senses if sense.kind == "other")


# The model's input for a mention, its text, the text with abbreviations written out, and whether the input
# goes through the model alone. The scores of a mention depend on nothing else.
_Key = tuple[str, str, str, bool]
# A document with at most this many different inputs has each encoded alone. With a larger number, documents
# with few mentions take less time if they come one by one, and more if they come together.
_FEW = 4
# The most characters of an acronym. At a larger value, names in capitals count as acronyms.
_MAX_ACRONYM = 8


class EvidenceCollector:
    """Collects the evidence for mentions. Equal mentions are scored once; their scores are kept for a while.

    Candidates are the concepts of three groups of names: those that the model's first stage retrieves, those
    that are spelled like the mention or its long form, and those of concepts that training mentions of the
    same form have.

    Args:
        ranker: retrieves and scores names.
        spellings: the spellings of the ontology's names; None if spelling is not used as evidence.
        synonyms: the learned synonyms; None if they are not used as evidence.
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
        # As bytes, which take a quarter of the memory of numpy's strings.
        self._kinds = np.array(self.ontology.kinds, dtype=np.bytes_)
        self._known = np.zeros(len(self.ontology), dtype=np.float32)
        for concept_id, count in (synonyms.concept_counts if synonyms else {}).items():
            self._known[self.ontology.row_of[concept_id]] = np.log1p(count)
        self._remembered: dict[_Key, _Scored] = {}
        self._descriptors = np.array(self.ontology.concepts["record"].to_pylist()) == "descriptor"

    def collect(self, queries: Sequence[Query], few: Container[str] | None = None) -> list[Evidence]:
        """Returns the evidence for each query.

        Args:
            queries: mentions of documents.
            few: the ids of the documents with few mentions (`documents_with_few`); None to count the queries.
        """
        few = documents_with_few(queries) if few is None else few
        read = [self._assumed(query) for query in queries]
        keys = [(q.input, q.text, q.expanded, q.document_id in few) for q in read]
        scored = self._scored(list(dict.fromkeys(keys)))
        # Equal mentions of one type share their evidence.
        places = [
            (key, query.type, _Reading(query.is_found, one is not query, _other_sense(query)))
            for query, one, key in zip(queries, read, keys, strict=True)
        ]
        found = {
            (key, type, reading): self._evidence(type, reading, key, scored[key])
            for key, type, reading in dict.fromkeys(places)
        }
        return [found[place] for place in places]

    def _assumed(self, query: Query) -> Query:
        """Returns a query with a known form written out, unless the form is a name of the ontology itself."""
        read = query.assumed()
        if read is query:
            return query
        names = self._spelled(query.text)
        is_own_name = len(names) > 0 and not self.ontology.is_outside[names].all()
        return query if is_own_name else read

    def _scored(self, keys: Sequence[_Key]) -> dict[_Key, _Scored]:
        """Returns the scored names of distinct mentions. Scores that are still remembered are reused."""
        # Removed here and added again below, so that the oldest entries stand first.
        scored = {key: self._remembered.pop(key) for key in keys if key in self._remembered}
        new = [key for key in keys if key not in scored]
        forms = [self._form(text, expanded) for _, text, expanded, _ in new]
        found = self.ranker.retrieve(
            [text for text, *_ in new],
            [self._proposed(form) for form in forms],
            {number for number, key in enumerate(new) if key[-1]},
        )
        for place, (key, form) in enumerate(zip(new, forms, strict=True)):
            # Copied, because a view would keep the arrays of the whole batch in memory.
            columns = found.name_rows, found.similarities, found.scores
            scored[key] = _Scored(form, *(column[place].copy() for column in columns))
        self._remembered |= scored
        for key in list(itertools.islice(self._remembered, max(len(self._remembered) - _REMEMBERED, 0))):
            del self._remembered[key]
        return scored

    def _form(self, text: str, expanded: str) -> _Form:
        short = self._spelled(text if text != expanded else "")
        learned = self.synonyms.rows_of(expanded, self.ontology) if self.synonyms else Counter[int]()
        return _Form(self._spelled(expanded), short, learned)

    def _proposed(self, form: _Form) -> npt.NDArray[np.int64]:
        names = [form.equal, form.short]
        names += [self._names(concept)[:_LEARNED_NAMES] for concept in form.learned]
        # Each row once, in the order of first occurrence: the first names matter most.
        rows = np.array(list(dict.fromkeys(np.concatenate(names).tolist())), dtype=np.int64)
        return rows if self._allowed is None else rows[self._allowed[self._concepts(rows)]]

    def _spelled(self, text: str) -> npt.NDArray[np.int64]:
        return np.empty(0, dtype=np.int64) if self.spellings is None else self.spellings.names(text)

    def _evidence(self, type: str, reading: _Reading, key: _Key, scored: _Scored) -> Evidence:
        _, text, expanded, _ = key
        form, names, scores = scored.form, scored.names, scored.scores
        concepts, position = np.unique(self._concepts(names), return_inverse=True)
        best = np.empty(len(concepts), dtype=np.int64)
        # Later assignments overwrite earlier ones. So the name with the highest score stays; of equal scores,
        # the first name.
        order = np.lexsort((-names, scores))
        best[position[order]] = names[order]
        values = np.zeros((len(concepts), len(KINDS)), dtype=np.float32)
        for kind, given in (("model", scores), ("similarity", scored.similarities)):
            column = np.full(len(concepts), -np.inf, dtype=np.float32)
            np.maximum.at(column, position, given)
            values[:, _COLUMN[kind]] = column - column.max(initial=-np.inf)
        outside = self.ontology.is_outside[form.equal]
        is_acronym_alone = text == expanded and is_acronym(text)
        outside_kind = "outside_acronym" if is_acronym_alone else "outside_spelling"
        # "spelling" comes last, because a name with the mention's spelling is the name to show.
        for kind, alike in (
            ("short_form", form.short),
            (outside_kind, form.equal[outside]),
            ("spelling", form.equal[~outside]),
        ):
            rows, alike = self._places(alike, concepts)
            values[rows, _COLUMN[kind]] = 1.0
            best[rows] = alike
        preferred = self.ontology.first_name[concepts] == best
        values[:, _COLUMN["preferred_name"]] = preferred * values[:, _COLUMN["spelling"]]
        values[:, _COLUMN["descriptor"]] = self._descriptors[concepts]
        values[:, _COLUMN["type"]] = self._kinds[concepts] == type.encode()
        self._add_learned(values, concepts, form.learned)
        self._add_markers(values, expanded, names, position)
        return Evidence(concepts, best, values, _none(scored, text, expanded, reading))

    def _add_markers(
        self,
        values: npt.NDArray[np.float32],
        text: str,
        names: npt.NDArray[np.int64],
        position: npt.NDArray[np.int64],
    ) -> None:
        """Adds the evidence of markers, from the name of each concept that differs least.

        Args:
            values: (n, len(KINDS)), changed in place.
            text: the mention.
            names: (m,) the names that were scored.
            position: (m,) the place of each name's concept among the n.
        """
        wanted = markers(text)
        least: dict[int, tuple[int, int]] = {}
        for name, place in zip(names.tolist(), position.tolist(), strict=True):
            known = markers(self.ontology.name_text(name))
            differs = len(wanted - known), len(known - wanted)
            least[place] = min(least.get(place, differs), differs)
        for place, (missing, added) in least.items():
            values[place, _COLUMN["markers_equal"]] = bool(wanted) and not missing and not added
            values[place, _COLUMN["markers_missing"]] = missing > 0
            values[place, _COLUMN["markers_added"]] = added > 0

    def _add_learned(
        self, values: npt.NDArray[np.float32], concepts: npt.NDArray[np.int64], learned: Counter[int]
    ) -> None:
        for concept, count in learned.items():
            # Selects no row if the concept is no candidate.
            row = concepts == concept
            values[row, _COLUMN["learned_share"]] = count / learned.total()
            values[row, _COLUMN["learned_count"]] = np.log1p(count)
        values[:, _COLUMN["known"]] = self._known[concepts]

    def _places(
        self, names: npt.NDArray[np.int64], concepts: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Returns the places in `concepts` of the concepts of some names, and these names.

        Names whose concept is not in `concepts` are left out. The order is reversed: if several names have
        the same concept, an assignment by place keeps the first name.
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


def documents_with_few(queries: Iterable[Query]) -> set[str]:
    """Returns the ids of the documents whose mentions have so few different inputs that each goes alone."""
    inputs: defaultdict[str, set[str]] = defaultdict(set)
    for query in queries:
        if len(inputs[query.document_id]) <= _FEW:
            inputs[query.document_id].add(query.input)
    return {document for document, of_document in inputs.items() if len(of_document) <= _FEW}


def _none(scored: _Scored, text: str, expanded: str, reading: _Reading) -> npt.NDArray[np.float32]:
    """Returns the (len(NONE_KINDS),) evidence that no candidate of a mention is right."""
    unspelled, unlearned = not len(scored.form.equal), not scored.form.learned
    acronym = text == expanded and is_acronym(text)
    return np.array(
        [
            1.0,
            scored.scores.max() if len(scored.scores) else 0.0,
            scored.similarities.max() if len(scored.similarities) else 0.0,
            unspelled,
            unlearned,
            acronym,
            acronym and unspelled and unlearned,
            reading.is_found,
            reading.is_assumed,
            reading.is_assumed and reading.is_found,
            reading.other_sense,
            reading.is_found and unspelled and unlearned,
        ],
        dtype=np.float32,
    )


def group_of(evidence: Evidence) -> str:
    """Returns the group of a mention in which the precision of answers is measured.

    The groups: "found" by the linker; of given mentions "acronym" (not defined by the document), "unseen" (of
    a form that no training mention has) and "seen".
    """
    none = dict(zip(NONE_KINDS, evidence.none.tolist(), strict=True))
    if none["found"]:
        return "found"
    if none["acronym"]:
        return "acronym"
    return "unseen" if none["unlearned"] else "seen"


def is_acronym(text: str) -> bool:
    """Whether a mention is written like an acronym: "DVT", "T2DM", "NSAIDs", "mTOR"; not "Aspirin"."""
    letters = [character for character in text.rstrip("s") if character.isalpha()]
    capitals = sum(map(str.isupper, letters))
    return len(text) <= _MAX_ACRONYM and " " not in text and capitals >= 2 and 2 * capitals > len(letters)


def calibration_group(evidence: Evidence) -> str:
    """Returns the group of a mention that has its own `Calibration`.

    The groups are those of `group_of`, and "unknown acronym" for undefined acronyms that no name and no
    training mention is spelled like: how near the best name is says little about them.
    """
    group = group_of(evidence)
    is_unknown = evidence.none[NONE_KINDS.index("unknown_acronym")] > 0
    return "unknown acronym" if group == "acronym" and is_unknown else group


@dataclass(frozen=True, slots=True)
class Calibration:
    """Maps the first concept's share to the probability that the concept is right.

    The logit of the probability is `offset + slope * logit of the share`. Source: Platt, "Probabilistic
    outputs for support vector machines", 1999.
    """

    offset: float
    slope: float

    def probability(self, share: float) -> float:
        """Returns the probability for a share between 0 and 1."""
        share = min(max(share, LEAST_SHARE), 1 - LEAST_SHARE)
        logit = self.offset + self.slope * math.log(share / (1 - share))
        # The logistic function, in a form that cannot overflow.
        return 0.5 * (1 + math.tanh(logit / 2))


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """Coverage and precision of a linker that answers only above a threshold.

    Attributes:
        threshold: the lowest score of an answer.
        coverage: the share of mentions that get an answer.
        precision: the share of answers that are right. An answer to a mention without a concept is wrong.
        lowest_precision: the lowest of this precision and those of the groups of mentions (`group_of`). A
            group with few answers does not count (`el.linking.fitting`).
    """

    threshold: float
    coverage: float
    precision: float
    lowest_precision: float


@dataclass(frozen=True)
class Combination:
    """Weights of the kinds of evidence. A concept's logit is the weighted sum of its evidence.

    Attributes:
        weights: kind -> weight; missing kinds have weight 0.
        none_weights: the same for the kinds of evidence that no candidate is right. If there are none, one of
            the candidates counts as right.
        calibrations: group of mentions (`calibration_group`) -> its calibration. Shares of a group without
            one are probabilities as they are.
        found_below: a found mention whose best probability is lower gets no concept, unless the linker has
            another threshold. It is the threshold with the best F1 of links on held-out documents.
        curve: operating points on held-out documents, the lowest threshold first. The weights at these points
            were fitted on the other documents.
    """

    weights: dict[str, float]
    none_weights: dict[str, float] = field(default_factory=dict)
    calibrations: dict[str, Calibration] = field(default_factory=dict)
    found_below: float = 0.0
    curve: tuple[OperatingPoint, ...] = ()

    def __post_init__(self) -> None:
        _check_weights(self.weights, KINDS)
        _check_weights(self.none_weights, NONE_KINDS)

    def scores(self, evidence: Evidence) -> npt.NDArray[np.float64]:
        """Returns the (n,) float64 logits of the candidates."""
        weights = np.array([self.weights.get(kind, 0.0) for kind in KINDS])
        scores: npt.NDArray[np.float64] = evidence.values.astype(np.float64) @ weights
        return scores

    def shares(self, evidence: Evidence) -> npt.NDArray[np.float64]:
        """Returns the (n,) float64 shares of the candidates.

        They are the softmax of the logits, with one more logit for the case that no candidate is right. So
        they sum to 1 at most.
        """
        logits = np.append(self.scores(evidence), self._none_logit(evidence))
        powers = np.exp(logits - logits.max())
        shares: npt.NDArray[np.float64] = powers[:-1] / powers.sum()
        return shares

    def probabilities(self, evidence: Evidence) -> npt.NDArray[np.float64]:
        """Returns the (n,) float64 probabilities of the candidates, in the order of their shares.

        The first concept has the probability of its group's calibration. If this is less than its share, the
        others are reduced in proportion, and the case that no candidate is right gets the difference. If it
        is more, the difference is taken from the others and from this case in proportion.
        """
        shares = self.shares(evidence)
        calibration = self.calibrations.get(calibration_group(evidence))
        if calibration is None or not len(shares):
            return shares
        best = int(shares.argmax())
        share = float(shares[best])
        probability = calibration.probability(share)
        if probability < share:
            factor = probability / share
        else:
            factor = (1 - probability) / max(1 - share, LEAST_SHARE)
        probabilities: npt.NDArray[np.float64] = shares * factor
        probabilities[best] = probability
        return probabilities

    def _none_logit(self, evidence: Evidence) -> float:
        if not self.none_weights and len(evidence.concepts):
            return -math.inf
        weights = [self.none_weights.get(kind, 0.0) for kind in NONE_KINDS]
        return float(evidence.none.astype(np.float64) @ np.array(weights))

    def operating_point(self, precision: float) -> OperatingPoint:
        """Returns the point with the largest coverage at which each group of mentions reaches a precision.

        Raises:
            ConfigError: no threshold reaches the precision.
        """
        reached = [point for point in self.curve if point.lowest_precision >= precision]
        if not reached:
            best = max((f"{point.lowest_precision:.3f}" for point in self.curve), default="nothing measured")
            raise ConfigError(f"no threshold reaches a precision of {precision}; the best is {best}")
        return max(reached, key=lambda point: point.coverage)


def _check_weights(weights: Mapping[str, float], kinds: Sequence[str]) -> None:
    unknown = set(weights) - set(kinds)
    if unknown:
        raise ConfigError(f"evidence: {', '.join(sorted(unknown))} unknown; kinds are {', '.join(kinds)}")
    for kind, weight in weights.items():
        if not isinstance(weight, int | float) or not math.isfinite(weight):
            raise ConfigError(f"evidence: the weight of {kind} is {weight!r}; a number is needed")


def kinds_of(groups: Collection[str]) -> tuple[str, ...]:
    """Returns the kinds of evidence that are used if only some of the `GROUPS` are switched on."""
    off = {kind for group, kinds in GROUPS.items() if group not in groups for kind in kinds}
    return tuple(kind for kind in KINDS if kind not in off)


def combination_name(groups: Collection[str]) -> str:
    """Returns the name of the weights for some `GROUPS`, such as "model+dictionary+types"."""
    return "+".join(("model", *(group for group in GROUPS if group in groups)))


class DocumentReading:
    """The concepts that a first decision gives to the mentions of documents.

    The linker decides twice: first each mention alone, then with the first decisions on the other mentions of
    the document as evidence (`in_document`).

    Args:
        combination: the weights of the first decision. If they use types, mentions of different types are
            no evidence for each other.
    """

    def __init__(self, combination: Combination) -> None:
        self._combination = combination
        self._typed = "type" in combination.weights
        # (document, type) -> concept row -> form -> the concept's largest probability for the form.
        self._read: defaultdict[tuple[str, str], defaultdict[int, dict[str, float]]]
        self._read = defaultdict(lambda: defaultdict(dict))

    def add(self, queries: Sequence[Query], evidence: Sequence[Evidence]) -> None:
        """Adds the first decisions on mentions, each with its evidence."""
        for query, candidates in zip(queries, evidence, strict=True):
            if len(candidates.concepts):
                shares = self._combination.shares(candidates)
                best = int(shares.argmax())
                of_form = self._read[self._place(query)][int(candidates.concepts[best])]
                form = spelling(query.expanded)
                of_form[form] = max(of_form.get(form, 0.0), float(shares[best]))

    def added_to(self, queries: Sequence[Query], evidence: Sequence[Evidence]) -> list[Evidence]:
        """Returns the evidence for mentions with `in_document`. Call it after `add` for all their documents.

        Only mentions of the same document with another spelling count, and only those whose first candidate
        is the concept. The value is the largest probability that the concept has for one of them; 0 if there
        are none.
        """
        # Two forms with the largest values are enough: one of them differs from the mention's form.
        most = {
            place: {
                concept: heapq.nlargest(2, forms.items(), key=itemgetter(1))
                for concept, forms in read.items()
            }
            for place, read in self._read.items()
        }
        return [
            _with_others(candidates, spelling(query.expanded), most.get(self._place(query), {}))
            for query, candidates in zip(queries, evidence, strict=True)
        ]

    def _place(self, query: Query) -> tuple[str, str]:
        return query.document_id, query.type if self._typed else ""


def with_document(
    queries: Sequence[Query], evidence: Sequence[Evidence], combination: Combination
) -> list[Evidence]:
    """Adds the evidence `in_document` to mentions, from a first decision on all mentions of each document.

    Args:
        queries: n mentions, with all mentions of their documents that are evidence for each other.
        evidence: the evidence for each of them.
        combination: the weights of the first decision; see `DocumentReading`.

    Returns:
        The evidence with `in_document`, see `DocumentReading.added_to`.
    """
    reading = DocumentReading(combination)
    reading.add(queries, evidence)
    return reading.added_to(queries, evidence)


def _with_others(
    candidates: Evidence, form: str, read: Mapping[int, Sequence[tuple[str, float]]]
) -> Evidence:
    values = candidates.values.copy()
    values[:, _COLUMN["in_document"]] = [
        next((share for other, share in read.get(concept, ()) if other != form), 0.0)
        for concept in candidates.concepts.tolist()
    ]
    return replace(candidates, values=values)
