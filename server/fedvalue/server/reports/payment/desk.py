"""A page for the payer's desk: what sub-groups cost on its own settlement lists, and whether they differ.

The table is CSV with the columns ``group,cost``, one case a line, exact amounts. It never leaves the payer
and is no release: the page says so. A group below `LEAST` cases is named and not drawn.
"""

from __future__ import annotations

import csv
import io
from decimal import Decimal, InvalidOperation
from pathlib import Path

from fedvalue.errors import PaymentError
from fedvalue.evidence import documents
from fedvalue.payment.mechanisms.case_costs import summed
from fedvalue.payment.mechanisms.cash import check_currency
from fedvalue.payment.mechanisms.split import moments, riv
from fedvalue.server.reports.formats import percent, whole
from fedvalue.server.reports.payment import costs
from fedvalue.server.reports.sheet import Banner, Part, Sheet
from fedvalue.server.reports.wording import Voice

HEAD = ["group", "cost"]
LEAST = 10
"""Fewest cases of a box."""


def read_costs(path: Path) -> dict[str, list[Decimal]]:
    """Read exact costs by group.

    Raises:
      PaymentError: unreadable, another header, a cell that is no amount; the line is named.
    """
    try:
        rows = list(csv.reader(io.StringIO(documents.read_bytes(path, PaymentError).decode("utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error) as failure:
        raise PaymentError("this is no CSV in UTF-8", where=str(path)) from failure
    if not rows or rows[0] != HEAD:
        raise PaymentError("the columns are group,cost, in this order", where=f"{path}, line 1")
    found: dict[str, list[Decimal]] = {}
    for number, row in enumerate(rows[1:], start=2):
        at = f"{path}, line {number}"
        if len(row) != len(HEAD) or not row[0].strip():
            raise PaymentError("a line has a group and a cost", where=at)
        try:
            found.setdefault(row[0].strip(), []).append(Decimal(row[1]))
        except InvalidOperation as failure:
            raise PaymentError(f"{row[1]!r} is no amount", where=at) from failure
    return found


def costs_sheet(table: dict[str, list[Decimal]], currency: str, voice: Voice) -> Sheet:
    """Return the page of a group's split.

    Args:
      table: Exact costs by sub-group.
      currency: ISO 4217 code.
      voice: Languages.

    Raises:
      PurposeMixed: a noised cost.
      PaymentError: fewer than two sub-groups, negative money, an unknown currency.
    """
    check_currency(currency)
    boxes = [costs.box_of(group, found, least=LEAST) for group, found in table.items()]
    explained = float(riv([moments(summed(group, found)) for group, found in table.items()]))
    cases = sum(len(found) for found in table.values())
    lead = voice("boxes.lead", n=whole(cases), groups=whole(len(table)), riv=percent(explained))
    return Sheet(
        kicker=voice("boxes.kicker"),
        title=voice("boxes.title"),
        banners=(Banner(voice("boxes.internal"), voice("boxes.internal_text")),),
        parts=(
            Part(
                "costs",
                voice("boxes.title"),
                (lead,),
                (costs.figure(boxes, explained, voice, "boxes", currency=currency),),
            ),
        ),
    )
