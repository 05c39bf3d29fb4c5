"""Kinds of text that several evidence documents hold."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256, or the 32-byte hash of another crypto suite, as 64 hexadecimal digits."""

Hex = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{2}){1,1024}$")]
"""Bytes in hexadecimal, such as a signature."""

Label = Annotated[str, StringConstraints(min_length=1, max_length=200)]


def _fraction(text: str) -> str:
    if str(Fraction(text)) != text:
        raise ValueError(f"{text!r} is not a fraction in lowest terms, such as '3' or '5/2'")
    return text


_RATIONAL = r"^[0-9]{1,40}(/[1-9][0-9]{0,39})?$"
Rational = Annotated[str, StringConstraints(pattern=_RATIONAL), AfterValidator(_fraction)]
"""An exact fraction as text, ``str(Fraction(...))``."""
