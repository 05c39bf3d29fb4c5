"""Run a proof step by step, keep each step's result, and write the page of evidence.

A module of ``proofs/keys`` is one proof, and its name is the proof's key. It has ``STEPS``, functions that
each return what they found as JSON, and the function ``report``, which turns what all of them found into a
page and a list of promises that were broken. A finished step is kept in ``out/proofs/KEY`` and not run
again, unless the proof itself has changed since, or one of its ``SOURCES``: files and folders from the root,
by default the payment room. After thirty minutes no further step is started; run the same command again to
go on. The page names command, commit and versions. The exit status is 1 where a promise was broken and 3
where steps are left.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import importlib.metadata
import json
import pkgutil
import platform
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

from rich.console import Console

ROOT = Path(__file__).resolve().parent.parent

ROOMS = ("core", "strategies", "client", "server", "protos", "benchmarks", "proofs", "tests")
"""Folders whose code a proof may run: a change in them that is not committed stands on the page."""

WHOLE_RUN = 30 * 60.0  # seconds; after that, no further step is started
BROKEN, LEFT = 1, 3

Found = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Report:
    """What a proof says in the end.

    Attributes:
      page: Markdown below the title and the stamp.
      broken: Promises that were not kept, one sentence each.
      lines: What to print at the end besides.
      beside: Other files that the proof writes, content by path from the root; beside the page where that is
        written elsewhere.
    """

    page: str
    broken: tuple[str, ...]
    lines: tuple[str, ...] = ()
    beside: Mapping[str, str] = field(default_factory=dict)


class ProofModule(Protocol):
    """What a module of ``proofs/keys`` has to have."""

    TITLE: str
    PAGE: str

    @property
    def STEPS(self) -> Mapping[str, Callable[[], Found]]:  # noqa: N802  (a constant of the module)
        """Every step by name."""

    def report(self, found: Mapping[str, Found]) -> Report:
        """Turn what every step found into a page."""


def every_key() -> list[str]:
    """Every key, in the order of the alphabet."""
    return sorted(module.name for module in pkgutil.iter_modules([str(Path(__file__).parent / "keys")]))


def proof_module(key: str) -> ProofModule:
    """The module of a key."""
    return cast("ProofModule", importlib.import_module(f"proofs.keys.{key}"))


def source_digest(key: str) -> str:
    """SHA-256 over everything that a step's result may depend on, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    sources: tuple[str, ...] = getattr(proof_module(key), "SOURCES", ("core/fedvalue/payment",))
    paths = [Path(__file__).parent / "keys" / f"{key}.py"]
    for source in sources:
        place = ROOT / source
        paths += sorted(place.rglob("*.py")) if place.is_dir() else [place]
    for path in paths:
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def run_steps(
    module: ProofModule, folder: Path, digest: str, console: Console, *, seconds: float = WHOLE_RUN
) -> dict[str, Found]:
    """Return what every step found that could be run in time; finished ones are read from ``folder``.

    Args:
      module: The proof.
      folder: Where results are kept; made if it is absent.
      digest: Of the sources; a result of other sources is not used.
      console: For progress.
      seconds: After which no further step is started.
    """
    folder.mkdir(parents=True, exist_ok=True)
    began, found = time.monotonic(), {}
    for name, step in module.STEPS.items():
        kept = folder / f"{name}.json"
        earlier = _kept(kept, digest)
        if earlier is not None:
            found[name] = earlier
            console.print(f"  {name}: kept from before", style="dim")
            continue
        if time.monotonic() - began > seconds:
            console.print(f"  {name}: not started, {seconds / 60:.0f} minutes are over")
            continue
        start = time.monotonic()
        found[name] = step()
        console.print(f"  {name}: {time.monotonic() - start:.1f} s", style="dim")
        part = kept.with_suffix(".part")
        part.write_text(json.dumps({"sources": digest, "found": found[name]}, indent=1) + "\n")
        part.replace(kept)
    return found


def _kept(path: Path, digest: str) -> Found | None:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return cast("Found", content["found"]) if content.get("sources") == digest else None


def stamp(key: str) -> str:
    """The line that says how a page was made: command, commit, versions."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "scipy"))
    name, *changed = commit().split(" ", 1)
    at = " ".join([f"`{name}`", *changed])
    return (
        f"Made with `make prove KEY={key}` (`python -m proofs --key {key}`) at commit {at}, "
        f"Python {platform.python_version()}, {versions}."
    )


def commit() -> str:
    """Return the commit that a proof runs at, and whether something was changed since."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    try:
        name = git("rev-parse", "HEAD").strip()[:12]
        changed = git("status", "--porcelain", "--", *ROOMS).strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown (no git here)"
    return name + (" with changes that were not committed" if changed else "")


def main(arguments: Sequence[str]) -> int:
    """Run a proof; the exit status.

    Args:
      arguments: ``--key KEY``, or ``--list``; ``--out FOLDER`` for results kept between runs; ``--page
        FILE`` for the page.
    """
    parser = argparse.ArgumentParser(prog="python -m proofs", description="Run one long proof.")
    parser.add_argument("--key", choices=every_key(), help="the proof")
    parser.add_argument("--list", action="store_true", help="print every key with its title")
    parser.add_argument("--out", type=Path, default=Path("out/proofs"), help="folder for results of steps")
    parser.add_argument("--page", type=Path, help="file for the page; by default the one in docs/evidence")
    chosen = parser.parse_args(arguments)
    console = Console(highlight=False)
    if chosen.list or chosen.key is None:
        for key in every_key():
            console.print(f"{key:<16} {proof_module(key).TITLE}", soft_wrap=True)
        return 0 if chosen.list else 2
    module = proof_module(chosen.key)
    found = run_steps(module, chosen.out / chosen.key, source_digest(chosen.key), console)
    if left := [name for name in module.STEPS if name not in found]:
        console.print(f"left: {', '.join(left)}; run the same command again to go on")
        return LEFT
    report = module.report(found)
    page = chosen.page or ROOT / module.PAGE
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(f"# {module.TITLE}\n\n{stamp(chosen.key)}\n\n{report.page}", encoding="utf-8")
    console.print(f"wrote {page}")
    for name, content in report.beside.items():
        other = page.parent / Path(name).name if chosen.page else ROOT / name
        other.write_text(content, encoding="utf-8")
        console.print(f"wrote {other}")
    for sentence in report.lines:
        console.print(sentence, soft_wrap=True)
    for sentence in report.broken:
        console.print(f"broken: {sentence}", style="red")
    return BROKEN if report.broken else 0
