import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from el.base.text import normalise
from el.corpus.types import Document, Mention, Passage, Span
from el.ontology.ontology import Concept, Kind, Name, Ontology
from el.ontology.spellings import Spellings
from el.tagging.finder import DictionaryFinder, Found, longest
from tests.tiny import tiny_ontology
from tests.work import assert_in_proportion

CONCEPTS: list[tuple[str, Kind, tuple[str, ...]]] = [
    ("D000082", "chemical", ("Acetaminophen", "APAP")),
    ("D008055", "disease", ("Failure",)),
    ("D017093", "disease", ("Liver Failure", "Hepatic Failure")),
    ("D017114", "disease", ("Liver Failure, Acute", "Acute Liver Failure")),
    ("D010300", "disease", ("Parkinson Disease",)),
    ("D003139", "disease", ("Cold",)),
    ("D029424", "disease", ("COLD",)),
    ("D000163", "disease", ("AIDS",)),
    ("D007854", "chemical", ("Lead", "Pb")),
    ("D014409", "chemical", ("TNF-alpha",)),
    ("D003841", "chemical", ("2'-Deoxyuridine",)),
    ("C000001", "chemical", ("2-Deoxyuridine", "12 34", "Na+")),
    ("D012964", "chemical", ("Sodium",)),
    ("D012965", "chemical", ("Sodium Chloride",)),
    ("D001679", "other", ("Biopsy",)),
    ("C000002", "disease", ("Both",)),
    ("C000003", "chemical", ("Both",)),
]


@pytest.fixture(scope="module")
def finder() -> DictionaryFinder:
    return DictionaryFinder(Spellings.of_ontology(ontology()))


def ontology() -> Ontology:
    return Ontology.from_concepts(
        Concept(concept_id, tuple(map(Name, names)), kind) for concept_id, kind, names in CONCEPTS
    )


def found(finder: DictionaryFinder, text: str) -> list[str]:
    return [text[name.start : name.stop] for name in finder.find(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Then liver failure, acute or not", ["liver failure, acute"]),
        ("acute liver failure; hepatic-failure", ["acute liver failure", "hepatic-failure"]),
        ("acute liver", []),
        ("deliver failures of liverfailure", []),
        ("ACETAMINOPHEN/acetaminophen", ["ACETAMINOPHEN", "acetaminophen"]),
        ("Parkinson's disease and Parkinson’s disease", ["Parkinson's disease", "Parkinson’s disease"]),
        ("'acetaminophen', acetaminophen's", ["acetaminophen", "acetaminophen"]),
        ("TNFα, TNF-α", ["TNFα", "TNF-α"]),
        ("2'-deoxyuridine (2-deoxyuridine)", ["2'-deoxyuridine", "2-deoxyuridine"]),
        ("aceta\u0301minophen", ["aceta\u0301minophen"]),
        ("of 😀 sodium", ["sodium"]),
    ],
)
def test_whole_normalised_words_leftmost_and_longest(
    finder: DictionaryFinder, text: str, expected: list[str]
) -> None:
    assert found(finder, text) == expected


def test_a_name_does_not_run_over_the_end_of_a_sentence_or_paragraph(finder: DictionaryFinder) -> None:
    assert found(finder, "sodium chloride") == ["sodium chloride"]
    assert found(finder, "sodium\nchloride") == ["sodium\nchloride"]
    for end in (". ", "; ", "\n\n", "\n \n"):
        assert found(finder, f"sodium{end}chloride") == ["sodium"]


def test_abbreviations_are_found_in_capitals_only(finder: DictionaryFinder) -> None:
    assert found(finder, "APAP apap Apap") == ["APAP"]
    # A name that is a word as well is found in any case.
    assert found(finder, "COLD cold") == ["COLD", "cold"]


def test_noise_is_left_out(finder: DictionaryFinder) -> None:
    assert found(finder, "These lead to 12 34, Na+ and Pb; a biopsy") == []
    assert found(finder, "AIDS is no hearing aids") == ["AIDS"]


def test_kinds_decide_what_is_found_and_which_kind_a_shared_name_is() -> None:
    def kinds(*order: Kind) -> list[Kind]:
        return [
            name.kind
            for name in DictionaryFinder(Spellings.of_ontology(ontology()), order).find("both, biopsy")
        ]

    assert kinds("chemical", "disease") == ["chemical"]
    assert kinds("disease", "chemical") == ["disease"]
    assert kinds("other") == ["other"]


def test_mentions_stand_at_their_passage_with_ids_of_their_own(finder: DictionaryFinder) -> None:
    given_mention = Mention("1", (Span(0, 3),), "One", "disease")
    passages = (Passage("title", 0, "One sodium"), Passage("abstract", 11, "chloride. Both"))
    document = Document("d", passages, (given_mention,))
    mentions = finder.mentions(document)
    assert mentions == (
        Mention("0", (Span(4, 10),), "sodium", "chemical"),
        Mention("2", (Span(21, 25),), "Both", "chemical"),
    )
    assert [document.text_of(mention.spans) for mention in mentions] == ["sodium", "Both"]


