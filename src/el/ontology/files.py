"""Reads an ontology file of any known format and checks its concepts."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from el.base.errors import InputError
from el.corpus.fields import parse_ids
from el.ontology.entries import Entry, open_file
from el.ontology.jsonl import read_jsonl
from el.ontology.obo import read_obo
from el.ontology.ontology import Concept, Kind, Name
from el.ontology.owl import read_owl
from el.ontology.table import is_header, read_table

Format = Literal["obo", "owl", "table", "jsonl"]
Synonyms = Literal["exact", "all"]

_READERS: dict[Format, Callable[[Path, list[str]], Iterator[Entry]]] = {
    "obo": read_obo,
    "owl": read_owl,
    "table": read_table,
    "jsonl": read_jsonl,
}
_SUFFIXES: dict[str, Format] = {
    ".obo": "obo",
    ".owl": "owl",
    ".rdf": "owl",
    ".ttl": "owl",
    ".csv": "table",
    ".tsv": "table",
    ".jsonl": "jsonl",
}
_KIND_REMEDY = (
    "Give it with --kind: disease (diagnoses, symptoms, phenotypes), chemical (drugs, substances) or other "
    "(anything else)"
)
# The bytes at the start of a file by which its format is recognised. At a larger value, a format whose mark
# stands later in the file is recognised too.
_HEAD_BYTES = 1 << 16


@dataclass(frozen=True)
class Reading:
    """How to read an ontology file.

    Attributes:
        format: "auto" recognises the format by the file's suffix, or else by the start of the file.
        kind: the kind of concepts for which the file gives none. None if the file gives all kinds.
        synonyms: "exact" reads only names with exactly the meaning of the concept. "all" also reads the
            narrower, broader and related names of OBO and OWL.
        namespace: reads only concepts that belong to this namespace in the file, or whose ids begin with it
            and a colon; "" reads all concepts.
    """

    format: Format | Literal["auto"] = "auto"
    kind: Kind | None = None
    synonyms: Synonyms = "exact"
    namespace: str = ""


def read_ontology_file(
    path: Path, reading: Reading | None = None, notes: list[str] | None = None
) -> Iterator[Concept]:
    """Yields the concepts of an ontology file: OBO, OWL, a table, or JSON lines, optionally gzipped.

    Obsolete concepts are skipped. The imports of a file are not loaded.

    Args:
        path: the file.
        reading: how to read the file; None for the defaults of `Reading`.
        notes: receives a line about each group of skipped concepts, and about unused columns and imports.

    Raises:
        InputError: the file cannot be read; an id, a name or a kind is missing; an id occurs twice or cannot
            be written into linked documents; a kind is unknown; or no concept is left.
        ElError: the library that reads the format is not installed.
    """
    reading, notes = reading or Reading(), [] if notes is None else notes
    format = _recognise(path) if reading.format == "auto" else reading.format
    yield from _checked(path, _READERS[format](path, notes), reading, notes)


def _recognise(path: Path) -> Format:
    suffix = (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    with open_file(path) as stream:
        head = stream.read(_HEAD_BYTES).decode("utf-8-sig", errors="replace").lstrip()
    if head.startswith("{"):
        return "jsonl"
    if head.startswith(("<", "@prefix", "@base", "PREFIX")):
        return "owl"
    if re.search(r"^(format-version:|\[Term\])", head, re.MULTILINE):
        return "obo"
    if is_header(head.partition("\n")[0]):
        return "table"
    remedy = f"Give it a suffix ({', '.join(_SUFFIXES)}), or use --format {'|'.join(_READERS)}"
    problem = "not recognised as an ontology, neither by its suffix nor by its start"
    raise InputError(path, "", problem, remedy)


def _checked(path: Path, entries: Iterable[Entry], reading: Reading, notes: list[str]) -> Iterator[Concept]:
    places: dict[str, str] = {}
    obsolete = replaced = elsewhere = 0
    for entry in entries:
        if entry.obsolete:
            obsolete += 1
            replaced += entry.replaced
        elif not _is_of_namespace(entry, reading.namespace):
            elsewhere += 1
        else:
            _check_id(path, entry, places)
            yield _concept(path, entry, reading)
    if obsolete:
        notes.append(f"{obsolete:,} obsolete concepts skipped ({replaced:,} have a successor)")
    if elsewhere:
        notes.append(f"{elsewhere:,} concepts of other namespaces than {reading.namespace} skipped")
    if not places:
        problem = f"no concepts are left: {'; '.join(notes)}" if notes else "holds no concepts"
        raise InputError(path, "", problem, "Give a file with concepts that have names and are not obsolete")


def _is_of_namespace(entry: Entry, namespace: str) -> bool:
    return not namespace or entry.namespace == namespace or entry.id.startswith(f"{namespace}:")


def _check_id(path: Path, entry: Entry, places: dict[str, str]) -> None:
    """Refuses an id that is missing, cannot be written into linked documents, or is not unique."""
    if not entry.id:
        raise InputError(path, entry.place, "no id", "Give each concept an id")
    # An id must be the same after it is written into linked documents and read again.
    if parse_ids(entry.id) != (entry.id,) or len(entry.id.split()) > 1:
        problem = f"the id {entry.id!r} cannot be written into linked documents"
        remedy = "Use ids without blanks, the signs | ; , + and the prefix MESH:, and not - or -1"
        raise InputError(path, entry.place, problem, remedy)
    if entry.id in places:
        problem = f"the id {entry.id} is also in {places[entry.id]}"
        raise InputError(path, entry.place, problem, "Give each concept a unique id and one entry")
    places[entry.id] = entry.place


def _concept(path: Path, entry: Entry, reading: Reading) -> Concept:
    names: dict[str, Name] = {}
    for name in entry.names:
        if reading.synonyms == "all" or name.relation == "preferred":
            names.setdefault(name.text, name)
    if not names:
        raise InputError(path, entry.place, f"the concept {entry.id} has no name", "Give it one or remove it")
    kind = entry.kind.lower() or reading.kind
    if kind is None:
        raise InputError(path, entry.place, f"no kind for the concept {entry.id}", _KIND_REMEDY)
    if kind not in get_args(Kind):
        problem = f"the kind {entry.kind!r} is unknown"
        raise InputError(path, entry.place, problem, f"Use one of {', '.join(get_args(Kind))}")
    return Concept(entry.id, tuple(names.values()), cast(Kind, kind), definition=entry.definition)
