"""Endpoints: hand-worked patients, and the slow obvious version as oracle of the SQL."""

from __future__ import annotations

import numpy as np
import pytest

from fedvalue.analyses.cohort import SurvivalOutcome
from fedvalue.client.records.snapshot import Frozen
from tests.records_desk import Desk

ROOM = """
[patient]
file = "people"
patient_id = "id"
origin = { day = "start" }
attributes = { egfr = "id", flag = "flag" }
[[event]]
file = "events"
patient_id = "id"
day = { day = "day" }
kind = "kind"
[[follow_up]]
file = "seen"
patient_id = "id"
day = { day = "day" }
[[response]]
file = "answers"
patient_id = "id"
day = { day = "day" }
method = "method"
status = "status"
[[variant]]
file = "calls"
patient_id = "id"
gene = "gene"
[[test]]
file = "reports"
patient_id = "id"
genes = { column = "gene" }
day = { day = "day" }
"""
NOBODY = {"flag": "", "start": "0"}
HEADERS = {
    "events": "id,day,kind", "seen": "id,day", "answers": "id,day,method,status", "calls": "id,gene",
    "reports": "id,gene,day",
}  # fmt: skip


def admit(desk: Desk, patients: dict[str, dict[str, object]]) -> None:
    """Write and load patients; each has ``start`` and lists of rows, by file."""
    people = "".join(
        f"{name},{facts.get('start', 1000)},{facts.get('flag', '')}\n" for name, facts in patients.items()
    )
    # Somebody of another study, whose rows keep every table from being empty.
    filler = {
        "events": "x,1,death",
        "seen": "x,1",
        "answers": "x,1,recist,CR",
        "calls": "x,TP53",
        "reports": "x,TP53,1",
    }
    files = {"people": f"id,start,flag\n{people}x,,\n"}
    for file, header in HEADERS.items():
        rows = [f"{name},{row}" for name, facts in patients.items() for row in _listed(facts.get(file, ()))]
        files[file] = "\n".join([header, filler[file], *rows]) + "\n"
    desk.write(**files)
    desk.load(ROOM)


def _listed(rows: object) -> list[str]:
    return [str(row) for row in rows] if isinstance(rows, list | tuple) else []


def responses(desk: Desk, what: str, **more: str) -> list[int]:
    extra = "".join(f", {key} = {value}" for key, value in more.items())
    frozen = desk.build(
        f'[endpoints]\nr = {{ kind = "binary", method = "clinician", what = "{what}"{extra} }}\n'
        '[[analyses]]\nkind = "proportion"\nendpoint = "r"\nbudget = 1.0\n'
    )
    return [int(status) for status in frozen.cohort.binary["r"].status]


def said(*answers: str) -> list[str]:
    return [f"{day},clinician,{status}" for day, status in (answer.split() for answer in answers)]


def test_best_response_by_a_day(desk: Desk) -> None:
    # Day zero is 1000; "best by day 100" takes assessments of days 1 to 100, that is 1001 to 1100.
    admit(
        desk,
        {
            "a": {"answers": said("1050 PD", "1100 PR")},  # the last day counts: success
            "b": {"answers": said("1050 SD", "1101 CR")},  # a day late: failure
            "c": {"answers": said("1000 CR")},  # day zero is before treatment: missing
            "d": {},  # nothing at all: missing
            "e": {"events": ["1100,death"]},  # died by the day: failure
            "f": {"events": ["1101,death"]},  # died after it, never assessed: missing
            "g": {"events": ["1100,death"], "answers": said("1050 CR")},  # responded, then died: success
            "h": {"events": ["1050,death"], "answers": said("1060 CR")},  # assessed after death: failure
            "i": {"answers": said("1050 NE")},  # not evaluable is no assessment: missing
            "j": {"answers": ["1050,recist,CR"]},  # another method: missing
            "l": {"answers": said("1050 CR", "1050 PD")},  # two on a day: the best
        },
    )  # fmt: skip
    assert responses(desk, "best by day 100") == [1, 0, -1, -1, 0, -1, 1, 0, -1, -1, 1]
    # With stable disease as success the second patient has one too.
    assert responses(desk, "best by day 100", success='["CR", "PR", "SD"]')[:2] == [1, 1]


