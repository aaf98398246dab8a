"""The embedded default data (`data=sample`): a small corpus and a slice of MeSH, as raw files.

The sources stand beside this module in `etl/sample/` as plain text that a person can read and change;
`etl/sample/README.md` describes them. This module turns them into the formats of the real sources
(BioC XML, PubTator, NLM's MeSH XML), so that everything after it runs on the same code paths.
"""

import argparse
import gzip
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bioc import biocxml
from bioc.datastructure import (
    BioCAnnotation,
    BioCCollection,
    BioCDocument,
    BioCLocation,
    BioCPassage,
    BioCRelation,
)
from lxml import etree

from el.base.errors import ElError, InputError
from el.base.files import atomic_file
from el.corpus.types import Document, Mention, Passage, Role, Span
from el.ontology.ontology import Kind, kind_of_tree_numbers

SOURCE = Path(__file__).with_suffix("")
SPLITS = ("train", "dev", "test")
NIL = "-"

_TYPES = {"C": "chemical", "D": "disease"}
_ROLE_ORDER = {"composite": 0, "single": 1, "part": 2}
_ROLE_INFON = {"composite": "CompositeMention", "part": "IndividualMention"}
_MENTION = re.compile(r"\[((?:[^\[\]|\\]|\\.)+)\|([^\[\]|\\]+)(?:\|((?:[^\[\]|\\]|\\.)+))?\]")
_SPEC = re.compile(r"(?:(?P<type>[^:#]+):(?P<ids>[^#]+))?(?:#(?P<label>\w+))?")
_MARKED_NAME = re.compile(r"(?P<text>.+) \{(?P<mark>ABB|ACR|NRW)\}")
_DESCRIPTOR_COLUMNS = ["id", "name", "synonyms", "tree_numbers", "scope_note"]
_SUPPLEMENTARY_COLUMNS = ["id", "name", "synonyms", "mapped_to", "class", "note"]
_DTD = "https://www.nlm.nih.gov/databases/dtd/{}_20250101.dtd"


