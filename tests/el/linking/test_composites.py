import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from el.linking.composites import readings


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("renal and hepatic failure", ("renal failure", "hepatic failure")),
        ("Renal/hepatic failure", ("Renal failure", "hepatic failure")),
        ("acute renal and hepatic failure", ("acute renal failure", "hepatic failure")),
        ("breast, ovarian, and lung cancer", ("breast cancer", "ovarian cancer", "lung cancer")),
        ("pulmonary edema or fibrosis", ("pulmonary edema", "pulmonary fibrosis")),
        ("nausea and/or  vomiting", ("nausea", "vomiting")),
        ("nausea & vomiting", ("nausea", "vomiting")),
        # The shared words are the end of one piece and the beginning of the next.
        (
            "heart and lung injury or failure",
            ("heart injury", "heart failure", "lung injury", "lung failure"),
        ),
        # Numbers and letters with one noun.
        ("types 1 and 2 diabetes mellitus", ("type 1 diabetes mellitus", "type 2 diabetes mellitus")),
        (
            "type I or type II hyperlipoproteinemia",
            ("type I hyperlipoproteinemia", "type II hyperlipoproteinemia"),
        ),
        (
            "mucopolysaccharidosis types I, II and III",
            tuple(f"mucopolysaccharidosis type {n}" for n in ("I", "II", "III")),
        ),
        ("hepatitis B and C", ("hepatitis B", "hepatitis C")),
        ("types 1,2 and 3 diabetes", ("type 1 diabetes", "type 2 diabetes", "type 3 diabetes")),
        ("vitamins B6 and B12", ("vitamin B6", "vitamin B12")),
        # A part of a word is shared.
        ("hypo- and hyperthyroidism", ("hypothyroidism", "hyperthyroidism")),
        ("micro- or macroangiopathy", ("microangiopathy", "macroangiopathy")),
        ("pre- and post-operative pain", ("pre-operative pain", "post-operative pain")),
        ("cancer of the breast and lung", ("cancer of the breast", "cancer of the lung")),
        # Nothing is shared.
        ("type 2 diabetes with diabetic nephropathy", ("type 2 diabetes", "diabetic nephropathy")),
        ("hypertension with  proteinuria", ("hypertension", "proteinuria")),
    ],
)
def test_coordinations_are_taken_apart(text: str, parts: tuple[str, ...]) -> None:
    assert parts in readings(text)


@pytest.mark.parametrize(
    "text",
    [
        *("pain with pain", "pain with", "with pain", "a with b with c", "herewith pain"),
        *("nausea", "sandy failure", "and", "", "a and", "/", "candida", "x" * 400 + " and y"),
        # Locants.
        *("1,2-dichloroethane", "N,N-dimethylacetamide", "2,3,7,8-TCDD", "1,25(OH)2D3", "4,4'-bipyridine"),
    ],
)
def test_what_is_no_coordination_has_no_reading(text: str) -> None:
    assert readings(text) == []


@pytest.mark.parametrize("text", ["nausea and vomiting of pregnancy", "pain and swelling after surgery"])
def test_a_preposition_belongs_to_all_members(text: str) -> None:
    assert all(
        len(parts) == len([part for part in parts if part.endswith(text.split()[-1])])
        for parts in readings(text)
    )


@given(st.text("ab ,/and-1", max_size=30))
def test_a_reading_has_several_different_parts(text: str) -> None:
    for parts in readings(text):
        assert len(set(parts)) == len(parts) > 1
        assert all(part.strip() for part in parts)


def test_long_mentions_take_little_time() -> None:
    start = time.perf_counter()
    for between in (" ", " and", ", ", "/", " and/or \t"):
        readings("a" + between * 200_000 + "b")
    assert time.perf_counter() - start < 20
