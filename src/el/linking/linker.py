"""The linker: links mentions in documents to ranked concepts, with scores and reasons, or to none (NIL)."""

import dataclasses
import itertools
import os
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from el.base.errors import ElError
from el.corpus.fields import NIL
from el.corpus.known_forms import senses_of
from el.corpus.types import Document, Link, LinkedDocument, LinkedMention, Mention, Span, margin_of
from el.index.vectors import NameVectors
from el.linking.composites import readings
from el.linking.config import LinkerConfig, check_synonyms, chosen_combination
from el.linking.evidence import (
    KINDS,
    NONE_KINDS,
    Combination,
    DocumentReading,
    Evidence,
    EvidenceCollector,
    documents_with_few,
)
from el.linking.folder import COMPILED, open_linker
from el.linking.mentions import FindMentions, MentionFinder
from el.linking.places import find_linker
from el.linking.query import Query, mention_queries
from el.linking.rankers import ModelRanker
from el.linking.ranking import Ranking
from el.linking.synonyms import LearnedSynonyms
from el.models.inputs import InputVariant
from el.ontology.ontology import Ontology, kind_of_type
from el.ontology.spellings import Spellings
from el.runtime.engine import Engine

# The most documents that are linked together, and the number of characters that ends a batch early. Mentions
# that the documents share are scored once. Larger batches take more memory, and first results come later.
_DOCUMENT_BATCH = 32
_CHARACTER_BATCH = 1_000_000
# The share of a form's training mentions above which a concept counts as decided by learned synonyms.
_MOST = 0.5
# The number of mentions that are scored together, equal mentions once. Larger batches take more memory.
_QUERY_BATCH = 2048
# The most mentions whose evidence is in memory at once. The evidence of a document with more mentions is
# collected twice. A larger value takes more memory.
_PIECE = 2 * _QUERY_BATCH

# The coordinations whose parts are scored together. A larger value takes more memory.
_COORDINATIONS = 128
# The lowest score of each part of a coordination that is read as several concepts. With a lower value, more
# coordinations are taken apart, and more of them wrongly.
_SURE = 0.7
# Held while a linker works, because its networks serve one thread at a time. A fork waits for it, so that no
# process begins with a lock that nobody releases.
_LINKING = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_LINKING.acquire, after_in_parent=_LINKING.release, after_in_child=_LINKING.release
    )


@dataclass(frozen=True, slots=True)
class Decision:
    """The linker's decision on one query.

    Attributes:
        links: concepts, best first; may be empty.
        decided_by: the strongest reason for the first concept: "learned_synonym" (most training mentions of
            the form have it), "dictionary" (a name is spelled like the mention), "abbreviation" (a name is
            spelled like the long form of the mention), "outside_name" (an outside name is spelled like the
            mention or its long form), or the model's kind.
        margin: see `margin_of`; computed over all candidates, not over `links` alone.
    """

    links: tuple[Link, ...]
    decided_by: str
    margin: float


