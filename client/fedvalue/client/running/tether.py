"""Become a program that ends when its parent does, however the parent ends.

Started as ``python -I -S tether.py PARENT PROGRAM ARGUMENTS...``; imports nothing of FedValue. The program
takes this process's place, so its process id is the one that the parent knows. It leads a session and a
process group of its own. Linux kills it with its parent (prctl(2), PR_SET_PDEATHSIG); elsewhere only the
parent's orderly end reaches it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
NOT_STARTED = 127
"""Exit status of a program that could not be started."""


def tie(parent: int) -> bool:
    """Tie this process to its parent; return False if the parent is gone already."""
    os.setsid()
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    return os.getppid() == parent


def main(words: list[str]) -> int:
    """Become the program; return only if that fails."""
    if not tie(int(words[0])):
        return NOT_STARTED
    try:
        os.execvp(words[1], words[1:])  # noqa: S606 (no shell: that is the point)
    except OSError as error:
        sys.stderr.write(f"{words[1]} cannot be started: {error.strerror}\n")
    return NOT_STARTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
