"""The payer's commands on a standard's past: history and show."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fedvalue.payment import cli_parameters, parameter_file, standard_file
from fedvalue.payment import proposal as proposals
from fedvalue.payment.cli_decision import Language

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Standards = Annotated[
    Path | None,
    typer.Option(help="Folder of payment standards; without it, the examples that come with FedValue."),
]
Day = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The day, YYYY-MM-DD; without it, today (UTC).")
]
Words = Annotated[Language, typer.Option("--language", help="Language of labels and sentences, en or zh.")]
Name = Annotated[
    str, typer.Argument(help="Name of a standard, such as lung/egfr_tki_outcome_linked.", show_default=False)
]

_HEADS: dict[Language, tuple[str, ...]] = {
    "en": ("what", "from", "amount", "unit", "source"),
    "zh": ("项目", "起始日", "数值", "单位", "来源"),
}
_STATUS: dict[str, dict[Language, str]] = {
    "official": {"en": "official", "zh": "正式"},
    "example": {"en": "example", "zh": "示例"},
    "unverified": {"en": "unverified", "zh": "未核对"},
}
_SOURCES = {"checked": "已核对", "unverified": "未核对", "chosen": "自定"}


def history(
    name: Name,
    standards: Standards = None,
    trusted: Annotated[
        list[str] | None, typer.Option(help="Public key of an approver; repeat it for several.")
    ] = None,
    language: Words = "en",
    as_json: AsJson = False,
) -> None:
    """Print every dated value of a standard with its source, after all approvals were checked.

    Exit status 9: no such standard, or its past was edited; 2: an approved value was changed, or approved by
    a key that is not trusted.

    Example: fedvalue payment history lung/egfr_tki_outcome_linked --standards standards
    """
    file = standard_file.read(name, standards)
    proposals.check_approvals(file, trusted=frozenset(trusted) if trusted else None)
    rows = [
        (group, parameter, value.starts, value.amount, file.standard.history(parameter).unit, value.source)
        for group in ("payment", "terms", "rule")
        for parameter in getattr(file.standard, group)
        for value in file.standard.history(parameter).values
    ]
    if as_json:
        values = [
            {
                "group": group, "name": parameter, "starts": starts.isoformat(),
                "amount": None if amount is None else str(amount), "unit": unit,
                "source": source.model_dump(mode="json"),
            }
            for group, parameter, starts, amount, unit, source in rows
        ]  # fmt: skip
        _json({"standard": name, "version": file.version, "values": values})
        return
    table = Table(*_HEADS[language], box=None, pad_edge=False)
    for _, parameter, starts, amount, unit, source in rows:
        shown = ("repealed" if language == "en" else "废止") if amount is None else f"{amount:,}"
        status = _SOURCES[source.status] if language == "zh" else source.status
        table.add_row(parameter, str(starts), shown, unit, escape(f"{source.title} [{status}]"))
    Console().print(table)
    version = "version" if language == "en" else "版本"
    typer.echo(f"{name}, {_STATUS[file.standard.status][language]}, {version} {file.version}")


def show(
    name: Annotated[
        str,
        typer.Argument(help="A standard, or parameters such as fund/redline.max_growth.", show_default=False),
    ],
    standards: Standards = None,
    on: Day = None,
    parameters: cli_parameters.Folder = None,
    overlays: cli_parameters.Reforms = None,
    language: Words = "en",
    as_json: AsJson = False,
) -> None:
    """Print what a standard pays, or a dated parameter, on one day.

    Exit status 9: no such standard or parameter, or none in force on that day; 2: an approved value was
    changed after it was signed.

    Example: fedvalue payment show lung/egfr_tki_outcome_linked --on 2026-03-01
    """
    day = today(on)
    if parameters is not None or parameter_file.split(name)[0] in parameter_file.example_names():
        cli_parameters.show_parameter(
            name, on=day, folder=parameters, overlays=overlays or [], language=language, as_json=as_json
        )
        return
    file = standard_file.read(name, standards)
    proposals.check_approvals(file)
    values = file.standard.in_force(day)
    if as_json:
        plain = {key: value.model_dump(mode="json") for key, value in values.items()}
        _json(
            {"standard": name, "version": file.version, "mechanism": file.standard.mechanism,
             "on": day.isoformat(), "values": plain}
        )  # fmt: skip
        return
    on_day, since = (" on ", "since") if language == "en" else ("，", "自")
    status = _STATUS[file.standard.status][language]
    typer.echo(f"{file.standard.title.read(language)} ({name}), {status},{on_day}{day}".replace(",，", "，"))
    for key, value in values.items():
        typer.echo(f"  {key:<22}{value.amount:>12,} {value.unit:<16} {since} {value.starts}: {value.source}")


def today(on: datetime | None) -> date:
    """Return the day asked for, or today in UTC."""
    return datetime.now(UTC).date() if on is None else on.date()


def _json(document: dict[str, object]) -> None:
    typer.echo(json.dumps(document, ensure_ascii=False, indent=1))
