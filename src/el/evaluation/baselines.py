"""Rankers without a neural network: majority look-up, exact match, and character n-grams.

Their constructors share two arguments:

    candidates: the ids that may be ranked; None for all ids.
    expand_abbreviations: whether to rank for `Query.expanded` instead of `Query.text`.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from el.base.extras import needs_extra
from el.base.text import normalise
from el.corpus.types import Document
from el.linking.query import Query
from el.linking.ranking import Ranker, Ranking, make_ranking, rank_scores
from el.ontology.ontology import Ontology

# How many queries are scored at once against all names. Their scores are a sparse matrix, which takes at most
# 9 MB a query for all names of MeSH. A larger value takes more memory.
_BATCH_QUERIES = 16


class MajorityLookup:
    """Ranks the ids that annotators gave to a surface form, the most frequent id first.

    Forms are compared in normalised form (`normalise`). A mention with several ids counts for each of them.
    Parts of composites count like other mentions. The score of an id is its share of all ids of the form.
    """

    def __init__(
        self,
        documents: Iterable[Document],
        candidates: Collection[str] | None = None,
        expand_abbreviations: bool = False,
    ) -> None:
        """Counts the annotations of training documents."""
        self._expand = expand_abbreviations
        self._counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for document in documents:
            for mention in document.mentions:
                ids = [i for i in mention.concept_ids if candidates is None or i in candidates]
                self._counts[normalise(mention.text)].update(ids)
        self._counts.pop("", None)

    def rank(self, queries: Sequence[Query], k: int) -> list[Ranking]:
        """Returns a ranking of at most `k` concepts for each query; empty for a form not seen in training."""
        return [self._rank(normalise(_text(query, self._expand)), k) for query in queries]

    def _rank(self, form: str, k: int) -> Ranking:
        counts = self._counts.get(form, Counter())
        return make_ranking({i: count / counts.total() for i, count in counts.items()}, k)


class ExactMatch:
    """Ranks the concepts that have the mention as a name. Both are compared in normalised form.

    If several concepts have the name, a concept with it as preferred name comes before others, then a
    descriptor before a supplementary record, then the smaller id. The score is .25, plus .5 for a preferred
    name, plus .25 for a descriptor.
    """

    def __init__(
        self,
        ontology: Ontology,
        candidates: Collection[str] | None = None,
        expand_abbreviations: bool = False,
    ) -> None:
        """Indexes the names of the ontology's concepts."""
        self._ontology = ontology
        self._expand = expand_abbreviations
        self._name_rows: defaultdict[str, list[int]] = defaultdict(list)
        for row in _name_rows(ontology, candidates).tolist():
            self._name_rows[normalise(ontology.name_texts[row])].append(row)
        # Names of signs only are all "" in normalised form. That does not make them the same name.
        self._name_rows.pop("", None)

    def rank(self, queries: Sequence[Query], k: int) -> list[Ranking]:
        """Returns a ranking of at most `k` concepts for each query; empty if no concept has the name."""
        return [self._rank(normalise(_text(query, self._expand)), k) for query in queries]

    def _rank(self, form: str, k: int) -> Ranking:
        scores: dict[str, float] = {}
        for row in self._name_rows.get(form, ()):
            concept_row = int(self._ontology.concept_of_name[row])
            concept = self._ontology.concept(concept_row)
            is_preferred = row == self._ontology.first_name[concept_row]
            score = 0.25 + 0.5 * is_preferred + 0.25 * (concept.record == "descriptor")
            scores[concept.id] = max(score, scores.get(concept.id, 0.0))
        return make_ranking(scores, k)


class TfidfNames:
    """Ranks concepts by the cosine of TF-IDF vectors of character 3-grams.

    A concept has the score of its best name. This is the candidate generator of scispaCy (Neumann et al.
    2019, "ScispaCy: Fast and Robust Models for Biomedical Natural Language Processing", section 4), but it
    scores all names, where scispaCy searches approximately.
    """

    def __init__(
        self,
        ontology: Ontology,
        candidates: Collection[str] | None = None,
        expand_abbreviations: bool = False,
    ) -> None:
        """Indexes the names of the ontology's concepts.

        Raises:
            ValueError: the candidates have no names to index.
        """
        # Imported here, because importing scikit-learn takes seconds and no other system needs it.
        with needs_extra("pipeline"):
            from sklearn.feature_extraction.text import TfidfVectorizer

        self._expand = expand_abbreviations
        rows = _name_rows(ontology, candidates)
        self._vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 3), dtype=np.float32)
        names = self._vectorizer.fit_transform([ontology.name_texts[row] for row in rows])
        # (3-grams, names): each row of this matrix lists the names with a 3-gram, as an inverted index does.
        self._names_of_gram = names.T.tocsr()
        concept_rows, self._first_name = np.unique(ontology.concept_of_name[rows], return_index=True)
        self._ids = [ontology.ids[row] for row in concept_rows]

    def rank(self, queries: Sequence[Query], k: int) -> list[Ranking]:
        """Returns a ranking of at most `k` concepts for each query; empty if no name shares a 3-gram."""
        texts = [_text(query, self._expand) for query in queries]
        distinct = list(dict.fromkeys(texts))
        rankings: dict[str, Ranking] = {}
        for start in range(0, len(distinct), _BATCH_QUERIES):
            batch = distinct[start : start + _BATCH_QUERIES]
            name_scores = self._vectorizer.transform(batch) @ self._names_of_gram
            for row, text in enumerate(batch):
                rankings[text] = self._rank(name_scores[row].toarray()[0], k)
        return [rankings[text] for text in texts]

    def _rank(self, name_scores: npt.NDArray[np.float32], k: int) -> Ranking:
        # `reduceat` needs the names of a concept side by side, and an ontology keeps them so.
        concept_scores = np.maximum.reduceat(name_scores, self._first_name)
        rows = np.flatnonzero(concept_scores)
        return rank_scores(rows, concept_scores[rows], self._ids, k)


class FirstAnswer:
    """Asks several rankers in order, and returns for each query the first ranking that is not empty."""

    def __init__(self, rankers: Sequence[Ranker]) -> None:
        """Takes the rankers in the order in which they are asked."""
        self._rankers = rankers

    def rank(self, queries: Sequence[Query], k: int) -> list[Ranking]:
        """Returns a ranking of at most `k` concepts for each query; empty if no ranker has an answer."""
        rankings = [Ranking((), ())] * len(queries)
        for ranker in self._rankers:
            unanswered = [place for place, ranking in enumerate(rankings) if not ranking.concept_ids]
            answers = ranker.rank([queries[place] for place in unanswered], k)
            for place, answer in zip(unanswered, answers, strict=True):
                rankings[place] = answer
        return rankings


def _text(query: Query, expand_abbreviations: bool) -> str:
    return query.expanded if expand_abbreviations else query.text


def _name_rows(ontology: Ontology, candidates: Collection[str] | None) -> npt.NDArray[np.int64]:
    """Returns the name rows of the candidates, ascending."""
    if candidates is None:
        return np.arange(len(ontology.name_texts), dtype=np.int64)
    return ontology.rows_of_names(candidates)
