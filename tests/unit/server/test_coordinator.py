"""A whole study over Flower's messages in process, with hospitals that misbehave in every way they can."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict

from fedvalue.client.app import SITE_HOME
from fedvalue.client.governance.approvals import approve, approved
from fedvalue.errors import TooFewSites
from fedvalue.evidence import statements
from fedvalue.evidence.chain import verify_chain
from fedvalue.evidence.package import EvidencePackage
from fedvalue.server.asking import ask
from fedvalue.server.coordinator import Coordinator
from fedvalue.server.enrolment import Enrolled, enrol, wait_for_nodes
from fedvalue.server.grids.local import LocalGrid, LocalNode
from fedvalue.strategies.secure_aggregation.messages import (
    ENROL,
    RELEASE,
    EnrolReply,
    Refused,
    ReleaseReply,
    ReleaseRequest,
    Wire,
)
from fedvalue.study.approval import CLEAR_SUM, NO_NOISE, Approval
from fedvalue.study.file import digest
from fedvalue.study.roster import Roster
from fedvalue.study.signature import sign
from tests.agreement import SMALL, key, study
from tests.federation import FIVE, Hospitals, make_home, make_hospitals, noon, short_lived

Node = Callable[[Message, Context], Message]
PATIENT = "Zhang San"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Hospitals:
    return make_hospitals(tmp_path_factory.mktemp("coordinator") / "homes")


@pytest.fixture
def hospitals(template: Hospitals, tmp_path: Path) -> Hospitals:
    return template.copy(tmp_path / "homes")


def honest(hospitals: Hospitals, site: str, clock: Callable[[], datetime] = noon) -> LocalNode:
    return LocalNode(short_lived(clock), {SITE_HOME: str(hospitals.folder / site)})


def nodes(hospitals: Hospitals, **instead: LocalNode | None) -> dict[int, LocalNode]:
    """A node for each hospital, numbered from 2; ``s03=None`` leaves one out."""
    found = {}
    for number, site in enumerate(hospitals.roster.site, start=2):
        node = instead.get(site.id, honest(hospitals, site.id))
        if node is not None:
            found[number] = node
    return found


def coordinator(hospitals: Hospitals, *, exact: bool = False) -> Coordinator:
    signed = sign(statements.study_statement(digest(hospitals.study)), key("author"), "study")
    return Coordinator(
        study=hospitals.study,
        roster=hospitals.roster,
        key=key("coordinator"),
        study_signatures=(signed,),
        unsafe_exact=exact,
        simulation=True,
        unsafe_clear_sum=hospitals.clear_sum,
        wait_seconds=0.0,
        step_seconds=30.0,
        clock=noon,
    )


def run(hospitals: Hospitals, made: dict[int, LocalNode], *, exact: bool = False) -> EvidencePackage:
    with LocalGrid(made) as grid:
        return coordinator(hospitals, exact=exact).run(grid)


def failing(hospitals: Hospitals, made: dict[int, LocalNode]) -> TooFewSites:
    with pytest.raises(TooFewSites) as refused:
        run(hospitals, made)
    assert refused.value.do
    assert PATIENT not in str(refused.value)
    return refused.value


def answered(evidence: EvidencePackage) -> tuple[str, ...]:
    (release,) = evidence.releases
    return release.answered


def enrolled(hospitals: Hospitals, made: dict[int, LocalNode]) -> Enrolled:
    with LocalGrid(made) as grid:
        return enrol(
            grid, grid.get_node_ids(), hospitals.plan, hospitals.roster, timeout=30.0, simulation=True,
            clear_sum=True, clock=noon,
        )  # fmt: skip


ALL = ("s01", "s02", "s03", "s04", "s05")


# ---- hospitals that behave --------------------------------------------------------------------------


def test_a_study_ends_in_evidence_whose_every_link_holds(hospitals: Hospitals) -> None:
    evidence = run(hospitals, nodes(hospitals))
    links = verify_chain(evidence, study=hospitals.study, coordinator_key=evidence.signatures[0].public_key)
    assert [link.name for link in links][-1] == "evidence"
    assert answered(evidence) == ALL
    assert [approval.site for approval in evidence.approvals] == list(ALL)
    assert evidence.unsafe == (CLEAR_SUM,)
    assert evidence.simulation
    assert evidence.created == noon()
    assert [conclusion.label for conclusion in evidence.conclusions] == [
        "proportion:responded:egfr",
        "kaplan_meier:os:egfr",
    ]


def test_what_the_evidence_says_was_spent_is_what_the_ledgers_say(hospitals: Hospitals) -> None:
    evidence = run(hospitals, nodes(hospitals))
    for home, spent in zip(hospitals.homes(), evidence.privacy.spent, strict=True):
        with home.ledger() as ledger:
            debits = [entry for entry in ledger.entries() if entry.kind == "debit"]
            assert (spent.site, spent.rho_units) == (home.policy.site, ledger.spent().rho_units)
            assert spent.releases == len(debits) == 1


def test_without_noise_the_numbers_are_those_of_all_patients_together(hospitals: Hospitals) -> None:
    hospitals.approve(exact=True)
    evidence = run(hospitals, nodes(hospitals), exact=True)
    cohorts = [approved(home, digest(FIVE)).cohort(home) for home in hospitals.homes()]
    group = np.concatenate([cohort.categories["egfr"] for cohort in cohorts])
    status = np.concatenate([cohort.binary["responded"].status for cohort in cohorts])
    shares = evidence.conclusions[0]
    for level, name in enumerate(("mutated", "wild type")):
        mine = status[group == level]
        stratum = shares.stratum(f"egfr={name}")
        assert stratum.released["success"].value == (mine == 1).sum()
        assert stratum.estimates["proportion"].value == pytest.approx((mine == 1).mean())
        assert stratum.estimates["proportion"].privacy_variance == 0
    assert evidence.unsafe == (CLEAR_SUM, NO_NOISE)
    assert evidence.privacy.epsilon_own_share is None


def test_progress_is_told_from_the_first_site_to_the_last_analysis(hospitals: Hospitals) -> None:
    told: list[tuple[str, int, int]] = []
    one = coordinator(hospitals)
    watched = replace(one, progress=lambda *what: told.append(what))
    with LocalGrid(nodes(hospitals)) as grid:
        watched.run(grid)
    assert told[0] == ("waiting for sites", 5, 5)
    assert ("asking for approvals", 5, 5) in told
    assert ("opening release-1", 0, 1) in told
    assert told[-1] == ("concluded", 2, 2)


def test_one_site_of_five_may_fail(hospitals: Hospitals) -> None:
    evidence = run(hospitals, nodes(hospitals, s03=None))
    assert answered(evidence) == ("s01", "s02", "s04", "s05")
    assert evidence.privacy.spent[2].rho_units == 0
    verify_chain(evidence)


# ---- hospitals that do not --------------------------------------------------------------------------


def test_two_nodes_that_claim_one_site_are_one_site(hospitals: Hospitals) -> None:
    # the second node of s01 makes up for nobody: three sites are too few, however many nodes there are
    made = nodes(hospitals, s04=honest(hospitals, "s01"), s05=honest(hospitals, "s01"))
    refused = failing(hospitals, made)
    assert refused.what == "3 of 5 sites approve the study, 4 must"
    assert refused.where == "node 5: reply_invalid, node 6: reply_invalid"
    # and with four sites there it is neither counted nor charged twice
    evidence = run(hospitals, nodes(hospitals, s05=honest(hospitals, "s01")))
    assert answered(evidence) == ("s01", "s02", "s03", "s04")
    with hospitals.home("s01").ledger() as ledger:
        assert sum(entry.kind == "debit" for entry in ledger.entries()) == 1


def test_a_copied_approval_displaces_nobody(hospitals: Hospitals) -> None:
    # Approvals stand in every evidence package; a node shows s01's first, without s01's key.
    app = short_lived(noon)
    copied = (hospitals.home("s01").study_folder(digest(FIVE)) / "approval.json").read_text()

    def thief(message: Message, context: Context) -> Message:
        found = Wire.reply(app(message, context).content)
        assert isinstance(found, EnrolReply)
        return Message(Wire.pack(EnrolReply("s01", copied, found.signature)), reply_to=message)

    made = nodes(hospitals, s05=None)
    first = {2: LocalNode(thief, {SITE_HOME: str(hospitals.folder / "s02")})}
    found = enrolled(hospitals, {**first, **{number + 10: node for number, node in made.items()}})
    assert set(found.nodes) == {"s01", "s02", "s03", "s04"}
    assert found.nodes["s01"] == 12
    assert found.refusals == {"node 2": "reply_invalid"}


def approving(change: Callable[[Approval], Approval], hospitals: Hospitals, site: str) -> LocalNode:
    """A node that changes its approval and otherwise answers as its site would."""
    app = short_lived(noon)

    def node(message: Message, context: Context) -> Message:
        reply = app(message, context)
        found = Wire.reply(reply.content)
        if not isinstance(found, EnrolReply):
            return reply
        approval = change(Approval.model_validate_json(found.approval))
        return Message(
            Wire.pack(EnrolReply(approval.site, approval.model_dump_json(), found.signature)),
            reply_to=message,
        )

    return LocalNode(node, {SITE_HOME: str(hospitals.folder / site)})


def resigned(hospitals: Hospitals, **fields: object) -> Callable[[Approval], Approval]:
    """Change an approval and have the site's own officer sign it."""
    officer = hospitals.home("s05").officer_key()
    return lambda approval: approval.model_copy(update=fields).signed(officer)


