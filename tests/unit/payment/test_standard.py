"""The payment standard: what ships, what is refused by name, and what its files remember."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from fedvalue.errors import ParameterNotInForce, PaymentError
from fedvalue.payment import standard_file
from fedvalue.payment.standard import RULE_UNITS

NAME = "lung/egfr_tki_outcome_linked"
FILE = standard_file.read(NAME)


def test_the_example_ships_with_a_source_on_every_value() -> None:
    standard = FILE.standard
    assert standard.status == "unverified"
    for group in (standard.rule, standard.payment, standard.terms):
        for parameter in group.values():
            assert all(value.source.title and value.source.place for value in parameter.values)


@pytest.mark.parametrize(
    ("name", "amount"),
    [
        ("threshold", "0.30"), ("window", "183"), ("p_met", "0.90"), ("p_not", "0.10"),
        ("bonus_if_met", "10000"), ("fund_cap", "120000"), ("patient_payment", "30000"),
        ("reference", "0.65"), ("bonus", "0"),
    ],
)  # fmt: skip
def test_the_example_holds_the_numbers_of_its_source(name: str, amount: str) -> None:
    assert FILE.standard.amount(name, date(2026, 3, 1)) == Decimal(amount)


def test_nothing_is_paid_before_the_first_value() -> None:
    with pytest.raises(ParameterNotInForce, match="egfr_tki_outcome_linked: "):
        FILE.standard.in_force(date(2020, 12, 31))


def test_every_answer_names_its_action_and_insufficient_evidence_keeps_everything() -> None:
    answers = FILE.standard.consequences
    assert answers.insufficient_evidence.values == {}
    assert len({answers.met.action, answers.not_met.action, answers.insufficient_evidence.action}) == 3


BONUS_LINE = "  bonus_if_met:\n    unit: CNY per patient\n"
REFUSALS = [
    ('amount: "0.30"', "amount: 0.30", "threshold.*binary number"),
    ('amount: "0.30"', 'amount: "1.30"', "between 0 and 1"),
    ("purpose: set", "purpose: settle", "no business of an estimate"),
    ("purpose: set", "purpose: both", "purpose"),
    ("unit: cohort", "unit: patient", "unit"),
    ("status: unverified\njur", "status: final\njur", "status"),
    ("jurisdiction: CN\n", "jurisdiction: CN\njurisdiction: US\n", "stands twice"),
    ("jurisdiction: CN\n", "jurisdiction: CN\nbonus: 3\n", "bonus: unknown key"),
    ("jurisdiction: CN\n", "", "jurisdiction"),
    (", status: unverified}}", ", status: unverified, colour: red}}", "unknown key"),
    (", place: pilot of outcome-linked payment", "", "give url or place"),
    ("  p_not:\n", "  p_nought:\n", "rule: outcome_linked_cohort takes exactly"),
    ("  window:\n    unit: days", "  window:\n    unit: months", "rule.window.unit"),
    ("bonus: bonus_if_met", "bonus: bonus_if_meet", "names no payment value or no term"),
    ("bonus: bonus_if_met", "bonus: share_if_met", "different units"),
    ("factors: [bonus]", "factors: [bonus, fund_cap]", "product of shares and one amount of money"),
    ("factors: [bonus]", "factors: [charity_share]", "product of shares and one amount of money"),
    ("  insufficient_evidence:\n    action: keep_current_standard",
     "  insufficient_evidence:\n    values: {bonus: bonus_if_not_met}\n    action: keep_current_standard",
     "insufficient evidence changes no value"),
    (BONUS_LINE, "  bonus:\n    unit: CNY per patient\n", "bonus stands under payment and under terms"),
    ("mechanism: outcome_linked_cohort", "mechanism: loans", "mechanism"),
    ("direction: at_least", "direction: above", "direction"),
    ("decision_rule: D1", "decision_rule: D9", "decision_rule"),
    ('starts: 2021-01-01, amount: "0.30"', 'starts: yesterday, amount: "0.30"', "starts"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), REFUSALS)
def test_a_standard_that_leaves_something_to_guess_is_refused(old: str, new: str, message: str) -> None:
    text = FILE.raw.decode()
    assert old in text
    with pytest.raises(PaymentError, match=message) as error:
        standard_file.parse(text.replace(old, new, 1).encode(), where="my.yaml")
    assert error.value.where.startswith("my.yaml")


def test_dates_out_of_order_are_refused() -> None:
    line = next(line for line in FILE.raw.decode().splitlines() if '"0.30"' in line)
    older = line.replace("2021-01-01", "2020-01-01")
    with pytest.raises(PaymentError, match="dates out of order"):
        standard_file.parse(FILE.raw.replace(line.encode(), f"{line}\n{older}".encode()), where="x")


def test_a_rule_is_complete() -> None:
    assert FILE.standard.rule.keys() == RULE_UNITS.keys()


@pytest.mark.parametrize("name", ["../secret", "lung/../x", "/etc/passwd", "lung//x", "lung/no such"])
def test_a_name_is_no_path_out_of_the_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(PaymentError, match="no name of a standard"):
        standard_file.read(name, tmp_path)


def test_a_standard_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PaymentError, match="there is no such standard"):
        standard_file.read("lung/nothing")
    with pytest.raises(PaymentError, match="cannot be read"):
        standard_file.read(NAME, tmp_path)


def test_a_file_under_another_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lung").mkdir()
    (tmp_path / "lung" / "other.yaml").write_bytes(FILE.raw)
    with pytest.raises(PaymentError, match="holds the standard 'lung/egfr_tki_outcome_linked'"):
        standard_file.read("lung/other", tmp_path)


def test_a_version_that_never_was_is_refused() -> None:
    with pytest.raises(PaymentError, match="never had the version"):
        FILE.at_version("0" * 64)
    assert FILE.at_version(FILE.version) == FILE


def test_no_number_of_the_example_stands_in_the_code(repository: Path) -> None:
    amounts = re.compile(r"\b(120_?000|30_?000|10_?000)\b")
    for path in (repository / "core" / "fedvalue" / "payment").glob("*.py"):
        assert not amounts.search(path.read_text(encoding="utf-8")), path
