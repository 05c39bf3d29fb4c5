"""What a real site refuses by name, through its own node: papers, clock, disk, ledger, vectors.

Five real hospitals, one of which may fail, run a study by the private sum. Each test breaks something at
``s03``: it says so by one word, its ledger is not charged (or is, where the vector itself is broken), no
masked vector leaves it, and the study ends without it.
"""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import RecordDict
from flwr.clientapp import ClientApp
from numpy.typing import NDArray

from fedvalue.client.app import Answer, make_app
from fedvalue.client.governance.approvals import approve, examine
from fedvalue.client.governance.audit import AuditLog
from fedvalue.client.home import Clock, SiteHome
from fedvalue.client.identity import REVOCATIONS, SEEN, take_revocations
from fedvalue.client.node import SiteNode
from fedvalue.errors import (
    AuthorityUnknown,
    CertificateRevoked,
    ClockSkewed,
    EntitiesUnconfirmed,
    FedValueError,
    IdentityKeyDiffers,
    LedgerBusy,
    RevocationListStale,
    RosterUnsigned,
    TooFewSites,
)
from fedvalue.evidence import statements
from fedvalue.evidence.chain import verify_chain
from fedvalue.evidence.package import EvidencePackage
from fedvalue.protos.v1 import private_sum_pb2 as pb
from fedvalue.secure_sum.specification import RoundSpecification
from fedvalue.server.coordinator import Coordinator
from fedvalue.server.grids.local import LocalGrid, LocalNode
from fedvalue.strategies.secure_aggregation.messages import (
    ENROL,
    STEP,
    EnrolRequest,
    Refused,
    StepReply,
    StepRequest,
    Wire,
)
from fedvalue.strategies.secure_aggregation.private_sum import wire
from fedvalue.strategies.secure_aggregation.private_sum.agreed import ChargedShare, agreed_on
from fedvalue.study.file import digest
from fedvalue.study.identity.confirmation import spoken
from fedvalue.study.identity.register import LIST_FILE, Desk
from fedvalue.study.identity.signed_roster import SignedRoster, read_signed_roster
from fedvalue.study.identity.trust import Trust, load_trust
from fedvalue.study.passphrases import KeyRing
from fedvalue.study.signature import sign
from tests.agreement import key
from tests.federation import NOON, Hospitals, make_hospitals, noon

Vector = NDArray[Any]

VICTIM = "s03"
OTHERS = ("s01", "s02", "s04", "s05")
JUNE = 2343
"""Days from 1 January 2020 to 1 June 2026: 366 + 3 x 365 + 366 + 365 = 2192 to 2026, and 151."""

EVE = datetime(2019, 12, 31, 23, 30, tzinfo=UTC)
"""Half an hour before the authority signed list and roster."""

JULY = datetime(2026, 7, 1, tzinfo=UTC)


def at(moment: datetime) -> Clock:
    return lambda: moment


