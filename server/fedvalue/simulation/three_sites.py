"""``fedvalue demo --processes``: three made-up hospitals as processes, from keys to evidence."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fedvalue.errors import FederationError
from fedvalue.evidence import sealing
from fedvalue.evidence.package import EvidencePackage
from fedvalue.operations.processes import free_ports
from fedvalue.simulation import office_work
from fedvalue.simulation.federation import fresh_folder
from fedvalue.simulation.machines import HOST, Machines
from fedvalue.synthetic.hospitals import make_hospitals
from fedvalue.synthetic.studies import three_sites_study
from fedvalue.synthetic.world import World
from fedvalue.synthetic.worlds import three_sites_world

MADE = re.compile("authority|author|coordinator|sites|post|hospitals|study|results|logs|flower")
RUN_SECONDS = 240.0


@dataclass(slots=True)
class Steps:
    """What was done, and when.

    Attributes:
      tell: Gets a line for each.
      began: Seconds of a monotonic clock.
      done: ``(seconds since the beginning, in words)``.
    """

    tell: Callable[[str], None]
    began: float = field(default_factory=time.monotonic)
    done: list[tuple[float, str]] = field(default_factory=list)

    def __call__(self, text: str) -> None:
        """Note a step that is done."""
        seconds = time.monotonic() - self.began
        self.done.append((seconds, text))
        self.tell(f"{seconds:6.1f} s  {text}")


@dataclass(frozen=True, slots=True)
class Finished:
    """A federation that answered its study and has ended.

    Attributes:
      evidence: What it opened, as written to ``results/evidence.json``.
      charges: Site id to the number of releases that its ledger was charged for.
      steps: What was done, and when.
    """

    evidence: EvidencePackage
    charges: dict[str, int]
    steps: Steps


@contextmanager
def running(
    folder: Path,
    studies: Mapping[str, bytes],
    steps: Steps,
    *,
    world: World | None = None,
    seed: int = 1,
    admits_sampled: bool = False,
    extra: Mapping[str, str] | None = None,
    flwr: str = "flwr",
) -> Iterator[Machines]:
    """Make a federation whose sites approve studies, and run it; every process ends with the block.

    Args:
      folder: An empty folder for everything.
      studies: Name to study file; each is signed and approved, and lies in ``study/NAME.toml`` then.
      steps: Told of each step.
      world: The made-up hospitals; None takes three.
      seed: Of the hospitals' records; keys and noise nobody can repeat.
      admits_sampled: Open ledgers that bear trainings which draw patients by chance.
      extra: Variables that every process gets.
      flwr: Flower's command, for the registration of SuperNodes.

    Raises:
      FederationError: a step failed, or a process is left.
    """
    chosen = world or three_sites_world()
    make_hospitals(chosen, folder / "hospitals", np.random.default_rng(seed))
    sites = [hospital.id for hospital in chosen.hospitals]
    steps(f"made up the records of {', '.join(sites)}")
    (port,) = free_ports(1)
    papers = office_work.make_papers(folder, sites, HOST, port, steps, admits_sampled=admits_sampled)
    with Machines(papers, extra or {}, flwr) as machines:
        machines.begin_superlink()  # it starts while the hospitals load
        office_work.load_all(papers, folder / "hospitals")
        steps("hospitals loaded their tables (site load)")
        (folder / "study").mkdir()
        for name, text in studies.items():
            file = folder / "study" / f"{name}.toml"
            file.write_bytes(text)
            office_work.approve_all(papers, file)
        steps(
            "the study is signed; officers looked at it and approved (study sign, site check, site approve)"
        )
        machines.wait_for_superlink()
        steps(f"SuperLink on {HOST}:{port}, TLS and node authentication")
        machines.register()
        steps("SuperNodes registered (flwr supernode register)")
        machines.start_sites()
        machines.wait_for_sites()
        steps(f"{len(sites)} sites run: node, SuperNode and worker each (site serve)")
        yield machines
    if machines.tree.left():
        raise FederationError(f"processes are left: {machines.tree.left()}", where="demo --processes")
    steps("every process ended")


def run_processes(out: Path, tell: Callable[[str], None], *, seed: int = 1) -> Finished:
    """Make three hospitals from nothing, run one study with private sums, verify it, and end every process.

    Args:
      out: Folder for everything; an earlier federation there is replaced.
      tell: Gets one line for each step, with the seconds since the beginning.
      seed: Of the hospitals' records; keys and noise nobody can repeat.

    Returns:
      Its evidence and what it cost.

    Raises:
      FederationError: a step failed, or a process is left.
      OutputError: the folder cannot be written, or holds something else.
    """
    steps = Steps(tell)
    folder = fresh_folder(out, made=MADE).resolve()
    with running(folder, {"study": three_sites_study()}, steps, seed=seed) as machines:
        study = folder / "study" / "study.toml"
        machines.run(*machines.study_command(study, folder / "results"), seconds=RUN_SECONDS)
        steps("study answered with private sums, over streams that the sites dialed (study run)")
    office_work.command("evidence", "verify", folder / "results" / "evidence.json")
    charged = charges(machines.papers)
    steps(f"evidence verified; every ledger was charged {max(charged.values())} release (evidence verify)")
    return Finished(sealing.load(folder / "results" / "evidence.json"), charged, steps)


def charges(papers: office_work.Papers) -> dict[str, int]:
    """Return how many releases each site's ledger was charged for.

    Raises:
      FederationError: a ledger cannot be read.
    """
    return {
        site: len(office_work.told("site", "ledger", papers.home(site))["debits"]) for site in papers.sites
    }
