"""Reads OBO, the flat text format of open biomedical ontologies, in versions 1.2 and 1.4.

Published files often break the format. The reader repairs what it can, as other readers do, and counts each
repair.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from el.ontology.entries import Entry, Notes, is_left_out, merged, named, one_line, text_lines
from el.ontology.ontology import Name, Relation

_STANZA = re.compile(r"\[(\w+)\]\s*(?:!.*)?")
_TAG = re.compile(r"([^:\s]+)\s*:\s*(.*)")
# A tag with a quoted text that has no end.
_OPEN = re.compile(r'[^:\s]+\s*:\s*"[^"]*')

# A text in double quotes; a backslash escapes a quote.
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*+)"')
# What may follow the text: scope and type, references, modifiers, and a comment. The references are in
# brackets, and each may have a description in double quotes.
_REST = re.compile(r'[^"\[{!]*+(?:\[(?:[^\]"\\]|\\.|"(?:[^"\\]|\\.)*+")*+\]\s*)?(?:[{!].*)?$')
_SCOPE = r"(?:EXACT|NARROW|BROAD|RELATED)\b"
# Where a text with unescaped quotes ends, the surest sign first: the first quote before a scope, the last one
# before references, the last one before a type and references, the first one before modifiers, a comment or
# the end of the line.
_SCOPED_END = re.compile(rf'"\s*{_SCOPE}[^"\[{{!]*(?:[\[{{!]|$)', re.IGNORECASE)
_OTHER_ENDS = (re.compile(r'"\s*\['), re.compile(r'"\s*[^\s"\[\]{}!]+\s*\['))
_BARE_END = re.compile(r'"\s*(?:[{!]|$)')
# Where a text without an end quote ends: before a scope, or before references at the end of the line.
_UNQUOTED_END = re.compile(rf"\s{_SCOPE}|\s\[[^\[\]]*\][^\[\]]*$")

# What follows a value without quotes: {modifiers}, whose own values are quoted, and a comment after "!".
_MODIFIERS = re.compile(r'\s\{[^{}=]*=\s*"[^{}]*\}(?=\s*(?:!.*)?$)')
_COMMENT = re.compile(r"\s!")
_ESCAPED = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))")
_WHITE_SPACE = {"n": " ", "t": " ", "W": " "}

# The types of a synonym that stand among the modifiers: OBO has room for one type before them.
_TYPE_MODIFIER = re.compile(r'synonym_?type\s*=\s*"([^"]*)"', re.IGNORECASE)
_DEPRECATED_MODIFIER = re.compile(r'deprecated\s*=\s*"?true', re.IGNORECASE)
_TYPE_DEFINITION = re.compile(r'(\S+)\s*(?:"((?:[^"\\]|\\.)*+)")?\s*(\w*)')

_SCOPES: dict[str, Relation] = {
    "EXACT": "preferred",
    "NARROW": "narrower",
    "BROAD": "broader",
    "RELATED": "related",
}
# Tags of synonyms. Those with a scope in their names are from version 1.0.
_SYNONYM_TAGS = {
    "synonym": "",
    "exact_synonym": "EXACT",
    "narrow_synonym": "NARROW",
    "broad_synonym": "BROAD",
    "related_synonym": "RELATED",
}


class _Quoted(NamedTuple):
    """A text, and what follows it in the line."""

    text: str
    rest: str


@dataclass
class _Stanza:
    """The header of the file, or a stanza.

    Attributes:
        kind: "header", or the stanza's name in lower case, such as "term".
        number: the number of the first line, from 1.
        tags: tag -> (line number, value) of each of its lines.
    """

    kind: str
    number: int
    tags: defaultdict[str, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))

    def values(self, tag: str) -> list[str]:
        """The tag's values, without modifiers and comments."""
        return [_unquoted(value) for _, value in self.tags.get(tag, ())]

    def value(self, tag: str) -> str:
        """The tag's first value, without modifiers and comment; "" if there is none."""
        return next(iter(self.values(tag)), "")


@dataclass(frozen=True)
class _Header:
    """What the header of a file says about its terms.

    Attributes:
        namespace: the namespace of terms that give none.
        types: type of synonym -> what the ontology says about the type, and the default scope or "".
    """

    namespace: str = ""
    types: dict[str, tuple[str, str]] = field(default_factory=dict)


def read_obo(path: Path, notes: Notes) -> Iterator[Entry]:
    """Yields the terms of an OBO file, in the file's order. All terms are held in memory.

    A synonym without a scope has the scope of its type, or else counts as related. Synonyms of types that
    say "deprecated", "excluded" or the like are left out. A term without a name only refers to a term of
    another ontology, and is skipped. Stanzas of one id are merged.

    Args:
        path: the file, optionally gzipped.
        notes: receives each import (imports are not loaded), what is left out, and each repair: of unescaped
            quotes, missing quotes, lines that were cut, lines that are not OBO, terms with two names.

    Raises:
        InputError: the file is missing or not UTF-8, or two stanzas of one id have different names.
    """
    yield from named(merged(path, _entries(path, notes), notes), "term", "without a name skipped", notes)


def _entries(path: Path, notes: Notes) -> Iterator[Entry]:
    header = _Header()
    for stanza in _stanzas(path, notes):
        if stanza.kind == "header":
            header = _header(stanza)
            for _, value in stanza.tags.get("import", ()):
                notes.say(f"imports {value}: not loaded")
        elif stanza.kind == "term":
            yield _entry(stanza, header, notes)
        elif stanza.kind == "instance":
            notes.count("instance", "skipped")