@dataclass
class Federation:
    """Real hospitals, with what each of them answered.

    Attributes:
      hospitals: Their homes.
      nodes: Starts the node of a site, where it is not an honest one at noon.
      clock: The coordinator's, and that of every site without one of its own.
      said: What the victim answered, by message type or step.
    """

    hospitals: Hospitals
    nodes: dict[str, Callable[[Path], SiteNode]] = field(default_factory=dict)
    clock: Clock = noon
    said: list[tuple[str, Refused | None]] = field(default_factory=list)

    @property
    def victim(self) -> SiteHome:
        return self.hospitals.home(VICTIM, self.clock)

    def desk(self, moment: datetime = NOON) -> Desk:
        """The authority, at work on a day."""
        return Desk.open(self.hospitals.folder / ".authority", at(moment), KeyRing())

    def newest(self) -> Path:
        return self.hospitals.folder / ".authority" / LIST_FILE

    def trust(self) -> Trust:
        folder = self.hospitals.folder / ".authority"
        return load_trust(folder / "authority.crt", folder / LIST_FILE, self.clock())

    def run(self, trust: Trust | None = None) -> EvidencePackage:
        """Run the study; the coordinator goes by ``trust`` or by the authority's newest list."""
        signed = sign(statements.study_statement(digest(self.hospitals.study)), key("author"), "study")
        coordinator = Coordinator(
            study=self.hospitals.study, roster=self.hospitals.roster, key=key("coordinator"),
            study_signatures=(signed,), wait_seconds=0.0, step_seconds=240.0, clock=self.clock,
            trust=trust or self.trust(),
        )  # fmt: skip
        with ExitStack() as stack:
            nodes = [stack.enter_context(self.node(site.id)) for site in self.hospitals.roster.site]
            answers = [self._heard(node, number) for number, node in enumerate(nodes)]
            apps = [_app(answer) for answer in answers]
            with LocalGrid({n: LocalNode(app) for n, app in enumerate(apps, start=2)}, threads=1) as grid:
                return coordinator.run(grid)

    def refusals(self) -> list[str]:
        """The codes with which the victim refused, in order."""
        return [said.code for _, said in self.said if said is not None]

    def sent(self) -> list[str]:
        """The steps that the victim answered."""
        return [what for what, said in self.said if said is None]

    def debits(self, site: str = VICTIM) -> int:
        with self.hospitals.home(site, self.clock).ledger() as ledger:
            return sum(entry.kind == "debit" for entry in ledger.entries())

    def node(self, site: str) -> SiteNode:
        """Start the node of a site."""
        folder = self.hospitals.folder / site
        start = self.nodes.get(site)
        return SiteNode(folder, self.clock) if start is None else start(folder)

    def _heard(self, node: SiteNode, number: int) -> Callable[[str, RecordDict], RecordDict]:
        def answer(kind: str, content: RecordDict) -> RecordDict:
            packed = node.answer(kind, content)
            if self.hospitals.roster.site[number].id == VICTIM:
                asked, reply = Wire.request(kind, content), Wire.reply(packed)
                step = getattr(asked, "step", kind)
                self.said.append((step, reply if isinstance(reply, Refused) else None))
                assert isinstance(reply, Refused) or kind != STEP or isinstance(reply, StepReply)
            return packed

        return answer


def _app(answer: Answer) -> ClientApp:
    return make_app(lambda _: answer)


def _at_noon(kind: type[SiteNode]) -> Callable[[Path], SiteNode]:
    return lambda folder: kind(folder, noon)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Hospitals:
    folder = tmp_path_factory.mktemp("named") / "homes"
    return make_hospitals(folder, simulation=False, clear_sum=False, certified={VICTIM: JUNE})


@pytest.fixture
def federation(template: Hospitals, tmp_path: Path) -> Federation:
    return Federation(template.copy(tmp_path / "homes"))


# ---- papers and clock: refused at enrolment, before anything is asked ------------------------------------


def expired(federation: Federation) -> None:
    federation.clock = at(JULY)  # the certificate of the victim alone ended in June


def revoked(federation: Federation) -> None:
    federation.desk().revoke(VICTIM, "stolen", list_days=31)
    for site in federation.hospitals.roster.site:
        take_revocations(federation.hospitals.home(site.id), federation.newest())


def stale(federation: Federation) -> None:
    federation.desk().issue_list(31)
    take_revocations(federation.victim, federation.newest())
    federation.nodes[VICTIM] = lambda folder: SiteNode(folder, at(NOON + timedelta(days=32)))


def older(federation: Federation) -> None:
    before = (federation.victim.identity_folder / REVOCATIONS).read_bytes()
    federation.desk().issue_list(31)
    take_revocations(federation.victim, federation.newest())
    (federation.victim.identity_folder / REVOCATIONS).write_bytes(before)


def forgotten(federation: Federation) -> None:
    (federation.victim.identity_folder / SEEN).unlink()


def behind(federation: Federation) -> None:
    federation.desk().issue_list(31)
    take_revocations(federation.victim, federation.newest())
    federation.nodes[VICTIM] = lambda folder: SiteNode(folder, at(NOON - timedelta(minutes=6)))


