"""Figures of every kind of analysis: drawn in both sizes and languages, each with what its kind needs."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from fedvalue.analyses.estimate import Conclusion, Estimate, Series, Stratum
from fedvalue.analyses.horizon import BY_RISK, OBSERVED, OVER, PREDICTED
from fedvalue.planning.assumptions import Assumptions, draw
from fedvalue.planning.expected import concluded
from fedvalue.planning.plan import plan_on
from fedvalue.secure_sum.thresholds import thresholds
from fedvalue.server.reports import generic, look
from fedvalue.server.reports.drawing import Figure
from fedvalue.server.reports.kinds import choice
from fedvalue.server.reports.naming import Names
from fedvalue.server.reports.payment import chart
from fedvalue.server.reports.wording import Voice, phrase
from fedvalue.study.schema import Study
from proofs.neighbour_forms import FORMS, study

SVG = "{http://www.w3.org/2000/svg}"
CHINESE = re.compile(r"[\u4e00-\u9fff]")
PATIENTS = 3_000
ASKED = [kind for kind in FORMS if kind != "training"]  # made-up patients train no model
DRAWN = [kind for kind in ASKED if kind not in generic.OWN]


@cache
def made(kind: str, form: int) -> tuple[Study, Conclusion]:
    """What one form of a kind concludes without noise, from made-up patients of five hospitals."""
    asked = study(kind, form)
    drawn = draw(asked, Assumptions(), PATIENTS, np.random.default_rng(1))
    plan = plan_on(asked, thresholds(5), "0" * 64, unsafe_exact=True)
    drawn = replace(drawn, site=np.arange(PATIENTS) % 5)
    return asked, concluded(plan, drawn, np.random.default_rng(2))[0]


def figures(kind: str, form: int = 0, language: str = "both") -> tuple[Figure, ...]:
    asked, conclusion = made(kind, form)
    voice = Voice.of("zh" if language == "zh" else "both")
    return choice.figures(conclusion, Names(voice, asked), f"{kind}-{form}")


def root(figure: Figure, size: int = 0) -> ET.Element:
    return ET.fromstring(str(figure.drawings[size]))


def words(figure: Figure, size: int = 0) -> list[str]:
    return ["".join(node.itertext()) for node in root(figure, size).iter(f"{SVG}text")]


@pytest.mark.parametrize("kind", DRAWN)
def test_every_form_of_a_kind_is_drawn_for_page_and_telephone_in_both_languages(kind: str) -> None:
    for form in range(len(FORMS[kind])):
        found = figures(kind, form)
        assert found
        for figure in found:
            caption = phrase(figure.caption)
            assert CHINESE.search(caption.zh)
            assert not CHINESE.search(caption.en)
            assert figure.table.rows
            assert len(figure.drawings) == len(look.SIZES)
            for size in range(len(look.SIZES)):
                marks = [
                    n for n in root(figure, size).iter() if n.tag[len(SVG) :] in ("circle", "rect", "path")
                ]
                assert marks


def own(asked: Study, conclusion: Conclusion) -> frozenset[str]:
    """Words that are the study's, which no catalogue knows."""
    levels = {level for variable in asked.variables.values() for level in variable.levels}
    sites = {s.name for s in conclusion.strata if s.name.startswith("site ")}
    return frozenset({*asked.variables, *asked.endpoints, *levels, *sites})


@pytest.mark.parametrize("kind", ASKED)
def test_every_word_that_an_analysis_prints_is_known_in_chinese(kind: str) -> None:
    for form in range(len(FORMS[kind])):
        asked, conclusion = made(kind, form)
        names, known = Names(Voice.of("zh"), asked), own(asked, conclusion)
        for stratum in conclusion.strata:
            if not set(re.split(r"=|, ", stratum.name)) <= known:
                assert CHINESE.search(names.group(stratum.name).zh), stratum.name
            for key in (*stratum.estimates, *stratum.series):
                if not set(re.split(r"=|, ", key)) <= known:
                    assert CHINESE.search(names.estimate(key).zh), key
        for note in conclusion.notes:
            assert CHINESE.search(names.voice.recorded(note).zh), note


def estimate(value: float, lower: float, upper: float, unit: str = "ratio") -> Estimate:
    return Estimate(
        value=value, unit=unit, lower=lower, upper=upper, sampling_variance=0.1, privacy_variance=0.1
    )


def squares(figure: Figure) -> list[float]:
    """Middles of the square marks, from top to bottom."""
    found = [n for n in root(figure).iter(f"{SVG}rect") if n.attrib.get("width") == "8"]
    return [float(n.attrib["x"]) + 4 for n in found]


