"""The site's share of one round of the private sum: charged on the disk before a row is touched."""

from __future__ import annotations

from datetime import datetime

from fedvalue.client.charge import debit_of, note_release, require_attempt, require_noise
from fedvalue.client.governance.approvals import ApprovedStudy, in_force
from fedvalue.client.governance.validity import require_unexpired
from fedvalue.client.home import SiteHome
from fedvalue.client.node_receipts import NodeReceipts
from fedvalue.errors import SpareAttemptsSpent, SpecificationDiffers
from fedvalue.planning.plan import PlannedRelease
from fedvalue.planning.terms import terms_of
from fedvalue.privacy.randomness import NoiseSource
from fedvalue.secure_sum.specification import RoundSpecification
from fedvalue.strategies.secure_aggregation.clear_sum import noised
from fedvalue.strategies.secure_aggregation.private_sum.agreed import ChargedShare
from fedvalue.strategies.secure_aggregation.private_sum.journal import LedgerEnd
from fedvalue.strategies.training.at_site import learner_of
from fedvalue.study.identity.clock import require_later


def private_share(
    home: SiteHome,
    found: ApprovedStudy,
    asked: RoundSpecification,
    h: bytes,
    noise: NoiseSource,
    *,
    start: NodeReceipts,
) -> ChargedShare:
    """Debit the ledger for a round, then compute contribution and noise; the caller holds the home's lock.

    A round that was charged and lost is not computed again: its noise would be drawn twice for one price.

    Args:
      home: The site.
      found: The approved study.
      asked: The round, as this site computed it.
      h: Hash of its question.
      noise: Source of privacy noise.
      start: What this process has seen of the ledger.

    Raises:
      SpecificationDiffers: the study was approved anew, and otherwise, since the round was checked.
      LedgerRolledBack: the ledger was put back to an older copy under this process.
      Refusal: outside the study's dates, no such attempt, noise that can be repeated, or no budget.
      AttemptTaken: the attempt was charged for another round.
      SpareAttemptsSpent: it was charged for this one before.
      ClockSkewed: the clock is behind the ledger's last entry.
      LedgerError: the debit cannot be written.
      OutputError: the audit log cannot be written.
    """
    in_force(found.study, home)
    require_unexpired(found.approval, home)
    release = found.plan.release(asked.release.label)
    release.require_public(asked.public)
    _require_same(found, release, asked)
    require_attempt(found, asked.attempt)
    require_noise(home.policy, noise)
    with home.ledger() as ledger:
        start.require_held(ledger)
        last = datetime.fromisoformat(ledger.entries()[-1].time)
        require_later(home.clock(), last, where="the ledger's last entry")
        receipt = ledger.debit(debit_of(found, release, asked.attempt, asked=asked, h=h), reserve=True)
        if not receipt.fresh:
            raise SpareAttemptsSpent("the round was charged and its answer was lost; it is not made again")
        end = ledger.head()
    start.held(end)
    learner = learner_of(release, noise, keep=home.study_folder(found.plan.study_hash))
    vector = noised(release, found.cohort(home), noise, asked.public, learner)
    note_release(home, found, release, asked.attempt)
    return ChargedShare(vector, LedgerEnd(end.counter, bytes.fromhex(end.hash)))


def _require_same(found: ApprovedStudy, release: PlannedRelease, asked: RoundSpecification) -> None:
    """What was compared with the coordinator's question is what is charged and drawn now, noise included."""
    now = (found.plan.roster_hash, terms_of(found.plan, release).asked(asked.public))
    if now != (asked.settings.roster_hash, asked.release):
        raise SpecificationDiffers("the study was approved otherwise while the round was asked")
