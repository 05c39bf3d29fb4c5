"""Notes and stops every attempt of a Python process to leave this machine.

Python imports a module of this name at start-up when its folder is on PYTHONPATH, so whole trees of
processes can be watched: each inherits the environment. The attempt is written to the file that
FEDVALUE_OUTBOUND_LOG names, then refused, before anything is sent. See `tests.outbound.watch`.
"""

from __future__ import annotations

import ipaddress
import os
import sys

HERE = {"localhost", "", "*"}


def stays_here(host: object) -> bool:
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if host is None or not isinstance(host, str) or host in HERE:
        return True
    try:
        address = ipaddress.ip_address(host.split("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def watch(event: str, arguments: tuple[object, ...]) -> None:
    if event in {"socket.getaddrinfo", "socket.gethostbyname"}:
        host = arguments[0]
    elif event in {"socket.connect", "socket.sendto", "socket.sendmsg"}:
        address = arguments[1]
        if not isinstance(address, tuple):  # a path: a socket of this machine
            return
        host = address[0]
    else:
        return
    if stays_here(host):
        return
    command = " ".join(sys.orig_argv[1:3])[:80].replace("\n", " ")
    line = f"{event}\t{host}\t{command}\n"
    log = os.open(os.environ["FEDVALUE_OUTBOUND_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(log, line.encode())
    os.close(log)
    raise ConnectionRefusedError(f"{event} to {host}: refused, this process is watched")


if "FEDVALUE_OUTBOUND_LOG" in os.environ:
    sys.addaudithook(watch)
