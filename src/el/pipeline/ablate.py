"""Measures what each part of the linker contributes, on dev.

Each row is the linker with a part left out or added, and with weights fitted for that choice. All mentions of
dev that have a concept are decided, by weights that were fitted on other documents. Test is not used.
"""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import numpy.typing as npt

from el.base.errors import ConfigError
from el.base.files import atomic_folder, write_json
from el.evaluation.metrics import paired_bootstrap
from el.evaluation.protocol import named_protocol
from el.evaluation.queries import full_queries, nil_queries
from el.evaluation.rows import rows_of
from el.evaluation.run import Split
from el.linking.evidence import Evidence, EvidenceCollector, kinds_of
from el.linking.fitting import held_out
from el.linking.query import Query
from el.linking.rankers import ModelRanker
from el.linking.synonyms import LearnedSynonyms
from el.ontology.spellings import Spellings
from el.pipeline.common import Workspace


@dataclass(frozen=True)
class Setting:
    """A variant of the linker to compare.

    Attributes:
        name: the name of its row.
        groups: the groups of evidence that are used.
        without: kinds of evidence that are not used, even if their group is.
        expand: whether abbreviations are written out.
        all_names: whether all names of a concept are candidates, or only its preferred name.
    """

    name: str
    groups: tuple[str, ...] = ("dictionary", "types", "document")
    without: tuple[str, ...] = ()
    expand: bool = True
    all_names: bool = True


# The others are compared with the first setting: the linker without learned synonyms.
SETTINGS = (
    Setting("linker"),
    Setting("with learned synonyms", ("dictionary", "learned", "types", "document")),
    Setting("without dictionary", ("types", "document")),
    Setting("without types", ("dictionary", "document")),
    Setting("without the rest of the document", ("dictionary", "types")),
    Setting("without the model's score", without=("model",)),
    Setting("without the dot product", without=("similarity",)),
    Setting("without abbreviations written out", expand=False),
    Setting("preferred names alone", all_names=False),
    Setting("model alone", (), ("similarity", "descriptor")),
    Setting("dot product alone", (), ("model", "descriptor")),
)


@dataclass(frozen=True)
class AblationRow:
    """Accuracy@1 of a setting on held-out mentions of dev.

    Attributes:
        name: the name of the setting.
        all: accuracy on all mentions; None if there are none, as in the next two.
        seen_form: accuracy on mentions whose form occurs in the training documents.
        unseen_form: accuracy on the other mentions.
        difference: `all` minus `all` of the first setting.
        lo: lower end of the difference's 95 % interval, by bootstrap over documents.
        hi: upper end of that interval.
    """

    name: str
    all: float | None
    seen_form: float | None
    unseen_form: float | None
    difference: float
    lo: float
    hi: float


class Ablation:
    """Decides mentions under several settings. Evidence that settings share is collected once."""

    def __init__(self, ranker: ModelRanker, synonyms: LearnedSynonyms, queries: Sequence[Query]) -> None:
        self.ranker = ranker
        self.synonyms = synonyms
        self.queries = queries
        self.judged = np.array([bool(query.gold) for query in queries], dtype=bool)
        self._spellings = Spellings.of_ontology(ranker.ontology)
        self._collected: dict[tuple[bool, ...], list[Evidence]] = {}

    def right(self, setting: Setting) -> npt.NDArray[np.bool_]:
        """Returns (m,) bool for the m mentions with gold ids: whether the first concept is a gold concept."""
        kinds = [kind for kind in kinds_of(setting.groups) if kind not in setting.without]
        decided = held_out(self.queries, self.evidence(setting), kinds, self.ranker.ontology)
        right: npt.NDArray[np.bool_] = decided.right[self.judged]
        return right

    def evidence(self, setting: Setting) -> list[Evidence]:
        """Returns the evidence for each mention under a setting."""
        dictionary, learned = "dictionary" in setting.groups, "learned" in setting.groups
        key = (dictionary, learned, setting.expand, setting.all_names)
        if key not in self._collected:
            ranker, spellings = self.ranker, self._spellings
            if not setting.all_names:
                rows = ranker.ontology.first_name[:-1]
                ranker, spellings = ranker.among(rows), spellings.among(rows)
            collector = EvidenceCollector(
                ranker, spellings if dictionary else None, self.synonyms if learned else None
            )
            queries = self.queries
            if not setting.expand:
                queries = [replace(query, expanded=query.text) for query in queries]
            self._collected[key] = collector.collect(queries)
        return self._collected[key]


def ablation_rows(
    ablation: Ablation, unseen: npt.NDArray[np.bool_], samples: int, seed: int
) -> list[AblationRow]:
    """Compares all `SETTINGS`.

    Args:
        ablation: the ablation, with m mentions that have gold ids.
        unseen: (m,) bool, whether the form of a mention is missing in the training documents.
        samples: the number of bootstrap samples.
        seed: the seed of the bootstrap.
    """
    documents = [query.document_id for query in ablation.queries if query.gold]
    rows = []
    baseline: npt.NDArray[np.float64] | None = None
    for setting in SETTINGS:
        right = ablation.right(setting).astype(np.float64)
        baseline = right if baseline is None else baseline
        compared = paired_bootstrap(right, baseline, documents, samples, seed)
        differences = [round(value, 6) for value in (compared.difference, compared.lo, compared.hi)]
        shares = (_share(right), _share(right[~unseen]), _share(right[unseen]))
        rows.append(AblationRow(setting.name, *shares, *differences))
    return rows


def _share(right: npt.NDArray[np.float64]) -> float | None:
    return round(float(right.mean()), 6) if len(right) else None


def write_ablation(space: Workspace, ranker: ModelRanker, synonyms: LearnedSynonyms, split: Split) -> None:
    """Writes the ablation of the linker of a ranker.

    Args:
        space: the workspace.
        ranker: the ranker of the linker.
        synonyms: the learned synonyms of train.
        split: dev.
    """
    context = space.inputs.context_characters
    # Mentions without a concept are read too, as evidence in their documents; no row counts them.
    queries = full_queries(split.documents, context) + nil_queries(split.documents, context)
    ablation = Ablation(ranker, synonyms, queries)
    linked = [query for query in queries if query.gold]
    unseen = np.array(["unseen_form" in rows for rows in rows_of(linked, split.seen)])
    protocol = named_protocol("full")
    try:
        rows = ablation_rows(ablation, unseen, protocol.bootstrap_samples, protocol.bootstrap_seed)
    except ConfigError as error:
        # The corpus is too small. The output is still written, so that the comparison can be made.
        print(f"no ablation: {error}", file=sys.stderr)
        rows = []
    with atomic_folder(space.ablation) as out:
        write_json(out / "dev.json", [asdict(row) for row in rows])
