"""A decision on several criteria: each estimate against its bar, the joint probability, what was computed.

What `answers` says of one share, this says of the decisions of every other mechanism: criteria that are met
together or not at all, quantities that the mechanism derives, money that is expected, what brakes held back,
and why a sub-group that no grouper can see is refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from functools import partial

import numpy as np
from markupsafe import Markup
from scipy import stats

from fedvalue.payment.decision import Decision
from fedvalue.payment.decision_findings import CriterionFinding, Result
from fedvalue.payment.said import named
from fedvalue.server.reports import look, probability
from fedvalue.server.reports.drawing import (
    Axis,
    Figure,
    Pieces,
    Table,
    circle,
    drawn,
    fitted,
    line,
    rect,
    text,
)
from fedvalue.server.reports.formats import level, money, number, percent
from fedvalue.server.reports.formats import probability as shown_probability
from fedvalue.server.reports.look import Size
from fedvalue.server.reports.payment import by_mechanism, posterior
from fedvalue.server.reports.wording import Phrase, Voice, Words, joined, sentences

ROW = 74.0
SHARES = ("probability", "share")
MIDDLES = (np.arange(4_000) + 0.5) / 4_000
"""Equal slices of probability: a density drawn without a random number."""


@dataclass(frozen=True, slots=True)
class Decided:
    """What a page shows of such a decision.

    Attributes:
      sentence: The answer with its reason.
      figures: Joint probability under D1, the criteria, what is believed of each, those of the mechanism;
        none where nothing was estimated.
      tables: Results, expected money, brakes, vehicles; only those that say something.
    """

    sentence: Phrase
    figures: tuple[Figure, ...]
    tables: tuple[Table, ...]


def decided(decision: Decision, voice: Voice, name: str) -> Decided | None:
    """Return what to show of a decision on criteria; None for one that rests on a single share.

    Args:
      decision: The decision.
      voice: Languages.
      name: Unique on the page.
    """
    if decision.mechanism == "outcome_linked_cohort":
        return None
    figures = []
    if decision.criteria:
        if decision.rule.name == "D1" and decision.joint_probability is not None:
            limits = (float(decision.rule.p_not), float(decision.rule.p_met))
            figures.append(probability.joint(decision.joint_probability, limits, voice, f"{name}-joint"))
        figures.append(_criteria(decision, voice, f"{name}-criteria"))
        figures += _believed(decision, voice, name)
    figures += by_mechanism.figures(decision, voice, name)
    makers = (_results, _notes, _expected, _brakes, _vehicles)
    tables = [table for maker in makers if (table := maker(decision, voice)) is not None]
    return Decided(_sentence(decision, voice), tuple(figures), tuple(tables))


def quantity(name: str, voice: Voice) -> Phrase:
    """Return a quantity of a standard in words: ``net_benefit``."""
    return voice.either(f"quantity.{name}", name.replace("_", " "))


def amount(value: float | Decimal, unit: str, voice: Voice) -> Words:
    """Return a number with its unit: a share in percent, money with its currency, anything else behind it."""
    if unit in SHARES:
        return percent(float(value))
    currency, _, per = unit.partition(" per ")
    if len(currency) == 3 and currency.isupper():
        shown = money(Decimal(str(round(float(value), 2))), currency, voice)
        if not per:
            return shown
        return voice(
            "unit.per",
            amount=shown,
            what=voice.either(f"unit.{per.replace(' ', '_').replace('-', '_')}", per),
        )
    if unit in ("relative weight", "coefficient", "ratio"):
        return f"{float(value):.4f}".replace("-", "\u2212")
    return Phrase.same(f"{number(float(value), 5)} {unit}")


def _sentence(decision: Decision, voice: Voice) -> Phrase:
    if decision.refused is not None:
        return voice("criteria.refused", groups=", ".join(decision.refused.unidentified))
    if not decision.criteria:
        told = voice("criteria.no_estimate")
        return (
            told
            if decision.insufficient is None
            else sentences(told, voice.recorded(decision.insufficient.text))
        )
    bars = joined([_bar_in_words(each, voice) for each in decision.criteria], voice("criteria.and"))
    if decision.rule.name != "D1" or decision.joint_probability is None:
        return voice("criteria.sentence", bars=bars, answer=voice(f"answer.{decision.outcome}"))
    return sentences(
        voice("criteria.sentence_d1", bars=bars, p=probability.in_words(decision.joint_probability, voice)),
        voice(
            f"answer.because_d1_{decision.outcome}",
            p_met=level(decision.rule.p_met),
            p_not=level(decision.rule.p_not),
        ),
    )


def _bar_in_words(each: CriterionFinding, voice: Voice) -> Phrase:
    bound = voice(f"answer.{each.direction}", tau=amount(each.threshold, each.unit, voice))
    return voice("criteria.bar", what=quantity(each.of, voice), bound=bound)


def _believed(decision: Decision, voice: Voice, name: str) -> list[Figure]:
    """What is believed of each quantity, as far as its recorded interval has a width.

    The density is normal with the recorded variances; the probability told is the recorded one.
    """
    found = []
    for number_, each in enumerate(decision.criteria, start=1):
        spread = (each.sampling_variance + each.privacy_variance) ** 0.5
        if not spread > 0 or not math.isfinite(spread):
            continue
        found.append(
            posterior.figure(
                stats.norm.ppf(MIDDLES, each.estimate, spread),
                float(each.threshold),
                voice,
                f"{name}-believed-{number_}",
                what=quantity(each.of, voice),
                shown=partial(amount, unit=each.unit, voice=voice),
                at_least=each.direction == "at_least",
                recorded=each.probability,
            )
        )
    return found


def _criteria(decision: Decision, voice: Voice, name: str) -> Figure:
    title = voice("criteria.title")
    found = decision.criteria
    head = tuple(
        voice(f"table.{key}")
        for key in (
            "criterion",
            "estimate",
            "interval",
            "bar",
            "p_met",
            "se_sampling",
            "se_privacy",
            "privacy_share",
        )
    )
    rows = tuple(
        (
            quantity(each.of, voice),
            amount(each.estimate, each.unit, voice),
            voice(
                "estimate.range",
                low=amount(each.lower, each.unit, voice),
                high=amount(each.upper, each.unit, voice),
            ),
            voice(f"answer.{each.direction}", tau=amount(each.threshold, each.unit, voice)),
            shown_probability(each.probability),
            amount(each.sampling_variance**0.5, each.unit, voice),
            amount(each.privacy_variance**0.5, each.unit, voice),
            percent(each.privacy_share),
        )
        for each in found
    )
    told = joined(
        [
            voice(
                "criteria.alt",
                what=quantity(each.of, voice),
                value=amount(each.estimate, each.unit, voice),
                low=amount(each.lower, each.unit, voice),
                high=amount(each.upper, each.unit, voice),
                bound=voice(f"answer.{each.direction}", tau=amount(each.threshold, each.unit, voice)),
                p=shown_probability(each.probability),
            )
            for each in found
        ],
        " ",
    )
    return Figure(
        voice("criteria.caption"),
        drawn(voice, lambda size: _pieces(found, voice, size), name=name, title=title, description=told),
        Table(title, head, rows, frozenset({3})),
    )


def _pieces(found: tuple[CriterionFinding, ...], voice: Voice, size: Size) -> Pieces:
    parts: list[Markup] = []
    left, right = (10.0, size.width - 10) if size.narrow else (230.0, size.width - 20)
    y = 8.0
    for each in found:
        label = fitted(quantity(each.of, voice), size.width if size.narrow else left - 20)
        chance = voice("criteria.p", p=shown_probability(each.probability))
        if size.narrow:
            parts.append(text(voice, 0, y + 12, label, bold=True))
            parts.append(text(voice, right, y + 12, chance, anchor="end", size=look.SMALL, color=look.MUTED))
            y += 18
        else:
            parts.append(text(voice, 0, y + 22, label, bold=True))
            parts.append(text(voice, 0, y + 40, chance, size=look.SMALL, color=look.MUTED))
        parts += _one(each, left, right, y + 14, voice)
        y += ROW
    return y, parts


def _one(each: CriterionFinding, left: float, right: float, y: float, voice: Voice) -> list[Markup]:
    tau = float(each.threshold)
    low, high = min(each.lower, each.estimate, tau), max(each.upper, each.estimate, tau)
    room = 0.18 * (high - low) or max(abs(high), 1.0) * 0.1
    x = Axis(low - room, high + room, left, right)
    met = (x(tau), right) if each.direction == "at_least" else (left, x(tau))
    other = (left, x(tau)) if each.direction == "at_least" else (x(tau), right)
    value = x(each.estimate)
    middle = min(max(value, left + 60), right - 60)
    bar = min(max(x(tau), left + 60), right - 60)
    return [
        rect(met[0], y - 9, met[1] - met[0], 18, look.MET_TINT),
        rect(other[0], y - 9, other[1] - other[0], 18, look.NOT_MET_TINT),
        line(x(each.lower), y, x(each.upper), y, look.INK, 2.2),
        line(x(each.lower), y - 6, x(each.lower), y + 6, look.INK, 1.6),
        line(x(each.upper), y - 6, x(each.upper), y + 6, look.INK, 1.6),
        circle(value, y, 5, look.ACCENT, look.PAPER, 1.5),
        line(x(tau), y - 14, x(tau), y + 14, look.INK, 2, "5 3"),
        text(
            voice,
            middle,
            y - 13,
            amount(each.estimate, each.unit, voice),
            anchor="middle",
            size=look.SMALL,
            bold=True,
            halo=True,
        ),
        text(
            voice,
            bar,
            y + 29,
            voice(f"answer.{each.direction}", tau=amount(each.threshold, each.unit, voice)),
            anchor="middle",
            size=look.SMALL,
            color=look.MUTED,
        ),
    ]


def _results(decision: Decision, voice: Voice) -> Table | None:
    rows = tuple(_result(each, voice) for each in decision.results if each.value is not None)
    if not rows:
        return None
    head = tuple(
        voice(f"table.{key}") for key in ("computed", "value", "interval", "se_sampling", "se_privacy")
    )
    return Table(voice("criteria.results"), head, rows)


def _result(each: Result, voice: Voice) -> tuple[Words, ...]:
    none, bare = "\u2013", each.unit.partition(" per ")[0]
    shown = amount(each.value or 0.0, each.unit, voice)
    if each.lower is None or each.upper is None:
        return (voice.matched("result_name", each.name), shown, none, none, none)
    return (
        voice.matched("result_name", each.name),
        shown,
        voice("estimate.range", low=amount(each.lower, bare, voice), high=amount(each.upper, bare, voice)),
        amount(each.sampling_variance**0.5, bare, voice),
        amount(each.privacy_variance**0.5, bare, voice),
    )


def _notes(decision: Decision, voice: Voice) -> Table | None:
    """What words say more than numbers: an ICER with its quadrant, how many cases, what holds."""
    rows = tuple(
        (voice.matched("result_name", each.name), voice.recorded(each.text))
        for each in decision.results
        if each.text is not None
    )
    if not rows:
        return None
    return Table(
        voice("criteria.notes"), (voice("table.computed"), voice("table.note")), rows, frozenset({1})
    )


def _expected(decision: Decision, voice: Voice) -> Table | None:
    if not decision.expected:
        return None
    head = tuple(
        voice(f"table.{key}") for key in ("flow", "payee", "expected_before", "expected_after", "se")
    )
    rows = tuple(
        (
            voice.either(f"money.{each.name.replace(' ', '_')}", called(each.name)),
            voice("money.from_to", bearer=_party(each.bearer, voice), payee=_party(each.payee, voice)),
            money(Decimal(str(each.before)), each.currency, voice),
            money(Decimal(str(each.after)), each.currency, voice),
            money(
                Decimal(str((each.sampling_variance + each.privacy_variance) ** 0.5)), each.currency, voice
            ),
        )
        for each in decision.expected
    )
    return Table(voice("criteria.expected"), head, rows, frozenset({1}))


def _party(name: str, voice: Voice) -> Phrase:
    return voice.either(f"party.{name.replace(' ', '_')}", called(name))


def called(name: str) -> Phrase:
    """Return what the command line calls a party, a flow or a value, for names that the catalogue lacks."""
    plain = name.replace("_", " ")
    chinese = named(name, "zh")
    return Phrase(plain, plain if chinese == name else chinese)


def _brakes(decision: Decision, voice: Voice) -> Table | None:
    if not decision.held_back:
        return None
    head = tuple(voice(f"table.{key}") for key in ("value_name", "before", "wanted", "proposed", "held_back"))
    rows = tuple(
        (
            voice.either(f"money.{each.value}", each.value.replace("_", " ")),
            f"{each.before:f}",
            f"{each.wanted:f}",
            f"{each.after:f}",
            joined([voice(f"brake.{word}") for word in each.because])
            if each.because
            else voice("brake.none"),
        )
        for each in decision.held_back
    )
    return Table(voice("criteria.brakes"), head, rows, frozenset({4}))


def _vehicles(decision: Decision, voice: Voice) -> Table | None:
    if decision.refused is None:
        return None
    head = (voice("table.vehicle"), voice("table.note"))
    rows = tuple(
        (voice.either(f"vehicle.{each.name}", each.name.replace("_", " ")), voice.recorded(each.text))
        for each in decision.refused.vehicles
    )
    return Table(voice("criteria.vehicles"), head, rows, frozenset({1}))
