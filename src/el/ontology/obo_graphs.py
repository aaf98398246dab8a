"""Reads OBO Graphs, the JSON form of open biomedical ontologies, such as hp.json and mondo.json."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from el.base.errors import InputError, first_line
from el.ontology.entries import Entry, Notes, is_left_out, merged, named, one_line, open_file, short_id
from el.ontology.ontology import Name, Relation

# The largest file, in bytes after unpacking. The file is held in memory while it is read; mondo.json has a
# tenth of this size. A larger value lets a small gzip file take more memory.
_MAX_BYTES = 1 << 30
_BOM = b"\xef\xbb\xbf"
_REMEDY = 'OBO Graphs are like {"graphs": [{"nodes": [{"id": ..., "lbl": ..., "type": "CLASS"}]}]}'

# The last part of a property's address -> the relation of a synonym.
_SYNONYMS: dict[str, Relation] = {
    "hasExactSynonym": "preferred",
    "altLabel": "preferred",
    "hasNarrowSynonym": "narrower",
    "hasBroadSynonym": "broader",
    "hasRelatedSynonym": "related",
}
_ID, _NAMESPACE, _DEPRECATED, _REPLACED_BY = "id", "hasOBONamespace", "deprecated", "IAO:0100001"


class _Value(msgspec.Struct):
    """A definition, a synonym, or the value of any other property."""

    val: str | None = None
    pred: str = ""
    synonym_type: str | None = msgspec.field(default=None, name="synonymType")


class _Meta(msgspec.Struct):
    definition: _Value | None = None
    synonyms: list[_Value] | None = None
    values: list[_Value] | None = msgspec.field(default=None, name="basicPropertyValues")
    deprecated: bool | None = None


class _Node(msgspec.Struct):
    """A concept, a property or an individual. A node without a type counts as a concept."""

    id: str
    lbl: str | None = None
    type: str | None = None
    meta: _Meta | None = None


class _Graph(msgspec.Struct):
    nodes: list[_Node] | None = None


class _Document(msgspec.Struct):
    """What is used of a file. The other fields are passed over, without being held in memory."""

    graphs: list[_Graph]


def read_obo_graphs(path: Path, notes: Notes) -> Iterator[Entry]:
    """Yields the classes of all graphs of a file, in the file's order.

    Synonyms of types that say "deprecated", "excluded" or the like are left out. A class without a label only
    refers to a class of another ontology, and is skipped. Nodes of one id are merged. The file is held in
    memory.

    Args:
        path: the file, optionally gzipped.
        notes: receives what is left out or merged.

    Raises:
        InputError: the file is missing, too large, no JSON or no OBO Graphs; a value has another type than
            in OBO Graphs; or two nodes of one id have different labels.
    """
    graphs = _document(path).graphs
    nodes = [node for graph in graphs for node in graph.nodes or ()]
    types = {node.id: node.lbl for node in nodes if node.lbl and _kind(node) == "PROPERTY"}
    entries = (_entry(node, types, notes) for node in nodes if _is_class(node, notes))
    yield from named(merged(path, entries, notes), "class", "without a label skipped", notes)


def _document(path: Path) -> _Document:
    with open_file(path) as stream:
        data = stream.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        problem = f"has more than {_MAX_BYTES:,} bytes"
        raise InputError(path, "", problem, "Convert it to OBO, for example with ROBOT, or split it")
    try:
        return msgspec.json.decode(data.removeprefix(_BOM), type=_Document)
    except msgspec.ValidationError as error:
        raise InputError(path, "", f"not OBO Graphs ({first_line(error)})", _REMEDY) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(path, "", f"not JSON in UTF-8 ({first_line(error)})", _REMEDY) from error


def _kind(node: _Node) -> str:
    return (node.type or "CLASS").upper()


def _is_class(node: _Node, notes: Notes) -> bool:
    if _kind(node) == "INDIVIDUAL":
        notes.count("individual", "skipped")
    return _kind(node) == "CLASS"


def _entry(node: _Node, types: Mapping[str, str], notes: Notes) -> Entry:
    meta = node.meta or _Meta()
    place = f"node {one_line(node.id)}"
    values: dict[str, str] = {}
    synonyms = []
    for value in (*(meta.synonyms or ()), *(meta.values or ())):
        property, text = short_id(value.pred), one_line(value.val or "")
        type = value.synonym_type or ""
        if property not in _SYNONYMS:
            values.setdefault(property, text)
        elif is_left_out(type, types.get(type, "")):
            notes.count("synonym", "marked as deprecated or excluded left out", place)
        elif text:
            synonyms.append(Name(text, _SYNONYMS[property]))
    return Entry(
        place,
        values.get(_ID) or short_id(node.id),
        one_line(node.lbl or ""),
        tuple(synonyms),
        definition=one_line((meta.definition and meta.definition.val) or ""),
        namespace=values.get(_NAMESPACE, ""),
        obsolete=bool(meta.deprecated) or values.get(_DEPRECATED, "").lower() == "true",
        replaced=_REPLACED_BY in values,
    )