APPROVALS: dict[str, Callable[[Hospitals], Callable[[Approval], Approval]]] = {
    "for another study": lambda h: resigned(h, study_hash="ab" * 32),
    "for another roster": lambda h: resigned(h, roster_hash="ab" * 32),
    "for fewer answers": lambda h: resigned(h, answers=3),
    "for more sites": lambda h: resigned(h, sites=6),
    "of a day to come": lambda h: resigned(h, day=date(2026, 3, 2)),
    "for more colluding sites": lambda h: resigned(h, colluding=2),
    "of a sum that is not in clear": lambda h: resigned(h, unsafe=()),
    "in the name of another site": lambda h: resigned(h, site="s01"),
    "in the name of nobody on the roster": lambda h: resigned(h, site="s99"),
    "that nobody signed": lambda _: lambda approval: approval.model_copy(update={"signature": None}),
    "that somebody else signed": lambda _: lambda approval: approval.signed(key("somebody")),
    "that was changed after it was signed": lambda _: (
        lambda approval: approval.model_copy(update={"policy_hash": "ab" * 32})
    ),
}


@pytest.mark.parametrize("name", APPROVALS)
def test_a_site_takes_no_part_on_an_approval(name: str, hospitals: Hospitals) -> None:
    found = enrolled(hospitals, nodes(hospitals, s05=approving(APPROVALS[name](hospitals), hospitals, "s05")))
    assert list(found.nodes) == ["s01", "s02", "s03", "s04"]
    assert [approval.site for approval in found.approvals] == ["s01", "s02", "s03", "s04"]
    assert found.refusals == {"node 6": "reply_invalid"}


