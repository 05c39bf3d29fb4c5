"""From evidence and the payer's books to the quantities of a standard, with joint draws of all of them.

Every quantity has the form that its statistic allows (`known`) and a column of draws in which sampling and
privacy deviations are apart. Survival at several days is drawn as one curve: log S has independent increments
with Greenwood's variances, so Cov(S(s), S(t)) = S(s) S(t) Var(log S(s)) for s <= t; the noise is taken
likewise. Estimates of one group go together where the analysis says how (`Joint`), and are independent
otherwise.

Greenwood, M. The natural duration of cancer. Reports on Public Health 33 (1926); the increments: Kalbfleisch,
Prentice. The Statistical Analysis of Failure Time Data, 2nd ed. (2002), section 1.4.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np

from fedvalue.analyses.by_site import BETWEEN_HOSPITALS, NEW_HOSPITAL
from fedvalue.analyses.estimate import Conclusion, Estimate, Joint, Stratum
from fedvalue.analyses.groups import EVERYBODY
from fedvalue.errors import EvidenceOfAnother, PaymentError
from fedvalue.payment.held import Held
from fedvalue.payment.known import Known, KnownDraws, KnownNormal, KnownShare
from fedvalue.payment.mechanisms.underlying import Draws, Floats
from fedvalue.payment.outcome_linked import CELLS, Posterior, Prior, counts_of, posterior
from fedvalue.payment.standard import Standard
from fedvalue.payment.standard_parts import Quantity
from fedvalue.study.model import DAYS_PER
from fedvalue.study.payments import Use

RUNS = 20_000
"""Joint draws of a decision: a probability of .90 has a Monte-Carlo error of .002."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What a decision reads.

    Attributes:
      conclusions: Of the evidence.
      uses: Quantity to what of the evidence it is.
      evidence_id: The evidence.
      sites: How many sites stand behind it.
      held: The payer's statement, if the standard reads one.
      draws: Joint draws of quantities that a model gives, with both deviations apart; they stand before the
        conclusions, and are taken in turn where there are fewer than `RUNS`.
    """

    conclusions: tuple[Conclusion, ...]
    uses: Mapping[str, Use]
    evidence_id: str
    sites: int
    held: Held | None = None
    draws: Draws | None = None


@dataclass(frozen=True, slots=True)
class Lacking:
    """A quantity without an estimate, and its group.

    Attributes:
      quantity: Its name.
      stratum: The group, with status, reason and remedy.
    """

    quantity: str
    stratum: Stratum


@dataclass(frozen=True, slots=True)
class Readings:
    """All quantities of a standard.

    Attributes:
      known: By name; a curve has one entry a month, ``survival@12``.
      draws: The same names, joint.
      strata: Group behind each quantity; none for what the payer holds.
      lacking: Quantities without an estimate.
      together: Covariance of two quantities, by sampling and by noise, where an analysis states it.
    """

    known: Mapping[str, Known]
    draws: Draws
    strata: Mapping[str, Stratum]
    lacking: tuple[Lacking, ...]
    together: Mapping[frozenset[str], tuple[float, float]]


def patients_of(stratum: Stratum) -> float | None:
    """Return the released patients of a group, from a count or a share's cells; None without either."""
    if "patients" in stratum.released:
        return stratum.released["patients"].value
    cells = [stratum.released[cell].value for cell in CELLS if cell in stratum.released]
    return sum(cells) if cells else None


