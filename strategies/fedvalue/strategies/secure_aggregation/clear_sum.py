"""The sum of the sites' noised shares, in clear: what `UnsafeClearSum` says it is.

Each site adds its own discrete Gaussian before anything leaves, so the total carries the noise that the
plan counts on. Without masks the coordinator sees each share by itself; a share is protected by one
site's noise alone (m = 1), and that is what ledger and evidence state. Only a simulation may ask for it, by
name; the private sum stands behind the same interface.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.analysis import Learner, NoisyBlock, NoisySum
from fedvalue.analyses.cohort import Cohort
from fedvalue.errors import (
    BudgetSpent,
    MessageInvalid,
    NotApproved,
    OutsideValidity,
    PolicyForbids,
    ReleaseUnknown,
    ReplyInvalid,
    RosterMismatch,
    SignatureInvalid,
    StudyChanged,
    TooFewSites,
)
from fedvalue.planning.plan import Plan, PlannedRelease
from fedvalue.privacy import gaussian
from fedvalue.privacy.randomness import NoiseSource
from fedvalue.privacy.release import LOG2_SCALE
from fedvalue.secure_sum.specification import query_with
from fedvalue.strategies.secure_aggregation.messages import (
    SALT_BYTES,
    Refused,
    ReleaseReply,
    ReleaseRequest,
    Reply,
    commitment,
    signed_content,
)
from fedvalue.study import signature
from fedvalue.study.roster import Roster
from fedvalue.study.signature import Signature

BEFORE_THE_DEBIT = frozenset(
    kind.code
    for kind in (
        NotApproved,
        StudyChanged,
        OutsideValidity,
        RosterMismatch,
        PolicyForbids,
        BudgetSpent,
        ReleaseUnknown,
        MessageInvalid,
    )
)
"""Codes with which a site refuses while nothing is debited; any other answer, or none, may have cost it."""

Exchange = Callable[[ReleaseRequest], Mapping[str, Reply]]
"""Sends one request to every enrolled site and returns the replies by site id."""


def noised(
    release: PlannedRelease,
    cohort: Cohort,
    noise: NoiseSource,
    public: bytes = b"",
    learner: Learner | None = None,
) -> NDArray[np.int64]:
    """Site half: the site's contribution plus its own noise, integers of the ring, shape ``(dimension,)``.

    The caller has debited the ledger. Under the plan's `Unsafe` switch there is no noise. Where a site takes
    steps by itself each step has its noise already, and the sum of the updates adds none.

    Args:
      release: The planned release.
      cohort: The site's frozen rows.
      noise: Source of privacy noise.
      public: The release's public numbers.
      learner: What trains, where patients are drawn for the release.
    """
    total = release.contribution(cohort, public, learner)
    if release.exact or release.local:
        return total
    return total + gaussian.sample(noise, release.dimension, log2_scale=LOG2_SCALE)


@dataclass(frozen=True, slots=True)
class Opened:
    """One opened release.

    Attributes:
      release: The planned release.
      attempt: Which attempt, from 1.
      public: The public numbers that were sent along.
      total: Sum of the shares, shape ``(dimension,)``.
      signatures: Site id to its signature over its share.
      digests: Site id to the salted SHA-256 of its share.
      refusals: Site id to the code it refused with.
      charged: Site id to the number of attempts that its ledger may have been debited for: all but those
        that it refused before it debits.
    """

    release: PlannedRelease
    attempt: int
    public: bytes
    total: NDArray[np.int64]
    signatures: Mapping[str, Signature]
    digests: Mapping[str, str]
    refusals: Mapping[str, str]
    charged: Mapping[str, int]

    @property
    def noise_variance(self) -> float:
        """Variance of the noise in each coordinate of ``total``, assuming honest noise of every share."""
        return self.release.noise_variance(len(self.signatures))

    def blocks(self) -> NoisySum:
        """Return every block of the release by its full name."""
        return {
            name: NoisyBlock(self.total[where], gamma, self.noise_variance, len(self.signatures))
            for name, (where, gamma) in self.release.slices().items()
        }


@dataclass(slots=True)
class UnsafeClearSum:
    """Coordinator half.

    Attributes:
      plan: The plan of the study.
      roster: The sites, with their keys.
      exchange: How a request reaches them.
      attempts: How many attempts a release may take, at least 1.
      opened: What has been opened so far, in order.
    """

    plan: Plan
    roster: Roster
    exchange: Exchange
    attempts: int = 1
    opened: list[Opened] = field(default_factory=list)

    def open(self, label: str, public: bytes = b"") -> Opened:
        """Ask every site for its share of a release and add the shares.

        Fewer than t shares fail the attempt; another one is a new request with fresh noise and a new debit.

        Args:
          label: Of the release.
          public: Its public numbers.

        Raises:
          ReleaseUnknown: the plan has no such release.
          MessageInvalid: the public numbers are not what the release takes.
          TooFewSites: fewer than t sites answered in every attempt.
        """
        for past in self.opened:
            if past.release.label == label:
                return past
        release = self.plan.release(label)
        release.require_public(public)
        charged: Counter[str] = Counter()
        for attempt in range(1, self.attempts + 1):
            found = self._ask(release, attempt, public, charged)
            if len(found.signatures) >= self.plan.thresholds.answers:
                self.opened.append(found)
                return found
        raise TooFewSites(
            f"{len(found.signatures)} of {len(self.roster.site)} sites answered {label}, "
            f"{self.plan.thresholds.answers} must",
            where=", ".join(f"{site}: {code}" for site, code in sorted(found.refusals.items())) or label,
            do="ask the sites that refused; the others have been charged for the attempt",
        )

    def _ask(self, release: PlannedRelease, attempt: int, public: bytes, charged: Counter[str]) -> Opened:
        """Make one attempt; ``charged`` counts it for every site that may have paid for it."""
        plan = self.plan
        specification = query_with(plan.specification(release), public)
        request = ReleaseRequest(
            plan.study_hash, plan.roster_hash, release.label, attempt, specification, public
        )
        total = np.zeros(release.dimension, dtype=np.int64)
        signatures: dict[str, Signature] = {}
        digests: dict[str, str] = {}
        refusals: dict[str, str] = {}
        for site_id, reply in self.exchange(request).items():
            if isinstance(reply, Refused):
                charged[site_id] += reply.code not in BEFORE_THE_DEBIT
                refusals[site_id] = reply.code
                continue
            charged[site_id] += 1
            try:
                vector, signed, digest = self._checked(site_id, reply, request, release)
            except ReplyInvalid as error:
                refusals[site_id] = error.code
                continue
            total += vector
            signatures[site_id] = signed
            digests[site_id] = digest
        return Opened(release, attempt, public, total, signatures, digests, refusals, dict(charged))

    def _checked(
        self, site_id: str, reply: Reply, request: ReleaseRequest, release: PlannedRelease
    ) -> tuple[NDArray[np.int64], Signature, str]:
        site = self.roster.get(site_id)
        if site is None or not isinstance(reply, ReleaseReply) or reply.site != site_id:
            raise ReplyInvalid("it is no share of a site on the roster", where=site_id)
        if len(reply.salt) != SALT_BYTES:
            raise ReplyInvalid("the share has no salt", where=site_id)
        content = signed_content(request, site_id, reply.salt, reply.vector)
        try:
            signed = Signature.model_validate_json(reply.signature)
            signature.verify(content, signed, where=site_id, public_key=site.public_key)
        except (ValueError, SignatureInvalid) as error:
            raise ReplyInvalid("the share is not signed by its site", where=site_id) from error
        if signed.role != "site":
            raise ReplyInvalid("the share is signed in another capacity than a site's", where=site_id)
        return reply.values(release.dimension), signed, commitment(reply.salt, reply.vector)
