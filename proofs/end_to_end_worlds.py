"""The planted truths of the five end-to-end studies: how patients are drawn, and what the payer holds.

Every number is made up. A truth *meets* its bar by a distance that a regional federation of eight hospitals
should see, *fails* it by as much, or lies on the bar, where both answers are errors. Where a standard asks
for several bars together, one of them is in question and the others are passed for certain; one truth has
both on their bars, where the joint probability alone would favor *not met*.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from itertools import pairwise

import numpy as np

from proofs.end_to_end import Columns, Truth, World

MONTH = 365.25 / 12
CELLS = {"tki": (2_400, 15_000), "alki": (1_500, 30_000), "chemo": (3_600, 10_500)}
"""Cases of the payer's closed year and their mean cost in CNY, by drug line."""

SUBGROUPS = ("egfr", "alk", "rest")
EXPECTED_ADMISSIONS = 0.20
WILLINGNESS = 268_074.0
DEARER = 80_000.0


def lung(rng: np.random.Generator, planted: Mapping[str, float]) -> Columns:
    """600 patients, 45 % of them mutated, with response by day 183."""
    egfr = rng.choice(["mutated", "wild type", "not tested"], size=600, p=[0.45, 0.40, 0.15])
    rate = np.where(egfr == "mutated", planted["response"], 0.12)
    return {"egfr": egfr, "response_6m": (rng.random(600) < rate).astype(float)}


def cart(rng: np.random.Generator, planted: Mapping[str, float]) -> Columns:
    """400 patients; a constant hazard gives S(12 months) as planted; about 5 % are lost each half year."""
    hazard = -np.log(planted["event_free"]) / (12 * MONTH)
    event, lost = rng.exponential(1 / hazard, 400), rng.exponential(10 * 182.6, 400)
    end = np.minimum(np.minimum(event, lost), 13 * MONTH)
    kind = np.where(rng.random(400) < 0.7, 1.0, 2.0)
    return {
        "time": np.maximum(np.ceil(end), 1.0),
        "event": np.where(event <= np.minimum(lost, 13 * MONTH), kind, 0.0),
    }


def diabetes(rng: np.random.Generator, planted: Mapping[str, float]) -> Columns:
    """4,000 members in three tiers whose costs are gamma distributed."""
    n = 4_000
    tier = rng.choice(["low", "medium", "high"], size=n, p=[0.5, 0.35, 0.15])
    mean = np.select([tier == "low", tier == "medium"], [5_500.0, 8_500.0], 15_000.0)
    admitted = EXPECTED_ADMISSIONS * (1 - planted["reduction"])
    return {
        "tier": tier,
        "cost": np.round(rng.gamma(2.0, mean / 2.0), 2),
        "controlled": (rng.random(n) < planted["control"]).astype(float),
        "admitted": (rng.random(n) < admitted).astype(float),
    }


def subgroups(rng: np.random.Generator, planted: Mapping[str, float]) -> Columns:
    """3,000 cases in three drug lines; ``purity`` is how often a line's own mutation is behind it."""
    n = 3_000
    line = rng.choice(list(CELLS), size=n, p=[0.32, 0.2, 0.48])
    own = rng.random(n) < planted["purity"]
    other = rng.integers(1, 3, n)
    index = np.select([line == "tki", line == "alki"], [0, 1], 2)
    group = np.where(own, index, (index + other) % 3)
    return {"line": line, **{f"is_{name}": (group == k).astype(float) for k, name in enumerate(SUBGROUPS)}}


def icer(rng: np.random.Generator, planted: Mapping[str, float]) -> Columns:
    """1,600 patients that chance put into two arms; costs and QALYs go together within an arm."""
    n = 1_600
    targeted = rng.random(n) < 0.5
    shared = rng.standard_normal(n)
    cost = 120_000 + DEARER * targeted + 45_000 * (0.4 * shared + 0.917 * rng.standard_normal(n))
    qaly = 1.2 + planted["effect"] * targeted + 0.5 * (0.4 * shared + 0.917 * rng.standard_normal(n))
    return {
        "arm": np.where(targeted, "targeted", "usual"),
        "cost": np.round(np.clip(cost, 0, 400_000), 2),
        "qaly": np.round(np.clip(qaly, 0, 4), 4),
        "severe_event": (rng.random(n) < 0.1).astype(float),
    }


def means_by_purity(purity: float) -> list[float]:
    """Mean cost of the sub-groups in CNY where each line's own mutation has that share, others alike."""
    sizes, costs = zip(*CELLS.values(), strict=True)
    found = []
    for k in range(3):
        shares = [purity if cell == k else (1 - purity) / 2 for cell in range(3)]
        cases = [n * p for n, p in zip(sizes, shares, strict=True)]
        found.append(sum(n * c for n, c in zip(cases, costs, strict=True)) / sum(cases))
    return found


def smallest_difference(purity: float) -> float:
    """Smallest relative difference of neighboring means, as the split criteria read it."""
    ordered = sorted(means_by_purity(purity))
    return min(high / low - 1 for low, high in pairwise(ordered))


def purity_at(difference: float) -> float:
    """Purity at which the smallest difference is as asked."""
    low, high = 1 / 3, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if smallest_difference(middle) < difference else (low, middle)
    return high