def test_a_site_without_a_valid_approval_is_not_asked_for_its_share(hospitals: Hospitals) -> None:
    node = approving(APPROVALS["of a sum that is not in clear"](hospitals), hospitals, "s05")
    evidence = run(hospitals, nodes(hospitals, s05=node))
    assert answered(evidence) == ("s01", "s02", "s03", "s04")
    assert len(evidence.approvals) == 4
    verify_chain(evidence)
    with hospitals.home("s05").ledger() as ledger:
        assert "debit" not in {entry.kind for entry in ledger.entries()}


def test_without_noise_an_approval_with_noise_does_not_do(hospitals: Hospitals) -> None:
    for home in hospitals.homes()[:4]:
        approve(home, FIVE, hospitals.roster, unsafe=(CLEAR_SUM, NO_NOISE))
    evidence = run(hospitals, nodes(hospitals), exact=True)
    assert answered(evidence) == ("s01", "s02", "s03", "s04")


def test_a_site_that_is_not_on_the_roster_takes_no_part(hospitals: Hospitals, tmp_path: Path) -> None:
    stranger = make_home(tmp_path / "else", "s99")
    approve(stranger, FIVE, Roster(site=(*hospitals.roster.site[:4], stranger.card())), unsafe=(CLEAR_SUM,))
    theirs = LocalNode(short_lived(noon), {SITE_HOME: str(stranger.folder)})
    evidence = run(hospitals, {**nodes(hospitals), 99: theirs})
    assert answered(evidence) == ALL
    refused = failing(hospitals, {**nodes(hospitals, s01=None, s02=None), 99: theirs})
    assert refused.where == "node 99: roster_mismatch"


