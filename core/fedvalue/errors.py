"""Every error that FedValue raises, in one tree.

::

    FedValueError
    ├── StudyError                 the study file or its signature
    │   ├── StudyInvalid           schema: unknown key, wrong type, value out of range
    │   ├── GovernanceIncomplete   the profile asks for a line that is missing
    │   └── SignatureInvalid       a signature does not match what it is said to sign, or a key is no key
    │       └── PassphraseWrong    a key file does not open
    ├── RecordsError               a hospital's own tables, reported at the hospital only
    │   ├── SourceMissing          a folder, file or column that the mapping names is not there
    │   ├── SourceUnreadable       a file or a line that cannot be parsed
    │   ├── MappingInvalid         the mapping file itself
    │   └── TableEmpty             nothing is left to load
    ├── Refusal                    a site says no; only its code ever leaves the site
    │   ├── NotApproved  StudyChanged  OutsideValidity  RosterMismatch  PolicyForbids
    │   ├── BudgetSpent  ReleaseUnknown  AttemptTaken  SpareAttemptsSpent  MessageInvalid  SiteFault
    │   ├── SiteUnreachable        the site node does not run behind its ClientApp
    │   ├── SessionUnavailable     the site dials in nowhere, and is asked over Flower's own grid
    │   ├── NotReserved            nothing was set aside for this study, or not for this ask
    │   ├── StudyClosed            the study was closed here, for good
    │   ├── SitePaused             the site's people have paused it
    │   ├── BundleRefused          a Flower bundle that is not on the site's list
    │   ├── IdentityRefusal        it is not shown who somebody is, or who stands on the roster
    │   │   ├── AuthorityUnknown  CertificateInvalid  CertificateNotYetValid  CertificateExpired
    │   │   ├── CertificateRevoked  CertificateNotOnRoster  IdentityKeyDiffers  SiteNameDiffers
    │   │   ├── RevocationListInvalid  RevocationListStale  ClockSkewed
    │   │   └── RosterUnsigned  EntitiesUnconfirmed  SiteLapsed
    │   └── ProtocolRefusal        a step of the private sum that a site does not take
    │       ├── SuiteUnknown  EpochUnknown  EpochTaken  EpochSettled  StepOutOfOrder
    │       ├── EntityRepeated  SiteNotOnRoster  SiteRepeated  MessageUnsigned  TooFewPeers
    │       ├── KeyWeak  KeyRepeated  OwnKeysChanged  ShareInvalid  AgreementSplit
    │       ├── SpecificationDiffers  TranscriptInvalid  RoundTaken  RoundBurnt  VectorInvalid
    │       ├── OwnInputChanged  ConsistencyTaken  UnmaskTaken  OutsideSurvivors
    │       └── SurvivorsChanged  SiteClosed
    ├── LedgerError                the privacy ledger
    │   ├── LedgerBroken           the hash chain or a signature does not hold
    │   ├── LedgerBusy             another process holds it
    │   └── LedgerRolledBack       peers have seen more of the ledger, or another one, than is on the disk
    ├── PrivacyError               a bound, scale or budget that would not protect what it promises
    ├── FederationError            a round
    │   ├── DictionariesDiffer     sites hold the columns that a training reads in different ways
    │   ├── TooFewSites            fewer sites answered, or stand on the roster, than the study demands
    │   ├── ReplyInvalid           a site's reply does not parse or is not signed by that site
    │   ├── TokenRefused           an enrolment token that was used, has ended, or is another site's
    │   └── RunInterrupted         somebody stopped the run
    ├── EvidenceError              a package, its signatures, or the chain from study to decision
    │   └── EvidenceExpired        a decision on a day on which the evidence does not hold
    ├── PaymentError               standards, mechanisms and decisions
    │   ├── ParameterNotInForce    no value on the day asked for
    │   ├── ParameterWithoutSource  a number that nobody can check
    │   ├── PurposeMixed           an estimate where a contract settles, or a realised figure where one sets
    │   ├── MoneyNegative  CurrencyUnknown  WindowsOverlap
    │   ├── GapPolicyMissing       a tier or target is left open, and the contract does not say what holds
    │   ├── EvidenceOfAnother      the evidence is of another standard, endpoint, group or way of counting
    │   └── EvidenceOfTooFewSites  fewer sites stand behind the evidence than the standard demands
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


class PassphraseWrong(SignatureInvalid):
    """A key file does not open: no passphrase, or another one than it was locked with."""

    code = "passphrase_wrong"


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


class SessionUnavailable(Refusal):
    """The site dials in nowhere: its people do not want it to, or it was told of no coordinator."""

    code = "session_unavailable"


class NotReserved(Refusal):
    """Nothing is reserved in the site's ledger for what is asked."""

    code = "not_reserved"


