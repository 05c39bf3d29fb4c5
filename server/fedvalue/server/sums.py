"""The two sums with which a coordinator opens releases over a grid, and what each leaves as evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from flwr.serverapp import Grid

from fedvalue.analyses.analysis import NoisySum
from fedvalue.errors import EvidenceError, ReplyInvalid
from fedvalue.evidence import records
from fedvalue.evidence.opened import public_numbers
from fedvalue.evidence.package import ReleaseRecord, SignedReply, SiteSpending
from fedvalue.planning.plan import Plan, PlannedRelease
from fedvalue.server.asking import ask
from fedvalue.server.checkpoint import Checkpoint, Done, Kept
from fedvalue.server.enrolment import Enrolled
from fedvalue.strategies.secure_aggregation.clear_sum import UnsafeClearSum
from fedvalue.strategies.secure_aggregation.messages import (
    RELEASE,
    STEP,
    Refused,
    ReleaseRequest,
    Reply,
    StepReply,
    StepRequest,
)
from fedvalue.strategies.secure_aggregation.private_sum import wire
from fedvalue.strategies.secure_aggregation.private_sum.opening import PrivateSum, UnsafeExactSum
from fedvalue.study.approval import Approval
from fedvalue.study.roster import Roster


class Sum(Protocol):
    """Opens the releases of one run."""

    def open(self, release: PlannedRelease, public: bytes) -> NoisySum:
        """Open a release and return its blocks by full name.

        Raises:
          TooFewSites: fewer than t sites were left in every attempt.
        """

    def records(self) -> tuple[ReleaseRecord, ...]:
        """Return what was opened, for the evidence."""

    def approvals(self) -> tuple[Approval, ...]:
        """Return the approvals of the sites that took part, in the roster's order."""

    def spent(self) -> tuple[SiteSpending, ...]:
        """Return what each site's ledger was debited, as far as the coordinator can tell: never less."""


