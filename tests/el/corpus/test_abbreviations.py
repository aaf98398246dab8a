import pytest
from hypothesis import given
from hypothesis import strategies as st

from el.corpus.abbreviations import document_abbreviations, expand, find_abbreviations, find_definitions
from el.corpus.types import Document, Mention, Passage, Span
from tests.work import assert_in_proportion


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("We saw acute kidney injury (AKI) twice.", {"AKI": "acute kidney injury"}),
        ("We saw AKI (acute kidney injury) twice.", {"AKI": "acute kidney injury"}),
        ("given methotrexate [MTX] orally", {"MTX": "methotrexate"}),
        ("given MTX (methotrexate) orally", {"MTX": "methotrexate"}),
        ("5-hydroxytryptamine (5-HT) release", {"5-HT": "5-hydroxytryptamine"}),
        (
            "Nonsteroidal anti-inflammatory drugs (NSAIDs) are used",
            {"NSAIDs": "Nonsteroidal anti-inflammatory drugs"},
        ),
        ("a selective serotonin agonist (SSAs)", {"SSAs": "selective serotonin agonist"}),
        ("acute kidney injury (AKI; n = 30)", {"AKI": "acute kidney injury"}),
        ("acute kidney injury (n = 30; AKI)", {"AKI": "acute kidney injury"}),
        ("acute kidney injury (AKI, stage 3)", {"AKI": "acute kidney injury"}),
        ("diethylnitrosamine (DEN: 10 mg/kg)", {"DEN": "diethylnitrosamine"}),
        ("acute kidney injury (AKI [stage 3])", {"AKI": "acute kidney injury"}),
        ("a complication (acute kidney injury [AKI]) followed", {"AKI": "acute kidney injury"}),
        ("AKI (acute kidney injury; stage 3)", {"AKI": "acute kidney injury"}),
        ('acute kidney injury ("AKI")', {"AKI": "acute kidney injury"}),
        (
            "poly(ADP-ribose) polymerase (PARP)",
            {"PARP": "poly(ADP-ribose) polymerase"},
        ),
        (
            "PARP (poly(ADP-ribose) polymerase)",
            {"PARP": "poly(ADP-ribose) polymerase"},
        ),
        (
            "acute kidney injury (AKI) and heart failure (HF)",
            {"AKI": "acute kidney injury", "HF": "heart failure"},
        ),
    ],
)
def test_definitions_are_found(text: str, found: dict[str, str]) -> None:
    assert find_abbreviations(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "no brackets here",
        "acute kidney injury (AKI",
        "acute kidney injury AKI)",
        "acute kidney injury [AKI)",
        "(AKI)",
        "",
        "the drug was stopped (see below)",
        "inferior results in all groups (i.e. pain)",
        "patients (P) of both sexes",
        "renal failure (XYZ)",
        "the first letter begins no word: maki (AKI)",
        "Acute. Kidney Injury (AKI)",
        "all of the kings came with their many sons and then it ended (AKI)",
        "type AKI injury (AKI)",
        "[Ca]o (Ca)",
        "adp-ribose) polymerase (ARP)",
        "acute kidney injury (seen [x; AKI])",
    ],
)
def test_nothing_is_found_where_nothing_is_defined(text: str) -> None:
    assert find_abbreviations(text) == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        # A letter repeats.
        ("with acute anterior uveitis (AAU)", {"AAU": "acute anterior uveitis"}),
        ("a case of retroperitoneal rhabdomyosarcoma (RR-S)", {"RR-S": "retroperitoneal rhabdomyosarcoma"}),
        ("sickle cell and severe sepsis (SS)", {"SS": "severe sepsis"}),
        # What stands before the term is not swallowed.
        ("mice treated with mitomycin (MMC)", {"MMC": "mitomycin"}),
        ("patients on phenytoin (PHT)", {"PHT": "phenytoin"}),
        ("tacrolimus-induced diabetes mellitus (DM)", {"DM": "diabetes mellitus"}),
        ("chronic kidney disease patients (CKD)", {"CKD": "chronic kidney disease"}),
        # Numbers, signs, Greek letters, chemicals.
        ("mucopolysaccharidosis type 3 (MPS III)", {"MPS III": "mucopolysaccharidosis type 3"}),
        ("neuropathy type two (NT2)", {"NT2": "neuropathy type two"}),
        ("nuclear factor kappa B (NF-κB)", {"NF-κB": "nuclear factor kappa B"}),
        ("7-nitroindazole (7-NI)", {"7-NI": "7-nitroindazole"}),
        ("sulfur dioxide (SO2)", {"SO2": "sulfur dioxide"}),
        ("potassium iodide (KI)", {}),
        ("8-hydroxyguanosine (8-OHG)", {"8-OHG": "8-hydroxyguanosine"}),
        # Several in one pair of brackets, and brackets of other kinds.
        ("tremor and rest tremor (T or RT)", {"RT": "rest tremor"}),
        (
            "renal cell cancer, breast cancer and oral cancer (RCC, BC, and OC, respectively)",
            {"RCC": "renal cell cancer", "BC": "breast cancer", "OC": "oral cancer"},
        ),
        ("renal failure (RF, also known as CRF)", {"RF": "renal failure", "CRF": "renal failure"}),
        ("atrial flutter（AF）", {"AF": "atrial flutter"}),
        ("(atrial flutter, AFL)", {"AFL": "atrial flutter"}),
        ("(AFL, atrial flutter)", {"AFL": "atrial flutter"}),
        ("atrial flutter [3] (AFL)", {"AFL": "atrial flutter"}),
        ("the nisin group (NS group)", {"NS": "nisin"}),
        (
            "renal cell cancer (RCC)-associated anaemia (RAA)",
            {"RCC": "renal cell cancer", "RAA": "renal cell cancer (RCC)-associated anaemia"},
        ),
    ],
)
def test_the_long_form_is_the_one_whose_letters_fit_best(text: str, found: dict[str, str]) -> None:
    assert find_abbreviations(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "fields in groups (Fig. 2)",
        "a mask (Malden, MA)",
        "under sedation anywhere (USA)",
        "neither (N = 30)",
        "10 mice with manganese (10 mM)",
        "renal insults (e.g., RI)",
        "the adenosine A(2A) receptor",
        "aspirin from a supplier (Aspa)",
        "Hunter and co-workers [H. S.]",
    ],
)
def test_what_stands_in_brackets_is_often_no_short_form(text: str) -> None:
    assert find_abbreviations(text) == {}


