"""What a purge and an uninstallation take away, and what they leave for those who check later."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedvalue.client.cli import app
from fedvalue.client.home import SiteHome
from fedvalue.client.running.purging import of_everything, of_patients, remove
from fedvalue.client.running.site import LOCK
from fedvalue.errors import LedgerBusy, SignatureInvalid
from fedvalue.study.file import digest
from fedvalue.study.keys import load_key
from tests.federation import Hospitals, load_records, make_hospitals, noon


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Hospitals:
    return make_hospitals(tmp_path_factory.mktemp("purged") / "homes", clear_sum=False)


@pytest.fixture
def hospitals(template: Hospitals, tmp_path: Path) -> Hospitals:
    return template.copy(tmp_path / "homes")


def files(home: SiteHome) -> set[str]:
    return {str(p.relative_to(home.folder)) for p in home.folder.rglob("*") if p.is_file()}


def patients_in(home: SiteHome) -> list[str]:
    """Files whose bytes hold a patient's id or attribute; ids of these homes are P0, P1 and so on."""
    return [name for name in files(home) if b"wild type" in (home.folder / name).read_bytes()]


def test_a_purge_removes_records_report_and_frozen_rows_and_the_site_can_load_again(
    hospitals: Hospitals,
) -> None:
    home, study = hospitals.home("s01"), digest(hospitals.study)
    before = files(home)
    assert {"records.duckdb", "load-report.json", f"studies/{study}/frozen.json"} <= before
    remove(home, of_patients(home), event="purged")
    gone = before - files(home)
    assert gone == {
        "records.duckdb", "load-report.json", f"studies/{study}/frozen.json",
        f"studies/{study}/{study}.duckdb",
    }  # fmt: skip
    assert '"purged"' in home.audit_file.read_text()
    with home.ledger() as ledger:
        ledger.verify()
    load_records(home, patients=3)
    assert home.records_file.exists()


def test_uninstalling_leaves_ledger_audit_approvals_and_public_keys_and_no_secret(
    hospitals: Hospitals,
) -> None:
    home, study = hospitals.home("s02"), digest(hospitals.study)
    key = load_key(home.site_key_file)
    ledger = home.ledger_file.read_bytes()
    (home.folder / "logs").mkdir()
    (home.folder / "logs" / "site.log").write_text("{}\n")
    (home.folder / "tasks.secret").write_bytes(b"x" * 32)
    remove(home, of_everything(home), event="uninstalled")
    approvals = {f"studies/{study}/{name}.json" for name in ("approval", "study", "roster")}
    assert files(home) == approvals | {
        "policy.toml", "ledger.sqlite", "audit.jsonl", "keys/officer.pub", "keys/site.pub",
        "audit.head", "keys/audit.pub", "policy/0001.json",
    }  # fmt: skip
    assert not list(home.folder.rglob("*.pem"))
    assert patients_in(home) == [f"studies/{study}/study.json"]  # the question names the levels of a variable
    assert home.ledger_file.read_bytes() == ledger
    assert (home.folder / "keys" / "site.pub").read_text() == key.public_key().public_bytes_raw().hex()
    with pytest.raises(SignatureInvalid):
        SiteHome.open(home.folder, noon).site_key()


@pytest.mark.parametrize("lock", [LOCK, ".node"])
def test_nothing_is_removed_while_the_site_or_its_node_runs(lock: str, hospitals: Hospitals) -> None:
    home = hospitals.home("s03")
    before = files(home) | {LOCK, ".node"}
    with (home.folder / lock).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(LedgerBusy, match="runs"):
            remove(home, of_everything(home), event="uninstalled")
    assert files(home) | {LOCK, ".node"} == before


def test_the_command_shows_what_goes_and_stays_and_asks_first(hospitals: Hospitals) -> None:
    home = hospitals.home("s04")
    said = CliRunner().invoke(app, ["purge", str(home.folder)], input="n\n")
    assert said.exit_code == 1
    assert "  records.duckdb\n" in said.output.partition("kept:")[0]
    assert "  ledger.sqlite\n" in said.output.partition("kept:")[2]
    assert home.records_file.exists()
    assert CliRunner().invoke(app, ["purge", str(home.folder), "--yes"]).exit_code == 0
    assert not home.records_file.exists()
    assert CliRunner().invoke(app, ["uninstall", str(home.folder)], input="y\n").exit_code == 0
    assert not home.site_key_file.exists()
