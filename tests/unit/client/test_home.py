"""A site's home: its owner's alone, made once, and an app that lets nothing else out."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from flwr.app import Message, RecordDict

from fedvalue.client.app import SITE_HOME
from fedvalue.client.governance.policy import Budget, Policy
from fedvalue.client.home import SiteHome, system_clock, write_atomically
from fedvalue.errors import FedValueError, LedgerError, OutputError, StudyInvalid
from fedvalue.server.grids.local import LocalGrid, LocalNode
from fedvalue.strategies.secure_aggregation.messages import (
    ENROL,
    RELEASE,
    EnrolRequest,
    Refused,
    ReleaseRequest,
    Wire,
)
from fedvalue.study.roster import Roster, card, load_roster
from tests.federation import noon, short_lived

POLICY = Policy(
    site="s01",
    entity="Hospital",
    operator="Hospital",
    budget=Budget(epsilon=4.0, delta=1e-6),
    profiles=("none",),
)


@pytest.fixture
def home(tmp_path: Path) -> SiteHome:
    return SiteHome.create(tmp_path / "home", POLICY, noon)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_everything_in_a_home_is_its_owners_alone(home: SiteHome) -> None:
    assert mode(home.folder) == 0o700
    keys = [home.site_key_file, home.officer_key_file, home.officer_public_file]
    files = [home.policy_file, *keys, home.ledger_file]
    assert [mode(path) for path in files] == [0o600] * 5
    assert sorted(p for p in home.folder.rglob("*") if p.is_file()) == sorted(files)


def test_a_home_reads_back(home: SiteHome) -> None:
    again = SiteHome.open(home.folder, noon)
    assert again == home
    assert again.card() == home.card()
    with again.ledger() as ledger:
        assert ledger.budget.epsilon == 4.0


def test_a_home_is_made_once(home: SiteHome) -> None:
    before = home.ledger_file.read_bytes()
    with pytest.raises(OutputError, match="there is a site home already"):
        SiteHome.create(home.folder, POLICY, noon)
    assert home.ledger_file.read_bytes() == before


def test_a_home_that_lost_its_policy_does_not_get_a_second_ledger(home: SiteHome) -> None:
    home.policy_file.unlink()
    before = home.ledger_file.read_bytes()
    with pytest.raises(FedValueError):
        SiteHome.create(home.folder, POLICY, noon)
    assert home.ledger_file.read_bytes() == before


def test_a_place_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="the folder cannot be made"):
        SiteHome.create(tmp_path / "file" / "home", POLICY, noon)
    with pytest.raises(StudyInvalid, match="the policy cannot be read"):
        SiteHome.open(tmp_path / "nowhere")


def test_a_larger_budget_in_the_policy_is_not_taken_over(home: SiteHome) -> None:
    text = home.policy_file.read_text(encoding="utf-8").replace("epsilon = 4.0", "epsilon = 40.0")
    home.policy_file.write_text(text, encoding="utf-8")
    with pytest.raises(LedgerError, match="opened for life with epsilon 4"):
        SiteHome.open(home.folder, noon).ledger()


def test_the_card_holds_public_keys_and_makes_a_roster(home: SiteHome, tmp_path: Path) -> None:
    path = tmp_path / "roster.toml"
    path.write_text(card(home.card()), encoding="utf-8")
    assert load_roster(path) == Roster(site=(home.card(),))
    assert home.card().public_key != home.card().officer_key


def test_the_clock_of_a_home_knows_its_time_zone() -> None:
    assert system_clock().tzinfo is not None


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "x"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert mode(path) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["x"]
    path.unlink()
    path.mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        write_atomically(path, b"three")
    assert [p.name for p in path.parent.iterdir()] == ["x"]


ASKED = (
    (ENROL, Wire.pack(EnrolRequest("ab" * 32, "cd" * 32, "0" * 32))),
    (RELEASE, Wire.pack(ReleaseRequest("ab" * 32, "cd" * 32, "release-1", 1, "ef" * 32))),
)


def told(config: dict[str, str | int], kind: str, content: RecordDict) -> Message:
    grid = LocalGrid({2: LocalNode(short_lived(noon), dict(config))})
    (reply,) = grid.send_and_receive([Message(content, dst_node_id=2, message_type=kind)], timeout=30)
    return reply


@pytest.mark.parametrize(("kind", "content"), ASKED)
def test_the_app_passes_a_question_to_the_home_that_its_node_names(
    kind: str, content: RecordDict, home: SiteHome
) -> None:
    assert Wire.reply(told({SITE_HOME: str(home.folder)}, kind, content).content) == Refused("not_approved")
    assert kind in home.audit_file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "config",
    [{}, {SITE_HOME: "/nowhere/Zhang San"}, {SITE_HOME: 7}, {SITE_HOME: "\0Zhang San"}, {"home": "x"}],
)
def test_without_a_home_the_app_answers_with_a_code_and_not_with_a_path(config: dict[str, str | int]) -> None:
    for kind, content in ASKED:
        reply = told(config, kind, content)
        assert not reply.has_error()
        assert Wire.reply(reply.content) == Refused("site_fault")
