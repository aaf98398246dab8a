"""Concepts of a file of one's own that only give more names to concepts of another ontology.

A hospital adds its terms to MeSH's concepts: a concept that is mapped to exactly one concept of another
ontology lends its names to it and is no concept of its own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from el.ontology.entries import counted
from el.ontology.ontology import Concept, Name, Ontology
from el.ontology.retired import current_id, load_retired_ids

# The ids that a message names. At a larger value, messages become long.
_EXAMPLES = 5


@dataclass
class MappedNames:
    """What becomes of mapped concepts.

    Attributes:
        target_of: id of a mapped concept -> id of the concept that gets its names.
        names: id of a concept -> the names that it gets, without those that it has.
        unknown: mapped concepts that stay concepts of their own, because no ontology but their own file has
            an id that they are mapped to.
        several: mapped concepts that stay, because they are mapped to several concepts.
        circular: mapped concepts that stay, because they are mapped to concepts of files alone, which are
            mapped to nothing else.
        unused: the number of mappings of which no file has a concept.
    """

    target_of: dict[str, str] = field(default_factory=dict)
    names: dict[str, list[Name]] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    several: list[str] = field(default_factory=list)
    circular: list[str] = field(default_factory=list)
    unused: int = 0

    def lines(self) -> Iterator[str]:
        """Yields a line about each group of mapped concepts."""
        if self.target_of:
            added = counted(sum(map(len, self.names.values())), "name")
            yield f"{counted(len(self.target_of), 'mapped concept')}: {added} added to other concepts"
        for ids, reason in (
            (self.unknown, "no other ontology has an id that they are mapped to"),
            (self.several, "they are mapped to several concepts"),
            (self.circular, "they are mapped to each other"),
        ):
            if ids:
                shown = ", ".join(ids[:_EXAMPLES]) + (", ..." if len(ids) > _EXAMPLES else "")
                yield (
                    f"{counted(len(ids), 'mapped concept')} kept as they are (of the kind other, if the file "
                    f"gives none), because {reason}: {shown}"
                )
        if self.unused:
            yield f"{counted(self.unused, 'mapping')} of concepts that no file has not used"

    def applied_to(self, concept: Concept) -> Concept | None:
        """Returns a concept with the names that it gets; None if its names go to another concept."""
        if concept.id in self.target_of:
            return None
        added = self.names.get(concept.id, ())
        return replace(concept, names=(*concept.names, *added)) if added else concept


def mapped_names(ontologies: Mapping[str, Ontology], mappings: Mapping[str, set[str]]) -> MappedNames:
    """Finds the concepts whose names belong to concepts of other ontologies.

    Only concepts of files are mapped (`el.ontology.convert.convert_file`): by their own `mapped_to`, or by
    the mappings. The concepts of other ontologies count that a concept is mapped to; without any, those of
    the concepts of other files that it is mapped to, and so on.

    Args:
        ontologies: the user's name for each ontology -> the ontology.
        mappings: id of a concept -> ids of the same concept in other ontologies; see `read_sssom`.
    """
    retired = load_retired_ids()
    owner_of = {concept_id: name for name, ontology in ontologies.items() for concept_id in ontology.ids}
    files = [name for name, ontology in ontologies.items() if ontology.info.get("source") == "file"]
    found = MappedNames()
    concepts: dict[str, Concept] = {}
    same: dict[str, set[str]] = {}
    for name in files:
        for concept in ontologies[name]:
            targets = {*concept.mapped_to, *mappings.get(concept.id, ())}
            if targets:
                known = {current_id(target, owner_of, retired) for target in targets}
                concepts[concept.id] = concept
                same[concept.id] = {target for target in known if owner_of.get(target, name) != name}
    in_files = {concept_id for concept_id, owner in owner_of.items() if owner in files}
    pairs = {frozenset((one, other)) for one, others in mappings.items() for other in others}
    found.unused = sum(in_files.isdisjoint(pair) for pair in pairs)
    for concept_id, concept in concepts.items():
        targets = _targets(concept_id, same, in_files)
        if len(targets) == 1:
            _give(found, ontologies, owner_of, concept, next(iter(targets)))
        elif targets:
            found.several.append(concept_id)
        elif same[concept_id]:
            found.circular.append(concept_id)
        else:
            found.unknown.append(concept_id)
    return found


def _targets(concept_id: str, same: Mapping[str, set[str]], in_files: set[str]) -> set[str]:
    """Returns the nearest concepts outside of files that a concept is mapped to."""
    seen, reached = {concept_id}, {concept_id}
    while reached:
        near = {other for one in reached for other in same.get(one, ())} - seen
        if targets := near - in_files:
            return targets
        seen |= near
        reached = near
    return set()


def _give(
    found: MappedNames,
    ontologies: Mapping[str, Ontology],
    owner_of: Mapping[str, str],
    concept: Concept,
    target: str,
) -> None:
    """Gives the names of a concept to its target, without those that the target has."""
    found.target_of[concept.id] = target
    given = found.names.setdefault(target, [])
    known = {name.text for name in (*ontologies[owner_of[target]][target].names, *given)}
    source = Path(owner_of[concept.id]).name
    for name in concept.names:
        if name.text not in known:
            known.add(name.text)
            given.append(Name(name.text, name.relation, source))
