"""What every made-up study begins with; a test writes what it is about."""

from __future__ import annotations

HEAD = """
[study]
id = "%(name)s"
title = { en = "%(title)s" }
question = { en = "What does a test ask?" }
principal_investigator = "A. Researcher"
valid = { from = 2020-01-01, until = 2036-12-31 }
[privacy]
unit = "patient"
epsilon = %(epsilon)s
delta = 1e-6
patient_cap = %(cap)s
max_sites_per_patient = { value = 1, basis = "declared disjoint" }
[federation]
min_sites = 3
min_released_patients = %(released)s
[governance]
profile = "none"
[cohort]
index = { first = "patient" }
"""


def head(
    name: str, *, title: str = "Made up", epsilon: float = 8.0, cap: int = 10_000, released: int = 20
) -> str:
    """Return the parts of a study before its variables; it ends within ``[cohort]``.

    Args:
      name: The study's id.
      title: Its English title.
      epsilon: Its privacy budget.
      cap: Its ``patient_cap``.
      released: Patients below which nothing of a group is printed.
    """
    return HEAD % {"name": name, "title": title, "epsilon": epsilon, "cap": cap, "released": released}
