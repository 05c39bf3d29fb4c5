"""What a monitor may know of a coordinator: read from the folders of its runs, so that no run has to answer.

A coordinator's process lives as long as a study; whoever watches it reads its state and its log lines from
the disk, and goes on doing so after a crash.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import get_args

from fedvalue.errors import FedValueError
from fedvalue.operations.metrics import Metric, Metrics
from fedvalue.server.provisioning.office import Office
from fedvalue.server.run_state import Phase, RunFolder

LINES = "coordinator.log"
"""In the folder of a run: the coordinator's log, one JSON object a line; it rotates."""

DECLARED = (
    Metric(
        "fedvalue_coordinator_study_phase", "gauge", "1 for the phase that a study is in, 0 for the others.",
        "A study runs, waits or fails by who is connected and by noised sums, which are public to it.",
        ("study", "phase"),
    ),
    Metric(
        "fedvalue_coordinator_study_releases", "gauge", "Releases of a study's plan.",
        "The plan follows from the study file and the roster.", ("study",),
    ),
    Metric(
        "fedvalue_coordinator_study_releases_done", "gauge", "Releases that have been opened.",
        "The coordinator holds noised sums only; it knows nothing else of patients.",
        ("study",),
    ),
    Metric(
        "fedvalue_coordinator_study_updated_timestamp_seconds", "gauge",
        "When a study's state last changed, seconds since 1970-01-01 UTC.",
        "Answers leave a site on multiples of a period after their question (`answer_every`); beyond that "
        "the coordinator sees the same times itself.",
        ("study",),
    ),
    Metric(
        "fedvalue_coordinator_sessions_joined_total", "counter", "Sessions that sites have joined.",
        "Sites dial for reasons of the network.", (), ("session joined",),
    ),
    Metric(
        "fedvalue_coordinator_sessions_refused_total", "counter", "Connections turned away, by code.",
        "A code follows from certificate, signature and message, before anything is asked of a site.",
        ("reason",), ("session refused",),
    ),
    Metric(
        "fedvalue_coordinator_paper_ends_timestamp_seconds", "gauge",
        "When a certificate of the coordinator ends, seconds since 1970-01-01 UTC.",
        "It is dated when it is made.", ("paper",),
    ),
)  # fmt: skip


def measured(runs: Path, office: Office | None = None) -> Metrics:
    """Read the numbers of a coordinator.

    Args:
      runs: A folder of run folders, each the ``out`` of a study; or one such folder.
      office: The coordinator's folder, for what ends; None leaves that out.
    """
    metrics = Metrics(DECLARED)
    for folder in _runs(runs):
        try:
            state = RunFolder(folder).state()
        except FedValueError:
            continue
        study = {"study": state.study_id}
        for phase in get_args(Phase):
            metrics.set(
                "fedvalue_coordinator_study_phase", float(phase == state.phase), {**study, "phase": phase}
            )
        metrics.set("fedvalue_coordinator_study_releases", state.releases, study)
        metrics.set("fedvalue_coordinator_study_releases_done", state.done, study)
        updated = state.updated.timestamp()
        metrics.set("fedvalue_coordinator_study_updated_timestamp_seconds", updated, study)
        for said in _lines(folder):
            metrics.see(said)
    for ending in _endings(office):
        metrics.set(
            "fedvalue_coordinator_paper_ends_timestamp_seconds",
            ending[1],
            {"paper": ending[0]},
        )
    return metrics


def health(runs: Path) -> dict[str, object]:
    """Return each study's phase and reason; ``ok`` unless one has failed."""
    found: dict[str, object] = {}
    good = True
    for folder in _runs(runs):
        try:
            state = RunFolder(folder).state()
        except FedValueError:
            continue
        good &= state.phase != "failed"
        found[state.study_id] = {"phase": state.phase, "reason": state.reason}
    return {"ok": good, "studies": found}


def _runs(folder: Path) -> Iterable[Path]:
    if (folder / "state.json").is_file():
        return (folder,)
    return sorted(path.parent for path in folder.glob("*/state.json"))


def _lines(folder: Path) -> Iterator[dict[str, object]]:
    for path in sorted(folder.glob(f"{LINES}*")):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        for line in text.splitlines():
            try:
                said = json.loads(line)
            except ValueError:  # half a line: it is being written
                continue
            if isinstance(said, dict):
                yield said


def _endings(office: Office | None) -> list[tuple[str, float]]:
    if office is None:
        return []
    try:
        return [(ending.what, ending.until.timestamp()) for ending in office.endings()]
    except FedValueError:
        return []
