"""The kill switch works within one step; logs and numbers are the same whatever patients a hospital has."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from flwr.app import RecordDict

from fedvalue.client.app import make_app
from fedvalue.client.governance.approvals import approve, withdraw
from fedvalue.client.node import SiteNode
from fedvalue.client.records.snapshot import snapshot_path
from fedvalue.client.running.pause import pause, paused, resume
from fedvalue.client.running.watched import DECLARED
from fedvalue.errors import TooFewSites
from fedvalue.evidence import statements
from fedvalue.evidence.package import EvidencePackage
from fedvalue.operations.logs import entry
from fedvalue.operations.metrics import Metrics
from fedvalue.server.coordinator import Coordinator
from fedvalue.server.grids.local import LocalGrid, LocalNode
from fedvalue.strategies.secure_aggregation.messages import (
    ENROL,
    STEP,
    EnrolReply,
    EnrolRequest,
    Refused,
    StepRequest,
    Wire,
)
from fedvalue.strategies.secure_aggregation.private_sum import wire
from fedvalue.study.file import digest
from fedvalue.study.signature import sign
from tests.agreement import key
from tests.federation import Hospitals, load_records, make_hospitals, noon

ALL = ("s01", "s02", "s03", "s04", "s05")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Hospitals:
    return make_hospitals(tmp_path_factory.mktemp("paused") / "homes", clear_sum=False)


@pytest.fixture
def hospitals(template: Hospitals, tmp_path: Path) -> Hospitals:
    return template.copy(tmp_path / "homes")


class Heard(logging.Handler):
    """Keeps the events of the nodes, without their times."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[dict[str, object]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.events.append({name: value for name, value in entry(record).items() if name != "time"})


@contextmanager
def heard() -> Iterator[Heard]:
    log, handler = logging.getLogger("fedvalue.node"), Heard()
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield handler
    finally:
        log.removeHandler(handler)
        log.setLevel(logging.NOTSET)


def run(
    hospitals: Hospitals, before: Callable[[str, str], None] = lambda site, step: None
) -> EvidencePackage:
    """Run the whole study through the private sum; ``before`` sees each step of each site."""
    signed = sign(statements.study_statement(digest(hospitals.study)), key("author"), "study")
    coordinator = Coordinator(
        study=hospitals.study, roster=hospitals.roster, key=key("coordinator"), study_signatures=(signed,),
        simulation=True, wait_seconds=0.0, step_seconds=30.0, clock=noon,
    )  # fmt: skip
    with ExitStack() as stack:
        nodes = stack.enter_context(hospitals.running())

        def answering(site: str) -> LocalNode:
            def answer(message_type: str, content: RecordDict) -> RecordDict:
                if message_type == STEP:
                    request = Wire.request(STEP, content)
                    assert isinstance(request, StepRequest)
                    before(site, request.step)
                return nodes[site].answer(message_type, content)

            return LocalNode(make_app(lambda _: answer))

        with LocalGrid({n: answering(site) for n, site in enumerate(nodes, start=2)}) as grid:
            return coordinator.run(grid)


def enrol(hospitals: Hospitals) -> RecordDict:
    plan = hospitals.plan
    return Wire.pack(EnrolRequest(plan.study_hash, plan.roster_hash, "c" * 32))


def test_a_paused_site_refuses_every_message_and_answers_again_once_it_is_resumed(
    hospitals: Hospitals,
) -> None:
    home, asked = hospitals.home("s01"), enrol(hospitals)
    with SiteNode(home.folder, noon) as node:
        assert isinstance(Wire.reply(node.answer(ENROL, asked)), EnrolReply)
        assert pause(home, "an inspection")
        assert not pause(home, "another")
        for message_type, content in ((ENROL, asked), ("query.else", RecordDict())):
            assert Wire.reply(node.answer(message_type, content)) == Refused("site_paused")
        assert resume(home)
        assert not resume(home)
        assert isinstance(Wire.reply(node.answer(ENROL, asked)), EnrolReply)
    audit = home.audit_file.read_text()
    assert audit.count('"paused"') == 1
    assert audit.count('"resumed"') == 1


def test_a_pause_that_comes_while_a_message_is_answered_keeps_the_answer_back(hospitals: Hospitals) -> None:
    home, looked = hospitals.home("s01"), list[int]()

    def clock_that_pauses() -> object:
        # the clock is asked for the first time after the node has taken the message up
        if armed and not looked:
            looked.append(1)
            pause(home, "now")
        return noon()

    armed: list[int] = []
    with SiteNode(home.folder, clock_that_pauses) as node:  # type: ignore[arg-type]  # a clock of the test's own
        armed.append(1)
        assert Wire.reply(node.answer(ENROL, enrol(hospitals))) == Refused("site_paused")
    assert looked
    assert "answered" not in home.audit_file.read_text()


def test_a_pause_in_the_middle_of_an_epoch_makes_the_site_forget_it_and_the_study_goes_on_without_it(
    hospitals: Hospitals,
) -> None:
    home = hospitals.home("s03")

    def switch(site: str, step: str) -> None:
        if site == "s03" and step == wire.MASKED:
            pause(home, "the switch")

    (release,) = run(hospitals, switch).releases
    assert release.answered == ("s01", "s02", "s04", "s05")  # t = 4 of 5 go on
    assert paused(home.folder)
    with home.ledger() as ledger:
        assert ledger.spent("2026").rho_units == 0  # the masked vector never left
    resume(home)
    assert run(hospitals).releases[0].answered == ALL


def test_log_lines_and_numbers_of_a_hospital_with_one_patient_are_those_of_one_with_forty(
    hospitals: Hospitals, template: Hospitals, tmp_path: Path
) -> None:
    few = template.copy(tmp_path / "few")
    home = few.home("s03")
    withdraw(home, digest(few.study))
    load_records(home, patients=1, seed=7)
    approve(home, few.study, few.roster, unsafe=())
    found = []
    for each in (hospitals, few):
        with heard() as said:
            run(each)
        metrics = Metrics(DECLARED)
        for event in said.events:
            metrics.see(event)
        # sites answer side by side, so their lines come in any order
        found.append((sorted(map(repr, said.events)), metrics.text()))
    assert found[0] == found[1]
    assert 'fedvalue_site_messages_answered_total{kind="step"}' in found[0][1]
    assert all(set(event) <= {"level", "logger", "event", "kind", "code"} for event in said.events)


def test_no_line_and_no_number_names_a_patient_or_what_an_error_said(hospitals: Hospitals) -> None:
    for home in hospitals.homes():
        path = snapshot_path(home.study_folder(digest(hospitals.study)), digest(hospitals.study))
        path.write_bytes(b"broken at P0")
    with heard() as said, pytest.raises(TooFewSites):
        run(hospitals)
    refused = [event for event in said.events if event["event"] == "message refused"]
    assert refused
    assert all(re.fullmatch("[a-z_]+", str(event["code"])) for event in refused)
    assert "P0" not in repr(said.events)


def test_every_number_has_its_reason_and_a_name_as_prometheus_wants_it() -> None:
    for metric in DECLARED:
        assert len(metric.why) > 5
        assert metric.name.startswith("fedvalue_site_")
        assert (metric.kind == "counter") == metric.name.endswith("_total")
