"""Command: measures how well mentions are found in plain text and linked.

    python -m el.pipeline.evaluate_tagger -l models/mesh --split test -o results/bc5cdr_indra-minilm/tagger

Removes the mentions from the documents of a split, finds mentions with the linker's tagger, and links them.
For comparison, mentions are also found with the dictionary alone. The corpus is that of params.yaml. Learned
synonyms are those of train, and of dev too if the split is test. The tagger must not have been trained on the
split.

Writes the figures, <split>.json, and a table, <split>.md.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from el.base.cli import command_parser, run_command
from el.base.errors import ElError
from el.base.files import atomic_file, write_json
from el.commands.arguments import add_linker_argument
from el.corpus.types import Document
from el.evaluation.mentions import Tally, figures, joined, linked_tally, prefixed, span_tally
from el.evaluation.queries import FindIn
from el.evaluation.run import known_documents, load_split
from el.linking.linker import Linker
from el.ontology.spellings import Spellings
from el.pipeline.common import Workspace
from el.report.found import found_table
from el.tagging.finder import DictionaryFinder


def score(linker: Linker, corpus: Path, split: str) -> dict[str, float]:
    """Returns the flat figures `<system>/<row>/<metric>`. Systems are "tagger" and "dictionary".

    Args:
        linker: a linker with a tagger.
        corpus: the folder of the converted corpus.
        split: "dev" or "test".

    Raises:
        ElError: the linker has no tagger.
    """
    if not linker.mention_finder.has_tagger:
        raise ElError(
            "the linker has no tagger that can be measured: it finds only names of its ontology. Give "
            "another --linker"
        )
    linker = linker.restricted(None, known_documents(corpus, split))
    finder = DictionaryFinder(Spellings.of_ontology(linker.ontology))
    systems: dict[str, FindIn] = {
        "tagger": linker.mention_finder.found,
        "dictionary": lambda documents: [finder.mentions(document) for document in documents],
    }
    # Of several corpora each is counted apart, because each annotates kinds of its own.
    corpora = load_split(corpus, split).of_corpora
    flat: dict[str, float] = {}
    for system, find in systems.items():
        tally = joined(_tally(linker, documents, find) for documents in corpora)
        flat |= prefixed(system, figures(tally))
    return flat


def _tally(linker: Linker, documents: Sequence[Document], find: FindIn) -> Tally:
    """Counts what is found and linked in the bare texts of documents."""
    bare = [replace(document, mentions=()) for document in documents]
    mentions = [tuple(found) for found in find(bare)]
    given = [replace(d, mentions=found) for d, found in zip(bare, mentions, strict=True)]
    linked = list(linker.link(given, "never"))
    return span_tally(documents, mentions) | linked_tally(documents, linked)


def main() -> None:
    parser = command_parser(__doc__)
    add_linker_argument(parser)
    parser.add_argument("--split", choices=("dev", "test"), default="dev", help="(default: %(default)s)")
    parser.add_argument("-o", "--output", metavar="FOLDER", type=Path, required=True)
    options = parser.parse_args()
    space = Workspace.here()
    flat = score(Linker.load(options.linker), space.data / "corpus", options.split)
    command = f"python -m el.pipeline.evaluate_tagger --split {options.split}"
    caption = f"Mentions in plain text, {space.params['data']['name']}, {options.split} (`{command}`)."
    write_json(options.output / f"{options.split}.json", flat)
    with atomic_file(options.output / f"{options.split}.md") as temporary:
        temporary.write_text(found_table(flat, caption).markdown(), encoding="utf-8")


if __name__ == "__main__":
    run_command(main)
