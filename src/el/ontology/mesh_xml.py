"""Reads NLM's MeSH in XML: descriptors (desc*.xml) and supplementary records (supp*.xml), also as .gz.

The files are read as a stream, with one record in memory at a time. They name NLM's DTD, which is not needed
and not loaded. A file that declares entities is refused.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from lxml import etree

from el.base.errors import InputError
from el.base.files import GZIP_ERRORS, open_unpacked
from el.ontology.entries import one_line
from el.ontology.ontology import Concept, Kind, Name, Relation, kind_of_supplementary, kind_of_tree_numbers

_REMEDY = "Fetch the file again"
# With these options, the parser loads no other file, expands no entities and keeps its size limits.
_PARSER_OPTIONS: dict[str, Any] = {
    "load_dtd": False,
    "resolve_entities": False,
    "no_network": True,
    "huge_tree": False,
}
# RelationName in the file -> the relation of the concept Concept2UI to the concept Concept1UI.
_RELATIONS: dict[str, Relation] = {"NRW": "narrower", "BRD": "broader", "REL": "related"}
_INVERSE: dict[Relation, Relation] = {"narrower": "broader", "broader": "narrower", "related": "related"}


def read_descriptors(path: Path) -> Iterator[Concept]:
    """Yields the descriptors of desc*.xml or desc*.xml.gz, in the file's order.

    In MeSH, a record holds several concepts, and each concept several terms. All terms of a record become
    names of one `Concept`: the descriptor's name, then the other terms of the record's preferred concept,
    then the terms of its other concepts. A text that occurs several times is kept once, with the relation and
    the tag of its first occurrence. The kind follows from the tree numbers.

    Raises:
        InputError: the file is missing, is cut, is not a descriptor file or declares entities; or a record
            has no id, no name or no preferred concept.
    """
    for place, record in _records(path, "DescriptorRecordSet", "DescriptorRecord"):
        tree_numbers = _texts(record, "TreeNumberList/TreeNumber")
        preferred = _preferred_concept(path, place, record)
        yield Concept(
            id=_required(path, place, record, "DescriptorUI"),
            names=_names(record, preferred, _required(path, place, record, "DescriptorName/String")),
            kind=kind_of_tree_numbers(tree_numbers),
            record="descriptor",
            definition=_text(preferred, "ScopeNote"),
            tree_numbers=tree_numbers,
        )


def read_supplementary(path: Path, heading_kinds: Mapping[str, Kind]) -> Iterator[Concept]:
    """Yields the supplementary records of supp*.xml or supp*.xml.gz, in the file's order.

    For the names, see `read_descriptors`. The star that marks a major heading is dropped from `mapped_to`.

    Args:
        path: the file.
        heading_kinds: descriptor id -> kind, for records whose class does not determine the kind.

    Raises:
        InputError: the file is missing, is cut, is not a supplementary file or declares entities; or a record
            has no id, no name or no preferred concept.
    """
    headings = "HeadingMappedToList/HeadingMappedTo/DescriptorReferredTo/DescriptorUI"
    for place, record in _records(path, "SupplementalRecordSet", "SupplementalRecord"):
        mapped_to = tuple(dict.fromkeys(text.lstrip("*") for text in _texts(record, headings)))
        kinds = [heading_kinds[heading] for heading in mapped_to if heading in heading_kinds]
        preferred = _preferred_concept(path, place, record)
        yield Concept(
            id=_required(path, place, record, "SupplementalRecordUI"),
            names=_names(record, preferred, _required(path, place, record, "SupplementalRecordName/String")),
            kind=kind_of_supplementary(record.get("SCRClass", ""), kinds),
            record="supplementary",
            definition=_text(preferred, "ScopeNote"),
            mapped_to=mapped_to,
        )


def _records(path: Path, root_tag: str, record_tag: str) -> Iterator[tuple[str, etree._Element]]:
    """Yields (place for error messages, record element). An element is emptied before the next one."""
    try:
        with open_unpacked(path, by_name=True) as stream:
            _check_head(path, stream, root_tag)
        with open_unpacked(path, by_name=True) as stream:
            parser = etree.iterparse(stream, events=("end",), tag=record_tag, **_PARSER_OPTIONS)
            for number, (_, record) in enumerate(parser, start=1):
                yield f"record {number}", record
                _forget(record)
    except etree.XMLSyntaxError as error:
        place = f"line {error.lineno}" if error.lineno else ""
        raise InputError(path, place, f"broken or cut XML ({error.msg})", _REMEDY) from error
    except (*GZIP_ERRORS, OSError) as error:
        raise InputError(path, "", f"cannot be read to its end ({error})", _REMEDY) from error


def _check_head(path: Path, stream: BinaryIO, root_tag: str) -> None:
    """Reads up to the root element. Refuses another root, and entities declared before it."""
    _, root = next(iter(etree.iterparse(stream, events=("start",), **_PARSER_OPTIONS)))
    if root.tag != root_tag:
        raise InputError(path, "", f"its root element is {root.tag}, not {root_tag}", _REMEDY)
    dtd = root.getroottree().docinfo.internalDTD
    if dtd is not None and next(dtd.iterentities(), None) is not None:
        raise InputError(path, "", "declares entities, which MeSH files never do", _REMEDY)


def _forget(record: etree._Element) -> None:
    """Frees a record and everything before it. Otherwise the root element keeps all records in memory."""
    record.clear()
    root = record.getparent()
    while root is not None and record.getprevious() is not None:
        del root[0]


def _required(path: Path, place: str, record: etree._Element, tag_path: str) -> str:
    text = _text(record, tag_path)
    if not text:
        raise InputError(path, place, f"no {tag_path}", _REMEDY)
    return text


def _preferred_concept(path: Path, place: str, record: etree._Element) -> etree._Element:
    for concept in record.iterfind("ConceptList/Concept"):
        if concept.get("PreferredConceptYN") == "Y":
            return concept
    raise InputError(path, place, "no preferred concept", _REMEDY)


def _names(record: etree._Element, preferred: etree._Element, record_name: str) -> tuple[Name, ...]:
    relations = _relations(record, _text(preferred, "ConceptUI"))
    names: dict[str, Name] = {}
    _add_terms(names, preferred, "preferred")
    for concept in record.iterfind("ConceptList/Concept"):
        if concept is not preferred:
            # "related" is the weakest relation, for a concept without a relation to the preferred concept.
            _add_terms(names, concept, relations.get(_text(concept, "ConceptUI"), "related"))
    first = names.pop(record_name, Name(record_name))
    return (first, *names.values())


def _add_terms(names: dict[str, Name], concept: etree._Element, relation: Relation) -> None:
    for term in concept.iterfind("TermList/Term"):
        text = _text(term, "String")
        if text:
            names.setdefault(text, Name(text, relation))


def _relations(record: etree._Element, preferred_id: str) -> dict[str, Relation]:
    """Concept id -> the relation of this concept to the record's preferred concept."""
    relations: dict[str, Relation] = {}
    for element in record.iterfind("ConceptList/Concept/ConceptRelationList/ConceptRelation"):
        relation = _RELATIONS.get(element.get("RelationName", ""), "related")
        first, second = _text(element, "Concept1UI"), _text(element, "Concept2UI")
        if first == preferred_id:
            relations[second] = relation
        elif second == preferred_id:
            relations[first] = _INVERSE[relation]
    return relations


def _text(element: etree._Element, tag_path: str) -> str:
    """The text at `tag_path` in one line; "" if there is none."""
    return one_line(element.findtext(tag_path) or "")


def _texts(element: etree._Element, tag_path: str) -> tuple[str, ...]:
    return tuple(found.text.strip() for found in element.iterfind(tag_path) if found.text)
