"""A hand-worked hospital, and every rule that leaves a row out, with the lines it must name."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from fedvalue.errors import SourceMissing, SourceUnreadable, TableEmpty
from tests.records_desk import Desk, reasons, table_of

PEOPLE = '[patient]\nfile = "people"\npatient_id = "id"\n'
DATED = 'patient_id = "id"\norigin = { date = "origin" }\n'


def test_a_hand_worked_hospital(desk: Desk) -> None:
    desk.write(
        people="""
            id,origin,sex,age,seen
            001,2024-01-01,1,61,2024-12-31
            002,2024-01-02,2,NA,2024-03-01
        """,
        drugs="""
            id,start,code,line
            001,2024-01-11,L01EB04,1
        """,
        bills="""
            id,bill,day,paid,own,cur,dx
            001,A1,2024-02-01,1234.50,200,CNY,C34.1;J91
            002,B1,2024-02-02,0,,CNY,C34.9
        """,
    )
    report = desk.load(
        """
        [patient]
        file = "people"
        patient_id = "id"
        origin = { date = "origin" }
        [patient.attributes]
        sex = { column = "sex", codes = { "1" = "male", "2" = "female" } }
        age = { column = "age", type = "number" }
        [[follow_up]]
        file = "people"
        patient_id = "id"
        day = { date = "seen" }
        [[drug]]
        file = "drugs"
        patient_id = "id"
        day = { date = "start" }
        code = "code"
        line = "line"
        [[claim]]
        file = "bills"
        patient_id = "id"
        claim_id = "bill"
        day = { date = "day" }
        total_paid = "paid"
        patient_paid = "own"
        currency = "cur"
        [[condition]]
        file = "bills"
        patient_id = "id"
        day = { date = "day" }
        code = { column = "dx", separator = ";" }
        """
    )
    # 2024-01-01 is day 54 x 365 + 13 leap days = 19,723 since 1970-01-01 (leap years 1972, 1976, ..., 2020).
    assert desk.rows("FROM patient ORDER BY patient_id") == [
        ("001", 19723.0, "male", 61.0),
        ("002", 19724.0, "female", None),
    ]
    # 2024-12-31 is 365 days after 2024-01-01 (a leap year); 2024-03-01 is 31 + 29 = 60 days after it.
    assert desk.rows("FROM follow_up ORDER BY patient_id") == [("001", 20088.0), ("002", 19783.0)]
    assert desk.rows("FROM drug") == [("001", 19733.0, "L01EB04", 1)]
    assert desk.rows(
        "SELECT patient_id, claim_id, day, total_paid, patient_paid, currency FROM claim ORDER BY ALL"
    ) == [
        ("001", "A1", 19754.0, Decimal("1234.50"), Decimal("200.00"), "CNY"),
        ("002", "B1", 19755.0, Decimal("0.00"), None, "CNY"),
    ]
    assert desk.rows("SELECT patient_id, code FROM condition ORDER BY ALL") == [
        ("001", "C34.1"), ("001", "J91"), ("002", "C34.9"),
    ]  # fmt: skip
    assert report.rows["condition"] == 3
    assert all(not table.left_out and not table.blanked for table in report.tables)


def test_patients_without_id_and_second_rows_of_a_patient_are_left_out(desk: Desk) -> None:
    desk.write(
        people="""
            id,sex,age
            a,1,50
            ,1,51
            a,2,52
            NA,2,53
            b,9,inf
            c,2,fifty
        """
    )
    report = desk.load(
        PEOPLE
        + """
        [patient.attributes]
        sex = { column = "sex", codes = { "1" = "male", "2" = "female" } }
        age = { column = "age", type = "number" }
        """
    )
    assert reasons(report, "patient") == {"missing id": (2, (3, 5)), "duplicate patient": (1, (4,))}
    # An attribute that breaks a rule costs the value, not the patient.
    blanked = {(item.reason, item.rows, item.lines) for item in table_of(report, "patient").blanked}
    assert blanked == {("unknown code", 1, (6,)), ("not a finite number", 2, (6, 7))}
    assert desk.rows("FROM patient ORDER BY patient_id") == [
        ("a", 0.0, "male", 50.0), ("b", 0.0, None, None), ("c", 0.0, "female", None),
    ]  # fmt: skip


def test_every_rule_of_dated_rows(desk: Desk) -> None:
    desk.write(
        people="id,origin\na,2024-01-10\nb,\n",
        events="""
            id,day,kind
            a,2024-02-01,died
            ,2024-02-01,died
            z,2024-02-01,died
            a,,died
            a,2024-02-30,died
            a,9999-12-31,died
            a,2024-01-09,progressed
            a,2024-02-01,
            a,2024-02-01,moved
            a,2024-02-01,contact
            a,2024-02-01,died
            b,1999-01-01,progressed
        """,
    )
    report = desk.load(
        PEOPLE.replace('patient_id = "id"\n', DATED)
        + """
        [[event]]
        file = "events"
        patient_id = "id"
        day = { date = "day" }
        kind = { column = "kind", codes = { died = "death", progressed = "progression", contact = "ignore" } }
        """
    )
    assert reasons(report, "event[0]") == {
        "missing id": (1, (3,)),
        "patient not in the patients table": (1, (4,)),
        "missing day": (1, (5,)),
        "unparseable date": (1, (6,)),
        "date out of range": (1, (7,)),
        "before origin": (1, (8,)),
        "missing code": (1, (9,)),
        "unknown code": (1, (10,)),
        "ignored": (1, (11,)),
        "duplicate row": (1, (12,)),
    }
    # b's origin is not known, so nothing can be said to lie before it.
    assert desk.rows("SELECT patient_id, kind FROM event ORDER BY ALL") == [
        ("a", "death"),
        ("b", "progression"),
    ]
    assert table_of(report, "event[0]").read == 12
    assert table_of(report, "event[0]").kept == 2
    assert [item.reason for item in table_of(report, "patient").blanked] == ["missing day"]


def test_every_rule_of_a_flat_survival_table(desk: Desk) -> None:
    desk.write(
        table="""
            id,time,dead
            a,12,1
            b,-1,1
            c,,0
            d,nan,0
            e,1e300,1
            f,soon,1
            g,3,2
            h,0,1.0
            i,100001,0
        """
    )
    report = desk.load(
        """
        [patient]
        file = "table"
        patient_id = "id"
        [[survival]]
        file = "table"
        patient_id = "id"
        time = { duration = "time" }
        event = { column = "dead", codes = { "0" = "censored", "1" = "death" } }
        """
    )
    assert reasons(report, "survival[0]") == {
        "negative time": (1, (3,)),
        "missing day": (2, (4, 5)),
        "number out of range": (2, (6, 10)),
        "not a finite number": (1, (7,)),
        "unknown code": (1, (8,)),
    }
    assert desk.rows("FROM event ORDER BY ALL") == [("a", 12.0, "death"), ("h", 0.0, "death")]
    assert desk.rows("FROM follow_up ORDER BY ALL") == [("a", 12.0), ("h", 0.0)]


def test_every_rule_of_claims(desk: Desk) -> None:
    desk.write(
        people="id\na\n",
        bills="""
            id,bill,day,paid,own,cur
            a,1,5,10.005,1,CNY
            a,1,6,99,1,CNY
            a,,7,99,1,CNY
            a,3,7,,1,CNY
            a,4,7,-0.01,1,CNY
            a,5,7,1e300,1,CNY
            a,6,7,"=1+1",1,CNY
            a,7,7,99,1,yuan
            a,8,7,99,1,
            a,9,7,99,-5,CNY
        """,
    )
    report = desk.load(
        PEOPLE
        + """
        [[claim]]
        file = "bills"
        patient_id = "id"
        claim_id = "bill"
        day = { day = "day" }
        total_paid = "paid"
        patient_paid = "own"
        currency = "cur"
        """
    )
    assert reasons(report, "claim[0]") == {
        "duplicate claim": (1, (3,)),
        "missing id": (1, (4,)),
        "missing amount": (1, (5,)),
        "negative amount": (1, (6,)),
        "number out of range": (1, (7,)),
        "not a finite number": (1, (8,)),
        "unknown currency": (2, (9, 10)),
    }
    assert [(item.reason, item.rows) for item in table_of(report, "claim[0]").blanked] == [
        ("negative amount", 1)
    ]
    assert desk.rows("SELECT claim_id, total_paid, patient_paid FROM claim ORDER BY ALL") == [
        ("1", Decimal("10.01"), Decimal("1.00")),
        ("9", Decimal("99.00"), None),
    ]


def test_without_claim_ids_equal_claims_all_count(desk: Desk) -> None:
    desk.write(people="id\na\n", bills="id,day,paid\na,1,5\na,1,5\n")
    desk.load(
        PEOPLE
        + """
        [[claim]]
        file = "bills"
        patient_id = "id"
        day = { day = "day" }
        total_paid = "paid"
        currency = { constant = "CNY" }
        """
    )
    assert desk.rows("SELECT count(*), sum(total_paid) FROM claim") == [(2, Decimal("10.00"))]


def test_units_and_formats_of_days(desk: Desk) -> None:
    desk.write(people="id,origin,last\na,01.03.2024,2\n")
    desk.load(
        """
        [patient]
        file = "people"
        patient_id = "id"
        origin = { date = "origin", format = ["%d.%m.%Y"] }
        [[follow_up]]
        file = "people"
        patient_id = "id"
        day = { duration = "last", unit = "months" }
        """
    )
    # 2024-03-01 is day 19,723 + 31 + 29 = 19,783; two months are 2 x 365.25 / 12 = 60.875 days.
    assert desk.rows("FROM follow_up") == [("a", 19843.875)]


def test_origins_are_zero_for_numbers_and_unknown_for_dates(desk: Desk) -> None:
    desk.write(people="id,d,n\na,2024-01-01,7\n")
    follow = '[[follow_up]]\nfile = "people"\npatient_id = "id"\n'
    desk.load(PEOPLE + follow + 'day = { day = "n" }\n')
    assert desk.rows("SELECT origin FROM patient") == [(0.0,)]
    desk.load(PEOPLE + follow + 'day = { date = "d" }\n')
    assert desk.rows("SELECT origin FROM patient") == [(None,)]


def test_wide_gene_columns_tell_mutated_wild_type_and_not_tested(desk: Desk) -> None:
    desk.write(
        people="""
            id,EGFR,ALK
            a,1,0
            b,0.0,
            c,,yes
            d,L858R,fus
        """
    )
    report = desk.load(
        PEOPLE
        + """
        [[panel]]
        file = "people"
        patient_id = "id"
        genes = { EGFR = "EGFR", ALK = "ALK" }
        codes = { "0" = "wild type", "1" = "mutated", L858R = "p.L858R", fus = "fusion" }
        """
    )
    assert desk.rows("SELECT patient_id, gene, protein_change, effect FROM variant ORDER BY ALL") == [
        ("a", "EGFR", "", "Unspecified"),
        ("d", "ALK", "", "Fusion"),
        ("d", "EGFR", "p.L858R", "Missense_Mutation"),
    ]
    assert desk.rows("SELECT patient_id, gene FROM test ORDER BY ALL") == [
        ("a", "ALK"), ("a", "EGFR"), ("b", "EGFR"), ("d", "ALK"), ("d", "EGFR"),
    ]  # fmt: skip
    assert reasons(report, "panel[0]") == {"unknown code": (1, (4,))}


def test_several_diagnosis_columns_and_empty_ones(desk: Desk) -> None:
    desk.write(people="id\na\n", visits="id,day,dx1,dx2\na,1,C34,J91\na,2,,\na,3,C34,\n")
    report = desk.load(
        PEOPLE
        + """
        [[condition]]
        file = "visits"
        patient_id = "id"
        day = { day = "day" }
        code = { columns = ["dx1", "dx2"] }
        """
    )
    assert desk.rows("SELECT day, code FROM condition ORDER BY ALL") == [
        (1.0, "C34"),
        (1.0, "J91"),
        (3.0, "C34"),
    ]
    assert reasons(report, "condition[0]") == {"missing code": (1, (3,))}


def test_a_hospital_without_ids_counts_rows(desk: Desk) -> None:
    desk.write(people="sex\nm\nf\n")
    desk.load(
        '[patient]\nfile = "people"\npatient_id = { row_number = true }\nattributes = { sex = "sex" }\n'
    )
    assert desk.rows("SELECT patient_id, sex FROM patient ORDER BY ALL") == [("2", "m"), ("3", "f")]


def test_several_files_of_one_shape_are_one_table(desk: Desk) -> None:
    (desk.folder / "people_1.csv").write_text("id\na\n,\n")
    (desk.folder / "people_2.csv").write_text("id\na\nb\n")
    report = desk.load('[files.people]\npath = "people_*.csv"\n' + PEOPLE)
    assert [file.file for file in report.files] == ["people_1.csv", "people_2.csv"]
    assert desk.rows("SELECT patient_id FROM patient ORDER BY ALL") == [("a",), ("b",)]
    assert [(item.reason, item.file, item.lines) for item in table_of(report, "patient").left_out] == [
        ("duplicate patient", "people_2.csv", (2,))
    ]


def test_the_report_names_lines_and_never_a_value(desk: Desk) -> None:
    desk.write(people="id,sex\nsecret-7,martian\n,2\nsecret-8,2\n")
    report = desk.load(
        PEOPLE + '[patient.attributes]\nsex = { column = "sex", codes = { "2" = "female" } }\n'
    )
    for text in (report.json_text(), report.plain_text()):
        assert "secret" not in text
        assert "martian" not in text
    assert "left out: 1 x missing id (people.csv, line 3)" in report.plain_text()
    assert "value now unknown: 1 x unknown code (people.csv, line 2)" in report.plain_text()
    assert json.loads(report.json_text())["rows"]["patient"] == 2


def test_missing_folders_files_and_columns_name_what_was_expected_and_what_exists(desk: Desk) -> None:
    desk.write(people="id,sex\na,1\n")
    with pytest.raises(
        SourceMissing, match=r"expects the column 'pid' \[people.csv\] -> the file has 'id', 'sex'"
    ):
        desk.load(PEOPLE.replace('"id"', '"pid"'))
    with pytest.raises(SourceMissing, match=r"expects the file 'people.tsv'.*the folder holds people.csv"):
        desk.load('[files.people]\npath = "people.tsv"\n' + PEOPLE)
    (desk.folder / "people.csv").unlink()
    desk.folder.rmdir()
    with pytest.raises(SourceMissing, match="folder is not there"):
        desk.load('[files.people]\npath = "people.csv"\n' + PEOPLE)
    assert not desk.database.exists()


def test_an_empty_table_is_refused_and_an_optional_one_reported(desk: Desk) -> None:
    desk.write(people="id\n")
    with pytest.raises(TableEmpty, match="no usable row"):
        desk.load(PEOPLE)
    desk.write(people="id\n,\n")
    with pytest.raises(TableEmpty):
        desk.load(PEOPLE)
    desk.write(people="id\na\n", events="id,day,kind\n")
    events = '[[event]]\nfile = "events"\npatient_id = "id"\nday = { day = "day" }\nkind = "kind"\n'
    with pytest.raises(TableEmpty, match="optional = true"):
        desk.load(PEOPLE + events)
    files = '[files.people]\npath = "people.csv"\n[files.events]\npath = "events.csv"\noptional = true\n'
    assert desk.load(files + PEOPLE + events).absent == ("events.csv",)
    (desk.folder / "events.csv").unlink()
    assert desk.load(files + PEOPLE + events).absent == ("events.csv",)
    assert desk.rows("SELECT value FROM store_meta WHERE key = 'table'") == [("event",), ("patient",)]


def test_a_table_whose_every_row_breaks_a_rule_is_refused_with_the_reasons(desk: Desk) -> None:
    desk.write(people="id\na\n", events="id,day,kind\nA,1,death\nB,2,death\n")
    events = '[[event]]\nfile = "events"\npatient_id = "id"\nday = { day = "day" }\nkind = "kind"\n'
    with pytest.raises(TableEmpty, match="2 x patient not in the patients table"):
        desk.load(PEOPLE + events)


def test_a_file_without_a_header_or_with_a_column_twice_is_refused(desk: Desk) -> None:
    (desk.folder / "people.csv").write_text("")
    with pytest.raises(SourceUnreadable, match="no header line"):
        desk.load(PEOPLE)
    (desk.folder / "people.csv").write_text("id,id\na,b\n")
    with pytest.raises(SourceUnreadable, match="'id' stands twice"):
        desk.load(PEOPLE)
