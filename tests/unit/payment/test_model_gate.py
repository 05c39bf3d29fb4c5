"""A model pays only behind its gates; its coefficients average one, are shrunk, and justify their genes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from fedvalue.analyses.cohort import BinaryOutcome, Cohort
from fedvalue.analyses.estimate import Conclusion, Estimate, Released, Stratum
from fedvalue.analyses.evaluated_cells import HETEROGENEITY
from fedvalue.analyses.groups import Groups
from fedvalue.analyses.model_evaluation import EvaluationOfModel
from fedvalue.analyses.risk import Risk
from fedvalue.errors import EvidenceOfAnother, PaymentError
from fedvalue.payment import held, model_gate
from fedvalue.payment.deciding_criteria import answer
from fedvalue.payment.mechanisms.calibration_gate import Gate
from fedvalue.payment.model_gate import gate_of, terms_of
from fedvalue.payment.readings import Sources
from fedvalue.payment.risk_coefficients import risk_coefficients
from fedvalue.study.file import parse
from fedvalue.study.payments import Use
from tests.laws.suite import with_noise, without_noise
from tests.study_head import head
from tests.unit.payment.kinds.sources import BUDGET, DAY, changed, figures

CELLS = Groups(("severity",), (("high", "middle", "low"),))
SEX = Groups(("sex",), (("female", "male"),))
SITES = ("a", "b", "c", "d")


def evaluated(factor: float = 1.0, patients: int = 20_000, epsilon: float | None = None) -> Conclusion:
    """Evaluate a model whose outcomes are ``factor`` times as frequent as it says."""
    rng = np.random.default_rng(7)
    cell = rng.choice(3, patients, p=[0.2, 0.6, 0.2])
    risk = np.clip(np.array([0.45, 0.25, 0.12])[cell] + rng.uniform(-0.08, 0.08, patients), 0, 1)
    status = (rng.random(patients) < np.minimum(risk * factor, 1)).astype(np.int64)
    cohort = Cohort(
        patients, {"severity": cell, "sex": rng.integers(0, 2, patients)},
        {"risk": risk, "day": rng.uniform(20_000, 20_400, patients)}, {"stroke": BinaryOutcome(status)},
        site=rng.integers(0, 4, patients),
    )  # fmt: skip
    asked = EvaluationOfModel(
        Risk("risk"), "stroke", "exclude", tuple(i / 10 for i in range(1, 10)), (SEX,), ("day", 20_300.0),
        CELLS, by_site=True, sites=SITES,
    )  # fmt: skip
    return without_noise(asked, [cohort]) if epsilon is None else with_noise(asked, cohort, epsilon, rng)


def judged(conclusion: Conclusion) -> Gate:
    return gate_of(conclusion, "ev-" + "0" * 32, terms_of())


def test_a_calibrated_model_meets_its_gates_and_one_that_is_a_fifth_off_does_not() -> None:
    good, bad = judged(evaluated()), judged(evaluated(1.2))
    assert good.outcome == "met"
    assert {each.name for each in good.judged} == {"slope", "all", "last quarter", "sex=female", "sex=male"}
    assert good.heterogeneity is not None
    assert good.discrimination is not None
    assert bad.outcome == "not_met"
    assert {each.name for each in bad.judged if each.verdict == "not_met"} >= {"all", "last quarter"}


def test_noise_makes_a_good_model_undecided_and_never_met() -> None:
    # 1,500 patients at epsilon .3: the slope alone has an interval wider than the gate
    assert judged(evaluated(patients=1500, epsilon=0.3)).outcome == "insufficient_evidence"


def test_the_chance_that_noise_lets_a_bad_model_pass_is_what_the_rule_says() -> None:
    # O / E of 1.1 lies on the bar: P(inside) >= .9 must not happen in more than a tenth of the draws;
    # 60 draws, 13 or more at a rate of .1 has a chance of 1 in 200
    rng, terms = np.random.default_rng(11), terms_of()
    conclusion, passed = evaluated(), 0
    whole = conclusion.stratum("all")
    for _ in range(60):
        sampling, privacy = 0.0004, 0.0009
        value = 1.1 + rng.normal(0, (sampling + privacy) ** 0.5)
        over = Estimate(
            value=value, unit="ratio", lower=None, upper=None, sampling_variance=sampling,
            privacy_variance=privacy,
        )  # fmt: skip
        changed_ = whole.model_copy(update={"estimates": {**whole.estimates, model_gate.OVER: over}})
        found = gate_of(
            conclusion.model_copy(update={"strata": (changed_, *conclusion.strata[1:])}), "e", terms
        )
        passed += next(each for each in found.judged if each.name == "all").verdict == "met"
    assert passed < 13


def without(conclusion: Conclusion, stratum: str, estimate: str) -> Conclusion:
    strata = tuple(
        s.model_copy(update={"estimates": {k: v for k, v in s.estimates.items() if k != estimate}})
        if s.name == stratum
        else s
        for s in conclusion.strata
    )
    return conclusion.model_copy(update={"strata": strata})


def test_what_is_not_reported_keeps_the_gate_shut() -> None:
    good = evaluated()
    no_sites = judged(without(good, "all", HETEROGENEITY))
    assert (no_sites.outcome, no_sites.missing) == ("insufficient_evidence", ("heterogeneity between sites",))
    late = good.model_copy(update={"strata": tuple(s for s in good.strata if s.name != "last quarter")})
    assert judged(late).missing == ("the last quarter",)
    assert judged(without(good, "all", "calibration slope")).outcome == "insufficient_evidence"


def test_a_group_that_was_not_assessed_is_named_and_not_judged() -> None:
    good = evaluated()
    small = Stratum(name="sex=male", status="below_minimum", reason="sampling")
    found = judged(
        good.model_copy(update={"strata": tuple(small if s.name == "sex=male" else s for s in good.strata)})
    )
    assert found.small == ("sex=male",)
    assert "sex=male" not in {each.name for each in found.judged}


# ---- coefficients ----------------------------------------------------------------------------------------


def cells(raw: Mapping[str, float], people: Mapping[str, int], sampling: float, privacy: float) -> Conclusion:
    strata = tuple(
        Stratum(
            name=f"severity={cell}", status="estimated",
            released={"patients": Released(value=people[cell], noise_variance=4.0)},
            estimates={
                "relative prediction": Estimate(
                    value=value, unit="ratio", lower=None, upper=None, sampling_variance=sampling,
                    privacy_variance=privacy,
                )
            },
        )
        for cell, value in raw.items()
    )  # fmt: skip
    return Conclusion(
        label="model_evaluation:stroke:risk", kind="model_evaluation", endpoint="stroke", by=(), strata=strata
    )


MET = Gate("met", (), (), (), None, None)
RAW, PEOPLE = {"high": 1.2, "middle": 1.0, "low": 0.9}, {"high": 200, "middle": 600, "low": 200}


def test_the_documents_example_is_normalised_to_a_mean_of_one() -> None:
    # payment.md 2.8: 200 / 600 / 200 with 1.2 / 1.0 / .9 average 1.02 -> 1.176471 / .980392 / .882353
    found = risk_coefficients(cells(RAW, PEOPLE, 1e-12, 0.0), MET, between_sd=0.2)
    values = [float(each.value) for each in found.cells]
    assert values == pytest.approx([1.176471, 0.980392, 0.882353], abs=1e-6)
    assert sum(each.people * each.value for each in found.cells) == Fraction(1000)


def test_noise_shrinks_every_coefficient_towards_one() -> None:
    # tau .1, V_s + V_dp = .01 + .02: Z = .01 / .04 = 1/4: 1.05, 1, .975 -> mean 1.005
    found = risk_coefficients(cells(RAW, PEOPLE, 0.01, 0.02), MET, between_sd=0.1)
    assert [each.credibility for each in found.cells] == pytest.approx([0.25] * 3)
    assert [float(each.value) for each in found.cells] == pytest.approx(
        [1.05 / 1.005, 1 / 1.005, 0.975 / 1.005], abs=1e-9
    )


def test_a_coefficient_past_the_clamp_is_brought_back_and_said() -> None:
    found = risk_coefficients(
        cells({"high": 2.6, "middle": 1.0, "low": 0.2}, PEOPLE, 1e-12, 0.0), MET, between_sd=1.0
    )
    assert [each.clamped for each in found.cells] == [True, False, True]
    assert sum(each.people * each.value for each in found.cells) == 1000


def test_what_only_noise_tells_apart_is_not_paid_for() -> None:
    with pytest.raises(PaymentError, match="do not differ by more than their errors"):
        risk_coefficients(cells(RAW, PEOPLE, 0.01, 0.09), MET)
    found = risk_coefficients(cells(RAW, PEOPLE, 1e-6, 1e-6), MET)
    # three values 1.2, 1.0, .9 have the standard deviation .153
    assert found.estimated
    assert found.between_sd == pytest.approx(0.1528, abs=1e-3)


def test_coefficients_are_refused_behind_a_shut_gate_for_unjustified_genes_and_for_a_lost_cell() -> None:
    given = cells(RAW, PEOPLE, 1e-6, 0.0)
    with pytest.raises(PaymentError, match="gates are not met"):
        risk_coefficients(given, replace_outcome("not_met"), between_sd=0.2)
    with pytest.raises(PaymentError, match="rest on genes"):
        risk_coefficients(given, MET, between_sd=0.2, genomic=("tp53",))
    risk_coefficients(given, MET, between_sd=0.2, genomic=("tp53",), justification="adverse events x3")
    lost = Stratum(name="severity=very high", status="below_minimum", reason="sampling")
    with pytest.raises(PaymentError, match="nobody is left out"):
        risk_coefficients(given.model_copy(update={"strata": (*given.strata, lost)}), MET, between_sd=0.2)
    with pytest.raises(PaymentError, match="other cells"):
        risk_coefficients(given, MET, between_sd=0.2, people={"severity=high": 1})


def replace_outcome(outcome: str) -> Gate:
    return replace(MET, outcome=outcome)  # type: ignore[arg-type]  # one of the three words


# ---- standards -------------------------------------------------------------------------------------------

STANDARD = "liver/risk_adjusted"
LABELS = {"high": "高风险相对费用", "middle": "中风险相对费用", "low": "低风险相对费用"}


def edit(cell: str, kind: str) -> tuple[str, str]:
    """Read a cell's coefficient from a model instead of from a mean."""
    head = f'zh: "{LABELS[cell]}"}}\n    statistic: estimate\n    unit: ratio\n    analysis: '
    after = f'{kind}\n    stratum: "severity={cell}"\n    estimate: relative prediction'
    return head + "mean\n    estimate: mean", head + after