def test_status_at_a_day(desk: Desk) -> None:
    # "status at day 100 within 20 days": the assessment of days 80 to 120 that is nearest to 100.
    admit(
        desk,
        {
            "a": {"answers": said("1085 PD", "1101 CR", "1120 PD")},  # 15, 1 and 20 days off: CR
            "b": {"answers": said("1098 CR", "1102 PD")},  # equally near: the worse
            "c": {"answers": said("1079 CR", "1121 CR")},  # outside: missing
            "d": {"events": ["1100,death"], "answers": said("1090 CR")},  # dead on the day: failure
            "e": {"events": ["1110,death"], "answers": said("1090 CR")},  # alive and responding: success
            "f": {"events": ["1120,death"]},  # died in the window, unassessed: failure
            "g": {"events": ["1121,death"]},  # died after it: missing
        },
    )  # fmt: skip
    assert responses(desk, "status at day 100 within 20 days") == [1, 0, -1, 0, 1, 0, -1]


def test_a_binary_endpoint_from_a_column(desk: Desk) -> None:
    flags = ["0", "1", "1.0", "", "2", "yes", "-1"]
    admit(desk, {str(i): {"flag": flag} for i, flag in enumerate(flags)})
    frozen = desk.build(
        '[endpoints]\nr = { kind = "binary", source = "person", column = "flag" }\n'
        '[[analyses]]\nkind = "proportion"\nendpoint = "r"\nbudget = 1.0\n'
    )
    assert frozen.cohort.binary["r"].status.tolist() == [0, 1, 1, -1, -1, -1, -1]


EGFR = (
    '[variables]\negfr = { variant = { gene = "EGFR" }, levels = ["mutated", "wild type", "not tested"] }\n'
)
PFS = """[endpoints.pfs]
kind = "time_to_event"
{entry}
events = ["progression", "death"]
until = "24 months"
grid = "1 month"
"""
BY_ALL = '[[analyses]]\nkind = "kaplan_meier"\nendpoint = "pfs"\nbudget = 0.5\n'
BY_EGFR = '[[analyses]]\nkind = "kaplan_meier"\nendpoint = "pfs"\nby = ["egfr"]\nbudget = 0.5\n'
LATER = 'entry = "later of origin and test report"'


def timed(desk: Desk, *, entry: str = 'entry = "origin"', analyses: str = BY_ALL) -> SurvivalOutcome:
    return desk.build(EGFR + PFS.format(entry=entry) + analyses).cohort.survival["pfs"]


def test_the_first_event_up_to_the_end_of_follow_up(desk: Desk) -> None:
    admit(
        desk,
        {
            "a": {"events": ["1200,death", "1100,progression"], "seen": [1300]},  # progression, 100
            "b": {"events": ["1100,death", "1100,progression"], "seen": [1100]},  # same day: the first named
            "c": {"seen": [1050, 1400, 1200]},  # censored at the last day, 400
            "d": {"events": ["1100,progression"], "seen": [1060]},  # after follow-up: censored, 60
            "e": {"events": ["1100,death"], "seen": [1060]},  # a death is known: 100
            "f": {"events": ["1100,progression"]},  # no follow-up, an event: 100
            "g": {},  # nothing: unknown
            "h": {"events": ["1100,relapse"], "answers": said("1300 CR")},  # another kind: unknown
            "i": {"seen": [999]},  # followed only before day zero
            "j": {"events": ["1000,progression"], "seen": [1100]},  # on day zero: exit 0
            "k": {"events": ["1200,progression", "1100,death"], "seen": [1300]},  # not after death
            "l": {"seen": [1000]},  # censored at once: exit 0
        },
    )  # fmt: skip
    found = timed(desk)
    assert found.event.tolist() == [1, 1, 0, 0, 2, 1, -1, -1, -1, 1, 2, 0]
    assert found.exit.tolist() == [100, 100, 400, 60, 100, 100, 0, 0, 0, 0, 100, 0]
    assert found.entry.tolist() == [0.0] * 12


def test_nothing_can_happen_before_the_origin_and_such_rows_were_left_out_at_load(desk: Desk) -> None:
    admit(desk, {"a": {"events": ["900,progression", "950,death"], "seen": [1100]}})
    found = timed(desk)
    assert (found.event.tolist(), found.exit.tolist()) == ([0], [100.0])


