"""Attacks on trainings over the private sum: canaries in one run, and membership by small losses."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import partial

import numpy as np
import torch

from fedvalue.privacy.randomness import SystemNoise
from fedvalue.strategies.training.package.audit import AuditRun, Membership, TrainingAudit
from fedvalue.study.architectures import Architecture, Tabular
from proofs.harness import Found, Report, commit
from proofs.one_run import advantage_allowed, ceiling, lower_bound, right_guesses, separation
from proofs.training_canary import Training, canaries, loss_of, trained
from proofs.training_data import planted
from proofs.training_jobs import NETWORK, ROUNDS, SAMPLED, SAMPLED_ROUNDS
from proofs.training_methods import DELTA, HONEST, Split, pooled, scaled

TITLE = "Can patients be found out from a training?"
PAGE = "docs/evidence/canary.md"
AUDIT = "docs/evidence/canary.json"
SOURCES = (
    "strategies/fedvalue/strategies/training/models", "proofs/training_canary.py", "proofs/one_run.py",
    "proofs/training_methods.py", "proofs/training_data.py", "proofs/training_world.py",
    "proofs/training_jobs.py", "core/fedvalue/privacy",
)  # fmt: skip

WORLD, CANARIES, EACH = 3, 600, 40
"""Hospitals of the made-up world; canaries; how many the attacker names on each side, fixed in advance."""

WIDE = Tabular(layers=(64, 64), activation="silu", embedding=2)
"""A network that learns its patients by heart, where nothing stops it."""

SOUND = {
    "epsilon_1": Training(1.0, ROUNDS[1.0]), "epsilon_1_again": Training(1.0, ROUNDS[1.0]),
    "epsilon_8": Training(8.0, ROUNDS[8.0]), "epsilon_8_again": Training(8.0, ROUNDS[8.0]),
    "epsilon_1_sampled": Training(1.0, SAMPLED_ROUNDS, SAMPLED),
    "epsilon_8_sampled": Training(8.0, SAMPLED_ROUNDS, SAMPLED),
}  # fmt: skip
BUGS = {
    "noise left out": Training(1.0, ROUNDS[1.0], noisy=False),
    "clipping left out": Training(1.0, ROUNDS[1.0], clipped=False),
    "both left out (a training without privacy)": Training(
        1.0, ROUNDS[1.0], noisy=False, clipped=False
    ),
}  # fmt: skip


def attacked(how: Training, seed: int) -> Found:
    """Train once with canaries in, attack what was released, and attack the model by its losses."""
    torch.set_num_threads(1)
    split, rng = planted(WORLD), np.random.default_rng([WORLD, seed])
    inputs = scaled(split, how.epsilon, rng)
    put, present = canaries(split.inputs, CANARIES, rng), rng.random(CANARIES) < 0.5
    seen = trained(NETWORK, inputs, split, put, present, how, SystemNoise(), rng)
    right = right_guesses(seen.scores, present, EACH)
    return {
        "epsilon": how.epsilon, "sampled": how.rate < Fraction(1), "right": right, "guesses": 2 * EACH,
        "at_least": lower_bound(CANARIES, 2 * EACH, right, DELTA),
        "membership": separation(
            loss_of(NETWORK, inputs, seen.parameters, split.pooled),
            loss_of(NETWORK, inputs, seen.parameters, split.fresh),
        ),
    }  # fmt: skip


def without_privacy(model: Architecture, epochs: int, *, stop: bool) -> Found:
    """Train on all patients together without privacy, and attack the model by its losses."""
    torch.set_num_threads(1)
    split = planted(WORLD)
    inputs = scaled(split, None, np.random.default_rng(0))
    parameters = pooled(model, split, epochs=epochs, stop=stop)
    members, fresh = (loss_of(model, inputs, parameters, rows) for rows in (split.pooled, split.fresh))
    return {"membership": separation(members, fresh)}


CONTROLS: Mapping[str, Callable[[], Found]] = {
    "the network, pooled without privacy, stopped early": partial(without_privacy, NETWORK, 25, stop=True),
    "a network of 64-64, pooled without privacy, never stopped": partial(
        without_privacy, WIDE, 40, stop=False
    ),
}
STEPS: Mapping[str, Callable[[], Found]] = {
    **{name: partial(attacked, how, i) for i, (name, how) in enumerate(SOUND.items())},
    **{name.replace(" ", "_"): partial(attacked, how, 100 + i) for i, (name, how) in enumerate(BUGS.items())},
    **{name.replace(" ", "_"): run for name, run in CONTROLS.items()},
}

METHOD = f"""\
## How

