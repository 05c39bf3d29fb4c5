"""What a privacy ledger holds: sealed entries, each bound to the one before.

An entry's content is RFC 8785 JSON that names its number and the hash of the entry before it; its hash is
the SHA-256 of that, and the site's key signs the hash. To change, drop or insert an entry anywhere but at
the end, every later hash and signature would have to be made again.

Integers that may exceed 2^53 (prices, bounds) and fractions travel as text, so that every JSON reader
sees the same number.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from fedvalue.errors import LedgerBroken, LedgerError, SignatureInvalid
from fedvalue.privacy import sampled
from fedvalue.privacy.accounting import NOTHING, ORDERS, Budget, Price
from fedvalue.privacy.release import LOG2_SCALE, cost_units
from fedvalue.study import signature
from fedvalue.study.signature import Signature

FORMAT = "fedvalue-ledger-1"
POPULATION = "all patients"
PARTITION = "all"
"""Partition of a population whose people are not told apart by the year in which they entered."""

PARTITION_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
"""What a partition may be called: a year, such as ``2026``; ``2026-2`` for people who came after a loss."""

BEFORE_THE_FIRST = "0" * 64
ROLE = "site"

Attempt = tuple[str, str, int]
"""Study hash, release label, number of the attempt."""


@dataclass(frozen=True, slots=True)
class Debit:
    """One attempt at one release, as it is charged.

    Attributes:
      study_hash: SHA-256 of the study, 64 hexadecimal digits.
      analyses: Labels of the analyses that ask.
      release: Label of the release in the study's plan.
      attempt: 1 for the first.
      specification: SHA-256 of everything that fixes the release.
      price: What is charged: ``e(a)`` over the ledger's orders.
      bound_squared: ``D^2``, one patient's squared bound over all its sites, in ring units.
      gammas: Scale of each block, as text.
      answers: t, how many sites must answer.
      colluding: c, how many of them may collude.
      shares_charged: m that the price counts on; 1 while the sum travels in clear.
      shares_promised: m = t - c that the private sum would count on.
      dimension: Coordinates of the vector.
      log2_scale: s, the noise has scale ``2^s``.
      partitions: Whose budgets are charged, each in full; empty: those of the study's reservation, or every
        open one where it has none.
      epoch: Epoch of the secure sum; empty while the sum travels in clear.
      round: Round within the epoch.
      h: What the round's question hashes to, 64 hexadecimal digits; empty while the sum travels in clear.
      unsafe_exact: True if the release carries no noise: no price describes it, and none is charged.
      rate: q, the probability with which each patient entered; 1 where everybody did.
      steps: Steps that the site took by itself, each with its own noise; 0 for one sum over all sites.
      sites_per_patient: k, at how many sites one person may appear: of a release with a rate or steps.
    """

    study_hash: str
    analyses: tuple[str, ...]
    release: str
    attempt: int
    specification: str
    price: Price
    bound_squared: int
    gammas: tuple[str, ...]
    answers: int
    colluding: int
    shares_charged: int
    shares_promised: int
    dimension: int
    log2_scale: int = LOG2_SCALE
    partitions: tuple[str, ...] = ()
    epoch: str = ""
    round: int = 0
    h: str = ""
    unsafe_exact: bool = False
    rate: Fraction = Fraction(1)
    steps: int = 0
    sites_per_patient: int = 1

    def __post_init__(self) -> None:
        """Refuse an entry that would charge less than the release costs, or charge nobody."""
        require_distinct(self.partitions, where=self.release)
        if self.attempt < 1 or self.dimension < 1 or not self.study_hash or not self.release:
            raise LedgerError(
                "a debit names a study, a release, an attempt and a dimension", where=self.release
            )
        if self.unsafe_exact:
            if self.price != NOTHING:
                raise LedgerError("a release without noise has no price", where=self.release)
            return
        if self.sampled:
            least = self._sampled_cost()
            if any(unit < cost for unit, cost in zip(self.price.units, least.units, strict=True)):
                raise LedgerError(
                    "the debit charges less than the sampled release costs", where=self.release,
                    do="charge the curve of the plan's scales, rate and steps",
                )  # fmt: skip
            return
        cost = cost_units(self.bound_squared, honest_shares=self.shares_charged, log2_scale=self.log2_scale)
        if cost == 0 or self.price.rho_units is None or self.price.rho_units < cost:
            raise LedgerError(
                f"the debit charges {self.price.rho_units} units of 2^-40 and the release costs {cost}",
                where=self.release,
                do="charge what the plan's scales cost; a release without noise says unsafe_exact",
            )

    @property
    def key(self) -> Attempt:
        """What may be charged only once."""
        return self.study_hash, self.release, self.attempt

    @property
    def sampled(self) -> bool:
        """True where the price is a curve over the orders and no rho."""
        return self.rate < 1 or self.steps > 0

    def _sampled_cost(self) -> Price:
        """What the release costs at least: `fedvalue.privacy.sampled`."""
        shares = 1 if self.steps else self.shares_charged
        ratio = sampled.multiplier_squared(
            self.bound_squared, honest_shares=shares, log2_scale=self.log2_scale
        )
        if self.steps:
            return sampled.times(sampled.curve(ratio, self.rate), self.steps * self.sites_per_patient)
        return sampled.curve(ratio, sampled.rate_over_sites(self.rate, self.sites_per_patient))

    def body(self) -> dict[str, Any]:
        """Return what is sealed, but for what the ledger adds: partitions charged, and the reservation."""
        drawn: dict[str, Any] = {}
        if self.sampled:
            drawn = {"rate": str(self.rate), "steps": self.steps, "k": self.sites_per_patient}
        return {
            "kind": "debit", "result": "charged", "study": self.study_hash,
            "analyses": list(self.analyses), "release": self.release, "attempt": self.attempt,
            "specification": self.specification, "price": [str(unit) for unit in self.price.units],
            "bound_squared": str(self.bound_squared), "gammas": list(self.gammas), "s": self.log2_scale,
            "t": self.answers, "c": self.colluding, "m_charged": self.shares_charged,
            "m_promised": self.shares_promised, "d": self.dimension, "epoch": self.epoch, "round": self.round,
            "h": self.h, "unsafe_exact": self.unsafe_exact, **drawn,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """One sealed line of the ledger.

    Attributes:
      number: 1 for the opening entry.
      previous: Hash of the entry before.
      time: When it was written, ISO 8601 in UTC.
      body: What happened; ``kind`` is one of those in `fedvalue.client.governance.books`.
      hash: SHA-256 of the canonical content.
      signature: The site's signature over the hash.
    """

    number: int
    previous: str
    time: str
    body: Mapping[str, Any]
    hash: str
    signature: Signature

    @property
    def kind(self) -> str:
        """What happened, one word."""
        return str(self.body["kind"])

    @property
    def price(self) -> Price:
        """What the entry charges; nothing unless it is a debit."""
        return Price(tuple(int(unit) for unit in self.body["price"])) if self.kind == "debit" else NOTHING

    @property
    def attempt(self) -> Attempt:
        """What a debit may charge only once."""
        return self.body["study"], self.body["release"], self.body["attempt"]

    @property
    def partitions(self) -> tuple[str, ...]:
        """Whose budgets a debit charges."""
        # Ledgers of the first release had one partition and named it alone.
        return tuple(self.body.get("partitions") or [self.body["partition"]])

    def content(self) -> bytes:
        """Return the canonical bytes that are hashed and stored."""
        return rfc8785.dumps(
            {"number": self.number, "previous": self.previous, "time": self.time, "body": dict(self.body)}
        )


def opening(
    budget: Budget, partitions: Sequence[str], lost: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the body of the first entry, which fixes the budget for life.

    Args:
      budget: Of every partition, unless one is opened with another.
      partitions: Partitions that exist from the start.
      lost: What is known of a lost ledger that this one follows.
    """
    body = {
        "kind": "opened", "format": FORMAT, "population": POPULATION, "partitions": list(partitions),
        "budget": budget_body(budget),
    }  # fmt: skip
    return body if lost is None else {**body, "lost": dict(lost)}


