"""Joining a federation and staying in it, by the commands of authority, coordinator and hospital.

Files go from hand to hand, digits by telephone; no private key is in any file that leaves its machine.
"""

from __future__ import annotations

import json
import stat
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_private_key, load_ssh_public_key

from fedvalue.cli import main
from fedvalue.client.enrolling import certificate_request, confirm, join, new_officer
from fedvalue.client.governance.policy import Budget, Policy
from fedvalue.client.home import Passphrases, SiteHome
from fedvalue.client.identity import load_identity, site_roster, take_papers, take_revocations
from fedvalue.client.node import SiteNode
from fedvalue.client.opening import OFFICER_VARIABLE, SITE_VARIABLE
from fedvalue.errors import (
    AuthorityUnknown,
    CertificateNotOnRoster,
    EntitiesUnconfirmed,
    EntityRepeated,
    FederationError,
    IdentityKeyDiffers,
    OutputError,
    PassphraseWrong,
    PolicyForbids,
    RevocationListStale,
    SiteNameDiffers,
    SiteNotOnRoster,
    StudyInvalid,
    TokenRefused,
)
from fedvalue.server.provisioning.office import Office
from fedvalue.study.identity.cli import VARIABLE
from fedvalue.study.identity.confirmation import spoken
from fedvalue.study.identity.ends import warnings
from fedvalue.study.identity.enrolment import read_answer, read_token
from fedvalue.study.identity.papers import Papers, read_papers
from fedvalue.study.identity.register import LIST_FILE, Desk
from fedvalue.study.passphrases import KeyRing
from tests.federation import NOON, noon

WORDS = b"correct horse battery staple"
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Typed:
    """One command line and what it said."""

    capsys: pytest.CaptureFixture[str]

    def __call__(self, *words: object) -> str:
        status, out, err = self.all(*words)
        assert status == 0, err
        return out

    def told(self, *words: object) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self(*words, "--json"))
        return found

    def refused(self, *words: object) -> tuple[int, str]:
        """Exit status and code."""
        status, _, err = self.all(*words, "--json")
        return status, str(json.loads(err)["error"])

    def all(self, *words: object) -> tuple[int, str, str]:
        self.capsys.readouterr()
        status = main([str(word) for word in words])
        said = self.capsys.readouterr()
        return status, said.out, said.err


@pytest.fixture
def fedvalue(capsys: pytest.CaptureFixture[str]) -> Typed:
    return Typed(capsys)


def make_home(folder: Path, site: str, passphrases: Passphrases | None = None) -> SiteHome:
    policy = Policy(
        site=site, entity=f"Hospital {site}", operator="x", budget=Budget(epsilon=4.0, delta=1e-6)
    )
    return SiteHome.create(folder / site, policy, noon, passphrases or Passphrases())


@dataclass(frozen=True, slots=True)
class Town:
    """An authority, a coordinator and one hospital, all at noon.

    Attributes:
      desk: The authority.
      office: The coordinator.
      home: The hospital.
    """

    desk: Desk
    office: Office
    home: SiteHome

    def later(self, days: int) -> Town:
        """The same town after so many days."""

        def clock() -> datetime:
            return NOON + days * DAY

        desk = Desk(self.desk.folder, self.desk.authority, clock)
        home = SiteHome(self.home.folder, self.home.policy, clock)
        return Town(desk, Office(self.office.folder, clock), home)

    def certified(self) -> Papers:
        request = certificate_request(self.home)
        papers = self.desk.issue(request, spoken(request.site.public_key), days=365)
        take_papers(self.home, papers, self.desk.authority.trust.fingerprint)
        return papers


@pytest.fixture
def town(tmp_path: Path) -> Town:
    desk = Desk.make(tmp_path / "authority", "Example", noon, days=3650, list_days=31, passphrase=None)
    office = Office(tmp_path / "coordinator", noon)
    office.make("Example", ("coordinator.example", "192.0.2.7"), 9092)
    return Town(desk, office, make_home(tmp_path, "east"))


# ---- the whole way, as people type it ---------------------------------------------------------------------