def test_a_mention_before_the_bracket_is_the_better_long_form() -> None:
    text = "Doses given to mice on methotrexate (MX) fell."
    assert document_abbreviations(annotated(text, "methotrexate")) == {"MX": "methotrexate"}
    text = "It was chronic calcinosis (CC)."
    assert document_abbreviations(annotated(text)) == {"CC": "chronic calcinosis"}
    assert document_abbreviations(annotated(text, "disease:calcinosis")) == {"CC": "calcinosis"}
    # Its letters do not fit.
    text = "Deep vein thrombosis (DVT)"
    assert document_abbreviations(annotated(text, "disease:vein thrombosis")) == {
        "DVT": "Deep vein thrombosis"
    }


def test_one_short_form_has_two_senses_in_two_documents() -> None:
    for long_form in ("multiple myeloma", "malignant melanoma", "multiple myeloma"):
        assert find_abbreviations(f"{long_form} (MM)") == {"MM": long_form}


def test_definitions_stand_where_they_say() -> None:
    text = "Sotalol（STL） and PD (Parkinson disease)"
    places = [
        (text[one.short.start : one.short.stop], text[one.long.start : one.long.stop])
        for one in find_definitions(text)
    ]
    assert places == [("STL", "Sotalol"), ("PD", "Parkinson disease")]


def test_the_first_definition_wins() -> None:
    text = "Acute lung injury (ALI) is not acute liver insult (ALI)."
    assert find_abbreviations(text) == {"ALI": "Acute lung injury"}


def test_a_bracket_within_another_does_not_look_outside() -> None:
    assert find_abbreviations("acute kidney (seen in injury [AKI])") == {}


def test_expand() -> None:
    abbreviations = {"AKI": "acute kidney injury", "NSAIDs": "nonsteroidal anti-inflammatory drugs"}
    assert expand("AKI", abbreviations) == "acute kidney injury"
    assert expand("AKIs", abbreviations) == "acute kidney injury"
    assert expand("NSAID", abbreviations) == "nonsteroidal anti-inflammatory drugs"
    assert expand("aki", abbreviations) == "aki"
    assert expand("renal failure", abbreviations) == "renal failure"
    # Neither a plural of A nor the singular of As.
    assert expand("A", {"As": "arsenic"}) == "A"
    assert expand("As", {"A": "adenine"}) == "As"


_PIECES = st.sampled_from(["AKI", "acute", "kidney", "injury", *"()[];.-sİα"])


@given(st.one_of(st.text(), st.lists(_PIECES, max_size=20).map(" ".join), st.lists(_PIECES).map("".join)))
def test_what_is_found_stands_in_the_text_and_fits(text: str) -> None:
    for short, long_form in find_abbreviations(text).items():
        assert short in text
        assert long_form in text
        assert 2 <= len(short) <= 10
        assert len(short) < len(long_form)
        assert long_form == long_form.strip()
        # One letter of the long form for each of the short form; a plural s may have none.
        letters = [character.lower() for character in short if character.isalnum()]
        assert _is_subsequence(letters, long_form) or _is_subsequence(letters[:-1], long_form)


