"""The doctor's look at this machine: home, versions, memory, disk, its encryption, the clock."""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import shutil
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from platform import python_version

from fedvalue.client.places import RECORDS_SERVER
from fedvalue.client.running.doctor_words import Line

GIB = 2**30
MEMORY_GOOD, MEMORY_LEAST = 2 * GIB, 1 * GIB
DISK_GOOD, DISK_LEAST = 5 * GIB, 1 * GIB
TIME_ERROR = 5
"""What adjtimex(2) returns for a clock that nothing synchronises."""

SUPPORTED = {"flwr": ((1, 41), (1, 43)), "grpcio": ((1, 81), (2, 0)), "cryptography": ((50,), (51,))}
"""From the first version on, and before the second; as the package itself demands."""


def kernel_clock() -> bool | None:
    """Tell whether the kernel's clock is synchronised; None where that cannot be asked (adjtimex(2))."""
    if sys.platform != "linux":
        return None
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(512))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != TIME_ERROR


@dataclass(frozen=True, slots=True)
class Machine:
    """Where the machine's own facts are read.

    Attributes:
      root: ``/``; a test has its own.
      synchronised: Asks the kernel's clock.
      version: Of an installed package.
    """

    root: Path = Path("/")
    synchronised: Callable[[], bool | None] = kernel_clock
    version: Callable[[str], str] = importlib.metadata.version


def home_lines(home: Path) -> list[Line]:
    """Look whether the home is its owner's alone: folder, keys and databases without a bit for others."""
    if not (home / "policy.toml").exists():
        return [Line("home", "fail", "home_missing", {"path": str(home)})]
    secret = [home, home / "keys", *home.glob("keys/*.pem"), *home.glob("*.duckdb"), *home.glob("*.sqlite")]
    secret.append(home / RECORDS_SERVER)
    for path in secret:
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            return [Line("home", "fail", "home_open", {"path": str(path)})]
    return [Line("home", "pass", "home_private", {"path": str(home)})]


def version_lines(machine: Machine) -> list[Line]:
    """Look at the versions of what FedValue stands on."""
    found = {"fedvalue": machine.version("fedvalue"), "python": python_version()}
    bad: list[Line] = []
    for program, (first, before) in SUPPORTED.items():
        version = found[program] = machine.version(program)
        numbers = tuple(int(part) for part in version.split(".")[:3] if part.isdigit())
        if not first <= numbers < before:
            wanted = f"{'.'.join(map(str, first))} to before {'.'.join(map(str, before))}"
            bad.append(
                Line(
                    "versions",
                    "fail",
                    "versions_bad",
                    {"program": program, "found": version, "wanted": wanted},
                )
            )
    shown = ", ".join(f"{program} {version}" for program, version in found.items())
    return bad or [Line("versions", "pass", "versions_good", {"versions": shown})]


def memory_lines(machine: Machine) -> list[Line]:
    """Look at the memory that is available, of the machine or of the container's limit."""
    free = [each for each in (_meminfo(machine.root), _container(machine.root)) if each is not None]
    if not free:
        return [Line("memory", "warn", "memory_unknown")]
    least = min(free)
    values = {"gib": f"{least / GIB:.1f}"}
    if least >= MEMORY_GOOD:
        return [Line("memory", "pass", "memory_good", values)]
    return [Line("memory", "warn" if least >= MEMORY_LEAST else "fail", "memory_little", values)]


def disk_lines(home: Path) -> list[Line]:
    """Look at the free space where the home is."""
    try:
        free = shutil.disk_usage(home).free
    except OSError as error:
        return [Line("disk", "fail", "disk_unknown", {"why": error.strerror or "an error"})]
    values = {"gib": f"{free / GIB:.1f}"}
    if free >= DISK_GOOD:
        return [Line("disk", "pass", "disk_good", values)]
    return [Line("disk", "warn" if free >= DISK_LEAST else "fail", "disk_little", values)]


def encryption_lines(home: Path, machine: Machine) -> list[Line]:
    """Look whether the home's file system lies on an encrypted device (dm-crypt), as far as can be seen.

    What a hypervisor or a storage system encrypts below cannot be seen from inside.
    """
    kind, source = _mount(home, machine.root)
    if not source.startswith("/dev/"):
        return [
            Line("encryption", "warn", "encryption_unknown", {"device": source or "?", "kind": kind or "?"})
        ]
    device = machine.root / source.lstrip("/")
    name = Path(os.path.realpath(device)).name
    block = machine.root / "sys/class/block" / name
    if not block.exists():
        return [Line("encryption", "warn", "encryption_unknown", {"device": source, "kind": kind})]
    if _crypt(block, depth=8):
        return [Line("encryption", "pass", "encrypted", {"device": source})]
    return [Line("encryption", "warn", "not_encrypted", {"device": source})]


def clock_lines(machine: Machine) -> list[Line]:
    """Look whether something keeps this clock right."""
    if machine.synchronised():
        return [Line("clock", "pass", "clock_synchronised")]
    return [Line("clock", "warn", "clock_free")]


def _meminfo(root: Path) -> int | None:
    try:
        for line in (root / "proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        return None
    return None


def _container(root: Path) -> int | None:
    """What a container's limit leaves (cgroup v2), None without one."""
    try:
        limit = int((root / "sys/fs/cgroup/memory.max").read_text(encoding="ascii"))
        used = int((root / "sys/fs/cgroup/memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):  # no cgroup, or "max"
        return None
    return max(limit - used, 0)


def _mount(home: Path, root: Path) -> tuple[str, str]:
    """Kind and source of the file system that holds a folder, from /proc/self/mountinfo; see proc(5)."""
    best, found = -1, ("", "")
    try:
        lines = (root / "proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return found
    place = os.path.realpath(home)
    for line in lines:
        left, _, right = line.partition(" - ")
        fields, rest = left.split(), right.split()
        if len(fields) < 5 or len(rest) < 2:
            continue
        point = fields[4].replace("\\040", " ")
        inside = point == "/" or place == point or place.startswith(f"{point}/")
        if inside and len(point) >= best:
            best, found = len(point), (rest[0], rest[1])
    return found


def _crypt(block: Path, depth: int) -> bool:
    """Tell whether a block device is dm-crypt, or lies on nothing but such."""
    try:
        if (block / "dm/uuid").read_text(encoding="ascii").startswith("CRYPT-"):
            return True
    except OSError:
        pass
    below = list((block / "slaves").iterdir()) if (block / "slaves").is_dir() else []
    return bool(below) and depth > 0 and all(_crypt(each, depth - 1) for each in below)
