"""Coordinator half: a Flower strategy around another, which gives it means instead of single replies.

Flower's round loop stays as it is. The wrapped strategy makes its messages; ours adds a label to them. Sites
answer that they hold their update. Then the private sum is opened over the same grid, and the wrapped
strategy gets one reply with the weighted mean and the total weight, from which it computes what it always
does.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from fedvalue.errors import FederationError, PolicyForbids
from fedvalue.secure_sum.specification import MAX_ROUNDS
from fedvalue.strategies.secure_aggregation.flower.mean_only import require_mean_only
from fedvalue.strategies.secure_aggregation.flower.opened import SecuredRound, SecuredSums
from fedvalue.strategies.secure_aggregation.flower.terms import (
    EVALUATE,
    TRAIN,
    SecureTerms,
    UnsafeExactSum,
)

LOG = logging.getLogger("flwr")  # where Flower's round loop writes, so that both read as one
POLL_SECONDS = 0.5


class SecureAggregation(Strategy):
    """Runs another strategy on securely aggregated rounds."""

    def __init__(
        self,
        strategy: Strategy,
        terms: SecureTerms,
        noise: UnsafeExactSum | None = None,
        *,
        mean_only: bool = False,
        attempts: int = 2,
        epoch_rounds: int = 16,
        step_seconds: float = 600.0,
        wait_seconds: float = 60.0,
    ) -> None:
        """Wrap ``strategy``.

        Args:
          strategy: FedAvg, FedAvgM, FedProx, FedAdam, FedYogi, FedAdagrad, or another that needs only means.
          terms: The run's terms.
          noise: `UnsafeExactSum` allows sums without noise; there are no others yet.
          mean_only: True if a strategy of the app's own needs only the weighted mean.
          attempts: How often a sum is tried before the run ends, at least 1.
          epoch_rounds: For how many sums keys are made at once, 1 to 64.
          step_seconds: Longest wait for one step of the private sum.
          wait_seconds: Longest wait for sites that are not connected when a round begins.

        Raises:
          PolicyForbids: no noise is planned, and `UnsafeExactSum` was not given.
          FederationError: the strategy needs more than means, see `require_mean_only`, or a number is out
            of range.
        """
        if noise is None:
            raise PolicyForbids(
                "no noise is planned, and sums without noise were not allowed by name",
                where="SecureAggregation",
                do="pass UnsafeExactSum() here and at every site if an exact sum over sites may be known",
            )
        if attempts < 1 or not 1 <= epoch_rounds <= MAX_ROUNDS:
            raise FederationError(
                f"attempts is at least 1, epoch_rounds 1 to {MAX_ROUNDS}", where="SecureAggregation"
            )
        require_mean_only(strategy, said=mean_only, weighted_by_key=terms.weighted_by_key)
        self._strategy, self._terms, self._wait_seconds = strategy, terms, wait_seconds
        self._sums = SecuredSums(terms, noise, attempts, epoch_rounds, step_seconds)

    @property
    def rounds(self) -> tuple[SecuredRound, ...]:
        """What was opened, in order."""
        return tuple(self._sums.rounds)

    def summary(self) -> None:
        """Log what both strategies are set to."""
        limits = self._terms.membership().thresholds
        LOG.info("\t├──> Secure aggregation, WITHOUT noise (UnsafeExactSum):")
        LOG.info("\t│\t├── Sites: %d, of which %d must answer", limits.sites, limits.answers)
        LOG.info("\t│\t└── Clips: values %g, examples %d", self._terms.largest, self._terms.most_examples)
        self._strategy.summary()

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Label the wrapped strategy's messages."""
        self._wait(grid)
        messages = self._strategy.configure_train(server_round, arrays, config, grid)
        return self._sums.label(f"{TRAIN}-{server_round}", messages, grid)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Open the sum of the sites' updates, and let the wrapped strategy use its mean.

        Raises:
          TooFewSites: fewer than t sites were left in every attempt.
          SurvivorsChanged: other sites than those of the run's first sum were left.
        """
        return self._strategy.aggregate_train(server_round, self._sums.open(replies))

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Label the wrapped strategy's messages; there are none if the terms name no metric to average."""
        messages: Iterable[Message] = ()
        if self._terms.evaluate_metrics:
            messages = self._strategy.configure_evaluate(server_round, arrays, config, grid)
        return self._sums.label(f"{EVALUATE}-{server_round}", messages, grid)

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Open the sum of the sites' metrics, and let the wrapped strategy use its mean.

        Raises:
          TooFewSites: fewer than t sites were left in every attempt.
          SurvivorsChanged: other sites than those of the run's first sum were left.
        """
        return self._strategy.aggregate_evaluate(server_round, self._sums.open(replies))

    def _wait(self, grid: Grid) -> None:
        """Give every site of the roster time to connect: Flower's strategies begin with two."""
        until = time.monotonic() + self._wait_seconds
        while len(list(grid.get_node_ids())) < len(self._terms.roster.site) and time.monotonic() < until:
            time.sleep(POLL_SECONDS)
