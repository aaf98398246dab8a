"""`el evaluate`: how well a linker does on an annotated corpus that it was not trained on.

Slow modules are imported after the arguments are read, so that --help and error messages appear at once.
"""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from el.base.cli import command_parser
from el.base.errors import InputError
from el.commands.arguments import (
    EXIT_CODES,
    add_corpus_argument,
    add_force_argument,
    add_linker_argument,
    check_folder,
)

if TYPE_CHECKING:
    from el.corpus.types import Document, Mention
    from el.evaluation.predictions import Prediction
    from el.evaluation.rows import Seen
    from el.linking.linker import Linker

_DESCRIPTION = """\
Scores a linker on annotated documents.

Mentions are annotated with ids of MeSH or of the linker's ontology. The protocol is `full`: every mention
with such an id is linked against the whole ontology. A MeSH id that the ontology does not have counts as a
miss.

CORPUS is PubTator, BioC, brat or JSON lines. Ids may have the prefix MESH:. Several ids of one mention are
separated by |, + or commas. Mentions with OMIM ids stay in the corpus and count as misses. Mentions of other
types, such as genes, are left out; their number is reported.

Nothing is trained. Do not give documents that the linker was trained on.
"""

_EPILOG = f"""\
example:
  el evaluate NCBItestset_corpus.txt -o results/ncbi

systems in the printed table:
  model            the scores of the model alone: those of a q-net, or dot products
  el_link          the linker without learned synonyms
  el_link_learned  the linker with learned synonyms, if it has them

{EXIT_CODES}"""

_FIGURES = "figures.json"
# Ids of MeSH and OMIM.
_IDS = re.compile(r"[CD]\d{6,}|OMIM:\d+")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command.

    Raises:
        ElError: a problem that the user can solve, with the exit code that --help documents.
        OSError: a file cannot be read or written.
    """
    options = _parser().parse_args(arguments)
    if options.output is not None:
        check_folder(options.output, _FIGURES, "folder of figures", force=options.force)
    from el.linking.places import find_linker

    options.linker = find_linker(options.linker)
    _evaluate(options)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(_DESCRIPTION, "el evaluate", _EPILOG)
    add_corpus_argument(parser)
    add_linker_argument(parser)
    parser.add_argument(
        "-o",
        "--output",
        metavar="FOLDER",
        type=Path,
        help="also write figures and predictions into this folder",
    )
    add_force_argument(parser)
    return parser


def _evaluate(options: argparse.Namespace) -> None:
    from el.corpus.formats import open_corpus
    from el.evaluation.protocol import named_protocol
    from el.evaluation.run import MakeRanker, Split, evaluate
    from el.linking.linker import Linker
    from el.ontology.retired import load_retired_ids
    from el.report.tables import result_table

    documents = [document for path in options.corpus for document in open_corpus(path)]
    protocol = named_protocol("full")
    linker = Linker.load(options.linker, use_learned_synonyms=False)
    documents, notes = prepared(documents, linker.ontology, load_retired_ids())
    if not any(mention.concept_ids for document in documents for mention in document.mentions):
        raise InputError(
            options.corpus[0], "", "no mention has an id of MeSH or the ontology", "Give an annotated corpus"
        )
    repeated = next((i for i, n in Counter(document.id for document in documents).items() if n > 1), None)
    if repeated is not None:
        remedy = "Give each document once, and each document another id"
        raise InputError(options.corpus[0], f"document {repeated}", "occurs several times", remedy)
    for note in notes:
        print(note, file=sys.stderr)
    split = Split("corpus", documents, _seen(documents, linker))
    makers: dict[str, MakeRanker] = {"model": lambda _: linker.ranker, "el_link": lambda _: linker}
    if linker.synonyms is not None:
        makers["el_link_learned"] = lambda _: Linker.load(options.linker, use_learned_synonyms=True)
    figures: dict[str, float] = {}
    predictions: dict[str, list[Prediction]] = {}
    context = linker.inputs.context_characters
    for system, make in makers.items():
        retrieved = linker.config.retrieved if system == "model" else None
        found, predictions[system] = evaluate(system, make, split, protocol, context, retrieved)
        figures |= found
    names = ", ".join(path.name for path in options.corpus)
    count = int(figures["full/el_link/all/count"])
    caption = (
        f"Protocol `full`, {names}, {count:,} mentions against {len(linker.ontology):,} concepts. "
        "Unseen: forms and ids that are not among the linker's learned synonyms."
    )
    print(result_table(caption, figures, protocol, list(makers), {}, linker.config.retrieved).markdown())
    if options.output is not None:
        _write(options.output, figures, predictions)


def _write(
    folder: Path, figures: Mapping[str, float], predictions: "Mapping[str, Sequence[Prediction]]"
) -> None:
    from el.base.files import atomic_folder, write_json
    from el.evaluation.predictions import write_predictions

    with atomic_folder(folder) as out:
        write_json(out / _FIGURES, dict(figures))
        for system, of_system in predictions.items():
            write_predictions(out / f"{system}.jsonl.gz", of_system)
    print(folder, file=sys.stderr)


def prepared(
    documents: "Iterable[Document]", known: Container[str], retired: Mapping[str, str]
) -> "tuple[list[Document], list[str]]":
    """Returns documents with the mentions that count, and notes for the user about the others.

    A mention counts if it has an id of MeSH, OMIM or the ontology. A mention without any id counts if its
    type is a chemical or a disease. Types that mean chemical or disease are replaced by these words; other
    types stay.

    Args:
        documents: documents of any corpus.
        known: the ids of the ontology.
        retired: retired id -> current id; retired ids are replaced.
    """
    # Slow to import: the module loads the libraries that read ontologies.
    from el.ontology.ontology import kind_of_type
    from el.ontology.retired import current_id

    out: list[Document] = []
    left_out: Counter[str] = Counter()
    unknown: Counter[str] = Counter()

    for document in documents:
        mentions: list[Mention] = []
        for mention in document.mentions:
            ids = tuple(
                current_id(i, known, retired) for i in mention.concept_ids if i in known or _IDS.fullmatch(i)
            )
            if not ids and (mention.concept_ids or kind_of_type(mention.type) is None):
                left_out[mention.type or "no type"] += 1
                continue
            unknown.update(concept_id for concept_id in ids if concept_id not in known)
            mentions.append(
                replace(mention, concept_ids=ids, type=kind_of_type(mention.type) or mention.type)
            )
        out.append(replace(document, mentions=tuple(mentions)))
    notes = [f"left out: {count:,} mentions of type {kind}" for kind, count in left_out.most_common()]
    if unknown:
        examples = ", ".join(concept_id for concept_id, _ in unknown.most_common(5))
        notes.append(f"ids that are not in the ontology: {len(unknown):,} ({examples}, ...)")
    return out, notes


def _seen(documents: "Sequence[Document]", linker: "Linker") -> "Seen":
    """Returns the forms and ids of the documents that are among the linker's learned synonyms."""
    from el.evaluation.queries import full_queries
    from el.evaluation.rows import Seen

    synonyms = linker.synonyms
    if synonyms is None:
        return Seen(frozenset(), frozenset())
    # Looked up with abbreviations written out, as learned synonyms are stored.
    forms = {query.text.casefold() for query in full_queries(documents) if synonyms.counts_of(query.expanded)}
    return Seen(frozenset(forms), frozenset(synonyms.concept_counts))
