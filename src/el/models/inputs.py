"""The text that the towers read: a mention with or without context, a name with or without definition."""

from dataclasses import dataclass

from el.base.errors import ConfigError
from el.base.text import plain_characters, spell_greek
from el.ontology.ontology import Ontology


@dataclass(frozen=True)
class InputVariant:
    """How much text the towers read besides the mention and the name.

    Attributes:
        context_characters: characters of the document on each side of the mention; 0 for none.
        definition_characters: characters of the concept's definition after the name; 0 for none.
    """

    context_characters: int = 0
    definition_characters: int = 0

    def __post_init__(self) -> None:
        for name in ("context_characters", "definition_characters"):
            if not 0 <= getattr(self, name) <= 2000:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be between 0 and 2000")


def tokens_for(context_characters: int) -> int:
    """Returns the number of tokens that a tower must read for a mention with context.

    Args:
        context_characters: characters of context on each side of the mention.
    """
    # A token has about four characters, and there are two sides. 32 tokens are for the mention.
    return context_characters // 2 + 32


def query_input(mention: str, left: str = "", right: str = "") -> str:
    """Returns the mention; if there is context, also the context, with the mention marked in it.

    The mention comes first, so it remains when the tower's maximal length cuts the context. Characters are
    made plain and Greek letters are spelled out, as in names (`readable`).
    """
    mention, left, right = readable(mention), readable(left), readable(right)
    if not left and not right:
        return mention
    return " ".join(part for part in (mention, ":", left, f"[ {mention} ]", right) if part)


def passage_input(name: str, definition: str = "") -> str:
    """Returns the name, followed by the definition if there is one. Both are made `readable`."""
    return readable(f"{name} : {definition}" if definition else name)


def readable(text: str) -> str:
    """Returns a text in characters that an encoder knows: "H₂O₂" as "H2O2", "ß-thalassemia" with "beta"."""
    return spell_greek(plain_characters(text))


def name_inputs(ontology: Ontology, definition_characters: int) -> list[str]:
    """Returns what the passage tower reads for each name row of the ontology."""
    if not definition_characters:
        return [passage_input(name) for name in ontology.name_texts]
    definitions = [text[:definition_characters] for text in ontology.concepts["definition"].to_pylist()]
    return [
        passage_input(name, definitions[concept])
        for name, concept in zip(ontology.name_texts, ontology.concept_of_name, strict=True)
    ]
