"""``fedvalue site enrol`` and what follows: papers, lists, confirmations, renewal, a new officer."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from fedvalue.client.enrolling import (
    certificate_request,
    join,
    supernode_command,
)
from fedvalue.client.enrolling import confirm as confirm_entity
from fedvalue.client.enrolling import new_officer as make_officer
from fedvalue.client.home import OFFICER_KEY, SITE_KEY, Passphrases, SiteHome, write_atomically
from fedvalue.client.identity import load_identity, site_roster, take_papers, take_revocations
from fedvalue.client.opening import OFFICER_VARIABLE, open_home
from fedvalue.study.identity.confirmation import spoken
from fedvalue.study.identity.ends import warnings
from fedvalue.study.identity.enrolment import read_token
from fedvalue.study.identity.papers import read_papers
from fedvalue.study.passphrases import KeyRing, new_passphrase, passphrase_file

Home = Annotated[Path, typer.Argument(help="The site's home folder.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Out = Annotated[Path | None, typer.Option(help="Folder for the files to send; default: outbox in the home.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands to ``fedvalue site``."""
    named: dict[str, Callable[..., None]] = {
        "enrol": enrol, "certify": certify, "papers": papers, "confirm": confirm, "revocations": revocations,
        "renew": renew, "new-key": new_key, "new-officer": new_officer,
    }  # fmt: skip
    for name, command in named.items():
        app.command(name)(command)


