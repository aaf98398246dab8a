"""Stage: converts the raw corpus to one JSON-lines file for each split, and reports every change."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from el.base.cli import run_command
from el.base.errors import InputError
from el.base.files import atomic_folder, read_json, write_json
from el.base.params import load_params
from el.corpus.bioc_xml import read_bioc
from el.corpus.fields import format_ids
from el.corpus.pubtator import read_pubtator
from el.corpus.splits import split_files
from el.corpus.store import read_documents, write_documents
from el.corpus.types import Document, Mention
from el.corpus.views import mentions_full, mentions_restricted, restricted_triples
from el.evaluation.vocabularies import is_spelling_of, spelling_key
from el.ontology.equivalents import load_equivalents
from el.ontology.ontology import Ontology
from el.ontology.retired import current_id, load_retired_ids

SPLITS = ("train", "dev", "test")

_REPORT = "report.json"
_SOURCE = "source.json"
# The most ids that a line of the summary names. At a larger value, the line becomes longer.
_EXAMPLES = 5


@dataclass(frozen=True)
class KnownErrors:
    """What is known to be wrong in the files of a corpus. It is corrected and counted.

    Attributes:
        tolerance: the most characters that a location in BioC may be off; see `read_bioc`.
        white_space: whether the text of a mention in PubTator may differ in white space from the text at its
            offsets; see `read_pubtator`.
        repeated_documents: whether a split may hold a document again, with the same content.
    """

    tolerance: int = 0
    white_space: bool = False
    repeated_documents: bool = False


KNOWN_ERRORS = {
    # Parts of four composites are off by one or two. At a larger value, a location could move to another
    # occurrence of its text.
    "bc5cdr": KnownErrors(tolerance=2),
    # In train, one mention has two blanks too many, and document 8528200 occurs twice.
    "ncbi_disease": KnownErrors(white_space=True, repeated_documents=True),
}


def convert_corpus(
    raw: Path,
    ontology: Ontology,
    retired: Mapping[str, str],
    out: Path,
    known_errors: KnownErrors | None = None,
    equivalents: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Converts the three splits of a corpus.

    A gold id that is not in the ontology is replaced by its current id, if `retired` has one, or else by its
    equivalent. All other gold ids stay, also those that are not in the ontology: no system can find them, and
    each counts as an error. All mentions stay, and all documents except copies.

    Args:
        raw: a folder with {train,dev,test}.BioC.xml or .PubTator.txt. If a split has both, BioC is converted
            and PubTator is compared with it.
        ontology: the ontology of the gold ids.
        retired: retired id -> current id.
        out: the folder to write: {train,dev,test}.jsonl and report.json. It is replaced as a whole, or stays
            untouched if there is an error.
        known_errors: what is corrected; None to correct nothing.
        equivalents: id of another vocabulary -> id of the ontology. Another spelling of such an id, such as
            MIM:104300 for OMIM:104300, is read as the same id. A mention with such an id keeps the ids of the
            corpus as its `original_ids`.

    Returns:
        The report, which is also written as report.json. For each split: the counts of `_count`, the changes,
        and the differences between the formats. In addition, the documents that are in several splits.

    Raises:
        InputError: a split is missing, empty or broken, holds two documents of one id, or holds a mention
            whose text differs from the text at its offsets.
    """
    report: dict[str, Any] = {}
    splits: dict[str, list[Document]] = {}
    for split in SPLITS:
        ids = _GoldIds(ontology, retired, equivalents or {})
        splits[split], report[split] = _convert_split(raw, split, ids, known_errors or KnownErrors())
    places = Counter(document.id for documents in splits.values() for document in documents)
    report["documents_in_several_splits"] = sorted(name for name, count in places.items() if count > 1)
    with atomic_folder(out) as folder:
        for split, documents in splits.items():
            write_documents(folder / f"{split}.jsonl", documents)
        write_json(folder / _REPORT, report)
    return report


