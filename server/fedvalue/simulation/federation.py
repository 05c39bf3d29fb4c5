"""Make a throwaway federation on this machine: fresh site homes, keys, approvals and ledgers.

Nothing here opens a real home: every folder is made for the run, under the simulation's own folder.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fedvalue.client.governance.approvals import approve
from fedvalue.client.governance.policy import Budget, Policy
from fedvalue.client.home import Clock, SiteHome
from fedvalue.client.loading import load_records
from fedvalue.client.records.report import LoadReport
from fedvalue.errors import OutputError
from fedvalue.planning.plan import plan_on
from fedvalue.planning.words import charged_epsilon
from fedvalue.privacy import accounting
from fedvalue.privacy.accounting import NOTHING
from fedvalue.secure_sum.thresholds import thresholds
from fedvalue.server.enrolment import Progress
from fedvalue.simulation.sources import Source
from fedvalue.study.approval import CLEAR_SUM, NO_NOISE
from fedvalue.study.roster import Roster
from fedvalue.study.schema import Study

MARK = ".fedvalue-simulation"
"""Empty file that marks a folder as made by a simulation, which may therefore be made again."""

MADE = re.compile(
    r"sites|tables|keys|\.partial|log\.jsonl|simulation\.json|study\.toml(\.sig)?|report\.html|evidence\.json"
    r"|(decision|proposal)(-\d+)?\.json"
)
"""What a simulation leaves in its folder; nothing else there is ever removed."""


@dataclass(frozen=True, slots=True)
class SimulatedFederation:
    """Sites that loaded their records and approved the study.

    Attributes:
      roster: Their roster.
      homes: Their folders, in the roster's order.
      left_out: What loading left out over all sites, a sentence for each table and reason; each home's
        ``load-report.json`` says where.
    """

    roster: Roster
    homes: tuple[SiteHome, ...]
    left_out: tuple[str, ...] = ()


def fresh_folder(out: Path, *, keep: tuple[Path, ...] = (), made: re.Pattern[str] = MADE) -> Path:
    """Return ``out`` as an empty folder for one simulation; an earlier simulation there is replaced.

    Args:
      out: The folder.
      keep: What the simulation is going to read; it must not lie in what is replaced.
      made: Names that a simulation makes there; anything else makes the folder somebody's.

    Raises:
      OutputError: the place cannot be written, or holds something else, or the input lies in it.
    """
    here = out.resolve()
    for path in keep:
        if here in (path.resolve(), *path.resolve().parents):
            raise OutputError(
                "the input lies in the output folder, which is made anew",
                where=str(path),
                do="give another --out",
            )
    try:
        out.mkdir(parents=True, exist_ok=True)
        found = [item for item in out.iterdir() if item.name != MARK]
        foreign = [item.name for item in found if made.fullmatch(item.name) is None]
        if foreign or (found and not (out / MARK).exists()):
            raise OutputError(
                f"the folder holds something else: {(foreign or [found[0].name])[0]!r}",
                where=str(out),
                do="give a new folder, or one of an earlier simulation",
            )
        (out / MARK).touch()
        for item in found:
            if item.is_dir() and not item.is_symlink():
                shutil.rmtree(item)
            else:
                item.unlink()
    except OSError as error:
        raise OutputError(
            f"the output folder cannot be written: {error.strerror}",
            where=str(out),
            do="choose a folder that you may write",
        ) from error
    return out


def make_federation(
    study: Study,
    sources: Iterable[Source],
    folder: Path,
    *,
    exact: bool,
    clock: Clock,
    progress: Progress,
    clear_sum: bool = False,
) -> SimulatedFederation:
    """Make a home for each source, load its records, and approve the study everywhere.

    Args:
      study: The study.
      sources: The hospitals.
      folder: Where the homes go, one folder each.
      exact: Without noise.
      clear_sum: With sums that travel in clear.
      clock: Tells the sites' time.
      progress: Told what is going on.

    Raises:
      TooFewSites: too few hospitals for the study.
      RecordsError: a hospital's tables cannot be loaded.
      Refusal: the study cannot be approved.
    """
    found = list(sources)
    unsafe = (*((CLEAR_SUM,) if clear_sum else ()), *((NO_NOISE,) if exact else ()))
    policy = _policy(study, len(found), exact=exact, clear_sum=clear_sum)
    homes, reports = [], []
    for done, source in enumerate(found):
        progress("loading records", done, len(found))
        site = policy.model_copy(update={"site": source.site, "entity": source.site, "operator": source.site})
        home = SiteHome.create(folder / source.site, site, clock)
        reports.append(load_records(home, source.folder, source.mapping))
        homes.append(home)
    progress("loading records", len(found), len(found))
    roster = Roster(site=tuple(home.card() for home in homes))
    for done, home in enumerate(homes):
        progress("approving the study", done, len(homes))
        approve(home, study, roster, unsafe=unsafe)
    progress("approving the study", len(homes), len(homes))
    return SimulatedFederation(roster, tuple(homes), _left_out(reports))


def _left_out(reports: list[LoadReport]) -> tuple[str, ...]:
    """Add up what was left out: a simulation may show it, nobody is protected from his own simulation."""
    read: Counter[str] = Counter()
    lost: Counter[tuple[str, str]] = Counter()
    for table in (table for report in reports for table in report.tables):
        read[table.table] += table.read
        for item in table.left_out:
            lost[table.table, item.reason] += item.rows
    return tuple(
        f"{table}: {rows} of {read[table]} rows left out: {reason}"
        for (table, reason), rows in sorted(lost.items())
    )


def _policy(study: Study, sites: int, *, exact: bool, clear_sum: bool) -> Policy:
    """The policy of a simulated site: it affords the study, and no more."""
    limits = thresholds(
        sites, colluding=study.federation.colluding_sites, dropouts=study.federation.tolerated_dropouts
    )
    plan = plan_on(study, limits, "0" * 64, unsafe_exact=exact)
    delta, sampled = study.privacy.delta, plan.sampled and not exact
    epsilon = study.privacy.epsilon if exact else charged_epsilon(plan, clear_sum=clear_sum) or 0.0
    price = plan.price(1 if clear_sum else None)
    while sampled and not accounting.Budget(epsilon, delta, True).passes(NOTHING, NOTHING, price):
        epsilon *= 1.01  # its filter divides delta over the orders, so a study at epsilon takes a little more
    return Policy(
        site="template",
        entity="template",
        operator="template",
        budget=Budget(
            epsilon=epsilon if exact else epsilon * (1 + 1e-9), delta=delta, admits_sampled=plan.sampled
        ),
        profiles=("none", "cn", "eu", "us"),
        unsafe=(*(("clear_sum",) if clear_sum else ()), *(("no_noise",) if exact else ())),
        simulation=True,
    )
