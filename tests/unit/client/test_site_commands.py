"""The hospital's commands, as its people type them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from fedvalue.client.cli import app
from fedvalue.client.home import SiteHome
from fedvalue.errors import (
    BudgetSpent,
    FedValueError,
    GovernanceIncomplete,
    OutputError,
    PolicyForbids,
    SignatureInvalid,
    StudyInvalid,
)
from fedvalue.evidence import statements
from fedvalue.study.file import digest, parse
from fedvalue.study.roster import card
from fedvalue.study.signature import public_hex, sign
from tests.agreement import SMALL, changed, key, site
from tests.federation import load_records

LONG = ("until = 2026-12-31", "until = 2099-12-31")
COMPLETE = """profile = "us"
purpose = "x"
legal_basis = { hospital = "x", payer = "x" }
ethics = [{ site = "*", approval = "x", consent = "waived" }]
data_use_agreement = "x"
accountable_officer = "x"
retention = "x"
server_location = "x"
"""
US = ('profile = "none"\n', COMPLETE)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def said(*arguments: object) -> str:
    found = run(*arguments)
    assert found.exit_code == 0, (found.output, found.exception)
    return found.output


def refused(*arguments: object) -> FedValueError:
    """The dispatcher turns these errors into exit statuses; the commands only raise them."""
    error = run(*arguments).exception
    assert isinstance(error, FedValueError), error
    return error


@dataclass(frozen=True, slots=True)
class Desk:
    """What lies on the officer's desk."""

    home: Path
    study: Path
    roster: Path

    def write_study(self, *changes: tuple[str, str], role: str = "study", signer: str = "author") -> None:
        raw = changed(SMALL, *changes)
        self.study.write_bytes(raw)
        statement = statements.study_statement(digest(parse(raw, where="study")))
        signature = sign(statement, key(signer), role)
        self.study.with_name("study.toml.sig").write_text(signature.model_dump_json(), encoding="utf-8")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    home = tmp_path / "home"
    said("init", home, "--site", "s01", "--entity", "Hospital", "--epsilon", 20, "--simulation")
    load_records(SiteHome.open(home), 30)
    roster = tmp_path / "roster.toml"
    roster.write_text(said("card", home) + card(site("s02")) + card(site("s03")), encoding="utf-8")
    made = Desk(home, tmp_path / "study.toml", roster)
    made.write_study(LONG, US)
    return made


def test_a_home_is_made_with_a_minimal_policy(tmp_path: Path) -> None:
    text = said(
        "init", tmp_path / "h", "--site", "s01", "--entity", "医院", "--epsilon", 2, "--allow", "proportion"
    )
    assert "epsilon 2 for life" in text
    policy = SiteHome.open(tmp_path / "h").policy
    assert (policy.entity, policy.operator, policy.analyses, policy.unsafe) == (
        "医院",
        "医院",
        ("proportion",),
        (),
    )
    assert policy.profiles == ("cn", "eu", "us")
    assert isinstance(
        refused("init", tmp_path / "h", "--site", "s01", "--entity", "x", "--epsilon", 2), OutputError
    )


@pytest.mark.parametrize(
    "wrong", [("--epsilon", -1), ("--epsilon", 1, "--unsafe", "all"), ("--epsilon", 1, "--allow", "nothing")]
)
def test_a_policy_that_is_none_is_refused_before_anything_is_made(
    wrong: tuple[object, ...], tmp_path: Path
) -> None:
    error = refused("init", tmp_path / "h", "--site", "s01", "--entity", "x", *wrong)
    assert isinstance(error, StudyInvalid)
    assert error.where == "command line"
    assert not (tmp_path / "h").exists()


def test_a_study_is_checked_in_words_and_nothing_is_approved(desk: Desk) -> None:
    text = said("check", desk.home, desk.study, "--roster", desk.roster)
    assert "The share of patients with responded" in text
    assert "This site's budget: epsilon 20 left; enough." in text
    assert not (desk.home / "studies").exists()
    facts = json.loads(said("check", desk.home, desk.study, "--roster", desk.roster, "--json"))
    assert facts["budget_is_enough"] is True
    assert facts["epsilon_left"] == pytest.approx(20, abs=1e-6)


