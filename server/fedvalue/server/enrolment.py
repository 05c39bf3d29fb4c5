"""Find out which node is which hospital, and whether its officer approved exactly this study."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from flwr.serverapp import Grid
from pydantic import ValidationError

from fedvalue.errors import (
    DictionariesDiffer,
    IdentityRefusal,
    ProtocolRefusal,
    ReplyInvalid,
    SignatureInvalid,
    SiteNameDiffers,
    TooFewSites,
)
from fedvalue.evidence import statements
from fedvalue.planning.plan import Plan, lowered
from fedvalue.server.asking import ask
from fedvalue.strategies.secure_aggregation.messages import (
    ENROL,
    EnrolReply,
    EnrolRequest,
    Refused,
    Reply,
)
from fedvalue.study.approval import SIMULATION, Approval
from fedvalue.study.identity.clock import Clock, present
from fedvalue.study.identity.trust import Trust
from fedvalue.study.roster import Roster, Site
from fedvalue.study.signature import Signature, verify

Progress = Callable[[str, int, int], None]
"""Told what is going on: a sentence, how much is done, out of how much."""

POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The sites that take part.

    Attributes:
      nodes: Site id to Flower node id.
      approvals: Of those sites' officers, in the roster's order.
      refusals: Site id, or ``node N`` where a node did not say who it is, to a code.
    """

    nodes: Mapping[str, int]
    approvals: tuple[Approval, ...]
    refusals: Mapping[str, str]


def wait_for_nodes(grid: Grid, wanted: int, *, seconds: float, progress: Progress) -> list[int]:
    """Wait until ``wanted`` nodes are connected, or time is up; return those that are."""
    until = time.monotonic() + seconds
    while True:
        nodes = list(grid.get_node_ids())
        progress("waiting for sites", min(len(nodes), wanted), wanted)
        if len(nodes) >= wanted or time.monotonic() >= until:
            return nodes
        time.sleep(POLL_SECONDS)


def enrol(
    grid: Grid,
    nodes: list[int],
    plan: Plan,
    roster: Roster,
    *,
    timeout: float | None,
    simulation: bool = False,
    clear_sum: bool = False,
    trust: Trust | None = None,
    clock: Clock = present,
) -> Enrolled:
    """Ask every node whether its officer approved this study on this roster.

    A site made for a simulation takes part in simulations only, and no other site does. Where an authority
    signed the roster, each site shows its certificate, which must stand now.

    Raises:
      IdentityRefusal: the authority's list is past its date, or of another authority.
      TooFewSites: fewer than t sites of the roster said yes.
      DictionariesDiffer: they hold what a training reads in different ways.
    """
    asked = {node: EnrolRequest(plan.study_hash, plan.roster_hash, secrets.token_hex(16)) for node in nodes}
    if trust is not None:
        trust.require_current(clock())
    replies = dict(ask(grid, ENROL, asked, timeout=timeout))
    found: dict[str, tuple[int, Approval]] = {}
    refusals: dict[str, str] = {}
    for node in nodes:
        reply = replies[node]
        try:
            approval = _checked(reply, asked[node], roster, plan, clear_sum=clear_sum, today=clock().date())
            if trust is not None and isinstance(reply, EnrolReply):
                _certified(reply, roster, trust, clock())
        except (ReplyInvalid, IdentityRefusal, ProtocolRefusal) as error:
            refusals[f"node {node}"] = reply.code if isinstance(reply, Refused) else error.code
            continue
        if approval.site in found or (SIMULATION in approval.unsafe) != simulation:
            refusals[f"node {node}"] = ReplyInvalid.code
            continue
        found[approval.site] = (node, approval)
    if len(found) < plan.thresholds.answers:
        reasons = ", ".join(f"{who}: {code}" for who, code in sorted(refusals.items()))
        raise TooFewSites(
            f"{len(found)} of {len(roster.site)} sites approve the study, {plan.thresholds.answers} must",
            where=reasons or "no refusals; the others are not connected",
            do="ask the hospitals that are missing to run `fedvalue site check` and `site approve`",
        )
    order = [site.id for site in roster.site if site.id in found]
    _require_one_dictionary([found[site][1] for site in order])
    return Enrolled({s: found[s][0] for s in order}, tuple(found[s][1] for s in order), refusals)


def _require_one_dictionary(approvals: list[Approval]) -> None:
    """Refuse to begin where hospitals hold what a training reads in different ways."""
    counted = Counter(approval.dictionary for approval in approvals)
    if len(counted) > 1:
        usual = counted.most_common(1)[0][0]
        apart = [approval.site for approval in approvals if approval.dictionary != usual]
        raise DictionariesDiffer(
            "the columns that the training reads have other names or types there than at the other hospitals",
            where=", ".join(apart),
            do="compare the mapping files, load again and approve again; nothing was charged",
        )


def _checked(
    reply: Reply, asked: EnrolRequest, roster: Roster, plan: Plan, *, clear_sum: bool, today: date
) -> Approval:
    if not isinstance(reply, EnrolReply):
        raise ReplyInvalid("the site refuses")
    try:
        approval = Approval.model_validate_json(reply.approval)
    except ValidationError as error:
        raise ReplyInvalid("the approval does not parse", where=reply.site[:40]) from error
    site = roster.get(reply.site)
    limits = plan.thresholds
    if site is None or approval.site != site.id:
        raise ReplyInvalid("the site is not on the roster", where=reply.site[:40])
    try:
        approval.verify(where=site.id, officer_key=site.officer_key)
    except SignatureInvalid as error:
        raise ReplyInvalid("the approval is not signed by the site's officer", where=site.id) from error
    told = (approval.study_hash, approval.roster_hash, approval.sites, approval.answers, approval.colluding)
    if told != (plan.study_hash, plan.roster_hash, limits.sites, limits.answers, limits.colluding):
        raise ReplyInvalid("the approval is for another study or roster", where=site.id)
    if lowered(plan, clear_sum=clear_sum) != set(approval.unsafe) - {SIMULATION}:
        raise ReplyInvalid("the officer approved another protection than that of this run", where=site.id)
    if approval.day > today:
        raise ReplyInvalid("the approval is of a day to come", where=site.id)
    _present(reply, asked, site)
    return approval


def _certified(reply: EnrolReply, roster: Roster, trust: Trust, now: datetime) -> None:
    """Check that the authority vouches for whoever has just shown that it holds the site's key."""
    found = trust.presented(reply.certificate.encode(), roster, now, where=reply.site)
    if found.id != reply.site:
        raise SiteNameDiffers("the certificate is of another site", where=reply.site)


def _present(reply: EnrolReply, asked: EnrolRequest, site: Site) -> None:
    """Check that the site itself answers: its approval is public, its key is not."""
    statement = statements.enrolment(
        nonce=asked.nonce, study_hash=asked.study_hash, roster_hash=asked.roster_hash, site=site.id
    )
    try:
        signed = Signature.model_validate_json(reply.signature)
        verify(statement, signed, where=site.id, public_key=site.public_key)
    except (ValidationError, SignatureInvalid) as error:
        raise ReplyInvalid("another than the site shows its approval", where=site.id) from error
    if signed.role != "site":
        raise ReplyInvalid("the enrolment is signed in another capacity than a site's", where=site.id)
