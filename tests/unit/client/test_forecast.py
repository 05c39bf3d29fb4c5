"""A programme of studies over years, played through."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedvalue.client.governance.books import Account
from fedvalue.client.governance.forecast import Programme, YearlyStudy, forecast, load_programme
from fedvalue.errors import StudyInvalid
from fedvalue.privacy.accounting import Budget, Price, rho_units_for

BUDGET = Budget(2.0, 1e-6)


def programme(years: int = 5, **study: object) -> Programme:
    given = {"name": "outcomes", "epsilon": 0.5, "delta": 1e-6, **study}
    return Programme.model_validate({"years": years, "study": [given]})


def test_each_partition_lasts_as_many_studies_as_its_budget_holds() -> None:
    # 0.5 costs 0.0066 zCDP and 2 buys 0.0882: thirteen studies. At three a year the first partition bears
    # 3 + 3 + 3 + 3 + 1 and is exhausted in the fifth year; the others go on.
    assert BUDGET.rho_units // rho_units_for(0.5, 1e-6) == 13
    found = forecast(programme(per_year=3), BUDGET, (), 2026)
    assert [p.name for p in found.partitions] == ["2026", "2027", "2028", "2029", "2030"]
    assert [p.answered for p in found.partitions] == [13, 12, 9, 6, 3]
    assert [(p.exhausted, p.by) for p in found.partitions][:2] == [(2030, "outcomes"), (None, None)]
    assert [(y.whole, y.partly, y.refused) for y in found.years] == [(3, 0, 0)] * 4 + [(1, 2, 0)]
    assert found.partitions[0].epsilon_after <= 2.0


def test_what_was_spent_and_reserved_counts_from_the_start() -> None:
    half = Price.plain(rho_units_for(2.0, 1e-6) // 2)
    account = Account("2025", BUDGET, "2025-02-01T00:00:00+00:00", spent=half, reserved=half)
    found = forecast(programme(1), BUDGET, (account,), 2026)
    old, new = found.partitions
    assert (old.answered, old.exhausted, new.answered) == (0, 2026, 1)
    assert old.epsilon_before == pytest.approx(2.0)
    assert found.years[0].partly == 1


def test_a_lost_partition_bears_nothing_and_hinders_nobody() -> None:
    account = Account("2026", BUDGET, "2026-02-01T00:00:00+00:00", lost=True)
    found = forecast(programme(1), BUDGET, (account,), 2026)
    assert [(p.name, p.answered) for p in found.partitions] == [("2026", 0), ("2026", 1)]
    assert found.years[0].whole == 1


def test_a_study_of_recent_years_spares_the_old_partitions() -> None:
    found = forecast(programme(4, years_back=1), BUDGET, (), 2026)
    assert [p.answered for p in found.partitions] == [1, 1, 1, 1]


def test_a_study_runs_only_in_its_years_and_is_charged_as_often_as_said() -> None:
    found = forecast(programme(4, first_year=2027, last_year=2028, times_charged=13), BUDGET, (), 2026)
    assert [y.asked for y in found.years] == [0, 1, 1, 0]
    # One study at thirteen times its price leaves nothing for a second one.
    assert [p.answered for p in found.partitions] == [1, 1, 1, 0]
    assert found.partitions[0].exhausted == 2028


def test_a_study_that_no_partition_can_bear_is_refused() -> None:
    found = forecast(programme(1, epsilon=3.0), BUDGET, (), 2026)
    assert found.years[0].refused == 1


def test_a_budget_for_sampled_releases_is_played_through_its_own_filter() -> None:
    found = forecast(programme(1, per_year=20), Budget(2.0, 1e-6, admits_sampled=True), (), 2026)
    assert found.partitions[0].answered == 12


def test_a_programme_file_is_read_strictly(tmp_path: Path) -> None:
    path = tmp_path / "programme.toml"
    path.write_text('years = 3\n[[study]]\nname = "a"\nepsilon = 0.5\ndelta = 1e-6\nper_year = 2\n')
    study = YearlyStudy(name="a", epsilon=0.5, delta=1e-6, per_year=2)
    assert load_programme(path) == Programme(years=3, study=(study,))
    for bad in ("years = 3\n", path.read_text() + "colour = 1\n", path.read_text() + path.read_text()[10:]):
        (tmp_path / "bad.toml").write_text(bad)
        with pytest.raises(StudyInvalid, match="programme"):
            load_programme(tmp_path / "bad.toml")
