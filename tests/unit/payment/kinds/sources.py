"""Made-up conclusions and payer's statements for every example standard, with chosen truth."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from fedvalue.analyses.estimate import Conclusion, Curve, Estimate, Joint, Released, Stratum
from fedvalue.payment import held, standard_file
from fedvalue.payment.deciding_criteria import Answer, answer
from fedvalue.payment.insufficient import Budgeted
from fedvalue.payment.readings import Sources
from fedvalue.payment.standard_file import StandardFile
from fedvalue.study.payments import Use

DAY = date(2026, 12, 1)
BUDGET = Budgeted(8.0, 1e-6, 100_000)


def share(rate: float, patients: float = 1000.0, noise: float = 16.0) -> Stratum:
    """A released proportion."""
    cells = {"success": rate * patients, "failure": (1 - rate) * patients, "missing": 0.0}
    released = {k: Released(value=v, noise_variance=noise) for k, v in cells.items()}
    return Stratum(name="all", status="estimated", released=released)


def curve(*at: tuple[float, float], sd: float = 0.02, noise: float = 0.01) -> Stratum:
    """A survival curve through (day, S), with one pair of standard deviations at its end."""
    days, s = zip(*at, strict=True)
    n = len(days)
    variances = [tuple((x * (i + 1) / n) ** 2 for i in range(n)) for x in (sd, noise)]
    return Stratum(
        name="all",
        status="estimated",
        released={"patients": Released(value=400.0, noise_variance=16.0)},
        curve=Curve(
            days=days, survival=s, lower=s, upper=s, at_risk=tuple(400.0 for _ in days),
            sampling_variance=variances[0], privacy_variance=variances[1],
        ),
    )  # fmt: skip


def mean(
    values: dict[str, tuple[float, str, float, float]], name: str = "all", joint: Joint | None = None
) -> Stratum:
    """Named estimates: value, unit, V_s, V_dp."""
    estimates = {
        k: Estimate(value=v, unit=u, lower=None, upper=None, sampling_variance=s, privacy_variance=p)
        for k, (v, u, s, p) in values.items()
    }
    patients = {"patients": Released(value=1000.0, noise_variance=16.0)}
    return Stratum(name=name, status="estimated", released=patients, estimates=estimates, joint=joint)


def increment(
    cost: float, effect: float, *, sd: tuple[float, float] = (9000.0, 0.08), noise: float = 0.25
) -> Stratum:
    """A treatment effect with correlation .2 and noise of ``noise`` times the sampling SDs."""
    cross = 0.2 * sd[0] * sd[1]
    s = ((sd[0] ** 2, cross), (cross, sd[1] ** 2))
    joint = Joint(
        names=("cost", "effect"), sampling=s, privacy=tuple(tuple(noise**2 * x for x in row) for row in s)
    )
    values = {
        "cost": (cost, "CNY", s[0][0], joint.privacy[0][0]),
        "effect": (effect, "QALY", s[1][1], joint.privacy[1][1]),
    }
    return mean(values, "difference", joint)


def sources(
    file: StandardFile, strata: dict[str, Stratum], figures: str | None = None, *, sites: int = 8
) -> Sources:
    """Wrap each quantity's stratum in a conclusion of its own; quantities of one stratum share it."""
    seen: dict[int, str] = {}
    conclusions, uses = [], {}
    for name, stratum in strata.items():
        quantity = file.standard.quantities[name]
        kind = {"proportion": "proportion", "survival": "kaplan_meier", "curve": "kaplan_meier"}.get(
            quantity.statistic, quantity.analysis or "treatment_effect"
        )
        endpoint = seen.setdefault(id(stratum), f"endpoint_{len(seen)}")
        conclusions.append(
            Conclusion(label=f"{kind}:{endpoint}", kind=kind, endpoint=endpoint, by=(), strata=(stratum,))
        )
        uses[name] = Use(endpoint, {}, endpoint)
    statement = None if figures is None else held.parse(figures.encode(), where="held.yaml")
    return Sources(tuple(conclusions), uses, "ev-" + "0" * 32, sites, statement)


def decided(
    name: str, strata: dict[str, Stratum], figures: str | None = None, *changes: tuple[str, str]
) -> Answer:
    """Answer an example standard, some of its lines changed."""
    file = changed(name, *changes)
    return answer(file, sources(file, strata, figures), DAY, budget=BUDGET, minimum=20)


def changed(name: str, *changes: tuple[str, str]) -> StandardFile:
    """An example standard with some lines changed."""
    text = standard_file.read(name).raw.decode()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return standard_file.parse(text.encode(), where="changed.yaml")


def figures(standard: str, more: str = "", /, **amounts: tuple[str, str]) -> str:
    """A payer's statement with exact figures: name to amount and unit."""
    source = "{title: The payer's own lists, place: closed year, status: checked}"
    rows = "".join(
        f'  {name}: {{unit: {unit}, amount: "{amount}", source: {source}}}\n'
        for name, (amount, unit) in amounts.items()
    )
    return (
        f"format: fedvalue.payer_held/1\nname: closed year\npayer: the region's fund\npurpose: set\n"
        f"standards: [{standard}]\nclosed_on: 2026-06-30\n" + (f"figures:\n{rows}" if rows else "") + more
    )


def closed_year(groups: dict[str, tuple[int, int, int]]) -> str:
    """A closed year: group to cases, mean cost and standard deviation, in whole currency units."""
    rows, total, cases = "", Decimal(0), 0
    for code, (n, average, sd) in groups.items():
        whole = n * average
        squares = (n - 1) * sd**2 + n * average**2
        rows += f'    - {{group: {code}, cases: {n}, total: "{whole}.00", squares: "{squares}"}}\n'
        total, cases = total + whole, cases + n
    return (
        "year:\n  year: 2025\n  currency: CNY\n  grouping_version: CHS-DRG 2.0\n  price_list: list of 2026\n"
        f'  groups:\n{rows}  trimmed_cases: 0\n  trimmed_total: "0.00"\n  carved_total: "0.00"\n'
        '  ungrouped_cases: 0\n  ungrouped_total: "0.00"\n'
        f'  ledger_cases: {cases}\n  ledger_total: "{total}.00"\n'
    )
