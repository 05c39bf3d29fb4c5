"""A hospital whose records are on a PostgreSQL server: everything that its people do goes on as before."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedvalue.client.cli import app
from fedvalue.client.describing.description import describe
from fedvalue.client.governance.approvals import approve, approved
from fedvalue.client.governance.checking import rehearse
from fedvalue.client.records.load import has_pseudonyms
from fedvalue.client.records.snapshot import freeze
from fedvalue.client.records.store import MODEST
from fedvalue.client.records.stores import exists, reading
from fedvalue.client.running.doctor_records import server_lines
from fedvalue.client.running.purging import of_patients, remove
from fedvalue.errors import OutputError
from fedvalue.planning.plan import make_plan
from fedvalue.study.file import digest
from tests.conftest import Place
from tests.federation import load_records
from tests.unit.client.governance.conftest import Desk


def said(*words: str) -> str:
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def ids(desk: Desk) -> set[str]:
    with reading(desk.home.records_file, limits=MODEST, tables=("patient",)) as store:
        return {name for (name,) in store.execute("SELECT patient_id FROM patient").fetchall()}


def test_records_move_to_a_server_and_are_checked_approved_described_and_purged_there(
    desk: Desk, on_server: Place, postgres: str, tmp_path: Path
) -> None:
    home, study, here = desk.home, desk.study, desk.home.records_file
    plan = make_plan(study, desk.roster)
    before = freeze(here, study, tmp_path / "before"), rehearse(home, study, plan), describe(home, study)
    people = ids(desk)
    schema = json.loads(
        "{" + on_server(tmp_path / "name").read_text().splitlines()[1].replace("schema =", '"schema":') + "}"
    )["schema"]
    assert "holds the records" in said("store", str(home.folder), postgres, "--schema", schema)
    place = home.records_file
    assert (place.name, stat.S_IMODE(place.stat().st_mode)) == ("records.toml", 0o600)
    assert '"records moved"' in home.audit_file.read_text()

    # what was copied is what is read, with the same names of patients
    now = freeze(place, study, tmp_path / "now"), rehearse(home, study, plan), describe(home, study)
    assert now[0].content == before[0].content
    assert now[1] == before[1]
    kept = [[m for m in each.measures if m.area != "drift"] for each in (before[2], now[2])]
    assert kept[0] == kept[1]
    found = {line.found: line.verdict for line in server_lines(home.folder)}
    assert found == {"server_good": "pass", "records_left": "warn", "server_disk": "warn"}
    here.unlink()
    assert "病历库" in CliRunner().invoke(app, ["doctor", str(home.folder), "--language", "zh"]).output

    # loads go on from there
    load_records(home, patients=33, seed=1)
    assert people < ids(desk)
    assert has_pseudonyms(place) is True
    assert not here.exists()
    approve(home, study, desk.roster, unsafe=())
    assert approved(home, digest(study)).cohort(home).patients == 33
    assert [m for m in describe(home).measures if m.area == "drift"]

    remove(home, of_patients(home), event="purged")
    assert place.exists()
    assert not exists(place)
    load_records(home, patients=3)
    assert len(ids(desk)) == 3
    with pytest.raises(OutputError, match="on a server already"):
        CliRunner().invoke(
            app, ["store", str(home.folder), postgres, "--schema", schema], catch_exceptions=False
        )


def test_a_new_site_begins_on_a_server_and_takes_no_password_on_the_command_line(tmp_path: Path) -> None:
    words = ["init", "--site", "s09", "--entity", "Hospital", "--epsilon", "2"]
    refused = CliRunner().invoke(
        app, [*words, str(tmp_path / "a"), "--store", "postgresql://u:geheim@h/records"]
    )
    assert refused.exit_code == 1
    assert "geheim" not in f"{refused.output}{refused.exception}"
    assert not (tmp_path / "a").exists()
    home = tmp_path / "b"
    said(*words, str(home), "--store", "postgresql://u@127.0.0.1:1/records?sslmode=verify-full")
    place = home / "records.toml"
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert 'schema = "fedvalue"' in place.read_text(encoding="utf-8")
    (line,) = server_lines(home)
    assert (line.verdict, line.found) == ("fail", "server_bad")
