"""How sure the answer is: the probability on a bar with thresholds and the guard band between them."""

from __future__ import annotations

from markupsafe import Markup

from fedvalue.payment.decision import Decision
from fedvalue.server.reports import formats, look
from fedvalue.server.reports.drawing import (
    Anchor,
    Figure,
    Pieces,
    Table,
    drawn,
    hatch,
    line,
    path,
    rect,
    text,
)
from fedvalue.server.reports.formats import level
from fedvalue.server.reports.look import Size
from fedvalue.server.reports.wording import Phrase, Voice

TOP, THICK, HEIGHT = 40.0, 26.0, 110.0


def figure(decision: Decision, voice: Voice, name: str) -> Figure | None:
    """Draw the probability that the threshold is met.

    Under rule D1 the bar is divided at ``p_not`` and ``p_met``; the guard band between them is where the
    evidence carries neither answer. Under D2 the guard band lies around the threshold, in the figure of
    the estimate, and this bar is undivided.

    Args:
      decision: The decision.
      voice: Languages.
      name: Unique on the page.

    Returns:
      The figure, or None where the stratum was not estimated and there is no probability.
    """
    if decision.finding is None:
        return None
    chance = decision.finding.probability
    limits = (float(decision.rule.p_not), float(decision.rule.p_met))
    words = {"p": formats.probability(chance), "not_met": level(limits[0]), "met": level(limits[1])}
    title, kind = voice("probability.title"), decision.rule.name.lower()
    rows = (
        (voice("probability.met"), words["p"]),
        (voice(f"probability.upper_{kind}"), words["met"]),
        (voice(f"probability.lower_{kind}"), words["not_met"]),
    )
    return Figure(
        voice(f"probability.caption_{kind}", **words),
        drawn(
            voice,
            lambda size: _pieces(chance, limits if kind == "d1" else None, voice, size, name),
            name=name,
            title=title,
            description=voice(f"probability.alt_{kind}", **words),
        ),
        Table(title, (voice("table.quantity"), voice("table.value")), rows),
    )


def joint(chance: float, limits: tuple[float, float], voice: Voice, name: str) -> Figure:
    """Draw the probability that several criteria are met together, under rule D1.

    Args:
      chance: P(all are met).
      limits: ``p_not`` and ``p_met``.
      voice: Languages.
      name: Unique on the page.
    """
    title = voice("probability.title_joint")
    words = {"p": formats.probability(chance), "not_met": level(limits[0]), "met": level(limits[1])}
    rows = (
        (voice("probability.title_joint"), words["p"]),
        (voice("probability.upper_d1"), words["met"]),
        (voice("probability.lower_d1"), words["not_met"]),
    )
    return Figure(
        voice("probability.caption_d1", **words),
        drawn(
            voice,
            lambda size: _pieces(chance, limits, voice, size, name),
            name=name,
            title=title,
            description=voice("probability.alt_d1", **words),
        ),
        Table(title, (voice("table.quantity"), voice("table.value")), rows),
    )


def in_words(probability: float, voice: Voice) -> Phrase:
    """Return a probability for a sentence: ``87.0%``, ``over 99.9%``."""
    shown = formats.probability(probability)
    if shown[0] in "<>":
        return voice("probability.over" if shown[0] == ">" else "probability.under")
    return Phrase.same(shown)


def _pieces(
    probability: float, limits: tuple[float, float] | None, voice: Voice, size: Size, name: str
) -> Pieces:
    left, right = 10.0, size.width - 10
    bottom = TOP + THICK

    def x(p: float) -> float:
        return left + p * (right - left)

    parts: list[Markup] = []
    marks: tuple[float, ...] = (0.0, 1.0)
    if limits is None:
        parts.append(rect(left, TOP, right - left, THICK, look.PANEL))
    else:
        low, high = x(limits[0]), x(limits[1])
        band = f"{name}-{size.name}-band"
        parts += [
            hatch(band, "#f0dfae", look.INSUFFICIENT_TINT),
            rect(left, TOP, low - left, THICK, look.NOT_MET_TINT),
            rect(low, TOP, high - low, THICK, f"url(#{band})"),
            rect(high, TOP, right - high, THICK, look.MET_TINT),
            line(low, TOP - 3, low, bottom + 5, look.NOT_MET, 1.5),
            line(high, TOP - 3, high, bottom + 5, look.MET, 1.5),
            text(
                voice,
                left,
                bottom + 37,
                voice("answer.not_met"),
                color=look.NOT_MET,
                bold=True,
                size=look.SMALL,
            ),
            text(
                voice,
                (low + high) / 2,
                bottom + 37,
                voice("probability.band" if size.narrow else "probability.band_wide"),
                anchor="middle",
                color=look.INSUFFICIENT,
                bold=True,
                size=look.SMALL,
            ),
            text(
                voice,
                right,
                bottom + 37,
                voice("answer.met"),
                anchor="end",
                color=look.MET,
                bold=True,
                size=look.SMALL,
            ),
        ]
        marks = (0.0, *limits, 1.0)
    parts.append(rect(left, TOP, right - left, THICK, "none", border=look.MUTED))
    shown = [m for m in marks if m in (limits or marks) or all(abs(x(m) - x(o)) > 34 for o in limits or ())]
    for mark in shown:
        anchor: Anchor = "start" if mark == 0 else "end" if mark == 1 else "middle"
        parts.append(
            text(
                voice,
                x(mark),
                bottom + 19,
                f"{100 * mark:g}%",
                anchor=anchor,
                size=look.SMALL,
                color=look.MUTED,
            )
        )
    return HEIGHT, [*parts, *_marker(x(probability), probability, voice, size)]


def _marker(at: float, probability: float, voice: Voice, size: Size) -> list[Markup]:
    anchor: Anchor = "start" if at < 30 else "end" if at > size.width - 30 else "middle"
    edge = at - 8 if anchor == "start" else at + 8 if anchor == "end" else at
    return [
        path(f"M{at:.1f} {TOP - 1:.1f}l-7 -11h14z", fill=look.INK),
        line(at, TOP - 2, at, TOP + THICK + 2, look.INK, 2.5),
        text(voice, edge, TOP - 17, formats.probability(probability), anchor=anchor, size=17, bold=True),
    ]
