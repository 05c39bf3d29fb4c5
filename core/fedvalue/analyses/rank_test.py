"""Observed against expected events of groups: the log-rank test and one-step hazard ratios of risk tables.

In each interval the events of a group are compared with its share of the number at risk:
``U_g = sum_j (d_gj - n_gj d_j / n_j)``, with the hypergeometric variance V. Under noise every number at risk
and every event count carries its own noise; its covariance P goes through the first derivative of U, and
the second-order bias of the ratio ``n_gj / n_j`` is taken out (our derivation; both vanish without noise).
The test is ``U' (V + P)^- U`` on G - 1 degrees of freedom.

The hazard ratio against the first group is the one-step estimate ``exp(V^- U)``: exact near 1, drawn towards
1 by a few percent where hazards differ by a factor above 2. ``cox`` has no such limit.

Mantel, N. Evaluation of survival data and two new rank order statistics. Cancer Chemotherapy Reports 50
(1966) 163-170. Peto, R., Peto, J. Asymptotically efficient rank invariant test procedures. Journal of the
Royal Statistical Society A 135 (1972) 185-207.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from fedvalue.analyses import life_table
from fedvalue.analyses.analysis import Terms
from fedvalue.analyses.counts import count
from fedvalue.analyses.estimate import Estimate, Released, Stratum
from fedvalue.analyses.groups import EVERYBODY, UNKNOWN_GROUP, Groups
from fedvalue.analyses.life_table import RiskTable
from fedvalue.analyses.score import Z95

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Score:
    """Observed against expected events of G groups.

    Attributes:
      observed: Events of the whole horizon, noisy, shape ``(G,)``; those compared end where noise on the
        number at risk does.
      score: U, events above those expected, corrected to second order, shape ``(G,)``.
      sampling: V, the hypergeometric covariance of U, shape ``(G, G)``.
      privacy: P, the covariance of U that noise adds, shape ``(G, G)``.
      observed_noise: Noise variance of ``observed``, shape ``(G,)``.
    """

    observed: Array
    score: Array
    sampling: Array
    privacy: Array
    observed_noise: Array

    @property
    def statistic(self) -> float:
        """``U' (V + P)^- U``, chi-square on G - 1 degrees of freedom if the groups survive alike.

        V comes from noisy counts: where noise made it indefinite and the form negative, it is 0.
        """
        total = (self.sampling + self.privacy)[1:, 1:]
        return max(float(self.score[1:] @ np.linalg.pinv(total, hermitian=True) @ self.score[1:]), 0.0)

    @property
    def log_hazard_ratios(self) -> tuple[Array, Array, Array]:
        """One-step log hazard ratios against the first group, their sampling and their privacy variance.

        Each has shape ``(G - 1,)``; NaN where nothing is known.
        """
        inverse = np.linalg.pinv(self.sampling[1:, 1:], hermitian=True)
        known = np.diag(inverse) > 0
        privacy = inverse @ self.privacy[1:, 1:] @ inverse
        return (
            np.where(known, inverse @ self.score[1:], np.nan),
            np.where(known, np.diag(inverse), np.nan),
            np.maximum(np.diag(privacy), 0.0),
        )


def score(tables: list[RiskTable], intervals: int) -> Score:
    """Return observed and expected events over the first ``intervals`` intervals of G tables on one grid."""
    k = intervals
    at_risk = np.array([t.exposed[:k] for t in tables])
    events = np.array([t.events[:k] for t in tables])
    everybody, happened = at_risk.sum(axis=0), events.sum(axis=0)
    working = everybody > 0
    safe = np.where(working, everybody, 1.0)
    share = np.where(working, at_risk / safe, 0.0)
    hazard = np.where(working, happened / safe, 0.0)
    above = np.where(working, events - share * happened, 0.0)
    groups = len(tables)
    privacy, bias, noise = np.zeros((groups, groups)), np.zeros(groups), np.zeros(groups)
    for a, table in enumerate(tables):
        risk, by_events = (part[:k] for part in table.exposed_noise)
        told = table.events_noise[:k]
        own = np.where(working, (np.arange(groups)[:, None] == a) - share, 0.0)  # d U_g / d d_a, by interval
        through_risk = -(own * hazard) @ risk
        through_events = own @ told - (own * hazard) @ by_events
        privacy += through_risk @ through_risk.T + through_events @ through_events.T
        noise[a] = float((table.events_noise.sum(axis=0) ** 2).sum())
        variance = (risk**2).sum(axis=1) + (by_events**2).sum(axis=1)
        together = (told * by_events).sum(axis=1)
        # half the second derivatives of d_g - d n_g / n with the noise of group a
        bias += ((own / safe) * (hazard * variance - together)).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.where(
            everybody > 1, happened * (everybody - happened) / np.maximum(everybody - 1, 1e-9), 0.0
        )
    sampling = np.diag(share @ spread) - (share * spread) @ share.T
    observed = np.array([table.events.sum() for table in tables])
    return Score(observed, above.sum(axis=1) - bias, sampling, privacy, noise)


def compared(
    tables: list[RiskTable], groups: Groups, terms: Terms
) -> tuple[tuple[Stratum, ...], tuple[str, ...]]:
    """Return a stratum for each group, one for the test, and sentences about both.

    Args:
      tables: Risk tables in the order of ``groups.names``; the unknown group is not compared.
      groups: The groups.
      terms: What the study promised.
    """
    known = [i for i, name in enumerate(groups.names) if name != UNKNOWN_GROUP]
    sizes = [float(tables[i].at_risk.max()) for i in known]
    noises = [float((tables[i].at_risk_noise ** 2).sum(axis=1).max(initial=0.0)) for i in known]
    least = 1e-9 if terms.exact else terms.min_patients
    used = [i for i, size, v in zip(known, sizes, noises, strict=True) if size >= max(least, 3 * v**0.5)]
    released = {
        i: {"patients": Released(value=size, noise_variance=v)}
        for i, size, v in zip(known, sizes, noises, strict=True)
    }
    found = score([tables[i] for i in used], _reach([tables[i] for i in used], terms)) if used else None
    strata = []
    for i, size, v in zip(known, sizes, noises, strict=True):
        name = groups.names[i]
        if i in used and found is not None:
            estimates = _group(found, used.index(i))
            strata.append(Stratum(name=name, status="estimated", released=released[i], estimates=estimates))
        elif size < least:
            strata.append(Stratum(name=name, status="below_minimum", reason="sampling", released=released[i]))
        else:
            remedy = terms.remedy(v**0.5 / size if size > 0 else math.inf, size)
            strata.append(
                Stratum(
                    name=name,
                    status="not_estimable",
                    reason="privacy",
                    remedy=remedy,
                    released=released[i],
                )
            )
    notes = [f"Hazard ratios are one-step estimates against {groups.names[used[0]]}."] if used else []
    if found is None or len(used) < 2 or not np.any(np.diag(found.sampling) > 0):
        strata.append(Stratum(name=EVERYBODY, status="not_estimable", reason="sampling"))
        notes.append("Fewer than two groups can be compared.")
    else:
        degrees = len(used) - 1
        tests = {"chi-square": found.statistic, "p-value": float(special.chdtrc(degrees, found.statistic))}
        estimates = {
            "chi-square": _exactly(tests["chi-square"], "chi-square"),
            "p-value": _exactly(tests["p-value"], "probability"),
        }
        strata.append(Stratum(name=EVERYBODY, status="estimated", estimates=estimates))
        notes.append(
            f"The log-rank test of {len(used)} groups has {degrees} degree{'s'[: degrees > 1]} of freedom; "
            "its variance holds the privacy noise."
        )
    return tuple(strata), tuple(notes)


def _reach(tables: list[RiskTable], terms: Terms) -> int:
    """Intervals up to where noise exceeds a third of the number at risk of all groups together."""
    first = tables[0]
    if terms.exact:
        return len(first.edges) - 1
    root = math.sqrt(len(tables))
    together = RiskTable(
        first.edges, np.sum([t.at_risk for t in tables], axis=0), np.sum([t.events for t in tables], axis=0),
        first.at_risk_noise * root, first.events_noise * root, first.half,
    )  # fmt: skip
    return life_table.reach(together)


def _exactly(value: float, unit: str) -> Estimate:
    """A number of the test itself, which has no error of its own."""
    return Estimate(
        value=value, unit=unit, lower=None, upper=None, sampling_variance=0.0, privacy_variance=0.0
    )


def _group(found: Score, g: int) -> dict[str, Estimate]:
    observed, noise = float(found.observed[g]), float(found.observed_noise[g])
    sampling, privacy = float(max(found.sampling[g, g], 0.0)), float(max(found.privacy[g, g], 0.0))
    above = float(found.score[g])
    gap = Z95 * math.sqrt(sampling + privacy)
    estimates = {"events": count(observed, noise, "events")}  # of the patients in the data
    if len(found.observed) < 2 or sampling + privacy <= 0:  # alone it has what is expected, by definition
        return estimates
    estimates["events above expected"] = Estimate(
        value=above, unit="events", lower=above - gap, upper=above + gap,
        sampling_variance=sampling, privacy_variance=privacy,
    )  # fmt: skip
    if g == 0:
        return estimates
    log_ratio, by_sampling, by_privacy = (float(part[g - 1]) for part in found.log_hazard_ratios)
    if math.isfinite(log_ratio) and abs(log_ratio) < 50:
        half, ratio = Z95 * math.sqrt(by_sampling + by_privacy), math.exp(log_ratio)
        if half < 50:
            estimates["hazard ratio"] = Estimate(
                value=ratio, unit="ratio", lower=math.exp(log_ratio - half), upper=math.exp(log_ratio + half),
                sampling_variance=ratio**2 * by_sampling, privacy_variance=ratio**2 * by_privacy,
            )  # fmt: skip
    return estimates
