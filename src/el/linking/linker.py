"""The linker: mentions in documents to ranked concepts, with scores, reasons and NIL.

A linker is a folder that holds everything it needs, so that it works without a connection:

    manifest.json          format, fingerprints, settings, and what made it
    model/                 a Hypencoder or a bi-encoder
    compiled/              its query side, ready to run
    ontology/              concepts and names
    vectors/               the names' vectors, made by the model's passage tower, and their graph
    spellings.npz          the names by their spelling
    learned_synonyms.tsv   surface forms of training documents; optional
    combinations.json      how much each kind of evidence counts, for each choice of what is used
    tagger/                finds mentions in plain text; optional

What grows with the ontology is vectors/, ontology/ and spellings.npz: for MeSH's 783,980 names 715, 17 and
11 MB, or 342, 17 and 11 MB where the vectors are compact. The rest is the model's, whatever the ontology.
"""

import dataclasses
import itertools
import shutil
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from el.base.errors import ConfigError, ElError, InputError, MismatchError
from el.base.files import atomic_folder, read_json, write_json
from el.corpus.types import Document, Link, LinkedDocument, LinkedMention, Mention, margin_of
from el.evaluation.queries import Query, mention_queries
from el.evaluation.rankings import Ranking
from el.index.vectors import NameVectors
from el.linking.composites import parts_of
from el.linking.evidence import (
    GROUPS,
    KINDS,
    Combination,
    DocumentReading,
    Evidence,
    EvidenceCollector,
    OperatingPoint,
    combination_name,
)
from el.linking.rankers import ModelRanker
from el.linking.synonyms import LearnedSynonyms
from el.models.inputs import InputVariant
from el.ontology.ontology import Kind, Ontology, kind_of_type, part_bounds
from el.ontology.spellings import Spellings
from el.runtime.engine import CompiledEngine, Engine
from el.tagging.finder import SOUGHT, DictionaryFinder, Found, as_mentions, longest
from el.tagging.manifest import tagger_weights
from el.tagging.tagger import Tagger

FORMAT = "el-linker-5"

FindMentions = Literal["auto", "always", "never"]

_MANIFEST, _MODEL, _COMPILED, _ONTOLOGY, _VECTORS, _SPELLINGS, _SYNONYMS, _COMBINATIONS, _TAGGER = (
    "manifest.json",
    "model",
    "compiled",
    "ontology",
    "vectors",
    "spellings.npz",
    "learned_synonyms.tsv",
    "combinations.json",
    "tagger",
)
# Documents that are linked together, and their characters; mentions that they share are scored once.
_DOCUMENT_BATCH = 32
_CHARACTER_BATCH = 1_000_000
# The share of a form's training mentions above which it counts as learned.
_MOST = 0.5
# Mentions that are scored together; equal ones once.
_QUERY_BATCH = 2048
# As many mentions' evidence is in memory at once, be there more in a document.
_PIECE = 2 * _QUERY_BATCH


