"""Check the opened sums of a package: that the plan's questions were asked, and who signed what of them.

Of a private sum every transcript is verified against the question that the plan gives. That shows who
delivered which masked vector, and that at least t survivors signed the same list; it does not show that the
published total is their sum, because the masks are gone. It fixes from which signed inputs a wrong total
would have to be explained. Of a clear sum (`Unsafe`, simulations only) each reply is verified.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error

from fedvalue.errors import EvidenceError, FedValueError
from fedvalue.evidence import records, statements
from fedvalue.evidence.package import EvidencePackage, ReleaseRecord
from fedvalue.evidence.transcript import TranscriptRecord
from fedvalue.planning.plan import Plan, PlannedRelease
from fedvalue.planning.terms import membership_of
from fedvalue.secure_sum import transcript
from fedvalue.secure_sum.membership import Membership
from fedvalue.secure_sum.specification import query_with
from fedvalue.study.schema import Study
from fedvalue.study.signature import verify


def in_clear(package: EvidencePackage) -> bool:
    """Tell whether some sum was a clear one: a release with replies instead of a transcript."""
    return any(record.transcript is None for record in package.releases)


def check_releases(package: EvidencePackage, plan: Plan) -> str:
    """Check every opened sum against the plan, and what the sites signed.

    Rounds may not repeat. A transcript refers to the one before it: to that of the release before, and where
    an epoch was begun in between, to an earlier one or to none. A release that took more than one attempt may
    refer to an attempt that failed after its survivors had signed; such a reference cannot be followed. A
    site's ledger counter grows from each release to the next.

    Returns:
      What was checked, in words.

    Raises:
      EvidenceError: a release is not the plan's, or a transcript does not hold; ``where`` names it.
      SignatureInvalid: a reply of a clear sum is not signed by its site.
    """
    labels = [record.label for record in package.releases]
    if len(set(labels)) != len(labels):
        raise EvidenceError("a release was opened twice", where="releases", do="one question has one answer")
    clear = in_clear(package)
    for record in package.releases:
        where = f"releases: {record.label}"
        if (record.transcript is None) != clear:
            raise EvidenceError("some sums were clear and some were private", where=where)
        planned = _as_planned(record, plan, where)
        if records.released_sum(record) is None and planned.dimension <= records.CARRIED_COORDINATES:
            raise EvidenceError("the released sum is left out", where=where)
        for reply in record.replies:
            _reply(package, record, reply.site, where)
    order = [release.label for release in plan.releases]
    if any(release.drawn is not None for release in plan.releases):
        # a training may end while other analyses go on; that none they need is missing is shown by concluding
        order = [label for label in order if label in labels]
    if labels != order[: len(labels)]:
        raise EvidenceError("the releases were not opened in the plan's order", where="releases")
    text = f"{len(labels)} of {len(plan.releases)}"
    if clear:
        return f"{text}, every answer signed by its site; that the sum is theirs is the coordinator's word"
    _transcripts(package, plan)
    return (
        f"{text}, each with at least {plan.thresholds.answers} survivors' signatures under who delivered "
        "which masked vector to this question; that a total is the sum of these vectors is not shown, since "
        "the masks are gone, but a wrong one would have to be explained from them"
    )


def check_spending(package: EvidencePackage, plan: Plan, study: Study) -> str:
    """Check what the sites were debited, and the epsilons.

    Returns:
      What was checked, in words.

    Raises:
      EvidenceError: a site is said to have been debited less than its answers cost, or an epsilon differs.
    """
    spent = {entry.site: entry.rho_units for entry in package.privacy.spent}
    for record in package.releases:
        for site in record.answered:
            spent[site] = spent.get(site, 0) - record.attempt * record.charged_rho_units
    if short := sorted(site for site, left in spent.items() if left < 0):
        raise EvidenceError(
            "a site's ledger was debited less than its answers cost", where=f"budget: {short[0]}"
        )
    for entry in package.privacy.spent:
        if entry.releases < sum(entry.site in record.answered for record in package.releases):
            raise EvidenceError(
                "a site answered more often than it was debited", where=f"budget: {entry.site}"
            )
    stated = package.privacy
    if records.privacy_statement(plan, study, package.releases, stated.spent) != stated:
        raise EvidenceError(
            "the epsilons, or what they rest on, are not those of the releases", where="budget"
        )
    again = "the three epsilons were computed again"
    if in_clear(package):
        return f"every answer was debited, and {again}"
    return (
        "every survivor was debited for every attempt and signed the end of its ledger with its vector, "
        f"and {again}"
    )


def _as_planned(record: ReleaseRecord, plan: Plan, where: str) -> PlannedRelease:
    try:
        planned = plan.release(record.label)
        public = public_numbers(record)
        planned.require_public(public)
    except FedValueError as error:
        raise EvidenceError(f"the plan asks no such release: {error.what}", where=where) from error
    if len(record.answered) < plan.thresholds.answers:
        raise EvidenceError(f"{len(record.answered)} sites answered, fewer than t", where=where)
    prices = (record.charged_rho_units, record.promised_rho_units)
    clear = record.transcript is None
    if (
        record.attempt > plan.attempts
        or record.specification != query_with(plan.specification(planned), public)
        or record.blocks != records.block_records(planned, len(record.answered))
        or prices != (planned.charged_units(clear_sum=clear), planned.charged_units(clear_sum=False))
        or record.sampled != records.sampled_record(planned, clear_sum=clear)
    ):
        raise EvidenceError("attempt, blocks, scales, noise or price are not those of the plan", where=where)
    return planned


def public_numbers(record: ReleaseRecord) -> bytes:
    """Return the public numbers that a release was asked with, as they were sent.

    Raises:
      EvidenceError: they are not in the form of any.
    """
    try:
        return b64decode(record.public, validate=True)
    except (Base64Error, ValueError) as error:
        raise EvidenceError("the public numbers cannot be read", where=f"releases: {record.label}") from error


def _transcripts(package: EvidencePackage, plan: Plan) -> None:
    try:
        membership = membership_of(package.roster, plan)
    except FedValueError as error:
        raise EvidenceError(f"the roster carries no private sum: {error.what}", where="releases") from error
    earlier: list[bytes] = []
    rounds: set[tuple[str, int]] = set()
    counters: dict[str, int] = {}
    for record in package.releases:
        where, opened = f"releases: {record.label}", record.transcript
        if opened is None:
            continue
        begun = opened.epoch not in {epoch for epoch, _ in rounds}
        if (opened.epoch, opened.number) in rounds:
            raise EvidenceError("a round was used twice", where=where)
        rounds.add((opened.epoch, opened.number))
        digest = _transcript(package, plan, record, opened, membership)
        _follows(record, bytes.fromhex(opened.last_hash), earlier, begun, where)
        earlier.append(digest)
        for entry in opened.inputs:
            if entry.ledger_counter <= counters.get(entry.site, 0):
                raise EvidenceError(
                    "a ledger did not grow from one release to the next",
                    where=f"{where}, {entry.site}",
                    do="ask the site for its ledger: a debit is missing, or the ledger was put back",
                )
            counters[entry.site] = entry.ledger_counter


def _transcript(
    package: EvidencePackage,
    plan: Plan,
    record: ReleaseRecord,
    opened: TranscriptRecord,
    membership: Membership,
) -> bytes:
    """Verify one transcript; return its hash."""
    where, total = f"releases: {record.label}", records.released_sum(record)
    if package.roster.suite not in (None, opened.suite):
        raise EvidenceError("the transcript is of another crypto suite than the roster", where=where)
    if opened.total_hash != record.total_digest:
        raise EvidenceError("the transcript is of another sum", where=where)
    try:
        suite = opened.crypto_suite()
        stated = opened.transcript(plan, plan.release(record.label), public_numbers(record))
        for site in opened.members:
            membership.require(site)
        stated.verify(suite, membership, None if total is None else total.astype("<i8").tobytes())
    except FedValueError as error:
        raise EvidenceError(error.what, where=where, do=error.do or "do not rely on the sum") from error
    return stated.hash(suite)


def _follows(record: ReleaseRecord, last: bytes, earlier: list[bytes], begun: bool, where: str) -> None:
    known = {transcript.NOTHING_BEFORE, *earlier} if begun else set(earlier[-1:])
    if last not in known and record.attempt == 1:
        raise EvidenceError(
            "the transcript does not follow the release before it",
            where=where,
            do="ask the sites: a sum was opened that this package leaves out",
        )


def _reply(package: EvidencePackage, record: ReleaseRecord, site_id: str, where: str) -> None:
    site = package.roster.get(site_id)
    if site is None:
        raise EvidenceError(f"answered by {site_id}, which is not on the roster", where=where)
    reply = next(r for r in record.replies if r.site == site_id)
    said = statements.reply(
        specification=record.specification,
        attempt=record.attempt,
        site=site_id,
        vector_digest=reply.vector_digest,
    )
    if reply.signature.role != "site":
        raise EvidenceError(f"the answer of {site_id} is not signed as a site's", where=where)
    verify(said, reply.signature, where=f"{where}, {site_id}", public_key=site.public_key)
