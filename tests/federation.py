"""Hospitals with a home, records and an approval each, for tests of the node and of the coordinator.

Homes are made once and copied: a home is a folder and knows nothing of where it is.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import numpy as np
from flwr.app import RecordDict
from flwr.clientapp import ClientApp

from fedvalue.client.app import SITE_HOME, Answer, make_app
from fedvalue.client.enrolling import certificate_request
from fedvalue.client.governance.approvals import approve
from fedvalue.client.governance.policy import Budget, Policy
from fedvalue.client.home import SiteHome
from fedvalue.client.identity import take_papers
from fedvalue.client.loading import load_records as enter
from fedvalue.client.node import SiteNode
from fedvalue.client.records.mapping import load_mapping
from fedvalue.planning.plan import Plan, make_plan
from fedvalue.privacy.randomness import NoiseSource
from fedvalue.server.grids.local import LocalGrid, LocalNode
from fedvalue.study.approval import CLEAR_SUM, NO_NOISE
from fedvalue.study.identity.authority import CERTIFICATE_FILE
from fedvalue.study.identity.confirmation import spoken
from fedvalue.study.identity.register import LIST_FILE, Desk
from fedvalue.study.identity.signed_roster import SignedRoster, read_signed_roster
from fedvalue.study.identity.trust import Trust, load_trust
from fedvalue.study.roster import Roster
from fedvalue.study.schema import Study
from tests.agreement import SMALL, study

MAPPING = """
mapping = 1

[files.people]
path = "people.csv"

[patient]
file = "people"
patient_id = "id"

[patient.attributes]
egfr = "egfr"
responded = { column = "responded", type = "number" }

[[survival]]
file = "people"
patient_id = "id"
time = { duration = "days" }
event = { column = "dead", codes = { "0" = "censored", "1" = "death" } }
"""

FIVE = study(("min_sites = 3", "min_sites = 5"), ("dropouts = 0", "dropouts = 1"), text=SMALL)
"""Five hospitals, one of which may fail; four must answer. One spare attempt."""

TURNS = threading.Lock()
"""Two short-lived nodes of one home take turns, as two messages to one SuperNode do."""

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def noon() -> datetime:
    """Return noon of 1 March 2026, UTC."""
    return NOON


def early() -> datetime:
    """Return a day before every other clock of these tests, on which the authority issued everything."""
    return datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Hospitals:
    """Hospitals that approved one study on one roster.

    Attributes:
      folder: Folder of their homes.
      study: The study.
      roster: The roster.
      clear_sum: True if their officers approve sums in clear.
      office: The authority of real hospitals; None for simulated ones.
    """

    folder: Path
    study: Study
    roster: Roster
    clear_sum: bool = True
    office: Office | None = None

    @property
    def plan(self) -> Plan:
        """The plan that every one of them answers."""
        return make_plan(self.study, self.roster)

    def home(self, site: str, clock: Callable[[], datetime] = noon) -> SiteHome:
        """Open the home of a hospital."""
        return SiteHome.open(self.folder / site, clock)

    def homes(self) -> list[SiteHome]:
        """Open all homes, in the roster's order."""
        return [self.home(site.id) for site in self.roster.site]

    def copy(self, folder: Path) -> Hospitals:
        """Return the same hospitals with homes of their own below ``folder``."""
        shutil.copytree(self.folder, folder)
        return replace(self, folder=folder)

    def approve(self, *, exact: bool = False) -> None:
        """Let every officer approve the study again; ``exact`` without noise."""
        unsafe = (*((CLEAR_SUM,) if self.clear_sum else ()), *((NO_NOISE,) if exact else ()))
        roster = self.roster if self.office is None else self.office.signed
        for home in self.homes():
            approve(home, self.study, roster, unsafe=unsafe)

    @contextmanager
    def grid(self, clock: Callable[[], datetime] = noon) -> Iterator[LocalGrid]:
        """Run every node behind its ClientApp on a grid in this process; nodes are numbered from 2."""
        with self.running(clock) as nodes:
            app = make_app(lambda context: nodes[str(context.node_config["site"])].answer)
            yield LocalGrid({n: LocalNode(app, {"site": s}) for n, s in enumerate(nodes, start=2)})

    @contextmanager
    def running(self, clock: Callable[[], datetime] = noon) -> Iterator[dict[str, SiteNode]]:
        """Run the site node of every hospital, by site id."""
        with ExitStack() as stack:
            yield {
                site.id: stack.enter_context(SiteNode(self.folder / site.id, clock))
                for site in self.roster.site
            }


