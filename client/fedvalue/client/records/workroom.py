"""A folder for a moment: only its owner may enter, and it is gone afterwards."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fedvalue.errors import OutputError


@contextmanager
def workroom() -> Iterator[Path]:
    """Give an empty folder of mode 0700.

    Raises:
      OutputError: there is no place for one.
    """
    try:
        room = Path(tempfile.mkdtemp(prefix="fedvalue-room-"))
    except OSError as error:
        raise OutputError(
            f"there is no room for temporary files: {error.strerror}", where=tempfile.gettempdir()
        ) from error
    try:
        yield room
    finally:
        shutil.rmtree(room, ignore_errors=True)
