"""What a site does with a message: refuse by code, or debit, answer once, and say the same for ever."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from flwr.app import ConfigRecord, RecordDict
from numpy.typing import NDArray

from fedvalue.client.governance.approvals import approve, approved, withdraw
from fedvalue.client.governance.audit import AuditLog
from fedvalue.client.governance.entries import Entry
from fedvalue.client.home import SiteHome, write_atomically
from fedvalue.client.node import SiteNode
from fedvalue.client.records.snapshot import snapshot_path
from fedvalue.errors import LedgerBusy, SignatureInvalid, UnsafeWarning
from fedvalue.planning.plan import make_plan
from fedvalue.privacy.accounting import Price
from fedvalue.privacy.randomness import NoiseSource, SystemNoise, UnsafeSeededNoise
from fedvalue.privacy.release import LOG2_SCALE
from fedvalue.strategies.secure_aggregation.messages import (
    ENROL,
    RELEASE,
    EnrolReply,
    EnrolRequest,
    Refused,
    ReleaseReply,
    ReleaseRequest,
    Reply,
    Wire,
    signed_content,
)
from fedvalue.study.approval import CLEAR_SUM, NO_NOISE, Approval
from fedvalue.study.file import canonical, digest
from fedvalue.study.roster import Roster
from fedvalue.study.signature import Signature, verify
from tests.agreement import SMALL, key, study
from tests.federation import FIVE, Hospitals, make_hospitals, noon, once

PATIENT = "Zhang San, EGFR L858R, 13800138000"


NONCE = "0" * 32


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Hospitals:
    return make_hospitals(tmp_path_factory.mktemp("handler") / "homes")


@pytest.fixture
def hospitals(template: Hospitals, tmp_path: Path) -> Hospitals:
    return template.copy(tmp_path / "homes")


@pytest.fixture
def home(hospitals: Hospitals) -> SiteHome:
    return hospitals.home("s01")


@pytest.fixture(scope="module")
def question(template: Hospitals) -> ReleaseRequest:
    plan = template.plan
    (release,) = plan.releases
    return ReleaseRequest(plan.study_hash, plan.roster_hash, release.label, 1, plan.specification(release))


def ask(home: SiteHome, request: ReleaseRequest, noise: NoiseSource | None = None) -> Reply:
    return Wire.reply(once(home.folder, home.clock, noise)(RELEASE, Wire.pack(request)))


def answered(home: SiteHome, request: ReleaseRequest, noise: NoiseSource | None = None) -> ReleaseReply:
    reply = ask(home, request, noise)
    assert isinstance(reply, ReleaseReply)
    return reply


def debits(home: SiteHome) -> list[Entry]:
    with home.ledger() as ledger:
        return [entry for entry in ledger.entries() if entry.kind == "debit"]


def contribution(hospitals: Hospitals, home: SiteHome) -> NDArray[np.int64]:
    return hospitals.plan.releases[0].contribution(approved(home, digest(FIVE)).cohort(home))


class Leaky:
    """A noise source that fails with a patient's name in its text, after the rows were read."""

    production = True

    def words(self, count: int) -> NDArray[np.uint64]:
        raise RuntimeError(PATIENT)


# ---- what it answers --------------------------------------------------------------------------------


def test_an_approved_study_is_enrolled_with_the_officers_approval(
    hospitals: Hospitals, home: SiteHome
) -> None:
    asked = EnrolRequest(hospitals.plan.study_hash, hospitals.plan.roster_hash, NONCE)
    reply = Wire.reply(once(home.folder, home.clock)(ENROL, Wire.pack(asked)))
    assert isinstance(reply, EnrolReply)
    assert reply.site == "s01"
    Approval.model_validate_json(reply.approval).verify(where="s01", officer_key=home.card().officer_key)
    assert debits(home) == []


def test_a_share_is_the_contribution_plus_noise_signed_by_the_site(
    hospitals: Hospitals, home: SiteHome, question: ReleaseRequest
) -> None:
    reply = answered(home, question)
    signed = Signature.model_validate_json(reply.signature)
    content = signed_content(question, "s01", reply.salt, reply.vector)
    verify(content, signed, where="s01", public_key=home.card().public_key)
    assert signed.role == "site"
    noise = reply.values(hospitals.plan.releases[0].dimension) - contribution(hospitals, home)
    # 36 coordinates: the mean square of a Gaussian lies between .2 and 3 times its variance, but for 1e-7
    assert 0.2 < float((noise.astype(float) ** 2).mean()) / 4**LOG2_SCALE < 3


