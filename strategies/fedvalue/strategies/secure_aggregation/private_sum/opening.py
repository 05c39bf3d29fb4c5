"""The private sum behind the interface of the clear sum: ``open(label)`` gives one opened release."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedvalue import errors
from fedvalue.analyses.analysis import NoisyBlock, NoisySum
from fedvalue.errors import PolicyForbids, SiteFault, TooFewSites, UnsafeWarning
from fedvalue.planning.plan import Plan, PlannedRelease
from fedvalue.protos.v1 import private_sum_pb2 as pb
from fedvalue.secure_sum.specification import MAX_ROUNDS
from fedvalue.secure_sum.suite import CryptoSuite
from fedvalue.strategies.secure_aggregation.clear_sum import BEFORE_THE_DEBIT
from fedvalue.strategies.secure_aggregation.private_sum.agreed import agreed_on
from fedvalue.strategies.secure_aggregation.private_sum.gathering import Exchange
from fedvalue.strategies.secure_aggregation.private_sum.one_round import Attempted
from fedvalue.strategies.secure_aggregation.private_sum.rounds import PrivateRounds
from fedvalue.study.roster import Roster

NOT_CHARGED = BEFORE_THE_DEBIT | {
    kind.code
    for kind in (
        errors.AgreementSplit,
        errors.RosterMismatch,
        errors.RoundTaken,
        errors.SpecificationDiffers,
        errors.StepOutOfOrder,
        errors.SuiteUnknown,
        errors.TranscriptInvalid,
    )
}
"""Codes with which a site refuses a masked vector while nothing is debited.

Every other answer, or none, may have cost it. A code of a later step does not count: the site has given
its vector by then.
"""


@dataclass(frozen=True, slots=True)
class PrivatelyOpened:
    """One opened release.

    Attributes:
      release: The planned release.
      attempt: Which attempt, from 1.
      public: The public numbers that were sent along.
      total: Sum of the survivors' contributions and noise, shape ``(dimension,)``.
      survivors: Sites whose vectors are in it, in the order of ids.
      transcript: Who delivered what, and who signed it.
      refusals: Site id to the code with which it fell out.
      charged: Site id to the number of attempts that its ledger may have been debited for.
    """

    release: PlannedRelease
    attempt: int
    public: bytes
    total: NDArray[np.int64]
    survivors: tuple[str, ...]
    transcript: pb.Transcript
    refusals: Mapping[str, str]
    charged: Mapping[str, int]

    @property
    def noise_variance(self) -> float:
        """Variance of the noise in each coordinate of ``total``, assuming honest noise of every survivor."""
        return self.release.noise_variance(len(self.survivors))

    def blocks(self) -> NoisySum:
        """Return every block of the release by its full name."""
        return {
            name: NoisyBlock(self.total[where], gamma, self.noise_variance, len(self.survivors))
            for name, (where, gamma) in self.release.slices().items()
        }


@dataclass(slots=True)
class PrivateSum:
    """Coordinator half.

    Attributes:
      plan: The plan of the study.
      roster: The sites, with their keys.
      exchange: How a request of a step reaches them.
      attempts: How many attempts a release may take, at least 1.
      suite: Crypto suite; None takes ``intl-1``.
      opened: What has been opened so far, in order.
      counters: Site id to the highest ledger counter of its vectors so far, those of an earlier run too; a
        site whose counter does not grow is left out, because the evidence would not hold.
      unopened: Label of a release that never opened, to the attempts that each site may have paid for.
    """

    plan: Plan
    roster: Roster
    exchange: Exchange
    attempts: int = 1
    suite: CryptoSuite | None = None
    opened: list[PrivatelyOpened] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    unopened: dict[str, dict[str, int]] = field(default_factory=dict)
    _rounds: PrivateRounds | None = None

    def open(self, label: str, public: bytes = b"") -> PrivatelyOpened:
        """Open a release: the exact sum of at least t sites' noised shares.

        Args:
          label: Of the release.
          public: Its public numbers, as in `PlannedRelease.require_public`.

        Raises:
          ReleaseUnknown: the plan has no such release.
          MessageInvalid: the public numbers are not what the release takes.
          PolicyForbids: the plan is without noise, and this is not `UnsafeExactSum`.
          TooFewSites: fewer than t sites were left in every attempt.
        """
        for past in self.opened:
            if past.release.label == label:
                return past
        if self.plan.exact and not isinstance(self, UnsafeExactSum):
            raise PolicyForbids("the plan is without noise", do="use UnsafeExactSum, on simulated patients")
        release = self.plan.release(label)
        release.require_public(public)
        if self._rounds is None:
            wanted = min(MAX_ROUNDS, len(self.plan.releases) + self.attempts - 1)
            agreed = agreed_on(self.plan, self.roster, unsafe_exact=self.plan.exact, suite=self.suite)
            self._rounds = PrivateRounds(agreed, self.exchange, wanted, counters=self.counters)
        charged: Counter[str] = Counter()
        failure: TooFewSites | None = None
        for attempt in range(1, self.attempts + 1):
            found = self._rounds.attempt(label, attempt, public)
            charged.update(may_have_paid(found))
            if found.total is not None and found.transcript is not None:
                opened = PrivatelyOpened(
                    release,
                    attempt,
                    public,
                    found.total,
                    found.survivors,
                    found.transcript,
                    found.refusals,
                    dict(charged),
                )
                self.opened.append(opened)
                return opened
            failure = found.failure
        self.unopened[label] = dict(charged)
        raise failure or TooFewSites("no attempt was allowed", where=label)


@dataclass(slots=True)
class UnsafeExactSum(PrivateSum):
    """Sums without noise: for simulated patients, and for training without a privacy plan.

    Secure aggregation hides each site's vector, not what the sum itself tells of a patient.
    """

    def __post_init__(self) -> None:
        """Warn."""
        warnings.warn(
            "UnsafeExactSum adds no noise: the sum may tell of single patients", UnsafeWarning, stacklevel=3
        )


def may_have_paid(found: Attempted) -> list[str]:
    """Return the sites whose ledgers an attempt may have debited: all but those that said no before it."""
    delivered = set(found.survivors)
    return [
        site
        for site in found.asked
        if site in delivered or found.refusals.get(site, SiteFault.code) not in NOT_CHARGED
    ]
