"""The payer's commands: decide, approve, history, show, replay; diff and impact in `cli_parameters`."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.console import Console
from rich.table import Table

from fedvalue.errors import OutputError, PaymentError
from fedvalue.evidence import documents, sealing
from fedvalue.payment import cli_parameters, parameter_file, standard_file
from fedvalue.payment import proposal as proposals
from fedvalue.payment.deciding import decide as decide_on
from fedvalue.payment.decision import Decision, load_decision
from fedvalue.payment.replay import replay as make_again
from fedvalue.study.keys import load_key, make_key

app = typer.Typer(no_args_is_help=True, help="Decide, approve and replay payment standards.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Standards = Annotated[
    Path | None,
    typer.Option(help="Folder of payment standards; without it, the examples that come with FedValue."),
]
Day = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The day, YYYY-MM-DD; without it, today (UTC).")
]
Evidence = Annotated[Path, typer.Argument(help="The evidence package, JSON.", show_default=False)]
Name = Annotated[
    str, typer.Argument(help="Name of a standard, such as lung/egfr_tki_outcome_linked.", show_default=False)
]


@app.command()
def decide(
    evidence: Evidence,
    standard: Annotated[
        str | None, typer.Option(help="Name of the standard; without it, the one that the study names.")
    ] = None,
    standards: Standards = None,
    on: Day = None,
    key: Annotated[
        Path | None,
        typer.Option(help="The payer's Ed25519 key, made if it is not there; without it nothing is signed."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for decision.json and, if something would change, proposal.json."),
    ] = None,
    coordinator: Annotated[
        str | None, typer.Option(help="Public key (64 hex digits) that must have signed the evidence.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Answer a standard's question from evidence: met, not met, or insufficient evidence.

    A decision changes nothing. Signed with --key it also writes a proposal, which people approve or leave.
    Insufficient evidence is an answer (exit status 0): it keeps the current standard and says what would do.

    Example: fedvalue payment decide out/demo/evidence.json --on 2026-12-01
    """
    package = sealing.load(evidence)
    sealing.check(package)
    study = sealing.embedded_study(package)
    name = standard or next((payment.standard for payment in study.payments), None)
    if name is None:
        raise PaymentError(
            "the study moves no payment standard", where=str(evidence), do="name one with --standard"
        )
    signer = None if key is None else _signer(key)
    file = standard_file.read(name, standards)
    decision = decide_on(package, file, _day(on), key=signer, coordinator_key=coordinator)
    written = [] if out is None else [out / "decision.json"]
    proposal = None if signer is None else proposals.propose(decision, signer)
    if out is not None:
        _make(out)
        documents.write(decision, out / "decision.json")
        if proposal is not None:
            documents.write(proposal, out / "proposal.json")
            written.append(out / "proposal.json")
    if as_json:
        typer.echo(json.dumps(documents.content(decision), ensure_ascii=False, indent=1))
        return
    _print_decision(decision)
    for path in written:
        typer.echo(f"wrote {path}")


def _signer(key: Path) -> Ed25519PrivateKey:
    """Read the payer's key, or make it where there is none."""
    return load_key(key) if key.exists() else make_key(key)


