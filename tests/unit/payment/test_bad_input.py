"""What a payer, hospital or manufacturer may hand in wrongly: each is refused under a name of its own."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest

from fedvalue.analyses.estimate import Estimate
from fedvalue.errors import (
    CurrencyUnknown,
    EvidenceExpired,
    EvidenceOfAnother,
    EvidenceOfTooFewSites,
    GapPolicyMissing,
    MoneyNegative,
    ParameterWithoutSource,
    PaymentError,
    PurposeMixed,
    SignatureInvalid,
    WindowsOverlap,
)
from fedvalue.payment import held, standard_file
from fedvalue.payment.deciding import decide
from fedvalue.payment.deciding_criteria import answer
from fedvalue.payment.mechanisms.bands import BandFactor
from fedvalue.payment.mechanisms.cash import Transfer, check_currency
from fedvalue.payment.mechanisms.instalments import Schedule
from fedvalue.payment.mechanisms.settle import Panel, Realised, attest
from tests.unit.evidence.sealed import key, package, study
from tests.unit.payment.kinds.sources import BUDGET, DAY, changed, curve, figures, share, sources

NAME = "diabetes/annual_bundle"
STANDARD = standard_file.read("lung/egfr_tki_outcome_linked")


def test_negative_money_in_a_standard() -> None:
    with pytest.raises(MoneyNegative, match=r"-6000\.00 CNY per member-year is below 0"):
        changed(NAME, ('amount: "6000.00"', 'amount: "-6000.00"'))


def test_negative_money_in_a_payers_statement_and_in_a_flow() -> None:
    with pytest.raises(MoneyNegative):
        held.parse(figures(NAME, spend=("-1.00", "CNY")).encode(), where="held.yaml")
    with pytest.raises(MoneyNegative):
        Transfer("bonus", "fund", "hospital", Decimal("-1.00"))


def test_an_unknown_currency_in_a_standard_a_statement_and_a_contract() -> None:
    with pytest.raises(CurrencyUnknown, match="CNX"):
        changed(NAME, ("unit: CNY per member-year", "unit: CNX per member-year"))
    with pytest.raises(CurrencyUnknown):
        held.parse(figures(NAME, spend=("1.00", "RMB")).encode(), where="held.yaml")
    with pytest.raises(CurrencyUnknown):
        check_currency("RMB")


def test_a_missing_gap_policy_in_a_standard_and_in_a_contract() -> None:
    with pytest.raises(GapPolicyMissing, match="missing gap policy"):
        changed(NAME, ('  gap: "linear"\n', ""))
    with pytest.raises(GapPolicyMissing, match="missing gap policy"):
        changed("diabetes/capitation_risk_tiers", ('  gap: "neutral"\n', ""))
    with pytest.raises(GapPolicyMissing):
        BandFactor(Decimal("0.85"), Decimal(1), Decimal("0.70"), Decimal("0.8"), gap=None)  # type: ignore[arg-type]  # what is refused


def test_overlapping_windows_of_values_tiers_and_instalments() -> None:
    source = "{title: Example of this file, place: chosen for this example, status: chosen}"
    line = f'      - {{starts: 2026-01-01, amount: "6000.00", source: {source}}}\n'
    with pytest.raises(WindowsOverlap, match="dates out of order"):
        changed(NAME, (line, line + line))
    with pytest.raises(WindowsOverlap):
        BandFactor(Decimal("0.70"), Decimal(1), Decimal("0.85"), Decimal("0.8"), gap="linear")
    file = changed("blood/car_t_instalments", ("amount: 6,", "amount: 3,"))
    found = sources(file, {"survival": curve((400.0, 0.7))})
    with pytest.raises(WindowsOverlap, match="due months do not increase"):
        answer(file, found, DAY, budget=BUDGET, minimum=20)
    months = (Decimal(3), Decimal(3))
    with pytest.raises(WindowsOverlap):
        Schedule("c", "CNY", months, months, Decimal(0), Decimal(0), Decimal(0), "pay")


def test_tiers_that_overlap_in_a_standard_are_refused_when_it_is_decided() -> None:
    file = changed(NAME, ('amount: "0.70"', 'amount: "0.90"'))
    with pytest.raises(WindowsOverlap, match="lower tier reaches into the upper"):
        answer(file, sources(file, {"control": share(0.8)}), DAY, budget=BUDGET, minimum=20)


def test_evidence_of_another_stratum() -> None:
    file = standard_file.read(NAME)
    found = sources(file, {"control": share(0.9)})
    moved = found.conclusions[0].model_copy(update={"by": ("sex",)})
    other_group = type(found)((moved,), found.uses, found.evidence_id, found.sites)
    with pytest.raises(EvidenceOfAnother, match="holds no proportion of"):
        answer(file, other_group, DAY, budget=BUDGET, minimum=20)


def test_evidence_of_another_standard_and_of_another_way_of_counting() -> None:
    with pytest.raises(EvidenceOfAnother):
        decide(package(of=study(standard="lung/another")), STANDARD, DAY)
    with pytest.raises(EvidenceOfAnother):
        decide(package(of=study(missing="exclude")), STANDARD, DAY)


def test_expired_evidence() -> None:
    with pytest.raises(EvidenceExpired, match="not on 2028-06-01"):
        decide(package(), STANDARD, date(2028, 6, 1))


def test_a_wrong_signature_on_evidence_and_on_a_statement() -> None:
    good = package()
    forged = good.signatures[0].model_copy(update={"value": "A" * len(good.signatures[0].value)})
    with pytest.raises(SignatureInvalid):
        decide(good.model_copy(update={"signatures": (forged,)}), STANDARD, DAY)
    statement = attest(Panel(60, 40), institution="H", contract="c", start=DAY, end=DAY, key=key("hospital"))
    with pytest.raises(SignatureInvalid):
        Realised("H", "c", DAY, DAY, Panel(90, 10), statement.signature)


def test_evidence_from_fewer_sites_than_the_standard_demands() -> None:
    source = "source: {title: Example, place: chosen, status: chosen}"
    value = f"      - {{starts: 2021-01-01, amount: 9, {source}}}\n"
    more = "\nrule:\n  minimum_sites:\n    unit: sites\n    values:\n" + value
    file = standard_file.parse(STANDARD.raw.decode().replace("\nrule:\n", more, 1).encode(), where="my.yaml")
    with pytest.raises(EvidenceOfTooFewSites, match="3 sites answered, the standard demands 9"):
        decide(package(), file, DAY)


def test_a_parameter_without_source_in_a_standard_and_in_a_statement() -> None:
    source = ", source: {title: Decision rule D1 of FedValue, place: docs/payment.md, status: chosen}"
    with pytest.raises(ParameterWithoutSource, match="source"):
        changed(NAME, (source, ""))
    with pytest.raises(ParameterWithoutSource, match="give url or place"):
        changed(NAME, (", place: docs/payment.md", ""))
    bare = figures(NAME, spend=("1.00", "CNY")).replace(
        ", source: {title: The payer's own lists, place: closed year, status: checked}", ""
    )
    with pytest.raises(ParameterWithoutSource):
        held.parse(bare.encode(), where="held.yaml")


NOISED = Estimate(
    value=0.71, unit="probability", lower=0.6, upper=0.8, sampling_variance=0.001, privacy_variance=0.001
)


@pytest.mark.parametrize("figure", [NOISED, 71.5, 0.715])
def test_a_noised_number_offered_to_a_settlement(figure: object) -> None:
    with pytest.raises(PurposeMixed):
        attest(figure, institution="H", contract="c", start=DAY, end=DAY, key=key("hospital"))
    with pytest.raises(PurposeMixed):
        Panel(figure, 40)  # type: ignore[arg-type]  # what is refused


def test_a_noised_number_offered_as_the_payers_own_and_a_settlement_as_a_standard() -> None:
    text = figures(NAME, spend=("1.00", "CNY")).replace('amount: "1.00"', "amount: 1.25")
    with pytest.raises(PaymentError, match="binary number"):
        held.parse(text.encode(), where="held.yaml")
    with pytest.raises(PaymentError, match="no business of an estimate"):
        changed(NAME, ("purpose: set", "purpose: settle"))


def test_a_realised_715_of_a_thousand_is_no_noised_number_and_pays() -> None:
    # 572 of 800 is 71.5 %: at or above a target of 70 % it pays, whatever a probability rule would say.
    assert Panel(572, 228).rate("fail") >= Fraction(7, 10)


@pytest.mark.parametrize(
    "kind",
    [
        CurrencyUnknown, EvidenceExpired, EvidenceOfAnother, EvidenceOfTooFewSites, GapPolicyMissing,
        MoneyNegative, ParameterWithoutSource, PurposeMixed, SignatureInvalid, WindowsOverlap,
    ],
)  # fmt: skip
def test_each_refusal_has_a_code_of_its_own(kind: type[PaymentError]) -> None:
    assert kind.code not in ("payment_error", "evidence_invalid", "error")
