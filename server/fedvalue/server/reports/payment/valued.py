"""The page of a cost-effectiveness question: options, the frontier, and what each is worth at every k."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from fedvalue.payment.economics.information import evpi_of_draws
from fedvalue.payment.economics.net_benefit import acceptability
from fedvalue.payment.economics.value_answer import Against, ValueAnswer
from fedvalue.server.reports.drawing import Table
from fedvalue.server.reports.formats import money, number, percent, probability
from fedvalue.server.reports.payment import acceptability as curves
from fedvalue.server.reports.payment import plane
from fedvalue.server.reports.sheet import Part, Sheet
from fedvalue.server.reports.wording import Phrase, Voice, Words

POINTS = 50
"""Values of k along a curve."""


def value_sheet(found: ValueAnswer, voice: Voice) -> Sheet:
    """Return the page of an answered question.

    Args:
      found: The answer.
      voice: Languages.
    """
    question, draws = found.question, found.drawn.draws
    asked = tuple(float(k) for k in question.willingness_to_pay)
    grid = np.linspace(1.5 * asked[-1] / POINTS, 1.5 * asked[-1], POINTS).tolist()
    worth = {"perfect": [evpi_of_draws(draws, k) for k in grid]}
    currency = question.currency
    parts = [
        Part(
            "frontier",
            voice("frontier.title"),
            (voice("value.lead", today=draws.options[0]),),
            (plane.frontier(found.placed, voice, "frontier", currency=currency),),
        ),
        Part(
            "acceptability",
            voice("value.acceptability"),
            figures=(
                curves.figure(acceptability(draws, grid), voice, "ceac", currency=currency, marks=asked),
                curves.information(grid, worth, voice, "evpi", currency=currency),
            ),
            tables=(_knowing(found, voice),) if found.evppi else (),
        ),
    ]
    parts += [_against(found, each, asked[-1], voice) for each in found.against]
    if found.drawn.observed:
        parts.append(Part("tail", voice("value.tail"), tables=(_tail(found, voice),)))
    if found.savings:
        parts.append(Part("savings", voice("value.savings"), tables=(_savings(found, voice),)))
    return Sheet(
        kicker=voice("value.kicker"),
        title=Phrase(question.title.read("en"), question.title.read("zh")),
        meta=voice("value.meta", draws=number(question.draws, 6), seed=str(question.seed)),
        parts=tuple(parts),
    )


def _against(found: ValueAnswer, each: Against, k: float, voice: Voice) -> Part:
    draws, currency = found.drawn.draws, found.question.currency
    new, today = draws.index(each.option), 0
    ratio = Phrase(each.ratio.label("en"), each.ratio.label("zh"))
    shown = plane.figure(
        draws.cost[:, new] - draws.cost[:, today],
        draws.effect[:, new] - draws.effect[:, today],
        k,
        voice,
        f"plane-{new}",
        currency=currency,
    )
    return Part(
        f"against-{new}",
        voice("value.against", option=each.option, today=draws.options[today]),
        (voice("value.icer", ratio=each.ratio.printed, where=ratio),),
        (shown,),
        (_benefit(each, currency, voice),),
    )


def _benefit(each: Against, currency: str, voice: Voice) -> Table:
    head = [voice(f"table.{name}") for name in ("k", "net_benefit", "probability")]
    if each.log is not None:
        head += [voice("table.modified"), voice("table.probability_modified")]
    rows = []
    for at in each.at:
        row: list[Words] = [
            _amount(at.plain.k, currency, voice),
            _amount(at.plain.mean, currency, voice),
            probability(at.plain.probability),
        ]
        if each.log is not None:
            row += [_amount(at.modified.mean, currency, voice), probability(at.modified.probability)]
        rows.append(tuple(row))
    return Table(voice("value.benefit"), tuple(head), tuple(rows))


def _knowing(found: ValueAnswer, voice: Voice) -> Table:
    currency = found.question.currency
    ks = found.acceptability.grid.tolist()
    head = (voice("table.parameter"), *(_amount(k, currency, voice) for k in ks))
    rows = tuple(
        (name, *(_amount(value, currency, voice) for value in values))
        for name, values in sorted(found.evppi.items(), key=lambda item: -max(item[1]))
    )
    whole = (voice("value.everything"), *(_amount(value, currency, voice) for value in found.evpi))
    return Table(voice("value.knowing"), head, (*rows, whole))


def _tail(found: ValueAnswer, voice: Voice) -> Table:
    head = tuple(voice(f"table.{name}") for name in ("option", "observed", "crossing"))
    rows = tuple(
        (option, percent(share), number(found.drawn.crossed[option], 3))
        for option, share in found.drawn.observed.items()
    )
    return Table(voice("value.tail"), head, rows)


def _savings(found: ValueAnswer, voice: Voice) -> Table:
    currency = found.question.currency
    head = tuple(voice(f"table.{name}") for name in ("years", "saving", "sd", "probability", "shortfall"))
    rows = tuple(
        (
            str(s.years),
            _amount(s.amount.mean, currency, voice),
            _amount((s.amount.sampling_variance + s.amount.privacy_variance) ** 0.5, currency, voice),
            probability(s.probability_saves),
            _amount(s.expected_shortfall, currency, voice),
        )
        for s in found.savings
    )
    return Table(voice("value.savings"), head, rows)


def _amount(value: float, currency: str, voice: Voice) -> Words:
    return money(Decimal(round(value)), currency, voice)
