"""Reads OBO, the flat text format of open biomedical ontologies, in versions 1.2 and 1.4."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from el.base.errors import InputError
from el.ontology.entries import Entry, one_line, text_lines
from el.ontology.ontology import Name, Relation

_STANZA = re.compile(r"\[(\w+)\]\s*(?:!.*)?")
_TAG = re.compile(r"([^:\s]+)\s*:\s*(.*)")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"\s*([A-Z]+\b)?')
# The end of a line after the value: {modifiers}, which hold an equals sign, and a comment after "!".
_AFTER_VALUE = re.compile(r"(?:\s\{[^{}]*=[^{}]*\})?(?:\s!.*)?$")
_ESCAPED = re.compile(r"\\(.)")
_WHITE_SPACE = {"n": " ", "t": " ", "W": " "}

_SCOPES: dict[str, Relation] = {
    "EXACT": "preferred",
    "NARROW": "narrower",
    "BROAD": "broader",
    "RELATED": "related",
}


@dataclass
class _Stanza:
    """The header of the file, or a stanza.

    Attributes:
        kind: "header", or the stanza's name, such as "Term".
        number: the number of the first line, from 1.
        tags: tag -> (line number, value) of each of its lines.
    """

    kind: str
    number: int
    tags: defaultdict[str, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))

    def value(self, tag: str) -> str:
        """The tag's first value, without modifiers and comment; "" if there is none."""
        values = self.tags.get(tag)
        return one_line(_unescaped(_AFTER_VALUE.sub("", values[0][1], count=1))) if values else ""


def read_obo(path: Path, notes: list[str]) -> Iterator[Entry]:
    """Yields the terms of an OBO file, in the file's order.

    A synonym without a scope counts as related. A term without a name only refers to a term of another
    ontology, and is skipped.

    Args:
        path: the file, optionally gzipped.
        notes: receives a line for each import (imports are not loaded), and one about terms without a name.

    Raises:
        InputError: the file is missing or not UTF-8, or a line is not OBO.
    """
    namespace = ""
    unnamed = 0
    for stanza in _stanzas(path):
        if stanza.kind == "header":
            namespace = stanza.value("default-namespace")
            notes += [f"imports {value}: not loaded" for _, value in stanza.tags.get("import", ())]
        elif stanza.kind == "Term":
            entry = _entry(path, stanza, namespace)
            # An obsolete term often has no name. The caller counts it as obsolete.
            if entry.names or entry.obsolete:
                yield entry
            else:
                unnamed += 1
    if unnamed:
        notes.append(f"{unnamed:,} terms without a name skipped")


def _stanzas(path: Path) -> Iterator[_Stanza]:
    stanza = _Stanza("header", 1)
    for number, raw in text_lines(path):
        line = raw.strip()
        if not line or line.startswith("!"):
            continue
        if start := _STANZA.fullmatch(line):
            yield stanza
            stanza = _Stanza(start[1], number)
        elif tag := _TAG.fullmatch(line):
            stanza.tags[tag[1]].append((number, tag[2]))
        else:
            problem = "neither a stanza such as [Term] nor a tag with its value"
            raise InputError(path, f"line {number}", problem, "Correct or remove the line")
    yield stanza


def _entry(path: Path, stanza: _Stanza, default_namespace: str) -> Entry:
    name = stanza.value("name")
    definition = [text for text, _ in _quoted(path, "def", stanza.tags)]
    synonyms = [
        Name(text, _SCOPES.get(scope, "related")) for text, scope in _quoted(path, "synonym", stanza.tags)
    ]
    return Entry(
        f"line {stanza.number}",
        stanza.value("id"),
        (Name(name), *(synonym for synonym in synonyms if synonym.text)) if name else (),
        definition="".join(definition[:1]),
        namespace=stanza.value("namespace") or default_namespace,
        obsolete=stanza.value("is_obsolete") == "true",
        replaced="replaced_by" in stanza.tags,
    )


def _quoted(path: Path, tag: str, tags: Mapping[str, Sequence[tuple[int, str]]]) -> Iterator[tuple[str, str]]:
    """Yields (text, scope) for each value of a tag. The value begins with the text in double quotes."""
    for number, value in tags.get(tag, ()):
        match = _QUOTED.match(value)
        if match is None:
            problem = f"the text of {tag} is not in double quotes"
            raise InputError(path, f"line {number}", problem, f'Write it as {tag}: "text" []')
        yield one_line(_unescaped(match[1])), match[2] or ""


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda match: _WHITE_SPACE.get(match[1], match[1]), text)
