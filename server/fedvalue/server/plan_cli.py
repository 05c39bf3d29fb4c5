"""``fedvalue study plan``: what to expect of a study before anything is spent, from public assumptions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from fedvalue.errors import StudyInvalid
from fedvalue.planning.assumptions import Assumptions, load_assumptions
from fedvalue.planning.expected import Expected
from fedvalue.planning.plan import make_plan
from fedvalue.planning.programme import Reviews
from fedvalue.planning.prospect import Prospect, Unanswered, prospect, widest
from fedvalue.planning.split import Split
from fedvalue.planning.trainings import TrainingProspect
from fedvalue.secure_sum.thresholds import Thresholds, thresholds
from fedvalue.server.reports import page, sheet
from fedvalue.server.reports.study_plan import plan_sheet
from fedvalue.server.reports.wording import Language, Voice
from fedvalue.study import file as study_file
from fedvalue.study.roster import load_roster
from fedvalue.study.schema import Study

StudyFile = Annotated[Path, typer.Argument(help="The study, a TOML file.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def plan_study(
    study: StudyFile,
    sites: Annotated[
        int | None, typer.Option(help="Plan for so many hospitals; default: the study's min_sites.")
    ] = None,
    roster: Annotated[Path | None, typer.Option(help="Plan for exactly this roster.")] = None,
    assume: Annotated[
        Path | None, typer.Option(help="Public assumptions, TOML; what is left out is spread evenly.")
    ] = None,
    patients: Annotated[
        int | None, typer.Option(help="Patients of all hospitals together; default: 1,000 a hospital.")
    ] = None,
    difference: Annotated[
        float | None, typer.Option(help="The power is that of telling this difference; default 0.1.")
    ] = None,
    years: Annotated[
        int | None,
        typer.Option(
            min=1, max=100, help="Ask the study every year for so long: when is a partition used up?"
        ),
    ] = None,
    partition_epsilon: Annotated[
        float, typer.Option(min=0.01, max=10_000, help="Budget for life of a partition in that program.")
    ] = 10.0,
    draws: Annotated[int, typer.Option(min=1, max=1000, help="How often noise is drawn.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of the made-up patients and the noise.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Also write a page with the figure, HTML.")] = None,
    language: Annotated[Language, typer.Option(help="Of the page: en, zh, or both.")] = "both",
    as_json: AsJson = False,
) -> None:
    """Expect widths of intervals, power, the best split of the budget and what stays unanswered.

    Made-up patients stand in for real ones: nothing is asked of anybody and no budget is spent.
    Differences and the power for them are of the probability itself, or a share of any other value.

    Example: fedvalue study plan study.toml --patients 8000 --years 10 --out plan.html
    """
    read = study_file.load(study)
    assumed = load_assumptions(assume) if assume else Assumptions()
    stated = {"patients": patients, "difference": difference}
    given = {name: value for name, value in stated.items() if value is not None}
    assumed = Assumptions.model_validate({**assumed.model_dump(), **given})
    found = prospect(
        read, limits_of(read, sites, roster), assumed, draws=draws, seed=seed, years=years,
        partition_epsilon=partition_epsilon,
    )  # fmt: skip
    if out is not None:
        page.save(sheet.render(plan_sheet(found, read, Voice.of(language)), language), out)
    if as_json:
        typer.echo(json.dumps(as_data(found), ensure_ascii=False, indent=1))
        return
    tell(found)
    if out is not None:
        typer.echo(f"wrote {out}")


def limits_of(study: Study, sites: int | None, roster: Path | None) -> Thresholds:
    """Return the thresholds of the federation that a study is priced for.

    Raises:
      StudyInvalid: both are given, or fewer sites than the study runs on.
      TooFewSites: so few cannot carry the study.
    """
    if sites is not None and roster is not None:
        raise StudyInvalid("give --sites or --roster, not both", where="command line")
    if roster is not None:
        return make_plan(study, load_roster(roster)).thresholds
    if sites is not None and sites < study.federation.min_sites:
        raise StudyInvalid(
            f"the study runs on at least {study.federation.min_sites} hospitals",
            where="--sites",
            do="name that many, or lower min_sites",
        )
    return thresholds(
        sites or study.federation.min_sites,
        colluding=study.federation.colluding_sites,
        dropouts=study.federation.tolerated_dropouts,
    )


def as_data(found: Prospect) -> dict[str, Any]:
    """Return everything as JSON values."""
    content = asdict(found)
    content["at"] = [
        {
            "epsilon": epsilon,
            "groups": [
                {**asdict(row), "power": row.power(found.difference), "detectable": row.detectable()}
                for row in rows
            ],
        }
        for epsilon, rows in found.at.items()
    ]
    return content


def tell(found: Prospect) -> None:
    """Print the prospect for people."""
    console = Console(highlight=False, soft_wrap=False)
    console.print(
        f"{found.study}: {found.sites} hospitals, {found.patients:,} patients assumed, "
        f"epsilon {found.epsilon:g}; {found.releases} release(s) in {found.trips} round trips. "
        "Nothing was asked and nothing is spent."
    )
    title = f"The widest interval of each analysis, epsilon {found.epsilon:g}; power for {found.difference:g}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for head in ("analysis", "group", "estimate", "value", "width", "no noise", "power", "answered"):
        table.add_column(head, overflow="fold")
    trained = {training.label for training in found.trainings}
    for label in (label for label in found.shares if label not in trained):
        rows = [row for row in found.own if row.analysis == label]
        row = widest(found.own, label)
        answered = f"{sum(r.answered >= 0.9 for r in rows)} of {len(rows)}"
        if row is None or row.width is None:
            table.add_row(label, "none", "", "", "", "", "", answered)
        else:
            table.add_row(label, row.group, row.estimate, *_numbers(row, found.difference), answered)
    console.print(table)
    console.print(_by_epsilon(found))
    for training in found.trainings:
        console.print(_training(training))
    for one in found.unanswered:
        console.print(f"not answered at epsilon {found.epsilon:g}: {one.analysis}, {one.group}: {_why(one)}")
    if found.split is not None:
        console.print(_split(found.split, found.shares))
    if found.reviews is not None:
        console.print(_reviews(found.reviews))


def _training(found: TrainingProspect) -> str:
    spent = ", ".join(f"{epsilon:.3g} after {number}" for number, epsilon in found.epsilon.items())
    return (
        f"{found.label}: {found.size:,} numbers, up to {found.rounds} rounds, each patient drawn with "
        f"probability {found.rate:g}. Noise multiplier {found.multiplier:.3g}; noise of a mean gradient "
        f"+-{found.noise:.3g} of the clip. Epsilon of the study by rounds: {spent}."
    )


def _numbers(row: Expected, difference: float) -> tuple[str, ...]:
    return (
        f"{row.value:.4g}", f"{row.width or 0:.3g}", f"{row.without:.3g}", f"{row.power(difference):.0%}",
    )  # fmt: skip


def _by_epsilon(found: Prospect) -> Table:
    table = Table(title="Width of the widest interval, by epsilon", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("analysis", overflow="fold")
    for epsilon in found.at:
        table.add_column(f"{epsilon:g}")
    trained = {training.label for training in found.trainings}
    for label in (label for label in found.shares if label not in trained):
        shown = [widest(rows, label) for rows in found.at.values()]
        table.add_row(label, *("-" if row is None else f"{row.width or 0:.3g}" for row in shown))
    return table


def _why(one: Unanswered) -> str:
    if one.never:
        return "too few patients even without noise, under these assumptions"
    if one.epsilon is None:
        return "no epsilon that was tried would do; ask for fewer groups or find more patients"
    return f"epsilon {one.epsilon:g} would do"


def _split(split: Split, shares: Mapping[str, float]) -> Table:
    """The shares of the analyses now and then, of what the diagnostics leave."""
    title = f"The split that narrows the widest interval most: {split.widest:.3g}, not {split.before:.3g}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for head in ("analysis", "budget now", "budget then"):
        table.add_column(head, overflow="fold")
    whole = sum(shares[label] for label in split.shares)
    for label, share in split.shares.items():
        table.add_row(label, f"{shares[label] / whole:.3f}", f"{share:.3f}")
    return table


def _reviews(found: Reviews) -> str:
    bears = (
        f"A partition of epsilon {found.partition_epsilon:g} bears {found.bears} such review(s), one a year"
    )
    if found.exhausted is None:
        return f"{bears}: enough for all {found.years} years."
    return (
        f"{bears}: who entered in year 1 can no longer be asked about from year {found.exhausted} on, "
        "and each later year of entry lasts as long."
    )
