"""Questions to draw neighbouring patients for: every kind of analysis, in forms whose bounds differ.

A new kind of analysis gets its forms here, in the syntax of a study file without its budget, over the
variables and endpoints of `MEASURED`; the test of this list fails until it does.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fedvalue.study.file import parse
from fedvalue.study.schema import KINDS, Study
from fedvalue.study.scoring import packed

MEASURED = """
[study]
id = "neighbours"
title = { en = "Neighbouring patients" }
question = { en = "How far can one patient move a release?" }
principal_investigator = "nobody"
valid = { from = 2026-01-01, until = 2036-12-31 }

[privacy]
unit = "patient"
epsilon = EPSILON
delta = 1e-6
patient_cap = 100000
max_sites_per_patient = { value = 3, basis = "assumed" }

[federation]
min_sites = 3

[governance]
profile = "none"

[cohort]
index = { first = "patient" }
require = [{ condition = ["C34*"], within = "-365d..0d" }]
exclude = [{ drug = ["L01*"], within = "-365d..-1d" }]

[variables]
egfr = { variant = { gene = "EGFR" }, levels = ["mutated", "wild type", "not tested"] }
sex = { person = "sex", levels = ["female", "male"] }
arm = { person = "arm", levels = ["control", "treated"] }
age = { person = "age", clip = [18, 100], unit = "years" }
score = { person = "score", clip = [-5, 5], unit = "points" }
cost = { claims = "total_paid", window = "0d..365d", clip = [0, 400000], unit = "CNY" }
visits = { count = { of = "procedure", within = "0d..365d" }, clip = [0, 6], unit = "visits" }
reasons = { count = { of = "condition", within = "0d..365d" }, clip = [0, 3], unit = "diagnoses" }
harm = { grade = { within = "0d..365d" }, levels = ["none", "1", "2", "3", "4", "5"] }
risk = { person = "risk", clip = [0, 1], unit = "probability" }
exposed = { first_day = { of = "drug", codes = ["L01EB*"], within = "0d..1000d" }, clip = [0, 1000], unit = "days" }
started = { calendar = "index", between = [2025-01-01, 2025-12-31] }

[endpoints]
response = { kind = "binary", source = "person", column = "response" }
control = { kind = "binary", source = "person", column = "control", missing = "exclude" }
os = { kind = "time_to_event", events = ["death"], until = "24 months", grid = "1 month" }
os_zero = { kind = "time_to_event", entry = "origin", events = ["death"], until = "24 months", grid = "1 month" }
os_days = { kind = "time_to_event", entry = "later of origin and test report", events = ["death"], until = "400 days", grid = "1 day" }
os_year = { kind = "time_to_event", entry = "origin", events = ["death"], until = "1 year", grid = "1 year" }
pfs = { kind = "time_to_event", entry = "later of origin and test report", events = ["progression", "death"], until = "700 days", grid = "2 months" }
pfs_zero = { kind = "time_to_event", entry = "origin", events = ["progression", "death"], until = "12 months", grid = "1 month" }

