"""Budget impact over the years: spend with and without the decision, and the growth it leaves to the redline.

Two panels share the years. Above, two bars a year: the fund line without the decision and with it. Below,
growth with a ribbon of two standard deviations (sampling and privacy together) and the redline across.
"""

from __future__ import annotations

from decimal import Decimal

from markupsafe import Markup

from fedvalue.payment.fund.what_if import Answer
from fedvalue.server.reports import look
from fedvalue.server.reports.drawing import (
    Figure,
    Pieces,
    Table,
    circle,
    drawn,
    hatch,
    line,
    path,
    rect,
    text,
)
from fedvalue.server.reports.formats import money, percent, probability
from fedvalue.server.reports.look import Size
from fedvalue.server.reports.payment.chart import (
    Entry,
    axes,
    frame,
    key,
    points,
    ribbon,
    short,
    signed,
    ticks,
)
from fedvalue.server.reports.wording import Voice

WITHOUT, WITH = "#9fb3c2", look.SAMPLING


def figure(found: Answer, voice: Voice, name: str) -> Figure:
    """Draw the impact by year.

    Args:
      found: A budget-impact question, answered.
      voice: Languages.
      name: Unique on the page.
    """
    question, years = found.question, found.years
    worst = max(years, key=lambda each: each.redline.probability)
    told = voice(
        "impact.alt",
        years=str(len(years)),
        total=money(sum((y.impact.impact for y in years), start=Decimal(0)), question.currency, voice),
        year=str(worst.impact.year),
        p=probability(worst.redline.probability),
        redline=percent(float(question.redline)),
    )
    head = tuple(
        voice(f"table.{column}")
        for column in (
            "year", "fund_without", "fund_with", "impact", "growth_with", "growth_without", "over_with",
            "over_without", "redline",
        )
    )  # fmt: skip
    rows = tuple(
        (
            str(each.impact.year),
            money(each.impact.fund_base, question.currency, voice),
            money(each.impact.fund_spend, question.currency, voice),
            money(each.impact.impact, question.currency, voice),
            percent(float(each.impact.growth)),
            percent(float(each.impact.growth_without)),
            probability(each.redline.probability),
            probability(each.redline.probability_without),
            voice(f"impact.{each.redline.verdict}"),
        )
        for each in years
    )
    title = voice("impact.title")
    return Figure(
        voice("impact.caption", redline=percent(float(question.redline)), q=percent(float(question.q))),
        drawn(
            voice, lambda size: _pieces(found, voice, size, name), name=name, title=title, description=told
        ),
        Table(title, head, rows, frozenset({8})),
    )


def _pieces(found: Answer, voice: Voice, size: Size, name: str) -> Pieces:
    question = found.question
    pattern = f"{name}-{size.name}-with"
    used, parts = key(
        voice,
        size,
        [
            Entry(voice("impact.key_without"), fill=WITHOUT),
            Entry(voice("impact.key_with"), fill=f"url(#{pattern})", color=WITH),
            Entry(voice("impact.key_growth"), color=look.NOT_MET),
            Entry(voice("impact.key_growth_without"), color=look.MUTED, dash="2 3"),
            Entry(voice("impact.key_redline"), color=look.ALARM, dash="7 3"),
        ],
    )
    parts.insert(0, hatch(pattern, WITH, "#d6e6f2"))
    years = [each.impact.year for each in found.years]
    across = (years[0] - 0.6, years[-1] + 0.6)
    most = max(float(max(e.impact.fund_spend, e.impact.fund_base)) for e in found.years)
    money_area = frame(size, across, (0.0, most * 1.12), top=used + 34, height=200)
    parts += axes(
        voice,
        money_area,
        [],
        [(v, short(v)) for v in ticks(0.0, most * 1.12, 5)],
        up_title=voice("impact.axis", currency=question.currency),
    )
    wide = 0.3 * (money_area.x(years[0] + 1) - money_area.x(years[0]))
    for each in found.years:
        middle, floor = money_area.x(each.impact.year), money_area.y(0.0)
        bars = ((-wide, each.impact.fund_base, WITHOUT), (0.0, each.impact.fund_spend, pattern))
        for shift, amount, fill in bars:
            top = money_area.y(float(amount))
            color = f"url(#{fill})" if fill == pattern else fill
            border = WITH if fill == pattern else ""
            parts.append(rect(middle + shift, top, wide, floor - top, color, border=border))
        told = signed(float(each.impact.impact))
        top = money_area.y(float(max(each.impact.fund_spend, each.impact.fund_base)))
        parts.append(
            text(voice, middle, top - 6, told, anchor="middle", size=look.SMALL, bold=True, halo=True)
        )
    bottom, below = _growth(found, voice, size, money_area.bottom + 52, across)
    return bottom, parts + below


def _growth(
    found: Answer, voice: Voice, size: Size, top: float, across: tuple[float, float]
) -> tuple[float, list[Markup]]:
    question = found.question
    sd = float(question.growth_sd**2 + question.growth_privacy_sd**2) ** 0.5
    years = [float(each.impact.year) for each in found.years]
    growth = [float(each.impact.growth) for each in found.years]
    without = [float(each.impact.growth_without) for each in found.years]
    redline = float(question.redline)
    low = min(*growth, *without, redline, 0.0) - 2 * sd
    high = max(*growth, *without, redline) + 2 * sd
    area = frame(size, across, (low - 0.005, high + 0.005), top=top, height=170)
    parts = axes(
        voice,
        area,
        [(year, f"{year:.0f}") for year in years],
        [(v, percent(v)) for v in ticks(low - 0.005, high + 0.005, 6)],
        up_title=voice("impact.axis_growth"),
        zero=True,
    )
    spread = ([g - 2 * sd for g in growth], [g + 2 * sd for g in growth])
    if len(years) > 1 and sd:
        parts.append(path(ribbon(years, *spread, area), fill=look.NOT_MET, opacity=0.14))
    parts += [
        path(points(years, without, area), color=look.MUTED, dash="2 3", width=2),
        path(points(years, growth, area), color=look.NOT_MET, width=2.4),
        line(area.x.left, area.y(redline), area.x.right, area.y(redline), look.ALARM, 1.8, "7 3"),
        text(
            voice, area.x.right, area.y(redline) - 6, voice("impact.redline_at", redline=percent(redline)),
            anchor="end", size=look.SMALL, color=look.ALARM, bold=True, halo=True,
        ),
    ]  # fmt: skip
    for year, value, each in zip(years, growth, found.years, strict=True):
        fill = look.PAPER if each.redline.verdict == "kept" else look.NOT_MET
        parts.append(circle(area.x(year), area.y(value), 5, fill, look.NOT_MET))
    return area.bottom + 30, parts
