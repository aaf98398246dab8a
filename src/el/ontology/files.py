"""Reads an ontology file of any known format and checks its concepts."""

import html
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from el.base.errors import InputError
from el.corpus.fields import parse_ids
from el.ontology.entries import CONTROL, Entry, Notes, counted, one_line, open_file
from el.ontology.jsonl import read_jsonl
from el.ontology.obo import read_obo
from el.ontology.obo_graphs import read_obo_graphs
from el.ontology.ontology import Concept, Kind, Name
from el.ontology.owl import read_owl
from el.ontology.table import is_header, read_table

Format = Literal["obo", "obographs", "owl", "table", "jsonl"]
Synonyms = Literal["exact", "all"]

_READERS: dict[Format, Callable[[Path, Notes], Iterator[Entry]]] = {
    "obo": read_obo,
    "obographs": read_obo_graphs,
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
# What a file may call a kind, in lower case -> the kind.
_KINDS: dict[str, Kind] = {
    "chemical": "chemical",
    "drug": "chemical",
    "substance": "chemical",
    "disease": "disease",
    "diagnosis": "disease",
    "disorder": "disease",
    "finding": "disease",
    "phenotype": "disease",
    "symptom": "disease",
    "other": "other",
}
_KIND_REMEDY = (
    "Give it with --kind: disease (diagnoses, symptoms, phenotypes), chemical (drugs, substances) or other "
    "(anything else)"
)
# The most characters of an id. Ids are written beside every mention. Ids of vocabularies are far shorter.
_MAX_ID = 1000
# The most characters of a name. The longest name of MeSH has a quarter of them. The model reads the first
# words of a name only, so that longer names take memory and are never found.
_MAX_NAME = 2000
# The most characters of a wrong value that a message shows.
_SHOWN = 100
_REFERENCE = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
# The key by which OBO Graphs differ from JSON lines.
_GRAPHS = re.compile(r'"graphs"\s*:')
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
            narrower, broader and related names of OBO, OBO Graphs and OWL.
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
    """Yields the concepts of a file in OBO, OBO Graphs, OWL, a table or JSON lines, optionally gzipped.

    Obsolete concepts are skipped. The imports of a file are not loaded. In names and definitions, character
    references such as `&#945;` are decoded, and control characters are replaced by blanks.

    Args:
        path: the file.
        reading: how to read the file; None for the defaults of `Reading`.
        notes: receives a line about each kind of repair, about each group of skipped concepts and names, and
            about unused columns and imports.

    Raises:
        InputError: the file cannot be read; an id, a name or a kind is missing; an id occurs twice or cannot
            be written into linked documents; a text is no Unicode; a kind is unknown; or no concept is left.
        ElError: the library that reads the format is not installed.
    """
    reading = reading or Reading()
    format = _recognise(path) if reading.format == "auto" else reading.format
    found = Notes()
    yield from _checked(path, _READERS[format](path, found), reading, found)
    if notes is not None:
        notes += found.lines()


def _recognise(path: Path) -> Format:
    suffix = (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    with open_file(path) as stream:
        head = stream.read(_HEAD_BYTES).decode("utf-8-sig", errors="replace").lstrip()
    if head.startswith("{"):
        return "obographs" if _GRAPHS.search(head) else "jsonl"
    if head.startswith(("<", "@prefix", "@base", "PREFIX")):
        return "owl"
    if re.search(r"^(format-version:|\[Term\])", head, re.MULTILINE):
        return "obo"
    if is_header(head.partition("\n")[0]):
        return "table"
    remedy = f"Give it a suffix ({', '.join(_SUFFIXES)}), or use --format {'|'.join(_READERS)}"
    problem = "not recognised as an ontology, neither by its suffix nor by its start"
    raise InputError(path, "", problem, remedy)


def _checked(path: Path, entries: Iterable[Entry], reading: Reading, notes: Notes) -> Iterator[Concept]:
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
            yield _concept(path, entry, reading, notes)
    if obsolete:
        notes.say(f"{counted(obsolete, 'obsolete concept')} skipped ({replaced:,} with a successor)")
    if elsewhere:
        notes.say(f"{counted(elsewhere, 'concept')} of other namespaces than {reading.namespace} skipped")
    if not places:
        lines = notes.lines()
        problem = f"no concepts are left: {'; '.join(lines)}" if lines else "holds no concepts"
        raise InputError(path, "", problem, "Give a file with concepts that have names and are not obsolete")


def _is_of_namespace(entry: Entry, namespace: str) -> bool:
    return not namespace or entry.namespace == namespace or entry.id.startswith(f"{namespace}:")


def _check_id(path: Path, entry: Entry, places: dict[str, str]) -> None:
    """Refuses an id that is missing, cannot be written into linked documents, or is not unique."""
    if not entry.id:
        raise InputError(path, entry.place, "no id", "Give each concept an id")
    # An id must be the same after it is written into linked documents and read again.
    if parse_ids(entry.id) != (entry.id,) or not entry.id.isprintable() or len(entry.id.split()) > 1:
        problem = f"the id {_shown(entry.id)} cannot be written into linked documents"
        remedy = (
            "Use ids without blanks, control characters, the signs | ; , + and the prefix MESH:, "
            "and not - or -1"
        )
        raise InputError(path, entry.place, problem, remedy)
    if len(entry.id) > _MAX_ID:
        problem = f"the id {_shown(entry.id)} has {len(entry.id):,} characters, more than {_MAX_ID:,}"
        raise InputError(path, entry.place, problem, "Give the concept a shorter id")
    if entry.id in places:
        problem = f"the id {entry.id} is also in {places[entry.id]}"
        raise InputError(path, entry.place, problem, "Give each concept a unique id and one entry")
    places[entry.id] = entry.place


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def _concept(path: Path, entry: Entry, reading: Reading, notes: Notes) -> Concept:
    names: dict[str, Name] = {}
    # A synonym does not take the place of a missing preferred name.
    for name in (Name(entry.name), *entry.synonyms) if entry.name else ():
        if reading.synonyms == "all" or name.relation == "preferred":
            text = _cleaned(path, entry, name.text, "name", notes)
            if len(text) > _MAX_NAME:
                notes.count("name", f"of more than {_MAX_NAME:,} characters left out", entry.place)
            elif text:
                names.setdefault(text, replace(name, text=text))
    if not names:
        raise InputError(path, entry.place, f"the concept {entry.id} has no name", "Give it one or remove it")
    if entry.mapped_to:
        notes.count("concept", "mapped to concepts of another ontology; give that ontology too")
    # A concept that is mapped has the kind of its target; "other" counts only if the target is not found.
    assumed: Kind | None = "other" if entry.mapped_to else None
    kind = _KINDS.get(entry.kind.lower()) if entry.kind else reading.kind or assumed
    if kind is None and entry.kind:
        problem = f"the kind {_shown(entry.kind)} is unknown"
        raise InputError(path, entry.place, problem, f"Use one of {', '.join(_KINDS)}")
    if kind is None:
        raise InputError(path, entry.place, f"no kind for the concept {entry.id}", _KIND_REMEDY)
    definition = _cleaned(path, entry, entry.definition, "definition", notes)
    return Concept(entry.id, tuple(names.values()), kind, definition=definition, mapped_to=entry.mapped_to)


def _cleaned(path: Path, entry: Entry, text: str, thing: str, notes: Notes) -> str:
    """Returns a name or a definition without character references and control characters."""
    if _SURROGATE.search(text):
        problem = f"a {thing} of the concept {entry.id} holds half of a surrogate pair"
        raise InputError(path, entry.place, problem, "Write the whole character, in UTF-8")
    if (decoded := _decoded(text)) != text:
        notes.count(thing, "with character references decoded", entry.place)
    if (clean := CONTROL.sub(" ", decoded)) != decoded:
        notes.count(thing, "with control characters replaced by blanks", entry.place)
    return one_line(clean)


def _decoded(text: str) -> str:
    """Decodes character references, also those that were encoded twice, such as `&amp;#945;`."""
    if "&" not in text:
        return text
    for _ in range(2):
        text = _REFERENCE.sub(lambda match: html.unescape(match[0]), text)
    return text
