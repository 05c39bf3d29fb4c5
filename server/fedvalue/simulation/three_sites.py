"""``fedvalue demo --processes``: three made-up hospitals as processes, from keys to evidence."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
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


def run_processes(
    out: Path,
    tell: Callable[[str], None],
    *,
    world: World | None = None,
    study: bytes | None = None,
    seed: int = 1,
    extra: Mapping[str, str] | None = None,
    flwr: str = "flwr",
) -> Finished:
    """Make a federation from nothing, run one study with private sums, verify it, and end every process.

    Args:
      out: Folder for everything; an earlier federation there is replaced.
      tell: Gets one line for each step, with the seconds since the beginning.
      world: The made-up hospitals; None takes three.
      study: The study file; None takes the packaged one for three sites.
      seed: Of the hospitals' records; keys and noise nobody can repeat.
      extra: Variables that every process gets.
      flwr: Flower's command, for the registration of SuperNodes.

    Returns:
      Its evidence and what it cost.

    Raises:
      FederationError: a step failed, or a process is left.
      OutputError: the folder cannot be written, or holds something else.
    """
    steps = Steps(tell)
    folder = fresh_folder(out, made=MADE).resolve()
    chosen = world or three_sites_world()
    make_hospitals(chosen, folder / "hospitals", np.random.default_rng(seed))
    sites = [hospital.id for hospital in chosen.hospitals]
    steps(f"made up the records of {', '.join(sites)}")
    (port,) = free_ports(1)
    papers = office_work.make_papers(folder, sites, HOST, port, steps)
    with Machines(papers, extra or {}, flwr) as machines:
        machines.begin_superlink()  # it starts while the hospitals load
        office_work.load_all(papers, folder / "hospitals")
        steps("hospitals loaded their tables (site load)")
        file = folder / "study" / "study.toml"
        file.parent.mkdir()
        file.write_bytes(study or three_sites_study())
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
        machines.run(*machines.study_command(file, folder / "results"), seconds=RUN_SECONDS)
        steps("study answered with private sums, over streams that the sites dialed (study run)")
    if machines.tree.left():
        raise FederationError(f"processes are left: {machines.tree.left()}", where="demo --processes")
    steps("every process ended")
    office_work.command("evidence", "verify", folder / "results" / "evidence.json")
    charges = {site: len(office_work.told("site", "ledger", papers.home(site))["debits"]) for site in sites}
    steps(f"evidence verified; every ledger was charged {max(charges.values())} release (evidence verify)")
    return Finished(sealing.load(folder / "results" / "evidence.json"), charges, steps)
