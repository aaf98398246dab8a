"""Stage: makes the linker from the system that is best on dev, the ontology and its vectors.

Measures also what each part of the linker contributes: this needs the same model and vectors.
"""

import tempfile
from pathlib import Path

from el.base.cli import run_command
from el.base.params import load_section
from el.evaluation.fitting_data import corpus_sets
from el.evaluation.run import known_documents, load_split
from el.linking.config import LinkerConfig
from el.linking.evidence import Combination
from el.linking.fitting import fit_all
from el.linking.folder import save_linker
from el.linking.mentions import MentionFinder
from el.linking.rankers import ModelRanker
from el.linking.synonyms import LearnedSynonyms
from el.models.loading import load_model
from el.models.tower import Tower
from el.ontology.spellings import Spellings
from el.pipeline.ablate import write_ablation
from el.pipeline.choose import choose
from el.pipeline.common import LINKER, Workspace
from el.runtime.compile import make_engine
from el.tagging.compile import compile_tagger
from el.tagging.store import load_tagger, word_embeddings


def _combinations(
    space: Workspace, ranker: ModelRanker, query_tower: Tower, known: LearnedSynonyms
) -> dict[str, Combination]:
    """Fits the weights on dev, with the learned synonyms of train; of several corpora, those of each."""
    spellings = Spellings.of_ontology(space.ontology)
    tagger = load_tagger(space.models / "tagger", word_embeddings(query_tower.transformer))
    with tempfile.TemporaryDirectory() as scratch:
        compile_tagger(tagger, Path(scratch) / "tagger")
        finder = MentionFinder(space.ontology, spellings, known, Path(scratch) / "tagger")
        sets = corpus_sets(
            [space.data / "corpus"], space.ontology, finder.found, space.inputs.context_characters
        )
    return fit_all(ranker, spellings, sets)


def main() -> None:
    space = Workspace.here()
    system = choose(space)
    model, corpus = space.finetuned(system), space.data / "corpus"
    config = load_section(LinkerConfig, space.params, "link")
    loaded = load_model(model)
    vectors = space.vectors(loaded)
    ranker = ModelRanker(make_engine(loaded), vectors, space.ontology, config.retrieved)
    dev = load_split(corpus, "dev")
    known = LearnedSynonyms.of_documents(known_documents(corpus, "dev"), space.ontology)
    save_linker(
        LINKER,
        model=model,
        ontology=space.data / "ontology",
        vectors=vectors,
        combinations=_combinations(space, ranker, loaded.query_tower, known),
        config=config,
        inputs=space.inputs,
        # They may come from train and dev, because the linker is scored on test.
        synonyms=LearnedSynonyms.of_documents(known_documents(corpus, "test"), space.ontology),
        made_by={
            "system": system,
            "data": space.params["data"]["name"],
            "encoder": space.params["encoder"]["name"],
        },
        tagger=space.models / "tagger",
    )
    write_ablation(space, ranker, known, dev)


if __name__ == "__main__":
    run_command(main, __doc__)