class Linker:
    """Links mentions to concepts. It is also a `Ranker`: evaluation ranks candidates by the same code.

    `rank` does less than `link`: it finds no mentions, makes no composites and does not apply `nil_below`.

    Candidates are the concepts that the model's vectors retrieve, and those that dictionary and learned
    synonyms propose. A candidate's logit is the weighted sum of its evidence (`el.linking.evidence`), and the
    model's score is one kind of evidence. The weights were fitted on dev. The score of a link is a calibrated
    probability (`Combination.probabilities`): the softmax of the candidates' logits and of a logit for the
    case that none is right, corrected for the group of the mention.

    Several threads may use one linker; they take turns. A forked process may use it too.

    Args:
        engine: the model.
        vectors: the vectors of the ontology's names, made by the model's passage tower.
        ontology: the concepts.
        combinations: weights, by `combination_name` of the groups of evidence that are used.
        config: the settings.
        inputs: the inputs that the model was trained on; they set the context of a mention.
        synonyms: learned synonyms; needed if the config switches them on.
        candidates: the only ids that may be answered; None for all.
        spellings: the spellings of the ontology's names; None to compute them when they are needed.
        origin: the arguments of `load` that made this linker; with them, the linker can be pickled.
        tagger: the folder of a compiled tagger. Without a tagger, names of the ontology are found.

    Raises:
        MismatchError: another model made the vectors.
        ConfigError: learned synonyms are switched on, but there are none; or there are no weights for the
            groups that are switched on.
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
        check_synonyms(self.config, synonyms)
        self._combination = chosen_combination(self.config, combinations)
        alone = dataclasses.replace(self.config, use_document=False)
        self._first_reading = chosen_combination(alone, combinations)
        self.ranker = ModelRanker(engine, vectors, ontology, self.config.retrieved, candidates)
        self._given_spellings = spellings
        self._origin = origin
        self._tagger_folder = tagger

    @classmethod
    def load(
        cls, folder: str | Path | None = None, min_precision: float | None = None, **changes: Any
    ) -> "Linker":
        """Opens a linker's folder.

        Args:
            folder: a linker's folder or name, or None for the default; see `find_linker`.
            min_precision: the share of answers that should be right. `nil_below` is set to the threshold that
                reached this share on held-out mentions. None keeps the threshold of the folder.
            changes: fields of `LinkerConfig` that replace those of the folder.

        Raises:
            InputError: the folder holds no linker, or a part is missing or broken.
            MismatchError: the format is another, or parts do not belong together.
            ConfigError: settings that make no sense, or a precision that no threshold reaches.
        """
        folder = find_linker(folder)
        opened = open_linker(folder)
        parts = opened.trained
        config = dataclasses.replace(parts.config, **changes)
        if min_precision is not None:
            point = chosen_combination(config, parts.combinations).operating_point(min_precision)
            config = dataclasses.replace(config, nil_below=point.threshold)
        return cls(
            opened.engine,
            opened.vectors,
            opened.ontology,
            parts.combinations,
            config,
            parts.inputs,
            parts.synonyms,
            spellings=opened.spellings,
            origin=(folder, min_precision, changes),
            tagger=parts.tagger and parts.tagger / COMPILED,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # Compiled networks and mapped files cannot be pickled. The other process opens the folder itself.
        if self._origin is None:
            raise TypeError("only a linker that was loaded from a folder can be pickled")
        folder, min_precision, changes = self._origin
        return partial(Linker.load, **changes), (folder.absolute(), min_precision)

    def restricted(
        self, candidates: Collection[str] | None, learned: Iterable[Document] | None = None
    ) -> "Linker":
        """Returns this linker with other candidates and other learned synonyms.

        Args:
            candidates: the only ids that may be answered; None for all.
            learned: documents whose annotations become the learned synonyms; None switches them off.
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
        """Returns one ranking per query, of at most `k` concepts. `nil_below` is not applied."""
        return [
            Ranking(
                tuple(link.concept_id for link in decision.links),
                tuple(link.score for link in decision.links),
            )
            for decision in self.decide(queries, k)
        ]

    def decide(self, queries: Sequence[Query], k: int) -> list[Decision]:
        """Returns one decision per query, with at most `k` links. Equal mentions are scored once.

        Mentions of one document are evidence for each other only if they are next to each other in `queries`.
        """
        with _LINKING:
            return [decision for batch in _batches(queries) for decision in self._decide_batch(batch, k)]

    def _decide_batch(self, queries: Sequence[Query], k: int) -> Iterator[Decision]:
        pieces = [queries[start : start + _PIECE] for start in range(0, len(queries), _PIECE)]
        reading, few = DocumentReading(self._first_reading), documents_with_few(queries)
        evidence: list[Evidence] = []
        for piece in pieces:
            evidence = self._collector.collect(piece, few)
            if self.config.use_document:
                reading.add(piece, evidence)
        for piece in pieces:
            # Collected again, because the evidence of all mentions of a book does not fit into memory.
            if len(pieces) > 1:
                evidence = self._collector.collect(piece, few)
            if self.config.use_document:
                evidence = reading.added_to(piece, evidence)
            for query, candidates in zip(piece, evidence, strict=True):
                yield self._decide(query, candidates, k)

    def link(
        self,
        documents: Iterable[Document],
        find_mentions: FindMentions = "auto",
        types: Collection[str] | None = None,
    ) -> Iterator[LinkedDocument]:
        """Links the mentions of documents. Only a few documents are in memory at a time.

        Gold ids are not read. A mention that names several concepts at once (`el.linking.composites`) gets
        the ids of all of them. An abbreviation and its long form are read as the same text, so they usually
        get the same ids. This is not guaranteed: some evidence differs, such as `short_form`.

        Args:
            documents: any number of documents.
            types: the types of the given mentions to link, in lower case; None for the types that the
                ontology has concepts of. Mentions of other types are skipped.
            find_mentions: "auto" finds mentions in documents that have none; "always" finds them also in
                other documents, where they do not overlap given ones; "never" finds none.

        Yields:
            One linked document per document, in order. If reading `documents` raises an error, the documents
            before it come first.

        Raises:
            ElError: a mention's offsets are not within its document.
        """
        for batch in _document_batches(documents):
            with _LINKING:
                linked = self._link_batch(batch, find_mentions, types)
            yield from linked

    def __call__(self, text: str) -> LinkedDocument:
        """Finds and links the mentions of a text."""
        (linked,) = self.link([Document.of_text("", text)])
        return linked

    def _link_batch(
        self, documents: Sequence[Document], find: FindMentions, types: Collection[str] | None
    ) -> list[LinkedDocument]:
        mentions = self.mention_finder.mentions(documents, find, types)
        # The document's number replaces its id, because two documents may have the same id.
        wholes = [
            dataclasses.replace(query, document_id=str(number))
            for number, (document, of_document) in enumerate(zip(documents, mentions, strict=True))
            for query in _queries(document, of_document, self.inputs.context_characters)
        ]
        # For each mention the query of the whole mention, then those of its parts, if there are any.
        queries = [
            [whole, *_parts(whole, parts)]
            for whole, parts in zip(wholes, self._chosen_readings(wholes), strict=True)
        ]
        decisions = iter(self.decide([*itertools.chain(*queries)], self.config.top_k))
        linked = (
            self._linked(mention, of_mention[0].is_found, [*itertools.islice(decisions, len(of_mention))])
            for mention, of_mention in zip(itertools.chain(*mentions), queries, strict=True)
        )
        return [
            LinkedDocument(document, tuple(itertools.islice(linked, len(of_document))))
            for document, of_document in zip(documents, mentions, strict=True)
        ]

    def _chosen_readings(self, wholes: Sequence[Query]) -> list[tuple[str, ...]]:
        """Returns the parts that each mention is read as; none for a mention that is read as a whole.

        A mention that is spelled like a name is read as a whole. Otherwise the reading is chosen whose least
        sure part is the surest. Each part must be sure enough, and as sure as the whole at least.
        """
        few = documents_with_few(wholes)
        chosen: list[tuple[str, ...]] = [()] * len(wholes)
        possible = {
            place: found
            for place, whole in enumerate(wholes)
            if (found := readings(whole.expanded)) and not self._is_known(whole, whole.expanded)
        }
        for start in range(0, len(possible), _COORDINATIONS):
            places = [*possible][start : start + _COORDINATIONS]
            texts = {
                place: list(dict.fromkeys(itertools.chain([wholes[place].expanded], *possible[place])))
                for place in places
            }
            parts = [part for place in places for part in _parts(wholes[place], texts[place])]
            evidence = iter(self._collector.collect(parts, few))
            for place in places:
                best = {text: self._surest(wholes[place], text, next(evidence)) for text in texts[place]}
                chosen[place] = _chosen_reading(possible[place], best, wholes[place].expanded)
        return chosen

    def _surest(self, whole: Query, text: str, evidence: Evidence) -> tuple[int, float]:
        """Returns the concept row that a text is decided for without its document, and how sure that is.

        A text that a name or a training mention is spelled like is sure: 1. A concept of another kind than
        the mention's is not: 0. Without candidates, the row is -1.
        """
        probabilities = self._first_reading.probabilities(evidence)
        if not len(probabilities):
            return -1, 0.0
        best = int(probabilities.argmax())
        concept = int(evidence.concepts[best])
        if not self._has([concept], whole.type):
            return concept, 0.0
        is_sure = text != whole.expanded and self._is_known(whole, text, learned=True)
        return concept, 1.0 if is_sure else float(probabilities[best])

    def _is_known(self, query: Query, text: str, learned: bool = False) -> bool:
        """Whether a name of the query's type is spelled like a text or, if `learned`, a training mention."""
        if self.config.use_dictionary and self._has(self._named(text), query.type):
            return True
        return learned and self._has(self._learned(text), query.type)

    def _has(self, concepts: Iterable[int], type: str) -> bool:
        """Whether a concept row has the kind of a mention's type. True if the ontology lacks that kind."""
        kind = kind_of_type(type)
        return any(
            kind not in self.mention_finder.kinds or self.ontology.kinds[concept] == kind
            for concept in concepts
        )

    def _named(self, text: str) -> list[int]:
        """Returns the concept rows that have a name of this spelling."""
        return list(self.ontology.concept_of_name[self._spellings.names(text)].tolist())

    def _learned(self, text: str) -> list[int]:
        """Returns the concept rows that training mentions of this form have, if learned synonyms are used."""
        if self.synonyms is None or not self.config.use_learned_synonyms:
            return []
        return list(self.synonyms.rows_of(text, self.ontology))

    def weighted_evidence(self, query: Query) -> dict[str, dict[str, float]]:
        """Returns concept id -> kind of evidence -> value times weight, for all candidates of a query.

        The id "-1" stands for the case that none of them is right, with `NONE_KINDS`. The query is treated as
        if its document had no other mentions. A logit is the sum of the values.
        """
        with _LINKING:
            (evidence,) = self._collector.collect([query])
        weighted = {
            self.ontology.ids[concept]: _weighted(KINDS, row, self._combination.weights)
            for concept, row in zip(evidence.concepts.tolist(), evidence.values, strict=True)
        }
        return weighted | {NIL: _weighted(NONE_KINDS, evidence.none, self._combination.none_weights)}

    def _linked(self, mention: Mention, is_found: bool, decisions: Sequence[Decision]) -> LinkedMention:
        whole, *parts = decisions
        links = [*(part.links[0] for part in parts if part.links), *whole.links]
        # Of several links to one concept, the first is kept.
        distinct = {link.concept_id: link for link in reversed(links)}
        in_order = [distinct[concept_id] for concept_id in dict.fromkeys(link.concept_id for link in links)]
        threshold = self._threshold(is_found)
        answers = {part.links[0].concept_id: part.links[0].score for part in parts if part.links}
        if not answers:
            answers = {link.concept_id: link.score for link in whole.links[:1]}
        predicted = tuple(concept_id for concept_id, score in answers.items() if score >= threshold)
        decided_by = parts[0].decided_by if parts else whole.decided_by
        kept = tuple(in_order[: max(self.config.top_k, len(answers))])
        # The candidates begin with the answers of the parts, so the margin of a part is in its decision only.
        margin = min((part.margin for part in parts if part.links), default=whole.margin)
        if is_found and predicted:
            mention = self._with_kind_of(mention, predicted[0])
        return LinkedMention(mention, kept, predicted, decided_by, margin)

    def _threshold(self, is_found: bool) -> float:
        """Returns the least score of a given mention's answer, or of a found mention's."""
        if self.config.nil_below is not None:
            return self.config.nil_below
        return self._combination.found_below if is_found else 0.0

    def _with_kind_of(self, mention: Mention, concept_id: str) -> Mention:
        """Returns a found mention with its concept's kind as its type, if the linker finds that kind."""
        kind = self.ontology.kinds[self.ontology.row_of[concept_id]]
        return dataclasses.replace(mention, type=kind) if kind in self.mention_finder.kinds else mention

    @cached_property
    def _spellings(self) -> Spellings:
        return self._given_spellings or Spellings.of_ontology(self.ontology)

    @cached_property
    def mention_finder(self) -> MentionFinder:
        """Chooses the mentions of a document to link, and finds mentions in its text."""
        return MentionFinder(self.ontology, self._spellings, self.synonyms, self._tagger_folder)

    @cached_property
    def _collector(self) -> EvidenceCollector:
        spellings = self._spellings if self.config.use_dictionary else None
        synonyms = self.synonyms if self.config.use_learned_synonyms else None
        return EvidenceCollector(self.ranker, spellings, synonyms, self.candidates)

    def _decide(self, query: Query, evidence: Evidence, k: int) -> Decision:
        probabilities, ids = self._combination.probabilities(evidence), self.ontology.ids
        order = sorted(
            range(len(probabilities)), key=lambda row: (-probabilities[row], ids[evidence.concepts[row]])
        )
        links = tuple(
            self._link(int(evidence.concepts[row]), int(evidence.names[row]), float(probabilities[row]))
            for row in order[: max(k, 2)]
        )
        reason = self._reason(query, evidence, order[0]) if order else self.ranker.engine.kind
        return Decision(links[:k], reason, margin_of(links))

    def _reason(self, query: Query, evidence: Evidence, row: int) -> str:
        if evidence.of("learned_share")[row] > _MOST:
            return "learned_synonym"
        if evidence.of("spelling")[row]:
            return "dictionary" if query.expanded == query.text else "abbreviation"
        if evidence.of("outside_spelling")[row] or evidence.of("outside_acronym")[row]:
            return "outside_name"
        return self.ranker.engine.kind

    def _link(self, concept: int, name: int, score: float) -> Link:
        preferred = self.ontology.name_text(int(self.ontology.first_name[concept]))
        text, source = self.ontology.name_text(name), self.ontology.name_source(name)
        return Link(self.ontology.ids[concept], preferred, score, text, source)


