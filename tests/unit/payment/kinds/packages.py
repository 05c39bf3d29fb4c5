"""Sealed evidence of three made-up sites for any study: what the sites' patients sum to, without noise added.

The noise variance is that of three shares, as the plan says; leaving the noise itself out keeps numbers
readable.
"""

from __future__ import annotations

import numpy as np

from fedvalue.analyses.analysis import NoisyBlock, NoisySum
from fedvalue.analyses.cohort import BinaryOutcome, Cohort, SurvivalOutcome
from fedvalue.evidence import records
from fedvalue.evidence.package import EvidencePackage, ReleaseRecord
from fedvalue.planning.concluding import conclude_all
from fedvalue.planning.plan import PlannedRelease, make_plan
from fedvalue.privacy.release import LOG2_SCALE
from fedvalue.study import file as study_file
from fedvalue.study.schema import Study
from tests.unit.evidence.rounds import transcript_of
from tests.unit.evidence.sealed import SITES, package_of, roster, site_key

HEAD = """
[study]
id = "ID"
title = { en = "A study", zh = "研究" }
question = { en = "QUESTION", zh = "问题" }
principal_investigator = "A. Researcher"
valid = { from = 2026-01-01, until = 2027-12-31 }
[privacy]
unit = "patient"
epsilon = 8.0
delta = 1e-6
patient_cap = 100000
max_sites_per_patient = { value = 1, basis = "declared disjoint" }
[federation]
min_sites = 3
tolerated_dropouts = 0
min_released_patients = 20
[governance]
profile = "none"
[cohort]
index = { first = "drug", codes = ["L01*"] }
[diagnostics]
share = 0
"""

CAR_T = """
[endpoints.efs]
kind = "time_to_event"
events = ["relapse", "death"]
until = "400 days"
grid = "10 days"
entry = "origin"
[[analyses]]
kind = "kaplan_meier"
endpoint = "efs"
budget = 1.0
[[payments]]
standard = "blood/car_t_instalments"
mechanism = "instalments"
purpose = "set"
uses = "efs"
"""

PANEL = """
[variables.tier]
person = "tier"
levels = ["low", "medium", "high"]
[variables.annual_cost]
person = "annual_cost"
clip = [0.0, 40000.0]
unit = "CNY"
[endpoints.hba1c]
kind = "binary"
source = "person"
column = "controlled"
[endpoints.admitted]
kind = "binary"
source = "person"
column = "admitted"
missing = "exclude"
[[analyses]]
kind = "proportion"
endpoint = "hba1c"
budget = 0.2
[[analyses]]
kind = "proportion"
endpoint = "admitted"
budget = 0.2
[[analyses]]
kind = "mean"
variable = "annual_cost"
by = ["tier"]
budget = 0.6
[[payments]]
standard = "diabetes/capitation_risk_tiers"
mechanism = "capitation"
purpose = "set"
uses = "control: hba1c; admissions: admitted; COSTS"
""".replace("COSTS", "; ".join(f"cost_{t}: annual_cost | tier={t}" for t in ("low", "medium", "high")))

GATE = """
[variables.arm]
person = "arm"
levels = ["targeted", "usual"]
[variables.total_cost]
person = "total_cost"
clip = [0.0, 400000.0]
unit = "CNY"
[variables.qaly]
person = "qaly"
clip = [0.0, 5.0]
unit = "QALY"
[endpoints.response]
kind = "binary"
source = "person"
column = "response"
[[analyses]]
kind = "cross_moments"
cost = "total_cost"
effect = "qaly"
by = ["arm"]
compare = true
budget = 1.0
[[payments]]
standard = "lung/targeted_therapy_icer_gate"
mechanism = "icer_gate"
purpose = "set"
uses = "cost: total_cost; effect: total_cost"
"""


def study(body: str, name: str = "a-study", question: str = "Does it keep its promise?") -> Study:
    """A study with this body."""
    text = HEAD.replace("ID", name, 1).replace("QUESTION", question) + body
    return study_file.parse(text.encode(), where="study.toml")


def sealed_from(asked: Study, cohort: Cohort) -> EvidencePackage:
    """Run the whole plan on one cohort, as if three sites held it, and seal what comes out."""
    plan = make_plan(asked, roster())
    made: list[ReleaseRecord] = []

    def opened(release: PlannedRelease, public: bytes) -> NoisySum:
        total = release.contribution(cohort, public)
        signed = transcript_of(plan, release, total, SITES, site_key, public=public, number=len(made) + 1)
        made.append(records.release_record(plan, release, total=total, transcript=signed))
        noise = float(len(SITES) * 4**LOG2_SCALE)
        return {n: NoisyBlock(total[where], gamma, noise) for n, (where, gamma) in release.slices().items()}

    conclusions = conclude_all(plan, opened)
    return package_of(asked, plan, tuple(made), conclusions)


def survivors(n: int, yearly: float, rng: np.random.Generator) -> Cohort:
    """Exponential event-free survival with this probability at a year; censored at 400 days."""
    days = rng.exponential(-365.25 / np.log(yearly), n)
    event = (days < 400).astype(np.int64)
    outcome = SurvivalOutcome(np.zeros(n), np.minimum(days, 400.0), event)
    return Cohort(n, survival={"efs": outcome})


def members(n: int, control: float, admitted: float, rng: np.random.Generator) -> Cohort:
    """Members in three tiers of 60, 30 and 10 %, with costs around 5,000, 8,000 and 15,000."""
    tier = rng.choice(3, n, p=(0.6, 0.3, 0.1))
    cost = np.array([5000.0, 8000.0, 15000.0])[tier] * rng.gamma(4.0, 0.25, n)
    return Cohort(
        n,
        categories={"tier": tier.astype(np.int64)},
        numbers={"annual_cost": cost},
        binary={
            "hba1c": BinaryOutcome((rng.random(n) < control).astype(np.int64)),
            "admitted": BinaryOutcome((rng.random(n) < admitted).astype(np.int64)),
        },
    )


def arms(n: int, cost: float, effect: float, rng: np.random.Generator) -> Cohort:
    """Two arms of equal size; the first costs and brings more by these means."""
    arm = np.arange(n) % 2
    first = arm == 0
    total = 120_000 + cost * first + rng.normal(0, 40_000, n)
    qaly = 1.5 + effect * first + rng.normal(0, 0.8, n)
    return Cohort(
        n, categories={"arm": arm.astype(np.int64)}, numbers={"total_cost": total, "qaly": qaly},
        binary={"response": BinaryOutcome(np.ones(n, dtype=np.int64))},
    )  # fmt: skip
