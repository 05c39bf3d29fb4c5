"""How long a site waits before it dials again: soon after a break, seldom after a long one."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from fedvalue.client.session import FIRST_WAIT, LONGEST_WAIT, SOON_SECONDS, SOON_WAIT, longer


def schedule(seconds: float) -> list[float]:
    """Moments of dialing, in seconds since the break, with nothing left out of a wait."""
    wait, at, found = FIRST_WAIT, 0.0, list[float]()
    while at < seconds:
        at += wait
        found.append(at)
        wait = longer(wait, at)
    return found


def test_a_short_break_is_dialed_every_second_and_a_long_one_every_ten() -> None:
    # .2, .4, .8, then 1 a second up to 20 seconds, then 2, 4, 8, 10, 10, ...
    waits = [later - before for before, later in pairwise([0.0, *schedule(120.0)])]
    assert [round(wait, 3) for wait in waits[:5]] == [0.2, 0.4, 0.8, 1.0, 1.0]
    after = [wait for wait, at in zip(waits, schedule(120.0), strict=True) if at > SOON_SECONDS + 16]
    assert {round(wait, 3) for wait in after} == {LONGEST_WAIT}


@given(st.floats(0.0, 100.0), st.floats(0.0, 1e6))
def test_a_wait_grows_at_most_twofold_and_stays_under_its_ceiling(wait: float, away: float) -> None:
    found = longer(wait, away)
    assert found <= 2 * wait
    assert found <= (LONGEST_WAIT if away > SOON_SECONDS else SOON_WAIT)
