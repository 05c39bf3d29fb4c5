"""Two figures of trust: whether predictions come true, and which sites differ by more than chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from scipy import stats

from fedvalue.payment.mechanisms.calibration_gate import Bin, Gate
from fedvalue.payment.mechanisms.settle import Panel
from fedvalue.server.reports import look
from fedvalue.server.reports.drawing import Figure, Pieces, Table, circle, drawn, line, path, text
from fedvalue.server.reports.formats import number, percent, probability, whole
from fedvalue.server.reports.look import Size
from fedvalue.server.reports.payment.chart import Entry, Frame, axes, frame, key, points, ticks
from fedvalue.server.reports.wording import Phrase, Voice, Words

Z = 1.959964
LIMITS = (0.95, 0.998)
"""Limits of the funnel, two-sided: about two and three standard deviations."""


def calibration(groups: Mapping[str, Sequence[Bin]], gate: Gate, voice: Voice, name: str) -> Figure:
    """Draw observed against predicted shares by bin, one line a group, with 95 % intervals of everybody.

    Args:
      groups: Released bins; the first group is everybody.
      gate: What the gates said.
      voice: Languages.
      name: Unique on the page.
    """
    title = voice("calibration.title")
    words: dict[str, Words] = {"answer": voice(f"answer.{gate.outcome}"), "n": whole(len(groups))}
    head = tuple(voice(f"table.{column}") for column in ("gate", "value", "interval", "p_inside", "answer"))
    rows = tuple(
        (
            voice("calibration.slope")
            if each.name == "slope"
            else voice("calibration.ratio", group=each.name),
            number(each.value, 3),
            voice("estimate.range", low=number(each.lower, 3), high=number(each.upper, 3)),
            probability(each.inside),
            voice(f"answer.{each.verdict}"),
        )
        for each in gate.judged
    )
    return Figure(
        voice("calibration.caption", **words),
        drawn(
            voice,
            lambda size: _calibration(groups, voice, size),
            name=name,
            title=title,
            description=voice("calibration.alt", **words),
        ),
        Table(title, head, rows, frozenset({4})),
    )


def _calibration(groups: Mapping[str, Sequence[Bin]], voice: Voice, size: Size) -> Pieces:
    used, parts = key(
        voice,
        size,
        [
            *(
                Entry(Phrase.same(group), color=look.stroke(i).color, dash=look.stroke(i).dash)
                for i, group in enumerate(groups)
            ),
            Entry(voice("calibration.perfect"), color=look.MUTED, dash="2 3"),
        ],
    )
    shares = {
        group: [(b.predicted.value / b.people.value, b.observed.value / b.people.value) for b in bins]
        for group, bins in groups.items()
    }
    most = max(max(max(pair) for pair in pairs) for pairs in shares.values()) * 1.1
    area = frame(size, (0.0, most), (0.0, most), top=used + 30, height=320)
    steps = [(v, percent(v)) for v in ticks(0.0, most, 6)]
    parts += axes(
        voice,
        area,
        steps,
        steps,
        across_title=voice("calibration.axis"),
        up_title=voice("calibration.axis_up"),
    )
    parts.append(line(area.x(0.0), area.y(0.0), area.x(most), area.y(most), look.MUTED, 1.4, "2 3"))
    for i, (group, bins) in enumerate(groups.items()):
        style = look.stroke(i)
        xs, ys = zip(*shares[group], strict=True)
        parts.append(path(points(list(xs), list(ys), area), color=style.color, dash=style.dash, width=2))
        for x, y, each in zip(xs, ys, bins, strict=True):
            if i == 0:
                n = each.people.value
                se = ((max(y * (1 - y), 0.0) * n + each.observed.noise_variance) ** 0.5) / n
                parts.append(
                    line(area.x(x), area.y(y - Z * se), area.x(x), area.y(y + Z * se), style.color, 1.2)
                )
            parts.append(circle(area.x(x), area.y(y), 3.5, style.color))
    return area.bottom + 48, parts


@dataclass(frozen=True, slots=True)
class Funnel:
    """Realised rates of institutions around one target or mean.

    Attributes:
      center: The line that the funnel closes around.
      panels: Realised counts by institution.
      missing: ``fail`` or ``exclude``.
    """

    center: float
    panels: Mapping[str, Panel]
    missing: str

    def outside(self, limit: float) -> tuple[str, ...]:
        """Return the institutions whose exact rate lies outside the exact binomial limits."""
        found = []
        for name, panel in self.panels.items():
            n, reached = _size(panel, self.missing), panel.reached
            low, high = stats.binom.interval(limit, n, self.center)
            if not low <= reached <= high:
                found.append(name)
        return tuple(found)


def _size(panel: Panel, missing: str) -> int:
    return panel.reached + panel.failed + (panel.missing if missing == "fail" else 0)


def funnel(shown: Funnel, voice: Voice, name: str) -> Figure:
    """Draw realised rates by number of patients, with limits of chance; rates come from signed statements.

    Args:
      shown: Institutions and the center.
      voice: Languages.
      name: Unique on the page.
    """
    title = voice("funnel.title")
    far = shown.outside(LIMITS[1])
    words = {"n": whole(len(shown.panels)), "out": whole(len(far)), "center": percent(shown.center)}
    head = tuple(voice(f"table.{column}") for column in ("institution", "people", "rate", "within"))
    near = shown.outside(LIMITS[0])
    rows = tuple(
        (
            institution,
            whole(_size(panel, shown.missing)),
            percent(float(panel.rate(shown.missing))),
            voice(
                "funnel.far" if institution in far else "funnel.near" if institution in near else "funnel.in"
            ),
        )
        for institution, panel in shown.panels.items()
    )

    def pieces(size: Size) -> Pieces:
        sizes = [_size(panel, shown.missing) for panel in shown.panels.values()]
        rates = [float(panel.rate(shown.missing)) for panel in shown.panels.values()]
        last = 1.08 * max(sizes)
        used, parts = key(
            voice,
            size,
            [
                Entry(voice("funnel.key_95"), color=look.MUTED, dash="7 3"),
                Entry(voice("funnel.key_998"), color=look.NOT_MET, dash="2 3"),
            ],
        )
        at = [max(2, round(last * k / 60)) for k in range(1, 61)]
        spread = 3.2 * (shown.center * (1 - shown.center) / min(sizes)) ** 0.5
        low, high = max(0.0, min(*rates, shown.center - spread)), min(1.0, max(*rates, shown.center + spread))
        area = frame(size, (0.0, last), (low, high), top=used + 30, height=280)
        parts += axes(
            voice,
            area,
            [(v, whole(v)) for v in ticks(0.0, last, size.ticks - 1)],
            [(v, percent(v)) for v in ticks(low, high, 6)],
            across_title=voice("funnel.axis"),
        )
        parts.append(
            line(area.x.left, area.y(shown.center), area.x.right, area.y(shown.center), look.INK, 1.4)
        )
        for limit, color, dash in ((LIMITS[0], look.MUTED, "7 3"), (LIMITS[1], look.NOT_MET, "2 3")):
            ends = [stats.binom.interval(limit, n, shown.center) for n in at]
            for side in (0, 1):
                ys = [float(end[side]) / n for end, n in zip(ends, at, strict=True)]
                parts.append(
                    path(points([float(n) for n in at], ys, area), color=color, dash=dash, width=1.4)
                )
        parts += _dots(shown, far, area, voice)
        return area.bottom + 48, parts

    return Figure(
        voice("funnel.caption", **words),
        drawn(voice, pieces, name=name, title=title, description=voice("funnel.alt", **words)),
        Table(title, head, rows, frozenset({3})),
    )


def _dots(shown: Funnel, far: tuple[str, ...], area: Frame, voice: Voice) -> list[Markup]:
    parts: list[Markup] = []
    for institution, panel in shown.panels.items():
        x, y = area.x(_size(panel, shown.missing)), area.y(float(panel.rate(shown.missing)))
        out = institution in far
        parts.append(
            circle(x, y, 5, look.NOT_MET if out else look.PAPER, look.NOT_MET if out else look.SAMPLING)
        )
        if out:
            parts.append(text(voice, x + 9, y + 4, Phrase.same(institution), size=look.SMALL, halo=True))
    return parts
