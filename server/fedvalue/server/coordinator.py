"""Run one study over any Flower grid: enrol, open the releases, conclude, and seal the evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.serverapp import Grid

from fedvalue.errors import PolicyForbids, RosterUnsigned
from fedvalue.evidence import records, sealing
from fedvalue.evidence.bias import bias_checklist
from fedvalue.evidence.package import EvidenceBody, EvidencePackage, Federation
from fedvalue.planning.concluding import conclude_all, quiet
from fedvalue.planning.plan import lowered, make_plan
from fedvalue.server.checkpoint import Checkpoint
from fedvalue.server.enrolment import Progress, enrol, wait_for_nodes
from fedvalue.server.provenance import VOCABULARY, installed_code
from fedvalue.server.sums import Clear, Masked, Sum
from fedvalue.strategies.training.server_optimiser import with_flower
from fedvalue.study.file import digest
from fedvalue.study.identity.clock import present
from fedvalue.study.identity.trust import Trust
from fedvalue.study.roster import Roster
from fedvalue.study.schema import Study
from fedvalue.study.signature import Signature


def always() -> None:
    """A run that nobody cancels."""


@dataclass(frozen=True, slots=True)
class Coordinator:
    """What one run of a study needs.

    Attributes:
      study: The study.
      roster: The hospitals.
      key: The coordinator's key; signs the evidence.
      study_signatures: Who signed the study.
      simulation: True where keys, approvals and ledgers were made for the run.
      unsafe_exact: Without noise: simulations and tests only.
      unsafe_clear_sum: Let each site's share travel in clear instead of the private sum: simulations only.
      wait_seconds: How long to wait for sites to connect.
      step_seconds: Deadline of one question to the sites; None for no deadline.
      clock: Tells the time.
      progress: Told what is going on.
      trust: The authority that signed the roster, and its list; None in a simulation.
      checkpoint: Where opened releases are kept, and taken from after a crash; None keeps nothing.
      wanted: Raises `RunInterrupted` when somebody wants the run cancelled.
    """

    study: Study
    roster: Roster
    key: Ed25519PrivateKey
    study_signatures: tuple[Signature, ...] = ()
    simulation: bool = False
    unsafe_exact: bool = False
    unsafe_clear_sum: bool = False
    wait_seconds: float = 60.0
    step_seconds: float | None = 3600.0
    clock: Callable[[], datetime] = present
    progress: Progress = quiet
    trust: Trust | None = None
    checkpoint: Checkpoint | None = None
    wanted: Callable[[], None] = always

    @property
    def study_hash(self) -> str:
        """SHA-256 of the study."""
        return digest(self.study)

    def run(self, grid: Grid) -> EvidencePackage:
        """Run the study and return its sealed evidence.

        Raises:
          TooFewSites: fewer sites connected, approved or answered than the study demands.
          PolicyForbids: a sum in clear outside a simulation.
          IdentityRefusal: outside a simulation, no authority stands behind the roster, or its list is stale.
          PrivacyError: the budget is too small for what is asked.
          EvidenceError: the checkpoint is of another study, or damaged.
          RunInterrupted: somebody cancelled the run.
        """
        if self.unsafe_clear_sum and not self.simulation:
            raise PolicyForbids("the sum travels in clear only in a simulation", where="coordinator")
        if self.trust is None and not self.simulation:
            raise RosterUnsigned(
                "a study of real sites needs the authority that signed its roster", where="coordinator",
                do="give the authority's certificate and its newest revocation list",
            )  # fmt: skip
        plan = make_plan(self.study, self.roster, unsafe_exact=self.unsafe_exact)
        nodes = wait_for_nodes(grid, plan.thresholds.sites, seconds=self.wait_seconds, progress=self.progress)
        self.progress("asking for approvals", 0, len(nodes))
        enrolled = enrol(
            grid,
            nodes,
            plan,
            self.roster,
            timeout=self.step_seconds,
            simulation=self.simulation,
            clear_sum=self.unsafe_clear_sum,
            trust=self.trust,
            clock=self.clock,
        )
        self.progress("asking for approvals", len(enrolled.nodes), len(nodes))
        opened: Sum
        if self.unsafe_clear_sum:
            opened = Clear.over(grid, enrolled, plan, self.roster, timeout=self.step_seconds)
        else:
            opened = Masked.over(
                grid,
                enrolled,
                plan,
                self.roster,
                timeout=self.step_seconds,
                checkpoint=None if self.checkpoint is None else replace(self.checkpoint, key=self.key),
                wanted=self.wanted,
            )
        conclusions = conclude_all(with_flower(plan), opened.open, self.progress)
        self.progress("concluded", len(plan.analyses), len(plan.analyses))
        releases, spent = opened.records(), opened.spent()
        now = self.clock()
        return sealing.seal(
            EvidenceBody(
                simulation=self.simulation,
                unsafe=tuple(sorted(lowered(plan, clear_sum=self.unsafe_clear_sum))),
                study_id=self.study.study.id,
                study_hash=plan.study_hash,
                study=self.study.model_dump(mode="json", by_alias=True),
                study_signatures=self.study_signatures,
                roster=self.roster,
                roster_hash=plan.roster_hash,
                federation=Federation.of(plan.thresholds),
                approvals=opened.approvals(),
                releases=releases,
                privacy=records.privacy_statement(plan, self.study, releases, spent),
                conclusions=conclusions,
                bias=bias_checklist(self.study),
                code=installed_code(),
                data_vocabulary_version=VOCABULARY,
                created=now,
                valid_from=now.date(),
                valid_to=self.study.study.valid.until,
            ),
            self.key,
        )