def read(
    standard: Standard, on: date, sources: Sources, *, seed: int, months: tuple[str, ...] = ()
) -> Readings:
    """Read every quantity of a standard.

    Args:
      standard: The standard.
      on: The day whose parameters are used.
      sources: Evidence and statement.
      seed: Of the draws; the same seed gives the same draws.
      months: Months at which a curve is read, as text.

    Raises:
      EvidenceOfAnother: a group, endpoint or way of counting that the standard does not ask for.
      PaymentError: a figure or an estimate that is not there.
    """
    known: dict[str, Known] = {}
    center: dict[str, float] = {}
    deviations: dict[str, tuple[Floats, Floats]] = {}
    strata: dict[str, Stratum] = {}
    lacking: list[Lacking] = []
    by_group: dict[str, dict[str, Estimate]] = {}
    groups: dict[str, Stratum] = {}
    for name, quantity in standard.quantities.items():
        if sources.draws is not None and name in sources.draws.names:
            known[name], center[name], deviations[name] = _drawn(sources.draws, name)
            continue
        if quantity.statistic == "held":
            if sources.held is None:
                raise PaymentError(
                    f"the standard reads {name} from the payer's own figures", where=standard.name,
                    do="give the payer's statement with --held",
                )  # fmt: skip
            value = float(sources.held.figure(name, quantity.unit))
            known[name], center[name] = KnownNormal(value, 0.0, 0.0), value
            deviations[name] = (np.zeros(RUNS), np.zeros(RUNS))
            continue
        label, stratum = _stratum(sources, name, quantity, standard.name)
        strata[name] = stratum
        if stratum.status != "estimated":
            lacking.append(Lacking(name, stratum))
            continue
        rng = np.random.default_rng(_seed(seed, label))
        if quantity.statistic == "proportion":
            prior = Prior(*(_prior(standard, key, on) for key in ("prior_success", "prior_failure")))
            share = posterior(counts_of(stratum, quantity.missing or "non_response"), prior)
            known[name] = KnownShare(share, counts_of(stratum, quantity.missing or "non_response"))
            center[name], deviations[name] = share.mean, _share_draws(share, rng)
        elif quantity.statistic == "estimate":
            by_group.setdefault(label, {})[name] = _estimate(stratum, quantity.estimate or "", name, quantity)
            groups[label] = stratum
        else:
            days = (
                {f"{name}@{month}": float(month) * DAYS_PER["month"] for month in months}
                if quantity.statistic == "curve"
                else {name: float(standard.amount(quantity.day or "", on))}
            )
            found = _survival(stratum, days, name)
            if found is None:
                lacking.append(Lacking(name, stratum))
                continue
            for key, estimate in found.items():
                known[key], center[key] = _normal(estimate, key, stratum), estimate.value
            # one generator a curve: two quantities of one curve at one day are one quantity
            deviations.update(_survival_draws(found, days, rng))
    together: dict[frozenset[str], tuple[float, float]] = {}
    for label, estimates in by_group.items():
        rng = np.random.default_rng(_seed(seed, label))
        keys = {name: standard.quantities[name].estimate or "" for name in estimates}
        stated = _stated(keys, groups[label].joint)
        together.update(stated)
        deviations.update(_joint_draws(estimates, stated, rng))
        for name, estimate in estimates.items():
            known[name], center[name] = _normal(estimate, keys[name], groups[label]), estimate.value
    names = tuple(center)
    sampling, privacy = (
        np.column_stack([deviations[name][part] for name in names]) if names else np.zeros((RUNS, 0))
        for part in (0, 1)
    )
    draws = Draws(names, np.array([center[name] for name in names]), sampling, privacy, sources.evidence_id)
    return Readings(known, draws, strata, tuple(lacking), together)


def _drawn(draws: Draws, name: str) -> tuple[KnownDraws, float, tuple[Floats, Floats]]:
    """Return one quantity of a model's draws; the same rows of all of them stay together."""
    at, rows = draws.names.index(name), np.arange(RUNS) % len(draws.total)
    known = KnownDraws(draws.through(lambda values: values[:, at]))
    return known, float(draws.center[at]), (draws.sampling[rows, at], draws.privacy[rows, at])


def _seed(seed: int, label: str) -> list[int]:
    return [seed, int.from_bytes(hashlib.sha256(label.encode()).digest()[:8], "little")]


def _prior(standard: Standard, key: str, on: date) -> float:
    return float(standard.amount(key, on)) if key in standard.rule else 1.0


def _normal(estimate: Estimate, name: str, stratum: Stratum) -> KnownNormal:
    between = 0.0
    if name == NEW_HOSPITAL and (spread := stratum.estimates.get(BETWEEN_HOSPITALS)) is not None:
        between = min(spread.value**2, estimate.sampling_variance)
    return KnownNormal(estimate.value, estimate.sampling_variance, estimate.privacy_variance, between)


def _stratum(sources: Sources, name: str, quantity: Quantity, where: str) -> tuple[str, Stratum]:
    use = sources.uses.get(name)
    if use is None:
        raise EvidenceOfAnother(
            f"the evidence's study does not say what {name} is", where=where,
            do=f"name it under uses in the study's [[payments]]: {name}: endpoint | variable=level",
        )  # fmt: skip
    kinds = {"proportion": "proportion", "survival": "kaplan_meier", "curve": "kaplan_meier"}
    kind = kinds.get(quantity.statistic, quantity.analysis)
    for conclusion in sources.conclusions:
        named, by = set(use.levels), set(conclusion.by)
        # a group that the analysis makes itself, such as a difference of arms, has no levels of its own
        grouped = named <= by if quantity.stratum is not None else named == by
        if conclusion.endpoint != use.endpoint or not grouped:
            continue
        if kind is not None and conclusion.kind != kind:
            continue
        wanted = quantity.stratum or ", ".join(f"{v}={use.levels[v]}" for v in conclusion.by) or EVERYBODY
        for stratum in conclusion.strata:
            if stratum.name == wanted:
                return f"{conclusion.label}|{wanted}", stratum
    raise EvidenceOfAnother(
        f"the evidence holds no {kind or 'analysis'} of {use.text!r} for {name}", where=sources.evidence_id,
        do="use evidence of the group that the study's [[payments]] names",
    )  # fmt: skip