USES = {f"raw_{cell}": Use("stroke", {}, "stroke") for cell in RAW}


def asked(conclusion: Conclusion) -> Sources:
    statement = figures(STANDARD, **{f"people_{c}": (str(n), "patients") for c, n in PEOPLE.items()})
    return Sources(
        (conclusion,), USES, "ev-" + "0" * 32, 8, held.parse(statement.encode(), where="held.yaml")
    )


def test_a_standard_reads_a_model_only_behind_gates_that_are_met() -> None:
    file = changed(STANDARD, *(edit(cell, "model_evaluation") for cell in RAW))
    good = answer(file, asked(evaluated()), DAY, budget=BUDGET, minimum=20)
    assert good.outcome == "met"
    assert good.after is not None
    paid = [float(good.after[f"coefficient_{cell}"].amount) for cell in RAW]
    assert paid[0] > 1.3
    assert sum(n * c for n, c in zip(PEOPLE.values(), paid, strict=True)) == pytest.approx(1000, abs=1e-3)
    bad = answer(file, asked(evaluated(1.2)), DAY, budget=BUDGET, minimum=20)
    assert bad.outcome == "insufficient_evidence"
    assert bad.after is None
    assert bad.insufficient is not None
    assert bad.insufficient.text.startswith("Predictions do not come true, so the model feeds no standard")