**Canaries.** {CANARIES} made-up patients, every number at one end of its public range, are put into a
training of {{patients:,}} patients at ten made-up hospitals, each with probability one half, and go through
the code of a site like everybody. The attacker is the coordinator with two colluding hospitals while one has
failed: it sees the sum of every round under {HONEST} shares of noise, knows every real patient, every
canary and every setting, and lacks only which canaries were in. It names the {EACH} most likely in and the
{EACH} least likely, as many as was fixed in advance. From how many it got right follows a lower bound on
epsilon at 95 % confidence without any assumption on training or attack (Steinke, Nasr, Jagielski, *Privacy
auditing with one (1) training run*, NeurIPS 2023, theorem 5.2). A bound above the promise refutes it. No
audit of {2 * EACH} guesses can show more than {ceiling(CANARIES, 2 * EACH, DELTA):.2f}, all of them right:
so bugs are planted at a promise of 1; a bug that leaves an epsilon between this ceiling and 8 passes at 8.
This is a smoke test with the whole training in it; the sharp test of the noise is [the audit](audit.md).
Canaries of one training share directions in a network of this size, which hides them from each other a
little: the bounds are far below the promises, and a bound near 0 is no proof of privacy.

**Small losses.** Whoever has the final model calls patients with a small loss members (Yeom and others,
2018): AUC of that test on the {{patients:,}} patients of the training against {{fresh:,}} fresh ones; .5 is
guessing. *Allowed* is the most that a promise leaves to any test, right-in less wrong-in.

Ten hospitals, {NETWORK.layers[0]}-wide network, delta {DELTA:g}, settings of `make prove KEY=training`, world
{WORLD}, on which nothing was tuned.
"""


def report(found: Mapping[str, Found]) -> Report:
    """The page, the file for model packages, and what was broken."""
    broken, rows = [], []
    for name, how in SOUND.items():
        one = found[name]
        if one["at_least"] > how.epsilon:
            broken.append(f"{name}: an epsilon of at least {one['at_least']:.2f} was shown")
        rows.append(_row(_said(how), one, how.epsilon))
    for name, how in BUGS.items():
        one = found[name.replace(" ", "_")]
        if one["at_least"] <= how.epsilon:
            broken.append(f"the planted bug {name!r} passed")
        rows.append(_row(f"*{name}*, promised 1", one, how.epsilon))
    head = (
        "| training | right guesses | epsilon at least | verdict | losses: AUC (95 %) | beyond guessing | "
        "allowed |\n|---|---|---|---|---|---|---|\n"
    )
    control = "".join(
        f"| {name} | | | | {_area(found[name.replace(' ', '_')]['membership'])} | "
        f"{2 * found[name.replace(' ', '_')]['membership'][0] - 1:.3f} | |\n"
        for name in CONTROLS
    )
    verdict = (
        "No training showed more than it promised, and every planted bug was caught."
        if not broken
        else "Broken: " + "; ".join(broken) + "."
    )
    split: Split = planted(WORLD)
    method = METHOD.format(patients=sum(len(s) for s in split.sites), fresh=len(split.fresh))
    page = f"{verdict}\n\n{head}{''.join(rows)}{control}\n{method}"
    return Report(page, tuple(broken), (verdict,), {} if broken else {AUDIT: _document(found)})


def _said(how: Training) -> str:
    drawn = "everybody in every round" if how.rate == 1 else f"one in {how.rate.denominator} in a round"
    return f"DP-FedSGD over the private sum, epsilon {how.epsilon:g}, {drawn}"


def _row(name: str, one: Found, promised: float) -> str:
    verdict = "within the promise" if one["at_least"] <= promised else "**caught**"
    return (
        f"| {name} | {one['right']} of {one['guesses']} | {one['at_least']:.2f} | {verdict} | "
        f"{_area(one['membership'])} | {2 * one['membership'][0] - 1:.3f} | "
        f"{advantage_allowed(promised, DELTA):.3f} |\n"
    )


def _area(found: tuple[float, float, float]) -> str:
    area, low, high = found
    return f"{area:.3f} ({low:.3f} to {high:.3f})"


def _document(found: Mapping[str, Found]) -> str:
    runs = tuple(
        AuditRun(
            epsilon=how.epsilon, delta=DELTA, sampled=how.rate < 1, canaries=CANARIES, guesses=2 * EACH,
            right=one["right"], epsilon_at_least=one["at_least"],
            membership=Membership(area=one["membership"][0], upper=one["membership"][2]),
        )
        for name, how in SOUND.items()
        for one in [found[name]]
    )  # fmt: skip
    audit = TrainingAudit(
        method="dp_fedsgd", command="make prove KEY=canary", commit=commit(), page=PAGE,
        caught=tuple(BUGS), runs=runs,
    )  # fmt: skip
    return json.dumps(audit.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"
