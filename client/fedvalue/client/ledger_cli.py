"""``fedvalue site ledger``: read, foresee, close, and the way back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import click
import typer
import typer.core
from rich.console import Console
from rich.table import Table

from fedvalue.client import ledger_recovery_cli
from fedvalue.client.governance.audit import AuditLog
from fedvalue.client.governance.books import Account
from fedvalue.client.governance.forecast import (
    Forecast,
    Outlook,
    Programme,
    YearlyStudy,
    forecast,
    load_programme,
)
from fedvalue.client.home import system_clock
from fedvalue.client.opening import open_home
from fedvalue.errors import PrivacyError, StudyInvalid
from fedvalue.privacy import accounting
from fedvalue.privacy.accounting import Budget
from fedvalue.privacy.release import RHO_UNIT

DEFAULT = "show"

Home = Annotated[Path, typer.Argument(help="The site's home folder.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


class LedgerGroup(typer.core.TyperGroup):
    """``ledger HOME`` is ``ledger show HOME``.

    Attributes:
      default: Command that is meant where none is named.
    """

    default = DEFAULT

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default command before a first word that is no command."""
        word = next((each for each in args if not each.startswith("-")), None)
        if word is not None and word not in self.commands:
            args = [self.default, *args]
        return super().parse_args(ctx, args)


ledger_app = typer.Typer(
    cls=LedgerGroup,
    no_args_is_help=True,
    help="The site's privacy ledger. `fedvalue site ledger HOME` shows it.",
)


@ledger_app.command(DEFAULT)
def show(home: Home, as_json: AsJson = False) -> None:
    """Show what is spent, reserved and left in each partition, after checking the chain and signatures."""
    opened = open_home(home)
    with opened.ledger() as ledger:
        facts = {
            "epsilon": ledger.budget.epsilon, "delta": ledger.budget.delta,
            "epsilon_spent": ledger.budget.epsilon_of(ledger.spent()),
            "epsilon_left": accounting.epsilon(_left(ledger.accounts(), ledger.budget), ledger.budget.delta),
            "counter": ledger.head().counter, "head": ledger.head().hash,
            "partitions": [_account(each) for each in ledger.accounts()],
            "reservations": [
                {"study": held.study_hash, "partitions": list(held.partitions), "entry": held.number,
                 "unasked": len(held.slots), "rho": float(held.price.covering_rho_units * RHO_UNIT)}
                for held in ledger.reservations()
            ],
            "debits": [json.loads(entry.content()) for entry in ledger.entries() if entry.kind == "debit"],
            "closed": [entry.body["study"] for entry in ledger.entries() if entry.kind == "closed"],
        }  # fmt: skip
    if as_json:
        typer.echo(json.dumps(facts))
    else:
        _print_ledger(opened.policy.site, facts)


@ledger_app.command("forecast")
def show_forecast(
    programme: Annotated[
        Path | None, typer.Argument(help="PROGRAMME.toml; or describe one study below.")
    ] = None,
    home: Annotated[
        Path | None, typer.Option(help="Start from this site's ledger, not from an empty one.")
    ] = None,
    epsilon: Annotated[float | None, typer.Option(help="Budget for life, where there is no --home.")] = None,
    delta: Annotated[float, typer.Option(help="Of that budget.")] = 1e-6,
    study_epsilon: Annotated[float | None, typer.Option(help="Epsilon of each study.")] = None,
    study_delta: Annotated[float, typer.Option(help="Delta of each study.")] = 1e-6,
    per_year: Annotated[int, typer.Option(help="Studies a year.")] = 1,
    years: Annotated[int, typer.Option(help="Years to look ahead.")] = 10,
    first_year: Annotated[int | None, typer.Option(help="First year; default: this one.")] = None,
    as_json: AsJson = False,
) -> None:
    """Foresee when a programme of studies over years will have used each partition's budget up."""
    if (programme is None) == (study_epsilon is None):
        raise StudyInvalid(
            "say what is asked", where="command line", do="name a PROGRAMME.toml or give --study-epsilon"
        )
    if (home is None) == (epsilon is None):
        raise PrivacyError(
            "say what there is", where="command line", do="give --home, or --epsilon for an empty ledger"
        )
    plan = load_programme(programme) if programme else _one_study(study_epsilon, study_delta, per_year, years)
    accounts: tuple[Account, ...] = ()
    budget = Budget(epsilon, delta) if epsilon is not None else None
    if home is not None:
        with open_home(home).ledger() as ledger:
            accounts, budget = ledger.accounts(), ledger.budget
    if budget is None:
        raise PrivacyError("say what there is", where="command line", do="give --home or --epsilon")
    found = forecast(plan, budget, accounts, first_year or system_clock().year)
    if as_json:
        typer.echo(json.dumps(_forecast_json(found)))
    else:
        _print_forecast(found)


@ledger_app.command()
def close(
    home: Home,
    study: Annotated[
        str, typer.Argument(help="The study's hash, as `ledger show` prints it.", show_default=False)
    ],
    why: Annotated[str, typer.Option(help="Reason, one line; it stays in the ledger.")] = "",
) -> None:
    """Close a study for good: what it never asked is free again, and it is never answered any more."""
    opened = open_home(home)
    with opened.ledger() as ledger:
        found = {held.study_hash for held in ledger.reservations() if held.study_hash.startswith(study)}
        whole = found.pop() if len(found) == 1 and len(study) >= 8 else study
        receipt = ledger.close_study(whole, why)
    AuditLog(opened.audit_file, opened.clock).write("closed", study=whole)
    typer.echo(f"closed {whole}: entry {receipt.number}")


