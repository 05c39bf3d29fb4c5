"""The Flower ServerApp: runs one study named in the run configuration, over whatever grid Flower gives.

Keys of the run configuration, all paths on the coordinator's machine: ``study`` (the study file, with its
``.sig`` beside it), ``roster`` (as the authority signed it), ``authority`` (the authority's certificate),
``revocations`` (its newest list), ``out`` (a folder for the results), ``key`` (the coordinator's key, made if
it is not there), ``standards`` (folder of payment standards; empty takes the examples), ``wait`` (seconds
to wait for sites), ``step`` (seconds that sites have for one answer), ``sessions`` (where sites may dial in
for streaming rounds, ``host:port`` or ``host:first-last``; empty for Flower's own grid alone), ``federation``
(the folder of ``fedvalue federation init``, whose certificate that port shows).
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp
from pydantic import ValidationError

from fedvalue.errors import FederationError, SignatureInvalid
from fedvalue.evidence import statements
from fedvalue.evidence.package import EvidencePackage
from fedvalue.operations import logs
from fedvalue.planning.plan import make_plan
from fedvalue.server.coordinator import Coordinator
from fedvalue.server.grids.invitation import Study
from fedvalue.server.results import write_results
from fedvalue.server.running import run_watched
from fedvalue.server.streaming import streaming
from fedvalue.server.watched import LINES
from fedvalue.study import file as study_file
from fedvalue.study.identity.clock import present
from fedvalue.study.identity.trust import Trust, load_trust
from fedvalue.study.keys import load_key, make_key
from fedvalue.study.schema import Study as StudyFile
from fedvalue.study.signature import Signature, verify

SYSLOG = "FEDVALUE_SYSLOG"
"""Environment variable: ``/dev/log`` or ``host:port`` that gets the coordinator's log lines too."""

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the study, and write evidence, decisions and report; log lines go to ``out/coordinator.log``."""
    settings = {key: str(value) for key, value in context.run_config.items()}
    with logs.writing(
        logs.Destinations(file=_path(settings, "out") / LINES, syslog=os.environ.get(SYSLOG, ""))
    ):
        _run(grid, settings)


def _run(grid: Grid, settings: dict[str, str]) -> None:
    study_path, out = _path(settings, "study"), _path(settings, "out")
    key_path = Path(settings["key"]) if settings.get("key") else out / "keys" / "coordinator.pem"
    study = study_file.load(study_path)
    trust = load_trust(_path(settings, "authority"), _path(settings, "revocations"), present())
    coordinator = Coordinator(
        study=study,
        roster=trust.roster(_path(settings, "roster"), present()),
        key=load_key(key_path) if key_path.exists() else make_key(key_path),
        study_signatures=(_signature(study_path, study_file.digest(study)),),
        wait_seconds=_seconds(settings, "wait", "60"),
        step_seconds=_seconds(settings, "step", "3600"),
        progress=_line,
        trust=trust,
    )
    office = Path(settings["federation"]) if settings.get("federation") else None
    with streaming(
        grid, _streamed(coordinator, trust), settings.get("sessions", ""), office, _line
    ) as chosen:
        run_watched(coordinator, chosen, out, partial(_keep, settings, study, out))


def _keep(settings: dict[str, str], study: StudyFile, out: Path, evidence: EvidencePackage) -> None:
    standards = Path(settings["standards"]) if settings.get("standards") else None
    results = write_results(study, evidence, out, key=None, standards=standards, now=evidence.created)
    for path in results.files:
        _line(f"wrote {path}", 1, 1)


def _streamed(coordinator: Coordinator, trust: Trust) -> Study:
    plan = make_plan(coordinator.study, coordinator.roster)
    return Study(
        plan.study_hash,
        plan.roster_hash,
        coordinator.roster,
        stands=lambda site: site not in trust.lapsed(coordinator.roster, present()),
    )


def _path(settings: dict[str, str], key: str) -> Path:
    value = settings.get(key)
    if not value:
        raise FederationError(
            f"the run configuration lacks {key!r}", where="flwr run", do=f"add --run-config '{key}=\"/path\"'"
        )
    return Path(value)


def _seconds(settings: dict[str, str], key: str, usual: str) -> float:
    value = settings.get(key) or usual
    try:
        return float(value)
    except ValueError as error:
        raise FederationError(
            f"{key!r} is {value!r}, which is no number of seconds", where="flwr run", do=f"give {key}={usual}"
        ) from error


def _signature(study: Path, study_hash: str) -> Signature:
    path = study.with_name(study.name + ".sig")
    try:
        signature = Signature.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise SignatureInvalid(
            "the study is not signed", where=str(path), do="run `fedvalue study sign`"
        ) from error
    if signature.role != "study":
        raise SignatureInvalid("the signature is not one of a study", where=str(path))
    verify(statements.study_statement(study_hash), signature, where=str(path))
    return signature


def _line(text: str, done: int, total: int) -> None:
    """Progress as plain lines, which Flower passes on to whoever streams the run."""
    print(f"{text} ({done}/{total})", flush=True)  # noqa: T201 - the log of a Flower run is its output
