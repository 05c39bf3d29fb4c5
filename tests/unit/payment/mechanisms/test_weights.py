"""DRG weights and splits: laws of weights, books that close, and a field that identifies the case."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvalue.errors import PaymentError, PurposeMixed
from fedvalue.payment.mechanisms.case_costs import GroupCosts, PayerHeld, close_books, summed
from fedvalue.payment.mechanisms.molecular import share_name, subgroup_moments, subgroup_weights
from fedvalue.payment.mechanisms.split import (
    SplitCriteria,
    condition_probabilities,
    conditions,
    moment_draws,
    moments,
    riv,
)
from fedvalue.payment.mechanisms.subgroup import (
    IdentifyingField,
    Subgroup,
    SubgroupProposal,
    SubgroupRefused,
    propose,
)
from fedvalue.payment.mechanisms.technology import (
    Bounds,
    carved_out,
    corridor_check,
    uplifted,
    with_technology,
)
from fedvalue.payment.mechanisms.trimming import trim
from fedvalue.payment.mechanisms.underlying import Draws
from fedvalue.payment.mechanisms.vehicles import (
    ExclusionPayment,
    OutpatientBundle,
    UnitsUsed,
    reviewed,
    settle_exclusion,
    with_coefficient,
)
from fedvalue.payment.mechanisms.weight_error import weight_estimates
from fedvalue.payment.mechanisms.weights import (
    Weights,
    divide_budget,
    normalised,
    over_years,
    published,
    relative_weights,
)
from tests.statements import certain, stated

D = Decimal
UNHURRIED = settings(deadline=None, max_examples=60)  # shared cores make single examples slow
MONEY = st.integers(1, 10**8).map(lambda n: D(n).scaleb(-2))
BOOKS = st.dictionaries(
    st.sampled_from(["EB1", "EB2", "EB3", "FR1", "GZ1"]), st.lists(MONEY, min_size=2, max_size=12), min_size=2
)


def books(costs: dict[str, list[Decimal]], **changes: Any) -> PayerHeld:
    every = [c for group in costs.values() for c in group]
    return close_books(
        costs,
        **{
            "year": 2024,
            "currency": "CNY",
            "grouping_version": "CHS-DRG 2.0",
            "price_list": "2025-01",
            "trim_factor": D("1.5"),
            "ledger_cases": len(every),
            "ledger_total": sum(every, D(0)),
            **changes,
        },
    )


def flat(means: dict[str, int], cases: int = 200, **changes: Any) -> PayerHeld:
    """Groups whose costs lie a tenth to either side of a mean."""
    return books({g: [D(m) * 9 / 10, D(m) * 11 / 10] * (cases // 2) for g, m in means.items()}, **changes)


def mean_of(weights: Weights) -> Fraction:
    whole = sum(n * w for n, w in zip(weights.cases, weights.values, strict=True))
    return Fraction(whole) / sum(weights.cases)


@UNHURRIED
@given(BOOKS)
def test_weights_average_one_over_the_case_mix(costs: dict[str, list[Decimal]]) -> None:
    assert mean_of(relative_weights(books(costs))) == 1


@UNHURRIED
@given(BOOKS, st.decimals("1.2", "1.5", places=2))
def test_weights_average_one_after_every_change(costs: dict[str, list[Decimal]], kappa: Decimal) -> None:
    held = books(costs)
    group = held.groups[0]
    technology = {group.group: (group.total / 2).quantize(D("0.01"), "ROUND_DOWN")}
    assert mean_of(with_technology(held, technology, kappa, Bounds(D("1.2"), D("1.5")))) == 1
    assert mean_of(relative_weights(carved_out(held, group.group, D("0.01")))) == 1
    assert mean_of(with_coefficient(relative_weights(held), group.group, 1, D("1.3"))) == 1
    assert mean_of(over_years([replace(held, year=2023), held], (3, 5))) == 1


@UNHURRIED
@given(BOOKS, st.sampled_from([10, 100, 7]))
def test_weights_do_not_change_with_the_currency_unit(costs: dict[str, list[Decimal]], unit: int) -> None:
    scaled = {group: [c * unit for c in values] for group, values in costs.items()}
    assert relative_weights(books(costs)) == relative_weights(books(scaled))


@UNHURRIED
@given(BOOKS, st.data())
def test_splitting_a_site_in_two_changes_no_weight(
    costs: dict[str, list[Decimal]], data: st.DataObject
) -> None:
    # Trimming is the region's: sites hand in all their cases, which here are taken as they stand.
    untrimmed = tuple(summed(group, values) for group, values in costs.items())
    whole = replace(books(costs), groups=untrimmed, trimmed_cases=0, trimmed_total=D(0))
    pooled = []
    for group, values in costs.items():
        cut = data.draw(st.integers(0, len(values)))
        pooled.append(summed(group, values[:cut]) + summed(group, values[cut:]))
    assert relative_weights(replace(whole, groups=tuple(pooled))) == relative_weights(whole)
    assert weight_estimates(replace(whole, groups=tuple(pooled))) == weight_estimates(whole)


@UNHURRIED
@given(BOOKS, st.integers(2, 5))
def test_rounding_weights_moves_no_money(costs: dict[str, list[Decimal]], places: int) -> None:
    weights = relative_weights(books(costs))
    if all(round(w, places) > 0 for w in weights.values):
        printed = published(weights, places)
        total = sum(
            Fraction(printed.weights[g]) * n for g, n in zip(weights.groups, weights.cases, strict=True)
        )
        assert total * printed.rate_factor == sum(weights.cases)


@UNHURRIED
@given(st.integers(0, 10**11), st.lists(st.integers(0, 50), min_size=2, max_size=6).filter(any))
def test_a_budget_is_divided_to_the_fen_and_a_split_site_gets_the_same(budget: int, mix: list[int]) -> None:
    weights = relative_weights(flat({"EB1": 100, "EB2": 300}, cases=2))
    money = D(budget).scaleb(-2)
    cases = {f"h{i}": {"EB1": n, "EB2": 2} for i, n in enumerate(mix)}
    whole = divide_budget(money, weights, cases, dict.fromkeys(cases, D(1)))
    assert sum(whole.values()) == money
    first = cases.pop("h0")
    split = {**cases, "h0a": {"EB1": first["EB1"]}, "h0b": {"EB2": first["EB2"]}}
    parts = divide_budget(money, weights, split, dict.fromkeys(split, D(1)))
    assert sum(parts.values()) == money
    assert abs(parts["h0a"] + parts["h0b"] - whole["h0"]) <= D("0.01")


def test_three_years_are_weighted_two_three_five_after_inflation() -> None:
    # relative costs .5 / 1.5, .5 / 1.5 at twice the price level, and .6 / 1.4
    years = [
        flat({"EB1": 500, "EB2": 1500}, year=2022),
        flat({"EB1": 1000, "EB2": 3000}, year=2023),
        flat({"EB1": 600, "EB2": 1400}, year=2024),
    ]
    found = over_years(years, (2, 3, 5))
    # (.2 + .3) x .5 + .5 x .6 = .55
    assert found.of("EB1") == Fraction("0.55")
    with pytest.raises(PaymentError, match="oldest first"):
        over_years(years[::-1], (2, 3, 5))
    with pytest.raises(PaymentError, match="different grouping versions"):
        over_years([replace(years[0], grouping_version="CHS-DRG 1.1"), *years[1:]], (2, 3, 5))
    with pytest.raises(PaymentError, match="one weight"):
        over_years(years, (2, 3))


def test_a_group_that_is_new_is_not_pulled_to_zero() -> None:
    years = [flat({"EB1": 500}, year=2023), flat({"EB1": 500, "EB2": 1500}, year=2024)]
    found = over_years(years, (1, 1))
    # EB1: (1 + .5) / 2 = .75, EB2: 1.5 from its only year; normalised by (.75 + 1.5) / 2 = 1.125
    assert found.of("EB2") == Fraction(1500, 1125)


def test_no_weight_is_made_of_a_noised_cost() -> None:
    with pytest.raises(PurposeMixed, match="cost in EB1"):
        summed("EB1", [100.25])  # type: ignore[list-item]  # noised
    with pytest.raises(PurposeMixed, match="cost"):
        trim([D(1), 1.5], D("1.5"))  # type: ignore[list-item]  # noised
    with pytest.raises(PurposeMixed, match="total of EB1"):
        GroupCosts("EB1", 2, 200.0, D(40000))  # type: ignore[arg-type]  # noised
    with pytest.raises(PurposeMixed, match="weights from a Draws"):
        relative_weights(certain(("EB1",), [100.0]))  # type: ignore[arg-type]  # refused by type
    with pytest.raises(PurposeMixed, match="weights from a Draws"):
        over_years([certain(("EB1",), [100.0])], (1,))  # type: ignore[list-item]  # the same


def test_books_that_do_not_close_to_the_fen_carry_nothing() -> None:
    costs = {"EB1": [D("100.00"), D("110.00")], "EB2": [D("300.00"), D("310.00")]}
    with pytest.raises(PaymentError, match=r"0 cases and 0\.01 CNY are open"):
        books(costs, ledger_total=D("820.01"))
    with pytest.raises(PaymentError, match="1 cases and"):
        books(costs, ledger_cases=5)
    held = books(costs, ledger_cases=6, ledger_total=D("840.00"), ungrouped=[D("15.00"), D("5.00")])
    assert held.ungrouped_total == 20


def test_trimmed_cases_leave_the_mean_and_stay_in_the_books() -> None:
    # quartiles of 1..8 and 100 (type 7): Q1 = 3, Q3 = 7, fences -3 and 13
    costs = [D(n) for n in (1, 2, 3, 4, 5, 6, 7, 8, 100)]
    found = trim(costs, D("1.5"))
    assert (found.low, found.high) == (Fraction(-3), Fraction(13))
    assert found.cut == (D(100),)
    held = books({"EB1": costs, "EB2": [D(5), D(5)]})
    assert (held.trimmed_cases, held.trimmed_total, held.group("EB1").mean) == (
        1,
        D("100.00"),
        Fraction(9, 2),
    )
    assert trim([D(1), D(2), D(900)], D("1.5")).cut == ()
    assert trim([D(1), D(1), D(1), D(1), D(900)], D("1.5")).cut == ()


def test_weights_that_do_not_average_one_are_no_weights() -> None:
    with pytest.raises(PaymentError, match="do not average 1"):
        Weights(("EB1", "EB2"), (1, 1), (Fraction(1), Fraction(2)))
    with pytest.raises(PaymentError, match="groups differ"):
        normalised({"EB1": Fraction(1)}, {"EB2": 1})
    with pytest.raises(PaymentError, match="no weight for the group"):
        relative_weights(flat({"EB1": 1, "EB2": 2})).of("EB9")


def test_the_standard_error_is_that_of_a_simulation() -> None:
    # 4,000 redrawn years: the SD of a weight is known to 1 / sqrt(8000) = 1.1 %, and 5 % is more than four.
    rng = np.random.default_rng(8)
    held = flat({"EB1": 1000, "EB2": 3000, "EB3": 2000}, cases=50)
    n = np.array([g.cases for g in held.groups])
    sd = np.sqrt([float(g.variance) / g.cases for g in held.groups])
    means = rng.normal([float(g.mean) for g in held.groups], sd, (4000, 3))
    simulated = (means / ((means @ n) / n.sum())[:, None]).std(axis=0)
    stated_se = [math.sqrt(e.sampling_variance) for e in weight_estimates(held).values()]
    np.testing.assert_allclose(stated_se, simulated, rtol=0.05)


CRITERIA = SplitCriteria(100, D("0.05"), D("0.20"), D("200.00"), D("0.03"), D(1), "CNY")


def test_a_criterion_holds_at_its_own_value_exactly() -> None:
    # 1,200 over 1,000: a fifth, and 200 in money: both are met at the bar, which binary fractions would miss
    groups = [moments(g) for g in flat({"EB1": 1000, "EB2": 1200}).groups]
    held = conditions(groups, CRITERIA)
    assert held["relative_difference"]
    assert held["absolute_difference"]
    assert not conditions(groups, replace(CRITERIA, absolute_difference=D("200.01")))["absolute_difference"]


def test_at_the_bar_a_criterion_has_an_even_chance() -> None:
    # 2,000 draws: standard error .011; .5 +- .05 leaves 6 in 10^6 seeds outside
    held = flat({"EB1": 1000, "EB2": 1200})
    draws = moment_draws(held.groups, runs=2000, rng=np.random.default_rng(6))
    found = condition_probabilities(draws, CRITERIA)
    assert abs(found["relative_difference"] - 0.5) < 0.05
    assert found["minimum_cases"] == 1.0
    assert found["all"] <= min(found.values())
    with pytest.raises(PaymentError, match="fewer than two cases"):
        moment_draws([summed("EB1", [D(1)])], runs=2, rng=np.random.default_rng(1))


@UNHURRIED
@given(st.lists(st.lists(MONEY, min_size=2, max_size=8), min_size=2, max_size=4))
def test_riv_is_the_share_of_variance_between_groups(costs: list[list[Decimal]]) -> None:
    groups = [summed(str(i), values) for i, values in enumerate(costs)]
    found = riv([moments(g) for g in groups])
    assert 0 <= found <= 1
    every = np.array([float(c) for values in costs for c in values])
    within = sum(((np.array(v, dtype=float) - np.mean(np.array(v, dtype=float))) ** 2).sum() for v in costs)
    total = ((every - every.mean()) ** 2).sum()
    if total > 1e-3:
        assert float(found) == pytest.approx(1 - within / total, abs=1e-6)


SEEN = IdentifyingField("drug", ("XL01EB02",))
SPLIT = (Subgroup("ER11", "EGFR mutated, inhibitor", SEEN), Subgroup("ER19", "other", None, rest=True))


def proposed(
    subgroups: tuple[Subgroup, ...] = SPLIT,
    held: PayerHeld | None = None,
    outpatient: int = 0,
    **changes: Any,
) -> SubgroupProposal | SubgroupRefused:
    costs = held or flat({"ER11": 2000, "ER19": 1000, "FR1": 500})
    draws = moment_draws([costs.group(s.group) for s in subgroups], runs=200, rng=np.random.default_rng(9))
    terms: dict[str, Any] = {
        "p_met": D("0.90"),
        "channels": {"inpatient": D(100), "outpatient": D(outpatient)},
        **changes,
    }
    return propose("ER1", subgroups, costs, CRITERIA, draws, **terms)


def test_a_proposal_names_the_field_and_waits_for_the_committee() -> None:
    found = proposed()
    assert isinstance(found, SubgroupProposal)
    assert found.passed
    assert found.approval == "clinical_committee"
    assert mean_of(found.weights) == 1
    assert found.weights.of("FR1") < found.weights.of("ER19") < found.weights.of("ER11")
    assert found.notes == ()
    moved = proposed(outpatient=101)
    assert isinstance(moved, SubgroupProposal)
    assert "outside the ward" in moved.notes[0]


def test_without_a_field_the_engine_refuses_and_offers_four_vehicles() -> None:
    found = proposed((Subgroup("ER11", "EGFR mutated", None), SPLIT[1]))
    assert isinstance(found, SubgroupRefused)
    assert "EGFR mutated" in found.reason
    assert [name for name, _ in found.vehicles] == [
        "exclusion_payment",
        "adrg_coefficient",
        "outpatient_bundle",
        "case_review",
    ]


def test_a_mutation_is_no_field_of_a_settlement_list() -> None:
    with pytest.raises(PaymentError, match="'mutation' is no field that a grouper sees"):
        IdentifyingField("mutation", ("L858R",))  # type: ignore[arg-type]  # the very thing that is refused


def test_adrgs_are_read_only_codes_lead_to_one_group_and_currencies_do_not_mix() -> None:
    with pytest.raises(PaymentError, match="national and read-only"):
        proposed((Subgroup("FR1", "moved", SEEN), SPLIT[1]))
    with pytest.raises(PaymentError, match="overlapping windows"):
        proposed((SPLIT[0], Subgroup("ER19", "other", SEEN)))
    with pytest.raises(PaymentError, match="criteria in CNY, costs in USD"):
        proposed(held=flat({"ER11": 2, "ER19": 1}, currency="USD"))
    with pytest.raises(PaymentError, match="outside the sub-groups"):
        proposed(held=flat({"ER11": 2000, "ER19": 1000, "ER15": 500}))
    with pytest.raises(PaymentError, match="at most one of them the rest"):
        proposed((SPLIT[1],))


CELLS = flat({"drug A": 2000, "other": 1000})
SHARES = ("drug A|mutated", "drug A|wild", "other|mutated", "other|wild")


def molecular(noise: float, runs: int = 400) -> Draws:
    rng = np.random.default_rng(12)
    center = np.array([0.9, 0.1, 0.2, 0.8])
    return Draws(SHARES, center, rng.normal(0, 0.02, (runs, 4)), rng.normal(0, 1, (runs, 4)) * noise, "ev-1")


def test_the_molecular_split_of_exact_costs_gives_hand_worked_weights() -> None:
    # 200 cases a cell: mutated 180 + 40, cost (180 x 2000 + 40 x 1000) / 220 = 1818.18; mean of all 1,500
    found = subgroup_weights(CELLS, certain(SHARES, [0.9, 0.1, 0.2, 0.8]), ("mutated", "wild"))
    assert found["mutated"].value == pytest.approx(400_000 / 220 / 1500)
    # wild 20 + 160: (40,000 + 160,000) / 180
    assert found["wild"].value == pytest.approx(200_000 / 180 / 1500)
    assert share_name("other", "wild") in SHARES


def test_every_draw_of_molecular_weights_averages_one_and_noise_stays_apart() -> None:
    found = subgroup_weights(CELLS, molecular(0.3), ("mutated", "wild"))
    rows = subgroup_moments(CELLS, molecular(0.3), ("mutated", "wild"))
    for i, row in enumerate(rows[:100]):
        cases = [float(m.cases) for m in row]
        mean = sum(
            n * float(found[s].draws[i]) for n, s in zip(cases, ("mutated", "wild"), strict=True)
        ) / sum(cases)
        assert mean == pytest.approx(1.0)
    quiet = subgroup_weights(CELLS, molecular(0.0), ("mutated", "wild"))["mutated"]
    assert quiet.privacy_variance == 0.0
    assert found["mutated"].sampling_variance == quiet.sampling_variance
    assert found["mutated"].privacy_variance > 0


def test_noise_on_the_split_lowers_the_probability_of_a_criterion() -> None:
    bar = replace(CRITERIA, relative_difference=D("0.55"))
    quiet, noisy = (
        condition_probabilities(subgroup_moments(CELLS, molecular(s), ("mutated", "wild")), bar)
        for s in (0.0, 0.3)
    )
    assert quiet["relative_difference"] > 0.9 > noisy["relative_difference"]


def test_a_missing_share_or_one_subgroup_is_refused() -> None:
    with pytest.raises(PaymentError, match=r"no share of drug A\|fusion"):
        subgroup_weights(CELLS, molecular(0.0), ("mutated", "fusion"))
    with pytest.raises(PaymentError, match="splits nothing"):
        subgroup_weights(CELLS, molecular(0.0), ("mutated",))


def test_technology_raises_its_own_group_and_lowers_the_others() -> None:
    held = flat({"EB1": 1000, "EB2": 1000})
    found = with_technology(held, {"EB1": held.group("EB1").total / 2}, D("1.5"), Bounds(D("1.2"), D("1.5")))
    # mean costs 1,250 and 1,000: mean 1,125
    assert (found.of("EB1"), found.of("EB2")) == (Fraction(1250, 1125), Fraction(1000, 1125))
    with pytest.raises(PaymentError, match=r"outside 1\.2 to 1\.5"):
        with_technology(held, {}, D("1.6"), Bounds(D("1.2"), D("1.5")))
    with pytest.raises(PaymentError, match="more technology cost than cost"):
        with_technology(held, {"EB1": held.ledger_total}, D("1.5"), Bounds(D("1.2"), D("1.5")))


def test_an_uplift_is_paid_only_for_a_shown_effect() -> None:
    bounds = Bounds(D("0.10"), D("0.20"))
    assert uplifted(D("10000.00"), D("0.15"), bounds, effect="met", evidence_id="ev-1") == D("11500.00")
    for effect in ("not_met", "insufficient_evidence"):
        with pytest.raises(PaymentError, match="no uplift"):
            uplifted(D("10000.00"), D("0.15"), bounds, effect=effect, evidence_id="ev-1")
    with pytest.raises(PaymentError, match="outside"):
        uplifted(D("10000.00"), D("0.21"), bounds, effect="met", evidence_id="ev-1")


def test_a_subgroup_stays_in_its_corridor_over_the_parent() -> None:
    weights = relative_weights(flat({"EB1": 1000, "EB2": 1500}))
    check = corridor_check(weights, "EB2", Fraction(1), Bounds(D("0.20"), D("0.50")))
    assert (check.uplift, check.inside) == (Fraction(1, 5), True)
    assert not corridor_check(weights, "EB1", Fraction(1), Bounds(D("0.20"), D("0.50"))).inside


def test_a_carve_out_leaves_the_books_closed_and_the_variance_as_it_was() -> None:
    held = flat({"EB1": 1000, "EB2": 1500})
    left = carved_out(held, "EB1", D("12345.67"))
    assert left.carved_total == D("12345.67")
    assert float(left.group("EB1").variance) == pytest.approx(float(held.group("EB1").variance))
    with pytest.raises(PaymentError, match="more technology cost"):
        carved_out(held, "EB1", D("200000.01"))


VEHICLE = ExclusionPayment(
    "contract 1", "drug-1", "CNY", D("500.00"), D("0.70"), date(2025, 1, 1), date(2026, 12, 31), 2027
)


def test_an_excluded_drug_is_paid_apart_to_its_price_until_it_expires() -> None:
    # 3 units billed 1,600.01, at most 1,500: 70 : 30
    paid = settle_exclusion(VEHICLE, stated(UnitsUsed("drug-1", 3, D("1600.01"), date(2026, 12, 31))))
    assert (-paid.net("fund"), -paid.net("patient")) == (D("1050.00"), D("450.00"))
    with pytest.raises(PaymentError, match="outside 2025-01-01 to 2026-12-31"):
        settle_exclusion(VEHICLE, stated(UnitsUsed("drug-1", 3, D(1), date(2027, 1, 1))))
    with pytest.raises(PaymentError, match="not paid apart"):
        settle_exclusion(VEHICLE, stated(UnitsUsed("drug-2", 3, D(1), date(2026, 1, 1))))
    with pytest.raises(PaymentError, match="in the weights and paid apart"):
        replace(VEHICLE, reenters=2025)


def test_the_other_three_vehicles() -> None:
    weights = relative_weights(flat({"EB1": 1000, "EB2": 1000}))
    more = with_coefficient(weights, "EB1", 50, D("1.4"))
    # (150 + 50 x 1.4 + 200) / 400 = 1.05
    assert more.of("EB1+") == Fraction(14, 10) / Fraction(105, 100)
    with pytest.raises(PaymentError, match="price cut"):
        with_coefficient(weights, "EB1", 50, D("0.9"))
    with pytest.raises(PaymentError, match="cannot be marked"):
        with_coefficient(weights, "EB1", 201, D("1.4"))
    assert OutpatientBundle("CNY", D("3000.00"), D("60000.00"), D("4800.00")).price == D("67800.00")
    asked = [("c1", D(10)), ("c2", D(30)), ("c3", D(30)), ("c4", D(5))]
    # floor(.05 x 59) = 2
    assert reviewed(59, asked, cap=D("0.05")) == (("c2", D(30)), ("c3", D(30)))
    with pytest.raises(PaymentError, match="applies twice"):
        reviewed(59, [asked[0], asked[0]], cap=D("0.05"))


@UNHURRIED
@given(BOOKS)
def test_a_group_that_costs_more_never_weighs_less(costs: dict[str, list[Decimal]]) -> None:
    held = books(costs)
    found = relative_weights(held)
    by_cost = sorted(held.groups, key=lambda g: g.mean)
    assert [found.of(g.group) for g in by_cost] == sorted(found.values)
