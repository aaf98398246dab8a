"""The mentions and learned synonyms of corpora that a linker's weights are fitted on."""

from collections.abc import Sequence
from pathlib import Path

from el.corpus.splits import split_files
from el.evaluation.queries import FindIn, fitting_queries
from el.evaluation.run import known_documents, load_split
from el.linking.fitting import FittingSet, fitting_sets
from el.linking.synonyms import LearnedSynonyms
from el.ontology.ontology import Ontology


def corpus_sets(
    corpora: Sequence[Path], ontology: Ontology, find: FindIn, context_characters: int
) -> list[FittingSet]:
    """Returns the mentions of dev with the learned synonyms of train, each corpus with those of each.

    Weights that are fitted to a corpus with its own synonyms alone trust synonyms too much on other corpora.

    Args:
        corpora: folders of one converted corpus or of several (`el.corpus.splits`).
        ontology: the ontology of the gold ids.
        find: finds mentions in documents, such as `MentionFinder.found`.
        context_characters: the most characters of context on each side of a query.
    """
    queries, synonyms = [], []
    for folder in corpora:
        for corpus in (path.parent for path in split_files(folder, "dev").values()):
            documents = load_split(corpus, "dev").documents
            queries.append(fitting_queries(documents, find, context_characters))
            synonyms.append(LearnedSynonyms.of_documents(known_documents(corpus, "dev"), ontology))
    return fitting_sets(queries, synonyms)