def _estimate(stratum: Stratum, key: str, name: str, quantity: Quantity) -> Estimate:
    if key not in stratum.estimates:
        raise EvidenceOfAnother(
            f"the group has no estimate {key!r} for {name}; it has {sorted(stratum.estimates)}",
            where=stratum.name, do="name one of them in the standard's quantities",
        )  # fmt: skip
    estimate = stratum.estimates[key]
    if estimate.unit != quantity.unit:
        raise EvidenceOfAnother(
            f"{name} is estimated in {estimate.unit}, the standard asks for {quantity.unit}",
            where=stratum.name,
            do="convert neither: ask the question in the standard's unit",
        )
    return estimate


def _survival(stratum: Stratum, days: Mapping[str, float], name: str) -> dict[str, Estimate] | None:
    """Return S at every day, None where the curve ends before one of them."""
    curve = stratum.curve
    if curve is None:
        raise EvidenceOfAnother(f"the group has no curve for {name}", where=stratum.name)
    edges, found = np.array([0.0, *curve.days]), {}
    columns = [(1.0, *curve.survival), (0.0, *curve.sampling_variance), (0.0, *curve.privacy_variance)]
    for key, day in days.items():
        if day > edges[-1] + 1e-9:
            return None
        i = int(np.searchsorted(edges, day + 1e-9, side="right")) - 1
        value, sampling, privacy = (column[i] for column in columns)
        found[key] = Estimate(
            value=value, unit="probability", lower=None, upper=None, sampling_variance=sampling,
            privacy_variance=privacy,
        )  # fmt: skip
    return found


def _survival_draws(
    found: Mapping[str, Estimate], days: Mapping[str, float], rng: np.random.Generator
) -> dict[str, tuple[Floats, Floats]]:
    order = sorted(found, key=lambda key: days[key])
    s = np.array([max(found[key].value, 1e-12) for key in order])
    out = []
    for part in ("sampling_variance", "privacy_variance"):
        log = np.maximum.accumulate(np.array([getattr(found[key], part) for key in order]) / s**2)
        steps = rng.standard_normal((RUNS, len(order))) * np.sqrt(np.diff(log, prepend=0.0))
        out.append(np.cumsum(steps, axis=1) * s)
    return {key: (out[0][:, i], out[1][:, i]) for i, key in enumerate(order)}


def _share_draws(share: Posterior, rng: np.random.Generator) -> tuple[Floats, Floats]:
    chosen = rng.choice(len(share.weight), size=RUNS, p=share.weight / share.weight.sum())
    alpha, beta = share.alpha[chosen], share.beta[chosen]
    means = alpha / (alpha + beta)
    return rng.beta(alpha, beta) - means, means - share.mean


def _stated(keys: Mapping[str, str], joint: Joint | None) -> dict[frozenset[str], tuple[float, float]]:
    """Return the covariances that an analysis states for quantities, given their names in it."""
    if joint is None:
        return {}
    at = {name: joint.names.index(key) for name, key in keys.items() if key in joint.names}
    return {
        frozenset({one, other}): (joint.sampling[at[one]][at[other]], joint.privacy[at[one]][at[other]])
        for one in at
        for other in at
        if one < other
    }


def _joint_draws(
    estimates: Mapping[str, Estimate],
    stated: Mapping[frozenset[str], tuple[float, float]],
    rng: np.random.Generator,
) -> dict[str, tuple[Floats, Floats]]:
    names = list(estimates)
    out = []
    for part, own in enumerate(("sampling_variance", "privacy_variance")):
        covariance = np.diag([float(getattr(estimates[name], own)) for name in names])
        for i, one in enumerate(names):
            for j, other in enumerate(names):
                if i != j:
                    covariance[i, j] = stated.get(frozenset({one, other}), (0.0, 0.0))[part]
        # a diagonal matrix keeps its own order of axes: its root is taken as it stands
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        out.append(rng.standard_normal((RUNS, len(names))) @ root.T)
    return {name: (out[0][:, i], out[1][:, i]) for i, name in enumerate(names)}