# ---- MeSH ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Synonym:
    """A name beside the preferred one.

    Attributes:
        text: the name.
        lexical_tag: MeSH's LexicalTag: ABB (abbreviation), ACR (acronym) or NON.
        narrower: whether it names a narrower concept of the record.
    """

    text: str
    lexical_tag: str = "NON"
    narrower: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the slice: a descriptor (with tree numbers) or a supplementary record.

    Attributes:
        mapped_to: of a supplementary record, the headings it maps to; a leading "*" as NLM writes it.
        record_class: DescriptorClass or SCRClass.
        note: the scope note; "" where the sample has none.
    """

    id: str
    name: str
    synonyms: tuple[Synonym, ...]
    tree_numbers: tuple[str, ...]
    mapped_to: tuple[str, ...]
    record_class: str
    note: str

    @property
    def kind(self) -> Kind:
        if self.tree_numbers:
            return kind_of_tree_numbers(self.tree_numbers)
        # MeSH's classes of supplementary records: 1 chemical, 2 protocol, 3 disease.
        return "disease" if self.record_class == "3" else "chemical"


def read_mesh(folder: Path) -> dict[str, Record]:
    """Reads `descriptors.tsv` and `supplementary.tsv`; returns id -> record, in file order.

    Raises:
        InputError: a file is missing, a line has the wrong number of columns, an id occurs twice, or
            a supplementary record maps to a heading outside the slice.
    """
    records: dict[str, Record] = {}
    _read_table(folder / "descriptors.tsv", _DESCRIPTOR_COLUMNS, _descriptor, records)
    path = folder / "supplementary.tsv"
    _read_table(path, _SUPPLEMENTARY_COLUMNS, _supplementary, records)
    for record in records.values():
        for heading in record.mapped_to:
            if heading.lstrip("*") not in records:
                raise InputError(
                    path,
                    record.id,
                    f"maps to {heading}, which is not in the slice",
                    "Add the heading to descriptors.tsv",
                )
    return records


def _read_table(
    path: Path, columns: list[str], make: Callable[[list[str]], Record], records: dict[str, Record]
) -> None:
    lines = _read_lines(path)
    if not lines or lines[0].split("\t") != columns:
        raise InputError(path, "line 1", "wrong header", f"Write the columns {', '.join(columns)}")
    for number, line in enumerate(lines[1:], start=2):
        values = line.split("\t")
        if len(values) != len(columns):
            problem = f"{len(values)} columns instead of {len(columns)}"
            raise InputError(path, f"line {number}", problem, "Separate the columns by single tabs")
        if values[0] in records:
            raise InputError(path, f"line {number}", f"{values[0]} occurs twice", "Remove one of the two")
        records[values[0]] = make(values)


def _descriptor(values: list[str]) -> Record:
    concept_id, name, synonyms, tree_numbers, note = values
    return Record(concept_id, name, _synonyms(synonyms), _items(tree_numbers), (), "1", note)


def _supplementary(values: list[str]) -> Record:
    concept_id, name, synonyms, mapped_to, record_class, note = values
    return Record(concept_id, name, _synonyms(synonyms), (), _items(mapped_to), record_class, note)


def _items(joined: str) -> tuple[str, ...]:
    return tuple(joined.split("|")) if joined else ()


def _synonyms(joined: str) -> tuple[Synonym, ...]:
    return tuple(_synonym(text) for text in _items(joined))


def _synonym(text: str) -> Synonym:
    match = _MARKED_NAME.fullmatch(text)
    if match is None:
        return Synonym(text)
    if match["mark"] == "NRW":
        return Synonym(match["text"], narrower=True)
    return Synonym(match["text"], lexical_tag=match["mark"])


def write_mesh(folder: Path, source: Path = SOURCE) -> None:
    """Writes `desc_sample.xml.gz` and `supp_sample.xml.gz` into `folder`, in NLM's XML formats.

    Only the elements that carry ids, names, trees, headings and notes are written; concept and term
    identifiers ("M.D000082.1") are made up, because the slice does not hold NLM's. The files have the
    same bytes on every run.

    Raises:
        InputError: a table of the slice is missing or broken.
    """
    records = read_mesh(source / "mesh")
    descriptors = etree.Element("DescriptorRecordSet", LanguageCode="eng")
    supplementary = etree.Element("SupplementalRecordSet", LanguageCode="eng")
    for record in records.values():
        if record.tree_numbers:
            _add_descriptor(descriptors, record)
        else:
            _add_supplementary(supplementary, record, records)
    _write_xml(folder / "desc_sample.xml.gz", descriptors, "nlmdescriptorrecordset")
    _write_xml(folder / "supp_sample.xml.gz", supplementary, "nlmsupplementalrecordset")


def _add_descriptor(parent: etree._Element, record: Record) -> None:
    element = etree.SubElement(parent, "DescriptorRecord", DescriptorClass=record.record_class)
    _add_text(element, "DescriptorUI", record.id)
    _add_string(element, "DescriptorName", record.name)
    trees = etree.SubElement(element, "TreeNumberList")
    for tree_number in record.tree_numbers:
        _add_text(trees, "TreeNumber", tree_number)
    _add_concepts(element, record, scope_note=record.note)


def _add_supplementary(parent: etree._Element, record: Record, records: Mapping[str, Record]) -> None:
    element = etree.SubElement(parent, "SupplementalRecord", SCRClass=record.record_class)
    _add_text(element, "SupplementalRecordUI", record.id)
    _add_string(element, "SupplementalRecordName", record.name)
    # NLM describes a supplementary record in a note of the record; its concepts have no scope note.
    if record.note:
        _add_text(element, "Note", record.note)
    headings = etree.SubElement(element, "HeadingMappedToList")
    for heading in record.mapped_to:
        mapped = etree.SubElement(headings, "HeadingMappedTo")
        descriptor = etree.SubElement(mapped, "DescriptorReferredTo")
        _add_text(descriptor, "DescriptorUI", heading)
        _add_string(descriptor, "DescriptorName", records[heading.lstrip("*")].name)
    _add_concepts(element, record, scope_note="")


def _add_concepts(parent: etree._Element, record: Record, scope_note: str) -> None:
    """The preferred concept with all its terms, then one concept for each narrower name."""
    own = [Synonym(record.name), *(name for name in record.synonyms if not name.narrower)]
    narrower = [[name] for name in record.synonyms if name.narrower]
    concepts = etree.SubElement(parent, "ConceptList")
    term_number = 0
    for number, names in enumerate([own, *narrower], start=1):
        preferred = number == 1
        concept = etree.SubElement(concepts, "Concept", PreferredConceptYN=_yes_no(preferred))
        _add_text(concept, "ConceptUI", f"M.{record.id}.{number}")
        _add_string(concept, "ConceptName", names[0].text)
        if preferred and scope_note:
            _add_text(concept, "ScopeNote", scope_note)
        if narrower:
            related = range(2, len(narrower) + 2) if preferred else [number]
            _add_relations(concept, record.id, related)
        terms = etree.SubElement(concept, "TermList")
        for place, name in enumerate(names):
            term_number += 1
            term = etree.SubElement(
                terms,
                "Term",
                ConceptPreferredTermYN=_yes_no(place == 0),
                IsPermutedTermYN="N",
                LexicalTag=name.lexical_tag,
                RecordPreferredTermYN=_yes_no(preferred and place == 0),
            )
            _add_text(term, "TermUI", f"T.{record.id}.{term_number}")
            _add_text(term, "String", name.text)


def _add_relations(concept: etree._Element, record_id: str, narrower: Iterable[int]) -> None:
    relations = etree.SubElement(concept, "ConceptRelationList")
    for number in narrower:
        relation = etree.SubElement(relations, "ConceptRelation", RelationName="NRW")
        _add_text(relation, "Concept1UI", f"M.{record_id}.1")
        _add_text(relation, "Concept2UI", f"M.{record_id}.{number}")


def _add_text(parent: etree._Element, tag: str, text: str) -> None:
    etree.SubElement(parent, tag).text = text


def _add_string(parent: etree._Element, tag: str, text: str) -> None:
    _add_text(etree.SubElement(parent, tag), "String", text)


def _yes_no(value: bool) -> str:
    return "Y" if value else "N"


def _write_xml(path: Path, root: etree._Element, dtd: str) -> None:
    data = etree.tostring(
        root,
        pretty_print=True,
        xml_declaration=True,
        encoding="UTF-8",
        doctype=f'<!DOCTYPE {root.tag} SYSTEM "{_DTD.format(dtd)}">',
    )
    with atomic_file(path) as temporary:
        # Without a time stamp the compressed file is the same on every run.
        temporary.write_bytes(gzip.compress(data, mtime=0))


# ---- Corpus: from mark-up to documents -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Place:
    """A line of a mark-up file, for error messages."""

    path: Path
    line: int

    def error(self, problem: str, remedy: str) -> InputError:
        return InputError(self.path, f"line {self.line}", problem, remedy)


@dataclass(slots=True)
class _Mark:
    """A marked mention while its document is read; offsets are relative to the document."""

    place: _Place
    spans: list[Span]
    texts: list[str]
    type: str
    concept_ids: tuple[str, ...]
    parts: tuple[str, ...]


def read_corpus(path: Path, records: Mapping[str, Record]) -> list[Document]:
    """Reads a file of marked-up abstracts (`etl/sample/README.md` describes the mark-up).

    Raises:
        InputError: bad mark-up, an id that is not in `records` or is of another kind, a part text
            that its composite does not hold, a relation between concepts that the document does not
            mention, or a document id that occurs twice.
    """
    documents: list[Document] = []
    seen: set[str] = set()
    block: list[tuple[_Place, str]] = []
    for number, line in enumerate([*_read_lines(path), ""], start=1):
        if line.strip():
            block.append((_Place(path, number), line))
        elif block:
            document = _read_document(block, records)
            if document.id in seen:
                raise block[0][0].error(f"document {document.id} occurs twice", "Give it another id")
            seen.add(document.id)
            documents.append(document)
            block = []
    return documents


def _read_lines(path: Path) -> list[str]:
    try:
        # Not splitlines(): it also breaks at characters that may stand inside a line.
        return path.read_text(encoding="utf-8").rstrip("\n").split("\n")
    except FileNotFoundError as error:
        raise InputError(path, "", "no such file", "Restore it from the repository") from error


def _read_document(block: Sequence[tuple[_Place, str]], records: Mapping[str, Record]) -> Document:
    place, header = block[0]
    if not re.fullmatch(r"#\d+", header):
        raise place.error(f"{header[:40]!r} is not a document id", "Begin a document with # and digits")
    contents: dict[str, list[tuple[_Place, str]]] = {"t": [], "a": [], "r": []}
    for line_place, line in block[1:]:
        letter, bar, rest = line.partition("| ")
        if not bar or letter not in contents:
            raise line_place.error("unknown kind of line", "Begin the line with 't| ', 'a| ' or 'r| '")
        contents[letter].append((line_place, rest))
    if len(contents["t"]) != 1 or not contents["a"]:
        raise place.error("not one title and an abstract", "Write one 't| ' line, then 'a| ' lines")
    title, title_marks = _read_passage(contents["t"], 0, records)
    offset = len(title) + 1
    abstract, abstract_marks = _read_passage(contents["a"], offset, records)
    mentions = _mentions([*title_marks, *abstract_marks])
    relations = tuple(_read_relation(line_place, text, mentions) for line_place, text in contents["r"])
    passages = (Passage("title", 0, title), Passage("abstract", offset, abstract))
    return Document(header[1:], passages, mentions, relations)


def _read_relation(place: _Place, text: str, mentions: Iterable[Mention]) -> tuple[str, str, str]:
    mentioned = {concept_id for mention in mentions for concept_id in mention.concept_ids}
    ids = text.split()
    if len(ids) != 2 or not mentioned.issuperset(ids):
        raise place.error(f"relation {text!r} is not of two mentioned ids", "Write 'r| CHEMICAL DISEASE'")
    return ("CID", ids[0], ids[1])


def _read_passage(
    lines: Sequence[tuple[_Place, str]], offset: int, records: Mapping[str, Record]
) -> tuple[str, list[_Mark]]:
    """Returns the plain text of a passage, its lines joined by one space, and its mentions."""
    texts: list[str] = []
    marks: list[_Mark] = []
    labelled: dict[str, _Mark] = {}
    for place, line in lines:
        text = _read_line(place, line, offset, marks, labelled, records)
        texts.append(text)
        offset += len(text) + 1
    return " ".join(texts), marks


def _read_line(
    place: _Place,
    line: str,
    offset: int,
    marks: list[_Mark],
    labelled: dict[str, _Mark],
    records: Mapping[str, Record],
) -> str:
    """Returns the plain text of a line and adds its mentions to `marks` and `labelled`."""
    plain = ""
    position = 0
    while position < len(line):
        character = line[position]
        if character == "[":
            match = _MENTION.match(line, position)
            if match is None:
                problem = f"broken mention at {line[position : position + 30]!r}"
                raise place.error(problem, "Write [text|TYPE:ID], and \\[ for a bracket in the text")
            surface = _unescape(match[1])
            span = Span(offset + len(plain), offset + len(plain) + len(surface))
            _add_mark(place, surface, span, match, marks, labelled, records)
            plain += surface
            position = match.end()
        elif character == "]":
            raise place.error("a ] without its [", "Write \\] for a bracket in the text")
        else:
            # A backslash stands before a character of the mark-up that belongs to the text.
            position += character == "\\"
            plain += line[position : position + 1]
            position += 1
    return plain


def _add_mark(
    place: _Place,
    surface: str,
    span: Span,
    match: re.Match[str],
    marks: list[_Mark],
    labelled: dict[str, _Mark],
    records: Mapping[str, Record],
) -> None:
    spec = _SPEC.fullmatch(match[2])
    if spec is None:
        raise place.error(f"cannot read {match[2]!r}", "Write TYPE:ID, TYPE:ID#LABEL or #LABEL")
    label = spec["label"]
    if spec["type"] is None:
        if label not in labelled:
            raise place.error(f"no earlier piece is labelled #{label}", "Give the first piece type and id")
        labelled[label].spans.append(span)
        labelled[label].texts.append(surface)
        return
    if spec["type"] not in _TYPES:
        raise place.error(f"unknown type {spec['type']!r}", "Use C for a chemical, D for a disease")
    mention_type = _TYPES[spec["type"]]
    concept_ids = _concept_ids(place, spec["ids"], mention_type, records)
    parts = tuple(_unescape(part) for part in match[3].split("+")) if match[3] else ()
    if parts and len(parts) != len(concept_ids):
        raise place.error(f"{len(parts)} parts for {len(concept_ids)} ids", "Write one part for each id")
    mark = _Mark(place, [span], [surface], mention_type, concept_ids, parts)
    marks.append(mark)
    if label is not None:
        labelled[label] = mark


def _concept_ids(
    place: _Place, joined: str, mention_type: str, records: Mapping[str, Record]
) -> tuple[str, ...]:
    if joined == NIL:
        return ()
    concept_ids = tuple(joined.split("+"))
    for concept_id in concept_ids:
        if concept_id not in records:
            raise place.error(f"{concept_id} is not in the slice", "Correct the id or add it to the tables")
        if records[concept_id].kind != mention_type:
            name = records[concept_id].name
            raise place.error(f"{concept_id} ({name}) is not a {mention_type}", "Correct the type or the id")
    return concept_ids


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _mentions(marks: Iterable[_Mark]) -> tuple[Mention, ...]:
    """The marked mentions and the parts of composites, in order, numbered from 0."""
    mentions: list[Mention] = []
    for mark in marks:
        spans, text = tuple(mark.spans), " ".join(mark.texts)
        role: Role = "composite" if mark.parts else "single"
        mentions.append(Mention("", spans, text, mark.type, mark.concept_ids, mark.parts, role))
        for part, concept_id in zip(mark.parts, mark.concept_ids, strict=bool(mark.parts)):
            part_spans = _part_spans(mark, part)
            mentions.append(Mention("", part_spans, part, mark.type, (concept_id,), (), "part"))
    mentions.sort(key=lambda mention: (mention.start, mention.stop, _ROLE_ORDER[mention.role]))
    return tuple(replace(mention, id=str(number)) for number, mention in enumerate(mentions))


def _part_spans(mark: _Mark, part: str) -> tuple[Span, ...]:
    """Where a part stands in its composite: in one piece, else word by word from left to right."""
    composite, start = mark.texts[0], mark.spans[0].start
    if part in composite:
        at = start + composite.index(part)
        return (Span(at, at + len(part)),)
    spans: list[Span] = []
    position = 0
    for word in part.split(" "):
        match = re.compile(rf"\b{re.escape(word)}\b").search(composite, position)
        if match is None:
            problem = f"part {part!r} is not made of the words of {composite!r}"
            raise mark.place.error(problem, "Write the part with the composite's words, in their order")
        position = match.end()
        span = Span(start + match.start(), start + match.end())
        # Words with just a space between them are one piece.
        if spans and span.start == spans[-1].stop + 1:
            spans[-1] = Span(spans[-1].start, span.stop)
        else:
            spans.append(span)
    return tuple(spans)


# ---- Corpus: from documents to the formats of BC5CDR ---------------------------------------------


def write_corpus(folder: Path, source: Path = SOURCE) -> None:
    """Writes `{train,dev,test}.BioC.xml` and `{train,dev,test}.PubTator.txt` into `folder`.

    The files have the same bytes on every run.

    Raises:
        InputError: a source file is missing or badly marked up.
    """
    records = read_mesh(source / "mesh")
    for split in SPLITS:
        documents = read_corpus(source / "corpus" / f"{split}.txt", records)
        _write_bioc(documents, folder / f"{split}.BioC.xml")
        _write_pubtator(documents, folder / f"{split}.PubTator.txt")


def _write_pubtator(documents: Iterable[Document], path: Path) -> None:
    """BC5CDR's PubTator layout: a composite stands on one line, its parts' texts in a seventh column.

    The format has no room for gaps, so a discontinuous mention is written with all the text from its
    first to its last character.
    """
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as stream:
        for document in documents:
            stream.write("\n".join(_pubtator_lines(document)) + "\n\n")


def _pubtator_lines(document: Document) -> list[str]:
    title, abstract = document.passages
    lines = [f"{document.id}|t|{title.text}", f"{document.id}|a|{abstract.text}"]
    text = document.text
    for mention in document.mentions:
        if mention.role == "part":
            continue
        covered = text[mention.start : mention.stop]
        columns = [document.id, str(mention.start), str(mention.stop), covered]
        columns += [mention.type.capitalize(), _mesh_infon(mention)]
        if mention.part_texts:
            columns.append("|".join(mention.part_texts))
        lines.append("\t".join(columns))
    lines += ["\t".join([document.id, *relation]) for relation in document.relations]
    return lines


def _write_bioc(documents: Iterable[Document], path: Path) -> None:
    """BioC XML with BC5CDR's infons; the parts of composites have annotations of their own."""
    collection = BioCCollection()
    collection.source, collection.date, collection.key = "sample", "0/0/0", "sample.key"
    for document in documents:
        collection.add_document(_bioc_document(document))
    with atomic_file(path) as temporary:
        temporary.write_text(biocxml.dumps(collection), encoding="utf-8", newline="\n")


