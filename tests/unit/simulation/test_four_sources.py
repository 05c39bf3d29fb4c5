"""One study over four hospitals that keep their records in four ways, and the planted answer comes out.

OMOP CSV files with notes, FHIR resources with observations, Medicare claims with a VCF, Chinese settlement
lists with a MAF. In every hospital 48 of 60 patients with an EGFR mutation and 24 of 60 without one are alive
after a year; the drug, the deaths and the mutations each stand where that source has them.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from fedvalue.analyses.estimate import Stratum
from fedvalue.client.records.layouts import layout_text
from fedvalue.errors import UnsafeWarning
from fedvalue.simulation import SiteFolders, run
from fedvalue.synthetic.genome import CATALOGUE, write_maf, write_vcf

HALF = 60
STUDY = """
[study]
id = "four-sources"
title = { en = "Four sources" }
question = { en = "Do patients with a mutation live longer?" }
principal_investigator = "Dr. Example"
valid = { from = 2026-01-01, until = 2026-12-31 }
[privacy]
unit = "patient"
epsilon = 2.0
delta = 1e-6
patient_cap = 100000
max_sites_per_patient = { value = 1, basis = "declared disjoint" }
[federation]
min_sites = 4
colluding_sites = 1
tolerated_dropouts = 0
min_released_patients = 10
[governance]
profile = "none"
[cohort]
index = { first = "drug", codes = ["L01EB*", "XL01EB*", "50242006401", "1430438"] }
[variables]
egfr = { variant = { gene = "EGFR" }, levels = ["mutated", "wild type", "not tested"] }
[endpoints]
os = { kind = "time_to_event", events = ["death"], entry = "origin", until = "365 days", grid = "73 days" }
[diagnostics]
share = 0
[[analyses]]
kind = "kaplan_meier"
endpoint = "os"
by = ["egfr"]
at = ["365 days"]
budget = 1.0
"""


@dataclass(frozen=True, slots=True)
class Person:
    """A made-up patient: the drug's day, whether EGFR is mutated, the day of death, the last day seen."""

    name: str
    start: date
    mutated: bool
    died: date | None
    seen: date


def people(prefix: str) -> list[Person]:
    found = []
    for at in range(2 * HALF):
        mutated = at < HALF
        start = date(2023, 1, 10) + timedelta(days=at)
        dies = at % 10 < (2 if mutated else 6)
        died = start + timedelta(days=100 + at) if dies else None
        found.append(Person(f"{prefix}{at:03}", start, mutated, died, died or start + timedelta(days=500)))
    return found


def rows(folder: Path, name: str, head: str, lines: list[str]) -> None:
    (folder / name).write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")


def omop(folder: Path) -> str:
    everybody = people("1")
    rows(
        folder,
        "person.csv",
        "person_id,gender_concept_id,year_of_birth",
        [f"{p.name},8507,1960" for p in everybody],
    )
    rows(
        folder,
        "drug_exposure.csv",
        "person_id,drug_exposure_start_date,drug_concept_id",
        [f"{p.name},{p.start},5" for p in everybody],
    )
    rows(
        folder,
        "condition_occurrence.csv",
        "person_id,condition_start_date,condition_concept_id",
        [f"{p.name},{p.start},6" for p in everybody],
    )
    rows(
        folder,
        "procedure_occurrence.csv",
        "person_id,procedure_date,procedure_concept_id",
        [f"{p.name},{p.start},7" for p in everybody],
    )
    rows(folder, "death.csv", "person_id,death_date", [f"{p.name},{p.died}" for p in everybody if p.died])
    rows(
        folder,
        "observation_period.csv",
        "person_id,observation_period_start_date,observation_period_end_date",
        [f"{p.name},2020-01-01,{p.seen}" for p in everybody],
    )
    rows(
        folder,
        "concept.csv",
        "concept_id,concept_code,vocabulary_id",
        ["5,L01EB04,ATC", "6,C34.1,ICD10", "7,32.4,ICD9Proc"],
    )
    rows(
        folder,
        "note.csv",
        "person_id,note_date,note_text",
        [f"{p.name},{p.start},{'EGFR L858R' if p.mutated else 'EGFR wild type'}" for p in everybody],
    )
    return layout_text("omop-csv") + (
        '[files.note]\npath = "note.csv"\n[[molecular_report]]\nfile = "note"\npatient_id = "person_id"\n'
        'text = "note_text"\nday = { date = "note_date" }\ngenes = ["EGFR"]\n'
    )  # fmt: skip


def fhir(folder: Path) -> str:
    def resources(kind: str, listed: Sequence[Mapping[str, object]]) -> None:
        text = "\n".join(json.dumps({"resourceType": kind, **one}) for one in listed)
        (folder / f"{kind}.ndjson").write_text(text + "\n", encoding="utf-8")

    everybody = people("f")
    of = {p.name: {"subject": {"reference": f"Patient/{p.name}"}} for p in everybody}
    dead = {p.name: {"deceasedDateTime": f"{p.died}T08:00:00+08:00"} if p.died else {} for p in everybody}
    resources(
        "Patient",
        [{"id": p.name, "gender": "male", "birthDate": "1960-01-01"} | dead[p.name] for p in everybody],
    )
    resources(
        "Condition",
        [
            of[p.name] | {"code": {"coding": [{"code": "C34.1"}]}, "recordedDate": str(p.start)}
            for p in everybody
        ],
    )
    resources(
        "MedicationRequest",
        [
            of[p.name]
            | {"authoredOn": str(p.start), "medicationCodeableConcept": {"coding": [{"code": "1430438"}]}}
            for p in everybody
        ],
    )
    resources(
        "Procedure",
        [
            of[p.name] | {"code": {"coding": [{"code": "32.4"}]}, "performedDateTime": str(p.start)}
            for p in everybody
        ],
    )
    resources(
        "Encounter", [of[p.name] | {"period": {"start": str(p.start), "end": str(p.seen)}} for p in everybody]
    )
    resources(
        "Observation",
        [
            of[p.name]
            | {"effectiveDateTime": str(p.start), "valueString": "p.L858R" if p.mutated else "wild type"}
            for p in everybody
        ],
    )
    return layout_text("fhir-r4") + (
        '[files.reports]\npath = "Observation.ndjson"\nresource = "Observation"\n[[molecular_report]]\n'
        'file = "reports"\npatient_id = "subject.reference:id"\ntext = "valueString"\n'
        'day = { date = "effectiveDateTime:date" }\ngenes = ["EGFR"]\n'
    )  # fmt: skip


