"""A study of two releases, of which the second is asked with numbers that the first one gave."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fedvalue.analyses.analysis import NoisyBlock, NoisySum
from fedvalue.analyses.estimate import Conclusion
from fedvalue.errors import EvidenceError
from fedvalue.evidence import records
from fedvalue.evidence.chain import verify_chain
from fedvalue.evidence.package import EvidencePackage, ReleaseRecord
from fedvalue.planning.concluding import conclude_all
from fedvalue.planning.plan import Plan, PlannedRelease, make_plan
from fedvalue.privacy.release import LOG2_SCALE
from fedvalue.secure_sum.suite import Intl1
from fedvalue.secure_sum.transcript import NOTHING_BEFORE
from fedvalue.study import file as study_file
from fedvalue.study.schema import Study
from tests.unit.evidence import sealed
from tests.unit.evidence.rounds import transcript_of
from tests.unit.evidence.sealed import SITES, roster, site_key

ANALYSIS = """
[[analyses]]
kind = "trimmed_mean"
variable = "ldh"
cells = 16
budget = 1.0
"""


def trimmed() -> Study:
    """The study, asking for a mean without outliers instead of a proportion."""
    text = sealed.STUDY[: sealed.STUDY.index("[[analyses]]")]
    ldh = '[variables.ldh]\nperson = "ldh"\nclip = [0.0, 1000.0]\nunit = "U/L"\n[endpoints.response_6m]'
    text = text.replace("[endpoints.response_6m]", ldh)
    text = text.replace("EPSILON", "8.0").replace("DAY", "183").replace("METHOD", "recist")
    text = text.replace("MISSING", "non_response")
    return study_file.parse((text + ANALYSIS).encode(), where="study.toml")


STUDY = trimmed()
PLAN = make_plan(STUDY, roster())


def released(release: PlannedRelease) -> NDArray[np.int64]:
    """A sum of a few thousand patients, the same in every coordinate of a block but rising a little."""
    found = np.zeros(release.dimension, dtype=np.int64)
    for where, gamma in release.slices().values():
        size = where.stop - where.start
        found[where] = np.rint(float(gamma) * np.linspace(1000.0, 1200.0, size)).astype(np.int64)
    return found


def opened(plan: Plan, **how: Any) -> tuple[tuple[ReleaseRecord, ...], tuple[Conclusion, ...]]:
    """Open the study as an honest coordinator does; ``how`` changes the second release."""
    found: list[ReleaseRecord] = []
    last = NOTHING_BEFORE

    def open_release(release: PlannedRelease, public: bytes) -> NoisySum:
        nonlocal last
        number = len(found) + 1
        told: dict[str, Any] = {"public": public, "counters": dict.fromkeys(SITES, number)}
        told |= how if number == 2 else {}
        total = released(release)
        made = transcript_of(
            plan, release, total, SITES, site_key, number=number, last=last, **told
        )  # fmt: skip
        last = made.hash(Intl1())
        found.append(records.release_record(plan, release, total=total, transcript=made))
        noise = len(SITES) * 4.0**LOG2_SCALE
        return {
            name: NoisyBlock(total[where], gamma, noise) for name, (where, gamma) in release.slices().items()
        }

    conclusions = conclude_all(plan, open_release)
    return tuple(found), conclusions


def package(**how: Any) -> EvidencePackage:
    releases, conclusions = opened(PLAN, **how)
    return sealed.package_of(STUDY, PLAN, releases, conclusions)


def test_both_releases_are_verified_and_the_conclusion_is_drawn_again() -> None:
    made = package()
    assert [bool(record.public) for record in made.releases] == [False, True]
    links = {link.name: link.text for link in verify_chain(made, study=STUDY)}
    assert links["releases"].startswith("2 of 2, each with at least 3 survivors' signatures")
    assert links["conclusions"] == "1, drawn again from the released sums"


def test_a_release_that_was_asked_with_other_public_numbers_is_found() -> None:
    # the sites sign what the coordinator shows; that the first release gives other fences is seen afterwards
    other = np.array([1.0, 2.0]).astype("<f8").tobytes()
    with pytest.raises(EvidenceError) as refused:
        verify_chain(package(public=other))
    assert refused.value.where == "conclusions: release-2"
    assert "other public numbers" in refused.value.what


def test_a_release_that_is_left_out_is_found() -> None:
    releases, conclusions = opened(PLAN)
    with pytest.raises(EvidenceError) as refused:
        verify_chain(sealed.package_of(STUDY, PLAN, releases[:1], conclusions))
    assert refused.value.where == "conclusions: release-2"
    assert "missing" in refused.value.what
    with pytest.raises(EvidenceError) as refused:
        verify_chain(sealed.package_of(STUDY, PLAN, releases[1:], conclusions))
    assert refused.value.where == "releases"


def test_two_releases_cost_what_both_cost() -> None:
    made = package()
    assert made.privacy.rho_units == sum(release.scales.rho_units() for release in PLAN.releases)
    assert made.privacy.epsilon_promised is not None
    assert made.privacy.epsilon_promised <= 8.0
