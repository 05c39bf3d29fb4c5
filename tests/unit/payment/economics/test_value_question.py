"""A cost-effectiveness question in one file: hand-worked numbers, laws, refusals."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from fedvalue.cli import main
from fedvalue.errors import PaymentError
from fedvalue.payment.economics.value_answer import ValueAnswer, answer
from fedvalue.payment.economics.value_draws import draw_parameter
from fedvalue.payment.economics.value_question import Parameter, load_question

HEAD = """format = "fedvalue.value/1"
title = {en = "Drug", zh = "药品"}
currency = "CNY"
willingness_to_pay = ["50000", "100000"]
draws = 200
seed = 3
cycle_years = "1"
within_cycle = "start"
discount_cost = "0"
discount_effect = "0"
"""
OPTIONS = """
[[options]]
name = "today"
[options.markov]
states = ["well", "dead"]
cycles = 2
transitions = [["0.5", "0.5"], ["0", "1"]]
cost = ["100", "0"]
utility = ["0.8", "0"]

[[options]]
name = "new"
[options.markov]
states = ["well", "dead"]
cycles = 2
moves_of = "today"
relative_risk = "0.5"
cost = ["1100", "0"]
utility = ["0.8", "0"]
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "value.toml"
    path.write_text(text, encoding="utf-8")
    return path


def asked(tmp_path: Path, text: str) -> ValueAnswer:
    return answer(written(tmp_path, text))


def test_two_cycles_of_two_states_give_the_numbers_worked_by_hand(tmp_path: Path) -> None:
    found = asked(tmp_path, HEAD + OPTIONS)
    # edges 0 and 1 count: today 1 + .5 of a year well, new 1 + .75
    today, new = (p.option for p in sorted(found.placed, key=lambda p: p.option.cost))
    assert (today.cost, today.effect) == pytest.approx((150.0, 1.2))
    assert (new.cost, new.effect) == pytest.approx((1925.0, 1.4))
    at = found.against[0].at
    # 50,000 x .2 - 1,775 and 100,000 x .2 - 1,775
    assert [each.plain.mean for each in at] == pytest.approx([8225.0, 18225.0])
    assert found.evpi == pytest.approx((0.0, 0.0)), "nothing is uncertain, so nothing is worth knowing"


def test_an_option_that_shares_moves_and_costs_is_the_same_option_in_every_draw(tmp_path: Path) -> None:
    text = OPTIONS.replace('transitions = [["0.5", "0.5"], ["0", "1"]]', 'moves = [["9", "9"], ["0", "0"]]')
    same = text.replace('relative_risk = "0.5"', 'relative_risk = "1"').replace("1100", "100")
    draws = asked(tmp_path, HEAD + same).drawn.draws
    np.testing.assert_allclose(draws.effect[:, 0], draws.effect[:, 1])
    assert draws.effect[:, 0].std() > 0


def test_the_same_file_gives_the_same_answer_and_another_seed_another(tmp_path: Path) -> None:
    text = (
        HEAD
        + '[parameters]\nu = {distribution = "beta", mean = "0.8", sd = "0.1"}\n'
        + OPTIONS.replace('utility = ["0.8", "0"]', 'utility = ["u", "0"]')
    )
    first, again = asked(tmp_path, text), asked(tmp_path, text)
    np.testing.assert_array_equal(first.drawn.draws.effect, again.drawn.draws.effect)
    other = asked(tmp_path, text.replace("seed = 3", "seed = 4"))
    assert not np.array_equal(first.drawn.draws.effect, other.drawn.draws.effect)
    assert set(first.evppi) == {"u"}
    assert all(one <= whole + 1e-9 for one, whole in zip(first.evppi["u"], first.evpi, strict=True))


@pytest.mark.parametrize(
    ("distribution", "mean", "sd"),
    [("normal", "-3", "2"), ("gamma", "900", "120"), ("beta", "0.7", "0.05"), ("lognormal", "0.6", "0.1")],
)
def test_draws_have_the_mean_and_sd_that_the_file_names(distribution: str, mean: str, sd: str) -> None:
    terms = Parameter.model_validate({"distribution": distribution, "mean": mean, "sd": sd})
    draws = draw_parameter(terms, 40_000, np.random.default_rng(1))
    # five standard errors of the mean; of an SD, kurtosis of these shapes below 6
    assert abs(draws.mean() - float(mean)) < 5 * float(sd) / 200
    assert abs(draws.std() / float(sd) - 1) < 0.04


def test_a_modifier_raises_the_threshold_and_the_plain_result_stands_beside(tmp_path: Path) -> None:
    weight = """
modifier_ceiling = "1.5"
[[modifiers]]
ground = "rare_disease"
target = "threshold"
factor = "2"
condition = "fewer than 5 in 10,000 people"
applies = true
source = {title = "Example", place = "here", status = "chosen"}
"""
    found = asked(tmp_path, HEAD + weight + OPTIONS)
    first = found.against[0].at[0]
    # held at the ceiling of 1.5: 75,000 x .2 - 1,775
    assert (first.plain.mean, first.modified.mean) == pytest.approx((8225.0, 13225.0))


