"""Budgets of single partitions: the policy names them before the year begins, and then they are for life."""

from __future__ import annotations

from fedvalue.client.governance.ledger import Ledger
from fedvalue.client.governance.policy import Policy
from fedvalue.errors import LedgerError
from fedvalue.privacy.accounting import Budget


def open_named(ledger: Ledger, policy: Policy, year: int) -> None:
    """Open this year's partition with the budget that the policy gives it, if nobody entered it yet.

    Args:
      ledger: The site's ledger, open.
      policy: The site's policy.
      year: Of the load, by the site's clock.

    Raises:
      LedgerError: the partition is open with another budget: that one is for life.
    """
    named = policy.partitions.get(str(year))
    if named is None:
        return
    budget = Budget(named.epsilon, named.delta, named.admits_sampled)
    for account in ledger.accounts():
        if account.name == str(year):
            if account.budget != budget:
                raise LedgerError(
                    f"the partition {year} is open with epsilon {account.budget.epsilon:g}, for life",
                    where=f"policy.toml partitions.{year}",
                    do="take the line out, or write the budget that it was opened with",
                )
            return
    ledger.open_partition(str(year), budget)
