"""``fedvalue demo`` and ``fedvalue simulate``."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from fedvalue.errors import StudyInvalid
from fedvalue.server.enrolment import Progress as Told
from fedvalue.server.reports.terminal import summary_table
from fedvalue.server.reports.wording import Language
from fedvalue.simulation import PooledTable, Simulation, SiteFolders, run
from fedvalue.simulation.federation import fresh_folder
from fedvalue.study import file as study_file
from fedvalue.study.schema import Study
from fedvalue.synthetic.hospitals import make_hospitals
from fedvalue.synthetic.studies import demo_study
from fedvalue.synthetic.worlds import demo_world

app = typer.Typer(no_args_is_help=True, help="Whole federations on this machine.")

Out = Annotated[Path, typer.Option(help="Folder for everything; an earlier simulation there is replaced.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Seed = Annotated[
    int, typer.Option(min=0, help="For everything but privacy noise and keys, which nobody can repeat.")
]
ReportLanguage = Annotated[Language, typer.Option(help="Of the report.")]


@app.command()
def demo(
    out: Out = Path("out/demo"),
    seed: Seed = 20261121,
    as_json: AsJson = False,
    language: ReportLanguage = "both",
    processes: Annotated[
        bool,
        typer.Option("--processes", help="Three hospitals and a coordinator as processes, with TLS."),
    ] = False,
) -> None:
    """Six made-up hospitals, one study, one payment decision, over Flower in this process.

    Does EGFR-guided first-line therapy keep its 6-month response? The planted truth lies in
    OUT-hospitals/truth.json, beside the hospitals and outside of their folders.

    With --processes it is a federation as between machines, on this one: an authority, a coordinator and
    three hospitals with keys of their own, SuperLink and sites as processes on loopback ports, timed.
    """
    if processes:
        _federation(out, seed, as_json)
        return
    with _progress(as_json) as told:
        told("making six hospitals", 0, 1)
        made = re.compile("|".join(["study[.]toml", "truth[.]json", *(h.id for h in demo_world().hospitals)]))
        hospitals = fresh_folder(out.with_name(out.name + "-hospitals"), made=made)
        make_hospitals(demo_world(), hospitals, np.random.default_rng(seed))
        study = hospitals / "study.toml"
        study.write_bytes(demo_study())
        told("making six hospitals", 1, 1)
        day = _day_of(study_file.load(study))
        result = run(study, SiteFolders(hospitals), out=out, day=day, language=language, progress=told)
    _show(result, as_json)


@app.command()
def simulate(
    study: Annotated[Path, typer.Argument(help="The study, a TOML file.", show_default=False)],
    out: Out,
    sites: Annotated[Path | None, typer.Option(help="Folder with one folder per hospital.")] = None,
    table: Annotated[Path | None, typer.Option(help="One pooled table of all patients.")] = None,
    site_column: Annotated[
        str | None, typer.Option(help="Column of the table that names the hospital.")
    ] = None,
    split: Annotated[
        int | None, typer.Option(min=3, help="Split the table at random (by --seed) into so many hospitals.")
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option(help="MAP.toml; with --sites the default is each folder's own map.toml.")
    ] = None,
    standards: Annotated[
        Path | None, typer.Option(help="Folder of payment standards; default: the examples.")
    ] = None,
    seed: Seed = 0,
    day: Annotated[
        str | None, typer.Option(help="Day on which it takes place (YYYY-MM-DD); default: today.")
    ] = None,
    unsafe_no_noise: Annotated[
        bool, typer.Option("--unsafe-no-noise", help="No noise and no minimum sizes; protects nobody.")
    ] = False,
    unsafe_clear_sum: Annotated[
        bool,
        typer.Option("--unsafe-clear-sum", help="Without masks: the coordinator sees each hospital's share."),
    ] = False,
    language: ReportLanguage = "both",
    as_json: AsJson = False,
) -> None:
    """Run a study over simulated hospitals: one folder each, or one pooled table that is split.

    Makes fresh homes, throwaway keys, approvals and ledgers under OUT, never opens a real ledger, and
    stamps its evidence as a simulation. Leaves evidence.json, decision.json, report.html and the proposal.
    """
    source: SiteFolders | PooledTable
    if (sites is None) == (table is None):
        raise StudyInvalid("give --sites DIR or --table FILE, one of them", where="command line")
    if sites is not None:
        source = SiteFolders(sites, mapping)
    elif table is not None and mapping is not None and (site_column is None) != (split is None):
        source = PooledTable(table, mapping, site_column=site_column, split=split, seed=seed)
    else:
        raise StudyInvalid(
            "--table needs --mapping MAP.toml and either --site-column COLUMN or --split N",
            where="command line",
        )
    with _progress(as_json) as told:
        result = run(
            study, source, out=out, unsafe_no_noise=unsafe_no_noise, unsafe_clear_sum=unsafe_clear_sum,
            standards=standards, day=None if day is None else _day(day), language=language, progress=told,
        )  # fmt: skip
    _show(result, as_json)


def _day_of(study: Study) -> date:
    """Today, or the nearest day on which the demonstration's study is valid."""
    valid = study.study.valid
    return min(max(date.today(), valid.start), valid.until)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise StudyInvalid(f"{text!r} is no day", where="--day", do="write it as 2026-03-01") from error


