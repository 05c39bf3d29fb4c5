"""Numbers for a monitor, in Prometheus' text format, each declared with why no patient can move it.

Counters count log lines, so that a number and the lines behind it never differ. There is deliberately no
size of a file, no memory, no processor time and no duration of an answer among them: all of these grow with
a hospital's records.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/ (text, version 0.0.4). It is written by
hand: the usual client exports memory and processor time of its process unless told not to.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from fedvalue.errors import OutputError
from fedvalue.operations.logs import entry

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Metric:
    """One number, or one for each combination of labels.

    Attributes:
      name: As Prometheus wants it; a counter ends in ``_total``.
      kind: ``counter`` only grows while the process runs; ``gauge`` is as it is now.
      what: One sentence: what it says, and its unit.
      why: Why no patient can move it.
      labels: Names of its labels.
      events: Log events that a counter counts; labels are taken from the event's fields, ``event`` itself
        included.
    """

    name: str
    kind: Literal["counter", "gauge"]
    what: str
    why: str
    labels: tuple[str, ...] = ()
    events: tuple[str, ...] = ()


class Metrics:
    """Declared metrics and their values; safe for several threads."""

    def __init__(self, declared: Iterable[Metric]) -> None:
        """Start every counter without labels at 0.

        Args:
          declared: All that there can ever be.
        """
        self._declared = {metric.name: metric for metric in declared}
        self._lock = threading.Lock()
        self._values: dict[str, dict[tuple[str, ...], float]] = {name: {} for name in self._declared}
        for metric in self._declared.values():
            if metric.kind == "counter" and not metric.labels:
                self._values[metric.name][()] = 0.0

    def count(self, name: str, labels: Mapping[str, str] | None = None, by: float = 1.0) -> None:
        """Add to a counter.

        Raises:
          OutputError: nobody declared it, or with other labels.
        """
        key = self._key(name, labels)
        with self._lock:
            self._values[name][key] = self._values[name].get(key, 0.0) + by

    def set(self, name: str, value: float, labels: Mapping[str, str] | None = None) -> None:
        """Say what a gauge is now.

        Raises:
          OutputError: nobody declared it, or with other labels.
        """
        key = self._key(name, labels)
        with self._lock:
            self._values[name][key] = value

    def see(self, said: Mapping[str, object]) -> None:
        """Count an event, if a metric counts it."""
        for metric in self._declared.values():
            if said.get("event") in metric.events:
                self.count(metric.name, {label: str(said.get(label, "")) for label in metric.labels})

    def text(self) -> str:
        """Return all of them in Prometheus' text format, in the order of their declaration."""
        with self._lock:
            lines: list[str] = []
            for metric in self._declared.values():
                lines += [f"# HELP {metric.name} {_line(metric.what)}", f"# TYPE {metric.name} {metric.kind}"]
                for key, value in sorted(self._values[metric.name].items()):
                    shown = ",".join(
                        f'{label}="{_label(held)}"' for label, held in zip(metric.labels, key, strict=True)
                    )
                    lines.append(f"{metric.name}{'{' + shown + '}' if shown else ''} {_number(value)}")
        return "\n".join(lines) + "\n"

    def _key(self, name: str, labels: Mapping[str, str] | None) -> tuple[str, ...]:
        given = labels or {}
        declared = self._declared.get(name)
        if declared is None or set(declared.labels) != set(given):
            raise OutputError("a metric that nobody declared", where=name, do="declare it with its reason")
        return tuple(given[label] for label in declared.labels)


class Counting(logging.Handler):
    """Counts what our loggers say."""

    def __init__(self, see: Callable[[Mapping[str, object]], None]) -> None:
        """Pass every event on.

        Args:
          see: Such as `Metrics.see`.
        """
        super().__init__()
        self._see = see

    def emit(self, record: logging.LogRecord) -> None:
        """Count one record."""
        self._see(entry(record))


def table(declared: Iterable[Metric]) -> str:
    """Return the declared metrics as a Markdown table: what each says, and why no patient can move it."""
    rows = [
        f"| `{metric.name}` | {', '.join(metric.labels) or '-'} | {metric.what} | {metric.why} |"
        for metric in declared
    ]
    return "\n".join(
        ["| metric | labels | what it says | why no patient can move it |", "|---|---|---|---|", *rows]
    )


def _line(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')[:100]


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
