"""Figures of payment: numbers stand where they should, every figure is told in words, in both languages."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvalue.analyses.estimate import Released
from fedvalue.cli import main
from fedvalue.errors import PaymentError, PurposeMixed
from fedvalue.payment.economics.frontier import Option
from fedvalue.payment.economics.frontier import frontier as placed
from fedvalue.payment.economics.joint import Draws as CostEffect
from fedvalue.payment.economics.net_benefit import acceptability as acceptability_of
from fedvalue.payment.fund.what_if import Answer, answer
from fedvalue.payment.mechanisms.calibration_gate import Bin, GateTerms, calibration_draws, gate
from fedvalue.payment.mechanisms.instalments import Schedule
from fedvalue.payment.mechanisms.settle import Panel
from fedvalue.payment.mechanisms.underlying import Draws
from fedvalue.server.reports.drawing import Figure
from fedvalue.server.reports.formats import percent
from fedvalue.server.reports.payment import (
    acceptability,
    chart,
    costs,
    impact,
    ladder,
    plane,
    posterior,
    reliability,
    sensitivity,
)
from fedvalue.server.reports.wording import Language, Voice, phrase

D = Decimal
SVG = "{http://www.w3.org/2000/svg}"
QUESTION = """format = "fedvalue.impact/1"
title = {en = "Drug", zh = "药品"}
currency = "CNY"
forecast = "forecast.csv"
fund = "fund.csv"
treatment = "drug"
scenario = "new"
opening_balance = "100000000"
redline = "0.05"
q = "0.10"
growth_sd = "0.01"
growth_privacy_sd = "0"
effect_lower_bound = "0.4"
warning_rate = "0.05"
"""


@pytest.fixture(scope="module")
def question(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("impact")
    (folder / "forecast.csv").write_text(
        "year,treatment,eligible,uptake_base,uptake_new,price,reimbursed,admin,offsets\n"
        "2027,drug,1000,0,0.2,100000.00,0.7,500.00,10000\n"
        "2028,drug,1000,0,0.4,100000.00,0.7,500.00,10000\n"
        "2029,drug,1000,0,0.5,100000.00,0.7,500.00,10000\n"
    )
    (folder / "fund.csv").write_text(
        "year,revenue,other_spend\n2026,1050000000,1000000000\n2027,1090000000,1020000000\n"
        "2028,1130000000,1050000000\n2029,1170000000,1080000000\n"
    )
    path = folder / "impact.toml"
    path.write_text(QUESTION, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def looked_at(question: Path) -> Answer:
    return answer(question)


def schedule() -> Schedule:
    return Schedule(
        contract="cart", currency="USD", months=(D(1), D(3), D(6), D(12)), amounts=(D(93250),) * 4,
        clawback_share=D("0.5"), clawback_window=D(12), grace_months=D(1), unknown_policy="withhold",
    )  # fmt: skip


def survival(spread: float = 0.0) -> Draws:
    rng = np.random.default_rng(1)
    return Draws(
        ("1", "3", "6", "12"), np.array([0.95, 0.88, 0.80, 0.70]), rng.normal(0, spread, (200, 4)),
        rng.normal(0, spread, (200, 4)), "ev",
    )  # fmt: skip


def bins(n: float, ratio: float = 1.0) -> list[Bin]:
    return [
        Bin(*(Released(value=v, noise_variance=9) for v in (n, n * p, n * p * ratio)))
        for p in np.linspace(0.1, 0.5, 5).tolist()
    ]


def calibrated(voice: Voice) -> Figure:
    groups = {"all": bins(4000), "women": bins(1500, 1.05)}
    draws = calibration_draws(groups, runs=200, evidence_id="ev", rng=np.random.default_rng(3))
    terms = GateTerms(0.1, 0.2, 0.1, 200, 0.9, 0.1)
    people = {name: Released(value=9000, noise_variance=0) for name in groups}
    judged = gate(terms, draws, people, discrimination=None, heterogeneity=None)
    return reliability.calibration(groups, judged, voice, "calibration")


PANELS = {"H1": Panel(70, 30), "H2": Panel(120, 80, 0), "H3": Panel(30, 70), "H4": Panel(200, 100)}


def gallery(found: Answer, voice: Voice) -> dict[str, Figure]:
    """Every figure of the room, once."""
    rng = np.random.default_rng(2)
    cost = np.stack([rng.normal(m, 2e4, 300) for m in (0.0, 8e4)], axis=1)
    effect = np.stack([rng.normal(m, 0.1, 300) for m in (0.0, 0.45)], axis=1)
    grid = np.linspace(1e4, 5e5, 30).tolist()
    options = [Option(*row) for row in (("usual", 5e3, 1.0), ("new", 1e4, 2.0), ("old", 1.2e4, 1.5))]
    boxes = [costs.box_of(g, [D(k) for k in range(a, a + 40)], least=10) for g, a in (("a", 100), ("b", 300))]
    return {
        "impact": impact.figure(found, voice, "impact"),
        "tornado": sensitivity.tornado(found, voice, "tornado"),
        "heat": sensitivity.heat_map(found, voice, "heat"),
        "stress": sensitivity.stresses(found, voice, "stress"),
        "ceac": acceptability.figure(
            acceptability_of(CostEffect(("usual", "new"), cost, effect), grid), voice, "ceac",
            currency="CNY", marks=[2e5],
        ),
        "evpi": acceptability.information(
            grid, {"perfect": [k / 100 for k in grid], "privacy": [0.0 for _ in grid]}, voice, "evpi",
            currency="CNY",
        ),
        "plane": plane.figure(cost[:, 1], effect[:, 1], 2e5, voice, "plane", currency="CNY"),
        "frontier": plane.frontier(placed(options), voice, "frontier", currency="CNY"),
        "posterior": posterior.figure(
            rng.beta(36, 64, 2000), 0.3, voice, "posterior", what="ORR", shown=percent
        ),
        "boxes": costs.figure(boxes, 0.4, voice, "boxes", currency="CNY"),
        "waterfall": costs.waterfall([("a", 1.02), ("b", 1.1), ("c", 1.05)], voice, "waterfall", group="g"),
        "ladder": ladder.figure(schedule(), survival(0.02), voice, "ladder"),
        "calibration": calibrated(voice),
        "funnel": reliability.funnel(reliability.Funnel(0.7, PANELS, "fail"), voice, "funnel"),
    }  # fmt: skip


def tree(figure: Figure, size: int = 0) -> ET.Element:
    return ET.fromstring(str(figure.drawings[size]))


def words(root: ET.Element) -> list[str]:
    return ["".join(node.itertext()) for node in root.iter(f"{SVG}text")]


@pytest.mark.parametrize("language", ["en", "zh", "both"])
def test_every_figure_is_well_formed_named_described_and_has_its_table(
    looked_at: Answer, language: Language
) -> None:
    for name, figure in gallery(looked_at, Voice.of(language)).items():
        assert len(figure.drawings) == 2, name
        assert figure.table.rows, name
        assert len({len(row) for row in (figure.table.head, *figure.table.rows)}) == 1, name
        for size in (0, 1):
            root = tree(figure, size)
            title, told = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
            assert title is not None
            assert told is not None
            assert len(told.text or "") > len(title.text or "") > 0, name
            assert root.attrib["aria-labelledby"] == f"{title.attrib['id']} {told.attrib['id']}"
            for node in root.iter():
                assert "nan" not in " ".join(node.attrib.values()), name
                assert "inf" not in node.attrib.get("d", ""), name


def test_ids_of_a_page_of_figures_are_unique(looked_at: Answer) -> None:
    page = "".join("".join(f.drawings) for f in gallery(looked_at, Voice.of("en")).values())
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_chinese_figures_hold_no_english_sentence(looked_at: Answer) -> None:
    for name, figure in gallery(looked_at, Voice.of("zh")).items():
        for label in words(tree(figure)):
            assert not re.search(r"[a-z]{3,} [a-z]{3,}", label), (name, label)


def test_an_impact_marks_the_year_in_which_the_redline_is_crossed(looked_at: Answer, english: Voice) -> None:
    # 2027 grows by 3.21 %, P(> 5 %) = Phi(-1.79) = .037; 2028 by (1,050,000,000 + 24,200,000) /
    # 1,032,100,000 - 1 = 4.08 %, P = Phi(-.92) = .179 > .10, and without the drug by 2.94 %; 2029 by 3.36 %.
    figure = impact.figure(looked_at, english, "impact")
    dots = [node.attrib["fill"] for node in tree(figure).iter(f"{SVG}circle")]
    assert len(dots) == 3
    assert dots[0] == dots[2]
    assert dots[0] == "#ffffff" != dots[1]
    verdicts = [phrase(row[-1]).en for row in figure.table.rows]
    assert verdicts == ["kept", "crossed because of it", "kept"]
    assert "+12.1 m" in words(tree(figure))


def test_a_tornado_ends_where_the_model_does(looked_at: Answer, english: Voice) -> None:
    # 1,100 patient-years x (.7 x 80,000 + 500 - 10,000) = 51.15 m with a price a fifth lower.
    figure = sensitivity.tornado(looked_at, english, "tornado")
    row = next(row for row in figure.table.rows if phrase(row[0]).en == "price")
    assert phrase(row[1]).en == "CNY 51,150,000"
    assert phrase(row[2]).en == "CNY 81,950,000"
    assert "51.1 m" in words(tree(figure))


def test_a_heat_map_writes_every_cell_and_the_middle_is_the_impact(looked_at: Answer, english: Voice) -> None:
    written = words(tree(sensitivity.heat_map(looked_at, english, "heat")))
    assert len([w for w in written if w.startswith(("+", "\u2212"))]) == 25
    assert "+66.5 m" in written


def test_a_ladder_keeps_the_golden_expected_payment(english: Voice) -> None:
    figure = ladder.figure(schedule(), survival(), english, "ladder")
    assert "USD 285,811" in phrase(figure.caption).en
    assert phrase(figure.table.rows[0][2]).en == "95.0%"
    with pytest.raises(PurposeMixed):
        ladder.figure(schedule(), 0.7, english, "ladder")  # type: ignore[arg-type]  # what is refused


def test_a_box_spans_the_quartiles_and_a_small_group_is_named_not_drawn(english: Voice) -> None:
    # 1 ... 9 and 100: quartiles (type 7) 3.25, 5.5, 7.75; fence 7.75 + 1.5 x 4.5 = 14.5, so 100 is outside.
    box = costs.box_of("a", [D(k) for k in (*range(1, 10), 100)], least=10)
    assert box.ends == (1.0, 3.25, 5.5, 7.75, 9.0)
    assert box.mean == D("14.50")
    small = costs.box_of("b", [D(5)] * 9, least=10)
    assert (small.ends, small.cases) == ((), 9)
    figure = costs.figure([box, small], 0.1, english, "boxes", currency="CNY")
    assert not any("b (9" in label for label in words(tree(figure)))
    assert phrase(figure.table.rows[1][2]).en == "too few cases to draw"
    assert costs.figure([small], 0.0, english, "boxes", currency="CNY").drawings == ()
    with pytest.raises(PaymentError, match="shows that case"):
        costs.box_of("a", [D(1)], least=1)
    with pytest.raises(PurposeMixed):
        costs.box_of("a", [1.5] * 10, least=10)  # type: ignore[list-item]  # what a noised cost looks like


def test_a_posterior_tells_the_share_on_the_side_that_meets(english: Voice) -> None:
    draws = np.arange(100) / 100
    up = posterior.figure(draws, 0.3, english, "p", what="x", shown=percent)
    assert phrase(up.table.rows[-1][1]).en == "70.0%"
    down = posterior.figure(draws, 0.3, english, "p", what="x", shown=percent, at_least=False)
    assert phrase(down.table.rows[-1][1]).en == "31.0%"


def test_a_funnel_uses_exact_binomial_limits(english: Voice) -> None:
    # 30 of 100 at .7 lies far outside; 120 of 200 is outside 99.8 % too: P(X <= 120) = .0016 > .001, inside.
    shown = reliability.Funnel(0.7, PANELS, "fail")
    assert shown.outside(0.998) == ("H3",)
    assert shown.outside(0.95) == ("H2", "H3")
    labels = words(tree(reliability.funnel(shown, english, "funnel")))
    assert "H3" in labels
    assert "H2" not in labels


def test_the_plane_counts_quadrants_over_all_draws(english: Voice) -> None:
    cost, effect = np.array([1.0, 1.0, -1.0, -1.0]), np.array([1.0, -1.0, 1.0, 1.0])
    rows = plane.figure(cost, effect, 2.0, english, "plane", currency="CNY").table.rows
    assert [row[1] for row in rows] == ["25.0%", "50.0%", "0.0%", "25.0%", "75.0%"]


@pytest.mark.parametrize(
    ("value", "en", "zh"),
    [
        (0.0, "0", "0"),
        (42.0, "42", "42"),
        (999.6, "1 k", "1,000"),
        (12_500.0, "12.5 k", "1.25 万"),
        (-3e6, "\u22123 m", "\u2212300 万"),
        (1.25e9, "1.25 bn", "12.5 亿"),
    ],
)
def test_amounts_are_shortened_as_readers_count(value: float, en: str, zh: str) -> None:
    assert (chart.short(value).en, chart.short(value).zh) == (en, zh)


@given(st.floats(-1e9, 1e9), st.floats(1e-3, 1e9), st.integers(3, 9))
@settings(deadline=None, max_examples=80)
def test_ticks_are_few_round_and_within(low: float, width: float, most: int) -> None:
    found = chart.ticks(low, low + width, most)
    assert 1 <= len(found) <= most + 1
    assert all(low - width / 1e6 <= tick <= low + width * (1 + 1e-6) for tick in found)


def test_the_command_writes_a_page_in_both_languages(
    question: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "impact.html"
    assert main(["report", "impact", str(question), "--out", str(out)]) == 0
    assert "wrote" in capsys.readouterr().out
    page = out.read_text(encoding="utf-8")
    assert "Nothing was proposed" in page
    assert "未提出任何建议" in page
    assert page.count("<figure>") == 4
    assert "<script" not in page
    assert "default-src 'none'" in page


def test_costs_of_sub_groups_become_an_internal_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, out = tmp_path / "cases.csv", tmp_path / "costs.html"
    rows = [f"{group},{base + 10 * k}.50" for group, base in (("a", 100), ("b", 900)) for k in range(12)]
    table.write_text("group,cost\n" + "\n".join(rows) + "\n", encoding="utf-8")
    assert main(["report", "costs", str(table), "--currency", "CNY", "--out", str(out)]) == 0
    page = out.read_text(encoding="utf-8")
    assert "24 cases in 2 sub-groups" in page
    assert "does not leave the payer" in page
    for text, message in (
        ("group;cost\n", "the columns are group,cost"),
        ("group,cost\na\n", "every line has group, cost"),
        ("group,cost\na,ten\n", "is no amount"),
        ("group,cost\na,-1\nb,2\n", "negative"),
        ("group,cost\na,1\n", "one sub-group splits nothing"),
    ):
        table.write_text(text, encoding="utf-8")
        assert main(["report", "costs", str(table), "--currency", "CNY", "--out", str(out)]) == 9
        assert message in capsys.readouterr().err
    table.write_text("group,cost\na,1\nb,2\n", encoding="utf-8")
    assert main(["report", "costs", str(table), "--currency", "yuan", "--out", str(out)]) == 9


def test_statements_of_institutions_become_an_internal_funnel(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, out = tmp_path / "statements.csv", tmp_path / "funnel.html"
    head = "institution,reached,failed,missing\n"
    table.write_text(head + "a,140,60,0\nb,35,15,0\nc,60,130,10\n", encoding="utf-8")
    assert main(["report", "funnel", str(table), "--center", "0.7", "--out", str(out)]) == 0
    page = out.read_text(encoding="utf-8")
    # 60 of 200 against .7: 140 expected, standard deviation 6.5
    assert "1 lie outside" in page
    assert "does not leave the payer" in page
    assert main(["report", "funnel", str(table), "--missing", "exclude", "--out", str(out)]) == 0
    # (140 + 35 + 60) of (200 + 50 + 190) = .534
    assert "53.4%" in out.read_text(encoding="utf-8")
    for rows, message in (
        ("a,1,2,0\na,1,2,0\n", "stands here twice"),
        ("a,1.5,2,0\nb,1,1,0\n", "whole numbers"),
        ("a,-1,2,0\nb,1,1,0\n", "whole numbers"),
        ("a,0,0,0\nb,1,1,0\n", "nobody was due"),
        ("a,1,2,0\n", "nothing to stand beside"),
        ("a,nan,2,0\nb,1,1,0\n", "is no amount"),
        ("a,5,0,0\nb,1,0,0\n", "lies between 0 and 1"),
    ):
        table.write_text(head + rows, encoding="utf-8")
        assert main(["report", "funnel", str(table), "--out", str(out)]) == 9
        assert message in capsys.readouterr().err


def test_options_of_an_assessment_become_a_page_with_their_frontier(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, out = tmp_path / "options.csv", tmp_path / "frontier.html"
    head = "option,cost,effect\n"
    table.write_text(head + "today,1000,1\nnew,3000,2\nworse,3500,1.5\n", encoding="utf-8")
    assert main(["report", "frontier", str(table), "--currency", "CNY", "--out", str(out)]) == 0
    page = out.read_text(encoding="utf-8")
    assert page.count('<span class="tag">') == page.count("<figure>") == 1, "every figure says who may see it"
    assert "internal" in page
    told = [str(table), "--currency", "CNY", "--publication", "public", "--language", "zh"]
    assert main(["report", "frontier", *told, "--out", str(tmp_path / "public.html")]) == 0
    assert '<span class="tag">公开</span>' in (tmp_path / "public.html").read_text(encoding="utf-8")
    assert "dominated" in page
    assert "2,000" in page, "new costs 3,000 - 1,000 for one unit more"
    table.write_text(head + "today,1000,1\n", encoding="utf-8")
    assert main(["report", "frontier", str(table), "--currency", "CNY", "--out", str(out)]) == 9
    assert "two options" in capsys.readouterr().err
