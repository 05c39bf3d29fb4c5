"""One hospital's home, with records, and what an officer has on the desk."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fedvalue.client.home import SiteHome
from fedvalue.study.roster import Roster
from fedvalue.study.schema import Study
from fedvalue.study.signature import public_hex
from tests.agreement import SMALL, key, site, study
from tests.federation import NOON, make_home

THREE = study(text=SMALL)


@dataclass(frozen=True, slots=True)
class Desk:
    """A simulated hospital and a study that it may approve."""

    home: SiteHome
    study: Study
    roster: Roster

    def under(self, **changes: Any) -> SiteHome:
        """Return the home with another policy on the disk."""
        policy = type(self.home.policy).model_validate({**self.home.policy.model_dump(), **changes})
        self.home.policy_file.write_text(policy.to_toml(), encoding="utf-8")
        return SiteHome.open(self.home.folder, lambda: NOON)


@pytest.fixture(scope="package")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_home(tmp_path_factory.mktemp("governance"), "s01", patients=30).folder


@pytest.fixture
def desk(made: Path, tmp_path: Path) -> Desk:
    home = SiteHome.open(Path(shutil.copytree(made, tmp_path / "s01")), lambda: NOON)
    return Desk(home, THREE, Roster(site=(home.card(), site("s02"), site("s03"))))


@pytest.fixture
def person() -> Callable[[str, str], dict[str, str]]:
    """Makes a line of people: a name, an office, and the key of that name."""

    def line(name: str, role: str) -> dict[str, str]:
        return {"name": name, "role": role, "key": public_hex(key(name))}

    return line
