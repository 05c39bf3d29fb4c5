"""The frame of a site's processes: our log lines on standard error, an orderly end on SIGTERM."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from types import FrameType

from fedvalue.errors import FedValueError
from fedvalue.operations import logs


def until_told(main: Callable[[threading.Event], None], name: str) -> int:
    """Run a process of a site until SIGTERM or SIGINT.

    Args:
      main: What it does.
      name: Of its logger.

    Returns:
      Its exit status.
    """
    stop = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    logs.start(logs.Destinations(stderr="json"))
    log = logging.getLogger(name)
    try:
        main(stop)
    except FedValueError as error:
        about = {"code": error.code, "what": error.what, "where": error.where, "do": error.do}
        logs.event(log, "part failed", level=logging.ERROR, **about)
        return error.exit_status
    return 0
