"""Looking ahead: widths by formula, the best split by hand, programs of years, refused assumptions."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from fedvalue.errors import StudyInvalid
from fedvalue.planning.assumptions import Assumptions, draw, load_assumptions
from fedvalue.planning.expected import Expected
from fedvalue.planning.programme import reviews
from fedvalue.planning.prospect import Prospect, prospect, widest
from fedvalue.planning.split import Need, best_split, needs
from fedvalue.privacy.accounting import epsilon, rho_units_for
from fedvalue.secure_sum.thresholds import thresholds
from tests.agreement import SMALL, study

FIVE = thresholds(5)


def row(
    label: str, sampling: float, privacy: float, unit: str = "probability", value: float = 0.5
) -> Expected:
    width = 2 * 1.959963984540054 * math.sqrt(sampling + privacy)
    without = 2 * 1.959963984540054 * math.sqrt(sampling)
    return Expected(label, "all", "share", unit, value, without, width, sampling, privacy, 1.0)


@pytest.fixture(scope="module")
def found() -> Prospect:
    read = study(("[diagnostics]\nshare = 0\n", ""))
    return prospect(read, FIVE, Assumptions(patients=6000, rates={"response_6m": 0.3}), draws=3, years=30)


def test_the_width_of_a_proportion_is_that_of_its_formula(found: Prospect) -> None:
    all_of_them = next(r for r in found.own if r.analysis.startswith("proportion") and r.group == "all")
    # missing counts as failure, so the share is .3 x .95; Wald's width 2 x 1.96 sqrt(p (1 - p) / n)
    p = 0.285
    assert all_of_them.without == pytest.approx(2 * 1.96 * math.sqrt(p * (1 - p) / 6000), rel=0.03)
    assert (all_of_them.width or 0.0) > all_of_them.without


def test_more_epsilon_is_never_much_wider_and_the_study_s_own_is_among_them(found: Prospect) -> None:
    assert list(found.at) == [0.5, 1.0, 2.0, 3.0, 5.0, 8.0]
    for label in found.shares:
        widths = [one.width or 0.0 for rows in found.at.values() if (one := widest(rows, label)) is not None]
        assert widths[-1] <= widths[0]
    assert found.releases == 1
    assert found.trips == 3 + 3


def test_the_diagnostics_have_their_share_and_the_analyses_the_rest(found: Prospect) -> None:
    assert found.shares == pytest.approx(
        {"proportion:response_6m:egfr": 0.425, "kaplan_meier:pfs:egfr": 0.425, "diagnostics": 0.15}
    )
    assert found.split is not None
    assert set(found.split.shares) == {"proportion:response_6m:egfr", "kaplan_meier:pfs:egfr"}
    assert sum(found.split.shares.values()) == pytest.approx(1)
    assert found.split.widest <= found.split.before


def test_what_an_epsilon_cannot_answer_is_named_with_one_that_would_do() -> None:
    tight = study(("epsilon = 2.0", "epsilon = 0.1"))
    ahead = prospect(tight, FIVE, Assumptions(patients=900), draws=3)
    lacking = {(one.analysis, one.group): one for one in ahead.unanswered}
    assert lacking["kaplan_meier:pfs:egfr", "egfr=mutated"].epsilon in ahead.at
    assert not lacking["kaplan_meier:pfs:egfr", "egfr=mutated"].never


def test_the_same_seed_says_the_same() -> None:
    read = study(text=SMALL)
    three = thresholds(3)
    first, again = (prospect(read, three, Assumptions(patients=500), draws=2, seed=7) for _ in range(2))
    assert first == again


def test_the_best_split_by_hand() -> None:
    # V + P / s: one has no sampling error and P = 3, the other P = 1: shares 3/4 and 1/4, both 4 wide
    split = best_split([Need("a", 0.0, 3.0), Need("b", 0.0, 1.0)], ["a", "b"], before=4.0)
    assert split is not None
    assert split.shares == pytest.approx({"a": 0.75, "b": 0.25})
    assert split.widest**2 == pytest.approx(4.0)
    # with sampling error 2 in b as well: 3 / w + 1 / (w - 2) = 1 has the root w = 3 + sqrt(3)
    split = best_split([Need("a", 0.0, 3.0), Need("b", 2.0, 1.0)], ["a", "b"], before=9.0)
    assert split is not None
    assert split.widest**2 == pytest.approx(3 + math.sqrt(3))
    assert best_split([Need("a", 0.0, 3.0)], ["a", "b"], before=1.0) is None


def test_needs_scale_noise_to_the_whole_budget() -> None:
    (need,) = needs([row("a", 0.01, 0.02)], {"a": 0.25})
    # squared width 4 z^2 (.01 + .02); the noise part a quarter of it with four times the budget
    z2 = 4 * 1.959963984540054**2
    assert (need.sampling, need.privacy) == pytest.approx((z2 * 0.01, z2 * 0.02 * 0.25))
    (relative,) = needs([row("a", 1.0, 0.0, unit="days", value=200.0)], {"a": 1.0})
    assert relative.sampling == pytest.approx(z2 / 200**2)


def test_power_is_that_of_a_two_sided_test() -> None:
    # the width of 2 x 1.96 standard errors of .05: a difference of .1 is 2 of them; Phi(2 - 1.96) = .516
    assert row("a", 0.0025, 0.0).power(0.1) == pytest.approx(0.516, abs=1e-3)
    assert row("a", 0.0025, 0.0).detectable() == pytest.approx((1.96 + 0.8416) * 0.05, rel=1e-3)


def test_a_program_ends_when_the_next_review_does_not_fit() -> None:
    once = rho_units_for(2.0, 1e-6)
    found = reviews(once, 1e-6, 4.0, years=10)
    # rho of epsilon 4 over rho of epsilon 2, rounded down
    assert found.bears == rho_units_for(4.0, 1e-6) // once == 3
    assert found.exhausted == 4
    assert found.counted == (1, 2, 3, 3, 3, 3, 3, 3, 3, 3)
    assert found.spent[0] == pytest.approx(epsilon(once, 1e-6))
    assert max(found.spent) <= 4.0
    assert reviews(once, 1e-6, 100.0, years=3).exhausted is None


def test_made_up_patients_have_what_was_assumed() -> None:
    assumed = Assumptions(
        shares={"egfr": (0.1, 0.6, 0.2)}, rates={"response_6m": 0.25}, means={"cost": 50_000.0},
        medians={"pfs": "6 months"}, missing=0.0,
    )  # fmt: skip
    read = study()
    assumed.require_fits(read)
    people = draw(read, assumed, 40_000, np.random.default_rng(1))
    # standard errors below .0025; five of them
    assert np.bincount(people.categories["egfr"] + 1) / 40_000 == pytest.approx(
        [0.1, 0.1, 0.6, 0.2], abs=0.0125
    )
    assert (people.binary["response_6m"].status == 1).mean() == pytest.approx(0.25, abs=0.011)
    assert people.numbers["cost"].mean() == pytest.approx(50_000, rel=0.03)
    assert (people.survival["pfs"].exit > 182.625).mean() == pytest.approx(0.5, abs=0.0125)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("rates = { pfs = 0.3 }", "no binary endpoint"),
        ("rates = { response_6m = 1.3 }", "between 0 and 1"),
        ("shares = { egfr = [0.5, 0.5] }", "2 shares for the levels"),
        ("shares = { sex = [0.9, 0.5] }", "at most"),
        ("means = { cost = 9e9 }", "inside the clip"),
        ('medians = { pfs = "soon" }', "not a duration"),
        ("guess = 1", "unknown key"),
    ],
)
def test_assumptions_that_do_not_fit_are_refused(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "assumed.toml"
    path.write_text(text)
    with pytest.raises(StudyInvalid, match=why):
        load_assumptions(path).require_fits(study())
