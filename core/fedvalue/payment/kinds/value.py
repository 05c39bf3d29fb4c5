"""Mechanisms on value: the ICER gate, provisional listing, suspension after years in a row.

Decided on incremental net benefit INB = k dE - dC with k the standard's willingness to pay; the ICER is
printed with its quadrant and decides nothing. k is a grid: INB at every ``willingness_*`` is shown, and the
criterion reads one of them. Cost and effect go together where the analysis says how (`Joint`).

Provisional listing: P(INB > 0) and the value of data, EVSI of a study ``data_factor`` times today's
information for ``eligible`` people, against its cost. Suspension: this year's verdict joins the payer's
earlier ones. Source: payment.md 2.10, 2.13.
"""

from __future__ import annotations

from collections.abc import Mapping

from fedvalue.payment.decision import Outcome
from fedvalue.payment.decision_findings import Result
from fedvalue.payment.economics.icer import icer
from fedvalue.payment.economics.information import evpi, evsi
from fedvalue.payment.economics.joint import Covariance, Increment
from fedvalue.payment.economics.net_benefit import NetBenefit, net_benefits
from fedvalue.payment.kinds.case import Case, Kind, kept
from fedvalue.payment.known import Z95, Known, KnownNormal
from fedvalue.payment.mechanisms.suspension import Year, run_of, suspends


def increment(case: Case) -> Increment:
    """Return dC and dE with their two covariances, the cross terms as the analysis states them."""
    cost, effect = case.known["cost"], case.known["effect"]
    cross = case.together.get(frozenset({"cost", "effect"}), (0.0, 0.0))
    return Increment(
        cost.value,
        effect.value,
        Covariance(cost.sampling_variance, effect.sampling_variance, cross[0]),
        Covariance(cost.privacy_variance, effect.privacy_variance, cross[1]),
    )


def _benefit(case: Case) -> NetBenefit:
    return net_benefits(increment(case), [case.number("willingness_to_pay")])[0]


def _gate(case: Case) -> Mapping[str, Known]:
    found = _benefit(case)
    return {"net_benefit": KnownNormal(found.mean, found.sampling_variance, found.privacy_variance)}


def _grid(case: Case) -> list[float]:
    return sorted({float(k) for rest, k in case.family("willingness").items() if k > 0 and rest})


def _results(case: Case) -> tuple[Result, ...]:
    both, money = increment(case), f"{case.currency} per patient"
    ratio = icer(both)
    rows = [
        _row("incremental cost", money, both.cost, both.sampling.cost, both.privacy.cost),
        _row(
            "incremental effect", case.standard.quantities["effect"].unit, both.effect, both.sampling.effect,
            both.privacy.effect,
        ),
        Result(
            name="ICER", unit=f"{case.currency} per unit of effect", value=None,
            text=f"{ratio.printed} ({ratio.label('en')})",
        ),
    ]  # fmt: skip
    for found in net_benefits(both, _grid(case)):
        rows.append(  # noqa: PERF401  (a comprehension of this size reads worse)
            _row(
                f"INB at {found.k:,.0f}",
                money,
                found.mean,
                found.sampling_variance,
                found.privacy_variance,
                text=f"P(INB > 0) = {found.probability:.4f}; EVPI {evpi(found):,.2f} per person",
            )
        )
    return tuple(rows)


def _row(
    name: str, unit: str, value: float, sampling: float, privacy: float, text: str | None = None
) -> Result:
    half = Z95 * (sampling + privacy) ** 0.5
    return Result(
        name=name, unit=unit, value=kept(value), lower=kept(value - half), upper=kept(value + half),
        sampling_variance=kept(sampling), privacy_variance=kept(privacy), text=text,
    )  # fmt: skip


GATE = Kind(derive=_gate, results=_results)


def _data_value(case: Case) -> float:
    found, left = _benefit(case), 1 / (1 + case.number("data_factor"))
    per_person = evsi(
        found,
        sampling_variance=found.sampling_variance * left,
        privacy_variance=found.privacy_variance * left,
    )
    return per_person * case.number("eligible")


def _provisional(case: Case) -> Mapping[str, Known]:
    worth = _data_value(case)
    return {
        **_gate(case),
        "data_value": KnownNormal(worth, 0.0, 0.0),
        "data_net_value": KnownNormal(worth - case.number("data_cost"), 0.0, 0.0),
    }


def _provisional_results(case: Case) -> tuple[Result, ...]:
    worth = Result(
        name="value of the data to be collected",
        unit=case.currency,
        value=kept(_data_value(case)),
        text=f"against a cost of {case.amount('data_cost'):,}; "
        f"at most {case.amount('longest')} days provisional",
    )
    return (*_results(case), worth)


PROVISIONAL = Kind(derive=_provisional, results=_provisional_results)


def year_verdict(outcome: Outcome) -> Year:
    """Return this year's verdict: the criterion asks whether INB lies below 0."""
    verdicts: dict[Outcome, Year] = {
        "met": "above",
        "not_met": "within",
        "insufficient_evidence": "insufficient",
    }
    return verdicts[outcome]


def after_years(case: Case, outcome: Outcome) -> Outcome:
    """Return whether the technology is suspended: *met* only after enough years in a row."""
    years, policy = int(case.amount("years_in_a_row")), case.word("insufficient_years")
    verdicts = (*(case.held.statement.verdicts if case.held else ()), year_verdict(outcome))
    if suspends(verdicts, years=years, insufficient="hold" if policy == "hold" else "reset"):
        return "met"
    return "insufficient_evidence" if outcome == "insufficient_evidence" else "not_met"


def _suspension_results(case: Case) -> tuple[Result, ...]:
    earlier = case.held.statement.verdicts if case.held else ()
    policy = "hold" if case.word("insufficient_years") == "hold" else "reset"
    run = run_of(earlier, "hold" if policy == "hold" else "reset")
    years = Result(
        name="earlier years above in a row, the longest run", unit="years", value=float(run),
        text=f"{case.amount('years_in_a_row')} suspend; a year of insufficient evidence: {policy}",
    )  # fmt: skip
    return (*_results(case), years)


SUSPENSION = Kind(derive=_gate, results=_suspension_results)