def without_papers(federation: Federation) -> None:
    (federation.victim.identity_folder / "site.crt").unlink()


def another_authority(federation: Federation) -> None:
    made = Desk.make(
        federation.hospitals.folder / ".x", "Example", noon, days=99, list_days=9, passphrase=None
    )
    theirs = (made.folder / "authority.crt").read_bytes()
    (federation.victim.identity_folder / "authority.crt").write_bytes(theirs)


def another_roster(federation: Federation) -> None:
    folder = federation.victim.study_folder(federation.hospitals.plan.study_hash)
    other = federation.desk().sign_roster(("s01", "s02", VICTIM, "s04"))
    (federation.hospitals.folder / "other.toml").write_text(other, encoding="utf-8")
    read = read_signed_roster(federation.hospitals.folder / "other.toml")
    (folder / "roster.json").write_text(read.model_dump_json(), encoding="utf-8")


def signature_of_another(federation: Federation) -> None:
    folder = federation.victim.study_folder(federation.hospitals.plan.study_hash)
    held = SignedRoster.model_validate_json((folder / "roster.json").read_bytes())
    forged = held.model_copy(update={"signature": sign(held.content(), key("thief"), "roster_authority")})
    (folder / "roster.json").write_text(forged.model_dump_json(), encoding="utf-8")


PAPERS: Mapping[str, tuple[Callable[[Federation], None], str]] = {
    "its certificate has expired": (expired, "certificate_expired"),
    "its certificate was revoked": (revoked, "certificate_revoked"),
    "its list is past its day": (stale, "revocation_list_stale"),
    "an older list was put back": (older, "revocation_list_stale"),
    "the newest list's number is gone": (forgotten, "revocation_list_stale"),
    "its clock is six minutes behind": (behind, "clock_skewed"),
    "its certificate is gone": (without_papers, "certificate_invalid"),
    "it was given another authority": (another_authority, "authority_unknown"),
    "another roster lies on its disk": (another_roster, "roster_mismatch"),
    "the roster is signed by a thief": (signature_of_another, "authority_unknown"),
}


@pytest.mark.parametrize("name", PAPERS)
def test_a_site_whose_papers_or_clock_do_not_hold_refuses_every_message_by_name(
    name: str, federation: Federation
) -> None:
    prepare, code = PAPERS[name]
    prepare(federation)
    plan = federation.hospitals.plan
    before = federation.victim.ledger_file.read_bytes()
    settings = agreed_on(plan, federation.hospitals.roster).settings("ab" * 16, 1)
    step = pb.KeysRequest(settings=wire.settings_message(settings)).SerializeToString()
    reopen = pb.ReopenRequest(study_hash=plan.study_hash).SerializeToString()
    asked: list[tuple[str, EnrolRequest | StepRequest]] = [
        (ENROL, EnrolRequest(plan.study_hash, plan.roster_hash, "0" * 32)),
        (STEP, StepRequest(wire.KEYS, step)),
        (STEP, StepRequest(wire.REOPEN, reopen)),
    ]
    with federation.node(VICTIM) as node:
        for kind, message in asked:
            assert Wire.reply(node.answer(kind, Wire.pack(message))) == Refused(code)
    assert federation.victim.ledger_file.read_bytes() == before
    last = AuditLog(federation.victim.audit_file, federation.clock).entries()[-1]
    assert (last["event"], last["code"]) == ("refused", code)


def test_a_study_goes_on_without_the_site_whose_certificate_has_expired(federation: Federation) -> None:
    expired(federation)
    evidence = federation.run()
    assert evidence.releases[0].answered == OTHERS
    assert federation.refusals() == ["certificate_expired"]
    assert (federation.sent(), federation.debits()) == ([], 0)


def test_real_hospitals_whose_papers_hold_answer_and_the_chain_holds(federation: Federation) -> None:
    evidence = federation.run()
    assert evidence.releases[0].answered == tuple(sorted((VICTIM, *OTHERS)))
    assert (evidence.simulation, evidence.unsafe, federation.debits()) == (False, (), 1)
    verify_chain(evidence, study=federation.hospitals.study)