def _header(stanza: _Stanza) -> _Header:
    types = {}
    for _, value in stanza.tags.get("synonymtypedef", ()):
        if match := _TYPE_DEFINITION.match(value):
            types[match[1]] = (_unescaped(match[2] or ""), match[3].upper())
    return _Header(stanza.value("default-namespace"), types)


def _stanzas(path: Path, notes: Notes) -> Iterator[_Stanza]:
    stanza = _Stanza("header", 1)
    for number, line in _joined_lines(path, notes):
        if start := _STANZA.fullmatch(line):
            yield stanza
            stanza = _Stanza(start[1].lower(), number)
        elif tag := _TAG.fullmatch(line):
            stanza.tags[tag[1]].append((number, tag[2]))
        else:
            notes.count("line", "skipped: neither a stanza nor a tag with its value", f"line {number}")
    yield stanza


def _joined_lines(path: Path, notes: Notes) -> Iterator[tuple[int, str]]:
    """Yields (line number from 1, line) without blank lines and comments. Lines that continue are one.

    A line continues after a backslash at its end, and where a quoted text has no end, unless the next line is
    a stanza or a tag.
    """
    number, parts, is_open = 0, list[str](), False
    for next_number, raw in text_lines(path):
        line = raw.strip()
        if not line or line.startswith("!"):
            continue
        is_start = _STANZA.fullmatch(line) or _TAG.fullmatch(line)
        if parts and not is_start and (is_open or _is_continued(parts[-1])):
            if not _is_continued(parts[-1]):
                notes.count("line end", "inside a quoted text replaced by a blank", f"line {number}")
            parts.append(line)
            is_open = is_open and '"' not in line
            continue
        if parts:
            yield number, _joined(parts)
        number, parts, is_open = next_number, [line], _OPEN.fullmatch(line) is not None
    if parts:
        yield number, _joined(parts)


def _is_continued(line: str) -> bool:
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _joined(parts: list[str]) -> str:
    if len(parts) == 1:
        return parts[0]
    return " ".join(part[:-1] if _is_continued(part) else part for part in parts)


def _entry(stanza: _Stanza, header: _Header, notes: Notes) -> Entry:
    place = f"line {stanza.number}"
    name, *others = [name for name in stanza.values("name") if name] or [""]
    if others:
        notes.count("term", "with several names: the first is the preferred name", place)
    definitions = [_quoted(value, f"line {number}", notes) for number, value in stanza.tags.get("def", ())]
    return Entry(
        place,
        stanza.value("id"),
        name,
        (*map(Name, others), *_synonyms(stanza, header, notes)),
        definition=definitions[0].text if definitions else "",
        namespace=stanza.value("namespace") or header.namespace,
        obsolete="true" in map(str.lower, stanza.values("is_obsolete")),
        replaced="replaced_by" in stanza.tags,
    )


def _synonyms(stanza: _Stanza, header: _Header, notes: Notes) -> Iterator[Name]:
    for tag, tag_scope in _SYNONYM_TAGS.items():
        for number, value in stanza.tags.get(tag, ()):
            place = f"line {number}"
            text, rest = _quoted(value, place, notes)
            scope, *words = re.split(r'["\[{!]', rest, maxsplit=1)[0].split() or [""]
            if scope.upper() not in _SCOPES:
                scope, words = "", [scope, *words]
            types = [" ".join(words), *_TYPE_MODIFIER.findall(rest)]
            known = [header.types.get(type, ("", "")) for type in types]
            is_deprecated = _DEPRECATED_MODIFIER.search(rest) is not None
            if is_deprecated or is_left_out(*types, *(description for description, _ in known)):
                notes.count("synonym", "marked as deprecated or excluded left out", place)
            elif text:
                scopes = (scope.upper(), tag_scope, *(default for _, default in known))
                yield Name(text, next((_SCOPES[one] for one in scopes if one in _SCOPES), "related"))


def _quoted(value: str, place: str, notes: Notes) -> _Quoted:
    """Reads a value that begins with a text in double quotes."""
    strict = _QUOTED.match(value)
    stop = strict.end() - 1 if strict and _REST.match(value, strict.end()) else _end_of_text(value)
    if stop > 0:
        if strict is None or strict.end() - 1 != stop:
            notes.count("text", "with unescaped quotes repaired", place)
        text = value[1:stop]
        # The backslash before the end quote belongs to neither.
        return _Quoted(_unescaped(text[:-1] if _is_continued(text) else text), value[stop + 1 :])
    notes.count("text", "without quotes repaired", place)
    start = int(value.startswith('"'))
    end = _UNQUOTED_END.search(value, start)
    stop = end.start() if end else len(value)
    return _Quoted(_unescaped(value[start:stop]), value[stop:])


def _end_of_text(value: str) -> int:
    """Returns the place of the quote that ends a text with unescaped quotes; 0 or less if there is none."""
    if not value.startswith('"'):
        return -1
    if scoped := _SCOPED_END.search(value, 1):
        return scoped.start()
    for pattern in _OTHER_ENDS:
        if places := [match.start() for match in pattern.finditer(value, 1)]:
            return places[-1]
    bare = _BARE_END.search(value, 1)
    return bare.start() if bare else value.rfind('"', 1)


def _unquoted(value: str) -> str:
    end = _MODIFIERS.search(value) or _COMMENT.search(value)
    return _unescaped(value[: end.start()] if end else value)


def _unescaped(text: str) -> str:
    return one_line(_ESCAPED.sub(_character, text))


def _character(escaped: re.Match[str]) -> str:
    if escaped[1]:
        # Not OBO, but common. As a character reference it is decoded and counted with the others.
        return f"&#x{escaped[1]};"
    return _WHITE_SPACE.get(escaped[2], escaped[2])
