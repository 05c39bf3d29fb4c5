"""Stacked shares: what a group is made of, one bar a group, each part with its share written in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from fedvalue.analyses.estimate import Estimate
from fedvalue.server.reports import look
from fedvalue.server.reports.drawing import Figure, Pieces, Table, drawn, fitted, rect, text
from fedvalue.server.reports.formats import interval, percent
from fedvalue.server.reports.look import Size
from fedvalue.server.reports.naming import Names
from fedvalue.server.reports.payment import chart
from fedvalue.server.reports.wording import Words

ROW = 40.0
FILLS = ("#e8eef3", "#b7d3e6", "#7fb2d6", "#3f8cc0", "#0b5f97", "#073b5e")
"""From light to dark, so that the order survives a print in grey; more parts begin anew."""

ON_DARK = 4
WIDE_ENOUGH = 34.0


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar.

    Attributes:
      label: Of the group.
      parts: Estimates of the shares in the order of `Stack.parts`; None where one is not told.
    """

    label: Words
    parts: tuple[Estimate | None, ...]


@dataclass(frozen=True, slots=True)
class Stack:
    """Bars of the same parts.

    Attributes:
      parts: Their names.
      bars: From top to bottom.
    """

    parts: tuple[Words, ...]
    bars: tuple[Bar, ...]


def figure(stack: Stack, title: Words, names: Names, name: str) -> Figure:
    """Draw the bars; noise may leave their sums a little off 100 %."""
    voice = names.voice
    rows = tuple(
        (bar.label, part, percent(one.value), interval(one.lower, one.upper, one.unit, voice))
        for bar in stack.bars
        for part, one in zip(stack.parts, bar.parts, strict=True)
        if one is not None
    )
    head = tuple(voice(f"table.{word}") for word in ("group", "figure", "estimate", "interval"))
    return Figure(
        voice("figure.stacked"),
        drawn(voice, lambda size: _pieces(stack, names, size), name=name, title=title,
              description=voice("described.lines_alt", n=str(len(stack.bars)), what=title)),
        Table(title, head, rows, frozenset({1})),
    )  # fmt: skip


def _pieces(stack: Stack, names: Names, size: Size) -> Pieces:
    voice = names.voice
    fills = [FILLS[i % len(FILLS)] for i in range(len(stack.parts))]
    entries = [
        chart.Entry(part, fill=fill, color=look.HAIRLINE)
        for part, fill in zip(stack.parts, fills, strict=True)
    ]
    height, parts = chart.key(voice, size, entries)
    y = height + 10
    for bar in stack.bars:
        parts.append(text(voice, 0, y + 11, fitted(bar.label, size.width, look.SMALL), size=look.SMALL))
        parts += _bar(bar, fills, y + 16, names, size)
        y += ROW
    return y + 6, parts


def _bar(bar: Bar, fills: Sequence[str], y: float, names: Names, size: Size) -> list[Markup]:
    shown = [max(one.value, 0.0) if one is not None else 0.0 for one in bar.parts]
    scale = size.width / max(sum(shown), 1.0)
    parts, x = [], 0.0
    for share, fill in zip(shown, fills, strict=True):
        width = share * scale
        parts.append(rect(x, y, width, 18, fill, border=look.HAIRLINE))
        if width >= WIDE_ENOUGH:
            color = look.PAPER if fill in FILLS[ON_DARK - 1 :] else look.INK
            parts.append(
                text(names.voice, x + width / 2, y + 13, percent(share), anchor="middle", size=look.SMALL,
                     color=color)
            )  # fmt: skip
        x += width
    return parts
