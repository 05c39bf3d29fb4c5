"""What an audit of a way to train found: a file of `make prove KEY=canary` that a model package carries.

Canaries have to be in a training to be looked for, so a model of real patients is never audited itself; what
is audited is the way it was trained, by the same code on made-up hospitals. A package says so beside the
figures, and takes an audit only where it fits: the same method, everybody or some drawn in a round, and an
epsilon at least as large as the one that the training promised.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

from pydantic import Field
from scipy import stats

from fedvalue.analyses.estimate import Value
from fedvalue.errors import EvidenceError
from fedvalue.evidence import documents, sealing
from fedvalue.evidence.package import EvidencePackage
from fedvalue.strategies.training.package.document import Check
from fedvalue.study.model import Line
from fedvalue.study.questions.training import Training

FORMAT: Literal["fedvalue.training-audit/1"] = "fedvalue.training-audit/1"


class Membership(Value):
    """How well a small loss tells patients of the training from fresh ones.

    Attributes:
      area: AUC of that test; 0.5 is guessing.
      upper: Upper end of its 95 % interval.
    """

    area: float = Field(ge=0, le=1)
    upper: float = Field(ge=0)


class AuditRun(Value):
    """One training with canaries, and what the attackers got.

    Attributes:
      epsilon: That the training promised.
      delta: Of that promise.
      sampled: Whether each patient was drawn by chance in a round; otherwise everybody was in every round.
      canaries: Made-up patients, each in with probability one half.
      guesses: How many the attacker named in or out.
      right: How many of these were right.
      epsilon_at_least: Lower bound on epsilon that they show, at 95 % confidence.
      membership: Of the final model.
    """

    epsilon: float = Field(gt=0)
    delta: float = Field(gt=0, lt=1)
    sampled: bool
    canaries: int = Field(ge=1)
    guesses: int = Field(ge=1)
    right: int = Field(ge=0)
    epsilon_at_least: float = Field(ge=0)
    membership: Membership


class TrainingAudit(Value):
    """An audit of a way to train.

    Attributes:
      format: Of this document.
      method: As in a study.
      command: What makes this file again.
      commit: Of the code that was audited.
      page: Where method and figures are told.
      caught: Planted bugs that the same attackers found.
      runs: What was found.
    """

    format: Literal["fedvalue.training-audit/1"] = FORMAT
    method: Literal["dp_fedsgd", "fedavg_local"]
    command: Line
    commit: Line
    page: Line
    caught: tuple[Line, ...]
    runs: tuple[AuditRun, ...] = Field(min_length=1)


def load_audit(path: Path) -> TrainingAudit:
    """Read the file.

    Raises:
      EvidenceError: unreadable, or not an audit.
    """
    return documents.parse(TrainingAudit, documents.read_bytes(path), where=str(path))


def audited(audit: TrainingAudit, training: EvidencePackage) -> tuple[Check, ...]:
    """Return what the card of a model says of both attacks.

    Args:
      audit: Of a way to train.
      training: Evidence of the training that made the model.

    Raises:
      EvidenceError: the audit is of another way to train, or of smaller epsilons than the training promised.
    """
    study, promised = sealing.embedded_study(training), training.privacy.epsilon_promised
    if promised is None:
        raise EvidenceError("the training promised no epsilon: there is nothing to audit", where=FORMAT)
    questions = [question for question in study.analyses if isinstance(question, Training)]
    ways = {(question.method, question.rate < 1) for question in questions}
    fitting = [
        run for run in audit.runs
        if ways == {(audit.method, run.sampled)} and run.epsilon >= promised * (1 - 1e-9)
    ]  # fmt: skip
    if not fitting:
        had = sorted(
            {f"epsilon {run.epsilon:g}{' with sampling' if run.sampled else ''}" for run in audit.runs}
        )
        raise EvidenceError(
            f"no run of the audit fits the training: it has {audit.method} at {', '.join(had)}", where=FORMAT,
            do=f"leave --audit away, or audit {sorted(w for w, _ in ways)} at epsilon {promised:.3g} or more",
        )  # fmt: skip
    least = min(run.epsilon for run in fitting)
    chosen = [run for run in fitting if run.epsilon == least]
    return (_membership(chosen, audit), _canary(chosen, audit))


def _membership(runs: list[AuditRun], audit: TrainingAudit) -> Check:
    worst = max(runs, key=lambda run: run.membership.area)
    return Check(
        attack="membership_inference", status="run", value=2 * worst.membership.area - 1,
        upper=min(1.0, 2 * worst.membership.upper - 1), bound=_allowed(worst), command=audit.command,
        of="method", epsilon=worst.epsilon, source=f"{audit.page} at {audit.commit}",
    )  # fmt: skip


def _canary(runs: list[AuditRun], audit: TrainingAudit) -> Check:
    worst = max(runs, key=lambda run: (run.epsilon_at_least, run.right / run.guesses))
    upper = float(stats.beta.ppf(0.975, worst.right + 1, worst.guesses - worst.right)) if (
        worst.right < worst.guesses
    ) else 1.0  # fmt: skip
    return Check(
        attack="canary", status="run", value=2 * worst.right / worst.guesses - 1, upper=2 * upper - 1,
        bound=_allowed(worst), command=audit.command, of="method", epsilon=worst.epsilon,
        epsilon_at_least=worst.epsilon_at_least, source=f"{audit.page} at {audit.commit}",
    )  # fmt: skip


def _allowed(run: AuditRun) -> float:
    """Largest right-in less wrong-in rate that the promise allows (Kairouz, Oh, Viswanath, ICML 2015)."""
    return min(1.0, math.tanh(run.epsilon / 2) + 2 * run.delta / (1 + math.exp(run.epsilon)))