@dataclass(frozen=True)
class LinkerConfig:
    """How a linker decides.

    Attributes:
        retrieved: names that the first stage retrieves for the model to score.
        top_k: candidates that a linked mention keeps.
        use_dictionary: whether it counts that a name is spelled like the mention.
        use_learned_synonyms: whether it counts what the training documents' mentions were linked to.
        use_types: whether it counts that a concept is of the mention's type.
        use_document: whether it counts what other mentions of the document mean.
        nil_below: mentions whose best score is lower are linked to nothing; None links all that can be.
    """

    retrieved: int = 64
    top_k: int = 10
    use_dictionary: bool = True
    use_learned_synonyms: bool = False
    use_types: bool = True
    use_document: bool = True
    nil_below: float | None = None

    def __post_init__(self) -> None:
        for name in ("retrieved", "top_k"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if self.nil_below is not None and not 0.0 <= self.nil_below <= 1.0:
            raise ConfigError(f"nil_below is {self.nil_below}; it must be between 0 and 1")

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups of evidence that are switched on, of `el.linking.evidence.GROUPS`."""
        switches = {
            "dictionary": self.use_dictionary,
            "learned": self.use_learned_synonyms,
            "types": self.use_types,
            "document": self.use_document,
        }
        return tuple(group for group in GROUPS if switches[group])


@dataclass(frozen=True, slots=True)
class Decision:
    """What a linker makes of one query.

    Attributes:
        links: concepts, best first; may be empty.
        decided_by: the strongest reason for the first of them: "learned_synonym" (most training mentions of
            the form have it), "dictionary" (a name is spelled like the mention), "abbreviation" (a name is
            spelled like what the mention stands for), or the model's kind.
        margin: see `margin_of`; of all candidates, not of `links` alone.
    """

    links: tuple[Link, ...]
    decided_by: str
    margin: float


class Linker:
    """Links mentions to concepts; as a `Ranker`, the same code under evaluation.

    Candidates are what the model's vectors retrieve and what dictionary and learned synonyms propose. A
    candidate's score is the weighted sum of the evidence for it (`el.linking.evidence`), the model's score among it;
    the weights were fitted on dev. Links carry the softmax of the candidates' scores.

    Args:
        engine: the model.
        vectors: of the ontology's names, made by the model's passage tower.
        ontology: the concepts.
        combinations: weights, by `combination_name` of the groups of evidence that are used.
        config: how to decide.
        inputs: what the model was trained to read; says how much context mentions are given.
        synonyms: needed where the config switches them on.
        candidates: the only ids that may be answered; None for all.
        spellings: of the ontology's names, if they are at hand already.
        origin: the arguments of `load` that gave it; then it pickles.
        tagger: the folder of a compiled tagger; without one, names of the ontology are found.

    Raises:
        MismatchError: another model made the vectors.
        ConfigError: learned synonyms are switched on, but there are none; or no weights are there for what
            is switched on.
    """

    def __init__(
        self,
        engine: Engine,
        vectors: NameVectors,
        ontology: Ontology,
        combinations: Mapping[str, Combination],
        config: LinkerConfig | None = None,
        inputs: InputVariant | None = None,
        synonyms: LearnedSynonyms | None = None,
        candidates: Collection[str] | None = None,
        spellings: Spellings | None = None,
        origin: tuple[Path, float | None, Mapping[str, Any]] | None = None,
        tagger: Path | None = None,
    ) -> None:
        self.config = config or LinkerConfig()
        self.inputs = inputs or InputVariant()
        self.ontology = ontology
        self.synonyms = synonyms
        self.candidates = candidates
        self.combinations = combinations
        vectors.check_model(engine.passage_tower)
        if self.config.use_learned_synonyms and synonyms is None:
            raise ConfigError("use_learned_synonyms is on, but the linker has no learned synonyms")
        self._combination = chosen_combination(self.config, combinations)
        alone = dataclasses.replace(self.config, use_document=False)
        self._first_reading = chosen_combination(alone, combinations)
        self.ranker = ModelRanker(engine, vectors, ontology, self.config.retrieved, candidates)
        self._given_spellings = spellings
        self._origin = origin
        self._tagger_folder = tagger

    @classmethod
    def load(cls, folder: Path, min_precision: float | None = None, **changes: Any) -> "Linker":
        """Opens a linker's folder.

        Args:
            folder: what `save_linker` wrote.
            min_precision: the share of answers that are to be right; sets `nil_below` to the threshold that
                reached it on held-out mentions. None keeps the folder's own.
            changes: fields of `LinkerConfig` that are to differ from the folder's own.

        Raises:
            InputError: there is no linker, or a part of it is missing or broken.
            MismatchError: another format, or parts that do not belong together.
            ConfigError: settings that make no sense, or a precision that no threshold reaches.
        """
        manifest = _read_manifest(folder)
        # Beside the ontology, which takes as long.
        with ThreadPoolExecutor(1) as pool:
            opening = pool.submit(CompiledEngine, folder / _COMPILED)
            ontology = Ontology.load(folder / _ONTOLOGY)
            if ontology.fingerprint != manifest.get("ontology"):
                raise _mismatch(folder, "ontology")
            parts = read_trained(folder, ontology)
            engine = opening.result()
        if engine.model != manifest.get("model"):
            raise _mismatch(folder, "model")
        vectors = NameVectors.open(folder / _VECTORS, ontology)
        config = dataclasses.replace(parts.config, **changes)
        if min_precision is not None:
            point = chosen_combination(config, parts.combinations).operating_point(min_precision)
            config = dataclasses.replace(config, nil_below=point.threshold)
        spellings = Spellings.load(folder / _SPELLINGS, ontology)
        return cls(
            engine,
            vectors,
            ontology,
            parts.combinations,
            config,
            parts.inputs,
            parts.synonyms,
            spellings=spellings,
            origin=(folder, min_precision, changes),
            tagger=parts.tagger and parts.tagger / _COMPILED,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # What is compiled and mapped into memory does not travel: the other process opens the folder itself.
        if self._origin is None:
            raise TypeError("only a linker that was loaded from a folder can be pickled")
        folder, min_precision, changes = self._origin
        return partial(Linker.load, **changes), (folder.absolute(), min_precision)

    def restricted(
        self, candidates: Collection[str] | None, learned: Iterable[Document] | None = None
    ) -> "Linker":
        """Returns this linker for some candidates, with synonyms of other documents, or without any.

        Args:
            candidates: the only ids that may be answered; None for all.
            learned: documents whose annotations become learned synonyms; None switches those off.
        """
        return Linker(
            self.ranker.engine,
            self.ranker.vectors,
            self.ontology,
            self.combinations,
            dataclasses.replace(self.config, use_learned_synonyms=learned is not None),
            self.inputs,
            None if learned is None else LearnedSynonyms.of_documents(learned, self.ontology),
            candidates,
            self._spellings,
            tagger=self._tagger_folder,
        )

    def rank(self, queries: Sequence[Query], k: int) -> list[Ranking]:
        """Returns one ranking a query, of at most `k` concepts. `nil_below` plays no part in it."""
        return [
            Ranking(
                tuple(link.concept_id for link in decision.links),
                tuple(link.score for link in decision.links),
            )
            for decision in self.decide(queries, k)
        ]

    def decide(self, queries: Sequence[Query], k: int) -> list[Decision]:
        """Returns one decision a query, with at most `k` links; equal mentions are scored once.

        Mentions of one document that are to count for each other stand next to each other.
        """
        return [decision for batch in _batches(queries) for decision in self._decide_batch(batch, k)]

    def _decide_batch(self, queries: Sequence[Query], k: int) -> Iterator[Decision]:
        pieces = [queries[start : start + _PIECE] for start in range(0, len(queries), _PIECE)]
        reading = DocumentReading(self._first_reading)
        evidence: list[Evidence] = []
        for piece in pieces:
            evidence = self._collector.collect(piece)
            if self.config.use_document:
                reading.add(piece, evidence)
        for piece in pieces:
            # That of a whole book would not fit into memory.
            if len(pieces) > 1:
                evidence = self._collector.collect(piece)
            if self.config.use_document:
                evidence = reading.added_to(piece, evidence)
            for query, own in zip(piece, evidence, strict=True):
                yield self._decide(query, own, k)

    def link(
        self,
        documents: Iterable[Document],
        find_mentions: FindMentions = "auto",
        types: Collection[str] | None = None,
    ) -> Iterator[LinkedDocument]:
        """Links the mentions of documents, a few documents in memory at a time.

        Gold ids are not looked at. A mention that names several concepts at once (`el.linking.composites`) gets the
        ids of all. Mentions of one document and type that stand for the same, such as an abbreviation and its
        long form, get the same.

        Args:
            documents: in any number.
            types: of the given mentions that are linked, in lower case; None for those that the ontology has
                concepts for. Others are passed over.
            find_mentions: "auto" finds mentions in documents that have none;
                "always" also in the others, where no given mention stands; "never" leaves documents as
                they are.

        Yields:
            One linked document a document, in order.

        Raises:
            ElError: a mention's offsets are not within its document.
        """
        for batch in _document_batches(documents):
            yield from self._link_batch(batch, find_mentions, types)

    def _link_batch(
        self, documents: Sequence[Document], find: FindMentions, types: Collection[str] | None
    ) -> Iterator[LinkedDocument]:
        mentions = self._mentions(documents, find, types)
        # Of each mention, the whole, and behind it its parts if there are any. Two documents may have one id.
        readings = [
            self._readings(dataclasses.replace(query, document_id=str(number)))
            for number, (document, own) in enumerate(zip(documents, mentions, strict=True))
            for query in _queries(document, own, self.inputs.context_characters)
        ]
        decisions = iter(self.decide([*itertools.chain(*readings)], self.config.top_k))
        by_mention = (list(itertools.islice(decisions, len(each))) for each in readings)
        for document, own in zip(documents, mentions, strict=True):
            linked = tuple(self._linked(mention, next(by_mention)) for mention in own)
            yield LinkedDocument(document, linked)

    def _readings(self, query: Query) -> list[Query]:
        """A mention as it stands, and what it is a coordination of."""
        whole = dataclasses.replace(query, type=kind_of_type(query.type) or query.type)
        if not self.config.use_dictionary:
            return [whole]
        parts = parts_of(
            whole.expanded,
            lambda text: self._has(self._named(text), whole.type),
            lambda text: self._has(self._learned(text), whole.type),
        )
        return [whole, *(dataclasses.replace(whole, text=part, expanded=part) for part in parts)]

    def _has(self, concepts: Iterable[int], type: str) -> bool:
        """Whether one of some concept rows is of a mention's type, if the ontology tells types apart."""
        kind = kind_of_type(type)
        return any(kind not in self._kinds or self.ontology.kinds[concept] == kind for concept in concepts)

    def _named(self, text: str) -> list[int]:
        """The concept rows that have a name of this spelling."""
        return list(self.ontology.concept_of_name[self._spellings.names(text)].tolist())

    def _learned(self, text: str) -> list[int]:
        """The concept rows that training mentions of this form have, if that is to count."""
        if self.synonyms is None or not self.config.use_learned_synonyms:
            return []
        return [self.ontology.row_of[concept_id] for concept_id in self.synonyms.counts_of(text)]

    def _mentions(
        self, documents: Sequence[Document], find: FindMentions, types: Collection[str] | None
    ) -> list[Sequence[Mention]]:
        given = [[m for m in document.mentions if self._is_linked(m.type, types)] for document in documents]
        searched = [find == "always" or (find == "auto" and not d.mentions) for d in documents]
        chosen = [document for document, yes in zip(documents, searched, strict=True) if yes]
        found = iter(self.found(chosen) if chosen else [])
        return [
            _with_found(document, own, next(found)) if yes else own
            for document, own, yes in zip(documents, given, searched, strict=True)
        ]

    def found(self, documents: Sequence[Document]) -> list[tuple[Mention, ...]]:
        """What is found in the texts of documents, whatever mentions they have: one tuple a document."""
        if self._tagger is None:
            return [self._finder.mentions(document) for document in documents]
        read = self._tagger.find(documents)
        return [
            as_mentions(*pair) for pair in zip(documents, map(self._with_own, documents, read), strict=True)
        ]

    def _with_own(self, document: Document, read: Iterable[Found]) -> list[Found]:
        """What the tagger found of types that the ontology has concepts of, and names of `_own_finder`."""
        own = () if self._own_finder is None else self._own_finder.find_in(document)
        return longest(own, (found for found in read if found.kind in self._kinds))

    def _is_linked(self, type: str, types: Collection[str] | None) -> bool:
        if types is not None:
            return type in types
        # An ontology of other things says nothing of types, and neither do mentions without one.
        return not type or not self._kinds or kind_of_type(type) in self._kinds

    def weighted_evidence(self, query: Query) -> dict[str, dict[str, float]]:
        """Concept id -> kind of evidence -> value times weight, of all candidates of a query on its own.

        A concept's logit is their sum.
        """
        (evidence,) = self._collector.collect([query])
        weights = self._combination.weights
        return {
            self.ontology.ids[concept]: {
                kind: float(value) * weights.get(kind, 0.0) for kind, value in zip(KINDS, row, strict=True)
            }
            for concept, row in zip(evidence.concepts.tolist(), evidence.values, strict=True)
        }

    def _linked(self, mention: Mention, decisions: Sequence[Decision]) -> LinkedMention:
        whole, *parts = decisions
        links = [*(part.links[0] for part in parts if part.links), *whole.links]
        # The first of each concept.
        distinct = {link.concept_id: link for link in reversed(links)}
        in_order = [distinct[concept_id] for concept_id in dict.fromkeys(link.concept_id for link in links)]
        threshold = self.config.nil_below or 0.0
        answers = {part.links[0].concept_id: part.links[0].score for part in parts if part.links}
        if not answers:
            answers = {link.concept_id: link.score for link in whole.links[:1]}
        predicted = tuple(concept_id for concept_id, score in answers.items() if score >= threshold)
        decided_by = parts[0].decided_by if parts else whole.decided_by
        kept = tuple(in_order[: max(self.config.top_k, len(answers))])
        # The candidates begin with the parts' answers: what is next to each, only its own decision knows.
        margin = min((part.margin for part in parts if part.links), default=whole.margin)
        return LinkedMention(mention, kept, predicted, decided_by, margin)

    @property
    def has_tagger(self) -> bool:
        """Whether a tagger finds mentions; if not, only names of the ontology are found."""
        return self._tagger is not None

    @cached_property
    def _kinds(self) -> tuple[Kind, ...]:
        """What texts are searched for; empty where the ontology has neither."""
        found = set(self.ontology.kinds)
        return tuple(kind for kind in SOUGHT if kind in found)

    @cached_property
    def _finder(self) -> DictionaryFinder:
        # Beside chemicals and diseases, the others of MeSH are mostly not what a text is about.
        return DictionaryFinder(self._spellings, self._kinds or ("other",))

    @cached_property
    def _tagger(self) -> Tagger | None:
        # It knows none but the kinds that texts are searched for.
        if self._tagger_folder is None or not self._kinds:
            return None
        return Tagger(self._tagger_folder, self._finder)

    @cached_property
    def _own_finder(self) -> DictionaryFinder | None:
        """Finds names of those parts of a merged ontology of which no training mention has a concept.

        A tagger knows of its own ontology what texts mean by it; of others it was taught nothing.
        """
        rows = self._untaught()
        return DictionaryFinder(self._spellings.among(rows), self._kinds) if len(rows) else None

    def _untaught(self) -> npt.NDArray[np.int64]:
        """The name rows of these parts."""
        taught = {self.ontology.row_of[i] for i in self.synonyms.concept_counts} if self.synonyms else set()
        rows = []
        for start, stop in itertools.pairwise(part_bounds(self.ontology)):
            if taught and taught.isdisjoint(range(start, stop)):
                rows.append(np.arange(self.ontology.first_name[start], self.ontology.first_name[stop]))
        return np.concatenate(rows) if rows else np.empty(0, dtype=np.int64)

    @cached_property
    def _spellings(self) -> Spellings:
        return self._given_spellings or Spellings.of_ontology(self.ontology)

    @cached_property
    def _collector(self) -> EvidenceCollector:
        spellings = self._spellings if self.config.use_dictionary else None
        synonyms = self.synonyms if self.config.use_learned_synonyms else None
        return EvidenceCollector(self.ranker, spellings, synonyms, self.candidates)

    def _decide(self, query: Query, evidence: Evidence, k: int) -> Decision:
        shares, ids = self._combination.shares(evidence), self.ontology.ids
        order = sorted(range(len(shares)), key=lambda row: (-shares[row], ids[evidence.concepts[row]]))
        links = tuple(
            self._link(int(evidence.concepts[row]), int(evidence.names[row]), float(shares[row]))
            for row in order[: max(k, 2)]
        )
        reason = self._reason(query, evidence, order[0]) if order else self.ranker.engine.kind
        return Decision(links[:k], reason, margin_of(links))

    def _reason(self, query: Query, evidence: Evidence, row: int) -> str:
        if evidence.of("learned_share")[row] > _MOST:
            return "learned_synonym"
        if evidence.of("spelling")[row]:
            return "dictionary" if query.expanded == query.text else "abbreviation"
        return self.ranker.engine.kind

    def _link(self, concept: int, name: int, score: float) -> Link:
        preferred = self.ontology.name_text(int(self.ontology.first_name[concept]))
        return Link(self.ontology.ids[concept], preferred, score, self.ontology.name_text(name))


@dataclass(frozen=True)
class TrainedParts:
    """What a linker was taught, beside its model.

    Attributes:
        config: its settings.
        inputs: what the model was trained to read.
        combinations: weights, by `combination_name`.
        synonyms: learned synonyms, if there are any.
        made_by: what it was made from.
        tagger: the folder of its tagger, if it has one.
    """

    config: LinkerConfig
    inputs: InputVariant
    combinations: dict[str, Combination]
    synonyms: LearnedSynonyms | None
    made_by: dict[str, Any]
    tagger: Path | None


def read_trained(folder: Path, known: Container[str] | None = None) -> TrainedParts:
    """Reads the trained parts of a linker, whether ontology and vectors stand beside them or not.

    Args:
        folder: the linker.
        known: the ids that its learned synonyms may name; None for any.

    Raises:
        InputError: there is no linker, or a part of it is missing or broken.
        MismatchError: another format, or another tagger than the one it was made with.
        ConfigError: settings that make no sense.
    """
    manifest = _read_manifest(folder)
    synonyms = None
    if (folder / _SYNONYMS).is_file():
        synonyms = LearnedSynonyms.load(folder / _SYNONYMS, known)
    return TrainedParts(
        _settings(LinkerConfig, folder, manifest, "settings"),
        _settings(InputVariant, folder, manifest, "inputs"),
        _read_combinations(folder),
        synonyms,
        dict(manifest.get("made_by", {})),
        _tagger(folder, manifest),
    )


def copy_trained(linker: Path, folder: Path) -> None:
    """Copies the trained parts of a linker into an existing folder, to be read by `read_trained`."""
    manifest = _read_manifest(linker)
    # What belongs to the parts left out, and to the weights before they are rounded.
    for key in ("ontology", "model"):
        manifest.pop(key, None)
    tagger = _tagger(linker, manifest)
    write_json(folder / _MANIFEST, manifest)
    if tagger is not None:
        shutil.copytree(tagger, folder / _TAGGER, ignore=shutil.ignore_patterns(_COMPILED))
    shutil.copytree(linker / _MODEL, folder / _MODEL)
    for name in (_COMBINATIONS, _SYNONYMS):
        if (linker / name).is_file():
            shutil.copy(linker / name, folder / name)


def chosen_combination(config: LinkerConfig, combinations: Mapping[str, Combination]) -> Combination:
    """The weights for what a linker's settings switch on.

    Raises:
        ConfigError: there are none.
    """
    name = combination_name(config.groups)
    if name not in combinations:
        raise ConfigError(f"the linker has no weights for {name}, but for {', '.join(combinations)}")
    return combinations[name]


def save_linker(
    folder: Path,
    *,
    model: Path,
    ontology: Path,
    vectors: NameVectors,
    combinations: Mapping[str, Combination],
    config: LinkerConfig,
    inputs: InputVariant,
    synonyms: LearnedSynonyms | None = None,
    made_by: Mapping[str, Any],
    tagger: Path | None = None,
) -> None:
    """Writes a linker's folder, whole or not at all.

    Args:
        folder: where to; what stands there is replaced.
        model: the folder of a saved model; copied.
        ontology: the folder of the ontology; copied.
        vectors: of the ontology's names, made by the model's passage tower, as they were opened; copied.
        combinations: weights, by `combination_name`.
        config: the settings that the linker starts with.
        inputs: what the model was trained to read.
        synonyms: learned synonyms; may be carried even where the config does not switch them on.
        made_by: what the linker was made from (system, data), as JSON values, for its manifest.
        tagger: the folder of a trained tagger; it may share the model's embeddings.

    Raises:
        InputError: a part is missing or broken.
        MismatchError: the vectors were made from another ontology or by another model, or the learned
            synonyms are of another ontology.
        ConfigError: learned synonyms are switched on, but there are none.
    """
    # To make a linker takes PyTorch, to run one does not.
    from el.models.loading import load_model
    from el.runtime.compile import compile_model
    from el.tagging.compile import compile_tagger
    from el.tagging.store import load_tagger, word_embeddings

    opened = Ontology.load(ontology)
    if vectors.manifest["ontology"] != opened.fingerprint:
        raise MismatchError(f"{ontology}: the vectors were made from another ontology. Build them again")
    unknown = [i for i in (synonyms.concept_counts if synonyms else ()) if i not in opened]
    if unknown:
        raise MismatchError(f"{ontology}: lacks {unknown[0]}, of which synonyms were learned")
    assert vectors.folder is not None
    with atomic_folder(folder) as temporary:
        loaded = load_model(model)
        compile_model(loaded, temporary / _COMPILED)
        engine = CompiledEngine(temporary / _COMPILED)
        # Refuses what does not fit together.
        Linker(engine, vectors, opened, combinations, config, inputs, synonyms)
        shutil.copytree(model, temporary / _MODEL)
        shutil.copytree(ontology, temporary / _ONTOLOGY)
        shutil.copytree(vectors.folder, temporary / _VECTORS)
        Spellings.of_ontology(opened).save(temporary / _SPELLINGS)
        if synonyms is not None:
            synonyms.save(temporary / _SYNONYMS)
        write_json(
            temporary / _COMBINATIONS, {name: dataclasses.asdict(c) for name, c in combinations.items()}
        )
        manifest: dict[str, Any] = {
            "format": FORMAT,
            "ontology": opened.fingerprint,
            "model": engine.model,
            "settings": dataclasses.asdict(config),
            "inputs": dataclasses.asdict(inputs),
            "made_by": dict(made_by),
        }
        if tagger is not None:
            embeddings = word_embeddings(loaded.query_tower.transformer)
            trained = load_tagger(tagger, embeddings)
            trained.save(temporary / _TAGGER, embeddings)
            compile_tagger(trained, temporary / _TAGGER / _COMPILED)
            manifest["tagger"] = tagger_weights(temporary / _TAGGER)
        write_json(temporary / _MANIFEST, manifest)


def _read_manifest(folder: Path) -> dict[str, Any]:
    if not (folder / _MANIFEST).is_file():
        remedy = (
            "Make one with `python -m el.index` (MeSH) or `make run` (the sample), or give another folder"
        )
        raise InputError(folder, "", "no linker here", remedy)
    manifest = read_json(folder / _MANIFEST)
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found != FORMAT:
        raise MismatchError(
            f"{folder}: format {found!r}, this version reads {FORMAT!r}. Make the linker again"
        )
    return dict(manifest)


def _tagger(folder: Path, manifest: Mapping[str, Any]) -> Path | None:
    """The folder of a linker's tagger, if it has one. Raises MismatchError where it is another's."""
    if manifest.get("tagger") is None:
        return None
    if tagger_weights(folder / _TAGGER) != manifest["tagger"]:
        raise _mismatch(folder, "tagger")
    return folder / _TAGGER


def _with_found(document: Document, given: Sequence[Mention], found: Sequence[Mention]) -> list[Mention]:
    """Those of a document's own mentions that are linked, and those found where none of its own stands."""
    taken = [span for mention in document.mentions for span in mention.spans]
    new = [
        mention
        for mention in found
        if not any(span.start < mention.stop and mention.start < span.stop for span in taken)
    ]
    return sorted([*given, *new], key=lambda mention: (mention.start, mention.stop))


def _read_combinations(folder: Path) -> dict[str, Combination]:
    path = folder / _COMBINATIONS
    stored = read_json(path)
    try:
        return {
            name: Combination(dict(one["weights"]), tuple(OperatingPoint(**point) for point in one["curve"]))
            for name, one in stored.items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(path, "", f"not weights by kind of evidence ({error})", "Make it again") from error


_Settings = TypeVar("_Settings", LinkerConfig, InputVariant)


def _settings(kind: type[_Settings], folder: Path, manifest: Mapping[str, Any], section: str) -> _Settings:
    try:
        return kind(**manifest[section])
    except (KeyError, TypeError) as error:
        problem = f"{section} are missing or unknown ({error})"
        raise InputError(folder / _MANIFEST, "", problem, "Make the linker again") from error


def _mismatch(folder: Path, part: str) -> MismatchError:
    return MismatchError(
        f"{folder}: another {part} than the one that the manifest names. Make the linker again"
    )


def _document_batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """`_DOCUMENT_BATCH` documents together, fewer where they are long."""
    batch: list[Document] = []
    characters = 0
    for document in documents:
        batch.append(document)
        characters += sum(len(passage.text) for passage in document.passages)
        if len(batch) == _DOCUMENT_BATCH or characters >= _CHARACTER_BATCH:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _batches(queries: Sequence[Query]) -> Iterator[list[Query]]:
    """Whole documents, of `_QUERY_BATCH` mentions or a few more together."""
    batch: list[Query] = []
    for _, document in itertools.groupby(queries, lambda query: query.document_id):
        batch += document
        if len(batch) >= _QUERY_BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _queries(document: Document, mentions: Sequence[Mention], context_characters: int) -> list[Query]:
    length = len(document.text)
    for mention in mentions:
        if not 0 <= mention.start <= mention.stop <= length:
            raise ElError(
                f"document {document.id}, mention {mention.id}: offsets {mention.start}:{mention.stop} "
                f"are not within the text of {length} characters. Count them in Unicode code points"
            )
    return mention_queries(document, mentions, context_characters)
