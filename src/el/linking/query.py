"""Queries: mentions to be linked, with everything that a ranker may read."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from el.base.text import context_window
from el.corpus.abbreviations import document_abbreviations, expand
from el.corpus.known_forms import Sense, senses_of
from el.corpus.types import Document, Mention
from el.models.inputs import query_input
from el.ontology.ontology import kind_or_type

# The least share of a sense that is read as if the document defined it. At a larger value, fewer known forms
# with several senses are written out.
_SURE = 0.5


@dataclass(frozen=True, slots=True)
class Query:
    """One mention to be linked.

    Attributes:
        id: "document id/mention id".
        document_id: the document's id.
        text: the surface form.
        type: "chemical" or "disease" for all types that mean these; any other type as the mention has it.
        gold: the mention's gold ids, none for a NIL mention; a ranker must not read them.
        expanded: the long form if the document defines the surface form as an abbreviation, otherwise
            `text`.
        left: the text before the mention, up to the mention; "" without context.
        right: the text after it.
        is_found: whether the linker found the mention. If not, it was given with the document.
        source_id: the id of the document that the query was made from, if `document_id` is another; "" if
            not.
        is_undefined: whether a definition of the surface form by the document is hidden.
        senses: what the surface form may mean, if it is a known form (`el.corpus.known_forms`). They do not
            count if the document defines the form.
    """

    id: str
    document_id: str
    text: str
    type: str
    gold: tuple[str, ...]
    expanded: str
    left: str = ""
    right: str = ""
    is_found: bool = False
    source_id: str = ""
    is_undefined: bool = False
    senses: tuple[Sense, ...] = ()

    @property
    def is_assumed(self) -> bool:
        """Whether `assumed` reads the surface form as the long form of a known form."""
        return self.text == self.expanded and bool(self._sure_sense)

    @property
    def _sure_sense(self) -> str:
        """The long form of the likeliest sense; "" if it is not sure enough, or no chemical or disease.

        A given chemical or disease has a sense of its own type.
        """
        possible = self.senses
        if not self.is_found and self.type in ("chemical", "disease"):
            possible = tuple(sense for sense in self.senses if sense.kind == self.type)
        best = max(possible, key=lambda sense: sense.share, default=None)
        if best is None or best.kind == "other":
            return ""
        return best.long_form if best.share >= _SURE * sum(sense.share for sense in possible) else ""

    def assumed(self) -> "Query":
        """Returns the query with the likeliest long form of a known form, if that is sure enough."""
        return replace(self, expanded=self._sure_sense) if self.is_assumed else self

    @property
    def input(self) -> str:
        """What a model reads: the mention with abbreviations expanded, and its context."""
        return query_input(self.expanded, self.left, self.right)


def mention_queries(
    document: Document, mentions: Iterable[Mention], context_characters: int = 0
) -> list[Query]:
    """Returns queries for mentions of a document, in the order given.

    Args:
        document: the document, which gives context and defines abbreviations.
        mentions: some mentions of the document, or mentions found in its text.
        context_characters: the most characters of context on each side.

    Raises:
        ValueError: a mention's offsets are not within the document's text.
    """
    text = document.text
    mentions = list(mentions)
    given = {mention.id for mention in document.mentions}
    abbreviations = document_abbreviations(document, mentions)
    queries = []
    for mention in mentions:
        left, right = context_window(text, mention.start, mention.stop, context_characters)
        expanded = expand(mention.text, abbreviations)
        queries.append(
            Query(
                id=f"{document.id}/{mention.id}",
                document_id=document.id,
                text=mention.text,
                type=kind_or_type(mention.type),
                gold=mention.concept_ids,
                expanded=expanded,
                left=left,
                right=right,
                is_found=mention.id not in given,
                senses=() if mention.is_discontinuous else senses_of(text, mention.spans[0]),
            )
        )
    return queries
