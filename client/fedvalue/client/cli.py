"""The hospital's commands: make a site home, show its card, load records; the others are added to them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from fedvalue.client import describe_cli, enrol_cli, records_cli, rule_cli
from fedvalue.client.audit_cli import audit_app
from fedvalue.client.governance.policy import Policy
from fedvalue.client.governance.versions import sign_policy
from fedvalue.client.home import OFFICER_KEY, SITE_KEY, Passphrases, SiteHome, write_atomically
from fedvalue.client.ledger_cli import ledger_app
from fedvalue.client.opening import OFFICER_VARIABLE, SITE_VARIABLE, open_home
from fedvalue.client.places import RECORDS_SERVER
from fedvalue.client.running import cli as running_cli
from fedvalue.errors import MappingInvalid, StudyInvalid
from fedvalue.study.identity.confirmation import spoken
from fedvalue.study.passphrases import new_passphrase, passphrase_file
from fedvalue.study.roster import card
from fedvalue.study.toml import problems

app = typer.Typer(no_args_is_help=True, help="A hospital's node: load records, check and approve studies.")
app.add_typer(ledger_app, name="ledger")
app.add_typer(audit_app, name="audit")
enrol_cli.add_to(app)
running_cli.add_to(app)
rule_cli.add_to(app)
describe_cli.add_to(app)
records_cli.add_to(app)

Home = Annotated[Path, typer.Argument(help="The site's home folder.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@app.command()
def init(
    home: Home,
    site: Annotated[str, typer.Option(help="Short id of this hospital on the roster.")],
    entity: Annotated[str, typer.Option(help="Legal entity.")],
    epsilon: Annotated[float, typer.Option(help="Privacy of all patients of this site, for life.")],
    operator: Annotated[str | None, typer.Option(help="Who runs the machines; default: the entity.")] = None,
    delta: Annotated[float, typer.Option(help="For life; at most 1/(10 x patients).")] = 1e-6,
    allow: Annotated[list[str] | None, typer.Option(help="Analyses to answer; default: all.")] = None,
    profile: Annotated[
        list[str] | None, typer.Option(help="Governance profiles to accept; default: cn eu us.")
    ] = None,
    unsafe: Annotated[
        list[str] | None,
        typer.Option(help="Allow what lowers protection, at simulated sites only: clear_sum, no_noise."),
    ] = None,
    sampled: Annotated[
        bool,
        typer.Option(
            "--admits-sampled", help="Trainings may draw patients by chance; for life, see the guide."
        ),
    ] = False,
    simulation: Annotated[
        bool,
        typer.Option(
            "--simulation",
            help="A site that plays: takes unsigned rosters; its answers pass for nothing else.",
        ),
    ] = False,
    kind: Annotated[
        str, typer.Option(help="What the site is: hospital, laboratory, 'primary care' or payer.")
    ] = "hospital",
    store: Annotated[
        str,
        typer.Option(
            help="Hold the records on this PostgreSQL server, postgresql://user@host/database?sslmode="
            "verify-full, never with a password; default: a DuckDB file in the home."
        ),
    ] = "",
    store_schema: Annotated[str, typer.Option(help="Schema of the records there.")] = "fedvalue",
    passphrase: Annotated[
        bool, typer.Option("--passphrase", help="Ask for two passphrases: the site's, and the officer's.")
    ] = False,
    site_from: Annotated[
        Path | None,
        typer.Option(
            "--passphrase-file",
            help="Lock the site's key with what this file of mode 0600 holds.",
            envvar=SITE_VARIABLE,
        ),
    ] = None,
    officer_from: Annotated[
        Path | None,
        typer.Option(
            "--officer-passphrase-file", help="The same for the officer's key.", envvar=OFFICER_VARIABLE
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a site home: a minimal policy, keys made here, and an empty privacy ledger.

    The ledger's budget is for life. Edit policy.toml afterwards to narrow what is answered; the officer signs
    each change as a new version, and every approval binds to the policy as it was. Under a passphrase, the
    node asks for the site's once when it starts, and `approve` asks for the officer's; nobody can reset one,
    and a site key that does not open is lost.
    """
    chosen: dict[str, object] = {
        "site": site,
        "entity": entity,
        "operator": operator or entity,
        "budget": {"epsilon": epsilon, "delta": delta, "admits_sampled": sampled},
        "unsafe": unsafe or [],
        "simulation": simulation,
        "kind": kind,
    }
    if allow:
        chosen["analyses"] = allow
    if profile:
        chosen["profiles"] = profile
    try:
        policy = Policy.model_validate(chosen)
    except ValidationError as error:
        raise StudyInvalid(f"the policy is not valid: {problems(error)}", where="command line") from None
    server = _server_file(store, store_schema)
    made = SiteHome.create(home, policy, passphrases=_passphrases(passphrase, site_from, officer_from))
    sign_policy(made, made.officer_key())
    if server:
        write_atomically(made.folder / RECORDS_SERVER, server)
    digits = spoken(made.card().public_key)
    if as_json:
        typer.echo(json.dumps({"home": str(made.folder), "site": site, "digits": digits}))
        return
    typer.echo(f"made {made.folder}: policy.toml, keys, ledger with epsilon {epsilon:g} for life")
    typer.echo(f"digits of the site key, to read out to whoever confirms it: {digits}")
    typer.echo("next: `fedvalue site enrol` with the coordinator's token")


