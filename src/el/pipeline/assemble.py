"""Stage: makes the linker from the system that was best on dev, the ontology and its vectors."""

import tempfile
from pathlib import Path

from el.base.cli import run_command
from el.base.errors import InputError
from el.base.files import read_json
from el.base.params import load_section
from el.evaluation.queries import fitting_queries
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
from el.pipeline.common import LINKER, METRICS, Workspace
from el.runtime.compile import make_engine
from el.tagging.compile import compile_tagger
from el.tagging.store import load_tagger, word_embeddings


def winner(space: Workspace) -> str:
    """Returns the system that was chosen on dev.

    Raises:
        InputError: metrics/winner.json is missing, or names a system that the parameters do not have.
    """
    path = METRICS / "winner.json"
    chosen = read_json(path)
    system = chosen.get("system") if isinstance(chosen, dict) else None
    if system not in space.trained_systems:
        raise InputError(path, "", f"names no trained system, but {system!r}", "Run the stage choose again")
    return str(system)


def _combinations(space: Workspace, ranker: ModelRanker, query_tower: Tower) -> dict[str, Combination]:
    """Fits the weights on dev, with the learned synonyms of train."""
    corpus = space.data / "corpus"
    known = LearnedSynonyms.of_documents(known_documents(corpus, "dev"), space.ontology)
    documents, context = load_split(corpus, "dev").documents, space.inputs.context_characters
    spellings = Spellings.of_ontology(space.ontology)
    tagger = load_tagger(space.models / "tagger", word_embeddings(query_tower.transformer))
    with tempfile.TemporaryDirectory() as scratch:
        compile_tagger(tagger, Path(scratch) / "tagger")
        finder = MentionFinder(space.ontology, spellings, known, Path(scratch) / "tagger")
        queries = fitting_queries(documents, finder.found, context)
    return fit_all(ranker, spellings, known, queries)


def main() -> None:
    space = Workspace.here()
    system = winner(space)
    model = space.finetuned(system)
    # The learned synonyms may come from train and dev, because the linker is scored on test.
    documents = known_documents(space.data / "corpus", "test")
    config = load_section(LinkerConfig, space.params, "link")
    loaded = load_model(model)
    vectors = space.vectors(loaded)
    ranker = ModelRanker(make_engine(loaded), vectors, space.ontology, config.retrieved)
    save_linker(
        LINKER,
        model=model,
        ontology=space.data / "ontology",
        vectors=vectors,
        combinations=_combinations(space, ranker, loaded.query_tower),
        config=config,
        inputs=space.inputs,
        synonyms=LearnedSynonyms.of_documents(documents, space.ontology),
        made_by={
            "system": system,
            "data": space.params["data"]["name"],
            "encoder": space.params["encoder"]["name"],
        },
        tagger=space.models / "tagger",
    )


if __name__ == "__main__":
    run_command(main, __doc__)
