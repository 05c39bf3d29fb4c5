"""``fedvalue study dossier``: the papers of a study for an ethics board and a data officer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedvalue.errors import StudyInvalid
from fedvalue.planning.plan import make_plan, plan_on
from fedvalue.secure_sum.thresholds import thresholds
from fedvalue.server.dossier.writing import dossier, write
from fedvalue.server.reports.wording import Language
from fedvalue.study import file as study_file
from fedvalue.study.roster import load_roster
from fedvalue.study.site_policy import SitePolicy
from fedvalue.study.toml import load_toml

_PREVIEW = "0" * 64
"""In place of the hash of a roster that is not there yet."""


def study_dossier(
    study: Annotated[Path, typer.Argument(help="The study, a TOML file.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for the papers.")],
    policy: Annotated[Path | None, typer.Option(help="The hospital's policy.toml.")] = None,
    roster: Annotated[
        Path | None, typer.Option(help="Plan on this roster; default: the study's min_sites.")
    ] = None,
    language: Annotated[Language, typer.Option(help="en, zh, or both.")] = "both",
) -> None:
    """Write the papers for the ethics board and the data officer: HTML, and Markdown in each language.

    The study and its parties, what is read and what leaves, the impact assessment (PIPL 55 and 56, GDPR 35)
    with risks, measures and what remains, the summary of human genetic resources, the hospital's own rule,
    and the lines to sign. What no file says is marked as to be answered by a person.

    Example: fedvalue study dossier study.toml --policy home/policy.toml --out papers
    """
    read = study_file.load(study)
    rule = None
    if policy is not None:
        rule = load_toml(
            policy,
            SitePolicy,
            failure=StudyInvalid,
            what="the policy",
            do="mend it, or leave it out",
            lines=True,
        )
    if roster is not None:
        plan = make_plan(read, load_roster(roster))
    else:
        limits = thresholds(
            read.federation.min_sites,
            colluding=read.federation.colluding_sites,
            dropouts=read.federation.tolerated_dropouts,
        )
        plan = plan_on(read, limits, _PREVIEW)
    for path in write(dossier(read, plan, rule), out, language):
        typer.echo(f"wrote {path}")
