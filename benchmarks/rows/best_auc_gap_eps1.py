"""How much AUC the best private model loses to the best one without privacy, at epsilon 1."""

from __future__ import annotations

from pathlib import Path

from benchmarks.row import Row
from benchmarks.training_gap import network_and_linear

AT_LEAST = 0.0
AT_MOST = 0.01


def measure(folder: Path) -> Row:
    """Compare the best of network and logistic model over the private sum with the best of both pooled.

    Args:
      folder: Not needed.
    """
    del folder
    private, without = network_and_linear()
    best, reference = max(private, key=private.__getitem__), max(without, key=without.__getitem__)
    lost = without[reference] - private[best]
    worst = without[reference] - min(private.values())
    how = (
        f"AUC that the best private model ({best}) loses at epsilon 1, delta 1e-6, from "
        f"{without[reference]:.4f} of the best pooled without privacy ({reference}); other: the other "
        f"private model; 10,000 patients of 10 "
        f"hospitals, 20,000 fresh; at most {AT_MOST:g} allowed"
    )
    return Row(ours=lost, other=worst, ratio=worst / max(lost, 1e-4), unit="AUC", how=how)
