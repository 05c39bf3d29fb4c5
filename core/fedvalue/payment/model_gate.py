"""Before a model may feed a standard: its gates, read from the evaluation that the evidence holds.

    recalibration slope in 0.9 ... 1.1,
    O / E in 0.9 ... 1.1 overall and in the last quarter, in 0.8 ... 1.2 in each protected group of 200,
    discrimination with its interval, the temporal hold-out and the heterogeneity between sites are reported.

Each is judged over draws with both uncertainties (`calibration_gate`): met where P(inside) >= p_met, not met
where the figure lies on one side with at least 1 - p_not, else undecided. A standard whose quantities come
from a model's evaluation is answered only behind gates that are met; otherwise the current standard is kept.

Genes never exclude: the cells of a standard that rests on genes are all there. They raise a price only with a
justification in writing, in the standard's contract.

Source: payment.md 2.8 and 2.9.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date

import numpy as np

from fedvalue.analyses.estimate import Conclusion, Estimate, Stratum
from fedvalue.analyses.evaluated_cells import HETEROGENEITY
from fedvalue.analyses.groups import EVERYBODY, UNKNOWN_GROUP
from fedvalue.errors import EvidenceOfAnother, PaymentError
from fedvalue.payment.decision import Insufficient, PatientsRemedy, PrivacyRemedy
from fedvalue.payment.insufficient import Clock
from fedvalue.payment.mechanisms.calibration_gate import LAST_QUARTER, SLOPE, Gate, GateTerms, gate
from fedvalue.payment.mechanisms.underlying import draws_of
from fedvalue.payment.standard import Standard
from fedvalue.study.payments import Use
from fedvalue.study.questions.model_evaluation import ModelEvaluation
from fedvalue.study.schema import Study

KIND = "model_evaluation"
MODELS = frozenset({KIND, "training"})
"""Kinds of analyses whose figures are a model's: none of them feeds a standard without gates."""

OVER, AREA, CONCORDANCE = "observed over predicted", "area under the ROC curve", "concordance index"
MINIMUM_PEOPLE = 200
RUNS = 20_000

P_MET, P_NOT = 0.9, 0.1
"""Probabilities of the gates where the standard's rule has none of its own."""

JUSTIFICATION = "genomic_justification"


def terms_of(standard: Standard | None = None, on: date | None = None) -> GateTerms:
    """Return what is demanded of a model, with the probabilities of a standard's rule where it has them."""
    met, not_met = P_MET, P_NOT
    if standard is not None and on is not None and {"p_met", "p_not"} <= set(standard.rule):
        met, not_met = (float(standard.amount(name, on)) for name in ("p_met", "p_not"))
    return GateTerms(
        overall=0.1, group=0.2, slope=0.1, minimum_people=MINIMUM_PEOPLE, p_met=met, p_not=not_met
    )


def gate_of(conclusion: Conclusion, evidence_id: str, terms: GateTerms) -> Gate:
    """Judge the gates of one evaluation.

    Args:
      conclusion: Of ``kind = "model_evaluation"``.
      evidence_id: The evidence it is from; it seeds the draws.
      terms: What is demanded.

    Raises:
      PaymentError: the conclusion is of another kind, or has no estimate for everybody.
    """
    if conclusion.kind != KIND:
        raise PaymentError(f"{conclusion.label} is no evaluation of a model", where=evidence_id)
    whole = conclusion.stratum(EVERYBODY)
    if whole.status != "estimated" or OVER not in whole.estimates:
        raise PaymentError(
            "the model could not be assessed at all", where=conclusion.label,
            do="evaluate it on more patients or at a larger epsilon",
        )  # fmt: skip
    strata = {EVERYBODY: whole, **groups_of(conclusion)}
    for stratum in conclusion.strata:
        if stratum.name == LAST_QUARTER:
            strata[LAST_QUARTER] = stratum
    estimates: dict[str, Estimate] = {}
    if (slope := whole.estimates.get("calibration slope")) is not None:
        estimates[SLOPE] = slope
    estimates |= {name: s.estimates[OVER] for name, s in strata.items() if OVER in s.estimates}
    seed = int(hashlib.sha256(f"{evidence_id} {conclusion.label}".encode()).hexdigest()[:12], 16)
    draws = draws_of(
        estimates, runs=RUNS, evidence_id=evidence_id, rng=np.random.default_rng(seed)
    )  # fmt: skip
    people = {name: s.released["patients"] for name, s in strata.items() if OVER in s.estimates}
    found = gate(
        terms, draws, people, discrimination=whole.estimates.get(AREA) or whole.estimates.get(CONCORDANCE),
        heterogeneity=whole.estimates.get(HETEROGENEITY),
    )  # fmt: skip
    lost = tuple(name for name in strata if OVER not in strata[name].estimates)
    missing = (*found.missing, *(() if slope is not None else ("the recalibration slope",)))
    outcome = "insufficient_evidence" if missing and found.outcome == "met" else found.outcome
    return Gate(
        outcome, found.judged, (*found.small, *lost), missing, found.discrimination, found.heterogeneity
    )  # fmt: skip


