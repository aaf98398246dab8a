"""Any ontology file in, checked concepts out."""

import gzip
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from el.base.errors import InputError
from el.corpus.fields import parse_ids
from el.ontology.entries import Entry, broken_gzip, open_file
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
_OF_WHAT_KIND = (
    "Say it with --kind: disease (diagnoses, symptoms, phenotypes), chemical (drugs, substances) or other "
    "(anything else)"
)
_HEAD_BYTES = 1 << 16


@dataclass(frozen=True)
class Reading:
    """How an ontology file is to be read.

    Attributes:
        format: "auto" goes by the file's suffix, or else by what it begins with.
        kind: of concepts for which the file does not say it; None if it says it for all.
        synonyms: "exact" keeps the names that mean just the concept, "all" also the narrower, broader and
            related ones of OBO and OWL.
        namespace: only concepts that the file counts to this namespace, or whose ids begin with it and a
            colon; "" for all.
    """

    format: Format | Literal["auto"] = "auto"
    kind: Kind | None = None
    synonyms: Synonyms = "exact"
    namespace: str = ""


def read_ontology_file(
    path: Path, reading: Reading | None = None, notes: list[str] | None = None
) -> Iterator[Concept]:
    """Yields the concepts of an ontology file: OBO, OWL, a table, or JSON lines; maybe gzipped.

    Obsolete concepts are left out. Nothing but the file is read: imports are not loaded.

    Args:
        path: the file.
        reading: how to read it; the defaults of `Reading`, if None.
        notes: gets a line about whatever was left out.

    Raises:
        InputError: the file cannot be read, an id or a name is missing, an id occurs twice or cannot stand
            in linked documents, a kind is unknown or not said, or no concept is left.
        ElError: the library that reads the format is not installed.
    """
    reading, notes = reading or Reading(), [] if notes is None else notes
    format = _recognise(path) if reading.format == "auto" else reading.format
    yield from _checked(path, _READERS[format](path, notes), reading, notes)


def _recognise(path: Path) -> Format:
    suffix = (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    try:
        with open_file(path) as stream:
            head = stream.read(_HEAD_BYTES).decode("utf-8-sig", errors="replace").lstrip()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise broken_gzip(path, error) from error
    if head.startswith("{"):
        return "jsonl"
    if head.startswith(("<", "@prefix", "@base", "PREFIX")):
        return "owl"
    if re.search(r"^(format-version:|\[Term\])", head, re.MULTILINE):
        return "obo"
    if is_header(head.partition("\n")[0]):
        return "table"
    remedy = f"Give it a suffix ({', '.join(_SUFFIXES)}), or say --format {'|'.join(_READERS)}"
    raise InputError(path, "", "not known as an ontology by its name or by what it begins with", remedy)


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
        notes.append(f"{obsolete:,} obsolete concepts left out ({replaced:,} have a successor)")
    if elsewhere:
        notes.append(f"{elsewhere:,} concepts of other namespaces than {reading.namespace} left out")
    if not places:
        problem = f"no concepts are left: {'; '.join(notes)}" if notes else "holds no concepts"
        raise InputError(path, "", problem, "Give a file with named concepts that are in use")


def _is_of_namespace(entry: Entry, namespace: str) -> bool:
    return not namespace or entry.namespace == namespace or entry.id.startswith(f"{namespace}:")


def _check_id(path: Path, entry: Entry, places: dict[str, str]) -> None:
    """Refuses an id that is missing, that linked documents cannot hold, or that another concept has."""
    if not entry.id:
        raise InputError(path, entry.place, "no id", "Give each concept an id")
    # What is read back from linked documents has to be what was written.
    if parse_ids(entry.id) != (entry.id,) or len(entry.id.split()) > 1:
        problem = f"the id {entry.id!r} cannot stand in linked documents"
        remedy = "Use ids without blanks, the signs | ; , + and the prefix MESH:, other than - and -1"
        raise InputError(path, entry.place, problem, remedy)
    if entry.id in places:
        problem = f"the id {entry.id} stands in {places[entry.id]} too"
        raise InputError(path, entry.place, problem, "Give each concept an id of its own, and one entry")
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
        raise InputError(path, entry.place, f"does not say of what kind {entry.id} is", _OF_WHAT_KIND)
    if kind not in get_args(Kind):
        problem = f"the kind {entry.kind!r} is unknown"
        raise InputError(path, entry.place, problem, f"Use one of {', '.join(get_args(Kind))}")
    return Concept(entry.id, tuple(names.values()), cast(Kind, kind), definition=entry.definition)
