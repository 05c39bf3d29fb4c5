"""Files of dated parameters: strict YAML, with title, scope, price year and status.

``parameters_examples/<name>.yaml`` in the package or the same below the payer's own folder. A parameter is
called by file and key, ``fund/redline.max_growth``. Nothing here is a default of anything: a mechanism is
given the values that it uses, and an example says that it is one wherever it is printed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from fedvalue.errors import PaymentError
from fedvalue.evidence import documents
from fedvalue.payment.parameters import Parameter, Value, is_money, load_yaml
from fedvalue.payment.refusals import refused
from fedvalue.payment.standard import Scope, StandardName
from fedvalue.study.model import Name, Part
from fedvalue.study.schema import Text

Status = Literal["official", "example", "unverified"]

STATUS_LABELS: dict[Status, Text] = {
    "official": Text(en="official", zh="官方"),
    "example": Text(en="example", zh="示例"),
    "unverified": Text(en="unverified: nobody compared it with its source", zh="未核实"),
}


class TitledParameter(Parameter):
    """A dated parameter with its name for people.

    Attributes:
      title: In English and Chinese.
    """

    title: Text


class Parameters(Part):
    """A validated file of parameters.

    Attributes:
      format: Version of this layout.
      name: Path below the folder, without ending.
      title: For people.
      status: ``official``, ``example``, or ``unverified``.
      jurisdiction: Whose rules they are.
      scope: Regions, hospital levels, phase, comparison.
      price_year: Calendar year of the prices; required where a unit is money.
      overlays: Reforms that were laid over the file, oldest first; empty for a file as it is.
      parameters: By key.
    """

    format: Literal["fedvalue.parameters/1"]
    name: StandardName
    title: Text
    status: Status
    jurisdiction: str = Field(min_length=2)
    scope: Scope
    price_year: int | None = Field(default=None, ge=1900, le=2200)
    overlays: tuple[str, ...] = ()
    parameters: dict[Name, TitledParameter] = Field(min_length=1)

    @model_validator(mode="after")
    def _priced(self) -> Self:
        if self.price_year is None and any(is_money(p.unit) for p in self.parameters.values()):
            raise ValueError("price_year: amounts of money name the year of their prices")
        return self

    def parameter(self, key: str) -> TitledParameter:
        """Return a parameter by its key.

        Raises:
          PaymentError: there is none.
        """
        if key not in self.parameters:
            raise PaymentError(
                f"there is no parameter {key!r}", where=self.name, do=f"it has {sorted(self.parameters)}"
            )
        return self.parameters[key]

    def on(self, key: str, day: date) -> Value:
        """Return the value of a parameter on a day.

        Raises:
          ParameterNotInForce: it has none on that day.
          PaymentError: there is no such parameter.
        """
        return self.parameter(key).on(day, f"{self.name}.{key}")


@dataclass(frozen=True, slots=True)
class ParameterFile:
    """Validated parameters and the bytes they were read from.

    Attributes:
      content: The parameters.
      raw: The file.
    """

    content: Parameters
    raw: bytes

    @property
    def version(self) -> str:
        """SHA-256 of the file, 64 hexadecimal digits."""
        return hashlib.sha256(self.raw).hexdigest()


def parse(raw: bytes, *, where: str) -> ParameterFile:
    """Validate the bytes of a file of parameters; ``where`` names them in errors.

    Raises:
      PaymentError: not strict YAML, an unknown or missing key, a value without source, dates out of order,
        a binary number as amount, money without price year, or overlays in a file.
    """
    try:
        content = Parameters.model_validate(load_yaml(raw, where=where))
    except ValidationError as error:
        raise refused(error, where=where, do="see docs/fund-and-parameters.md for every key") from None
    if content.overlays:
        raise PaymentError(
            "overlays: a file of parameters holds none", where=where, do="lay the reform over it when asked"
        )
    return ParameterFile(content, raw)


def read(name: str, folder: Path | None = None) -> ParameterFile:
    """Read the file of parameters ``name``.

    Args:
      name: Such as ``fund/redline``.
      folder: Folder of parameters; None reads the examples that come with FedValue.

    Raises:
      PaymentError: no such file, not valid, or one of another name.
    """
    if not all(part.isidentifier() for part in name.split("/")):
        raise PaymentError(f"{name!r} is no name of parameters", do="write it like fund/redline")
    if folder is None:
        shipped = _examples().joinpath(*f"{name}.yaml".split("/"))
        where = f"parameters that come with fedvalue: {name}.yaml"
        if not shipped.is_file():
            raise PaymentError(
                "there are no such parameters",
                where=where,
                do=f"the examples are {', '.join(example_names())}",
            )
        raw = shipped.read_bytes()
    else:
        where = f"{folder}: {name}.yaml"
        raw = documents.read_bytes(folder / f"{name}.yaml", PaymentError)
    found = parse(raw, where=where)
    if found.content.name != name:
        raise PaymentError(f"the file holds the parameters {found.content.name!r}", where=where)
    return found


def split(name: str) -> tuple[str, str | None]:
    """Return file and key of ``fund/redline.max_growth``; the key is None where only a file is named."""
    file, dot, key = name.partition(".")
    return file, key if dot else None


def example_names() -> tuple[str, ...]:
    """Return the names of the examples that come with FedValue."""
    return tuple(sorted(_walk(_examples(), "")))


def _examples() -> Traversable:
    return resources.files("fedvalue.payment").joinpath("parameters_examples")


def _walk(folder: Traversable, prefix: str) -> Iterator[str]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".yaml"):
            yield prefix + entry.name.removesuffix(".yaml")
