"""Inline SVG from pure functions: every piece is escaped markup, every word stays text.

Text is written once per language of the page; there is no measuring of fonts, so widths are estimated
on the wide side (a Latin letter 0.56 em, a Chinese character 1 em).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup, escape

from fedvalue.server.reports import look
from fedvalue.server.reports.look import Size
from fedvalue.server.reports.wording import Phrase, Voice, Words, phrase
from fedvalue.study.model import DAYS_PER

Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True, slots=True)
class Table:
    """The numbers behind a figure, for readers who do not see it and for those who recompute.

    Attributes:
      caption: What the table holds.
      head: Column headings.
      rows: Cells; the first of a row names it.
      words: Positions of columns that hold words, not numbers, besides the first.
    """

    caption: Words
    head: tuple[Words, ...]
    rows: tuple[tuple[Words, ...], ...]
    words: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure as the page shows it.

    Attributes:
      caption: What it shows and how to read it.
      drawings: One SVG for each of `look.SIZES`; empty where there is nothing to draw.
      table: Its data.
    """

    caption: Words
    drawings: tuple[Markup, ...]
    table: Table


Pieces = tuple[float, list[Markup]]
"""Height of a drawing in pixels, and its elements."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps values to pixels, straight, and values outside to the ends.

    Attributes:
      start: Value at ``left``.
      end: Value at ``right``, other than ``start``.
      left: In pixels.
      right: In pixels; above it, for a vertical axis.
    """

    start: float
    end: float
    left: float
    right: float

    def __call__(self, value: float) -> float:
        """Return the pixel of ``value``."""
        low, high = min(self.start, self.end), max(self.start, self.end)
        share = (min(max(value, low), high) - self.start) / (self.end - self.start)
        return self.left + share * (self.right - self.left)


def number(value: float) -> str:
    """Return a coordinate with at most one decimal."""
    return f"{round(value, 1) + 0.0:.1f}".removesuffix(".0")


def _attributes(values: dict[str, object]) -> Markup:
    parts = []
    for name, value in values.items():
        if value is None or value == "":
            continue
        shown = number(value) if isinstance(value, int | float) else str(value)
        parts.append(Markup('{0}="{1}"').format(name.rstrip("_").replace("_", "-"), shown))
    return Markup(" ").join(parts)


def element(tag: str, inner: Markup | None = None, /, **attributes: object) -> Markup:
    """Return one SVG element; underscores in attribute names become hyphens."""
    given = _attributes(attributes)
    if inner is None:
        return Markup("<{0} {1}/>").format(tag, given)
    return Markup("<{0} {1}>{2}</{0}>").format(tag, given, inner)


def line(
    x1: float, y1: float, x2: float, y2: float, color: str = look.HAIRLINE, width: float = 1, dash: str = ""
) -> Markup:
    """Return a straight line; units of all coordinates here are CSS pixels."""
    return element(
        "line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=color, stroke_width=str(width), stroke_dasharray=dash
    )


def rect(
    x: float, y: float, width: float, height: float, fill: str, *, border: str = "", radius: float = 0
) -> Markup:
    """Return a rectangle; a width or height below zero is drawn as zero."""
    return element(
        "rect",
        x=x,
        y=y,
        width=max(0.0, width),
        height=max(0.0, height),
        fill=fill,
        stroke=border,
        rx=radius or None,
    )


def path(
    commands: str,
    *,
    fill: str = "none",
    color: str = "none",
    width: float = 2,
    dash: str = "",
    opacity: float = 1,
) -> Markup:
    """Return a path."""
    return element(
        "path",
        d=commands,
        fill=fill,
        stroke=color,
        stroke_width=str(width) if color != "none" else "",
        stroke_dasharray=dash,
        stroke_linejoin="round" if color != "none" else "",
        fill_opacity=f"{opacity:g}" if fill != "none" and opacity < 1 else "",
    )


def circle(x: float, y: float, radius: float, fill: str, border: str = "", width: float = 2) -> Markup:
    """Return a circle."""
    return element(
        "circle", cx=x, cy=y, r=radius, fill=fill, stroke=border, stroke_width=str(width) if border else ""
    )


def text(
    voice: Voice,
    x: float,
    y: float,
    words: Words,
    *,
    anchor: Anchor = "start",
    size: float = look.TEXT,
    color: str = look.INK,
    bold: bool = False,
    halo: bool = False,
) -> Markup:
    """Return words at a point, once for each language of the page that reads differently.

    Args:
      voice: Languages of the page.
      x: Where the anchor lies.
      y: Base line.
      words: What to write.
      anchor: Which part of the words lies at ``x``.
      size: Height of the type.
      color: Its color.
      bold: Semibold.
      halo: White edge, for words that may cross a line.
    """
    both = phrase(words)
    if not (both.en or both.zh):
        return Markup("")
    shared: dict[str, object] = {
        "x": x,
        "y": y,
        "text_anchor": anchor if anchor != "start" else "",
        "font_size": f"{size:g}",
        "fill": color,
        "font_weight": "600" if bold else "",
        "paint_order": "stroke" if halo else "",
        "stroke": look.PAPER if halo else "",
        "stroke_width": "4" if halo else "",
        "stroke_linejoin": "round" if halo else "",
    }
    if both.en == both.zh or len(voice.languages) == 1:
        return element("text", escape(both.read(voice.languages[0])), **shared)
    return Markup("").join(
        element("text", escape(both.read(language)), class_=language, **shared)
        for language in voice.languages
    )


