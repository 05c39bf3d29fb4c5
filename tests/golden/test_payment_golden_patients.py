"""Golden cases of contracts about one patient: instalments, HbA1c, bundles."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fedvalue.payment.mechanisms.bundle import BundleTerms, Episode, settle_bundle
from fedvalue.payment.mechanisms.expected_instalments import expected_net
from fedvalue.payment.mechanisms.hba1c import ControlTerms, ControlYear, settle_control
from fedvalue.payment.mechanisms.instalments import Course, Schedule, settle_instalments
from tests.statements import certain, stated

D = Decimal
FOLDER = Path(__file__).parent
CASES: dict[str, Any] = json.loads((FOLDER / "payment_mechanisms.json").read_text())["cases"]
CART = CASES["instalments_cart_usd"]
SCHEDULE = Schedule(
    contract="contract 1",
    currency="USD",
    months=(D(1), D(3), D(6), D(12)),
    amounts=(D("93250.00"),) * 4,
    clawback_share=D("0.50"),
    clawback_window=D(12),
    grace_months=D(3),
    unknown_policy="withhold",
)


def test_the_copied_numbers_are_those_of_the_shared_data(shared_data: Path) -> None:
    shared = json.loads((shared_data / "payment" / "golden_payment_cases.json").read_text())
    assert {name: shared[name] for name in CASES} == CASES


@pytest.mark.parametrize("case", CART["cases"], ids=lambda c: f"{c['event_month']}/{c['severe_ae_month']}")
def test_instalments_pay_and_claw_back_as_the_golden_file_says(case: dict[str, Any]) -> None:
    event, adverse = (
        None if case[k] is None else D(str(case[k])) for k in ("event_month", "severe_ae_month")
    )
    result = settle_instalments(SCHEDULE, stated(Course(event, adverse, D(13))), today=D(13))
    paid = sum(t.amount for t in result.transfers if t.name != "clawback")
    assert paid == D(str(case["paid"]))
    assert result.amount("clawback") == D(str(case["clawback"]))
    assert -result.net("fund") == D(str(case["net"]))


def test_the_expected_net_payment_is_that_of_the_golden_file() -> None:
    # 93,250 (.95 + .88 + .80 + .70) = 310,522.50; .5 x 93,250 (1 x .07 + 2 x .08 + 3 x .10) = 24,711.25
    survival = certain(("1", "3", "6", "12"), list(CART["expected"]["event_free_at_months"].values()))
    found = expected_net(SCHEDULE, survival)
    assert found.gross.value == pytest.approx(CART["expected"]["expected_gross"], abs=1e-6)
    assert found.clawback.value == pytest.approx(CART["expected"]["expected_clawback"], abs=1e-6)
    assert found.net.value == pytest.approx(CART["expected"]["expected_net"], abs=1e-6)


@pytest.mark.parametrize("case", CASES["p4p_200"], ids=str)
def test_hba1c_below_seven_without_hypoglycaemia_earns_the_bonus(case: dict[str, Any]) -> None:
    terms = ControlTerms("contract 1", "CNY", D(case["base"]), D(200), D("0.10"), D("7.0"), 4)
    year = ControlYear(D(str(case["hba1c"])), case["hypo"], 12)
    assert settle_control(terms, stated(year)).net("hospital") == D(str(case["pay"]))


@pytest.mark.parametrize("case", CASES["bundle_nsclc"], ids=str)
def test_a_bundle_leaves_the_margin_of_the_golden_file(case: dict[str, Any]) -> None:
    terms = BundleTerms(
        "contract 1",
        "C34",
        "EGFR exon 19 deletion",
        "CNY",
        D(case["standard"]),
        365,
        D(1),
        D(0),
        D(20000),
        D(12),
        "full",
    )
    months = None if case["pfs_months"] is None else D(case["pfs_months"])
    result = settle_bundle(terms, stated(Episode(D(case["cost"]), 365, "complete", months)))
    assert result.margin == case["hospital_margin"]
    assert result.settlement.amount("bonus") == case["bonus"]
