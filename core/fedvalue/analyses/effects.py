"""From the questions about predictions and treatments to the analyses that answer them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fedvalue.analyses.analysis import Analysis
from fedvalue.analyses.calibration import CalibrationByGroup
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.risk import Risk, Term
from fedvalue.study.questions.calibration import INTERCEPT
from fedvalue.study.questions.effects import Calibration
from fedvalue.study.questions.question import Measured, Question


def _calibration(spec: Calibration, measured: Measured) -> Analysis:
    terms = tuple(_term(name, value, measured) for name, value in sorted((spec.coefficients or {}).items()))
    return CalibrationByGroup(
        spec.outcome, measured.binary(spec.outcome).missing, Risk(spec.score or "", terms),
        Groups.of(spec.by, measured.variables), spec.bins,
    )  # fmt: skip


def _term(term: str, coefficient: float, measured: Measured) -> Term:
    name, _, level = term.partition("=")
    if term == INTERCEPT:
        return Term("", coefficient)
    if not level:
        return Term(name, coefficient, clip=measured.number(name))
    return Term(name, coefficient, levels=measured.levels(name), level=level)


EFFECTS: Mapping[type[Question], Callable[[Any, Measured], Analysis]] = {Calibration: _calibration}
"""For each of these questions, what answers it."""