def groups_of(conclusion: Conclusion) -> dict[str, Stratum]:
    """Return the protected groups of an evaluation, by name, those without estimates too; not the unknown."""
    return {
        stratum.name: stratum
        for stratum in conclusion.strata
        if "," not in stratum.name
        and stratum.name.partition("=")[0] in conclusion.by
        and not stratum.name.endswith(f"={UNKNOWN_GROUP}")
    }


def evaluation_behind(standard: Standard, use: Use, name: str, conclusions: tuple[Conclusion, ...]) -> str:
    """Return the label of the model's analysis that a quantity is read from; empty where it is no model's.

    Args:
      standard: The standard.
      use: What the quantity is in the evidence.
      name: Of the quantity.
      conclusions: Of the evidence.
    """
    quantity = standard.quantities[name]
    for conclusion in conclusions:
        if conclusion.endpoint != use.endpoint or conclusion.kind not in MODELS:
            continue
        if quantity.analysis in (None, conclusion.kind) and any(
            quantity.stratum in (None, stratum.name) and quantity.estimate in stratum.estimates
            for stratum in conclusion.strata
        ):
            return conclusion.label
    return ""


def closed(
    standard: Standard,
    uses: Mapping[str, Use],
    conclusions: tuple[Conclusion, ...],
    evidence_id: str,
    on: date,
    clock: Clock,
) -> Insufficient | None:
    """Return why a standard is not answered yet: a gate of a model that it reads is not met.

    Args:
      standard: The standard.
      uses: Quantity to what of the evidence it is.
      conclusions: Of the evidence.
      evidence_id: The evidence.
      on: The day.
      clock: When the question is asked again.

    Returns:
      None where no model is read, or the gates of all of them are met.

    Raises:
      EvidenceOfAnother: a quantity is read from a model's training, which assesses nothing.
      PaymentError: a model could not be assessed at all.
    """
    labels = {
        evaluation_behind(standard, uses[name], name, conclusions): name
        for name in standard.quantities
        if name in uses
    }
    for conclusion in conclusions:
        if conclusion.label not in labels:
            continue
        if conclusion.kind != KIND:
            raise EvidenceOfAnother(
                f"{labels[conclusion.label]} is read from a model's training", where=standard.name,
                do='ask kind = "model_evaluation" of the model, and read that',
            )  # fmt: skip
        found = gate_of(conclusion, evidence_id, terms_of(standard, on))
        if found.outcome != "met":
            return _waiting(found, clock)
    return None


def _waiting(found: Gate, clock: Clock) -> Insufficient:
    bad = [judged.name for judged in found.judged if judged.verdict == "not_met"]
    open_ = [judged.name for judged in found.judged if judged.verdict == "insufficient_evidence"]
    if bad:
        text = f"Predictions do not come true, so the model feeds no standard: {', '.join(bad)}."
    elif open_:
        text = f"It is not shown that predictions come true: {', '.join(open_)}."
    else:
        text = f"The evaluation does not report {', '.join(found.missing)}."
    return Insufficient(
        reason="model",
        text=text,
        more_patients=PatientsRemedy(
            patients=None, more=None, assurance=None, text="Recalibrate the model, or evaluate more patients."
        ),
        more_privacy=PrivacyRemedy(
            sigma=None, epsilon=None, assurance=None,
            text="A larger share of the budget for the evaluation narrows the intervals of its gates.",
        ),
        review_on=clock.review_on,
        sunset=clock.sunset,
    )  # fmt: skip


def require_genes_justified(
    standard: Standard, study: Study, uses: Mapping[str, Use], conclusions: tuple[Conclusion, ...]
) -> None:
    """Refuse a risk-adjusted standard that rests on genes without saying why, or leaves a cell out.

    Raises:
      PaymentError: no ``genomic_justification`` in the contract, or a cell that has no coefficient.
    """
    if standard.mechanism != "risk_adjusted":
        return
    for question in study.analyses:
        if not isinstance(question, ModelEvaluation):
            continue
        read = [
            name
            for name, use in uses.items()
            if use.endpoint == question.outcome
            and name.startswith("raw_")
            and evaluation_behind(standard, use, name, conclusions)
        ]
        genomic = sorted(
            name
            for name in {*question.read, *question.cells}
            if name in study.variables and study.variables[name].genes
        )
        if not read or not genomic:
            continue
        if not standard.contract.get(JUSTIFICATION, "").strip():
            raise PaymentError(
                f"the coefficients rest on genes ({', '.join(genomic)}) and may raise a price",
                where=standard.name,
                do=f"write why under contract: {JUSTIFICATION}; genes raise a price only with a reason",
            )
        _require_all_cells(standard, read, question, conclusions)


def _require_all_cells(
    standard: Standard, read: list[str], question: ModelEvaluation, conclusions: tuple[Conclusion, ...]
) -> None:
    named = {standard.quantities[name].stratum for name in read}
    for conclusion in conclusions:
        if conclusion.kind != KIND or conclusion.endpoint != question.outcome:
            continue
        cells = {
            stratum.name
            for stratum in conclusion.strata
            if question.cells
            and tuple(part.partition("=")[0] for part in stratum.name.split(", ")) == question.cells
        }
        left = sorted(cells - {name for name in named if name is not None})
        if left and cells & named:
            raise PaymentError(
                f"no coefficient for {left[0]}: genes never exclude", where=standard.name,
                do="give every cell a quantity raw_<cell>, those that are not estimable too",
            )  # fmt: skip
