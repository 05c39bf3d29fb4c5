"""Figures draw what was released, where it belongs, and refuse in words where there is nothing to draw."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedvalue.analyses.estimate import Conclusion, Curve, Remedy, Stratum
from fedvalue.server.reports import budget, drawing, estimate, kaplan_meier, look, probability, variance
from fedvalue.server.reports.drawing import Axis, Figure
from fedvalue.server.reports.naming import Names
from fedvalue.server.reports.wording import Phrase, Voice
from tests.unit.server.reports import samples
from tests.unit.server.reports.sample_decisions import decision

SVG = "{http://www.w3.org/2000/svg}"
HORIZON = 24 * samples.MONTH


def tree(figure: Figure, size: int = 0) -> ET.Element:
    return ET.fromstring(str(figure.drawings[size]))


def words(root: ET.Element) -> list[str]:
    return ["".join(node.itertext()) for node in root.iter(f"{SVG}text")]


def corners(path: ET.Element) -> list[tuple[float, float]]:
    numbers = [float(n) for n in re.findall(r"-?\d+\.?\d*", path.attrib["d"])]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def km(*strata: Stratum, by: tuple[str, ...] = ("egfr",)) -> Conclusion:
    return Conclusion(
        label="kaplan_meier:pfs:egfr", kind="kaplan_meier", endpoint="pfs", by=by, strata=strata
    )


def lines(root: ET.Element) -> list[ET.Element]:
    return [node for node in root.iter(f"{SVG}path") if node.attrib.get("fill") == "none"]


@pytest.mark.parametrize("size", [0, 1])
def test_a_curve_is_stepped_on_the_released_grid_only(names: Names, size: int) -> None:
    stratum = samples.survival_stratum("egfr=mutated", 412.0, 341.2, 11.0)
    root = tree(kaplan_meier.figure(km(stratum), HORIZON, names, "km"), size)
    (curve,) = lines(root)
    points = corners(curve)
    shape = look.SIZES[size]
    x = Axis(0.0, HORIZON, 40.0 if shape.narrow else 170.0, shape.width - 18)
    assert stratum.curve is not None
    grid = [x(0.0), *(x(day) for day in stratum.curve.days)]
    for (x1, y1), (x2, y2) in pairwise(points):
        assert x1 == x2 or y1 == y2, "a step is flat or upright"
        if x1 == x2:
            assert min(abs(x1 - g) for g in grid) < 0.06, "it is upright at a released edge only"
            assert y2 >= y1, "and never rises"


def test_a_hand_worked_curve_lies_where_it_should(names: Names) -> None:
    # S falls to 1/2 on day 10 and to 1/4 on day 20 of 40: on axes of 100 x 100 pixels
    axes = Axis(0.0, 40.0, 0.0, 100.0), Axis(0.0, 1.0, 100.0, 0.0)
    assert kaplan_meier._steps((10.0, 20.0), (0.5, 0.25), *axes) == (
        "M0.0 0.0L25.0 0.0L25.0 50.0L50.0 50.0L50.0 75.0L50.0 75.0"
    )


def test_an_early_end_is_marked_and_nothing_is_drawn_past_it(names: Names) -> None:
    ends = 15 * samples.MONTH
    figure = kaplan_meier.figure(
        km(samples.survival_stratum("egfr=mutated", 412.0, 90.0, 9.0, ends)), HORIZON, names, "km"
    )
    root = tree(figure)
    at = Axis(0.0, HORIZON, 170.0, 742.0)(ends)
    (ring,) = root.iter(f"{SVG}circle")
    assert float(ring.attrib["cx"]) == pytest.approx(at, abs=0.06)
    for path in root.iter(f"{SVG}path"):
        assert max(x for x, _ in corners(path)) <= at + 0.06
    assert any("ends at day 457" in text for text in words(root))


def test_a_group_with_too_much_noise_has_a_refusal_with_both_remedies_and_no_curve(names: Names) -> None:
    refused = Stratum(
        name="egfr=mutated",
        status="not_estimable",
        reason="privacy",
        remedy=Remedy(epsilon=4.7, patients=117.4),
    )
    figure = kaplan_meier.figure(km(refused), HORIZON, names, "km")
    for size in (0, 1):
        root = tree(figure, size)
        assert not list(root.iter(f"{SVG}path"))
        told = " ".join(words(root))
        assert "Not estimable at this budget." in told
        assert "epsilon of about 4.7" in told
        assert "118 patients" in told
    assert "Not estimable" in str(figure.table.rows[0])


@pytest.mark.parametrize(
    ("remedy", "told"),
    [
        (Remedy(epsilon=None, patients=900.0), "No study epsilon up to 20 would do"),
        (Remedy(epsilon=3.0, patients=None), "a study epsilon of about 3 with today's patients."),
        (Remedy(epsilon=None, patients=None), "cannot be told"),
        (None, "cannot be told"),
    ],
)
def test_a_refusal_says_what_is_known_of_the_remedies(names: Names, remedy: Remedy | None, told: str) -> None:
    stratum = Stratum(name="all", status="not_estimable", reason="privacy", remedy=remedy)
    assert told in names.refusal(stratum).en


def test_everybody_is_drawn_only_where_no_group_has_a_curve(names: Names) -> None:
    everybody = samples.survival_stratum("all", 261.0, 1143.0, 20.0)
    group = samples.survival_stratum("egfr=mutated", 412.0, 341.2, 11.0)
    refused = Stratum(name="egfr=wild type", status="not_estimable", reason="privacy")
    assert len(lines(tree(kaplan_meier.figure(km(group, refused, everybody), HORIZON, names, "km")))) == 1
    alone = tree(kaplan_meier.figure(km(refused, everybody), HORIZON, names, "km"))
    assert len(lines(alone)) == 1
    assert "all patients" in words(alone)


def test_numbers_at_risk_are_bands_of_the_interval_that_begins_there() -> None:
    flat = (0.9, 0.8, 0.7)
    zero = (0.0, 0.0, 0.0)
    curve = Curve(
        days=(10.0, 20.0, 30.0),
        survival=flat,
        lower=flat,
        upper=flat,
        at_risk=(310.4, 47.9, -2.0),
        sampling_variance=zero,
        privacy_variance=zero,
    )
    shown = [kaplan_meier._at_risk(curve, day) for day in (0.0, 9.0, 10.0, 25.0, 30.0)]
    assert shown == ["200\u2013499", "200\u2013499", "20\u201349", "<10", "\u00b7"]


def test_a_daily_grid_of_ten_years_stays_a_small_figure(names: Names) -> None:
    count = 3652
    days = tuple(float(i + 1) for i in range(count))
    survival = tuple(math.exp(-i / 2000) for i in range(count))
    variance_of = (1e-4,) * count
    curve = Curve(
        days=days,
        survival=survival,
        lower=tuple(s * 0.9 for s in survival),
        upper=tuple(min(1.0, s * 1.1) for s in survival),
        at_risk=tuple(5000.0 * s for s in survival),
        sampling_variance=variance_of,
        privacy_variance=variance_of,
    )
    stratum = Stratum(name="all", status="estimated", curve=curve)
    figure = kaplan_meier.figure(km(stratum, by=()), float(count), names, "km")
    assert sum(len(d) for d in figure.drawings) < 800_000
    assert len(figure.table.rows) <= 2 * kaplan_meier.TABLE_ROWS
    assert figure.table.rows[-1][1] == "3652"


def test_the_probability_bar_is_divided_at_the_thresholds_of_the_rule(english: Voice) -> None:
    package = samples.package("insufficient")
    figure = probability.figure(decision(package, "insufficient"), english, "p")
    assert figure is not None
    root = tree(figure)
    # the bar is 740 wide from 10: not met to 10 % = 74, guard band 80 % = 592, met 10 % = 74
    widths = [float(node.attrib["width"]) for node in root.findall(f"{SVG}rect")]
    assert widths[:3] == [74.0, 592.0, 74.0]
    marker = next(node for node in root.findall(f"{SVG}path"))
    assert float(re.findall(r"M(\S+)", marker.attrib["d"])[0]) == pytest.approx(10 + 740 * 0.870036, abs=0.06)
    assert {"87.0%", "10%", "90%", "Not met", "Met", "Insufficient evidence (guard band)"} <= set(words(root))


def test_under_a_guard_band_rule_the_band_lies_around_the_threshold(names: Names) -> None:
    package = samples.package("insufficient")
    made = decision(package, "insufficient", rule="D2")
    bar = probability.figure(made, names.voice, "p")
    assert bar is not None
    assert "Met" not in words(tree(bar))
    figure = estimate.figure(made, package.conclusions[0], names, "e")
    band = next(n for n in tree(figure).findall(f"{SVG}rect") if n.attrib["fill"].startswith("url("))
    dash = next(n for n in tree(figure).findall(f"{SVG}line") if "stroke-dasharray" in n.attrib)
    left, width = float(band.attrib["x"]), float(band.attrib["width"])
    assert left + width / 2 == pytest.approx(float(dash.attrib["x1"]), abs=0.11)


def test_without_a_finding_there_is_no_bar_and_the_group_says_why(names: Names) -> None:
    package = samples.package("not_estimable")
    made = decision(package, "not_estimable")
    assert probability.figure(made, names.voice, "p") is None
    shown = words(tree(estimate.figure(made, package.conclusions[0], names, "e")))
    assert "not estimable at this budget" in shown


def test_every_estimate_of_the_forest_has_its_interval(names: Names) -> None:
    package = samples.package("met")
    figure = estimate.figure(decision(package, "met"), package.conclusions[0], names, "e")
    assert [str(row[2]) != "\u2013" for row in figure.table.rows] == [True] * 4
    assert sum(" to " in text for text in words(tree(figure))) == 4


def test_the_bars_of_variance_are_as_long_as_their_shares(names: Names) -> None:
    row = variance.Share(Phrase.same("x"), "days", sampling=3.0, privacy=1.0)
    # privacy 1 of 4: the bar of 350 pixels is cut at 3/4
    assert row.private == 0.25
    figure = variance.figure((row,), names.voice, "v")
    assert figure is not None
    bars = [n for n in tree(figure).findall(f"{SVG}rect") if n.attrib["height"] == "17"]
    assert [float(bar.attrib["width"]) for bar in bars] == [262.5, 87.5]
    assert {"75.0%", "25.0%"} <= set(words(tree(figure)))


def test_an_estimate_without_variance_claims_no_share(names: Names) -> None:
    row = variance.Share(Phrase.same("x"), "days", sampling=0.0, privacy=0.0)
    assert row.private is None
    assert variance.figure((row,), names.voice, "v") is not None
    assert variance.figure((), names.voice, "v") is None


@pytest.mark.parametrize(
    ("sites", "clear_sum", "first"),
    [(5, False, "own_share"), (31, False, "promised"), (31, True, "own_share")],
)
def test_the_budget_shows_two_epsilons_a_site_in_a_small_federation_that_against_all_others_first(
    english: Voice, sites: int, clear_sum: bool, first: str
) -> None:
    package = samples.package("met", sites=sites, clear_sum=clear_sum)
    rows, bars = budget.spending(package), budget.order(package)
    assert [len(row.sites) for row in rows] == [sites]
    assert bars[0] == first
    figure = budget.figure(package, 2.0, english, "b")
    drawn = [n for n in tree(figure).findall(f"{SVG}rect") if n.attrib["height"] == "13"]
    upper, lower = (float(bar.attrib["width"]) for bar in drawn)
    values = [rows[0].read(bar) for bar in bars]
    assert None not in values
    assert upper / lower == pytest.approx((values[0] or 0.0) / (values[1] or 1.0), rel=1e-3)
    assert rows[0].own_share == pytest.approx(package.privacy.epsilon_own_share)
    assert rows[0].promised == pytest.approx(package.privacy.epsilon_promised)
    assert len(figure.table.rows) == sites
    head = [getattr(cell, "en", "") for cell in figure.table.head]
    charged = next(i for i, told in enumerate(head) if told.startswith("Epsilon charged"))
    assert bars[charged - 1] == ("own_share" if clear_sum else "promised")


@pytest.mark.parametrize(("sites", "first"), [(3, "all 2 other sites"), (6, "with 1 of the sites")])
def test_up_to_five_sites_the_sentence_begins_with_all_other_sites(
    english: Voice, sites: int, first: str
) -> None:
    told = budget.sentence(samples.package("met", sites=sites), 2.0, english).en
    assert first in told.split(":")[0].split("promises")[0]
    clear = budget.sentence(samples.package("met", sites=sites, clear_sum=True), 2.0, english).en
    assert clear.startswith("In this simulation the sum traveled in clear")
    assert "in clear" not in told


def test_a_site_that_answered_less_was_charged_less(english: Voice) -> None:
    rows = budget.spending(samples.package("met", uneven=True))
    assert [len(row.sites) for row in rows] == [5, 1]
    assert (rows[0].own_share or 0.0) > (rows[1].own_share or 0.0) > 0.0
    assert (rows[0].promised or 0.0) > (rows[1].promised or 0.0) > 0.0


def test_without_noise_no_epsilon_is_drawn(english: Voice) -> None:
    figure = budget.figure(samples.package("exact"), 2.0, english, "b")
    assert figure.drawings == ()
    assert all(getattr(row[1], "en", "") == "no finite promise" for row in figure.table.rows)


@given(st.text(max_size=60), st.floats(20, 400), st.floats(8, 20))
def test_cut_words_fit_and_wrapped_words_lose_nothing(told: str, width: float, size: float) -> None:
    cut = drawing.fitted(told, width, size).en
    assert cut == told or drawing.text_width(cut, size) <= max(width, drawing.text_width("\u2026", size))
    joined = "".join(line.en for line in drawing.wrapped(told, width, size))
    assert re.sub(r"\s", "", joined) == re.sub(r"\s", "", told)


@given(st.floats(1.0, 20_000.0), st.integers(2, 12))
def test_a_time_axis_has_round_ticks_that_fit(last: float, most: int) -> None:
    unit, ticks = drawing.time_ticks(last, most)
    assert ticks[0] == 0.0
    assert 1 <= len(ticks) <= most
    assert ticks[-1] * unit <= last + 1e-3


def test_hostile_words_stay_words_in_a_drawing(english: Voice) -> None:
    hostile = '</text><script>alert("x")</script>\x00'
    root = ET.fromstring(
        str(
            drawing.svg(
                english,
                look.SIZES[0],
                10,
                [drawing.text(english, 0, 0, hostile)],
                name="n",
                title=hostile,
                description=hostile,
            )
        )
    )
    assert words(root) == ['</text><script>alert("x")</script>']
    assert not list(root.iter(f"{SVG}script"))
