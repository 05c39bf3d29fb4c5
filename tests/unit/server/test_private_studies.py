"""Whole studies through the private sum: real site nodes behind ClientApps, on a grid in this process."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Context, Message

from fedvalue.client.app import make_app
from fedvalue.client.governance.approvals import approved, withdraw
from fedvalue.client.places import RECORDS
from fedvalue.client.records.server_changes import move_store
from fedvalue.client.records.store import MODEST
from fedvalue.errors import PolicyForbids, TooFewSites
from fedvalue.evidence import statements
from fedvalue.evidence.chain import verify_chain
from fedvalue.evidence.package import EvidencePackage
from fedvalue.privacy.accounting import Price
from fedvalue.server.coordinator import Coordinator
from fedvalue.server.grids.local import LocalGrid, LocalNode
from fedvalue.strategies.secure_aggregation.messages import STEP, StepRequest, Wire
from fedvalue.strategies.secure_aggregation.private_sum import wire
from fedvalue.study.approval import NO_NOISE
from fedvalue.study.file import digest
from fedvalue.study.signature import sign
from tests.agreement import key
from tests.conftest import Place
from tests.federation import FIVE, Hospitals, make_hospitals, noon

ALL = ("s01", "s02", "s03", "s04", "s05")
ROUND = (wire.MASKED, wire.CONSISTENCY, wire.UNMASK)
STEPS = (wire.KEYS, wire.SHARES, wire.MEMBERS, *ROUND)

Before = Callable[[str, str], None]
"""``(site, step)``: called before a site answers; raises for a site that vanishes."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Hospitals:
    return make_hospitals(tmp_path_factory.mktemp("private") / "homes", clear_sum=False)


@pytest.fixture
def hospitals(template: Hospitals, tmp_path: Path) -> Hospitals:
    return template.copy(tmp_path / "homes")


def run(hospitals: Hospitals, *, before: Before | None = None, exact: bool = False) -> EvidencePackage:
    signed = sign(statements.study_statement(digest(hospitals.study)), key("author"), "study")
    coordinator = Coordinator(
        study=hospitals.study, roster=hospitals.roster, key=key("coordinator"), study_signatures=(signed,),
        unsafe_exact=exact, simulation=True, wait_seconds=0.0, step_seconds=30.0, clock=noon,
    )  # fmt: skip
    with ExitStack() as stack:
        nodes = stack.enter_context(hospitals.running())

        def app_of(site: str) -> Callable[[Message, Context], Message]:
            app = make_app(lambda _: nodes[site].answer)

            def answer(message: Message, context: Context) -> Message:
                if before is not None and message.metadata.message_type == STEP:
                    request = Wire.request(STEP, message.content)
                    assert isinstance(request, StepRequest)
                    before(site, request.step)
                return app(message, context)

            return answer

        grid = LocalGrid({n: LocalNode(app_of(site)) for n, site in enumerate(nodes, start=2)})
        with grid:
            return coordinator.run(grid)


def vanishing(victim: str, at: str) -> Before:
    """A site that answers no step from ``at`` on."""
    gone = set[str]()

    def before(site: str, step: str) -> None:
        if site == victim and (step == at or gone):
            gone.add(step)
            raise RuntimeError("gone")

    return before


def test_a_study_ends_in_evidence_whose_every_link_holds_and_nothing_lowered_its_protection(
    hospitals: Hospitals,
) -> None:
    evidence = run(hospitals)
    verify_chain(evidence, study=hospitals.study)
    (release,) = evidence.releases
    assert release.answered == ALL
    assert release.replies == ()
    assert evidence.unsafe == ()
    limits = hospitals.plan.thresholds
    for home, spent in zip(hospitals.homes(), evidence.privacy.spent, strict=True):
        with home.ledger() as ledger:
            (debit,) = [entry for entry in ledger.entries() if entry.kind == "debit"]
            scales = hospitals.plan.releases[0].scales
            assert debit.price == Price.plain(scales.rho_units(limits.honest_shares))
            assert (spent.rho_units, spent.releases) == (ledger.spent().rho_units, 1)
            assert debit.body["m_charged"] == limits.honest_shares == 3
            assert release.transcript is not None
            assert (debit.body["epoch"], debit.body["round"]) == (release.transcript.epoch, 1)
            assert debit.body["h"] == release.transcript.question


def test_without_noise_the_sum_is_that_of_all_patients_together(hospitals: Hospitals) -> None:
    hospitals.approve(exact=True)
    with pytest.warns(match="UnsafeExactSum"):
        evidence = run(hospitals, exact=True)
    assert evidence.unsafe == (NO_NOISE,)
    cohorts = [approved(home, digest(FIVE)).cohort(home) for home in hospitals.homes()]
    status = np.concatenate([cohort.binary["responded"].status for cohort in cohorts])
    everybody = evidence.conclusions[0].stratum("all")
    assert everybody.estimates["proportion"].value == pytest.approx((status == 1).mean())
    verify_chain(evidence)


