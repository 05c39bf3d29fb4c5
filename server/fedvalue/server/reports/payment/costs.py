"""Costs of DRG sub-groups as boxes with the badges that a split is judged by, and how a weight came about.

A box spans the quartiles of the payer's own exact costs, its whiskers Tukey's fences as far as costs reach,
its dot the mean that makes the weight. Boxes are for the payer's desk: they are of settlement lists, not of
released sums, and a group below the cell limit of the region is not drawn but named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from markupsafe import Markup

from fedvalue.errors import PaymentError
from fedvalue.payment.mechanisms.exact import money as checked
from fedvalue.payment.mechanisms.trimming import quantile
from fedvalue.server.reports import look
from fedvalue.server.reports.drawing import (
    Axis,
    Figure,
    Pieces,
    Table,
    circle,
    drawn,
    fitted,
    line,
    rect,
    text,
)
from fedvalue.server.reports.formats import money, number, percent, whole
from fedvalue.server.reports.look import Size
from fedvalue.server.reports.payment.chart import axes, frame, short, ticks
from fedvalue.server.reports.wording import Voice, Words

ROW = 46.0


@dataclass(frozen=True, slots=True)
class CostBox:
    """One group's costs.

    Attributes:
      label: The group.
      cases: How many.
      ends: Lower whisker, quartiles 1 to 3, upper whisker; empty where the group is too small to be drawn.
      mean: Of all kept cases; 0 where it is not drawn.
      cv: SD over mean.
    """

    label: str
    cases: int
    ends: tuple[float, ...]
    mean: Decimal
    cv: float


def box_of(label: str, costs: Sequence[Decimal], *, least: int, factor: Decimal = Decimal("1.5")) -> CostBox:
    """Return a group's box from the payer's exact costs.

    Args:
      label: The group.
      costs: One a case.
      least: Fewer cases are not drawn.
      factor: Of the quartile distance, where whiskers end at most.

    Raises:
      PurposeMixed: a noised cost.
      PaymentError: negative money, or a limit below two cases.
    """
    if least < 2:
        raise PaymentError("a box of one case shows that case", where=label, do="draw from ten cases on")
    if len(costs) < least:
        return CostBox(label, len(costs), (), Decimal(0), 0.0)
    ordered = sorted(checked(cost, "cost") for cost in costs)
    q1, q2, q3 = (quantile(ordered, Fraction(k, 4)) for k in (1, 2, 3))
    reach = Fraction(factor) * (q3 - q1)
    low = min(cost for cost in ordered if cost >= q1 - reach)
    high = max(cost for cost in ordered if cost <= q3 + reach)
    mean = sum(ordered, Fraction(0)) / len(ordered)
    variance = float(sum(((c - mean) ** 2 for c in ordered), Fraction(0)) / (len(ordered) - 1))
    return CostBox(
        label,
        len(costs),
        tuple(float(x) for x in (low, q1, q2, q3, high)),
        Decimal(round(mean * 100)).scaleb(-2),
        variance**0.5 / float(mean) if mean else 0.0,
    )


def figure(boxes: Sequence[CostBox], riv: float, voice: Voice, name: str, *, currency: str) -> Figure:
    """Draw the boxes with CV beside each and RIV in the caption.

    Args:
      boxes: From `box_of`.
      riv: Reduction in variance of the split, between 0 and 1.
      voice: Languages.
      name: Unique on the page.
      currency: Of the costs.
    """
    drawn_ = [box for box in boxes if box.ends]
    title = voice("boxes.title")
    words = {"riv": percent(riv), "n": whole(len(boxes))}
    columns = ("group", "cases", "mean_cost", "q1", "q2", "q3", "cv")
    head = tuple(voice(f"table.{column}") for column in columns)
    rows = tuple(_row(box, currency, voice) for box in boxes)
    drawings: tuple[Markup, ...] = ()
    if drawn_:
        drawings = drawn(
            voice,
            lambda size: _boxes(drawn_, voice, size),
            name=name,
            title=title,
            description=voice("boxes.alt", **words),
        )
    return Figure(voice("boxes.caption", **words), drawings, Table(title, head, rows))


def _row(box: CostBox, currency: str, voice: Voice) -> tuple[Words, ...]:
    if not box.ends:
        return (box.label, whole(box.cases), voice("boxes.small"), *("\u2013",) * 4)
    quartiles = (money(Decimal(round(x)), currency, voice) for x in box.ends[1:4])
    return (box.label, whole(box.cases), money(box.mean, currency, voice), *quartiles, number(box.cv, 3))


def _boxes(boxes: Sequence[CostBox], voice: Voice, size: Size) -> Pieces:
    last = max(max(box.ends[-1], float(box.mean)) for box in boxes)
    x = Axis(0.0, 1.04 * last, 0.0 if size.narrow else 170.0, size.width - 84)
    step = ROW + (18.0 if size.narrow else 0.0)
    parts: list[Markup] = []
    for i, box in enumerate(boxes):
        y = 12 + i * step + (18.0 if size.narrow else 0.0)
        low, q1, q2, q3, high = (x(value) for value in box.ends)
        label: Words = voice("boxes.label", group=box.label, n=whole(box.cases))
        room = size.width - 8 if size.narrow else x.left - 14
        parts += [
            text(
                voice, 0, y - 6 if size.narrow else y + 17, fitted(label, room, look.SMALL), size=look.SMALL
            ),
            line(low, y + 12, high, y + 12, look.MUTED, 1.4),
            line(low, y + 5, low, y + 19, look.MUTED, 1.4),
            line(high, y + 5, high, y + 19, look.MUTED, 1.4),
            rect(q1, y, q3 - q1, 24, "#d6e6f2", border=look.SAMPLING),
            line(q2, y, q2, y + 24, look.SAMPLING, 2.4),
            circle(x(float(box.mean)), y + 12, 4.5, look.PRIVACY, look.INK, 1.2),
            rect(size.width - 74, y + 2, 74, 20, look.PANEL, border=look.HAIRLINE, radius=4),
            text(
                voice,
                size.width - 37,
                y + 16,
                voice("boxes.cv", cv=number(box.cv, 2)),
                anchor="middle",
                size=look.SMALL,
                bold=True,
            ),
        ]
    bottom = 12 + step * len(boxes)
    for value in ticks(0.0, 1.04 * last, size.ticks - 1):
        parts += [
            line(x(value), bottom, x(value), bottom + 5, look.MUTED),
            text(
                voice, x(value), bottom + 19, short(value), anchor="middle", size=look.SMALL, color=look.MUTED
            ),
        ]
    parts.append(line(x.left, bottom, x.right, bottom, look.MUTED, 1.2))
    return bottom + 28, parts


def waterfall(steps: Sequence[tuple[Words, float]], voice: Voice, name: str, *, group: str) -> Figure:
    """Draw how a weight came about: the first value, what each step adds, and the last.

    Args:
      steps: Name of each step and the weight after it; the first is where it starts.
      voice: Languages.
      name: Unique on the page.
      group: Whose weight.
    """
    if len(steps) < 2:
        raise PaymentError("a waterfall has a start and an end", where=group)
    title = voice("waterfall.title", group=group)
    values = [value for _, value in steps]
    rows = tuple(
        (
            label,
            f"{value:.4f}",
            "\u2013" if i == 0 else f"{value - values[i - 1]:+.4f}".replace("-", "\u2212"),
        )
        for i, (label, value) in enumerate(steps)
    )
    head = tuple(voice(f"table.{column}") for column in ("step", "weight", "difference"))

    def pieces(size: Size) -> Pieces:
        low, high = min(*values, 1.0), max(*values, 1.0)
        room = 0.25 * (high - low or 0.1)
        area = frame(size, (-0.5, len(steps) - 0.5), (low - room, high + room), top=26, height=220)
        labels = [
            (float(i), fitted(label, (size.width - 80) / len(steps), 11.0))
            for i, (label, _) in enumerate(steps)
        ]
        parts = axes(
            voice,
            area,
            labels,
            [(v, f"{v:.2f}") for v in ticks(low - room, high + room, 6)],
            up_title=voice("waterfall.axis"),
        )
        wide = 0.5 * (area.x(1.0) - area.x(0.0))
        floor = low - room
        for i, (_, value) in enumerate(steps):
            whole_bar = i in (0, len(steps) - 1)
            start = floor if whole_bar else values[i - 1]
            top, bottom = sorted((area.y(start), area.y(value)))
            fill = look.SAMPLING if whole_bar else look.MET if value >= start else look.NOT_MET
            middle = area.x(float(i))
            told = f"{value:.3f}" if whole_bar else f"{value - start:+.3f}".replace("-", "\u2212")
            parts += [
                rect(middle - wide / 2, top, wide, max(bottom - top, 1.5), fill),
                text(voice, middle, top - 6, told, anchor="middle", size=look.SMALL, bold=True, halo=True),
            ]
            if i + 1 < len(steps):
                level = area.y(value)
                parts.append(
                    line(middle + wide / 2, level, area.x(i + 1.0) - wide / 2, level, look.MUTED, 1, "2 3")
                )
        parts.append(line(area.x.left, area.y(1.0), area.x.right, area.y(1.0), look.MUTED, 1.2, "7 3"))
        return area.bottom + 30, parts

    told = voice("waterfall.alt", group=group, first=f"{values[0]:.3f}", last=f"{values[-1]:.3f}")
    return Figure(
        voice("waterfall.caption"),
        drawn(voice, pieces, name=name, title=title, description=told),
        Table(title, head, rows),
    )
