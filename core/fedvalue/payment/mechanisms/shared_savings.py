"""Shared savings with a guard band: nothing below the minimum savings rate, a capped share above it.

    rate = (benchmark - spend) / benchmark
    share = min(shared x quality x savings, cap x benchmark)   where rate >= MSR(n), otherwise 0

One-sided: a loss is the fund's, except for a contract that says ``loss_share``. The MSR is a guard band for
the sampling error of n members, read from a dated table and interpolated between its rows' ends. Where the
benchmark was itself set from noised evidence the band is set wider, MSR' = z sqrt(V_s + V_dp) / benchmark,
before the contract starts; the settlement then reads exact figures and that agreed rate.

Source: payment.md 2.12; 42 CFR 425.604 (table, share 50 %, cap 10 %); the packaged table is an example.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from importlib import resources
from statistics import NormalDist
from typing import Literal

from pydantic import Field, ValidationError

from fedvalue.analyses.estimate import Estimate
from fedvalue.errors import ParameterNotInForce, PaymentError, WindowsOverlap
from fedvalue.payment.mechanisms.cash import Settlement, check_currency, flow, settlement
from fedvalue.payment.mechanisms.exact import count, exact, money, not_negative, positive, share
from fedvalue.payment.mechanisms.settle import Realised, settled
from fedvalue.payment.mechanisms.underlying import underlying
from fedvalue.payment.parameters import Amount, Source, load_yaml
from fedvalue.study.model import Part


class MsrRow(Part):
    """One row: the rate at both ends of a range of members.

    Attributes:
      members_low: First number of members of the row.
      members_high: Last one, or None for the open end.
      msr_low: Rate at ``members_low``.
      msr_high: Rate at ``members_high``.
    """

    members_low: int
    members_high: int | None
    msr_low: Amount
    msr_high: Amount


class MsrTable(Part):
    """A dated table of minimum savings rates.

    Attributes:
      format: Version of this layout.
      status: ``official``, ``example`` or ``unverified``.
      starts: First day in force.
      source: Where it can be checked; required.
      rows: In order, without gaps.
    """

    format: Literal["fedvalue.msr/1"]
    status: Literal["official", "example", "unverified"]
    starts: date
    source: Source
    rows: tuple[MsrRow, ...] = Field(strict=False, min_length=1)

    def rate(self, members: int, *, day: date) -> Fraction:
        """Return the minimum savings rate for a number of members, between 0 and 1.

        Raises:
          ParameterNotInForce: the table starts later.
          PaymentError: fewer members than the table begins with.
        """
        if day < self.starts:
            raise ParameterNotInForce("minimum savings rate", day, f"the table starts on {self.starts}")
        n = count(members, "members")
        for row in self.rows:
            if row.members_high is None:
                if n >= row.members_low:
                    return Fraction(row.msr_low)
            elif row.members_low <= n <= row.members_high:
                at = Fraction(n - row.members_low, row.members_high - row.members_low)
                return Fraction(row.msr_low) + at * (Fraction(row.msr_high) - Fraction(row.msr_low))
        raise PaymentError(f"the table has no rate for {n} members", where="minimum savings rate")


@dataclass(frozen=True, slots=True)
class SavingsTerms:
    """The contract.

    Attributes:
      contract: Its name.
      currency: ISO 4217 code.
      benchmark: Per member-year.
      msr: Agreed minimum savings rate.
      shared: Share of savings at full quality.
      cap: Of the benchmark, the most that is shared.
      loss_share: Of a loss beyond the same band, borne by the hospital; 0 for one-sided.
    """

    contract: str
    currency: str
    benchmark: Decimal
    msr: Fraction
    shared: Decimal
    cap: Decimal
    loss_share: Decimal

    def __post_init__(self) -> None:
        check_currency(self.currency)
        positive(money(self.benchmark, "benchmark"), "benchmark")
        for name in ("msr", "shared", "cap", "loss_share"):
            share(getattr(self, name), name.replace("_", " "))


@dataclass(frozen=True, slots=True)
class SpendingYear:
    """One institution's year.

    Attributes:
      member_years: Attributed, pro rata.
      spend: For them, after truncation.
      quality: Between 0 and 1.
    """

    member_years: Fraction
    spend: Decimal
    quality: Decimal


def settle_savings(terms: SavingsTerms, statement: Realised[SpendingYear]) -> Settlement:
    """Return the share of savings, or of a loss in a two-sided contract.

    Raises:
      PurposeMixed: an estimate instead of facts.
      PaymentError: nobody attributed, negative money.
    """
    facts = settled(statement, SpendingYear, contract=terms.contract)
    benchmark = money(terms.benchmark, "benchmark") * positive(facts.member_years, "member years")
    savings = benchmark - money(facts.spend, "spend")
    rate, top = savings / benchmark, benchmark * share(terms.cap, "cap")
    amount = Fraction(0)
    if rate >= exact(terms.msr, "msr") and savings > 0:
        amount = min(savings * share(terms.shared, "shared") * share(facts.quality, "quality"), top)
    elif -rate >= exact(terms.msr, "msr"):
        amount = max(savings * share(terms.loss_share, "loss share"), -top)
    paid = flow("shared savings" if amount >= 0 else "shared loss", amount, bearer="fund", payee="hospital")
    return settlement(terms.contract, terms.currency, [paid], notes=[f"savings rate {float(rate):.6f}"])


def guard_band_rate(benchmark: Estimate, *, level: float) -> Fraction:
    """Return MSR' for a benchmark set from evidence, before the contract starts.

    Args:
      benchmark: Per member-year, with separate variances.
      level: One-sided, such as 0.90; above 0.5.

    Raises:
      PurposeMixed: a benchmark without its variances.
      PaymentError: a level or benchmark outside its range.
    """
    underlying(benchmark, "benchmark")
    if not 0.5 < level < 1 or not benchmark.value > 0:
        raise PaymentError("a level above a half and a benchmark above 0", where="guard band")
    band = NormalDist().inv_cdf(level) * math.sqrt(benchmark.sampling_variance + benchmark.privacy_variance)
    return not_negative(Fraction(band / benchmark.value), "MSR")


def load_msr(raw: bytes, *, where: str) -> MsrTable:
    """Read a table strictly.

    Raises:
      PaymentError: not strict YAML, or a row, key or source that is missing or unknown.
    """
    try:
        table = MsrTable.model_validate(load_yaml(raw, where=where))
    except ValidationError as error:
        first = error.errors()[0]
        raise PaymentError(
            f"{'.'.join(map(str, first['loc']))}: {first['msg']}", where=where, do="mend the table"
        ) from error
    for row, later in zip(table.rows, table.rows[1:], strict=False):
        if row.members_high is None or later.members_low != row.members_high + 1:
            raise WindowsOverlap(
                "overlapping windows or a gap between rows", where=f"{where}: {later.members_low}"
            )
    return table


def example_msr() -> MsrTable:
    """Return the packaged example table."""
    file = resources.files("fedvalue.payment.mechanisms") / "examples" / "msr_one_sided.yaml"
    return load_msr(file.read_bytes(), where="examples/msr_one_sided.yaml")
