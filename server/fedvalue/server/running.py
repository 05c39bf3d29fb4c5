"""Run a study so that it can be watched, cancelled and taken up again: checkpoints, states and reasons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from flwr.serverapp import Grid

from fedvalue.errors import FedValueError, RunInterrupted, TooFewSites
from fedvalue.evidence.package import EvidencePackage
from fedvalue.server.checkpoint import FOLDER, Checkpoint
from fedvalue.server.coordinator import Coordinator
from fedvalue.server.run_state import Phase, RunFolder, State

OPENING = "opening "


@dataclass(slots=True)
class Watched:
    """Progress of a run that also stands in its folder.

    Attributes:
      folder: Of the run.
      state: Where it stands.
    """

    folder: RunFolder
    state: State

    def tell(self, phase: Phase, reason: str = "", **fields: int) -> None:
        """Write where the study stands."""
        changed: dict[str, object] = {"phase": phase, "reason": reason, **fields}
        self.state = self.state.model_copy(update=changed)
        self.folder.tell(self.state)

    def progress(self, text: str, done: int, total: int) -> None:
        """Turn what a coordinator tells into a state."""
        if text == "waiting for sites":
            self.tell("waiting for sites", f"{done} of {total} are connected")
        elif text == "asking for approvals":
            refused = f", refused by {total - done}" if 0 < done < total else ""
            self.tell("asking for approvals", f"{done} of {total} nodes approve{refused}")
        elif text.startswith(OPENING):
            self.tell("running", text, done=done, releases=total)


def nothing_more(evidence: EvidencePackage) -> None:
    """Keep nothing but what the checkpoint holds."""
    del evidence


def run_watched(
    coordinator: Coordinator,
    grid: Grid,
    out: Path,
    keep: Callable[[EvidencePackage], None] = nothing_more,
) -> EvidencePackage:
    """Run a study, or go on with one that was begun in ``out``.

    Every opened release is kept in ``out/checkpoint`` and is neither asked nor paid again. ``out/state.json``
    says where the study stands and why; ``out/cancel`` ends it at its next step.

    Args:
      coordinator: The run.
      grid: Its sites.
      out: Folder of the run.
      keep: Writes what follows from the evidence; the study has finished once that is there.

    Raises:
      FedValueError: as `Coordinator.run`; the state says so.
    """
    folder = RunFolder(out, coordinator.clock)
    folder.begin()
    study = coordinator.study
    checkpoint = Checkpoint(out / FOLDER)
    resumed = (out / FOLDER).is_dir()
    state = State(
        study_id=study.study.id, study_hash=coordinator.study_hash, phase="waiting for sites",
        resumed=resumed, updated=coordinator.clock(),
    )  # fmt: skip
    watched, inner = Watched(folder, state), coordinator.progress

    def progress(text: str, done: int, total: int) -> None:
        folder.require_wanted()
        watched.progress(text, done, total)
        inner(text, done, total)

    try:
        evidence = replace(
            coordinator, progress=progress, checkpoint=checkpoint, wanted=folder.require_wanted
        ).run(grid)
        keep(evidence)
    except RunInterrupted as error:
        watched.tell("cancelled", error.what)
        raise
    except TooFewSites as error:
        watched.tell("below threshold", f"{error.what} [{error.where}]")
        raise
    except FedValueError as error:
        watched.tell("failed", str(error))
        raise
    except SystemExit:
        # Flower's own way to end a ServerApp, once the SuperLink has not answered for long.
        watched.tell("failed", "the SuperLink does not answer; run the study again to go on")
        raise
    except BaseException as error:
        watched.tell("failed", type(error).__name__)
        raise
    watched.tell(
        "finished", evidence.evidence_id, done=len(evidence.releases), releases=len(evidence.releases)
    )
    return evidence