@app.command()
def approve(
    proposal: Annotated[Path, typer.Argument(help="The proposal, JSON.", show_default=False)],
    standards: Annotated[Path, typer.Option(help="Folder of your payment standards.", show_default=False)],
    key: Annotated[Path, typer.Option(help="The approver's Ed25519 key.", show_default=False)],
    on: Day = None,
    unsafe_simulation: Annotated[
        bool, typer.Option("--unsafe-simulation", help="Accept simulated evidence; the value stays marked.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Append a proposal's values to the standard, with the evidence as source and your signature.

    History is added, never edited: what stood in the file stays. If the standard changed since the decision,
    the approval is refused; decide again.

    Example: fedvalue payment approve out/demo/proposal.json --standards standards --key payer.pem
    """
    read = proposals.load_proposal(proposal)
    approved = proposals.approve(
        read, standards, load_key(key), on=_day(on), unsafe_simulation=unsafe_simulation
    )
    if as_json:
        typer.echo(json.dumps(approved.model_dump(mode="json"), ensure_ascii=False, indent=1))
        return
    for name, amount in approved.values.items():
        typer.echo(f"{read.standard}: {name} = {amount} {read.units[name]} from {approved.starts}")
    typer.echo(f"source: evidence {approved.evidence_id}" + (" (simulation)" if approved.simulation else ""))


@app.command()
def history(
    name: Name,
    standards: Standards = None,
    trusted: Annotated[
        list[str] | None, typer.Option(help="Public key of an approver; repeat it for several.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print every dated value of a standard with its source, after all approvals were checked.

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
        keys = ("group", "name", "starts", "amount", "unit", "source")
        plain = [
            dict(
                zip(
                    keys,
                    (g, n, s.isoformat(), None if a is None else str(a), u, src.model_dump(mode="json")),
                    strict=True,
                )
            )
            for g, n, s, a, u, src in rows
        ]
        typer.echo(
            json.dumps(
                {"standard": name, "version": file.version, "values": plain}, ensure_ascii=False, indent=1
            )
        )
        return
    table = Table("what", "from", "amount", "unit", "source", box=None, pad_edge=False)
    for _, parameter, starts, amount, unit, source in rows:
        shown = "repealed" if amount is None else f"{amount:,}"
        table.add_row(
            parameter, str(starts), shown, unit, f"{source.title} [{source.status}]".replace("[", "\\[")
        )
    Console().print(table)
    typer.echo(f"{name}, {file.standard.status}, version {file.version}")


@app.command()
def show(
    name: Annotated[
        str,
        typer.Argument(help="A standard, or parameters such as fund/redline.max_growth.", show_default=False),
    ],
    standards: Standards = None,
    on: Day = None,
    parameters: cli_parameters.Folder = None,
    overlays: cli_parameters.Reforms = None,
    language: cli_parameters.Words = "en",
    as_json: AsJson = False,
) -> None:
    """Print what a standard pays, or a dated parameter, on one day.

    Example: fedvalue payment show lung/egfr_tki_outcome_linked --on 2026-03-01
    """
    day = _day(on)
    if parameters is not None or parameter_file.split(name)[0] in parameter_file.example_names():
        cli_parameters.show_parameter(
            name, on=day, folder=parameters, overlays=overlays or [], language=language, as_json=as_json
        )
        return
    file = standard_file.read(name, standards)
    values = file.standard.in_force(day)
    if as_json:
        plain = {key: value.model_dump(mode="json") for key, value in values.items()}
        typer.echo(
            json.dumps({"standard": name, "version": file.version, "on": day.isoformat(), "values": plain},
                       ensure_ascii=False, indent=1)
        )  # fmt: skip
        return
    typer.echo(f"{file.standard.title.read('en')} ({name}), {file.standard.status}, on {day}")
    for key, value in values.items():
        typer.echo(f"  {key:<22}{value.amount:>12,} {value.unit:<16} since {value.starts}: {value.source}")


@app.command()
def replay(
    decision: Annotated[Path, typer.Argument(help="The decision, JSON.", show_default=False)],
    evidence: Evidence,
    standards: Standards = None,
    as_json: AsJson = False,
) -> None:
    """Make a decision again from its evidence and its version of the standard, and compare bit for bit.

    Exit status 9: it differs, and the message says in what.

    Example: fedvalue payment replay out/demo/decision.json out/demo/evidence.json
    """
    made = load_decision(decision)
    again = make_again(made, sealing.load(evidence), standard_file.read(made.standard, standards))
    if as_json:
        typer.echo(json.dumps({"same": True, "decision_id": again.decision_id, "outcome": again.outcome}))
        return
    typer.echo(f"same: {again.decision_id} is {again.outcome.replace('_', ' ')}, bit for bit")


app.command("diff")(cli_parameters.compare)
app.command("impact")(cli_parameters.impact)


def _probability(value: float) -> str:
    """Show a probability to four decimals, and never one that is not certain as 0 or 1."""
    if 0 < value < 0.0001:
        return "below 0.0001"
    return "above 0.9999" if 0.9999 < value < 1 else f"{value:.4f}"


def _day(on: datetime | None) -> date:
    return datetime.now(UTC).date() if on is None else on.date()


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot be made: {error.strerror}", where=str(folder)) from error


def _print_decision(decision: Decision) -> None:
    found, lacking = decision.finding, decision.insufficient
    typer.echo(f"question     {decision.question.text.read('en')}")
    typer.echo(
        f"answer       {decision.outcome.replace('_', ' ').upper()}: {decision.action.replace('_', ' ')}"
    )
    sign = ">=" if decision.question.direction == "at_least" else "<="
    if found is not None:
        typer.echo(
            f"probability  P(share {sign} {decision.question.threshold}): {_probability(found.probability)}; "
            f"met from {decision.rule.p_met}, not met up to {decision.rule.p_not} (rule {decision.rule.name})"
        )
        typer.echo(
            f"share        {found.estimate:.3f} ({found.lower:.3f} to {found.upper:.3f}), "
            f"{found.patients_banded} patients; {found.privacy_share:.0%} of the variance is privacy noise"
        )
    for flow in decision.money:
        typer.echo(
            f"money        {flow.name}: {flow.before:,} -> {flow.after:,} {flow.currency} per patient "
            f"at most ({flow.change_per_100:+,} per 100), borne by {flow.bearer}"
        )
    if lacking is not None:
        typer.echo(f"why          {lacking.reason}: {lacking.text}")
        typer.echo(f"would do     {lacking.more_patients.text}")
        typer.echo(f"             {lacking.more_privacy.text}")
        typer.echo(
            f"next         review on {lacking.review_on}, sunset of the current standard {lacking.sunset}"
        )
    if decision.effective_from is not None:
        typer.echo(f"proposed     from {decision.effective_from}; appeal until {decision.appeal_until}")
    for sentence in decision.what_would_change:
        typer.echo(f"change       {sentence}")
    for warning in decision.warnings:
        typer.echo(f"note         {warning}")
