"""The trainings of the training proof, each a job by itself, two at a time.

A job is one method on one set of patients at one epsilon, named by plain words so that another process can
run it; scaling draws the same noise for every method of the same patients and epsilon.
"""

from __future__ import annotations

import multiprocessing
import warnings
import zlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
import torch

from fedvalue.errors import UnsafeWarning
from fedvalue.privacy.randomness import SystemNoise
from fedvalue.quiet import silence
from fedvalue.strategies.training.models.local import UnsafeFloatNoise
from fedvalue.strategies.training.models.network import Inputs
from fedvalue.study.architectures import Logistic, Tabular
from proofs.training_data import cohort, covariates, data_folder, planted, readmission
from proofs.training_methods import Split, fedavg, fedsgd, fitted, one_release, pooled, reached, scaled

NETWORK = Tabular(layers=(6,), activation="silu", embedding=2)
LINEAR = Logistic()
ROUNDS = {0.5: 60, 1.0: 100, 3.0: 100, 8.0: 150}
"""Rounds of DP-FedSGD at each epsilon: public, the same for both models and all data."""

SAMPLED, SAMPLED_ROUNDS = Fraction(1, 5), 100
PROCESSES = 2

Model = Tabular | Logistic
Method = Callable[[Split, Inputs, float, np.random.Generator], float]


@dataclass(frozen=True, slots=True)
class Job:
    """One training.

    Attributes:
      data: ``weaker SEED`` or ``first SEED``: made-up hospitals; ``diabetes``.
      method: One of `METHODS` or `WITHOUT`.
      epsilon: Of the whole training; not looked at without privacy.
    """

    data: str
    method: str
    epsilon: float = 0.0


@lru_cache(maxsize=2)
def patients(data: str) -> Split | None:
    """Return the patients of a job; None where they are not here."""
    if data == "diabetes":
        folder = data_folder()
        return None if folder is None else readmission(folder)
    law, seed = data.split()
    return planted(int(seed), first=law == "first")


def _begun(model: Model, split: Split) -> Model:
    """Return the model that starts from the public guess of the patients."""
    return model.model_copy(update={"start_rate": split.start_rate})


def _private(wanted: Model, rate: Fraction = Fraction(1)) -> Method:
    def run(split: Split, inputs: Inputs, epsilon: float, rng: np.random.Generator) -> float:
        model = _begun(wanted, split)
        rounds = ROUNDS[epsilon] if rate == 1 else SAMPLED_ROUNDS
        found = fedsgd(model, inputs, split, epsilon, rounds, SystemNoise(), rate=rate, rng=rng)
        return reached(model, inputs, found, split)

    return run


def _averaged(wanted: Model, *, theirs: bool = False) -> Method:
    def run(split: Split, inputs: Inputs, epsilon: float, rng: np.random.Generator) -> float:
        model = _begun(wanted, split)
        noise: SystemNoise | UnsafeFloatNoise = SystemNoise()
        if theirs:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UnsafeWarning)  # the comparison is what is asked for here
                noise = UnsafeFloatNoise(int(rng.integers(2**31)))
        return reached(model, inputs, fedavg(model, inputs, split, epsilon, noise), split)

    return run


def _released(split: Split, inputs: Inputs, epsilon: float, rng: np.random.Generator) -> float:
    del inputs  # a regression scales by public ranges
    sites, fresh = [cohort(s, split.inputs) for s in split.sites], cohort(split.fresh, split.inputs)
    return one_release(sites, fresh, covariates(split.inputs), epsilon, rng)


def _pooled(wanted: Model, epochs: int, seed: int = 0) -> Method:
    def run(split: Split, inputs: Inputs, epsilon: float, rng: np.random.Generator) -> float:
        del inputs, epsilon, rng
        model = _begun(wanted, split)
        exact = scaled(split, None, np.random.default_rng(0))
        return reached(model, exact, pooled(model, split, epochs=epochs, seed=seed), split)

    return run


def _fitted(wanted: Model, penalty: float) -> Method:
    def run(split: Split, inputs: Inputs, epsilon: float, rng: np.random.Generator) -> float:
        del inputs, epsilon, rng
        model, exact = _begun(wanted, split), scaled(split, None, np.random.default_rng(0))
        return reached(model, exact, fitted(model, split, penalty=penalty), split)

    return run


NET, NET_SOME = "network, DP-FedSGD, everybody in every round", "network, DP-FedSGD, a fifth in a round"
LOG, ONE = "logistic, DP-FedSGD, everybody in every round", "logistic, one release"
NET_AVG, NET_OPACUS = "network, FedAvg, local noise", "network, FedAvg, Opacus' own noise"
LOG_AVG = "logistic, FedAvg, local noise"

METHODS: Mapping[str, Method] = {
    NET: _private(NETWORK), NET_SOME: _private(NETWORK, SAMPLED), LOG: _private(LINEAR), ONE: _released,
    NET_AVG: _averaged(NETWORK), NET_OPACUS: _averaged(NETWORK, theirs=True), LOG_AVG: _averaged(LINEAR),
}  # fmt: skip
"""Every private way to train."""

OURS = (NET, NET_SOME, LOG, ONE, NET_AVG, LOG_AVG)

WITHOUT: Mapping[str, Method] = {
    "network, AdamW": _pooled(NETWORK, 25), "network, AdamW, another order": _pooled(NETWORK, 25, 1),
    "network, L-BFGS with a penalty": _fitted(NETWORK, 1e-4),
    "logistic, maximum likelihood": _fitted(LINEAR, 0.0),
}  # fmt: skip
"""Every way to train on all patients together without privacy; what is lost is lost to the best one."""


def run(job: Job) -> float | None:
    """Return the AUC on fresh patients; None where the data are not here."""
    silence()
    torch.set_num_threads(1)
    split = patients(job.data)
    if split is None:
        return None
    if job.method in WITHOUT:
        return WITHOUT[job.method](split, split.inputs, 0.0, np.random.default_rng(0))
    words = [zlib.crc32(job.data.encode()), round(job.epsilon * 10)]
    inputs = scaled(split, job.epsilon, np.random.default_rng(words))
    rng = np.random.default_rng([*words, zlib.crc32(job.method.encode())])
    return METHODS[job.method](split, inputs, job.epsilon, rng)


def aucs(jobs: Iterable[Job]) -> dict[str, dict[str, float | None]]:
    """Run jobs, two at a time, and return the AUC by data and method."""
    wanted = list(jobs)
    with ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("spawn")) as pool:
        reached_by = list(pool.map(run, wanted))
    found: dict[str, dict[str, float | None]] = {}
    for job, value in zip(wanted, reached_by, strict=True):
        found.setdefault(job.data, {})[job.method] = value
    return found
