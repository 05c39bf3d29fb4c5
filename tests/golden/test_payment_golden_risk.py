"""Golden cases of risk: normalised coefficients, and the eighteen CMS-HCC scores."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fedvalue.payment.mechanisms.exact import decimal
from fedvalue.payment.mechanisms.hcc import CoefficientModel, Interaction, score
from fedvalue.payment.mechanisms.risk_adjustment import coefficients, payments

D = Decimal
FOLDER = Path(__file__).parent
CASES: dict[str, Any] = json.loads((FOLDER / "payment_mechanisms.json").read_text())["cases"]
HCC: dict[str, Any] = json.loads((FOLDER / "cms_hcc.json").read_text())


def test_risk_coefficients_are_normalised_and_pay_the_budget_to_the_fen() -> None:
    golden = CASES["risk_coef"]
    found = coefficients({c: D(str(r)) for c, r in golden["raw"].items()}, golden["n"])
    for cell, value in zip(found.groups, found.values, strict=True):
        assert float(value) == pytest.approx(golden["normalised"][cell], abs=1e-6)
        assert decimal(100_000 * value, 2) == D(str(golden["pay_normalised"][cell]))
    paid = payments(D(golden["base"]), found)
    assert sum(p.total for p in paid) == D(str(golden["total_normalised"]))
    for part in paid:
        assert part.each * (part.people - part.odd) + part.each_odd * part.odd == part.total
        assert D(str(golden["pay_normalised"][part.cell])) in (part.each, part.each_odd)


def model(version: str) -> CoefficientModel:
    shape = HCC["models"][version]
    return CoefficientModel(
        name=f"{version} community, non-dual, aged",
        coefficients={label: D(value) for label, value in HCC["coefficients"][version].items()},
        hierarchies={c: frozenset(covered) for c, covered in shape["hierarchies"].items()},
        interactions=tuple(
            Interaction(i["name"], tuple(frozenset(part) for part in i["sets"]))
            for i in shape["interactions"]
        ),
        source=HCC["source"],
    )


@pytest.mark.parametrize(
    "case", HCC["cases"], ids=lambda c: f"{c['model'][-3:]} {c['age']}{c['sex']} {'+'.join(c['dx'])}"
)
def test_the_engine_gives_the_score_and_the_parts_of_hccinfhir(case: dict[str, Any]) -> None:
    version = case["model"][-3:]
    found_categories = [HCC["categories"][version][code] for code in case["dx"]]
    found = score(
        model(version), age=case["age"], sex=case["sex"], categories=[c for c in found_categories if c]
    )
    assert sorted(found.categories) == case["hcc"]
    assert {label.removeprefix("HCC"): float(v) for label, v in found.parts.items()} == case["coefficients"]
    assert found.raw == D(str(case["risk_score"]))
