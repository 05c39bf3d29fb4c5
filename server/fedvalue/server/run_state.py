"""Where a study stands, in a file on the coordinator's machine, and the wish to cancel it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, Field

from fedvalue.analyses.estimate import Value
from fedvalue.errors import EvidenceError, OutputError, RunInterrupted
from fedvalue.evidence import documents

STATE, CANCEL, LOG = "state.json", "cancel", "run.log.jsonl"

Phase = Literal[
    "waiting for sites",
    "asking for approvals",
    "running",
    "below threshold",
    "cancelled",
    "failed",
    "finished",
]


class State(Value):
    """Where a study stands.

    Attributes:
      study_id: The study's id.
      study_hash: Its hash.
      phase: What is going on, or how it ended.
      reason: In words: which release is being opened, which sites refused and with which code.
      done: Releases that have been opened.
      releases: Releases of the plan.
      resumed: True where releases were taken from a checkpoint.
      process: Process id of the coordinator.
      updated: When.
    """

    study_id: str
    study_hash: str
    phase: Phase
    reason: str = ""
    done: int = Field(default=0, ge=0)
    releases: int = Field(default=0, ge=0)
    resumed: bool = False
    process: int = 0
    updated: AwareDatetime

    @property
    def over(self) -> bool:
        """True where nothing more will happen by itself."""
        return self.phase in ("below threshold", "cancelled", "failed", "finished")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder of one run.

    Attributes:
      folder: Its results go there too.
      clock: Tells the time.
    """

    folder: Path
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def tell(self, state: State) -> None:
        """Write where the study stands, and a line of the run's log if that has changed.

        Raises:
          OutputError: the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            now = state.model_copy(update={"updated": self.clock(), "process": os.getpid()})
            before = self._last()
            documents.write(now, self.folder / STATE)
            if before is None or before.model_copy(update={"updated": now.updated}) != now:
                with (self.folder / LOG).open("a", encoding="utf-8") as file:
                    file.write(json.dumps(now.model_dump(mode="json"), ensure_ascii=False) + "\n")
        except OSError as error:
            raise OutputError(
                f"the state of the run cannot be written: {error.strerror}", where=str(self.folder)
            ) from error

    def _last(self) -> State | None:
        """Return the state before; None where there is none, or no log that could hold it."""
        try:
            return self.state() if (self.folder / LOG).is_file() else None
        except EvidenceError:
            return None

    def state(self) -> State:
        """Read where the study stands.

        Raises:
          EvidenceError: no run was begun there, or the file is no state.
        """
        path = self.folder / STATE
        if not path.is_file():
            raise EvidenceError(
                "no run was begun here",
                where=str(self.folder),
                do="give the folder that the run was given as out",
            )
        return documents.parse(State, documents.read_bytes(path), where=str(path))

    def lines(self) -> list[str]:
        """Return the run's log, one JSON line for each change."""
        path = self.folder / LOG
        return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []

    def cancel(self) -> None:
        """Ask the run to end at its next step; a step that sites are working on is waited for.

        Raises:
          OutputError: the folder cannot be written.
        """
        try:
            (self.folder / CANCEL).touch()
        except OSError as error:
            raise OutputError(f"cannot be cancelled: {error.strerror}", where=str(self.folder)) from error

    def begin(self) -> None:
        """Make the folder, and forget an earlier wish to cancel.

        Raises:
          OutputError: the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / CANCEL).unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(
                f"the folder cannot be written: {error.strerror}",
                where=str(self.folder),
                do="choose a folder that you may write",
            ) from error

    def require_wanted(self) -> None:
        """End the run if somebody wants it cancelled.

        Raises:
          RunInterrupted: somebody does.
        """
        if (self.folder / CANCEL).exists():
            raise RunInterrupted(
                "the study was cancelled", where=str(self.folder), do="run it again to go on where it stopped"
            )
