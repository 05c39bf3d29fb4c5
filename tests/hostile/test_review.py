"""What a hostile reviewer of the foundation found, each as a test that it stays closed."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedvalue.analyses.estimate import Conclusion
from fedvalue.client.node import SiteNode
from fedvalue.errors import EvidenceError, OutputError, PaymentError, SourceMissing
from fedvalue.evidence.chain import verify_chain
from fedvalue.evidence.package import BiasItem, EvidencePackage
from fedvalue.payment import standard_file
from fedvalue.payment.deciding import decide
from fedvalue.planning.plan import make_plan
from fedvalue.privacy.accounting import epsilon
from fedvalue.simulation import PooledTable, SiteFolders, run
from fedvalue.strategies.secure_aggregation.messages import (
    RELEASE,
    ReleaseReply,
    ReleaseRequest,
    Wire,
    commitment,
)
from fedvalue.study.file import parse
from tests.agreement import SMALL, roster, study
from tests.federation import make_hospitals
from tests.unit.evidence.sealed import package, resealed

DAY = date(2026, 12, 1)


def forged(change: dict[str, Any]) -> EvidencePackage:
    """What a dishonest coordinator can seal with its own key."""
    return resealed(package(), **change)


def without_total() -> dict[str, Any]:
    record = package().releases[0]
    return {"releases": (record.model_copy(update={"total": None}),)}


def undebited() -> dict[str, Any]:
    stated = package().privacy
    spent = tuple(entry.model_copy(update={"releases": 0}) for entry in stated.spent)
    return {"privacy": stated.model_copy(update={"spent": spent})}


def blameless() -> dict[str, Any]:
    fine = BiasItem(status="addressed", text="Nothing to see.")
    return {"bias": package().bias.model_copy(update={"confounding": fine})}


@pytest.mark.parametrize(
    ("change", "link"),
    [
        (without_total, "releases"),
        (lambda: {"unsafe": ("no_noise",)}, "approvals"),
        (lambda: {"unsafe": ("clear_sum",)}, "approvals"),
        (lambda: {"simulation": True}, "approvals"),
        (lambda: {"valid_from": date(2000, 1, 1), "valid_to": date(2099, 1, 1)}, "dates"),
        (lambda: {"created": datetime(2000, 1, 1, tzinfo=UTC)}, "approvals"),
        (undebited, "budget"),
        (blameless, "bias"),
    ],
)
def test_evidence_that_its_coordinator_forged_is_refused_at_its_link(change: Any, link: str) -> None:
    with pytest.raises(EvidenceError) as refused:
        verify_chain(forged(change()))
    assert refused.value.where.startswith(link)


def test_a_clear_sum_cannot_be_sealed_as_a_private_one() -> None:
    with pytest.raises(EvidenceError) as refused:
        verify_chain(resealed(package(clear_sum=True), unsafe=()))
    assert refused.value.where == "plan"


def test_a_simulation_cannot_be_sealed_as_real() -> None:
    with pytest.raises(EvidenceError, match="simulation"):
        verify_chain(resealed(package(simulation=True), simulation=False))


def test_a_decision_is_never_made_on_conclusions_that_the_sums_do_not_give() -> None:
    honest = package((10.0, 120.0, 10.0))
    invented: tuple[Conclusion, ...] = package((120.0, 10.0, 10.0)).conclusions
    standard = standard_file.read("lung/egfr_tki_outcome_linked")
    assert decide(honest, standard, DAY).outcome == "not_met"
    with pytest.raises((EvidenceError, PaymentError), match="another conclusion"):
        decide(resealed(honest, conclusions=invented), standard, DAY)


def test_the_published_digest_of_a_share_is_salted() -> None:
    vector = np.arange(3, dtype="<i8").tobytes()
    assert commitment(b"a" * 32, vector) != commitment(b"b" * 32, vector)


def test_two_messages_at_once_get_one_answer_and_one_debit(tmp_path: Path) -> None:
    hospitals = make_hospitals(tmp_path / "homes")
    plan, home = hospitals.plan, hospitals.home("s01")
    (release,) = plan.releases
    asked = ReleaseRequest(plan.study_hash, plan.roster_hash, release.label, 1, plan.specification(release))
    replies: list[ReleaseReply] = []

    with SiteNode(home.folder, home.clock) as node:

        def ask() -> None:
            reply = Wire.reply(node.answer(RELEASE, Wire.pack(asked)))
            assert isinstance(reply, ReleaseReply), reply
            replies.append(reply)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert len(replies) == 4
    assert len({reply.vector for reply in replies}) == 1
    with home.ledger() as ledger:
        assert [entry.kind for entry in ledger.entries()].count("debit") == 1


@pytest.mark.parametrize("spare", [0, 1, 4])
def test_the_studys_epsilon_covers_every_spare_attempt(spare: int) -> None:
    asked = study(("[federation]", f"spare_attempts = {spare}\n\n[federation]"))
    plan = make_plan(asked, roster(5))
    price = (1 + spare) * sum(release.scales.rho_units() for release in plan.releases)
    assert epsilon(price, asked.privacy.delta) <= asked.privacy.epsilon


def test_a_simulation_never_replaces_its_own_input(tmp_path: Path) -> None:
    inside = tmp_path / "out" / "tables"
    inside.mkdir(parents=True)
    (tmp_path / "out" / ".fedvalue-simulation").touch()
    table, mapping = inside / "mine.csv", tmp_path / "map.toml"
    table.write_text("id,site\n1,a\n")
    mapping.write_text("mapping = 1\n")
    with pytest.raises(OutputError, match="input lies in the output folder"):
        run(
            parse(SMALL.encode(), where="s"),
            PooledTable(table, mapping, site_column="site"),
            out=tmp_path / "out",
        )
    assert table.exists()


@pytest.mark.parametrize("names", [("Hospital A",), ("<script>",), ("a", "A"), ("x" * 41,)])
def test_a_folder_whose_name_is_no_site_id_is_named(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (tmp_path / "in" / name).mkdir(parents=True)
    with pytest.raises(SourceMissing, match="cannot be a site's id"):
        run(parse(SMALL.encode(), where="s"), SiteFolders(tmp_path / "in"), out=tmp_path / "out")
