"""The benchmark harness: which measurement counts, what is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import harness
from benchmarks.row import Row


class Counted:
    """A row that finds these ratios, one after the other."""

    AT_LEAST = 2.0
    SEEDED = False

    def __init__(self, ratios: list[float]) -> None:
        self.ratios = ratios
        self.folders: list[Path] = []

    def measure(self, folder: Path) -> Row:
        assert not any(folder.iterdir())
        self.folders.append(folder)
        ratio = self.ratios[len(self.folders) - 1]
        return Row(ours=1.0, other=ratio, ratio=ratio, unit="s", how="made up")


def test_of_three_measurements_the_middle_one_counts() -> None:
    row = Counted([9.0, 1.0, 4.0])
    assert harness.measured(row, Console(quiet=True)).ratio == 4.0
    assert not any(folder.exists() for folder in row.folders)


def test_what_measures_no_time_and_draws_the_same_is_measured_once() -> None:
    row = Counted([4.0])
    row.SEEDED = True
    assert harness.measured(row, Console(quiet=True)).ratio == 4.0


def test_every_key_is_a_module_with_a_measurement_and_a_bar() -> None:
    assert "round_vs_ray" in harness.every_key()
    for key in harness.every_key():
        module = harness.row_module(key)
        least, most = harness.bars(module)
        assert (least > 0.0) != (most < float("inf")), key
        assert callable(module.measure)


def test_a_bar_is_the_least_or_the_largest_ratio() -> None:
    assert harness.bars(Counted([1.0])) == (2.0, float("inf"))
    assert harness.bars(harness.row_module("sampler_us")) == (0.0, 1.0)


def test_a_key_that_is_no_row_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as refusal:
        harness.main(["--key", "nonsense", "--out", str(tmp_path / "bench.json")])
    assert refusal.value.code == 2
    assert not (tmp_path / "bench.json").exists()
