"""How much AUC the tabular network loses to privacy at epsilon 1: 10 hospitals, 10,000 patients."""

from __future__ import annotations

from pathlib import Path

from benchmarks.row import Row
from benchmarks.training_gap import network_and_linear

AT_LEAST = 0.0
AT_MOST = 0.02


def measure(folder: Path) -> Row:
    """Train the same network over the private sum and on all patients together.

    Args:
      folder: Not needed.
    """
    del folder
    private, without = network_and_linear()
    lost = without["network"] - private["network"]
    how = (
        f"AUC that the network loses at epsilon 1, delta 1e-6, from {without['network']:.4f} of itself "
        f"pooled without privacy; other: the logistic model over the same private sum, from "
        f"{without['logistic']:.4f}; "
        f"10,000 patients of 10 hospitals, 20,000 fresh; at most {AT_MOST:g} allowed"
    )
    other = without["logistic"] - private["logistic"]
    return Row(ours=lost, other=other, ratio=other / max(lost, 1e-4), unit="AUC", how=how)
