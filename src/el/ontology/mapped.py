"""Concepts of a file of one's own that only give more names to concepts of another ontology.

A hospital adds its terms to MeSH's concepts: a concept that is mapped to exactly one concept of another
ontology lends its names to it and is no concept of its own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

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
        names: id of a concept -> the names that it gets.
        unknown, several, circular: mapped concepts that stay concepts of their own, because none of the ids
            that they are mapped to is known, several are, or they are mapped to each other in a circle.
    """

    target_of: dict[str, str] = field(default_factory=dict)
    names: dict[str, list[Name]] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    several: list[str] = field(default_factory=list)
    circular: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """Yields a line about each group of mapped concepts."""
        if self.target_of:
            added = counted(sum(map(len, self.names.values())), "name")
            yield f"{counted(len(self.target_of), 'mapped concept')}: {added} added to other concepts"
        for ids, reason in (
            (self.unknown, "no id that they are mapped to is known"),
            (self.several, "they are mapped to several concepts"),
            (self.circular, "they are mapped to each other"),
        ):
            if ids:
                shown = ", ".join(ids[:_EXAMPLES]) + (", ..." if len(ids) > _EXAMPLES else "")
                yield f"{counted(len(ids), 'mapped concept')} kept as they are, because {reason}: {shown}"

    def applied_to(self, concept: Concept) -> Concept | None:
        """Returns a concept with the names that it gets; None if its names go to another concept."""
        if concept.id in self.target_of:
            return None
        known = {name.text for name in concept.names}
        added = [name for name in self.names.get(concept.id, ()) if name.text not in known]
        return replace(concept, names=(*concept.names, *added)) if added else concept


def mapped_names(ontologies: Mapping[str, Ontology], mappings: Mapping[str, set[str]]) -> MappedNames:
    """Finds the concepts whose names belong to concepts of other ontologies.

    Only concepts of files count (`el.ontology.convert.convert_file`): by their own `mapped_to`, or by the
    mappings. A chain of mappings is followed to its end.

    Args:
        ontologies: the user's name for each ontology -> the ontology.
        mappings: id of a concept -> ids of the same concept in other ontologies; see `read_sssom`.
    """
    retired = load_retired_ids()
    owner_of = {concept_id: name for name, ontology in ontologies.items() for concept_id in ontology.ids}
    found, given, next_of = MappedNames(), dict[str, Concept](), dict[str, str]()
    for name, ontology in ontologies.items():
        for concept in ontology if ontology.info.get("source") == "file" else ():
            targets = {*concept.mapped_to, *mappings.get(concept.id, ())}
            if not targets:
                continue
            current = {current_id(target, owner_of, retired) for target in targets}
            known = sorted(target for target in current if owner_of.get(target, name) != name)
            if len(known) == 1:
                given[concept.id], next_of[concept.id] = concept, known[0]
            elif known:
                found.several.append(concept.id)
            # An SSSOM file has mappings to many ontologies that are not given.
            elif concept.mapped_to:
                found.unknown.append(concept.id)
    for concept_id, concept in given.items():
        target = _end_of(concept_id, next_of)
        if target is None:
            found.circular.append(concept_id)
            continue
        found.target_of[concept_id] = target
        source = owner_of[concept_id]
        added = found.names.setdefault(target, [])
        added += [Name(name.text, name.relation, source) for name in concept.names]
    return found


def _end_of(concept_id: str, next_of: Mapping[str, str]) -> str | None:
    """Returns the concept at the end of a chain of mappings; None for a circle."""
    seen = {concept_id}
    while (concept_id := next_of[concept_id]) in next_of:
        if concept_id in seen:
            return None
        seen.add(concept_id)
    return concept_id
