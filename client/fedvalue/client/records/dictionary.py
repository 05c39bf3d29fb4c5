"""What a site's columns are, for a training: hospitals that mean different things find out before they pay.

A training reads columns of the patients table by name. If one hospital holds a column as numbers and another
as text, or has none of that name, its patients count as unknown and the model is worse in a way that noise
hides. So the officer's approval carries a digest of the columns that the trainings read: their names and
types, as the site's mapping made them, and nothing of what is in them.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import rfc8785

from fedvalue.client.records.store import MODEST, Limits
from fedvalue.client.records.stores import reading
from fedvalue.study.endpoints import Binary
from fedvalue.study.questions.training import Training
from fedvalue.study.schema import Study

MISSING = "missing"


def dictionary_of(database: Path, study: Study, *, limits: Limits = MODEST) -> str | None:
    """Return the digest of the columns that a study's trainings read, 64 hexadecimal digits.

    Args:
      database: The store.
      study: The study.
      limits: Threads and memory.

    Returns:
      None where the study trains nothing.

    Raises:
      SourceMissing: there is no store.
      SourceUnreadable: it is none.
    """
    wanted = _columns(study)
    if wanted is None:
        return None
    with reading(database, limits=limits, tables=("patient",)) as connection:
        told = connection.execute("SELECT column_name, column_type FROM (DESCRIBE patient)").fetchall()
    types = {str(name): str(kind) for name, kind in told}
    found = {name: types.get(name, MISSING) for name in wanted}
    return hashlib.sha256(rfc8785.dumps({"patient": found})).hexdigest()


def _columns(study: Study) -> list[str] | None:
    """Columns of the patients table behind the features and outcomes of all trainings; None without any."""
    trainings = [question for question in study.analyses if isinstance(question, Training)]
    if not trainings:
        return None
    found: set[str] = set()
    for question in trainings:
        for name in (*question.features, question.outcome):
            variable, endpoint = study.variables.get(name), study.endpoints.get(name)
            if variable is not None and variable.person is not None:
                found.add(variable.person)
            if isinstance(endpoint, Binary) and endpoint.column is not None:
                found.add(endpoint.column)
    return sorted(found)
