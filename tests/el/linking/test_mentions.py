import pytest

from el.corpus.types import Document, Mention, Passage, Span
from el.linking.mentions import MentionFinder
from el.ontology.ontology import Concept, Name, Ontology
from el.ontology.spellings import Spellings
from tests.tiny import tiny_ontology
from tests.work import assert_in_proportion


@pytest.fixture(scope="module")
def finder() -> MentionFinder:
    more = [Concept("D020246", (Name("Vein Thrombosis"),), "disease")]
    ontology = Ontology.from_concepts([*tiny_ontology(), *more])
    return MentionFinder(ontology, Spellings.of_ontology(ontology), None, None)


def document(text: str, *mentions: Mention) -> Document:
    return Document("d", (Passage("title", 0, text),), mentions)


def found(finder: MentionFinder, text: str) -> list[tuple[str, str]]:
    return [(one.text, one.type) for one in finder.found([document(text)])[0]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Deep vein thrombosis (DVT): no DVTs",
            [("Deep vein thrombosis", "disease"), ("DVT", "disease"), ("DVTs", "disease")],
        ),
        (
            "AHF (acute hepatic failure) or AHF?",
            [("AHF", "disease"), ("acute hepatic failure", "disease"), ("AHF", "disease")],
        ),
        (
            "N-acetyl-L-cysteine [NALC]; NALC",
            [("N-acetyl-L-cysteine", "chemical"), *[("NALC", "chemical")] * 2],
        ),
        ("Cold exposure (CE), CE", [("Cold", "disease")]),
    ],
)
def test_defined_short_forms_are_found(
    finder: MentionFinder, text: str, expected: list[tuple[str, str]]
) -> None:
    assert found(finder, text) == expected


def test_documents_do_not_share_definitions(finder: MentionFinder) -> None:
    one, two = finder.found([document("acute renal failure (LI): LI"), document("lithium (LI): LI")])
    assert [mention.text for mention in one] == ["acute renal failure"]
    assert [mention.type for mention in two] == ["chemical"] * 3


def test_found_mentions_do_not_overlap_given_ones(finder: MentionFinder) -> None:
    text = "lithium, aspirin and headache"
    wide = Mention("a", (Span(0, 12),), text[:12], "chemical")
    inside = Mention("b", (Span(0, 2), Span(5, 7)), "lium", "chemical")
    (mentions,) = finder.mentions([document(text, wide, inside)], "always", None)
    assert [one.text for one in mentions] == ["lium", text[:12], "headache"]


def test_given_and_found_mentions_take_work_in_proportion(finder: MentionFinder) -> None:
    def work(count: int) -> None:
        given = tuple(Mention(str(n), (Span(8 * n, 8 * n + 1),), "l", "disease") for n in range(0, count, 2))
        (mentions,) = finder.mentions([document("lithium " * count, *given)], "always", None)
        assert len(mentions) == count

    assert_in_proportion(work, 100)