def test_a_death_before_day_zero_makes_every_outcome_unknown(desk: Desk) -> None:
    desk.write(
        people="id,died\na,5\nb,20\nc,\n",
        lines="id,day,code\na,10,L01\nb,10,L01\nc,10,L01\n",
        answers="id,day\na,12\nb,12\nc,12\n",
    )
    desk.load(
        """
        [patient]
        file = "people"
        patient_id = "id"
        [[drug]]
        file = "lines"
        patient_id = "id"
        day = { day = "day" }
        code = "code"
        [[event]]
        file = "people"
        patient_id = "id"
        day = { day = "died" }
        kind = { constant = "death" }
        [[follow_up]]
        file = "answers"
        patient_id = "id"
        day = { day = "day" }
        [[response]]
        file = "answers"
        patient_id = "id"
        day = { day = "day" }
        method = { constant = "clinician" }
        status = { constant = "PR" }
        """
    )
    response = '[endpoints.r]\nkind = "binary"\nmethod = "clinician"\nwhat = "best by day 100"\n'
    cohort = desk.build(
        '[cohort]\nindex = { first = "drug", codes = ["L01"] }\n'
        + PFS.format(entry='entry = "origin"') + response + BY_ALL
    ).cohort  # fmt: skip
    # Treatment starts on day 10. a died on day 5; b on day 20, 10 days later; c was last seen 2 days later.
    assert cohort.binary["r"].status.tolist() == [-1, 1, 1]
    assert cohort.survival["pfs"].event.tolist() == [-1, 2, 0]
    assert cohort.survival["pfs"].exit.tolist() == [0.0, 10.0, 2.0]


def test_entry_is_delayed_to_the_report_where_a_variant_defines_the_groups(desk: Desk) -> None:
    admit(
        desk,
        {
            "a": {"seen": [1300], "reports": ["EGFR,1040"]},  # reported on day 40
            "b": {"seen": [1300], "reports": ["EGFR,900"]},  # reported before day zero
            "c": {"seen": [1300], "reports": ["EGFR,1090", "EGFR,1050", "*,1070"]},  # the first of three
            "d": {"seen": [1300], "reports": ["KRAS,1040"]},  # EGFR was not looked at
            "e": {"seen": [1300], "calls": ["EGFR"]},  # looked at, the day is not known
            "f": {"seen": [1300], "reports": ["EGFR,1400"]},  # reported after the end
            "g": {"seen": [1300]},
        },
    )  # fmt: skip
    stated, default = (
        timed(desk, entry=LATER, analyses=BY_ALL),
        timed(desk, entry="", analyses=BY_ALL + BY_EGFR),
    )
    for found in (stated, default):
        np.testing.assert_array_equal(found.entry, [40, 0, 50, 0, np.nan, 400, 0])
        assert found.event.tolist() == [0] * 7
        assert found.exit.tolist() == [300.0] * 7
    assert timed(desk, entry="", analyses=BY_ALL).entry.tolist() == [0.0] * 7
    assert timed(desk, entry='entry = "origin"', analyses=BY_EGFR).entry.tolist() == [0.0] * 7


def test_with_two_genes_both_reports_must_be_in(desk: Desk) -> None:
    admit(
        desk,
        {
            "a": {"seen": [1300], "reports": ["EGFR,1040", "KRAS,1060"]},
            "b": {"seen": [1300], "reports": ["KRAS,1060"]},
        },
    )
    both = EGFR + 'kras = { variant = { gene = "KRAS" }, levels = ["mutated", "wild type", "not tested"] }\n'
    found = desk.build(both + PFS.format(entry="") + BY_EGFR.replace('["egfr"]', '["egfr", "kras"]'))
    assert found.cohort.survival["pfs"].entry.tolist() == [60.0, 60.0]


def test_without_variables_any_report_counts(desk: Desk) -> None:
    admit(desk, {"a": {"seen": [1300], "reports": ["EGFR,1040", "KRAS,1060"]}})
    found = desk.build(PFS.format(entry=LATER) + BY_ALL)
    assert found.cohort.survival["pfs"].entry.tolist() == [40.0]