def test_the_ledger_is_charged_the_price_of_the_site_s_own_share(
    hospitals: Hospitals, home: SiteHome, question: ReleaseRequest
) -> None:
    answered(home, question)
    (debit,) = debits(home)
    scales = hospitals.plan.releases[0].scales
    assert debit.price == Price.plain(scales.rho_units(1))
    assert debit.attempt == (digest(FIVE), "release-1", 1)
    assert debit.body["m_charged"] == 1
    assert debit.body["m_promised"] == 3
    assert debit.body["specification"] == question.specification
    assert debit.body["analyses"] == ["proportion:responded:egfr", "kaplan_meier:os:egfr"]


def test_a_question_sent_again_gets_the_same_bytes_and_costs_nothing(
    home: SiteHome, question: ReleaseRequest
) -> None:
    first = once(home.folder, home.clock)(RELEASE, Wire.pack(question))
    for _ in range(3):
        assert once(home.folder, home.clock)(RELEASE, Wire.pack(question)) == first
    assert len(debits(home)) == 1


def test_a_second_attempt_has_fresh_noise_and_a_debit_of_its_own(
    hospitals: Hospitals, home: SiteHome, question: ReleaseRequest
) -> None:
    one, two = answered(home, question), answered(home, replace(question, attempt=2))
    size = hospitals.plan.releases[0].dimension
    assert (one.values(size) != two.values(size)).all()
    first, second = debits(home)
    assert first.price == second.price
    assert (first.attempt[2], second.attempt[2]) == (1, 2)
    # each attempt keeps its own answer
    assert answered(home, question) == one
    assert answered(home, replace(question, attempt=2)) == two


def test_the_noise_of_a_known_seed_is_the_same_and_warns(
    template: Hospitals, tmp_path: Path, question: ReleaseRequest
) -> None:
    replies = []
    for name in ("a", "b"):
        with pytest.warns(UnsafeWarning):
            noise = UnsafeSeededNoise(7)
        replies.append(answered(template.copy(tmp_path / name).home("s01"), question, noise))
    assert replies[0].vector == replies[1].vector


def test_without_noise_the_share_is_exact_and_the_ledger_says_so(
    hospitals: Hospitals, home: SiteHome
) -> None:
    approve(home, FIVE, hospitals.roster, unsafe=(CLEAR_SUM, NO_NOISE))
    plan = make_plan(FIVE, hospitals.roster, unsafe_exact=True)
    (release,) = plan.releases
    asked = ReleaseRequest(plan.study_hash, plan.roster_hash, "release-1", 1, plan.specification(release))
    reply = answered(home, asked)
    counts = reply.values(release.dimension)[:9] / 2**30
    assert counts.sum() == 40
    (debit,) = debits(home)
    assert debit.body["unsafe_exact"] is True
    assert debit.price == Price()


# ---- charge, then release ---------------------------------------------------------------------------


def test_rows_that_cannot_be_read_leave_the_debit_where_it_is(
    home: SiteHome, question: ReleaseRequest
) -> None:
    rows = snapshot_path(home.study_folder(digest(FIVE)), digest(FIVE))
    whole = rows.read_bytes()
    rows.write_bytes(b"no database")
    assert ask(home, question) == Refused("site_fault")
    assert len(debits(home)) == 1
    # and the attempt stays burnt when the rows are back: a second vector under one charge is never made
    rows.write_bytes(whole)
    assert ask(home, question) == Refused("spare_attempts_spent")
    assert len(debits(home)) == 1
    assert isinstance(ask(home, replace(question, attempt=2)), ReleaseReply)
    assert len(debits(home)) == 2


def test_no_text_of_an_error_ever_leaves_or_is_logged(home: SiteHome, question: ReleaseRequest) -> None:
    packed = once(home.folder, home.clock, Leaky())(RELEASE, Wire.pack(question))
    assert Wire.reply(packed) == Refused("site_fault")
    sent = repr({name: dict(record) for name, record in packed.config_records.items()})
    assert len(packed) == 1
    for word in ("Zhang", "EGFR", "138", "RuntimeError"):
        assert word not in sent
    log = home.audit_file.read_text(encoding="utf-8")
    assert "RuntimeError" in log
    assert "Zhang" not in log
    assert len(debits(home)) == 1


# ---- what it refuses --------------------------------------------------------------------------------


def on(day: datetime) -> Callable[[Hospitals], SiteHome]:
    return lambda hospitals: hospitals.home("s01", lambda: day)


def with_file(name: str, data: Callable[[bytes], bytes]) -> Callable[[Hospitals], SiteHome]:
    def change(hospitals: Hospitals) -> SiteHome:
        home = hospitals.home("s01")
        path = home.study_folder(digest(FIVE)) / name
        write_atomically(path, data(path.read_bytes()))
        return home

    return change