def enrol(
    home: Home,
    token: Annotated[Path, typer.Argument(help="The coordinator's token, a file.", show_default=False)],
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Join a federation: make this site's SuperNode key here, and write two files to send.

    SITE.request.json goes to the authority, which calls you back and asks for the digits printed here.
    SITE.join.json goes to the coordinator, which registers the SuperNode. No private key is in either. A
    token is good once: an answered one, one that has ended and one of another site are refused (status 7).
    """
    opened = open_home(home)
    joined = join(opened, read_token(token), where=str(token))
    folder, site = out or home / "outbox", opened.policy.site
    request, answer = folder / f"{site}.request.json", folder / f"{site}.join.json"
    write_atomically(request, joined.request.model_dump_json().encode(), mode=0o644)
    write_atomically(answer, joined.answer.model_dump_json().encode(), mode=0o644)
    digits = spoken(joined.request.site.public_key)
    address = (opened.identity_folder / "coordinator.txt").read_text(encoding="utf-8").strip()
    command = supernode_command(home, opened.identity_folder, address)
    _tell(
        as_json,
        {"request": str(request), "answer": str(answer), "digits": digits, "supernode": command},
        f"to the authority:   {request}\nto the coordinator: {answer}\n"
        f"the digits of this site's key, to read out when the authority calls: {digits}\n"
        f"once both have answered, start this site with\n  fedvalue site serve {shlex.quote(str(home))}",
    )


def certify(
    home: Home,
    papers: Annotated[Path, typer.Argument(help="The authority's papers, a file.", show_default=False)],
    authority: Annotated[
        str | None,
        typer.Option(help="The authority's fingerprint as its people read it to you; the first time only."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take in what the authority sent: this site's certificate, the authority's own, the revocation list.

    The first time, call the authority at a number that you did not get with the papers, and give the 64
    digits that you hear. From then on only papers of the same authority are taken.
    """
    found = take_papers(open_home(home), read_papers(papers), authority)
    held, trust = found.certificate, found.trust
    _tell(
        as_json,
        {
            "serial": held.serial, "valid_until": held.valid_until.isoformat(),
            "authority": trust.authority.fingerprint, "list": trust.revocations.number,
        },
        f"certificate {held.serial} of {held.site}, good until {held.valid_until:%Y-%m-%d}; "
        f"list {trust.revocations.number} of {trust.authority.name}, until {trust.revocations.due:%Y-%m-%d}",
    )  # fmt: skip


def papers(home: Home, as_json: AsJson = False) -> None:
    """Show this site's certificate and list, and warn of what ends within thirty days (a list: seven).

    Exit status 4 if something has ended or does not hold: then the site answers nothing.
    """
    opened = open_home(home)
    found = load_identity(opened)
    now = opened.clock()
    found.require_own(now)
    held, trust = found.certificate, found.trust
    told = warnings(found.endings(), now)
    confirmed = opened.policy.confirmed if isinstance(opened.policy.confirmed, dict) else {}
    facts = {
        "site": held.site, "entity": held.entity, "serial": held.serial, "digits": spoken(held.public_key),
        "valid_until": held.valid_until.isoformat(), "authority": trust.authority.fingerprint,
        "list": trust.revocations.number, "list_due": trust.revocations.due.isoformat(),
        "confirmed": confirmed, "warnings": list(told),
    }  # fmt: skip
    lines = [
        f"{held.site} ({held.entity}), certificate {held.serial}, until {held.valid_until:%Y-%m-%d}",
        f"digits to read out: {facts['digits']}",
        f"list {trust.revocations.number} of {trust.authority.name}, until {trust.revocations.due:%Y-%m-%d}",
        f"{len(confirmed)} hospitals confirmed",
        *(f"warning: {line}" for line in told),
    ]
    _tell(as_json, facts, "\n".join(lines))


def confirm(
    home: Home,
    entity: Annotated[str, typer.Argument(help="Legal entity, as on the roster.", show_default=False)],
    digits: Annotated[
        str, typer.Argument(help="Its 32 digits, as its own people read them to you.", show_default=False)
    ],
    roster: Annotated[Path | None, typer.Option(help="Compare with this roster at once.")] = None,
    as_json: AsJson = False,
) -> None:
    """Note in the policy that you compared a hospital's key with its own people.

    Call them at a number that neither the coordinator nor the authority gave you. Whoever is not confirmed
    counts as colluding, and a study is refused unless its c is at least the number of these. The policy file
    is written anew (comments of your own are not kept), and studies have to be approved again under it.
    """
    opened = open_home(home)
    sites = site_roster(opened, roster) if roster is not None else None
    policy = confirm_entity(opened, entity, digits, sites)
    _tell(
        as_json,
        {"confirmed": policy.confirmed},
        f"confirmed {entity}; {len(policy.confirmed)} in all. Approve studies again under this policy",
    )


def revocations(
    home: Home,
    path: Annotated[Path, typer.Argument(help="The authority's list, a file.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Take in the authority's newest revocation list, from whoever brings it: it is signed.

    An older one than was seen here is refused. A running site node goes by it from the next message on.
    """
    found = take_revocations(open_home(home), path)
    _tell(
        as_json,
        {"list": found.number, "revoked": len(found.serials), "due": found.due.isoformat()},
        f"list {found.number}, {len(found.serials)} revoked, good until {found.due:%Y-%m-%d}",
    )


def renew(home: Home, out: Out = None, as_json: AsJson = False) -> None:
    """Write a request for a new certificate of the same key, before the old one ends.

    Send it to the authority as the first time, and take in its papers with `fedvalue site certify`. What
    hospitals confirmed stays good; the roster is signed anew, and officers approve on it.
    """
    _request(open_home(home), out or home / "outbox", as_json)


def new_key(
    home: Home,
    out: Out = None,
    passphrase: Annotated[bool, typer.Option("--passphrase", help="Ask for a passphrase, twice.")] = False,
    new_from: Annotated[
        Path | None,
        typer.Option("--new-passphrase-file", help="Take the new key's from a file of mode 0600."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a new site key in good order: the ledger goes on, signed by the new key from here.

    Stop the site node first. The old key signs the handover and is gone; it must open, so a lost key cannot
    be replaced this way (see docs/identity.md). The request goes to the authority, which revokes the old
    certificate, compares the new digits with you, and signs a new roster; officers approve again, and every
    hospital that had confirmed the old key compares the new one. Cut short, give the command again.
    """
    from fedvalue.client.rotating import new_site_key

    opened = open_home(home)
    secret = passphrase_file(new_from) if new_from else None
    secret = new_passphrase(SITE_KEY) if secret is None and passphrase else secret
    new_site_key(opened, secret)
    known = Passphrases(site=secret)
    _request(SiteHome.open(home, opened.clock, KeyRing(known.given)), out or home / "outbox", as_json)


def new_officer(
    home: Home,
    out: Out = None,
    passphrase: Annotated[bool, typer.Option("--passphrase", help="Ask for a passphrase, twice.")] = False,
    officer_from: Annotated[
        Path | None,
        typer.Option(
            "--officer-passphrase-file", help="Take it from a file of mode 0600.", envvar=OFFICER_VARIABLE
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a new officer's key, when the old one is lost or an officer leaves: a key is a person's.

    The old key is set aside and every approval ends at once. The request that is written goes to the
    authority: the new key stands on the next roster, on which studies are approved again.
    """
    opened = open_home(home)
    secret = passphrase_file(officer_from) if officer_from else None
    make_officer(opened, new_passphrase(OFFICER_KEY) if secret is None and passphrase else secret)
    _request(opened, out or home / "outbox", as_json)


def _request(home: SiteHome, folder: Path, as_json: bool) -> None:
    request = certificate_request(home)
    path = folder / f"{home.policy.site}.request.json"
    write_atomically(path, request.model_dump_json().encode(), mode=0o644)
    digits = spoken(request.site.public_key)
    _tell(
        as_json,
        {"request": str(path), "digits": digits},
        f"to the authority: {path}\ndigits to read out: {digits}",
    )


def _tell(as_json: bool, facts: object, text: str) -> None:
    typer.echo(json.dumps(facts, ensure_ascii=False) if as_json else text)
