"""`el evaluate`: how well a linker does on an annotated corpus that it was not trained on.

Slow modules are imported after the arguments are read, so that --help and error messages appear at once.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from el.base.cli import command_parser, say
from el.base.errors import ElError, InputError
from el.commands.arguments import (
    EXIT_CODES,
    add_corpus_argument,
    add_force_argument,
    add_linker_argument,
    check_folder,
    say_if_begun,
)

if TYPE_CHECKING:
    from el.corpus.types import Document, LinkedDocument
    from el.evaluation.predictions import Prediction
    from el.evaluation.rows import Seen
    from el.linking.linker import Linker

_DESCRIPTION = """\
Scores a linker on annotated documents.

Mentions are annotated with ids of the linker's ontology, such as MeSH. The protocol is `full`: every mention
with such an id is linked against the whole ontology. An id of the ontology's vocabulary that the ontology
does not have, such as a MeSH id, counts as a miss. Ids of other vocabularies, such as UMLS, OMIM or Entrez,
are left out, or replaced with --mapping. Ids in another spelling (d003920) are read as the ids that they can
only be. All of these are counted and reported.

CORPUS is PubTator, BioC, brat or JSON lines. Ids may have the prefix MESH:. Several ids of one mention are
separated by |, + or commas. The linker is right if it finds one of them. A document that occurs twice is an
error, and so is a mention whose text is not at its offsets.

Nothing is trained. Do not give documents that the linker was trained on.
"""

_EPILOG = f"""\
example:
  el evaluate NCBItestset_corpus.txt -o results/ncbi

systems in the printed table:
  model            the scores of the model alone: those of a q-net, or dot products
  el_link          the linker without learned synonyms
  el_link_learned  the linker with learned synonyms, if it has them

{EXIT_CODES}
With --keep-going, the figures of all other documents and mentions are printed before the command ends with
code 1.
"""

_FIGURES = "figures.json"


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
    say_if_begun(options.linker)
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
    parser.add_argument(
        "-m",
        "--mapping",
        metavar="FILE",
        type=Path,
        help="replace ids of another vocabulary: a table of two columns separated by tabs, an id of the "
        "corpus and an id of the linker's ontology; an id with several targets is left out",
    )
    parser.add_argument(
        "--find-mentions",
        action="store_true",
        help="also find mentions in the text, as if it had none, and score their places and ids",
    )
    parser.add_argument(
        "--keep-going",
        action="store_true",
        help="report and skip documents and mentions that cannot be used, and score the others",
    )
    return parser


@dataclass
class _Skipped:
    """The documents and mentions that cannot be used.

    Attributes:
        is_scored: whether mentions of a type are scored.
        keep_going: whether errors are kept. Otherwise they are raised, except for mentions that are not
            scored.
    """

    is_scored: Callable[[str], bool]
    keep_going: bool
    problems: list[InputError] = field(default_factory=list)
    harmless: list[InputError] = field(default_factory=list)

    def add(self, error: InputError) -> None:
        """Keeps an error, or raises it."""
        from el.corpus.checks import MentionError

        if isinstance(error, MentionError) and not self.is_scored(error.type):
            self.harmless.append(error)
        elif self.keep_going:
            self.problems.append(error)
        else:
            raise error

    def messages(self) -> Iterator[str]:
        """Yields what the user should know."""
        if self.harmless:
            count = len(self.harmless)
            mentions = "1 annotation" if count == 1 else f"{count:,} annotations"
            yield f"{mentions} of types that are not scored cannot be used. The first: {self.harmless[0]}"
        for problem in self.problems:
            yield f"skipped: {problem}"


def _evaluate(options: argparse.Namespace) -> None:
    from el.evaluation.gold import GoldIds, read_mapping
    from el.evaluation.protocol import named_protocol
    from el.evaluation.run import MakeRanker, Split, evaluate
    from el.linking.linker import Linker
    from el.ontology.retired import load_retired_ids
    from el.report.tables import result_table

    mapping = {} if options.mapping is None else read_mapping(options.mapping)
    protocol = named_protocol("full")
    linker = Linker.load(options.linker, use_learned_synonyms=False)
    skipped = _Skipped(lambda type: linker.mention_finder.is_linked(type, None), options.keep_going)
    read = list(_read(options.corpus, skipped.add))
    for message in skipped.messages():
        say(message)
    gold = GoldIds(linker.ontology.row_of, load_retired_ids(), mapping)
    documents = list(gold.documents(read))
    notes = gold.notes()
    if not gold.answerable:
        reason = "; ".join(["no mention has an id of the linker's ontology", *notes])
        remedy = "Give a corpus with such ids, a linker of the corpus's vocabulary, or --mapping"
        raise InputError(options.corpus[0], "", reason, remedy)
    for note in notes:
        say(note)
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
    if options.find_mentions:
        figures |= _found(read, documents, Linker.load(options.linker), names)
    if options.output is not None:
        _write(options.output, figures, predictions)
    if count := len(skipped.problems):
        what = "document or mention was" if count == 1 else "documents or mentions were"
        raise ElError(f"{count} {what} not scored; see the messages above")


def _found(
    read: "Sequence[Document]", documents: "Sequence[Document]", linker: "Linker", names: str
) -> dict[str, float]:
    """Finds mentions in the texts of documents, links them, and prints how well. Returns the figures.

    Args:
        read: the documents as they were read.
        documents: the documents with the mentions that are scored. Links of others do not count.
        linker: the linker.
        names: the names of the files.
    """
    from el.evaluation.mentions import figures, linked_tally, prefixed, span_tally
    from el.report.found import found_table

    bare = [replace(document, mentions=()) for document in documents]
    linked = list(linker.link(bare, "always"))
    tally = span_tally(read, [[m.mention for m in one.mentions] for one in linked])
    scored = [_without(*three) for three in zip(linked, read, documents, strict=True)]
    flat = prefixed("el_link", figures(tally | linked_tally(documents, scored)))
    print(found_table(flat, f"Mentions found in the text, {names}.").markdown())
    return flat


def _without(linked: "LinkedDocument", read: "Document", scored: "Document") -> "LinkedDocument":
    """Returns a linked document without the links at places of mentions that are not scored."""
    dropped = {m.spans for m in read.mentions} - {m.spans for m in scored.mentions}
    return replace(linked, mentions=tuple(m for m in linked.mentions if m.mention.spans not in dropped))


def _write(
    folder: Path, figures: Mapping[str, float], predictions: "Mapping[str, Sequence[Prediction]]"
) -> None:
    from el.base.files import atomic_folder, write_json
    from el.evaluation.predictions import write_predictions

    with atomic_folder(folder) as out:
        write_json(out / _FIGURES, dict(figures))
        for system, of_system in predictions.items():
            write_predictions(out / f"{system}.jsonl.gz", of_system)
    say(str(folder))


def _read(paths: Sequence[Path], skip: Callable[[InputError], None]) -> "Iterator[Document]":
    """Yields the documents of several files.

    Args:
        paths: the files.
        skip: receives the error of each document or mention that cannot be used, and of each document whose
            id another document has.
    """
    from el.corpus.formats import open_corpus

    seen: dict[str, Document] = {}
    for path in paths:
        for document in open_corpus(path).documents(skip):
            earlier = seen.get(document.id)
            if earlier is None:
                # Without its source, which takes memory and is not used.
                seen[document.id] = replace(document, source=None)
                yield seen[document.id]
                continue
            problem = "occurs again" if earlier == document else "occurs again, with another content"
            remedy = "Give each document once, and each document another id"
            skip(InputError(path, f"document {document.id}", problem, remedy))


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
