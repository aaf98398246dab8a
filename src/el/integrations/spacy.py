"""The linker in a spaCy pipeline: `nlp.add_pipe("el_linker", config={"folder": "models/mesh"})`.

The component links the entities that earlier components found, if their label is that of a chemical or a
disease. If a document has no entities and `find_mentions` is "auto", the component finds mentions, which
become the document's entities. For each linked entity it sets:

    ent.kb_id_           the concept's id; several are separated by |. An entity that the linker has no
                         concept for keeps the `kb_id_` that it has.
    ent._.el_ids         the concepts' ids, a list of strings; empty for no concept
    ent._.el_candidates  the candidates, best first: a list of dictionaries with the keys id, name, score and
                         matched_name

A component of another name sets attributes of its own. After `nlp.add_pipe("el_linker", name="own")`, they
are `ent._.own_ids` and `ent._.own_candidates`. So several linkers can stand in one pipeline.

The linker is opened when the first document comes. Processes of `nlp.pipe(texts, n_process=2)` that are
spawned open a linker each. Forked ones use a linker that was opened before, and else open one each.
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from el.base.extras import needs_extra
from el.corpus.fields import candidate_rows
from el.corpus.types import Document, LinkedDocument, LinkedMention, Mention, Passage
from el.corpus.types import Span as Place
from el.linking.linker import Linker
from el.linking.mentions import FindMentions
from el.linking.places import find_linker

with needs_extra("spacy"):
    from spacy.language import Language
    from spacy.tokens import Doc, Span
    from spacy.util import filter_spans

_FACTORY = "el_linker"


@Language.factory(
    _FACTORY,
    default_config={"folder": "models/mesh", "min_precision": None, "find_mentions": "auto"},
    assigns=["doc.ents", "token.ent_kb_id"],
)
class LinkerComponent:
    """Links the entities of documents.

    Args:
        nlp: the pipeline.
        name: the name of the component in the pipeline.
        folder: the linker's folder or name; see `find_linker`.
        min_precision: see `Linker.load`.
        find_mentions: see `Linker.link`.

    Raises:
        InputError: there is no such linker. Other errors of `Linker.load` are raised for the first document.
    """

    def __init__(
        self,
        nlp: Language,  # noqa: ARG002
        name: str,
        folder: str,
        min_precision: float | None,
        find_mentions: FindMentions,
    ) -> None:
        self.name = name
        self.find_mentions = find_mentions
        self._folder = find_linker(folder).absolute()
        self._min_precision = min_precision
        prefix = "el" if name == _FACTORY else name
        self._ids, self._candidates = f"{prefix}_ids", f"{prefix}_candidates"
        self._opened: Linker | None = None
        self._add_extensions()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._add_extensions()

    def __call__(self, doc: Doc) -> Doc:
        return next(self.pipe([doc]))

    def pipe(self, stream: Iterable[Doc], batch_size: int = 32) -> Iterator[Doc]:
        """Links documents in batches of `batch_size`, and yields them in order."""
        docs = iter(stream)
        while batch := list(itertools.islice(docs, batch_size)):
            documents = [_document(str(number), doc) for number, doc in enumerate(batch)]
            for doc, linked in zip(batch, self._linker.link(documents, self.find_mentions), strict=True):
                self._annotate(doc, linked)
                yield doc

    @property
    def _linker(self) -> Linker:
        if self._opened is None:
            self._opened = Linker.load(self._folder, self._min_precision)
        return self._opened

    def _add_extensions(self) -> None:
        for attribute in (self._ids, self._candidates):
            if not Span.has_extension(attribute):
                Span.set_extension(attribute, default=[])

    def _annotate(self, doc: Doc, linked: LinkedDocument) -> None:
        given = linked.given
        ents = [self._entity(ent, given[number]) for number, ent in _numbered(doc) if number in given]
        found = [self._found_entity(doc, mention) for mention in linked.found]
        # A mention that the linker found may begin or end within a token. So it may share a token with
        # another one, or with an entity, which stays.
        taken = {token.i for ent in doc.ents for token in ent}
        free = [ent for ent in found if taken.isdisjoint(range(ent.start, ent.end))]
        doc.set_ents([*ents, *filter_spans(free)], default="unmodified")

    def _entity(self, ent: Span, linked: LinkedMention) -> Span:
        kb_id = "|".join(linked.predicted) or ent.kb_id_
        entity = Span(ent.doc, ent.start, ent.end, label=ent.label, kb_id=kb_id, span_id=ent.id)
        # Lists of plain values, because spaCy writes them as MessagePack.
        entity._.set(self._ids, list(linked.predicted))
        entity._.set(self._candidates, candidate_rows(linked.links))
        return entity

    def _found_entity(self, doc: Doc, linked: LinkedMention) -> Span:
        mention = linked.mention
        span = doc.char_span(mention.start, mention.stop, label=mention.type.upper(), alignment_mode="expand")
        assert span is not None
        return self._entity(span, linked)


def _numbered(doc: Doc) -> Iterator[tuple[str, Span]]:
    return ((str(number), ent) for number, ent in enumerate(doc.ents))


def _document(number: str, doc: Doc) -> Document:
    mentions = tuple(
        Mention(place, (Place(ent.start_char, ent.end_char),), ent.text, ent.label_.lower())
        for place, ent in _numbered(doc)
    )
    return Document(number, (Passage("text", 0, doc.text),), mentions)
