"""How a linker decides: its settings, and the weights that they choose."""

from collections.abc import Mapping
from dataclasses import dataclass

from el.base.errors import ConfigError
from el.linking.evidence import GROUPS, Combination, combination_name
from el.linking.synonyms import LearnedSynonyms


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


def chosen_combination(config: LinkerConfig, combinations: Mapping[str, Combination]) -> Combination:
    """The weights for what a linker's settings switch on.

    Raises:
        ConfigError: there are none.
    """
    name = combination_name(config.groups)
    if name not in combinations:
        raise ConfigError(f"the linker has no weights for {name}, but for {', '.join(combinations)}")
    return combinations[name]


def check_synonyms(config: LinkerConfig, synonyms: LearnedSynonyms | None) -> None:
    """Raises ConfigError where learned synonyms are switched on but absent."""
    if config.use_learned_synonyms and synonyms is None:
        raise ConfigError("use_learned_synonyms is on, but the linker has no learned synonyms")
