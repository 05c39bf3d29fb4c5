"""``kind = "cox"``: hazard ratios of several variables at once."""

from __future__ import annotations

import math
import operator
from typing import Literal

from pydantic import Field

from fedvalue.study.model import Name
from fedvalue.study.questions.question import Measured, Question, entry_in_words, groups_in_words
from fedvalue.study.questions.regression import require_covariates


class Cox(Question):
    """Proportional hazards on the endpoint's grid.

    Attributes:
      endpoint: A time-to-event endpoint; its event kinds count together.
      covariates: Variables of the model; those with levels are compared with their first level.
      exposure: A numeric variable in days: the day from which a patient is exposed, unknown for never. Time
        before it counts as unexposed, so nobody is immortal until exposed.
      strata: Variables with levels; each group has a baseline hazard of its own. A variable whose levels are
        the hospitals stratifies by hospital and publishes noisy numbers of each.
      stratify_by_site: Whether each hospital of the roster has a baseline hazard of its own. Noisy numbers of
        each are published, so every site's policy has to say ``release_site_values``.
      row_bound: Longest row of the covariates, every numeric one between -1 and 1 over its clip: patients
        with longer rows count with less weight. Left out, every row counts fully.
      largest_hazard: A patient is followed until the predicted cumulative hazard reaches this.
    """

    kind: Literal["cox"]
    endpoint: Name
    covariates: tuple[Name, ...] = Field(default=(), strict=False)
    exposure: Name | None = None
    strata: tuple[Name, ...] = Field(default=(), strict=False)
    stratify_by_site: bool = Field(default=False, exclude_if=operator.not_)
    row_bound: float | None = Field(default=None, ge=0.25, le=10)
    largest_hazard: float = Field(default=3.0, ge=1, le=100)

    def require_fits(self, measured: Measured) -> None:
        """Check endpoint, covariates, exposure and strata."""
        endpoint = measured.time_to_event(self.endpoint)
        require_covariates(self.covariates, measured)
        if not self.covariates and self.exposure is None:
            raise ValueError("covariates or an exposure are needed")
        measured.require_groups(self.strata, "strata")
        both = {*self.covariates} & {*self.strata, self.exposure}
        if both or self.exposure in self.strata:
            raise ValueError(f"{sorted(map(str, both)) or self.exposure} stands in two roles")
        if self.exposure is not None:
            first, last = measured.number(self.exposure, "exposure")
            if measured.variables[self.exposure].unit != "days":
                raise ValueError(f"exposure = {self.exposure!r} is a day: its unit is 'days'")
            if first != 0 or last < endpoint.edges[-1]:
                needed = f"[0, {math.ceil(endpoint.edges[-1])}]"
                raise ValueError(f"exposure = {self.exposure!r} needs a clip of {needed} or longer from 0")

    def tells_of_sites(self) -> bool:
        """Numbers at risk and events of single sites are released where each has its own baseline."""
        return self.stratify_by_site

    def times(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return the endpoint and the variables that say from when a patient counts."""
        return ((self.endpoint, (*self.covariates, *self.strata)),)

    def in_words(self, measured: Measured) -> str:
        """Say what is asked."""
        endpoint = measured.time_to_event(self.endpoint)
        entry = entry_in_words(self.endpoint, (*self.covariates, *self.strata), measured)
        what = " and ".join(
            part
            for part in (
                ", ".join(self.covariates),
                f"of being exposed from the day of {self.exposure} on" if self.exposure else "",
            )
            if part
        )
        own = f"; each group{groups_in_words(self.strata)} has its own baseline" if self.strata else ""
        if self.stratify_by_site:
            own += "; EACH HOSPITAL has its own baseline, published with noise"
        steps = f"(Cox model in steps of {endpoint.grid})"
        return (
            f"Hazard ratios of {what} for {' or '.join(endpoint.events)} over {endpoint.until} {steps}{own}; "
            f"patients count from {entry}; patients with an unknown value are left out"
        )
