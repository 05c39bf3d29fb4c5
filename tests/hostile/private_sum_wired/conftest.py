"""Five hospitals whose nodes answer in this process; homes are made once and copied for each attack."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.federation import Hospitals, make_hospitals
from tests.wired_federation import Wired


@pytest.fixture(scope="package")
def template(tmp_path_factory: pytest.TempPathFactory) -> Hospitals:
    """Hospitals that approved the private sum."""
    return make_hospitals(tmp_path_factory.mktemp("wired") / "homes", clear_sum=False)


@pytest.fixture
def hospitals(template: Hospitals, tmp_path: Path) -> Hospitals:
    """The same with homes of their own."""
    return template.copy(tmp_path / "homes")


@pytest.fixture
def wired(hospitals: Hospitals) -> Iterator[Wired]:
    """Their nodes, which have had their receipts."""
    with Wired(hospitals) as running:
        assert running.reopened() == {}
        yield running