def opened_budget(entry: Entry) -> Budget:
    """Return the budget that the first entry fixed.

    Raises:
      LedgerBroken: the entry opens no ledger that this version can read.
    """
    if entry.kind != "opened" or entry.body["format"] != FORMAT:
        raise LedgerBroken(f"the ledger does not start with an opening of {FORMAT}", where="entry 1")
    return read_budget(entry.body["budget"], where="entry 1")


def budget_body(budget: Budget) -> dict[str, Any]:
    """Return a budget as it is sealed."""
    return {
        "epsilon": repr(float(budget.epsilon)), "delta": repr(float(budget.delta)),
        "admits_sampled": budget.admits_sampled, "orders": list(ORDERS),
        "weights": [str(weight) for weight in budget.weights],
    }  # fmt: skip


def read_budget(fixed: Mapping[str, Any], *, where: str) -> Budget:
    """Read what `budget_body` wrote.

    Raises:
      LedgerBroken: it counts at other orders than this version.
    """
    if tuple(fixed["orders"]) != ORDERS:
        raise LedgerBroken("the ledger counts at other orders than this version", where=where)
    return Budget(
        float(fixed["epsilon"]), float(fixed["delta"]), fixed["admits_sampled"],
        tuple(Fraction(weight) for weight in fixed["weights"]),
    )  # fmt: skip


