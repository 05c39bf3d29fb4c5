"""Questions about predictions and treatments."""

from __future__ import annotations

from fedvalue.study.questions.calibration import Calibration

Effects = Calibration
"""One of them; it stands in the union of all questions."""

__all__ = ["Calibration", "Effects"]
