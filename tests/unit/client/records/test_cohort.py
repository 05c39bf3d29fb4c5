"""Who is in, and what is known of them: hand-worked selections and variables."""

from __future__ import annotations

import numpy as np
import pytest

from fedvalue.errors import SourceMissing, StudyInvalid
from tests.records_desk import Desk

EVERYBODY = '[cohort]\nindex = { first = "patient" }\n'
PEOPLE = '[patient]\nfile = "people"\npatient_id = "id"\n'
MORTALITY = """
[[event]]
file = "people"
patient_id = "id"
day = { day = "died" }
kind = { constant = "death" }
[[follow_up]]
file = "people"
patient_id = "id"
day = { day = "seen" }
"""
CODED = '[[{table}]]\nfile = "{file}"\npatient_id = "id"\nday = {{ day = "day" }}\ncode = "code"\n'
DRUGS = CODED.format(table="drug", file="drugs")
DIAGNOSES = CODED.format(table="condition", file="diagnoses")


def test_index_day_criteria_and_attrition(desk: Desk) -> None:
    desk.write(
        people="id,died,seen\n" + "".join(f"{name},,500\n" for name in "abcdefg") + "h,1,1\n",
        drugs="""
            id,day,code
            a,100,L01EB04
            a,50,L01EB02
            a,10,L01BA04
            b,100,L01EB04
            c,100,L01EB04
            d,100,L01EB04
            e,100,L01EB
            f,100,L01EA01
            g,100,l01eb04
        """,
        diagnoses="""
            id,day,code
            a,50,C34.1
            b,-266,C34
            c,101,C34.1
            d,100,C34.1
            d,99,C50.9
            e,-265,C34.1
        """,
    )
    desk.load(PEOPLE + MORTALITY + DRUGS + DIAGNOSES)
    frozen = desk.build(
        """
        [cohort]
        index = { first = "drug", codes = ["L01EB*"] }
        require = [{ condition = ["C34*"], within = "-365d..0d" }]
        exclude = [{ condition = ["C50.9", "C61*"], within = "-365d..-1d" }]
        """
    )
    # Index days: a 50 (the first L01EB), b, c, d, e 100 ("L01EB*" matches L01EB itself); f, g: other codes.
    # C34 within [index - 365, index]: a on 50; b on -266 is 366 days before, out; c is a day late; d on 100;
    # e on -265 is exactly 365 days before, in. C50.9 the day before excludes d.
    assert frozen.patient_ids.tolist() == ["a", "e"]
    assert [step.patients for step in frozen.steps] == [8, 5, 3, 2]
    assert frozen.steps[1].what == "with a drug L01EB*"
    assert frozen.data_cut == 500.0
    assert not frozen.calendar


def test_a_patient_whose_origin_is_not_known_has_no_day_zero(desk: Desk) -> None:
    desk.write(people="id,died,seen,start\na,,5,0\nb,,5,\n")
    desk.load(PEOPLE + 'origin = { day = "start" }\n' + MORTALITY)
    assert desk.build("").patient_ids.tolist() == ["a"]


def test_levels_and_numbers_of_people(desk: Desk) -> None:
    desk.write(
        people="""
            id,died,seen,sex,age,grade
            a,,5,female,50,1
            b,,5,MALE,17,2.5
            c,,5,,96,3
            d,,5,male,,x
        """
    )
    numbers = "".join(f'{name} = {{ column = "{name}", type = "number" }}\n' for name in ("age", "grade"))
    desk.load(PEOPLE + '[patient.attributes]\nsex = "sex"\n' + numbers + MORTALITY)
    cohort = desk.build(
        """
        [variables]
        sex = { person = "sex", levels = ["male", "female"] }
        age = { person = "age", clip = [18, 95], unit = "years" }
        grade = { person = "grade", levels = ["1", "2.5"] }
        text_as_number = { person = "sex", clip = [0, 1], unit = "none" }
        """
    ).cohort
    # MALE is not a level of the study, and neither is an empty cell: unknown.
    assert cohort.categories["sex"].tolist() == [1, -1, -1, 0]
    assert cohort.categories["grade"].tolist() == [0, 1, -1, -1]
    np.testing.assert_array_equal(cohort.numbers["age"], [50.0, 18.0, 95.0, np.nan])
    assert np.isnan(cohort.numbers["text_as_number"]).all()
    assert cohort.categories["sex"].dtype == np.int64
    assert cohort.numbers["age"].dtype == np.float64


def test_claims_are_summed_over_the_window_in_the_variables_currency(desk: Desk) -> None:
    desk.write(
        people="id,died,seen,start\n" + "".join(f"{name},,900,100\n" for name in "abcde"),
        bills="""
            id,day,paid,own,cur
            a,100,10.10,1,CNY
            a,465,20.20,2,CNY
            a,99,40,4,CNY
            a,466,80,8,CNY
            b,100,999999,0,CNY
            c,100,5,1,USD
            d,100,5,,CNY
        """,
    )
    desk.load(
        PEOPLE
        + 'origin = { day = "start" }\n'
        + MORTALITY
        + """
        [[claim]]
        file = "bills"
        patient_id = "id"
        day = { day = "day" }
        total_paid = "paid"
        patient_paid = "own"
        currency = "cur"
        """
    )
    cohort = desk.build(
        """
        [variables]
        cost = { claims = "total_paid", window = "0d..365d", clip = [0, 400000], unit = "CNY" }
        own = { claims = "patient_paid", window = "0d..365d", clip = [0, 400000], unit = "CNY" }
        """
    ).cohort
    # a: days 0 and 365 count, -1 and 366 do not: 10.10 + 20.20. b: clipped. c: other currency. e: none, 0.
    np.testing.assert_allclose(cohort.numbers["cost"], [30.30, 400000.0, np.nan, 5.0, 0.0])
    np.testing.assert_allclose(cohort.numbers["own"], [3.0, 0.0, np.nan, np.nan, 0.0])


