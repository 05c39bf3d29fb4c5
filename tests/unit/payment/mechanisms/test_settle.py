"""Settling is not setting: mixing is refused at run time, and by mypy (see the ignores it needs)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedvalue.analyses.estimate import Estimate, Released
from fedvalue.errors import ParameterNotInForce, PaymentError, PurposeMixed, SignatureInvalid
from fedvalue.payment.mechanisms.capitation import (
    CapitationTerms,
    Head,
    PanelYear,
    TierYears,
    settle_capitation,
)
from fedvalue.payment.mechanisms.expected_instalments import expected_net
from fedvalue.payment.mechanisms.instalments import Course, Schedule, settle_instalments
from fedvalue.payment.mechanisms.one_off import OneOffTerms
from fedvalue.payment.mechanisms.risk_adjustment import credible
from fedvalue.payment.mechanisms.settle import Panel, Realised, attest, check_windows, meets, settled
from fedvalue.payment.mechanisms.terms import terms_on
from fedvalue.payment.mechanisms.underlying import Draws, draws_of
from fedvalue.payment.outcome_linked import Prior, posterior_of_known_total
from fedvalue.payment.parameters import Parameter, Source, Value
from fedvalue.payment.rules import ProbabilityRule, read
from fedvalue.study.signature import public_hex, sign
from tests.statements import KEY, certain, stated

D = Decimal
TERMS = CapitationTerms(
    "contract 1",
    "CNY",
    (Head("all", D("100.00")),),
    D("0.70"),
    D(0),
    D("0.10"),
    D("0.05"),
    "penalty",
    "fail",
)
ESTIMATE = Estimate(
    value=0.715, unit="probability", lower=0.68, upper=0.75, sampling_variance=2.5e-4, privacy_variance=1e-4
)


def year(reached: int, of: int = 800, missing: int = 0) -> PanelYear:
    return PanelYear(
        (TierYears("all", Fraction(of)),),
        Panel(reached, of - reached - missing, missing),
        100,
        D(100),
        D(100),
    )


def test_a_realised_71_5_percent_of_800_pays_against_a_target_of_70() -> None:
    # 572 / 800 = .715; base 800 x 100 = 80,000 and 10 % of it
    paid = settle_capitation(TERMS, stated(year(572)))
    assert (paid.amount("base"), paid.amount("bonus")) == (D("80000.00"), D("8000.00"))


def test_a_probability_rule_would_not_have_paid_it() -> None:
    believed = posterior_of_known_total(Released(value=572, noise_variance=0), 800, Prior())
    assert ProbabilityRule(0.90, 0.10).answer(read(believed, 0.70, "at_least")) == "insufficient_evidence"


@pytest.mark.parametrize(("reached", "pays"), [(560, True), (559, False)])
def test_the_target_itself_is_reached_and_one_patient_less_is_not(reached: int, pays: bool) -> None:
    # .70 x 800 = 560
    assert bool(settle_capitation(TERMS, stated(year(reached))).amount("bonus")) == pays


def test_the_unmeasured_count_as_the_contract_says() -> None:
    panel = Panel(560, 140, 100)
    assert panel.rate("fail") == Fraction(560, 800)
    assert panel.rate("exclude") == Fraction(560, 700)
    with pytest.raises(PaymentError, match="no policy for missing outcomes"):
        panel.rate("impute")
    with pytest.raises(PaymentError, match="nobody is due"):
        Panel(0, 0).rate("fail")


def test_an_estimate_offered_to_a_settlement_is_refused_by_type() -> None:
    with pytest.raises(PurposeMixed, match="Estimate was offered to a settlement"):
        settle_capitation(TERMS, ESTIMATE)  # type: ignore[arg-type]  # the very thing that mypy must refuse


def test_a_bare_number_offered_to_a_settlement_is_refused_by_type() -> None:
    with pytest.raises(PurposeMixed, match="float was offered"):
        settled(0.715, Panel)


def test_a_noised_number_inside_a_statement_is_refused_by_its_place() -> None:
    noised = dataclasses.replace(year(572), expected_by_trend=98.7)  # type: ignore[arg-type]  # noised
    with pytest.raises(PurposeMixed, match=r"facts\.expected_by_trend = 98\.7"):
        stated(noised)
    with pytest.raises(PurposeMixed, match=r"facts\.expected_by_trend is an estimate"):
        stated(dataclasses.replace(year(572), expected_by_trend=ESTIMATE))  # type: ignore[arg-type]  # noised
    with pytest.raises(PurposeMixed, match="reached"):
        Panel(572.4, 200)  # type: ignore[arg-type]  # a released count is no count


@dataclass(frozen=True, slots=True)
class Smuggled:
    """Draws inside facts."""

    draws: Draws


def test_draws_inside_a_statement_are_refused() -> None:
    with pytest.raises(PurposeMixed, match=r"facts\.draws is an estimate"):
        stated(Smuggled(certain(("a",), [1.0])))


def test_a_realised_statement_sets_nothing() -> None:
    statement = stated(year(572))
    terms = Schedule("contract 1", "USD", (D(1),), (D(1),), D(0), D(1), D(0), "pay")
    with pytest.raises(PurposeMixed, match="Realised"):
        expected_net(terms, statement)  # type: ignore[arg-type]  # the very thing that mypy must refuse
    with pytest.raises(PurposeMixed, match="Decimal"):
        credible({"a": D("1.2")}, {"a": 1}, between_variance=0.1)  # type: ignore[dict-item]  # no variances
    with pytest.raises(PurposeMixed, match="rate is a Fraction"):
        draws_of(
            {"rate": Fraction(572, 800)},  # type: ignore[dict-item]  # a realised figure
            runs=10,
            evidence_id="e",
            rng=np.random.default_rng(1),
        )


def test_a_changed_figure_breaks_the_signature() -> None:
    statement = stated(year(559))
    with pytest.raises(SignatureInvalid, match="does not match"):
        dataclasses.replace(statement, facts=year(560))


def test_another_institution_key_or_role_is_refused() -> None:
    statement = stated(year(572))
    assert settled(statement, PanelYear, public_key=public_hex(KEY)) == year(572)
    other = public_hex(Ed25519PrivateKey.from_private_bytes(bytes(32)))
    with pytest.raises(SignatureInvalid, match="another key"):
        settled(statement, PanelYear, public_key=other)
    with pytest.raises(PaymentError, match="not as the institution"):
        dataclasses.replace(statement, signature=sign({}, KEY, "coordinator"))


def test_facts_of_another_contract_are_refused() -> None:
    with pytest.raises(PaymentError, match="holds PanelYear, not Course"):
        settle_instalments(
            Schedule("contract 1", "USD", (D(1),), (D(1),), D(0), D(1), D(0), "pay"),
            stated(year(572)),  # type: ignore[arg-type]  # facts of another contract
            today=D(1),
        )


def test_a_statement_for_another_contract_settles_nothing() -> None:
    with pytest.raises(PaymentError, match="stated for 'contract 1', not for 'contract 2'"):
        settle_capitation(dataclasses.replace(TERMS, contract="contract 2"), stated(year(572)))


def test_overlapping_windows_of_one_institution_are_refused() -> None:
    first = stated(year(572), start=date(2025, 1, 1), end=date(2025, 6, 30))
    second = stated(year(572), start=date(2025, 6, 30), end=date(2025, 12, 31))
    with pytest.raises(PaymentError, match="overlapping windows"):
        check_windows((second, first))
    check_windows(
        (first, stated(year(572), start=date(2025, 7, 1)), stated(year(1), institution="hospital 2"))
    )


def test_a_period_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(PaymentError, match="ends before it starts"):
        stated(year(572), start=date(2026, 1, 1))


def test_two_groups_pool_by_their_counts() -> None:
    assert Panel(3, 1) + Panel(5, 4, 2) == Panel(8, 5, 2)
    assert meets(Fraction(7, 10), D("0.70"))


def parameter(unit: str, *values: tuple[date, str | None]) -> Parameter:
    source = Source(title="Example contract", place="section 1", status="chosen")
    return Parameter(
        unit=unit,
        values=tuple(
            Value(starts=day, amount=None if amount is None else D(amount), source=source)
            for day, amount in values
        ),
    )


PARAMETERS = {
    "provider_reward": parameter("CNY per patient", (date(2024, 1, 1), "3000"), (date(2026, 1, 1), "2500")),
    "patient_credit": parameter("CNY per patient", (date(2024, 1, 1), "500")),
    "confirm_days": parameter("days", (date(2024, 1, 1), "90")),
    "deadline_days": parameter("days", (date(2024, 1, 1), "365")),
}
CHOICES: dict[str, object] = {"contract": "contract 1", "currency": "CNY"}


def drawn(day: date, parameters: dict[str, Parameter] | None = None) -> OneOffTerms:
    return terms_on(OneOffTerms, parameters or PARAMETERS, CHOICES, day=day, name="reversal")


def test_terms_are_drawn_from_the_values_in_force_on_the_day() -> None:
    assert drawn(date(2025, 7, 1)).provider_reward == 3000
    assert drawn(date(2026, 7, 1)).provider_reward == 2500
    assert drawn(date(2025, 7, 1)).confirm_days == 90


def test_a_later_parameter_never_changes_an_earlier_answer() -> None:
    later = {
        **PARAMETERS,
        "provider_reward": parameter(
            "CNY per patient", (date(2024, 1, 1), "3000"), (date(2026, 1, 1), "2500"), (date(2027, 1, 1), "9")
        ),
    }
    assert drawn(date(2025, 7, 1), later) == drawn(date(2025, 7, 1))


def test_a_day_before_the_first_value_has_no_terms() -> None:
    with pytest.raises(ParameterNotInForce):
        drawn(date(2023, 12, 31))


def test_a_parameter_without_source_is_refused() -> None:
    with pytest.raises(PaymentError, match="provider_reward has no source"):
        terms_on(
            OneOffTerms,
            {k: v for k, v in PARAMETERS.items() if k != "provider_reward"},
            {**CHOICES, "provider_reward": D(3000)},
            day=date(2025, 1, 1),
            name="reversal",
        )
    with pytest.raises(PaymentError, match="provider_reward has no source"):
        drawn(date(2025, 1, 1), {**PARAMETERS, "provider_reward": D(3000)})  # type: ignore[dict-item]  # a bare number


def test_a_missing_gap_policy_is_refused_by_name() -> None:
    shares = {
        n: parameter("share", (date(2024, 1, 1), "0.10"))
        for n in ("control_target", "reduction_target", "bonus", "penalty")
    }
    choices = {"contract": "contract 1", "currency": "CNY", "heads": (Head("all", D(1)),), "missing": "fail"}
    with pytest.raises(PaymentError, match="missing gap"):
        terms_on(CapitationTerms, shares, choices, day=date(2025, 1, 1), name="dm")
    with pytest.raises(PaymentError, match="missing gap policy"):
        terms_on(CapitationTerms, shares, {**choices, "gap": None}, day=date(2025, 1, 1), name="dm")


def test_unknown_double_and_fractional_terms_are_refused() -> None:
    with pytest.raises(PaymentError, match="unknown term 'rewards'"):
        drawn(date(2025, 1, 1), {**PARAMETERS, "rewards": PARAMETERS["patient_credit"]})
    with pytest.raises(PaymentError, match="given twice"):
        terms_on(OneOffTerms, PARAMETERS, {**CHOICES, "confirm_days": "x"}, day=date(2025, 1, 1), name="r")
    with pytest.raises(PaymentError, match="not a whole number"):
        drawn(date(2025, 1, 1), {**PARAMETERS, "confirm_days": parameter("days", (date(2024, 1, 1), "1.5"))})


def test_the_type_says_what_a_statement_holds() -> None:
    statement: Realised[Course] = stated(Course(None, None, D(12)))
    again = attest(
        statement.facts,
        institution=statement.institution,
        contract=statement.contract,
        start=statement.start,
        end=statement.end,
        key=KEY,
    )
    assert again == statement