def test_a_standard_that_reads_a_models_training_is_refused() -> None:
    conclusion = evaluated().model_copy(update={"kind": "training"})
    file = changed(STANDARD, *(edit(cell, "training") for cell in RAW))
    with pytest.raises(EvidenceOfAnother, match="training"):
        answer(file, asked(conclusion), DAY, budget=BUDGET, minimum=20)


STUDY = (
    head("risk", title="Risk", epsilon=2.0, cap=100000, released=50)
    + """
[variables]
tp53 = { variant = { gene = "TP53" }, levels = ["mutated", "wild type", "not tested"] }
severity = { person = "severity", levels = ["high", "middle", "low"] }
risk = { person = "risk", clip = [0, 1], unit = "probability" }
[endpoints]
stroke = { kind = "binary", source = "person", column = "stroke" }
[[analyses]]
kind = "model_evaluation"
outcome = "stroke"
score = "risk"
cells = ["CELLS"]
budget = 1.0
"""
)


def genes(cells: str, *edits: tuple[str, str], strata: tuple[str, ...] = ("high", "middle", "low")) -> None:
    """Ask whether a standard over these cells says enough about genes."""
    estimates = cells_of(cells, strata)
    file = changed(STANDARD, *(edit(cell, "model_evaluation") for cell in RAW), *edits)
    study = parse(STUDY.replace("CELLS", cells).encode(), where="study")
    model_gate.require_genes_justified(file.standard, study, USES, (estimates,))


def cells_of(variable: str, levels: tuple[str, ...]) -> Conclusion:
    found = cells(dict.fromkeys(levels, 1.0), dict.fromkeys(levels, 100), 1e-4, 0.0)
    renamed = tuple(
        s.model_copy(update={"name": s.name.replace("severity=", f"{variable}=")}) for s in found.strata
    )
    return found.model_copy(update={"strata": renamed})


TP53 = ("mutated", "wild type", "not tested")
BY_GENE = tuple(
    (f'stratum: "severity={old}"', f'stratum: "tp53={new}"') for old, new in zip(RAW, TP53, strict=True)
)
WHY = (
    "decision_rule: D1",
    "contract:\n  genomic_justification: TP53 triples adverse events\ndecision_rule: D1",
)


def test_a_standard_that_rests_on_genes_says_why_and_leaves_no_cell_out() -> None:
    genes("severity")  # no genes, nothing to justify
    with pytest.raises(PaymentError, match="rest on genes"):
        genes("tp53", *BY_GENE, strata=TP53)
    genes("tp53", *BY_GENE, WHY, strata=TP53)
    with pytest.raises(PaymentError, match="genes never exclude"):
        genes("tp53", *BY_GENE, WHY, strata=(*TP53, "failed sample"))
