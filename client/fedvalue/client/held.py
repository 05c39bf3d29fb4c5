"""A payer's exact figures out of its own records: the statement that a decision reads, closed to the fen.

Nothing here is noised and nothing is a patient's: cases, costs and squared costs of each payment group, and
what the groups cost by channel. The payer's ledger, kept by its finance department and not by these records,
says what they have to add up to; where one fen is open there is no statement.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

import yaml

from fedvalue.client.home import SiteHome, write_atomically
from fedvalue.client.records.selection import require_tables
from fedvalue.client.records.store import MODEST, Limits, require_format
from fedvalue.client.records.stores import reading
from fedvalue.errors import PaymentError, PolicyForbids
from fedvalue.payment.held import Held, parse
from fedvalue.payment.held_signature import signature_file, signed

_EPOCH = date(1970, 1, 1)
_GROUPED = """SELECT payment_group, count(*), CAST(sum(total_paid) AS VARCHAR),
  CAST(sum(CAST(total_paid AS DECIMAL(18,2)) * total_paid) AS VARCHAR)
FROM claim WHERE channel = 'inpatient' AND currency = $currency AND day BETWEEN $first AND $last
GROUP BY payment_group ORDER BY payment_group NULLS LAST"""
_CHANNELS = """SELECT channel, CAST(sum(total_paid) AS VARCHAR) FROM claim
WHERE currency = $currency AND day BETWEEN $first AND $last
  AND channel IN ('inpatient', 'outpatient', 'dual channel') GROUP BY channel"""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a statement is about.

    Attributes:
      name: Of the statement.
      standards: Standards that it is for.
      year: Settlement year.
      grouping_version: Of the grouper that made the payment groups.
      price_list: Which price list the costs are at.
      ledger_cases: Inpatient settlements of the year in the payer's ledger.
      ledger_total: Their cost there.
      currency: ISO 4217 code.
    """

    name: str
    standards: tuple[str, ...]
    year: int
    grouping_version: str
    price_list: str
    ledger_cases: int
    ledger_total: Decimal
    currency: str = "CNY"


def statement(database: Path, payer: str, terms: Terms, *, limits: Limits = MODEST) -> bytes:
    """Return the statement of a year as `fedvalue.payment.held` reads it.

    Args:
      database: The payer's records.
      payer: Whose books.
      terms: What it is about.
      limits: Threads and memory.

    Raises:
      SourceMissing, SourceUnreadable: there are no records, or no claims in them.
      PaymentError: the records and the ledger do not agree to the fen.
    """
    first, last = date(terms.year, 1, 1), date(terms.year, 12, 31)
    window = {
        "currency": terms.currency,
        "first": float((first - _EPOCH).days),
        "last": float((last - _EPOCH).days),
    }
    with reading(database, limits=limits, tables=("claim",)) as store:
        require_format(store, where=str(database))
        require_tables(store, ("claim",), "a payer's statement")
        rows = store.execute(_GROUPED, window).fetchall()
        channels = dict(store.execute(_CHANNELS, window).fetchall())
    grouped = [
        {"group": group, "cases": cases, "total": total, "squares": squares}
        for group, cases, total, squares in rows
        if group is not None
    ]
    alone = next(((cases, total) for group, cases, total, _ in rows if group is None), (0, "0"))
    if not grouped:
        raise PaymentError(
            f"the records hold no inpatient settlement of {terms.year} with a payment group",
            where=str(database),
            do="load the settlement lists of that year",
        )
    said = {
        "format": "fedvalue.payer_held/1",
        "name": terms.name,
        "payer": payer,
        "purpose": "set",
        "standards": list(terms.standards),
        "closed_on": last,
        "year": {
            "year": terms.year,
            "currency": terms.currency,
            "grouping_version": terms.grouping_version,
            "price_list": terms.price_list,
            "groups": grouped,
            "trimmed_cases": 0,
            "trimmed_total": "0",
            "carved_total": "0",
            "ungrouped_cases": alone[0],
            "ungrouped_total": alone[1],
            "ledger_cases": terms.ledger_cases,
            "ledger_total": str(terms.ledger_total),
        },
        "channels": {
            "inpatient": channels.get("inpatient", "0"),
            "outpatient": channels.get("outpatient", "0"),
            "dual_channel": channels.get("dual channel", "0"),
        },
    }
    raw = yaml.safe_dump(said, allow_unicode=True, sort_keys=False).encode()
    parse(raw, where=terms.name).costs()  # the books close, or there is no statement
    return raw


def state(home: SiteHome, terms: Terms, out: Path) -> Held:
    """Write a payer's statement to ``out`` and its signature beside it, ``out`` with ``.sig``.

    Raises:
      PolicyForbids: the site is no payer.
      PaymentError, RecordsError: as in `statement`.
      OutputError: a file cannot be written.
    """
    if home.policy.kind != "payer":
        raise PolicyForbids(
            f"this site is a {home.policy.kind}, and only a payer states what it holds",
            where="policy.toml, kind", do="make the payer's home with --kind payer",
        )  # fmt: skip
    raw = statement(home.records_file, home.policy.entity, terms)
    write_atomically(out, raw)
    write_atomically(signature_file(out), signed(raw, home.site_key(), home.policy.site))
    return parse(raw, where=str(out))
