"""From a schema's problems to a refusal with its own name.

Validators mark what a payer must be able to tell apart with a type of their own; a missing ``source`` needs
no mark. The gravest mark names the error; its message still lists every problem.
"""

from __future__ import annotations

from pydantic import ValidationError

from fedvalue.errors import (
    CurrencyUnknown,
    GapPolicyMissing,
    MoneyNegative,
    ParameterWithoutSource,
    PaymentError,
    WindowsOverlap,
)
from fedvalue.study.toml import problems

MARKS: dict[str, type[PaymentError]] = {
    "parameter_without_source": ParameterWithoutSource,
    "money_negative": MoneyNegative,
    "currency_unknown": CurrencyUnknown,
    "gap_policy_missing": GapPolicyMissing,
    "windows_overlap": WindowsOverlap,
}
"""Type of a validator's error to the refusal; earlier ones are graver."""


def refused(error: ValidationError, *, where: str, do: str) -> PaymentError:
    """Return the refusal of a document that does not follow its schema."""
    marks = {
        _mark(item["type"], item["loc"]) for item in error.errors(include_url=False, include_input=False)
    }
    kind = next((MARKS[mark] for mark in MARKS if mark in marks), PaymentError)
    return kind(problems(error), where=where, do=do)


def _mark(kind: str, place: tuple[int | str, ...]) -> str:
    return "parameter_without_source" if kind == "missing" and place and place[-1] == "source" else kind
