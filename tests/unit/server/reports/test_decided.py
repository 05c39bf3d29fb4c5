"""Decisions on several criteria are told in words, figures and tables, in both languages."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fedvalue.cli import main
from fedvalue.evidence import documents
from fedvalue.payment.decision import Decision, InForce
from fedvalue.payment.decision_findings import (
    CriterionFinding,
    ExpectedMoney,
    HeldBack,
    Refused,
    Result,
    Vehicle,
)
from fedvalue.payment.economics.joint import Covariance, Increment
from fedvalue.payment.economics.net_benefit import net_benefits
from fedvalue.server.reports.answers import answer
from fedvalue.server.reports.naming import Names
from fedvalue.server.reports.payment.by_mechanism import increment_of
from fedvalue.server.reports.payment.decided import amount, decided
from fedvalue.server.reports.wording import Voice, phrase
from tests.unit.server.reports import samples
from tests.unit.server.reports.sample_decisions import decision as sample

D = Decimal


def criterion(**changes: Any) -> CriterionFinding:
    return CriterionFinding(
        **{
            "of": "net_benefit", "unit": "CNY per patient", "direction": "at_least", "threshold": D("0.00"),
            "estimate": 40_633.3, "lower": -1_573.0, "upper": 82_839.0, "probability": 0.970414,
            "sampling_variance": 4.0e8,
            "privacy_variance": 6.37e7, "privacy_share": 0.137,
            "guard_band": 27_597.0,
        } | changes
    )  # fmt: skip


def of(mechanism: str, **changes: Any) -> Decision:
    told = sample(samples.package("met"), "met")
    return told.model_copy(
        update={
            "mechanism": mechanism, "finding": None, "reference": None, "criteria": (criterion(),),
            "joint_probability": 0.970414, "outcome": "met", **changes,
        }
    )  # fmt: skip


BOTH = Increment(80_000, 0.45, Covariance.from_sd(9_000, 0.08, 0.2), Covariance.from_sd(2_000, 0.01, -0.1))


def value_results() -> tuple[Result, ...]:
    cost = Result(
        name="incremental cost", unit="CNY per patient", value=80_000, lower=1, upper=2,
        sampling_variance=BOTH.sampling.cost, privacy_variance=BOTH.privacy.cost,
    )  # fmt: skip
    effect = Result(
        name="incremental effect", unit="QALY", value=0.45, lower=0, upper=1,
        sampling_variance=BOTH.sampling.effect, privacy_variance=BOTH.privacy.effect,
    )  # fmt: skip
    rows = [
        cost,
        effect,
        Result(name="ICER", unit="CNY per QALY", value=None, text="177,777.78 (more, dearer)"),
    ]
    rows += [
        Result(
            name=f"INB at {found.k:,.0f}", unit="CNY per patient", value=found.mean, lower=0, upper=1,
            sampling_variance=found.sampling_variance, privacy_variance=found.privacy_variance,
        )
        for found in net_benefits(BOTH, [89_358, 268_074])
    ]  # fmt: skip
    return tuple(rows)


def titles(found: Any) -> list[str]:
    return [
        "".join(node.itertext())
        for figure in found.figures
        for node in ET.fromstring(str(figure.drawings[0])).iter("{http://www.w3.org/2000/svg}title")
    ]


def test_a_decision_on_one_share_is_left_to_the_other_page(english: Voice) -> None:
    assert decided(sample(samples.package("met"), "met"), english, "d") is None


def test_the_answer_names_every_bar_and_the_joint_probability(english: Voice) -> None:
    both = (criterion(), criterion(of="control", unit="probability", threshold=D("0.60"), estimate=0.65))
    found = decided(of("capitation", criteria=both), english, "d")
    assert found is not None
    told = phrase(found.sentence)
    assert (
        "incremental net benefit is at least CNY 0 per patient and share under control is at least 60.0%"
        in told.en
    )
    assert "97.0%" in told.en
    assert "met from 90% on" in told.en
    assert "增量净获益" in told.zh
    assert titles(found) == [
        "Probability that every criterion is met", "Criteria",
        "What is believed of incremental net benefit", "What is believed of share under control",
    ]  # fmt: skip


def test_covariances_come_back_from_recorded_variances(english: Voice) -> None:
    found = increment_of(of("icer_gate", results=value_results()))
    assert found is not None
    both, asked, currency = found
    assert (asked, currency) == ((89_358.0, 268_074.0), "CNY")
    assert both.sampling.cross == pytest.approx(BOTH.sampling.cross)
    assert both.privacy.cross == pytest.approx(BOTH.privacy.cross)
    shown = decided(of("icer_gate", results=value_results()), english, "d")
    assert shown is not None
    assert titles(shown)[3:] == [
        "Which option is worth its price, by willingness to pay", "What it would be worth to know more",
        "Cost-effectiveness plane",
    ]  # fmt: skip
    captions = [phrase(table.caption).en for table in shown.tables]
    assert captions == ["What the mechanism computed", "What it says in words"]


def test_instalments_bring_their_ladder_and_expected_money(english: Voice) -> None:
    months = [
        Result(name=f"event-free at month {m}", unit="probability", value=s, lower=s - 0.1, upper=s + 0.1)
        for m, s in ((1, 0.95), (3, 0.88), (6, 0.80), (12, 0.70))
    ]
    net = Result(name="expected net payment", unit="USD per patient", value=285_811.25, lower=1.0, upper=2.0)
    even = InForce(amount=D("93250.00"), unit="USD per patient", starts=date(2026, 1, 1), source="x")
    found = decided(
        of(
            "instalments",
            results=(*months, net),
            standard_before={f"instalment_{i}": even for i in range(1, 5)},
            expected=(
                ExpectedMoney(
                    name="instalments", bearer="fund", payee="manufacturer", currency="USD", before=310_522.5,
                    after=310_522.5, sampling_variance=1.0, privacy_variance=0.0,
                ),
            ),
        ),
        english,
        "d",
    )  # fmt: skip
    assert found is not None
    assert "Instalments and what is expected to be paid" in titles(found)
    assert "USD 285,811" in phrase(found.figures[-1].caption).en
    assert phrase(found.tables[-1].rows[0][2]).en == "USD 310,522.50"


def test_weights_are_drawn_against_one(english: Voice) -> None:
    weights = tuple(
        Result(name=f"weight of {g}", unit="relative weight", value=w, lower=w - 0.02, upper=w + 0.02)
        for g, w in (("egfr", 1.05), ("rest", 0.84))
    )
    found = decided(of("drg_subgroups", results=weights), english, "d")
    assert found is not None
    assert titles(found)[-1] == "Weights of the sub-groups"


def test_a_weight_goes_from_the_one_in_force_over_the_computed_to_the_proposed_one(english: Voice) -> None:
    found = Result(name="weight of egfr", unit="relative weight", value=1.0512, lower=1.03, upper=1.07)
    force = InForce(amount=D("1.0000"), unit="relative weight", starts=date(2026, 1, 1), source="x")
    proposed = force.model_copy(update={"amount": D("1.0510")})
    made = of(
        "drg_subgroups",
        results=(found,),
        standard_before={"weight_egfr": force},
        standard_after={"weight_egfr": proposed},
    )
    shown = decided(made, english, "d")
    assert shown is not None
    assert titles(shown)[-1] == "How the weight of egfr came about"
    # 1.0512 - 1 = .0512 and 1.0510 - 1.0512 = -.0002
    told = [
        [cell if isinstance(cell, str) else cell.en for cell in row] for row in shown.figures[-1].table.rows
    ]
    assert told == [
        ["in force", "1.0000", "\u2013"],
        ["from costs and split", "1.0512", "+0.0512"],
        ["proposed", "1.0510", "\u22120.0002"],
    ]


def test_what_is_believed_of_a_quantity_tells_the_recorded_probability(english: Voice) -> None:
    odd = criterion(probability=0.8123)
    shown = decided(of("capitation", criteria=(odd,), joint_probability=0.8123), english, "d")
    assert shown is not None
    believed = phrase(shown.figures[2].caption).en
    assert "81.2%" in believed
    exact = criterion(sampling_variance=0.0, privacy_variance=0.0)
    bare = decided(of("capitation", criteria=(exact,)), english, "d")
    assert bare is not None
    assert len(bare.figures) == 2, "an exact figure is not believed, it is known"


def test_a_refused_subgroup_names_the_vehicles_and_a_brake_says_what_held(english: Voice) -> None:
    refused = Refused(
        reason="No field.", unidentified=("RET",), vehicles=(Vehicle(name="case_review", text="One by one."),)
    )
    found = decided(
        of(
            "drg_subgroups",
            criteria=(),
            joint_probability=None,
            refused=refused,
            outcome="insufficient_evidence",
        ),
        english,
        "d",
    )
    assert found is not None
    assert "identifies RET" in phrase(found.sentence).en
    assert found.figures == ()
    assert phrase(found.tables[-1].rows[0][0]).en == "individual case review"
    held = HeldBack(
        value="base", before=D(100), wanted=D(130), after=D(110), because=("credibility", "cap"), needed=0.9,
        weight=0.7,
    )  # fmt: skip
    braked = decided(of("risk_adjusted", held_back=(held,)), english, "d")
    assert braked is not None
    assert phrase(braked.tables[-1].rows[0][-1]).en == "credibility of the evidence, cap per period"


def test_without_an_estimate_the_page_says_so(english: Voice) -> None:
    found = decided(of("icer_gate", criteria=(), joint_probability=None), english, "d")
    assert found is not None
    assert "could not be estimated" in phrase(found.sentence).en


@pytest.mark.parametrize("language", ["en", "zh", "both"])
def test_the_whole_answer_is_made_in_every_language(language: Any) -> None:
    voice = Voice.of(language)
    found = answer(of("icer_gate", results=value_results()), None, Names(voice, samples.study()), "d")
    assert found.estimate is None
    assert found.decided is not None
    for figure in found.decided.figures:
        for drawn in figure.drawings:
            ET.fromstring(str(drawn))
    ids = re.findall(r'\bid="([^"]+)"', "".join("".join(f.drawings) for f in found.decided.figures))
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("value", "unit", "en"),
    [
        (0.651, "probability", "65.1%"), (1.05042, "relative weight", "1.0504"), (0.45, "QALY", "0.45 QALY"),
        (1234.5, "CNY", "CNY 1,234.50"), (1234.5, "CNY per patient", "CNY 1,234.50 per patient"),
        (-2.0, "ratio", "\u22122.0000"),
    ],
)  # fmt: skip
def test_amounts_carry_their_unit(english: Voice, value: float, unit: str, en: str) -> None:
    assert phrase(amount(value, unit, english)).en == en


def test_the_command_writes_the_report_of_evidence_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evidence, out = tmp_path / "evidence.json", tmp_path / "report.html"
    documents.write(samples.package("met"), evidence)
    assert main(["report", "evidence", str(evidence), "--out", str(out), "--language", "zh"]) == 0
    assert "尚未依据本证据作出支付决定" in out.read_text(encoding="utf-8")
    assert main(["report", "evidence", str(tmp_path / "none.json"), "--out", str(out)]) != 0
    assert capsys.readouterr().err
