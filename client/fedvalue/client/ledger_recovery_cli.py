"""Receipts by hand and the way back: what a site asks its peers, what they answer, what it may then do.

A node asks its peers by itself after every start. These commands carry the same objects in files, for the
day on which a ledger is lost; ``docs/ledger.md`` walks through it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import Field, ValidationError

from fedvalue.client.governance.audit import AuditLog
from fedvalue.client.governance.partitions import site_secret
from fedvalue.client.governance.receipts import Claim, Inquiry, PeerReceipt, Receipts, reopen
from fedvalue.client.governance.recovery import Place, declare_lost, restore
from fedvalue.client.home import SiteHome, write_atomically
from fedvalue.client.identity import site_roster
from fedvalue.client.opening import open_home
from fedvalue.errors import LedgerError, RosterMismatch
from fedvalue.secure_sum.thresholds import thresholds
from fedvalue.study.model import Part
from fedvalue.study.roster import SITE_ID, Roster

INQUIRY = "inquiry.json"

Home = Annotated[Path, typer.Argument(help="The site's home folder.", show_default=False)]
RosterFile = Annotated[Path, typer.Option(help="The roster on which this site works.")]
ReceiptFiles = Annotated[list[Path], typer.Option("--receipt", help="A peer's receipt; once for each peer.")]
Why = Annotated[str, typer.Option(help="Reason, one line; it is sealed in the new ledger.")]


class Question(Part):
    """What a site asks all its peers, in a file.

    Attributes:
      site: Who asks.
      nonce: Fresh, 64 hexadecimal digits.
      roster_hash: The roster whose members count.
      needed: How many must answer.
    """

    site: str = Field(pattern=SITE_ID)
    nonce: str = Field(pattern=r"^[0-9a-f]{64}$")
    roster_hash: str
    needed: int = Field(ge=1)


def add_to(app: typer.Typer) -> None:
    """Add these commands to ``fedvalue site ledger``."""
    for command in (ask, receipt, reopened, restored, lost):
        app.command(_NAMES[command.__name__])(command)


def ask(
    home: Home,
    roster: RosterFile,
    colluding: Annotated[
        int | None, typer.Option(help="c, where studies say another than the default.")
    ] = None,
    dropouts: Annotated[
        int | None, typer.Option(help="f, where studies say another than the default.")
    ] = None,
) -> None:
    """Make a fresh question for the peers, and print it: what have you seen of my ledger?"""
    opened = open_home(home)
    sites = site_roster(opened, roster)
    limits = thresholds(len(sites.site), colluding=colluding, dropouts=dropouts)
    inquiry = Inquiry.fresh(opened.policy.site, sites, limits)
    question = Question(
        site=inquiry.site, nonce=inquiry.nonce, roster_hash=sites.digest(), needed=inquiry.needed
    )
    write_atomically(opened.folder / INQUIRY, question.model_dump_json().encode())
    typer.echo(question.model_dump_json())


def receipt(
    home: Home, question: Annotated[Path, typer.Argument(help="The peer's question.", show_default=False)]
) -> None:
    """Answer a peer's question: print what this site has seen of that peer's ledger, signed."""
    opened, asked = open_home(home), _question(question)
    seen = Receipts.open(opened.receipts_file)
    try:
        said = seen.receipt(asked.site, asked.nonce, peer=opened.policy.site, key=opened.site_key())
    finally:
        seen.close()
    AuditLog(opened.audit_file, opened.clock).write("receipt", about=asked.site)
    typer.echo(said.model_dump_json())


def reopened(home: Home, roster: RosterFile, receipts: ReceiptFiles) -> None:
    """Compare the ledger in place with what the peers have seen; changes nothing."""
    opened = open_home(home)
    with opened.ledger() as ledger:
        head = reopen(ledger, _receipts(receipts), _inquiry(opened, site_roster(opened, roster)))
    typer.echo(f"the peers have seen nothing that this ledger does not hold; it ends at {head.counter}")


def restored(
    home: Home,
    backup: Annotated[Path, typer.Argument(help="A copy of the ledger.", show_default=False)],
    roster: RosterFile,
    receipts: ReceiptFiles,
) -> None:
    """Put a backup in the place of a lost ledger, if no peer has seen a later one."""
    opened = open_home(home)
    head = restore(backup, _place(opened), _claims(opened, roster, receipts))
    AuditLog(opened.audit_file, opened.clock).write("ledger restored", counter=head.counter)
    typer.echo(f"restored: the ledger ends at {head.counter}, head {head.hash}")


def lost(home: Home, roster: RosterFile, receipts: ReceiptFiles, why: Why) -> None:
    """Begin a new ledger in which everybody who is in the store now counts as spent for life."""
    opened = open_home(home)
    present = _present(opened)
    head = declare_lost(_place(opened), _claims(opened, roster, receipts), present=present, why=why)
    AuditLog(opened.audit_file, opened.clock).write("ledger lost", counter=head.counter)
    typer.echo("a new ledger; only people who enter the store from now on have a budget")
    typer.echo("approve studies again: an approval from before answers nobody any more")


_NAMES = {"ask": "ask", "receipt": "receipt", "reopened": "compare", "restored": "restore", "lost": "lost"}


def _place(home: SiteHome) -> Place:
    budget = home.policy.for_life
    secret = site_secret(home.first_entries_secret_file)
    return Place(home.ledger_file, home.first_entries_file, secret, budget, home.site_key(), home.clock)


def _present(home: SiteHome) -> list[str]:
    """Return the ids of everybody in the site's records; nobody where there are no records."""
    from fedvalue.client.records.store import MODEST
    from fedvalue.client.records.stores import exists, reading

    if not exists(home.records_file):
        return []
    with reading(home.records_file, limits=MODEST, tables=("patient",)) as store:
        return [str(row[0]) for row in store.execute("SELECT patient_id FROM patient").fetchall()]


def _claims(home: SiteHome, roster: Path, receipts: list[Path]) -> tuple[Claim, ...]:
    return _inquiry(home, site_roster(home, roster)).accepted(_receipts(receipts))


def _inquiry(home: SiteHome, roster: Roster) -> Inquiry:
    asked = _question(home.folder / INQUIRY)
    if roster.digest() != asked.roster_hash:
        raise RosterMismatch(
            "the peers were asked on another roster", where=str(home.folder / INQUIRY), do="ask again"
        )
    return Inquiry(asked.site, asked.nonce, roster, asked.needed)


def _question(path: Path) -> Question:
    try:
        return Question.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise LedgerError(
            "there is no question to the peers", where=str(path), do="make one: `fedvalue site ledger ask`"
        ) from error


def _receipts(paths: list[Path]) -> list[PeerReceipt]:
    found = []
    for path in paths:
        try:
            found.append(PeerReceipt.model_validate_json(path.read_bytes()))
        except (OSError, ValidationError) as error:
            raise LedgerError(
                "the file holds no receipt", where=str(path), do="ask that peer again"
            ) from error
    return found
