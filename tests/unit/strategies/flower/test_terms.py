"""Terms of a secured Flower run: what they are hashed to, and which of them are refused."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

import fedvalue.strategies
from fedvalue.errors import FederationError, PrivacyError, TooFewSites, UnsafeWarning
from fedvalue.quiet import quiet_environment
from fedvalue.strategies import SecureTerms, UnsafeExactSum, unsafe_simulated_roster
from tests.flower_federation import terms


def test_what_a_flower_user_imports_is_pinned_and_all_of_it_is_there() -> None:
    assert fedvalue.strategies.__all__ == [
        "SecureAggregation",
        "SecureClient",
        "SecureTerms",
        "UnsafeExactSum",
        "UnsafeSimulatedSites",
        "unsafe_simulated_roster",
    ]
    assert all(getattr(fedvalue.strategies, name) for name in fedvalue.strategies.__all__)
    with pytest.raises(AttributeError):
        _ = fedvalue.strategies.no_such_name


def test_the_package_does_not_import_flower_before_a_name_is_asked_for() -> None:
    program = "import sys, fedvalue.strategies; sys.exit('flwr' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], env=quiet_environment(), check=False, timeout=60)
    assert done.returncode == 0


def test_sums_without_noise_warn_by_name() -> None:
    with pytest.warns(UnsafeWarning, match="UnsafeExactSum adds no noise"):
        UnsafeExactSum()


def test_the_bound_of_a_coordinate_by_hand() -> None:
    # 1,000 examples x 8.0 x 2^10 = 8,192,000; the float64 slack of 2^-52 of it rounds up to one unit
    assert terms(most_examples=1000, largest=8.0, fraction_bits=10).bound() == 8_192_001


def test_a_sum_that_could_leave_the_ring_is_refused() -> None:
    # 5 x 2^20 x 2^10 x 2^b < 2^63 iff b <= 30
    terms(fraction_bits=30)
    with pytest.raises(PrivacyError, match="leave the ring of 64 bits"):
        terms(fraction_bits=31)


@pytest.mark.parametrize(
    ("other", "error"),
    [
        ({"largest": float("nan")}, PrivacyError),
        ({"largest": float("inf")}, PrivacyError),
        ({"largest": 0.0}, PrivacyError),
        ({"most_examples": 0}, PrivacyError),
        ({"fraction_bits": -1}, PrivacyError),
        ({"fraction_bits": 53}, PrivacyError),
        ({"train_metrics": ("loss", "loss")}, FederationError),
        ({"train_metrics": "loss"}, FederationError),
        ({"evaluate_metrics": ("num-examples",)}, FederationError),
        ({"run": "two words"}, FederationError),
        ({"dropouts": 3}, TooFewSites),
    ],
)
def test_other_terms_that_do_not_hold_are_refused(other: dict[str, Any], error: type[Exception]) -> None:
    run = str(other.pop("run", "run-1"))
    with pytest.raises(error):
        terms(run, **other)


def test_two_hospitals_cannot_hide_from_each_other() -> None:
    with pytest.raises(TooFewSites):
        SecureTerms("run-1", unsafe_simulated_roster(2))


def test_every_term_is_in_the_hash_that_stands_for_the_study() -> None:
    others = [
        terms("run-2"),
        terms(sites=6),
        terms(train_metrics=()),
        terms(evaluate_metrics=()),
        terms(most_examples=10),
        terms(largest=2.0),
        terms(fraction_bits=8),
        terms(weighted_by_key="weight"),
        terms(sites=5, dropouts=0),
        terms(sites=10, colluding=3),
    ]
    digests = {terms().digest(), *(other.digest() for other in others)}
    assert len(digests) == 1 + len(others)
    assert terms().digest() == terms().digest()