def carried(everybody: list[Person]) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    found = np.zeros((len(everybody), len(CATALOGUE)), dtype=np.bool_)
    found[:, 0] = [p.mutated for p in everybody]
    return found


def medicare(folder: Path) -> str:
    everybody = people("-9")
    head = "BENE_ID|BENE_SEX_IDENT_CD|AGE|BENE_BIRTH_DT|STATE_CODE|BENE_ENTLMT_RSN_CURR|DEATH_DT"
    rows(
        folder,
        "beneficiary_2023.csv",
        head,
        [
            f"{p.name}|1|70|17-Jan-1953|22|0|{p.died.strftime('%d-%b-%Y') if p.died else ''}"
            for p in everybody
        ],
    )
    fills = [(p, day) for p in everybody for day in {p.start, p.seen}]
    rows(
        folder,
        "pde.csv",
        "BENE_ID|PDE_ID|SRVC_DT|TOT_RX_CST_AMT|PTNT_PAY_AMT|PROD_SRVC_ID",
        [
            f"{p.name}|{number}|{day.strftime('%d-%b-%Y')}|1200.50|20.00|50242006401"
            for number, (p, day) in enumerate(fills)
        ],
    )
    write_vcf(folder / "panel.vcf", [p.name for p in everybody], carried(everybody), annotated=True)
    return layout_text("cms-rif") + (
        '[files.panel]\npath = "panel.vcf"\n[[variant]]\nfile = "panel"\ntested = "listed"\n'
        'genes = ["EGFR"]\n[[follow_up]]\nfile = "pde"\npatient_id = "BENE_ID"\n'
        'day = { date = "SRVC_DT", format = ["%d-%b-%Y"] }\n'
    )  # fmt: skip


def settlement(folder: Path) -> str:
    everybody = people("P")
    rows(
        folder, "persons.csv", "psn_no,gend,brdy,insutype", [f"{p.name},1,1960-01-01,310" for p in everybody]
    )
    fees = [(p, day) for p in everybody for day in {p.start, p.seen}]
    rows(
        folder,
        "feedetail.csv",
        "psn_no,setl_id,feedetl_sn,fee_ocur_time,med_list_codg,cnt,det_item_fee_sumamt",
        [
            f"{p.name},S{number},1,{day} 08:00:00,XL01EBA012A001010100001,1,498.00"
            for number, (p, day) in enumerate(fees)
        ],
    )
    rows(folder, "deaths.csv", "psn_no,die_date", [f"{p.name},{p.died}" for p in everybody if p.died])
    write_maf(folder / "panel.maf", [p.name for p in everybody], carried(everybody))
    return layout_text("settlement-list") + (
        '[files.panel]\npath = "panel.maf"\n[[variant]]\nfile = "panel"\n'
        '[[test]]\nfile = "persons"\npatient_id = "psn_no"\ngenes = ["EGFR"]\n'
        '[[follow_up]]\nfile = "fees"\npatient_id = "psn_no"\nday = { date = "fee_ocur_time" }\n'
    )  # fmt: skip


@pytest.fixture(scope="module")
def strata(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Stratum]:
    hospitals = tmp_path_factory.mktemp("hospitals")
    for name, write in (("omop", omop), ("fhir", fhir), ("medicare", medicare), ("settlement", settlement)):
        folder = hospitals / name
        folder.mkdir()
        (folder / "map.toml").write_text(write(folder), encoding="utf-8")
    study = hospitals.parent / "four.toml"
    study.write_text(STUDY, encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnsafeWarning)
        found = run(
            study, SiteFolders(hospitals), out=tmp_path_factory.mktemp("out") / "run",
            unsafe_no_noise=True, day=date(2026, 6, 1),
        )  # fmt: skip
    (conclusion,) = found.evidence.conclusions
    return {stratum.name: stratum for stratum in conclusion.strata}


@pytest.mark.parametrize(("level", "alive"), [("egfr=mutated", 48 / 60), ("egfr=wild type", 24 / 60)])
def test_four_sources_give_the_planted_survival(strata: dict[str, Stratum], level: str, alive: float) -> None:
    found = strata[level]
    assert found.released["patients"].value == pytest.approx(4 * HALF)
    assert found.estimates["survival at day 365"].value == pytest.approx(alive, abs=1e-9)


def test_nobody_is_lost_or_untested_on_the_way(strata: dict[str, Stratum]) -> None:
    counted = {
        name: stratum.released["patients"].value for name, stratum in strata.items() if stratum.released
    }
    assert {name: n for name, n in counted.items() if n} == {
        "egfr=mutated": 240, "egfr=wild type": 240, "all": 480,
    }  # fmt: skip
