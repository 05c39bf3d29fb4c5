"""What a variable can be made of: what is refused, what is derived, and old studies keep their hashes."""

from __future__ import annotations

from datetime import date

import pytest
from pydantic import ValidationError

from fedvalue.study.cohort import Variable
from fedvalue.study.endpoints import Binary
from fedvalue.study.file import canonical
from fedvalue.study.sources import day_number
from tests.agreement import study

VARIANTS = [
    {"level": "EGFR L858R", "gene": "EGFR", "classes": ["L858R"]},
    {"level": "KRAS", "gene": "KRAS"},
]
DAYS = {"within": "0d..9d"}
YEAR = (date(2025, 1, 1), date(2025, 12, 31))


def test_a_calendar_day_is_a_number_between_its_two_days() -> None:
    variable = Variable.model_validate({"calendar": "index", "between": YEAR})
    # 2025-01-01 is 55 years of 365 days and 14 leap days after 1970-01-01
    assert variable.clip == (55 * 365 + 14, 55 * 365 + 14 + 364)
    assert variable.unit == "days since 1970-01-01"
    assert Variable.model_validate_json(variable.model_dump_json()) == variable
    assert day_number(date(1970, 1, 2)) == 1.0


def test_variants_know_their_genes_once_each() -> None:
    levels = ["EGFR L858R", "KRAS", "other", "not tested"]
    variable = Variable.model_validate({"variants": [*VARIANTS], "levels": levels})
    assert variable.genes == ("EGFR", "KRAS")
    assert Variable.model_validate({"person": "sex", "levels": ["f", "m"]}).genes == ()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"calendar": "index"}, "calendar takes between"),
        ({"calendar": "index", "between": YEAR, "clip": [0.0, 9.0], "unit": "d"}, "and no clip"),
        ({"calendar": "index", "between": YEAR[::-1]}, "lowest < highest"),
        ({"person": "age", "clip": [0.0, 9.0], "unit": "y", "between": YEAR}, "nothing else does"),
        ({"count": {"of": "claim", "codes": ["A"], **DAYS}, "clip": [0, 9], "unit": "n"}, "no codes"),
        ({"count": {"of": "drug", "gene": "EGFR", **DAYS}, "clip": [0, 9], "unit": "n"}, "only tests"),
        ({"count": {"of": "drug", **DAYS}, "levels": ["a"]}, "takes a clip"),
        ({"grade": {"within": "0d..9d"}, "levels": ["none", "1"]}, "a grade has the levels"),
        ({"person": "a", "count": {"of": "drug", **DAYS}, "clip": [0, 9], "unit": "n"}, "one source"),
        ({"variants": VARIANTS, "levels": ["EGFR L858R", "KRAS"]}, "levels are those of variants"),
        ({"person": "a", "levels": ["x", "y"], "merge_into": {"x": "z", "z": "x"}}, "circle"),
        ({"person": "a", "levels": ["x", "y"], "merge_into": {"q": "z"}}, "'q' is no level"),
        ({"person": "a", "clip": [0, 9], "unit": "n", "merge_into": {"q": "z"}}, "with levels"),
        ({"person": "a", "clip": [-1e300, 1e300], "unit": "n"}, "clip lies within"),
        ({"person": "a", "clip": [1.0, 1.0 + 2e-16], "unit": "n"}, "too narrow"),
    ],
)  # fmt: skip
def test_what_is_refused_says_why(given: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Variable.model_validate(given)


@pytest.mark.parametrize(
    "given",
    [
        {"source": "readmission"},
        {"source": "readmission", "within_days": 30},
        {"source": "person", "column": "x", "within_days": 30},
        {"source": "readmission", "within_days": 30, "missing": "exclude", "column": "x"},
        {"source": "person", "column": "x", "planned": ("Z51*",)},
    ],
)
def test_a_return_to_hospital_needs_its_days_and_excludes_who_was_never_there(
    given: dict[str, object],
) -> None:
    with pytest.raises(ValidationError, match=r"readmission|never in hospital"):
        Binary.model_validate({"kind": "binary", **given})


def test_a_study_that_asks_for_none_of_it_has_the_canonical_form_it_had() -> None:
    # an approval is of a hash: a new source must not change the hash of a study without it
    text = canonical(study()).decode()
    for key in ("variants", "count", "grade", "calendar", "between", "merge_into", "within_days", "planned"):
        assert f'"{key}"' not in text
