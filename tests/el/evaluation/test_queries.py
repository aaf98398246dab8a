from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from el.corpus.types import Document, Mention, Passage, Role, Span
from el.evaluation.protocol import load_protocol
from el.evaluation.queries import (
    FindIn,
    fitting_queries,
    found_queries,
    full_queries,
    protocol_candidates,
    protocol_queries,
    restricted_queries,
    undefined_queries,
    unscored_queries,
)
from el.evaluation.rows import Seen, rows_of
from el.linking.query import Query

CONFIGS = Path(__file__).parents[3] / "src" / "el" / "evaluation" / "protocols"
TITLE = "Acute kidney injury (AKI) after cisplatin."
ABSTRACT = "AKI and renal or hepatic failure. AKI."


def mention(
    key: str, text: str, start: int, ids: str, kind: str = "disease", role: Role = "single"
) -> Mention:
    span = Span(start, start + len(text))
    return Mention(key, (span,), text, kind, tuple(ids.split()), role=role)


@pytest.fixture
def document() -> Document:
    text = f"{TITLE} {ABSTRACT}"
    abstract = len(TITLE) + 1
    renal = Span(text.index("renal"), text.index("renal") + 5)
    failure = Span(text.index("failure"), text.index("failure") + 7)
    return Document(
        "77",
        (Passage("title", 0, TITLE), Passage("abstract", abstract, ABSTRACT)),
        (
            mention("0", "Acute kidney injury", 0, "D1"),
            mention("1", "AKI", text.index("AKI"), "D1"),
            mention("2", "cisplatin", text.index("cisplatin"), "D2", "chemical"),
            mention("3", "AKI", abstract, "D1"),
            mention("4", "renal or hepatic failure", renal.start, "D3 D4", role="composite"),
            Mention("5", (renal, failure), "renal failure", "disease", ("D3",), role="part"),
            mention("6", "hepatic failure", text.index("hepatic"), "D4", role="part"),
            mention("7", "AKI", text.rindex("AKI"), "D1"),
            mention("8", "failure", failure.start, ""),
        ),
    )


def finds(*texts: str) -> FindIn:
    """A finder of the first places of texts. It must not see the annotations."""

    def find(documents: Sequence[Document]) -> list[list[Mention]]:
        assert not any(document.mentions for document in documents)
        return [[mention("f", text, each.text.index(text), "") for text in texts] for each in documents]

    return find


def test_found_mentions_have_the_ids_of_annotations_at_their_place(document: Document) -> None:
    found = found_queries([document], finds("cisplatin", "kidney injury", "AKI"))
    assert [(query.text, query.gold, query.is_found) for query in found] == [
        ("cisplatin", ("D2",), True),
        ("kidney injury", (), True),
        ("AKI", ("D1",), True),
    ]
    assert found[2].expanded == "Acute kidney injury"
    assert not any(query.is_found for query in full_queries([document]))


def test_abbreviations_as_if_they_were_not_defined(document: Document) -> None:
    given = full_queries([document])
    undefined = undefined_queries(given)
    assert [query.expanded for query in undefined] == ["AKI"] * 3
    assert {query.document_id for query in undefined}.isdisjoint({"77"})
    count = len(fitting_queries([document], finds("cisplatin")))
    assert count == len(given) + 1 + 1 + len(undefined)


def test_full_takes_composites_as_wholes_and_leaves_nil_out(document: Document) -> None:
    queries = full_queries([document])
    assert [query.id for query in queries] == ["77/0", "77/1", "77/2", "77/3", "77/4", "77/7"]
    assert queries[4].gold == ("D3", "D4")
    assert (queries[2].document_id, queries[2].text, queries[2].type) == ("77", "cisplatin", "chemical")


def test_restricted_takes_each_mention_of_a_passage_once(document: Document) -> None:
    queries = restricted_queries([document])
    assert [query.id for query in queries] == ["77/0", "77/1", "77/2", "77/3", "77/6"]
    assert all(len(query.gold) == 1 for query in queries)


def test_abbreviations_of_the_document_are_expanded(document: Document) -> None:
    expanded = {query.text: query.expanded for query in full_queries([document])}
    assert expanded["AKI"] == "Acute kidney injury"
    assert expanded["cisplatin"] == "cisplatin"


def test_context_is_that_of_the_mentions_own_place(document: Document) -> None:
    first, second = (query for query in full_queries([document], 12) if query.id in ("77/3", "77/7"))
    assert (first.left, first.right) == ("cisplatin. ", " and renal")
    assert (second.left, second.right) == ("failure. ", ".")
    assert {query.left + query.right for query in full_queries([document])} == {""}


