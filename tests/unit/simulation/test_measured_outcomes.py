"""One study of diabetes over three hospitals that measure in their own ways, and the planted shares come out.

A county hospital's filled-in template in Chinese, FHIR observations, and a laboratory's table in mmol/mol
with a sensor's export in mmol/L beside it. At each, 12 of 20 patients control their HbA1c, 10 of 20
discontinue within the year, and at the third 15 of 20 are in range for 70 % of the time.
"""

from __future__ import annotations

import json
import warnings
from datetime import date, timedelta
from pathlib import Path

import pytest

from fedvalue.analyses.estimate import Conclusion
from fedvalue.client.records.layouts import layout_text
from fedvalue.errors import UnsafeWarning
from fedvalue.simulation import SiteFolders, run
from tests.study_head import head

PEOPLE = range(20)
START = date(2025, 1, 10)
STUDY = """
[codes]
first = ["A10BA02", "6809"]
[cohort]
index = { first = "drug", codes = ["@first"] }
[endpoints]
controlled = { kind = "binary", source = "targets", targets = [
  { measurement = { code = "hba1c", within = "150d..210d", unit = "%" }, below = 7.0 },
] }
in_range = { kind = "binary", source = "targets", missing = "exclude", targets = [
  { sensor = { what = "in range", within = "30d..31d" }, at_least = 70 },
] }
[endpoints.treated]
kind = "time_to_event"
events = ["discontinuation"]
therapy = { codes = ["@first"], gap = "120 days" }
until = "365 days"
grid = "73 days"
[diagnostics]
share = 0
[[analyses]]
kind = "proportion"
endpoint = "controlled"
budget = 0.4
[[analyses]]
kind = "proportion"
endpoint = "in_range"
budget = 0.2
[[analyses]]
kind = "kaplan_meier"
endpoint = "treated"
at = ["365 days"]
budget = 0.4
"""


def day(after: int) -> str:
    return str(START + timedelta(days=after))


def drugs(person: int) -> list[str]:
    """Every second patient has one drug and stays away; the others go on every 90 days for 450."""
    return [day(0)] if person % 2 else [day(90 * nth) for nth in range(6)]


def percent(person: int) -> float:
    return 6.5 if person < 12 else 7.0


def county(folder: Path) -> str:
    people = "".join(f"P{n},女,60,{day(0)},{day(460)},\n" for n in PEOPLE)
    (folder / "patients.csv").write_text(
        f"患者编号,性别,年龄,起始日期,末次随访日期,死亡日期\n{people}", "utf-8-sig"
    )
    taken = "".join(f"P{n},{when},A10BA02,1\n" for n in PEOPLE for when in drugs(n))
    (folder / "drugs.csv").write_text(f"患者编号,开始日期,药品编码,治疗线数\n{taken}", "utf-8-sig")
    labs = "".join(f"P{n},{day(180)},糖化血红蛋白,{percent(n)},%\n" for n in PEOPLE)
    (folder / "measurements.csv").write_text(f"患者编号,测量时间,项目,结果,单位\n{labs}", "utf-8-sig")
    return layout_text("county-zh")


def fhir(folder: Path) -> str:
    def write(name: str, resources: list[dict[str, object]]) -> None:
        lines = [json.dumps({"resourceType": name, **one}) for one in resources]
        (folder / f"{name}.ndjson").write_text("\n".join(lines), encoding="utf-8")

    def of(person: int) -> dict[str, object]:
        return {"subject": {"reference": f"Patient/P{person}"}}

    def coded(code: str) -> dict[str, object]:
        return {"coding": [{"code": code}]}

    write("Patient", [{"id": f"P{n}", "gender": "female"} for n in PEOPLE])
    write("Condition", [{**of(n), "code": coded("E11.9"), "recordedDate": day(0)} for n in PEOPLE])
    write("Procedure", [{**of(n), "code": coded("x"), "performedDateTime": day(0)} for n in PEOPLE])
    write("Encounter", [{**of(n), "period": {"start": day(460), "end": day(460)}} for n in PEOPLE])
    write(
        "MedicationRequest",
        [
            {**of(n), "medicationCodeableConcept": coded("6809"), "authoredOn": at}
            for n in PEOPLE
            for at in drugs(n)
        ],
    )
    write(
        "Observation",
        [
            {
                **of(n), "code": coded("4548-4"), "effectiveDateTime": f"{day(180)}T09:00:00+08:00",
                "valueQuantity": {"value": percent(n), "code": "%"},
            }
            for n in PEOPLE
        ],
    )  # fmt: skip
    return layout_text("fhir-r4")


