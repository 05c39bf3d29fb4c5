"""Five sites that answer thirty releases: ledgers and journals on disk, real contributions and noise."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.app import RecordDict

from benchmarks.streaming import STUDY
from fedvalue.analyses.cohort import Cohort, SurvivalOutcome
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.kaplan_meier import KaplanMeierByGroup
from fedvalue.client.governance.entries import Debit
from fedvalue.client.governance.journal import DurableJournal
from fedvalue.client.governance.ledger import Ledger
from fedvalue.client.governance.receipts import Receipts
from fedvalue.errors import FedValueError
from fedvalue.privacy import gaussian
from fedvalue.privacy.accounting import Budget, Price
from fedvalue.privacy.randomness import SystemNoise
from fedvalue.privacy.release import LOG2_SCALE, Block, scales
from fedvalue.secure_sum.membership import Member, Membership
from fedvalue.secure_sum.specification import BlockTerms, ReleaseTerms, RoundSpecification
from fedvalue.secure_sum.thresholds import thresholds
from fedvalue.strategies.secure_aggregation.messages import Refused, StepReply, StepRequest, Wire
from fedvalue.strategies.secure_aggregation.private_sum.agreed import Agreed, ChargedShare
from fedvalue.strategies.secure_aggregation.private_sum.journal import LedgerEnd
from fedvalue.strategies.secure_aggregation.private_sum.rounds import PrivateRounds
from fedvalue.strategies.secure_aggregation.private_sum.site import SiteProtocol
from fedvalue.study.signature import public_hex

SITES, RELEASES, PATIENTS, DAYS = 5, 30, 20_000, 730
NAMES = tuple(f"s{number:02d}" for number in range(1, SITES + 1))
ANALYSIS = KaplanMeierByGroup(
    "os", Groups(("egfr",), (("mutated", "wild type"),)), tuple(float(d) for d in range(DAYS + 1)), True, ()
)
(ASK,) = ANALYSIS.rounds()
RHO = 1 << 26

Exchange = Callable[[str, Mapping[str, bytes]], Iterable[tuple[str, "bytes | Refused"]]]


@dataclass(frozen=True, slots=True)
class Sites:
    """Five sites and what the coordinator computes of their study.

    Attributes:
      agreed: The study.
      protocols: By site id.
      keys: By site id.
    """

    agreed: Agreed
    protocols: dict[str, SiteProtocol]
    keys: dict[str, Ed25519PrivateKey]

    def exchange(self, step: str, requests: Mapping[str, bytes]) -> Iterator[tuple[str, bytes | Refused]]:
        """Ask the sites by calling them, all at once: no transport at all."""
        with ThreadPoolExecutor(len(requests)) as together:
            said = {
                site: together.submit(self.protocols[site].answer, step, payload)
                for site, payload in requests.items()
            }
        for site, answer in said.items():
            yield site, answer.result()

    def node(self, site: str) -> Callable[[str, RecordDict], RecordDict]:
        """Return what a site answers to messages of a grid."""

        def answer(message_type: str, content: RecordDict) -> RecordDict:
            request = Wire.request(message_type, content)
            if not isinstance(request, StepRequest):
                raise TypeError("a step is asked here")
            try:
                return Wire.pack(StepReply(self.protocols[site].answer(request.step, request.payload)))
            except FedValueError as error:
                return Wire.pack(Refused(error.code))

        return answer


@contextmanager
def sites(folder: Path) -> Iterator[Sites]:
    """Make the sites, with ledgers and journals below ``folder``."""
    keys = {name: Ed25519PrivateKey.generate() for name in NAMES}
    limits = thresholds(SITES, colluding=1, dropouts=1)
    members = tuple(Member(name, name, bytes.fromhex(public_hex(key))) for name, key in keys.items())
    planned = scales(
        tuple(Block(b.name, b.dimension, b.bound_squared, b.counting, RHO) for b in ASK.blocks),
        honest_shares=limits.honest_shares,
        sites_per_patient=1,
    )
    scaling: dict[str, Fraction] = {b.name: g for b, g in zip(ASK.blocks, planned.gammas, strict=True)}
    dimension = sum(block.dimension for block in ASK.blocks)
    blocks = tuple(
        BlockTerms(b.name, b.dimension, str(b.bound_squared), str(RHO), str(scaling[b.name]))
        for b in ASK.blocks
    )

    def terms(label: str) -> ReleaseTerms:
        return ReleaseTerms(label, (ANALYSIS.label,), "a" * 64, dimension, LOG2_SCALE, False, blocks)

    agreed = Agreed(STUDY, Membership("b" * 64, members, limits), terms)

    def approved(study_hash: str) -> Agreed:
        del study_hash
        return agreed

    price = planned.rho_units()
    with ExitStack() as stack:
        protocols = {}
        for number, name in enumerate(NAMES):
            home = folder / name
            home.mkdir(parents=True)
            book = home / "ledger.sqlite"
            Ledger.create(book, Budget(100.0, 1e-6), keys[name], now).close()
            receipts = Receipts.open(home / "receipts.sqlite")
            stack.callback(receipts.close)
            journal = DurableJournal.open(home / "journal.sqlite", receipts)
            stack.callback(journal.close)
            cohort = _cohort(number)

            def contribute(
                asked: RoundSpecification,
                h: bytes,
                book: Path = book,
                key: Ed25519PrivateKey = keys[name],
                cohort: Cohort = cohort,
            ) -> ChargedShare:
                release, at = asked.release, asked.settings
                with Ledger.open(book, key, now) as ledger:
                    ledger.debit(
                        Debit(
                            STUDY, release.analyses, release.label, asked.attempt, release.query,
                            Price.plain(price), planned.charged_bound_squared, (), limits.answers,
                            limits.colluding, limits.honest_shares, limits.honest_shares, dimension,
                            epoch=at.epoch, round=asked.number, h=h.hex(),
                        )
                    )  # fmt: skip
                    end = ledger.head()
                found = ANALYSIS.contribution(cohort, ASK, scaling)
                exact = np.concatenate([found[block.name] for block in ASK.blocks])
                noise = gaussian.sample(SystemNoise(), dimension, log2_scale=LOG2_SCALE)
                return ChargedShare(exact + noise, LedgerEnd(end.counter, bytes.fromhex(end.hash)))

            protocols[name] = SiteProtocol(name, keys[name], approved, contribute, journal)
        yield Sites(agreed, protocols, keys)


def seconds(found: Sites, exchange: Exchange) -> float:
    """Open thirty releases, and say how long it took.

    Raises:
      RuntimeError: a release was not opened with every site.
    """
    rounds = PrivateRounds(found.agreed, exchange, RELEASES)
    began = time.perf_counter()
    for number in range(1, RELEASES + 1):
        if len(rounds.attempt(f"release-{number}", 1).survivors) < SITES:
            raise RuntimeError("a site is missing from a release")
    return time.perf_counter() - began


def now() -> datetime:
    """Return the present."""
    return datetime.now(UTC)


def _cohort(seed: int) -> Cohort:
    rng = np.random.default_rng(seed)
    times = rng.exponential(400.0, PATIENTS)
    return Cohort(
        PATIENTS,
        categories={"egfr": rng.integers(0, 2, PATIENTS)},
        survival={"os": SurvivalOutcome(np.zeros(PATIENTS), times, rng.integers(0, 2, PATIENTS))},
    )