def raising(message: Message, context: Context) -> Message:
    raise RuntimeError(f"no such column: {PATIENT}")


def exiting(message: Message, context: Context) -> Message:
    raise SystemExit(PATIENT)


def garbage(content: RecordDict) -> Node:
    return lambda message, _: Message(content, reply_to=message)


BAD_NODES: dict[str, tuple[Node, str]] = {
    "raises": (raising, "no_answer"),
    "dies": (exiting, "no_answer"),
    "answers nothing": (garbage(RecordDict()), "reply_invalid"),
    "answers arrays": (garbage(RecordDict({"a": ArrayRecord({"a": Array(np.zeros(9))})})), "reply_invalid"),
    "answers words": (garbage(RecordDict({"fedvalue": ConfigRecord({"kind": PATIENT})})), "reply_invalid"),
    "refuses in free text": (garbage(Wire.pack(Refused(PATIENT))), "reply_invalid"),
    "answers with a share": (garbage(Wire.pack(ReleaseReply("s05", b"", b"", "{}"))), "reply_invalid"),
    "answers with no approval": (garbage(Wire.pack(EnrolReply("s05", "{}", "{}"))), "reply_invalid"),
    "answers with an endless name": (
        garbage(Wire.pack(EnrolReply("s" * 100_000, PATIENT, PATIENT))),
        "reply_invalid",
    ),
    "refuses": (garbage(Wire.pack(Refused("not_approved"))), "not_approved"),
}


@pytest.mark.parametrize("name", BAD_NODES)
def test_the_study_goes_on_without_a_node_that(name: str, hospitals: Hospitals) -> None:
    node, code = BAD_NODES[name]
    found = enrolled(hospitals, nodes(hospitals, s05=LocalNode(node)))
    assert list(found.nodes) == ["s01", "s02", "s03", "s04"]
    assert found.refusals == {"node 6": code}
    refused = failing(hospitals, nodes(hospitals, s04=LocalNode(node), s05=LocalNode(node)))
    assert refused.what == "3 of 5 sites approve the study, 4 must"
    assert refused.where == f"node 5: {code}, node 6: {code}"


def then(node: Node, hospitals: Hospitals, site: str) -> LocalNode:
    """A node that enrols as its site and then answers the release as ``node`` does."""
    app = short_lived(noon)

    def both(message: Message, context: Context) -> Message:
        return app(message, context) if message.metadata.message_type == ENROL else node(message, context)

    return LocalNode(both, {SITE_HOME: str(hospitals.folder / site)})


@pytest.mark.parametrize("name", ["raises", "dies", "answers nothing", "answers with a share", "refuses"])
def test_a_share_is_missed_from_a_node_that(name: str, hospitals: Hospitals) -> None:
    node, code = BAD_NODES[name]
    evidence = run(hospitals, nodes(hospitals, s05=then(node, hospitals, "s05")))
    assert answered(evidence) == ("s01", "s02", "s03", "s04")
    assert PATIENT not in evidence.model_dump_json()
    verify_chain(evidence)
    # nobody can tell whether it was debited, unless it refused before that
    price = evidence.releases[0].charged_rho_units
    assert evidence.privacy.spent[4].rho_units == (0 if code == "not_approved" else price)


