"""Cost-effectiveness over a grid of willingness to pay: acceptability, its frontier, value of information.

No official threshold exists everywhere, so k is an axis, never a single number. CEAC: the probability that
an option has the highest net benefit; CEAF follows the option with the highest *expected* net benefit. EVPI
is what perfect information would be worth per person; its peak is where the decision is hardest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from fedvalue.payment.economics.net_benefit import Acceptability
from fedvalue.server.reports import look
from fedvalue.server.reports.drawing import Figure, Pieces, Table, circle, drawn, line, path, text
from fedvalue.server.reports.formats import number, probability
from fedvalue.server.reports.look import Size
from fedvalue.server.reports.payment.chart import Entry, Frame, axes, frame, key, points, short, ticks
from fedvalue.server.reports.wording import Phrase, Voice, Words, joined

TABLE_ROWS = 12


def figure(
    found: Acceptability, voice: Voice, name: str, *, currency: str, marks: Sequence[float] = ()
) -> Figure:
    """Draw the acceptability curves and, thick, the frontier.

    Args:
      found: Over a grid of k.
      voice: Languages.
      name: Unique on the page.
      currency: Of k, per QALY.
      marks: Values of k that a payer asked about.
    """
    title = voice("ceac.title")
    last = found.best[-1]
    kept = _rows(len(found.grid))
    head = (
        voice("table.k"),
        *(Phrase.same(option) for option in found.options),
        voice("table.best"),
        voice("table.ceaf"),
    )
    rows = tuple(
        (
            number(float(found.grid[i]), 6),
            *(probability(float(p)) for p in found.ceac[i]),
            found.best[i],
            probability(float(found.ceaf[i])),
        )
        for i in kept
    )
    switches = [
        voice("ceac.switch", option=option, k=short(float(k)))
        for before, option, k in zip(found.best, found.best[1:], found.grid[1:], strict=False)
        if before != option
    ]
    told = voice(
        "ceac.alt",
        first=found.best[0],
        switches=joined(switches, "; ") if switches else voice("ceac.no_switch"),
        last=last,
        p=probability(float(found.ceaf[-1])),
    )
    return Figure(
        voice("ceac.caption"),
        drawn(
            voice,
            lambda size: _pieces(found, voice, size, currency, marks),
            name=name,
            title=title,
            description=told,
        ),
        Table(title, head, rows, frozenset({len(found.options) + 1})),
    )


def _rows(n: int) -> list[int]:
    every = -(-n // TABLE_ROWS)
    return sorted({*range(0, n, every), n - 1})


def _pieces(found: Acceptability, voice: Voice, size: Size, currency: str, marks: Sequence[float]) -> Pieces:
    grid = [float(k) for k in found.grid]
    used, parts = key(
        voice,
        size,
        [
            *(
                Entry(option, color=look.stroke(i).color, dash=look.stroke(i).dash)
                for i, option in enumerate(found.options)
            ),
            Entry(voice("ceac.frontier"), color=look.INK),
        ],
    )
    area = frame(size, (grid[0], grid[-1]), (0.0, 1.0), top=used + 30)
    parts += axes(
        voice,
        area,
        [(k, short(k)) for k in ticks(grid[0], grid[-1], size.ticks - 1)],
        [(p, f"{100 * p:g}%") for p in (0.0, 0.25, 0.5, 0.75, 1.0)],
        across_title=voice("ceac.axis", currency=currency),
        up_title=voice("ceac.axis_up"),
    )
    parts.append(path(points(grid, [float(p) for p in found.ceaf], area), color="#d5dbe0", width=8))
    for i in range(len(found.options)):
        style = look.stroke(i)
        parts.append(
            path(
                points(grid, [float(p) for p in found.ceac[:, i]], area),
                color=style.color,
                dash=style.dash,
                width=2.2,
            )
        )
    parts.append(path(points(grid, [float(p) for p in found.ceaf], area), color=look.INK, width=1.1))
    for k in marks:
        if grid[0] <= k <= grid[-1]:
            parts += _mark(k, area, voice)
    return area.bottom + 48, parts


def _mark(k: float, area: Frame, voice: Voice) -> list[Markup]:
    return [
        line(area.x(k), area.bottom, area.x(k), area.y.right, look.MUTED, 1, "2 3"),
        text(voice, area.x(k), area.y.right - 3, short(k), anchor="middle", size=look.SMALL, halo=True),
    ]


def information(
    grid: Sequence[float], values: Mapping[str, Sequence[float]], voice: Voice, name: str, *, currency: str
) -> Figure:
    """Draw what information is worth per person over k: perfect, or without noise, or of more patients.

    Args:
      grid: Willingness to pay, increasing.
      values: One line a kind of information: key of the catalogue's section ``evpi``, money per person.
      voice: Languages.
      name: Unique on the page.
      currency: Of k and of the values.
    """
    title = voice("evpi.title")
    lines = list(values.items())
    first = [float(v) for v in lines[0][1]]
    peak = max(range(len(grid)), key=lambda i: first[i])
    head: tuple[Words, ...] = (voice("table.k"), *(voice(f"evpi.{kind}") for kind, _ in lines))
    rows = tuple(
        (number(grid[i], 6), *(number(float(line_[i]), 6) for _, line_ in lines)) for i in _rows(len(grid))
    )

    def pieces(size: Size) -> Pieces:
        used, parts = key(
            voice,
            size,
            [
                Entry(voice(f"evpi.{kind}"), color=look.stroke(i).color, dash=look.stroke(i).dash)
                for i, (kind, _) in enumerate(lines)
            ],
        )
        high = max(max(map(float, line_)) for _, line_ in lines) or 1.0
        area = frame(size, (grid[0], grid[-1]), (0.0, 1.1 * high), top=used + 30, height=220)
        parts += axes(
            voice,
            area,
            [(k, short(k)) for k in ticks(grid[0], grid[-1], size.ticks - 1)],
            [(v, short(v)) for v in ticks(0.0, 1.1 * high, 5)],
            across_title=voice("ceac.axis", currency=currency),
            up_title=voice("evpi.axis", currency=currency),
        )
        for i, (_, line_) in enumerate(lines):
            style = look.stroke(i)
            parts.append(
                path(
                    points(grid, [float(v) for v in line_], area),
                    color=style.color,
                    dash=style.dash,
                    width=2.2,
                )
            )
        parts.append(circle(area.x(grid[peak]), area.y(first[peak]), 4.5, look.PAPER, look.stroke(0).color))
        return area.bottom + 48, parts

    told = voice("evpi.alt", peak=short(grid[peak]), value=short(first[peak]))
    return Figure(
        voice("evpi.caption"),
        drawn(voice, pieces, name=name, title=title, description=told),
        Table(title, head, rows),
    )
