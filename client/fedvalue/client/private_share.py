"""The site's share of one round of the private sum: charged on the disk before a row is touched."""

from __future__ import annotations

from fedvalue.client.charge import debit_of, require_attempt, require_noise
from fedvalue.client.governance.approvals import ApprovedStudy, in_force
from fedvalue.client.home import SiteHome
from fedvalue.errors import SpareAttemptsSpent
from fedvalue.privacy.randomness import NoiseSource
from fedvalue.secure_sum.specification import RoundSpecification
from fedvalue.strategies.secure_aggregation.clear_sum import noised
from fedvalue.strategies.secure_aggregation.private_sum.agreed import ChargedShare
from fedvalue.strategies.secure_aggregation.private_sum.journal import LedgerEnd


def private_share(
    home: SiteHome, found: ApprovedStudy, asked: RoundSpecification, h: bytes, noise: NoiseSource
) -> ChargedShare:
    """Debit the ledger for a round, then compute contribution and noise; the caller holds the home's lock.

    A round that was charged and lost is not computed again: its noise would be drawn twice for one price.

    Args:
      home: The site.
      found: The approved study.
      asked: The round, as this site computed it.
      h: Hash of its question.
      noise: Source of privacy noise.

    Raises:
      Refusal: outside the study's dates, no such attempt, noise that can be repeated, or no budget.
      AttemptTaken: the attempt was charged for another round.
      SpareAttemptsSpent: it was charged for this one before.
      LedgerError: the debit cannot be written.
    """
    in_force(found.study, home)
    release = found.plan.release(asked.release.label)
    release.require_public(asked.public)
    require_attempt(found, asked.attempt)
    require_noise(home.policy, noise)
    with home.ledger() as ledger:
        receipt = ledger.debit(debit_of(found, release, asked.attempt, asked=asked, h=h), reserve=True)
        if not receipt.fresh:
            raise SpareAttemptsSpent("the round was charged and its answer was lost; it is not made again")
        end = ledger.head()
    vector = noised(release, found.cohort(home), noise, asked.public)
    return ChargedShare(vector, LedgerEnd(end.counter, bytes.fromhex(end.hash)))
