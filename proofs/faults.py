"""A federation of real processes, and what may befall it: one fault a study, and what was left afterwards.

Five hospitals, of which one may fail, each a `fedvalue site serve` with TLS, keys and a home of its own; a
SuperLink with node authentication; every study started by `fedvalue study run`. A fault falls at a random
moment of the study. Afterwards the study has finished, has gone on where it stopped, or was refused by name;
every ledger verifies and holds no more than the evidence says; nothing hangs and nothing is left running.
"""

from __future__ import annotations

import os
import random
import re
import resource
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fedvalue.client.home import SiteHome
from fedvalue.errors import FedValueError
from fedvalue.evidence import sealing
from fedvalue.evidence.chain import verify_chain
from fedvalue.operations.processes import free_ports
from fedvalue.server.run_state import RunFolder
from fedvalue.simulation import office_work
from fedvalue.simulation.machines import HOST, Machines
from fedvalue.study.file import digest, load
from fedvalue.synthetic.hospitals import make_hospitals
from fedvalue.synthetic.studies import demo_study
from fedvalue.synthetic.world import Hospital, World
from fedvalue.synthetic.worlds import demo_world
from proofs.door import Door

LONGEST = 420.0
"""Seconds after which a study hangs."""

FIRST_SECONDS = 2.0
"""A fault falls within so many seconds after the sites' approvals are asked for; a study takes about two."""

GONE_SECONDS = 30.0
"""Within which every process of a study that is over has ended."""

REPEATS, REPEAT_SECONDS = 3, 30.0
"""A refused study is asked for again so often, so many seconds apart: SuperNodes dial again slowly."""

AGE = 'age = { person = "age", clip = [18, 95], unit = "years" }'
TRIMMED = """[[analyses]]
kind = "trimmed_mean"
variable = "age"
budget = 0.5

[[payments]]
"""
"""With these a study has two releases; the second is asked from what the first one said."""

SPOILED = Path(__file__).parent / "spoiled"