def test_a_hospital_joins_by_files_and_telephone_and_stays_by_renewal(
    fedvalue: Typed, tmp_path: Path
) -> None:
    authority, coordinator, home = tmp_path / "authority", tmp_path / "coordinator", tmp_path / "east"
    fingerprint = fedvalue.told("authority", "init", authority, "--name", "Example")["fingerprint"]
    made = fedvalue.told("federation", "init", coordinator, "--name", "Example", "--host", "fed.example")
    assert made["address"] == "fed.example:9092"
    assert "--enable-supernode-auth" in made["superlink"]

    fedvalue("site", "init", home, "--site", "east", "--entity", "East General", "--epsilon", 4)
    assert fedvalue.refused("site", "papers", home) == (4, "certificate_invalid")
    token = fedvalue.told("federation", "add-site", coordinator, "east")["token"]
    joining = fedvalue.told("site", "enrol", home, token)
    assert f"--auth-supernode-private-key {home}/identity/supernode" in joining["supernode"]
    admitted = fedvalue.told("federation", "admit", coordinator, joining["answer"], "--connection", "there")
    assert admitted["register"] == f"flwr supernode register {coordinator}/nodes/east.pub there"

    issue = ("authority", "issue", authority, joining["request"], "--out", tmp_path / "papers.json")
    wrong = joining["digits"].translate(str.maketrans("0123456789abcdef", "123456789abcdef0"))
    assert fedvalue.refused(*issue, "--digits", wrong) == (4, "identity_key_differs")
    serial = fedvalue.told(*issue, "--digits", joining["digits"].upper())["serial"]
    certify = ("site", "certify", home, tmp_path / "papers.json")
    assert fedvalue.refused(*certify) == (4, "authority_unknown")
    assert fedvalue.refused(*certify, "--authority", "0" * 64) == (4, "authority_unknown")
    assert fedvalue.told(*certify, "--authority", fingerprint)["serial"] == serial
    assert fedvalue.told("site", "papers", home)["warnings"] == []

    roster = tmp_path / "roster.toml"
    assert fedvalue.told("authority", "sign-roster", authority, "--out", roster)["sites"] == ["east"]
    assert site_roster(SiteHome.open(home), roster).certified

    request = fedvalue("site", "renew", home).splitlines()[0].partition(": ")[2]
    renewed = ("authority", "issue", authority, request, "--out", tmp_path / "papers.json")
    assert fedvalue.told(*renewed, "--digits", joining["digits"])["serial"] != serial
    fedvalue(*certify)
    assert "list 2" in fedvalue("authority", "new-list", authority)
    fedvalue("site", "revocations", home, authority / LIST_FILE)
    assert fedvalue.told("site", "papers", home)["list"] == 2

    gone = fedvalue.told("authority", "revoke", authority, "east", "--why", "the key was stolen")
    assert serial in gone["serials"]
    fedvalue("site", "revocations", home, authority / LIST_FILE)
    assert fedvalue.refused("site", "papers", home) == (4, "certificate_revoked")
    assert fedvalue.refused("authority", "sign-roster", authority, "--out", roster) == (
        4, "certificate_not_on_roster",
    )  # fmt: skip
    shown = fedvalue.told("authority", "show", authority)
    assert [bool(row["revoked"]) for row in shown["issued"]] == [True, True]
    assert "came" in fedvalue("federation", "show", coordinator)
    assert fedvalue.told("federation", "renew", coordinator)["valid_until"]


def test_no_file_that_leaves_a_machine_holds_a_private_key(town: Town, tmp_path: Path) -> None:
    token = town.office.invite("east", 14)
    joined = join(town.home, token, where="token")
    papers = town.certified()
    sent = [joined.request, joined.answer, papers, token]
    assert not any("PRIVATE" in each.model_dump_json() for each in sent)
    assert token.secret not in joined.answer.model_dump_json()
    private = [
        town.home.identity_folder / "supernode", town.office.folder / "tls" / "ca.key",
        town.office.folder / "tls" / "server.key", town.office.folder / "coordinator.pem",
        town.desk.folder / "authority.pem", town.office.folder / "federation.json",
    ]  # fmt: skip
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}