def dashed(figure: Figure) -> list[float]:
    return [
        float(n.attrib["x1"])
        for n in root(figure).iter(f"{SVG}line")
        if n.attrib.get("stroke-dasharray") == "4 3" and n.attrib["x1"] == n.attrib["x2"]
    ]


def test_half_and_twice_lie_as_far_from_the_line_of_no_difference(names: Names) -> None:
    estimates = {
        "hazard ratio of age": estimate(0.5, 0.25, 1.0), "hazard ratio of sex=male": estimate(2.0, 1.0, 4.0)
    }  # fmt: skip
    stratum = Stratum(name="all", status="estimated", estimates=estimates)
    cox = Conclusion(label="cox:os", kind="cox", endpoint="os", by=(), strata=(stratum,))
    (figure,) = choice.figures(cox, names, "f")
    (one,), (half, twice) = dashed(figure), squares(figure)
    assert one - half == pytest.approx(twice - one, abs=0.11)  # coordinates have one decimal
    assert any("0.5 (0.25 to 1)" in text for text in words(figure))
    assert "hazard ratio" in words(figure)


def test_a_model_without_a_link_has_its_slopes_around_zero() -> None:
    _, conclusion = made("regression", 4)
    (figure,) = figures("regression", 4)
    (zero,) = dashed(figure)
    slopes = [e.value for key, e in conclusion.strata[0].estimates.items() if key != "intercept"]
    for place, slope in zip(squares(figure), slopes, strict=True):
        assert math.copysign(1, place - zero) == math.copysign(1, slope)


def test_an_effect_has_its_forest_its_balance_and_its_overlap() -> None:
    captions = [phrase(figure.caption).en for figure in figures("treatment_effect")]
    assert any("Standardized differences" in text for text in captions)
    assert any("no effect" in text for text in captions)
    effects = figures("treatment_effect")[1]
    # interactions are hollow circles, effects squares: everybody, three levels and two differences
    assert len(squares(effects)) == 4
    assert len(list(root(effects).iter(f"{SVG}circle"))) == 2
    love = next(f for f in figures("treatment_effect") if "Standardized" in phrase(f.caption).en)
    low, high = dashed(love)
    middle = (low + high) / 2
    assert high - middle == pytest.approx(middle - low, abs=0.11)
    assert len(list(root(love).iter(f"{SVG}circle"))) == 2 * 2 + 2  # two covariates before and after, the key


def test_predictions_have_a_calibration_plot_and_a_decision_curve() -> None:
    captions = [phrase(figure.caption).en for figure in figures("calibration")]
    assert "predictions come true" in captions[0]
    curve = next(f for f in figures("calibration") if "Net benefit" in phrase(f.caption).en)
    assert "treat nobody / 均不治疗" in words(curve) or "treat nobody" in words(curve)
    diagonal = [
        n for n in root(figures("calibration")[0]).iter(f"{SVG}line")
        if n.attrib.get("stroke-dasharray") == "2 3" and n.attrib["x1"] != n.attrib["x2"]
        and n.attrib["y1"] != n.attrib["y2"]
    ]  # fmt: skip
    assert len(diagonal) == 1


def test_hospitals_stand_around_their_mean_in_the_band_of_a_new_one() -> None:
    figure, without = figures("by_site")
    assert len(squares(figure)) == 5
    assert len(squares(without)) == 5
    band = [n for n in root(figure).iter(f"{SVG}rect") if n.attrib.get("fill") == look.PANEL]
    (mean,) = dashed(figure)
    start = float(band[0].attrib["x"])
    assert start < mean < start + float(band[0].attrib["width"])


def test_the_month_of_a_change_is_marked() -> None:
    figure = figures("interrupted_time_series")[0]
    assert any("change" in text for text in words(figure))
    (at,) = dashed(figure)
    lines = [n.attrib["d"] for n in root(figure).iter(f"{SVG}path") if n.attrib.get("fill") == "none"]
    points = [float(p.split(" ")[0]) for p in lines[0].removeprefix("M").split("L")]
    assert points[6] == pytest.approx(at, abs=0.11)  # the series begins in January, the change is on 1 July


def test_tested_and_untested_have_their_curves_and_their_weights() -> None:
    found = figures("delayed_entry", 1)
    assert "released time grid" in phrase(found[0].caption).en or "grid" in phrase(found[0].caption).en
    told = [cell for figure in found for row in figure.table.rows for cell in map(phrase, row)]
    assert any("weighted" in cell.en and CHINESE.search(cell.zh) for cell in told)


def test_grades_are_parts_of_one_bar_a_group() -> None:
    figure = figures("adverse_events")[0]
    parts = [n for n in root(figure).iter(f"{SVG}rect") if n.attrib.get("height") == "18"]
    assert len(parts) == 5 * 3  # grades 1 to 5 of two arms and of everybody


