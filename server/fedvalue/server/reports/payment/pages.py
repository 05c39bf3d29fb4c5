"""Pages of payment: a budget impact with all its figures."""

from __future__ import annotations

from decimal import Decimal

from fedvalue.payment.fund import impact as fund_impact
from fedvalue.payment.fund.what_if import Answer
from fedvalue.server.reports.drawing import Table
from fedvalue.server.reports.formats import money, percent
from fedvalue.server.reports.payment import impact, sensitivity
from fedvalue.server.reports.sheet import Part, Sheet
from fedvalue.server.reports.wording import Phrase, Voice


def impact_sheet(found: Answer, voice: Voice) -> Sheet:
    """Return the page of a budget-impact question.

    Args:
      found: The question, answered.
      voice: Languages.
    """
    question = found.question
    scenario = fund_impact.LABELS[question.scenario]
    total = money(sum((y.impact.impact for y in found.years), Decimal(0)), question.currency, voice)
    over = [each for each in found.years if each.redline.verdict != "kept"]
    told = voice(
        "impact.lead_over" if over else "impact.lead_kept",
        total=total,
        redline=percent(float(question.redline)),
        years=", ".join(str(each.impact.year) for each in over),
    )
    return Sheet(
        kicker=voice("impact.kicker"),
        title=Phrase(question.title.read("en"), question.title.read("zh")),
        meta=Phrase(scenario["en"], scenario["zh"]),
        parts=(
            Part(
                "impact",
                voice("impact.title"),
                (told, voice("impact.only_looks")),
                (impact.figure(found, voice, "impact"),),
            ),
            Part(
                "solvency",
                voice("solvency.title"),
                (voice("solvency.lead"),),
                tables=(_solvency(found, voice),),
            ),
            Part("stresses", voice("stress.title"), figures=(sensitivity.stresses(found, voice, "stress"),)),
            Part("tornado", voice("tornado.title"), figures=(sensitivity.tornado(found, voice, "tornado"),)),
            Part("heat", voice("heat.title"), figures=(sensitivity.heat_map(found, voice, "heat"),)),
        ),
    )


def _solvency(found: Answer, voice: Voice) -> Table:
    currency = found.question.currency
    head = tuple(
        voice(f"table.{column}")
        for column in (
            "year",
            "surplus_rate",
            "surplus_without",
            "months_left",
            "var95",
            "shortfall",
            "breaking",
        )
    )
    rows = tuple(
        (
            str(each.impact.year),
            Phrase.same(percent(float(each.solvency.surplus_rate)))
            + (voice("solvency.warning") if each.solvency.warning else Phrase.same("")),
            percent(float(each.solvency_without.surplus_rate)),
            f"{each.solvency.months}",
            money(Decimal(round(each.tail.value_at_risk)), currency, voice),
            money(Decimal(round(each.tail.expected_shortfall)), currency, voice),
            "\u2013" if each.breaking_uptake is None else percent(float(each.breaking_uptake)),
        )
        for each in found.years
    )
    return Table(voice("solvency.title"), head, rows, frozenset({1}))
