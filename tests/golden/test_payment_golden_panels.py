"""Golden cases of contracts about a panel: capitation, tiers, quality bonus, savings, surplus."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import pytest

from fedvalue.payment.mechanisms.bands import (
    AnnualBundleTerms,
    BandFactor,
    BundleYear,
    Gap,
    TierAmounts,
    settle_annual_bundle,
)
from fedvalue.payment.mechanisms.capitation import (
    CapitationTerms,
    Head,
    PanelYear,
    TieredCapitationTerms,
    TierYears,
    settle_capitation,
    settle_tiered_capitation,
)
from fedvalue.payment.mechanisms.global_budget import split_surplus
from fedvalue.payment.mechanisms.quality_base import QualityTerms, QualityYear, Target, settle_quality
from fedvalue.payment.mechanisms.renegotiation import RenegotiationTerms, relative_fall, renegotiated
from fedvalue.payment.mechanisms.settle import Panel
from fedvalue.payment.mechanisms.shared_savings import (
    SavingsTerms,
    SpendingYear,
    example_msr,
    settle_savings,
)
from fedvalue.payment.mechanisms.suspension import Year, suspends
from tests.statements import stated

D = Decimal
FOLDER = Path(__file__).parent
CASES: dict[str, Any] = json.loads((FOLDER / "payment_mechanisms.json").read_text())["cases"]
TABLES: dict[str, Any] = json.loads((FOLDER / "cms_tables.json").read_text())
ONE = (TierYears("all", Fraction(1)),)


def panel(rate: float) -> Panel:
    """A panel of 10,000 with exactly that rate."""
    reached = D(str(rate)) * 10_000
    assert reached == int(reached)
    return Panel(int(reached), 10_000 - int(reached))


@pytest.mark.parametrize("case", CASES["capitation_dm"], ids=str)
def test_capitation_pays_the_head_of_the_golden_file(case: dict[str, Any]) -> None:
    terms = CapitationTerms(
        "contract 1",
        "CNY",
        (Head("all", D(8000)),),
        D("0.60"),
        D("0.20"),
        D("0.10"),
        D("0.05"),
        "penalty",
        "fail",
    )
    admissions = (1 - D(str(case["adm_reduction"]))) * 100
    year = PanelYear(ONE, panel(case["hba1c"]), int(admissions), D(100), D(0))
    assert settle_capitation(terms, stated(year)).net("hospital") == D(str(case["pay"]))


@pytest.mark.parametrize("case", CASES["capitation_htn"], ids=str)
def test_tiers_with_a_dead_band_pay_the_head_of_the_golden_file(case: dict[str, Any]) -> None:
    tiers = TierAmounts(D("0.70"), D(500), D("0.60"), D(300), "neutral")
    terms = TieredCapitationTerms("contract 1", "CNY", (Head("all", D(3000)),), tiers, "fail")
    year = PanelYear(ONE, panel(case["control"]), 0, D(1), D(1))
    assert settle_tiered_capitation(terms, stated(year)).net("hospital") == case["pay"]


@pytest.mark.parametrize("gap", ["linear", "hold_full"])
@pytest.mark.parametrize("case", CASES["bundle_factor_85_70"], ids=str)
def test_the_annual_bundle_factor_is_that_of_the_golden_file(case: dict[str, Any], gap: Gap) -> None:
    factor = BandFactor(D("0.85"), D(1), D("0.70"), D("0.80"), gap)
    terms = AnnualBundleTerms("contract 1", "CNY", D(1000), factor, "fail")
    paid = settle_annual_bundle(terms, stated(BundleYear(panel(case["rate"]), Fraction(1))))
    assert paid.net("hospital") == 1000 * D(str(case[gap]))


@pytest.mark.parametrize("case", CASES["dm_high_risk"], ids=str)
def test_the_quality_bonus_needs_both_targets(case: dict[str, Any]) -> None:
    targets = (Target("screening", D("0.90")), Target("HbA1c", D("0.70")))
    terms = QualityTerms("contract 1", "CNY", (Head("high", D(15000)),), D(2000), ("high",), targets, "fail")
    year = QualityYear((TierYears("high", Fraction(1)),), (panel(case["screen"]), panel(case["hba1c"])))
    assert settle_quality(terms, stated(year)).net("hospital") == case["pay"]


@pytest.mark.parametrize("case", CASES["shared_savings_one_sided"], ids=str)
def test_shared_savings_are_those_of_the_golden_file(case: dict[str, Any]) -> None:
    msr = example_msr().rate(case["n"], day=date(2025, 1, 1))
    assert float(msr) == case["msr"]
    terms = SavingsTerms("contract 1", "USD", D(case["benchmark_pp"]), msr, D("0.5"), D("0.10"), D(0))
    year = SpendingYear(Fraction(case["n"]), D(case["expend_pp"]) * case["n"], D(1))
    assert settle_savings(terms, stated(year)).net("hospital") == D(str(case["share"]))


def test_the_packaged_msr_table_is_the_golden_one() -> None:
    found = [(r.members_low, r.members_high, r.msr_low * 100, r.msr_high * 100) for r in example_msr().rows]
    assert found == [
        (
            int(row["beneficiaries_low"]),
            int(row["beneficiaries_high"]) if row["beneficiaries_high"] else None,
            D(row["msr_at_low_pct"]),
            D(row["msr_at_high_pct"]),
        )
        for row in TABLES["msr_one_sided"]
    ]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("surplus_split_40_30_30", {"equipment": "0.40", "staff": "0.30", "grassroots": "0.30"}),
        ("surplus_county_grassroots_6_4", {"county": "0.60", "grassroots": "0.40"}),
    ],
)
def test_a_surplus_is_divided_exactly(name: str, parts: dict[str, str]) -> None:
    case = CASES[name]
    found = split_surplus(D(case["surplus"]), {part: D(value) for part, value in parts.items()})
    assert found == {part: case[part] for part in parts}


@pytest.mark.parametrize("case", CASES["renegotiation"]["cases"], ids=str)
def test_two_thirds_of_a_fall_pass_through(case: dict[str, Any]) -> None:
    terms = RenegotiationTerms(D("0.10"), 0.9, Fraction(2, 3), D(0), 60)
    found = renegotiated(terms, D("90000.00"), D(str(case["cost_drop"])), decided=date(2025, 1, 1))
    assert float(found.factor) == pytest.approx(case["new_standard_factor"], abs=1e-6)
    assert found.standard == pytest.approx(D(90000) * D(str(case["new_standard_factor"])), abs=D("0.05"))


@pytest.mark.parametrize("case", CASES["icer_suspension"], ids=str)
def test_three_years_in_a_row_suspend(case: dict[str, Any]) -> None:
    def verdict(icer: float | None) -> Year:
        if icer is None:
            return "insufficient"
        return "above" if icer > case["threshold"] else "within"

    policy: Literal["reset"] = "reset"
    assert suspends([verdict(x) for x in case["history"]], years=3, insufficient=policy) == case["suspend"]


def test_the_price_event_of_volume_based_procurement() -> None:
    case = CASES["cgm_vbp"]
    fall = relative_fall(D(case["before"]), D(case["after"]))
    assert float(fall) == pytest.approx(case["cut"], abs=1e-6)