@given(
    st.lists(st.text(alphabet="abcdefgh", min_size=1, max_size=8), min_size=2, max_size=6),
    st.sampled_from(["{long} ({short})", "in {long} [{short}].", "{long} ({short}; n = 3)"]),
)
def test_initials_in_brackets_are_found(ends: list[str], template: str) -> None:
    # Each initial occurs once, so that only the whole is a long form.
    long_form = " ".join(initial + end for initial, end in zip("pqrtuv", ends, strict=False))
    short = "pqrtuv"[: len(ends)].upper()
    assert find_abbreviations(template.format(long=long_form, short=short)) == {short: long_form}


def _is_subsequence(letters: list[str], text: str) -> bool:
    remaining = iter(character.lower() for character in text)
    return all(letter in remaining for letter in letters)


def annotated(text: str, *mentions: str, kind: str = "chemical") -> Document:
    """A document of one passage; each mention at its first place, "disease:" before one is its type."""
    found = []
    for number, mention in enumerate(mentions):
        type_, _, form = mention.rpartition(":")
        start = text.index(form)
        found.append(Mention(str(number), (Span(start, start + len(form)),), form, type_ or kind))
    return Document("1", (Passage("title", 0, text),), tuple(found))


@pytest.mark.parametrize(
    ("text", "mentions", "found"),
    [
        ("of cyclosporine (CSA) alone", ("cyclosporine", "CSA"), {"CSA": "cyclosporine"}),
        ("with dizocilpine [MK-801], a", ("dizocilpine", "MK-801"), {"MK-801": "dizocilpine"}),
        ("of phenobarbital ( P: 15 mg)", ("phenobarbital", "P"), {"P": "phenobarbital"}),
        (
            "acute kidney injury (AKI) and AKI (X2)",
            ("acute kidney injury", "AKI", "X2"),
            {"AKI": "acute kidney injury"},
        ),
        ("doxorubicin (Adriamycin; 3 mg)", ("doxorubicin", "Adriamycin"), {"Adriamycin": "doxorubicin"}),
        # Another type, a longer one, two words, small letters only, not alone in the brackets, no brackets.
        ("of lithium (NDI) alone", ("lithium", "disease:NDI"), {}),
        ("of lead (Pb(II)O2) alone", ("lead", "Pb(II)O2"), {}),
        ("of dizocilpine (MK 801) alone", ("dizocilpine", "MK 801"), {}),
        ("of dizocilpine (mk) alone", ("dizocilpine", "mk"), {}),
        ("of dizocilpine (or MK-801) alone", ("dizocilpine", "MK-801"), {}),
        ("of dizocilpine (MK-801 too) alone", ("dizocilpine", "MK-801"), {}),
        ("of dizocilpine, MK-801", ("dizocilpine", "MK-801"), {}),
    ],
)
def test_a_mention_in_brackets_behind_another_is_its_short_form(
    text: str, mentions: tuple[str, ...], found: dict[str, str]
) -> None:
    document = annotated(text, *mentions)
    assert document_abbreviations(document) == found
    # Mentions may be given apart from the document's own.
    bare = Document("1", document.passages)
    assert document_abbreviations(bare, document.mentions) == found


def test_letters_come_before_places() -> None:
    document = annotated("We saw acute renal failure (ARF) in kidney injury (ARF).", "kidney injury", "ARF")
    assert document_abbreviations(document) == {"ARF": "acute renal failure"}


def test_a_sentence_before_the_bracket_counts_for_nothing() -> None:
    assert find_abbreviations("It was an acute kidney. Injury (AKI) was rare.") == {}
    assert find_abbreviations("It was rare. (Acute kidney injury [AKI] too.)") == {
        "AKI": "Acute kidney injury"
    }


def test_a_long_text_takes_time_in_proportion() -> None:
    def one_sentence(count: int) -> None:
        text = "acute kidney injury (AKI), sodium (n = 3) " * count
        assert find_abbreviations(text) == {"AKI": "acute kidney injury"}

    def sentences(count: int) -> None:
        text = "It was an acute kidney injury (AKI). " * count
        assert find_abbreviations(text) == {"AKI": "acute kidney injury"}

    def nested(count: int) -> None:
        assert find_abbreviations("(" * count + "AKI" + ")" * count) == {}

    def mentions(count: int) -> None:
        every = tuple(Mention(str(n), (Span(n, n + 1),), "a", "disease") for n in range(count))
        assert document_abbreviations(Document("1", (Passage("text", 0, "a" * 50 * count),), every)) == {}

    # Longer than what is looked at of a bracket.
    assert_in_proportion(one_sentence, 100)
    assert_in_proportion(sentences, 100)
    assert_in_proportion(nested, 1000)
    assert_in_proportion(mentions, 300)
