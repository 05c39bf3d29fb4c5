"""How often each mechanism that sets answers wrongly at its own bar, and how often rightly beyond it.

Every mechanism is asked itself, through its own function, on draws or moments around a released figure with
sampling error and privacy noise. Its answer turns at one figure, found by halving; released figures are then
simulated around a known truth. Each is asked twice: counting the noise and as if there were none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from fedvalue.analyses.estimate import Estimate, Released
from fedvalue.payment.economics.net_benefit import NetBenefit
from fedvalue.payment.fund.redline import Growth, Redline, judge
from fedvalue.payment.mechanisms.calibration_gate import Bin, GateTerms, calibration_draws, gate
from fedvalue.payment.mechanisms.case_costs import GroupCosts, PayerHeld
from fedvalue.payment.mechanisms.expected_instalments import expected_net
from fedvalue.payment.mechanisms.innovation_fund import InnovationTerms, admitted
from fedvalue.payment.mechanisms.instalments import Schedule
from fedvalue.payment.mechanisms.listing import may_be_provisional
from fedvalue.payment.mechanisms.molecular import share_name, subgroup_moments
from fedvalue.payment.mechanisms.ranking_draws import bands
from fedvalue.payment.mechanisms.renegotiation import RenegotiationTerms, triggered
from fedvalue.payment.mechanisms.shared_savings import guard_band_rate
from fedvalue.payment.mechanisms.split import SplitCriteria, condition_probabilities
from fedvalue.payment.mechanisms.underlying import Draws, Floats

RUNS = 200_000
SLOW_RUNS = 1_000
NOISES = (0.0, 1.0, 2.5)
"""Noise SD in sampling SDs: none, as much as sampling, two and a half times it."""

_DRAWS = 20_000
_HALVINGS = 40
D = Decimal

Says = Callable[[float, float], str]
"""Released figure and noise SD that is counted, to ``met``, ``not_met`` or something else."""


@dataclass(frozen=True, slots=True)
class Mechanism:
    """One question that a mechanism asks of evidence.

    Attributes:
      name: Of the mechanism.
      question: What *met* means.
      promise: Largest rate of *met* at the bar.
      bar: The truth at which there is nothing to be found.
      beyond: A truth at which there is.
      sampling: SD of the released figure without noise.
      says: The mechanism's own answer; *met* from some figure on, or up to it where ``beyond < bar``.
      found_out: Whether ignoring the noise has to break the promise; at one half it cannot.
    """

    name: str
    question: str
    promise: float
    bar: float
    beyond: float
    sampling: float
    says: Says
    found_out: bool = True


def rates(mechanism: Mechanism, *, runs: int = RUNS, seed: int = 11) -> dict[str, Any]:
    """Return the rates of *met* at the bar and beyond it, noise counted and ignored.

    Args:
      mechanism: The question.
      runs: Released figures per rate.
      seed: Of the simulation.
    """
    rng, rows = np.random.default_rng(seed), []
    for share in NOISES:
        noise = share * mechanism.sampling
        spread = np.hypot(mechanism.sampling, noise)
        for where, truth in (("at", mechanism.bar), ("beyond", mechanism.beyond)):
            released = rng.normal(truth, spread, runs)
            row: dict[str, Any] = {"noise": share, "where": where}
            for counted in (True, False):
                turn = _turn(mechanism, noise if counted else 0.0, float(spread))
                met = released >= turn if mechanism.beyond > mechanism.bar else released <= turn
                row["counted" if counted else "ignored"] = float(met.mean())
            rows.append(row)
    return {
        "name": mechanism.name,
        "question": mechanism.question,
        "promise": mechanism.promise,
        "runs": runs,
        "found_out": mechanism.found_out,
        "rows": rows,
    }


def _turn(mechanism: Mechanism, noise: float, spread: float) -> float:
    """Released figure at which the answer becomes *met*."""
    way = 1.0 if mechanism.beyond > mechanism.bar else -1.0
    inside, outside = mechanism.bar + way * 9 * spread, mechanism.bar - way * 9 * spread
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        if mechanism.says(middle, noise) == "met":
            inside = middle
        else:
            outside = middle
    return inside


def _standard() -> tuple[Floats, Floats]:
    rng = np.random.default_rng(3)
    shape = (_DRAWS // 2, 1)
    half = rng.standard_normal(shape), rng.standard_normal(shape)
    # Antithetic pairs: the mean of the draws is the center exactly.
    first, second = (np.concatenate([x, -x]) for x in half)
    return first, second[np.random.default_rng(4).permutation(len(second))]


def mechanisms() -> tuple[Mechanism, ...]:
    """Every mechanism that sets and whose answer is one figure against one bar."""
    sampled, noised = _standard()

    def draws(figure: float, sd: float, noise: float) -> Draws:
        return Draws(("x",), np.array([figure]), sampled * sd, noised * noise, "simulated")

    talks = RenegotiationTerms(D("0.10"), 0.9, Fraction(2, 3), D(0), 60)
    fund = InnovationTerms("fund", "CNY", D("0.02"), D("0.30"), 0.9, 0.1, 5)
    cart = Schedule(
        contract="cart", currency="CNY", months=(D(3), D(6), D(12)), amounts=(D(300_000),) * 3,
        clawback_share=D("0.5"), clawback_window=D(12), grace_months=D(1), unknown_policy="withhold",
    )  # fmt: skip

    def capitation(figure: float, noise: float) -> str:
        # Both targets in one draw; the second is met for certain, so the first alone is in question.
        joint = draws(figure, 0.02, noise)
        both = (joint.column("x") >= 0.60) & (np.full(len(joint.total), 0.30) >= 0.20)
        return "met" if float(both.mean()) >= 0.9 else "other"

    def instalments(figure: float, noise: float) -> str:
        # Event-free survival at 12 months in question; the earlier months are known.
        center = np.array([0.90, 0.85, figure])
        spread = np.zeros((_DRAWS, 3))
        survival = Draws(
            ("3", "6", "12"), center, spread + sampled * [0, 0, 0.04], spread + noised * [0, 0, noise], "s"
        )
        net = expected_net(cart, survival).net
        return "met" if net.probability(lambda money: money <= _AT_SEVENTY) >= 0.9 else "other"

    def savings(figure: float, noise: float) -> str:
        # The benchmark is the figure; spend is exactly 10,000, so that without savings the figure is 10,000.
        benchmark = Estimate(
            value=figure, unit="CNY", lower=None, upper=None, sampling_variance=150.0**2,
            privacy_variance=noise**2,
        )  # fmt: skip
        msr = float(guard_band_rate(benchmark, level=0.90))
        return "met" if (figure - 10_000) / figure >= msr else "other"

    def redline(figure: float, noise: float) -> str:
        found = judge(Growth(figure, 0.01**2, noise**2), Growth(0.03, 0.005**2), Redline(D("0.05"), 0.10))
        return "met" if found.verdict == "kept" else "other"

    return (
        Mechanism("capitation targets", "both targets reached", 0.10, 0.60, 0.65, 0.02, capitation),
        Mechanism("instalments", "expected net within the budget", 0.10, 0.70, 0.60, 0.04, instalments),
        Mechanism(
            "renegotiation", "cost fell by 10 % or more", 0.10, 0.10, 0.16, 0.02,
            lambda x, n: "met" if triggered(talks, draws(x, 0.02, n), "x")[0] else "other",
        ),
        Mechanism(
            "innovation fund, breakthrough", "30 % better or more", 0.10, 0.30, 0.45, 0.05,
            lambda x, n: admitted(fund, draws(x, 0.05, n), "x", starts=date(2026, 1, 1)).outcome,
        ),
        Mechanism(
            "innovation fund, exit", "not 30 % better", 0.10, 0.30, 0.15, 0.05,
            lambda x, n: _other_way(admitted(fund, draws(x, 0.05, n), "x", starts=date(2026, 1, 1)).outcome),
        ),
        Mechanism(
            "ICER gate", "incremental net benefit above 0 at k", 0.10, 0.0, 50_000.0, 20_000.0,
            lambda x, n: "met" if NetBenefit(268_074, x, 20_000.0**2, n**2).probability >= 0.90 else "other",
        ),
        Mechanism(
            "provisional listing", "net benefit more likely than not", 0.50, 0.0, 50_000.0, 20_000.0,
            lambda x, n: "met" if _provisional(draws(x, 20_000.0, n)) else "other", False,
        ),
        Mechanism("shared savings", "savings beyond chance", 0.10, 10_000.0, 10_450.0, 150.0, savings),
        Mechanism("redline", "growth at most 5 %", 0.10, 0.05, 0.02, 0.01, redline),
    )  # fmt: skip


_AT_SEVENTY = 300_000 * (0.90 + 0.85 + 0.70) - 0.5 * (300_000 * (0.90 - 0.85) + 600_000 * (0.85 - 0.70))
"""Expected net payment where event-free survival at 12 months is exactly .70, in CNY."""


def _other_way(outcome: str) -> str:
    return "met" if outcome == "not_met" else "other"


def _provisional(benefit: Draws) -> bool:
    return may_be_provisional(benefit, name="x", p=0.5, data_value=D(2), data_cost=D(1))


def by_simulation(*, runs: int = SLOW_RUNS, seed: int = 12) -> list[dict[str, Any]]:
    """Mechanisms whose answer is not one figure: calibration gates, sub-group split, ranks; run by run."""
    return [
        _simulated("calibration gate", "O / E within 10 %", _calibration, runs, seed, found_out=True),
        _simulated("DRG sub-group split", "means differ by 20 %", _split, runs, seed, found_out=True),
        _simulated("ranking", "among the best fifth, of equals", _ranking, runs, seed, found_out=False),
    ]


Study = Callable[[np.random.Generator, float, bool, bool], bool]
"""Generator, noise in sampling SDs, whether it is counted, whether the truth is at the bar; to *met*."""


def _simulated(
    name: str, question: str, study: Study, runs: int, seed: int, *, found_out: bool
) -> dict[str, Any]:
    rows = []
    for noise in NOISES:
        for where in ("at", "beyond"):
            row: dict[str, Any] = {"noise": noise, "where": where}
            for counted in (True, False):
                rng = np.random.default_rng(seed)
                met = [study(rng, noise, counted, where == "at") for _ in range(runs)]
                row["counted" if counted else "ignored"] = float(np.mean(met))
            rows.append(row)
    return {
        "name": name, "question": question, "promise": 0.10, "runs": runs, "found_out": found_out,
        "rows": rows,
    }  # fmt: skip


_GATE = GateTerms(overall=0.1, group=0.2, slope=0.9, minimum_people=200, p_met=0.9, p_not=0.1)


def _calibration(rng: np.random.Generator, noise: float, counted: bool, at: bool) -> bool:
    shares = np.linspace(0.05, 0.5, 5)
    sd = noise * np.sqrt(2_000 * shares * (1 - shares))
    events = rng.binomial(2_000, (1.1 if at else 1.0) * shares) + rng.normal(0, 1, 5) * sd
    bins = [
        Bin(
            Released(value=2_000, noise_variance=0),
            Released(value=2_000 * p, noise_variance=0),
            Released(value=float(o), noise_variance=float(s) ** 2 * counted),
        )
        for p, o, s in zip(shares, events, sd, strict=True)
    ]
    calibration = calibration_draws({"all": bins}, runs=400, evidence_id="simulated", rng=rng)
    judged = gate(_GATE, calibration, {}, discrimination=None, heterogeneity=None).judged
    return next(each.verdict for each in judged if each.name == "all") == "met"


_CRITERIA = SplitCriteria(1, D(0), D("0.20"), D(0), D(0), None, "CNY")


def _split(rng: np.random.Generator, noise: float, counted: bool, at: bool) -> bool:
    """Sub-groups known from federated shares in two cells of exact cost; means differ by 20 % or more."""
    shares = _SPLIT_SHARES if at else (0.9, 0.1)
    sampling = 0.04
    released = np.array(shares) + rng.normal(0, np.hypot(sampling, noise * sampling), 2)
    rows = 300
    deviations = rng.standard_normal((2, rows, 2)) * sampling
    center, sampled, noised = (
        np.stack([x[..., 0], 1 - x[..., 0], x[..., 1], 1 - x[..., 1]], axis=-1) if k == 0 else
        np.stack([x[..., 0], -x[..., 0], x[..., 1], -x[..., 1]], axis=-1)
        for k, x in enumerate((released, deviations[0], deviations[1] * noise * counted))
    )  # fmt: skip
    names = tuple(share_name(cell, s) for cell in ("cheap", "dear") for s in ("wild", "mutated"))
    draws = Draws(names, center, sampled, noised, "simulated")
    moments = subgroup_moments(_HELD, draws, ("wild", "mutated"))
    return condition_probabilities(moments, _CRITERIA)["relative_difference"] >= 0.90


def _two_point(group: str, mean: int, cases: int) -> GroupCosts:
    """Costs of ``mean`` - 100 and ``mean`` + 100, half of the cases each."""
    return GroupCosts(group, cases, D(mean * cases), D(cases * (mean**2 + 100**2)))


def _held() -> PayerHeld:
    groups = (_two_point("cheap", 10_000, 400), _two_point("dear", 16_000, 400))
    total = sum((g.total for g in groups), D(0))
    return PayerHeld(
        year=2026, currency="CNY", grouping_version="v1", price_list="2026", groups=groups, trimmed_cases=0,
        trimmed_total=D("0.00"), carved_total=D("0.00"), ungrouped_cases=0, ungrouped_total=D("0.00"),
        ledger_cases=800, ledger_total=total,
    )  # fmt: skip


_HELD = _held()


def _share_at_bar() -> tuple[float, float]:
    """Shares p and 1 - p of the wild type in the cheap and the dear cell at which means differ by 20 %."""
    low, high = 0.5, 1.0
    for _ in range(60):
        p = (low + high) / 2
        cheap, dear = 10_000 * p + 16_000 * (1 - p), 10_000 * (1 - p) + 16_000 * p
        low, high = (p, high) if dear < 1.2 * cheap else (low, p)
    return low, 1 - low


_SPLIT_SHARES = _share_at_bar()


def _ranking(rng: np.random.Generator, noise: float, counted: bool, at: bool) -> bool:
    """Twenty institutions, all equal or one far better; whether the first is named among the best fifth."""
    sampling = 0.02
    truth = np.full(20, 0.7)
    if not at:
        truth[0] += 0.12
    released = truth + rng.normal(0, np.hypot(sampling, noise * sampling), 20)
    names = tuple(f"h{i}" for i in range(20))
    spread = rng.standard_normal((2, 400, 20)) * sampling
    draws = Draws(names, released, spread[0], spread[1] * noise * counted, "simulated")
    return bands(draws, top=0.2, bottom=0.1, p_met=0.9)["h0"].band == "top"
