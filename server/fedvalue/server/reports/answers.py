"""What a decision says to a reader: answer, money, and what would change it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from fedvalue.analyses.estimate import Conclusion
from fedvalue.payment.decision import Decision, Finding, InForce, Insufficient
from fedvalue.server.reports import estimate, probability
from fedvalue.server.reports.drawing import Figure, Table
from fedvalue.server.reports.formats import day, level, money, number, patients, percent, spread
from fedvalue.server.reports.naming import Names
from fedvalue.server.reports.payment.decided import Decided, called, decided
from fedvalue.server.reports.wording import Phrase, Voice, Words, sentences

MARKS = {
    "met": "M4 12.5l5.5 5.5L20 6.5",
    "not_met": "M6 6l12 12M18 6L6 18",
    "insufficient_evidence": "M8 8.5a4 4 0 1 1 6.2 3.3c-1.4 1-2.2 1.7-2.2 3.4M12 20v.1",
}
"""Path of each answer's mark, on a 24 x 24 grid: an answer is never told by color alone."""


@dataclass(frozen=True, slots=True)
class Card:
    """One remedy.

    Attributes:
      head: Which.
      figure: Its number, large; empty where there is none.
      text: What it takes.
    """

    head: Phrase
    figure: Words
    text: Phrase


@dataclass(frozen=True, slots=True)
class Answer:
    """One decision, in the order in which it is read.

    Attributes:
      standard: Which standard.
      tone: The outcome, for the style sheet.
      mark: SVG path of its mark.
      badge: The outcome in words.
      sentence: Why.
      follows: What the standard says follows.
      warnings: What a reader must know before acting.
      probability: Figure, or None without a finding.
      refusal: Why there is no probability.
      estimate: Figure.
      basis: How many released patients it rests on, as a band.
      reference: Whether the threshold can bite.
      money_sentence: Effect in words.
      money: Effect by flow, or None where nothing changes.
      standards: Before and after.
      change: What would change the answer, in a sentence.
      remedies: Both remedies, where evidence is insufficient.
      changes: Further sentences, as recorded.
      decided: Figures and tables of a decision on criteria; None for one that rests on a single share.
    """

    standard: Phrase
    tone: str
    mark: str
    badge: Phrase
    sentence: Phrase
    follows: Phrase
    warnings: tuple[Words, ...]
    probability: Figure | None
    refusal: Phrase
    estimate: Figure | None
    basis: Phrase | None
    reference: Phrase | None
    money_sentence: Phrase
    money: Table | None
    standards: Table
    change: Phrase
    remedies: tuple[Card, ...]
    changes: tuple[Words, ...]
    decided: Decided | None = None


def answer(decision: Decision, conclusion: Conclusion | None, names: Names, name: str) -> Answer:
    """Say what a decision says.

    Args:
      decision: The decision.
      conclusion: The analysis it rests on, if the package holds it.
      names: Words for the parts of the study.
      name: Unique on the page.
    """
    voice, stratum = names.voice, None
    several = decided(decision, names.voice, name)
    if conclusion is not None:
        stratum = next((s for s in conclusion.strata if s.name == decision.question.stratum), None)
    return Answer(
        standard=voice(
            "answer.standard", name=decision.standard, status=voice(f"status.{decision.standard_status}")
        ),
        tone=decision.outcome,
        mark=MARKS[decision.outcome],
        badge=voice(f"answer.{decision.outcome}"),
        sentence=several.sentence if several else _sentence(decision, names),
        follows=voice(
            "answer.follows",
            action=voice.either(f"action.{decision.action}", decision.action.replace("_", " ")),
        ),
        warnings=_warnings(decision, voice),
        probability=probability.figure(decision, voice, f"{name}-probability"),
        refusal=names.refusal(stratum) if stratum is not None else voice("refusal.no_estimate"),
        estimate=None if several else estimate.figure(decision, conclusion, names, f"{name}-estimate"),
        basis=_basis(decision, voice),
        reference=_reference(decision, voice),
        money_sentence=_money_sentence(decision, voice),
        money=_money(decision, voice),
        standards=_standards(decision, voice),
        change=_change(decision, voice),
        remedies=_remedies(decision.insufficient, names.study.privacy.epsilon, voice)
        if decision.insufficient
        else (),
        changes=tuple(voice.recorded(sentence) for sentence in decision.what_would_change),
        decided=several,
    )


def _warnings(decision: Decision, voice: Voice) -> tuple[Phrase, ...]:
    """Return the warnings that the banner on top of the page does not give already."""
    bannered = ("simulation", "clear_sum", "no_noise", "lowered")
    return tuple(
        voice.recorded(warning)
        for warning in decision.warnings
        if not any(voice.says(warning, key) for key in bannered)
    )


def _sentence(decision: Decision, names: Names) -> Phrase:
    question, finding, voice = decision.question, decision.finding, names.voice
    words: dict[str, Words] = {
        "group": names.group(question.stratum),
        "outcome": names.outcome(question.endpoint),
        "bound": voice(f"answer.{question.direction}", tau=level(question.threshold)),
        "p_met": level(decision.rule.p_met),
        "p_not": level(decision.rule.p_not),
    }
    if finding is None:
        return voice("answer.sentence_no_finding", **words)
    words |= {
        "p": probability.in_words(finding.probability, voice),
        "value": percent(finding.estimate),
        "g": spread(finding.guard_band, "probability", voice),
    }
    kind = decision.rule.name.lower()
    told = voice(f"answer.sentence_{kind}", **words)
    if decision.insufficient is not None and not _too_close(decision, finding):
        return sentences(told, voice.recorded(decision.insufficient.text), voice("answer.kept"))
    return sentences(told, voice(f"answer.because_{kind}_{decision.outcome}", **words))


