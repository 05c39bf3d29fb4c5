"""Answers leave on whole periods after their question."""

from __future__ import annotations

import pytest

from fedvalue.client.pace import paced


@pytest.mark.parametrize(
    ("period", "took", "waited"),
    [(0.0, 3.0, []), (1.0, 0.25, [0.75]), (1.0, 1.0, [0.0]), (1.0, 2.5, [0.5]), (5.0, 0.0, [0.0])],
)
@pytest.mark.parametrize("fails", [False, True])
def test_a_block_lasts_whole_periods_also_where_it_fails(
    period: float, took: float, waited: list[float], fails: bool
) -> None:
    times, waits = iter([10.0, 10.0 + took]), list[float]()
    caught = pytest.raises(ValueError, match="a row") if fails else paced(0.0)
    with caught, paced(period, now=lambda: next(times), wait=waits.append):
        if fails:
            raise ValueError("a row")
    assert waits == waited
