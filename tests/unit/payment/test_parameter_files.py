"""Files of parameters, reforms laid over them, differences, prices, and their commands."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvalue.cli import main
from fedvalue.errors import ParameterNotInForce, PaymentError
from fedvalue.payment import overlay, parameter_file, standard_file
from fedvalue.payment.parameter_diff import diff, view
from fedvalue.payment.parameters import Source
from fedvalue.payment.prices import HistoricLine, PriceIndex, PriceList, price_cut, reprice

D = Decimal
SOURCE = Source(title="Notice 12", place="page 3", status="checked")

FILE = """format: fedvalue.parameters/1
name: fund/redline
title: {en: Redline, zh: 红线}
status: official
jurisdiction: CN
scope: {regions: [north], hospital_levels: [tertiary], phase: roll_out, comparison: south}
parameters:
  max_growth:
    title: {en: largest growth, zh: 增长上限}
    unit: share
    values:
      - {starts: 2021-01-01, amount: "0.05", source: {title: Notice 12, place: page 3, status: checked}}
      - {starts: 2025-01-01, amount: "0.06", source: {title: Notice 20, place: page 1, status: checked}}
"""
REFORM = """format: fedvalue.overlay/1
name: reform/tighter
title: {en: A tighter line, zh: 收紧红线}
over: fund/redline
parameters:
  max_growth:
    - {starts: 2024-01-01, amount: "0.04", source: {title: Draft 3, place: page 2, status: unverified}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "fund").mkdir()
    (tmp_path / "fund" / "redline.yaml").write_text(FILE, encoding="utf-8")
    (tmp_path / "tighter.yaml").write_text(REFORM, encoding="utf-8")
    return tmp_path


def test_every_example_is_valid_says_that_it_is_none_in_force_and_has_both_languages() -> None:
    names = parameter_file.example_names()
    assert len(names) >= 15
    for name in names:
        content = parameter_file.read(name).content
        assert content.status in ("example", "unverified")
        for key, parameter in content.parameters.items():
            assert parameter.title.en, (name, key)
            assert parameter.title.zh, (name, key)
            assert all(value.source.status == "unverified" for value in parameter.values), (name, key)


def test_the_examples_hold_the_figures_of_the_shared_data() -> None:
    # A sample by hand from each kind of the shared file of example parameters.
    day = date(2026, 6, 1)
    for name, key, amount in [
        ("outcome_linked/egfr_tki", "fund_cap", "120000"),
        ("instalments/cart_us", "price", "373000"),
        ("capitation/hypertension", "penalty", "300"),
        ("value_based/diabetes", "annual_reduced", "0.80"),
        ("fund/redline", "max_growth", "0.05"),
        ("official/nice", "threshold_most", "35000"),
        ("official/dip", "year_weight_latest", "0.7"),
        ("official/hrrp", "floor", "0.97"),
    ]:
        assert parameter_file.read(name).content.on(key, day).amount == D(amount)


def test_a_parameter_is_called_by_file_and_key(folder: Path) -> None:
    assert parameter_file.split("fund/redline.max_growth") == ("fund/redline", "max_growth")
    assert parameter_file.split("fund/redline") == ("fund/redline", None)
    content = parameter_file.read("fund/redline", folder).content
    assert content.on("max_growth", date(2024, 12, 31)).amount == D("0.05")
    with pytest.raises(ParameterNotInForce, match=r"fund/redline\.max_growth has no value on 2020-12-31"):
        content.on("max_growth", date(2020, 12, 31))
    with pytest.raises(PaymentError, match="no parameter 'least'"):
        content.on("least", date(2024, 1, 1))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("unit: share", "unit: CNY per patient", "price_year"),
        ("jurisdiction: CN\n", "jurisdiction: CN\nextra: 1\n", "extra"),
        ("jurisdiction: CN\n", "", "jurisdiction"),
        ("jurisdiction: CN\n", "jurisdiction: CN\njurisdiction: CN\n", "stands twice"),
        ('"0.05"', "0.05", "binary number"),
        (", source: {title: Notice 12, place: page 3, status: checked}", "", "source"),
        ("starts: 2025-01-01", "starts: 2020-01-01", "dates out of order"),
        ("status: official", "status: final", "status"),
        ("jurisdiction: CN\n", "jurisdiction: CN\noverlays: [reform/x]\n", "overlays"),
        ('"0.06"', '"1.06"', "between 0 and 1"),
        ("name: fund/redline", "name: fund/other", "holds the parameters 'fund/other'"),
    ],
)
def test_a_file_that_leaves_something_to_guess_is_refused(
    folder: Path, old: str, new: str, message: str
) -> None:
    assert old in FILE
    (folder / "fund" / "redline.yaml").write_text(FILE.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(PaymentError, match=message):
        parameter_file.read("fund/redline", folder)


@pytest.mark.parametrize("name", ["../fund/redline", "fund//redline", "fund/red-line", ""])
def test_a_name_cannot_leave_the_folder(folder: Path, name: str) -> None:
    with pytest.raises(PaymentError, match="no name of parameters"):
        parameter_file.read(name, folder)


# ---- reforms -----------------------------------------------------------------------------------------

BASE = parameter_file.parse(FILE.encode(), where="x").content
LAID = overlay.lay(overlay.parse(REFORM.encode(), where="y"), BASE)


def test_a_reform_holds_from_its_first_day_and_takes_later_values_of_the_law_away() -> None:
    assert [LAID.on("max_growth", date(y, 6, 1)).amount for y in (2023, 2024, 2026)] == [
        D("0.05"), D("0.04"), D("0.04")
    ]  # fmt: skip
    assert LAID.overlays == ("reform/tighter",)
    assert BASE.on("max_growth", date(2026, 6, 1)).amount == D("0.06")


@given(st.dates(date(2021, 1, 1), date(2023, 12, 31)))
@settings(deadline=None)
def test_before_a_reform_nothing_changes(day: date) -> None:
    assert LAID.on("max_growth", day) == BASE.on("max_growth", day)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("over: fund/redline", "over: fund/other", "over fund/other"),
        ("  max_growth:", "  least:", "no parameter 'least'"),
        ('"0.04"', '"4.0"', "between 0 and 1"),
        ('amount: "0.04", ', "", "amount"),
    ],
)
def test_a_reform_that_does_not_fit_is_refused(old: str, new: str, message: str) -> None:
    with pytest.raises(PaymentError, match=message):
        overlay.lay(overlay.parse(REFORM.replace(old, new).encode(), where="y"), BASE)