[diagnostics]
share = DIAGNOSTICS
"""  # noqa: E501  (TOML has no line breaks inside braces)

TWO_ARMS = 'treatment = "arm"\ntreated = "treated"\ncontrol = "control"\n'
ADULTS = 'trial = { eligibility = "adults" }'
IN_TIME = 'trial = { eligibility = "adults", grace = { start = "score", within = "3 months" } }'

COLUMNS = (
    '{ variable = "age", center = 60.0, scale = 12.0 }, { variable = "egfr", level = "mutated" }, '
    '{ variable = "egfr", unseen = true }, { variable = "score", unknown = true }'
)
LINEAR = packed([(np.array([[0.7, 1.1, -0.3, 0.2]]), np.array([-1.0]))])
DEEP = packed([(np.full((3, 4), 0.5), np.zeros(3)), (np.full((2, 3), -0.4), np.full(2, -1.0))])

FORMS: Mapping[str, tuple[str, ...]] = {
    "proportion": (
        'endpoint = "response"',
        'endpoint = "response"\nby = ["egfr"]',
        'endpoint = "control"\nby = ["egfr", "sex"]',
    ),
    "kaplan_meier": (
        'endpoint = "os"\nby = ["egfr"]',
        'endpoint = "os_zero"\nby = ["sex"]',
        'endpoint = "os_days"',
        'endpoint = "os_year"\nby = ["egfr"]',
        'endpoint = "pfs"\nby = ["egfr", "sex"]',
    ),
    "log_rank": ('endpoint = "os"\nby = ["egfr"]', 'endpoint = "os_zero"\nby = ["sex"]'),
    "competing_risks": (
        'endpoint = "pfs"\nby = ["egfr"]',
        'endpoint = "pfs"',
        'endpoint = "pfs_zero"\nby = ["sex"]',
    ),
    "regression": (
        'outcome = "response"\ncovariates = ["age", "egfr"]',
        'outcome = "response"\ncovariates = ["age", "score"]\nanswer = "prediction"\nrow_bound = 1.2',
        'outcome = "cost"\ncovariates = ["age", "sex"]',
        'outcome = "visits"\ncovariates = ["arm"]',
        'outcome = "score"\ncovariates = ["age", "arm"]',
    ),
    "cox": (
        'endpoint = "os"\ncovariates = ["age", "egfr"]\nexposure = "exposed"\nstrata = ["sex"]',
        'endpoint = "os_zero"\ncovariates = ["age", "arm"]\nrow_bound = 0.8\nlargest_hazard = 2.0',
        'endpoint = "os_days"\nexposure = "exposed"',
        'endpoint = "os"\ncovariates = ["age"]\nstrata = ["sex"]\nstratify_by_site = true',
    ),
    "parametric_survival": (
        'endpoint = "os"\nmodel = "weibull"\nby = ["egfr"]\nhorizon = "10 years"',
        'endpoint = "os_zero"\nmodel = "piecewise"\nbreaks = ["6 months"]',
    ),
    "delayed_entry": (
        'endpoint = "os"\ntested = "egfr"\nsplit = ["1 month", "3 months"]',
        'endpoint = "os"\ntested = "egfr"\nsplit = ["2 months"]\nat = ["1 year"]\nweights = ["sex", "arm"]',
    ),
    "mean": ('variable = "cost"\nby = ["egfr"]', 'variable = "score"'),
    "quantiles": (
        'variable = "age"\nby = ["sex"]\ncells = 16',
        'variable = "cost"\ncells = 256\nspacing = "growing"',
    ),
    "trimmed_mean": ('variable = "cost"', 'variable = "cost"\nby = ["egfr"]'),
    "counts": ('by = ["sex"]\nacross = "egfr"', 'by = ["egfr", "arm"]'),
    "rate": ('endpoint = "os"\nby = ["egfr"]', 'endpoint = "pfs_zero"\nper = 1000', 'endpoint = "os_days"'),
    "milestones": (
        'endpoint = "pfs_zero"\nat = ["3 months", "6 months"]\ncalendar = "started"\nas_of = 2025-12-31',
        'endpoint = "os"\nby = ["sex"]\nat = ["12 months"]',
    ),
    "utilisation": ('variable = "visits"\nby = ["sex"]\nindication = "reasons"', 'variable = "visits"'),
    "spend": ('variable = "cost"\nlimit = 1e9\nby = ["sex"]',),
    "adverse_events": ('variable = "harm"\nby = ["arm"]',),
    "monthly": (
        'calendar = "started"\nof = "cost"\nby = ["sex"]',
        'calendar = "started"',
        'calendar = "started"\nof = "response"',
    ),
    "interrupted_time_series": (
        'calendar = "started"\nchange = 2025-07-01\nof = "cost"',
        'calendar = "started"\nchange = 2025-07-01\nby = ["sex"]',
    ),
    "difference_in_differences": (
        (
            'of = "cost"\ncalendar = "started"\nchange = 2025-07-01\n'
            'group = "arm"\napplies = "treated"\ncompared = "control"'
        ),
    ),
    "by_site": ('variable = "cost"', 'variable = "response"'),
    "treatment_effect": (
        f'outcome = "response"\n{TWO_ARMS}covariates = ["age", "sex"]\nsubgroups = ["egfr"]\n{ADULTS}',
        f'outcome = "cost"\n{TWO_ARMS}covariates = ["age"]\n{ADULTS}',
        f'outcome = "os"\n{TWO_ARMS}covariates = ["age", "egfr"]\n{ADULTS}',
        f'outcome = "os_days"\ncovariates = ["egfr"]\n{IN_TIME}',
    ),
    "calibration": (
        'outcome = "response"\nscore = "risk"\nby = ["sex"]',
        'outcome = "control"\nbins = 4\ncoefficients = { intercept = -2, age = 0.02, "egfr=mutated" = 1.5 }',
    ),
    "model_evaluation": (
        (
            f'outcome = "response"\nmodel = {{ columns = [{COLUMNS}], numbers = "{LINEAR}", reach = 5.0 }}\n'
            'by = ["sex", "arm"]\ncalendar = "started"\ncells = ["egfr", "arm"]\n'
            "tiers = { cuts = [0.1, 0.3] }\nbins = 5\nsites = true"
        ),
        (
            f'outcome = "control"\ntime = "os"\nmodel = {{ columns = [{COLUMNS}], hidden = [3], '
            f'outputs = 2, link = "hazard", numbers = "{DEEP}" }}\ncuts = [0.2, 0.7]'
        ),
        'outcome = "response"\nscore = "risk"\ntiers = { shares = [0.5, 0.3, 0.2] }',
        'time = "os_zero"\ncoefficients = { intercept = -2, age = 0.02 }\nbins = 4',
        (
            f'time = "os_zero"\nmodel = {{ columns = [{COLUMNS}], hidden = [3], '
            f'outputs = 2, link = "hazard", numbers = "{DEEP}" }}\nbins = 4'
        ),
    ),
    "cross_moments": ('cost = "cost"\neffect = "score"\nby = ["arm"]', 'cost = "cost"\neffect = "response"'),
}
"""Kind of analysis to the questions that are asked of it, once a study can ask for the kind."""

TOGETHER = "together"
"""The study that asks the first question of every kind at once, with diagnostics: many blocks together."""


def study(kind: str, form: int, *, epsilon: float = 2.0) -> Study:
    """Return the study that asks one form of a kind, with the whole budget; or, of `TOGETHER`, all kinds.

    Args:
      kind: A key of `FORMS`, or `TOGETHER`.
      form: Which of its forms; 0 for `TOGETHER`.
      epsilon: Of the study.

    Raises:
      LookupError: the kind has no forms.
    """
    if kind == TOGETHER:
        asked = [(each, FORMS[each][0]) for each in KINDS if each in FORMS]
    elif kind in FORMS:
        asked = [(kind, FORMS[kind][form])]
    else:
        raise LookupError(
            f"the analysis {kind!r} has no neighbouring patients: write its forms down in {__name__}"
        )
    budget = int(10_000 / len(asked)) / 10_000
    parts = [f'[[analyses]]\nkind = "{each}"\n{text}\nbudget = {budget}\n' for each, text in asked]
    share = "0.15" if kind == TOGETHER else "0.0"
    measured = MEASURED.replace("EPSILON", repr(float(epsilon))).replace("DIAGNOSTICS", share)
    text = measured + "\n" + "\n".join(parts)
    return parse(text.encode(), where=f"{kind}, form {form}")
