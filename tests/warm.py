"""``fedvalue`` and ``flwr`` that are imported already, for tests that give many commands to a shell.

One process imports every room and listens at a socket. The programs in the folder that `started` gives hand
it their words, folder, environment and their three files; a fork of that process answers as the installed
program does, in a process of its own, and the status goes back; a Ctrl-C goes to that process. A command
then costs a fork where it costs two seconds of imports otherwise. That the installed programs start by
themselves is tested apart.
"""

from __future__ import annotations

import gc
import importlib
import marshal
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from fedvalue.cli import FAULT_STATUS, ROOMS, main

REPOSITORY = Path(__file__).resolve().parent.parent

PROGRAM = f"""#!{sys.executable} -IS
import marshal, os, socket, sys

with socket.socket(socket.AF_UNIX) as asked:
    asked.connect({{place!r}})
    socket.send_fds(asked, [b"f"], [0, 1, 2])
    asked.sendall(marshal.dumps(({{name!r}}, sys.argv[1:], os.getcwd(), dict(os.environ))))
    asked.shutdown(socket.SHUT_WR)
    process, status = int.from_bytes(asked.recv(4), "big"), None
    while status is None:
        try:
            status = asked.recv(1)
        except KeyboardInterrupt:
            os.kill(process, 2)
sys.exit(status[0] if status else {FAULT_STATUS})
"""


@contextmanager
def started(environment: Mapping[str, str]) -> Iterator[Path]:
    """Start the process; give the folder that holds the programs, to be put first on PATH.

    Args:
      environment: What the rooms see while they are imported; each command brings its own.
    """
    folder = Path(tempfile.mkdtemp(prefix="warm-"))  # a socket's path has 107 bytes at most
    for name in ("fedvalue", "flwr"):
        (folder / name).write_text(PROGRAM.format(place=str(folder / "socket"), name=name), encoding="utf-8")
        (folder / name).chmod(0o700)
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.warm", str(folder / "socket")],
        cwd=REPOSITORY,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        if server.stdout is None or server.stdout.readline() != b"ready\n":
            raise RuntimeError("the rooms could not be imported")
        yield folder
    finally:
        os.killpg(server.pid, signal.SIGKILL)  # a command that outlived its test ends too
        server.communicate()
        shutil.rmtree(folder)


def serve(place: str) -> None:
    """Import every room and Flower's commands; answer until killed."""
    for room in ROOMS:
        with suppress(ImportError):  # the command that needs it says so itself
            room.load()
    flwr = importlib.import_module("flwr.cli.app").app
    gc.collect()
    gc.freeze()  # a fork then shares the memory of what was imported
    signal.signal(signal.SIGCHLD, _bury)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(place)
        listening.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            asked, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                _answer(asked, {"fedvalue": main, "flwr": flwr})
            asked.close()


def _bury(*_: object) -> None:
    """Wait for the forks that have ended; each has sent its own status."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _answer(asked: socket.socket, programs: Mapping[str, Callable[[list[str]], int | None]]) -> None:
    """Run one command in this fork and end it."""
    status = FAULT_STATUS
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        asked.sendall(os.getpid().to_bytes(4, "big"))
        _, files, _, _ = socket.recv_fds(asked, 1, 3)
        with asked.makefile("rb") as stream:
            name, words, folder, environment = marshal.load(stream)
        for ours, theirs in enumerate(files):
            os.dup2(theirs, ours)
            os.close(theirs)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        try:
            status = programs[name](words) or 0
        except SystemExit as left:
            status = left.code if isinstance(left.code, int) else int(left.code is not None)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        asked.sendall(bytes([status]))
        os._exit(0)


if __name__ == "__main__":
    serve(sys.argv[1])
