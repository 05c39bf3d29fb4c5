"""What hospitals, researchers and payer agree on, made up for tests: studies, rosters and fixed keys."""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedvalue.study.file import parse
from fedvalue.study.roster import Roster, Site
from fedvalue.study.schema import Study
from fedvalue.study.signature import public_hex

FULL = """
[study]
id = "egfr-first-line-2026"
title = { en = "EGFR-guided first-line therapy", zh = "EGFR 检测指导一线治疗" }
question = { en = "Does testing before treatment keep 6-month response high enough?" }
principal_investigator = "Dr. Example"
valid = { from = 2026-01-01, until = 2027-12-31 }

[privacy]
unit = "patient"
epsilon = 2.0
delta = 1e-6
patient_cap = 100000
max_sites_per_patient = { value = 3, basis = "assumed" }

[federation]
min_sites = 5
colluding_sites = 1
tolerated_dropouts = 1
min_released_patients = 50

[governance]
profile = "eu"
purpose = "payment standard for EGFR-guided therapy"
legal_basis = { hospital = "research exemption", payer = "statutory task" }
ethics = [{ site = "*", approval = "EC-2026-014", consent = "broad" }]
impact_assessment = "DPIA-2026-7"
data_use_agreement = "DUA-2026-3"
accountable_officer = "chief data officer"
retention = "10 years"
server_location = "DE"
foreign_recipients = false

[cohort]
index = { first = "drug", codes = ["L01EB*"] }
require = [{ condition = ["C34*"], within = "-365d..0d" }]
exclude = [{ drug = ["L01EB*"], within = "-365d..-1d" }]

[variables]
sex = { person = "sex", levels = ["female", "male"] }
cost = { claims = "total_paid", window = "0d..365d", clip = [0, 400000], unit = "CNY" }

[variables.egfr]
variant = { gene = "EGFR", classes = ["L858R", "ex19del"] }
levels = ["mutated", "wild type", "not tested"]

[endpoints]
response_6m = { kind = "binary", source = "response", method = "clinician", what = "best by day 183" }
pfs = { kind = "time_to_event", events = ["progression", "death"], until = "24 months", grid = "1 month" }

[diagnostics]
share = 0

[[analyses]]
kind = "proportion"
endpoint = "response_6m"
by = ["egfr"]
budget = 0.5

[[analyses]]
kind = "kaplan_meier"
endpoint = "pfs"
by = ["egfr"]
at = ["6 months", "12 months"]
budget = 0.5

[[payments]]
standard = "lung/egfr_tki_outcome_linked"
mechanism = "outcome_linked_cohort"
purpose = "set"
uses = "response_6m | egfr=mutated"
"""
"""Every kind of block that a study may hold."""

SMALL = """
[study]
id = "small"
title = { en = "Small" }
question = { en = "How many respond?" }
principal_investigator = "Dr. Example"
valid = { from = 2026-01-01, until = 2026-12-31 }

[privacy]
unit = "patient"
epsilon = 4.0
delta = 1e-6
patient_cap = 10000
max_sites_per_patient = { value = 1, basis = "declared disjoint" }
spare_attempts = 1

[federation]
min_sites = 3
colluding_sites = 1
tolerated_dropouts = 0
min_released_patients = 5

[governance]
profile = "none"

[cohort]
index = { first = "patient" }

[variables]
egfr = { person = "egfr", levels = ["mutated", "wild type"] }

[endpoints]
responded = { kind = "binary", source = "person", column = "responded" }
os = { kind = "time_to_event", events = ["death"], until = "12 months", grid = "3 months" }

[diagnostics]
share = 0

[[analyses]]
kind = "proportion"
endpoint = "responded"
by = ["egfr"]
budget = 0.5

[[analyses]]
kind = "kaplan_meier"
endpoint = "os"
by = ["egfr"]
budget = 0.5
"""
"""What three sites with one table each can answer, with one spare attempt."""


def changed(text: str, *changes: tuple[str, str]) -> bytes:
    """Return a study file with parts of ``text`` replaced; each part must be there exactly once."""
    for old, new in changes:
        if text.count(old) != 1:
            raise ValueError(f"{old!r} is there {text.count(old)} times")
        text = text.replace(old, new)
    return text.encode()


def study(*changes: tuple[str, str], text: str = FULL) -> Study:
    """Return a validated study, with parts of its file replaced."""
    return parse(changed(text, *changes), where="study.toml")


def key(name: str) -> Ed25519PrivateKey:
    """Return the key of that name, the same in every test."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


def site(name: str) -> Site:
    """Return a site whose keys are ``key("site " + name)`` and ``key("officer " + name)``."""
    return Site(
        id=name,
        entity=f"Hospital {name}",
        operator=f"Hospital {name}",
        public_key=public_hex(key(f"site {name}")),
        officer_key=public_hex(key(f"officer {name}")),
    )


def roster(count: int) -> Roster:
    """Return the sites ``s01``, ``s02``, ..."""
    return Roster(site=tuple(site(f"s{number:02d}") for number in range(1, count + 1)))
