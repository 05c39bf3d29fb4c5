"""The figures of a package as files of their own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from fedvalue.analyses.estimate import Conclusion
from fedvalue.errors import OutputError
from fedvalue.evidence import sealing
from fedvalue.evidence.package import EvidencePackage
from fedvalue.server.reports import generic, kaplan_meier
from fedvalue.server.reports.drawing import Figure
from fedvalue.server.reports.kinds import choice
from fedvalue.server.reports.naming import Names
from fedvalue.server.reports.wording import Voice
from fedvalue.study.endpoints import TimeToEvent


def figures(package: EvidencePackage, folder: Path, language: Literal["en", "zh"]) -> tuple[Path, ...]:
    """Write the figures of every analysis as SVG and return the files.

    Args:
      package: The evidence; identity and signatures are checked first.
      folder: Made if it is not there; files of the same names are replaced.
      language: Of the words in the figures.

    Raises:
      EvidenceError: the package is not what it says it is.
      SignatureInvalid: a signature does not match.
      OutputError: the place cannot be written.
    """
    sealing.check(package)
    names = Names(Voice.of(language), sealing.embedded_study(package))
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, conclusion in enumerate(package.conclusions, start=1):
            stem = f"{number:02d}-" + re.sub(r"[^A-Za-z0-9_]+", "-", conclusion.label).strip("-")[:80]
            for which, figure in enumerate(_drawn(conclusion, names, f"figure-{number}"), start=1):
                path = folder / f"{stem}-{which}.svg"
                path.write_text(str(figure.drawings[0]) + "\n", encoding="utf-8", newline="\n")
                written.append(path)
    except OSError as error:
        raise OutputError(
            f"the figures cannot be written: {error.strerror}",
            where=str(folder),
            do="choose a writable folder",
        ) from error
    return tuple(written)


def _drawn(conclusion: Conclusion, names: Names, name: str) -> tuple[Figure, ...]:
    endpoint = names.study.endpoints.get(conclusion.endpoint)
    if conclusion.kind == "kaplan_meier" and isinstance(endpoint, TimeToEvent):
        curves = kaplan_meier.figure(conclusion, endpoint.edges[-1], names, name)
        return (curves, *choice.figures(conclusion, names, f"{name}-beside"))
    if conclusion.kind in generic.OWN:
        return generic.figures(conclusion, names, name)
    return choice.figures(conclusion, names, name)