def text_width(words: str, size: float = look.TEXT) -> float:
    """Return the estimated width of ``words``, in pixels."""
    return size * sum(1.0 if unicodedata.east_asian_width(c) in "WF" else 0.56 for c in words)


def fitted(words: Words, width: float, size: float = look.TEXT) -> Phrase:
    """Return ``words`` cut with an ellipsis where they would be wider than ``width`` pixels."""
    both = phrase(words)
    return Phrase(_cut(both.en, width, size), _cut(both.zh, width, size))


def _cut(words: str, width: float, size: float) -> str:
    if text_width(words, size) <= width:
        return words
    while words and text_width(words + "\u2026", size) > width:
        words = words[:-1]
    return words.rstrip() + "\u2026"


def wrapped(words: Words, width: float, size: float = look.TEXT) -> list[Phrase]:
    """Return ``words`` broken into lines of at most ``width`` pixels; the languages break on their own."""
    both = phrase(words)
    en, zh = _lines(both.en, width, size), _lines(both.zh, width, size)
    rows = max(len(en), len(zh))
    return [
        Phrase(a, b) for a, b in zip(en + [""] * (rows - len(en)), zh + [""] * (rows - len(zh)), strict=True)
    ]


def _lines(words: str, width: float, size: float) -> list[str]:
    pieces: list[str] = []
    for word in words.split(" "):
        if pieces:
            pieces.append(" ")
        run = ""
        for character in word:
            if unicodedata.east_asian_width(character) in "WF" and unicodedata.category(character)[0] != "P":
                pieces += [run, character] if run else [character]
                run = ""
            else:
                run += character
        if run:
            pieces.append(run)
    lines, current = [], ""
    for piece in pieces:
        closing = len(piece) > 0 and unicodedata.category(piece[0]) in ("Po", "Pe", "Pf")
        if current and not closing and text_width(current + piece, size) > width:
            lines.append(current.strip())
            current = ""
        current += piece
    return [*lines, current.strip()]


def hatch(identity: str, color: str, background: str) -> Markup:
    """Return a hatching to fill with ``url(#identity)``."""
    stripes = rect(0, 0, 6, 6, background) + line(0, 0, 0, 6, color, 3)
    return element(
        "pattern",
        stripes,
        id=identity,
        width=6,
        height=6,
        patternUnits="userSpaceOnUse",
        patternTransform="rotate(45)",
    )


def svg(
    voice: Voice,
    size: Size,
    height: float,
    parts: Iterable[Markup],
    *,
    name: str,
    title: Words,
    description: Words,
) -> Markup:
    """Return a drawing with a name and a description that a screen reader reads.

    Args:
      voice: Languages of the page.
      size: Width and name of the variant.
      height: In pixels.
      parts: Elements, first one at the bottom.
      name: Unique on the page; ids inside the drawing begin with it.
      title: Short name.
      description: What a reader who does not see the figure needs to know.
    """
    identity = f"{name}-{size.name}"
    inner = Markup('<title id="{0}-t">{1}</title><desc id="{0}-d">{2}</desc>').format(
        identity, voice.plain(title), voice.plain(description)
    )
    return element(
        "svg",
        inner + Markup("").join(parts),
        xmlns="http://www.w3.org/2000/svg",
        class_=f"drawing {size.name}",
        viewBox=f"0 0 {number(size.width)} {number(height)}",
        role="img",
        aria_labelledby=f"{identity}-t {identity}-d",
        font_family=look.FONTS,
    )


def drawn(
    voice: Voice, pieces: Callable[[Size], Pieces], *, name: str, title: Words, description: Words
) -> tuple[Markup, ...]:
    """Return the drawing in every size of `look.SIZES`.

    Args:
      voice: Languages of the page.
      pieces: Height and elements of the drawing in one size.
      name: Unique on the page.
      title: Short name.
      description: For a reader who does not see the figure.
    """
    made = []
    for size in look.SIZES:
        height, parts = pieces(size)
        made.append(svg(voice, size, height, parts, name=name, title=title, description=description))
    return tuple(made)


def time_ticks(last: float, most: int) -> tuple[float, Sequence[float]]:
    """Return the unit of a time axis in days and its ticks in that unit.

    Args:
      last: End of the axis, in days, above 0.
      most: How many labels fit, at least 2.

    Returns:
      A month (30.4375 days) or a day, and multiples of a round step from 0 to the end.
    """
    month = DAYS_PER["month"]
    unit, steps = (
        (month, (1, 2, 3, 6, 12, 24, 36, 60, 120, 240)) if last > 3 * month else (1.0, (1, 2, 5, 7, 14, 30))
    )
    end = last / unit + 1e-6
    step = next((s for s in steps if end / s + 1 <= most), None) or end / max(1, most - 1)
    return unit, [step * i for i in range(int(end / step) + 1)]
