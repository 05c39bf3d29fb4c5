"""The auditor's commands on evidence: verify and show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from fedvalue.analyses.estimate import Stratum
from fedvalue.errors import EvidenceError
from fedvalue.evidence import documents, sealing, tables
from fedvalue.evidence.chain import Following, verify_chain
from fedvalue.evidence.display import banded, promises
from fedvalue.evidence.package import FORMAT, EvidencePackage
from fedvalue.study import file as study_file
from fedvalue.study.schema import Study

app = typer.Typer(no_args_is_help=True, help="Show and verify evidence packages.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@app.command()
def verify(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="A result folder, or files: evidence, decision and proposal (JSON), study (TOML), "
            "standard (YAML).",
            show_default=False,
        ),
    ],
    coordinator: Annotated[
        str | None, typer.Option(help="Public key (64 hex digits) that must have signed the evidence.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check every link from the study to the decision; the first that does not hold is named.

    The plan and the conclusions are computed again from the study, the roster and the released sums.
    Decisions, proposals, the study file and the standard are checked where they are given. Exit status 8:
    a link is broken; 2: a signature does not match.

    Example: fedvalue evidence verify out/demo
    """
    package, study, following = _sorted_out(_files(paths))
    links = verify_chain(package, study=study, following=following, coordinator_key=coordinator)
    if as_json:
        typer.echo(
            json.dumps(
                {"holds": True, "links": [{"name": link.name, "text": link.text} for link in links]},
                ensure_ascii=False,
                indent=1,
            )
        )
        return
    for link in links:
        typer.echo(f"ok  {link.name:<16} {link.text}")
    unsafe = ", ".join(package.unsafe)
    if package.simulation or unsafe:
        typer.echo(
            "note: "
            + ("a simulation; " if package.simulation else "")
            + f"protection lowered: {unsafe or 'no'}"
        )


@app.command()
def show(
    evidence: Annotated[Path, typer.Argument(help="An evidence package, JSON.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Print what a package says, after its identity and signatures were checked."""
    package = sealing.load(evidence)
    sealing.check(package)
    if as_json:
        typer.echo(json.dumps(documents.content(package), ensure_ascii=False, indent=1))
        return
    for name, text in _summary(package):
        typer.echo(f"{name:<14}{text}")


@app.command()
def export(
    evidence: Annotated[Path, typer.Argument(help="An evidence package, JSON.", show_default=False)],
    out: Annotated[
        Path,
        typer.Option(help="Folder for the tables; files of their names are replaced.", show_default=False),
    ],
    form: Annotated[
        tables.Format, typer.Option("--format", help="csv: a file for each table; json: one file.")
    ] = "csv",
) -> None:
    """Write every estimate, released number and line as tables, after identity and signatures were checked.

    Example: fedvalue evidence export out/demo/evidence.json --out out/tables
    """
    package = sealing.load(evidence)
    sealing.check(package)
    for path in tables.export(package, out, form):
        typer.echo(f"wrote {path}")


def _summary(package: EvidencePackage) -> list[tuple[str, str]]:
    study, numbers = sealing.embedded_study(package), package.federation
    lines = [
        ("evidence", package.evidence_id + ("  SIMULATION" if package.simulation else "")),
        ("unsafe", ", ".join(package.unsafe) or "nothing"),
        ("study", f"{study.study.title.read('en')} ({package.study_id})"),
        ("question", study.study.question.read("en")),
        ("in force", f"{package.valid_from} to {package.valid_to}"),
        ("sites", f"{numbers.n}, of which {numbers.t} must answer and {numbers.c} may collude"),
        *_epsilons(package),
    ]
    for conclusion in package.conclusions:
        lines.append(("analysis", conclusion.label))
        for stratum in conclusion.strata:
            lines.append(("", f"  {stratum.name}: {stratum.status.replace('_', ' ')}{_why(stratum)}"))
            if stratum.released.keys() >= {"success", "failure", "missing"}:
                total = sum(stratum.released[cell].value for cell in ("success", "failure", "missing"))
                lines[-1] = ("", f"{lines[-1][1]}, {banded(total)} patients")
            for name, one in stratum.estimates.items():
                interval = (
                    "" if one.lower is None or one.upper is None else f" ({one.lower:.4g} to {one.upper:.4g})"
                )
                lines.append(("", f"    {name} {one.value:.4g} {one.unit}{interval}"))
    return lines


def _why(stratum: Stratum) -> str:
    """Why there is no estimate, and what would do."""
    would = []
    if stratum.remedy is not None and stratum.remedy.epsilon is not None:
        would.append(f"a study epsilon of {stratum.remedy.epsilon:.3g}")
    if stratum.remedy is not None and stratum.remedy.patients is not None:
        would.append(f"{stratum.remedy.patients:.0f} patients")
    reason = f" ({stratum.reason})" if stratum.reason else ""
    return reason + (f"; {' or '.join(would)} would do" if would else "")


def _epsilons(package: EvidencePackage) -> list[tuple[str, str]]:
    """The three epsilons, in a small federation that against all other sites first."""
    if package.privacy.epsilon_own_share is None:
        return [("epsilon", "no promise")]
    told = {
        "own_share": "against the coordinator and all {n} other sites (a site's own noise alone)",
        "promised": "against the coordinator and {n} colluding site(s)",
        "no_collusion": "against the coordinator alone",
    }
    if "clear_sum" in package.unsafe:
        told["own_share"] = "against the coordinator, which saw each site's share (clear sum)"
        told |= {key: f"{told[key]}, had the sum been private" for key in ("promised", "no_collusion")}
    lines = [
        f"{promise.epsilon or 0.0:.3g} {told[promise.against].format(n=promise.colluding)}"
        for promise in promises(package)
    ]
    return [
        ("epsilon", f"{lines[0]}, at delta {package.privacy.delta:g}"),
        *(("", line) for line in lines[1:]),
    ]


def _files(paths: list[Path]) -> list[Path]:
    found = []
    for path in paths:
        if path.is_dir():
            found += sorted(p for p in path.iterdir() if p.suffix == ".json" and p.is_file())
        else:
            found.append(path)
    return found


def _sorted_out(paths: list[Path]) -> tuple[EvidencePackage, Study | None, Following]:
    """Tell the documents apart by what they say they are; JSON files of other programs are passed over."""
    packages: list[EvidencePackage] = []
    study: Study | None = None
    decisions: list[dict[str, Any]] = []
    proposals: list[dict[str, Any]] = []
    standards: list[bytes] = []
    for path in paths:
        if path.suffix == ".toml":
            study = study_file.load(path)
            continue
        raw = documents.read_bytes(path)
        if path.suffix in (".yaml", ".yml"):
            standards.append(raw)
            continue
        document = documents.parse_json(raw, where=str(path))
        match document.get("format"):
            case format_ if format_ == FORMAT:
                packages.append(documents.parse(EvidencePackage, raw, where=str(path)))
            case "fedvalue.decision/1":
                decisions.append(document)
            case "fedvalue.proposal/1":
                proposals.append(document)
    if len(packages) != 1:
        raise EvidenceError(
            f"{len(packages)} evidence packages are given",
            where=", ".join(str(path) for path in paths[:5]) or "the folder is empty",
            do="give one package, or one result folder",
        )
    return packages[0], study, Following(tuple(decisions), tuple(proposals), tuple(standards))