def test_a_reform_is_laid_once() -> None:
    with pytest.raises(PaymentError, match="already"):
        overlay.lay(overlay.parse(REFORM.encode(), where="y"), LAID)


# ---- differences -------------------------------------------------------------------------------------


def test_two_days_differ_in_what_came_into_force_between_them() -> None:
    found = diff(view(BASE), date(2024, 12, 31), view(BASE), date(2025, 1, 1))
    assert [(x.key, x.change, x.after.source) for x in found] == [("max_growth", D("0.01"), "Notice 20")]
    assert diff(view(BASE), date(2025, 1, 1), view(BASE), date(2026, 1, 1)) == ()


def test_what_has_no_value_or_is_missing_is_said_and_is_no_zero() -> None:
    (found,) = diff(view(BASE), date(2020, 1, 1), view(BASE), date(2021, 1, 1))
    assert (found.before.amount, found.change) == (None, None)
    assert "first value starts on 2021-01-01" in found.before.why
    (gone,) = diff(view(BASE), date(2021, 1, 1), {}, date(2021, 1, 1))
    assert gone.after.why == "not in these parameters"


def test_a_standard_is_compared_through_the_same_view() -> None:
    standard = standard_file.read("lung/egfr_tki_outcome_linked").standard
    day = date(2026, 1, 1)
    assert "threshold" in view(standard)
    assert diff(view(standard), day, view(standard), day) == ()


# ---- prices ------------------------------------------------------------------------------------------

INDEX = PriceIndex("care", {2022: D(100), 2024: D("104.5")}, SOURCE)
LIST = PriceList(date(2025, 1, 1), "CNY", {"A01": D("3.50"), "B02": D(0)}, SOURCE)


def line(code: str, quantity: str, paid: str) -> HistoricLine:
    return HistoricLine(code, date(2024, 5, 1), D(quantity), D(paid))


def test_an_amount_moves_between_price_years_and_an_index_is_not_carried_forward() -> None:
    assert INDEX.move(D("1000.00"), from_year=2022, to_year=2024) == D("1045.00")
    assert INDEX.move(D("1045.00"), from_year=2024, to_year=2022) == D("1000.00")
    with pytest.raises(ParameterNotInForce, match="care has no value on 2025-01-01"):
        INDEX.move(D(1), from_year=2022, to_year=2025)


def test_historic_lines_are_repriced_line_by_line_and_add_up() -> None:
    # 2.5 * 3.50 = 8.75; 0; kept 9.99
    found = reprice([line("A01", "2.5", "15.00"), line("B02", "1", "4.00"), line("C03", "1", "9.99")], LIST,
                    keep_unlisted=True)  # fmt: skip
    assert found.amounts == (D("8.75"), D("0.00"), D("9.99"))
    assert (found.before, found.after, found.kept) == (D("28.99"), D("18.74"), 1)
    with pytest.raises(PaymentError, match="does not hold the code"):
        reprice([line("C03", "1", "9.99")], LIST, keep_unlisted=False)


def test_lines_of_the_current_list_and_returns_are_refused() -> None:
    with pytest.raises(PaymentError, match="not older than the list"):
        reprice([HistoricLine("A01", date(2025, 1, 1), D(1), D(1))], LIST, keep_unlisted=False)
    with pytest.raises(PaymentError, match="are no line"):
        line("A01", "-1", "5")
    with pytest.raises(PaymentError, match="no change of a price"):
        price_cut(D(0), D(1))


