"""Claims as payers adjust them: what stands, to the cent, and what is counted instead."""

from __future__ import annotations

from decimal import Decimal

import pytest

from fedvalue.errors import MappingInvalid
from tests.records_desk import Desk, reasons, table_of

PEOPLE = '[patient]\nfile = "people"\npatient_id = "id"\n'
BILLS = (
    PEOPLE
    + '[[claim]]\nfile = "bills"\npatient_id = "id"\nclaim_id = "bill"\nday = { day = "day" }\n'
    + 'total_paid = "paid"\ncurrency = { constant = "CNY" }\n'
)


def standing(desk: Desk) -> list[tuple[object, ...]]:
    return desk.rows("SELECT claim_id, CAST(total_paid AS VARCHAR) FROM claim ORDER BY 1")


def test_adjustments_leave_what_stands(desk: Desk) -> None:
    desk.write(
        people="id\na\n",
        bills="""
            id,bill,day,paid,act,of,nth
            a,1,5,10.00,1,,1
            a,2,6,20.00,1,,1
            a,2b,6,25.00,7,2,1
            a,3,7,30.00,1,,1
            a,3v,9,-30.00,8,3,1
            a,4,8,40.00,1,,1
            a,4,8,41.00,7,,3
            a,4,8,42.00,7,,2
            a,5,8,50.00,1,,1
            a,5,8,50.00,1,,1
            a,6,8,60.00,1,,1
            a,6,8,0,8,,2
            a,7,9,70.00,7,99,1
            a,8,9,-1.00,1,,1
            a,9,9,1.00,0,,1
            """,
    )
    report = desk.load(
        BILLS
        + 'action = { column = "act", codes = { "1" = "original", "7" = "replacement", "8" = "void" } }\n'
        + 'adjusts = "of"\nversion = "nth"\n'
    )
    # 2 is replaced by 2b; 3 is voided; of 4 the third version stands; 5 came twice; 6 is voided under its id;
    # 7 replaces what nobody knows, and stands.
    assert standing(desk) == [("1", "10.00"), ("2b", "25.00"), ("4", "41.00"), ("5", "50.00"), ("7", "70.00")]
    assert reasons(report, "claim[0]") == {
        "superseded by an adjustment": (5, (3, 5, 7, 9, 12)),
        "void": (2, (6, 13)),
        "duplicate claim": (1, (11,)),
        "negative amount": (1, (15,)),
        "unknown code": (1, (16,)),
    }
    [finding] = table_of(report, "claim[0]").blanked
    assert (finding.reason, finding.lines) == ("adjusts a claim that is not there", (14,))


def test_reversals_take_back_what_was_paid(desk: Desk) -> None:
    desk.write(
        people="id\na\n",
        bills="""
            id,bill,day,paid
            a,1,5,10.00
            a,1,9,-10.00
            a,2,5,20.00
            a,2,9,-20.00
            a,2,10,19.99
            a,3,5,-1.00
            a,4,5,0.00
            a,5,5,5.10
            a,5,5,5.10
            """,
    )
    report = desk.load(BILLS + 'negative = "reversal"\n')
    # 2: 20.00 - 20.00 + 19.99 = 19.99, on the day of its first row; 5 came twice and counts once.
    assert standing(desk) == [("2", "19.99"), ("4", "0.00"), ("5", "5.10")]
    assert desk.rows("SELECT day FROM claim WHERE claim_id = '2'") == [(5.0,)]
    assert reasons(report, "claim[0]") == {
        "reversed": (2, (2, 3)),
        "reversal of more than was paid": (1, (7,)),
        "duplicate row": (1, (10,)),
    }


def test_a_claim_on_every_one_of_its_lines_counts_once(desk: Desk) -> None:
    desk.write(
        people="id\na\n",
        bills="""
            id,bill,day,paid,n,code,line_paid
            a,1,5,10.00,1,X1,4.00
            a,1,5,10.00,2,X2,6.00
            a,2,5,20.00,1,X1,20.00
            a,2,5,21.00,2,,1.00
            a,2,5,20.00,2,X3,1.00
            """,
    )
    report = desk.load(
        BILLS
        + 'repeats = true\n[[claim_line]]\nfile = "bills"\npatient_id = "id"\nclaim_id = "bill"\nline = "n"\n'
        + 'day = { day = "day" }\ncode = "code"\namount = "line_paid"\ncurrency = { constant = "CNY" }\n'
    )
    assert standing(desk) == [("1", "10.00"), ("2", "20.00")]
    assert reasons(report, "claim[0]") == {
        "another line of its claim": (2, (3, 6)),
        "another amount than the claim's first line": (1, (5,)),
    }
    # a line without a code has an amount all the same; a second line 2 is the first one's repetition
    assert desk.rows("SELECT claim_id, line, code FROM claim_line ORDER BY ALL") == [
        ("1", "1", "X1"), ("1", "2", "X2"), ("2", "1", "X1"), ("2", "2", None)
    ]  # fmt: skip


