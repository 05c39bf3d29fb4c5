"""What moves a budget impact: a tornado of one-way ranges, a heat map of price and uptake, the stress set."""

from __future__ import annotations

from decimal import Decimal

from markupsafe import Markup

from fedvalue.payment.fund.stress import Outcome
from fedvalue.payment.fund.what_if import STEPS, SWING, Answer
from fedvalue.server.reports import look
from fedvalue.server.reports.drawing import (
    Axis,
    Figure,
    Pieces,
    Table,
    drawn,
    fitted,
    hatch,
    line,
    rect,
    text,
    text_width,
)
from fedvalue.server.reports.formats import level, money, whole
from fedvalue.server.reports.look import Size
from fedvalue.server.reports.payment.chart import Entry, key, short, signed, ticks
from fedvalue.server.reports.wording import Phrase, Voice, Words

ROW, THICK = 34.0, 20.0
LOW, HIGH = "#c8d6e0", look.SAMPLING


def tornado(found: Answer, voice: Voice, name: str) -> Figure:
    """Draw the impact of all years at the low and the high end of each parameter, longest bar first.

    Args:
      found: A budget-impact question, answered.
      voice: Languages.
      name: Unique on the page.
    """
    bars, currency = found.tornado, found.question.currency
    total = float(sum((each.impact.impact for each in found.years), Decimal(0)))
    rows = [(voice(f"parameter.{bar.name}"), bar.at_low, bar.at_high) for bar in bars]
    title = voice("tornado.title")
    words: dict[str, Words] = {"swing": level(SWING), "first": rows[0][0], "least": rows[-1][0]}
    table = tuple(
        (
            label,
            _money(low, currency, voice),
            _money(high, currency, voice),
            _money(abs(high - low), currency, voice),
        )
        for label, low, high in rows
    )
    head = tuple(voice(f"table.{column}") for column in ("parameter", "at_low", "at_high", "swing"))
    return Figure(
        voice("tornado.caption", **words),
        drawn(
            voice,
            lambda size: _tornado(rows, total, voice, size, name),
            name=name,
            title=title,
            description=voice("tornado.alt", **words),
        ),
        Table(title, head, table),
    )


def _money(amount: float, currency: str, voice: Voice) -> Phrase:
    return money(Decimal(round(amount)), currency, voice)


def _tornado(
    rows: list[tuple[Phrase, float, float]], total: float, voice: Voice, size: Size, name: str
) -> Pieces:
    pattern = f"{name}-{size.name}-high"
    used, parts = key(
        voice,
        size,
        [
            Entry(voice("tornado.key_low", swing=level(SWING)), fill=LOW, color=look.MUTED),
            Entry(voice("tornado.key_high", swing=level(SWING)), fill=f"url(#{pattern})", color=HIGH),
        ],
    )
    parts.insert(0, hatch(pattern, HIGH, "#d6e6f2"))
    ends = [total, *(value for _, *both in rows for value in both)]
    spread = (0.34 if size.narrow else 0.16) * (max(ends) - min(ends) or 1.0)
    x = Axis(min(ends) - spread, max(ends) + spread, 0.0 if size.narrow else 150.0, size.width - 6)
    top = used + 28
    for i, (label, at_low, at_high) in enumerate(rows):
        y = top + i * (ROW + (18.0 if size.narrow else 0.0)) + (16.0 if size.narrow else 0.0)
        room = size.width if size.narrow else x.left - 12
        parts.append(
            text(voice, 0, y - 5 if size.narrow else y + 15, fitted(label, room, look.SMALL), size=look.SMALL)
        )
        for value, fill, border in ((at_low, LOW, look.MUTED), (at_high, f"url(#{pattern})", HIGH)):
            left, right = sorted((x(total), x(value)))
            parts.append(rect(left, y, right - left, THICK, fill, border=border))
            beside = -6 if value < total else 6
            parts.append(
                text(
                    voice,
                    x(value) + beside,
                    y + 15,
                    short(value),
                    anchor="end" if beside < 0 else "start",
                    size=look.SMALL,
                    halo=True,
                )
            )
    bottom = top + len(rows) * (ROW + (18.0 if size.narrow else 0.0))
    parts += [
        line(x(total), top - 6, x(total), bottom - 4, look.INK, 1.5),
        text(voice, x(total), top - 12, short(total), anchor="middle", size=look.SMALL, bold=True, halo=True),
    ]
    for value in ticks(x.start, x.end, size.ticks - 1):
        parts += [
            line(x(value), bottom, x(value), bottom + 5, look.MUTED),
            text(
                voice, x(value), bottom + 19, short(value), anchor="middle", size=look.SMALL, color=look.MUTED
            ),
        ]
    parts.append(line(x.left, bottom, x.right, bottom, look.MUTED, 1.2))
    return bottom + 28, parts


def heat_map(found: Answer, voice: Voice, name: str) -> Figure:
    """Draw the impact of all years by factor on price (down) and on uptake (across); every cell is written.

    Args:
      found: A budget-impact question, answered.
      voice: Languages.
      name: Unique on the page.
    """
    cells, currency = found.heat_map, found.question.currency
    title = voice("heat.title")
    head = (voice("heat.corner"), *(Phrase.same(f"\u00d7 {step:g}") for step in STEPS))
    rows: tuple[tuple[Words, ...], ...] = tuple(
        (f"\u00d7 {step:g}", *(_money(value, currency, voice) for value in row))
        for step, row in zip(STEPS, cells, strict=True)
    )
    return Figure(
        voice("heat.caption"),
        drawn(
            voice,
            lambda size: _heat(cells, voice, size),
            name=name,
            title=title,
            description=voice("heat.alt", low=short(min(map(min, cells))), high=short(max(map(max, cells)))),
        ),
        Table(title, head, rows),
    )


