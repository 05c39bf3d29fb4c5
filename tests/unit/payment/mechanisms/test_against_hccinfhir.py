"""The coefficient engine against hccinfhir 0.4.0 (Apache-2.0), on random people and their diagnoses.

hccinfhir is part of the test extra; without it this file fails, it is not skipped. Diagnoses become
condition categories in the oracle (that is a grouper's work); demographics, hierarchies, interactions and
counts are ours. Both read the tables that the package carries; interactions are those of the CMS software.
"""

from __future__ import annotations

import csv
import importlib
import importlib.metadata
import warnings
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, Literal, cast

import numpy as np
import pytest

from fedvalue.payment.mechanisms.hcc import CoefficientModel, Interaction, score

PEOPLE = 150
Version = Literal["V24", "V28"]

SETS: dict[str, dict[str, str]] = {
    "V24": {
        "cancer": "8 9 10 11 12", "diabetes": "17 18 19", "card_resp": "82 83 84", "copd": "110 111 112",
        "renal": "134 135 136 137 138", "substance": "54 55 56", "psychiatric": "57 58 59 60",
    },
    "V28": {
        "diabetes": "35 36 37 38", "card_resp": "211 212 213", "hf": "221 222 223 224 225 226",
        "lung": "276 277 278 279 280", "kidney": "326 327 328 329", "substance": "135 136 137 138 139",
        "psychiatric": "151 152 153 154 155",
    },
}  # fmt: skip
INTERACTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "V24": {
        "HCC47_gCancer": ("47", "cancer"), "DIABETES_CHF": ("diabetes", "85"), "CHF_gCopdCF": ("85", "copd"),
        "HCC85_gRenal_V24": ("85", "renal"), "gCopdCF_CARD_RESP_FAIL": ("copd", "card_resp"),
        "HCC85_HCC96": ("85", "96"), "gSubstanceUseDisorder_gPsych": ("substance", "psychiatric"),
    },
    "V28": {
        "DIABETES_HF_V28": ("diabetes", "hf"), "HF_CHR_LUNG_V28": ("hf", "lung"),
        "HF_KIDNEY_V28": ("hf", "kidney"), "CHR_LUNG_CARD_RESP_FAIL_V28": ("lung", "card_resp"),
        "HF_HCC238_V28": ("hf", "238"), "gSubUseDisorder_gPsych_V28": ("substance", "psychiatric"),
    },
}  # fmt: skip


def package() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it finds its data files through a deprecated function
        return importlib.import_module("hccinfhir")


def oracle(version: Version) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the same
        return package().HCCInFHIR(model_name=f"CMS-HCC Model {version}")


def rows(name: str) -> list[dict[str, str]]:
    text = files(package()).joinpath("data", name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


@cache
def model(version: Version) -> CoefficientModel:
    """The community, non-dual, aged table of 2026."""
    sets = {name: frozenset(members.split()) for name, members in SETS[version].items()}
    covered: dict[str, set[str]] = {}
    for row in rows("ra_hierarchies_2026.csv"):
        if (row["model_domain"], row["model_version"]) == ("CMS-HCC", version):
            covered.setdefault(row["cc_parent"], set()).add(row["cc_child"])
    coefficients = {
        row["coefficient"].removeprefix("CNA_"): Decimal(row["value"])
        for row in rows("ra_coefficients_2026.csv")
        if row["coefficient"].startswith("CNA_") and row["model_version"] == f"C{version[1:]}"
    }
    return CoefficientModel(
        name=version,
        coefficients=coefficients,
        hierarchies={parent: frozenset(children) for parent, children in covered.items()},
        interactions=tuple(
            Interaction(name, tuple(sets.get(part, frozenset({part})) for part in parts))
            for name, parts in INTERACTIONS[version].items()
            if name in coefficients  # the segment has no coefficient for substance use with psychiatric
        ),
        source="tables of hccinfhir 0.4.0",
        beside={"223": frozenset(["221", "222", "224", "225", "226"])} if version == "V28" else {},
    )


def test_the_oracle_is_the_version_that_was_looked_at() -> None:
    assert importlib.metadata.version("hccinfhir") == "0.4.0"


@pytest.mark.parametrize("version", ["V24", "V28"])
def test_random_people_score_as_in_hccinfhir(version: Version) -> None:
    rng = np.random.default_rng(28)
    mapped = {
        row["cc"]: row["diagnosis_code"]
        for row in rows("ra_dx_to_cc_2026.csv")
        if row["model_name"] == f"CMS-HCC Model {version}" and row["cc"] in model_categories(version)
    }
    theirs = oracle(version)
    met, labels = set(), set(model(version).coefficients)
    for _ in range(PEOPLE):
        # Every fifth person has very many conditions, so that counts of ten and more occur.
        conditions = int(rng.integers(0, 8) if rng.random() < 0.8 else rng.integers(10, 40))
        picked = rng.choice(sorted(mapped), size=conditions, replace=False).tolist()
        age, sex = int(rng.integers(65, 100)), cast('Literal["F", "M"]', str(rng.choice(["F", "M"])))
        expected = theirs.calculate_from_diagnosis(
            [mapped[cc] for cc in picked], age=age, sex=sex, dual_elgbl_cd="NA"
        )
        ours = score(model(version), age=age, sex=sex, categories=list(expected.cc_to_dx))
        assert set(ours.categories) == set(expected.hcc_list)
        assert float(ours.raw) == pytest.approx(expected.risk_score, abs=1e-9)
        met |= set(ours.parts)
    assert {"D10P", *INTERACTIONS[version]} & labels <= met, (
        "random people met every interaction and the last count"
    )
    assert len({label for label in met if label.startswith("HCC")}) > 0.8 * len(
        {label for label in labels if label.startswith("HCC") and label[3:].isdigit()}
    )


def model_categories(version: Version) -> set[str]:
    """Categories with a coefficient of their own."""
    return {
        label[3:] for label in model(version).coefficients if label.startswith("HCC") and label[3:].isdigit()
    }
