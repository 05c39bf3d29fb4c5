"""From a model's evaluation to risk coefficients: normalised, shrunk by credibility, behind the gates.

    raw_c = mean prediction of the cell / mean prediction of everybody
    r_c   = 1 + Z_c (raw_c - 1),   Z_c = tau^2 / (tau^2 + V_s + V_dp)
    then clamped to [0.7, 1.8] and normalised: the mean over the people is 1, exactly, in fractions

tau^2 is how much cells truly differ: given, or estimated from the cells with their errors, noise included
(Paule and Mandel), so that noise is never paid for as if it were risk.

Source: payment.md 2.8; `risk_adjustment`, `between_sites`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np

from fedvalue.analyses.between_sites import between_sites
from fedvalue.analyses.estimate import Conclusion, Estimate
from fedvalue.analyses.evaluated_cells import RELATIVE
from fedvalue.errors import PaymentError
from fedvalue.payment.mechanisms.calibration_gate import Gate
from fedvalue.payment.mechanisms.risk_adjustment import clamp, credible
from fedvalue.payment.mechanisms.weights import Weights

LOW, HIGH = Decimal("0.7"), Decimal("1.8")


@dataclass(frozen=True, slots=True)
class Coefficient:
    """One cell.

    Attributes:
      cell: Its name.
      people: Who are paid for.
      raw: Relative prediction with its variances.
      credibility: Z, between 0 and 1.
      value: The coefficient; the mean over the people is exactly 1.
      clamped: Whether it was at a bound before normalising.
    """

    cell: str
    people: int
    raw: Estimate
    credibility: float
    value: Fraction
    clamped: bool


@dataclass(frozen=True, slots=True)
class RiskCoefficients:
    """Coefficients of all cells.

    Attributes:
      cells: In the order of the evidence.
      between_sd: tau, given or estimated.
      estimated: True where tau was estimated from the cells.
      weights: The same coefficients as weights over the people.
    """

    cells: tuple[Coefficient, ...]
    between_sd: float
    estimated: bool
    weights: Weights


def risk_coefficients(
    conclusion: Conclusion,
    gate: Gate,
    *,
    people: Mapping[str, int] | None = None,
    between_sd: float | None = None,
    genomic: tuple[str, ...] = (),
    justification: str = "",
    low: Decimal = LOW,
    high: Decimal = HIGH,
) -> RiskCoefficients:
    """Return the coefficients of an evaluation's cells.

    Args:
      conclusion: Of ``kind = "model_evaluation"``, with cells.
      gate: What its gates say.
      people: By cell; left out, the released numbers, rounded.
      between_sd: tau, above 0; left out, it is estimated from three cells or more.
      genomic: Variables of the cells, or of the model, that are genes.
      justification: Why genes may raise a price.
      low: Least coefficient before normalising.
      high: Most.

    Raises:
      PaymentError: a gate that is not met, cells that are not there or have no estimate, genes without a
        justification, no tau, or people of other cells.
    """
    if gate.outcome != "met":
        raise PaymentError(
            f"the model's gates are {gate.outcome.replace('_', ' ')}: it sets no coefficient",
            where=conclusion.label,
            do="recalibrate the model and evaluate it again",
        )
    if genomic and not justification.strip():
        raise PaymentError(
            f"the coefficients rest on genes ({', '.join(genomic)}) and may raise a price",
            where=conclusion.label,
            do="write a justification; genes raise a price only with a reason",
        )
    raw = _raw(conclusion)
    numbers = _people(conclusion, tuple(raw), people)
    tau, estimated = _spread(raw, between_sd, conclusion.label)
    shrunk = credible(raw, numbers, between_variance=tau**2)
    values = dict(zip(shrunk.coefficients.groups, shrunk.coefficients.values, strict=True))
    found = clamp(values, numbers, low=low, high=high)
    cells = tuple(
        Coefficient(
            cell, numbers[cell], raw[cell], shrunk.credibility[cell], found.coefficients.of(cell),
            cell in found.clamped,
        )
        for cell in raw
    )  # fmt: skip
    return RiskCoefficients(cells, tau, estimated, found.coefficients)


def _raw(conclusion: Conclusion) -> dict[str, Estimate]:
    """Relative predictions of all cells; a cell without one would be excluded, which nobody may be."""
    found = {s.name: s.estimates[RELATIVE] for s in conclusion.strata if RELATIVE in s.estimates}
    if len(found) < 2:
        raise PaymentError(
            "fewer than two cells have a relative prediction", where=conclusion.label,
            do="evaluate the model with cells = [...], merged until they can be told",
        )  # fmt: skip
    shape = {tuple(part.partition("=")[0] for part in name.split(", ")) for name in found}
    without = [
        s.name
        for s in conclusion.strata
        if s.name not in found and tuple(part.partition("=")[0] for part in s.name.split(", ")) in shape
    ]
    if without:
        raise PaymentError(
            f"the cell {without[0]} has no estimate, and nobody is left out", where=conclusion.label,
            do="merge it with another cell and evaluate again",
        )  # fmt: skip
    return found


def _people(
    conclusion: Conclusion, cells: tuple[str, ...], given: Mapping[str, int] | None
) -> dict[str, int]:
    if given is None:
        return {cell: max(round(conclusion.stratum(cell).released["patients"].value), 1) for cell in cells}
    if given.keys() != set(cells):
        raise PaymentError(
            f"people are given for other cells: {sorted(given.keys() ^ set(cells))}", where=conclusion.label
        )
    return {cell: given[cell] for cell in cells}


def _spread(raw: Mapping[str, Estimate], given: float | None, where: str) -> tuple[float, bool]:
    if given is not None:
        if not given > 0:
            raise PaymentError("tau lies above 0", where=where)
        return given, False
    variances = [e.sampling_variance + e.privacy_variance for e in raw.values()]
    found = between_sites(np.array([e.value for e in raw.values()]), np.maximum(variances, 1e-18))
    if found is None or found.between <= 0:
        raise PaymentError(
            "the cells do not differ by more than their errors" if found else "two cells show no tau",
            where=where,
            do="state between_sd, or pay one price",
        )
    return found.between, True