def _heat(cells: tuple[tuple[float, ...], ...], voice: Voice, size: Size) -> Pieces:
    left, top = (44.0, 46.0) if size.narrow else (90.0, 46.0)
    width = (size.width - left) / len(STEPS)
    height = 40.0
    worst = max(abs(value) for row in cells for value in row) or 1.0
    parts: list[Markup] = [
        text(voice, left, 14, voice("heat.across"), size=look.SMALL, color=look.MUTED),
        text(voice, 0, 34, voice("heat.down"), size=look.SMALL, color=look.MUTED),
    ]
    for j, step in enumerate(STEPS):
        middle = left + (j + 0.5) * width
        parts.append(text(voice, middle, 36, f"\u00d7 {step:g}", anchor="middle", size=look.SMALL))
    for i, (step, row) in enumerate(zip(STEPS, cells, strict=True)):
        y = top + i * height
        parts.append(text(voice, left - 8, y + 25, f"\u00d7 {step:g}", anchor="end", size=look.SMALL))
        for j, value in enumerate(row):
            share = abs(value) / worst
            fill = _mixed(look.NOT_MET if value > 0 else look.SAMPLING, share)
            ink = look.PAPER if share > 0.78 else look.INK
            parts += [
                rect(left + j * width + 1, y + 1, width - 2, height - 2, fill, border=look.HAIRLINE),
                text(
                    voice,
                    left + (j + 0.5) * width,
                    y + 25,
                    signed(value),
                    anchor="middle",
                    size=11.5 if size.narrow else look.SMALL,
                    color=ink,
                    bold=step == 1.0 and STEPS[j] == 1.0,
                ),
            ]
    return top + height * len(STEPS) + 6, parts


def _mixed(color: str, share: float) -> str:
    """Return ``color`` over white in proportion to ``share``, between 0 and 1."""
    channels = (int(color[k : k + 2], 16) for k in (1, 3, 5))
    return "#" + "".join(f"{round(255 - share * (255 - channel)):02x}" for channel in channels)


def stresses(found: Answer, voice: Voice, name: str) -> Figure:
    """Draw the impact of all years under each stress; a crossed redline is told in words, with the years.

    Args:
      found: A budget-impact question, answered.
      voice: Languages.
      name: Unique on the page.
    """
    outcomes = found.stresses
    title = voice("stress.title")
    over = [outcome for outcome in outcomes if outcome.over_redline]
    head = tuple(voice(f"table.{column}") for column in ("stress", "impact", "years_over"))
    rows = tuple(
        (_label(each), _money(_total(each), found.question.currency, voice), _years(each, voice))
        for each in outcomes
    )
    return Figure(
        voice("stress.caption"),
        drawn(
            voice,
            lambda size: _stresses(outcomes, voice, size),
            name=name,
            title=title,
            description=voice("stress.alt", n=whole(len(outcomes)), over=whole(len(over))),
        ),
        Table(title, head, rows, frozenset({2})),
    )


def _label(outcome: Outcome) -> Phrase:
    return Phrase(outcome.stress.en, outcome.stress.zh)


def _total(outcome: Outcome) -> float:
    return float(sum((year.impact for year in outcome.years), Decimal(0)))


def _years(outcome: Outcome, voice: Voice) -> Words:
    return ", ".join(map(str, outcome.over_redline)) or voice("stress.none")


def _told(outcome: Outcome, voice: Voice) -> Phrase:
    told = signed(_total(outcome))
    if not outcome.over_redline:
        return told
    return told + Phrase.same(" \u00b7 ") + voice("stress.over", years=_years(outcome, voice))


def _stresses(outcomes: tuple[Outcome, ...], voice: Voice, size: Size) -> Pieces:
    totals, told = [_total(outcome) for outcome in outcomes], [_told(outcome, voice) for outcome in outcomes]
    room = max(text_width(words, look.SMALL) for phrase in told for words in (phrase.en, phrase.zh))
    left = 0.0 if size.narrow else 280.0
    x = Axis(min(*totals, 0.0), max(*totals, 0.0) or 1.0, left, max(left + 90, size.width - room - 8))
    parts: list[Markup] = []
    step = 46.0 if size.narrow else 30.0
    for i, (outcome, total) in enumerate(zip(outcomes, totals, strict=True)):
        top = 6 + i * step
        bar = top + 17 if size.narrow else top
        label = fitted(_label(outcome), size.width if size.narrow else left - 14, look.SMALL)
        start, end = sorted((x(0.0), x(total)))
        fill = look.NOT_MET if outcome.over_redline else "#9fb3c2"
        parts += [
            text(voice, 0, top + 13, label, size=look.SMALL),
            rect(start, bar, end - start, 17, fill),
            text(voice, end + 6, bar + 13, told[i], size=look.SMALL, halo=True),
        ]
    bottom = 6 + step * len(outcomes)
    parts.append(line(x(0.0), 2, x(0.0), bottom, look.MUTED, 1.2))
    return bottom + 6, parts
