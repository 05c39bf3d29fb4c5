"""What the page of trainings says: tables, losses over worlds, and where the network is not ahead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from proofs.training_jobs import LOG, NET, NET_AVG, NET_OPACUS, OURS

Aucs = Mapping[str, float]

NETWORK_GAP, BEST_GAP = 0.02, 0.01
"""Targets at epsilon 1."""


@dataclass(frozen=True, slots=True)
class Losses:
    """AUC lost at one epsilon, by world.

    Attributes:
      network: Of the network with everybody in every round, to its better non-private self.
      best: Of the best of ours, to the best without privacy.
    """

    network: tuple[float, ...]
    best: tuple[float, ...]

    def cells(self) -> str:
        """Return both as cells of a table."""
        return " | ".join(_spread(values) for values in (self.network, self.best))

    def sentence(self) -> str:
        """Return both in words."""
        return f"network {_spread(self.network)}, best of ours {_spread(self.best)} lost at epsilon 1"


def _spread(values: Sequence[float]) -> str:
    return f"{median(values):.4f} ({min(values):.4f} to {max(values):.4f})"


def _judged(lost: float, target: float) -> str:
    return f"{'within' if lost <= target else '**more than**'} the target of {target:g}"


def losses(worlds: Iterable[tuple[Aucs, Aucs]]) -> Losses:
    """Return what was lost in each world.

    The best of ours is named anew in each world, by figures on fresh patients; so is the best without
    privacy, which is as unfair to one as to the other.

    Args:
      worlds: Of each, the AUC of private ways and of those without privacy.
    """
    network, best = [], []
    for private, whole in worlds:
        network.append(itself(whole, "network") - private[NET])
        best.append(max(whole.values()) - max(v for name, v in private.items() if name in OURS))
    return Losses(tuple(network), tuple(best))


def itself(whole: Aucs, model: str) -> float:
    """Return the better AUC of a model without privacy."""
    return max(value for name, value in whole.items() if name.startswith(model))


def methods_table(table: Mapping[str, Sequence[float]], whole: Aucs, epsilons: Sequence[float]) -> str:
    """Return every way to train at every epsilon, and what it loses to its non-private self at 1."""
    at_one = epsilons.index(1.0)
    lines = [
        "| way to train | " + " | ".join(f"epsilon {e:g}" for e in epsilons) + " | lost at 1 |\n",
        "|---|" + "---|" * (len(epsilons) + 1) + "\n",
    ]
    for name, values in table.items():
        lost = itself(whole, name.split(",")[0]) - values[at_one]
        lines.append(f"| {name} | " + " | ".join(f"{v:.4f}" for v in values) + f" | {lost:.4f} |\n")
    lines += [f"| *{name}, no privacy* |" + " |" * at_one + f" {v:.4f}" + " |" * (len(epsilons) - at_one)
              + " |\n" for name, v in whole.items()]  # fmt: skip
    return "".join(lines)


def worst_and_best(table: Mapping[str, Sequence[float]], whole: Aucs, epsilons: Sequence[float]) -> str:
    """Say which way is best at each epsilon, and where it is not the network or not ours."""
    said = ["\nBest: "]
    for i, epsilon in enumerate(epsilons):
        best = max(table, key=lambda name: table[name][i])
        said.append(f"at epsilon {epsilon:g} *{best}* ({table[best][i]:.4f}); ")
    at_one = epsilons.index(1.0)
    network = itself(whole, "network") - table[NET][at_one]
    lost = max(whole.values()) - max(v[at_one] for name, v in table.items() if name in OURS)
    said.append(
        f"At epsilon 1 the network loses {network:.4f} to itself ({_judged(network, NETWORK_GAP)}), the "
        f"best of ours {lost:.4f} to the best ({_judged(lost, BEST_GAP)}). "
    )
    behind = [f"{e:g}" for i, e in enumerate(epsilons) if table[NET][i] < table[LOG][i]]
    gained = itself(whole, "network") - itself(whole, "logistic")
    said.append(f"without privacy the network is {gained:+.4f} from the logistic model. ")
    if behind:
        said.append(f"**The network is behind the logistic model at epsilon {', '.join(behind)}.** ")
    if NET_OPACUS in table:
        spread = max(abs(a - b) for a, b in zip(table[NET_AVG], table[NET_OPACUS], strict=True))
        ahead = [f"{e:g}" for i, e in enumerate(epsilons) if table[NET_OPACUS][i] > table[NET_AVG][i]]
        said.append(
            "FedAvg with our noise and with Opacus' are one mechanism at one price and differ by chance "
            f"alone, by at most {spread:.4f}"
            + (f"; Opacus' is ahead at epsilon {', '.join(ahead)}. " if ahead else ". ")
        )
    return "".join(said) + "\n"
