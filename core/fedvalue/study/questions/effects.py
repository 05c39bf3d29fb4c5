"""Questions about predictions and treatments."""

from __future__ import annotations

from fedvalue.study.questions.calibration import Calibration
from fedvalue.study.questions.treatment_effect import TreatmentEffect

Effects = Calibration | TreatmentEffect
"""One of them; it stands in the union of all questions."""

__all__ = ["Calibration", "Effects", "TreatmentEffect"]
