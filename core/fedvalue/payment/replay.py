"""Make a decision again, from the evidence and the version of the standard that it names."""

from __future__ import annotations

from fedvalue.errors import PaymentError
from fedvalue.evidence import documents
from fedvalue.evidence.package import EvidencePackage
from fedvalue.payment.deciding import decide
from fedvalue.payment.decision import Decision
from fedvalue.payment.held import Held
from fedvalue.payment.standard_file import StandardFile

_OUTSIDE = frozenset({"decision_id", "signatures"})


def replay(
    decision: Decision, package: EvidencePackage, standard: StandardFile, held: Held | None = None
) -> Decision:
    """Make a decision again and compare it bit for bit.

    Under D5 the looks before this one are read from the decision itself, whose signature covers them.

    Args:
      decision: The decision.
      package: The evidence that it names.
      standard: The standard's file, as it is now: the earlier state that was read is a beginning of it.
      held: The payer's statement, where the decision names one.

    Returns:
      The decision as it was made again, unsigned.

    Raises:
      PaymentError: the evidence or the standard is another one, or the answer differs; names what differs.
    """
    if (decision.evidence_id, decision.evidence_digest) != (package.evidence_id, documents.digest(package)):
        raise PaymentError("the decision rests on other evidence", where=decision.decision_id)
    if decision.standard != standard.standard.name:
        raise PaymentError(f"the decision is about {decision.standard}", where=decision.decision_id)
    if decision.held_digest != (None if held is None else held.digest):
        raise PaymentError(
            f"the decision read the payer's statement {decision.held_name!r}"
            if decision.held_digest
            else "the decision read no statement of the payer",
            where=decision.decision_id,
            do="give the statement that it names, as it was",
        )
    looks = () if decision.sequence is None else decision.sequence.looks[:-1]
    again = decide(
        package, standard.at_version(decision.parameters_version), decision.decided_on, held=held, looks=looks
    )
    before, now = (documents.content(one, without=_OUTSIDE) for one in (decision, again))
    if different := sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key)):
        raise PaymentError(
            f"made again, the decision differs in {', '.join(different)}",
            where=decision.decision_id,
            do="it was changed, or made by another version of FedValue",
        )
    return again
