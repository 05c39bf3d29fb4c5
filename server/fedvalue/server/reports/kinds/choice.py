"""Which figures an analysis has, by its kind; a kind without figures of its own has the generic ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from fedvalue.analyses.balance import BALANCE, CONTROLS
from fedvalue.analyses.catalogue import analysis_of
from fedvalue.analyses.estimate import Conclusion, Stratum
from fedvalue.analyses.horizon import BY_RISK
from fedvalue.analyses.testing_weights import WEIGHTED
from fedvalue.server.reports import generic, kaplan_meier
from fedvalue.server.reports.drawing import Figure
from fedvalue.server.reports.generic import natural
from fedvalue.server.reports.kinds import balance, forest, lines, plane, prediction, shares
from fedvalue.server.reports.kinds.forest import Forest, Row
from fedvalue.server.reports.naming import Names
from fedvalue.server.reports.wording import Phrase, Words
from fedvalue.study.questions.interrupted_time_series import InterruptedTimeSeries
from fedvalue.study.questions.question import Question


@dataclass(frozen=True, slots=True)
class One:
    """One estimate of a group.

    Attributes:
      group: Name of the group.
      key: Name of the estimate.
      unit: Of the estimate.
    """

    group: str
    key: str
    unit: str


Keep = Callable[[One], bool]
Drawing = Callable[[Conclusion, Names, str], Sequence[Figure | None]]


def figures(conclusion: Conclusion, names: Names, name: str) -> tuple[Figure, ...]:
    """Return the figures of one analysis, those of its kind first.

    Of kinds with a section of their own (`generic.OWN`) only what stands beside it: hazard ratios of curves.

    Args:
      conclusion: Of any kind.
      names: Words.
      name: Unique on the page.
    """
    if conclusion.kind in generic.OWN:
        rows = _rows(_known(conclusion), names, lambda one: one.key == "hazard ratio", group=True)
        beside = _ratios(rows, conclusion, names, name)
        return () if beside is None else (beside,)
    own = OWN.get(conclusion.kind)
    if own is None or not any(s.estimates or s.series for s in conclusion.strata):
        return generic.figures(conclusion, names, name)
    return tuple(figure for figure in own(conclusion, names, name) if figure is not None)


def _only(conclusion: Conclusion, keep: Keep, *, series: bool = False) -> Conclusion:
    """The conclusion with some of its estimates, and groups that have none of those left out."""
    strata = []
    for stratum in conclusion.strata:
        estimates = {key: e for key, e in stratum.estimates.items() if keep(One(stratum.name, key, e.unit))}
        if estimates or (series and stratum.series) or not stratum.estimates:
            update = {"estimates": estimates} | ({} if series else {"series": {}})
            strata.append(stratum.model_copy(update=update))
    return conclusion.model_copy(update={"strata": tuple(strata)})


def _rest(conclusion: Conclusion, names: Names, name: str, keep: Keep) -> tuple[Figure, ...]:
    """Generic figures of some estimates; none where there are none."""
    some = _only(conclusion, keep)
    if not any(s.estimates for s in some.strata if s.name != "unknown"):
        return ()
    return generic.figures(some, names, name)


def _rows(strata: Sequence[Stratum], names: Names, keep: Keep, *, group: bool) -> list[Row]:
    """One row an estimate, in natural order of the estimates, then of the groups; refusals last."""
    keys = {key for s in strata for key, e in s.estimates.items() if keep(One(s.name, key, e.unit))}
    rows = []
    for key in sorted(keys, key=natural):
        for stratum in strata:
            if (found := stratum.estimates.get(key)) is None:
                continue
            if not keep(One(stratum.name, key, found.unit)):
                continue
            rows.append(Row(_label(stratum, names.estimate(key), names, group=group), found))
    return [*rows, *_refused(strata, names)]


def _label(stratum: Stratum, what: Phrase, names: Names, *, group: bool) -> Phrase:
    return names.voice("variance.row", group=names.group(stratum.name), estimate=what) if group else what


def _refused(strata: Sequence[Stratum], names: Names) -> list[Row]:
    return [Row(names.group(s.name), None, names.refusal_short(s)) for s in strata if s.status != "estimated"]


def _forest(
    rows: Sequence[Row], conclusion: Conclusion, names: Names, name: str, caption: str, *,
    log: bool = False, reference: float | None = 0.0, band: tuple[float, float] | None = None,
    axis: Words = "",
) -> Figure | None:  # fmt: skip
    if not any(row.found for row in rows):
        return None
    drawing = Forest(tuple(rows), log, reference, band, axis)
    return forest.figure(drawing, names.analysis(conclusion), names.voice, name, caption=names.voice(caption))


def _ratios(
    rows: Sequence[Row], conclusion: Conclusion, names: Names, name: str, caption: str = "figure.ratios", *,
    axis: Words = "",
) -> Figure | None:  # fmt: skip
    return _forest(rows, conclusion, names, f"{name}-ratios", caption, log=True, reference=1.0, axis=axis)


def _known(conclusion: Conclusion) -> list[Stratum]:
    return [s for s in conclusion.strata if s.name != "unknown"]


def _coefficients(conclusion: Conclusion, names: Names, name: str) -> list[Figure | None]:
    """Ratios around 1 where the model has a link, slopes around 0 where it has none."""
    strata, several = _known(conclusion), len(conclusion.strata) > 1
    rows, axis = [], ""
    for stratum in strata:
        for key, found in stratum.estimates.items():
            ratio, of, column = key.partition(" of ")
            if found.unit == "ratio" and of:
                rows.append(Row(_label(stratum, names.column(column), names, group=several), found))
                axis = ratio
    if rows:
        rows += _refused(strata, names)
        told = names.voice.either(f"ratio_name.{axis.replace(' ', '_')}", axis)
        return [_ratios(rows, conclusion, names, name, axis=told)]
    for stratum in strata:
        for key, found in stratum.estimates.items():
            if key != "intercept":
                rows.append(Row(_label(stratum, names.column(key), names, group=several), found))
    return [_forest([*rows, *_refused(strata, names)], conclusion, names, f"{name}-slopes", "figure.slopes")]


def _log_rank(conclusion: Conclusion, names: Names, name: str) -> list[Figure | None]:
    rows = _rows(_known(conclusion), names, lambda one: one.key == "hazard ratio", group=True)
    ratios = _ratios(rows, conclusion, names, name)
    return [ratios, *_rest(conclusion, names, name, lambda one: one.key.startswith("events"))]


def _treatment_effect(conclusion: Conclusion, names: Names, name: str) -> list[Figure | None]:
    voice, by_name = names.voice, {s.name: s for s in conclusion.strata}
    whole = by_name["all"]
    groups = [s for s in _known(conclusion) if s.name not in (BALANCE, CONTROLS)]
    effects = [
        Row(
            voice("variance.row", group=names.group(s.name), estimate=names.estimate(key)), s.estimates[key],
            aside=key == "interaction",
        )
        for s in groups
        for key in ("effect", "interaction")
        if key in s.estimates
    ]  # fmt: skip
    effects += _refused(groups, names)
    ratios = [Row(names.estimate(key), e) for key, e in whole.estimates.items() if e.unit == "ratio"]
    if (controls := by_name.get(CONTROLS)) is not None:
        ratios += [
            Row(names.estimate(key), controls.estimates[key], aside=True)
            for key in sorted(controls.estimates, key=natural)
            if controls.estimates[key].unit == "ratio"
        ]
    found = [
        _forest(effects, conclusion, names, f"{name}-effects", "figure.effects"),
        _ratios(
            ratios, conclusion, names, name,
            "figure.ratios" if controls is None else "figure.controls",
        ),
    ]  # fmt: skip
    if (after := by_name.get(BALANCE)) is not None:
        found.append(balance.figure(after, names, f"{name}-balance"))
    overlap = ("treated by propensity", "controls by propensity")
    found.append(lines.together(whole, overlap, names, f"{name}-overlap", mark=None))
    arms = _rest(
        conclusion, names, name,
        lambda one: one.group == "all" and one.key.startswith(("mean if", "restricted mean if")),
    )  # fmt: skip
    return [*arms, *found]


def _calibration(conclusion: Conclusion, names: Names, name: str) -> list[Figure | None]:
    shown = tuple(_known(conclusion))
    ratios = _rows(shown, names, lambda one: one.key == "observed over predicted", group=True)
    return [
        prediction.calibration(shown, names, f"{name}-calibration"),
        _ratios(ratios, conclusion, names, name, "figure.observed_over"),
        prediction.decision_curve(shown, names, f"{name}-decision"),
        *_rest(conclusion, names, name, lambda one: one.unit == "area"),
    ]


def _model_evaluation(conclusion: Conclusion, names: Names, name: str) -> list[Figure | None]:
    drawn = ("observed over predicted",)
    return [
        *_calibration(conclusion, names, name),
        prediction.calibration(tuple(_known(conclusion)), names, f"{name}-horizon", key=BY_RISK),
        *_rest(conclusion, names, f"{name}-more", lambda one: one.unit != "area" and one.key not in drawn),
    ]


def _training(conclusion: Conclusion, names: Names, name: str) -> list[Figure | None]:
    """How far each round led: what was released anyway; a loss would have cost budget."""
    shown = tuple(_known(conclusion))
    if not any("direction" in stratum.series for stratum in shown):
        return [*generic.figures(conclusion, names, name)]
    found = generic.lines(shown, "direction", names, f"{name}-rounds")
    return [replace(found, caption=names.voice("figure.training"))]


def _by_site(conclusion: Conclusion, names: Names, name: str) -> list[Figure | None]:
    sites = [s for s in conclusion.strata if s.name != "all"]
    whole = next((s for s in conclusion.strata if s.name == "all"), None)
    own = [Row(names.group(s.name), s.estimates.get("mean"), names.refusal_short(s)) for s in sites]
    without = [
        Row(names.group(s.name), found)
        for s in sites
        if (found := s.estimates.get("mean over the other hospitals")) is not None
    ]
    reference, band = None, None
    if whole is not None and whole.estimates:
        mean, new = whole.estimates["mean over hospitals"], whole.estimates["prediction for a new hospital"]
        reference = mean.value
        own += [Row(names.estimate("mean over hospitals"), mean, aside=True),
                Row(names.estimate("prediction for a new hospital"), new, aside=True)]  # fmt: skip
        if new.lower is not None and new.upper is not None:
            band = (new.lower, new.upper)
    return [
        _forest(own, conclusion, names, f"{name}-sites", "figure.sites", reference=reference, band=band),
        _forest(without, conclusion, names, f"{name}-without", "figure.leave_one_out", reference=reference),
    ]


def _delayed_entry(conclusion: Conclusion, names: Names, name: str) -> list[Figure | None]:
    curved = tuple(s for s in conclusion.strata if s.curve is not None)
    found: list[Figure | None] = []
    if curved:
        horizon = max(s.curve.days[-1] for s in curved if s.curve is not None)
        found.append(kaplan_meier.figure(_of(conclusion, curved), horizon, names, f"{name}-curves"))
    weighted = tuple(s for s in conclusion.strata if s.name == WEIGHTED)
    groups = tuple(s for s in conclusion.strata if "tested" in s.estimates)
    others = [s for s in _known(conclusion) if s not in (*weighted, *groups)]
    rows = _rows(others, names, lambda one: one.key == "hazard ratio", group=True)
    found.append(_ratios(rows, conclusion, names, name))
    if weighted:
        found += generic.figures(_of(conclusion, weighted), names, f"{name}-weighted")
        found += generic.figures(_of(conclusion, groups), names, f"{name}-tested")
    return found


def _of(conclusion: Conclusion, strata: tuple[Stratum, ...]) -> Conclusion:
    return conclusion.model_copy(update={"strata": strata})


def _interrupted(conclusion: Conclusion, names: Names, name: str) -> list[Figure | None]:
    keys = ("observed", "expected without the change")
    mark = _change(conclusion, names)
    drawn: list[Figure | None] = [
        lines.together(s, keys, names, f"{name}-series-{i}", mark=mark)
        for i, s in enumerate(_known(conclusion))
    ]
    rows = _rest(conclusion, names, name, lambda _: True)
    return [*drawn, *rows]


def _change(conclusion: Conclusion, names: Names) -> float | None:
    """The month of the change, counted as the axis counts them."""
    for question in names.study.analyses:
        if isinstance(question, InterruptedTimeSeries) and _asks(question, names) == conclusion.label:
            first, _ = names.study.measured.calendar_days(question.calendar)
            return float((question.change.year - first.year) * 12 + question.change.month - first.month)
    return None


def _asks(question: Question, names: Names) -> str:
    return analysis_of(question, names.study.measured).label


def _differences(conclusion: Conclusion, names: Names, name: str) -> list[Figure | None]:
    estimates = conclusion.strata[0].estimates
    groups = [key.removeprefix("mean before, ") for key in estimates if key.startswith("mean before, ")]
    ends = [
        (group, (estimates[f"mean before, {group}"], estimates[f"mean after, {group}"]))
        for group in groups
        if f"mean after, {group}" in estimates
    ]
    drawn = lines.before_after(ends, names, f"{name}-change") if ends else None
    rest = [
        Row(names.estimate(key), estimates[key], aside=key.startswith("placebo"))
        for key in ("difference in differences", "placebo before the change")
        if key in estimates
    ]
    return [drawn, _forest(rest, conclusion, names, f"{name}-forest", "figure.differences")]


def _adverse_events(conclusion: Conclusion, names: Names, name: str) -> list[Figure | None]:
    grades = [f"worst grade {grade}" for grade in range(1, 6)]
    bars = tuple(
        shares.Bar(names.group(s.name), tuple(s.estimates.get(key) for key in grades))
        for s in _known(conclusion)
        if any(key in s.estimates for key in grades)
    )
    # what is left of a bar had no event: it needs no part of its own
    stack = shares.Stack(tuple(names.estimate(key) for key in grades), bars)
    drawn = shares.figure(stack, names.analysis(conclusion), names, f"{name}-grades") if bars else None
    rest = _rest(conclusion, names, name, lambda one: one.key in ("any grade", "grade 3 or higher"))
    return [drawn, *rest]


def _counts(conclusion: Conclusion, names: Names, name: str) -> list[Figure | None]:
    keys = list(dict.fromkeys(k for s in _known(conclusion) for k, e in s.estimates.items()
                              if e.unit == "probability" and "=" in k))  # fmt: skip
    if not keys:
        return [*generic.figures(conclusion, names, name)]
    bars = tuple(
        shares.Bar(names.group(s.name), tuple(s.estimates.get(key) for key in keys))
        for s in _known(conclusion)
        if any(key in s.estimates for key in keys)
    )
    stack = shares.Stack(tuple(names.estimate(key) for key in keys), bars)
    rest = _rest(conclusion, names, name, lambda one: one.key == "patients")
    return [shares.figure(stack, names.analysis(conclusion), names, f"{name}-shares"), *rest]


def _cross_moments(conclusion: Conclusion, names: Names, name: str) -> list[Figure | None]:
    both = plane.figure(_known(conclusion), names.analysis(conclusion), names, f"{name}-plane")
    return [both, *generic.figures(conclusion, names, name)]


OWN: Mapping[str, Drawing] = {
    "cross_moments": _cross_moments,
    "cox": _coefficients,
    "regression": _coefficients,
    "log_rank": _log_rank,
    "treatment_effect": _treatment_effect,
    "calibration": _calibration,
    "model_evaluation": _model_evaluation,
    "training": _training,
    "by_site": _by_site,
    "delayed_entry": _delayed_entry,
    "interrupted_time_series": _interrupted,
    "difference_in_differences": _differences,
    "adverse_events": _adverse_events,
    "counts": _counts,
}
"""Kind to what draws it; the others are drawn by `generic`."""
