"""Processes that are started and ended together; see `fedvalue.operations.processes`."""

from __future__ import annotations

from fedvalue.operations.processes import MARK, ProcessTree, answers, free_ports

__all__ = ["MARK", "ProcessTree", "answers", "free_ports"]
