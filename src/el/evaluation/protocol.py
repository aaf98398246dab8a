"""Evaluation protocols: which mentions are scored, and against which candidates.

A protocol is data: a small YAML file.
"""

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

    A mention is a hit at k if one of its gold ids is among the first k concepts. A mention whose gold ids are
    not among the candidates still counts in the denominator. No protocol adds surface forms of train and dev
    to the ontology as names, and none restricts the candidates by the mention's type.

    Attributes:
        name: the first part of the metrics' keys.
        mentions: which mentions are scored. "full": every mention with a gold id, a composite as one mention.
            "restricted": the unique (mention, passage, id), with one id and in one piece. "mesh_ids": the
            mentions of "full" to which the corpus itself gives ids of MeSH: no id is of another vocabulary,
            and none was mapped from one.
        candidates: which concepts may be ranked. "all": all of the ontology. "split": the gold ids of the
            mentions scored.
        retrieved: the most concepts of a ranking. The mean reciprocal rank is over these concepts.
        cutoffs: the k of accuracy@k, ascending, none above `retrieved`.
        rows: the groups of mentions to report, from `ROWS`.
        bootstrap_samples: the number of resamples of whole documents, for the 95 % intervals.
        bootstrap_seed: the seed of the resampling.
        corpus: the only corpus that is scored, of several that are evaluated together; "" for all.
    """

    name: str
    mentions: Literal["full", "restricted", "mesh_ids"]
    candidates: Literal["all", "split"]
    retrieved: int
    cutoffs: tuple[int, ...]
    rows: tuple[str, ...]
    bootstrap_samples: int
    bootstrap_seed: int
    corpus: str = ""

    def __post_init__(self) -> None:
        """Raises ConfigError if a value is out of its range."""
        self._require(bool(self.name) and "/" not in self.name, "name", "a name without a slash")
        self._require(
            self.mentions in ("full", "restricted", "mesh_ids"), "mentions", "full, restricted or mesh_ids"
        )
        self._require(self.candidates in ("all", "split"), "candidates", "all or split")
        self._require(_is_count(self.retrieved), "retrieved", "a whole number of 1 or more")
        self._require(
            len(self.cutoffs) > 0
            and all(_is_count(k) and k <= self.retrieved for k in self.cutoffs)
            and list(self.cutoffs) == sorted(set(self.cutoffs)),
            "cutoffs",
            f"ascending whole numbers from 1 to {self.retrieved}",
        )
        self._require(
            len(self.rows) > 0 and set(self.rows) <= set(ROWS), "rows", f"one or more of {', '.join(ROWS)}"
        )
        self._require(_is_count(self.bootstrap_samples), "bootstrap_samples", "a whole number of 1 or more")
        self._require(
            type(self.bootstrap_seed) is int and self.bootstrap_seed >= 0,
            "bootstrap_seed",
            "a whole number of 0 or more",
        )

    def _require(self, holds: bool, key: str, wanted: str) -> None:
        if not holds:
            value = getattr(self, key)
            raise ConfigError(f"Protocol {self.name!r}: {key} is {value!r}. Set it to {wanted}.")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "Protocol":
        """Makes a protocol from the keys and values of a YAML file.

        Raises:
            ConfigError: a key is missing or unknown, or a value is out of its range.
        """
        fields = dataclasses.fields(cls)
        keys = {field.name for field in fields}
        if unknown := sorted(set(values) - keys):
            raise ConfigError(
                f"Protocol: unknown {', '.join(unknown)}. The known keys are {', '.join(sorted(keys))}."
            )
        if missing := sorted(keys - set(values) - {"corpus"}):
            raise ConfigError(
                f"Protocol: {', '.join(missing)} missing. Add these keys to the protocol's file."
            )
        for key in ("cutoffs", "rows"):
            if isinstance(values[key], str) or not hasattr(values[key], "__iter__"):
                raise ConfigError(f"Protocol: {key} is {values[key]!r}. Set it to a list.")
        return cls(**{**values, "cutoffs": tuple(values["cutoffs"]), "rows": tuple(values["rows"])})


def named_protocol(name: str) -> Protocol:
    """Returns a protocol of this package, such as "full" or "restricted".

    Raises:
        InputError: the package has no protocol of this name.
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
    try:
        return Protocol.from_mapping(values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _is_count(value: object) -> bool:
    # Python takes True for the number 1.
    return type(value) is int and value >= 1
