"""Budgets of groups of patients: what all studies that may touch a group take together.

Whether a study touches a group is read off its file, never off the records, so a refusal tells nothing of
anybody. A study whose file is not here any more counts as touching every group.
"""

from __future__ import annotations

from collections.abc import Iterator

from fedvalue.client.governance.policy import Finding
from fedvalue.client.home import SiteHome
from fedvalue.errors import BudgetSpent, StudyInvalid
from fedvalue.planning.plan import Plan
from fedvalue.privacy import accounting
from fedvalue.privacy.accounting import NOTHING, Price
from fedvalue.study import file as study_file
from fedvalue.study.schema import Study
from fedvalue.study.site_policy import Population


def touches(study: Study, population: Population) -> bool:
    """Tell whether a study may count a patient of the population.

    It may unless its index or its required records all name codes, and none of them is one of the
    population's: somebody of the population may have any further record as well, so only what defines the
    cohort itself is compared.
    """
    cohort = study.cohort
    named = [cohort.index.codes] if cohort.index.codes else []
    named += [criterion.codes for criterion in cohort.require]
    if not named:
        return True
    return any(_meet(one, other) for codes in named for one in codes for other in population.codes)


def population_findings(home: SiteHome, study: Study, plan: Plan, *, clear_sum: bool) -> Iterator[Finding]:
    """Yield each population whose budget a study would pass, with what the other studies took of it.

    Raises:
      LedgerError: the ledger cannot be read.
    """
    if plan.exact or not home.policy.populations:
        return
    taken = _taken(home, besides=plan.study_hash)
    own = plan.price(1 if clear_sum else None)
    for population in home.policy.populations:
        if not touches(study, population):
            continue
        others = (price for each, price in taken.items() if _touched(home, each, population))
        together = accounting.epsilon_of(sum(others, own), home.policy.budget.delta)
        if together > population.epsilon:
            yield Finding(
                f"all studies of {population.name} would take epsilon {together:.4g} together, "
                f"it has {population.epsilon:g}",
                f"涉及人群 {population.name} 的全部研究合计消耗 epsilon {together:.4g}，"
                f"其上限为 {population.epsilon:g}",
                "populations", ("cohort",), BudgetSpent.code,
            )  # fmt: skip


def _taken(home: SiteHome, *, besides: str) -> dict[str, Price]:
    """Return what each other study was charged or has reserved, by study hash."""
    found: dict[str, Price] = {}
    with home.ledger() as ledger:
        for entry in ledger.entries():
            if entry.kind == "debit":
                found[entry.attempt[0]] = found.get(entry.attempt[0], NOTHING) + entry.price
        for held in ledger.reservations():
            found[held.study_hash] = found.get(held.study_hash, NOTHING) + held.price
    found.pop(besides, None)
    return found


def _touched(home: SiteHome, study_hash: str, population: Population) -> bool:
    study = _read(home, study_hash)
    return study is None or touches(study, population)


def _read(home: SiteHome, study_hash: str) -> Study | None:
    try:
        return study_file.from_canonical((home.study_folder(study_hash) / "study.json").read_bytes())
    except (OSError, StudyInvalid):
        return None


def _meet(one: str, other: str) -> bool:
    """Tell whether some code is meant by both, each with or without a trailing ``*``."""
    first, second = one.rstrip("*"), other.rstrip("*")
    if one.endswith("*") and other.endswith("*"):
        return first.startswith(second) or second.startswith(first)
    if one.endswith("*"):
        return second.startswith(first)
    return first.startswith(second) if other.endswith("*") else first == second