def convert_corpora(
    raw: Path, ontology: Ontology, retired: Mapping[str, str], out: Path, equivalents: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """Converts the corpora of the fetch stage: one, or several with a folder each.

    Args:
        raw: what the fetch stage wrote.
        ontology: see `convert_corpus`, as for the others.
        retired: see `convert_corpus`.
        out: the folder to write. Each of several corpora gets a folder of its name. It is replaced as a
            whole, or stays untouched if there is an error.
        equivalents: see `convert_corpus`.

    Returns:
        The name of the folder in `out` -> its report; for one corpus, the name is "".

    Raises:
        InputError: see `convert_corpus`; or two corpora have a document of the same id.
    """
    folders = sorted(path.parent for path in raw.glob(f"*/{_SOURCE}"))
    if not folders:
        return {"": convert_corpus(raw, ontology, retired, out, errors_of(raw), equivalents)}
    with atomic_folder(out) as folder:
        reports = {
            one.name: convert_corpus(one, ontology, retired, folder / one.name, errors_of(one), equivalents)
            for one in folders
        }
        _check_apart(raw, folder)
    return reports


def _check_apart(raw: Path, converted: Path) -> None:
    """Raises InputError if two corpora have a document of the same id."""
    owner: dict[str, str] = {}
    for split in SPLITS:
        for name, path in split_files(converted, split).items():
            for document in read_documents(path):
                if owner.setdefault(document.id, name) != name:
                    problem = f"is in {owner[document.id]} and in {name}"
                    raise InputError(raw, f"document {document.id}", problem, "Fetch one of the two corpora")


def errors_of(raw: Path) -> KnownErrors:
    """Returns what is known to be wrong in a raw corpus; nothing for a corpus that is not in `KNOWN_ERRORS`.

    Raises:
        InputError: the folder has no source.json that names the source of the corpus.
    """
    path = raw / _SOURCE
    source = read_json(path)
    if not isinstance(source, dict) or "source" not in source:
        raise InputError(path, "", "lacks 'source'", "Run the fetch stage")
    return KNOWN_ERRORS.get(source["source"], KnownErrors())


def summary(report: Mapping[str, Any]) -> Iterator[str]:
    """Yields a line for each finding in a report that a user should know. No line means no findings."""
    splits = [report[split] for split in SPLITS]
    left_out = sum(sum(split["documents_left_out"].values()) for split in splits)
    if left_out:
        yield f"documents left out, because they occur twice: {left_out:,}"
    moved = sum(split["annotations_moved"] for split in splits)
    if moved:
        yield f"annotations moved to the place of their text: {moved:,}"
    corrected = sum(split["texts_corrected"] for split in splits)
    if corrected:
        yield f"texts of mentions corrected to the white space at their offsets: {corrected:,}"
    mentions = sum(split["mentions"] for split in splits)
    mapped = sum((Counter(split["ids_mapped"]) for split in splits), Counter[str]())
    if mapped:
        of_mapped = sum(split["mentions_with_mapped_ids"] for split in splits)
        yield (
            f"gold ids of other vocabularies that were mapped to the ontology: {_named(mapped)}; they are in "
            f"{of_mapped:,} of {mentions:,} mentions"
        )
    unknown = sum((Counter(split["ids_not_in_ontology"]) for split in splits), Counter[str]())
    if unknown:
        lost = sum(split["mentions_with_no_id_in_ontology"] for split in splits)
        yield (
            f"gold ids that are not in the ontology: {_named(unknown)}; "
            f"{lost:,} of {mentions:,} mentions have no other id and cannot be linked correctly"
        )


def _named(counts: Counter[str]) -> str:
    """Returns how many different ids there are, and the most frequent ones."""
    named = [concept_id for concept_id, _ in counts.most_common(_EXAMPLES)]
    more = ["..."] if len(counts) > len(named) else []
    return f"{len(counts):,} ({', '.join(named + more)})"


class _GoldIds:
    """Replaces gold ids that are not in the ontology, and counts what it replaces.

    Args:
        ontology: the ontology.
        retired: retired id -> current id.
        equivalents: id of another vocabulary -> id of the ontology.

    Attributes:
        ontology: the ontology.
        retired_replaced: "retired id -> current id" -> how often it was replaced.
        mapped: "id of another vocabulary -> id of the ontology" -> how often it was replaced.
    """

    def __init__(
        self, ontology: Ontology, retired: Mapping[str, str], equivalents: Mapping[str, str]
    ) -> None:
        self.ontology = ontology
        self.retired_replaced: Counter[str] = Counter()
        self.mapped: Counter[str] = Counter()
        self._retired = retired
        self._equivalents = equivalents
        self._of_spelling = {key: given for given in equivalents if (key := spelling_key(given))}

    def replaced(self, document: Document) -> Document:
        """Returns a document with replaced ids."""
        return replace(document, mentions=tuple(map(self._mention, document.mentions)))

    def _mention(self, mention: Mention) -> Mention:
        current = tuple(map(self._current, mention.concept_ids))
        mapped = tuple(map(self._mapped, current))
        if mapped == current:
            return replace(mention, concept_ids=current)
        # An id may be mapped to a concept that the mention has already. Part texts belong to one id each.
        ids = mapped if mention.part_texts else tuple(dict.fromkeys(mapped))
        return replace(mention, concept_ids=ids, original_ids=mention.concept_ids)

    def _current(self, given: str) -> str:
        return self._counted(given, current_id(given, self.ontology, self._retired), self.retired_replaced)

    def _mapped(self, given: str) -> str:
        if given in self.ontology:
            return given
        concept_id = self._equivalents.get(self._as_listed(given), given)
        return self._counted(given, concept_id if concept_id in self.ontology else given, self.mapped)

    def _as_listed(self, given: str) -> str:
        """Returns an id as the table of equivalents spells it; the same id if it is not in the table."""
        key = spelling_key(given)
        if given in self._equivalents or key not in self._of_spelling:
            return given
        listed = self._of_spelling[key]
        return listed if is_spelling_of(given, listed) else given

    def _counted(self, given: str, new: str, counts: Counter[str]) -> str:
        if new != given:
            counts[f"{given} -> {new}"] += 1
        return new


def _convert_split(
    raw: Path, split: str, ids: _GoldIds, known_errors: KnownErrors
) -> tuple[list[Document], dict[str, Any]]:
    bioc, pubtator = raw / f"{split}.BioC.xml", raw / f"{split}.PubTator.txt"
    moved: list[str] = []
    corrected: list[str] = []
    if bioc.is_file():
        source, documents = bioc, list(read_bioc(bioc, known_errors.tolerance, moved))
    elif pubtator.is_file():
        lines = corrected if known_errors.white_space else None
        source, documents = pubtator, list(read_pubtator(pubtator, corrected=lines))
    else:
        problem = f"neither {bioc.name} nor {pubtator.name} exists"
        raise InputError(raw, "", problem, "Run the fetch stage")
    if not documents:
        raise InputError(source, "", "holds no documents", "A corpus needs documents in train, dev and test")
    copies: Counter[str] = Counter()
    if known_errors.repeated_documents:
        documents, copies = _without_copies(documents)
        # The lines of a copy are those of its document.
        corrected = list(dict.fromkeys(corrected))
    _check_ids(source, documents)
    has_both = bioc.is_file() and pubtator.is_file()
    differences = _differences(documents, list(read_pubtator(pubtator))) if has_both else None
    # The protocol `restricted` uses the corpus's original ids, so it is counted before ids are replaced.
    restricted = _count_restricted(documents)
    documents = list(map(ids.replaced, documents))
    return documents, {
        "source": source.name,
        **_count(documents, ids.ontology),
        "documents_left_out": dict(copies),
        "restricted": restricted,
        "retired_ids_replaced": dict(ids.retired_replaced),
        "ids_mapped": dict(ids.mapped),
        "annotations_moved": len(moved),
        "moves": moved,
        "texts_corrected": len(corrected),
        "corrections": corrected,
        "pubtator_differences": differences,
    }


def _without_copies(documents: Iterable[Document]) -> tuple[list[Document], Counter[str]]:
    """Leaves out documents that are equal to an earlier one, and counts them by id."""
    kept: list[Document] = []
    copies: Counter[str] = Counter()
    first: dict[str, Document] = {}
    for document in documents:
        if document == first.setdefault(document.id, document) and document is not first[document.id]:
            copies[document.id] += 1
        else:
            kept.append(document)
    return kept, copies


def _check_ids(source: Path, documents: Iterable[Document]) -> None:
    counts = Counter(document.id for document in documents)
    for document_id, count in counts.items():
        if count > 1:
            problem = f"occurs {count} times"
            raise InputError(source, f"document {document_id}", problem, "Give each document a unique id")


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
        "mentions_with_mapped_ids": sum(bool(mention.original_ids) for mention in full),
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
    equivalents = load_equivalents(folder / "ontology")
    reports = convert_corpora(raw, ontology, load_retired_ids(), out, equivalents)
    for name, report in reports.items():
        for line in summary(report):
            print(f"{line}; see {out / name / _REPORT}", file=sys.stderr)


if __name__ == "__main__":
    run_command(main, __doc__)