class StudyClosed(Refusal):
    """The study was closed at this site; what it had not asked went back, and it never asks again."""

    code = "study_closed"


class SitePaused(Refusal):
    """This site's people have paused it: nothing is answered, and every epoch is forgotten."""

    code = "site_paused"


class BundleRefused(Refusal):
    """A Flower bundle that is not on this site's list; nothing of it was unpacked or run."""

    code = "bundle_refused"


class MessageInvalid(Refusal):
    """A message to the site does not parse."""

    code = "message_invalid"


class SiteFault(Refusal):
    """Something failed inside the site; the reason is in the site's own log."""

    code = "site_fault"


class SiteUnreachable(Refusal):
    """The site's ClientApp cannot reach the site node; said by the relay, not by the site."""

    code = "site_unreachable"


class IdentityRefusal(Refusal):
    """It is not shown who somebody is, or who stands on the roster; never raised itself."""

    code = "identity_refusal"


class AuthorityUnknown(IdentityRefusal):
    """Issued by another authority than the federation's."""

    code = "authority_unknown"


class CertificateInvalid(IdentityRefusal):
    """A certificate was changed, or is not of the form that the federation's certificates have."""

    code = "certificate_invalid"


class CertificateNotYetValid(IdentityRefusal):
    """The certificate's first day is in the future, by this site's clock."""

    code = "certificate_not_yet_valid"


class CertificateExpired(IdentityRefusal):
    """The certificate's last day has passed, by this site's clock."""

    code = "certificate_expired"


class CertificateRevoked(IdentityRefusal):
    """The authority has revoked the certificate."""

    code = "certificate_revoked"


class CertificateNotOnRoster(IdentityRefusal):
    """A genuine certificate, but not the one that the roster names for the site."""

    code = "certificate_not_on_roster"


class IdentityKeyDiffers(IdentityRefusal):
    """Another key than the one that the certificate, the roster or this site's own list holds."""

    code = "identity_key_differs"


class SiteNameDiffers(IdentityRefusal):
    """The certificate names another site, legal entity or operator."""

    code = "site_name_differs"


class RevocationListInvalid(IdentityRefusal):
    """The revocation list is not the authority's, or was changed."""

    code = "revocation_list_invalid"


class RevocationListStale(IdentityRefusal):
    """The revocation list is past its date, or older than one that was seen here."""

    code = "revocation_list_stale"


class ClockSkewed(IdentityRefusal):
    """This machine's clock disagrees with what others have signed."""

    code = "clock_skewed"


class RosterUnsigned(IdentityRefusal):
    """The roster is not signed by the authority, or was changed after it signed."""

    code = "roster_unsigned"


class EntitiesUnconfirmed(IdentityRefusal):
    """More of the roster's entities are unconfirmed by this site than are assumed to collude."""

    code = "entities_unconfirmed"


class SiteLapsed(IdentityRefusal):
    """A site that is shown as taking part has no certificate any more: it counts as dropped."""

    code = "site_lapsed"


class ProtocolRefusal(Refusal):
    """A step of the private sum that a site does not take; never raised itself."""

    code = "protocol_refusal"


class SuiteUnknown(ProtocolRefusal):
    """The message names another crypto suite than the approved one: no negotiation, no downgrade."""

    code = "suite_unknown"


class EpochUnknown(ProtocolRefusal):
    """The epoch's secrets are not in this process: it never joined, has restarted, or has erased them."""

    code = "epoch_unknown"


class EpochTaken(ProtocolRefusal):
    """This site made keys for the epoch before, or with other settings."""

    code = "epoch_taken"


class EpochSettled(ProtocolRefusal):
    """The epoch has its one key list and its one set of members; another one was shown."""

    code = "epoch_settled"


class StepOutOfOrder(ProtocolRefusal):
    """The step before this one has not been taken here."""

    code = "step_out_of_order"


class EntityRepeated(ProtocolRefusal):
    """One legal entity stands on the roster more than once."""

    code = "entity_repeated"


class SiteNotOnRoster(ProtocolRefusal):
    """A message speaks for a site that the signed roster does not hold."""

    code = "site_not_on_roster"


class SiteRepeated(ProtocolRefusal):
    """A list names one site twice."""

    code = "site_repeated"


class MessageUnsigned(ProtocolRefusal):
    """A relayed object is not signed by the site it speaks for."""

    code = "message_unsigned"


class TooFewPeers(ProtocolRefusal):
    """Fewer than t sites stand behind what the coordinator shows."""

    code = "too_few_peers"


class KeyWeak(ProtocolRefusal):
    """A public key is of low order or not canonical."""

    code = "key_weak"


class KeyRepeated(ProtocolRefusal):
    """One public key or seed hash is used twice."""

    code = "key_repeated"