# --- the slow obvious version ------------------------------------------------------------------------------


def slow_survival(facts: dict[str, list[tuple[int, str]]]) -> tuple[float, float, int]:
    kinds = ["progression", "death"]
    deaths = [day for day, kind in facts["events"] if kind == "death"]
    stop = min(deaths) if deaths else max((day for day, _ in facts["seen"]), default=None)
    happened = sorted((day, kinds.index(kind) + 1) for day, kind in facts["events"] if kind in kinds)
    if stop is None and not happened:
        return 0.0, 0.0, -1
    reported = [day for day, gene in facts["reports"] if gene in ("EGFR", "*")]
    entry = float(max(0, min(reported))) if reported else 0.0
    if not reported and facts["calls"]:
        entry = -1.0
    if happened and (stop is None or happened[0][0] <= stop):
        return entry, float(happened[0][0]), happened[0][1]
    return entry, float(stop or 0), 0


def slow_response(facts: dict[str, list[tuple[int, str]]]) -> int:
    deaths = [day for day, kind in facts["events"] if kind == "death"]
    died = min(deaths) if deaths else None
    told = [
        s for day, s in facts["answers"] if 1 <= day <= 100 and s != "NE" and (died is None or day <= died)
    ]
    if any(status in ("CR", "PR") for status in told):
        return 1
    return 0 if told or (died is not None and died <= 100) else -1


def test_a_thousand_random_patients_agree_with_the_slow_obvious_version(desk: Desk) -> None:
    rng = np.random.default_rng(20260301)
    words = {
        "events": ["progression", "death", "relapse"], "seen": [""],
        "answers": ["CR", "PR", "SD", "PD", "NE"],
        "reports": ["EGFR", "KRAS", "*"], "calls": ["EGFR"],
    }  # fmt: skip
    drawn = {
        f"p{i:04d}": {
            file: [(5 * int(rng.integers(0, 30)), str(rng.choice(choices))) for _ in range(rng.poisson(0.8))]
            for file, choices in words.items()
        }
        for i in range(1000)
    }

    def written(facts: dict[str, list[tuple[int, str]]]) -> dict[str, object]:
        return {
            "events": [f"{1000 + day},{kind}" for day, kind in facts["events"]],
            "seen": [str(1000 + day) for day, _ in facts["seen"]],
            "answers": [f"{1000 + day},clinician,{status}" for day, status in facts["answers"]],
            "reports": [f"{gene},{1000 + day}" for day, gene in facts["reports"]],
            "calls": [gene for _, gene in facts["calls"]],
        }

    admit(desk, {name: written(facts) for name, facts in drawn.items()})
    study = (
        EGFR
        + PFS.format(entry="")
        + '[endpoints.r]\nkind = "binary"\nmethod = "clinician"\nwhat = "best by day 100"\n'
        + BY_EGFR
    )
    frozen: Frozen = desk.build(study)
    assert frozen.patient_ids.tolist() == sorted(drawn)
    found = frozen.cohort.survival["pfs"]
    entries = np.where(np.isnan(found.entry), -1.0, found.entry)  # the oracle writes -1 for "not known"
    rows = list(zip(entries.tolist(), found.exit.tolist(), found.event.tolist(), strict=True))
    assert rows == [slow_survival(drawn[name]) for name in sorted(drawn)]
    assert frozen.cohort.binary["r"].status.tolist() == [slow_response(drawn[name]) for name in sorted(drawn)]


@pytest.mark.parametrize("missing", ["event", "follow_up"])
def test_an_endpoint_needs_its_tables(desk: Desk, missing: str) -> None:
    from fedvalue.errors import SourceMissing

    desk.write(people="id,d\na,1\n")
    room = '[patient]\nfile = "people"\npatient_id = "id"\n'
    other = "follow_up" if missing == "event" else "event"
    kind = 'kind = { constant = "death" }\n' if other == "event" else ""
    desk.load(f'{room}[[{other}]]\nfile = "people"\npatient_id = "id"\nday = {{ day = "d" }}\n{kind}')
    with pytest.raises(SourceMissing, match=f"reads the table '{missing}'"):
        desk.build("")