def laboratory(folder: Path) -> str:
    (folder / "people.csv").write_text("id,seen\n" + "".join(f"P{n},{day(460)}\n" for n in PEOPLE))
    (folder / "pharmacy.csv").write_text(
        "id,day,atc\n" + "".join(f"P{n},{when},A10BA02\n" for n in PEOPLE for when in drugs(n))
    )
    # 6.5 % is 48 mmol/mol, 7.0 % is 53
    ifcc = {6.5: 48, 7.0: 53}
    (folder / "lab.csv").write_text(
        "id,day,value\n" + "".join(f"P{n},{day(180)},{ifcc[percent(n)]}\n" for n in PEOPLE)
    )
    rows = []
    for n in PEOPLE:
        for slot in range(192):
            # 15 patients are in range for 144 of 192 quarters, 75 %; the others for 48
            value = 9.9 if slot % 4 < (3 if n < 15 else 1) else 10.1
            at = f"{day(30 + slot // 96)} {slot % 96 // 4:02}:{slot % 4 * 15:02}"
            rows.append(f"P{n},{at},{value}\n")
    (folder / "glucose.csv").write_text("patient_id,time,glucose\n" + "".join(rows))
    own = """mapping = 1
[files.people]
path = "people.csv"
[files.pharmacy]
path = "pharmacy.csv"
[files.lab]
path = "lab.csv"
[files.deaths]
path = "deaths.csv"
optional = true
[patient]
file = "people"
patient_id = "id"
[[follow_up]]
file = "people"
patient_id = "id"
day = { date = "seen" }
[[event]]
file = "deaths"
patient_id = "id"
day = { date = "day" }
kind = { constant = "death" }
[[drug]]
file = "pharmacy"
patient_id = "id"
day = { date = "day" }
code = "atc"
[[measurement]]
file = "lab"
patient_id = "id"
day = { date = "day" }
code = { constant = "hba1c" }
value = "value"
unit = { constant = "mmol/mol" }
"""
    return own + layout_text("cgm-table", unit="mmol/L").partition("# The device.\n")[2]


@pytest.fixture(scope="module")
def conclusions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Conclusion]:
    hospitals = tmp_path_factory.mktemp("hospitals")
    for name, write in (("county", county), ("fhir", fhir), ("laboratory", laboratory)):
        folder = hospitals / name
        folder.mkdir()
        (folder / "map.toml").write_text(write(folder), encoding="utf-8")
    study = hospitals.parent / "measured.toml"
    study.write_text(head("measured").partition("[cohort]")[0] + STUDY, encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnsafeWarning)
        found = run(
            study, SiteFolders(hospitals), out=tmp_path_factory.mktemp("out") / "run", unsafe_no_noise=True,
            day=date(2026, 6, 1),
        )  # fmt: skip
    return {one.endpoint: one for one in found.evidence.conclusions}


def test_the_planted_shares_come_out_of_three_ways_to_measure(conclusions: dict[str, Conclusion]) -> None:
    def value(endpoint: str, name: str) -> float:
        return conclusions[endpoint].stratum("all").estimates[name].value

    assert value("controlled", "proportion") == pytest.approx(36 / 60, abs=1e-9)
    # only the laboratory's hospital has sensors: nobody else is counted
    assert value("in_range", "proportion") == pytest.approx(15 / 20, abs=1e-9)
    assert value("treated", "survival at day 365") == pytest.approx(30 / 60, abs=1e-9)
