"""The tables of a mapping that come from a payer: claims, their lines, enrolment; and who is alive."""

from __future__ import annotations

from datetime import date
from typing import Literal, Self

from pydantic import Field, model_validator

from fedvalue.client.records.cells import Cell, Day
from fedvalue.client.records.rows import Rows

ACTIONS = ("original", "replacement", "void")
"""What a row of a claim does."""
LIVING = ("alive", "dead")
WAYS = ("in hospital", "enrolment", "registry", "call")
"""How somebody's being alive or dead was learned."""


class Claim(Rows):
    """Paid claims, one row each, or one row a line that repeats what is of the claim.

    Attributes:
      fund_paid: What the fund paid; unknown where it and ``patient_paid`` do not add up to the total.
      setting: Such as inpatient, outpatient, special disease, pharmacy.
      channel: Such as inpatient, outpatient, dual channel.
      payment_group: DRG or DIP group.
      repeats: True where a claim stands on every one of its lines.
      action: What a row does, one of `ACTIONS`; a replacement or void names its claim in ``adjusts``, or has
        its id.
      adjusts: Id of the claim that a replacement or void is about.
      version: Number that orders rows with the same id; left out, their order in the files.
      negative: ``reversal`` where a row with a negative amount takes back what another row of its claim paid.
    """

    patient_id: Cell
    day: Day
    total_paid: Cell
    currency: Cell
    claim_id: Cell | None = None
    patient_paid: Cell | None = None
    fund_paid: Cell | None = None
    setting: Cell | None = None
    channel: Cell | None = None
    payment_group: Cell | None = None
    repeats: bool = False
    action: Cell | None = None
    adjusts: Cell | None = None
    version: Cell | None = None
    negative: Literal["refused", "reversal"] = "refused"

    @property
    def nets(self) -> bool:
        """True where a row may change another one's claim."""
        return self.action is not None or self.negative == "reversal"

    @model_validator(mode="after")
    def _one_way_to_adjust(self) -> Self:
        if self.action is not None:
            self.action.require_results(ACTIONS, "action")
        if self.action is None and (self.adjusts is not None or self.version is not None):
            raise ValueError("adjusts and version say more of action: give action")
        ways = (self.action is not None) + (self.negative == "reversal") + self.repeats
        if ways > 1:
            raise ValueError("give one of action, negative = 'reversal' and repeats")
        if ways and self.claim_id is None:
            raise ValueError("claims that are adjusted, reversed or repeated need claim_id")
        return self


class ClaimLine(Rows):
    """Lines of claims: what was given, and for how much.

    Attributes:
      line: Number of the line within its claim; left out, lines cannot be told from their repetition.
      code: Of the drug, consumable or service.
      quantity: How many.
      amount: Of the whole line; negative where ``negative`` is ``reversal``.
    """

    patient_id: Cell
    claim_id: Cell
    day: Day
    code: Cell
    amount: Cell
    currency: Cell
    line: Cell | None = None
    quantity: Cell | None = None
    negative: Literal["refused", "reversal"] = "refused"


class Enrolment(Rows):
    """Times of insurance.

    Attributes:
      day: First day.
      until: Last day; left out or empty: it goes on.
      scheme: Such as employees or residents.
      reason: Why it stopped.
    """

    patient_id: Cell
    day: Day
    until: Day | None = None
    scheme: Cell | None = None
    reason: Cell | None = None


class VitalStatus(Rows):
    """Who was alive or dead on a day, and how that is known.

    A death makes an event, a day alive a day of follow-up: people are censored on the last day on which
    somebody could have told that they lived.

    Attributes:
      day: Of death, or the last day known to be alive.
      status: ``alive`` or ``dead``.
      how: One of `WAYS`.
      reason: Why an enrolment stopped.
      complete_until: A date until which this source lists every death of the site's patients: whoever it does
        not list was alive then.
    """

    patient_id: Cell
    day: Day
    status: Cell
    how: Literal["in hospital", "enrolment", "registry", "call"]
    reason: Cell | None = None
    complete_until: date | None = Field(default=None, strict=False)

    @model_validator(mode="after")
    def _codes(self) -> Self:
        self.status.require_results(LIVING, "status")
        return self
