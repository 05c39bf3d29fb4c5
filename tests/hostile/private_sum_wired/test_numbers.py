"""n, t, c, f, m and the receipts a start needs, against every strategy of an adversary who counts."""

from __future__ import annotations

from itertools import product

import pytest

from fedvalue.client.governance.receipts import needed
from fedvalue.errors import TooFewSites
from fedvalue.secure_sum.thresholds import Thresholds, thresholds

SIZES = (*range(3, 11), 31, 50, 200)


def possible(n: int) -> list[Thresholds]:
    found = []
    for c, f in product(range(1, n), range(n)):
        try:
            found.append(thresholds(n, colluding=c, dropouts=f))
        except TooFewSites:
            continue
    return found


@pytest.mark.parametrize("n", SIZES)
def test_no_split_of_the_honest_gives_t_answers_to_two_questions(n: int) -> None:
    """Honest sites answer one of two questions, colluding ones both: two U3, two key lists, two h."""
    for limits in possible(n):
        honest = n - limits.colluding
        assert honest // 2 + limits.colluding < limits.answers


@pytest.mark.parametrize("n", SIZES)
def test_at_least_m_and_never_one_honest_share_is_in_a_sum(n: int) -> None:
    for limits in possible(n):
        fewest = limits.answers - limits.colluding
        assert fewest == limits.honest_shares >= 2


@pytest.mark.parametrize("n", SIZES)
def test_what_is_refused_does_not_protect(n: int) -> None:
    allowed = {(limits.colluding, limits.dropouts) for limits in possible(n)}
    for c, f in product(range(1, n), range(n)):
        t = n - f
        split = (n - c) // 2 + c >= t
        alone = t - c < 2
        assert ((c, f) in allowed) == (not split and not alone)


@pytest.mark.parametrize("n", SIZES)
def test_receipts_hold_the_word_of_one_honest_witness_or_the_sum_never_opens(n: int) -> None:
    """The restarted site is honest; c peers lie; the coordinator picks who witnesses and who is asked.

    w honest peers signed the sum before they were asked. Those who are asked and have not signed sign no
    more (`LiveEpoch.left`), so that the signers are the w, the liars, the site itself and those never asked.
    """
    for limits in possible(n):
        honest_peers = n - 1 - limits.colluding
        asked = needed(limits)
        assert asked <= n - 1
        for witnesses in range(honest_peers + 1):
            unwitting = honest_peers - witnesses
            if asked > limits.colluding + unwitting:
                continue  # one of the witnesses must be asked
            least_silenced = asked - limits.colluding
            signers = witnesses + limits.colluding + 1 + unwitting - least_silenced
            assert signers < limits.answers


def test_the_defaults_are_those_of_the_table() -> None:
    table = {3: (1, 0, 3, 2), 5: (1, 1, 4, 3), 10: (2, 1, 9, 7), 31: (6, 3, 28, 22), 200: (40, 20, 180, 140)}
    for n, (c, f, t, m) in table.items():
        found = thresholds(n)
        assert (found.colluding, found.dropouts, found.answers, found.honest_shares) == (c, f, t, m)
    assert [needed(thresholds(n)) for n in (3, 4, 5, 8, 10, 200)] == [2, 3, 3, 3, 4, 61]
