"""The researcher's commands on a study file."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from fedvalue.errors import (
    CertificateRevoked,
    FedValueError,
    OutputError,
    PrivacyError,
    RosterUnsigned,
    SignatureInvalid,
    StudyInvalid,
)
from fedvalue.evidence import statements
from fedvalue.server.cli import study_app
from fedvalue.study.file import digest
from fedvalue.study.identity.authority import CERTIFICATE_FILE
from fedvalue.study.identity.clock import present
from fedvalue.study.identity.register import LIST_FILE, Desk
from fedvalue.study.roster import card
from fedvalue.study.signature import Signature, verify
from tests.agreement import FULL, changed, roster, study
from tests.federation import make_hospitals


def run(*arguments: object) -> Result:
    return CliRunner().invoke(study_app, [str(argument) for argument in arguments])


def said(*arguments: object) -> str:
    found = run(*arguments)
    assert found.exit_code == 0, (found.output, found.exception)
    return found.output


def refused(*arguments: object) -> FedValueError:
    """The dispatcher turns these errors into exit statuses; the commands only raise them."""
    error = run(*arguments).exception
    assert isinstance(error, FedValueError), error
    return error


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "study.toml"
    made.write_text(FULL, encoding="utf-8")
    return made


def test_a_study_is_priced_for_the_fewest_hospitals_that_it_allows(path: Path) -> None:
    text = said("check", path)
    assert "5 hospitals; 4 must answer" in text
    assert json.loads(said("check", path, "--json"))["sites"] == 5


def test_a_signed_roster_is_priced_only_where_its_authority_is_shown_and_everybody_on_it_stands(
    path: Path, tmp_path: Path
) -> None:
    office = make_hospitals(tmp_path / "homes", simulation=False, clear_sum=False).office
    assert office is not None
    people, authority, newest = (
        office.folder / name for name in ("roster.toml", CERTIFICATE_FILE, LIST_FILE)
    )
    options = ("--authority", authority, "--revocations", newest)
    assert said("check", path, "--roster", people, *options, "--json")
    assert "with a [signature] is read" in refused("check", path, "--roster", people).do
    assert isinstance(refused("check", path, "--roster", people, *options[:2]), StudyInvalid)
    Desk(office.folder, office.desk.authority, present).revoke("s02", "stolen", list_days=31)
    assert isinstance(refused("check", path, "--roster", people, *options), CertificateRevoked)
    people.write_bytes(people.read_bytes() + b" ")
    assert isinstance(refused("check", path, "--roster", people, *options), RosterUnsigned)


def test_a_study_is_priced_for_more_hospitals_or_for_a_roster(path: Path) -> None:
    assert json.loads(said("check", path, "--sites", 12, "--json"))["sites"] == 12
    people = path.with_name("roster.toml")
    people.write_text("".join(card(site) for site in roster(7).site), encoding="utf-8")
    assert json.loads(said("check", path, "--roster", people, "--json"))["sites"] == 7
    both = refused("check", path, "--roster", people, "--sites", 7)
    assert isinstance(both, StudyInvalid)
    assert both.where == "command line"


def test_what_does_not_hold_is_refused_with_its_place(path: Path) -> None:
    assert isinstance(refused("check", path, "--sites", 2), StudyInvalid)
    path.write_bytes(changed(FULL, ("epsilon = 2.0", "epsilon = 1e-12")))
    assert isinstance(refused("check", path), PrivacyError)
    path.write_bytes(changed(FULL, ("epsilon = 2.0", "epsilon = -1")))
    assert refused("check", path).where == str(path)


def test_a_signature_is_over_the_hash_and_by_a_key_that_is_made_once(path: Path, tmp_path: Path) -> None:
    key = tmp_path / "keys" / "author.pem"
    text = said("sign", path, "--key", key)
    assert f"signed {digest(study())}" in text
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    facts = json.loads(said("sign", path, "--key", key, "--json"))
    made = Signature.model_validate_json(Path(facts["signature"]).read_bytes())
    assert (made.role, made.public_key) == ("study", facts["public_key"])
    verify(statements.study_statement(digest(study())), made, where="study", public_key=facts["public_key"])
    # comments change nothing, content does
    path.write_text(f"# a comment\n{FULL}", encoding="utf-8")
    assert json.loads(said("sign", path, "--key", key, "--json"))["study_hash"] == digest(study())
    path.write_bytes(changed(FULL, ("epsilon = 2.0", "epsilon = 2.5")))
    assert json.loads(said("sign", path, "--key", key, "--json"))["study_hash"] != digest(study())


def test_a_key_that_others_read_signs_nothing(path: Path, tmp_path: Path) -> None:
    key = tmp_path / "author.pem"
    said("sign", path, "--key", key)
    key.chmod(0o644)
    signature = path.with_name("study.toml.sig")
    signature.unlink()
    assert isinstance(refused("sign", path, "--key", key), SignatureInvalid)
    assert not signature.exists()


def test_a_signature_that_cannot_be_written_is_an_error_of_ours(path: Path, tmp_path: Path) -> None:
    path.with_name("study.toml.sig").mkdir()
    assert isinstance(refused("sign", path, "--key", tmp_path / "author.pem"), OutputError)