def make_home(
    folder: Path, site: str, *, epsilon: float = 40.0, patients: int = 40, simulation: bool = True
) -> SiteHome:
    """Make a home whose records hold so many made-up patients, drawn from the site's name."""
    policy = Policy(
        site=site,
        entity=f"Hospital {site}",
        operator=f"Hospital {site}",
        budget=Budget(epsilon=epsilon, delta=1e-6),
        profiles=("none", "eu"),
        unsafe=("clear_sum", "no_noise", "seeded_noise"),
        simulation=simulation,
        answer_every=0.0,
    )
    home = SiteHome.create(folder / site, policy, noon)
    load_records(home, patients)
    return home


def load_records(home: SiteHome, patients: int, seed: int = 0) -> None:
    """Load made-up patients into a home, in place of those that are there."""
    rng = np.random.default_rng([seed, *home.policy.site.encode()])
    source = home.folder.parent / f".{home.policy.site}-source"
    source.mkdir(exist_ok=True)
    lines = ["id,egfr,responded,days,dead"]
    for number in range(patients):
        egfr = rng.choice(["mutated", "wild type", ""])
        lines.append(f"P{number},{egfr},{rng.integers(2)},{rng.integers(1, 400)},{rng.integers(2)}")
    (source / "people.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (source / "map.toml").write_text(MAPPING, encoding="utf-8")
    enter(home, source, load_mapping(source / "map.toml"))


def make_hospitals(
    folder: Path,
    agreed: Study = FIVE,
    count: int = 5,
    *,
    simulation: bool = True,
    clear_sum: bool = True,
    certified: Mapping[str, int] = MappingProxyType({}),
) -> Hospitals:
    """Make hospitals ``s01``, ``s02``, ... that approved ``agreed``.

    Real ones join an authority; ``certified`` says for how many days from `early` a site's certificate is.
    """
    names = [f"s{number:02d}" for number in range(1, count + 1)]
    homes = [make_home(folder, name, simulation=simulation) for name in names]
    office = None if simulation else enter_federation(folder, homes, certified)
    roster = Roster(site=tuple(home.card() for home in homes)) if office is None else office.signed.roster()
    made = Hospitals(folder, agreed, roster, clear_sum, office)
    made.approve()
    return made


@dataclass(frozen=True, slots=True)
class Office:
    """The authority of a test.

    Attributes:
      desk: With its key and register.
      signed: The roster as it signed it.
      folder: What the coordinator holds of it: ``roster.toml``, ``authority.crt``, ``revocations.pem``.
    """

    desk: Desk
    signed: SignedRoster
    folder: Path

    def trust(self, now: datetime = NOON) -> Trust:
        """What the coordinator goes by."""
        return load_trust(self.folder / CERTIFICATE_FILE, self.folder / LIST_FILE, now)


def enter_federation(folder: Path, homes: list[SiteHome], certified: Mapping[str, int]) -> Office:
    """Let homes join an authority of their own, each of them confirming all others.

    Its papers hold at noon and today: ServerApps go by the machine's clock.
    """
    long = 30 * 365
    desk = Desk.make(folder / ".authority", "Example", early, days=long, list_days=long, passphrase=None)
    cards = [home.card() for home in homes]
    for home, card in zip(homes, cards, strict=True):
        days = certified.get(card.id, long)
        papers = desk.issue(certificate_request(home), spoken(card.public_key), days=days)
        take_papers(home, papers, desk.authority.trust.fingerprint)
        others = {each.entity: spoken(each.public_key) for each in cards if each.id != card.id}
        policy = home.policy.model_copy(update={"confirmed": others})
        home.policy_file.write_text(policy.to_toml(), encoding="utf-8")
    roster = desk.folder / "roster.toml"
    roster.write_text(desk.sign_roster(), encoding="utf-8")
    return Office(desk, read_signed_roster(roster), desk.folder)


def once(folder: Path, clock: Callable[[], datetime] = noon, noise: NoiseSource | None = None) -> Answer:
    """Return what a node of the home says that is started for each message and stopped after it."""

    def answer(message_type: str, content: RecordDict) -> RecordDict:
        with TURNS, SiteNode(folder, clock, noise=noise) as node:
            return node.answer(message_type, content)

    return answer


def short_lived(clock: Callable[[], datetime] = noon) -> ClientApp:
    """Return a ClientApp whose nodes live for one message: enough for everything but the private sum."""
    return make_app(lambda context: once(Path(str(context.node_config[SITE_HOME])), clock))
