"""Questions about predictions, treatments and hospitals."""

from __future__ import annotations

from fedvalue.study.questions.by_site import BySite
from fedvalue.study.questions.calibration import Calibration
from fedvalue.study.questions.model_evaluation import ModelEvaluation
from fedvalue.study.questions.treatment_effect import TreatmentEffect

Effects = BySite | Calibration | ModelEvaluation | TreatmentEffect
"""One of them; it stands in the union of all questions."""

__all__ = ["BySite", "Calibration", "Effects", "ModelEvaluation", "TreatmentEffect"]