def with_policy(hospitals: Hospitals) -> SiteHome:
    home = hospitals.home("s01")
    text = home.policy_file.read_text(encoding="utf-8")
    home.policy_file.write_text(text.replace('"mean", ', ""), encoding="utf-8")
    return hospitals.home("s01")


def without_clear_sum(hospitals: Hospitals) -> SiteHome:
    home = hospitals.home("s01")
    approve(home, FIVE, hospitals.roster, unsafe=())
    return home


def signed_by_another(hospitals: Hospitals) -> SiteHome:
    def again(data: bytes) -> bytes:
        return Approval.model_validate_json(data).signed(key("somebody")).model_dump_json().encode()

    return with_file("approval.json", again)(hospitals)


def with_another_roster(hospitals: Hospitals) -> SiteHome:
    four = Roster(site=hospitals.roster.site[:-1])
    return with_file("roster.json", lambda _: four.model_dump_json().encode())(hospitals)


def closed(hospitals: Hospitals) -> SiteHome:
    home = hospitals.home("s01")
    with home.ledger() as ledger:
        ledger.close_study(digest(FIVE))
    return home


def with_broken_ledger(hospitals: Hospitals) -> SiteHome:
    home = hospitals.home("s01")
    data = bytearray(home.ledger_file.read_bytes())
    at = data.index(b'"epsilon"')
    data[at + 2] ^= 1
    home.ledger_file.write_bytes(bytes(data))
    return home


def without_ledger(hospitals: Hospitals) -> SiteHome:
    home = hospitals.home("s01")
    home.ledger_file.unlink()
    return home


def same(hospitals: Hospitals) -> SiteHome:
    return hospitals.home("s01")


Prepare = Callable[[Hospitals], SiteHome]
OTHER = study(('"Dr. Example"', '"Dr. Other"'), ("min_sites = 3", "min_sites = 5"), text=SMALL)
JANUARY = datetime(2027, 1, 1, tzinfo=UTC)

