"""The sentences of a decision on criteria: turning points, brakes, looks, and what to do instead."""

from __future__ import annotations

from collections.abc import Sequence

from fedvalue.payment.decision import Insufficient, PatientsRemedy, PrivacyRemedy
from fedvalue.payment.decision_findings import CriterionFinding, HeldBack, Refused
from fedvalue.payment.decision_findings import Sequence as Looks
from fedvalue.payment.insufficient import Clock
from fedvalue.payment.standard import Standard
from fedvalue.payment.standard_parts import CriterionOf
from fedvalue.payment.wording import NO_BITE

CANNOT_BITE = (
    "The threshold cannot bite: at the declared reference this rule answers met with probability above .99."
)
NOT_IDENTIFIED = "The case cannot be identified on a settlement list; more evidence would not change that."


def of_criteria(
    standard: Standard, findings: Sequence[CriterionFinding], held_back: Sequence[HeldBack], *, waits: bool
) -> tuple[str, ...]:
    """Return what a reader must know: bars that cannot bite, brakes that held, terms to be signed.

    Args:
      standard: The standard.
      findings: Its criteria.
      held_back: What the brakes did.
      waits: Whether the whole change waits.
    """
    found = []
    if any(f.met_at_reference is not None and f.met_at_reference > NO_BITE for f in findings):
        found.append(CANNOT_BITE)
    if waits:
        found.append("The answer changes nothing yet: a brake of the standard holds the change back.")
    elif any(row.because for row in held_back):
        found.append("A brake of the standard made the change smaller.")
    if standard.contract.get("continues") == "response_only":
        found.append("Only CR and PR continue: patients with stable disease would lose their treatment.")
    return tuple(found)


def turning(criterion: CriterionOf, unit: str, met: float | None, not_met: float | None) -> list[str]:
    """Return at which estimates a bar turns, at today's uncertainty.

    Args:
      criterion: The bar.
      unit: Of the quantity.
      met: From here on it is met; None where no estimate is.
      not_met: From here on it is not met.
    """
    better, worse = ("at least", "at most") if criterion.direction == "at_least" else ("at most", "at least")
    name = criterion.of.replace("_", " ")
    return [
        _sentence(name, better, met, unit, "met"),
        _sentence(name, worse, not_met, unit, "not met"),
    ]


def _sentence(name: str, side: str, value: float | None, unit: str, answer: str) -> str:
    if value is None:
        return f"No {name} would be {answer} at this uncertainty."
    shown = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"A {name} of {side} {shown} {unit} would be {answer} at this uncertainty."


def next_look(standard: Standard, looks: Looks) -> tuple[str, ...]:
    """Return when the next registered look is, and that there is none after the last."""
    if not looks.looks_left:
        return ("This was the last registered look; another needs a new registration.",)
    day = standard.looks[len(looks.looks)]
    return (
        f"The next registered look is from {day} on; {looks.looks_left} of {len(standard.looks)} are left.",
    )


def refused_remedies(refused: Refused, clock: Clock) -> Insufficient:
    """Return what follows where the mechanism itself cannot be used: another vehicle, not more evidence."""
    offered = ", ".join(vehicle.name.replace("_", " ") for vehicle in refused.vehicles)
    return Insufficient(
        reason="model",
        text=refused.reason,
        more_patients=PatientsRemedy(patients=None, more=None, assurance=None, text=NOT_IDENTIFIED),
        more_privacy=PrivacyRemedy(
            sigma=None, epsilon=None, assurance=None, text=f"Name a field, or use one of: {offered}."
        ),
        review_on=clock.review_on,
        sunset=clock.sunset,
    )
