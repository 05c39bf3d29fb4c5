"""Every mechanism that can be set: its example standard is read, decided, and moves what it says it moves."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from fedvalue.analyses.estimate import Stratum
from fedvalue.errors import PaymentError
from fedvalue.payment import standard_file
from fedvalue.payment.deciding_criteria import Answer, answer
from fedvalue.payment.kinds.registry import KINDS
from fedvalue.payment.mechanism_terms import MECHANISMS
from fedvalue.payment.mechanisms.underlying import Draws
from fedvalue.payment.readings import Sources
from fedvalue.study.mechanisms import MechanismName
from tests.unit.payment.kinds.sources import (
    BUDGET,
    DAY,
    closed_year,
    curve,
    decided,
    figures,
    increment,
    mean,
    share,
)

FOLDER = Path(standard_file.__file__).parent / "standards"
NAMES = sorted(str(path.relative_to(FOLDER))[: -len(".yaml")] for path in FOLDER.rglob("*.yaml"))


def both(stratum: Stratum) -> dict[str, Stratum]:
    return {"cost": stratum, "effect": stratum}


def test_every_mechanism_has_terms_a_kind_and_an_example() -> None:
    named = set(get_args(MechanismName))
    assert set(MECHANISMS) == named
    assert set(KINDS) == named - {"outcome_linked_cohort"}
    assert {standard_file.read(name).standard.mechanism for name in NAMES} == named


@pytest.mark.parametrize("name", NAMES)
def test_an_example_says_what_it_is_in_both_languages_with_a_source_on_every_value(name: str) -> None:
    standard = standard_file.read(name).standard
    assert standard.status in ("example", "unverified")
    assert re.search(r"[\u4e00-\u9fff]", standard.title.read("zh"))
    for consequence in (standard.consequences.met, standard.consequences.not_met):
        assert re.search(r"[\u4e00-\u9fff]", consequence.text.read("zh"))
    for group in (standard.rule, standard.payment, standard.terms):
        assert all(value.source.place for parameter in group.values() for value in parameter.values)


def test_instalments_cost_what_survival_makes_them_cost() -> None:
    # payment.md 2.3: S = .95, .88, .80, .70 -> gross 310,522.50, clawback 24,711.25, net 285,811.25.
    made = decided(
        "blood/car_t_instalments",
        {"survival": curve((30.4375, 0.95), (91.3125, 0.88), (182.625, 0.80), (365.25, 0.70))},
    )
    found = {result.name: result.value for result in made.results}
    assert made.outcome == "met"
    assert found["expected instalments"] == pytest.approx(310_522.50)
    assert found["expected clawback"] == pytest.approx(24_711.25)
    assert found["expected net payment"] == pytest.approx(285_811.25)
    bearers = {flow.name: flow.bearer for flow in made.expected}
    assert bearers == {"instalments": "fund", "clawback": "manufacturer"}


def test_a_poor_cohort_moves_half_of_the_first_instalment_and_the_expectation_with_it() -> None:
    # S(12) = .40; half of 93,250 moves from month 1 (S = .80) to month 12: 46,625 x .40 less.
    made = decided(
        "blood/car_t_instalments",
        {"survival": curve((30.4375, 0.80), (91.3125, 0.65), (182.625, 0.55), (365.25, 0.40))},
    )
    assert made.outcome == "not_met"
    assert made.after is not None
    assert (made.after["instalment_1"].amount, made.after["instalment_4"].amount) == (
        Decimal("46625.00"),
        Decimal("139875.00"),
    )
    paid = next(flow for flow in made.expected if flow.name == "instalments")
    assert paid.before - paid.after == pytest.approx(46_625 * 0.40)


def test_a_curve_that_ends_before_the_last_month_is_insufficient_evidence() -> None:
    made = decided("blood/car_t_instalments", {"survival": curve((30.0, 0.95), (200.0, 0.8))})
    assert made.outcome == "insufficient_evidence"
    assert made.insufficient is not None


PEOPLE = {
    "people_low": ("6000", "patients"),
    "people_medium": ("3000", "patients"),
    "people_high": ("1000", "patients"),
}
TREND = {"expected_admissions": ("0.20", "probability")}


def panel(control: float, admissions: float, *changes: tuple[str, str]) -> Answer:
    costs = {"low": 5000.0, "medium": 8000.0, "high": 15000.0}
    strata = {f"cost_{t}": mean({"mean": (c, "CNY", 900.0, 300.0)}) for t, c in costs.items()}
    strata |= {"control": share(control, 3000), "admissions": share(admissions, 3000)}
    name = "diabetes/capitation_risk_tiers"
    return decided(name, strata, figures(name, **PEOPLE, **TREND), *changes)


def test_risk_tiers_follow_cost_and_move_no_budget() -> None:
    # Mean cost 0.6 x 5,000 + 0.3 x 8,000 + 0.1 x 15,000 = 6,900: raw .7246, 1.1594, 2.1739; Z is near 1.
    made = panel(0.66, 0.14)
    assert made.outcome == "met"
    assert made.after is not None
    bases = {tier: made.after[f"base_{tier}"].amount for tier in ("low", "medium", "high")}
    assert float(bases["low"]) == pytest.approx(8000 * 5000 / 6900, rel=5e-3)
    assert float(bases["high"]) == pytest.approx(8000 * 15000 / 6900, rel=5e-3)
    whole = next(r for r in made.results if r.name == "tiering moves the budget by")
    assert whole.value == 0.0
    # What each head is paid leaves less than one fen a head to the members who are paid one fen more.
    paid = 6000 * bases["low"] + 3000 * bases["medium"] + 1000 * bases["high"]
    assert 0 <= 80_000_000 - paid < 100


def test_two_targets_are_met_jointly_and_not_as_a_product() -> None:
    made = panel(0.61, 0.155)
    single = [criterion.probability for criterion in made.criteria]
    assert made.joint_probability is not None
    assert made.joint_probability <= min(single)
    assert made.joint_probability == pytest.approx(single[0] * single[1], abs=0.01)  # independent here
    assert panel(0.61, 0.19).outcome == "not_met"  # one of two targets is not enough


def test_one_side_of_a_joint_answer_keeps_the_tiers() -> None:
    made = panel(0.50, 0.14)
    assert made.outcome == "not_met"
    assert made.after is not None
    assert made.after["base_low"].amount == 8000


CELLS = {
    "CELL-TKI": (4000, 21000, 12600),
    "CELL-ALK": (1500, 30000, 15000),
    "CELL-CHEMO": (6000, 13000, 9000),
}
SPLIT = """subgroups:
  - {name: egfr, group: ER11, label: EGFR mutated, field: {kind: drug, codes: [L01EB]}}
  - {name: alk, group: ER12, label: ALK rearranged, field: {kind: drug, codes: [L01ED]}}
  - {name: rest, group: ER19, label: others, rest: true}
