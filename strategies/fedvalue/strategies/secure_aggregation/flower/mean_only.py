"""Which strategies of Flower need nothing of the sites but the weighted mean of what they answer.

A secured round has one mean and no single replies. A strategy that looks at single replies (a median, Krum,
boosted trees) would silently do something else with it, so whatever is not known to be safe is refused.
"""

from __future__ import annotations

from flwr.serverapp.strategy import FedAdagrad, FedAdam, FedAvg, FedAvgM, FedYogi, Strategy

from fedvalue.errors import FederationError

OF_THE_MEAN = frozenset({FedAvg, FedAvgM, FedAdagrad, FedAdam, FedYogi})
"""Classes whose own aggregation uses a weighted mean only; FedProx and FedOpt inherit FedAvg's."""


def require_mean_only(strategy: Strategy, *, said: bool, weighted_by_key: str) -> None:
    """Refuse a strategy that cannot work on the weighted mean alone.

    Args:
      strategy: The app's strategy.
      said: True if the app's author says so of their own ``aggregate_...`` and metric functions.
      weighted_by_key: Of the terms.

    Raises:
      FederationError: it needs single replies, has a loop of its own, samples sites, or weighs by another
        metric than the terms.
    """
    name = type(strategy).__name__
    if type(strategy).start is not Strategy.start:
        raise FederationError("the strategy has a round loop of its own", where=name)
    for method in ("aggregate_train", "aggregate_evaluate"):
        owner = next(kind for kind in type(strategy).__mro__ if method in vars(kind))
        if owner not in OF_THE_MEAN and not said:
            raise FederationError(
                f"{owner.__name__}.{method} may need single replies, and a secured round has only their mean",
                where=name,
                do="pass mean_only=True if it uses nothing but the weighted mean of arrays and metrics",
            )
    if isinstance(strategy, FedAvg):
        plain = FedAvg().train_metrics_aggr_fn
        if {strategy.train_metrics_aggr_fn, strategy.evaluate_metrics_aggr_fn} != {plain} and not said:
            raise FederationError(
                "a metric function of the app's own may need single replies",
                where=name,
                do="pass mean_only=True if it uses nothing but the weighted mean",
            )
        if not {strategy.fraction_train, strategy.fraction_evaluate} <= {0.0, 1.0}:
            raise FederationError(
                "a secured round asks every site of the roster",
                where=name,
                do="leave fraction_train and fraction_evaluate at 1, or 0 for none",
            )
        if strategy.weighted_by_key != weighted_by_key:
            raise FederationError(
                "strategy and terms weigh by different metrics", where=name, do="set weighted_by_key alike"
            )