def test_protocols_choose_mentions_and_candidates(document: Document) -> None:
    full, restricted = (load_protocol(CONFIGS / f"{name}.yaml") for name in ("full", "restricted"))
    assert protocol_queries(full, [document]) == full_queries([document])
    queries = protocol_queries(restricted, [document], 12)
    assert queries == restricted_queries([document], 12)
    assert protocol_candidates(full, queries) is None
    assert protocol_candidates(restricted, queries) == {"D1", "D2", "D4"}


def test_mesh_ids_are_those_that_the_corpus_gives(document: Document) -> None:
    mesh_ids = load_protocol(CONFIGS / "mesh_ids.yaml")
    ids: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
        # A mention of the long form with a mapped id still defines the short form.
        "0": (("D000001",), ("OMIM:104300",)),
        "1": (("D000001",), ()),
        "2": (("OMIM:104300",), ()),
        "3": (("D000001", "OMIM:104300"), ()),
        "4": (("D000001", "D000002"), ()),
        "7": (("D000001",), ("C000001", "OMIM:104300")),
        "8": ((), ()),
    }
    mentions = tuple(
        replace(m, concept_ids=ids[m.id][0], original_ids=ids[m.id][1])
        for m in document.mentions
        if m.id in ids
    )
    document = replace(document, mentions=mentions)
    scored = protocol_queries(mesh_ids, [document], 12)
    unscored = unscored_queries(mesh_ids, [document], 12)
    assert [query.id for query in scored] == ["77/1", "77/4"]
    assert [query.id for query in unscored] == ["77/0", "77/2", "77/3", "77/7"]
    full = full_queries([document], 12)
    assert [query for query in full if query.id in ("77/1", "77/4")] == scored
    assert scored[0].expanded == "Acute kidney injury"
    assert protocol_candidates(mesh_ids, scored) is None
    for name in ("full", "restricted"):
        assert unscored_queries(load_protocol(CONFIGS / f"{name}.yaml"), [document], 12) == []


def test_types_count_by_their_kind(document: Document) -> None:
    types = {"0": "specificdisease", "1": "Modifier", "2": "chemicalentity", "3": "diseaseclass", "7": "gene"}
    mentions = tuple(replace(m, type=types.get(m.id, m.type)) for m in document.mentions)
    queries = full_queries([replace(document, mentions=mentions)])
    assert [query.type for query in queries] == [
        "disease",
        "disease",
        "chemical",
        "disease",
        "disease",
        "gene",
    ]
    rows = rows_of(queries, Seen(frozenset(), frozenset()))
    assert ["disease" in of_query for of_query in rows] == [True, True, False, True, True, False]
    assert ["chemical" in of_query for of_query in rows] == [False, False, True, False, False, False]
    assert "unique" not in rows[3]


def test_rows(document: Document) -> None:
    training = Document(
        "1",
        (Passage("title", 0, "CISPLATIN renal failure AKI"),),
        (
            mention("0", "CISPLATIN", 0, "D9", "chemical"),
            mention("1", "renal failure", 10, "D3"),
            mention("2", "AKI", 24, ""),
        ),
    )
    rows = dict(
        zip(
            (query.id for query in full_queries([document])),
            rows_of(full_queries([document]), Seen.of_documents([training])),
            strict=True,
        )
    )
    assert rows == {
        "77/0": ("all", "disease", "unseen_form", "unseen_id", "unique"),
        "77/1": ("all", "disease", "unseen_form", "unseen_id", "abbreviation", "unique"),
        "77/2": ("all", "chemical", "unseen_id", "unique"),
        "77/3": ("all", "disease", "unseen_form", "unseen_id", "abbreviation"),
        "77/4": ("all", "disease", "unseen_form", "unique"),
        "77/7": ("all", "disease", "unseen_form", "unseen_id", "abbreviation"),
    }


def test_unique_tells_types_and_ids_apart_but_neither_case_nor_the_order_of_ids() -> None:
    queries = [
        Query("1/0", "1", "lead", "chemical", ("D1", "D2"), "lead"),
        Query("1/1", "1", "Lead", "chemical", ("D2", "D1"), "Lead"),
        Query("1/2", "1", "lead", "disease", ("D1", "D2"), "lead"),
        Query("2/0", "2", "lead", "chemical", ("D1",), "lead"),
    ]
    rows = rows_of(queries, Seen(frozenset(), frozenset()))
    assert ["unique" in query_rows for query_rows in rows] == [True, False, True, True]
