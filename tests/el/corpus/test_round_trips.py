"""What came in comes out, in every format, with links and without."""

import json
import os
import pickle
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from el.corpus.formats import Corpus, OutputFormat, open_corpus, open_writer, output_format
from el.corpus.types import Document, Link, LinkedDocument, LinkedMention, Mention, Span
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
    # A few annotations of the XML are off: such a document is left out of both.
    for name, most in (("BioC.xml", 3), ("PubTator.txt", 0)):
        corpus = open_corpus(tmp_path / name)
        skipped: list[Any] = []
        before = list(corpus.documents(skipped.append))
        assert len(skipped) <= most
        assert len(before) + len(skipped) == 500
        bare = rewritten(corpus, (LinkedDocument(document, ()) for document in before), "bare")
        with_links = rewritten(corpus, map(linked, before), "linked")
        assert list(bare) == before
        for old, new in zip(before, with_links, strict=True):
            assert (new.passages, new.relations) == (old.passages, old.relations)
            assert len(new.mentions) == len(old.mentions) + len(linked(old).found)
        if name == "PubTator.txt":
            assert bare.path.read_bytes() == corpus.path.read_bytes()
            continue
        ids = {document.id for document in before}
        whole = etree.parse(str(corpus.path)).getroot()
        for document in whole.findall("document"):
            if document.findtext("id") not in ids:
                whole.remove(document)
        assert tree(etree.parse(str(bare.path)).getroot()) == tree(whole)
