"""Suspension after years in a row above the threshold: what counts is yearly decisions, not yearly points.

A year is ``above``, ``within`` or ``insufficient``, as its decision said. ``years`` of ``above`` in a row
suspend. A year of insufficient evidence is a matter of the rule: ``hold`` leaves the run as it stands, so it
breaks neither way; ``reset`` starts it anew. A price cut ends a run as a year within does. An ICER alone is
no verdict: under noise its sign flips, and years are decided on incremental net benefit.

Source: payment.md 2.13, P33 (three years; the golden cases use ``reset``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from fedvalue.errors import PaymentError
from fedvalue.payment.mechanisms.exact import chosen, count

Year = Literal["above", "within", "insufficient"]
Insufficient = Literal["hold", "reset"]


def run_of(verdicts: Sequence[Year], insufficient: Insufficient) -> int:
    """Return the longest run that counts, in years."""
    chosen(insufficient, get_args(Insufficient), "policy for insufficient years")
    longest = run = 0
    for verdict in verdicts:
        chosen(verdict, get_args(Year), "verdict of a year")
        if verdict == "above":
            run += 1
        elif verdict == "within" or insufficient == "reset":
            run = 0
        longest = max(longest, run)
    return longest


def suspends(verdicts: Sequence[Year], *, years: int, insufficient: Insufficient) -> bool:
    """Tell whether a technology is suspended.

    Args:
      verdicts: Of consecutive years, oldest first, since it was listed or last reassessed.
      years: In a row, at least 1.
      insufficient: What a year of insufficient evidence does.

    Raises:
      PaymentError: no policy, an unknown verdict, or no years.
    """
    if count(years, "years") < 1:
        raise PaymentError("no years in a row suspend everything", where="suspension")
    return run_of(verdicts, insufficient) >= years
