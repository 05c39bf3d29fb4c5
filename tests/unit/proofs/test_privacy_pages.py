"""The pages of the audit and of the neighbouring patients say what was broken, and what was not caught."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fedvalue.study.schema import KINDS
from proofs.harness import Found
from proofs.keys import audit, neighbours
from proofs.likelihood_ratio import Vector
from proofs.neighbour_forms import FORMS, TOGETHER

TRIALS = 1_000_000


def row(name: str, noise: float) -> Found:
    """One row of the audit, the pipeline replaced by Gaussian noise of a share of the promised deviation."""
    setting = audit.KEPT[name][0] if name in audit.KEPT else audit.PLANTED
    promise = setting.promise(setting.release(9))
    rng = np.random.default_rng(5)

    def look(patient: bool) -> Vector:
        drawn = np.rint(rng.normal(0.0, noise * promise.deviation, TRIALS)).astype(np.int64)
        return drawn + promise.distance * patient

    return audit.audited(setting, TRIALS, look, promise, promise.mu / noise if noise != 1 else None)


@pytest.fixture(scope="module")
def rows() -> dict[float, Found]:
    """The row of epsilon 8 with sound noise, with too little and with too much."""
    return {noise: row("epsilon_8", noise) for noise in (0.5, 1.0, 1.5)}


def found(rows: dict[float, Found], **other: Found) -> dict[str, Found]:
    sound, bugs = dict.fromkeys(audit.SOUND, rows[1.0]), dict.fromkeys(audit.BUGS, rows[0.5])
    return {**sound, **bugs, "one_seed_for_two_sites": rows[1.5], **other}


def test_a_sound_pipeline_and_bugs_that_were_caught_are_an_unbroken_page(rows: dict[float, Found]) -> None:
    report = audit.report(found(rows))
    assert report.broken == ()
    assert "every planted bug was caught" in report.page
    assert len(report.lines) == len(audit.KEPT)
    assert all("promised 8.000" in line for line in report.lines)


def test_too_little_noise_breaks_the_page(rows: dict[float, Found]) -> None:
    report = audit.report(found(rows, epsilon_1=rows[0.5]))
    assert report.broken == ("epsilon_1: too little noise, wrong variance",)
    assert report.page.startswith("Broken: ")


def test_noise_beyond_the_promise_breaks_the_page_too(rows: dict[float, Found]) -> None:
    assert audit.report(found(rows, two_releases=rows[1.5])).broken == (
        "two_releases: too much noise, wrong variance",
    )


def test_a_planted_bug_that_passes_breaks_the_page(rows: dict[float, Found]) -> None:
    report = audit.report(found(rows, silent_site=rows[1.0]))
    assert report.broken == (
        "the planted bug 'one silent site' passed as not too little noise, wrong variance",
    )
    assert "**not caught**" in report.page


def compared(**other: Any) -> dict[str, Found]:
    one = {
        "analyses": ["a:b"], "release": "release-1", "dimension": 3, "blocks": 1, "epsilon": 1.0, "public": 0,
        "seconds": 1.0, "pairs": 10_000, "largest": 1.0, "over": 0, "failed": 0, "first": "",
    }  # fmt: skip
    steps: dict[str, Found] = {step: {"kind": "k", "rows": [one.copy()]} for step in neighbours.STEPS}
    return {**steps, TOGETHER + "_0": {"kind": "k", "rows": [{**one, **other}]}}


def test_the_page_of_neighbouring_patients_names_the_pair_that_was_over() -> None:
    fine = neighbours.report(compared())
    assert fine.broken == tuple(neighbours.without_forms(KINDS))
    assert f"in {10_000 * len(neighbours.STEPS):,} pairs" in fine.page
    broken = neighbours.report(compared(over=1, first="pair 7: squared distance 9"))
    assert broken.broken[-1] == "a:b, release-1: pair 7: squared distance 9"


def test_a_kind_without_neighbouring_patients_is_named() -> None:
    assert neighbours.without_forms((*FORMS, "palmistry")) == [
        "the analysis 'palmistry' has no neighbouring patients"
    ]
