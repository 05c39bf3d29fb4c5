"""Sub-group weights where the grouper sees a code and the mutation is known only to federated evidence.

The payer holds exact costs by visible cell c (a drug code, an age band): n_c, mean x_c. Federated evidence
gives the share p_cs of molecular sub-group s in cell c, with sampling and privacy variance. Then

    cases_s = sum_c n_c p_cs,   mean_s = sum_c n_c p_cs x_c / cases_s,   w_s = mean_s / mean of all

and the case-weighted mean of w_s is 1 in every draw. The costs are exact, so no noised cost enters; what is
uncertain is the split, and its two variances stay apart up to the decision. Within a cell the cost is
taken not to depend on the mutation: where it does, the cell is too coarse and w_s is pulled towards 1.

Draws of shares may be negative or not add to 1; each is set to the nearest by clipping at 0 and rescaling,
after noise, which costs no privacy. Source: payment.md points 12 and 13.
"""

from __future__ import annotations

import numpy as np

from fedvalue.errors import PaymentError
from fedvalue.payment.mechanisms.case_costs import PayerHeld
from fedvalue.payment.mechanisms.split import Moments
from fedvalue.payment.mechanisms.underlying import Derived, Draws, Floats, underlying


def share_name(cell: str, subgroup: str) -> str:
    """Return how draws name the share of a sub-group in a cell."""
    return f"{cell}|{subgroup}"


def subgroup_weights(costs: PayerHeld, shares: Draws, subgroups: tuple[str, ...]) -> dict[str, Derived]:
    """Return every sub-group's weight with separate variances.

    Args:
      costs: Exact costs by cell.
      shares: p_cs, named by `share_name`, every cell with every sub-group.
      subgroups: s, at least two.

    Raises:
      PurposeMixed: shares that are no draws.
      PaymentError: a share is missing.
    """
    index, n, mean = _read(costs, shares, subgroups)

    def weight(s: int, rows: Floats) -> Floats:
        cases = n[None, :, None] * _simplex(rows[:, index])
        expected = (cases * mean[None, :, None]).sum(axis=1) / np.maximum(cases.sum(axis=1), 1e-12)
        return np.asarray(expected[:, s] * n.sum() / (n @ mean), dtype=np.float64)

    return {name: shares.through(lambda rows, s=s: weight(s, rows)) for s, name in enumerate(subgroups)}  # type: ignore[misc]  # mypy cannot infer a lambda with a default


def subgroup_moments(costs: PayerHeld, shares: Draws, subgroups: tuple[str, ...]) -> list[list[Moments]]:
    """Return cases, mean and variance of every sub-group by draw, for the split criteria.

    The variance is that of the mixture of cells: within cells plus between them.

    Raises:
      PurposeMixed: shares that are no draws.
      PaymentError: a share is missing.
    """
    index, n, mean = _read(costs, shares, subgroups)
    variance = np.array([float(g.variance) for g in costs.groups])
    cases = n[None, :, None] * _simplex(shares.total[:, index])
    whole = np.maximum(cases.sum(axis=1), 1e-12)
    means = (cases * mean[None, :, None]).sum(axis=1) / whole
    second = (cases * (variance + mean**2)[None, :, None]).sum(axis=1) / whole
    spread = np.maximum(second - means**2, 0.0)
    return [
        [Moments(float(w), float(m), float(v)) for w, m, v in zip(*rows, strict=True)]
        for rows in zip(whole, means, spread, strict=True)
    ]


def _read(
    costs: PayerHeld, shares: Draws, subgroups: tuple[str, ...]
) -> tuple[list[list[int]], Floats, Floats]:
    underlying(shares, "shares")
    wanted = [[share_name(g.group, s) for s in subgroups] for g in costs.groups]
    if absent := [name for row in wanted for name in row if name not in shares.names]:
        raise PaymentError(
            f"no share of {absent[0]}", where=shares.evidence_id, do="one share per cell and sub-group"
        )
    if len(subgroups) < 2:
        raise PaymentError("one sub-group splits nothing", where=shares.evidence_id)
    index = [[shares.names.index(name) for name in row] for row in wanted]
    n = np.array([float(g.cases) for g in costs.groups])
    return index, n, np.array([float(g.mean) for g in costs.groups])


def _simplex(rows: Floats) -> Floats:
    """Return shares clipped at 0 that add to 1 in each cell; equal ones where noise left nothing above 0."""
    clipped = np.maximum(rows, 0.0)
    whole = clipped.sum(axis=2, keepdims=True)
    return np.where(whole > 0, clipped / np.where(whole > 0, whole, 1.0), 1.0 / rows.shape[2])