class OwnKeysChanged(ProtocolRefusal):
    """The key list does not hold this site's own entry as it was made."""

    code = "own_keys_changed"


class ShareInvalid(ProtocolRefusal):
    """A sealed share does not open, or is not what its sender owes."""

    code = "share_invalid"


class AgreementSplit(ProtocolRefusal):
    """Sites signed other members or another key list than this site did."""

    code = "agreement_split"


class SpecificationDiffers(ProtocolRefusal):
    """The round is not what this site computes from its own approved study."""

    code = "specification_differs"


class TranscriptInvalid(ProtocolRefusal):
    """The transcript of the last round lacks signatures, or is an older one."""

    code = "transcript_invalid"


class RoundTaken(ProtocolRefusal):
    """The round carries another question already."""

    code = "round_taken"


class RoundBurnt(ProtocolRefusal):
    """The round was begun and has no stored answer, was passed over, or does not exist."""

    code = "round_burnt"


class VectorInvalid(ProtocolRefusal):
    """The site's own vector has a wrong shape or type."""

    code = "vector_invalid"


class OwnInputChanged(ProtocolRefusal):
    """The coordinator shows another masked vector of this site than the one it sent."""

    code = "own_input_changed"


class ConsistencyTaken(ProtocolRefusal):
    """This site has signed other survivors of the round."""

    code = "consistency_taken"


class UnmaskTaken(ProtocolRefusal):
    """This site has released its shares of the round for another request."""

    code = "unmask_taken"


class OutsideSurvivors(ProtocolRefusal):
    """The survivors do not include this site; it erases the round and stays silent."""

    code = "outside_survivors"


class SurvivorsChanged(ProtocolRefusal):
    """A sum without noise was asked of other survivors than the last one."""

    code = "survivors_changed"


class SiteClosed(ProtocolRefusal):
    """The site has not yet had the receipts of its peers since it was started."""

    code = "site_closed"


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


class LedgerRolledBack(LedgerError):
    """Peers have seen a later state of this ledger, or another ledger, than the one on the disk."""

    code = "ledger_rolled_back"


class PrivacyError(FedValueError):
    """A bound, scale or budget would not protect what it promises."""

    code = "privacy_error"
    exit_status = 6


class FederationError(FedValueError):
    """A round of the federation."""

    code = "federation_error"
    exit_status = 7


class DictionariesDiffer(FederationError):
    """Sites hold the columns that a training reads in different ways; nothing was charged."""

    code = "dictionaries_differ"


class TooFewSites(FederationError):
    """Fewer sites than the study demands."""

    code = "too_few_sites"


class ReplyInvalid(FederationError):
    """A site's reply does not parse, or is not signed by that site."""

    code = "reply_invalid"


class TokenRefused(FederationError):
    """An enrolment token was used before, has ended, is of another site, or was changed."""

    code = "token_refused"


class RunInterrupted(FederationError):
    """Somebody stopped the run."""

    code = "interrupted"
    exit_status = 130


class EvidenceError(FedValueError):
    """An evidence package, its signatures, or the chain from study to decision."""

    code = "evidence_invalid"
    exit_status = 8


class EvidenceExpired(EvidenceError):
    """A decision was asked for on a day on which the evidence does not hold."""

    code = "evidence_expired"


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


class PurposeMixed(PaymentError):
    """An estimate was offered where a contract is settled, or a realised figure where a standard is set."""

    code = "purpose_mixed"


class ParameterWithoutSource(PaymentError):
    """A number of a standard, contract or payer's statement does not say where a person can check it."""

    code = "parameter_without_source"


class MoneyNegative(PaymentError):
    """An amount of money below 0: money that goes the other way is another flow, with its own bearer."""

    code = "money_negative"


class CurrencyUnknown(PaymentError):
    """A currency that is no ISO 4217 code of a currency of a hundred parts."""

    code = "currency_unknown"


class WindowsOverlap(PaymentError):
    """Two windows, tiers, years or dated values claim the same day, rate or code."""

    code = "windows_overlap"


class GapPolicyMissing(PaymentError):
    """A contract has tiers or targets and does not say what holds between them."""

    code = "gap_policy_missing"


class EvidenceOfAnother(PaymentError):
    """The evidence is of another standard, endpoint, group, or way of counting than the standard asks for."""

    code = "evidence_of_another"


class EvidenceOfTooFewSites(PaymentError):
    """Fewer sites stand behind the evidence than the standard demands."""

    code = "evidence_of_too_few_sites"


class OutputError(FedValueError):
    """A place that cannot be written."""

    code = "output_error"
    exit_status = 10


class UnsafeWarning(UserWarning):
    """Something named ``Unsafe...`` is in use: it lowers protection, and never does so in silence."""
