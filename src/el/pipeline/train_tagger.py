"""Stage: trains the tagger, which finds mentions in plain text.

The tagger is trained on train and measured on dev. With `tagger.with_dev`, a second tagger is trained by the
same recipe on both splits, and this one is saved. The encoder starts as the aligned tower.
"""

from collections.abc import Sequence

from el.base.cli import run_command
from el.base.files import sha256_file, write_json
from el.base.params import load_section
from el.corpus.types import Document
from el.evaluation.mentions import figures, gold_spans, span_tally
from el.evaluation.run import load_split
from el.models.loading import load_model
from el.ontology.spellings import Spellings
from el.pipeline.common import METRICS, RUNS, Workspace
from el.tagging.compile import make_tagger
from el.tagging.config import TaggerConfig
from el.tagging.encoding import WordEncoder
from el.tagging.finder import DictionaryFinder
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

    def documents(self, split: str) -> Sequence[Document]:
        """Returns the documents of a split."""
        return load_split(self.space.data / "corpus", split).documents

    def train(self, splits: Sequence[str]) -> TrainedTagger:
        """Trains a tagger on some splits. An interrupted training continues where it stopped."""
        tagger = fresh_tagger(self.start, self.config)
        encoder = WordEncoder(tagger.tokenizer, self.finder, tagger.reading.max_pieces)
        data = [
            example
            for split in splits
            for document in self.documents(split)
            for example in examples(encoder.words(document), gold_spans(document), tagger.reading)
        ]
        inputs = {"start": self.start.fingerprint(), "ontology": self.space.ontology.fingerprint}
        inputs |= {split: sha256_file(self.space.data / "corpus" / f"{split}.jsonl") for split in splits}
        scratch = RUNS / f"tagger-{run_key(self.config, inputs)}"
        train_tagger(tagger.model, self.config, data, tagger.reading, scratch)
        return tagger


def main() -> None:
    space = Workspace.here()
    trainings = Trainings(space)
    tagger = trainings.train(["train"])
    documents = trainings.documents("dev")
    found = make_tagger(tagger, trainings.finder).mentions(documents)
    measured = figures(span_tally(documents, found))
    if trainings.config.with_dev:
        tagger = trainings.train(["train", "dev"])
    tagger.save(space.models / "tagger")
    # Only the figure that `dvc metrics` shows; `python -m el.pipeline.evaluate_tagger` measures all.
    write_json(METRICS / "tagger.json", {"dev.f1": measured["all/f1"]})


if __name__ == "__main__":
    run_command(main, __doc__)
