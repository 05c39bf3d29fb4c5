"""Every error that FedValue raises, in one tree.

::

    FedValueError
    ├── StudyError                 the study file or its signature
    │   ├── StudyInvalid           schema: unknown key, wrong type, value out of range
    │   ├── GovernanceIncomplete   the profile asks for a line that is missing
    │   └── SignatureInvalid       a signature does not match what it is said to sign
    ├── RecordsError               a hospital's own tables, reported at the hospital only
    │   ├── SourceMissing          a folder, file or column that the mapping names is not there
    │   ├── SourceUnreadable       a file or a line that cannot be parsed
    │   ├── MappingInvalid         the mapping file itself
    │   └── TableEmpty             nothing is left to load
    ├── Refusal                    a site says no; only its code ever leaves the site
    │   ├── NotApproved  StudyChanged  OutsideValidity  RosterMismatch  PolicyForbids
    │   ├── BudgetSpent  ReleaseUnknown  AttemptTaken  SpareAttemptsSpent  MessageInvalid  SiteFault
    ├── LedgerError                the privacy ledger
    │   ├── LedgerBroken           the hash chain or a signature does not hold
    │   └── LedgerBusy             another process holds it
    ├── PrivacyError               a bound, scale or budget that would not protect what it promises
    ├── FederationError            a round
    │   ├── TooFewSites            fewer sites answered, or stand on the roster, than the study demands
    │   ├── ReplyInvalid           a site's reply does not parse or is not signed by that site
    │   └── RunInterrupted         somebody stopped the run
    ├── EvidenceError              a package, its signatures, or the chain from study to decision
    ├── PaymentError               standards, mechanisms and decisions
    │   └── ParameterNotInForce    no value on the day asked for
    └── OutputError                a place that cannot be written

    UnsafeWarning                  something named ``Unsafe...`` is in use (a warning, not an error)

The root is never raised. Each message says what happened, where, and what to do. ``code`` is the
stable word that crosses a wire; free text never does. Only the command line turns an error into an
exit status.
"""

from __future__ import annotations

from datetime import date
from typing import ClassVar


class FedValueError(Exception):
    """Root of the tree; never raised itself.

    Attributes:
      code: Stable snake-case word for programs and for the wire.
      exit_status: What the command line exits with.
      what: What happened, one sentence.
      where: File, key, table, site or day it happened at; may be empty.
      do: What the reader can do about it; may be empty.
    """

    code: ClassVar[str] = "error"
    exit_status: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str = "", do: str = "") -> None:
        self.what, self.where, self.do = what, where, do
        at = f" [{where}]" if where else ""
        then = f" -> {do}" if do else ""
        super().__init__(f"{what}{at}{then}")


class StudyError(FedValueError):
    """The study file or its signature."""

    code = "study_error"
    exit_status = 2


class StudyInvalid(StudyError):
    """The study file does not follow the schema."""

    code = "study_invalid"


class GovernanceIncomplete(StudyError):
    """The governance profile demands a line that the study lacks."""

    code = "governance_incomplete"


class SignatureInvalid(StudyError):
    """A signature does not match what it is said to sign."""

    code = "signature_invalid"


class RecordsError(FedValueError):
    """A hospital's own tables; reported at the hospital, never sent."""

    code = "records_error"
    exit_status = 3


class SourceMissing(RecordsError):
    """A folder, file or column that the mapping names is not there."""

    code = "source_missing"


class SourceUnreadable(RecordsError):
    """A file or line cannot be parsed."""

    code = "source_unreadable"


class MappingInvalid(RecordsError):
    """The mapping file does not follow its schema."""

    code = "mapping_invalid"


class TableEmpty(RecordsError):
    """A table has no usable row."""

    code = "table_empty"


class Refusal(FedValueError):
    """A site says no. Only ``code`` leaves the site; it never depends on patients."""

    code = "refused"
    exit_status = 4


class NotApproved(Refusal):
    """This site's officer has not approved the study."""

    code = "not_approved"


class StudyChanged(Refusal):
    """The study named is not the one that was approved: the hash differs."""

    code = "study_changed"


class OutsideValidity(Refusal):
    """Today is outside the study's dates."""

    code = "outside_validity"


class RosterMismatch(Refusal):
    """The roster is not the one that was approved, or this site is not on it."""

    code = "roster_mismatch"


class PolicyForbids(Refusal):
    """The site's policy does not allow what the study asks."""

    code = "policy_forbids"


class BudgetSpent(Refusal):
    """The site's ledger has not enough budget left."""

    code = "budget_spent"


class ReleaseUnknown(Refusal):
    """The plan of the approved study holds no such release."""

    code = "release_unknown"


class AttemptTaken(Refusal):
    """This attempt at a release was already charged, with other parameters."""

    code = "attempt_taken"


class SpareAttemptsSpent(Refusal):
    """Every planned attempt at this release is used."""

    code = "spare_attempts_spent"


class MessageInvalid(Refusal):
    """A message to the site does not parse."""

    code = "message_invalid"


class SiteFault(Refusal):
    """Something failed inside the site; the reason is in the site's own log."""

    code = "site_fault"


class LedgerError(FedValueError):
    """The privacy ledger."""

    code = "ledger_error"
    exit_status = 5


class LedgerBroken(LedgerError):
    """The ledger's hash chain or a signature in it does not hold."""

    code = "ledger_broken"


class LedgerBusy(LedgerError):
    """Another process holds the ledger."""

    code = "ledger_busy"


class PrivacyError(FedValueError):
    """A bound, scale or budget would not protect what it promises."""

    code = "privacy_error"
    exit_status = 6


class FederationError(FedValueError):
    """A round of the federation."""

    code = "federation_error"
    exit_status = 7


class TooFewSites(FederationError):
    """Fewer sites than the study demands."""

    code = "too_few_sites"


class ReplyInvalid(FederationError):
    """A site's reply does not parse, or is not signed by that site."""

    code = "reply_invalid"


class RunInterrupted(FederationError):
    """Somebody stopped the run."""

    code = "interrupted"
    exit_status = 130


class EvidenceError(FedValueError):
    """An evidence package, its signatures, or the chain from study to decision."""

    code = "evidence_invalid"
    exit_status = 8


class PaymentError(FedValueError):
    """Payment standards, mechanisms and decisions."""

    code = "payment_error"
    exit_status = 9


class ParameterNotInForce(PaymentError):
    """No value of the parameter is in force on the day asked for.

    Attributes:
      name: The parameter's path.
      day: The day asked for.
    """

    code = "parameter_not_in_force"

    def __init__(self, name: str, day: date, why: str) -> None:
        super().__init__(f"{name} has no value on {day}", where=name, do=why)
        self.name, self.day = name, day


class OutputError(FedValueError):
    """A place that cannot be written."""

    code = "output_error"
    exit_status = 10


class UnsafeWarning(UserWarning):
    """Something named ``Unsafe...`` is in use: it lowers protection, and never does so in silence."""