def test_abbreviations_of_a_document_are_found_by_their_long_form(finder: DictionaryFinder) -> None:
    text = "Hepatic failure (HF) and TNF-alpha receptor (TR). HFs, hf, TR and TNF"
    document = Document("d", (Passage("title", 0, text),))
    assert [m.text for m in finder.mentions(document)] == ["Hepatic failure", "HF", "TNF-alpha", "HFs"]
    assert [m.type for m in finder.mentions(document)] == ["disease", "disease", "chemical", "disease"]
    # What the document says goes before the dictionary.
    (mention,) = (found.kind for found in finder.find("COLD", {"COLD": "sodium chloride"}))
    assert mention == "chemical"


UNBROKEN = (
    "糖尿病",
    "2型糖尿病",
    "高血压",
    "肺炎",
    "癌",
    "HIV感染",
    "アルツハイマー病",
    "リン",
    "がん性疼痛",
    "โรคเบาหวาน",
    "ความดันโลหิตสูง",
    "โรคภูมิแพ้",
    "당뇨병",
    "암",
    "α-地中海贫血",
    "diabetes mellitus",
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("患者患有糖尿病和高血压。", ["糖尿病", "高血压"]),
        ("既往2型糖尿病史，肺炎治愈，无癌变", ["2型糖尿病", "肺炎"]),
        ("一名HIV感染者，α-地中海贫血症", ["HIV感染", "α-地中海贫血"]),
        ("患有diabetes mellitus的人", ["diabetes mellitus"]),
        ("母はアルツハイマー病、父はがん性疼痛です", ["アルツハイマー病", "がん性疼痛"]),
        # Katakana spell whole words: phosphorus is no part of aspirin.
        ("アスピリンとリンを", []),
        ("ผู้ป่วยเป็นโรคเบาหวานและความดันโลหิตสูงกับโรคภูมิแพ้ครับ", ["โรคเบาหวาน", "ความดันโลหิตสูง", "โรคภูมิแพ้"]),
        ("환자는 당뇨병이 있고 암시했다", ["당뇨병"]),
        ("糖尿。病 糖尿！病 糖 尿 病", []),
    ],
)
def test_names_in_scripts_without_blanks_are_found_in_sentences(text: str, expected: list[str]) -> None:
    names = Ontology.from_concepts(
        Concept(f"D{number}", (Name(name),), "disease") for number, name in enumerate(UNBROKEN)
    )
    assert found(DictionaryFinder(Spellings.of_ontology(names)), text) == expected


def test_a_long_text_without_blanks_takes_time_in_proportion() -> None:
    names = Ontology.from_concepts([Concept("D1", (Name("糖尿病"),), "disease")])
    finder = DictionaryFinder(Spellings.of_ontology(names))

    def search(count: int) -> None:
        assert len(found(finder, "患者患有糖尿病和高血压糖" * count)) == count

    assert_in_proportion(search, 100)


PIECES = st.one_of(
    st.sampled_from([name for _, _, names in CONCEPTS for name in names]),
    st.sampled_from([" ", ", ", "-", ". ", "'s ", "α", "´", "2'", "+", "\u0301", "\n\n", "ß", "½"]),
    st.text(max_size=4),
)


@settings(max_examples=300, deadline=None)
@given(pieces=st.lists(PIECES, max_size=12))
def test_what_is_found_is_a_name_in_order_without_overlap(
    finder: DictionaryFinder, pieces: list[str]
) -> None:
    text = "".join(pieces)
    forms = {normalise(name) for _, kind, names in CONCEPTS for name in names if kind != "other"}
    end = 0
    for name in finder.find(text):
        assert end <= name.start < name.stop <= len(text)
        assert normalise(text[name.start : name.stop]) in forms
        end = name.stop


# "Lead" is a common word.
NAMES = [n.text for c in tiny_ontology() if c.kind != "other" for n in c.names if n.text != "Lead"]


@settings(deadline=None)
@given(
    before=st.sampled_from(["", "of ", "(", "non-", "😀 "]),
    after=st.sampled_from(["", ".", " was", ")", "-induced"]),
    name=st.sampled_from(NAMES),
)
def test_a_name_is_found_where_it_stands(before: str, after: str, name: str) -> None:
    text = before + name + after
    assert name in found(DictionaryFinder(Spellings.of_ontology(tiny_ontology())), text)


def test_a_long_text_takes_time_in_proportion(finder: DictionaryFinder) -> None:
    def search(count: int) -> None:
        assert len(found(finder, "sodium chloride and liver failure, " * count)) == 2 * count

    assert_in_proportion(search, 100)


@given(
    st.lists(st.builds(Found, st.integers(0, 20), st.integers(21, 40), st.just("chemical"))),
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9))),
)
def test_of_what_overlaps_the_longest_stays(first: list[Found], others: list[tuple[int, int]]) -> None:
    second = [Found(start, start + length, "disease") for start, length in others]
    kept = longest(first, second)
    assert all(a.stop <= b.start for a, b in itertools.pairwise(kept))
    for one in [*first, *second]:
        near = [other for other in kept if other.start < one.stop and one.start < other.stop]
        assert one in kept or max(other.stop - other.start for other in near) >= one.stop - one.start


def test_of_equals_the_first_stays() -> None:
    assert longest([Found(2, 5, "disease")], [Found(2, 5, "chemical"), Found(5, 6, "chemical")]) == [
        Found(2, 5, "disease"),
        Found(5, 6, "chemical"),
    ]
