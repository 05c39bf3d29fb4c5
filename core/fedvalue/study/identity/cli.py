"""``fedvalue authority``: the office that tells hospitals apart, on a machine of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from fedvalue.errors import CertificateInvalid
from fedvalue.study.identity.authority import CERTIFICATE_FILE, KEY_FILE, load_trusted
from fedvalue.study.identity.clock import present
from fedvalue.study.identity.confirmation import spoken
from fedvalue.study.identity.ends import LIST_AHEAD, Ending, warnings
from fedvalue.study.identity.names import MAX_BYTES
from fedvalue.study.identity.papers import Papers
from fedvalue.study.identity.register import LIST_FILE, WHOSE, Desk, Issued, Register, read_register
from fedvalue.study.identity.request import CertificateRequest
from fedvalue.study.keys import replace_file
from fedvalue.study.passphrases import KeyRing, asking, new_passphrase, passphrase_file
from fedvalue.study.toml import problems

app = typer.Typer(
    no_args_is_help=True,
    help="The authority: certificates, revocation lists and the signed roster. Keep its folder on a machine "
    "that is not the coordinator's and has no network; everything it makes is a file that may be carried.",
)

VARIABLE = "FEDVALUE_AUTHORITY_PASSPHRASE_FILE"
YEAR, MONTH = 365, 31

Folder = Annotated[Path, typer.Argument(help="The authority's folder.", show_default=False)]
SiteId = Annotated[str, typer.Argument(help="Site id.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
ListDays = Annotated[int, typer.Option(min=1, max=90, help="Days until the next list must be everywhere.")]


@app.command()
def init(
    folder: Folder,
    name: Annotated[str, typer.Option(help="What the authority calls itself, 1 to 64 characters.")],
    years: Annotated[int, typer.Option(min=1, max=30, help="Length of its own certificate.")] = 10,
    list_days: ListDays = MONTH,
    passphrase: Annotated[bool, typer.Option("--passphrase", help="Ask for a passphrase, twice.")] = False,
    passphrase_from: Annotated[
        Path | None,
        typer.Option("--passphrase-file", help="Take it from a file of mode 0600.", envvar=VARIABLE),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make an authority: its key, its certificate, an empty register and the first revocation list.

    Do this once for a federation, on a machine that is not the coordinator's. Every hospital compares the
    printed fingerprint with you over a channel of its own before it trusts the certificate. The key never
    leaves the folder; back the folder up, and keep copies where you would keep a seal.

    Example: fedvalue authority init /media/safe/authority --name "Example Federation" --passphrase
    """
    secret = passphrase_file(passphrase_from) if passphrase_from else None
    if secret is None and passphrase:
        secret = new_passphrase(WHOSE)
    desk = Desk.make(folder, name, present, days=years * YEAR, list_days=list_days, passphrase=secret)
    trust = desk.authority.trust
    _tell(
        as_json,
        {"name": trust.name, "fingerprint": trust.fingerprint, "valid_until": trust.valid_until.isoformat()},
        f"made {folder}: {KEY_FILE} ({'under a passphrase' if secret else 'under its mode 0600 alone'}), "
        f"{CERTIFICATE_FILE}, {LIST_FILE}\nfingerprint of {trust.name}, for every hospital to compare:\n"
        f"{_groups(trust.fingerprint)}",
    )


@app.command()
def issue(
    folder: Folder,
    request: Annotated[Path, typer.Argument(help="A site's request, a file.", show_default=False)],
    digits: Annotated[
        str, typer.Option(help="The 32 digits of the site's key, as the hospital read them to you.")
    ],
    out: Annotated[Path, typer.Option(help="Papers for the site: one file to send back.")],
    days: Annotated[int, typer.Option(min=1, max=3650, help="Length of the certificate.")] = YEAR,
    as_json: AsJson = False,
) -> None:
    """Issue a certificate: a first one, a renewal, or one for a new officer.

    Before: look the legal entity up in a public register, and call the hospital at a number from there. Its
    people read you the digits of their key (`fedvalue site card` shows them); type what you heard. If they
    are not those of the request, nothing is issued. A new key for a site needs its old certificate revoked.
    The new certificate stands on the next roster that you sign.

    Example: fedvalue authority issue AUTHORITY east.request.json --digits "9f0c ..." --out east.papers.json
    """
    papers = _open(folder).issue(_request(request), digits, days=days)
    replace_file(out, papers.model_dump_json().encode(), mode=0o644)
    held = read_register(folder).standing(papers.site)
    if held is not None:
        _tell(
            as_json,
            {**_row(held), "papers": str(out)},
            f"issued {held.serial} to {held.card.id} ({held.card.entity}), "
            f"good until {held.valid_until:%Y-%m-%d}\n"
            f"wrote {out}, for `fedvalue site certify`. Sign a new roster afterwards",
        )


@app.command()
def papers(
    folder: Folder,
    site: SiteId,
    out: Annotated[Path, typer.Option(help="Where to write them.")],
    as_json: AsJson = False,
) -> None:
    """Write a site's papers again, with the newest revocation list."""
    found: Papers = _open(folder).papers(site)
    replace_file(out, found.model_dump_json().encode(), mode=0o644)
    _tell(as_json, {"site": site, "papers": str(out)}, f"wrote {out}")