cells: {tki: CELL-TKI, alki: CELL-ALK, chemo: CELL-CHEMO}
channels: {inpatient: "1000.00", outpatient: "900.00", dual_channel: "800.00"}
"""


def subgroups(split: str = SPLIT, noise: float = 16.0) -> Answer:
    rows = {"tki": (0.93, 0.02, 0.05), "alki": (0.02, 0.93, 0.05), "chemo": (0.05, 0.01, 0.94)}
    strata = {
        f"share_{cell}__{s}": share(p, 2000, noise)
        for cell, row in rows.items()
        for s, p in zip(("egfr", "alk", "rest"), row, strict=True)
    }
    name = "lung/molecular_subgroups"
    held = closed_year({**CELLS, "XX1": (5000, 9000, 5000)}) + split
    return decided(name, strata, figures(name, held))


def test_molecular_subgroups_weigh_what_the_payers_costs_and_the_split_make_them_weigh() -> None:
    # EGFR cases: 4,000 x .93 + 1,500 x .02 + 6,000 x .05 = 4,050; cost by cell 21,000 / 30,000 / 13,000:
    # (3,720 x 21,000 + 30 x 30,000 + 300 x 13,000) / 4,050 = 20,474.07. Mean of all 16,500 cases:
    # (84 m + 45 m + 78 m + 45 m) / 16,500 = 15,272.73. Weight 1.340565; the split is estimated: near it.
    made = subgroups()
    assert made.outcome == "met"
    assert made.after is not None
    assert float(made.after["weight_egfr"].amount) == pytest.approx(1.340565, abs=2e-3)
    assert made.needs == ("clinical_committee",)
    egfr = next(r for r in made.results if r.name == "weight of egfr")
    assert egfr.privacy_variance > 0  # the split is noised, the costs are not
    outside = next(r for r in made.results if r.name == "cost outside the ward")
    assert outside.text is not None
    assert "outpatient bundle" in outside.text


def test_a_mutation_that_no_field_shows_is_refused_with_four_vehicles() -> None:
    made = subgroups(SPLIT.replace(", field: {kind: drug, codes: [L01EB]}", ""))
    assert (made.outcome, made.after) == ("insufficient_evidence", None)
    assert made.refused is not None
    assert made.refused.unidentified == ("EGFR mutated",)
    assert [v.name for v in made.refused.vehicles] == [
        "exclusion_payment", "adrg_coefficient", "outpatient_bundle", "case_review",
    ]  # fmt: skip
    assert made.insufficient is not None
    assert made.insufficient.reason == "model"


def test_one_code_leads_to_one_subgroup() -> None:
    with pytest.raises(PaymentError, match="L01EB leads to ER11 and to ER12"):
        subgroups(SPLIT.replace("L01ED", "L01EB"))


def test_the_gate_reads_net_benefit_with_the_covariance_and_prints_the_icer() -> None:
    # payment.md 2.10: dC 80,000 (9,000), dE .45 (.08), rho .2, k 268,074 -> INB 40,633.3, P .970414.
    made = decided("lung/targeted_therapy_icer_gate", both(increment(80_000, 0.45, noise=0.0)))
    bar = made.criteria[0]
    assert bar.estimate == pytest.approx(40_633.3)
    assert bar.sampling_variance**0.5 == pytest.approx(20_513.3, rel=0.06)
    assert bar.probability == pytest.approx(0.970414, abs=2e-6)
    assert made.outcome == "met"
    ratio = next(r for r in made.results if r.name == "ICER")
    assert ratio.value is None
    assert ratio.text is not None
    assert ratio.text.startswith("177,777.78 (costs more, gives more")


def test_noise_on_the_effect_makes_the_gate_insufficient_and_names_privacy() -> None:
    made = decided("lung/targeted_therapy_icer_gate", both(increment(80_000, 0.45, noise=1.6)))
    assert made.outcome == "insufficient_evidence"
    assert made.insufficient is not None
    assert made.insufficient.reason == "privacy"
    assert "study epsilon 20 would bring the noise to a quarter" in made.insufficient.more_privacy.text
    assert made.after is None


def test_three_years_in_a_row_suspend_and_a_year_without_evidence_breaks_neither_way() -> None:
    above, unsure = increment(200_000, 0.42), increment(110_000, 0.42)
    name = "lung/suspension"

    def year(now: Stratum, verdicts: str) -> str:
        return decided(name, both(now), figures(name, f"verdicts: [{verdicts}]\n")).outcome

    assert year(above, "above, above") == "met"
    assert year(above, "above, insufficient, above") == "met"
    assert year(above, "within, above") == "not_met"
    assert year(unsure, "above, above") == "insufficient_evidence"


def test_two_thirds_of_an_agreed_fall_are_passed_through() -> None:
    # payment.md 2.13: a fall of .30 leaves .80 of the standard: 1,200,000 -> 960,000.
    name = "blood/renegotiation"
    held = figures(name, agreed_fall=("0.30", "share"))
    made = decided(name, {"fall": mean({"mean": (0.3, "ratio", 0.0004, 0.0001)})}, held)
    assert made.after is not None
    assert made.after["standard"].amount == Decimal("960000.00")


def test_risk_coefficients_average_one_over_the_payers_people() -> None:
    # payment.md 2.8: 1.2 / 1.0 / .9 over 200 / 600 / 200; with Z near 1 close to 1.1765 / .9804 / .8824.
    name = "liver/risk_adjusted"
    raw = {"high": 1.2, "middle": 1.0, "low": 0.9}
    strata = {f"raw_{c}": mean({"mean": (v, "ratio", 1e-6, 1e-6)}) for c, v in raw.items()}
    people = {
        "people_high": ("200", "patients"),
        "people_middle": ("600", "patients"),
        "people_low": ("200", "patients"),
    }
    made = decided(name, strata, figures(name, **people))
    assert made.after is not None
    coefficients = [float(made.after[f"coefficient_{c}"].amount) for c in raw]
    assert coefficients == pytest.approx([1.176471, 0.980392, 0.882353], abs=1e-4)
    assert sum(n * c for n, c in zip((200, 600, 200), coefficients, strict=True)) == pytest.approx(
        1000, abs=1e-3
    )


CY = closed_year({"ER1": (1000, 14000, 9000), "XX1": (500, 9000, 4000)})
GOOD, POOR = share(0.75), share(0.30)
MORE: dict[str, tuple[dict[str, Stratum], str | None, dict[str, str]]] = {
    "lung/egfr_tki_continuation": ({"continuing": GOOD}, None, {"monthly_price": "10000.00"}),
    "rare/sma_milestones": ({"milestone_1": POOR, "milestone_2": POOR}, None, {"price": "1000000.00"}),
    "blood/three_party_refund": ({"relapse": share(0.2)}, None, {"refund_share": "0.50"}),
    "diabetes/prediabetes_reversal": ({"reached": POOR}, None, {"provider_reward": "3000.00"}),
    "hypertension/tiered_capitation": ({"control": GOOD}, None, {"bonus": "500.00"}),
    "diabetes/annual_bundle": ({"control": share(0.90)}, None, {"price": "6300.00"}),
    "diabetes/quality_base": ({"target_1": share(0.95), "target_2": GOOD}, None, {"bonus": "2000.00"}),
    # 800 of 1,200 a head are spent: the price follows the cost.
    "diabetes/prepaid": (
        {"cost_per_head": mean({"mean": (800.0, "CNY", 100.0, 50.0)})}, None, {"per_head": "800.00"},
    ),
    # z .90 = 1.281552; x sqrt(2,500 + 900) / 10,000 = .007473, upwards to .0075.
    "county/shared_savings": (
        {"spend": mean({"mean": (9500.0, "CNY", 2500.0, 900.0)})}, None, {"minimum_rate": "0.0075"},
    ),
    "hypertension/next_standard": ({"control": GOOD}, None, {"standard": "396.00"}),
    # 130,000 x 1.05 = 136,500, below the cap of 150,000.
    "lung/nsclc_bundle": (
        {"progression_free": curve((180.0, 0.7), (365.0, 0.5))},
        figures("lung/nsclc_bundle", closed_year({"NSCLC-EGFR19": (200, 130000, 20000)})),
        {"price": "136500.00"},
    ),
    "test/ngs_item_price": (
        {"charge": mean({"mean": (2500.0, "CNY", 100.0, 50.0)})}, None, {"cap": "2500.00"},
    ),
    # Factors 1.15 and 1 over 3,000 and 1,000 cases average 1.1125: 1,033.71 and 898.88.
    "diabetes/facility_tilt": (
        {"outcome": GOOD},
        figures(
            "diabetes/facility_tilt", volume_primary=("3000", "cases"), volume_tertiary=("1000", "cases")
        ),
        {"standard_primary": "1033.71", "standard_tertiary": "898.88"},
    ),
    "lung/technology_uplift": ({"effect": GOOD}, None, {"standard": "34500.00"}),
    "lung/exclusion_payment": ({"effect": GOOD}, None, {"fund_share": "0.70"}),
    # 200 of 1,000 cases of ER1 weigh 1.2 times the others, and everything averages 1.
    "lung/adrg_coefficient": (
        {"effect": GOOD},
        figures("lung/adrg_coefficient", CY, marked=("200", "cases")),
        {"weight_marked": "1.322141", "weight_rest": "1.101784"},
    ),
    "lung/outpatient_bundle": ({"effect": GOOD}, None, {"drug": "60000.00"}),
    "lung/provisional_listing": (both(increment(100_000, 0.42)), None, {"listed_share": "0.50"}),
    "rare/innovation_fund": (
        {"improvement": mean({"mean": (0.5, "ratio", 0.002, 0.001)})}, None, {"fund_share": "1.00"},
    ),
    "lung/new_technology_carve_out": ({"effect": GOOD}, None, {"carved_out": "1.00"}),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(MORE))
def test_an_answer_that_is_met_sets_what_the_standard_says(name: str) -> None:
    strata, held, expected = MORE[name]
    made = decided(name, strata, held)
    assert made.outcome == "met"
    assert made.after is not None
    assert {k: str(made.after[k].amount) for k in expected} == expected


def test_data_that_cost_more_than_they_are_worth_list_nothing_provisionally() -> None:
    change = ('amount: "2000000.00"', 'amount: "900000000.00"')
    made = decided("lung/provisional_listing", both(increment(100_000, 0.42)), None, change)
    assert made.outcome == "not_met"


def test_draws_of_a_model_stand_for_evidence_with_their_two_uncertainties_apart() -> None:
    # dC 80,000 (9,000) and dE .45 (.08), drawn by a model; noise of 3,000 on the cost.
    rng, name = np.random.default_rng(3), "lung/targeted_therapy_icer_gate"
    sampling = rng.standard_normal((4000, 2)) * (9000.0, 0.08)
    privacy = rng.standard_normal((4000, 2)) * (3000.0, 0.0)
    drawn = Draws(("cost", "effect"), np.array([80_000.0, 0.45]), sampling, privacy, "ev-" + "1" * 32)
    file = standard_file.read(name)
    given = Sources((), {}, "ev-" + "1" * 32, 8, None, drawn)
    made = answer(file, given, DAY, budget=BUDGET, minimum=20)
    bar = made.criteria[0]
    assert bar.estimate == pytest.approx(40_633.3)
    assert bar.sampling_variance == pytest.approx(9000**2 + (268_074 * 0.08) ** 2, rel=0.1)
    assert bar.privacy_variance == pytest.approx(3000**2, rel=0.2)
    assert made.outcome == "met"


def test_few_patients_and_a_group_without_an_estimate_are_insufficient_evidence() -> None:
    few = decided("hypertension/next_standard", {"control": share(0.9, patients=30.0)})
    assert few.outcome == "insufficient_evidence"
    assert few.insufficient is not None
    assert few.insufficient.more_patients.patients == 50
    none = Stratum(name="all", status="below_minimum", reason="sampling")
    assert decided("hypertension/next_standard", {"control": none}).insufficient is not None