@app.command("card")
def show_card(home: Home) -> None:
    """Print this site's entry of a roster (public keys only), and as a comment the digits to read out."""
    entry = open_home(home).card()
    typer.echo(f"# digits of the site key: {spoken(entry.public_key)}\n{card(entry)}", nl=False)


@app.command()
def load(
    home: Home,
    source: Annotated[Path, typer.Option("--from", help="Folder with the hospital's tables.")],
    mapping: Annotated[
        Path | None, typer.Option(help="MAP.toml: from local columns and codes to ours.")
    ] = None,
    layout: Annotated[
        str | None, typer.Option(help="Instead of a mapping: a layout of `fedvalue site layout`.")
    ] = None,
    encoding: Annotated[str, typer.Option(help="Of a layout's text files: utf-8 or gb18030.")] = "utf-8",
    language: Annotated[str, typer.Option(help="Of the report: en or zh.")] = "en",
    as_json: AsJson = False,
) -> None:
    """Load the hospital's tables into its records, and report every row that was left out, by reason.

    The records become what the folder says: a file that is as it was is not read again, a corrected one takes
    the place of its rows. The report stays here (load-report.json in the home). Studies approved before keep
    their frozen rows.
    """
    from fedvalue.client.loading import load_records
    from fedvalue.client.records.layouts import layout as shipped
    from fedvalue.client.records.mapping import load_mapping

    if (mapping is None) == (layout is None):
        raise MappingInvalid(
            "give --mapping or --layout", where="command line", do="one of the two, not both"
        )
    meant = shipped(layout or "", encoding=encoding) if mapping is None else load_mapping(mapping)
    report = load_records(open_home(home), source, meant)
    told = report.plain_text("zh" if language == "zh" else "en")
    typer.echo(report.json_text() if as_json else told, nl=False)


def _passphrases(asked: bool, site: Path | None, officer: Path | None) -> Passphrases:
    """Return what locks the keys: from files where they are named, else by asking where that was wanted."""
    found = [None if path is None else passphrase_file(path) for path in (site, officer)]
    if asked:
        found = [
            new_passphrase(whose) if known is None else known
            for whose, known in zip((SITE_KEY, OFFICER_KEY), found, strict=True)
        ]
    return Passphrases(*found)


def _server_file(dsn: str, schema: str) -> bytes:
    """Return what names the server of the records; nothing where they are a file."""
    if not dsn:
        return b""
    from fedvalue.client.records.server import server_file

    return server_file(dsn, schema)
