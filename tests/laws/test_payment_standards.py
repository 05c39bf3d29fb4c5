"""Laws of a decision on criteria: what must never change its answer, and what must move it one way."""

from __future__ import annotations

from decimal import Decimal

import pytest

from fedvalue.payment.deciding_criteria import answer
from tests.unit.payment.kinds.sources import (
    BUDGET,
    DAY,
    changed,
    decided,
    increment,
    mean,
    share,
    sources,
)

GATE = "lung/targeted_therapy_icer_gate"


def test_the_same_evidence_and_standard_give_the_same_answer_to_the_last_bit() -> None:
    strata = {"target_1": share(0.91), "target_2": share(0.72)}
    assert decided("diabetes/quality_base", strata) == decided("diabetes/quality_base", strata)


def test_a_later_value_changes_no_earlier_answer() -> None:
    # Tomorrow's bar is in the file already; today's answer does not know it.
    old = "place: better than the alternative, status: chosen}}\n"
    source = "source: {title: Later, place: chosen, status: chosen}"
    later = old + f'      - {{starts: 2027-06-01, amount: "90000.00", {source}}}\n'
    stratum = increment(80_000, 0.45)
    before, after = (
        decided(GATE, {"cost": stratum, "effect": stratum}, None, *change) for change in ((), ((old, later),))
    )
    assert (before.outcome, before.joint_probability) == (after.outcome, after.joint_probability)


@pytest.mark.parametrize("factor", [100, 0.01])
def test_the_unit_of_money_moves_no_probability(factor: float) -> None:
    # dC, its errors and k in another currency unit: P(INB > 0) is the same.
    one = increment(80_000, 0.45)
    other = increment(80_000 * factor, 0.45, sd=(9000.0 * factor, 0.08))
    k = Decimal("268074.00") * Decimal(str(factor))
    file = changed(GATE, ('amount: "268074.00"', f'amount: "{k.quantize(Decimal("0.01"))}"'))
    scaled = answer(file, sources(file, {"cost": other, "effect": other}), DAY, budget=BUDGET, minimum=20)
    plain = decided(GATE, {"cost": one, "effect": one})
    assert plain.joint_probability == pytest.approx(scaled.joint_probability, abs=1e-8)


def test_more_willingness_to_pay_never_lowers_the_probability_where_effect_is_gained() -> None:
    stratum = increment(80_000, 0.45)
    found = []
    for k in ("89358.00", "178716.00", "268074.00"):
        file = changed(GATE, ('amount: "268074.00"', f'amount: "{k}"'))
        made = answer(
            file, sources(file, {"cost": stratum, "effect": stratum}), DAY, budget=BUDGET, minimum=20
        )
        found.append(made.joint_probability or 0.0)
    assert found == sorted(found)


def test_a_second_bar_never_raises_the_joint_probability() -> None:
    both = decided("diabetes/quality_base", {"target_1": share(0.91), "target_2": share(0.72)})
    assert both.joint_probability is not None
    assert both.joint_probability <= min(c.probability for c in both.criteria) + 0.005


@pytest.mark.parametrize("noise", [0.0, 400.0, 3000.0])
def test_exactly_at_the_bar_a_standard_is_met_by_chance_alone(noise: float) -> None:
    # Released exactly at the threshold nothing is shown, however small or large the noise: insufficient.
    found = mean({"mean": (2800.0, "CNY", 900.0, noise)})
    made = decided("test/ngs_item_price", {"charge": found})
    assert made.outcome == "insufficient_evidence"
    assert made.joint_probability == pytest.approx(0.5)


def test_noise_alone_never_turns_insufficient_evidence_into_a_price_cut() -> None:
    for noise in (0.0, 2500.0, 40_000.0):
        made = decided("test/ngs_item_price", {"charge": mean({"mean": (2790.0, "CNY", 900.0, noise)})})
        assert made.outcome == "insufficient_evidence"
        assert made.after is None