def _bioc_document(document: Document) -> BioCDocument:
    result = BioCDocument()
    result.id = document.id
    for passage in document.passages:
        bioc_passage = BioCPassage()
        bioc_passage.infons["type"] = passage.kind
        bioc_passage.offset, bioc_passage.text = passage.offset, passage.text
        stop = passage.offset + len(passage.text)
        for mention in document.mentions:
            if passage.offset <= mention.start < stop:
                bioc_passage.add_annotation(_bioc_annotation(mention))
        result.add_passage(bioc_passage)
    for number, (kind, chemical, disease) in enumerate(document.relations):
        relation = BioCRelation()
        relation.id = f"R{number}"
        relation.infons.update(relation=kind, Chemical=chemical, Disease=disease)
        result.add_relation(relation)
    return result


def _bioc_annotation(mention: Mention) -> BioCAnnotation:
    annotation = BioCAnnotation()
    annotation.id, annotation.text = mention.id, mention.text
    annotation.infons["type"] = mention.type.capitalize()
    if mention.role in _ROLE_INFON:
        annotation.infons["CompositeRole"] = _ROLE_INFON[mention.role]
    annotation.infons["MESH"] = _mesh_infon(mention)
    for span in mention.spans:
        annotation.add_location(BioCLocation(span.start, span.stop - span.start))
    return annotation


def _mesh_infon(mention: Mention) -> str:
    return "|".join(mention.concept_ids) or "-1"


# ---- Command -------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line: `python -m etl.sample --out FOLDER`. Returns the exit status.

    Writes FOLDER/corpus and FOLDER/mesh; files of the same names are replaced, others stay.
    """
    parser = argparse.ArgumentParser(
        prog="python -m etl.sample", description="Write the embedded sample data."
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    options = parser.parse_args(arguments)
    try:
        write_corpus(options.out / "corpus")
        write_mesh(options.out / "mesh")
    except ElError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