def _weighted(
    kinds: Sequence[str], values: npt.NDArray[np.float32], weights: Mapping[str, float]
) -> dict[str, float]:
    return {kind: value * weights.get(kind, 0.0) for kind, value in zip(kinds, values.tolist(), strict=True)}


def _chosen_reading(
    possible: Iterable[tuple[str, ...]], best: Mapping[str, tuple[int, float]], whole: str
) -> tuple[str, ...]:
    """Returns the surest reading of a coordination, or no parts if it is rather read as a whole.

    Args:
        possible: the readings.
        best: for each part and the whole, its concept row and how sure that is.
        whole: the text of the whole.
    """
    sure = {
        parts: min(best[part][1] for part in parts)
        for parts in possible
        if len({best[part][0] for part in parts}) == len(parts)
    }
    # Of equally sure readings, the first.
    surest = max(sure, key=sure.__getitem__, default=())
    return surest if surest and sure[surest] >= max(_SURE, best[whole][1]) else ()


def _parts(whole: Query, texts: Iterable[str]) -> list[Query]:
    """Returns a mention's query with other texts in its place."""
    return [
        dataclasses.replace(whole, text=text, expanded=text, senses=senses_of(text, Span(0, len(text))))
        for text in texts
    ]


def _document_batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Yields batches of `_DOCUMENT_BATCH` documents; fewer if the documents are long.

    If a document cannot be read, those before it come first, and then the error.
    """
    batch: list[Document] = []
    characters = 0
    try:
        for document in documents:
            batch.append(document)
            characters += sum(len(passage.text) for passage in document.passages)
            if len(batch) == _DOCUMENT_BATCH or characters >= _CHARACTER_BATCH:
                yield batch
                batch, characters = [], 0
    except ElError:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def _batches(queries: Sequence[Query]) -> Iterator[list[Query]]:
    """Yields batches of whole documents. A batch ends when it has `_QUERY_BATCH` mentions or more."""
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
