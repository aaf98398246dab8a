"""What came in comes out, in every format, with links and without."""

import json
import os
import pickle
import re
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from el.base.errors import ElError
from el.corpus.checks import MentionError
from el.corpus.formats import Corpus, OutputFormat, open_corpus, open_writer, output_format
from el.corpus.types import Document, Link, LinkedDocument, LinkedMention, Mention, Passage, Span
from tests.el.corpus.files import (
    bioc_json_files,
    bioc_xml_files,
    brat_files,
    json_lines_files,
    plain_document,
    pubtator_files,
)
from tests.el.corpus.strategies import abstracts, documents

Tree = tuple[str, dict[str, str], str, list[Any]]

# Large examples, each written and read several times.
fewer = settings(max_examples=25, deadline=None)

LINK_KEYS = ("identifier", "score", "candidates", "decided_by")
LINKS = (Link("D000009", "Nine", 0.75, "nine"), Link("OMIM:1", "One", 0.5, "é"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


def linked(document: Document) -> LinkedDocument:
    """All mentions linked, and one found by the linker, whose id is taken."""
    old = [LinkedMention(mention, LINKS, ("OMIM:1", "D000009"), "search") for mention in document.mentions]
    start = document.passages[0].offset
    taken = document.mentions[0].id if document.mentions else ""
    spans = (Span(start, start + 1),)
    new = Mention(taken, spans, document.text_of(spans), "disease")
    if document.mentions and document.mentions[0].spans == spans:
        return LinkedDocument(document, tuple(old))
    return LinkedDocument(document, (*old, LinkedMention(new, LINKS, ("D000009",), "search")))


def rewritten(corpus: Corpus, documents: Iterable[LinkedDocument], name: str) -> Corpus:
    target = corpus.path.with_name(name)
    with open_writer(target, output_format(corpus.format), corpus.head) as writer:
        for document in documents:
            # As it is sent to another process and back.
            writer.write(pickle.loads(pickle.dumps(document)))
    return open_corpus(target, corpus.format)


def check(path: Path, suffix: str = "") -> tuple[Corpus, Corpus]:
    """Writes a file without links and with them; what the documents hold must be there again.

    Returns:
        The two files.
    """
    corpus = open_corpus(path)
    before = list(corpus)
    bare = rewritten(corpus, (LinkedDocument(document, ()) for document in before), f"bare{suffix}")
    assert list(bare) == [with_name(document, bare) for document in before]
    with_links = rewritten(corpus, map(linked, before), f"linked{suffix}")
    for old, new in zip(before, with_links, strict=True):
        assert new.passages == old.passages
        assert new.relations == old.relations
        expected = [(mention.spans, mention.text) for mention in old.mentions]
        expected += [(found.mention.spans, found.mention.text) for found in linked(old).found]
        assert sorted((mention.spans, mention.text) for mention in new.mentions) == sorted(expected)
        ids = {mention.id: mention.spans for mention in new.mentions}
        if corpus.format != "pubtator":
            assert all(ids[mention.id] == mention.spans for mention in old.mentions)
    return bare, with_links


def with_name(document: Document, corpus: Corpus) -> Document:
    """brat names a document by its file."""
    name = corpus.path.stem if corpus.format == "brat" else document.id
    return Document(name, document.passages, document.mentions, document.relations)


def tree(element: etree._Element) -> Tree:
    """An element with all below; blanks between elements do not count."""
    children = [tree(child) for child in element]
    text = (element.text or "").strip() if children else element.text or ""
    return str(element.tag), dict(element.attrib.items()), text, children  # type: ignore[arg-type]


def without_links(path: Path) -> Tree:
    root = etree.parse(str(path)).getroot()
    for annotation in list(root.iter("annotation")):
        infons = {infon.get("key", ""): infon for infon in annotation.findall("infon")}
        if "decided_by" not in infons:
            continue
        parent = annotation.getparent()
        assert parent is not None
        assert all(key in infons for key in LINK_KEYS)
        if set(infons) == {"type", *LINK_KEYS}:
            parent.remove(annotation)
            continue
        for key, infon in infons.items():
            if key in LINK_KEYS:
                annotation.remove(infon)
            else:
                infon.set("key", key.removeprefix("given_"))
    return tree(root)


@fewer
@given(text=bioc_xml_files())
def test_bioc_xml(folder: Path, text: str) -> None:
    path = folder / "in.xml"
    path.write_text(text, encoding="utf-8")
    bare, with_links = check(path)
    assert tree(etree.parse(str(bare.path)).getroot()) == tree(etree.parse(str(path)).getroot())
    assert ("<!DOCTYPE" in text) == ("<!DOCTYPE" in bare.path.read_text(encoding="utf-8"))
    assert without_links(with_links.path) == without_bare_annotations(path)


def without_bare_annotations(path: Path) -> Tree:
    """A file's tree without annotations that have nothing but a type: so found ones are told apart."""
    root = etree.parse(str(path)).getroot()
    for annotation in list(root.iter("annotation")):
        keys = [infon.get("key") for infon in annotation.findall("infon")]
        parent = annotation.getparent()
        if keys == ["type"] and parent is not None:
            parent.remove(annotation)
    return tree(root)


@fewer
@given(text=bioc_json_files())
def test_bioc_json(folder: Path, text: str) -> None:
    path = folder / "in.json"
    path.write_text(text, encoding="utf-8")
    bare, with_links = check(path)
    assert json.loads(bare.path.read_text(encoding="utf-8")) == json.loads(text)
    value = json.loads(with_links.path.read_text(encoding="utf-8"), object_hook=_without_link_infons)
    assert value == json.loads(text, object_hook=_without_bare_annotations)


def _without_link_infons(value: dict[str, Any]) -> dict[str, Any]:
    if "decided_by" in value:
        kept = {key: item for key, item in value.items() if key not in LINK_KEYS}
        return {key.removeprefix("given_"): item for key, item in kept.items()}
    return _without_bare_annotations(value)


def _without_bare_annotations(value: dict[str, Any]) -> dict[str, Any]:
    if isinstance(value.get("annotations"), list):
        value["annotations"] = [
            annotation for annotation in value["annotations"] if set(annotation["infons"]) != {"type"}
        ]
    return value


@fewer
@given(text=pubtator_files())
def test_pubtator(folder: Path, text: str) -> None:
    path = folder / "in.pubtator"
    path.write_bytes(text.encode())
    bare, with_links = check(path)
    assert bare.path.read_bytes() == text.encode()
    lines = with_links.path.read_bytes().decode().split("\n")
    old = [line for line in text.split("\n") if line.strip("\r\ufeff")]
    kept = [line for line in lines if line.strip("\r\ufeff")]
    for line in old:
        columns = line.removesuffix("\r").split("\t")
        if len(columns) < 5 or not columns[1].isdecimal():
            # The last line may get an end.
            assert line.rstrip("\r") in [other.rstrip("\r") for other in kept]
            continue
        columns += [""] * (7 - len(columns))
        columns[5] = "OMIM:1|D000009"
        columns.insert(7, "0.5000|0.7500")
        assert "\t".join(columns) in [other.removesuffix("\r") for other in kept]


@fewer
@given(files=brat_files())
def test_brat(folder: Path, files: tuple[str, str]) -> None:
    path = folder / "in.txt"
    path.write_bytes(files[0].encode())
    path.with_suffix(".ann").write_bytes(files[1].encode())
    bare, with_links = check(path, ".txt")
    for corpus in (bare, with_links):
        assert corpus.path.read_bytes() == files[0].encode()
    assert bare.path.with_suffix(".ann").read_bytes() == files[1].encode()
    lines = with_links.path.with_suffix(".ann").read_text(encoding="utf-8")
    assert lines.startswith(files[1])
    (before,), (after,) = open_corpus(path), with_links
    links = {mention.id: mention.concept_ids for mention in after.mentions}
    for mention in before.mentions:
        assert links[mention.id] == (*mention.concept_ids, "OMIM:1", "D000009")


@fewer
@given(text=json_lines_files())
def test_json_lines(folder: Path, text: str) -> None:
    path = folder / "in.jsonl"
    path.write_text(text, encoding="utf-8")
    bare, with_links = check(path)
    old = [json.loads(line) for line in text.split("\n") if line]
    assert [json.loads(line) for line in bare.path.read_bytes().split(b"\n") if line] == old
    new = [json.loads(line) for line in with_links.path.read_bytes().split(b"\n") if line]
    for before, after in zip(old, new, strict=True):
        assert {**after, "mentions": before["mentions"]} == before
        for one, other in zip(before["mentions"], after["mentions"], strict=False):
            assert other.pop("links")["predicted"] == ["OMIM:1", "D000009"]
            assert other == one


OUTPUTS: list[OutputFormat] = ["bioc", "bioc-json", "jsonl", "brat"]


@fewer
@given(document=documents(), format=st.sampled_from(OUTPUTS))
def test_documents_of_other_formats_are_converted(
    folder: Path, document: Document, format: OutputFormat
) -> None:
    path = folder / (format + (".txt" if format == "brat" else ""))
    with open_writer(path, format) as writer:
        writer.write(LinkedDocument(document, ()))
    if format != "brat":
        assert list(open_corpus(path)) == [document]
        return
    if not document.text.strip():
        return
    (again,) = open_corpus(path)
    places = [(mention.spans, mention.type, mention.concept_ids) for mention in again.mentions]
    assert places == [(mention.spans, mention.type, mention.concept_ids) for mention in document.mentions]


@fewer
@given(document=abstracts())
def test_abstracts_are_converted_to_pubtator(folder: Path, document: Document) -> None:
    with open_writer(folder / "converted", "pubtator") as writer:
        writer.write(linked(document))
    (again,) = open_corpus(folder / "converted")
    assert again.passages == document.passages
    given = [mention for mention in again.mentions if mention.concept_ids == ("OMIM:1", "D000009")]
    assert [(m.spans, m.text, m.type) for m in given] == [
        (m.spans, m.text, m.type) for m in document.mentions
    ]


@fewer
@given(text=bioc_json_files())
def test_the_two_faces_of_bioc_hold_the_same(folder: Path, text: str) -> None:
    path, xml, back = folder / "in.json", folder / "in.xml", folder / "back.json"
    path.write_text(text, encoding="utf-8")
    for source, target, format in ((path, xml, "bioc"), (xml, back, "bioc-json")):
        corpus = open_corpus(source)
        with open_writer(target, format, corpus.head) as writer:  # type: ignore[arg-type]
            for document in corpus:
                writer.write(LinkedDocument(document, ()))
    before = json.loads(text)
    before = before[0] if isinstance(before, list) else before
    after = json.loads(back.read_text(encoding="utf-8"))
    assert after["source"] == before.get("source", "")
    assert after["infons"] == before.get("infons", {})
    for old, new in zip(before.get("documents") or before["PubTator3"], after["documents"], strict=True):
        assert new["relations"] == old["relations"]
        assert new["infons"] == old["infons"]
        assert [
            p["sentences"] == o["sentences"] for p, o in zip(new["passages"], old["passages"], strict=True)
        ]
    assert list(map(plain_document, open_corpus(back))) == list(map(plain_document, open_corpus(path)))


# What any format has a meaning for, and what controls a terminal.
WILD = st.text(st.sampled_from("abD1é😀ß |;,+-=:.\t\n\r\0\x1b\x85\xa0\u2028\ufeff<&\"'\\{[(/"), max_size=8)
NAMES = st.one_of(st.sampled_from(["a", "D000001", "MESH:D000001", "HP:0000118", "-1", "title"]), WILD)
HOLDING: list[OutputFormat] = ["bioc", "bioc-json", "pubtator", "brat", "jsonl"]


@st.composite
def wild_documents(draw: st.DrawFn) -> Document:
    """Documents with one or two values that some format cannot hold, or with many."""
    names = draw(st.sampled_from([st.sampled_from(["a", "b", "D000001"]), NAMES]))
    texts = draw(st.sampled_from([st.just("Ache and x"), st.text(max_size=12, alphabet="ab \r\nß"), WILD]))
    passages: list[Passage] = []
    end = 0
    for kind in draw(st.sampled_from([("title",), ("title", "abstract"), ("", "a", "b")])):
        passages.append(Passage(kind, end, draw(texts)))
        end += len(passages[-1].text) + 1
    text = Document("", tuple(passages)).text
    mentions = []
    for number in range(draw(st.integers(0, 3)) if text else 0):
        start = draw(st.integers(0, len(text) - 1))
        stop = draw(st.integers(start + 1, len(text)))
        mention_id = draw(st.sampled_from([str(number), f"T{number}", f"{draw(names)}{number}"]))
        ids = tuple(draw(st.lists(names.filter(bool), max_size=2)))
        role = draw(st.sampled_from(["single", "composite"]))
        parts = tuple(draw(st.lists(names, max_size=2))) if role == "composite" else ()
        spans = (Span(start, stop),)
        mentions.append(
            Mention(mention_id, spans, text[start:stop], draw(names).lower(), ids, parts, role)  # type: ignore[arg-type]
        )
    mentions.sort(key=lambda mention: (mention.start, mention.stop))
    relations = tuple(draw(st.lists(st.tuples(names, names, names), max_size=1)))
    if len({mention.id for mention in mentions}) < len(mentions):
        mentions = mentions[:1]
    return Document(draw(names), tuple(passages), tuple(mentions), relations)


def promised(document: Document, format: OutputFormat) -> Any:
    """What a document of another format keeps in a format; see `el.corpus.formats`."""
    if format == "jsonl":
        return plain_document(document)
    mentions = [replace(mention, concept_ids=_read_ids(mention)) for mention in document.mentions]
    if format in ("bioc", "bioc-json"):
        mentions = [replace(mention, part_texts=()) for mention in mentions]
    if format == "pubtator":
        mentions = [_in_pubtator(mention, number) for number, mention in enumerate(mentions)]
    if format == "brat":
        return _in_brat(document, mentions)
    return replace(plain_document(document), mentions=tuple(mentions))


def _read_ids(mention: Mention) -> tuple[str, ...]:
    """The prefix `MESH:` is a part of no id."""
    return tuple(concept_id.removeprefix("MESH:") for concept_id in mention.concept_ids)


def _in_pubtator(mention: Mention, number: int) -> Mention:
    mention = replace(mention, id=str(number))
    if mention.role == "composite" and len(mention.part_texts) == len(mention.concept_ids) > 1:
        return mention
    return replace(mention, role="single", part_texts=())


def _in_brat(document: Document, mentions: list[Mention]) -> Any:
    """Texts and mentions as brat has them: one text, a piece for each line, types without blanks."""
    found = []
    # A byte order mark at an end of a line counts as white space around the paragraph.
    text = re.sub(
        r"^[\s\ufeff]+|[\s\ufeff]+$", lambda match: " " * len(match[0]), document.text, flags=re.MULTILINE
    )
    text = re.sub(r"\s", " ", text)
    for mention in mentions:
        pieces = [
            piece.span()
            for span in mention.spans
            for piece in re.compile(r"[^\r\n]+").finditer(document.text, span.start, span.stop)
        ]
        surface = " ".join(text[start:stop] for start, stop in pieces)
        found.append((pieces, surface, _type_in_brat(mention.type) or "mention", mention.concept_ids))
    ids = {mention.id for mention in document.mentions}
    kinds = [_type_in_brat(kind) or "Relation" for kind, *ends in document.relations if ids.issuperset(ends)]
    return document.id, text.rstrip(), sorted(found), kinds


def _type_in_brat(name: str) -> str:
    return re.sub(r"[\s\x00-\x1f\x7f-\x9f]", "_", name)


def kept(document: Document, format: OutputFormat) -> Any:
    """What a document that was read from a format holds, to compare it with what was promised."""
    if format in ("bioc", "bioc-json"):
        bare = tuple(replace(mention, part_texts=()) for mention in document.mentions)
        return replace(plain_document(document), mentions=bare)
    if format != "brat":
        return plain_document(document)
    found = [
        ([(s.start, s.stop) for s in m.spans], re.sub(r"\s", " ", m.text), m.type, m.concept_ids)
        for m in document.mentions
    ]
    kinds = [kind for kind, *_ in document.relations]
    return document.id, re.sub(r"\s", " ", document.text).rstrip(" \ufeff"), sorted(found), kinds


def through(document: Document, format: OutputFormat, folder: Path) -> Document | None:
    """The document, written in a format and read again; None if the format refuses it."""
    target = Path(tempfile.mkdtemp(dir=folder)) / "x"
    try:
        with open_writer(target, format) as writer:
            writer.write(LinkedDocument(document, ()))
    except ElError:
        return None
    path = target / f"{document.id}.txt" if format == "brat" else target
    # What is written is read: an error here is a bug of the writer.
    (again,) = open_corpus(path)
    return again


@pytest.mark.parametrize("first", HOLDING)
@settings(max_examples=8, deadline=None)
@given(document=wild_documents())
def test_a_document_is_written_and_read_in_every_format_or_refused(
    folder: Path, first: OutputFormat, document: Document
) -> None:
    once = through(document, first, folder)
    if once is None:
        return
    assert kept(once, first) == promised(document, first)
    for second in HOLDING:
        twice = through(once, second, folder)
        if first == second:
            assert twice is not None
            assert plain_document(twice) == plain_document(once)
        elif twice is not None:
            assert kept(twice, second) == promised(once, second)


@pytest.mark.real
@pytest.mark.parametrize("split", ["Training", "Development", "Test"])
def test_bc5cdr(tmp_path: Path, split: str) -> None:
    archive = Path(os.environ.get("EL_MIRROR", "")) / "CDR_Data.zip"
    if "EL_MIRROR" not in os.environ or not archive.is_file():
        pytest.skip("EL_MIRROR names no folder with CDR_Data.zip")
    with zipfile.ZipFile(archive) as members:
        for suffix in ("BioC.xml", "PubTator.txt"):
            content = members.read(f"CDR_Data/CDR.Corpus.v010516/CDR_{split}Set.{suffix}")
            (tmp_path / suffix).write_bytes(content)
    # A few annotations of the XML are off. They cost no document, and are written as they were.
    for name, most in (("BioC.xml", 3), ("PubTator.txt", 0)):
        corpus = open_corpus(tmp_path / name)
        skipped: list[Any] = []
        before = list(corpus.documents(skipped.append))
        assert len(skipped) <= most
        assert all(isinstance(error, MentionError) for error in skipped)
        assert len(before) == 500
        bare = rewritten(corpus, (LinkedDocument(document, ()) for document in before), "bare")
        with_links = rewritten(corpus, map(linked, before), "linked")
        again: list[Any] = []
        assert list(bare.documents(again.append)) == before
        assert len(again) == len(skipped)
        for old, new in zip(before, with_links.documents(again.append), strict=True):
            assert (new.passages, new.relations) == (old.passages, old.relations)
            assert len(new.mentions) == len(old.mentions) + len(linked(old).found)
        if name == "PubTator.txt":
            assert bare.path.read_bytes() == corpus.path.read_bytes()
            continue
        whole = etree.parse(str(corpus.path)).getroot()
        assert tree(etree.parse(str(bare.path)).getroot()) == tree(whole)
