"""The frontier's laws: slow and obvious dominance, and indifference to what does not matter."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvalue.errors import PaymentError
from fedvalue.payment.economics.frontier import Option, frontier

points = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=10, unique=True
).map(lambda found: [Option(str(i), float(c), float(e)) for i, (c, e) in enumerate(found)])


def efficient(options: list[Option]) -> set[str]:
    return {placed.option.name for placed in frontier(options) if placed.standing == "frontier"}


@given(points)
@settings(deadline=None)
def test_an_option_is_on_the_frontier_where_no_other_and_no_mixture_is_better(options: list[Option]) -> None:
    def beaten(x: Option) -> bool:
        if any(o is not x and o.cost <= x.cost and o.effect >= x.effect for o in options):
            return True
        # A mixture of a cheaper and a dearer option that gives more at the same cost.
        return any(
            lo.cost < x.cost < hi.cost
            and (hi.cost - lo.cost) * x.effect
            < lo.effect * (hi.cost - x.cost) + hi.effect * (x.cost - lo.cost)
            for lo in options
            for hi in options
        )

    assert efficient(options) == {o.name for o in options if not beaten(o)}


@given(points, st.integers(0, 20), st.integers(0, 20))
@settings(deadline=None)
def test_a_dominated_option_leaves_the_frontier_as_it_was(
    options: list[Option], dearer: int, worse: int
) -> None:
    base = options[0]
    added = Option("added", base.cost + 1 + dearer, base.effect - worse)
    assert efficient([*options, added]) == efficient(options)


@given(points, st.sampled_from([0.25, 4.0, 128.0]))
@settings(deadline=None)
def test_the_unit_of_currency_changes_ratios_and_nothing_else(options: list[Option], rate: float) -> None:
    # Powers of two, so that the change of unit is exact.
    other = [Option(o.name, o.cost * rate, o.effect) for o in options]
    for ours, theirs in zip(frontier(options), frontier(other), strict=True):
        assert (ours.option.name, ours.standing, ours.before) == (
            theirs.option.name, theirs.standing, theirs.before
        )  # fmt: skip
        assert (ours.ratio is None) == (theirs.ratio is None)
        if ours.ratio is not None:
            assert theirs.ratio == ours.ratio * rate


@given(points)
@settings(deadline=None)
def test_ratios_increase_along_the_frontier(options: list[Option]) -> None:
    ratios = [placed.ratio for placed in frontier(options) if placed.ratio is not None]
    assert ratios == sorted(ratios)
    assert all(ratio > 0 for ratio in ratios)


def test_of_options_with_equal_cost_the_better_one_stays() -> None:
    placed = {p.option.name: p for p in frontier([Option("a", 5, 1), Option("b", 5, 2)])}
    assert (placed["a"].standing, placed["b"].standing) == ("D", "frontier")


@pytest.mark.parametrize("options", [[], [Option("a", 1, 1), Option("a", 2, 2)]])
def test_no_option_or_a_name_twice_is_refused(options: list[Option]) -> None:
    with pytest.raises(PaymentError, match="own name"):
        frontier(options)
