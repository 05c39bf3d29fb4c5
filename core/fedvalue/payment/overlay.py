"""Reforms as overlays: what would hold if a proposed rule came into force, without editing any file.

An overlay gives new values to parameters of one file. From the first day that it gives a parameter, its own
values hold and the file's later ones do not; before that day nothing changes. It can neither add a
parameter nor change a unit, and every value has a source, as everywhere. What was laid over a file is
named in the result, so a number under a reform is never taken for one in force.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from fedvalue.errors import PaymentError
from fedvalue.evidence import documents
from fedvalue.payment.parameter_file import Parameters, TitledParameter
from fedvalue.payment.parameters import Value, load_yaml
from fedvalue.payment.refusals import refused
from fedvalue.payment.standard import StandardName
from fedvalue.study.model import Name, Part
from fedvalue.study.schema import Text


class Overlay(Part):
    """A validated reform.

    Attributes:
      format: Version of this layout.
      name: Such as ``reform/redline_2027``.
      title: For people.
      over: The file of parameters that it changes.
      parameters: New values by key, oldest first.
    """

    format: Literal["fedvalue.overlay/1"]
    name: StandardName
    title: Text
    over: StandardName
    parameters: dict[Name, Annotated[tuple[Value, ...], Field(strict=False)]] = Field(min_length=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for key, values in self.parameters.items():
            starts = [value.starts for value in values]
            if not starts or any(later <= earlier for earlier, later in pairwise(starts)):
                raise ValueError(f"parameters.{key}: values stand oldest first, each with its own day")
        return self


def parse(raw: bytes, *, where: str) -> Overlay:
    """Validate the bytes of an overlay; ``where`` names them in errors.

    Raises:
      PaymentError: not strict YAML, an unknown or missing key, or a value without source.
    """
    try:
        return Overlay.model_validate(load_yaml(raw, where=where))
    except ValidationError as error:
        raise refused(error, where=where, do="see docs/fund-and-parameters.md for every key") from None


def read(path: Path) -> tuple[Overlay, str]:
    """Read an overlay and the SHA-256 of its file.

    Raises:
      PaymentError: unreadable or not valid.
    """
    raw = documents.read_bytes(path, PaymentError)
    return parse(raw, where=str(path)), hashlib.sha256(raw).hexdigest()


def lay(overlay: Overlay, base: Parameters) -> Parameters:
    """Return the parameters as they would be under the reform; ``base`` stays as it is.

    Raises:
      PaymentError: the reform is over another file, changes a parameter that is not there, gives an amount
        that the unit does not allow, or was laid over it already.
    """
    if overlay.over != base.name:
        raise PaymentError(f"the reform is over {overlay.over}, not over {base.name}", where=overlay.name)
    if overlay.name in base.overlays:
        raise PaymentError("the reform was laid over these parameters already", where=overlay.name)
    changed = {key: _laid(overlay, key, values, base) for key, values in overlay.parameters.items()}
    return base.model_copy(
        update={
            "parameters": {**base.parameters, **changed},
            "overlays": (*base.overlays, overlay.name),
        }
    )


def _laid(overlay: Overlay, key: str, values: tuple[Value, ...], base: Parameters) -> TitledParameter:
    before = base.parameter(key)
    kept = tuple(value for value in before.values if value.starts < values[0].starts)
    try:
        return TitledParameter(title=before.title, unit=before.unit, values=(*kept, *values))
    except ValidationError as error:
        raise refused(error, where=f"{overlay.name}: {key}", do="mend the reform's values") from None
