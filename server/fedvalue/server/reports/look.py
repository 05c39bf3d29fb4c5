"""The one look of every figure and report: colors, type and sizes.

Colors are Okabe and Ito's (Color Universal Design, 2008), darkened where they carry text, and never the
only sign: groups also differ in dash and in the row they stand in, parts of a bar in pattern, answers in
their mark.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Publication = Literal["internal", "parties", "public"]
"""Who may see a figure: its owner, the parties of a study or contract, everybody."""

INK = "#1b2733"
MUTED = "#51606e"
HAIRLINE = "#c9d1d9"
PANEL = "#f5f7f9"
PAPER = "#ffffff"
ACCENT = "#0b4f79"

MET = "#1a6b4a"
NOT_MET = "#9c3416"
INSUFFICIENT = "#7a5600"
MET_TINT = "#dcefe5"
NOT_MET_TINT = "#f8e3db"
INSUFFICIENT_TINT = "#fbf1d6"
ALARM = "#8f1d1d"
ALARM_TINT = "#fdeaea"

SAMPLING = "#0072b2"
PRIVACY = "#e69f00"

FONTS = (
    "'Source Sans 3','Noto Sans','Segoe UI','Helvetica Neue',Helvetica,Arial,"
    "'Noto Sans CJK SC','Noto Sans SC','Source Han Sans SC','PingFang SC','Hiragino Sans GB',"
    "'Microsoft YaHei','WenQuanYi Micro Hei',sans-serif"
)
MONOSPACE = "ui-monospace,'SFMono-Regular',Consolas,'Noto Sans Mono','Liberation Mono',monospace"

TEXT = 13.0
SMALL = 12.0
"""Sizes of type in figures, in CSS pixels at full width."""


@dataclass(frozen=True, slots=True)
class Stroke:
    """How one group is drawn.

    Attributes:
      color: Line and, lightened by opacity, ribbon.
      dash: SVG dash array; empty for a solid line.
    """

    color: str
    dash: str


STROKES = (
    Stroke("#0072b2", ""),
    Stroke("#d55e00", "7 3"),
    Stroke("#007a5a", "2 3"),
    Stroke("#8a4a86", "10 3 2 3"),
    Stroke("#5c5c00", "5 2 1 2 1 2"),
    Stroke("#333333", "1 2"),
)


def stroke(position: int) -> Stroke:
    """Return the stroke of the group at ``position``; colors repeat after six groups."""
    return STROKES[position % len(STROKES)]


@dataclass(frozen=True, slots=True)
class Size:
    """A drawing is made once for a page or a print, and once for a telephone; CSS shows the one that fits.

    Attributes:
      name: ``wide`` or ``narrow``.
      width: In CSS pixels.
      ticks: Most labels on a time axis.
    """

    name: Literal["wide", "narrow"]
    width: float
    ticks: int

    @property
    def narrow(self) -> bool:
        """True for the telephone."""
        return self.name == "narrow"


SIZES = (Size("wide", 760, 9), Size("narrow", 336, 5))


def css_variables() -> str:
    """Return the palette as CSS custom properties, so that pages and figures cannot drift apart."""
    values = {
        "ink": INK,
        "muted": MUTED,
        "hairline": HAIRLINE,
        "panel": PANEL,
        "paper": PAPER,
        "accent": ACCENT,
        "met": MET,
        "met-tint": MET_TINT,
        "not-met": NOT_MET,
        "not-met-tint": NOT_MET_TINT,
        "insufficient": INSUFFICIENT,
        "insufficient-tint": INSUFFICIENT_TINT,
        "alarm": ALARM,
        "alarm-tint": ALARM_TINT,
        "fonts": FONTS,
        "monospace": MONOSPACE,
    }
    return ":root{" + "".join(f"--{name}:{value};" for name, value in values.items()) + "}"
