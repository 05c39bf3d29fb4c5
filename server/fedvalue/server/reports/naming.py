"""What things are called on a page, in words and in both languages."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fedvalue.analyses.estimate import Conclusion, Remedy, Stratum
from fedvalue.server.reports.formats import number, patients, whole
from fedvalue.server.reports.wording import Phrase, Voice, Words, joined, sentences
from fedvalue.study.endpoints import Binary
from fedvalue.study.model import DAYS_PER
from fedvalue.study.schema import Study

_SURVIVAL_AT = re.compile(r"survival at day (\d+(?:\.\d+)?)")

_MILESTONE = re.compile(r"(due|not due|passed|failed|missing) at day (\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class Names:
    """Speaks of the parts of one study.

    Attributes:
      voice: Languages of the page.
      study: Says what its names stand for.
    """

    voice: Voice
    study: Study

    @property
    def title(self) -> Phrase:
        """The study's title."""
        text = self.study.study.title
        return Phrase(text.read("en"), text.read("zh"))

    @property
    def question(self) -> Phrase:
        """The study's question."""
        text = self.study.study.question
        return Phrase(text.read("en"), text.read("zh"))

    def variable(self, name: str) -> Phrase:
        """Return a variable: the gene for a variant (``EGFR``), else its name in the study (``sex``)."""
        variable = self.study.variables.get(name)
        if variable is not None and variable.variant is not None:
            return Phrase.same(variable.variant.gene)
        return self.voice.either(f"variable.{name}", name.replace("_", " "))

    def group(self, name: str) -> Phrase:
        """Return a group: ``egfr=mutated`` becomes ``EGFR mutated``, ``sex=female`` ``sex: female``."""
        if (known := f"group.{name.replace(' ', '_')}") in self.voice.catalogue.entries:
            return self.voice(known)
        return joined([self._level(part) for part in name.split(", ")], self.voice("group.separator"))

    def _level(self, part: str) -> Words:
        name, equals, level = part.partition("=")
        if not equals:
            return self.voice.either(f"group.{part.replace(' ', '_')}", part)
        variable = self.study.variables.get(name)
        form = "group.variant" if variable is not None and variable.variant is not None else "group.level"
        shown = self.voice.either(
            f"level.{level.replace(' ', '_')}", self.voice.matched("level_pattern", level)
        )
        return self.voice(form, variable=self.variable(name), level=shown)

    def column(self, name: str) -> Phrase:
        """Return a column of a model: a variable (``age``), or a level of one (``sex=male``)."""
        return self.group(name) if "=" in name else self.variable(name)

    def outcome(self, name: str) -> Phrase:
        """Return an endpoint in words: what counts, by when, and who assessed it."""
        endpoint = self.study.endpoints.get(name)
        if endpoint is None:
            return Phrase.same(name)
        if not isinstance(endpoint, Binary):
            events = [self.voice(f"event.{event}") for event in endpoint.events]
            return self.voice("outcome.time_to", events=joined(events, self.voice("outcome.or")))
        if endpoint.within_days is not None:
            return self.voice("outcome.readmission", days=whole(endpoint.within_days))
        if endpoint.targets:
            limits = [Phrase(target.in_words(), target.in_words("zh")) for target in endpoint.targets]
            return joined(limits, self.voice("outcome.and"))
        if endpoint.source == "person":
            return Phrase.same((endpoint.column or name).replace("_", " "))
        codes = joined(
            [self.voice(f"response.{code}") for code in endpoint.success], self.voice("outcome.or")
        )
        first, last = endpoint.window
        method = self.voice(f"method.{endpoint.method}")
        if endpoint.takes_best:
            return self.voice("outcome.best", codes=codes, day=whole(last), method=method)
        return self.voice("outcome.status", codes=codes, first=whole(first), last=whole(last), method=method)

    def estimate(self, name: str) -> Phrase:
        """Return an estimate: ``median``, ``survival at 6 months``, ..."""
        if (found := _SURVIVAL_AT.fullmatch(name)) is None:
            listed = f"estimate_name.{name.replace(' ', '_')}"
            if (due := _MILESTONE.fullmatch(name)) is not None:
                months = float(due[2]) / DAYS_PER["month"]
                if abs(months - round(months)) < 1e-3 and round(months):
                    name = f"{due[1]} at month {round(months)}"
            if "=" in name and " " not in name.partition("=")[0]:
                return self.group(name)
            if listed in self.voice.catalogue.entries:
                return self.voice(listed)
            return self.voice.matched("estimate_pattern", name)
        months = float(found[1]) / DAYS_PER["month"]
        if abs(months - round(months)) < 1e-3 and round(months):
            return self.voice("estimate_name.survival_at_months", n=str(round(months)))
        return self.voice("estimate_name.survival_at", day=found[1])

    def unit(self, name: str) -> Phrase:
        """Return a unit: of estimates, or of the axis of a line."""
        return self.voice.matched("unit_name", name)

    def analysis(self, conclusion: Conclusion) -> Phrase:
        """Return the title of an analysis: its outcome and its groups."""
        kind = conclusion.kind if f"analysis.{conclusion.kind}" in self.voice.catalogue.entries else "other"
        title = self.voice(
            f"analysis.{kind}", outcome=self.outcome(conclusion.endpoint), endpoint=conclusion.endpoint
        )
        if not conclusion.by:
            return title
        return title + self.voice(
            "analysis.by", names=joined([self.variable(name) for name in conclusion.by])
        )

    def refusal_short(self, stratum: Stratum) -> Phrase:
        """Return why a group has no estimate, in a few words for a figure."""
        known = f"refusal.short_{stratum.status}"
        least = whole(self.study.federation.min_released_patients)
        return self.voice(known if known in self.voice.catalogue.entries else "refusal.no_estimate", n=least)

    def refusal(self, stratum: Stratum) -> Phrase:
        """Return why a group has no estimate, and both remedies.

        Where the noise is too large: the study epsilon that would do with today's patients, and the
        patients of the group that would do at today's epsilon.
        """
        voice, remedy = self.voice, stratum.remedy
        if stratum.status == "below_minimum":
            return voice("refusal.below_minimum", n=whole(self.study.federation.min_released_patients))
        if stratum.status != "not_estimable":
            return voice("refusal.no_estimate")
        return sentences(voice("refusal.not_estimable"), self._remedy(remedy))

    def _remedy(self, remedy: Remedy | None) -> Phrase:
        voice = self.voice
        if remedy is None or (remedy.epsilon is None and remedy.patients is None):
            return voice("refusal.no_remedy")
        if remedy.patients is None:
            return voice("refusal.epsilon_only", epsilon=number(remedy.epsilon or 0.0, 2))
        needed = patients(remedy.patients, voice)
        if remedy.epsilon is None:
            return voice("refusal.patients_only", patients=needed)
        return voice("refusal.both", epsilon=number(remedy.epsilon, 2), patients=needed)
