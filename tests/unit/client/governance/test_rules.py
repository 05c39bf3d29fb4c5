"""What the policy's newer lines refuse: limits, hours, populations, partitions, architectures, offices."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fedvalue.client.governance.approvals import approve, approved, examine, in_force
from fedvalue.client.governance.opening_partitions import open_named
from fedvalue.client.governance.policy import Budget, Opening, Policy, Population
from fedvalue.client.governance.populations import touches
from fedvalue.client.home import SiteHome
from fedvalue.errors import BudgetSpent, LedgerError, OutsideValidity, PolicyForbids, StudyInvalid
from fedvalue.planning.plan import make_plan
from fedvalue.study.file import digest
from fedvalue.study.toml import parse_toml
from tests.agreement import FULL, SMALL, study
from tests.federation import NOON, load_records
from tests.unit.client.governance.conftest import Desk

People = Callable[[str, str], dict[str, str]]


@pytest.mark.parametrize(
    ("limits", "said", "line"),
    [
        ({"epsilon": 3.9}, "one study may have 3.9", "limits.epsilon"),
        ({"min_released_patients": 6}, "groups of 5 released patients", "limits.min_released_patients"),
        ({"numbers": 35}, "a release holds 36 numbers, 35 is the most", "limits.numbers"),
    ],
)
def test_a_study_past_a_limit_is_refused_by_its_line(
    desk: Desk, limits: dict[str, float], said: str, line: str
) -> None:
    with pytest.raises(PolicyForbids) as refused:
        examine(desk.under(limits=limits), desk.study, desk.roster, unsafe=())
    assert said in refused.value.what
    assert refused.value.where == f"policy.toml {line}"
    # at the limit it passes: 36 numbers, epsilon 4, groups of 5
    at = {"epsilon": 4.0, "min_released_patients": 5, "numbers": 36, "releases": 1}
    examine(desk.under(limits=at), desk.study, desk.roster, unsafe=())


def test_an_architecture_that_is_not_named_is_refused(desk: Desk) -> None:
    plan = make_plan(desk.study, desk.roster)
    architecture = SimpleNamespace(kind="transformer")
    asked = SimpleNamespace(kind="mean", architecture=architecture, tells_of_sites=lambda: False)
    training = SimpleNamespace(
        analyses=(asked,), governance=desk.study.governance, federation=desk.study.federation,
        privacy=desk.study.privacy,
    )  # fmt: skip

    def findings(**changes: object) -> list[str]:
        policy = Policy.model_validate({**desk.home.policy.model_dump(), **changes})
        return [found.policy for found in policy.findings(training, plan, clear_sum=False)]  # type: ignore[arg-type]

    assert findings() == []
    assert findings(architectures=["mlp"]) == ["architectures"]
    assert findings(architectures=[]) == ["architectures"]
    assert findings(architectures=["mlp", "transformer"]) == []


@pytest.mark.parametrize(
    ("start", "until", "days", "inside", "outside"),
    [
        ("08:00", "18:00", ("sun",), (2026, 3, 1, 8, 0), (2026, 3, 1, 18, 0)),  # 1 March 2026 is a Sunday
        ("08:00", "18:00", ("sun",), (2026, 3, 1, 17, 59), (2026, 3, 2, 12, 0)),
        (
            "20:00",
            "06:00",
            ("sun",),
            (2026, 3, 2, 5, 59),
            (2026, 3, 2, 20, 0),
        ),  # the night that began on Sunday
        ("20:00", "06:00", ("sun",), (2026, 3, 1, 20, 0), (2026, 3, 1, 5, 0)),
    ],
)
def test_hours_include_their_first_minute_and_not_their_last_and_a_night_belongs_to_its_evening(
    start: str, until: str, days: tuple[str, ...], inside: tuple[int, ...], outside: tuple[int, ...]
) -> None:
    hours = Opening.model_validate({"start": start, "until": until, "days": days})
    assert hours.includes(datetime(*inside, tzinfo=UTC))  # type: ignore[misc, arg-type]  # year to minute
    assert not hours.includes(datetime(*outside, tzinfo=UTC))  # type: ignore[misc, arg-type]  # as above


def test_outside_its_hours_a_site_answers_nothing(desk: Desk) -> None:
    # noon in UTC is 20:00 in Shanghai
    home = desk.under(opening=[{"start": "08:00", "until": "20:00", "zone": "Asia/Shanghai"}])
    with pytest.raises(OutsideValidity, match="other hours"):
        in_force(desk.study, home)
    in_force(desk.study, desk.under(opening=[{"start": "20:00", "until": "06:00", "zone": "Asia/Shanghai"}]))


@settings(max_examples=40, deadline=None)
@given(name=st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=20))
def test_a_policy_with_every_line_reads_back_from_its_file(name: str) -> None:
    whole = {
        "site": "s01", "entity": name, "operator": name, "budget": {"epsilon": 4.0, "delta": 1e-6},
        "architectures": ["logistic"], "partitions": {"2027": {"epsilon": 1.0, "delta": 1e-6}},
        "populations": [{"name": "lung", "codes": ["C34*"], "epsilon": 2.0}],
        "limits": {"epsilon": 2.0, "min_released_patients": 9, "releases": 3, "numbers": 70},
        "caps": {"threads": 1, "memory": "512MiB"}, "four_eyes": True, "approval_days": 9,
        "consent": "recorded",
        "opening": [{"days": ["mon"], "start": "20:00", "until": "06:00", "zone": "Asia/Shanghai"}],
        "people": [{"name": name, "role": "second", "key": "ab" * 32}], "confirmed": {name: "ab" * 16},
    }  # fmt: skip
    policy = Policy.model_validate(whole)
    text = policy.to_toml()
    again = parse_toml(text.encode(), Policy, failure=StudyInvalid, what="x", where="x", do="")
    assert again == policy
    assert again.digest() == policy.digest()


def test_a_policy_without_the_newer_lines_has_the_hash_that_it_had_before_them() -> None:
    # computed by the version of commit 1624799; approvals made under it stay good
    old = {"site": "s01", "entity": "x", "operator": "x", "analyses": ["mean", "cox"]}
    policy = Policy.model_validate({**old, "budget": {"epsilon": 4.0, "delta": 1e-6}})
    assert policy.digest() == "6f0e3424eb0e84e480b70954ef6a629c24850b22d328af32adb431c77f3184d2"


def test_a_zone_a_partition_or_an_office_that_is_none_is_refused(desk: Desk, person: People) -> None:
    given = desk.home.policy.model_dump()
    wrong: tuple[dict[str, object], ...] = (
        {"opening": [{"start": "08:00", "until": "18:00", "zone": "Mars/Olympus"}]},
        {"partitions": {"next year": {"epsilon": 1.0, "delta": 1e-6}}},
        {"people": [person("a", "audit"), person("a", "system")]},
        {"four_eyes": True},
        {"populations": [{"name": "a", "codes": ["C34*"], "epsilon": 1.0}] * 2},
    )
    for change in wrong:
        with pytest.raises(ValidationError):
            Policy.model_validate({**given, **change})


@pytest.mark.parametrize(
    ("codes", "expected"),
    [(("C34*",), True), (("C34.1",), True), (("C*",), True), (("C50*",), False), (("L01EB02",), True)],
)
def test_a_study_touches_a_population_if_its_cohort_is_made_by_codes_of_it(
    codes: tuple[str, ...], expected: bool
) -> None:
    # FULL: first L01EB*, with a condition C34*
    assert touches(study(text=FULL), Population(name="p", codes=codes, epsilon=1.0)) is expected
    # SMALL takes every patient of the table
    assert touches(study(text=SMALL), Population(name="p", codes=codes, epsilon=1.0))


def test_all_studies_of_a_population_stay_within_its_budget_together(desk: Desk) -> None:
    lung = [{"name": "lung", "codes": ["C34*"], "epsilon": 5.0}]
    home = desk.under(populations=lung)
    approve(home, desk.study, desk.roster, unsafe=())  # epsilon 4 of 5
    again = study(('"Dr. Example"', '"Dr. Other"'), text=SMALL)
    with pytest.raises(BudgetSpent, match="all studies of lung would take epsilon") as refused:
        examine(home, again, desk.roster, unsafe=())
    assert refused.value.where == "policy.toml populations"
    examine(home, desk.study, desk.roster, unsafe=())  # the first one is not counted twice
    # a study whose file is gone counts as touching everybody
    (home.study_folder(digest(desk.study)) / "study.json").unlink()
    with pytest.raises(BudgetSpent):
        examine(home, again, desk.roster, unsafe=())


def test_a_partition_opens_with_the_budget_that_the_policy_names_and_keeps_it(desk: Desk) -> None:
    named = {"2027": {"epsilon": 1.5, "delta": 1e-6}}
    home = desk.under(partitions=named)
    next_year = SiteHome.open(home.folder, lambda: NOON.replace(year=2027))
    load_records(next_year, 31)
    with next_year.ledger() as ledger:
        budgets = {account.name: account.budget.epsilon for account in ledger.accounts()}
        assert budgets == {"2026": 40.0, "2027": 1.5}
        open_named(ledger, next_year.policy, 2027)  # a second load changes nothing
        raised = next_year.policy.model_copy(update={"partitions": {"2027": Budget(epsilon=9.0, delta=1e-6)}})
        with pytest.raises(LedgerError, match=r"open with epsilon 1.5, for life"):
            open_named(ledger, raised, 2027)


def test_only_people_of_the_named_partition_are_counted(desk: Desk) -> None:
    next_year = SiteHome.open(desk.home.folder, lambda: NOON.replace(year=2027))
    load_records(next_year, 37)  # seven more than the year before
    approve(
        next_year,
        study(("2026-12-31", "2030-12-31"), text=SMALL),
        desk.roster,
        unsafe=(),
        partitions=("2027",),
    )
    found = approved(next_year, digest(study(("2026-12-31", "2030-12-31"), text=SMALL)))
    assert found.cohort(next_year).patients == 7
