"""A cohort above the study's public cap: refused by this hospital's officer's tools, before anybody asks.

That a sum fits its ring and loses nothing to rounding is settled by the plan with the study's `patient_cap`,
a public number. Whether a hospital keeps to it is known there alone. A refusal in a round would tell the
coordinator that the cohort is larger than the cap, and so would a look at how many patients were drawn; so
nothing that answers a round looks. The rows are counted when they are checked and when they are frozen, and
all rounds of a study see the rows that were frozen.
"""

from __future__ import annotations

from fedvalue.errors import StudyInvalid
from fedvalue.study.schema import Study

OVER_CAP = "this site alone has more patients in the cohort than the study's public cap on all sites together"
"""Why such a study is not approved here; without the number, which no log needs to hold."""

OVER_CAP_ZH = "仅本机构队列的患者数就超过了研究公开的全部机构患者上限"
"""The same in Chinese."""

CAP_KEY = ("privacy", "patient_cap")
"""Where the study says its cap."""


def is_over_cap(study: Study, patients: int) -> bool:
    """Tell whether a site's cohort is larger than the study says that all sites' together are.

    Args:
      study: The study.
      patients: Of this site's cohort.
    """
    return patients > study.privacy.patient_cap


def require_within_cap(study: Study, patients: int) -> None:
    """Refuse a cohort that is larger than the study's public cap; for approvals, never in answer to a round.

    Args:
      study: The study.
      patients: Of this site's cohort.

    Raises:
      StudyInvalid: it is larger.
    """
    if is_over_cap(study, patients):
        raise StudyInvalid(
            OVER_CAP,
            where=".".join(CAP_KEY),
            do="do not approve it; nothing was set aside or charged. Its author has to raise patient_cap",
        )