def test_a_study_dearer_than_what_is_left_is_said_to_be(desk: Desk, tmp_path: Path) -> None:
    poor = tmp_path / "poor"
    said("init", poor, "--site", "s01", "--entity", "x", "--epsilon", 0.1, "--simulation")
    desk.roster.write_text(said("card", poor) + card(site("s02")) + card(site("s03")), encoding="utf-8")
    found = run("check", poor, desk.study, "--roster", desk.roster)
    assert "NOT enough" in found.output
    assert isinstance(found.exception, BudgetSpent)
    assert isinstance(run("approve", poor, desk.study, "--roster", desk.roster).exception, BudgetSpent)


def test_a_study_is_approved_and_the_ledger_still_holds_everything(desk: Desk) -> None:
    text = said("approve", desk.home, desk.study, "--roster", desk.roster)
    study_hash = digest(parse(desk.study.read_bytes(), where="study"))
    assert f"approved {study_hash}" in text
    assert (desk.home / "studies" / study_hash / "approval.json").exists()
    facts = json.loads(said("ledger", desk.home, "--json"))
    assert (facts["epsilon"], facts["epsilon_spent"], facts["debits"]) == (20.0, 0.0, [])
    assert "spent epsilon 0 of 20" in said("ledger", desk.home)
    approval = json.loads(said("approve", desk.home, desk.study, "--roster", desk.roster, "--json"))
    assert approval["study_hash"] == study_hash


@pytest.mark.parametrize("command", ["check", "approve"])
def test_a_study_that_its_author_did_not_sign_is_not_looked_at(command: str, desk: Desk) -> None:
    signature = desk.study.with_name("study.toml.sig")
    whole = signature.read_text(encoding="utf-8")
    arguments = (command, desk.home, desk.study, "--roster", desk.roster)
    for text in ("", "{}", "not json"):
        signature.write_text(text, encoding="utf-8")
        assert isinstance(refused(*arguments), SignatureInvalid)
    signature.unlink()
    assert isinstance(refused(*arguments), SignatureInvalid)
    # the signature of the study as it was before a change
    signature.write_text(whole, encoding="utf-8")
    desk.study.write_bytes(changed(SMALL, LONG, US, ("epsilon = 4.0", "epsilon = 5.0")))
    assert isinstance(refused(*arguments), SignatureInvalid)
    desk.write_study(LONG, US, role="officer")
    assert "not one of a study" in refused(*arguments).what


def test_only_the_authors_that_the_policy_names_are_looked_at(desk: Desk) -> None:
    policy = desk.home / "policy.toml"
    text = policy.read_text(encoding="utf-8")
    policy.write_text(
        text.replace("study_signers = []", f'study_signers = ["{public_hex(key("author"))}"]'),
        encoding="utf-8",
    )
    said("check", desk.home, desk.study, "--roster", desk.roster)
    desk.write_study(LONG, US, signer="somebody")
    error = refused("check", desk.home, desk.study, "--roster", desk.roster)
    assert isinstance(error, PolicyForbids)
    assert error.where == "study_signers"


def test_a_simulation_s_study_and_an_incomplete_one_are_refused(desk: Desk) -> None:
    desk.write_study(LONG)
    assert (
        "profile 'none' is not accepted"
        in refused("check", desk.home, desk.study, "--roster", desk.roster).what
    )
    desk.write_study(LONG, (US[0], US[1].replace('retention = "x"\n', "")))
    error = refused("approve", desk.home, desk.study, "--roster", desk.roster)
    assert isinstance(error, GovernanceIncomplete)
    assert "retention" in error.what


def test_records_are_loaded_with_a_report_that_stays(desk: Desk) -> None:
    source = desk.home.parent / ".s01-source"
    text = said("load", desk.home, "--from", source, "--mapping", source / "map.toml")
    assert "people.csv: 30 rows" in text
    report = json.loads((desk.home / "load-report.json").read_text(encoding="utf-8"))
    assert report["rows"]["patient"] == 30
    assert (
        json.loads(said("load", desk.home, "--from", source, "--mapping", source / "map.toml", "--json"))
        == report
    )
    assert '"event":"loaded"' in (desk.home / "audit.jsonl").read_text(encoding="utf-8")