def require_distinct(partitions: Sequence[str], *, where: str) -> None:
    """Refuse names that are none, and one named twice.

    Raises:
      LedgerError: names it.
    """
    for name in partitions:
        if PARTITION_NAME.fullmatch(name) is None:
            raise LedgerError(f"{name!r} is no name of a partition", where=where, do="name a year")
    if len(set(partitions)) != len(partitions):
        raise LedgerError("a partition is named twice", where=where, do="name each once")


def answered(debit: int, reply: bytes) -> dict[str, Any]:
    """Return the body that binds the one reply to a debit."""
    digest = hashlib.sha256(reply).hexdigest()
    return {"kind": "reply", "result": "answered", "entry": debit, "sha256": digest, "bytes": len(reply)}


def seal(number: int, previous: str, now: datetime, body: Mapping[str, Any], key: Ed25519PrivateKey) -> Entry:
    """Make the entry that follows ``previous``.

    Raises:
      LedgerError: the clock does not know its time zone.
    """
    if now.tzinfo is None:
        raise LedgerError("the clock gives a time without a time zone", do="use a clock in UTC")
    time = now.astimezone(UTC).isoformat()
    digest = _hash(rfc8785.dumps({"number": number, "previous": previous, "time": time, "body": dict(body)}))
    return Entry(number, previous, time, body, digest, signature.sign({"ledger_entry": digest}, key, ROLE))


def unseal(
    number: int, previous: str, content: bytes, digest: bytes, signed: bytes, public_key: str
) -> Entry:
    """Read a stored entry and check everything that binds it.

    Args:
      number: What its number must be.
      previous: What the hash before it must be.
      content: Stored content.
      digest: Stored hash.
      signed: Stored signature, JSON.
      public_key: The site's key.

    Raises:
      LedgerBroken: any of it does not hold.
    """
    where = f"entry {number}"
    expected = _hash(content)
    if expected.encode() != digest:
        raise LedgerBroken("an entry's content does not match its hash", where=where)
    try:
        seen = Signature.model_validate_json(signed)
        signature.verify({"ledger_entry": expected}, seen, where=where, public_key=public_key)
        entry = json.loads(content)
        read = Entry(entry["number"], entry["previous"], entry["time"], entry["body"], expected, seen)
    except (SignatureInvalid, ValidationError) as error:
        raise LedgerBroken("an entry is not signed by this site's key", where=where) from error
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerBroken("an entry does not parse", where=where) from error
    if seen.role != ROLE or read.number != number or read.previous != previous or read.content() != content:
        raise LedgerBroken("an entry does not follow the one before it", where=where)
    return read


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
