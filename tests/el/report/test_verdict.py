"""What the report says first: which systems differ by more than chance."""

from el.evaluation.metrics import PairedDifference
from el.report.tables import Comparison
from el.report.verdict import verdict


def compared(system: str, difference: float, lo: float, hi: float) -> Comparison:
    return Comparison(system, "bi_encoder", "all", PairedDifference(difference, lo, hi, 0.5))


def test_systems_whose_intervals_contain_0_cannot_be_told_apart() -> None:
    several = [compared("hypencoder_2", 0.0, 0.0, 0.0), compared("hypencoder_4", 0.01, -0.004, 0.02)]
    assert verdict(several, "sample test") == (
        "On sample test, hypencoder_2 and hypencoder_4 cannot be told apart from bi_encoder: the 95 % "
        "interval of each difference contains 0."
    )
    assert "the 95 % interval of the difference contains 0" in verdict(several[:1], "sample test")


def test_each_system_that_differs_stands_with_its_difference() -> None:
    several = [
        compared("hypencoder_2", 0.021, 0.004, 0.038),
        compared("hypencoder_4", 0.01, -0.004, 0.02),
        compared("hypencoder_6", -0.05, -0.08, -0.02),
    ]
    assert verdict(several, "sample test") == (
        "On sample test, compared with bi_encoder (95 % interval): hypencoder_2 is better by .021 (.004 to "
        ".038); hypencoder_6 is worse by .050 (.020 to .080). hypencoder_4 cannot be told apart from it."
    )
    assert "cannot" not in verdict([several[0]], "sample test")


def test_a_comparison_of_one_system_says_so() -> None:
    assert verdict([], "sample test") == "On sample test, no system was compared."
