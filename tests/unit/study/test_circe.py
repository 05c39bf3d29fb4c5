"""Cohort definitions of ATLAS: what maps, worked by hand, and everything else refused by its name there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fedvalue.cli import main
from fedvalue.errors import StudyInvalid
from fedvalue.study.circe import cohort_of, to_toml
from fedvalue.study.vocabulary import Vocabulary


def concepts(number: int, *items: tuple[str, str, bool], **flags: bool) -> dict[str, Any]:
    return {
        "id": number,
        "name": f"set {number}",
        "expression": {
            "items": [
                {
                    "concept": {"CONCEPT_ID": 100 + at, "CONCEPT_CODE": code, "VOCABULARY_ID": vocabulary},
                    "includeDescendants": below, "isExcluded": False, "includeMapped": False, **flags,
                }
                for at, (code, vocabulary, below) in enumerate(items)
            ]
        },
    }  # fmt: skip


def rule(
    kind: str, codeset: int, start: object, end: object, occurrence: tuple[int, int] = (2, 1)
) -> dict[str, Any]:
    return {
        "Criteria": {kind: {"CodesetId": codeset}},
        "StartWindow": {
            "Start": {"Days": start, "Coeff": -1},
            "End": {"Days": end, "Coeff": -1},
            "UseEventEnd": False,
        },
        "Occurrence": {"Type": occurrence[0], "Count": occurrence[1]},
    }


def together(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"name": "rule", "expression": {"Type": "ALL", "CriteriaList": list(rules)}}


def definition(**changes: Any) -> dict[str, Any]:
    return {
        "ConceptSets": [
            concepts(0, ("L01EB", "ATC", True)),
            concepts(1, ("C34", "ICD10CM", True), ("D02.2", "ICD10CM", False)),
        ],
        "PrimaryCriteria": {
            "CriteriaList": [{"DrugExposure": {"CodesetId": 0, "First": True}}],
            "ObservationWindow": {"PriorDays": 365, "PostDays": 0},
            "PrimaryCriteriaLimit": {"Type": "First"},
        },
        "QualifiedLimit": {"Type": "First"},
        "InclusionRules": [
            together(rule("ConditionOccurrence", 1, 365, 0)),
            together(rule("DrugExposure", 0, None, 1, (0, 0))),
        ],
        "EndStrategy": None, "CensoringCriteria": [], "CensorWindow": {}, "cdmVersionRange": ">=5.0.0",
    } | changes  # fmt: skip


def test_a_definition_becomes_the_cohort_that_a_person_would_write() -> None:
    found = cohort_of(json.dumps(definition()))
    assert to_toml(found).splitlines()[:9] == [
        "[cohort]",
        'index = { first = "drug", codes = ["L01EB*"] }',
        'observable = "365 days"',
        "require = [",
        '  { condition = ["C34*", "D02.2"], within = "-365d..0d" },',
        "]",
        "exclude = [",
        '  { drug = ["L01EB*"], within = "-100000d..-1d" },',
        "]",
    ]


PRIMARY = definition()["PrimaryCriteria"]
ONE = definition()["InclusionRules"][0]["expression"]
UNMAPPED: dict[str, dict[str, Any]] = {
    "EndStrategy": definition(EndStrategy={"DateOffset": {"Offset": 30}}),
    "CensoringCriteria": definition(CensoringCriteria=[{"Death": {}}]),
    "CensorWindow": definition(CensorWindow={"StartDate": "2020-01-01"}),
    "PrimaryCriteriaLimit": definition(PrimaryCriteria=PRIMARY | {"PrimaryCriteriaLimit": {"Type": "All"}}),
    "PostDays": definition(PrimaryCriteria=PRIMARY | {"ObservationWindow": {"PostDays": 30}}),
    "PriorDays": definition(PrimaryCriteria=PRIMARY | {"CriteriaList": [{"DrugExposure": {"CodesetId": 0}}]}),
    "one entry event": definition(PrimaryCriteria=PRIMARY | {"CriteriaList": PRIMARY["CriteriaList"] * 2}),
    "DrugEra": definition(PrimaryCriteria=PRIMARY | {"CriteriaList": [{"DrugEra": {"CodesetId": 0}}]}),
    "Age of DrugExposure": definition(
        PrimaryCriteria=PRIMARY
        | {"CriteriaList": [{"DrugExposure": {"CodesetId": 0, "First": True, "Age": {"Value": 18}}}]}
    ),
    "without a concept set": definition(
        PrimaryCriteria=PRIMARY | {"CriteriaList": [{"DrugExposure": {"First": True}}]}
    ),
    "DemographicCriteriaList": definition(
        InclusionRules=[{"expression": ONE | {"DemographicCriteriaList": [{"Age": {}}]}}]
    ),
    "type ANY": definition(
        InclusionRules=[{"expression": ONE | {"Type": "ANY", "CriteriaList": ONE["CriteriaList"] * 2}}]
    ),
    "at least 2": definition(
        InclusionRules=[
            {"expression": ONE | {"CriteriaList": [rule("ConditionOccurrence", 1, 365, 0, (2, 2))]}}
        ]
    ),
    "UseEventEnd": definition(
        InclusionRules=[
            {
                "expression": ONE
                | {"CriteriaList": [ONE["CriteriaList"][0] | {"StartWindow": {"UseEventEnd": True}}]}
            }
        ]
    ),
    "RestrictVisit": definition(
        InclusionRules=[
            {"expression": ONE | {"CriteriaList": [ONE["CriteriaList"][0] | {"RestrictVisit": True}]}}
        ]
    ),
    "needs the vocabulary": definition(
        ConceptSets=[concepts(0, ("254637007", "SNOMED", True)), concepts(1, ("C34", "ICD10CM", False))]
    ),
    "includeMapped": definition(ConceptSets=[concepts(0, ("L01EB", "ATC", False), includeMapped=True)]),
    "it holds no code": definition(ConceptSets=[concepts(0, ("L01EB", "ATC", False), isExcluded=True)]),
}


@pytest.mark.parametrize("name", UNMAPPED)
def test_what_has_no_counterpart_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(StudyInvalid, match=name):
        cohort_of(json.dumps(UNMAPPED[name]))


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 100_000, '{"PrimaryCriteria": {}}'])
def test_what_is_no_definition_is_refused(text: str) -> None:
    with pytest.raises(StudyInvalid):
        cohort_of(text)


def test_an_excluded_code_is_taken_out_unless_a_wildcard_hides_it() -> None:
    listed = concepts(1, ("C34.1", "ICD10CM", False), ("C34.2", "ICD10CM", False))
    listed["expression"]["items"][1]["isExcluded"] = True
    found = cohort_of(json.dumps(definition(ConceptSets=[concepts(0, ("L01EB", "ATC", True)), listed])))
    assert found.require[0].codes == ("C34.1",)
    listed["expression"]["items"][0] |= {"includeDescendants": True}
    listed["expression"]["items"][0]["concept"]["CONCEPT_CODE"] = "C34"
    with pytest.raises(StudyInvalid, match="a wildcard has no exceptions"):
        cohort_of(json.dumps(definition(ConceptSets=[concepts(0, ("L01EB", "ATC", True)), listed])))


@pytest.mark.parametrize("mark", [",", "\t"])
def test_descendants_come_from_the_vocabulary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mark: str
) -> None:
    (tmp_path / "CONCEPT.csv").write_text(
        "concept_id,concept_name,concept_code\n100,above,254637007\n7,below,424132000\n".replace(",", mark),
        encoding="utf-8",
    )
    (tmp_path / "concept_ancestor.csv").write_text(
        "ancestor_concept_id,descendant_concept_id\n100,100\n100,7\n".replace(",", mark), encoding="utf-8"
    )
    given = tmp_path / "atlas.json"
    given.write_text(
        json.dumps(
            definition(
                ConceptSets=[
                    concepts(0, ("254637007", "SNOMED", True)),
                    concepts(1, ("C34", "ICD10CM", False)),
                ]
            )
        ),
        encoding="utf-8",
    )
    assert main(["study", "cohort", str(given), "--vocabulary", str(tmp_path)]) == 0
    assert 'codes = ["254637007", "424132000"]' in capsys.readouterr().out
    with pytest.raises(StudyInvalid, match="no concept 8"):
        Vocabulary(tmp_path).descendants(8)
    assert main(["study", "cohort", str(given)]) == 2
    assert "needs the vocabulary" in capsys.readouterr().err
