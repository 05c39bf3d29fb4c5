"""From noisy numbers at risk and noisy events to a survival curve, with both variances.

On a daily grid this is the product-limit estimate (events before censorings on the same day). On a wider
grid, people who enter or leave inside an interval count for half of it: the actuarial estimate.

Kaplan, Meier (1958), JASA 53, 457-481, eq. (2b). Greenwood (1926). Cutler, Ederer (1958), J. Chronic
Diseases 8, 699-712. Left truncation: Tsai, Jewell, Wang (1987), Biometrika 74, 883-886. The privacy
variance is the delta method through the known noise, and ``log(1 - d/n)`` is corrected to second order
for it (our derivation; without noise both terms vanish).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RiskTable:
    """Released numbers of one group on a grid of k intervals.

    Attributes:
      edges: In days from the origin, shape ``(k + 1,)``.
      at_risk: People followed at each edge, noisy, shape ``(k + 1,)``.
      events: Events in ``(edges[i], edges[i + 1]]``, noisy, shape ``(k,)``.
      at_risk_noise: Maps independent unit noise to ``at_risk``, times its SD, shape ``(k + 1, r)``.
      events_noise: The same for ``events``, shape ``(k, e)``; independent of the other.
      half: True where people inside an interval count for half of it (grids wider than a day).
    """

    edges: Array
    at_risk: Array
    events: Array
    at_risk_noise: Array
    events_noise: Array
    half: bool

    @property
    def exposed(self) -> Array:
        """Effective number at risk in each interval, shape ``(k,)``."""
        before, after = self.at_risk[:-1], self.at_risk[1:]
        return (before + after + self.events) / 2 if self.half else before

    @property
    def exposed_noise(self) -> tuple[Array, Array]:
        """Noise of `exposed`, by source: from ``at_risk`` and from ``events``."""
        risk = self.at_risk_noise
        if self.half:
            return (risk[:-1] + risk[1:]) / 2, self.events_noise / 2
        return risk[:-1], np.zeros_like(self.events_noise)


@dataclass(frozen=True, slots=True)
class SurvivalEstimate:
    """A survival curve at the right edges of its intervals, up to where it ends.

    Attributes:
      days: Right edges, shape ``(j,)``.
      log_survival: log S(days), shape ``(j,)``.
      sampling: Greenwood's variance of ``log_survival``, shape ``(j,)``.
      noise: Covariance of ``log_survival`` from privacy noise, shape ``(j, j)``.
      increments: Greenwood's terms, one an interval, shape ``(j,)``; noise may make some negative, and only
        their sums mean something.
      widths: Interval widths in days, shape ``(j,)``.
      half: As in `RiskTable`.
      per_event: Mean over the intervals so far of one over the number at risk: what an event adds to the
        cumulative hazard, shape ``(j,)``.
    """

    days: Array
    log_survival: Array
    sampling: Array
    noise: Array
    increments: Array
    widths: Array
    half: bool
    per_event: Array

    @property
    def survival(self) -> Array:
        """S(days), between 0 and 1 and never rising: what is displayed."""
        return np.minimum.accumulate(np.clip(np.exp(self.log_survival), 0.0, 1.0))

    def band(self, z: float) -> tuple[Array, Array]:
        """Return pointwise limits at ``z`` standard errors, each shape ``(j,)``.

        On the log(-log) scale where the curve has left 1 by more than three standard errors of sampling
        (Kalbfleisch, Prentice 2002, section 1.4); noise is added to the cumulative hazard, not multiplied,
        and its reach is combined with that of sampling, end by end (MOVER: Zou, Donner. Statistics in
        Medicine 27 (2008) 1693-1702). Nearer to 1 few events carry it, and Greenwood's variance falls with
        their number; there H = -log S holds as long as ``(H' - H)^2 <= z^2 (a H + noise)`` of the estimate
        H', with the `per_event` a: the Poisson score interval of the cumulative hazard (our derivation). Its
        lower end is that of half an event less, without which it misses too often where one event or two are
        expected (correction for continuity).
        """
        log_s, noise = self.log_survival, np.diag(self.noise)
        sd = np.sqrt(self.sampling)
        hazard = np.maximum(-log_s, 1e-300)
        far = (log_s < 0) & np.isfinite(log_s) & (sd < hazard / 3)
        with np.errstate(over="ignore", invalid="ignore"):
            spread = np.exp(z * np.where(far, sd / hazard, 0.0))
            down = np.hypot(hazard * (1 - 1 / spread), z * np.sqrt(noise))
            up = np.hypot(hazard * (spread - 1), z * np.sqrt(noise))
            # noise may carry S past 1 so far that no H is left: no further than what leaves a standard error
            near = np.maximum(-log_s, -(z - 1) * np.sqrt(noise))
            fewer = np.minimum(near, np.maximum(near - self.per_event / 2, 0.0))
            most, least = (self._score(h, z, noise) for h in (near, fewer))
            lower = np.where(far, np.exp(-(hazard + up)), np.exp(-most[1]))
            upper = np.where(far, np.exp(-(hazard - down)), np.exp(-least[0]))
        certain = np.isfinite(log_s)
        lower, upper = np.where(certain, lower, 0.0), np.where(certain, upper, 0.0)
        return np.clip(lower, 0.0, 1.0), np.clip(upper, 0.0, 1.0)

    def _score(self, hazard: Array, z: float, noise: Array) -> tuple[Array, Array]:
        """Both roots of the score equation of `band`."""
        middle = hazard + z**2 * self.per_event / 2
        half = np.sqrt(np.maximum(middle**2 - hazard**2 + z**2 * noise, 0.0))
        return middle - half, middle + half


def reach(table: RiskTable) -> int:
    """Return how many intervals may be used: up to the first whose noise exceeds a third of its count."""
    risk, events = table.exposed_noise
    sd = np.sqrt((risk**2).sum(axis=1) + (events**2).sum(axis=1))
    bad = sd > np.maximum(table.exposed, 0.0) / 3
    return int(np.argmax(bad)) if bad.any() else len(bad)


def estimate(table: RiskTable, intervals: int) -> SurvivalEstimate:
    """Estimate survival over the first ``intervals`` intervals of the table."""
    k = intervals
    n, d = table.exposed[:k], table.events[:k]
    at_work = n > 0
    safe = np.where(at_work, n, 1.0)
    hazard = np.where(at_work, np.minimum(d / safe, 1.0), 0.0)
    alive = 1.0 - hazard
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.log(alive)
        greenwood = np.where(alive > 0, hazard / (safe * alive), 0.0)
        weight = np.where(alive > 0, 1.0 / (safe * alive), 0.0)
    n_risk, n_events = (part[:k] for part in table.exposed_noise)
    d_events = table.events_noise[:k]
    # d log(1 - d/n) = -(dd - hazard dn) / (n - d)
    by_risk = weight[:, None] * hazard[:, None] * n_risk
    by_events = -weight[:, None] * (d_events - hazard[:, None] * n_events)
    terms = terms + _curvature(safe, alive, (n_risk, n_events), d_events)
    # what noise in the hazard h adds to h / (1 - h) on average, to second order, is no sampling variance
    h_variance = ((hazard[:, None] * n_risk) ** 2).sum(axis=1) + (
        (d_events - hazard[:, None] * n_events) ** 2
    ).sum(axis=1)
    greenwood = greenwood - weight**3 * h_variance
    sums_risk, sums_events = by_risk.cumsum(axis=0), by_events.cumsum(axis=0)
    return SurvivalEstimate(
        days=table.edges[1 : k + 1],
        log_survival=terms.cumsum(),
        sampling=np.maximum.accumulate(np.maximum(greenwood.cumsum(), 0.0)),
        noise=sums_risk @ sums_risk.T + sums_events @ sums_events.T,
        increments=greenwood,
        widths=np.diff(table.edges)[:k],
        half=table.half,
        per_event=np.where(at_work, 1.0 / np.maximum(safe, 1.0), 0.0).cumsum() / np.arange(1, k + 1),
    )


def _curvature(n: Array, alive: Array, n_noise: tuple[Array, Array], d_noise: Array) -> Array:
    """Minus half the second-order effect of noise on ``log(1 - d/n) = log(n - d) - log(n)``.

    No expansion holds where n - d is lost in its noise: from a third of it on, as for n in `reach`, the
    effect is held at what it is there.
    """
    n_variance = (n_noise[0] ** 2).sum(axis=1) + (n_noise[1] ** 2).sum(axis=1)
    gap_variance = (n_noise[0] ** 2).sum(axis=1) + ((n_noise[1] - d_noise) ** 2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        of_gap = np.minimum(gap_variance / (n * alive) ** 2, 1 / 9)
        correction = (of_gap - n_variance / n**2) / 2
    return np.where((alive > 0) & (n_variance + gap_variance > 0), correction, 0.0)


def median(curve: SurvivalEstimate, z: float) -> tuple[float, float | None, float | None] | None:
    """Return the median and the ends of its interval in days, None where the curve never reaches one half.

    The first day with S <= 1/2 (Brookmeyer, Crowley 1982, Biometrics 38, 29-41); on a grid wider than a
    day, linear inside the interval.
    """
    lower, upper = curve.band(z)
    middle = _first_at_half(curve, curve.survival)
    if middle is None:
        return None
    return middle, _first_at_half(curve, lower), _first_at_half(curve, upper)


def _first_at_half(curve: SurvivalEstimate, values: Array) -> float | None:
    below = np.flatnonzero(values <= 0.5 + 1e-12)
    if not len(below):
        return None
    i = int(below[0])
    if not curve.half:
        return float(curve.days[i])
    start = 1.0 if i == 0 else float(values[i - 1])
    share = (start - 0.5) / (start - float(values[i])) if start > values[i] else 1.0
    return float(curve.days[i] - curve.widths[i] * (1 - share))


def restricted_mean(curve: SurvivalEstimate) -> tuple[float, float, float]:
    """Return the restricted mean up to the curve's last day, with sampling and privacy variance, in days.

    The area under the curve: steps on a daily grid, trapezes on a wider one (Irwin 1949; variance by
    Greenwood's terms, Klein, Moeschberger 2003, eq. 4.5.2).
    """
    # not the curve that is displayed: cut at 1 it would be biased, and more certain than its variance
    s = np.exp(curve.log_survival)
    # the area is 1 x constant + weights . S, with S at the right edges
    weights = np.zeros(len(s))
    if curve.half:
        constant = curve.widths[0] / 2
        weights += curve.widths / 2
        weights[:-1] += curve.widths[1:] / 2
    else:
        constant = curve.widths[0]
        weights[:-1] = curve.widths[1:]
    area = float(constant + weights @ s)
    slope = weights * s
    after = slope[::-1].cumsum()[::-1]
    return area, max(float((after**2) @ curve.increments), 0.0), float(slope @ curve.noise @ slope)
