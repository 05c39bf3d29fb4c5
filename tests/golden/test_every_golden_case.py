"""Every golden payment case is held by a test that a page of evidence names, and every such test exists."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest


@pytest.fixture
def cases(repository: Path) -> dict[str, list[str]]:
    """Case to tests, from docs/evidence/golden-payment.md."""
    found = {}
    for line in (
        (repository / "docs" / "evidence" / "golden-payment.md").read_text(encoding="utf-8").splitlines()
    ):
        if (row := re.match(r"\| `(\w+)` \|", line)) is not None:
            found[row[1]] = re.findall(r"`(tests/[\w/]+\.py::\w+)`", line)
    return found


def test_every_test_that_the_page_names_exists(repository: Path, cases: dict[str, list[str]]) -> None:
    for case, tests in cases.items():
        assert tests, case
        for name in tests:
            file, _, function = name.partition("::")
            assert f"def {function}(" in (repository / file).read_text(encoding="utf-8"), name


def test_every_case_of_the_data_folder_is_on_the_page(shared_data: Path, cases: dict[str, list[str]]) -> None:
    for file in ("golden_payment_cases.json", "cea_expected.json"):
        there = json.loads((shared_data / "payment" / file).read_text())
        assert {name for name, value in there.items() if isinstance(value, dict | list)} <= cases.keys(), file
    assert {f"T{n}" for n in (8, 10, 11, 12, 13, 14)} <= cases.keys()
