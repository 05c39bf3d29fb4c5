"""Numbers as people read them: always with a unit, rounded to what is known, dates in ISO 8601."""

from __future__ import annotations

import math
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal

from fedvalue.server.reports.wording import Phrase, Voice, Words


def percent(share: float) -> str:
    """Return a share in [0, 1] as ``87.0%``; close to 0 or 1 it keeps a digit that differs from them."""
    value = 100 * share
    if 0 < value < 0.05:
        return "<0.1%"
    if 99.95 < value < 100:
        return ">99.9%"
    return f"{value:.1f}%".replace("-", "\u2212")


def probability(value: float) -> str:
    """Return a computed probability in percent: never 0 or 1, because nothing computed is certain."""
    return percent(min(max(value, 1e-9), 1 - 1e-9))


def level(share: float | Decimal) -> str:
    """Return a chosen share, such as a threshold, in percent without rounding: ``30%``, ``97.5%``."""
    return f"{100 * float(share):.10g}%".replace("-", "\u2212")


def number(value: float, digits: int = 3) -> str:
    """Return ``value`` with ``digits`` significant digits and thousands separated: ``0.0123``, ``1,234``."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "\u2013"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{places}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text.replace("-", "\u2212")


def whole(value: float) -> str:
    """Return a count or a number of days without decimals, thousands separated."""
    return f"{value:,.0f}".replace("-", "\u2212")


def days(value: float, voice: Voice) -> Phrase:
    """Return a time in days."""
    return voice("unit.days", n=whole(value))


def patients(value: float, voice: Voice) -> Phrase:
    """Return a number of patients, rounded up: a target that is reached, not nearly reached."""
    return voice("unit.patients", n=whole(math.ceil(value)))


def quantity(value: float, unit: str, voice: Voice) -> Phrase:
    """Return an estimate's value with its unit.

    Args:
      value: In ``unit``.
      unit: ``probability`` is shown in percent; ``days``; anything else is printed behind the number.
      voice: Language.
    """
    if unit == "probability":
        return Phrase.same(percent(value))
    if unit == "days":
        return days(value, voice)
    if unit == "ratio":
        return Phrase.same(number(value, 3))
    return Phrase.same(f"{number(value, 4)} ") + voice.matched("unit_name", unit)


def spread(value: float, unit: str, voice: Voice) -> Phrase:
    """Return a difference or standard error in ``unit``: percentage points for probabilities."""
    if unit == "probability":
        return voice("unit.points", n=f"{100 * value:.1f}".replace("-", "\u2212"))
    if unit == "days":
        return voice("unit.days", n=number(value, 2) if abs(value) < 10 else whole(value))
    return Phrase.same(f"{number(value, 3)} {unit}")


def interval(lower: float | None, upper: float | None, unit: str, voice: Voice) -> Phrase:
    """Return a 95 % interval as ``30.1% to 41.9%``; an end that does not exist says so."""
    low = quantity(lower, unit, voice) if lower is not None else voice("estimate.no_lower")
    if unit == "days" and lower is not None and upper is not None:
        low = Phrase.same(whole(lower))
    high = quantity(upper, unit, voice) if upper is not None else voice("estimate.no_upper")
    return voice("estimate.range", low=low, high=high)


def money(amount: Decimal, currency: str, voice: Voice) -> Phrase:
    """Return an amount with its currency, to the smallest coin, half up: ``CNY 10,000.00``."""
    cents = amount.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)
    text = f"{cents:,.2f}".removesuffix(".00").replace("-", "\u2212")
    key = f"currency.{currency}"
    if key in voice.catalogue.entries:
        return voice(key, amount=text)
    return voice("currency.other", amount=text, currency=currency)


def day(value: date | datetime | None) -> Words:
    """Return a date in ISO 8601, or a dash."""
    if value is None:
        return "\u2013"
    return value.date().isoformat() if isinstance(value, datetime) else value.isoformat()
