"""The privacy plan: the same bytes everywhere, never dearer than its budget, bound to every parameter."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction
from math import isqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvalue.analyses.cohort import BinaryOutcome, Cohort, SurvivalOutcome
from fedvalue.errors import PrivacyError, ReleaseUnknown, TooFewSites
from fedvalue.planning.plan import EXACT_GAMMA, Plan, block_name, make_plan, plan_on
from fedvalue.privacy.accounting import epsilon, rho_units_for
from fedvalue.privacy.release import LOG2_SCALE
from fedvalue.secure_sum.thresholds import thresholds
from fedvalue.study.file import canonical, from_canonical
from fedvalue.study.roster import Roster
from tests.agreement import SMALL, roster, site, study

GOLDEN = "54d1f67ce0d6b563abbcd19099d8d3d5"
SHARE = 'by = ["egfr"]\nbudget = 0.5'
CURVE = 'at = ["6 months", "12 months"]\nbudget = 0.5'


def specifications(plan: Plan) -> list[str]:
    return [plan.specification(release) for release in plan.releases]


def test_every_site_computes_the_same_bytes() -> None:
    # each site reads the study from its canonical form and the roster in the order of its own file
    here = make_plan(study(), roster(7))
    sites = list(roster(7).site)
    random.Random(3).shuffle(sites)
    there = make_plan(from_canonical(canonical(study())), Roster(site=tuple(sites)))
    assert there == here
    assert specifications(there) == specifications(here)


def test_the_specification_of_a_known_release_stays_what_it_was() -> None:
    # Sites with another version of the code refuse a release whose specification differs, and ledgers and
    # evidence name it: whoever changes this number stops every running study.
    plan = make_plan(study(), roster(5))
    assert specifications(plan)[0][:32] == GOLDEN


def test_a_study_of_one_round_is_one_release_of_all_its_analyses() -> None:
    plan = make_plan(study(), roster(5))
    (release,) = plan.releases
    assert release.label == "release-1"
    # 4 groups x 3 counts; 4 groups x 25 edges; 4 groups x 24 intervals
    assert [(b.name, b.dimension) for b in release.blocks] == [
        ("proportion:response_6m:egfr/counts/cells", 12),
        ("kaplan_meier:pfs:egfr/risk_table/at_risk", 100),
        ("kaplan_meier:pfs:egfr/risk_table/events", 96),
    ]
    assert release.dimension == 208
    slices = [where for where, _ in release.slices().values()]
    assert [(s.start, s.stop) for s in slices] == [(0, 12), (12, 112), (112, 208)]
    assert plan.release("release-1") is release
    with pytest.raises(ReleaseUnknown, match="no release 'release-2'"):
        plan.release("release-2")


def test_the_scale_of_counts_by_hand() -> None:
    # gamma = 2^20 sqrt(2 m rho / 2) / (k c), rho of epsilon 2 halved, m = 3, k = 3, c = 1, rounded down
    plan = make_plan(study(), roster(5))
    rho = rho_units_for(2.0, 1e-6) // 2
    assert plan.releases[0].blocks[0].rho_units == rho
    gamma = plan.releases[0].scales.gammas[0]
    assert gamma == isqrt(4**20 * 2 * 3 * rho // 2**40 // 9)


terms = st.fixed_dictionaries(
    {
        "epsilon": st.floats(0.05, 20.0),
        "delta": st.floats(1e-12, 1e-6),
        "sites": st.integers(5, 60),
        "k": st.integers(2, 10),
        "share": st.integers(1, 99),
    }
)


@settings(max_examples=30, deadline=None)
@given(drawn=terms)
def test_the_price_of_a_plan_is_covered_by_its_epsilon(drawn: dict[str, float]) -> None:
    read = study(
        ("epsilon = 2.0", f"epsilon = {drawn['epsilon']!r}"),
        ("delta = 1e-6", f"delta = {drawn['delta']!r}"),
        ("value = 3", f"value = {drawn['k']}"),
        (SHARE, f'by = ["egfr"]\nbudget = 0.{drawn["share"]:02d}'),
        (CURVE, f"budget = 0.{100 - int(drawn['share']):02d}"),
    )
    plan = make_plan(read, roster(int(drawn["sites"])))
    paid = sum(release.scales.rho_units() for release in plan.releases)
    planned = sum(block.rho_units for release in plan.releases for block in release.blocks)
    assert paid <= planned <= plan.rho_units
    assert epsilon(paid, drawn["delta"]) <= drawn["epsilon"]
    # rounding scales down loses next to nothing where they are not tiny
    assert paid >= 0.99 * planned


@settings(max_examples=30, deadline=None)
@given(drawn=terms)
def test_a_site_s_own_share_is_m_times_dearer(drawn: dict[str, float]) -> None:
    plan = make_plan(study(("epsilon = 2.0", f"epsilon = {drawn['epsilon']!r}")), roster(int(drawn["sites"])))
    m = plan.thresholds.honest_shares
    for release in plan.releases:
        own, promised = release.scales.rho_units(1), release.scales.rho_units()
        assert m * (promised - 1) < own <= m * promised


CHANGES = {
    "the study's words": ('"Dr. Example"', '"Dr. Other"'),
    "epsilon": ("epsilon = 2.0", "epsilon = 2.1"),
    "delta": ("delta = 1e-6", "delta = 9e-7"),
    "sites per patient": ("value = 3", "value = 4"),
    "colluding sites": ("colluding_sites = 1", "colluding_sites = 2"),
    "drop-outs": ("tolerated_dropouts = 1", "tolerated_dropouts = 0"),
    "smallest count": ("min_released_patients = 50", "min_released_patients = 51"),
    "groups": ('by = ["egfr"]\nat', 'by = ["sex"]\nat'),
    "grid": ('grid = "1 month"', 'grid = "2 months"'),
    "entry": ('grid = "1 month"', 'grid = "1 month", entry = "origin"'),
    "shares": (CURVE, CURVE.replace("0.5", "0.4")),
    "cohort": ('index = { first = "drug", codes = ["L01EB*"] }', 'index = { first = "patient" }'),
    "spare attempts": ("patient_cap = 100000", "patient_cap = 100000\nspare_attempts = 1"),
}


def test_the_specification_changes_with_every_parameter() -> None:
    seen = {make_plan(study(), roster(7)).specification(make_plan(study(), roster(7)).releases[0]): "itself"}
    for name, change in CHANGES.items():
        plan = make_plan(study(change), roster(7))
        seen[plan.specification(plan.releases[0])] = name
    larger, exact = make_plan(study(), roster(8)), make_plan(study(), roster(7), unsafe_exact=True)
    other = make_plan(study(), Roster(site=(*roster(6).site, site("other"))))
    for name, plan in {"roster size": larger, "roster": other, "no noise": exact}.items():
        seen[plan.specification(plan.releases[0])] = name
    assert len(seen) == 1 + len(CHANGES) + 3, seen


@settings(max_examples=25, deadline=None)
@given(one=terms, other=terms)
def test_two_plans_have_one_specification_exactly_if_their_terms_are_one(
    one: dict[str, float], other: dict[str, float]
) -> None:
    def specified(drawn: dict[str, float]) -> str:
        read = study(
            ("epsilon = 2.0", f"epsilon = {drawn['epsilon']!r}"), ("value = 3", f"value = {drawn['k']}")
        )
        plan = make_plan(read, roster(int(drawn["sites"])))
        return plan.specification(plan.releases[0])

    same = all(one[key] == other[key] for key in ("epsilon", "k", "sites"))
    assert (specified(one) == specified(other)) == same


def test_releases_of_one_plan_differ_in_their_specification_by_label_alone() -> None:
    plan = make_plan(study(), roster(5))
    assert plan.specification(replace(plan.releases[0], label="release-2")) != specifications(plan)[0]


def test_a_study_with_more_analyses_at_smaller_shares_costs_the_same() -> None:
    one = make_plan(study(), roster(5))
    third = '[[analyses]]\nkind = "proportion"\nendpoint = "response_6m"\nbudget = 0.2\n[[payments]]'
    three = make_plan(study((SHARE, SHARE.replace("0.5", "0.3")), ("[[payments]]", third)), roster(5))
    for plan in (one, three):
        paid = sum(release.scales.rho_units() for release in plan.releases)
        assert 0.999 * plan.rho_units <= paid <= plan.rho_units
    assert one.rho_units == three.rho_units
    assert len(three.analyses) == 3
    assert len(three.releases) == 1


def test_a_share_that_is_not_given_is_not_spent() -> None:
    plan = make_plan(study((CURVE, CURVE.replace("0.5", "0.25"))), roster(5))
    paid = sum(release.scales.rho_units() for release in plan.releases)
    assert 0.7499 * plan.rho_units <= paid <= 0.75 * plan.rho_units


def test_fewer_hospitals_than_the_study_demands_are_refused() -> None:
    with pytest.raises(TooFewSites, match="the roster has 4 sites, the study demands 5") as refused:
        make_plan(study(), roster(4))
    assert refused.value.do
    with pytest.raises(TooFewSites, match="n = 5, c = 1, f = 2 leave t = 3"):
        make_plan(study(("tolerated_dropouts = 1", "tolerated_dropouts = 2")), roster(5))


def test_a_budget_too_small_to_be_a_scale_is_refused_with_the_block() -> None:
    with pytest.raises(PrivacyError, match=r"too small|needs a budget") as refused:
        make_plan(study(("epsilon = 2.0", "epsilon = 1e-12")), roster(5))
    assert "proportion:response_6m:egfr" in refused.value.where
    with pytest.raises(PrivacyError):
        make_plan(study((CURVE, CURVE.replace("0.5", "1e-30"))), roster(5))


def test_sums_that_would_wrap_around_the_ring_are_refused() -> None:
    # 10^9 patients at 100 sites, at the scale of 2^30 that the unsafe switch takes
    read = study(
        ("patient_cap = 100000", "patient_cap = 1000000000"), ("delta = 1e-6", "delta = 1e-10"),
        ("value = 3", "value = 100"),
    )  # fmt: skip
    make_plan(read, roster(5))
    with pytest.raises(PrivacyError, match="could wrap around"):
        make_plan(read, roster(5), unsafe_exact=True)


def test_without_noise_nothing_is_promised_and_everything_says_so() -> None:
    plan = make_plan(study(), roster(5), unsafe_exact=True)
    assert plan.exact
    assert plan.terms.exact
    assert plan.rho_units == 0
    assert all(release.exact for release in plan.releases)
    assert set(plan.releases[0].scales.gammas) == {EXACT_GAMMA}


def test_a_preview_without_a_roster_has_the_prices_of_one() -> None:
    limits = thresholds(6, colluding=1, dropouts=1)
    there, here = plan_on(study(), limits, "0" * 64), make_plan(study(), roster(6))
    assert [r.scales for r in there.releases] == [r.scales for r in here.releases]
    assert specifications(there) != specifications(here)


def patients(rng: np.random.Generator, count: int) -> Cohort:
    stop = rng.uniform(1, 400, count)
    return Cohort(
        count,
        {"egfr": rng.integers(-1, 2, count)},
        binary={"responded": BinaryOutcome(rng.integers(-1, 2, count))},
        survival={"os": SurvivalOutcome(np.zeros(count), stop, rng.integers(0, 2, count))},
    )


def test_a_contribution_is_the_analyses_own_side_by_side() -> None:
    plan = make_plan(study(text=SMALL), roster(3))
    release, cohort = plan.releases[0], patients(np.random.default_rng(5), 40)
    whole, where = release.contribution(cohort), release.slices()
    assert whole.dtype == np.int64
    for part in release.parts:
        scaling = {b.name: where[block_name(part, b)][1] for b in part.ask.blocks}
        own = part.analysis.contribution(cohort, part.ask, scaling)
        for block in part.ask.blocks:
            assert np.array_equal(whole[where[block_name(part, block)][0]], own[block.name])
    counts, gamma = where["proportion:responded:egfr/counts/cells"]
    assert int(whole[counts].sum()) == 40 * gamma


def test_a_site_without_patients_contributes_a_vector_like_any_other() -> None:
    release = make_plan(study(text=SMALL), roster(3)).releases[0]
    nobody = release.contribution(patients(np.random.default_rng(5), 0))
    assert nobody.shape == (release.dimension,)
    assert not nobody.any()


def test_one_patient_moves_the_whole_release_by_no_more_than_is_charged() -> None:
    # 200 neighbouring pairs; the abstract suite in tests/laws draws hostile rows for each analysis
    release, rng = make_plan(study(text=SMALL), roster(3)).releases[0], np.random.default_rng(20261121)
    for _ in range(200):
        one = release.contribution(patients(rng, 1))
        assert sum(int(v) ** 2 for v in one) <= release.scales.patient_bound_squared
    noise = Fraction(4**LOG2_SCALE)
    price = Fraction(release.scales.charged_bound_squared) / (2 * release.scales.honest_shares * noise)
    assert release.scales.rho_units() - 1 < price * 2**40 <= release.scales.rho_units()
