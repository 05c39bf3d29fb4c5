"""A world refuses parameters that no federation of hospitals could have."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from fedvalue.synthetic.world import Hospital, World
from fedvalue.synthetic.worlds import demo_world, three_sites_world


def test_the_demonstration_has_six_uneven_hospitals_and_about_two_thousand_patients(world: World) -> None:
    sizes = [hospital.patients for hospital in world.hospitals]
    assert len(sizes) == 6
    assert min(sizes) == 60
    assert max(sizes) >= 10 * min(sizes)
    everybody = world.patients * (1 + world.other_patients)
    assert 1500 <= everybody <= 2500


def test_shifts_between_hospitals_are_modest() -> None:
    for world in (demo_world(), three_sites_world()):
        assert all(abs(site.response_shift) <= 0.03 for site in world.hospitals)
        assert all(0.9 <= site.hazard_ratio <= 1.11 for site in world.hospitals)


def test_group_shares_add_to_one(world: World) -> None:
    # tested .72, of them mutated .60: .72 x .60 = .432, .72 x .40 = .288, the rest .28
    assert world.group_shares == pytest.approx((0.432, 0.288, 0.28))
    assert sum(world.group_shares) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"share_tested": 1.2}, "between 0 and 1"),
        ({"mean_delay": 0.0}, "above 0"),
        ({"drop_out": float("nan")}, "above 0"),
        ({"mean_delay": float("inf")}, "finite"),
        ({"other_patients": -0.1}, "finite"),
        ({"hospitals": ()}, "at least one hospital"),
        ({"hospitals": (Hospital("a", 5), Hospital("a", 6))}, "distinct"),
        ({"hospitals": (Hospital("a", 0),)}, "at least one patient"),
        ({"hospitals": (Hospital("../a", 5),)}, "names a folder"),
        ({"hospitals": (Hospital("a", 5, response_shift=0.5),)}, "first assessment"),
        ({"hospitals": (Hospital("a", 5, response_shift=-0.5),)}, "negative"),
        ({"last_start": date(2025, 12, 1)}, "183 days"),
        ({"first_start": date(2025, 12, 1)}, "183 days"),
    ],
)
def test_impossible_worlds_are_refused(world: World, change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(world, **change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"progression": 0.0}, "above 0"),
        ({"death": -1.0}, "above 0"),
        ({"monthly_cost": 0.0}, "above 0"),
        ({"complete": 1.5}, "between 0 and 1"),
    ],
)
def test_impossible_groups_are_refused(world: World, change: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(world, mutated=replace(world.mutated, **change))
