"""Run a study over simulated hospitals: from their raw tables to evidence, decision and report."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from fedvalue.client.app import SITE_HOME, make_app
from fedvalue.client.home import Clock, system_clock, write_atomically
from fedvalue.client.node import SiteNode
from fedvalue.evidence import statements
from fedvalue.evidence.package import EvidencePackage
from fedvalue.planning.concluding import quiet
from fedvalue.server.coordinator import Coordinator
from fedvalue.server.enrolment import Progress
from fedvalue.server.grids.local import LocalGrid, LocalNode, run_server_app
from fedvalue.server.reports.wording import Language
from fedvalue.server.results import Results, write_results
from fedvalue.simulation.federation import SimulatedFederation, fresh_folder, make_federation
from fedvalue.simulation.sources import PooledTable, SiteFolders
from fedvalue.study import file as study_file
from fedvalue.study.keys import make_key
from fedvalue.study.schema import Study
from fedvalue.study.signature import sign

FIRST_NODE = 2
"""Flower's own node is 1; sites are numbered from here, in the roster's order."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """What a simulation leaves.

    Attributes:
      evidence: The sealed evidence, stamped as a simulation.
      federation: The simulated sites and their homes.
      results: The decisions, and where everything was written.
    """

    evidence: EvidencePackage
    federation: SimulatedFederation
    results: Results


def run(
    study: Path | str | Study,
    sources: SiteFolders | PooledTable,
    *,
    out: Path | str,
    unsafe_no_noise: bool = False,
    unsafe_clear_sum: bool = False,
    standards: Path | None = None,
    day: date | None = None,
    language: Language = "both",
    progress: Progress = quiet,
) -> Simulation:
    """Run a study over simulated hospitals.

    Args:
      study: A study, or the path of its file.
      sources: Where the hospitals' raw tables are.
      out: Folder for everything; an earlier simulation there is replaced, anything else is refused.
      unsafe_no_noise: Turn noise, clipping to the budget and minimum sizes off; the report says so.
      unsafe_clear_sum: Let each hospital's share travel in clear instead of the private sum: for comparison.
      standards: Folder of payment standards; None takes the examples that ship with FedValue.
      day: The day on which the simulation takes place; None takes today.
      language: Of the report: ``en``, ``zh`` or ``both``.
      progress: Told what is going on.

    Returns:
      The evidence, the decisions, and where they were written. Privacy noise and keys always come from the
      operating system, so two runs differ by their noise.

    Raises:
      FedValueError: the study, the tables, the federation or the output folder; see `fedvalue.errors`.
      KeyboardInterrupt: the run was stopped; no result is left, and every ledger is intact.
    """
    study = Path(study) if isinstance(study, str) else study
    raw = study.read_bytes() if isinstance(study, Path) and study.is_file() else None
    read = study if isinstance(study, Study) else study_file.load(study)
    clock = system_clock if day is None else _clock_on(day)
    folder = fresh_folder(Path(out), keep=sources.inputs())
    federation = make_federation(
        read,
        sources.sites(folder / "tables"),
        folder / "sites",
        exact=unsafe_no_noise,
        clear_sum=unsafe_clear_sum,
        clock=clock,
        progress=progress,
    )
    author = make_key(folder / "keys" / "author.pem")
    signature = sign(statements.study_statement(study_file.digest(read)), author, "study")
    if raw is not None:
        write_atomically(folder / "study.toml", raw, mode=0o644)
        write_atomically(folder / "study.toml.sig", signature.model_dump_json().encode(), mode=0o644)
    coordinator = Coordinator(
        study=read,
        roster=federation.roster,
        key=make_key(folder / "keys" / "coordinator.pem"),
        study_signatures=(signature,),
        simulation=True,
        unsafe_exact=unsafe_no_noise,
        unsafe_clear_sum=unsafe_clear_sum,
        clock=clock,
        progress=progress,
    )
    evidence = _over_flower(coordinator, federation, clock)
    progress("deciding and writing the report", 0, 1)
    payer = make_key(folder / "keys" / "payer.pem")
    results = write_results(
        read, evidence, folder, key=payer, standards=standards, now=clock(), language=language
    )
    write_atomically(
        folder / "simulation.json", json.dumps(_stamp(evidence, clock), indent=1).encode(), mode=0o644
    )
    progress("deciding and writing the report", 1, 1)
    return Simulation(evidence, federation, results)


def _over_flower(coordinator: Coordinator, federation: SimulatedFederation, clock: Clock) -> EvidencePackage:
    """Run the coordinator as a Flower ServerApp over ClientApps in this process, each with its site node."""
    evidence: list[EvidencePackage] = []
    server_app = ServerApp()

    @server_app.main()
    def main(grid: Grid, context: Context) -> None:
        del context
        evidence.append(coordinator.run(grid))

    with ExitStack() as running:
        nodes = {
            str(home.folder): running.enter_context(SiteNode(home.folder, clock)) for home in federation.homes
        }
        client_app = make_app(lambda context: nodes[str(context.node_config[SITE_HOME])].answer)
        places = {
            number: LocalNode(client_app, {SITE_HOME: folder})
            for number, folder in enumerate(nodes, start=FIRST_NODE)
        }
        run_server_app(server_app, LocalGrid(places))
    return evidence[0]


def _clock_on(day: date) -> Clock:
    moment = datetime.combine(day, time(12), tzinfo=UTC)
    return lambda: moment


def _stamp(evidence: EvidencePackage, clock: Clock) -> dict[str, object]:
    return {
        "what": "a simulation: keys, approvals and ledgers were made for this run",
        "evidence_id": evidence.evidence_id,
        "day": clock().date().isoformat(),
        "unsafe": list(evidence.unsafe),
    }
