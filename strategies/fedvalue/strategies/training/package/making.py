"""Make a model package out of evidence: nothing of the model itself is typed by hand.

The evaluation's study holds the model's public numbers, its conclusion what was measured. Evidence of the
training, where it is given, must lead to the same numbers: then the package says what the training cost, and
anybody can follow the model back to its rounds.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from fedvalue.analyses.catalogue import analysis_of
from fedvalue.analyses.estimate import Conclusion
from fedvalue.analyses.evaluated_cells import CHOSEN_CUTS
from fedvalue.analyses.groups import EVERYBODY
from fedvalue.errors import EvidenceError, PaymentError
from fedvalue.evidence import sealing
from fedvalue.evidence.chain import verify_chain
from fedvalue.evidence.package import EvidencePackage
from fedvalue.payment.model_gate import gate_of, terms_of
from fedvalue.strategies.training.package.about import About
from fedvalue.strategies.training.package.audit import TrainingAudit, audited
from fedvalue.strategies.training.package.converted import public_model
from fedvalue.strategies.training.package.document import Gated, ModelBody, ModelPackage, Spent
from fedvalue.strategies.training.package.onnx_file import onnx_bytes
from fedvalue.study.questions.model_evaluation import ModelEvaluation
from fedvalue.study.questions.training import Training
from fedvalue.study.schema import Study
from fedvalue.study.scoring import ScoringModel, packed

_CHOSEN = re.compile(re.escape(CHOSEN_CUTS).replace(r"\{cuts\}", r"([0-9., e-]+?)"))


@dataclass(frozen=True, slots=True)
class Made:
    """A package before it is sealed, and its ONNX file.

    Attributes:
      body: The package.
      onnx: Content of the file; None where ``onnx`` is not installed.
    """

    body: ModelBody
    onnx: bytes | None


def make(
    evaluation: EvidencePackage,
    about: About,
    created: datetime,
    *,
    training: EvidencePackage | None = None,
    audit: TrainingAudit | None = None,
    label: str = "",
) -> Made:
    """Return the package of the model that a study evaluated.

    Args:
      evaluation: Evidence of a study with ``kind = "model_evaluation"`` of a ``model``.
      about: What people say.
      created: Now, with its time zone.
      training: Evidence of the training that led to these numbers.
      audit: Of the way it was trained; its figures stand on the card.
      label: Of the evaluation, where there are several.

    Raises:
      EvidenceError: a link of the evidence is broken, there is no such evaluation, the training led to other
        numbers, the audit is of another training or of none, or what is said does not fit the model.
      SignatureInvalid: a signature does not match.
    """
    verify_chain(evaluation)
    study = sealing.embedded_study(evaluation)
    question, conclusion = _evaluated(evaluation, study, label)
    model, measured = _given(question), study.measured
    spent = [_spent(evaluation, "evaluation")]
    if training is not None:
        _require_trained(training, model)
        spent.insert(0, _spent(training, "training"))
    checks = about.checks
    if audit is not None:
        if training is None:
            raise EvidenceError(
                "an audit is of the way a model was trained, and no training is given", where=about.name,
                do="give the evidence of the training with --trained, or leave --audit away",
            )  # fmt: skip
        checks = (*checks, *audited(audit, training))
    variables = {name: study.variables[name] for name in model.variables}
    try:
        raw: bytes | None = onnx_bytes(model, variables, name=about.name)
    except ModuleNotFoundError:
        raw = None
    names, cuts = _tiers(question, conclusion)
    outcome = question.outcome or question.time or ""
    try:
        body = ModelBody(
            name=about.name, created=created,
            simulation=any(one.simulation for one in (evaluation, training) if one is not None),
            unsafe=tuple(dict.fromkeys((*evaluation.unsafe, *(training.unsafe if training else ())))),
            title=about.title, purpose=about.purpose, limits=about.limits, reasons=about.reasons,
            outcome_name=outcome, outcome=measured.endpoints[outcome], cohort=study.cohort,
            variables=variables, model=model, onnx=None if raw is None else hashlib.sha256(raw).hexdigest(),
            tiers=names, cuts=cuts, minimum=study.federation.min_released_patients,
            evaluations=(conclusion,), gates=_gates(conclusion, evaluation.evidence_id), spent=tuple(spent),
            checks=checks,
        )  # fmt: skip
    except ValueError as error:
        raise EvidenceError(
            f"what is said about the model does not fit it: {error}", where=about.name,
            do=f"give a reason for each of {list(model.variables)}",
        ) from None  # fmt: skip
    return Made(body, raw)


def trained_models(training: EvidencePackage) -> dict[str, ScoringModel]:
    """Return the public numbers of every model that a study trained, by name.

    Raises:
      EvidenceError: the study trained none, or a training led nowhere.
      StudyInvalid: a model has no public form.
    """
    study = sealing.embedded_study(training)
    found = {}
    for question in study.analyses:
        if not isinstance(question, Training):
            continue
        label = analysis_of(question, study.measured).label
        if question.local is not None and question.local.personal_head:
            raise EvidenceError(
                "the output layer stayed at each hospital: there is no common model", where=label,
                do="train without personal_head to have one that can be evaluated and packed",
            )  # fmt: skip
        conclusion = next((one for one in training.conclusions if one.label == label), None)
        if conclusion is None or conclusion.model is None:
            raise EvidenceError("the training led to no model", where=label)
        found[question.name] = public_model(question, study.measured, conclusion.model)
    if not found:
        raise EvidenceError("the study trained no model", where=training.evidence_id)
    return found


def recalibrated(evaluation: EvidencePackage, label: str = "") -> ScoringModel:
    """Return an evaluated logistic model with its measured slope and intercept put right.

    ``logit p' = intercept + slope logit p``: the last layer is scaled and moved. It costs no privacy, because
    both numbers were released, and it is another model: what was measured of the first says nothing of it.

    Args:
      evaluation: Evidence of the evaluation.
      label: Of the evaluation, where there are several.

    Raises:
      EvidenceError: a link of the evidence is broken, there is no such evaluation, it has no slope, or the
        model is not logistic.
    """
    verify_chain(evaluation)
    question, conclusion = _evaluated(evaluation, sealing.embedded_study(evaluation), label)
    model, found = _given(question), conclusion.stratum(EVERYBODY).estimates
    if model.link != "logistic" or not {"calibration slope", "calibration intercept"} <= found.keys():
        raise EvidenceError(
            "there is no slope and intercept of a logistic model", where=conclusion.label,
            do="evaluate a logistic model on more patients or at a larger epsilon",
        )  # fmt: skip
    slope, intercept = (found[f"calibration {name}"].value for name in ("slope", "intercept"))
    *before, (weights, biases) = model.layers
    return model.model_copy(
        update={"numbers": packed([*before, (slope * weights, slope * biases + intercept)], skip=model.skip)}
    )


def require_measured(package: ModelPackage, evidence: EvidencePackage) -> None:
    """Check a package against evidence that it names: every link, the numbers, and what was measured.

    Raises:
      EvidenceError: the package does not name this evidence, or says something else than it does.
      SignatureInvalid: a signature on the evidence does not match.
    """
    verify_chain(evidence)
    spent = next((one for one in package.spent if one.evidence_id == evidence.evidence_id), None)
    if spent is None:
        raise EvidenceError("the package does not rest on this evidence", where=evidence.evidence_id)
    if spent != _spent(evidence, spent.purpose):
        raise EvidenceError("the package states another cost in privacy", where=evidence.evidence_id)
    if spent.purpose == "training":
        _require_trained(evidence, package.model)
        return
    study = sealing.embedded_study(evidence)
    for conclusion in package.evaluations:
        question, measured = _evaluated(evidence, study, conclusion.label)
        if measured != conclusion or question.model != package.model:
            raise EvidenceError("the package states another evaluation", where=conclusion.label)
    if package.gates != _gates(package.evaluations[0], evidence.evidence_id):
        raise EvidenceError("the package states other gates than follow", where=evidence.evidence_id)


def _evaluated(evidence: EvidencePackage, study: Study, label: str) -> tuple[ModelEvaluation, Conclusion]:
    labels = {
        analysis_of(question, study.measured).label: question
        for question in study.analyses
        if isinstance(question, ModelEvaluation) and question.model is not None
    }
    wanted = [label] if label else list(labels)
    if len(wanted) != 1 or wanted[0] not in labels:
        raise EvidenceError(
            f"the study evaluates {len(labels)} models that it holds", where=evidence.evidence_id,
            do=f"name one with --analysis: {sorted(labels)}" if labels else "give evidence of an evaluation",
        )  # fmt: skip
    conclusion = next((one for one in evidence.conclusions if one.label == wanted[0]), None)
    if conclusion is None:
        raise EvidenceError("the evaluation was not concluded", where=wanted[0])
    return labels[wanted[0]], conclusion


def _given(question: ModelEvaluation) -> ScoringModel:
    if question.model is None:
        raise EvidenceError("the evaluation holds no model", where=question.kind)
    return question.model


def _require_trained(training: EvidencePackage, model: ScoringModel) -> None:
    verify_chain(training)
    if model.digest not in {one.digest for one in trained_models(training).values()}:
        raise EvidenceError(
            "the training led to other numbers than were evaluated", where=training.evidence_id,
            do="evaluate the model that fedvalue model question prints from this evidence",
        )  # fmt: skip


def _spent(evidence: EvidencePackage, purpose: Literal["training", "evaluation"]) -> Spent:
    answered = {site for release in evidence.releases for site in release.answered}
    return Spent(
        study_id=evidence.study_id, study_hash=evidence.study_hash, evidence_id=evidence.evidence_id,
        purpose=purpose, epsilon=evidence.privacy.epsilon_promised, delta=evidence.privacy.delta,
        rho_units=evidence.privacy.rho_units, releases=len(evidence.releases), sites=tuple(sorted(answered)),
        until=evidence.valid_to,
    )  # fmt: skip


def _tiers(question: ModelEvaluation, conclusion: Conclusion) -> tuple[tuple[str, ...], tuple[float, ...]]:
    if question.tiers is None:
        return (), ()
    if question.tiers.cuts:
        return question.tiers.names, question.tiers.cuts
    for note in conclusion.notes:
        if (said := _CHOSEN.fullmatch(note)) is not None:
            return question.tiers.names, tuple(float(part) for part in said[1].split(", "))
    return (), ()


def _gates(conclusion: Conclusion, evidence_id: str) -> tuple[Gated, ...]:
    try:
        found = gate_of(conclusion, evidence_id, terms_of())
    except PaymentError:  # a model that could not be assessed at all passes no gate
        return (
            Gated(
                analysis=conclusion.label, outcome="insufficient_evidence", judged={}, missing=("everything",)
            ),
        )
    return (
        Gated(
            analysis=conclusion.label, outcome=found.outcome,
            judged={each.name: each.verdict for each in found.judged}, small=found.small,
            missing=found.missing,
        ),
    )  # fmt: skip


def stanza(model: ScoringModel, *, outcome: str, by: Sequence[str] = ()) -> str:
    """Return the lines of a study file that evaluate a model; people complete them.

    Args:
      model: Its public numbers.
      outcome: The binary endpoint that it predicts.
      by: Protected attributes.
    """
    columns = []
    for column in model.columns:
        said = column.model_dump(mode="json", exclude_defaults=True)
        parts = ", ".join(f"{key} = {_toml(value)}" for key, value in said.items())
        columns.append(f"  {{ {parts} }},")
    rest = model.model_dump(mode="json", exclude_defaults=True, exclude={"columns"})
    lines = [
        "[[analyses]]",
        'kind = "model_evaluation"',
        f"outcome = {_toml(outcome)}",
        f"by = {_toml(list(by))}",
        "budget = 0.5",
        "",
        "[analyses.model]",
        *(f"{key} = {_toml(value)}" for key, value in rest.items()),
        "columns = [",
        *columns,
        "]",
    ]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return repr(value)
