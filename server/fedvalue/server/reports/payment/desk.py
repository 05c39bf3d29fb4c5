"""Pages for the payer's desk, each from one CSV table of its own: sub-groups, institutions, options.

* Costs of sub-groups, ``group,cost``, one case a line, exact amounts. A group below `LEAST` cases is named
  and not drawn.
* Institutions against chance, ``institution,reached,failed,missing``, from signed settlement statements.
* Options of an assessment, ``option,cost,effect``, expected values per patient.

The first two are the payer's own figures: they never leave it and are no release, and the page says so.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Literal

from fedvalue.errors import PaymentError
from fedvalue.evidence import documents
from fedvalue.payment.economics.frontier import Option, frontier
from fedvalue.payment.mechanisms.case_costs import summed
from fedvalue.payment.mechanisms.cash import check_currency
from fedvalue.payment.mechanisms.settle import Panel
from fedvalue.payment.mechanisms.split import moments, riv
from fedvalue.server.reports.formats import percent, whole
from fedvalue.server.reports.payment import costs, plane, reliability
from fedvalue.server.reports.sheet import Banner, Part, Sheet
from fedvalue.server.reports.wording import Voice

COSTS = ("group", "cost")
PANELS = ("institution", "reached", "failed", "missing")
OPTIONS = ("option", "cost", "effect")
Missing = Literal["fail", "exclude"]
LEAST = 10
"""Fewest cases of a box."""


def _lines(path: Path, head: tuple[str, ...]) -> Iterator[tuple[str, str, tuple[Decimal, ...]]]:
    """Yield where a line stands, the name in its first cell, and the numbers in the others."""
    try:
        rows = list(csv.reader(io.StringIO(documents.read_bytes(path, PaymentError).decode("utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error) as failure:
        raise PaymentError("this is no CSV in UTF-8", where=str(path)) from failure
    if not rows or tuple(rows[0]) != head:
        raise PaymentError(f"the columns are {','.join(head)}, in this order", where=f"{path}, line 1")
    for number, row in enumerate(rows[1:], start=2):
        at = f"{path}, line {number}"
        if len(row) != len(head) or not row[0].strip():
            raise PaymentError(f"every line has {', '.join(head)}", where=at)
        yield at, row[0].strip(), tuple(_amount(cell, at) for cell in row[1:])


def _amount(cell: str, at: str) -> Decimal:
    try:
        found = Decimal(cell)
    except InvalidOperation as failure:
        raise PaymentError(f"{cell!r} is no amount", where=at) from failure
    if not found.is_finite():
        raise PaymentError(f"{cell!r} is no amount", where=at)
    return found


def read_costs(path: Path) -> dict[str, list[Decimal]]:
    """Read exact costs by group.

    Raises:
      PaymentError: unreadable, another header, a cell that is no amount; the line is named.
    """
    found: dict[str, list[Decimal]] = {}
    for _, group, (cost,) in _lines(path, COSTS):
        found.setdefault(group, []).append(cost)
    return found


def read_panels(path: Path) -> dict[str, Panel]:
    """Read realised counts by institution.

    Raises:
      PaymentError: as `read_costs`; an institution twice, a count that is none, or nobody due.
    """
    found: dict[str, Panel] = {}
    for at, institution, counts in _lines(path, PANELS):
        if institution in found:
            raise PaymentError(f"{institution!r} stands here twice: one statement each", where=at)
        if any(value != int(value) or value < 0 for value in counts):
            raise PaymentError("counts of people are whole numbers from 0", where=at)
        found[institution] = Panel(*(int(value) for value in counts))
        if sum(counts) == 0:
            raise PaymentError(f"nobody was due at {institution!r}: leave the line out", where=at)
    if len(found) < 2:
        raise PaymentError("one institution has nothing to stand beside", where=str(path))
    return found


def read_options(path: Path) -> tuple[Option, ...]:
    """Read expected cost and effect by option.

    Raises:
      PaymentError: as `read_costs`; fewer than two options. `frontier` refuses an option named twice.
    """
    found = tuple(
        Option(name, float(cost), float(effect)) for _, name, (cost, effect) in _lines(path, OPTIONS)
    )
    if len(found) < 2:
        raise PaymentError("a frontier needs two options at least", where=str(path))
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


def funnel_sheet(panels: dict[str, Panel], center: float | None, missing: Missing, voice: Voice) -> Sheet:
    """Return the page of institutions against chance.

    Args:
      panels: Realised counts by institution.
      center: The target, 0 to 1; None for the pooled rate of all.
      missing: Whether people without a measurement count as failures.
      voice: Languages.

    Raises:
      PaymentError: a target outside 0 to 1, or nobody measured where missing are left out.
    """
    pooled = sum(panels.values(), Panel(0, 0))
    middle = float(pooled.rate(missing)) if center is None else center
    if not 0 < middle < 1:
        raise PaymentError("the middle of a funnel lies between 0 and 1", where=f"{middle:g}")
    shown = reliability.Funnel(middle, panels, missing)
    return Sheet(
        kicker=voice("boxes.kicker"),
        title=voice("funnel.title"),
        banners=(Banner(voice("boxes.internal"), voice("funnel.internal_text")),),
        parts=(Part("funnel", voice("funnel.title"), figures=(reliability.funnel(shown, voice, "funnel"),)),),
    )


def frontier_sheet(options: tuple[Option, ...], currency: str, voice: Voice) -> Sheet:
    """Return the page of options and their efficiency frontier.

    Args:
      options: Expected cost and effect per patient.
      currency: ISO 4217 code of the costs.
      voice: Languages.

    Raises:
      PaymentError: an option twice, an unknown currency.
    """
    check_currency(currency)
    drawn = plane.frontier(frontier(options), voice, "frontier", currency=currency)
    return Sheet(
        kicker=voice("boxes.kicker"),
        title=voice("frontier.title"),
        parts=(Part("frontier", voice("frontier.title"), figures=(drawn,)),),
    )
