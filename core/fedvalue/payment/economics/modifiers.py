"""Value modifiers: weights for a rare disease, for children, for severity; each explicit and logged.

A modifier multiplies the willingness to pay k (``threshold``) or the effect in QALYs (``effect``). The two
are not the same: a factor on effect also scales its variance and any loss of effect. None is ever applied
because a case looks like one: the caller names each, with who decided it and where that stands, and the
log keeps what was before and after, also for those that were looked at and did not apply.

A factor below 1 is refused: a modifier that lowers value is a price cut and needs a decision rule. The
product is capped by a ceiling that must be given, because weights that multiply without one run away.

Weights on QALYs and their use by NICE for severity and highly specialised technologies: NICE health
technology evaluations, PMG36 (2022), section 6.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from fedvalue.errors import PaymentError
from fedvalue.payment.economics.joint import Covariance, Increment
from fedvalue.payment.parameters import Source

Ground = Literal["rare_disease", "paediatric", "severity", "end_of_life"]
Target = Literal["threshold", "effect"]

LABELS: dict[Ground, dict[str, str]] = {
    "rare_disease": {"en": "rare disease", "zh": "罕见病"},
    "paediatric": {"en": "children", "zh": "儿童用药"},
    "severity": {"en": "severity of the disease", "zh": "疾病严重程度"},
    "end_of_life": {"en": "end of life", "zh": "生命终末期"},
}


@dataclass(frozen=True, slots=True)
class Modifier:
    """One weight.

    Attributes:
      ground: Why.
      target: ``threshold`` multiplies k, ``effect`` multiplies dE.
      factor: At least 1.
      condition: The condition in words, such as ``fewer than 5 in 10,000 people``.
      applies: Whether the condition holds for this case; somebody says so, nothing here infers it.
      source: Where the weight stands.
    """

    ground: Ground
    target: Target
    factor: float
    condition: str
    applies: bool
    source: Source

    def __post_init__(self) -> None:
        if not 1 <= self.factor < float("inf"):
            raise PaymentError(
                f"a value modifier multiplies by {self.factor}",
                where=self.ground,
                do="a modifier raises value; a lower price needs a decision",
            )
        if not self.condition.strip():
            raise PaymentError("a value modifier names no condition", where=self.ground)


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the log.

    Attributes:
      modifier: What was looked at.
      before: The product of factors on its target before it.
      after: The product after it; equal to ``before`` where it did not apply.
      capped: The ceiling, not the factor, gave ``after``.
    """

    modifier: Modifier
    before: float
    after: float
    capped: bool


@dataclass(frozen=True, slots=True)
class Modified:
    """k and the increment after all modifiers.

    Attributes:
      k: Willingness to pay used, in money per unit of effect.
      increment: dC and dE used.
      plain_k: k before.
      plain_increment: dC and dE before; results without modifiers are always shown beside.
      log: Every modifier in the order given.
    """

    k: float
    increment: Increment
    plain_k: float
    plain_increment: Increment
    log: tuple[Step, ...]


def modify(k: float, increment: Increment, modifiers: Sequence[Modifier], *, ceiling: float) -> Modified:
    """Apply modifiers to one k and one increment.

    Args:
      k: Willingness to pay, above 0.
      increment: dC and dE.
      modifiers: In the order in which the log shows them; no ground twice.
      ceiling: Largest product of factors on each target, at least 1.

    Raises:
      PaymentError: a ground twice, a ceiling below 1, or k at or below 0.
    """
    if k <= 0 or ceiling < 1:
        raise PaymentError(f"k = {k} and a ceiling of {ceiling} modify nothing", do="k > 0 and ceiling >= 1")
    if len({modifier.ground for modifier in modifiers}) != len(modifiers):
        raise PaymentError("a ground for a value modifier stands twice")
    product: dict[Target, float] = {"threshold": 1.0, "effect": 1.0}
    log = []
    for modifier in modifiers:
        before = product[modifier.target]
        wanted = before * modifier.factor if modifier.applies else before
        product[modifier.target] = min(wanted, ceiling)
        log.append(Step(modifier, before, product[modifier.target], capped=wanted > ceiling))
    factor = product["effect"]
    scaled = replace(
        increment,
        effect=increment.effect * factor,
        sampling=_scaled(increment.sampling, factor),
        privacy=_scaled(increment.privacy, factor),
    )
    return Modified(k * product["threshold"], scaled, k, increment, tuple(log))


def _scaled(covariance: Covariance, factor: float) -> Covariance:
    return Covariance(covariance.cost, covariance.effect * factor**2, covariance.cross * factor)