REFUSALS: dict[str, tuple[Prepare, dict[str, object], str]] = {
    "a study nobody approved": (same, {"study_hash": "ab" * 32}, "not_approved"),
    "a study that is a path": (same, {"study_hash": "../s02"}, "not_approved"),
    "an approval that somebody else signed": (signed_by_another, {}, "not_approved"),
    "a changed study": (with_file("study.json", lambda _: canonical(OTHER)), {}, "study_changed"),
    "a study that is no longer canonical": (with_file("study.json", lambda d: d + b" "), {}, "study_changed"),
    "another roster than the approved one": (same, {"roster_hash": "ab" * 32}, "roster_mismatch"),
    "a roster changed at the site": (with_another_roster, {}, "roster_mismatch"),
    "a day before the study": (on(datetime(2025, 12, 31, 23, 59, tzinfo=UTC)), {}, "outside_validity"),
    "a day after the study": (on(JANUARY), {}, "outside_validity"),
    "a policy changed since": (with_policy, {}, "policy_forbids"),
    "a sum in clear that was not approved": (without_clear_sum, {}, "policy_forbids"),
    "a release that is not planned": (same, {"release": "release-2"}, "release_unknown"),
    "another specification": (same, {"specification": "ab" * 32}, "release_unknown"),
    "attempt zero": (same, {"attempt": 0}, "spare_attempts_spent"),
    "a negative attempt": (same, {"attempt": -(2**63)}, "spare_attempts_spent"),
    "an attempt past the spare ones": (same, {"attempt": 3}, "spare_attempts_spent"),
    "a study that was closed": (closed, {}, "study_closed"),
    "a ledger that was changed": (with_broken_ledger, {}, "ledger_broken"),
    "a ledger that is not there": (without_ledger, {}, "ledger_error"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_share_is_refused_by_code_and_nothing_is_charged_for(
    name: str, hospitals: Hospitals, question: ReleaseRequest
) -> None:
    prepare, change, code = REFUSALS[name]
    home = prepare(hospitals)
    before = home.ledger_file.read_bytes() if home.ledger_file.exists() else None
    assert ask(home, replace(question, **change)) == Refused(code)  # type: ignore[arg-type]  # fields by name
    after = home.ledger_file.read_bytes() if home.ledger_file.exists() else None
    assert after == before
    last = AuditLog(home.audit_file, noon).entries()[-1]
    assert (last["event"], last["code"]) == ("refused", code)


def test_a_node_whose_key_others_can_read_does_not_start(home: SiteHome) -> None:
    home.site_key_file.chmod(0o644)
    with pytest.raises(SignatureInvalid, match="can be read by others"):
        SiteNode(home.folder, noon)


def test_a_second_node_on_one_home_does_not_start(home: SiteHome) -> None:
    with SiteNode(home.folder, noon), pytest.raises(LedgerBusy, match="another site node runs"):
        SiteNode(home.folder, noon)
    SiteNode(home.folder, noon).close()


def test_the_last_day_of_a_study_is_still_inside(hospitals: Hospitals, question: ReleaseRequest) -> None:
    last = on(datetime(2026, 12, 31, 23, 59, tzinfo=UTC))(hospitals)
    assert isinstance(ask(last, question), ReleaseReply)


class Pretending:
    """A seeded source that says it is the production one."""

    production = True

    def __init__(self) -> None:
        self._words = SystemNoise()

    def words(self, count: int) -> NDArray[np.uint64]:
        return self._words.words(count)


def test_noise_that_is_not_the_system_s_is_refused_unless_the_policy_allows_it(
    hospitals: Hospitals, question: ReleaseRequest
) -> None:
    home = hospitals.home("s01")
    text = home.policy_file.read_text(encoding="utf-8")
    home.policy_file.write_text(text.replace(', "seeded_noise"', ""), encoding="utf-8")
    home = hospitals.home("s01")
    approve(home, FIVE, hospitals.roster, unsafe=(CLEAR_SUM,))
    with pytest.warns(UnsafeWarning):
        seeded = UnsafeSeededNoise(1)
    for source in (seeded, Pretending(), Leaky()):
        assert ask(home, question, source) == Refused("policy_forbids")
    assert debits(home) == []
    assert isinstance(ask(home, question, SystemNoise()), ReleaseReply)


@pytest.mark.parametrize(
    ("message_type", "content"),
    [
        (RELEASE, RecordDict()),
        (RELEASE, RecordDict({"fedvalue": ConfigRecord({"kind": "ReleaseRequest", "attempt": 1})})),
        (ENROL, RecordDict({"fedvalue": ConfigRecord({"kind": "EnrolRequest", "study_hash": 1})})),
        (ENROL, Wire.pack(ReleaseRequest("ab" * 32, "cd" * 32, "release-1", 1, "ef" * 32))),
        ("query.other", Wire.pack(EnrolRequest("ab" * 32, "cd" * 32, NONCE))),
        ("train", RecordDict()),
        ("x" * 100_000, RecordDict()),
    ],
)
def test_a_message_that_does_not_parse_is_refused_and_little_of_it_is_logged(
    message_type: str, content: RecordDict, home: SiteHome
) -> None:
    assert Wire.reply(once(home.folder, home.clock)(message_type, content)) == Refused("message_invalid")
    assert debits(home) == []
    assert len(home.audit_file.read_bytes()) < 2000


def test_a_long_name_for_a_release_does_not_fill_the_log(home: SiteHome, question: ReleaseRequest) -> None:
    assert ask(home, replace(question, release="x" * 1_000_000)) == Refused("release_unknown")
    assert len(home.audit_file.read_bytes()) < 2000


@pytest.mark.parametrize(
    "name", ["a study nobody approved", "a day after the study", "a policy changed since"]
)
def test_enrolment_is_refused_by_the_same_codes(
    name: str, hospitals: Hospitals, question: ReleaseRequest
) -> None:
    prepare, change, code = REFUSALS[name]
    home = prepare(hospitals)
    asked = EnrolRequest(str(change.get("study_hash", question.study_hash)), question.roster_hash, NONCE)
    assert Wire.reply(once(home.folder, home.clock)(ENROL, Wire.pack(asked))) == Refused(code)


def test_what_cannot_be_logged_is_not_answered(home: SiteHome, question: ReleaseRequest) -> None:
    home.audit_file.unlink()
    home.audit_file.mkdir()
    assert ask(home, question) == Refused("site_fault")
    # the charge and the answer are on disk: once the log works, the same bytes go out
    home.audit_file.rmdir()
    first = answered(home, question)
    assert answered(home, question) == first
    assert len(debits(home)) == 1


def test_the_log_tells_who_asked_and_what_was_said_and_nothing_of_patients(
    home: SiteHome, question: ReleaseRequest
) -> None:
    answered(home, question)
    events = AuditLog(home.audit_file, noon).entries()
    happened = [event["event"] for event in events]
    assert happened == ["loaded", "policy signed", "approved", "released", "answered"]
    assert set(events[-1]) == {"time", "event", "before", "message", "study"}


def test_a_withdrawn_study_is_not_answered_and_its_frozen_rows_stay_once_it_was_charged(
    home: SiteHome, question: ReleaseRequest
) -> None:
    answered(home, question)
    assert not withdraw(home, question.study_hash)
    assert snapshot_path(home.study_folder(question.study_hash), question.study_hash).exists()
    assert ask(home, question) == Refused("not_approved")
    assert len(debits(home)) == 1
