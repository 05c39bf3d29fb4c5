"""What the ledger's tests charge; also imported by the processes that they start."""

from __future__ import annotations

from fedvalue.client.governance.entries import Debit
from fedvalue.client.governance.reservations import PlannedCharge, Reservation
from fedvalue.privacy.accounting import Budget, Price, rho_units_for

BUDGET = Budget(1.0, 1e-6)
WHOLE = rho_units_for(1.0, 1e-6)
STUDY = "ab" * 32


def ask(rho_units: int = 2**30, *, attempt: int = 1, release: str = "release-1", study: str = STUDY) -> Debit:
    """A debit whose bound costs exactly ``rho_units`` on one share: D^2 = 2 x 4^20 x rho = 2 rho_units."""
    return Debit(
        study_hash=study, analyses=("response",), release=release, attempt=attempt, specification="cd" * 32,
        price=Price.plain(rho_units), bound_squared=2 * rho_units, gammas=("741455", "3/65536"), answers=3,
        colluding=1, shares_charged=1, shares_promised=2, dimension=7,
    )  # fmt: skip


def plan(
    rho_units: int = 2**30,
    *,
    attempts: int = 1,
    releases: tuple[str, ...] = ("release-1",),
    study: str = STUDY,
    partitions: tuple[str, ...] = (),
) -> Reservation:
    """A reservation for what `ask` charges."""
    charges = tuple(PlannedCharge(each, "cd" * 32, Price.plain(rho_units), attempts) for each in releases)
    return Reservation(study, charges, partitions)
