"""The cohort, variables and endpoint of a study from the store, beside the same in SQL written by hand.

The hand knows the store and does no more than this one study needs; ours goes step by step, counts what each
step leaves and whom it loses, and knows unknown values. Both read the same file in the same process with two
threads; CPU seconds of all threads, best of three.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from benchmarks import claims_at_size
from benchmarks.row import Row
from fedvalue.client.records.snapshot import build
from fedvalue.client.records.store import MODEST, reading

AT_MOST = 2.0
RUNS = 3
BY_HAND = """
WITH ill AS (
    SELECT patient_id, min(day) AS index_day FROM condition
    WHERE starts_with(code, 'C34') GROUP BY patient_id),
  chosen AS (
    SELECT * FROM ill WHERE NOT EXISTS (
      SELECT 1 FROM condition x WHERE x.patient_id = ill.patient_id AND x.code = 'E11.9'
        AND x.day - ill.index_day BETWEEN -365 AND 0)),
  cost AS (
    SELECT patient_id, CAST(sum(total_paid) AS DOUBLE) AS cost FROM chosen JOIN claim USING (patient_id)
    WHERE claim.day - index_day BETWEEN 0 AND 365 GROUP BY patient_id),
  dead AS (
    SELECT patient_id, min(event.day - index_day) AS died FROM chosen JOIN event USING (patient_id)
    WHERE kind = 'death' GROUP BY patient_id),
  seen AS (
    SELECT patient_id, max(follow_up.day - index_day) AS last FROM chosen JOIN follow_up USING (patient_id)
    GROUP BY patient_id)
SELECT patient_id, list_position(['female', 'male'], sex) - 1 AS sex,
  least(coalesce(cost, 0), 200000) AS cost, coalesce(died, last) AS exit, died IS NOT NULL AS event
FROM chosen JOIN patient USING (patient_id) LEFT JOIN cost USING (patient_id)
LEFT JOIN dead USING (patient_id) LEFT JOIN seen USING (patient_id) ORDER BY patient_id
"""


def measure(_folder: Path, people: int = claims_at_size.PEOPLE) -> Row:
    """Build both ways and keep the fastest of each.

    Args:
      _folder: Not needed.
      people: Patients in the store.

    Raises:
      RuntimeError: the two do not find the same patients with the same costs.
    """
    place, _ = claims_at_size.store(people)
    study = claims_at_size.study()
    ours, theirs = [], []
    for _ in range(RUNS):
        began = time.process_time()
        with reading(place, limits=MODEST) as store:
            found = store.execute(BY_HAND).fetchnumpy()
        theirs.append(time.process_time() - began)
        began = time.process_time()
        frozen = build(place, study)
        ours.append(time.process_time() - began)
        same = np.array_equal(
            frozen.patient_ids, np.asarray(found["patient_id"], dtype=object)
        ) and np.array_equal(
            frozen.cohort.numbers["cost"], np.ma.filled(np.ma.asarray(found["cost"]), np.nan)
        )
        if not same:
            raise RuntimeError(f"{frozen.cohort.patients} patients here, {len(found['patient_id'])} by hand")
    how = (
        f"cohort of {frozen.cohort.patients:,} of {people:,} patients with {people * 5:,} claims: index, "
        "exclusion, costs of a year, sex, survival; beside one SQL statement written by hand; CPU seconds"
    )
    return Row(ours=min(ours), other=min(theirs), ratio=min(ours) / min(theirs), unit="s", how=how)


if __name__ == "__main__":
    sys.stdout.write(f"{measure(Path(), int(sys.argv[1]) if sys.argv[1:] else claims_at_size.PEOPLE)}\n")
