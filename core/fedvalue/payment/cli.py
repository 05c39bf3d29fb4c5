"""The payer's commands: decide, propose, approve, replay; others in `cli_history` and `cli_parameters`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedvalue.errors import OutputError, PaymentError
from fedvalue.evidence import documents, sealing
from fedvalue.payment import cli_history, cli_parameters, cli_value, held, standard_file
from fedvalue.payment import proposal as proposals
from fedvalue.payment.cli_decision import decision_lines, print_lines, proposal_lines
from fedvalue.payment.cli_history import AsJson, Day, Standards, Words, today
from fedvalue.payment.deciding import decide as decide_on
from fedvalue.payment.deciding import looks_of
from fedvalue.payment.decision import load_decision
from fedvalue.payment.held_signature import read_signed, signature_file, signed
from fedvalue.payment.replay import replay as make_again
from fedvalue.study.keys import load_key, make_key

app = typer.Typer(no_args_is_help=True, help="Decide, propose, approve and replay payment standards.")

Evidence = Annotated[Path, typer.Argument(help="The evidence package, JSON.", show_default=False)]
HeldFile = Annotated[
    Path | None,
    typer.Option("--held", help="The payer's own exact figures, YAML, for a standard that reads them."),
]
Key = Annotated[
    Path | None,
    typer.Option(help="The payer's Ed25519 key, made if it is not there; without it nothing is signed."),
]


@app.command()
def decide(
    evidence: Evidence,
    standard: Annotated[
        str | None, typer.Option(help="Name of the standard; without it, the one that the study names.")
    ] = None,
    standards: Standards = None,
    on: Day = None,
    key: Key = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for decision.json and, if something would change, proposal.json."),
    ] = None,
    coordinator: Annotated[
        str | None, typer.Option(help="Public key (64 hex digits) that must have signed the evidence.")
    ] = None,
    held_file: HeldFile = None,
    payer_key: Annotated[
        str | None,
        typer.Option(help="Public key (64 hex digits) that must have signed the payer's own figures."),
    ] = None,
    unsigned: Annotated[
        bool,
        typer.Option("--unsafe-unsigned-held", help="Take figures that nobody has signed."),
    ] = False,
    after: Annotated[
        Path | None,
        typer.Option(help="Rule D5: the decision of the look before this one; its looks count along."),
    ] = None,
    language: Words = "en",
    as_json: AsJson = False,
) -> None:
    """Answer a standard's question from evidence: met, not met, or insufficient evidence.

    A decision changes nothing. Signed with --key it also writes a proposal, which people approve or leave.
    Insufficient evidence is an answer (exit status 0): it keeps the current standard and says what would do.
    Exit status 8: the evidence does not hold; 9: standard, figures and evidence do not fit.

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
    proposals.check_approvals(file)
    statement = (
        None if held_file is None else read_signed(held_file, public_key=payer_key, unsafe_unsigned=unsigned)
    )
    looks = () if after is None else looks_of(load_decision(after), file)
    decision = decide_on(
        package, file, today(on), key=signer, coordinator_key=coordinator, held=statement, looks=looks
    )
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
    print_lines(decision_lines(decision, language, file.standard))
    for path in written:
        typer.echo(f"wrote {path}")


