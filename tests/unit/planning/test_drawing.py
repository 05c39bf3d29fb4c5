"""The least noise of sampled rounds: what it keeps, and what would break it."""

from __future__ import annotations

from fractions import Fraction
from math import sqrt

import pytest

from fedvalue.analyses.analysis import Ask, Drawn
from fedvalue.errors import PrivacyError
from fedvalue.planning.drawing import Rounds, is_sampled, noise_of
from fedvalue.privacy import accounting, sampled
from fedvalue.privacy.accounting import NOTHING, Price
from fedvalue.privacy.release import Block

DELTA = 1e-6


def ask(rate: Fraction, steps: int = 0) -> Ask:
    block = Block("gradient", 6, Fraction(1), counting=False, summed=True)
    return Ask("round_1", (block,), (Fraction(1),), 6, drawn=Drawn(rate, steps))


def rounds(
    number: int = 20, share: Fraction = Fraction(1), label: str = "training:a",
    *, rate: Fraction = Fraction(1, 10), steps: int = 0,
) -> Rounds:  # fmt: skip
    return Rounds(label, ask(rate, steps), number, share)


def noise(*found: Rounds, epsilon: float = 2.0, attempts: int = 1, m: int = 3, k: int = 1) -> dict[str, int]:
    return noise_of(
        found, epsilon=epsilon, delta=DELTA, attempts=attempts, honest_shares=m, sites_per_patient=k
    )


def cost(rho_units: int, one: Rounds, *, more: Fraction = Fraction(1)) -> Price:
    """All rounds at ``rho = 1 / (2 z^2)``, the noise ``more`` times as large."""
    z2 = Fraction(accounting.UNITS_PER_RHO, 2 * rho_units) * more**2
    rate = Fraction(1) if one.ask.drawn is None else one.ask.drawn.rate
    return sampled.times(sampled.curve(z2, rate), one.number)


def test_only_what_is_drawn_or_steps_by_itself_has_a_price_of_its_own_at_each_order() -> None:
    plain = Ask("n", (Block("n", 1, Fraction(1), counting=True),), (Fraction(1),))
    assert not is_sampled(plain)
    assert not is_sampled(ask(Fraction(1)))
    assert is_sampled(ask(Fraction(999, 1000)))
    assert is_sampled(ask(Fraction(1), steps=1))


@pytest.mark.parametrize(("number", "rate"), [(1, "1/2"), (20, "1/10"), (400, "1/100")])
def test_the_noise_keeps_the_promise_and_a_hundredth_less_would_not(number: int, rate: str) -> None:
    one = rounds(number, rate=Fraction(rate))
    units = noise(one)["training:a"]
    assert accounting.epsilon_of(cost(units, one), DELTA) <= 2.0
    assert accounting.epsilon_of(cost(units, one, more=Fraction(99, 100)), DELTA) > 2.0


def test_two_trainings_and_the_rest_of_the_study_share_one_promise() -> None:
    first, second = rounds(share=Fraction(1, 4)), rounds(share=Fraction(1, 2), label="training:b")
    units = noise(first, second)
    assert units["training:b"] > units["training:a"]  # a larger budget, less noise
    rest = Price.plain(accounting.rho_units_for(2.0, DELTA) // 4)
    together = cost(units["training:a"], first) + cost(units["training:b"], second) + rest
    assert accounting.epsilon_of(together, DELTA) <= 2.0


def test_an_attempt_is_a_round_more() -> None:
    assert noise(rounds(10), attempts=2) == noise(rounds(20))


def test_a_person_at_two_hospitals_is_drawn_twice_as_it_were() -> None:
    # whoever is at two hospitals enters by either: 1 - (1 - 1/10)^2 = 19/100
    assert sampled.rate_over_sites(Fraction(1, 10), 2) == Fraction(19, 100)
    assert noise(rounds(), k=2) == noise(rounds(rate=Fraction(19, 100)))


def test_local_steps_rest_on_the_sites_own_noise_whoever_else_answers() -> None:
    local = rounds(5, steps=4)
    assert noise(local, m=3) == noise(local, m=30)
    # 5 rounds of 4 steps are 20 noisy sums of one site, as are 20 rounds with the site's share alone
    assert noise(local) == noise(rounds(20), m=1)
    # at k = 2 hospitals the same person's steps are twice as many
    assert noise(local, k=2) == noise(rounds(10, steps=4))


def test_more_noise_the_lower_epsilon_and_the_more_rounds() -> None:
    z = {
        (epsilon, number): 1 / sqrt(noise(rounds(number), epsilon=epsilon)["training:a"])
        for epsilon in (0.5, 3.0) for number in (10, 40)
    }  # fmt: skip
    assert z[0.5, 10] > z[3.0, 10]
    assert z[3.0, 40] > z[3.0, 10]


def test_a_study_without_sampled_rounds_needs_nothing_here() -> None:
    assert noise() == {}


def test_a_promise_that_no_noise_keeps_is_refused_and_the_training_named() -> None:
    # at delta = 1e-6 even the largest order of the ledger takes more than 0.005 for the conversion alone
    with pytest.raises(PrivacyError, match="no amount of noise") as refused:
        noise(rounds(), epsilon=0.005)
    assert refused.value.where == "training:a"


def test_all_of_the_budget_is_what_rounds_without_company_get() -> None:
    alone = noise(rounds())["training:a"]
    beside = noise(rounds(share=Fraction(1, 2)))["training:a"]
    assert alone > beside > 0
    assert accounting.epsilon_of(cost(alone, rounds()) + NOTHING, DELTA) == pytest.approx(2.0, rel=0.01)