GENES = """
[[variant]]
file = "calls"
patient_id = "id"
gene = "gene"
protein_change = "change"
effect = "effect"
[[test]]
file = "reports"
patient_id = "id"
day = { day = "day" }
genes = { column = "genes", separator = ";" }
"""


def test_mutated_wild_type_and_not_tested(desk: Desk) -> None:
    desk.write(
        people="id,died,seen\n" + "".join(f"{name},,5\n" for name in "abcdefghijk"),
        calls="""
            id,gene,change,effect
            a,EGFR,p.Leu858Arg,missense_variant
            b,EGFR,p.E746_A750del,In_Frame_Del
            c,EGFR,p.L747_A750delinsP,
            d,EGFR,p.T790M,Missense_Mutation
            e,EGFR,,
            f,EGFR,p.L858=,Silent
            g,KRAS,p.L858R,Missense_Mutation
            i,EGFR,p.D770_N771del,In_Frame_Del
            j,EGFR,,Fusion
            k,EGFR,ex19del,In_Frame_Del
        """,
        reports="id,day,genes\na,1,EGFR\nb,1,*\ng,1,egfr;KRAS\ni,1,KRAS\n",
    )
    desk.load(PEOPLE + MORTALITY + GENES)
    levels = 'levels = ["mutated", "wild type", "not tested"]'
    cohort = desk.build(
        f"""
        [variables]
        any = {{ variant = {{ gene = "EGFR" }}, {levels} }}
        point = {{ variant = {{ gene = "EGFR", classes = ["L858R"] }}, {levels} }}
        spelt = {{ variant = {{ gene = "EGFR", classes = ["p.Leu858Arg"] }}, {levels} }}
        deletion = {{ variant = {{ gene = "EGFR", classes = ["ex19del"] }}, {levels} }}
        fusion = {{ variant = {{ gene = "EGFR", classes = ["fusion"] }}, {levels} }}
        both = {{ variant = {{ gene = "EGFR", classes = ["p.L858R", "ex19del"] }}, {levels} }}
        """
    ).cohort.categories
    # 0 mutated, 1 wild type (looked at, nothing of that class), 2 not tested. e: only "mutated" is known.
    # g was tested and has no EGFR variant; h was never looked at; f is silent; i: codon 770 is exon 20.
    #                                    a  b  c  d   e  f  g  h  i  j  k
    assert cohort["any"].tolist() == [0, 0, 0, 0, 0, 1, 1, 2, 0, 0, 0]
    assert cohort["point"].tolist() == [0, 1, 1, 1, -1, 1, 1, 2, 1, 1, 1]
    assert cohort["spelt"].tolist() == cohort["point"].tolist()
    assert cohort["deletion"].tolist() == [1, 0, 0, 1, -1, 1, 1, 2, 1, 1, 0]
    assert cohort["fusion"].tolist() == [1, 1, 1, 1, -1, 1, 1, 2, 1, 0, 1]
    assert cohort["both"].tolist() == [0, 0, 0, 1, -1, 1, 1, 2, 1, 1, 0]


def test_what_the_site_cannot_fill_is_refused_before_approval(desk: Desk) -> None:
    desk.write(people="id,died,seen\na,,5\n")
    desk.load(PEOPLE + 'attributes = { sex = "id" }\n' + MORTALITY)
    levels = 'levels = ["mutated", "wild type", "not tested"]'
    refused = {
        '[cohort]\nindex = { first = "drug", codes = ["L01*"] }\n': "reads the table 'drug'",
        EVERYBODY + 'require = [{ procedure = ["X"], within = "0d..1d" }]\n': "'procedure'",
        '[variables]\nage = { person = "age", clip = [0, 1], unit = "years" }\n': "there are sex",
        '[variables]\nid = { person = "patient_id", levels = ["a"] }\n': "'patient_id'",
        '[variables.c]\nclaims = "total_paid"\nwindow = "0d..1d"\nclip = [0, 1]\nunit = "CNY"\n': "'claim'",
        f'[variables]\ne = {{ variant = {{ gene = "EGFR" }}, {levels} }}\n': "'test'",
    }
    for study, message in refused.items():
        with pytest.raises(SourceMissing, match=message):
            desk.build(study)


def test_a_class_of_variants_that_nobody_could_have_is_refused(desk: Desk) -> None:
    desk.write(
        people="id,died,seen\na,,5\n",
        calls="id,gene,change,effect\na,EGFR,p.L858R,\n",
        reports="id,day,genes\na,1,*\n",
    )
    desk.load(PEOPLE + MORTALITY + GENES)
    for gene, wanted in (("KRAS", "ex19del"), ("EGFR", "exon 20"), ("EGFR", "L858R; DROP")):
        with pytest.raises(StudyInvalid, match="no class of variants"):
            desk.build(
                f'[variables]\nv = {{ variant = {{ gene = "{gene}", classes = ["{wanted}"] }}, '
                'levels = ["mutated", "wild type", "not tested"] }\n'
            )
