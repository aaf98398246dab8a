"""Stage: trains the tagger, which finds mentions in plain text.

The tagger is trained on train and measured on dev. With `tagger.with_dev`, a second tagger is trained by the
same recipe on both splits, and this one is saved. The encoder starts as the aligned tower.
"""

import hashlib
import itertools
from collections.abc import Sequence

from el.base.cli import run_command
from el.base.files import write_json
from el.base.params import load_section
from el.corpus.splits import split_checksum
from el.corpus.types import Document
from el.evaluation.mentions import annotated_kinds, figures, gold_spans, joined, span_tally
from el.evaluation.run import Split, load_split
from el.models.loading import load_model
from el.ontology.ontology import Kind
from el.ontology.spellings import Spellings
from el.pipeline.common import METRICS, RUNS, Workspace
from el.tagging.compile import make_tagger
from el.tagging.config import TaggerConfig
from el.tagging.encoding import WordEncoder
from el.tagging.finder import DictionaryFinder
from el.tagging.labels import TYPES
from el.tagging.notes import NoteMaker
from el.tagging.store import TrainedTagger, fresh_tagger
from el.tagging.training import examples, train_tagger
from el.training.config import run_key


class Trainings:
    """Trains taggers by one recipe from the same start, on different splits of the corpus."""

    def __init__(self, space: Workspace) -> None:
        self.space = space
        self.config = load_section(TaggerConfig, space.params, "tagger")
        self.start = load_model(space.models / "aligned")
        self.finder = DictionaryFinder(Spellings.of_ontology(space.ontology))

    def split(self, name: str) -> Split:
        """Reads a split."""
        return load_split(self.space.data / "corpus", name)

    def train(self, splits: Sequence[str]) -> TrainedTagger:
        """Trains a tagger on some splits and on notes. An interrupted training continues where it stopped.

        A corpus does not teach kinds of mention that only others annotate.
        """
        tagger = fresh_tagger(self.start, self.config)
        encoder = WordEncoder(tagger.tokenizer, self.finder, tagger.reading.max_pieces)
        corpora = [documents for split in splits for documents in self.split(split).of_corpora]
        maker = NoteMaker(self.space.ontology, list(itertools.chain(*corpora)), self.config.seed)
        sources = [*corpora, list(maker.notes(self.config.notes))]
        data = [
            example
            for documents, kinds in zip(sources, taught_kinds(sources), strict=True)
            for document in documents
            for example in examples(encoder.words(document), gold_spans(document), tagger.reading, kinds)
        ]
        inputs = {"start": self.start.fingerprint(), "ontology": self.space.ontology.fingerprint}
        inputs["notes"] = hashlib.sha256(repr(sources[-1]).encode()).hexdigest()
        inputs |= {split: split_checksum(self.space.data / "corpus", split) for split in splits}
        scratch = RUNS / f"tagger-{run_key(self.config, inputs)}"
        train_tagger(tagger.model, self.config, data, tagger.reading, scratch)
        return tagger


def taught_kinds(sources: Sequence[Sequence[Document]]) -> list[tuple[Kind, ...]]:
    """Returns the kinds of mention that each source of documents teaches.

    These are the kinds that it annotates, and those that no source annotates: of the latter it teaches that
    there are none.
    """
    annotated = [annotated_kinds(documents) for documents in sources]
    nowhere = tuple(kind for kind in TYPES if not any(kind in kinds for kinds in annotated))
    return [(*kinds, *nowhere) for kinds in annotated]


def main() -> None:
    space = Workspace.here()
    trainings = Trainings(space)
    tagger = trainings.train(["train"])
    tagging = make_tagger(tagger, trainings.finder)
    # Of several corpora each is counted apart, because each annotates kinds of its own.
    corpora = trainings.split("dev").of_corpora
    measured = figures(joined(span_tally(one, tagging.mentions(one)) for one in corpora))
    if trainings.config.with_dev:
        tagger = trainings.train(["train", "dev"])
    tagger.save(space.models / "tagger")
    # Only the figure that `dvc metrics` shows; `python -m el.pipeline.evaluate_tagger` measures all.
    write_json(METRICS / "tagger.json", {"dev.f1": measured["all/f1"]})


if __name__ == "__main__":
    run_command(main, __doc__)
