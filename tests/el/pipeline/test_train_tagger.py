"""Which kinds of mention each source of documents teaches a tagger."""

from el.corpus.types import Document, Mention, Span
from el.evaluation.mentions import figures, joined, span_tally
from el.pipeline.train_tagger import taught_kinds


def document(name: str, *kinds: str) -> Document:
    mentions = tuple(Mention(str(n), (Span(n, n + 1),), "abc"[n], kind) for n, kind in enumerate(kinds))
    return Document(name, Document.of_text(name, "abc").passages, mentions)


def test_a_kind_that_only_others_annotate_is_not_taught() -> None:
    both, diseases = [document("1", "chemical", "disease")], [document("2", "disease"), document("3")]
    assert taught_kinds([both, diseases]) == [("chemical", "disease"), ("disease",)]


def test_a_kind_that_nobody_annotates_is_taught_to_be_absent() -> None:
    assert taught_kinds([[document("1", "disease")], []]) == [("disease", "chemical"), ("chemical",)]


def test_what_is_found_of_a_kind_counts_in_the_corpora_that_annotate_it() -> None:
    both, diseases = [document("1", "chemical", "disease")], [document("2", "disease")]
    found = [Mention("0", (Span(0, 1),), "a", "disease"), Mention("1", (Span(1, 2),), "b", "chemical")]
    tally = joined([span_tally(both, [[]]), span_tally(diseases, [found])])
    flat = figures(tally)
    # The chemical that is found in a corpus of diseases is neither right nor wrong.
    assert (flat["all/count"], flat["all/precision"]) == (3, 1.0)
    assert (flat["chemical/count"], flat["disease/count"]) == (1, 2)
