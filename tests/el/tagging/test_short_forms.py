import itertools

import pytest

from el.corpus.types import Document, Passage
from el.ontology.ontology import Concept, Kind, Name, Ontology
from el.ontology.spellings import Spellings
from el.tagging.finder import DictionaryFinder, Found
from el.tagging.short_forms import with_short_forms
from tests.work import assert_in_proportion


def kind_of(text: str) -> Kind | None:
    """The kinds of an ontology of two names."""
    return {"gastric cancer": "disease", "tranexamic acid": "chemical"}.get(text.lower())  # type: ignore[return-value]


def mentions(text: str, *found: str, title: str = "") -> list[tuple[str, Kind]]:
    """The texts and kinds of the mentions; "chemical:" before a found one is its kind, at its first place."""
    passages = (Passage("title", 0, title), Passage("abstract", len(title) + 1, text)) if title else ()
    document = Document("d", passages or (Passage("abstract", 0, text),))
    places = []
    for one in found:
        kind, _, form = one.rpartition(":")
        start = document.text.index(form)
        places.append(Found(start, start + len(form), kind or "disease"))  # type: ignore[arg-type]
    added = with_short_forms(document, sorted(places), kind_of)
    assert all(one.stop <= other.start for one, other in itertools.pairwise(added))
    return [(document.text[one.start : one.stop], one.kind) for one in added]


def test_a_short_form_is_found_wherever_it_stands() -> None:
    text = "Sick sinus syndrome (SSS) is rare. SSS, SSS-like and two SSSs; not xSSS, SSS-2, SSS1 or sss."
    assert mentions(text, "Sick sinus syndrome") == [
        ("Sick sinus syndrome", "disease"),
        *[("SSS", "disease")] * 3,
        ("SSSs", "disease"),
    ]
    text = "Adverse drug reactions (ADRs) are usual. No ADR was fatal."
    assert [form for form, _ in mentions(text, "Adverse drug reactions")] == [
        "Adverse drug reactions",
        "ADRs",
        "ADR",
    ]
    assert mentions("CBZ: carbamazepine (CBZ)", "chemical:carbamazepine", title="Use of CBZ") == [
        ("CBZ", "chemical"),
        ("CBZ", "chemical"),
        ("carbamazepine", "chemical"),
        ("CBZ", "chemical"),
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("MPP+ (1-methyl-4-phenylpyridinium) kills; MPP+ too, MPP not", ["1-methyl-4-phenylpyridinium"]),
        ("mucopolysaccharidosis type II (MPS II), so MPS II", ["mucopolysaccharidosis type II"]),
        ("ataxia type 3 [A3] ... A3", ["ataxia type 3"]),
    ],
)
def test_short_forms_with_signs_and_blanks(text: str, found: list[str]) -> None:
    assert len(mentions(text, *found)) == 3


@pytest.mark.parametrize(
    ("text", "found", "first"),
    [
        ("Deep vein thrombosis (DVT)", "vein thrombosis", "Deep vein thrombosis"),
        ("severe aplastic anaemia (SAA)", "anaemia", "severe aplastic anaemia"),
        ("PAF (paroxysmal atrial fibrillation)", "atrial fibrillation", "PAF"),
    ],
)
def test_a_mention_cut_short_becomes_the_whole_long_form(text: str, found: str, first: str) -> None:
    assert mentions(text, found)[0][0] == first
    assert {form for form, _ in mentions(text, found)} == set(text.strip(")").split(" ("))


def test_a_long_form_that_does_not_read_as_a_term_stays_as_it_is_found() -> None:
    # The other mention would be lost.
    text = "Cisplatin nephrotoxicity (CN) or CN"
    assert mentions(text, "chemical:Cisplatin", "nephrotoxicity") == [
        ("Cisplatin", "chemical"),
        ("nephrotoxicity", "disease"),
        *[("CN", "disease")] * 2,
    ]
    text = "nausea and vomiting (NV)"
    assert [form for form, _ in mentions(text, "nausea", "vomiting")] == ["nausea", "vomiting", "NV"]
    text = "onset of psychosis (OOP)"
    assert [form for form, _ in mentions(text, "psychosis")] == ["psychosis", "OOP"]


def test_a_long_form_that_is_a_name_counts_as_found() -> None:
    assert mentions("Gastric cancer (GC). GC spreads.") == [
        ("Gastric cancer", "disease"),
        *[("GC", "disease")] * 2,
    ]
    assert mentions("Gastric lavage (GL). GL helps.") == []
    # Not the name of a chemical: many are proteins, which the tagger does not mark.
    assert mentions("Tranexamic acid (TXA). TXA helps.") == []


def test_the_kind_is_that_of_the_long_form() -> None:
    text = "Alzheimer disease (AD): AD, AD"
    assert {kind for _, kind in mentions(text, "Alzheimer disease", "chemical:AD")} == {"disease"}


def test_a_mention_that_is_no_head_of_the_long_form_gives_no_kind() -> None:
    text = "lithium blood level (LBL), LBL"
    assert mentions(text, "chemical:lithium") == [("lithium", "chemical")]


def test_a_longer_mention_stays() -> None:
    text = "Parkinson disease (PD). PD dementia."
    assert [form for form, _ in mentions(text, "Parkinson disease", "PD dementia")] == [
        "Parkinson disease",
        "PD",
        "PD dementia",
    ]


def test_the_first_definition_counts_and_other_documents_do_not() -> None:
    text = "multiple myeloma (MM), malignant melanoma (MM): MM"
    assert {kind for form, kind in mentions(text, "multiple myeloma", "chemical:malignant melanoma")[1:]} == {
        "disease",
        "chemical",
    }
    assert mentions("MM is here") == []
    assert mentions("methyl methacrylate (MM); MM", "chemical:methyl methacrylate")[1:] == [
        ("MM", "chemical"),
        ("MM", "chemical"),
    ]


def test_second_names_shown_by_mentions_count_but_no_single_letters() -> None:
    text = "dizocilpine (MK-801): MK-801 blocks"
    assert mentions(text, "chemical:dizocilpine", "chemical:MK-801")[1:] == [("MK-801", "chemical")] * 2
    text = "phenobarbital (P): P < 0.05"
    assert len(mentions(text, "chemical:phenobarbital", "chemical:P")) == 2


def test_names_of_an_ontology_have_a_kind() -> None:
    concepts = [
        Concept("D1", (Name("Gastric Cancer"),), "disease"),
        Concept("D2", (Name("Lead"),), "chemical"),
    ]
    finder = DictionaryFinder(Spellings.of_ontology(Ontology.from_concepts(concepts)))
    assert finder.kind_of("gastric cancer") == "disease"
    assert finder.kind_of("gastric") is None
    # A common word is not looked for.
    assert finder.kind_of("lead") is None


def test_many_definitions_take_work_in_proportion() -> None:
    def work(count: int) -> None:
        text = " ".join(f"aplastic anaemia{n:03} (AA{n:03}), AA{n:03}." for n in range(count))
        document = Document("d", (Passage("abstract", 0, text),))
        starts = [match for match in range(len(text)) if text.startswith("anaemia", match)]
        found = [Found(at, text.index(" ", at), "disease") for at in starts]
        assert len(with_short_forms(document, found, kind_of)) == 3 * count

    assert_in_proportion(work, 60)
