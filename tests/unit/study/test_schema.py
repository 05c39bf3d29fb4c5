"""What a study file must not say, each refused by file, key and reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fedvalue.errors import StudyInvalid
from fedvalue.study.file import MAX_BYTES, load, parse
from fedvalue.study.questions.kaplan_meier import KaplanMeier
from fedvalue.study.questions.question import entry_at_origin
from tests.agreement import FULL, changed, study

DRUG_INDEX = 'index = { first = "drug", codes = ["L01EB*"] }'
VARIANT_LEVELS = 'levels = ["mutated", "wild type", "not tested"]'
SEX_LEVELS = 'levels = ["female", "male"]'
RESPONSE = 'source = "response", method = "clinician", what = "best by day 183"'
LAST_BUDGET = 'at = ["6 months", "12 months"]\nbudget = 0.5'

REFUSED = {
    # name: (in the file, instead, what the message says)
    "an unknown key": ('unit = "patient"', 'unit = "patient"\ncolour = 1', "privacy.colour: unknown key"),
    "an unknown table": ("[privacy]", "[extra]\nx = 1\n[privacy]", "extra: unknown key"),
    "a duplicate key": ('unit = "patient"', 'unit = "patient"\nunit = "patient"', "Cannot overwrite a value"),
    "a duplicate table": ("[privacy]", "[study]\n[privacy]", "Cannot declare ('study',) twice"),
    "a missing key": ('unit = "patient"\n', "", "privacy.unit: Field required"),
    "a number as text": (
        "min_sites = 5",
        'min_sites = "5"',
        "federation.min_sites: Input should be a valid integer",
    ),
    "a fraction for a count": (
        "patient_cap = 100000",
        "patient_cap = 1e5",
        "privacy.patient_cap: Input should be",
    ),
    "a truth value for a number": ("epsilon = 2.0", "epsilon = true", "privacy.epsilon: Input should be"),
    "text for a date": (
        "from = 2026-01-01",
        'from = "2026-01-01"',
        "study.valid.from: Input should be a valid date",
    ),
    "a time of day": ("from = 2026-01-01", "from = 2026-01-01T00:00:00", "study.valid.from: Input should be"),
    "one name for a list": ('by = ["egfr"]\nat', 'by = "egfr"\nat', "analyses[1].by: Input should be"),
    "a short id": ('id = "egfr-first-line-2026"', 'id = "x"', "study.id: String should match"),
    "a title in no language": (
        'title = { en = "EGFR-guided first-line therapy", zh = "EGFR 检测指导一线治疗" }',
        "title = {}",
        "study.title: give at least one of en, zh",
    ),
    "an end before the start": (
        "from = 2026-01-01",
        "from = 2028-01-01",
        "study.valid: valid.until is before",
    ),
    "another unit of privacy": (
        'unit = "patient"',
        'unit = "record"',
        "privacy.unit: Input should be 'patient'",
    ),
    "no epsilon": ("epsilon = 2.0", "epsilon = 0", "privacy.epsilon: Input should be greater than 0"),
    "an epsilon that promises nothing": (
        "epsilon = 2.0",
        "epsilon = 20.1",
        "privacy.epsilon: Input should be less",
    ),
    "an epsilon that is no number": (
        "epsilon = 2.0",
        "epsilon = nan",
        "privacy.epsilon: Input should be a finite",
    ),
    "a delta too large for the cap": (
        "delta = 1e-6",
        "delta = 1.1e-6",
        "privacy: delta must be at most 1/(10 x",
    ),
    "one site a patient, assumed": (
        "value = 3",
        "value = 1",
        "value = 1 needs basis = 'linked' or 'declared",
    ),
    "two sites": ("min_sites = 5", "min_sites = 2", "federation.min_sites: Input should be greater"),
    "nobody colluding": (
        "colluding_sites = 1",
        "colluding_sites = 0",
        "federation.colluding_sites: Input should",
    ),
    "an unknown profile": (
        'profile = "eu"',
        'profile = "uk"',
        "governance.profile: Input should be 'none', 'cn'",
    ),
    "an index without codes": (DRUG_INDEX, 'index = { first = "drug" }', "cohort.index: codes are required"),
    "an index that takes no codes": (
        DRUG_INDEX,
        'index = { first = "patient", codes = ["X"] }',
        "cohort.index: codes are required, except with first = 'patient', which takes none",
    ),
    "a code that is every code": (
        DRUG_INDEX,
        'index = { first = "drug", codes = ["*"] }',
        "cohort.index.codes[0]",
    ),
    "a criterion of two kinds": (
        'condition = ["C34*"]',
        'condition = ["C34*"], drug = ["X"]',
        "cohort.require[0]: a criterion names exactly one of condition, drug, procedure",
    ),
    "a window that ends first": (
        '"-365d..0d"',
        '"0d..-365d"',
        "require[0].within: a window must not end before",
    ),
    "a window in words": ('"-365d..0d"', '"a year"', "require[0].within: 'a year' is not a window"),
    "a window in the far past": ('"-365d..0d"', '"-100001d..0d"', "require[0].within: a window stays within"),
    "a window beyond any calendar": ('"-365d..0d"', '"-9999999999999d..0d"', "is not a window"),
    "a variable of two sources": (
        "variant = {",
        'person = "egfr"\nvariant = {',
        "variables.egfr: a variable has exactly",
    ),
    "variant levels in another order": (
        VARIANT_LEVELS,
        'levels = ["wild type", "mutated", "not tested"]',
        "variables.egfr: a variant has the levels ['mutated', 'wild type', 'not tested']",
    ),
    "a level twice": (SEX_LEVELS, 'levels = ["male", "male"]', "variables.sex: levels are distinct"),
    "the level unknown": (SEX_LEVELS, 'levels = ["male", "unknown"]', "'unknown' is always there"),
    "a level that would not parse": (SEX_LEVELS, 'levels = ["a=b", "male"]', "variables.sex.levels[0]"),
    "levels and clip": (SEX_LEVELS, f"{SEX_LEVELS}, clip = [0, 1]", "either levels (categorical) or clip"),
    "money in levels": (
        'clip = [0, 400000], unit = "CNY"',
        'levels = ["much"]',
        "variables.cost: claims are money: they take a clip, and no levels",
    ),
    "an empty clip": ("clip = [0, 400000]", "clip = [5, 5]", "variables.cost: clip is [lowest, highest]"),
    "a clip of three": ("clip = [0, 400000]", "clip = [0, 1, 2]", "variables.cost.clip: "),
    "a clip in text": (
        "clip = [0, 400000]",
        'clip = ["0", 400000]',
        "variables.cost.clip[0]: Input should be",
    ),
    "a number without its unit": (', unit = "CNY"', "", "variables.cost: a numeric variable states its unit"),
    "claims without a window": ('window = "0d..365d", ', "", "variables.cost: claims need a window"),
    "a response without its method": (
        'method = "clinician", ',
        "",
        "response_6m: source = 'response' takes method",
    ),
    "a response at no day": (
        '"best by day 183"',
        '"best by month 6"',
        "what is 'best by day N' or 'status at day N",
    ),
    "a response on a day past any life": (
        '"best by day 183"',
        '"best by day 999999"',
        "of five digits at most",
    ),
    "success without a status": (RESPONSE, f"{RESPONSE}, success = []", "endpoints.response_6m.success: "),
    "a column with a method": (
        RESPONSE,
        'source = "person", method = "clinician"',
        "source = 'person' takes a column",
    ),
    "an event twice": (
        '["progression", "death"]',
        '["death", "death"]',
        "endpoints.pfs: events are distinct",
    ),
    "an event nobody records": (
        '["progression", "death"]',
        '["cure"]',
        "endpoints.pfs.events[0]: Input should be",
    ),
    "a grid too fine": (
        'grid = "1 month"',
        'grid = "0.1 days"',
        "endpoints.pfs: the grid has 7305 intervals",
    ),
    "a grid too wide": (
        'grid = "1 month"',
        'grid = "25 months"',
        "the grid must not be wider than the follow-up",
    ),
    "a grid of nothing": (
        'grid = "1 month"',
        'grid = "0 days"',
        "endpoints.pfs.grid: a duration is at least",
    ),
    "a horizon past any life": (
        'until = "24 months"',
        f'until = "{"9" * 400} years"',
        "endpoints.pfs.until: a duration",
    ),
    "a duration in words": (
        'until = "24 months"',
        'until = "two years"',
        "endpoints.pfs.until: 'two years' is not",
    ),
    "digits that look alike": (
        'until = "24 months"',
        'until = "２4 months"',
        "endpoints.pfs.until: '２4 months' is not",
    ),
    "an endpoint of the wrong kind": (
        'endpoint = "response_6m"',
        'endpoint = "pfs"',
        "analyses[0].endpoint = 'pfs' is no binary endpoint; there are ['response_6m']",
    ),
    "an unknown endpoint": (
        'endpoint = "pfs"',
        'endpoint = "os"',
        "'os' is no time_to_event endpoint; there are ['pfs']",
    ),
    "an unknown variable": (
        'by = ["egfr"]\nat',
        'by = ["race"]\nat',
        "'race' is no variable with levels; there are",
    ),
    "groups by a number": (
        'by = ["egfr"]\nat',
        'by = ["cost"]\nat',
        "'cost' is no variable with levels; there are",
    ),
    "a variable twice": (
        'by = ["egfr"]\nat',
        'by = ["egfr", "egfr"]\nat',
        "analyses[1].by names a variable twice",
    ),
    "a time past the horizon": ('"12 months"', '"25 months"', "analyses[1].at = '25 months' is past"),
    "budgets above one": (
        LAST_BUDGET,
        LAST_BUDGET.replace("0.5", "0.51"),
        "add to 1.01; they may add to 1 at most",
    ),
    "a budget above one": (
        LAST_BUDGET,
        LAST_BUDGET.replace("0.5", "1.5"),
        "analyses[1].budget: Input should be less",
    ),
    "an unknown analysis": ('kind = "kaplan_meier"', 'kind = "palmistry"', "'proportion', 'kaplan_meier'"),
    "a payment without its proportion": (
        "egfr=mutated",
        "sex=male",
        "payments[0].uses = 'response_6m | sex=male' needs a proportion of 'response_6m' by ['sex']",
    ),
    "a payment for an unknown level": (
        "egfr=mutated",
        "egfr=tested",
        "payments[0].uses: egfr has no level 'tested'",
    ),
    "a payment on a curve": ('"response_6m | egfr', '"pfs | egfr', "needs a proportion of 'pfs' by ['egfr']"),
    "a stratum that does not parse": (
        "| egfr=mutated",
        "| egfr",
        "payments[0]: uses: 'egfr' is not variable=level",
    ),
    "a stratum twice": ("| egfr=mutated", "| egfr=mutated, egfr=mutated", "payments[0]: uses: "),
    "settling through a study": (
        'purpose = "set"',
        'purpose = "settle"',
        "payments[0].purpose: Input should be 'set'",
    ),
    "a standard outside its folder": (
        '"lung/egfr_tki_outcome_linked"',
        '"../etc/x"',
        "payments[0].standard: ",
    ),
    "a line that hides what follows": (
        '"Dr. Example"',
        r'"Dr.\u001b[8m"',
        "principal_investigator: the text is one line",
    ),
    "a question of two lines": (
        "high enough?",
        r"high?\nAt what price",
        "study.question.en: the text is one line",
    ),
    "text that runs backwards": ('zh = "EGFR', r'zh = "\u202eEGFR', "study.title.zh: the text is one line"),
    "no TOML at all": ("[study]", "[study", "the study is not a TOML file"),
    "a number of 5000 digits": ("epsilon = 2.0", f"epsilon = {'9' * 5000}", "the study is not a TOML file"),
    "brackets without end": ("[privacy]", f"x = {'[' * 50_000}", "the study is not a TOML file"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_study_is_refused_by_file_key_and_reason_for(name: str) -> None:
    old, new, said = REFUSED[name]
    with pytest.raises(StudyInvalid, match=re.escape(said)) as refused:
        parse(changed(FULL, (old, new)), where="study.toml")
    assert refused.value.where == "study.toml"
    assert refused.value.do


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(StudyInvalid) as refused:
        study(("epsilon = 2.0", "epsilon = 0"), ("min_sites = 5", "min_sites = 1"))
    assert "privacy.epsilon" in refused.value.what
    assert "federation.min_sites" in refused.value.what


def test_bytes_that_are_no_text_and_files_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyInvalid, match="not a TOML file"):
        parse(b"\xff\xfe", where="study.toml")
    with pytest.raises(StudyInvalid, match="cannot be read: No such file"):
        load(tmp_path / "study.toml")
    with pytest.raises(StudyInvalid, match="larger than"):
        parse(b"#" * (MAX_BYTES + 1), where="study.toml")


def test_a_study_file_is_read_from_its_path(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(FULL, encoding="utf-8")
    assert load(path) == study()


def test_delta_may_be_exactly_one_in_ten_patients() -> None:
    # 1 / (10 x 100,000) = 1e-6, which no binary fraction equals
    assert study().privacy.delta == 1e-6
    with pytest.raises(StudyInvalid, match="delta"):
        study(("patient_cap = 100000", "patient_cap = 100001"))


def test_budgets_in_hundredths_add_up_exactly() -> None:
    # .33 + .56 + .11 = 1; in binary fractions the sum is above 1
    assert 0.33 + 0.56 + 0.11 > 1
    third = '[[analyses]]\nkind = "proportion"\nendpoint = "response_6m"\nbudget = 0.11\n[[payments]]'
    whole = study(
        ('by = ["egfr"]\nbudget = 0.5', 'by = ["egfr"]\nbudget = 0.33'),
        (LAST_BUDGET, LAST_BUDGET.replace("0.5", "0.56")),
        ("[[payments]]", third),
    )
    assert len(whole.analyses) == 3


def test_a_payment_may_rest_on_all_patients_or_on_several_variables() -> None:
    everybody = study(
        ('by = ["egfr"]\nbudget', "by = []\nbudget"), ("response_6m | egfr=mutated", "response_6m")
    )
    assert everybody.payments[0].stratum == {}
    both = study(
        ('by = ["egfr"]\nbudget', 'by = ["egfr", "sex"]\nbudget'),
        ("egfr=mutated", "sex=male, egfr=not tested"),
    )
    assert both.payments[0].stratum == {"sex": "male", "egfr": "not tested"}
    assert both.payments[0].endpoint == "response_6m"


@pytest.mark.parametrize(
    ("entry", "by", "at_origin"),
    [
        ("", "egfr", False),  # a variant is known only from its report on
        ("", "sex", True),
        (', entry = "origin"', "egfr", True),
        (', entry = "later of origin and test report"', "sex", False),
    ],
)
def test_with_a_variant_among_the_groups_entry_is_delayed_unless_the_study_says(
    entry: str, by: str, at_origin: bool
) -> None:
    read = study(
        ('grid = "1 month"', f'grid = "1 month"{entry}'), ('by = ["egfr"]\nat', f'by = ["{by}"]\nat')
    )
    analysis = read.analyses[1]
    assert isinstance(analysis, KaplanMeier)
    assert entry_at_origin(analysis.endpoint, analysis.by, read.measured) is at_origin


def test_a_study_is_read_in_the_language_that_there_is() -> None:
    read = study().study
    assert read.title.read("zh") == "EGFR 检测指导一线治疗"
    assert read.question.read("zh") == read.question.read("en")


def test_more_groups_than_could_ever_be_reported_are_refused() -> None:
    levels = ", ".join(f'"level {i}"' for i in range(20))
    variables = "".join(f'v{n} = {{ person = "v{n}", levels = [{levels}] }}\n' for n in range(2))
    kind = 'kind = "kaplan_meier"\nendpoint = "pfs"\nby = '
    wider = (("[variables]\n", f"[variables]\n{variables}"), (f'{kind}["egfr"]', f'{kind}["v0", "v1"]'))
    with pytest.raises(StudyInvalid, match="makes 400 groups; at most 200"):
        study(*wider)