@dataclass(slots=True)
class Scene:
    """A running federation.

    Attributes:
      machines: Its processes.
      doors: The ways of each site to the coordinator: its SuperNode's to the SuperLink, its node's to the
        port for sessions.
      rng: Draws victims and moments.
      done: Studies that were run.
      told: What a fault did, for the table.
    """

    machines: Machines
    doors: dict[str, tuple[Door, Door]]
    rng: random.Random
    done: int = 0
    told: str = ""

    @property
    def sites(self) -> tuple[str, ...]:
        """Site ids."""
        return self.machines.papers.sites

    def kill(self, *pids: int) -> None:
        """End processes as a power cut would."""
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    def supervisor(self, site: str) -> int:
        """Return the process id of a site's supervisor."""
        (pid,) = [pid for pid, line in self.processes() if " site serve " in line and f"/{site} " in line]
        return pid

    def processes(self) -> list[tuple[int, str]]:
        """Return every process of the federation with its command line."""
        found = []
        for pid in self.machines.tree.left():
            try:
                words = (
                    Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
            except OSError:
                continue
            found.append((pid, words))
        return found

    def server_app(self) -> list[int]:
        """Return the processes in which the ServerApp runs."""
        return [pid for pid, line in self.processes() if re.search(r"flwr-serverapp\b", line)]


Fault = Callable[[Scene, list[Callable[[], None]]], None]
"""Does the harm, says it in `Scene.told`, and adds what mends it once the study is over."""


@contextmanager
def scene(seed: int) -> Iterator[Scene]:
    """Make a federation and run its machines; all processes end with the block."""
    with tempfile.TemporaryDirectory(prefix="fv-faults-") as name, ExitStack() as stack:
        folder = Path(name)
        world = _five(demo_world())
        make_hospitals(world, folder / "hospitals", np.random.default_rng(seed))
        port, sessions = free_ports(2)
        sites = [hospital.id for hospital in world.hospitals]
        papers = office_work.make_papers(folder / "federation", sites, HOST, port, lambda _: None)
        office_work.load_all(papers, folder / "hospitals")
        doors = {
            site: (stack.enter_context(Door(HOST, port)), stack.enter_context(Door(HOST, sessions)))
            for site in sites
        }
        machines = stack.enter_context(
            Machines(
                papers,
                doors={site: f"{HOST}:{door.port}" for site, (door, _) in doors.items()},
                session_doors={site: f"{HOST}:{door.port}" for site, (_, door) in doors.items()},
                ports=f"{HOST}:{sessions}",
            )
        )
        machines.start_superlink()
        machines.register()
        machines.start_sites()
        machines.wait_for_sites()
        yield Scene(machines, doors, random.Random(seed))  # noqa: S311 (who dies when, nothing secret)


def _five(world: World) -> World:
    hospitals: tuple[Hospital, ...] = world.hospitals[:5]
    return World(
        hospitals=hospitals, mutated=world.mutated, wild_type=world.wild_type, not_tested=world.not_tested,
        share_mutated=world.share_mutated,
    )  # fmt: skip


@dataclass(slots=True)
class Run:
    """One study under way.

    Attributes:
      scene: Where.
      study: Its file.
      out: Its folder.
      outputs: What each `fedvalue study run` printed.
    """

    scene: Scene
    study: Path
    out: Path
    outputs: list[str] = field(default_factory=list)

    def start(self) -> subprocess.Popen[str]:
        """Start ``fedvalue study run``, as the coordinator's people do."""
        words = self.scene.machines.study_command(self.study, self.out)
        return subprocess.Popen(
            ["/usr/bin/env", *words], env=self.scene.machines.tree.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def ended(self, process: subprocess.Popen[str], until: float) -> int | None:
        """Wait for its end, and return its exit status; None where it hangs."""
        try:
            said, _ = process.communicate(timeout=max(1.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            said, _ = process.communicate()
            self.outputs.append(said)
            return None
        self.outputs.append(said)
        return process.returncode

    def opened(self) -> int:
        """Return how many releases have been opened."""
        try:
            return RunFolder(self.out).state().done
        except FedValueError:
            return 0

    def phase(self) -> str:
        """Return where it stands; empty before it began."""
        try:
            return RunFolder(self.out).state().phase
        except FedValueError:
            return ""


def befall(scene: Scene, fault: Fault | None, name: str, *, after: int = 0) -> dict[str, Any]:
    """Run one study with one fault in it, and check what must hold afterwards.

    Args:
      scene: The federation.
      fault: None for a study that nothing befalls.
      name: Of the fault.
      after: 1 lets the fault fall after the first of two releases; else the study has one.

    Returns:
      ``outcome``: ``finished``, ``resumed`` (after the same command was given again) or ``refused``;
      ``moment`` in seconds; ``told``; ``answered``, ``attempts``; ``ledgers``; ``seconds``; ``broken``.
    """
    run = _approved(scene, several=after > 0)
    longest = LONGEST * (1 + after)
    mends: list[Callable[[], None]] = []
    broken: list[str] = []
    moment = round(scene.rng.uniform(0.0, FIRST_SECONDS), 1)
    began, until = time.monotonic(), time.monotonic() + longest
    scene.told = ""
    process = run.start()
    while process.poll() is None and run.phase() in ("", "waiting for sites") and time.monotonic() < until:
        time.sleep(0.2)
    while process.poll() is None and run.opened() < after and time.monotonic() < until:
        time.sleep(0.2)
    if fault is not None:
        pause = time.monotonic() + moment
        while process.poll() is None and time.monotonic() < pause:
            time.sleep(0.1)
        fault(scene, mends)
    status = run.ended(process, until)
    outcome = _outcome(run, status)
    for mend in mends:
        mend()
    if status != 0:  # whatever it was: mended, the same command again must go on
        scene.machines.wait_for_sites()
        for again in range(1, REPEATS + 1):
            status = run.ended(run.start(), time.monotonic() + longest)
            if status == 0:
                outcome = "resumed" + (f" when asked for the {again}th time" if again > 1 else "")
                break
            outcome = f"{outcome}, then {_outcome(run, status)}"
            time.sleep(REPEAT_SECONDS)
    if status == 0 and not (run.out / "evidence.json").is_file():
        broken.append("it is said to have finished, and there is no evidence")
    if "hangs" in outcome:
        broken.append("it hangs")
    if outcome.startswith("without a reason"):
        broken.append(f"it ended without a reason: {run.outputs[-1][-300:]}")
    facts = _left(scene, run, broken)
    return {
        "fault": name, "moment": moment if fault else None, "told": scene.told, "outcome": outcome, **facts,
        "seconds": round(time.monotonic() - began, 1), "broken": broken,
        "said": [output[-600:] for output in run.outputs],
    }  # fmt: skip


def _approved(scene: Scene, *, several: bool) -> Run:
    scene.done += 1
    papers = scene.machines.papers
    folder = papers.folder / f"study-{scene.done}"
    folder.mkdir()
    text = demo_study().decode().replace("egfr-first-line-demo", f"fault-{scene.done}")
    if several:
        text = text.replace("budget = 0.75", "budget = 0.25").replace("[[payments]]\n", TRIMMED, 1)
        text = text.replace("[variables]\n", f"[variables]\n{AGE}\n", 1)
    study = folder / "study.toml"
    study.write_text(text.replace("[privacy]\n", "[privacy]\nspare_attempts = 1\n", 1), encoding="utf-8")
    office_work.command("study", "sign", study, "--key", papers.folder / "author" / f"{scene.done}.pem")
    for site in papers.sites:
        office_work.command("site", "approve", papers.home(site), study, "--roster", papers.roster)
    return Run(scene, study, folder / "out")


def _outcome(run: Run, status: int | None) -> str:
    if status is None:
        return "hangs"
    if status == 0:
        return "finished"
    found = re.search(r"^([a-z_]+): (.*)", run.outputs[-1], flags=re.MULTILINE)
    return f"refused: {found[2][:120]}" if found else "without a reason"


def _left(scene: Scene, run: Run, broken: list[str]) -> dict[str, Any]:
    """Read evidence, ledgers and processes, and add what does not hold to ``broken``."""
    until = time.monotonic() + GONE_SECONDS
    while scene.server_app() and time.monotonic() < until:
        time.sleep(0.5)
    if scene.server_app():
        broken.append("a ServerApp is left running")
    study_hash = digest(load(run.study))
    evidence = sealing.load(run.out / "evidence.json") if (run.out / "evidence.json").is_file() else None
    answered: list[int] = []
    stated: Mapping[str, int] = {}
    if evidence is not None:
        try:
            verify_chain(evidence)
        except FedValueError as error:
            broken.append(f"the evidence does not hold: {error}")
        stated = {entry.site: entry.rho_units for entry in evidence.privacy.spent}
        answered = [len(release.answered) for release in evidence.releases]
    held: dict[str, int] = {}
    for site in scene.sites:
        with SiteHome.open(scene.machines.papers.home(site)).ledger() as ledger:  # verifies all of it
            entries = [entry for entry in ledger.entries() if entry.body.get("study") == study_hash]
        debits = [str(entry.body["h"]) for entry in entries if entry.kind == "debit"]
        held[site] = sum(entry.price.rho_units or 0 for entry in entries)
        if len(debits) != len(set(debits)):
            broken.append(f"{site} was charged twice for one question")
        if evidence is not None and stated.get(site, 0) < held[site]:
            broken.append(f"the evidence says that {site} spent less than its ledger holds")
    exact = sum(1 for site in scene.sites if stated.get(site) == held[site])
    return {
        "answered": answered,
        "attempts": [release.attempt for release in evidence.releases] if evidence else [],
        "exact": exact if evidence else None,
        "charged": sum(1 for units in held.values() if units),
    }


# ---- the faults ------------------------------------------------------------------------------------------


def node_killed(scene: Scene, mends: list[Callable[[], None]]) -> None:
    """Kill one site's node; its supervisor starts another."""
    del mends
    site = scene.rng.choice(scene.sites)
    scene.kill(scene.machines.pids(site)["node"])
    scene.told = f"{site}'s node"


def site_killed(scene: Scene, mends: list[Callable[[], None]], victims: int = 1) -> None:
    """Kill whole sites, supervisor first; they are started again once the study is over."""
    chosen = scene.rng.sample(scene.sites, victims)
    scene.kill(*(scene.supervisor(site) for site in chosen))
    mends.append(lambda: scene.machines.start_sites(*chosen))
    mends.append(lambda: scene.machines.wait_for_sites())
    scene.told = ", ".join(chosen)


def two_sites_killed(scene: Scene, mends: list[Callable[[], None]]) -> None:
    """Kill one site more than may fail."""
    site_killed(scene, mends, 2)


def coordinator_killed(scene: Scene, mends: list[Callable[[], None]]) -> None:
    """Kill the ServerApp's process."""
    del mends
    pids = scene.server_app()
    scene.kill(*pids)
    scene.told = f"{len(pids)} process of the ServerApp"


def superlink_killed(scene: Scene, mends: list[Callable[[], None]]) -> None:
    """Kill the SuperLink alone, and start it again after three seconds."""
    del mends
    scene.kill(*(pid for pid, line in scene.processes() if "flower-superlink" in line))
    time.sleep(3.0)
    scene.machines.start_superlink()
    scene.told = "started again after 3 s"


def cut(seconds: float | None) -> Fault:
    """Return a fault that cuts one site's network, for so long or for good."""

    def fault(scene: Scene, mends: list[Callable[[], None]]) -> None:
        site = scene.rng.choice(scene.sites)
        for door in scene.doors[site]:
            door.shut()
        scene.told = site
        if seconds is None:
            mends.extend(door.reopen for door in scene.doors[site])
            mends.append(lambda: scene.machines.wait_for_sites())
        else:
            time.sleep(seconds)
            for door in scene.doors[site]:
                door.reopen()

    return fault


def slow_line(scene: Scene, mends: list[Callable[[], None]]) -> None:
    """Give every site 300 ms of latency, half of it each way, until the study is over."""
    for door in (each for both in scene.doors.values() for each in both):
        door.delay = 0.15
        mends.append(door.quick)
    scene.told = "all sites"


def disk_full(scene: Scene, mends: list[Callable[[], None]]) -> None:
    """Let one site's node write no file any further, as on a full disk; its node is new after the study."""
    site = scene.rng.choice(scene.sites)
    pid = scene.machines.pids(site)["node"]
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    scene.told = site
    mends.append(lambda: scene.kill(pid))
    mends.append(lambda: time.sleep(2.0))
    mends.append(lambda: scene.machines.wait_for_sites())


def stopped(scene: Scene, mends: list[Callable[[], None]]) -> None:
    """Stop one site's node for 25 seconds."""
    del mends
    site = scene.rng.choice(scene.sites)
    pid = scene.machines.pids(site)["node"]
    os.kill(pid, signal.SIGSTOP)
    time.sleep(25.0)
    os.kill(pid, signal.SIGCONT)
    scene.told = site


@contextmanager
def changed(scene: Scene, site: str, extra: Mapping[str, str]) -> Iterator[None]:
    """Run one site with other variables for as long as the block lasts."""
    scene.machines.tree.stop(site)
    scene.machines.start_sites(site, extra=extra)
    try:
        yield
    finally:
        scene.machines.tree.stop(site)
        scene.machines.start_sites(site)
        scene.machines.wait_for_sites(site)
