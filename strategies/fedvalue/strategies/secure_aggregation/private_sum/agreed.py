"""What a site's officer agreed to, as the protocol needs it, and the callbacks that reach the site's data.

Nothing here ever comes from the coordinator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedvalue.errors import SiteLapsed
from fedvalue.planning.plan import Plan
from fedvalue.planning.terms import membership_of, terms_of
from fedvalue.secure_sum.membership import Membership
from fedvalue.secure_sum.specification import EpochSettings, ReleaseTerms, RoundSpecification
from fedvalue.secure_sum.suite import CryptoSuite, Intl1
from fedvalue.strategies.secure_aggregation.private_sum.journal import LedgerEnd
from fedvalue.study.roster import Roster


@dataclass(frozen=True, slots=True)
class Agreed:
    """One approved study, or one approved run of training rounds.

    Attributes:
      study_hash: SHA-256 of the study, 64 hexadecimal digits.
      membership: The approved roster and its thresholds.
      release: Gives the terms of a release by its label; raises `ReleaseUnknown` for any other label.
      unsafe_exact: True if officer and policy allow sums without noise for it.
      suite: The approved crypto suite.
      lapsed: Sites of the roster that count as dropped by now: no key or vector of theirs is taken.
    """

    study_hash: str
    membership: Membership
    release: Callable[[str], ReleaseTerms] = field(compare=False)
    unsafe_exact: bool = False
    suite: CryptoSuite = field(default_factory=Intl1)
    lapsed: frozenset[str] = frozenset()

    def require_standing(self, sites: Iterable[str]) -> None:
        """Refuse to go on with a site whose certificate has ended.

        Raises:
          SiteLapsed: names it.
        """
        gone = sorted(self.lapsed.intersection(sites))
        if gone:
            raise SiteLapsed(
                "the certificate of a site that is shown as taking part has ended", where=", ".join(gone),
                do="the coordinator goes on without it, in a new epoch",
            )  # fmt: skip

    def settings(self, epoch: str, rounds: int) -> EpochSettings:
        """Return the settings of an epoch of this study."""
        limits = self.membership.thresholds
        return EpochSettings(
            self.suite.name,
            epoch,
            self.study_hash,
            self.membership.roster_hash,
            limits.sites,
            limits.answers,
            limits.colluding,
            rounds,
        )


Approved = Callable[[str], Agreed]
"""Gives what the officer approved under a study hash; raises a `Refusal` if nothing, or not today."""


@dataclass(frozen=True, slots=True)
class ChargedShare:
    """A site's share of a round, charged to its ledger before a row was touched.

    Attributes:
      vector: Contribution plus the site's own fresh noise, integers of the ring, shape ``(d,)``, int64.
      ledger: The end of the ledger after the debit.
    """

    vector: NDArray[np.int64]
    ledger: LedgerEnd


Contribute = Callable[[RoundSpecification, bytes], ChargedShare]
"""``(specification, h)``: debits the ledger on disk, then computes contribution and noise.

Called at most once for a round. It MUST refuse an attempt that was charged under another epoch or round.
"""


def agreed_on(
    plan: Plan,
    roster: Roster,
    *,
    unsafe_exact: bool = False,
    suite: CryptoSuite | None = None,
    lapsed: frozenset[str] = frozenset(),
) -> Agreed:
    """Return what a plan on a roster means to the protocol.

    Args:
      plan: The approved plan.
      roster: The approved roster.
      unsafe_exact: True if sums without noise are allowed by name.
      suite: Crypto suite; None takes ``intl-1``.
      lapsed: Sites whose certificates have ended since the approval.

    Raises:
      EntityRepeated: two sites of one legal entity.
    """
    return Agreed(
        plan.study_hash,
        membership_of(roster, plan),
        lambda label: terms_of(plan, plan.release(label)),
        unsafe_exact,
        suite or Intl1(),
        lapsed,
    )