def test_a_coordinator_that_names_another_roster_hears_so_from_everybody(federation: Federation) -> None:
    (federation.hospitals.folder / "four.toml").write_text(federation.desk().sign_roster(), encoding="utf-8")
    newer = read_signed_roster(federation.hospitals.folder / "four.toml").roster()  # signed at noon
    federation.hospitals = Hospitals(federation.hospitals.folder, federation.hospitals.study, newer, False)
    with pytest.raises(TooFewSites, match="0 of 5") as error:
        federation.run()
    assert federation.refusals() == ["roster_mismatch"]
    assert "roster_mismatch" in error.value.where


# ---- what the coordinator is shown, and what it leaves out ------------------------------------------------


def test_the_coordinator_takes_nobody_whose_certificate_it_knows_to_be_revoked(
    federation: Federation,
) -> None:
    federation.desk().revoke(VICTIM, "stolen", list_days=31)  # the sites have not heard yet
    evidence = federation.run()
    assert evidence.releases[0].answered == OTHERS
    assert federation.refusals() == []
    assert federation.debits() == 0


def test_sites_with_the_newest_list_take_no_key_of_a_revoked_site_from_a_coordinator_without_it(
    federation: Federation,
) -> None:
    before = federation.trust()
    federation.desk().revoke(VICTIM, "stolen", list_days=31)
    for site in OTHERS:
        take_revocations(federation.hospitals.home(site), federation.newest())
    with pytest.raises(TooFewSites) as error:
        federation.run(before)
    assert "site_lapsed" in error.value.where
    assert sum(federation.debits(site) for site in (*OTHERS, VICTIM)) == 0


def test_a_site_that_lapses_between_members_and_question_gets_no_vector_beside_its_own(
    federation: Federation,
) -> None:
    def told(folder: Path) -> SiteNode:
        class Late(SiteNode):
            def answer(self, message_type: str, content: RecordDict) -> RecordDict:
                request = Wire.request(message_type, content)
                if getattr(request, "step", "") == wire.MASKED:
                    take_revocations(SiteHome.open(folder, noon), federation.newest())
                return super().answer(message_type, content)

        return Late(folder, noon)

    before = federation.trust()
    federation.desk().revoke(VICTIM, "stolen", list_days=31)
    federation.nodes = dict.fromkeys(OTHERS, told)
    with pytest.raises(TooFewSites) as error:
        federation.run(before)
    assert "site_lapsed" in error.value.where
    assert sum(federation.debits(site) for site in OTHERS) == 0


# ---- an approval ------------------------------------------------------------------------------------------


def test_an_officer_cannot_approve_on_a_roster_that_does_not_hold(federation: Federation) -> None:
    home, study = federation.victim, federation.hospitals.study
    assert federation.hospitals.office is not None
    signed = federation.hospitals.office.signed
    examine(home, study, signed, unsafe=())

    def refused(expected: type[FedValueError], roster: SignedRoster, by: SiteHome = home) -> None:
        before = home.ledger_file.read_bytes()
        with pytest.raises(expected):
            approve(by, study, roster, unsafe=())
        assert home.ledger_file.read_bytes() == before

    refused(RosterUnsigned, signed.roster())  # type: ignore[arg-type]  # cards alone, without a signature
    refused(RosterUnsigned, signed.model_copy(update={"signature": None}))
    thief = sign(signed.content(), key("thief"), "roster_authority")
    refused(AuthorityUnknown, signed.model_copy(update={"signature": thief}))
    operated = signed.site[4].model_copy(update={"operator": "somebody else"})
    refused(RosterUnsigned, signed.model_copy(update={"site": (*signed.site[:4], operated)}))

    few = home.policy.model_copy(update={"confirmed": {}})  # four unconfirmed, c = 1
    refused(EntitiesUnconfirmed, signed, SiteHome(home.folder, few, noon))
    one = {"Hospital s01": spoken(key("thief").public_key().public_bytes_raw().hex())}
    other = home.policy.model_copy(update={"confirmed": {**home.policy.confirmed, **one}})  # type: ignore[dict-item]
    refused(IdentityKeyDiffers, signed, SiteHome(home.folder, other, noon))

    refused(ClockSkewed, signed, SiteHome(home.folder, home.policy, at(EVE)))
    federation.desk().revoke("s05", "stolen", list_days=31)
    take_revocations(home, federation.newest())
    refused(CertificateRevoked, signed)
    late = SiteHome(home.folder, home.policy, at(NOON + timedelta(days=32)))
    refused(RevocationListStale, signed, late)


