"""Small sound files of each format, written by code: what the fuzzer changes."""

import tempfile
from pathlib import Path

from el.corpus.formats import OutputFormat, open_writer
from el.corpus.types import Document, LinkedDocument, Mention, Passage, Span

# Names of the parts of a seed -> their bytes. A brat document has two files, the others have one.
Seed = dict[str, bytes]

_FORMATS: dict[str, OutputFormat] = {
    "in.xml": "bioc",
    "in.json": "bioc-json",
    "in.pubtator": "pubtator",
    "in.jsonl": "jsonl",
    "in.txt": "brat",
}


def seeds() -> list[Seed]:
    """Returns the seeds, in a fixed order."""
    documents = [_document("101"), _document("102"), Document.of_text("103", "Nothing is named here.")]
    with tempfile.TemporaryDirectory() as folder:
        made = [_written(Path(folder), name, documents) for name in _FORMATS]
    return [*made, *_by_hand()]


def _document(document_id: str) -> Document:
    title, abstract = (
        "Aspirin for headache.",
        "Acute renal failure (ARF) after α-methyldopa; ARF was treated.",
    )
    text = f"{title} {abstract}"
    forms = (
        ("Aspirin", "chemical"),
        ("headache", "disease"),
        ("ARF", "disease"),
        ("α-methyldopa", "chemical"),
    )
    mentions = tuple(
        Mention(f"T{number}", (Span(text.index(form), text.index(form) + len(form)),), form, type)
        for number, (form, type) in enumerate(forms, start=1)
    )
    passages = (Passage("title", 0, title), Passage("abstract", len(title) + 1, abstract))
    in_order = tuple(sorted(mentions, key=lambda mention: mention.start))
    return Document(document_id, passages, in_order, (("CID", "T1", "T2"),))


def _written(folder: Path, name: str, documents: list[Document]) -> Seed:
    format = _FORMATS[name]
    with open_writer(folder / name, format) as writer:
        for document in documents[:1] if format == "brat" else documents:
            if format != "pubtator" or len(document.passages) == 2:
                writer.write(LinkedDocument(document, ()))
    paths = [folder / name, (folder / name).with_suffix(".ann")]
    return {path.name: path.read_bytes() for path in paths if path.name == name or format == "brat"}


def _by_hand() -> list[Seed]:
    return [
        {"in.txt": "Aspirin helps.\r\n\r\nHeadache or 頭痛 (|t| > 1.96).".encode()},
        {
            "in.pubtator": b"7|t|Aspirin helps.\r\n7|a|Headache and BRCA1\r\n7\t0\t7\tAspirin\tChemical"
            b"Entity\tD001241\r\n7\t28\t33\tBRCA1\tGene\t672\r\n7\tNegative_Correlation\tD001241\t672\tNovel\r\n\r\n"
        },
        {
            "in.json": b'{"PubTator3": [{"_id": "5|None", "id": "5", "infons": {}, "passages": [{"infons": '
            b'{"type": "title"}, "offset": 0, "text": "Lead and lithium", "sentences": [], "annotations": '
            b'[{"id": "2", "infons": {"identifier": "MESH:D007854", "type": "Chemical", "score": 0.5}, '
            b'"text": "Lead", "locations": [{"offset": 0, "length": 4}]}], "relations": []}], '
            b'"relations": [], "pmid": 5}]}'
        },
        {
            "in.xml": b'<?xml version="1.0" encoding="UTF-8"?>\n<collection><source>s</source><date/><key/>'
            b"<document><id>9</id><passage><offset>0</offset><sentence><offset>0</offset><text>Cold &amp; "
            b'cough</text><annotation id="1"><infon key="type">Disease</infon><location offset="0" '
            b'length="4"/><text>Cold</text></annotation></sentence></passage><relation id="R"><infon '
            b'key="type">CID</infon><node refid="1" role="x"/></relation></document></collection>'
        },
        {"in.jsonl": b'{"id": "1", "text": "A headache", "mentions": [{"start": 2, "stop": 10}]}\n'},
    ]