# ---- commands ----------------------------------------------------------------------------------------


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main(["payment", *words])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_show_prints_a_parameter_of_an_example_and_of_an_own_folder(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    status, out, _ = run(capsys, "show", "fund/redline.max_growth", "--on", "2026-03-01", "--language", "zh")
    assert status == 0
    assert "未核实" in out
    status, out, _ = run(
        capsys, "show", "fund/redline.max_growth", "--on", "2026-03-01", "--parameters", str(folder),
        "--overlay", str(folder / "tighter.yaml"), "--json",
    )  # fmt: skip
    found = json.loads(out)
    assert found["values"]["max_growth"]["amount"] == "0.04"
    assert found["overlays"] == ["reform/tighter"]
    assert found["scope"]["phase"] == "roll_out"


def test_show_outside_the_window_prints_nothing_but_the_refusal(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "show", "official/nice.managed_access", "--on", "2012-05-01", "--json")
    assert (status, out) == (9, "")
    assert json.loads(err)["error"] == "parameter_not_in_force"


def test_show_still_shows_a_standard(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "show", "lung/egfr_tki_outcome_linked", "--on", "2026-03-01")
    assert status == 0
    assert "reimbursement_share" in out


def test_diff_compares_days_files_and_reforms(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    days = ("--on", "2026-03-31", "--and", "2026-04-01", "--json")
    changed = json.loads(run(capsys, "diff", "official/nice", *days)[1])["differences"]
    assert [each["change"] for each in changed] == ["5000", "5000"]
    own = str(folder / "fund" / "redline.yaml")
    out = run(capsys, "diff", own, "--on", "2026-01-01", "--overlay", str(folder / "tighter.yaml"))[1]
    assert "-0.02" in out
    assert run(capsys, "diff", own, own, "--on", "2026-01-01")[1] == "no difference\n"
    assert run(capsys, "diff", own)[0] == 9


IMPACT = """format = "fedvalue.impact/1"
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


@pytest.fixture
def question(tmp_path: Path) -> Path:
    (tmp_path / "forecast.csv").write_text(
        "year,treatment,eligible,uptake_base,uptake_new,price,reimbursed,admin,offsets\n"
        "2027,drug,1000,0,0.2,100000.00,0.7,500.00,10000\n"
        "2028,drug,1000,0,0.4,100000.00,0.7,500.00,10000\n"
        "2029,drug,1000,0,0.5,90000.00,0.7,500.00,10000\n"
    )
    (tmp_path / "fund.csv").write_text(
        "year,revenue,other_spend\n2026,1050000000,1000000000\n2027,1090000000,1020000000\n"
        "2028,1130000000,1050000000\n2029,1170000000,1080000000\n"
    )
    path = tmp_path / "impact.toml"
    path.write_text(IMPACT, encoding="utf-8")
    return path


def test_impact_answers_in_two_languages_and_as_json_and_writes_nothing(
    capsys: pytest.CaptureFixture[str], question: Path
) -> None:
    before = sorted(question.parent.iterdir())
    assert "Nothing was proposed" in run(capsys, "impact", str(question))[1]
    assert "未提出任何建议" in run(capsys, "impact", str(question), "--language", "zh")[1]
    found = json.loads(run(capsys, "impact", str(question), "--json")[1])
    assert sorted(question.parent.iterdir()) == before
    # 200 * (70,000 + 500 - 10,000); growth (1,020,000,000 + 12,100,000) / 1,000,000,000 - 1 = 3.21 %
    first = found["years"][0]
    assert first["impact"]["impact"] == "12100000.00"
    assert first["impact"]["growth"] == "0.032100000"
    assert first["redline"]["verdict"] == "kept"
    assert len(found["stresses"]) == 9
    assert found["tornado"][0]["swing"] == max(bar["swing"] for bar in found["tornado"])
    # The middle of the heat map is the impact itself.
    whole = sum(Decimal(year["impact"]["impact"]) for year in found["years"])
    assert found["heat_map"]["price_by_uptake"][2][2] == pytest.approx(float(whole))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"forecast.csv"', '"../forecast.csv"', "not a file beside"),
        ('redline = "0.05"', "redline = 0.05", "binary number"),
        ('q = "0.10"\n', "", "q"),
        ('treatment = "drug"', 'treatment = "other"', "no treatment 'other'"),
        ('currency = "CNY"', 'currency = "yuan"', "currency"),
        ('q = "0.10"', 'q = "1.5"', "no probability of a breach"),
    ],
)
def test_a_question_that_does_not_fit_is_refused(
    capsys: pytest.CaptureFixture[str], question: Path, old: str, new: str, message: str
) -> None:
    question.write_text(IMPACT.replace(old, new), encoding="utf-8")
    status, _, err = run(capsys, "impact", str(question), "--json")
    assert status == 9
    assert message in err