def test_the_supernodes_key_is_what_flower_reads_and_tls_is_for_the_hosts_named(town: Town) -> None:
    joined = join(town.home, town.office.invite("east", 14), where="token")
    path = town.office.admit(joined.answer)
    private = load_ssh_private_key((town.home.identity_folder / "supernode").read_bytes(), None)
    public = load_ssh_public_key(path.read_bytes())
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert isinstance(private.curve, ec.SECP384R1)
    assert private.public_key() == public
    tls = town.office.folder / "tls"
    root = x509.load_pem_x509_certificate((tls / "ca.crt").read_bytes())
    server = x509.load_pem_x509_certificate((tls / "server.pem").read_bytes())
    server.verify_directly_issued_by(root)
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["coordinator.example"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.7"]
    before = server.serial_number
    town.office.renew()
    renewed = x509.load_pem_x509_certificate((tls / "server.pem").read_bytes())
    renewed.verify_directly_issued_by(root)  # sites trust the same root
    assert renewed.serial_number != before


# ---- tokens -----------------------------------------------------------------------------------------------


def test_a_token_is_good_once_for_one_site_and_until_a_day(town: Town, tmp_path: Path) -> None:
    token = town.office.invite("east", 14)
    with pytest.raises(TokenRefused, match="is for site east"):
        join(make_home(tmp_path, "west"), token, where="token")
    with pytest.raises(TokenRefused, match="was good until"):
        join(town.later(15).home, token, where="token")
    answer = join(town.home, token, where="token").answer
    with pytest.raises(TokenRefused, match="answered here before"):
        join(town.home, token, where="token")
    with pytest.raises(TokenRefused, match="was changed"):
        town.office.admit(answer.model_copy(update={"node_key": answer.node_key[:-4] + "AAA="}))
    with pytest.raises(TokenRefused, match="was good until"):
        town.later(15).office.admit(answer)
    town.office.admit(answer)
    with pytest.raises(TokenRefused, match="was used on 2026-03-01"):
        town.office.admit(answer)
    assert len(list((town.office.folder / "nodes").iterdir())) == 1


def test_a_new_token_ends_the_unused_one_and_a_guessed_one_opens_nothing(town: Town) -> None:
    first, second = town.office.invite("east", 14), town.office.invite("east", 14)
    with pytest.raises(TokenRefused, match="not given here"):
        town.office.admit(join(town.home, first, where="token").answer)
    guessed = second.model_copy(update={"secret": "0" * 64})
    with pytest.raises(TokenRefused, match="not made with this token"):
        town.office.admit(join(town.home, guessed, where="token").answer)


@pytest.mark.parametrize("text", ["", "{}", "not json", '{"site":"east"}'])
def test_a_file_that_is_no_token_no_answer_and_no_papers_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(text, encoding="utf-8")
    for read in (read_token, read_answer):
        with pytest.raises(TokenRefused):
            read(path)
        with pytest.raises(TokenRefused):
            read(tmp_path / "none")
    with pytest.raises(FederationError):
        Office(tmp_path / "none", noon).state()


@pytest.mark.parametrize("host", ["", "two words", "https://x", "a/b", "-x"])
def test_a_host_that_is_no_name_makes_no_federation(host: str, tmp_path: Path) -> None:
    with pytest.raises(FederationError):
        Office(tmp_path / "c", noon).make("Example", (host,), 9092)


def test_a_federation_and_an_authority_are_made_once(town: Town) -> None:
    with pytest.raises(OutputError):
        town.office.make("Other", ("x.example",), 9092)
    with pytest.raises(OutputError):
        Desk.make(town.desk.folder, "Other", noon, days=1, list_days=1, passphrase=None)
    with pytest.raises(FederationError):
        town.office.invite("no such id!", 14)


# ---- the authority ----------------------------------------------------------------------------------------


def test_the_authority_gives_one_seat_to_an_entity_and_no_second_key_to_a_site(
    town: Town, tmp_path: Path
) -> None:
    def issue(home: SiteHome) -> Papers:
        request = certificate_request(home)
        return town.desk.issue(request, spoken(request.site.public_key), days=365)

    town.certified()
    twin = make_home(tmp_path / "twin", "east")
    with pytest.raises(IdentityKeyDiffers, match="still stands"):
        issue(twin)
    with pytest.raises(EntityRepeated):
        issue(_named(tmp_path / "west", "west", "HOSPITAL EAST"))
    with pytest.raises(SiteNameDiffers):
        issue(_named(tmp_path / "other", "east", "Another Hospital"))
    town.desk.revoke("east", "lost", list_days=31)
    with pytest.raises(IdentityKeyDiffers, match="was revoked"):
        issue(town.home)  # a revoked key never comes back
    issue(twin)  # a new key of the same site does
    with pytest.raises(SiteNotOnRoster):
        town.desk.revoke("north", "x", list_days=31)
    with pytest.raises(SiteNotOnRoster):
        town.desk.sign_roster(("north",))


def _named(folder: Path, site: str, entity: str) -> SiteHome:
    budget = Budget(epsilon=4.0, delta=1e-6)
    return SiteHome.create(folder, Policy(site=site, entity=entity, operator="x", budget=budget), noon)


def test_an_authority_with_nobody_signs_no_roster_and_numbers_its_lists(town: Town) -> None:
    with pytest.raises(CertificateNotOnRoster):
        town.desk.sign_roster()
    assert [town.desk.issue_list(31) for _ in range(3)] == [2, 3, 4]
    assert town.desk.revocations().number == 4
    with pytest.raises(RevocationListStale):
        town.later(40).desk.revocations()


# ---- papers at the site -----------------------------------------------------------------------------------


def test_what_ends_is_said_thirty_days_ahead_and_a_list_seven(town: Town) -> None:
    town.certified()
    held = load_identity(town.home)

    def told(days: int) -> str:
        return " | ".join(warnings(held.endings(), NOON + days * DAY))

    assert told(0) == told(23) == ""
    assert told(24).startswith("the revocation list ends in 7 days")
    assert "certificate" not in told(334)
    assert "this site's certificate ends in 30 days" in told(335)
    assert "this site's certificate ended" in told(366)


def test_an_older_list_than_one_that_was_seen_is_not_taken_in_any_way(town: Town, tmp_path: Path) -> None:
    old = town.certified()
    (tmp_path / "old.pem").write_text(old.revocations, encoding="ascii")
    town.desk.issue_list(31)
    assert take_revocations(town.home, town.desk.folder / LIST_FILE).number == 2
    with pytest.raises(RevocationListStale, match="older than list 2"):
        take_revocations(town.home, tmp_path / "old.pem")
    with pytest.raises(RevocationListStale, match="older than list 2"):
        take_papers(town.home, old, town.desk.authority.trust.fingerprint)
    assert load_identity(town.home).trust.revocations.number == 2


def test_papers_of_another_site_or_authority_are_not_taken(town: Town, tmp_path: Path) -> None:
    own = town.certified()
    west = make_home(tmp_path, "west")
    theirs = town.desk.issue(certificate_request(west), spoken(west.card().public_key), days=365)
    with pytest.raises(SiteNameDiffers):
        take_papers(town.home, theirs, None)
    other = Desk.make(tmp_path / "other", "Example", noon, days=3650, list_days=31, passphrase=None)
    request = certificate_request(town.home)
    foreign = other.issue(request, spoken(request.site.public_key), days=365)
    with pytest.raises(AuthorityUnknown, match="than the one trusted here"):
        take_papers(town.home, foreign, None)
    mixed = own.model_copy(update={"revocations": foreign.revocations})
    with pytest.raises(AuthorityUnknown):
        take_papers(town.home, mixed, None)
    # A new authority, compared by people, is taken in the place of the old one.
    assert take_papers(town.home, foreign, other.authority.trust.fingerprint).trust.revocations.number == 1
    (tmp_path / "papers.json").write_text(own.model_dump_json(), encoding="utf-8")
    assert read_papers(tmp_path / "papers.json") == own


def test_confirmations_are_written_into_the_policy_and_compared_with_a_roster(
    town: Town, tmp_path: Path
) -> None:
    town.certified()
    west = make_home(tmp_path, "west")
    town.desk.issue(certificate_request(west), spoken(west.card().public_key), days=365)
    (tmp_path / "roster.toml").write_text(town.desk.sign_roster(), encoding="utf-8")
    roster = site_roster(town.home, tmp_path / "roster.toml")
    digits = spoken(west.card().public_key)
    confirm(town.home, "hospital  WEST", digits.replace(" ", "").upper(), roster)
    assert SiteHome.open(town.home.folder).policy.confirmed == {"hospital  WEST": digits}
    again = SiteHome.open(town.home.folder, noon)
    confirm(again, "Hospital west", digits, roster)  # one entity, one line
    assert SiteHome.open(town.home.folder).policy.confirmed == {"Hospital west": digits}
    for entity, told in (("Hospital west", "0" * 32), ("Hospital north", digits), ("Hospital west", "12")):
        with pytest.raises(EntitiesUnconfirmed):
            confirm(again, entity, told, roster)
    playing = SiteHome(again.folder, again.policy.model_copy(update={"simulation": True}), noon)
    with pytest.raises(PolicyForbids):
        confirm(playing, "Hospital west", digits)


def test_only_a_simulated_site_may_confirm_everybody(tmp_path: Path) -> None:
    home = make_home(tmp_path, "east")
    for simulation in (True, False):
        policy = home.policy.model_dump() | {"confirmed": "all", "simulation": simulation}
        if not simulation:
            with pytest.raises(ValueError, match="for simulated sites"):
                Policy.model_validate(policy)
        else:
            home.policy_file.write_text(Policy.model_validate(policy).to_toml(), encoding="utf-8")
            assert SiteHome.open(home.folder).policy.confirmed == "all"
    text = home.policy_file.read_text(encoding="utf-8").replace("simulation = true", "simulation = false")
    home.policy_file.write_text(text, encoding="utf-8")
    with pytest.raises(StudyInvalid, match="simulated sites"):
        SiteHome.open(home.folder)


def test_a_new_officer_has_a_new_key_on_the_next_roster_and_the_site_keeps_its_own(town: Town) -> None:
    town.certified()
    before = town.home.card()
    public = new_officer(town.home, None)
    card = town.home.card()
    assert (card.public_key, card.officer_key) == (before.public_key, public)
    assert public != before.officer_key
    assert (town.home.folder / "keys" / "officer.pem.aside-1").exists()
    town.certified()
    assert public in town.desk.sign_roster()


# ---- passphrases ------------------------------------------------------------------------------------------


def test_a_site_key_under_a_passphrase_is_asked_for_once_and_the_officers_is_apart(tmp_path: Path) -> None:
    made = make_home(tmp_path, "east", Passphrases(WORDS, b"officer"))
    asked: list[str] = []

    def ask(whose: str, path: Path) -> bytes:
        asked.append(whose)
        return {"the site's key": WORDS, "the officer's key": b"officer"}[whose]

    home = SiteHome.open(made.folder, noon, KeyRing(ask))
    assert home.card() == made.card()
    home.ledger().close()
    home.ledger().close()
    assert asked == ["the site's key"]
    home.officer_key()
    assert asked == ["the site's key", "the officer's key"]
    with pytest.raises(PassphraseWrong):
        SiteHome.open(made.folder, noon).site_key()
    with SiteNode(made.folder, noon, ask=ask):
        assert asked[2:] == ["the site's key"]  # once, when it starts; and nobody asks for the officer's
    with pytest.raises(PassphraseWrong):
        SiteNode(made.folder, noon)
    with pytest.raises(PassphraseWrong):
        SiteNode(made.folder, noon, ask=lambda whose, path: b"wrong")


def test_passphrases_come_from_files_of_mode_0600_and_never_from_the_command_line(
    fedvalue: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, home = tmp_path / "secret", tmp_path / "east"
    secret.write_bytes(WORDS + b"\n")
    options = ("--passphrase-file", secret, "--officer-passphrase-file", secret)
    make = ("site", "init", home, "--site", "east", "--entity", "x", "--epsilon", 4, *options)
    secret.chmod(0o644)
    assert fedvalue.refused(*make) == (2, "passphrase_wrong")
    assert not home.exists()
    secret.chmod(0o600)
    fedvalue(*make)
    assert "ENCRYPTED" in (home / "keys" / "site.pem").read_text(encoding="ascii")
    assert "ENCRYPTED" in (home / "keys" / "officer.pem").read_text(encoding="ascii")
    assert fedvalue.refused("site", "ledger", home) == (2, "passphrase_wrong")  # nobody is at the keyboard
    monkeypatch.setenv(SITE_VARIABLE, str(secret))
    assert fedvalue.told("site", "ledger", home)["epsilon"] == 4.0
    monkeypatch.setenv(OFFICER_VARIABLE, str(secret))
    fedvalue("site", "new-officer", home)
    assert "ENCRYPTED" in (home / "keys" / "officer.pem").read_text(encoding="ascii")
    monkeypatch.setenv(VARIABLE, str(secret))
    fedvalue("authority", "init", tmp_path / "a", "--name", "Example")
    fedvalue("authority", "new-list", tmp_path / "a")
    monkeypatch.delenv(VARIABLE)
    assert fedvalue.refused("authority", "new-list", tmp_path / "a") == (2, "passphrase_wrong")


ROOMS = {
    "authority": ("init", "issue", "papers", "revoke", "new-list", "sign-roster", "show"),
    "federation": ("init", "add-site", "admit", "renew", "show"),
    "site": ("enrol", "certify", "papers", "confirm", "revocations", "renew", "new-officer"),
}


def test_every_command_says_what_it_is_for(fedvalue: Typed) -> None:
    for room, commands in ROOMS.items():
        for command in commands:
            text = fedvalue(room, command, "--help")
            assert len(text) > 400, (room, command)