@dataclass(frozen=True, slots=True)
class Masked:
    """The private sum: the coordinator sees masked vectors, and the sum of at least t of them.

    Attributes:
      inner: The protocol's coordinator half.
      enrolled: The sites that take part.
      checkpoint: Where opened releases are kept; None keeps them in memory only.
      done: Opened releases by label, those of an earlier run of the study too.
    """

    inner: PrivateSum
    enrolled: Enrolled
    checkpoint: Checkpoint | None
    done: dict[str, Done]

    @classmethod
    def over(
        cls,
        grid: Grid,
        enrolled: Enrolled,
        plan: Plan,
        roster: Roster,
        *,
        timeout: float | None,
        checkpoint: Checkpoint | None = None,
        wanted: Callable[[], None] = lambda: None,
    ) -> Masked:
        """Return the private sum of a plan over the enrolled nodes.

        Raises:
          EvidenceError: the checkpoint is of another study, or damaged.
        """

        def exchange(step: str, requests: Mapping[str, bytes]) -> Iterator[tuple[str, bytes | Refused]]:
            wanted()
            known = {site: enrolled.nodes[site] for site in requests if site in enrolled.nodes}
            sites = {node: site for site, node in known.items()}
            asked = {node: StepRequest(step, requests[site]) for node, site in sites.items()}
            for node, reply in ask(grid, STEP, asked, timeout=timeout):
                yield sites[node], _payload(reply)

        kind = UnsafeExactSum if plan.exact else PrivateSum
        before = {} if checkpoint is None else dict(checkpoint.load(plan, roster))
        inner = kind(plan, roster, exchange, attempts=plan.attempts, counters=_counters(before.values()))
        return cls(inner, enrolled, checkpoint, before)

    def open(self, release: PlannedRelease, public: bytes) -> NoisySum:
        """Open a release, or take it from the checkpoint if it was asked with the same public numbers.

        Raises:
          EvidenceError: it was asked with others.
        """
        known = self.done.get(release.label)
        if known is not None:
            if public_numbers(known.kept.record) != public:
                raise EvidenceError(
                    "the checkpoint was asked with other public numbers", where=release.label,
                    do="it was made by another version of the code; begin in another folder",
                )  # fmt: skip
            return known.blocks(release)
        one = self.inner.open(release.label, public)
        plan = self.inner.plan
        record = records.release_record(
            plan, release, total=one.total, transcript=wire.transcript_of(one.transcript), attempt=one.attempt
        )
        took_part = tuple(a for a in self.enrolled.approvals if a.site in one.survivors)
        done = Done(
            Kept(
                study_hash=plan.study_hash,
                roster_hash=plan.roster_hash,
                record=record,
                charged=dict(one.charged),
                approvals=took_part,
            ),
            one.total,
        )
        if self.checkpoint is not None:
            self.checkpoint.save(done)
        self.done[release.label] = done
        return one.blocks()

    def records(self) -> tuple[ReleaseRecord, ...]:
        """Return each release with its transcript, in the plan's order."""
        return tuple(self.done[r.label].kept.record for r in self.inner.plan.releases if r.label in self.done)

    def approvals(self) -> tuple[Approval, ...]:
        """Return the approvals of all sites that took part in any release, in the roster's order."""
        found = {a.site: a for done in self.done.values() for a in done.kept.approvals}
        found |= {a.site: a for a in self.enrolled.approvals}
        return tuple(found[site.id] for site in self.inner.roster.site if site.id in found)

    def spent(self) -> tuple[SiteSpending, ...]:
        """Return for each site every attempt, where its vector is in the sum, or those it may have paid."""
        found = []
        for site in self.inner.roster.site:
            price = debits = 0
            for label, done in self.done.items():
                record, charged = done.kept.record, done.kept.charged.get(site.id, 0)
                times = max(record.attempt, charged) if site.id in record.answered else charged
                debits += times
                price += times * self.inner.plan.release(label).charged_units(clear_sum=False)
            for label, charged_for in self.inner.unopened.items():
                times = charged_for.get(site.id, 0)
                debits += times
                price += times * self.inner.plan.release(label).charged_units(clear_sum=False)
            found.append(SiteSpending(site=site.id, rho_units=price, releases=debits))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Clear:
    """The sum in clear: the coordinator sees each site's share; simulations only.

    Attributes:
      inner: The coordinator half.
      enrolled: The sites that take part.
    """

    inner: UnsafeClearSum
    enrolled: Enrolled

    @classmethod
    def over(
        cls, grid: Grid, enrolled: Enrolled, plan: Plan, roster: Roster, *, timeout: float | None
    ) -> Clear:
        """Return the clear sum of a plan over the enrolled nodes."""

        def exchange(request: ReleaseRequest) -> dict[str, Reply]:
            sites = {node: site for site, node in enrolled.nodes.items()}
            replies = dict(ask(grid, RELEASE, dict.fromkeys(sites, request), timeout=timeout))
            return {sites[node]: replies[node] for node in sites}

        return cls(UnsafeClearSum(plan, roster, exchange, attempts=plan.attempts), enrolled)

    def open(self, release: PlannedRelease, public: bytes) -> NoisySum:
        """Open a release."""
        return self.inner.open(release.label, public).blocks()

    def records(self) -> tuple[ReleaseRecord, ...]:
        """Return each release with the sites' signatures."""
        found = []
        for one in self.inner.opened:
            order = [site.id for site in self.inner.roster.site if site.id in one.signatures]
            replies = tuple(
                SignedReply(site=s, vector_digest=one.digests[s], signature=one.signatures[s]) for s in order
            )
            found.append(
                records.release_record(
                    self.inner.plan,
                    one.release,
                    total=one.total,
                    replies=replies,
                    attempt=one.attempt,
                    public=one.public,
                )
            )
        return tuple(found)

    def approvals(self) -> tuple[Approval, ...]:
        """Return the approvals of the enrolled sites."""
        return self.enrolled.approvals

    def spent(self) -> tuple[SiteSpending, ...]:
        """Return for each site every attempt, where its share is in the sum, or those it may have paid."""
        found = []
        for site in self.inner.roster.site:
            price = debits = 0
            for one in self.inner.opened:
                times = one.attempt if site.id in one.signatures else one.charged.get(site.id, 0)
                debits += times
                price += times * one.release.charged_units(clear_sum=True)
            found.append(SiteSpending(site=site.id, rho_units=price, releases=debits))
        return tuple(found)


def _counters(before: Iterable[Done]) -> dict[str, int]:
    """The highest end of each site's ledger that an earlier run of the study has seen."""
    found: dict[str, int] = {}
    for done in before:
        for entry in done.kept.record.transcript.inputs if done.kept.record.transcript else ():
            found[entry.site] = max(found.get(entry.site, 0), entry.ledger_counter)
    return found


def _payload(reply: Reply) -> bytes | Refused:
    if isinstance(reply, StepReply):
        return reply.payload
    return reply if isinstance(reply, Refused) else Refused(ReplyInvalid.code)
