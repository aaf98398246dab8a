import pytest
from hypothesis import given
from hypothesis import strategies as st

from el.base.markers import markers
from tests.work import assert_in_proportion


@pytest.mark.parametrize(
    "texts",
    [
        ("type 2 diabetes", "type II diabetes", "Diabetes Mellitus, Type two", "T2DM"),
        ("MPS IVA", "mucopolysaccharidosis type 4A", "Mucopolysaccharidosis IV-A"),
        ("IL-1β", "interleukin-1 beta", "IL-1b", "Interleukin 1beta"),
        ("SCA3", "spinocerebellar ataxia 3", "Spinocerebellar ataxia type III"),
        ("vitamin B₁₂", "Vitamin B 12", "B12"),
        ("interferon alfa-2b", "interferon α2b"),
        ("factor V Leiden", "factor 5 Leiden"),
        ("TNF-α", "TNF-a", "TNF alpha"),
        ("ß-thalassemia", "beta-thalassemia"),
    ],
)
def test_ways_to_write_a_marker_are_one(texts: tuple[str, ...]) -> None:
    assert len({markers(text) for text in texts}) == 1
    assert markers(texts[0])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("MPS II", "MPS IIIB"),
        ("SCA2", "MEN 2a"),
        ("type I diabetes", "type II diabetes"),
        ("hepatitis B", "hepatitis C"),
        ("alpha-thalassemia", "beta-thalassemia"),
        ("L-dopa", "D-dopa"),
        ("1,2-dichloroethane", "1,1-dichloroethane"),
    ],
)
def test_markers_tell_concepts_apart(one: str, other: str) -> None:
    assert markers(one) != markers(other)


@pytest.mark.parametrize(
    "text",
    ["testosterone", "HIV", "Parkinson's disease", "a cold", "VA", "IV", "DNA", "one patient", "", "I"],
)
def test_other_letters_are_no_markers(text: str) -> None:
    assert markers(text) == frozenset()


@given(st.text(max_size=40))
def test_markers_are_numbers_and_lower_case_letters(text: str) -> None:
    assert all(marker and marker == marker.lower() for marker in markers(text))


def test_long_texts_take_time_in_proportion() -> None:
    # Without the memory of texts that came before.
    markers_of = markers.__wrapped__
    assert_in_proportion(lambda count: markers_of("1a" * count), 2_000)
    assert_in_proportion(lambda count: markers_of("a" + "1" * count), 10_000)