@app.command()
def revoke(
    folder: Folder,
    site: SiteId,
    why: Annotated[str, typer.Option(help="Reason, one line; it stays in the register.")],
    list_days: ListDays = MONTH,
    as_json: AsJson = False,
) -> None:
    """Revoke every certificate of a site, and issue the next list.

    For a key that was stolen or lost, or a hospital that leaves. The site counts as dropped from the moment
    on which the new list is at the others, so carry it to them today: until then they believe the old one.
    """
    desk = _open(folder)
    gone = desk.revoke(site, why, list_days=list_days)
    number = desk.register().list_number
    _tell(
        as_json,
        {
            "site": site,
            "serials": [each.serial for each in gone],
            "list": number,
            "file": str(folder / LIST_FILE),
        },
        f"revoked {', '.join(each.serial for each in gone)} of {site}\nlist {number}: {folder / LIST_FILE}\n"
        "carry it to the coordinator and to every site (`fedvalue site revocations`) today",
    )


@app.command("new-list")
def new_list(folder: Folder, list_days: ListDays = MONTH, as_json: AsJson = False) -> None:
    """Issue the next revocation list, also when nothing was revoked: without a fresh one everything stops.

    A month is a good length; send the next one after two weeks. Sites take it in with `fedvalue site
    revocations`, and refuse an older one than they have seen.
    """
    number = _open(folder).issue_list(list_days)
    due = read_register(folder).list_due
    _tell(
        as_json,
        {"list": number, "due": due.isoformat() if due else "", "file": str(folder / LIST_FILE)},
        f"list {number}, good until {due:%Y-%m-%d}: {folder / LIST_FILE}",
    )


@app.command("sign-roster")
def sign_roster(
    folder: Folder,
    out: Annotated[Path, typer.Option(help="Where to write the roster.")],
    site: Annotated[
        list[str] | None, typer.Option(help="A site to put on it; default: all that hold a certificate.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Sign the roster: the sites whose certificates stand, each with its names, keys and serial number.

    Officers approve a study on exactly this file; a new roster needs new approvals. One byte that differs,
    and the file is refused.
    """
    text = _open(folder).sign_roster(tuple(site or ()))
    replace_file(out, text.encode(), mode=0o644)
    names = [line.split('"')[1] for line in text.splitlines() if line.startswith("id = ")]
    _tell(as_json, {"roster": str(out), "sites": names}, f"wrote {out}: {', '.join(names)}")


@app.command()
def show(folder: Folder, as_json: AsJson = False) -> None:
    """Show what was issued and revoked, and warn of what ends within thirty days (a list: seven)."""
    register, trust = read_register(folder), load_trusted(folder / CERTIFICATE_FILE)
    found = warnings(_endings(folder, register), present())
    rows = [_row(each) for each in register.issued]
    lines = [f"{trust.name}, list {register.list_number}", _groups(trust.fingerprint)]
    for row in rows:
        state = f"revoked {row['revoked'][:10]}" if row["revoked"] else f"until {row['valid_until'][:10]}"
        lines.append(f"  {row['site']:<20} {row['serial']:<40} {state}  {row['digits']}")
    lines += [f"warning: {line}" for line in found]
    facts = {
        "name": trust.name, "fingerprint": trust.fingerprint, "list": register.list_number, "issued": rows,
        "warnings": list(found),
    }  # fmt: skip
    _tell(as_json, facts, "\n".join(lines))


def _open(folder: Path) -> Desk:
    keys = KeyRing(asking({WHOSE: VARIABLE}))
    return Desk.open(folder, present, keys)


def _request(path: Path) -> CertificateRequest:
    try:
        with path.open("rb") as file:
            return CertificateRequest.model_validate_json(file.read(MAX_BYTES))
    except OSError as error:
        raise CertificateInvalid(f"the request cannot be read: {error.strerror}", where=str(path)) from error
    except ValidationError as error:
        raise CertificateInvalid(f"this is no request: {problems(error)}", where=str(path)) from None


def _endings(folder: Path, register: Register) -> list[Ending]:
    trust = load_trusted(folder / CERTIFICATE_FILE)
    found = [
        Ending(f"the authority {trust.name}", trust.valid_until, "make a new authority; docs/identity.md")
    ]
    if register.list_due is not None:
        do = "`fedvalue authority new-list`, and carry it to every site"
        found.append(Ending("the revocation list", register.list_due, do, LIST_AHEAD))
    for each in register.seats():
        do = "have the site renew (`fedvalue site renew`)"
        found.append(Ending(f"the certificate of {each.card.id}", each.valid_until, do))
    return found


def _row(each: Issued) -> dict[str, str]:
    return {
        "site": each.card.id,
        "entity": each.card.entity,
        "serial": each.serial,
        "digits": spoken(each.card.public_key),
        "valid_until": each.valid_until.isoformat(),
        "revoked": each.revoked.isoformat() if each.revoked else "",
        "why": each.why,
    }


def _groups(fingerprint: str) -> str:
    return " ".join(fingerprint[at : at + 4] for at in range(0, len(fingerprint), 4))


def _tell(as_json: bool, facts: object, text: str) -> None:
    typer.echo(json.dumps(facts, ensure_ascii=False) if as_json else text)
