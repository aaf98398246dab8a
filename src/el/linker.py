"""The linker: mentions in documents to ranked concepts, with scores, reasons and NIL.

A linker is a folder that holds everything it needs, so that it works without a connection:

    manifest.json          format, fingerprints, settings, and what made it
    model/                 a Hypencoder or a bi-encoder
    ontology/              concepts and names
    vectors/               the names' vectors, made by the model's passage tower
    learned_synonyms.tsv   surface forms of training documents; optional
"""

import dataclasses
import itertools
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from el.baselines import ExactMatch
from el.corpus.types import Document, Link, LinkedDocument, LinkedMention, Mention
from el.errors import ConfigError, ElError, InputError, MismatchError
from el.evaluation.queries import Query, mention_queries
from el.evaluation.rankings import Ranking
from el.files import atomic_folder, read_json, write_json
from el.finder import DictionaryFinder
from el.index.vectors import NameVectors
from el.inputs import InputVariant
from el.models import RetrievalModel, load_model
from el.ontology import Ontology
from el.rankers import ModelRanker, distinct_inputs
from el.synonyms import LearnedSynonyms
from el.text import normalise

FORMAT = "el-linker-1"

FindMentions = Literal["auto", "always", "never"]

_MANIFEST, _MODEL, _ONTOLOGY, _VECTORS, _SYNONYMS = (
    "manifest.json",
    "model",
    "ontology",
    "vectors",
    "learned_synonyms.tsv",
)
# Documents that are linked together. Each batch reads the vectors of all names.
_DOCUMENT_BATCH = 32
# Inputs that are scored together. Their q-nets are in memory at once, 1 MB each at depth 2.
_INPUT_BATCH = 128


@dataclass(frozen=True)
class LinkerConfig:
    """How a linker decides.

    Attributes:
        retrieved: names that the first stage retrieves for the model to score.
        top_k: candidates that a linked mention keeps.
        use_dictionary: whether a name that equals the mention decides, before the model.
        use_learned_synonyms: whether surface forms of the training documents decide, before the names.
        nil_below: mentions whose best score is lower are linked to nothing; None links all that can be.
    """

    retrieved: int = 256
    top_k: int = 10
    use_dictionary: bool = True
    use_learned_synonyms: bool = False
    nil_below: float | None = None

    def __post_init__(self) -> None:
        for name in ("retrieved", "top_k"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if self.nil_below is not None and not 0.0 <= self.nil_below <= 1.0:
            raise ConfigError(f"nil_below is {self.nil_below}; it must be between 0 and 1")


@dataclass(frozen=True, slots=True)
class Decision:
    """What a linker makes of one query.

    Attributes:
        links: concepts, best first; may be empty.
        decided_by: what put the first of them there: "learned_synonym", "dictionary" (a name equals the
            mention), "abbreviation" (a name equals what the mention stands for), or the model's kind.
    """

    links: tuple[Link, ...]
    decided_by: str


@dataclass(frozen=True, slots=True)
class _Scored:
    """The n concepts of the names retrieved for one input, best first, equal scores in the order of ids.

    Attributes:
        places: concept row -> place from 0.
        names: (n,) int64, the name row of each concept that the model scored best.
        scores: (n,) float64, softmax over the concepts of the model's scores of those names.
    """

    places: dict[int, int]
    names: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]


