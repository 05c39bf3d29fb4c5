"""Settling is not setting: the one kind of figure that a contract is settled on.

A `Realised` statement holds one institution's own facts of a period: whole numbers and decimals, signed by
the institution, nothing noised. It describes a finite group that was counted, so V_s = V_dp = 0 and no
probability rule applies: with a target of 70 %, a realised 71.5 % of 800 pays. A probability rule would ask
73.7 % of a panel of 300. Estimates set standards; they are refused here by type, at run time and by mypy.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any, Generic, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedvalue.errors import PaymentError, PurposeMixed, WindowsOverlap
from fedvalue.payment.mechanisms.exact import count, exact, share
from fedvalue.payment.mechanisms.underlying import Draws
from fedvalue.study.signature import Signature, sign, verify

F = TypeVar("F")
ROLE = "institution"


@dataclass(frozen=True, slots=True)
class Realised(Generic[F]):
    """One institution's exact figures of a period, signed by it.

    Attributes:
      institution: Whose figures they are.
      contract: The contract they are stated for.
      start: First day of the period.
      end: Last day, included.
      facts: A frozen dataclass of integers, decimals, days, words and tuples of them.
      signature: The institution's, over all of the above.
    """

    institution: str
    contract: str
    start: date
    end: date
    facts: F
    signature: Signature

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise PaymentError("the period ends before it starts", where=self.institution)
        if self.signature.role != ROLE:
            raise PaymentError(
                f"signed as {self.signature.role}, not as the institution", where=self.institution
            )
        verify(
            _content(self.institution, self.contract, self.start, self.end, self.facts),
            self.signature,
            where=f"{self.institution}: {self.contract}",
        )


@dataclass(frozen=True, slots=True)
class Panel:
    """How many of a group reached a target.

    Attributes:
      reached: People with the outcome.
      failed: People measured without it.
      missing: People due who were not measured.
    """

    reached: int
    failed: int
    missing: int = 0

    def __post_init__(self) -> None:
        for name in ("reached", "failed", "missing"):
            count(getattr(self, name), name)

    def __add__(self, other: Panel) -> Panel:
        """Pool two groups: counts add."""
        return Panel(self.reached + other.reached, self.failed + other.failed, self.missing + other.missing)

    def rate(self, missing: str) -> Fraction:
        """Return the realised rate.

        Args:
          missing: ``fail``: the unmeasured count as failures; ``exclude``: they are left out.

        Raises:
          PaymentError: another policy, or nobody to take a share of.
        """
        if missing not in ("fail", "exclude"):
            raise PaymentError(f"{missing!r} is no policy for missing outcomes", do="fail or exclude")
        people = self.reached + self.failed + (self.missing if missing == "fail" else 0)
        if not people:
            raise PaymentError("nobody is due: a rate of nobody settles nothing", where="panel")
        return Fraction(self.reached, people)


def attest(
    facts: F, *, institution: str, contract: str, start: date, end: date, key: Ed25519PrivateKey
) -> Realised[F]:
    """Sign an institution's facts.

    Args:
      facts: A frozen dataclass; see `Realised`.
      institution: Whose figures they are.
      contract: The contract they are stated for.
      start: First day of the period.
      end: Last day, included.
      key: The institution's.

    Raises:
      PurposeMixed: a fact is an estimate or a binary fraction.
      PaymentError: a fact is of another kind than a statement holds.
    """
    content = _content(institution, contract, start, end, facts)
    return Realised(institution, contract, start, end, facts, sign(content, key, ROLE))


def settled(
    statement: object, kind: type[F], *, contract: str | None = None, public_key: str | None = None
) -> F:
    """Return the facts of a statement, and refuse everything else.

    Every settlement begins with this call.

    Args:
      statement: What was offered.
      kind: The facts that the contract is settled on.
      contract: The contract's name; None for a rule that has none.
      public_key: The institution's key, where the caller knows it.

    Raises:
      PurposeMixed: an estimate or a bare number.
      PaymentError: other facts, or stated for another contract.
      SignatureInvalid: signed by another key.
    """
    if not isinstance(statement, Realised):
        raise PurposeMixed(
            f"a {type(statement).__name__} was offered to a settlement",
            where=kind.__name__,
            do="settle on a Realised statement: the institution's own exact, signed figures",
        )
    if not isinstance(statement.facts, kind):
        raise PaymentError(
            f"the statement holds {type(statement.facts).__name__}, not {kind.__name__}",
            where=f"{statement.institution}: {statement.contract}",
        )
    if contract is not None and contract != statement.contract:
        raise PaymentError(
            f"stated for {statement.contract!r}, not for {contract!r}",
            where=f"{statement.institution}: {statement.contract}",
            do="settle each contract on its own statement",
        )
    if public_key is not None:
        verify(
            signed_content(statement),
            statement.signature,
            where=f"{statement.institution}: {statement.contract}",
            public_key=public_key,
        )
    return statement.facts


def meets(realised: Fraction, target: object) -> bool:
    """Tell whether a realised rate reaches a target: at least, with no band around it."""
    return realised >= share(target, "target")


def check_windows(statements: tuple[Realised[F], ...]) -> None:
    """Refuse two statements of one institution and contract that count the same day.

    Raises:
      PaymentError: overlapping windows.
    """
    last: dict[tuple[str, str], date] = {}
    for statement in sorted(statements, key=lambda s: s.start):
        whose = (statement.institution, statement.contract)
        if whose in last and statement.start <= last[whose]:
            raise WindowsOverlap(
                "overlapping windows: two statements count the same days",
                where=f"{statement.institution}, {statement.start} to {statement.end}",
                do="correct one statement; a day is settled once",
            )
        last[whose] = statement.end


def signed_content(statement: Realised[F]) -> dict[str, Any]:
    """Return what the institution signed."""
    return _content(
        statement.institution, statement.contract, statement.start, statement.end, statement.facts
    )


def _content(institution: str, contract: str, start: date, end: date, facts: object) -> dict[str, Any]:
    return {
        "statement": "realised",
        "institution": institution,
        "contract": contract,
        "start": start.isoformat(),
        "end": end.isoformat(),
        "kind": type(facts).__name__,
        "facts": _plain(facts, "facts"),
    }


def _plain(value: object, where: str) -> Any:
    """Return a JSON-compatible copy; numbers as text, so that none is ever read back as a binary fraction."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_plain(part, f"{where}[{i}]") for i, part in enumerate(value)]
    if is_dataclass(value) and not isinstance(value, (type, Draws, Realised)):
        return {f.name: _plain(getattr(value, f.name), f"{where}.{f.name}") for f in fields(value)}
    number = exact(value, where)
    return str(value) if isinstance(value, (int, Decimal)) else f"{number.numerator}/{number.denominator}"
