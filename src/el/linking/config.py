"""The settings of a linker, and the choice of its weights by these settings."""

from collections.abc import Mapping
from dataclasses import dataclass

from el.base.errors import ConfigError
from el.linking.evidence import GROUPS, Combination, combination_name
from el.linking.synonyms import LearnedSynonyms


@dataclass(frozen=True)
class LinkerConfig:
    """How a linker decides.

    Attributes:
        retrieved: number of names that the first stage retrieves and the model scores, per mention.
        top_k: number of candidates that a linked mention keeps.
        use_dictionary: whether a name with the spelling of the mention is evidence.
        use_learned_synonyms: whether the concepts of training mentions with the same form are evidence.
        use_types: whether agreement of the concept's kind with the mention's type is evidence.
        use_document: whether the concepts of other mentions in the document are evidence.
        nil_below: a mention whose best score is lower gets no concept; None gives every mention with
            candidates a concept.
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
        """The groups of `el.linking.evidence.GROUPS` that are switched on."""
        switches = {
            "dictionary": self.use_dictionary,
            "learned": self.use_learned_synonyms,
            "types": self.use_types,
            "document": self.use_document,
        }
        return tuple(group for group in GROUPS if switches[group])


def chosen_combination(config: LinkerConfig, combinations: Mapping[str, Combination]) -> Combination:
    """Returns the weights for the groups of evidence that the settings switch on.

    Raises:
        ConfigError: the linker has no weights for these groups.
    """
    name = combination_name(config.groups)
    if name not in combinations:
        raise ConfigError(
            f"the linker has no weights for {name}; it has weights for {', '.join(combinations)}"
        )
    return combinations[name]


def check_synonyms(config: LinkerConfig, synonyms: LearnedSynonyms | None) -> None:
    """Raises ConfigError if learned synonyms are switched on but absent."""
    if config.use_learned_synonyms and synonyms is None:
        raise ConfigError("use_learned_synonyms is on, but the linker has no learned synonyms")