def _federation(out: Path, seed: int, as_json: bool) -> None:
    from fedvalue.simulation.three_sites import run_processes  # the other commands need no federation

    found = run_processes(out, lambda line: typer.echo(line, err=as_json), seed=seed)
    if as_json:
        facts = {
            "evidence_id": found.evidence.evidence_id,
            "charges": found.charges,
            "steps": [{"seconds": round(seconds, 1), "done": text} for seconds, text in found.steps.done],
        }
        typer.echo(json.dumps(facts, ensure_ascii=False))
        return
    typer.echo(
        f"{found.evidence.evidence_id} of {out / 'results'}: evidence.json, decision.json, report.html"
    )


@contextmanager
def _progress(as_json: bool) -> Iterator[Told]:
    """Progress bars on a terminal, plain lines otherwise; on stderr, so that stdout holds the answer."""
    console = Console(stderr=True)
    if as_json or not console.is_terminal:
        last = ""

        def plain(text: str, done: int, total: int) -> None:
            nonlocal last
            if text != last and done < total:
                sys.stderr.write(f"{text} ...\n")
                last = text

        yield plain
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as bars:
        tasks: dict[str, TaskID] = {}

        def bar(text: str, done: int, total: int) -> None:
            if text not in tasks:
                tasks[text] = bars.add_task(text, total=total)
            bars.update(tasks[text], completed=done, total=total)

        yield bar


def _show(result: Simulation, as_json: bool) -> None:
    if as_json:
        facts = {
            "evidence_id": result.evidence.evidence_id,
            "version": version("fedvalue"),
            "simulation": True,
            "unsafe": list(result.evidence.unsafe),
            "epsilon_promised": result.evidence.privacy.epsilon_promised,
            "epsilon_own_share": result.evidence.privacy.epsilon_own_share,
            "conclusions": [c.model_dump(mode="json") for c in result.evidence.conclusions],
            "decisions": [d.model_dump(mode="json") for d in result.results.decisions],
            "left_out_while_loading": list(result.federation.left_out),
            "files": [str(path) for path in result.results.files],
        }
        typer.echo(json.dumps(facts, ensure_ascii=False))
        return
    console = Console()
    console.print(summary_table(result.evidence, result.results.decisions))
    for line in result.federation.left_out:
        console.print(f"while loading, {line}", highlight=False, soft_wrap=True)
    for path in result.results.files:
        console.print(f"wrote {path}", highlight=False, soft_wrap=True)