def test_curves_and_given_draws_stand_beside_each_other(tmp_path: Path) -> None:
    (tmp_path / "curves.csv").write_text("edge,pfs,os\n0,1,1\n1,0.5,0.8\n2,0.25,0.64\n", encoding="utf-8")
    (tmp_path / "draws.csv").write_text("cost,effect\n" + "500,0.5\n" * 200, encoding="utf-8")
    text = (
        HEAD
        + """
[[options]]
name = "other_model"
given = {file = "draws.csv"}
[[options]]
name = "curves"
[options.curves]
file = "curves.csv"
cycles = 4
tail_from = 1
log_hazard_sd = "0"
crossing = "refuse"
cost = ["10", "20", "0"]
utility = ["0.8", "0.5"]
"""
    )
    found = asked(tmp_path, text)
    options = {p.option.name: p.option for p in found.placed}
    # PFS 1 .5 .25 .125, OS 1 .8 .64 .512: costs 10 x 1.875 + 20 x (2.952 - 1.875)
    assert options["curves"].cost == pytest.approx(18.75 + 21.54)
    assert options["curves"].effect == pytest.approx(0.8 * 1.875 + 0.5 * 1.077)
    # the first two of four cycles: (.8 x 1.5 + .5 x .3) of 2.0385
    assert found.drawn.observed["curves"] == pytest.approx(1.35 / 2.0385)
    assert options["other_model"].cost == 500


IDLE = '[parameters]\nidle = {distribution = "normal", mean = "1", sd = "1"}\n'
EXACT = 'transitions = [["0.5", "0.5"], ["0", "1"]]'
BAD = {
    "used by no option": HEAD + IDLE + OPTIONS,
    "there is no parameter 'u'": HEAD + OPTIONS.replace('["0.8", "0"]', '["u", "0"]'),
    "one of moves": HEAD + OPTIONS.replace('moves_of = "today"\n', ""),
    "no earlier Markov option": HEAD + OPTIONS.replace('moves_of = "today"', 'moves_of = "later"'),
    "does not increase": HEAD.replace('"50000", "100000"', '"100000", "50000"') + OPTIONS,
    "a utility lies above 1": HEAD + OPTIONS.replace("0.8", "1.8"),
    "its utility is 0": HEAD + OPTIONS.replace('["0.8", "0"]', '["0.8", "0.1"]'),
    "makes a probability above 1": HEAD + OPTIONS.replace('relative_risk = "0.5"', 'relative_risk = "3"'),
    "leave death": HEAD + OPTIONS.replace(EXACT, 'moves = [["9", "9"], ["1", "0"]]'),
    "in quotes": HEAD.replace('discount_cost = "0"', "discount_cost = 0.5") + OPTIONS,
    "not a file beside": HEAD + OPTIONS + '[[options]]\nname = "x"\ngiven = {file = "../x.csv"}\n',
    "modifier_ceiling": HEAD + OPTIONS + """
[[modifiers]]
ground = "severity"
target = "effect"
factor = "1.1"
condition = "x"
applies = false
source = {title = "Example", place = "here", status = "chosen"}
""",
}  # fmt: skip


@pytest.mark.parametrize("message", BAD)
def test_a_bad_question_is_refused_by_what_is_wrong(tmp_path: Path, message: str) -> None:
    with pytest.raises(PaymentError, match=re.escape(message)):
        asked(tmp_path, BAD[message])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("cost;effect\n1;2\n", "the columns are cost,effect"),
        ("cost,effect\n1,nan\n2,3\n", "finite"),
        ("cost,effect\n1,x\n", "CSV of numbers"),
        ("cost,effect\n1,2\n3,4\n", "2 draws where the question says 200"),
    ],
)
def test_a_bad_table_of_draws_is_refused(tmp_path: Path, table: str, message: str) -> None:
    (tmp_path / "draws.csv").write_text(table, encoding="utf-8")
    with pytest.raises(PaymentError, match=re.escape(message)):
        asked(tmp_path, HEAD + OPTIONS + '[[options]]\nname = "other"\ngiven = {file = "draws.csv"}\n')


def test_the_command_prints_json_and_chinese_and_the_page_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, HEAD + OPTIONS)
    assert load_question(path).draws == 200
    assert main(["payment", "value", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["against"][0]["net_benefit"][0]["mean"] == pytest.approx(8225.0)
    assert told["best"] == ["new", "new"]
    assert main(["payment", "value", str(path), "--language", "zh"]) == 0
    assert "净获益" in capsys.readouterr().out
    out = tmp_path / "value.html"
    assert main(["report", "value", str(path), "--out", str(out)]) == 0
    assert "Efficiency frontier" in out.read_text(encoding="utf-8")