def _too_close(decision: Decision, finding: Finding) -> bool:
    """Tell whether the figures lie in the guard band; else the group was too small to use them."""
    if decision.rule.name == "D1":
        return float(decision.rule.p_not) < finding.probability < float(decision.rule.p_met)
    return abs(finding.estimate - float(decision.question.threshold)) < finding.guard_band


def _basis(decision: Decision, voice: Voice) -> Phrase | None:
    if decision.finding is None:
        return None
    return voice("estimate.basis", n=decision.finding.patients_banded.replace("-", "\u2013"))


def _reference(decision: Decision, voice: Voice) -> Phrase | None:
    check = decision.reference
    if check is None:
        return None
    return voice(
        "estimate.reference",
        value=level(check.value),
        p=probability.in_words(check.probability_met, voice),
        source=check.source,
        margin=spread(float(check.margin), "probability", voice),
    )


def _money_sentence(decision: Decision, voice: Voice) -> Phrase:
    if decision.standard_after is None or not decision.money:
        return voice("money.unchanged")
    told = voice("money.proposed", day=day(decision.effective_from))
    appeal = decision.appeal_until
    return told if appeal is None else sentences(told, voice("money.appeal", day=day(appeal)))


def _signed(amount: Decimal, currency: str, voice: Voice) -> Phrase:
    sign = "+" if amount > 0 else "\u2212" if amount < 0 else ""
    return Phrase.same(sign) + money(abs(amount), currency, voice)


def _money(decision: Decision, voice: Voice) -> Table | None:
    if not decision.money:
        return None
    head = tuple(voice(f"table.{key}") for key in ("flow", "payee", "before", "after", "change", "per_100"))
    rows = tuple(
        (
            voice.either(f"money.{flow.name}", called(flow.name)),
            voice("money.from_to", bearer=_party(flow.bearer, voice), payee=_party(flow.payee, voice)),
            money(flow.before, flow.currency, voice),
            money(flow.after, flow.currency, voice),
            _signed(flow.change, flow.currency, voice),
            _signed(flow.change_per_100, flow.currency, voice),
        )
        for flow in decision.money
    )
    return Table(voice("money.title"), head, rows, frozenset({1}))


def _standards(decision: Decision, voice: Voice) -> Table:
    before, after = decision.standard_before, decision.standard_after
    names = list(dict.fromkeys((*before, *(after or {}))))
    rows = tuple(
        (
            voice.either(f"money.{name}", called(name)),
            _value(before.get(name), voice),
            voice("money.kept") if after is None else _value(after.get(name), voice),
            (before.get(name) or (after or {})[name]).source,
        )
        for name in names
    )
    head = tuple(voice(f"table.{key}") for key in ("value_name", "in_force", "proposed", "source"))
    return Table(voice("money.standard", name=decision.standard), head, rows, frozenset({1, 2, 3}))


def _value(value: InForce | None, voice: Voice) -> Words:
    if value is None:
        return "\u2013"
    currency, _, per = value.unit.partition(" per ")
    if value.unit in ("share", "probability"):
        amount = Phrase.same(level(value.amount))
    elif len(currency) == 3 and currency.isupper():
        amount = money(value.amount, currency, voice)
        if per:
            amount = voice("unit.per", amount=amount, what=voice.either(f"unit.{_slug(per)}", per))
    else:
        amount = Phrase.same(f"{value.amount:f} {value.unit}")
    return voice("money.since", amount=amount, day=day(value.starts))


def _party(name: str, voice: Voice) -> Phrase:
    return voice.either(f"party.{_slug(name)}", called(name))


def _slug(words: str) -> str:
    return words.replace(" ", "_")


def _change(decision: Decision, voice: Voice) -> Phrase:
    if (lacking := decision.insufficient) is not None:
        return sentences(
            voice.recorded(lacking.text),
            voice("change.dates", review=day(lacking.review_on), sunset=day(lacking.sunset)),
        )
    words = {"p_met": level(decision.rule.p_met), "p_not": level(decision.rule.p_not)}
    other = voice("change.other_rule")
    key = f"change.{decision.outcome}_{decision.rule.name.lower()}"
    return voice(key, **words) if key in voice.catalogue.entries else other


def _remedies(lacking: Insufficient, epsilon: float, voice: Voice) -> tuple[Card, ...]:
    more, less = lacking.more_patients, lacking.more_privacy
    needed: Words = "" if more.patients is None else patients(more.patients, voice)
    if more.patients is None or more.assurance is None:
        first = voice.recorded(more.text)
    else:
        first = voice(
            "change.patients_text", more=patients(more.more or 0, voice), assurance=percent(more.assurance)
        )
    price: Words = "" if less.epsilon is None else voice("budget.epsilon", n=number(less.epsilon, 3))
    if less.epsilon is None:
        second = voice.recorded(less.text)
    else:
        told = [voice("change.privacy_text", today=number(epsilon, 3))]
        if less.assurance is not None:
            told.append(voice("change.privacy_assurance", assurance=percent(less.assurance)))
        second = sentences(*told, voice("change.privacy_who"))
    return Card(voice("change.patients"), needed, first), Card(voice("change.privacy"), price, second)
