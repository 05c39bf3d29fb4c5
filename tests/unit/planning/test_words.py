"""What an officer reads before signing: what is asked, of whom, at what price."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from fedvalue.planning.plan import make_plan
from fedvalue.planning.words import (
    analyses_in_words,
    in_words,
    own_share_epsilon,
    own_share_units,
    preview,
    site_share_units,
)
from fedvalue.privacy.accounting import epsilon, rho_units_for
from tests.agreement import SMALL, roster, study


def words(*changes: tuple[str, str], sites: int = 5, clear_sum: bool = False) -> str:
    read = study(*changes)
    return in_words(read, make_plan(read, roster(sites)), clear_sum=clear_sum)


def positions(text: str, *parts: str) -> list[int]:
    return [text.index(part) for part in parts]


def test_the_words_name_everything_that_an_officer_decides_on() -> None:
    text = words()
    for said in (
        "EGFR-guided first-line therapy (egfr-first-line-2026)",
        "Question: Does testing before treatment keep 6-month response high enough?",
        "Asked by Dr. Example, from 2026-01-01 until 2027-12-31.",
        "1. The share of patients with response_6m (best by day 183), by egfr;",
        "a missing outcome counts as failure; 50% of the budget.",
        "2. Survival without progression or death over 24 months, in steps of 1 month, by egfr;",
        "patients count from the day of their genomic report; 50% of the budget.",
        "5 hospitals; 4 must answer; up to 1 may collude with the coordinator and up to 1 may fail.",
        "Under 50 released patients a stratum gets no estimate.",
        "release-1: 208 numbers, each with noise:",
        "proportion:response_6m:egfr/counts/cells: 12 numbers; one patient moves them by at most 1,",
        "For each release one masked vector, which looks random to everybody;",
        "what is opened is the sum over at least 4 hospitals, never one hospital's numbers.",
        "Per patient, at delta 1e-06 for the whole study (rho 0.08815 each):",
        "epsilon 2 against the coordinator and 1 colluding hospital(s); this is what each ledger is charged.",
        "A legal entity that pays for the care should not run the coordinator",
        "One person may appear at 3 site(s) (assumed).",
        "lung/egfr_tki_outcome_linked (outcome_linked_cohort), decided by response_6m | egfr=mutated",
    ):
        assert said in text


def test_the_words_follow_the_study() -> None:
    text = words(
        ('what = "best by day 183"', 'what = "best by day 183", missing = "exclude"'),
        ('grid = "1 month"', 'grid = "1 month", entry = "origin"'),
        ('at = ["6 months", "12 months"]\nbudget = 0.5', "budget = 0.005"),
        ("retention", "# retention"),
    )
    assert "missing outcomes are left out" in text
    assert "patients count from day zero; 0.5% of the budget" in text
    assert "Governance lines still missing: retention" in text


def test_a_simulations_governance_is_called_that() -> None:
    read = study(text=SMALL)
    assert "Governance profile 'none': for simulations" in in_words(read, make_plan(read, roster(3)))
    assert "column responded" in analyses_in_words(read)[0]


def test_without_noise_the_words_promise_nothing() -> None:
    read = study()
    text = in_words(read, make_plan(read, roster(5), unsafe_exact=True))
    assert "No noise: there is no promise at all." in text
    assert "WITHOUT noise" in text
    assert "epsilon" not in text
    assert "each with noise" not in text


def test_the_price_of_the_own_share_is_what_a_clear_sum_is_charged() -> None:
    # m = 3 of 5: the own share alone costs three times the rho of the promise
    plan = make_plan(study(), roster(5))
    own = own_share_epsilon(plan)
    assert own is not None
    assert own == pytest.approx(epsilon(3 * rho_units_for(2.0, 1e-6), 1e-6), rel=1e-4)
    text = words(clear_sum=True)
    assert "IN CLEAR, as only in a simulation" in text
    seen = f"epsilon {own:.3g} against the coordinator, which sees this hospital's own noise alone"
    assert f"{seen}; this is what each ledger is charged" in text
    assert "With the private sum it would be epsilon 2 against the coordinator and 1" in text
    assert own_share_epsilon(replace(plan, exact=True)) is None


def test_a_ledger_is_debited_the_price_at_m_shares_or_of_one_share_in_clear() -> None:
    # one release of price D^2 / (2 m 4^s): three shares cost a third of one, each rounded up
    plan = make_plan(study(), roster(5))
    (release,) = plan.releases
    private, clear = (site_share_units(plan, clear_sum=way) for way in (False, True))
    assert private == plan.attempts * release.scales.rho_units(3)
    assert clear == own_share_units(plan) == plan.attempts * release.scales.rho_units(1)
    assert 0 <= 3 * private - clear < 3 * plan.attempts
    assert private <= plan.rho_units
    assert site_share_units(make_plan(study(), roster(5), unsafe_exact=True), clear_sum=False) == 0


@pytest.mark.parametrize(("sites", "first"), [(5, "all 4 other hospitals"), (6, "1 colluding hospital(s)")])
def test_up_to_five_hospitals_the_epsilon_against_all_others_is_printed_first(sites: int, first: str) -> None:
    text = words(sites=sites)
    others = f"and all {sites - 1} other hospitals: this hospital's own noise alone"
    own, promised, alone = positions(text, others, "and 1 colluding", "against the coordinator alone")
    assert f"against the coordinator and {first}" in text[text.index("Per patient") :].splitlines()[1]
    assert (own < promised < alone) if sites <= 5 else (promised < alone < own)


def test_the_preview_is_data_with_the_same_numbers() -> None:
    read = study()
    plan = make_plan(read, roster(5))
    facts = json.loads(json.dumps(preview(read, plan)))
    assert (facts["sites"], facts["must_answer"], facts["colluding"], facts["dropouts"]) == (5, 4, 1, 1)
    assert facts["study_hash"] == plan.study_hash
    assert facts["epsilon"] == 2.0
    assert facts["epsilon_own_share"] > 2.0
    assert [one["against"] for one in facts["epsilons"]] == ["own_share", "promised", "no_collusion"]
    assert [one["colluding"] for one in facts["epsilons"]] == [4, 1, 0]
    assert facts["epsilons"][0]["epsilon"] == facts["epsilon_own_share"]
    assert facts["epsilons"][2]["epsilon"] < 2.0
    assert facts["ledger_rho"] == pytest.approx(facts["rho"], rel=1e-5)
    assert facts["governance_missing"] == []
    (release,) = facts["releases"]
    assert release["numbers"] == sum(block["numbers"] for block in release["blocks"]) == 208
    # the total of 5 shares of scale 2^20, in patients
    counts = release["blocks"][0]
    assert counts["noise_sd"] == pytest.approx(5**0.5 * 2**20 / float(plan.releases[0].scales.gammas[0]))
    assert sum(block["rho"] for block in release["blocks"]) == pytest.approx(facts["rho"], rel=1e-9)
