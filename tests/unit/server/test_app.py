"""The Flower ServerApp: reads its run configuration, and runs nothing that its author did not sign."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedvalue.errors import FederationError, FedValueError, SignatureInvalid
from fedvalue.evidence import sealing, statements
from fedvalue.evidence.chain import verify_chain
from fedvalue.server.app import app
from fedvalue.server.grids.local import run_server_app
from fedvalue.study.file import digest
from fedvalue.study.signature import sign
from tests.agreement import SMALL, changed, key
from tests.federation import FIVE, Hospitals, make_hospitals

TEXT = changed(SMALL, ("min_sites = 3", "min_sites = 5"), ("dropouts = 0", "dropouts = 1"))


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> Hospitals:
    return make_hospitals(tmp_path_factory.mktemp("app") / "homes", simulation=False, clear_sum=False)


def config(hospitals: Hospitals, folder: Path, *, role: str = "study") -> dict[str, str]:
    """Write the coordinator's files and name them as ``--run-config`` would."""
    (folder / "study.toml").write_bytes(TEXT)
    signed = sign(statements.study_statement(digest(FIVE)), key("author"), role)
    (folder / "study.toml.sig").write_text(signed.model_dump_json(), encoding="utf-8")
    assert hospitals.office is not None
    office = hospitals.office.folder
    return {
        "study": str(folder / "study.toml"),
        "roster": str(office / "roster.toml"),
        "authority": str(office / "authority.crt"),
        "revocations": str(office / "revocations.pem"),
        "out": str(folder / "out"),
        "wait": "0",
    }


def refused(hospitals: Hospitals, settings: dict[str, str]) -> FedValueError:
    with hospitals.grid() as grid, pytest.raises(FedValueError) as error:
        run_server_app(app, grid, dict(settings))
    return error.value


def test_a_run_leaves_evidence_and_a_report_and_makes_its_key_once(
    hospitals: Hospitals, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with hospitals.grid() as grid:
        run_server_app(app, grid, dict(config(hospitals, tmp_path)))
    evidence = sealing.load(tmp_path / "out" / "evidence.json")
    verify_chain(evidence, study=FIVE)
    assert (tmp_path / "out" / "report.html").exists()
    assert (tmp_path / "out" / "keys" / "coordinator.pem").exists()
    told = capsys.readouterr().out.splitlines()
    assert "waiting for sites (5/5)" in told
    assert any(line.startswith("wrote ") and line.endswith("report.html (1/1)") for line in told)


@pytest.mark.parametrize("missing", ["study", "roster", "authority", "revocations", "out"])
def test_a_run_configuration_without_a_path_is_refused_by_its_key(
    missing: str, hospitals: Hospitals, tmp_path: Path
) -> None:
    error = refused(hospitals, {**config(hospitals, tmp_path), missing: ""})
    assert isinstance(error, FederationError)
    assert f"lacks '{missing}'" in error.what


def test_a_wait_that_is_no_number_is_refused(hospitals: Hospitals, tmp_path: Path) -> None:
    error = refused(hospitals, {**config(hospitals, tmp_path), "wait": "a while"})
    assert isinstance(error, FederationError)
    assert "'wait' is 'a while'" in error.what


def test_a_study_that_nobody_signed_or_that_was_changed_since_is_not_run(
    hospitals: Hospitals, tmp_path: Path
) -> None:
    settings = config(hospitals, tmp_path)
    (tmp_path / "study.toml").write_bytes(TEXT.replace(b"epsilon = 4.0", b"epsilon = 4.5"))
    assert isinstance(refused(hospitals, settings), SignatureInvalid)
    config(hospitals, tmp_path, role="officer")
    assert "not one of a study" in refused(hospitals, settings).what
    (tmp_path / "study.toml.sig").unlink()
    assert "the study is not signed" in refused(hospitals, settings).what
    assert not (tmp_path / "out" / "evidence.json").exists()