def test_a_site_whose_records_are_on_a_postgresql_server_answers_like_the_others(
    hospitals: Hospitals, on_server: Place
) -> None:
    home, key_of_study = hospitals.home("s02"), digest(FIVE)
    frozen = approved(home, key_of_study).cohort(home)
    move_store(home.records_file, on_server(home.folder), limits=MODEST)
    (home.folder / RECORDS).unlink()
    withdraw(home, key_of_study)
    hospitals.approve(exact=True)
    again = approved(home, key_of_study).cohort(home)
    np.testing.assert_array_equal(again.binary["responded"].status, frozen.binary["responded"].status)
    with pytest.warns(match="UnsafeExactSum"):
        evidence = run(hospitals, exact=True)
    (release,) = evidence.releases
    assert release.answered == ALL
    cohorts = [approved(each, key_of_study).cohort(each) for each in hospitals.homes()]
    status = np.concatenate([cohort.binary["responded"].status for cohort in cohorts])
    everybody = evidence.conclusions[0].stratum("all")
    assert everybody.estimates["proportion"].value == pytest.approx((status == 1).mean())


@pytest.mark.parametrize("step", STEPS)
def test_one_site_of_five_may_vanish_at_any_step(step: str, hospitals: Hospitals) -> None:
    evidence = run(hospitals, before=vanishing("s03", step))
    (release,) = evidence.releases
    assert release.attempt == 1
    late = step in (wire.CONSISTENCY, wire.UNMASK)
    assert release.answered == (ALL if late else ("s01", "s02", "s04", "s05"))
    verify_chain(evidence)
    with hospitals.home("s03").ledger() as ledger:
        paid = ledger.spent("2026").rho_units
    assert paid == (release.charged_rho_units if late else 0)
    assert evidence.privacy.spent[2].rho_units >= paid


def test_a_site_that_restarts_joins_again_and_its_peers_say_what_they_saw_of_its_ledger(
    hospitals: Hospitals,
) -> None:
    first = run(hospitals)
    second = run(replace(hospitals))  # all nodes were started again; everything is asked anew
    assert first.releases[0].attempt == 1
    assert second.releases[0].attempt == 2  # attempt 1 was charged in another epoch
    for home in hospitals.homes():
        with home.ledger() as ledger:
            assert sum(entry.kind == "debit" for entry in ledger.entries()) == 2


def test_a_ledger_that_was_put_back_to_an_older_copy_keeps_its_site_closed(hospitals: Hospitals) -> None:
    home = hospitals.home("s02")
    older = home.ledger_file.read_bytes()
    run(hospitals)
    home.ledger_file.write_bytes(older)
    evidence = run(hospitals)
    assert evidence.releases[0].answered == ("s01", "s03", "s04", "s05")
    reasons = home.audit_file.read_text(encoding="utf-8")
    assert "ledger_rolled_back" in reasons


def test_a_withdrawal_holds_from_the_next_step_on(hospitals: Hospitals) -> None:
    def before(site: str, step: str) -> None:
        if site == "s04" and step == wire.MASKED:
            withdraw(hospitals.home("s04"), digest(FIVE))

    evidence = run(hospitals, before=before)
    assert evidence.releases[0].answered == ("s01", "s02", "s03", "s05")
    with hospitals.home("s04").ledger() as ledger:
        assert ledger.spent("2026").rho_units == 0


def test_two_sites_that_vanish_are_one_too_many_in_every_attempt(hospitals: Hospitals) -> None:
    def before(site: str, step: str) -> None:
        if site in ("s01", "s05") and step == wire.MASKED:
            raise RuntimeError("gone")

    with pytest.raises(TooFewSites) as refused:
        run(hospitals, before=before)
    assert "no_answer" in refused.value.where


def test_the_sum_in_clear_is_for_simulations_only(hospitals: Hospitals) -> None:
    real = Coordinator(
        study=hospitals.study, roster=hospitals.roster, key=key("coordinator"), unsafe_clear_sum=True
    )
    with LocalGrid({}) as grid, pytest.raises(PolicyForbids, match="only in a simulation"):
        real.run(grid)


def test_a_study_approved_for_the_private_sum_is_not_answered_in_clear(hospitals: Hospitals) -> None:
    clear = Coordinator(
        study=hospitals.study, roster=hospitals.roster, key=key("coordinator"), unsafe_clear_sum=True,
        simulation=True, wait_seconds=0.0, step_seconds=30.0, clock=noon,
    )  # fmt: skip
    with hospitals.grid() as grid, pytest.raises(TooFewSites, match="0 of 5 sites approve"):
        clear.run(grid)
