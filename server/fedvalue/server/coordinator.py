"""Run one study over any Flower grid: enrol, open the releases, conclude, and seal the evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.serverapp import Grid

from fedvalue.analyses.analysis import Analysis, Ask, NoisySum
from fedvalue.evidence import records, sealing
from fedvalue.evidence.bias import bias_checklist
from fedvalue.evidence.package import (
    EvidenceBody,
    EvidencePackage,
    Federation,
    ReleaseRecord,
    SignedReply,
    SiteSpending,
)
from fedvalue.planning.plan import Plan, lowered, make_plan
from fedvalue.server.enrolment import Progress, enrol, exchange, wait_for_nodes
from fedvalue.server.provenance import VOCABULARY, installed_code
from fedvalue.strategies.secure_aggregation.clear_sum import Opened, UnsafeClearSum
from fedvalue.study.roster import Roster
from fedvalue.study.schema import Study
from fedvalue.study.signature import Signature


def quiet(text: str, done: int, total: int) -> None:
    """Progress that nobody watches."""
    del text, done, total


def present() -> datetime:
    """Return the machine's present in UTC."""
    return datetime.now(UTC)


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
      wait_seconds: How long to wait for sites to connect.
      step_seconds: Deadline of one question to the sites; None for no deadline.
      clock: Tells the time.
      progress: Told what is going on.
    """

    study: Study
    roster: Roster
    key: Ed25519PrivateKey
    study_signatures: tuple[Signature, ...] = ()
    simulation: bool = False
    unsafe_exact: bool = False
    wait_seconds: float = 60.0
    step_seconds: float | None = 3600.0
    clock: Callable[[], datetime] = present
    progress: Progress = quiet

    def run(self, grid: Grid) -> EvidencePackage:
        """Run the study and return its sealed evidence.

        Raises:
          TooFewSites: fewer sites connected, approved or answered than the study demands.
          PrivacyError: the budget is too small for what is asked.
        """
        plan = make_plan(self.study, self.roster, unsafe_exact=self.unsafe_exact)
        nodes = wait_for_nodes(grid, plan.thresholds.sites, seconds=self.wait_seconds, progress=self.progress)
        self.progress("asking for approvals", 0, len(nodes))
        enrolled = enrol(
            grid, nodes, plan, self.roster, timeout=self.step_seconds, simulation=self.simulation
        )
        self.progress("asking for approvals", len(enrolled.nodes), len(nodes))
        clear_sum = UnsafeClearSum(
            plan,
            self.roster,
            lambda request: exchange(grid, enrolled, request, timeout=self.step_seconds),
            attempts=1 + self.study.privacy.spare_attempts,
        )
        conclusions = []
        for done, analysis in enumerate(plan.analyses):
            self.progress(f"concluding {analysis.label}", done, len(plan.analyses))
            conclusions.append(analysis.conclude(_sum_of(clear_sum, plan, analysis), plan.terms))
        self.progress("concluded", len(plan.analyses), len(plan.analyses))
        releases = tuple(self._record(plan, opened) for opened in clear_sum.opened)
        spent = tuple(_spending(site.id, clear_sum.opened) for site in self.roster.site)
        now = self.clock()
        return sealing.seal(
            EvidenceBody(
                simulation=self.simulation,
                unsafe=tuple(sorted(lowered(plan))),
                study_id=self.study.study.id,
                study_hash=plan.study_hash,
                study=self.study.model_dump(mode="json", by_alias=True),
                study_signatures=self.study_signatures,
                roster=self.roster,
                roster_hash=plan.roster_hash,
                federation=Federation.of(plan.thresholds),
                approvals=enrolled.approvals,
                releases=releases,
                privacy=records.privacy_statement(plan, self.study, releases, spent),
                conclusions=tuple(conclusions),
                bias=bias_checklist(self.study),
                code=installed_code(),
                data_vocabulary_version=VOCABULARY,
                created=now,
                valid_from=now.date(),
                valid_to=self.study.study.valid.until,
            ),
            self.key,
        )

    def _record(self, plan: Plan, opened: Opened) -> ReleaseRecord:
        order = [site.id for site in self.roster.site if site.id in opened.signatures]
        replies = tuple(
            SignedReply(site=s, vector_digest=opened.digests[s], signature=opened.signatures[s])
            for s in order
        )
        return records.release_record(
            plan, opened.release, total=opened.total, replies=replies, attempt=opened.attempt
        )


def _spending(site: str, opened: list[Opened]) -> SiteSpending:
    """What the site's ledger was debited, as far as the coordinator can tell: never less than it was.

    A site whose share is in a sum counts for every attempt at it, any other one for those it may have paid.
    """
    rho_units = debits = 0
    for one in opened:
        attempts = one.attempt if site in one.signatures else one.charged.get(site, 0)
        debits += attempts
        rho_units += 0 if one.release.exact else attempts * one.release.scales.rho_units(1)
    return SiteSpending(site=site, rho_units=rho_units, releases=debits)


def _sum_of(clear_sum: UnsafeClearSum, plan: Plan, analysis: Analysis) -> Callable[[Ask], NoisySum]:
    def ask_federation(ask: Ask) -> NoisySum:
        number = [one.label for one in analysis.rounds()].index(ask.label)
        blocks = clear_sum.open(plan.releases[number].label).blocks()
        prefix = f"{analysis.label}/{ask.label}/"
        return {name.removeprefix(prefix): block for name, block in blocks.items() if name.startswith(prefix)}

    return ask_federation