# ---- disk, ledger, vector: refused when the round is asked ------------------------------------------------


class FullDisk(SiteNode):
    """Its disk is full from the moment on which the ledger is debited: a limit of this process stands in."""

    def _contribute(self, asked: RoundSpecification, h: bytes) -> ChargedShare:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        try:
            return super()._contribute(asked, h)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class EditedLedger(SiteNode):
    """Somebody with a database tool raises the budget from 40 to 99 just before the ledger is read."""

    def _contribute(self, asked: RoundSpecification, h: bytes) -> ChargedShare:
        with closing(sqlite3.connect(self._folder / "ledger.sqlite")) as file:
            file.execute("DROP TRIGGER entry_update")
            file.execute("UPDATE entry SET content = replace(content, '40.0', '99.0')")
            file.commit()
        return super()._contribute(asked, h)


class SetBack(SiteNode):
    """Its clock is set back by an hour after it started."""

    def _contribute(self, asked: RoundSpecification, h: bytes) -> ChargedShare:
        self._clock = at(NOON - timedelta(hours=1))
        return super()._contribute(asked, h)


ASKED: Mapping[str, tuple[type[SiteNode], str]] = {
    "the disk is full at the debit": (FullDisk, "ledger_error"),
    "the ledger was edited by hand": (EditedLedger, "ledger_broken"),
    "the clock is behind the ledger's last entry": (SetBack, "clock_skewed"),
}


@pytest.fixture
def unlimited() -> Iterator[None]:
    """The limit of this process on the size of files, put back whatever happens."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("unlimited")
@pytest.mark.parametrize("name", ASKED)
def test_a_site_that_cannot_charge_sends_no_vector(name: str, federation: Federation) -> None:
    kind, code = ASKED[name]
    before = federation.victim.ledger_file.read_bytes()
    federation.nodes[VICTIM] = _at_noon(kind)
    evidence = federation.run()
    assert evidence.releases[0].answered == OTHERS
    assert code in federation.refusals()
    assert wire.MASKED not in federation.sent()
    if kind is not EditedLedger:
        assert federation.victim.ledger_file.read_bytes() == before
        assert federation.debits() == 0


def not_a_number(vector: Vector) -> Vector:
    return np.where(np.arange(vector.size) == 0, np.nan, vector.astype(np.float64))


def past_the_ring(vector: Vector) -> Vector:
    return vector.astype(object) + (1 << 63)  # 2^63 is the first number that 64 bits do not hold


@pytest.mark.parametrize("broken", [not_a_number, past_the_ring])
def test_a_vector_with_nan_or_past_the_ring_never_leaves(
    broken: Callable[[Vector], Vector], federation: Federation
) -> None:
    class Broken(SiteNode):
        def _contribute(self, asked: RoundSpecification, h: bytes) -> ChargedShare:
            whole = super()._contribute(asked, h)
            return ChargedShare(broken(whole.vector), whole.ledger)

    federation.nodes[VICTIM] = _at_noon(Broken)
    evidence = federation.run()
    assert evidence.releases[0].answered == OTHERS
    assert "vector_invalid" in federation.refusals()
    assert wire.MASKED not in federation.sent()
    assert federation.debits() == 1  # charged and not sent: budget may be wasted, never unrecorded


def test_two_processes_on_one_home_and_its_ledger_are_one_too_many(federation: Federation) -> None:
    folder = federation.hospitals.folder / VICTIM
    with SiteNode(folder, noon), pytest.raises(LedgerBusy, match="another site node runs"):
        SiteNode(folder, noon)
