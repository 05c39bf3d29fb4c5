"""Durations, windows and grids: what the words of a study file mean in days."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from fedvalue.study.endpoints import Binary, TimeToEvent
from fedvalue.study.model import MAX_DAYS, Line, duration_days, one_line, window_days


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("183 days", 183.0),
        ("1 day", 1.0),
        ("2 weeks", 14.0),
        ("12 months", 365.25),  # a month is a twelfth of 365.25 days
        ("2.5 years", 913.125),
        (" 6months ", 182.625),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, days: float) -> None:
    assert duration_days(text) == pytest.approx(days, rel=1e-15)


@pytest.mark.parametrize(
    "text",
    ["", "6", "months", "-1 day", "1e3 days", "nan days", "6 monthsx", "six months", "0 days", "0.0001 days"],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        duration_days(text)


def test_a_window_has_both_its_ends() -> None:
    assert window_days("-365d..0d") == (-365, 0)
    assert window_days("7d..7d") == (7, 7)


@pytest.mark.parametrize("text", ["", "0d", "0d..", "0..5d", "5d..4d", "-1.5d..0d", "0d...5d", "٣d..٤d"])
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="window"):
        window_days(text)


@settings(deadline=None)
@given(first=st.integers(-MAX_DAYS, MAX_DAYS), length=st.integers(0, MAX_DAYS))
def test_every_window_reads_back(first: int, length: int) -> None:
    last = min(first + length, MAX_DAYS)
    assert window_days(f"{first}d..{last}d") == (first, last)


@settings(deadline=None)
@given(text=st.text())
def test_text_of_people_is_one_line_and_nothing_hides_in_it(text: str) -> None:
    try:
        read = one_line(text)
    except ValueError:
        assert any(not c.isprintable() for c in text)
    else:
        assert read == text
        assert len(text.splitlines()) <= 1
        assert "\x1b" not in text


def test_chinese_punctuation_and_wide_spaces_are_text() -> None:
    text = "EGFR 检测，能否\u3000保持“缓解率”？"
    assert TypeAdapter(Line).validate_python(text) == text
    with pytest.raises(ValidationError):
        TypeAdapter(Line).validate_python("a\u2028b")


def test_a_grid_runs_from_zero_to_the_horizon_and_its_last_interval_may_be_shorter() -> None:
    uneven = TimeToEvent(kind="time_to_event", events=("death",), until="10 days", grid="4 days")
    assert uneven.intervals == 3
    assert uneven.edges == (0.0, 4.0, 8.0, 10.0)


def test_twenty_four_months_in_months_are_twenty_four_intervals() -> None:
    # 24 x 365.25/12 in binary fractions must not make a twenty-fifth
    monthly = TimeToEvent(kind="time_to_event", events=("death",), until="24 months", grid="1 month")
    assert monthly.intervals == 24
    assert len(monthly.edges) == 25
    assert monthly.edges[-1] == pytest.approx(730.5)


@settings(deadline=None)
@given(
    until=st.floats(1, MAX_DAYS).map(lambda x: round(x, 3)),
    parts=st.integers(1, 4000),
)
def test_every_grid_rises_from_zero_to_the_horizon(until: float, parts: int) -> None:
    grid = max(round(until / parts, 3), 0.001)
    try:
        found = TimeToEvent(
            kind="time_to_event", events=("death",), until=f"{until:.3f} days", grid=f"{grid:.3f} days"
        )
    except ValidationError:
        return
    assert found.edges[0] == 0.0
    assert found.edges[-1] == until
    assert all(a < b for a, b in zip(found.edges, found.edges[1:], strict=False))
    assert len(found.edges) == found.intervals + 1


@pytest.mark.parametrize(
    ("what", "window", "best"),
    [
        ("best by day 183", (1, 183), True),
        ("status at day 183 within 28 days", (155, 211), False),
        ("status at day 10 within 28 days", (1, 38), False),  # never before day 1
    ],
)
def test_an_assessment_counts_inside_its_window(what: str, window: tuple[int, int], best: bool) -> None:
    endpoint = Binary(kind="binary", method="recist", what=what)
    assert endpoint.window == window
    assert endpoint.takes_best is best


def test_an_outcome_from_a_column_has_no_window() -> None:
    with pytest.raises(ValueError, match="only an assessed response"):
        _ = Binary(kind="binary", source="person", column="responded").window
