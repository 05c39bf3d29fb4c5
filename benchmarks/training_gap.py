"""Made-up federations for the rows that ask what privacy costs a model at epsilon 1.

Ten hospitals, 10,000 patients, 40 features, planted truth; the methods and settings of
`make prove KEY=training`, three worlds on which no setting was sought.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from statistics import median

from proofs.keys.training import SHOWN, worlds
from proofs.training_jobs import LOG, NET, WITHOUT, Job, aucs
from proofs.training_page import Losses, losses

EPSILON = 1.0


@cache
def lost(law: str) -> tuple[Losses, Mapping[str, float]]:
    """Return what network and best model lose by world, and the median AUC of each way to train.

    Args:
      law: ``weaker`` or ``first``: how strong the curves of the planted law are.
    """
    data = worlds(law, SHOWN)
    found = aucs(Job(one, method, EPSILON) for one in data for method in (NET, LOG, *WITHOUT))
    rows = [{name: value or 0.0 for name, value in found[one].items()} for one in data]
    pairs = [
        ({name: row[name] for name in (NET, LOG)}, {name: row[name] for name in WITHOUT}) for row in rows
    ]
    return losses(pairs), {name: median(row[name] for row in rows) for name in rows[0]}