def held_diabetes(planted: Mapping[str, float]) -> str:
    """Enrolment and the region's risk-adjusted trend, from the payer's books."""
    del planted
    source = (
        '{title: "Enrolment and claims of the made-up region", place: "closed year 2025", status: chosen}'
    )
    rows = [
        f'  expected_admissions: {{unit: probability, amount: "{EXPECTED_ADMISSIONS}", source: {source}}}',
        *(
            f"  people_{tier}: {{unit: patients, amount: {people}, source: {source}}}"
            for tier, people in (("low", 50_000), ("medium", 35_000), ("high", 15_000))
        ),
    ]
    return (
        "format: fedvalue.payer_held/1\nname: made-up region, diabetes\npayer: made-up payer\npurpose: set\n"
        "standards: [diabetes/capitation_risk_tiers]\nclosed_on: 2025-12-31\nfigures:\n"
        + "\n".join(rows)
        + "\n"
    )


def held_lung(planted: Mapping[str, float]) -> str:
    """The closed year of costs by drug line: half of the cases 2,000 CNY below the mean, half above."""
    del planted
    groups, total, cases = [], Decimal(0), 0
    for cell, (n, mean) in CELLS.items():
        cost = Decimal(n * mean)
        squares = n * (mean**2 + 2_000**2)
        groups.append(f'    - {{group: "LINE {cell}", cases: {n}, total: "{cost}.00", squares: "{squares}"}}')
        total, cases = total + cost, cases + n
    named = "\n".join(
        f'  - {{name: {name}, group: ER1{letter}, label: "{name}", {field}}}'
        for name, letter, field in (
            ("egfr", "A", 'field: {kind: drug, codes: ["XL01EB"]}'),
            ("alk", "B", 'field: {kind: drug, codes: ["XL01ED"]}'),
            ("rest", "C", "rest: true"),
        )
    )
    return (
        "format: fedvalue.payer_held/1\nname: made-up region, lung cancer\npayer: made-up payer\n"
        "purpose: set\nstandards: [lung/molecular_subgroups]\nclosed_on: 2025-12-31\n"
        "year:\n  year: 2025\n  currency: CNY\n"
        '  grouping_version: "made-up 1"\n  price_list: "2025"\n  groups:\n' + "\n".join(groups) + "\n"
        '  trimmed_cases: 0\n  trimmed_total: "0.00"\n  carved_total: "0.00"\n  ungrouped_cases: 0\n'
        f'  ungrouped_total: "0.00"\n  ledger_cases: {cases}\n  ledger_total: "{total}.00"\n'
        f"subgroups:\n{named}\n"
        'cells: {tki: "LINE tki", alki: "LINE alki", chemo: "LINE chemo"}\n'
        'channels: {inpatient: "60000000.00", outpatient: "25000000.00", dual_channel: "20500000.00"}\n'
    )


def worlds() -> tuple[World, ...]:
    """The five studies."""
    return (
        World(
            "lung_outcome_linked",
            "Lung EGFR, outcome-linked (response at least 30 %)",
            (
                Truth("meets", "met", {"response": 0.40}, "40 % respond"),
                Truth("at the bar", "insufficient_evidence", {"response": 0.30}, "30 % respond"),
                Truth("fails", "not_met", {"response": 0.20}, "20 % respond"),
            ),
            lung,
        ),
        World(
            "cart_instalments",
            "CAR-T instalments (event-free at 12 months at least 55 %)",
            (
                Truth("meets", "met", {"event_free": 0.66}, "66 % are event-free"),
                Truth("at the bar", "insufficient_evidence", {"event_free": 0.55}, "55 % are event-free"),
                Truth("fails", "not_met", {"event_free": 0.44}, "44 % are event-free"),
            ),
            cart,
        ),
        World(
            "diabetes_capitation",
            "Diabetes capitation in risk tiers (control at least 60 % and admissions down by 20 %)",
            (
                Truth(
                    "meets", "met", {"control": 0.65, "reduction": 0.32}, "65 % controlled, admissions - 32 %"
                ),
                Truth(
                    "at the bar",
                    "insufficient_evidence",
                    {"control": 0.60, "reduction": 0.40},
                    "60 % controlled, admissions - 40 %",
                ),
                Truth(
                    "fails",
                    "not_met",
                    {"control": 0.55, "reduction": 0.32},
                    "55 % controlled, admissions - 32 %",
                ),
                Truth(
                    "both on their bars",
                    "insufficient_evidence",
                    {"control": 0.60, "reduction": 0.20},
                    "60 % controlled, admissions - 20 %",
                ),
            ),
            diabetes,
            held_diabetes,
        ),
        World(
            "lung_subgroups",
            "Lung sub-groups by molecular split (means differ by at least 20 %), on payer-held costs",
            (
                Truth("meets", "met", {"purity": purity_at(0.27)}, "means differ by 27 %"),
                Truth(
                    "at the bar", "insufficient_evidence", {"purity": purity_at(0.20)}, "means differ by 20 %"
                ),
                Truth("fails", "not_met", {"purity": purity_at(0.13)}, "means differ by 13 %"),
            ),
            subgroups,
            held_lung,
        ),
        World(
            "lung_icer_gate",
            "ICER gate of a targeted therapy (net benefit above 0 at 268,074 per QALY)",
            (
                Truth("meets", "met", {"effect": 0.50}, "+ 80,000 CNY for + 0.50 QALY"),
                Truth(
                    "at the bar",
                    "insufficient_evidence",
                    {"effect": DEARER / WILLINGNESS},
                    "+ 80,000 CNY for + 0.298 QALY",
                ),
                Truth("fails", "not_met", {"effect": 0.10}, "+ 80,000 CNY for + 0.10 QALY"),
            ),
            icer,
        ),
    )
