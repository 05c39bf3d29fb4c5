"""Figures of a model's card: observed against predicted risk by group, and the decision curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fedvalue.analyses.estimate import Series
from fedvalue.server.reports import look
from fedvalue.server.reports.drawing import Figure, Pieces, Table, circle, drawn, line, path
from fedvalue.server.reports.formats import number, percent
from fedvalue.server.reports.look import Size
from fedvalue.server.reports.payment.chart import Entry, axes, frame, key, points, ticks
from fedvalue.server.reports.wording import Voice, Words

MOST_LINES = len(look.STROKES)


def reliability(groups: Sequence[tuple[Words, Series]], voice: Voice, name: str) -> Figure:
    """Draw observed shares against mean predictions, one line a group, with 95 % intervals of the first.

    Args:
      groups: What each group is called, and its line; the first is everybody.
      voice: Languages.
      name: Unique on the page.
    """
    shown = groups[:MOST_LINES]
    title = voice("model.reliability")

    def pieces(size: Size) -> Pieces:
        used, parts = key(
            voice,
            size,
            [
                *(
                    Entry(group, color=look.stroke(i).color, dash=look.stroke(i).dash)
                    for i, (group, _) in enumerate(shown)
                ),
                Entry(voice("calibration.perfect"), color=look.MUTED, dash="2 3"),
            ],
        )
        most = min(1.0, 1.1 * max(max((*s.x, *s.values, *s.upper)) for _, s in shown))
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
        for i, (_, series) in enumerate(shown):
            style = look.stroke(i)
            drawing = points(list(series.x), list(series.values), area)
            parts.append(path(drawing, color=style.color, dash=style.dash, width=2))
            for at, value in enumerate(series.values):
                if i == 0 and series.lower:
                    low, high = series.lower[at], series.upper[at]
                    parts.append(
                        line(area.x(series.x[at]), area.y(low), area.x(series.x[at]), area.y(high),
                             style.color, 1.2)
                    )  # fmt: skip
                parts.append(circle(area.x(series.x[at]), area.y(value), 3.5, style.color))
        return area.bottom + 48, parts

    return Figure(
        voice("model.reliability_caption"),
        drawn(voice, pieces, name=name, title=title, description=voice("model.reliability_caption")),
        _table(shown, title, voice),
    )


def decision_curve(lines: Mapping[str, Series], voice: Voice, name: str) -> Figure:
    """Draw the net benefit of acting on the model, of acting on everybody, and on nobody.

    Args:
      lines: ``net benefit`` and ``net benefit of treating everybody``.
      voice: Languages.
      name: Unique on the page.
    """
    title = voice("model.decision_curve")
    labels = {key_: voice.matched("estimate_pattern", key_) for key_ in lines}

    def pieces(size: Size) -> Pieces:
        used, parts = key(
            voice,
            size,
            [
                Entry(labels[one], color=look.stroke(i).color, dash=look.stroke(i).dash)
                for i, one in enumerate(lines)
            ],
        )
        top = max(max(series.values) for series in lines.values())
        low, high = -0.25 * max(top, 0.01), 1.1 * max(top, 0.01)
        ends = (min(s.x[0] for s in lines.values()), max(s.x[-1] for s in lines.values()))
        area = frame(size, ends, (low, high), top=used + 30, height=260)
        parts += axes(
            voice,
            area,
            [(v, percent(v)) for v in ticks(*ends, size.ticks)] if ends[1] > ends[0] else [],
            [(v, number(v, 2)) for v in ticks(low, high, 6)],
            across_title=voice("model.threshold"),
            up_title=voice.matched("estimate_pattern", "net benefit"),
            zero=True,
        )
        for i, series in enumerate(lines.values()):
            kept = [(x, y) for x, y in zip(series.x, series.values, strict=True) if y >= low]
            if len(kept) > 1:
                xs, ys = zip(*kept, strict=True)
                style = look.stroke(i)
                parts.append(
                    path(points(list(xs), list(ys), area), color=style.color, dash=style.dash, width=2)
                )
        return area.bottom + 48, parts

    return Figure(
        voice("model.decision_caption"),
        drawn(voice, pieces, name=name, title=title, description=voice("model.decision_caption")),
        _table([(labels[one], series) for one, series in lines.items()], title, voice),
    )


def told(value: float, unit: str) -> str:
    """Return a figure of a card: shares in percent, others to three digits; its name says the unit."""
    return percent(value) if unit == "probability" else number(value, 3)


def _table(lines: Sequence[tuple[Words, Series]], title: Words, voice: Voice) -> Table:
    rows = tuple(
        (
            name, percent(x), told(series.values[i], series.unit),
            voice("estimate.range", low=told(series.lower[i], series.unit),
                  high=told(series.upper[i], series.unit)) if series.lower else "\u2013",
        )
        for name, series in lines
        for i, x in enumerate(series.x)
    )  # fmt: skip
    head = tuple(voice(f"table.{word}") for word in ("group", "place", "estimate", "interval"))
    return Table(title, head, rows)
