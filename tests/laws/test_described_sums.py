"""Whatever the released sums are: an estimate inside its interval, or a refusal in words.

The sums are those of nobody under ordinary noise, of a few patients, and plain nonsense; seeds are fixed.
"""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from fedvalue.analyses.analysis import Ask, NoisyBlock, NoisySum, Terms
from fedvalue.analyses.catalogue import analyses_of
from fedvalue.analyses.estimate import Conclusion, Stratum
from fedvalue.privacy.accounting import rho_units_for
from fedvalue.privacy.release import LOG2_SCALE
from fedvalue.study.questions.described import Described
from proofs.neighbour_forms import FORMS, study
from tests.laws.suite import planned

KINDS = tuple(get_args(question.model_fields["kind"].annotation)[0] for question in get_args(Described))
CASES = [(kind, form) for kind in KINDS for form in range(len(FORMS[kind]))]


def concluded(kind: str, form: int, spread: float, rng: np.random.Generator) -> Conclusion:
    """Conclude from sums of ``spread`` noise standard deviations around nothing."""
    analysis = analyses_of(study(kind, form))[0]

    def sum_of(ask: Ask) -> NoisySum:
        scaling, _, _ = planned(ask, 2.0, honest_shares=4)
        variance = 6 * 4.0**LOG2_SCALE
        return {
            b.name: NoisyBlock(
                np.rint(rng.normal(0.0, spread * variance**0.5, b.dimension)).astype(np.int64),
                scaling[b.name],
                variance,
            )
            for b in ask.blocks
        }

    return analysis.conclude(sum_of, Terms(20, rho_units_for(2.0, 1e-6), 1e-6))


def require_honest(stratum: Stratum) -> None:
    if stratum.status == "estimated":
        assert stratum.reason is None
    else:
        assert stratum.estimates == {}
        assert stratum.reason is not None
    for name, found in stratum.estimates.items():
        assert found.lower is None or found.lower <= found.value, name
        assert found.upper is None or found.value <= found.upper, name
        if found.unit == "probability" and "difference" not in name and "placebo" not in name:
            assert 0 <= found.value <= 1, name
    for series in stratum.series.values():
        assert len(series.x) == len(series.values) == len(series.lower) == len(series.upper)
        for low, value, high in zip(series.lower, series.values, series.upper, strict=True):
            assert low <= value + 1e-9
            assert value <= high + 1e-9


@pytest.mark.parametrize(("kind", "form"), CASES)
def test_sums_of_nobody_and_of_nonsense_end_in_words(kind: str, form: int) -> None:
    rng = np.random.default_rng(11)
    for spread in (1.0, 1.0, 5.0, 30.0, 1e3, 1e6):
        for stratum in concluded(kind, form, spread, rng).strata:
            require_honest(stratum)


@pytest.mark.parametrize(("kind", "form"), CASES)
def test_nobody_under_ordinary_noise_is_refused(kind: str, form: int) -> None:
    # A count of nobody is refused unless its noise reaches three of its standard deviations.
    rng = np.random.default_rng(12)
    refused = [
        stratum.status != "estimated" for _ in range(10) for stratum in concluded(kind, form, 1.0, rng).strata
    ]
    assert np.mean(refused) > 0.95
