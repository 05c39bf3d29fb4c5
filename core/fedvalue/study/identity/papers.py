"""Papers: what the authority hands to a site in one file, and what anybody may carry.

A site's certificate, the authority's own, and the newest revocation list. All three are signed by the
authority, so nothing has to protect the file; whether the authority is the right one, people compare once.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError

from fedvalue.errors import CertificateInvalid
from fedvalue.study.identity.names import MAX_BYTES
from fedvalue.study.model import Part
from fedvalue.study.toml import problems


class Papers(Part):
    """One file from the authority to one site.

    Attributes:
      site: Site id.
      certificate: The site's certificate, PEM.
      authority: The authority's certificate, PEM.
      revocations: The newest list, PEM.
    """

    site: str = Field(min_length=1, max_length=40)
    certificate: str = Field(max_length=MAX_BYTES)
    authority: str = Field(max_length=MAX_BYTES)
    revocations: str = Field(max_length=MAX_BYTES)


def read_papers(path: Path) -> Papers:
    """Read the file; nothing in it is believed yet.

    Raises:
      CertificateInvalid: it cannot be read, or holds something else.
    """
    try:
        with path.open("rb") as file:
            return Papers.model_validate_json(file.read(4 * MAX_BYTES))
    except OSError as error:
        raise CertificateInvalid(f"the papers cannot be read: {error.strerror}", where=str(path)) from error
    except ValidationError as error:
        raise CertificateInvalid(
            f"these are no papers of an authority: {problems(error)}",
            where=str(path),
            do="get the file again",
        ) from None
