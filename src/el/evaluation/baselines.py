"""Rankers without a neural network: look-up, exact match, and character n-grams.

These three take, besides documents or an ontology:

    candidates: the only ids that may be ranked; None for all.
    expand_abbreviations: rank for `Query.expanded`, not for `Query.text`.
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

# Queries whose scores against all names are held at once, as a sparse matrix: at most 9 MB each for
# all names of MeSH.
_BATCH_QUERIES = 16


class MajorityLookup:
    """The ids that annotators gave to a surface form, the most frequent first.

    Forms are compared normalised. A mention of several ids counts for each of them; parts of
    composites count like other mentions. The score of an id is its share of the form's ids.
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
        """Returns one ranking a query, of at most `k` concepts; empty for a form never seen."""
        return [self._rank(normalise(_text(query, self._expand)), k) for query in queries]

    def _rank(self, form: str, k: int) -> Ranking:
        counts = self._counts.get(form, Counter())
        return make_ranking({i: count / counts.total() for i, count in counts.items()}, k)


class ExactMatch:
    """The concepts of which a name equals the mention, both normalised.

    If several do: a preferred name before other names, then a descriptor before a supplementary
    record, then the smaller id. Scores from 1 down to .25 say which case it is.
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
        # Of names that are signs alone nothing is left; they are not equal for that.
        self._name_rows.pop("", None)

    def rank(self, queries: Sequence[Query], k: int) -> list[Ranking]:
        """Returns one ranking a query, of at most `k` concepts; empty if no name is equal."""
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
    """Cosine of TF-IDF vectors of character 3-grams; a concept scores as its best name does.

    The candidate generator of scispaCy (Neumann et al. 2019, "ScispaCy: Fast and Robust Models for
    Biomedical Natural Language Processing", section 4), searched exhaustively.
    """

    def __init__(
        self,
        ontology: Ontology,
        candidates: Collection[str] | None = None,
        expand_abbreviations: bool = False,
    ) -> None:
        """Indexes the names of the ontology's concepts.

        Raises:
            ValueError: no name is left to index.
        """
        # Here, because importing scikit-learn takes seconds, and all other systems do without.
        with needs_extra("pipeline"):
            from sklearn.feature_extraction.text import TfidfVectorizer

        self._expand = expand_abbreviations
        rows = _name_rows(ontology, candidates)
        self._vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 3), dtype=np.float32)
        names = self._vectorizer.fit_transform([ontology.name_texts[row] for row in rows])
        # (3-grams, names): the rows of this matrix are an inverted index.
        self._names_of_gram = names.T.tocsr()
        concept_rows, self._first_name = np.unique(ontology.concept_of_name[rows], return_index=True)
        self._ids = [ontology.ids[row] for row in concept_rows]

    def rank(self, queries: Sequence[Query], k: int) -> list[Ranking]:
        """Returns one ranking a query, of at most `k` concepts; empty if no 3-gram is known."""
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
        # The names of one concept are neighbours.
        concept_scores = np.maximum.reduceat(name_scores, self._first_name)
        rows = np.flatnonzero(concept_scores)
        return rank_scores(rows, concept_scores[rows], self._ids, k)


class FirstAnswer:
    """The ranking of the first of several rankers that has one."""

    def __init__(self, rankers: Sequence[Ranker]) -> None:
        """Takes the rankers, the one to ask first at the head."""
        self._rankers = rankers

    def rank(self, queries: Sequence[Query], k: int) -> list[Ranking]:
        """Returns one ranking a query, of at most `k` concepts; empty if no ranker has an answer."""
        rankings = [Ranking((), ())] * len(queries)
        for ranker in self._rankers:
            open_places = [place for place, ranking in enumerate(rankings) if not ranking.concept_ids]
            answers = ranker.rank([queries[place] for place in open_places], k)
            for place, answer in zip(open_places, answers, strict=True):
                rankings[place] = answer
        return rankings


def _text(query: Query, expand_abbreviations: bool) -> str:
    return query.expanded if expand_abbreviations else query.text


def _name_rows(ontology: Ontology, candidates: Collection[str] | None) -> npt.NDArray[np.int64]:
    """The name rows of the candidates, ascending."""
    if candidates is None:
        return np.arange(len(ontology.name_texts), dtype=np.int64)
    return ontology.rows_of_names(candidates)
