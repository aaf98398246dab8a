"""OBO, the flat text format of open biomedical ontologies, versions 1.2 and 1.4."""

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
# What may follow a value: {modifiers}, which have an equals sign, and a comment.
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
    """The header or a stanza: its kind, its first line, and (line number, value) by tag."""

    kind: str
    number: int
    tags: defaultdict[str, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))

    def value(self, tag: str) -> str:
        """The tag's first value without what follows it; "" if there is none."""
        values = self.tags.get(tag)
        return one_line(_unescaped(_AFTER_VALUE.sub("", values[0][1], count=1))) if values else ""


def read_obo(path: Path, notes: list[str]) -> Iterator[Entry]:
    """Yields the terms of an OBO file, in the file's order. A synonym without a scope is a related one.

    Terms without a name, which only stand for those of another ontology, are left out.

    Args:
        path: the file, maybe gzipped.
        notes: gets a line for each import, which is not loaded, and one about terms without a name.

    Raises:
        InputError: a line is not OBO, or the file is not UTF-8.
    """
    namespace = ""
    unnamed = 0
    for stanza in _stanzas(path):
        if stanza.kind == "header":
            namespace = stanza.value("default-namespace")
            notes += [f"imports {value}: not loaded" for _, value in stanza.tags.get("import", ())]
        elif stanza.kind == "Term":
            entry = _entry(path, stanza, namespace)
            # Obsolete ones, which often lose their names, are counted as such.
            if entry.names or entry.obsolete:
                yield entry
            else:
                unnamed += 1
    if unnamed:
        notes.append(f"{unnamed:,} terms without a name left out")


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
    """Yields (text, scope) of a tag's values, which begin with a text in quotes."""
    for number, value in tags.get(tag, ()):
        match = _QUOTED.match(value)
        if match is None:
            problem = f"the text of {tag} does not stand in double quotes"
            raise InputError(path, f"line {number}", problem, f'Write it as {tag}: "text" []')
        yield one_line(_unescaped(match[1])), match[2] or ""


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda match: _WHITE_SPACE.get(match[1], match[1]), text)
