"""The life of a listing: which state may follow which, on what evidence, signed by whom, from which day.

    proposed -> under_review -> provisional | listed | pilot_only | delisted
    provisional -> listed | renegotiating | suspended | delisted
    listed -> renegotiating | suspended;  renegotiating -> listed | suspended | delisted
    suspended -> renegotiating | under_review | delisted;  pilot_only -> under_review | delisted

History is added, never edited: a transition starts later than the one before it, names its evidence and
parameter version, and carries the signatures of the roles that the jurisdiction demands, over its own
content and the state it leaves. A provisional listing has an end, and past it the listing is overdue: it
does not turn into a full one by itself. Provisional is entered where P(INB > 0) >= p and the value of the
data exceeds what collecting them costs. Suspension and renegotiation have modules of their own.

Source: payment.md 2.13 and 3.5 (NICE managed access at most five years; Chinese agreements two).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedvalue.errors import PaymentError, WindowsOverlap
from fedvalue.payment.mechanisms.exact import money
from fedvalue.payment.mechanisms.underlying import Draws, underlying
from fedvalue.study.signature import Signature, sign, verify

State = Literal[
    "proposed",
    "under_review",
    "provisional",
    "listed",
    "renegotiating",
    "suspended",
    "delisted",
    "pilot_only",
]

FOLLOWS: dict[State, frozenset[State]] = {
    "proposed": frozenset({"under_review"}),
    "under_review": frozenset({"provisional", "listed", "pilot_only", "delisted"}),
    "provisional": frozenset({"listed", "renegotiating", "suspended", "delisted"}),
    "listed": frozenset({"renegotiating", "suspended"}),
    "renegotiating": frozenset({"listed", "suspended", "delisted"}),
    "suspended": frozenset({"renegotiating", "under_review", "delisted"}),
    "pilot_only": frozenset({"under_review", "delisted"}),
    "delisted": frozenset(),
}
"""Which states may follow a state."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One step.

    Attributes:
      technology: What is listed.
      leaves: State before.
      enters: State after.
      evidence_id: The evidence behind it.
      parameters_version: SHA-256 of the parameters in force.
      effective_from: First day of the new state.
      until: Last day of a provisional listing; None in every other state.
      signatures: Over `content`, one per role.
    """

    technology: str
    leaves: State
    enters: State
    evidence_id: str
    parameters_version: str
    effective_from: date
    until: date | None
    signatures: tuple[Signature, ...] = ()

    def content(self) -> dict[str, Any]:
        """Return what every role signs."""
        return {
            "statement": "listing",
            "technology": self.technology,
            "leaves": self.leaves,
            "enters": self.enters,
            "evidence_id": self.evidence_id,
            "parameters_version": self.parameters_version,
            "effective_from": self.effective_from.isoformat(),
            "until": self.until.isoformat() if self.until else None,
        }

    def signed(self, key: Ed25519PrivateKey, role: str) -> Transition:
        """Return the transition with one more signature."""
        return Transition(
            self.technology,
            self.leaves,
            self.enters,
            self.evidence_id,
            self.parameters_version,
            self.effective_from,
            self.until,
            (*self.signatures, sign(self.content(), key, role)),
        )


@dataclass(frozen=True, slots=True)
class ListingRules:
    """What the jurisdiction demands.

    Attributes:
      roles: Who signs every transition.
      provisional_days: Longest provisional listing, such as 730.
    """

    roles: frozenset[str]
    provisional_days: int

    def __post_init__(self) -> None:
        if not self.roles or self.provisional_days <= 0:
            raise PaymentError("rules name the roles that sign, and an end of provisional listings")


def advance(history: tuple[Transition, ...], step: Transition, rules: ListingRules) -> tuple[Transition, ...]:
    """Return the history with one more step.

    Args:
      history: Oldest first; empty before the first step.
      step: The next one.
      rules: Of the jurisdiction.

    Raises:
      PaymentError: a step that may not follow, starts too early, lacks evidence, an end or a role.
      SignatureInvalid: a signature does not match.
    """
    now = state_of(history)
    where = f"{step.technology}: {step.leaves} to {step.enters}"
    if step.leaves != now:
        raise PaymentError(f"the listing is {now}", where=where, do="a step leaves the state that holds")
    if step.enters not in FOLLOWS[now]:
        raise PaymentError(
            f"{step.enters} does not follow {now}", where=where, do=f"next: {', '.join(sorted(FOLLOWS[now]))}"
        )
    if history and (step.effective_from <= history[-1].effective_from):
        raise WindowsOverlap("overlapping windows: a step starts after the one before it", where=where)
    if history and step.technology != history[-1].technology:
        raise PaymentError("the history is of another technology", where=where)
    if not step.evidence_id or not step.parameters_version:
        raise PaymentError("a step names its evidence and its parameters", where=where)
    _check_end(step, rules, where)
    for signature in step.signatures:
        verify(step.content(), signature, where=where)
    if missing := rules.roles - {s.role for s in step.signatures}:
        raise PaymentError(f"not signed by: {', '.join(sorted(missing))}", where=where)
    return (*history, step)


def state_of(history: tuple[Transition, ...]) -> State:
    """Return the last state, whether it has started or not; ``proposed`` without history."""
    return history[-1].enters if history else "proposed"


def state_on(history: tuple[Transition, ...], day: date) -> State:
    """Return the state in force on a day: later steps never change an earlier answer."""
    return state_of(tuple(step for step in history if step.effective_from <= day))


def overdue(history: tuple[Transition, ...], day: date) -> bool:
    """Tell whether a provisional listing is past its end."""
    started = [step for step in history if step.effective_from <= day]
    return bool(started) and started[-1].until is not None and day > started[-1].until


def may_be_provisional(
    net_benefit: Draws, *, name: str, p: float, data_value: Decimal, data_cost: Decimal
) -> bool:
    """Tell whether a technology may be listed while data are collected.

    Args:
      net_benefit: Draws that hold the incremental net benefit.
      name: Its name among them.
      p: Probability demanded, such as 0.5.
      data_value: Expected value of the data to be collected, for everybody concerned.
      data_cost: What collecting them costs.

    Raises:
      PurposeMixed: a realised figure or a bare number.
      PaymentError: negative money, or no such quantity.
    """
    underlying(net_benefit, "net benefit")
    likely = float((net_benefit.column(name) > 0).mean())
    return likely >= p and money(data_value, "data value") > money(data_cost, "data cost")


def _check_end(step: Transition, rules: ListingRules, where: str) -> None:
    if (step.enters == "provisional") != (step.until is not None):
        raise PaymentError("a provisional listing, and only it, has an end", where=where)
    if step.until is None:
        return
    days = (step.until - step.effective_from).days + 1
    if not 0 < days <= rules.provisional_days:
        raise PaymentError(f"provisional for {days} days, {rules.provisional_days} are allowed", where=where)
