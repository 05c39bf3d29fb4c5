"""The commands about models: from a training to an evaluation, from an evaluation to a package."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from fedvalue.analyses.estimate import Stratum
from fedvalue.errors import EvidenceError, OutputError
from fedvalue.evidence import documents, sealing
from fedvalue.payment.model_gate import gate_of, terms_of
from fedvalue.payment.risk_coefficients import RiskCoefficients, risk_coefficients
from fedvalue.strategies.training.package import making
from fedvalue.strategies.training.package.about import load_about
from fedvalue.strategies.training.package.audit import load_audit
from fedvalue.strategies.training.package.document import (
    DOCUMENT,
    ONNX,
    Check,
    ModelPackage,
    checked,
    seal,
)
from fedvalue.study.keys import load_key, make_key, write_new
from fedvalue.study.questions.model_evaluation import ModelEvaluation

app = typer.Typer(no_args_is_help=True, help="Models: evaluate, pack, read, verify.")

Evidence = Annotated[Path, typer.Argument(help="An evidence package, JSON.", show_default=False)]
Package = Annotated[
    Path, typer.Argument(help="A model package: its folder or model.json.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Analysis = Annotated[str, typer.Option(help="Label of the evaluation, where there are several.")]


@app.command()
def question(
    evidence: Evidence,
    outcome: Annotated[str, typer.Option(help="The binary endpoint that the model predicts.")],
    model: Annotated[str, typer.Option(help="Name of the training, where there are several.")] = "",
    by: Annotated[list[str] | None, typer.Option(help="A protected attribute; repeat it.")] = None,
    recalibrated: Annotated[
        bool,
        typer.Option(
            "--recalibrated",
            help="The evidence is of an evaluation: its model, slope and intercept put right.",
        ),
    ] = False,
    analysis: Analysis = "",
) -> None:
    """Print the lines of a study file that evaluate what a study trained, the model's numbers among them.

    With --recalibrated, of the model that a study evaluated, its slope and intercept put right: another
    model, which costs no privacy and is to be evaluated anew.

    Example: fedvalue model question training/evidence.json --outcome response_6m --by sex
    """
    package = sealing.load(evidence)
    sealing.check(package)
    if recalibrated:
        better = making.recalibrated(package, analysis)
        typer.echo(making.stanza(better, outcome=outcome, by=by or ()), nl=False)
        return
    found = making.trained_models(package)
    if (not model and len(found) != 1) or (model and model not in found):
        raise EvidenceError(
            f"the study trained {sorted(found)}", where=str(evidence), do="name one of them with --model"
        )
    chosen = found[model] if model else next(iter(found.values()))
    typer.echo(making.stanza(chosen, outcome=outcome, by=by or ()), nl=False)


@app.command()
def make(
    evidence: Evidence,
    about: Annotated[Path, typer.Option(help="What people say of the model, TOML: docs/training.md.")],
    key: Annotated[
        Path, typer.Option(help="The coordinator's Ed25519 key, which signs; made if it is not there.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for model.json and model.onnx.")],
    trained: Annotated[
        Path | None, typer.Option(help="Evidence of the training; it must lead to the same numbers.")
    ] = None,
    audit: Annotated[
        Path | None,
        typer.Option(help="Attacks on its way of training, JSON: docs/evidence/canary.json. With --trained."),
    ] = None,
    analysis: Analysis = "",
) -> None:
    """Make the signed package of a model from the evidence of its evaluation.

    Example: fedvalue model make evidence.json --about about.toml --key coordinator.pem --out model
    """
    made = making.make(
        sealing.load(evidence), load_about(about), datetime.now(UTC),
        training=None if trained is None else sealing.load(trained),
        audit=None if audit is None else load_audit(audit), label=analysis,
    )  # fmt: skip
    package = seal(made.body, load_key(key) if key.exists() else make_key(key))
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the folder cannot be made: {error.strerror}", where=str(out)) from error
    if made.onnx is not None:
        write_new(out / ONNX, made.onnx, mode=0o644, what="the ONNX file")
    documents.write(package, out / DOCUMENT)
    typer.echo(f"wrote {out / DOCUMENT}: {package.model_id}")
    if made.onnx is None:
        typer.echo("no ONNX file: the package onnx is not installed (the extra train brings it)")


@app.command()
def verify(
    package: Package,
    coordinator: Annotated[
        str | None, typer.Option(help="Public key (64 hex digits) that must have signed it.")
    ] = None,
    evidence: Annotated[
        list[Path] | None, typer.Option(help="Evidence that it names; every link of it is checked too.")
    ] = None,
) -> None:
    """Check a package's identity, signatures and ONNX file; with evidence, that it says what was measured.

    Example: fedvalue model verify model --evidence evidence.json
    """
    found = checked(package, public_key=coordinator)
    typer.echo(f"ok  identity         {found.model_id}")
    typer.echo(f"ok  signatures       {len(found.signatures)}")
    beside = (package if package.is_dir() else package.parent) / ONNX
    if found.onnx is not None:
        there = "is the one that was signed" if beside.exists() else "is not beside the package: not checked"
        typer.echo(f"{'ok  ' if beside.exists() else '--  '}ONNX file        {there}")
    for path in evidence or []:
        making.require_measured(found, sealing.load(path))
        typer.echo(f"ok  evidence         {path.name} says what the package says")
    named = ", ".join(spent.evidence_id for spent in found.spent)
    if not evidence:
        typer.echo(f"--  evidence         not given: {named}")


@app.command()
def show(package: Package, as_json: AsJson = False) -> None:
    """Print what a package says, after its identity and signatures were checked.

    Example: fedvalue model show model
    """
    found = checked(package)
    if as_json:
        typer.echo(json.dumps(documents.content(found), ensure_ascii=False, indent=1))
        return
    for name, text in _summary(found):
        typer.echo(f"{name:<14}{text}")


@app.command()
def coefficients(
    evidence: Evidence,
    analysis: Analysis = "",
    between_sd: Annotated[
        float | None, typer.Option(help="How much cells truly differ; left out, it is estimated.")
    ] = None,
    justification: Annotated[str, typer.Option(help="Why genes may raise a price, in writing.")] = "",
    as_json: AsJson = False,
) -> None:
    """Print risk coefficients by cell: averaging 1, shrunk by credibility, only behind gates that are met.

    Example: fedvalue model coefficients evidence.json --between-sd 0.2
    """
    package = sealing.load(evidence)
    sealing.check(package)
    study = sealing.embedded_study(package)
    conclusions = [
        one for one in package.conclusions if one.kind == "model_evaluation" and analysis in ("", one.label)
    ]
    if len(conclusions) != 1:
        raise EvidenceError(
            f"{len(conclusions)} evaluations fit", where=str(evidence),
            do=f"name one with --analysis: {[one.label for one in conclusions]}",
        )  # fmt: skip
    asked = [
        one
        for one in study.analyses
        if isinstance(one, ModelEvaluation) and one.outcome == conclusions[0].endpoint
    ]
    genomic = sorted(
        {
            n
            for one in asked
            for n in (*one.read, *one.cells)
            if n in study.variables and study.variables[n].genes
        }
    )
    gate = gate_of(conclusions[0], package.evidence_id, terms_of())
    found = risk_coefficients(
        conclusions[0], gate, between_sd=between_sd, genomic=tuple(genomic), justification=justification
    )
    if as_json:
        typer.echo(json.dumps(_as_json(found), ensure_ascii=False, indent=1))
        return
    how = "estimated from the cells" if found.estimated else "given"
    typer.echo(f"{'tau':<40}{found.between_sd:.4f} ({how})")
    for cell in found.cells:
        clamped = "  at the clamp" if cell.clamped else ""
        typer.echo(
            f"{cell.cell:<40}{float(cell.value):.6f}  raw {cell.raw.value:.4f}, credibility "
            f"{cell.credibility:.3f}, {cell.people} people{clamped}"
        )


def _as_json(found: RiskCoefficients) -> dict[str, object]:
    return {
        "between_sd": found.between_sd,
        "estimated": found.estimated,
        "cells": [
            {
                "cell": cell.cell,
                "people": cell.people,
                "coefficient": round(float(cell.value), 9),
                "raw": cell.raw.value,
                "sampling_variance": cell.raw.sampling_variance,
                "privacy_variance": cell.raw.privacy_variance,
                "credibility": cell.credibility,
                "clamped": cell.clamped,
            }
            for cell in found.cells
        ],
    }


def _summary(package: ModelPackage) -> list[tuple[str, str]]:
    lines = [
        ("model", f"{package.name} {package.model_id}" + ("  SIMULATION" if package.simulation else "")),
        ("unsafe", ", ".join(package.unsafe) or "nothing"),
        ("title", package.title.read("en")),
        ("purpose", package.purpose.en),
        ("predicts", package.outcome_name),
        ("reads", ", ".join(package.model.variables)),
    ]
    lines += [("limit", limit.en) for limit in package.limits]
    for spent in package.spent:
        cost = (
            "no promise" if spent.epsilon is None else f"epsilon {spent.epsilon:.3g} at delta {spent.delta:g}"
        )
        lines.append(
            (spent.purpose, f"{spent.study_id}: {cost}, {len(spent.sites)} sites, {spent.evidence_id}")
        )
    for conclusion in package.evaluations:
        lines.append(("evaluation", conclusion.label))
        lines += [("", f"  {line}") for stratum in conclusion.strata for line in _measured(stratum)]
    for gated in package.gates:
        lines.append(("gates", gated.outcome.replace("_", " ")))
        lines += [("", f"  {name}: {verdict.replace('_', ' ')}") for name, verdict in gated.judged.items()]
        lines += [("", f"  {name}: not assessed") for name in gated.small]
        lines += [("", f"  not reported: {name}") for name in gated.missing]
    for attack in ("membership_inference", "canary"):
        found = [one for one in package.checks if one.attack == attack and one.value is not None]
        said = [_attacked(one) for one in found] or ["not audited"]
        lines += [(attack.replace("_", " ")[:13], one) for one in said]
    return lines


def _attacked(check: Check) -> str:
    shown = "" if check.epsilon_at_least is None else f", epsilon at least {check.epsilon_at_least:.2f}"
    promised = "" if check.epsilon is None else f" of a promised {check.epsilon:g}"
    whose = "the way it was trained" if check.of == "method" else "the model"
    source = f", {check.source}" if check.source else ""
    return f"{whose}: {check.value or 0:.3f} beyond guessing{shown}{promised}, by {check.command}{source}"


def _measured(stratum: Stratum) -> list[str]:
    if stratum.status != "estimated":
        return [f"{stratum.name}: not assessed"]
    found = []
    for name, one in stratum.estimates.items():
        ends = "" if one.lower is None or one.upper is None else f" ({one.lower:.4g} to {one.upper:.4g})"
        found.append(f"{stratum.name}: {name} {one.value:.4g}{ends}")
    return found
