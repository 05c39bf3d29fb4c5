"""The task: made-up patients, a linear model, and a few steps of gradient descent."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
TRUTH = np.array([0.5, -1.0, 2.0])


def patients(hospital: int) -> tuple[Floats, Floats]:
    """Return one hospital's table and blood pressures; hospitals differ in size."""
    rng = np.random.default_rng(hospital)
    size = 40 + 20 * hospital
    table = rng.normal(size=(size, len(TRUTH)))
    return table, table @ TRUTH + 3.0 + 0.1 * rng.normal(size=size)


def start() -> dict[str, Floats]:
    """Return the model before training."""
    return {"slope": np.zeros(len(TRUTH)), "level": np.zeros(1)}


def loss(model: dict[str, Floats], table: Floats, pressure: Floats) -> float:
    """Return the mean squared error."""
    return float(np.mean((table @ model["slope"] + model["level"] - pressure) ** 2))


def fit(model: dict[str, Floats], table: Floats, pressure: Floats, steps: int = 5) -> dict[str, Floats]:
    """Return the model after a few steps on one hospital's patients."""
    slope, level = model["slope"], model["level"]
    for _ in range(steps):
        error = table @ slope + level - pressure
        slope = slope - 0.2 * table.T @ error / len(error)
        level = level - 0.2 * error.mean()
    return {"slope": slope, "level": level}
