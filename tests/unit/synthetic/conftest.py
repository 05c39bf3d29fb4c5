"""Worlds and people that several tests of the generator share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fedvalue.synthetic.hospitals import make_hospitals
from fedvalue.synthetic.people import People, draw
from fedvalue.synthetic.truth import Truth
from fedvalue.synthetic.world import World
from fedvalue.synthetic.worlds import demo_world


@pytest.fixture(scope="session")
def world() -> World:
    return demo_world()


@pytest.fixture(scope="session")
def crowd(world: World) -> People:
    """120,000 people of the demonstration's world, in proportion to the hospitals' sizes."""
    sizes = np.array([site.patients for site in world.hospitals])
    rng = np.random.default_rng(20260101)
    hospital = rng.choice(len(sizes), size=120_000, p=sizes / sizes.sum()).astype(np.int64)
    return draw(world, hospital, rng)


@pytest.fixture(scope="session")
def made(world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    """The demonstration's hospitals on disk, and their truth."""
    folder = tmp_path_factory.mktemp("federation")
    return folder, make_hospitals(world, folder, np.random.default_rng(7))