@ledger_app.command()
def backup(
    home: Home, out: Annotated[Path, typer.Argument(help="New file for the copy.", show_default=False)]
) -> None:
    """Copy the ledger as it stands to a new file. Save the store of first entries and its secret with it."""
    with open_home(home).ledger() as ledger:
        head = ledger.backup(out)
    typer.echo(f"copied to {out}: ends at {head.counter}, head {head.hash}")


ledger_recovery_cli.add_to(ledger_app)


def _left(accounts: tuple[Account, ...], budget: Budget) -> int:
    """Return what a study of every partition that is not lost could still charge, units of 2^-40."""
    return min(
        (each.remaining_units for each in accounts if not each.lost),
        default=0 if accounts else budget.rho_units,
    )


def _account(account: Account) -> dict[str, Any]:
    budget = account.budget
    return {
        "partition": account.name, "opened": account.opened, "lost": account.lost,
        "epsilon": budget.epsilon, "delta": budget.delta,
        "epsilon_spent": budget.epsilon if account.lost else budget.epsilon_of(account.spent),
        "epsilon_reserved": budget.epsilon_of(account.reserved),
        "epsilon_left": accounting.epsilon(account.remaining_units, budget.delta),
        "rho_spent": float(account.spent.covering_rho_units * RHO_UNIT),
        "rho_reserved": float(account.reserved.covering_rho_units * RHO_UNIT),
        "rho_left": float(account.remaining_units * RHO_UNIT),
    }  # fmt: skip


def _print_ledger(site: str, facts: dict[str, Any]) -> None:
    console = Console()
    accounts = Table(
        "partition", "opened", "budget", "spent", "reserved", "left", title="Epsilon by partition"
    )
    for each in facts["partitions"]:
        shown = [f"{each[f'epsilon_{what}']:.4g}" for what in ("spent", "reserved", "left")]
        note = " (lost)" if each["lost"] else ""
        accounts.add_row(each["partition"] + note, each["opened"][:10], f"{each['epsilon']:g}", *shown)
    console.print(accounts)
    if facts["reservations"]:
        held = Table("study", "partitions", "asks left", "rho", title="Reserved")
        for each in facts["reservations"]:
            names = " ".join(each["partitions"])
            held.add_row(each["study"][:16], names, str(each["unasked"]), f"{each['rho']:.6f}")
        console.print(held)
    debits = Table("no", "time", "study", "release", "attempt", "rho", title=f"Privacy ledger of {site}")
    for each in facts["debits"]:
        body = each["body"]
        rho = float(int(body["price"][0]) // accounting.ORDERS[0] * RHO_UNIT)
        row = (body["study"][:16], body["release"], str(body["attempt"]), f"{rho:.6f}")
        debits.add_row(str(each["number"]), each["time"], *row)
    console.print(debits)
    typer.echo(
        f"spent epsilon {facts['epsilon_spent']:.4g} of {facts['epsilon']:g} at delta {facts['delta']:g}, "
        f"for life; {facts['epsilon_left']:.4g} left (epsilons do not add, rho does)"
    )
    typer.echo(f"counter {facts['counter']}, head {facts['head']}")


def _one_study(epsilon: float | None, delta: float, per_year: int, years: int) -> Programme:
    try:
        study = YearlyStudy.model_validate(
            {"name": "study", "epsilon": epsilon, "delta": delta, "per_year": per_year}
        )
        return Programme.model_validate({"years": years, "study": [study]})
    except ValueError as error:
        raise StudyInvalid(f"the programme is not valid: {error}", where="command line") from None


def _forecast_json(found: Forecast) -> dict[str, Any]:
    return {
        "years": [
            {"year": y.year, "asked": y.asked, "whole": y.whole, "partly": y.partly, "refused": y.refused}
            for y in found.years
        ],
        "partitions": [
            {"partition": p.name, "opened": p.year, "lost": p.lost, "epsilon": p.budget.epsilon,
             "epsilon_before": p.epsilon_before, "epsilon_after": p.epsilon_after,
             "epsilon_left": p.epsilon_left, "studies": p.answered, "exhausted": p.exhausted, "by": p.by}
            for p in found.partitions
        ],
    }  # fmt: skip


def _print_forecast(found: Forecast) -> None:
    console = Console()
    by_year = Table("year", "asked", "all partitions", "some left out", "refused", title="Studies by year")
    for year in found.years:
        counts = (year.year, year.asked, year.whole, year.partly, year.refused)
        by_year.add_row(*map(str, counts))
    console.print(by_year)
    table = Table(
        "partition", "budget", "before", "after", "left", "studies", "exhausted", title="By partition"
    )
    for each in found.partitions:
        table.add_row(
            each.name,
            f"{each.budget.epsilon:g}",
            f"{each.epsilon_before:.4g}",
            f"{each.epsilon_after:.4g}",
            f"{each.epsilon_left:.4g}",
            str(each.answered),
            _end(each),
        )
    console.print(table)


def _end(outlook: Outlook) -> str:
    if outlook.lost:
        return "lost"
    return "no" if outlook.exhausted is None else f"{outlook.exhausted} by {outlook.by}"
