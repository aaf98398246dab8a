"""Evaluation protocols: what is scored, against which candidates. Data, read from small YAML files."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from el.base.errors import ConfigError, InputError

_PROTOCOLS = Path(__file__).with_name("protocols")
NAMED_PROTOCOLS = tuple(sorted(path.stem for path in _PROTOCOLS.glob("*.yaml")))
ROWS = ("all", "chemical", "disease", "unseen_form", "unseen_id", "abbreviation", "unique")


@dataclass(frozen=True, slots=True)
class Protocol:
    """One evaluation protocol.

    A hit at k: one of a mention's gold ids is among the first k concepts. A gold id that the
    candidates lack stays in the denominator.

    Attributes:
        name: the first part of the metrics' keys.
        mentions: which mentions count: "full" (every mention with a gold id, composites as wholes)
            or "restricted" (unique (mention, passage, id), one id each, in one piece).
        candidates: "all" concepts of the ontology, or only the gold ids of the "split" scored.
        retrieved: concepts kept per mention; the mean reciprocal rank is over these.
        cutoffs: the k of accuracy@k, ascending, none above `retrieved`.
        rows: groups of mentions to report, of `ROWS`.
        bootstrap_samples: resamples of whole documents for the 95 % intervals.
        bootstrap_seed: seed of the resampling.
        learned_synonyms: whether surface forms of train and dev are names in the ontology.
        type_filter: whether a mention's type may restrict the candidates.
    """

    name: str
    mentions: Literal["full", "restricted"]
    candidates: Literal["all", "split"]
    retrieved: int
    cutoffs: tuple[int, ...]
    rows: tuple[str, ...]
    bootstrap_samples: int
    bootstrap_seed: int
    learned_synonyms: bool
    type_filter: bool

    def __post_init__(self) -> None:
        """Raises ConfigError if a value is out of its range."""
        self._require(bool(self.name) and "/" not in self.name, "name", "a name without a slash")
        self._require(self.mentions in ("full", "restricted"), "mentions", "full or restricted")
        self._require(self.candidates in ("all", "split"), "candidates", "all or split")
        self._require(_is_count(self.retrieved), "retrieved", "a whole number from 1")
        self._require(
            len(self.cutoffs) > 0
            and all(_is_count(k) and k <= self.retrieved for k in self.cutoffs)
            and list(self.cutoffs) == sorted(set(self.cutoffs)),
            "cutoffs",
            f"ascending whole numbers from 1 to {self.retrieved}",
        )
        self._require(
            len(self.rows) > 0 and set(self.rows) <= set(ROWS), "rows", f"some of {', '.join(ROWS)}"
        )
        self._require(_is_count(self.bootstrap_samples), "bootstrap_samples", "a whole number from 1")
        self._require(
            type(self.bootstrap_seed) is int and self.bootstrap_seed >= 0,
            "bootstrap_seed",
            "a whole number from 0",
        )
        self._require(type(self.learned_synonyms) is bool, "learned_synonyms", "true or false")
        self._require(type(self.type_filter) is bool, "type_filter", "true or false")
        # They are stated because every table must state them; systems that use what they allow have rows
        # of their own, such as el_link_learned.
        self._require(not self.learned_synonyms, "learned_synonyms", "false; true is not supported yet")
        self._require(not self.type_filter, "type_filter", "false; true is not supported yet")

    def _require(self, holds: bool, key: str, wanted: str) -> None:
        if not holds:
            value = getattr(self, key)
            raise ConfigError(f"Protocol {self.name!r}: {key} is {value!r}. Set it to {wanted}.")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "Protocol":
        """Makes a protocol from the keys and values of its YAML file.

        Raises:
            ConfigError: a key is missing or unknown, or a value is out of its range.
        """
        keys = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - keys):
            raise ConfigError(f"Protocol: unknown {', '.join(unknown)}. Known are {', '.join(sorted(keys))}.")
        if missing := sorted(keys - set(values)):
            raise ConfigError(f"Protocol: {', '.join(missing)} missing. Add them to the protocol's file.")
        for key in ("cutoffs", "rows"):
            if isinstance(values[key], str) or not hasattr(values[key], "__iter__"):
                raise ConfigError(f"Protocol: {key} is {values[key]!r}. Set it to a list.")
        return cls(**{**values, "cutoffs": tuple(values["cutoffs"]), "rows": tuple(values["rows"])})


def named_protocol(name: str) -> Protocol:
    """Returns a protocol that comes with the package: "full" or "restricted".

    Raises:
        InputError: there is none of this name.
    """
    return load_protocol(_PROTOCOLS / f"{name}.yaml")


def load_protocol(path: Path) -> Protocol:
    """Reads a protocol's YAML file.

    Raises:
        InputError: the file is missing or is not a YAML mapping.
        ConfigError: a key is missing or unknown, or a value is out of its range.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(path, "", "no such file", f"Choose one of {', '.join(NAMED_PROTOCOLS)}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(path, "", f"not YAML ({error})", "Correct the file") from error
    if not isinstance(values, dict):
        raise InputError(path, "", "not a mapping of keys to values", "Correct the file")
    return Protocol.from_mapping(values)


def _is_count(value: object) -> bool:
    # A bool is an int to Python, but not here.
    return type(value) is int and value >= 1
