"""Pay for performance by rank: a composite of exact statements, reward above, interview below.

    score = sum of w_j clip((x_j - low_j) / (high_j - low_j), 0, 1),   sum of w_j = 1

with national anchors low_j and high_j (low_j above high_j where less is better), and outcome measures of
at least the weight that the scheme demands. Institutions below the minimum volume are not ranked. Of the
others, floor(top share x n) places earn the reward and floor(bottom share x n) are invited to talk; who ties
with the last rewarded is rewarded too, who ties with the first not interviewed is not interviewed.

Settlement ranks institutions on their own signed statements under the agreement: no shrinking and no
probability here (point 11). `ranking_draws` is the rule that sets. Source: payment.md 2.12, P36.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from fedvalue.errors import PaymentError, WindowsOverlap
from fedvalue.payment.mechanisms.cash import Settlement, check_currency, flow, settlement
from fedvalue.payment.mechanisms.exact import chosen, count, exact, money, share
from fedvalue.payment.mechanisms.settle import Panel, Realised, check_windows, settled


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure of the composite.

    Attributes:
      name: ``readmission within 30 days``.
      kind: ``outcome``, ``experience`` or ``cost``.
      weight: w_j.
      low: Rate that scores 0.
      high: Rate that scores 1.
    """

    name: str
    kind: Literal["outcome", "experience", "cost"]
    weight: Decimal
    low: Decimal
    high: Decimal

    def __post_init__(self) -> None:
        chosen(self.kind, ("outcome", "experience", "cost"), "kind of measure")
        share(self.weight, f"weight of {self.name}")
        if exact(self.low, "low") == exact(self.high, "high"):
            raise PaymentError("anchors that are equal tell nobody apart", where=self.name)


@dataclass(frozen=True, slots=True)
class RankingTerms:
    """The scheme.

    Attributes:
      contract: Its name.
      currency: ISO 4217 code.
      measures: Whose weights add to 1.
      outcome_weight: Least weight of outcome measures together.
      top: Share of institutions that earn the reward.
      reward: Share of the institution's payment.
      bottom: Share that is invited to talk.
      minimum_volume: Patients below which an institution is not ranked.
      missing: How unmeasured patients count.
    """

    contract: str
    currency: str
    measures: tuple[Measure, ...]
    outcome_weight: Decimal
    top: Decimal
    reward: Decimal
    bottom: Decimal
    minimum_volume: int
    missing: Literal["fail", "exclude"]

    def __post_init__(self) -> None:
        check_currency(self.currency)
        chosen(self.missing, ("fail", "exclude"), "policy for missing outcomes")
        share(self.reward, "reward")
        if share(self.top, "top") + share(self.bottom, "bottom") > 1:
            raise WindowsOverlap(
                "overlapping windows: top and bottom share institutions", where=self.contract
            )
        if sum(Fraction(m.weight) for m in self.measures) != 1:
            raise PaymentError("weights of measures add to 1", where=self.contract)
        outcome = sum(Fraction(m.weight) for m in self.measures if m.kind == "outcome")
        if outcome < share(self.outcome_weight, "outcome weight"):
            raise PaymentError("outcomes weigh less than the scheme demands", where=self.contract)


@dataclass(frozen=True, slots=True)
class MeasuredYear:
    """One institution's year.

    Attributes:
      measured: One panel per measure, in order.
      volume: Patients.
      paid: The institution's payment that the reward is a share of.
    """

    measured: tuple[Panel, ...]
    volume: int
    paid: Decimal


@dataclass(frozen=True, slots=True)
class Place:
    """Where an institution stands.

    Attributes:
      institution: Its name.
      score: Between 0 and 1, or None where it is not ranked.
      band: ``top``, ``middle``, ``bottom`` or ``not_ranked``.
      settlement: The reward.
    """

    institution: str
    score: Fraction | None
    band: Literal["top", "middle", "bottom", "not_ranked"]
    settlement: Settlement


def composite(terms: RankingTerms, facts: MeasuredYear) -> Fraction:
    """Return the score of a year, between 0 and 1.

    Raises:
      PaymentError: not one panel per measure.
    """
    if len(facts.measured) != len(terms.measures):
        raise PaymentError("the statement has not one panel per measure", where=terms.contract)
    whole = Fraction(0)
    for measure, panel in zip(terms.measures, facts.measured, strict=True):
        low, high = Fraction(measure.low), Fraction(measure.high)
        if low < high:
            realised = panel.rate(terms.missing)
        else:
            # Where less is better, the unmeasured count with those who had the event, not with the others.
            realised = 1 - Panel(panel.failed, panel.reached, panel.missing).rate(terms.missing)
        at = (realised - low) / (high - low)
        whole += Fraction(measure.weight) * min(Fraction(1), max(Fraction(0), at))
    return whole


def rank(terms: RankingTerms, statements: Sequence[Realised[MeasuredYear]]) -> tuple[Place, ...]:
    """Rank institutions on their signed statements and return every place with its reward.

    Args:
      terms: The scheme.
      statements: One per institution.

    Raises:
      PurposeMixed: an estimate among the statements.
      PaymentError: an institution twice, or overlapping windows.
    """
    read = [settled(statement, MeasuredYear, contract=terms.contract) for statement in statements]
    facts = {s.institution: f for s, f in zip(statements, read, strict=True)}
    check_windows(tuple(statements))
    if len(facts) != len(statements):
        raise PaymentError("one institution states twice", where=terms.contract)
    scores = {
        name: composite(terms, f)
        for name, f in facts.items()
        if count(f.volume, "volume") >= terms.minimum_volume
    }
    ordered = sorted(scores.values(), reverse=True)
    rewarded, talked = (int(share(s, "share") * len(ordered)) for s in (terms.top, terms.bottom))
    bar = ordered[rewarded - 1] if rewarded else None
    floor = ordered[len(ordered) - talked - 1] if 0 < talked < len(ordered) else None
    places = []
    for name, fact in facts.items():
        if name not in scores:
            places.append(Place(name, None, "not_ranked", settlement(terms.contract, terms.currency, ())))
            continue
        at = scores[name]
        top = bar is not None and at >= bar
        below = not top and ((floor is not None and at < floor) or talked == len(ordered))
        reward = money(fact.paid, "paid") * share(terms.reward, "reward") if top else Fraction(0)
        paid = settlement(
            terms.contract, terms.currency, [flow("reward", reward, bearer="fund", payee="hospital")]
        )
        places.append(Place(name, at, "top" if top else "bottom" if below else "middle", paid))
    return tuple(places)
