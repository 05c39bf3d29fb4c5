"""The payer's commands on numbers: show a dated parameter, compare two days or files, look at the fund."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fedvalue.errors import PaymentError
from fedvalue.evidence import documents
from fedvalue.payment import overlay, parameter_file, standard_file
from fedvalue.payment.cli_impact import print_impact
from fedvalue.payment.parameter_diff import Difference, Held, diff, view
from fedvalue.payment.parameter_file import STATUS_LABELS, Parameters
from fedvalue.payment.parameters import Parameter, load_yaml

Language = Literal["en", "zh"]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Words = Annotated[Language, typer.Option("--language", help="Language of labels, en or zh.")]
Folder = Annotated[
    Path | None,
    typer.Option("--parameters", help="Folder of parameters; without it, the examples of FedValue."),
]
Reforms = Annotated[
    list[Path] | None, typer.Option("--overlay", help="A reform to lay over the parameters; repeatable.")
]
_DATE = ["%Y-%m-%d"]


def show_parameter(
    name: str, *, on: date, folder: Path | None, overlays: list[Path], language: Language, as_json: bool
) -> None:
    """Print a parameter, or all of a file, on one day.

    Raises:
      PaymentError: no such file or parameter, or an overlay that does not fit.
      ParameterNotInForce: the parameter has no value on that day.
    """
    file, key = parameter_file.split(name)
    content, version = _under(file, folder, overlays)
    keys = [key] if key is not None else sorted(content.parameters)
    values = {each: _plain(content, each, on, strict=key is not None) for each in keys}
    scope = content.scope
    if as_json:
        typer.echo(json.dumps(
            {"parameters": content.name, "version": version, "status": content.status, "on": on.isoformat(),
             "jurisdiction": content.jurisdiction, "scope": scope.model_dump(mode="json"),
             "price_year": content.price_year, "overlays": list(content.overlays), "values": values},
            ensure_ascii=False, indent=1,
        ))  # fmt: skip
        return
    status = STATUS_LABELS[content.status].read(language)
    typer.echo(f"{content.title.read(language)} ({content.name}), {status}")
    prices = f"; prices of {content.price_year}" if content.price_year else ""
    places = f"{', '.join(scope.regions)}; {', '.join(scope.hospital_levels)}; {scope.phase}"
    typer.echo(f"{content.jurisdiction}: {places}{prices}; on {on}")
    if content.overlays:
        typer.echo(f"under the reform {', '.join(content.overlays)}: this is not in force")
    heads = ("what", "amount", "unit", "since", "source")
    chinese = ("项目", "数值", "单位", "起始日", "来源")
    table = Table(*(heads if language == "en" else chinese), box=None, pad_edge=False)
    for each, found in values.items():
        amount = found["amount"]
        table.add_row(
            escape(f"{content.parameter(each).title.read(language)} ({each})"),
            "none" if amount is None else f"{Decimal(amount):,}",
            found["unit"],
            found["starts"] or "",
            escape(found["source"] or found["why"] or ""),
        )
    Console().print(table)


def compare(
    first: Annotated[str, typer.Argument(help="Parameters, a standard, or a YAML file.", show_default=False)],
    second: Annotated[
        str | None,
        typer.Argument(help="The other one; without it, the first on another day.", show_default=False),
    ] = None,
    on: Annotated[
        datetime | None, typer.Option(formats=_DATE, help="Day of the first; without it, today.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option("--and", formats=_DATE, help="Day of the second; without it, the same.")
    ] = None,
    folder: Folder = None,
    overlays: Reforms = None,
    language: Words = "en",
    as_json: AsJson = False,
) -> None:
    """Print what differs between two days of parameters, between two files, or with and without a reform.

    Example: fedvalue payment diff official/nice --on 2026-03-31 --and 2026-04-01
    """
    day = datetime.now(UTC).date() if on is None else on.date()
    other = day if until is None else until.date()
    if second is None and until is None and not overlays:
        raise PaymentError(
            "there is nothing to compare with", where=first,
            do="name a second file, a second day with --and, or a reform with --overlay",
        )  # fmt: skip
    before = _any(first, folder, [])
    after = _any(second or first, folder, overlays or [])
    found = diff(before, day, after, other)
    if as_json:
        typer.echo(json.dumps(
            {"first": first, "on": day.isoformat(), "second": second or first, "and": other.isoformat(),
             "differences": [_difference(each) for each in found]}, ensure_ascii=False, indent=1,
        ))  # fmt: skip
        return
    if not found:
        typer.echo("no difference" if language == "en" else "无差异")
        return
    what, change_word, source_word = (
        ("what", "change", "source") if language == "en" else ("项目", "变化", "来源")
    )
    table = Table(what, f"{day}", f"{other}", change_word, source_word, box=None, pad_edge=False)
    for each in found:
        change = "" if each.change is None else f"{each.change:+,}"
        source = each.after.source or each.after.why
        table.add_row(escape(each.key), _held(each.before), _held(each.after), change, escape(source))
    Console().print(table)


def impact(
    table: Annotated[
        Path, typer.Argument(help="The question, TOML; its CSV tables lie beside it.", show_default=False)
    ],
    language: Words = "en",
    as_json: AsJson = False,
) -> None:
    """Look at what a decision does to the fund: impact, redline, stresses, solvency. Nothing is proposed.

    Example: fedvalue payment impact impact.toml
    """
    print_impact(table, language, as_json=as_json)


def _under(file: str, folder: Path | None, overlays: list[Path]) -> tuple[Parameters, str]:
    read = parameter_file.read(file, folder)
    content = read.content
    for path in overlays:
        content = overlay.lay(overlay.read(path)[0], content)
    return content, read.version


def _any(name: str, folder: Path | None, overlays: list[Path]) -> dict[str, Parameter]:
    """Read parameters or a standard, by name or as a file."""
    if name.endswith((".yaml", ".yml")):
        raw = documents.read_bytes(Path(name), PaymentError)
        if load_yaml(raw, where=name).get("format") == "fedvalue.standard/1":
            return _standard(standard_file.parse(raw, where=name), overlays)
        content = parameter_file.parse(raw, where=name).content
        for path in overlays:
            content = overlay.lay(overlay.read(path)[0], content)
        return view(content)
    if folder is None and name not in parameter_file.example_names():
        return _standard(standard_file.read(name), overlays)
    return view(_under(name, folder, overlays)[0])


def _standard(file: standard_file.StandardFile, overlays: list[Path]) -> dict[str, Parameter]:
    if overlays:
        raise PaymentError(
            "a reform is laid over parameters, not over a standard", where=file.standard.name,
            do="a standard changes by decision and approval",
        )  # fmt: skip
    return view(file.standard)


def _plain(content: Parameters, key: str, on: date, *, strict: bool) -> dict[str, str | None]:
    """One value as JSON; where a whole file is shown, a parameter without a value says why."""
    held = diff({}, on, {key: content.parameters[key]}, on)
    after = held[0].after if held else None
    if strict or after is None:
        value = content.on(key, on)
        return {"amount": str(value.amount), "unit": content.parameters[key].unit,
                "starts": value.starts.isoformat(), "source": value.source.title,
                "source_status": value.source.status, "why": None}  # fmt: skip
    return {"amount": None if after.amount is None else str(after.amount), "unit": after.unit,
            "starts": None if after.starts is None else after.starts.isoformat(),
            "source": after.source or None, "why": after.why or None}  # fmt: skip


def _held(held: Held) -> str:
    return escape(held.why) if held.amount is None else f"{held.amount:,} {held.unit}"


def _difference(found: Difference) -> dict[str, object]:
    def side(held: Held) -> dict[str, object]:
        return {
            "amount": None if held.amount is None else str(held.amount), "unit": held.unit,
            "starts": None if held.starts is None else held.starts.isoformat(),
            "source": held.source, "why": held.why,
        }  # fmt: skip

    return {"key": found.key, "before": side(found.before), "after": side(found.after),
            "change": None if found.change is None else str(found.change)}  # fmt: skip