def test_fewer_than_t_shares_fail_in_every_attempt_and_say_what_to_do(hospitals: Hospitals) -> None:
    made = nodes(
        hospitals, s04=then(raising, hospitals, "s04"), s05=then(garbage(RecordDict()), hospitals, "s05")
    )
    refused = failing(hospitals, made)
    assert refused.what == "3 of 5 sites answered release-1, 4 must"
    assert refused.where == "s04: no_answer, s05: reply_invalid"
    assert "charged" in refused.do
    # one spare attempt: the three that answered paid twice
    with hospitals.home("s01").ledger() as ledger:
        assert sum(entry.kind == "debit" for entry in ledger.entries()) == 2


def test_a_spare_attempt_succeeds_and_its_price_is_told(hospitals: Hospitals) -> None:
    def late(site: str) -> LocalNode:
        app = short_lived(noon)

        def node(message: Message, context: Context) -> Message:
            if message.metadata.message_type == RELEASE:
                asked = Wire.request(RELEASE, message.content)
                assert isinstance(asked, ReleaseRequest)
                if asked.attempt == 1:
                    raise RuntimeError("restarting")
            return app(message, context)

        return LocalNode(node, {SITE_HOME: str(hospitals.folder / site)})

    evidence = run(hospitals, nodes(hospitals, s04=late("s04"), s05=late("s05")))
    (release,) = evidence.releases
    assert release.attempt == 2
    assert release.answered == ALL
    verify_chain(evidence)
    for home, spent in zip(hospitals.homes(), evidence.privacy.spent, strict=True):
        with home.ledger() as ledger:
            paid = ledger.spent().rho_units
            assert paid is not None
            assert paid <= spent.rho_units == 2 * release.charged_rho_units


def test_a_site_whose_clock_says_that_the_study_is_over_takes_no_part(hospitals: Hospitals) -> None:
    over = honest(hospitals, "s05", lambda: datetime(2027, 1, 1, tzinfo=UTC))
    assert len(answered(run(hospitals, nodes(hospitals, s05=over)))) == 4


class Deadline(LocalGrid):
    """A grid on which node 6 never answers."""

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        return [r for r in super().pull_messages(message_ids) if r.metadata.src_node_id != 6]


def test_a_node_that_does_not_answer_in_time_is_a_refusal_of_its_own(hospitals: Hospitals) -> None:
    plan = hospitals.plan
    with Deadline(nodes(hospitals)) as grid:
        found = enrol(
            grid, grid.get_node_ids(), plan, hospitals.roster, timeout=1.0, simulation=True, clear_sum=True
        )
        assert found.refusals == {"node 6": "no_answer"}
        assert list(found.nodes) == ["s01", "s02", "s03", "s04"]
        request = ReleaseRequest(plan.study_hash, plan.roster_hash, "release-9", 1, "ab" * 32)
        replies = dict(ask(grid, RELEASE, dict.fromkeys(range(2, 7), request), timeout=1.0))
    assert replies == {**dict.fromkeys(range(2, 6), Refused("release_unknown")), 6: Refused("no_answer")}


def test_nobody_connected_is_too_few(hospitals: Hospitals) -> None:
    refused = failing(hospitals, {})
    assert refused.what == "0 of 5 sites approve the study, 4 must"
    assert refused.where == "no refusals; the others are not connected"


def test_waiting_ends_when_enough_are_there_or_time_is_up(hospitals: Hospitals) -> None:
    told: list[tuple[str, int, int]] = []
    with LocalGrid(nodes(hospitals, s05=None)) as grid:
        assert len(wait_for_nodes(grid, 4, seconds=60, progress=lambda *what: told.append(what))) == 4
        assert len(wait_for_nodes(grid, 5, seconds=0, progress=lambda *what: told.append(what))) == 4
    assert told == [("waiting for sites", 4, 4), ("waiting for sites", 4, 5)]


def test_a_roster_too_small_for_the_study_asks_nobody(hospitals: Hospitals) -> None:
    six = study(("min_sites = 3", "min_sites = 6"), text=SMALL)
    larger = Hospitals(hospitals.folder, six, hospitals.roster)
    with pytest.raises(TooFewSites, match="the roster has 5 sites, the study demands 6"):
        run(larger, nodes(hospitals))