def test_fund_and_personal_share_have_to_add_up(desk: Desk) -> None:
    desk.write(
        people="id\na\n",
        bills="id,bill,day,paid,fund,own\na,1,5,10.00,7.00,3.00\na,2,5,10.00,7.00,2.99\na,3,5,10.00,7.00,\n",
    )
    report = desk.load(BILLS + 'fund_paid = "fund"\npatient_paid = "own"\n')
    assert desk.rows("SELECT claim_id, fund_paid FROM claim ORDER BY 1") == [
        ("1", Decimal("7.00")), ("2", None), ("3", Decimal("7.00"))
    ]  # fmt: skip
    [finding] = table_of(report, "claim[0]").blanked
    assert (finding.reason, finding.lines) == ("fund and personal share do not add up to the total", (3,))


def test_amounts_are_decimals_all_the_way(desk: Desk) -> None:
    # A hundred thousand dimes and one large amount: binary fractions would be off by more than a fen.
    rows = "".join(f"a,{n},5,0.10\n" for n in range(10_000)) + "a,big,5,90071992547409.93\n"
    desk.write(people="id\na\n", bills=f"id,bill,day,paid\n{rows}")
    desk.load(BILLS)
    # 10,000 x 0.10 = 1,000.00
    assert desk.rows("SELECT sum(total_paid) FROM claim") == [(Decimal("90071992548409.93"),)]


@pytest.mark.parametrize(
    "text",
    ['adjusts = "of"\n', 'repeats = true\nnegative = "reversal"\n', 'action = { constant = "undo" }\n'],
)
def test_ways_to_adjust_do_not_mix(desk: Desk, text: str) -> None:
    desk.write(people="id\na\n", bills="id,bill,day,paid,of\na,1,5,1,\n")
    with pytest.raises(MappingInvalid, match=r"adjusts and version|give one of|not one of"):
        desk.mapping(BILLS + text)


def test_codes_that_do_not_look_like_their_system_are_left_out(desk: Desk) -> None:
    desk.write(
        people="id\na\n",
        codes="id,day,code\na,1,C34.100x003\na,1,C341\na,1,2C25.1\na,1,32.4101\na,1,A16.500x005+\na,1,c34\n",
    )
    head = 'file = "codes"\npatient_id = "id"\nday = { day = "day" }\ncode = "code"\n'
    report = desk.load(
        f'{PEOPLE}[[condition]]\n{head}system = "icd10"\n[[condition]]\n{head}system = "icd11"\n'
        f'[[procedure]]\n{head}system = "icd9cm3"\n'
    )
    assert reasons(report, "condition[0]") == {"code of another system": (3, (4, 5, 7))}
    assert reasons(report, "condition[1]") == {"code of another system": (5, (2, 3, 5, 6, 7))}
    assert desk.rows("SELECT code FROM procedure") == [("32.4101",)]


def test_vital_status_is_known_up_to_the_last_day_that_somebody_could_tell(desk: Desk) -> None:
    desk.write(
        people="id,origin\na,2024-01-01\nb,2024-01-01\nc,2024-01-01\n",
        deaths="id,died\na,2024-05-01\n",
        calls="id,on,said\nb,2024-08-01,alive\nc,2024-02-01,dead\n",
        insured="id,until,why\nb,2024-03-01,moved\n",
    )
    vital = '[[vital_status]]\nfile = "{}"\npatient_id = "id"\nday = {{ date = "{}" }}\nhow = "{}"\n'
    desk.load(
        PEOPLE
        + 'origin = { date = "origin" }\n'
        + vital.format("deaths", "died", "registry")
        + 'status = { constant = "dead" }\ncomplete_until = 2024-06-30\n'
        + vital.format("calls", "on", "call")
        + 'status = "said"\n'
        + vital.format("insured", "until", "enrolment")
        + 'status = { constant = "alive" }\nreason = "why"\n'
    )
    # Days since 1970-01-01: 2024-02-01 is 19754, 05-01 is 19844, 06-30 is 19904, 08-01 is 19936.
    assert desk.rows("SELECT patient_id, day FROM event ORDER BY ALL") == [("a", 19844.0), ("c", 19754.0)]
    # b was alive when the call came, and the registry names neither b nor c up to its last day.
    assert desk.rows("SELECT patient_id, max(day) FROM follow_up GROUP BY 1 ORDER BY 1") == [
        ("a", 19844.0), ("b", 19936.0), ("c", 19904.0)
    ]  # fmt: skip
    assert desk.rows("SELECT reason FROM vital_status WHERE how = 'enrolment'") == [("moved",)]


def test_enrolment_keeps_its_gaps_and_why_it_stopped(desk: Desk) -> None:
    desk.write(
        people="id\na\n",
        plan="id,first,last,why\na,10,20,4\na,30,,1\na,50,40,1\n",
    )
    report = desk.load(
        PEOPLE
        + '[[enrolment]]\nfile = "plan"\npatient_id = "id"\n'
        + 'day = { day = "first" }\nuntil = { day = "last" }\n'
        + 'reason = { column = "why", codes = { "1" = "insured", "4" = "ended" } }\n'
    )
    assert desk.rows("FROM enrolment ORDER BY day") == [
        ("a", 10.0, 20.0, None, "ended"), ("a", 30.0, None, None, "insured")
    ]  # fmt: skip
    assert reasons(report, "enrolment[0]") == {"end before the start": (1, (4,))}
