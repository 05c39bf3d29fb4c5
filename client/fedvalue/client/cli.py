"""The hospital's commands: make a site home, load records, check and approve studies, read the ledger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from fedvalue.client import enrol_cli
from fedvalue.client.governance.approvals import affords, examine, require_budget
from fedvalue.client.governance.approvals import approve as approve_study
from fedvalue.client.governance.approvals import withdraw as withdraw_study
from fedvalue.client.governance.policy import Policy
from fedvalue.client.home import OFFICER_KEY, SITE_KEY, Passphrases, SiteHome
from fedvalue.client.identity import load_identity, site_roster
from fedvalue.client.ledger_cli import audit_app, ledger_app
from fedvalue.client.opening import OFFICER_VARIABLE, SITE_VARIABLE, open_home
from fedvalue.client.records.snapshot import build
from fedvalue.client.running import cli as running_cli
from fedvalue.errors import PolicyForbids, SignatureInvalid, StudyInvalid
from fedvalue.evidence import statements
from fedvalue.planning.words import in_words, preview
from fedvalue.privacy import accounting
from fedvalue.study import file as study_file
from fedvalue.study.identity.confirmation import spoken
from fedvalue.study.identity.ends import warnings
from fedvalue.study.passphrases import new_passphrase, passphrase_file
from fedvalue.study.roster import card
from fedvalue.study.schema import Study
from fedvalue.study.signature import Signature, verify
from fedvalue.study.toml import problems

app = typer.Typer(no_args_is_help=True, help="A hospital's node: load records, check and approve studies.")
app.add_typer(ledger_app, name="ledger")
app.add_typer(audit_app, name="audit")
enrol_cli.add_to(app)
running_cli.add_to(app)

Home = Annotated[Path, typer.Argument(help="The site's home folder.", show_default=False)]
StudyFile = Annotated[Path, typer.Argument(help="The study, a TOML file.", show_default=False)]
RosterFile = Annotated[Path, typer.Option(help="The roster: the hospitals' cards in one TOML file.")]
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
    simulation: Annotated[
        bool,
        typer.Option(
            "--simulation",
            help="A site that plays: takes unsigned rosters; its answers pass for nothing else.",
        ),
    ] = False,
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

    The ledger's budget is for life. Edit policy.toml afterwards to narrow what is answered; every approval
    binds to the policy as it was. Under a passphrase, the node asks for the site's once when it starts, and
    `approve` asks for the officer's; nobody can reset one, and a site key that does not open is lost.
    """
    chosen: dict[str, object] = {
        "site": site,
        "entity": entity,
        "operator": operator or entity,
        "budget": {"epsilon": epsilon, "delta": delta},
        "unsafe": unsafe or [],
        "simulation": simulation,
    }
    if allow:
        chosen["analyses"] = allow
    if profile:
        chosen["profiles"] = profile
    try:
        policy = Policy.model_validate(chosen)
    except ValidationError as error:
        raise StudyInvalid(f"the policy is not valid: {problems(error)}", where="command line") from None
    made = SiteHome.create(home, policy, passphrases=_passphrases(passphrase, site_from, officer_from))
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
    mapping: Annotated[Path, typer.Option(help="MAP.toml: from local columns and codes to ours.")],
    as_json: AsJson = False,
) -> None:
    """Load the hospital's tables into its records, and report every row that was left out, by reason.

    The report stays here (load-report.json in the home). Studies approved before keep their frozen rows.
    """
    from fedvalue.client.loading import load_records
    from fedvalue.client.records.mapping import load_mapping

    report = load_records(open_home(home), source, load_mapping(mapping))
    typer.echo(report.json_text() if as_json else report.plain_text(), nl=False)


