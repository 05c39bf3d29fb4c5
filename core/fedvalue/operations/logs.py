"""Structured logs: one JSON object a line, in a file that rotates, in syslog, and on standard error.

Only FedValue's own loggers are written. The text of a foreign exception may quote a row, so an exception
leaves its kind in the log and nothing else; a field is a short word or a number.
"""

from __future__ import annotations

import json
import logging
import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler, SysLogHandler
from pathlib import Path
from typing import TYPE_CHECKING

from fedvalue.errors import OutputError

if TYPE_CHECKING:
    from io import TextIOWrapper

ROOT = "fedvalue"
"""Name above all of our loggers."""

FIELDS = "fields"
"""Attribute of a log record that holds the fields of an event."""

LONGEST = 300
"""Characters of one value."""

FILE_BYTES, FILES = 10_000_000, 10
"""Size at which a log file is set aside, and how many are kept; about 100 MB together."""

ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")

Value = str | int | float | bool


def event(log: logging.Logger, name: str, *, level: int = logging.INFO, **fields: Value) -> None:
    """Write one event.

    Args:
      log: One of our loggers.
      name: What happened: the same words every time.
      level: One of logging's.
      fields: Codes, names of parts, ids of studies; never a patient's value, or a number that patients move.
    """
    log.log(level, name, extra={FIELDS: fields})


def entry(record: logging.LogRecord) -> dict[str, Value]:
    """Return a log record as the object that is written.

    A message that is itself a JSON object gives its fields. Keys: ``time`` (UTC), ``level``, ``logger``,
    ``event``, then the event's own fields, then ``error`` (the kind of an exception).
    """
    text = record.getMessage()
    said: Mapping[str, object] = getattr(record, FIELDS, {})
    if text.startswith("{"):
        try:
            parsed = json.loads(text)
        except ValueError:
            parsed = None
        if isinstance(parsed, dict):
            text, said = str(parsed.pop("event", record.name)), {**parsed, **said}
    found: dict[str, Value] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": text[:LONGEST],
    }
    for key, value in said.items():
        if key not in found:
            found[key] = value if isinstance(value, bool | int | float) else str(value)[:LONGEST]
    if record.exc_info and record.exc_info[0] is not None:
        found["error"] = record.exc_info[0].__name__
    return found


class Lines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return json.dumps(entry(record), ensure_ascii=False)


class Plain(logging.Formatter):
    """One readable line, for somebody who looks at a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        found = entry(record)
        rest = " ".join(
            f"{key}={value}"
            for key, value in found.items()
            if key not in {"time", "logger", "event", "level"}
        )
        return f"{str(found['time'])[11:19]} {found['event']} {rest}".rstrip()


class _PrivateFile(RotatingFileHandler):
    """A rotating file that only its owner reads; the mode is there before the first byte."""

    def _open(self) -> TextIOWrapper:
        opened = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        return os.fdopen(opened, "a", encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Destinations:
    """Where log lines go.

    Attributes:
      file: A file that rotates; None for none.
      file_bytes: Size at which it is set aside.
      files: How many set-aside files are kept.
      syslog: ``/dev/log``, or ``host:port`` for UDP; empty for none. The host is the hospital's own.
      stderr: ``json``, ``plain`` or empty for nothing.
      level: Lowest level that is written.
    """

    file: Path | None = None
    file_bytes: int = FILE_BYTES
    files: int = FILES
    syslog: str = ""
    stderr: str = ""
    level: int = logging.INFO


def start(to: Destinations, *more: logging.Handler) -> logging.Logger:
    """Send everything that our loggers say to its destinations, in place of earlier ones.

    Args:
      to: Where.
      more: Further handlers, such as one that counts.

    Returns:
      The logger above all of ours.

    Raises:
      OutputError: the file or the syslog cannot be opened.
    """
    log = logging.getLogger(ROOT)
    stop()
    for handler in _handlers(to, more):
        log.addHandler(handler)
    log.setLevel(to.level)
    log.propagate = False
    return log


@contextmanager
def writing(to: Destinations, *more: logging.Handler) -> Iterator[logging.Logger]:
    """Send what our loggers say to its destinations, beside where it goes already, and stop at the end.

    Args:
      to: Where.
      more: Further handlers.

    Raises:
      OutputError: the file or the syslog cannot be opened.
    """
    log = logging.getLogger(ROOT)
    handlers, before = _handlers(to, more), log.level
    for handler in handlers:
        log.addHandler(handler)
    log.setLevel(to.level if before == logging.NOTSET else min(before, to.level))
    try:
        yield log
    finally:
        for handler in handlers:
            log.removeHandler(handler)
            handler.close()
        log.setLevel(before)


def stop() -> None:
    """Close every destination."""
    log = logging.getLogger(ROOT)
    for handler in list(log.handlers):
        log.removeHandler(handler)
        handler.close()
    log.propagate = True


def printed(text: str, *, ours: bool) -> dict[str, object]:
    """Return a line that a process printed as an event: its fields if it writes our log, else its text.

    Args:
      text: One line.
      ours: False for a program that is not FedValue's: its lines are text, whatever they look like.
    """
    text = ANSI.sub("", text).strip()
    if ours and text.startswith("{"):
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if isinstance(found, dict) and isinstance(found.get("event"), str):
            return found
    shown = "".join(char if char.isprintable() else "?" for char in text)
    return {"event": "line", "text": shown[:LONGEST]}


def _handlers(to: Destinations, more: tuple[logging.Handler, ...]) -> list[logging.Handler]:
    handlers = [*more]
    if to.file is not None:
        handlers.append(_file(to.file, to.file_bytes, to.files))
    if to.syslog:
        handlers.append(_syslog(to.syslog))
    if to.stderr:
        shown = logging.StreamHandler()
        shown.setFormatter(Lines() if to.stderr == "json" else Plain())
        handlers.append(shown)
    return handlers


def _file(path: Path, size: int, kept: int) -> logging.Handler:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = _PrivateFile(path, maxBytes=size, backupCount=kept, encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"the log cannot be written: {error.strerror}", where=str(path), do="name another folder"
        ) from error
    made.setFormatter(Lines())
    return made


def _syslog(address: str) -> logging.Handler:
    host, _, port = address.rpartition(":")
    try:
        if address.startswith("/"):
            if not Path(address).is_socket():  # logging itself would wait for one in silence
                raise OutputError("there is no syslog", where=address, do="name /dev/log, or host:port")
            made = SysLogHandler(address)
        else:
            made = SysLogHandler((host.strip("[]"), int(port)), socktype=socket.SOCK_DGRAM)
    except (OSError, ValueError) as error:
        raise OutputError(
            "the syslog cannot be reached", where=address, do="name /dev/log, or host:port for UDP"
        ) from error
    made.ident = "fedvalue: "
    made.append_nul = False
    made.setFormatter(Lines())
    return made
