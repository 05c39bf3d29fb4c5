"""One end-to-end study through the front door: tables, hospitals, private sum, evidence, decision, proposal.

The made-up patients of `proofs.end_to_end` are written as one table and dealt to eight simulated hospitals,
each with its own records, policy and ledger. The study runs over Flower in this process; the payer decides
with a key, the proposal is signed and dated, the needed roles countersign, the value is approved into a copy
of the standards, the decision is made again bit for bit, and the report is written.
"""

from __future__ import annotations

import csv
import shutil
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np

from fedvalue.evidence import documents, statements
from fedvalue.payment import standard_file
from fedvalue.payment.deciding import decide
from fedvalue.payment.proposal import approve, countersign, propose
from fedvalue.payment.replay import replay
from fedvalue.planning.concluding import quiet
from fedvalue.server.coordinator import Coordinator
from fedvalue.server.reports import page
from fedvalue.simulation.federation import make_federation
from fedvalue.simulation.run import _over_flower as over_flower  # `run` decides without a payer's statement
from fedvalue.simulation.sources import PooledTable
from fedvalue.study import file as study_file
from fedvalue.study.endpoints import Binary
from fedvalue.study.keys import make_key
from fedvalue.study.schema import Study
from fedvalue.study.signature import sign
from proofs.end_to_end import DAY, SITES, Columns, Truth, World

NOW = datetime(DAY.year, DAY.month, DAY.day, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Tables:
    """What the hospitals' raw data look like.

    Attributes:
      table: One row per patient.
      mapping: From its columns to ours.
    """

    table: Path
    mapping: Path


def write_tables(study: Study, columns: Columns, folder: Path, rng: np.random.Generator) -> Tables:
    """Write patients as one CSV table with a column ``hospital``, and its mapping."""
    folder.mkdir(parents=True)
    table, mapping = folder / "patients.csv", folder / "map.toml"
    size = len(next(iter(columns.values())))
    hospital = rng.integers(0, SITES, size)
    shown = {name: [_cell(value) for value in column] for name, column in columns.items()}
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["pid", "hospital", *shown])
        for i in range(size):
            writer.writerow([f"p{i}", f"site-{hospital[i]}", *(column[i] for column in shown.values())])
    mapping.write_text(_mapping(study), encoding="utf-8")
    return Tables(table, mapping)


def _cell(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) and float(value).is_integer() else str(value)


def _mapping(study: Study) -> str:
    lines = ["mapping = 1", "[files.table]", 'path = "patients.csv"']
    lines += ["[patient]", 'file = "table"', 'patient_id = "pid"', "[patient.attributes]"]
    for name, variable in study.variables.items():
        column = variable.person or name
        plain = f'{column} = "{column}"'
        lines.append(
            plain if variable.categorical else f'{column} = {{ column = "{column}", type = "number" }}'
        )
    more: list[str] = []
    for name, endpoint in study.endpoints.items():
        if not isinstance(endpoint, Binary):
            more += [
                *_part("survival"),
                'time = { duration = "time" }',
                'event = { column = "event", codes = { "0" = "censored", "1" = "relapse", "2" = "death" } }',
            ]
        elif endpoint.source == "person":
            lines.append(f'{endpoint.column} = {{ column = "{endpoint.column}", type = "number" }}')
        else:
            more += [
                *_part("response"),
                'day = { duration = "day" }',
                f'method = {{ constant = "{endpoint.method}" }}',
                f'status = {{ column = "{name}", codes = {{ "1" = "PR", "0" = "SD" }} }}',
                *_part("event"),
                'day = { duration = "death_day" }',
                'kind = { constant = "death" }',
            ]
    return "\n".join([*lines, *more]) + "\n"


def _part(table: str) -> list[str]:
    return [f"[[{table}]]", 'file = "table"', 'patient_id = "pid"']


def through(world: World, truth: Truth, folder: Path, *, seed: int) -> dict[str, Any]:
    """Run one study from tables to an approved value, and say what came out.

    Args:
      world: The study.
      truth: What is planted; a truth that is met, so that there is something to propose.
      folder: For everything; an earlier one is replaced.
      seed: Of the patients. Privacy noise and keys come from the operating system.
    """
    began = time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    rng, study = np.random.default_rng(seed), world.study
    columns = dict(world.draw(rng, truth.planted))
    if any(isinstance(e, Binary) and e.source == "response" for e in study.endpoints.values()):
        size = len(next(iter(columns.values())))
        # everybody is assessed on day 150 and lives past it; a site wants to know of deaths before it
        columns |= {"day": np.full(size, 150.0), "death_day": np.full(size, 700.0)}
    tables = write_tables(study, columns, folder / "raw", rng)

    def clock() -> datetime:
        return NOW

    source = PooledTable(tables.table, tables.mapping, site_column="hospital")
    federation = make_federation(
        study, source.sites(folder / "tables"), folder / "sites", exact=False, clock=clock, progress=quiet
    )
    author, payer = make_key(folder / "author.pem"), make_key(folder / "payer.pem")
    signature = sign(statements.study_statement(study_file.digest(study)), author, "study")
    coordinator = Coordinator(
        study=study, roster=federation.roster, key=make_key(folder / "coordinator.pem"),
        study_signatures=(signature,), simulation=True, clock=clock,
    )  # fmt: skip
    evidence = over_flower(coordinator, federation, clock)
    documents.write(evidence, folder / "evidence.json")
    found = _decide(world, truth, evidence, folder, payer)
    return {**found, "seconds": round(time.monotonic() - began, 1)}


def _decide(world: World, truth: Truth, evidence: Any, folder: Path, payer: Any) -> dict[str, Any]:
    name = world.study.payments[0].standard
    standards = folder / "standards"
    with as_file(files("fedvalue.payment").joinpath("standards")) as shipped:
        shutil.copytree(shipped, standards)
    file, held = standard_file.read(name, standards), world.statement(truth)
    decision = decide(evidence, file, DAY, key=payer, held=held)
    documents.write(decision, folder / "decision.json")
    page.write(evidence, (decision,), folder / "report.html", "both")
    again = replay(decision, evidence, file, held=held)
    said: dict[str, Any] = {
        "standard": name, "outcome": decision.outcome, "evidence": evidence.evidence_id,
        "decision": decision.decision_id, "replayed": again.outcome == decision.outcome,
        "report_kb": (folder / "report.html").stat().st_size // 1024,
    }  # fmt: skip
    proposal = propose(decision, payer)
    if proposal is None:
        return said
    for role in proposal.needs:
        proposal = countersign(proposal, make_key(folder / f"{role}.pem"), role)
    documents.write(proposal, folder / "proposal.json")
    approver = make_key(folder / "approver.pem")
    approved = approve(proposal, standards, approver, on=DAY, unsafe_simulation=True)
    later = standard_file.read(name, standards).standard
    return said | {
        "proposal": proposal.proposal_id,
        "signed_by": [s.role for s in proposal.signatures],
        "effective_from": proposal.effective_from.isoformat(),
        "before": {
            key: str(value.amount) for key, value in proposal.before.items() if key in approved.values
        },
        "after": {key: str(value) for key, value in approved.values.items()},
        "in_force_then": {key: str(later.amount(key, approved.starts)) for key in approved.values},
        "in_force_today": {key: str(later.amount(key, DAY)) for key in approved.values},
    }
