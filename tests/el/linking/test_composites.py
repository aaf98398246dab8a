import pytest
from hypothesis import given
from hypothesis import strategies as st

from el.linking.composites import parts_of

NAMES = {
    "renal failure",
    "hepatic failure",
    "nausea",
    "vomiting",
    "nausea and vomiting of pregnancy",
    "pulmonary edema",
    "pulmonary fibrosis",
    "acute renal failure",
    "breast cancer",
    "ovarian cancer",
    "lung cancer",
    "hypo- and hypertension",
    "failure",
    "renal",
}


def is_name(text: str) -> bool:
    return text.lower() in NAMES


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("renal and hepatic failure", ("renal failure", "hepatic failure")),
        ("Renal/hepatic failure", ("Renal failure", "hepatic failure")),
        ("acute renal and hepatic failure", ("acute renal failure", "hepatic failure")),
        ("breast, ovarian, and lung cancer", ("breast cancer", "ovarian cancer", "lung cancer")),
        ("pulmonary edema or fibrosis", ("pulmonary edema", "pulmonary fibrosis")),
        ("nausea and/or vomiting", ("nausea", "vomiting")),
        # A name as it stands, and parts that no ontology has.
        ("nausea and vomiting of pregnancy", ()),
        ("nausea and dizziness", ()),
        ("nausea", ()),
        ("sandy failure", ()),
        ("and", ()),
        ("", ()),
    ],
)
def test_coordinations_are_taken_apart(text: str, parts: tuple[str, ...]) -> None:
    assert parts_of(text, is_name) == parts


@given(st.text("ab ,/and", max_size=30))
def test_any_text_gives_no_part_or_several(text: str) -> None:
    parts = parts_of(text, lambda _: True)
    assert parts == ()
    parts = parts_of(text, lambda part: part != text)
    assert len(parts) != 1
