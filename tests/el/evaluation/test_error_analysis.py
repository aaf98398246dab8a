from dataclasses import replace

import pytest

from el.evaluation.error_analysis import ErrorAnalysis
from el.evaluation.predictions import Prediction
from el.linking.query import Query
from el.ontology.ontology import Concept, Name, Ontology
from el.ontology.spellings import Spellings
from tests.el.linking.test_evidence import query


def concept(concept_id: str, name: str, *trees: str, mapped_to: tuple[str, ...] = ()) -> Concept:
    return Concept(concept_id, (Name(name),), "disease", tree_numbers=trees, mapped_to=mapped_to)


@pytest.fixture(scope="module")
def analysis() -> ErrorAnalysis:
    ontology = Ontology.from_concepts(
        [
            concept("D1", "Heart Diseases", "C14.280"),
            concept("D2", "Cardiomyopathies", "C14.280.238", "C23.1"),
            concept("D3", "Heart Failure", "C14.280.434"),
            concept("D4", "Vascular Diseases", "C14.907.5"),
            concept("D5", "Headache", "C10.597.617"),
            concept("C1", "A rare heart disease", mapped_to=("D1",)),
            concept("C2", "A rare cardiomyopathy", mapped_to=("D2", "D98")),
            concept("C3", "Another rare cardiomyopathy", mapped_to=("D2",)),
        ]
    )
    return ErrorAnalysis(ontology, Spellings.of_ontology(ontology))


@pytest.mark.parametrize(
    ("gold", "answer", "kind"),
    [
        ("D2", "D1", "too general"),
        ("D1", "D2", "too specific"),
        ("C1", "D1", "too general"),
        ("D1", "C1", "too specific"),
        ("C2", "D1", "too general"),
        ("C2", "C3", "sibling"),
        ("D2", "C1", "sibling"),
        ("C1", "D4", "same branch"),
        ("D2", "D3", "sibling"),
        ("D3", "D4", "same branch"),
        ("D3", "D5", "other"),
        ("D3", "", "no answer"),
        ("D99", "D3", "not in ontology"),
    ],
)
def test_the_trees_say_what_is_wrong(analysis: ErrorAnalysis, gold: str, answer: str, kind: str) -> None:
    assert analysis.kind(query("a weak heart", gold=(gold,)), answer) == kind


def test_spelling_says_what_is_wrong(analysis: ErrorAnalysis) -> None:
    assert analysis.kind(query("headache", gold=("D1",)), "D5") == "gold questionable"
    assert analysis.kind(query("HF", gold=("D3",)), "D5") == "short form"
    written_out = replace(query("HF", gold=("D3",)), expanded="heart failures")
    assert analysis.kind(written_out, "D5") == "other"
    # An id of several that is right would be no error; the first that says something counts.
    assert analysis.kind(query("a weak heart", gold=("D5", "D2")), "D1") == "too general"


def test_equal_errors_are_one_with_several_documents(analysis: ErrorAnalysis) -> None:
    def answered(own: Query, *ranked: str) -> Prediction:
        return Prediction("q", own.document_id, own.gold, ("all", "unseen_form"), ranked, ())

    wrong, right = query("weak heart", gold=("D2",)), query("Heart Failure", gold=("D3",))
    elsewhere = replace(wrong, document_id="elsewhere")
    errors = analysis.errors(
        [right, wrong, elsewhere, replace(wrong, text="Weak heart")],
        [
            answered(right, "D3"),
            answered(wrong, "D1", "D2"),
            answered(elsewhere, "D1", "D2"),
            answered(wrong, "D1"),
        ],
    )
    assert [(e.text, e.answer, e.kind, e.rank) for e in errors] == [
        ("weak heart", "D1", "too general", 2),
        ("Weak heart", "D1", "too general", 0),
    ]
    assert errors[0].documents == (wrong.document_id, "elsewhere")
    assert errors[0].unseen_form
