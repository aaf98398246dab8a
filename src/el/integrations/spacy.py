"""The linker in a spaCy pipeline: `nlp.add_pipe("el_linker", config={"folder": "models/mesh"})`.

The component links the entities that earlier components found, if their label is that of a chemical or a
disease. It sets `kb_id_` to the concept's id ("" for no concept), and `ent._.el_candidates` to the
candidates. If a document has no entities and `find_mentions` is "auto", the component finds mentions, which
become the document's entities.
"""

import itertools
from collections.abc import Iterable, Iterator

from el.base.extras import needs_extra
from el.corpus.types import Document, Link, LinkedMention, Mention, Passage
from el.corpus.types import Span as Place
from el.linking.linker import Linker
from el.linking.mentions import FindMentions

with needs_extra("spacy"):
    from spacy.language import Language
    from spacy.tokens import Doc, Span
    from spacy.util import filter_spans

_ATTRIBUTE = "el_candidates"


@Language.factory(
    "el_linker",
    default_config={"folder": "models/mesh", "min_precision": None, "find_mentions": "auto"},
    assigns=["doc.ents", "token.ent_kb_id"],
)
class LinkerComponent:
    """Links the entities of documents.

    Args:
        nlp: the pipeline.
        name: the name of the component in the pipeline.
        folder: the linker's folder.
        min_precision: see `Linker.load`.
        find_mentions: see `Linker.link`.
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
        self.linker = Linker.load(folder, min_precision)
        if not Span.has_extension(_ATTRIBUTE):
            Span.set_extension(_ATTRIBUTE, default=())

    def __call__(self, doc: Doc) -> Doc:
        return next(self.pipe([doc]))

    def pipe(self, stream: Iterable[Doc], batch_size: int = 32) -> Iterator[Doc]:
        """Links documents in batches of `batch_size`, and yields them in order."""
        docs = iter(stream)
        while batch := list(itertools.islice(docs, batch_size)):
            documents = [_document(str(number), doc) for number, doc in enumerate(batch)]
            for doc, linked in zip(batch, self.linker.link(documents, self.find_mentions), strict=True):
                entities = filter_spans([_entity(doc, mention) for mention in linked.mentions])
                doc.set_ents(entities, default="unmodified")
                yield doc


def _document(number: str, doc: Doc) -> Document:
    mentions = tuple(
        Mention(str(place), (Place(ent.start_char, ent.end_char),), ent.text, ent.label_.lower())
        for place, ent in enumerate(doc.ents)
    )
    return Document(number, (Passage("text", 0, doc.text),), mentions)


def _entity(doc: Doc, linked: LinkedMention) -> Span:
    mention = linked.mention
    # A mention that the linker found may begin or end within a token.
    span = doc.char_span(mention.start, mention.stop, alignment_mode="expand")
    assert span is not None
    labels = {(ent.start_char, ent.end_char): ent.label_ for ent in doc.ents}
    label = labels.get((mention.start, mention.stop), mention.type.upper())
    entity = Span(doc, span.start, span.end, label=label, kb_id="|".join(linked.predicted))
    candidates: tuple[Link, ...] = linked.links
    entity._.set(_ATTRIBUTE, candidates)
    return entity
