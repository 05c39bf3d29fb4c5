"""Several private sums in one package: their rounds, how they follow each other, and what ledgers show."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fedvalue.errors import EvidenceError, TranscriptInvalid
from fedvalue.evidence import opened, records
from fedvalue.evidence.package import EvidencePackage, SiteSpending
from fedvalue.evidence.transcript import TranscriptRecord
from fedvalue.planning.plan import Plan, make_plan
from fedvalue.planning.terms import membership_of
from fedvalue.privacy import accounting
from fedvalue.secure_sum.record import Transcript
from fedvalue.secure_sum.specification import query_with
from fedvalue.secure_sum.suite import Intl1
from fedvalue.secure_sum.transcript import NOTHING_BEFORE
from tests.unit.evidence.rounds import transcript_of
from tests.unit.evidence.sealed import SITES, package, roster, site_key, study

SUITE = Intl1()
PACKAGE = package()
FIRST = "1" * 32
SECOND = "2" * 32


def three_releases() -> Plan:
    """A plan that asks the same block three times, with one spare attempt."""
    plan = make_plan(study(), roster())
    (only,) = plan.releases
    again = tuple(replace(only, label=f"release-{number}") for number in (1, 2, 3))
    return replace(plan, releases=again, attempts=2)


PLAN = three_releases()
TOTAL = np.arange(PLAN.releases[0].dimension, dtype=np.int64)


def signed(which: int, /, **how: Any) -> Transcript:
    """The transcript of a release of the plan, in the round of its number; ledgers stand at ten times it."""
    release = PLAN.releases[which - 1]
    told: dict[str, Any] = {
        "epoch": FIRST,
        "number": which,
        "counters": dict.fromkeys(SITES, 10 * which),
    } | how
    return transcript_of(PLAN, release, TOTAL, SITES, site_key, **told)


def chained(*changes: dict[str, Any]) -> list[Transcript]:
    """Releases that follow each other as an honest coordinator opens them, each with its changes."""
    found: list[Transcript] = []
    for number, change in enumerate(changes, start=1):
        last = found[-1].hash(SUITE) if found else NOTHING_BEFORE
        found.append(signed(number, **({"last": last} | change)))
    return found


def checked(*transcripts: Transcript, **changes: Any) -> str:
    """Check a package of these releases."""
    found = tuple(
        records.release_record(
            PLAN, release, total=TOTAL, transcript=made, attempt=made.specification.attempt
        ).model_copy(update=changes)
        for release, made in zip(PLAN.releases, transcripts, strict=False)
    )
    return opened.check_releases(holding(*found), PLAN)


def holding(*found: Any) -> EvidencePackage:
    """The package with other releases; only its links to the releases are looked at here."""
    return PACKAGE.model_copy(update={"releases": found})


def refused(*transcripts: Transcript, where: str = "releases: release-2") -> str:
    with pytest.raises(EvidenceError) as error:
        checked(*transcripts)
    assert error.value.where.startswith(where)
    return error.value.what


def test_releases_that_follow_each_other_hold() -> None:
    assert checked(*chained({}, {}, {})).startswith("3 of 3, each with at least 3 survivors' signatures")
    assert checked(*chained({}, {})).startswith("2 of 3")


def test_a_round_is_used_once() -> None:
    first, second = chained({}, {"number": 1})
    assert refused(first, second) == "a round was used twice"
    assert checked(*chained({}, {"epoch": SECOND, "number": 1}))


def test_in_one_epoch_a_transcript_follows_the_one_before_it() -> None:
    first, second = chained({}, {})
    for last in (NOTHING_BEFORE, b"x" * 32):
        assert "does not follow" in refused(first, signed(2, last=last))
    third = signed(3, last=first.hash(SUITE))
    assert "does not follow" in refused(first, second, third, where="releases: release-3")
    assert "does not follow" in refused(signed(1, last=second.hash(SUITE)), where="releases: release-1")


def test_after_an_epoch_was_begun_a_transcript_may_follow_an_earlier_one_or_none() -> None:
    first, second = chained({}, {})
    for last in (NOTHING_BEFORE, first.hash(SUITE), second.hash(SUITE)):
        assert checked(first, second, signed(3, epoch=SECOND, number=1, last=last))
    hidden = signed(3, epoch=SECOND, number=1, last=b"x" * 32)
    assert "does not follow" in refused(first, second, hidden, where="releases: release-3")


def test_a_repeated_release_may_follow_an_attempt_that_failed_after_it_was_signed() -> None:
    (first,) = chained({})
    again = signed(2, epoch=SECOND, number=1, attempt=2, last=b"x" * 32)
    assert checked(first, again)
    unplanned = signed(2, epoch=SECOND, number=1, attempt=3, last=b"x" * 32)
    assert "attempt" in refused(first, unplanned)


@pytest.mark.parametrize("counter", [10, 9, 0])
def test_a_ledger_that_did_not_grow_is_named(counter: int) -> None:
    put_back = {"alpha": 20, "beta": counter, "gamma": 20}
    transcripts = chained({}, {"counters": put_back})
    assert "did not grow" in refused(*transcripts, where="releases: release-2, beta")


def test_public_numbers_are_part_of_the_question_that_was_signed() -> None:
    release = PLAN.releases[0]
    (part,) = release.parts
    asking = replace(release, parts=(replace(part, ask=replace(part.ask, public_size=2)),))
    plan = replace(PLAN, releases=(asking,))
    public = np.array([0.25, -3.0]).astype("<f8").tobytes()
    made = transcript_of(plan, asking, TOTAL, SITES, site_key, public=public)
    record = records.release_record(plan, asking, total=TOTAL, transcript=made)
    assert opened.public_numbers(record) == public
    assert record.specification != plan.specification(asking)
    assert opened.check_releases(holding(record), plan)
    others = np.array([0.25, -3.1]).astype("<f8").tobytes()
    for changed in (others, public[:8], b"", np.array([0.25, np.nan]).tobytes()):
        forged = record.model_copy(update={"public": b64encode(changed).decode()})
        with pytest.raises(EvidenceError) as refusal:
            opened.check_releases(holding(forged), plan)
        assert refusal.value.where == "releases: release-1"
    forged = record.model_copy(
        update={
            "public": b64encode(others).decode(),
            "specification": query_with(plan.specification(asking), others),
        }
    )
    with pytest.raises(EvidenceError, match="question does not follow"):
        opened.check_releases(holding(forged), plan)


def test_releases_stand_in_the_plans_order() -> None:
    first, second = chained({}, {})
    found = [
        records.release_record(PLAN, release, total=TOTAL, transcript=made)
        for release, made in zip(PLAN.releases, (first, second), strict=False)
    ]
    with pytest.raises(EvidenceError, match="order"):
        opened.check_releases(holding(*reversed(found)), PLAN)
    with pytest.raises(EvidenceError, match="opened twice"):
        opened.check_releases(holding(found[0], found[0]), PLAN)


def test_clear_and_private_sums_do_not_stand_in_one_package() -> None:
    clear = package(clear_sum=True).releases[0]
    (first,) = chained({})
    private = records.release_record(PLAN, PLAN.releases[0], total=TOTAL, transcript=first)
    with pytest.raises(EvidenceError, match="some sums were clear"):
        opened.check_releases(holding(private, clear.model_copy(update={"label": "release-2"})), PLAN)


def test_a_transcript_of_another_suite_than_the_rosters_is_refused() -> None:
    (made,) = chained({})
    record = records.release_record(PLAN, PLAN.releases[0], total=TOTAL, transcript=made)
    of_roster = PACKAGE.roster.model_copy(update={"suite": "cn-1"})
    with pytest.raises(EvidenceError, match="another crypto suite"):
        opened.check_releases(holding(record).model_copy(update={"roster": of_roster}), PLAN)


def test_a_record_gives_back_the_transcript_it_was_made_of() -> None:
    for made in chained({}, {"attempt": 2}):
        carried = TranscriptRecord.of(made)
        read = TranscriptRecord.model_validate_json(carried.model_dump_json())
        again = read.transcript(PLAN, PLAN.release(made.specification.release.label))
        assert again == made
        again.verify(SUITE, membership_of(roster(), PLAN), TOTAL.astype("<i8").tobytes())


def test_a_transcript_is_checked_by_its_hash_where_the_sum_is_not_at_hand() -> None:
    (made,) = chained({})
    made.verify(SUITE, membership_of(roster(), PLAN), None)
    with pytest.raises(TranscriptInvalid):
        made.verify(SUITE, membership_of(roster(), PLAN), b"another sum")


def test_a_release_is_recorded_with_a_transcript_or_with_replies() -> None:
    (made,) = chained({})
    for wrong in ({}, {"transcript": made, "replies": package(clear_sum=True).releases[0].replies}):
        with pytest.raises(EvidenceError, match="a transcript, or the replies"):
            records.release_record(PLAN, PLAN.releases[0], total=TOTAL, **wrong)  # type: ignore[arg-type] # what is refused here


# ---- what it cost -------------------------------------------------------------------------------------


def spent(**units: int) -> tuple[SiteSpending, ...]:
    return tuple(SiteSpending(site=s, rho_units=u, releases=1) for s, u in units.items())


def test_three_epsilons_count_every_attempt_at_m_at_one_and_at_t_shares() -> None:
    # n = t = 3, c = 1, m = 2; two attempts at one release: prices 2 rho_2, 2 rho_1 and 2 rho_3
    release, (made,) = PLAN.releases[0], chained({"attempt": 2})
    record = records.release_record(PLAN, release, total=TOTAL, transcript=made, attempt=2)
    price = record.charged_rho_units
    assert price == release.scales.rho_units() == release.scales.rho_units(2)
    said = records.privacy_statement(PLAN, study(), (record,), spent(alpha=2 * price, beta=2 * price))
    assert said.rho_units == 2 * price
    assert said.epsilon_promised == accounting.epsilon(2 * price, 1e-6)
    assert said.epsilon_own_share == accounting.epsilon(2 * release.scales.rho_units(1), 1e-6)
    assert said.epsilon_no_collusion == accounting.epsilon(2 * release.scales.rho_units(3), 1e-6)


def test_what_a_ledger_paid_beyond_the_opened_sums_counts_in_all_three_epsilons() -> None:
    # one price more at one site: of m = 2 shares that is at most 2 prices of the own share alone
    release, (made,) = PLAN.releases[0], chained({})
    record = records.release_record(PLAN, release, total=TOTAL, transcript=made)
    price = record.charged_rho_units
    said = records.privacy_statement(PLAN, study(), (record,), spent(alpha=2 * price, beta=price))
    assert said.rho_units == 2 * price
    assert said.epsilon_own_share == accounting.epsilon(release.scales.rho_units(1) + 2 * price, 1e-6)
    assert said.epsilon_no_collusion == accounting.epsilon(release.scales.rho_units(3) + price, 1e-6)