@app.command()
def propose(
    document: Annotated[
        Path, typer.Argument(help="A signed decision, or with --as a proposal, JSON.", show_default=False)
    ],
    key: Annotated[Path, typer.Option(help="The Ed25519 key of who signs.", show_default=False)],
    role: Annotated[
        str | None,
        typer.Option(
            "--as", help="Sign an existing proposal in a role that it needs, such as clinical_committee."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where to write it; without it, proposal.json beside the document.")
    ] = None,
    language: Words = "en",
    as_json: AsJson = False,
) -> None:
    """Write the proposal of a signed decision, or add a signature that the proposal needs.

    It holds the standard before and after, the evidence, the rule, the probability, the money and the open
    biases, and changes nothing until it is approved. A decision that keeps the standard proposes nothing:
    that is said, with exit status 0.

    Example: fedvalue payment propose decided/decision.json --key payer.pem
    """
    if role is not None:
        made = proposals.countersign(proposals.load_proposal(document), load_key(key), role)
    else:
        found = proposals.propose(load_decision(document), load_key(key))
        if found is None:
            keeps = {
                "en": "the current standard is kept: there is nothing to propose",
                "zh": "维持现行标准，无可建议",
            }
            typer.echo(json.dumps({"proposal": None}) if as_json else keeps[language])
            return
        made = found
    target = out or document.with_name("proposal.json")
    documents.write(made, target)
    if as_json:
        typer.echo(json.dumps(documents.content(made), ensure_ascii=False, indent=1))
        return
    print_lines(proposal_lines(made, language))
    typer.echo(f"wrote {target}")


@app.command()
def approve(
    proposal: Annotated[Path, typer.Argument(help="The proposal, JSON.", show_default=False)],
    standards: Annotated[Path, typer.Option(help="Folder of your payment standards.", show_default=False)],
    key: Annotated[Path, typer.Option(help="The approver's Ed25519 key.", show_default=False)],
    on: Day = None,
    unsafe_simulation: Annotated[
        bool, typer.Option("--unsafe-simulation", help="Accept simulated evidence; the value stays marked.")
    ] = False,
    language: Words = "en",
    as_json: AsJson = False,
) -> None:
    """Append a proposal's values to the standard, with the evidence as source and your signature.

    History is added, never edited: what stood in the file stays. If the standard changed since the decision,
    the approval is refused; decide again. Exit status 9: refused, and the message says why.

    Example: fedvalue payment approve out/demo/proposal.json --standards standards --key payer.pem
    """
    read = proposals.load_proposal(proposal)
    approved = proposals.approve(
        read, standards, load_key(key), on=today(on), unsafe_simulation=unsafe_simulation
    )
    if as_json:
        typer.echo(json.dumps(approved.model_dump(mode="json"), ensure_ascii=False, indent=1))
        return
    begins = "from" if language == "en" else "自"
    for name, amount in approved.values.items():
        typer.echo(f"{read.standard}: {name} = {amount} {read.units[name]} {begins} {approved.starts}")
    source, simulated = (
        ("source: evidence", " (simulation)") if language == "en" else ("来源：证据", "（模拟）")
    )
    typer.echo(f"{source} {approved.evidence_id}" + (simulated if approved.simulation else ""))


@app.command()
def replay(
    decision: Annotated[Path, typer.Argument(help="The decision, JSON.", show_default=False)],
    evidence: Evidence,
    standards: Standards = None,
    held_file: HeldFile = None,
    language: Words = "en",
    as_json: AsJson = False,
) -> None:
    """Make a decision again from its evidence and its version of the standard, and compare bit for bit.

    Exit status 9: it differs, and the message says in what.

    Example: fedvalue payment replay out/demo/decision.json out/demo/evidence.json
    """
    made = load_decision(decision)
    statement = None if held_file is None else held.read(held_file)
    again = make_again(made, sealing.load(evidence), standard_file.read(made.standard, standards), statement)
    if as_json:
        typer.echo(json.dumps({"same": True, "decision_id": again.decision_id, "outcome": again.outcome}))
        return
    if language == "zh":
        outcome = {"met": "达标", "not_met": "未达标", "insufficient_evidence": "证据不足"}[again.outcome]
        typer.echo(f"一致：{again.decision_id} 为{outcome}，逐位相同")
        return
    typer.echo(f"same: {again.decision_id} is {again.outcome.replace('_', ' ')}, bit for bit")


@app.command("sign-held")
def sign_held(
    figures: Annotated[Path, typer.Argument(help="The payer's own exact figures, YAML.", show_default=False)],
    key: Annotated[Path, typer.Option(help="The payer's Ed25519 key.", show_default=False)],
    name: Annotated[str, typer.Option(help="Who signs.", show_default=False)],
) -> None:
    """Sign figures that were written by hand; `fedvalue site held` signs those of a payer's own records.

    The signature goes beside the file, .sig. `payment decide --held` reads no figures without it.

    Example: fedvalue payment sign-held held.yaml --key payer.pem --name "Insurance bureau"
    """
    raw = documents.read_bytes(figures, PaymentError)
    held.parse(raw, where=str(figures))
    place = signature_file(figures)
    try:
        place.write_bytes(signed(raw, load_key(key), name))
    except OSError as error:
        raise OutputError(f"the signature cannot be written: {error.strerror}", where=str(place)) from error
    typer.echo(f"wrote {place}")


app.command("history")(cli_history.history)
app.command("show")(cli_history.show)
app.command("diff")(cli_parameters.compare)
app.command("impact")(cli_parameters.impact)
app.command("value")(cli_value.value)


def _signer(key: Path) -> Ed25519PrivateKey:
    """Read the payer's key, or make it where there is none."""
    return load_key(key) if key.exists() else make_key(key)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot be made: {error.strerror}", where=str(folder)) from error