@app.command()
def check(home: Home, study: StudyFile, roster: RosterFile, as_json: AsJson = False) -> None:
    """Say whether this site could answer a study, and what exactly would leave; nothing is approved.

    The roster must be signed by the authority that this site trusts, everybody on it must stand today, and
    no more hospitals may be unconfirmed here than the study assumes to collude. What ends within thirty days
    is said at the end.
    """
    opened, read = open_home(home), _signed_study(home, study)
    sites = site_roster(opened, roster)
    plan = examine(opened, read, sites, unsafe=())
    with opened.ledger() as ledger:
        left = ledger.remaining_units()
    facts, ends = preview(read, plan), _ending(opened)
    enough = affords(opened, plan)
    epsilon_left = accounting.epsilon(left, opened.policy.budget.delta)
    if as_json:
        typer.echo(
            json.dumps(
                {**facts, "epsilon_left": epsilon_left, "budget_is_enough": enough, "warnings": ends},
                ensure_ascii=False,
            )
        )
    else:
        typer.echo(in_words(read, plan))
        typer.echo(
            f"\nThis site's budget: epsilon {epsilon_left:.3g} left; {'enough' if enough else 'NOT enough'}."
        )
        for line in ends:
            typer.echo(f"warning: {line}")
    require_budget(opened, plan)
    build(opened.records_file, read)  # what an approval would freeze; nothing of it is shown or kept


@app.command()
def approve(home: Home, study: StudyFile, roster: RosterFile, as_json: AsJson = False) -> None:
    """Approve a study as this site's officer: freezes the cohort and signs for exactly this study and roster.

    From then on this site answers the study's planned releases, and nothing else. A changed study, roster
    or policy needs a new approval.
    """
    opened, read = open_home(home), _signed_study(home, study)
    approval, snapshot = approve_study(opened, read, site_roster(opened, roster), unsafe=())
    if as_json:
        typer.echo(approval.model_dump_json())
    else:
        typer.echo(f"approved {approval.study_hash} on {approval.day}, rows frozen ({snapshot.content[:16]})")


@app.command()
def withdraw(home: Home, study: StudyFile) -> None:
    """Take the approval of a study back: from now on this site does not answer it.

    What was released stays released and charged. Before the first release the frozen rows are removed too.
    """
    removed = withdraw_study(open_home(home), study_file.digest(study_file.load(study)))
    typer.echo("withdrawn; " + ("the frozen rows are removed" if removed else "the frozen rows stay"))


def _passphrases(asked: bool, site: Path | None, officer: Path | None) -> Passphrases:
    """Return what locks the keys: from files where they are named, else by asking where that was wanted."""
    found = [None if path is None else passphrase_file(path) for path in (site, officer)]
    if asked:
        found = [
            new_passphrase(whose) if known is None else known
            for whose, known in zip((SITE_KEY, OFFICER_KEY), found, strict=True)
        ]
    return Passphrases(*found)


def _ending(home: SiteHome) -> list[str]:
    """Return what of this site's papers ends soon."""
    return [] if home.policy.simulation else list(warnings(load_identity(home).endings(), home.clock()))


def _signed_study(home: Path, path: Path) -> Study:
    """Read a study and its signature beside it; who may sign is the policy's business."""
    read = study_file.load(path)
    policy = open_home(home).policy
    target = path.with_name(path.name + ".sig")
    try:
        signature = Signature.model_validate_json(target.read_bytes())
    except FileNotFoundError as error:
        raise SignatureInvalid(
            "the study is not signed", where=str(target), do="ask its author to run `fedvalue study sign`"
        ) from error
    except (OSError, ValidationError) as error:
        raise SignatureInvalid(
            "the signature file cannot be read", where=str(target), do="ask the study's author for it again"
        ) from error
    if signature.role != "study":
        raise SignatureInvalid("the signature is not one of a study", where=str(target))
    verify(statements.study_statement(study_file.digest(read)), signature, where=str(target))
    if policy.study_signers and signature.public_key not in policy.study_signers:
        raise PolicyForbids(
            "the study is signed by somebody whose studies are not looked at", where="study_signers"
        )
    return read
