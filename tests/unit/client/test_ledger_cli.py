"""``fedvalue site ledger`` and ``fedvalue site audit verify`` as an officer uses them."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from fedvalue.cli import main
from fedvalue.client.governance.audit import AuditLog
from fedvalue.client.governance.partitions import Partitions, site_secret
from fedvalue.client.governance.policy import Policy
from fedvalue.client.governance.receipts import Receipts
from fedvalue.client.home import SiteHome
from fedvalue.study.roster import card
from tests.ledger_cases import STUDY, ask, plan


def make(folder: Path, site: str) -> SiteHome:
    policy = {
        "site": site,
        "entity": f"Hospital {site}",
        "operator": "x",
        "budget": {"epsilon": 1.0, "delta": 1e-6},
        "simulation": True,
    }
    return SiteHome.create(folder / site, Policy.model_validate(policy))


@pytest.fixture
def home(tmp_path: Path) -> SiteHome:
    """A site that reserved three asks, charged one and has partitions."""
    made = make(tmp_path, "alpha")
    with made.ledger() as ledger:
        secret = site_secret(made.first_entries_secret_file)
        with Partitions.open(made.first_entries_file, secret, ledger) as partitions:
            partitions.register(["p1", "p2"], 2026)
        ledger.reserve(plan(2**30, attempts=3))
        ledger.debit(ask(), reserve=True)
    for event in ("loaded", "approved", "charged"):
        AuditLog(made.audit_file, made.clock).write(event)
    return made


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    status = main(["site", *map(str, words)])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_the_ledger_shows_partitions_reservations_and_what_is_left(
    home: SiteHome, capsys: pytest.CaptureFixture[str]
) -> None:
    # One attempt of 2^30 / 2^40 = 0.000977 zCDP is spent, two are reserved.
    status, out, _ = run(capsys, "ledger", home.folder)
    assert status == 0
    for word in ("2026", "Reserved", "0.000977", "0.001953", "counter 4", "for life"):
        assert word in out
    assert run(capsys, "ledger", "show", home.folder)[1] == out


def test_the_ledger_as_json(home: SiteHome, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (("ledger", home.folder, "--json"), ("ledger", "--json", home.folder)):
        status, out, _ = run(capsys, *words)
        facts = json.loads(out)
        assert status == 0
        assert [each["partition"] for each in facts["partitions"]] == ["2026"]
        for each in facts["partitions"]:
            assert (each["rho_spent"], each["rho_reserved"]) == (2**-10, 2**-9)
            assert each["epsilon_left"] < each["epsilon"]
        assert facts["reservations"][0]["unasked"] == 2
        assert facts["counter"] == 4
        assert [debit["body"]["release"] for debit in facts["debits"]] == ["release-1"]


def test_closing_a_study_gives_back_and_is_told_apart_from_a_mistyped_hash(
    home: SiteHome, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = run(capsys, "ledger", "close", home.folder, "ff" * 32)
    assert (status, "no such study" in err) == (5, True)
    status, out, _ = run(capsys, "ledger", "close", home.folder, STUDY[:16], "--why", "ended")
    assert (status, f"closed {STUDY}" in out) == (0, True)
    facts = json.loads(run(capsys, "ledger", home.folder, "--json")[1])
    assert (facts["reservations"], facts["closed"]) == ([], [STUDY])
    assert run(capsys, "ledger", "close", home.folder, STUDY)[0] == 4


def test_a_forecast_from_options_and_from_a_ledger(
    home: SiteHome, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    programme = tmp_path / "programme.toml"
    programme.write_text('years = 3\n[[study]]\nname = "yearly"\nepsilon = 0.5\ndelta = 1e-6\nper_year = 2\n')
    words = ("ledger", "forecast", programme, "--home", home.folder, "--first-year", "2026", "--json")
    status, out, _ = run(capsys, *words)
    found = json.loads(out)
    assert status == 0
    # Epsilon 1 buys three and a half studies of 0.5, and a part of that is spent or reserved already.
    assert [(p["partition"], p["studies"], p["exhausted"]) for p in found["partitions"]] == [
        ("2026", 3, 2027), ("2027", 3, 2028), ("2028", 2, None),
    ]  # fmt: skip
    options = ("--epsilon", "1", "--study-epsilon", "0.5", "--years", "2", "--first-year", "2026")
    status, out, _ = run(capsys, "ledger", "forecast", *options)
    assert (status, "2027" in out) == (0, True)
    assert run(capsys, "ledger", "forecast", programme)[0] == 6
    assert run(capsys, "ledger", "forecast", "--home", home.folder)[0] == 2


def test_verify_says_that_everything_holds(home: SiteHome, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "audit", "verify", home.folder)
    assert (status, [line.split(":")[0] for line in out.splitlines()]) == (
        0, ["audit", "ledger", "first_entries", "policy"],
    )  # fmt: skip
    assert json.loads(run(capsys, "audit", "verify", home.folder, "--json")[1])["audit"] == {"lines": 3}


def test_verify_names_the_first_broken_line_of_the_audit_log(
    home: SiteHome, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = home.audit_file.read_bytes().splitlines(keepends=True)
    home.audit_file.write_bytes(lines[0] + lines[1].replace(b"approved", b"refused!") + lines[2])
    status, _, err = run(capsys, "audit", "verify", home.folder)
    assert (status, "line 2 of the audit log" in err, "audit.jsonl:2" in err) == (5, True, True)


def test_verify_names_the_broken_entry_of_the_ledger(
    home: SiteHome, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(home.ledger_file, isolation_level=None)) as db:
        ((sql,),) = db.execute("SELECT sql FROM sqlite_master WHERE name = 'entry_update'").fetchall()
        db.execute("DROP TRIGGER entry_update")
        db.execute("UPDATE entry SET content = replace(content, 'release-1', 'release-2') WHERE number = 4")
        db.execute(sql)
    status, out, err = run(capsys, "audit", "verify", home.folder, "--json")
    assert (status, out) == (5, "")
    assert json.loads(err)["where"] == "entry 4"


def test_a_lost_ledger_comes_back_by_a_backup_and_the_peers_receipts(
    home: SiteHome, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others = [make(tmp_path, name) for name in ("beta", "gamma")]
    roster = tmp_path / "roster.toml"
    roster.write_text("\n".join(card(each.card()) for each in (home, *others)))
    with home.ledger() as ledger:
        head = ledger.head()
    assert run(capsys, "ledger", "backup", home.folder, tmp_path / "backup.sqlite")[0] == 0
    for each in others:
        store = Receipts.open(each.receipts_file)
        store.saw("alpha", head)
        store.close()
    home.ledger_file.unlink()
    status, question, _ = run(capsys, "ledger", "ask", home.folder, "--roster", roster)
    assert (status, json.loads(question)["needed"]) == (0, 2)
    (tmp_path / "question.json").write_text(question)
    options: list[object] = ["--roster", roster]
    for each in others:
        _, said, _ = run(capsys, "ledger", "receipt", each.folder, tmp_path / "question.json")
        (tmp_path / f"{each.policy.site}.json").write_text(said)
        options += ["--receipt", tmp_path / f"{each.policy.site}.json"]
    assert run(capsys, "ledger", "restore", home.folder, tmp_path / "backup.sqlite", *options[:4])[0] == 4
    status, out, _ = run(capsys, "ledger", "restore", home.folder, tmp_path / "backup.sqlite", *options)
    assert (status, f"ends at {head.counter}" in out) == (0, True)
    assert run(capsys, "ledger", "compare", home.folder, *options)[0] == 0
    home.ledger_file.unlink()
    status, out, _ = run(capsys, "ledger", "lost", home.folder, *options, "--why", "the disk died")
    assert (status, "only people who enter" in out) == (0, True)
    facts = json.loads(run(capsys, "ledger", home.folder, "--json")[1])
    assert [(p["partition"], p["lost"]) for p in facts["partitions"]] == [("2026", True)]
    assert facts["epsilon_left"] == 0.0
