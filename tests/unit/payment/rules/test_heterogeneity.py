"""Insufficient evidence because hospitals differ: its reason, and that patients do not resolve it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from fedvalue.analyses.by_site import BETWEEN_HOSPITALS, NEW_HOSPITAL
from fedvalue.analyses.estimate import Estimate, Stratum
from fedvalue.payment.insufficient import Budgeted, Clock
from fedvalue.payment.insufficient_normal import Bar, undecided_normal
from fedvalue.payment.known import KnownNormal
from fedvalue.payment.readings import _normal
from fedvalue.payment.rules import rule_called

CLOCK = Clock(review_on=date(2027, 1, 1), sunset=date(2028, 1, 1))
BUDGET = Budgeted(epsilon=1.0, delta=1e-6, patient_cap=100_000)


def told(known: KnownNormal) -> tuple[str, int | None, str]:
    bar = Bar(rule_called("D1", p_met=Decimal("0.9"), p_not=Decimal("0.1")), 0.3, "at_least")
    found = undecided_normal(bar, known, patients=500.0, missing_share=0.0, budget=BUDGET, clock=CLOCK)
    return found.reason, found.more_patients.patients, found.more_patients.text


def test_hospitals_that_differ_are_the_reason_and_more_patients_no_remedy() -> None:
    # tau^2 = .0016 of V_s = .0020: four fifths of all that is not known
    reason, patients, text = told(KnownNormal(0.31, 0.0020, 0.0001, 0.0016))
    assert (reason, patients) == ("heterogeneity", None)
    assert "more sites" in text


def test_the_same_variance_within_hospitals_is_sampling_and_has_a_number_of_patients() -> None:
    reason, patients, _ = told(KnownNormal(0.33, 0.0020, 0.0001))
    assert reason == "sampling"
    assert patients is not None
    assert patients > 500


def test_patients_resolve_only_what_is_not_between_hospitals() -> None:
    _, without, _ = told(KnownNormal(0.36, 0.0020, 0.0001))
    _, with_some, _ = told(KnownNormal(0.36, 0.0020, 0.0001, 0.0005))
    assert without is not None
    assert with_some is None or with_some > without


def test_noise_that_dominates_is_named_before_differences() -> None:
    assert told(KnownNormal(0.31, 0.0020, 0.0100, 0.0016))[0] == "privacy"


@pytest.mark.parametrize(("name", "between"), [(NEW_HOSPITAL, 0.0016), ("mean over hospitals", 0.0)])
def test_only_what_a_new_hospital_may_expect_holds_their_differences(name: str, between: float) -> None:
    def estimate(value: float, variance: float) -> Estimate:
        return Estimate(
            value=value,
            unit="share",
            lower=0.0,
            upper=1.0,
            sampling_variance=variance,
            privacy_variance=0.0001,
        )

    found = estimate(0.31, 0.0020)
    stratum = Stratum(
        name="all", status="estimated", estimates={name: found, BETWEEN_HOSPITALS: estimate(0.04, 0.0001)}
    )
    assert _normal(found, name, stratum).between_variance == pytest.approx(between)
