"""Analyses without a figure of their own: every estimate has its interval, every refusal its words."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from fedvalue.analyses.estimate import Conclusion, Estimate, Series, Stratum
from fedvalue.server.reports import generic
from fedvalue.server.reports.drawing import Figure
from fedvalue.server.reports.naming import Names
from fedvalue.server.reports.wording import Voice, phrase

SVG = "{http://www.w3.org/2000/svg}"


def estimate(value: float, lower: float | None, upper: float | None, unit: str = "CNY") -> Estimate:
    return Estimate(
        value=value, unit=unit, lower=lower, upper=upper, sampling_variance=1.0, privacy_variance=1.0
    )


def conclusion(*strata: Stratum, kind: str = "mean") -> Conclusion:
    return Conclusion(label=f"{kind}:cost", kind=kind, endpoint="cost", by=("egfr",), strata=strata)


MONTHLY = Series(
    x=(0.0, 1.0, 2.0), x_unit="months from 2025-11", values=(10.0, 30.0, 20.0), unit="patients",
    lower=(5.0, 25.0, 15.0), upper=(15.0, 35.0, 25.0),
)  # fmt: skip


def words(figure: Figure, size: int = 0) -> list[str]:
    return ["".join(n.itertext()) for n in ET.fromstring(str(figure.drawings[size])).iter(f"{SVG}text")]


def test_estimates_of_one_unit_share_an_axis_and_other_units_have_their_own(names: Names) -> None:
    both = Stratum(
        name="all", status="estimated",
        estimates={"mean": estimate(120.0, 100.0, 140.0), "with any": estimate(0.1, 0.05, 0.2, "probability"),
                   "missing": estimate(0.01, 0.0, 0.02, "probability"),
                   "variance": estimate(9.0, 4.0, 16.0, "CNY^2")},
    )  # fmt: skip
    found = generic.figures(conclusion(both), names, "g")
    assert len(found) == 2
    assert "120 CNY" in words(found[0])
    assert "10.0%" in words(found[1])
    assert [phrase(cell).en for cell in found[0].table.rows[0]][1:] == ["120 CNY", "100 CNY to 140 CNY"]


@pytest.mark.parametrize("size", [0, 1])
def test_a_group_without_estimates_has_its_refusal_in_its_place(names: Names, size: int) -> None:
    refused = Stratum(name="egfr=mutated", status="not_estimable", reason="privacy")
    (found,) = generic.figures(conclusion(refused), names, "g")
    assert any("EGFR mutated" in text for text in words(found, size))
    assert phrase(found.table.rows[0][1]).en == names.refusal_short(refused).en


def test_an_interval_without_an_end_reaches_the_edge_unmarked(names: Names) -> None:
    open_ended = Stratum(name="all", status="estimated", estimates={"mean": estimate(5.0, 2.0, None)})
    (found,) = generic.figures(conclusion(open_ended), names, "g")
    root = ET.fromstring(str(found.drawings[0]))
    bars = [n for n in root.iter(f"{SVG}line") if n.attrib.get("stroke-width") == "2"]
    assert len(bars) == 1


def test_months_are_written_as_months_across_the_turn_of_the_year(names: Names) -> None:
    stratum = Stratum(name="all", status="estimated", series={"patients by month": MONTHLY})
    figures = generic.figures(conclusion(stratum, kind="monthly"), names, "g")
    rows = figures[-1].table.rows
    assert [row[1] for row in rows] == ["2025-11", "2025-12", "2026-01"]
    assert "2025-12" in words(figures[-1])


def test_every_group_s_line_has_its_stroke_and_its_entry_in_the_key(names: Names) -> None:
    strata = [
        Stratum(name=f"egfr={level}", status="estimated", series={"line": MONTHLY})
        for level in ("mutated", "wild type")
    ]
    figure = generic.figures(conclusion(*strata), names, "g")[-1]
    root = ET.fromstring(str(figure.drawings[0]))
    strokes = {n.attrib["stroke"] for n in root.iter(f"{SVG}path") if n.attrib.get("fill") == "none"}
    assert len(strokes) == 2
    assert {"EGFR mutated", "EGFR wild type"} <= set(words(figure))


def test_names_of_estimates_with_a_name_inside_are_put_in_chinese(names: Names) -> None:
    spoken = Names(Voice.of("zh"), names.study)
    assert spoken.estimate("quantile 0.25").zh == "0.25 分位数"
    assert spoken.estimate("mean cost").zh == "cost 的均值"
    assert spoken.estimate("something new").zh == "something new"
    assert spoken.unit("months from 2025-01").zh == "自 2025-01 起的月份"
