"""Run one of the two apps in this process, without ports and without Ray: ``python run.py before|after``."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from fedvalue.server.grids.local import LocalGrid, LocalNode, run_server_app

HOSPITALS = 5


def main(which: str) -> None:
    """Put the app's folder on the path, as ``flwr run`` does, and run it on five nodes."""
    sys.path.insert(0, str(Path(__file__).parent / which))
    client = importlib.import_module("pressure.client_app").app
    server = importlib.import_module("pressure.server_app").app
    nodes = {100 + number: LocalNode(client, {"partition-id": number}) for number in range(HOSPITALS)}
    run_server_app(server, LocalGrid(nodes), {"rounds": 5})


if __name__ == "__main__":
    main(sys.argv[1])
