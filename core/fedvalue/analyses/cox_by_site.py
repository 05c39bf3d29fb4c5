"""Cox regression in which every hospital has a baseline hazard of its own.

Hospitals differ in what is not measured; a baseline each takes those differences out of the hazard ratios, as
stratified estimates do. A hospital's patients touch only its own cells, so one patient's bound is that of
`cox` whatever the number of hospitals. What is released are noisy numbers at risk and events of single
hospitals: a site answers only if its policy says ``release_site_values``.

Kalbfleisch, J. D., Prentice, R. L. The Statistical Analysis of Failure Time Data, 2nd edition. Wiley (2002),
section 4.4.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fedvalue.analyses.analysis import Ask, Scaling, SumOf, Terms
from fedvalue.analyses.by_site import PUBLISHED
from fedvalue.analyses.cohort import Cohort
from fedvalue.analyses.cox import CoxModel
from fedvalue.analyses.estimate import Conclusion
from fedvalue.analyses.groups import Groups

HOSPITAL = "hospital of the roster"
"""Stands for a variable; no variable of a study can be called so."""


@dataclass(frozen=True, slots=True)
class CoxBySite:
    """The analysis ``kind = "cox"`` with ``stratify_by_site = true``.

    Attributes:
      model: Without hospitals; strata that it names divide each hospital further.
      sites: Ids of the sites in the roster's order.
    """

    model: CoxModel
    sites: tuple[str, ...]

    @property
    def label(self) -> str:
        """Unique in the study."""
        return f"{self.model.label}:by hospital"

    @property
    def _stratified(self) -> CoxModel:
        curves, groups = self.model.curves, self.model.curves.groups
        by = Groups((HOSPITAL, *groups.by), (self.sites, *groups.levels))
        return replace(self.model, curves=replace(curves, groups=by))

    def rounds(self) -> tuple[Ask, ...]:
        """Those of `cox`, with cells of each hospital."""
        return self._stratified.rounds()

    def contribution(self, cohort: Cohort, ask: Ask, scaling: Scaling) -> dict[str, NDArray[np.int64]]:
        """Sum as `cox` does, in the site's own cells; rows of no site on the roster are left out."""
        placed = replace(cohort, categories={**cohort.categories, HOSPITAL: cohort.places})
        return self._stratified.contribution(placed, ask, scaling)

    def conclude(self, sum_of: SumOf, terms: Terms) -> Conclusion:
        """Search for the coefficients that all hospitals share."""
        found = self._stratified.conclude(sum_of, terms)
        return found.model_copy(update={"label": self.label, "notes": (*found.notes, PUBLISHED)})
