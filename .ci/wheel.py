"""Build the wheel, check what is in it, and use it outside the checkout.

The wheel goes into an empty virtual environment that finds third-party packages in the one this script
runs in, through a plain path file: Python does not read that environment's own path files there, so the
editable checkout stays out of sight and only the wheel can provide ``fedvalue``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

from fedvalue.quiet import quiet_environment

REPOSITORY = Path(__file__).resolve().parent.parent
IMPORT_SECONDS, DEMO_SECONDS = 120, 300

IMPORT_EVERYTHING = """
import importlib, pkgutil, sys
import fedvalue
wheel, names = sys.argv[1], []
for found in pkgutil.walk_packages(fedvalue.__path__, "fedvalue."):
    names.append(found.name)
    module = importlib.import_module(found.name)
    if module.__file__ is not None and not module.__file__.startswith(wheel):
        sys.exit(f"{found.name} came from {module.__file__}, not from the wheel")
print(f"  {len(names)} modules imported outside the checkout")
"""


def main() -> int:
    """Build, inspect and use the wheel; return the exit status."""
    with tempfile.TemporaryDirectory(prefix="fedvalue-wheel-") as folder:
        work = Path(folder)
        wheel = build(work)
        absent = sorted(shipped() - contents(wheel))
        if absent:
            sys.stderr.write(f"{wheel.name} lacks files of the checkout: {', '.join(absent[:20])}\n")
            return 1
        sys.stdout.write(f"  {wheel.name} holds all {len(shipped())} files of the rooms\n")
        python = install(wheel, work / "venv")
        site = sysconfig.get_path(
            "purelib", vars={"base": str(work / "venv"), "platbase": str(work / "venv")}
        )
        run([python, "-I", "-c", IMPORT_EVERYTHING, site], work, IMPORT_SECONDS)
        command = python.with_name("fedvalue")
        run([command, "--version"], work, IMPORT_SECONDS)
        run([command, "demo", "--out", work / "demo"], work, DEMO_SECONDS)
        if not (work / "demo" / "report.html").is_file():
            sys.stderr.write("the demo of the wheel wrote no report.html\n")
            return 1
    return 0


def shipped() -> set[str]:
    """Return every file that the rooms hold, as it is named in the wheel."""
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    found = set()
    for package in settings["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        root = REPOSITORY / package
        for path in root.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                found.add(path.relative_to(root.parent).as_posix())
    return found


def contents(wheel: Path) -> set[str]:
    """Return the names of the files in ``wheel``."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def build(work: Path) -> Path:
    """Build the wheel from the checkout with the pinned build tools, and return its path."""
    # Without isolation: the build tools are the pinned ones that are already here.
    run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", work, REPOSITORY],
        work,
        120,
        quiet=True,
    )
    (wheel,) = work.glob("*.whl")
    return wheel


def install(wheel: Path, place: Path) -> Path:
    """Install ``wheel`` in a new environment at ``place`` and return that environment's Python."""
    venv.create(place, with_pip=False, symlinks=True)
    python = place / "bin" / "python"
    pip: list[str | Path] = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python]
    run([*pip, "install", "--quiet", "--no-deps", "--no-index", wheel], place, 120)
    ours, theirs = (sysconfig.get_path("purelib"), place / "lib")
    (site,) = theirs.glob("python*/site-packages")
    (site / "third-party.pth").write_text(ours + "\n", encoding="utf-8")
    return python


def run(words: Sequence[str | Path], folder: Path, seconds: float, *, quiet: bool = False) -> None:
    """Run one command in ``folder``; a failure or ``seconds`` without an end stops this script."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env=quiet_environment(environment),
        timeout=seconds,
        check=False,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.STDOUT if quiet else None,
    )
    if done.returncode != 0:
        sys.stderr.write(f"{done.stdout or ''}\nfailed: {' '.join(str(word) for word in words)}\n")
        sys.exit(done.returncode)


if __name__ == "__main__":
    sys.exit(main())
