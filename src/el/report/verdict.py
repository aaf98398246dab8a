"""Says in words which systems a comparison can tell apart, from the intervals of their differences."""

from collections.abc import Sequence

from el.report.tables import Comparison


def verdict(comparisons: Sequence[Comparison], where: str) -> str:
    """Returns which systems are better or worse than their baseline by more than chance.

    A system can be told apart if the 95 % interval of its difference does not contain 0.

    Args:
        comparisons: one for each system, all with one baseline and one row.
        where: the mentions that were compared, such as "sample test".
    """
    if not comparisons:
        return f"On {where}, no system was compared."
    baseline = comparisons[0].baseline
    same = [one.system for one in comparisons if one.difference.lo <= 0 <= one.difference.hi]
    apart = [_difference(one) for one in comparisons if one.system not in same]
    if not apart:
        return (
            f"On {where}, {_listed(same)} cannot be told apart from {baseline}: the 95 % interval of "
            f"{'each' if len(same) > 1 else 'the'} difference contains 0."
        )
    text = f"On {where}, compared with {baseline} (95 % interval): {'; '.join(apart)}."
    if same:
        text += f" {_listed(same)} cannot be told apart from it."
    return text


def _difference(comparison: Comparison) -> str:
    d = comparison.difference
    kind = "better" if d.difference > 0 else "worse"
    low, high = sorted((abs(d.lo), abs(d.hi)))
    return f"{comparison.system} is {kind} by {_share(abs(d.difference))} ({_share(low)} to {_share(high)})"


def _share(value: float) -> str:
    return f"{value:.3f}".replace("0.", ".", 1)


def _listed(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