def test_a_refused_analysis_says_so_in_place_of_its_figure(names: Names) -> None:
    refused = Stratum(name="all", status="not_estimable", reason="privacy")
    cox = Conclusion(label="cox:os", kind="cox", endpoint="os", by=(), strata=(refused,))
    (figure,) = choice.figures(cox, names, "f")
    assert phrase(figure.table.rows[0][1]).en == names.refusal_short(refused).en


def test_a_line_of_another_package_that_has_no_intervals_is_drawn_without_a_ribbon(names: Names) -> None:
    series = Series(x=(0.1, 0.2), x_unit="threshold probability", values=(0.2, 0.1), unit="net benefit")
    stratum = Stratum(name="all", status="estimated", series={"net benefit": series})
    known = Conclusion(label="c", kind="calibration", endpoint="y", by=(), strata=(stratum,))
    (figure,) = choice.figures(known, names, "f")
    assert not [n for n in root(figure).iter(f"{SVG}path") if "fill-opacity" in n.attrib]


def test_a_training_is_drawn_by_the_length_of_each_round_and_says_why_no_loss_is_shown(names: Names) -> None:
    series = Series(x=(1.0, 2.0, 3.0), x_unit="rounds", values=(0.9, 0.5, 0.6), unit="length")
    stratum = Stratum(name="all", status="estimated", series={"direction": series})
    known = Conclusion(label="training:t", kind="training", endpoint="y", by=(), strata=(stratum,))
    (figure,) = choice.figures(known, names, "f")
    assert "would cost budget" in phrase(figure.caption).en
    assert CHINESE.search(phrase(figure.caption).zh)
    assert len(figure.table.rows) == 3
    refused = Stratum(name="all", status="not_estimable", reason="privacy")
    assert len(choice.figures(known.model_copy(update={"strata": (refused,)}), names, "f")) == 1


def test_a_survival_model_has_a_calibration_plot_at_its_horizon() -> None:
    _, conclusion = made("model_evaluation", 4)
    captions = [phrase(figure.caption).en for figure in figures("model_evaluation", 4)]
    assert BY_RISK in conclusion.stratum("all").series
    assert {OBSERVED, PREDICTED, OVER} <= set(conclusion.stratum("all").estimates)
    assert sum("dotted" in caption for caption in captions) == 1


def test_curves_that_are_compared_have_their_hazard_ratios_beside_them(names: Names) -> None:
    compared = {"hazard ratio": estimate(0.8, 0.5, 1.2)}
    strata = tuple(
        Stratum(name=f"egfr={level}", status="estimated", estimates=found)
        for level, found in (("mutated", {}), ("wild type", compared))
    )
    curves = Conclusion(label="k", kind="kaplan_meier", endpoint="pfs", by=("egfr",), strata=strata)
    (figure,) = choice.figures(curves, names, "f")
    assert any("0.8 (0.5 to 1.2)" in text for text in words(figure))
    assert choice.figures(curves.model_copy(update={"strata": strata[:1]}), names, "f") == ()


def test_cost_and_effect_stand_in_one_plane_each_region_around_its_means() -> None:
    figure = figures("cross_moments")[0]
    assert "mean cost" in " ".join(words(figure))
    regions = [n.attrib["d"] for n in root(figure).iter(f"{SVG}path") if n.attrib["d"].endswith("Z")]
    dots = [(float(n.attrib["cx"]), float(n.attrib["cy"])) for n in root(figure).iter(f"{SVG}circle")]
    assert len(regions) == len(dots) == 3  # two arms and everybody
    for region, (x, y) in zip(regions, dots, strict=True):
        points = [
            tuple(map(float, p.split(" "))) for p in region.removeprefix("M").removesuffix("Z").split("L")
        ]
        across, up = zip(*points, strict=True)
        assert (min(across) + max(across)) / 2 == pytest.approx(x, abs=1.0)
        assert (min(up) + max(up)) / 2 == pytest.approx(y, abs=1.0)


def test_ticks_of_a_narrow_axis_have_as_many_digits_as_tell_them_apart() -> None:
    assert [phrase(label).en for _, label in chart.labels([131_000.0, 132_000.0])] == ["131 k", "132 k"]
    told = [phrase(label) for _, label in chart.labels([132_000.0, 132_250.0, 132_500.0])]
    assert [each.en for each in told] == ["132 k", "132.25 k", "132.5 k"]
    assert [each.zh for each in told] == ["13.2 万", "13.225 万", "13.25 万"]
    assert chart.labels([]) == []
