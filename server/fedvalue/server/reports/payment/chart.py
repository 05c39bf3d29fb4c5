"""What figures of payment share: an area with two straight axes, round ticks, amounts in short, a key.

Amounts on an axis are shortened by thousands in English and by ten thousands in Chinese, as their readers
count; tables beside a figure hold them in full.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from fedvalue.server.reports import look
from fedvalue.server.reports.drawing import Axis, fitted, line, rect, text, text_width
from fedvalue.server.reports.look import Size
from fedvalue.server.reports.wording import Phrase, Voice, Words

KEY_LINE = 19.0
Tick = tuple[float, Words]


@dataclass(frozen=True, slots=True)
class Frame:
    """A plotting area.

    Attributes:
      x: Values to pixels across.
      y: Values to pixels up: ``left`` is the bottom, ``right`` the top.
    """

    x: Axis
    y: Axis

    @property
    def bottom(self) -> float:
        """Pixel of the lower edge."""
        return self.y.left


def frame(
    size: Size,
    across: tuple[float, float],
    up: tuple[float, float],
    *,
    top: float,
    height: float = 260.0,
    left: float = 62.0,
    right: float = 18.0,
) -> Frame:
    """Return a plotting area below ``top``.

    Args:
      size: Of the drawing.
      across: First and last value of the horizontal axis; equal ones are spread by one.
      up: The same of the vertical axis.
      top: In pixels.
      height: In pixels; a fifth less on the telephone.
      left: Room for labels of the vertical axis, in pixels.
      right: Room at the right end.
    """
    bottom = top + (0.8 * height if size.narrow else height)
    return Frame(
        Axis(*_spread(across), left, size.width - right),
        Axis(*_spread(up), bottom, top),
    )


def _spread(ends: tuple[float, float]) -> tuple[float, float]:
    low, high = ends
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def ticks(low: float, high: float, most: int) -> list[float]:
    """Return round values from ``low`` to ``high``, both possibly included; at most ``most``, at least two.

    Args:
      low: First value of the axis.
      high: Last value, above ``low``.
      most: Largest number of ticks, at least 3.
    """
    rough = (high - low) / max(1, most - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(step * i, 12) for i in range(first, last + 1)]


def labels(values: Sequence[float]) -> list[Tick]:
    """Return ticks with their amounts in short, with as many digits as they need to stand where they say."""
    step = min((abs(b - a) for a, b in pairwise(values)), default=0.0)
    for digits in range(3, 7):
        if all(abs(float(f"{value:.{digits}g}") - value) <= 0.01 * step for value in values):
            break
    return [(value, short(value, digits)) for value in values]


def short(value: float, digits: int = 3) -> Phrase:
    """Return an amount in short, by default with three digits: ``1.25 bn`` and ``12.5 亿``."""
    return Phrase(
        _short(value, ((1e9, " bn"), (1e6, " m"), (1e3, " k")), digits),
        _short(value, ((1e8, " 亿"), (1e4, " 万")), digits),
    )


def _short(value: float, units: tuple[tuple[float, str], ...], digits: int) -> str:
    for unit, name in units:
        if abs(value) >= 0.9995 * unit:
            return _digits(value / unit, digits) + name
    return _digits(value, digits)


def _digits(value: float, digits: int) -> str:
    if value == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    shown = f"{value:,.{places}f}"
    if "." in shown:
        shown = shown.rstrip("0").rstrip(".")
    return shown.replace("-", "\u2212")


def signed(value: float) -> Phrase:
    """Return an amount in short with its sign."""
    return short(value) if value <= 0 else Phrase.same("+") + short(value)


def axes(
    voice: Voice,
    area: Frame,
    across: Sequence[Tick],
    up: Sequence[Tick],
    *,
    across_title: Words = "",
    up_title: Words = "",
    zero: bool = False,
) -> list[Markup]:
    """Return grid, ticks and titles of both axes.

    Args:
      voice: Languages.
      area: The plotting area.
      across: Value and label of each tick of the horizontal axis.
      up: The same of the vertical one; each has a line of the grid.
      across_title: Below the horizontal axis.
      up_title: Above the vertical axis.
      zero: Draws the line of zero darker.
    """
    x, y = area.x, area.y
    parts: list[Markup] = []
    for value, label in up:
        heavy = zero and value == 0
        parts += [
            line(
                x.left,
                y(value),
                x.right,
                y(value),
                look.MUTED if heavy else look.HAIRLINE,
                1.2 if heavy else 1,
            ),
            text(voice, x.left - 7, y(value) + 4, label, anchor="end", size=look.SMALL, color=look.MUTED),
        ]
    for value, label in across:
        parts += [
            line(x(value), area.bottom, x(value), area.bottom + 5, look.MUTED, 1),
            text(
                voice, x(value), area.bottom + 19, label, anchor="middle", size=look.SMALL, color=look.MUTED
            ),
        ]
    parts.append(line(x.left, area.bottom, x.right, area.bottom, look.MUTED, 1.2))
    middle = (x.left + x.right) / 2
    parts += [
        text(
            voice, middle, area.bottom + 39, across_title, anchor="middle", size=look.SMALL, color=look.MUTED
        ),
        text(voice, 0, y.right - 12, up_title, size=look.SMALL, color=look.MUTED),
    ]
    return parts


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a key.

    Attributes:
      label: What it stands for.
      fill: Color or pattern of a swatch; empty for a line.
      color: Of a line, or the border of a swatch.
      dash: Of a line.
    """

    label: Words
    fill: str = ""
    color: str = ""
    dash: str = ""


def key(voice: Voice, size: Size, entries: Sequence[Entry], top: float = 0.0) -> tuple[float, list[Markup]]:
    """Return the height and the elements of a key: entries beside each other, broken where they do not fit.

    Args:
      voice: Languages.
      size: Of the drawing.
      entries: In order.
      top: In pixels.
    """
    parts: list[Markup] = []
    x, y = 0.0, top
    for entry in entries:
        label = fitted(entry.label, size.width - 40, look.SMALL)
        width = 36 + max(text_width(words, look.SMALL) for words in (label.en, label.zh)) + 14
        if x and x + width > size.width:
            x, y = 0.0, y + KEY_LINE
        if entry.fill:
            parts.append(rect(x, y + 3, 24, 11, entry.fill, border=entry.color))
        else:
            parts.append(line(x, y + 9, x + 26, y + 9, entry.color, 2.4, entry.dash))
        parts.append(text(voice, x + 32, y + 13.5, label, size=look.SMALL))
        x += width
    return y + KEY_LINE - top, parts


def points(xs: Sequence[float], ys: Sequence[float], area: Frame) -> str:
    """Return path commands through points, in values."""
    return "M" + "L".join(f"{area.x(a):.1f} {area.y(b):.1f}" for a, b in zip(xs, ys, strict=True))


def ribbon(xs: Sequence[float], low: Sequence[float], high: Sequence[float], area: Frame) -> str:
    """Return path commands around the area between two lines, in values."""
    back = "L".join(
        f"{area.x(a):.1f} {area.y(b):.1f}" for a, b in zip(reversed(xs), reversed(low), strict=True)
    )
    return f"{points(xs, high, area)}L{back}Z"
