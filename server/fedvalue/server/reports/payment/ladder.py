"""The ladder of instalments: what is due when, how likely it is paid, and what is expected to be kept."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from fedvalue.payment.mechanisms.expected_instalments import expected_net, months_needed, non_increasing
from fedvalue.payment.mechanisms.instalments import Schedule
from fedvalue.payment.mechanisms.underlying import Draws
from fedvalue.server.reports import look
from fedvalue.server.reports.drawing import Figure, Pieces, Table, drawn, hatch, line, path, rect, text
from fedvalue.server.reports.formats import money, percent
from fedvalue.server.reports.look import Size
from fedvalue.server.reports.payment.chart import Entry, axes, frame, key, points, ribbon, short, ticks
from fedvalue.server.reports.wording import Phrase, Voice, Words


@dataclass(frozen=True, slots=True)
class Rungs:
    """What the ladder shows.

    Attributes:
      months: Due months, K of them.
      amounts: Of the instalments, in money per patient.
      likely: Probability that each is paid.
      low: Lower ends of their 95 % intervals.
      high: Upper ends.
      net: Expected payment after clawback with the ends of its interval.
      window: Last month of the clawback.
      currency: ISO 4217 code.
    """

    months: tuple[float, ...]
    amounts: tuple[float, ...]
    likely: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    net: tuple[float, float, float]
    window: float
    currency: str

    @property
    def price(self) -> float:
        """Sum of the instalments."""
        return sum(self.amounts)


def figure(terms: Schedule, survival: Draws, voice: Voice, name: str) -> Figure:
    """Draw instalments with the part that is expected to be paid, and the expected sum after clawback.

    Args:
      terms: The contract.
      survival: Draws of event-free survival at `months_needed`.
      voice: Languages.
      name: Unique on the page.

    Raises:
      PurposeMixed: a realised figure or bare numbers.
      PaymentError: survival at other months.
    """
    net = expected_net(terms, survival).net
    months = months_needed(terms)
    curves = non_increasing(survival.total)
    at = [months.index(month) for month in terms.months]
    low, high = np.quantile(curves[:, at], [0.025, 0.975], axis=0)
    rungs = Rungs(
        months=tuple(float(month) for month in terms.months),
        amounts=tuple(float(amount) for amount in terms.amounts),
        likely=tuple(curves[:, at].mean(axis=0).tolist()),
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
        net=(net.value, *net.interval()),
        window=float(terms.clawback_window),
        currency=terms.currency,
    )
    return drawn_rungs(rungs, voice, name)


def drawn_rungs(rungs: Rungs, voice: Voice, name: str) -> Figure:
    """Draw the ladder.

    Args:
      rungs: What it shows.
      voice: Languages.
      name: Unique on the page.
    """
    title = voice("ladder.title")
    net, low, high = (_money(value, rungs, voice) for value in rungs.net)
    words: dict[str, Words] = {
        "price": _money(rungs.price, rungs, voice),
        "net": net,
        "low": low,
        "high": high,
    }
    head = tuple(voice(f"table.{column}") for column in ("month", "due", "p_paid", "interval", "expected"))
    rows: list[tuple[Words, ...]] = [
        (
            f"{month:g}",
            _money(amount, rungs, voice),
            percent(p),
            voice("estimate.range", low=percent(first), high=percent(last)),
            _money(p * amount, rungs, voice),
        )
        for month, amount, p, first, last in zip(
            rungs.months, rungs.amounts, rungs.likely, rungs.low, rungs.high, strict=True
        )
    ]
    ends = voice("estimate.range", low=low, high=high)
    rows.append((voice("ladder.net"), words["price"], "\u2013", ends, net))
    return Figure(
        voice("ladder.caption", **words),
        drawn(
            voice,
            lambda size: _pieces(rungs, voice, size, name),
            name=name,
            title=title,
            description=voice("ladder.alt", **words),
        ),
        Table(title, head, tuple(rows)),
    )


def _money(amount: float, rungs: Rungs, voice: Voice) -> Phrase:
    return money(Decimal(round(amount)), rungs.currency, voice)


def _pieces(rungs: Rungs, voice: Voice, size: Size, name: str) -> Pieces:
    pattern = f"{name}-{size.name}-unpaid"
    used, parts = key(
        voice,
        size,
        [
            Entry(voice("ladder.key_paid"), fill=look.SAMPLING),
            Entry(voice("ladder.key_unpaid"), fill=f"url(#{pattern})", color=look.MUTED),
            Entry(voice("ladder.key_sum"), color=look.NOT_MET),
        ],
    )
    parts.insert(0, hatch(pattern, "#d5dbe0", look.PAPER))
    months, amounts, likely = list(rungs.months), rungs.amounts, rungs.likely
    price, window = rungs.price, rungs.window
    last = max(months[-1], window)
    area = frame(size, (0.0, 1.06 * last), (0.0, 1.08 * price), top=used + 30, height=260)
    parts += axes(
        voice,
        area,
        [(month, f"{month:g}") for month in months],
        [(v, short(v)) for v in ticks(0.0, 1.08 * price, 5)],
        across_title=voice("ladder.axis"),
        up_title=voice("ladder.axis_up", currency=rungs.currency),
    )
    wide = 14.0 if size.narrow else 26.0
    for month, amount, p in zip(months, amounts, likely, strict=True):
        middle, floor = area.x(month), area.y(0.0)
        full, paid = area.y(amount), area.y(p * amount)
        parts += [
            rect(middle - wide / 2, full, wide, floor - full, f"url(#{pattern})", border=look.MUTED),
            rect(middle - wide / 2, paid, wide, floor - paid, look.SAMPLING),
            text(voice, middle, full - 6, percent(p), anchor="middle", size=look.SMALL, halo=True),
        ]
    sums = [
        np.cumsum([p * a for p, a in zip(row, amounts, strict=True)]).tolist()
        for row in (likely, rungs.low, rungs.high)
    ]
    parts += [
        path(ribbon(months, sums[1], sums[2], area), fill=look.NOT_MET, opacity=0.15),
        path(points([0.0, *months], [0.0, *sums[0]], area), color=look.NOT_MET, width=2.2),
        line(area.x.left, area.y(price), area.x.right, area.y(price), look.MUTED, 1.2, "7 3"),
        text(
            voice,
            area.x.left + 4,
            area.y(price) - 5,
            voice("ladder.price"),
            anchor="start",
            size=look.SMALL,
            color=look.MUTED,
            halo=True,
        ),
    ]
    if 0 < window <= 1.06 * last:
        parts += [
            line(area.x(window), area.bottom, area.x(window), area.y.right, look.MUTED, 1, "2 3"),
            text(
                voice,
                area.x(window) - 5,
                area.y.right + 14,
                voice("ladder.window"),
                anchor="end",
                size=look.SMALL,
                color=look.MUTED,
                halo=True,
            ),
        ]
    return area.bottom + 48, parts