class Linker:
    """Links mentions to concepts; as a `Ranker`, the same code under evaluation.

    The first of these that has an answer decides on the first concept; behind it stands the model's ranking:

    1. learned synonyms, if switched on: the concept that most of the form's training mentions have;
    2. the dictionary: the concept with a name that equals the mention, both normalised, the mention written
       out where its document introduces it as an abbreviation. If several concepts have it, the one that the
       model scores best, then the one that `ExactMatch` puts first;
    3. the model.

    Scores are between 0 and 1 and not calibrated: 1 for what 1. and 2. decide, otherwise the softmax of the
    model's best scores per concept, among the names retrieved.

    Args:
        model: in evaluation mode.
        vectors: of the ontology's names, made by the model's passage tower.
        ontology: the concepts.
        config: how to decide.
        inputs: what the model was trained to read; says how much context mentions are given.
        synonyms: needed where the config switches them on.
        candidates: the only ids that may be answered; None for all.

    Raises:
        MismatchError: another model made the vectors.
        ConfigError: learned synonyms are switched on, but there are none.
    """

    def __init__(
        self,
        model: RetrievalModel,
        vectors: NameVectors,
        ontology: Ontology,
        config: LinkerConfig | None = None,
        inputs: InputVariant | None = None,
        synonyms: LearnedSynonyms | None = None,
        candidates: Collection[str] | None = None,
    ) -> None:
        self.config = config or LinkerConfig()
        self.inputs = inputs or InputVariant()
        self.ontology = ontology
        self.synonyms = synonyms
        self.candidates = candidates
        vectors.check_model(model)
        if self.config.use_learned_synonyms and synonyms is None:
            raise ConfigError("use_learned_synonyms is on, but the linker has no learned synonyms")
        self._ranker = ModelRanker(model, vectors, ontology, self.config.retrieved, candidates)

    @classmethod
    def load(cls, folder: Path, **changes: Any) -> "Linker":
        """Opens a linker's folder.

        Args:
            folder: what `save_linker` wrote.
            changes: fields of `LinkerConfig` that are to differ from the folder's own.

        Raises:
            InputError: there is no linker, or a part of it is missing or broken.
            MismatchError: another format, or parts that do not belong together.
            ConfigError: settings that make no sense.
        """
        manifest = _read_manifest(folder)
        config = dataclasses.replace(_settings(LinkerConfig, folder, manifest, "settings"), **changes)
        inputs = _settings(InputVariant, folder, manifest, "inputs")
        ontology = Ontology.load(folder / _ONTOLOGY)
        if ontology.fingerprint != manifest.get("ontology"):
            raise _mismatch(folder, "ontology")
        model = load_model(folder / _MODEL)
        if model.fingerprint() != manifest.get("model"):
            raise _mismatch(folder, "model")
        synonyms = None
        if (folder / _SYNONYMS).is_file():
            synonyms = LearnedSynonyms.load(folder / _SYNONYMS, ontology)
        vectors = NameVectors.open(folder / _VECTORS, ontology)
        return cls(model, vectors, ontology, config, inputs, synonyms)

    def restricted(
        self, candidates: Collection[str] | None, learned: Iterable[Document] | None = None
    ) -> "Linker":
        """Returns this linker for some candidates, with synonyms of other documents, or without any.

        Args:
            candidates: the only ids that may be answered; None for all.
            learned: documents whose annotations become learned synonyms; None switches those off.
        """
        return Linker(
            self._ranker.model,
            self._ranker.vectors,
            self.ontology,
            dataclasses.replace(self.config, use_learned_synonyms=learned is not None),
            self.inputs,
            None if learned is None else LearnedSynonyms.of_documents(learned, self.ontology),
            candidates,
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
        """Returns one decision a query, with at most `k` links; equal inputs are scored once."""
        texts, positions = distinct_inputs(queries)
        scored: list[_Scored] = []
        for start in range(0, len(texts), _INPUT_BATCH):
            scored += self._score(texts[start : start + _INPUT_BATCH])
        return [
            self._decide(query, scored[position], k)
            for query, position in zip(queries, positions, strict=True)
        ]

    def link(
        self, documents: Iterable[Document], find_mentions: FindMentions = "auto"
    ) -> Iterator[LinkedDocument]:
        """Links the mentions of documents, a few documents in memory at a time.

        All mentions of a document are linked, composites and their parts too; a composite gets one id for
        now. Gold ids are not looked at.

        Args:
            documents: in any number.
            find_mentions: "auto" finds mentions by the ontology's names in documents that have none;
                "always" also in the others, where no given mention stands; "never" leaves documents as
                they are.

        Yields:
            One linked document a document, in order.

        Raises:
            ElError: a mention's offsets are not within its document.
        """
        stream = iter(documents)
        while batch := list(itertools.islice(stream, _DOCUMENT_BATCH)):
            yield from self._link_batch(batch, find_mentions)

    def _link_batch(self, documents: Sequence[Document], find: FindMentions) -> Iterator[LinkedDocument]:
        mentions = [self._mentions(document, find) for document in documents]
        queries = [
            query
            for document, own in zip(documents, mentions, strict=True)
            for query in _queries(document, own, self.inputs.context_characters)
        ]
        decisions = iter(self.decide(queries, self.config.top_k))
        for document, own in zip(documents, mentions, strict=True):
            linked = tuple(self._linked(mention, next(decisions)) for mention in own)
            yield LinkedDocument(document, linked)

    def _mentions(self, document: Document, find: FindMentions) -> Sequence[Mention]:
        given = document.mentions
        if find == "never" or (find == "auto" and given):
            return given
        found = [
            mention
            for mention in self._finder.mentions(document)
            if not any(
                span.start < mention.stop and mention.start < span.stop for m in given for span in m.spans
            )
        ]
        return sorted([*given, *found], key=lambda mention: (mention.start, mention.stop))

    def _linked(self, mention: Mention, decision: Decision) -> LinkedMention:
        threshold = self.config.nil_below or 0.0
        predicted = tuple(link.concept_id for link in decision.links[:1] if link.score >= threshold)
        return LinkedMention(mention, decision.links, predicted, decision.decided_by)

    @cached_property
    def _finder(self) -> DictionaryFinder:
        return DictionaryFinder(self.ontology)

    @cached_property
    def _exact(self) -> ExactMatch:
        return ExactMatch(self.ontology, self.candidates, expand_abbreviations=True)

    def _score(self, texts: Sequence[str]) -> list[_Scored]:
        found = self._ranker.retrieve(texts)
        return [
            self._scored(names, scores) for names, scores in zip(found.name_rows, found.scores, strict=True)
        ]

    def _scored(self, names: npt.NDArray[np.int64], scores: npt.NDArray[np.float32]) -> _Scored:
        best: dict[int, tuple[float, int]] = {}
        for name, concept, score in zip(
            names.tolist(), self.ontology.concept_of_name[names].tolist(), scores.tolist(), strict=True
        ):
            if concept not in best or score > best[concept][0]:
                best[concept] = (score, name)
        ids = self.ontology.ids
        ranked = sorted(best, key=lambda concept: (-best[concept][0], ids[concept]))
        logits = np.array([best[concept][0] for concept in ranked])
        powers = np.exp(logits - logits.max(initial=-np.inf))
        return _Scored(
            {concept: place for place, concept in enumerate(ranked)},
            np.array([best[concept][1] for concept in ranked], dtype=np.int64),
            powers / powers.sum(),
        )

    def _decide(self, query: Query, scored: _Scored, k: int) -> Decision:
        first, decided_by = self._certain(query, scored)
        links = [] if first is None else [first]
        for concept, place in scored.places.items():
            if len(links) == k:
                break
            if first is None or self.ontology.ids[concept] != first.concept_id:
                links.append(self._link(concept, int(scored.names[place]), float(scored.scores[place])))
        return Decision(tuple(links[:k]), decided_by)

    def _certain(self, query: Query, scored: _Scored) -> tuple[Link | None, str]:
        """What needs no model, and which stage decided; (None, the model's kind) if there is nothing."""
        if self.config.use_learned_synonyms and self.synonyms is not None:
            concept_id = self.synonyms.concept_of(query.expanded)
            if concept_id is not None and (self.candidates is None or concept_id in self.candidates):
                return self._learned(concept_id, scored), "learned_synonym"
        if self.config.use_dictionary:
            link = self._exact_match(query, scored)
            if link is not None:
                return link, "dictionary" if query.expanded == query.text else "abbreviation"
        return None, self._ranker.model.kind

    def _learned(self, concept_id: str, scored: _Scored) -> Link:
        concept = self.ontology.row_of[concept_id]
        place = scored.places.get(concept)
        name = self.ontology.first_name[concept] if place is None else scored.names[place]
        return self._link(concept, int(name), 1.0)

    def _exact_match(self, query: Query, scored: _Scored) -> Link | None:
        (ranking,) = self._exact.rank([query], len(self.ontology))
        if not ranking.concept_ids:
            return None
        rows = [self.ontology.row_of[concept_id] for concept_id in ranking.concept_ids]
        # `min` takes the first of equals: of concepts that the model did not retrieve, ExactMatch's first.
        concept = min(rows, key=lambda row: scored.places.get(row, len(scored.places)))
        form = normalise(query.expanded)
        names = self.ontology.name_rows(self.ontology.ids[concept])
        name = next(row for row in names if normalise(self.ontology.name_texts[row]) == form)
        return self._link(concept, name, 1.0)

    def _link(self, concept: int, name: int, score: float) -> Link:
        concept_id, texts = self.ontology.ids[concept], self.ontology.name_texts
        return Link(concept_id, texts[int(self.ontology.first_name[concept])], score, texts[name])


def save_linker(
    folder: Path,
    *,
    model: Path,
    ontology: Path,
    vectors: NameVectors,
    config: LinkerConfig,
    inputs: InputVariant,
    synonyms: LearnedSynonyms | None = None,
    made_by: Mapping[str, Any],
) -> None:
    """Writes a linker's folder, whole or not at all.

    Args:
        folder: where to; what stands there is replaced.
        model: the folder of a saved model; copied.
        ontology: the folder of the ontology; copied.
        vectors: of the ontology's names, made by the model's passage tower.
        config: the settings that the linker starts with.
        inputs: what the model was trained to read.
        synonyms: learned synonyms; may be carried even where the config does not switch them on.
        made_by: what the linker was made from (system, data), as JSON values, for its manifest.

    Raises:
        InputError: a part is missing or broken.
        MismatchError: the vectors were made from another ontology or by another model.
        ConfigError: learned synonyms are switched on, but there are none.
    """
    opened = Ontology.load(ontology)
    if vectors.manifest["ontology"] != opened.fingerprint:
        raise MismatchError(f"{ontology}: the vectors were made from another ontology. Build them again")
    loaded = load_model(model)
    # Refuses what does not fit together.
    Linker(loaded, vectors, opened, config, inputs, synonyms)
    with atomic_folder(folder) as temporary:
        shutil.copytree(model, temporary / _MODEL)
        shutil.copytree(ontology, temporary / _ONTOLOGY)
        _save_vectors(vectors, temporary / _VECTORS)
        if synonyms is not None:
            synonyms.save(temporary / _SYNONYMS)
        manifest = {
            "format": FORMAT,
            "ontology": opened.fingerprint,
            "model": loaded.fingerprint(),
            "settings": dataclasses.asdict(config),
            "inputs": dataclasses.asdict(inputs),
            "made_by": dict(made_by),
        }
        write_json(temporary / _MANIFEST, manifest)


def _save_vectors(vectors: NameVectors, folder: Path) -> None:
    folder.mkdir()
    np.save(folder / "vectors.npy", vectors.vectors)
    write_json(folder / "manifest.json", vectors.manifest)


def _read_manifest(folder: Path) -> dict[str, Any]:
    if not (folder / _MANIFEST).is_file():
        raise InputError(folder, "", "no linker here", "Make it with `make run`, or give the folder of one")
    manifest = read_json(folder / _MANIFEST)
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found != FORMAT:
        raise MismatchError(
            f"{folder}: format {found!r}, this version reads {FORMAT!r}. Make the linker again"
        )
    return dict(manifest)


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


def _queries(document: Document, mentions: Sequence[Mention], context_characters: int) -> list[Query]:
    length = len(document.text)
    for mention in mentions:
        if not 0 <= mention.start <= mention.stop <= length:
            raise ElError(
                f"document {document.id}, mention {mention.id}: offsets {mention.start}:{mention.stop} "
                f"are not within the text of {length} characters. Count them in Unicode code points"
            )
    return mention_queries(document, mentions, context_characters)
