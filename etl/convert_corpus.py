"""Stage: converts the raw corpus to one JSON-lines file for each split, and reports every change."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from el.base.cli import run_command
from el.base.errors import InputError
from el.base.files import atomic_folder, read_json, write_json
from el.base.params import load_params
from el.corpus.bioc_xml import read_bioc
from el.corpus.fields import format_ids
from el.corpus.pubtator import read_pubtator
from el.corpus.store import write_documents
from el.corpus.types import Document, Mention
from el.corpus.views import mentions_full, mentions_restricted, restricted_triples
from el.ontology.ontology import Ontology
from el.ontology.retired import current_id, load_retired_ids

SPLITS = ("train", "dev", "test")

# The most characters that a location in BC5CDR may be off. In the official files, parts of four composites
# are off by one or two. At a larger value, a location could move to another occurrence of its text.
BC5CDR_TOLERANCE = 2
_REPORT = "report.json"
# The most unknown ids that the summary names. At a larger value, the line becomes longer.
_EXAMPLES = 5


def convert_corpus(
    raw: Path, ontology: Ontology, retired: Mapping[str, str], out: Path, tolerance: int = 0
) -> dict[str, Any]:
    """Converts the three splits of a corpus.

    A gold id that is not in the ontology is replaced by its current id, if `retired` has one. All other gold
    ids stay, also those that are not in the ontology: no system can find them, and each counts as an error.
    All documents and mentions stay.

    Args:
        raw: a folder with {train,dev,test}.BioC.xml or .PubTator.txt. If a split has both, BioC is converted
            and PubTator is compared with it.
        ontology: the ontology of the gold ids.
        retired: retired id -> current id.
        out: the folder to write: {train,dev,test}.jsonl and report.json. It is replaced as a whole, or stays
            untouched if there is an error.
        tolerance: the most characters that a location in BioC may be off; see `read_bioc`.

    Returns:
        The report, which is also written as report.json. For each split: the counts of `_count`, the changes,
        and the differences between the formats. In addition, the documents that are in several splits.

    Raises:
        InputError: a split is missing, empty or broken, holds a document twice, or holds a mention whose text
            differs from the text at its offsets.
    """
    report: dict[str, Any] = {}
    splits: dict[str, list[Document]] = {}
    for split in SPLITS:
        splits[split], report[split] = _convert_split(raw, split, ontology, retired, tolerance)
    places = Counter(document.id for documents in splits.values() for document in documents)
    report["documents_in_several_splits"] = sorted(name for name, count in places.items() if count > 1)
    with atomic_folder(out) as folder:
        for split, documents in splits.items():
            write_documents(folder / f"{split}.jsonl", documents)
        write_json(folder / _REPORT, report)
    return report


def corpus_tolerance(raw: Path) -> int:
    """Returns the most characters that a location of a raw corpus may be off: 0, except for BC5CDR.

    Raises:
        InputError: the folder has no source.json that names the source of the corpus.
    """
    path = raw / "source.json"
    source = read_json(path)
    if not isinstance(source, dict) or "source" not in source:
        raise InputError(path, "", "lacks 'source'", "Run the fetch stage")
    return BC5CDR_TOLERANCE if source["source"] == "bc5cdr" else 0


def summary(report: Mapping[str, Any]) -> Iterator[str]:
    """Yields a line for each finding in a report that a user should know. No line means no findings."""
    splits = [report[split] for split in SPLITS]
    moved = sum(split["annotations_moved"] for split in splits)
    if moved:
        yield f"annotations moved to the place of their text: {moved:,}"
    unknown: Counter[str] = Counter()
    for split in splits:
        unknown.update(split["ids_not_in_ontology"])
    if unknown:
        named = [concept_id for concept_id, _ in unknown.most_common(_EXAMPLES)]
        more = ["..."] if len(unknown) > len(named) else []
        lost = sum(split["mentions_with_no_id_in_ontology"] for split in splits)
        mentions = sum(split["mentions"] for split in splits)
        yield (
            f"gold ids that are not in the ontology: {len(unknown):,} ({', '.join(named + more)}); "
            f"{lost:,} of {mentions:,} mentions have no other id and cannot be linked correctly"
        )


def _convert_split(
    raw: Path, split: str, ontology: Ontology, retired: Mapping[str, str], tolerance: int
) -> tuple[list[Document], dict[str, Any]]:
    bioc, pubtator = raw / f"{split}.BioC.xml", raw / f"{split}.PubTator.txt"
    moved: list[str] = []
    if bioc.is_file():
        source, documents = bioc, list(read_bioc(bioc, tolerance, moved))
    elif pubtator.is_file():
        source, documents = pubtator, list(read_pubtator(pubtator))
    else:
        problem = f"neither {bioc.name} nor {pubtator.name} exists"
        raise InputError(raw, "", problem, "Run the fetch stage")
    _check_documents(source, documents)
    has_both = bioc.is_file() and pubtator.is_file()
    differences = _differences(documents, list(read_pubtator(pubtator))) if has_both else None
    # The protocol `restricted` uses the corpus's original ids, so it is counted before ids are replaced.
    restricted = _count_restricted(documents)
    replaced: Counter[str] = Counter()
    documents = [_with_current_ids(document, ontology, retired, replaced) for document in documents]
    return documents, {
        "source": source.name,
        **_count(documents, ontology),
        "restricted": restricted,
        "retired_ids_replaced": {f"{old} -> {retired[old]}": count for old, count in replaced.items()},
        "annotations_moved": len(moved),
        "moves": moved,
        "pubtator_differences": differences,
    }


def _check_documents(source: Path, documents: list[Document]) -> None:
    if not documents:
        raise InputError(source, "", "holds no documents", "A corpus needs documents in train, dev and test")
    counts = Counter(document.id for document in documents)
    for document_id, count in counts.items():
        if count > 1:
            problem = f"occurs {count} times"
            raise InputError(source, f"document {document_id}", problem, "Give each document a unique id")


def _with_current_ids(
    document: Document, ontology: Ontology, retired: Mapping[str, str], replaced: Counter[str]
) -> Document:
    """Replaces retired ids and counts them in `replaced`. An id that is in the ontology is not replaced."""

    def current(concept_id: str) -> str:
        new = current_id(concept_id, ontology, retired)
        replaced.update([concept_id] if new != concept_id else [])
        return new

    mentions = tuple(
        replace(mention, concept_ids=tuple(current(concept_id) for concept_id in mention.concept_ids))
        for mention in document.mentions
    )
    return replace(document, mentions=mentions)


def _count(documents: list[Document], ontology: Ontology) -> dict[str, Any]:
    """Counts the contents of a split.

    `annotations` counts composites and also their parts, and so do `nil_with_parts`, `parts`, `discontinuous`
    and `annotated_twice`. The other counts of mentions are those of `mentions_full`, where a composite counts
    once. A composite counts in `several_ids` even if only one of its parts has a concept.
    """
    everything = [mention for document in documents for mention in document.mentions]
    full = [mention for document in documents for mention in mentions_full(document)]
    composites = [mention for mention in full if mention.role == "composite"]
    ids = Counter(concept_id for mention in full for concept_id in mention.concept_ids)
    missing = {concept_id: count for concept_id, count in ids.items() if concept_id not in ontology}
    return {
        "documents": len(documents),
        "annotations": len(everything),
        "mentions": len(full),
        "mentions_by_type": dict(Counter(mention.type for mention in full)),
        "nil": sum(not mention.concept_ids for mention in full),
        "nil_with_parts": sum(
            not mention.concept_ids for mention in everything if mention.role != "composite"
        ),
        "several_ids": sum(mention.role == "composite" or len(mention.concept_ids) > 1 for mention in full),
        "composites": len(composites),
        "composites_without_part_texts": sum(not mention.part_texts for mention in composites),
        "parts": sum(mention.role == "part" for mention in everything),
        "discontinuous": sum(mention.is_discontinuous for mention in everything),
        "id_twice_in_mention": sum(
            len(set(mention.concept_ids)) < len(mention.concept_ids) for mention in full
        ),
        "annotated_twice": sum(_annotated_twice(document) for document in documents),
        "distinct_ids": len(ids),
        "ids_not_in_ontology": missing,
        "mentions_with_no_id_in_ontology": sum(
            bool(mention.concept_ids) and all(concept_id in missing for concept_id in mention.concept_ids)
            for mention in full
        ),
        "relations": sum(len(document.relations) for document in documents),
    }


def _annotated_twice(document: Document) -> int:
    keys = {(mention.spans, mention.type, mention.concept_ids) for mention in document.mentions}
    return len(document.mentions) - len(keys)


def _count_restricted(documents: list[Document]) -> dict[str, int]:
    mentions = [mention for document in documents for mention in mentions_restricted(document)]
    return {
        "mentions": len(mentions),
        "triples": len(restricted_triples(documents)),
        "distinct_ids": len({mention.concept_ids[0] for mention in mentions}),
    }


def _differences(documents: list[Document], others: list[Document]) -> list[str]:
    """The differences between a split's two formats: texts, mentions (without parts) and relations.

    Each difference is given by document and place. It holds no text of the corpus, whose licence may not
    allow copies.
    """
    by_id = {document.id: document for document in documents}
    others_by_id = {document.id: document for document in others}
    found = [f"document {name}: only in BioC" for name in by_id if name not in others_by_id]
    found += [f"document {name}: only in PubTator" for name in others_by_id if name not in by_id]
    for name in by_id:
        if name in others_by_id:
            found += [f"document {name}, {line}" for line in _compare(by_id[name], others_by_id[name])]
    return found


def _compare(document: Document, other: Document) -> list[str]:
    found = [] if document.text == other.text else ["text: differs"]
    ours, theirs = _comparable(mentions_full(document)), _comparable(other.mentions)
    found += [f"{_describe(key)}: only in BioC" for key in sorted((ours - theirs).elements())]
    found += [f"{_describe(key)}: only in PubTator" for key in sorted((theirs - ours).elements())]
    if Counter(document.relations) != Counter(other.relations):
        found.append("relations: differ")
    return found


MentionKey = tuple[int, int, str, tuple[str, ...], tuple[str, ...]]


def _comparable(mentions: Iterable[Mention]) -> Counter[MentionKey]:
    """The content of mentions that both formats have.

    Surface forms are not compared: they follow from the documents' texts, and PubTator gives a discontinuous
    mention from its start to its stop.
    """
    return Counter(
        (mention.start, mention.stop, mention.type, mention.concept_ids, mention.part_texts)
        for mention in mentions
    )


def _describe(key: MentionKey) -> str:
    start, stop, mention_type, concept_ids, part_texts = key
    return f"{start}:{stop} {mention_type} {format_ids(concept_ids)} with {len(part_texts)} part texts"


def main() -> None:
    """Runs the stage for the folder `data.folder` of params.yaml. The summary goes to stderr."""
    folder = Path(load_params()["data"]["folder"])
    raw, out = folder / "raw" / "corpus", folder / "corpus"
    ontology = Ontology.load(folder / "ontology")
    report = convert_corpus(raw, ontology, load_retired_ids(), out, corpus_tolerance(raw))
    for line in summary(report):
        print(f"{line}; see {out / _REPORT}", file=sys.stderr)


if __name__ == "__main__":
    run_command(main, __doc__)
