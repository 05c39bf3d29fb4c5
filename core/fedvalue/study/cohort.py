"""Who is in a study and what is known of them: the cohort and its variables, from coded records only."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from fedvalue.study.index import Index, Lines
from fedvalue.study.measurements import MeasuredValue, SensorValue
from fedvalue.study.model import Code, Duration, Level, Line, Name, Part, Window
from fedvalue.study.sources import GRADES, RecordCount, WorstGrade, day_number


def _absent(value: object) -> bool:
    """Tell whether a key was not given: it is then left out of the canonical form, as before it existed."""
    return value in (None, {}, ())


class Criterion(Part):
    """A record that a patient must have (``require``) or must not have (``exclude``).

    Attributes:
      condition: Diagnosis codes. Exactly one of the code lists is given.
      drug: Drug codes.
      procedure: Procedure codes.
      within: Days from the index day, both ends included.
    """

    condition: tuple[Code, ...] = Field(default=(), strict=False)
    drug: tuple[Code, ...] = Field(default=(), strict=False)
    procedure: tuple[Code, ...] = Field(default=(), strict=False)
    within: Window

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum(bool(codes) for codes in (self.condition, self.drug, self.procedure)) != 1:
            raise ValueError("a criterion names exactly one of condition, drug, procedure")
        return self

    @property
    def kind(self) -> Literal["condition", "drug", "procedure"]:
        """Which table the criterion reads."""
        return "condition" if self.condition else "drug" if self.drug else "procedure"

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of that kind."""
        return self.condition or self.drug or self.procedure


class Cohort(Part):
    """Who is in: an index event, and records required or excluded around it.

    Attributes:
      index: What makes day zero of a patient.
      observable: How long a patient must have been insured without a break up to day zero, such as ``365
        days``. Nothing after day zero can be asked: who will stay is not known on that day.
      lines: How lines of therapy are told apart, for ``index = { first = "line" }``.
      require: Records that a patient must have.
      exclude: Records that a patient must not have.
    """

    index: Index
    observable: Duration | None = Field(default=None, exclude_if=_absent)
    lines: Lines | None = Field(default=None, exclude_if=_absent)
    require: tuple[Criterion, ...] = Field(default=(), strict=False)
    exclude: tuple[Criterion, ...] = Field(default=(), strict=False)

    @model_validator(mode="after")
    def _lines_of_use(self) -> Self:
        if self.lines is not None and self.index.first != "line":
            raise ValueError("lines are read by index = { first = 'line', number = 1 } alone")
        return self


class VariantSource(Part):
    """A variant of one gene.

    Attributes:
      gene: HGNC symbol.
      classes: ``L858R`` or ``p.L858R`` (protein change), ``ex19del`` (in-frame deletion in EGFR exon 19),
        ``fusion``, or ``any`` (any protein-changing variant).
    """

    gene: str = Field(pattern=r"^[A-Z][A-Z0-9-]{1,19}$")
    classes: tuple[str, ...] = Field(default=("any",), strict=False, min_length=1)


class NamedVariant(VariantSource):
    """A variant that is a level of its own.

    Attributes:
      level: What it is called, such as ``EGFR L858R``.
    """

    level: Level


OTHER_VARIANT, NOT_TESTED = "other", "not tested"
"""Last levels of a variable of several variants: every gene was looked at and nothing found; one was not."""

MUTATED, WILD_TYPE = "mutated", "wild type"
UNKNOWN_SIGNIFICANCE = "unknown significance"
FINER_LEVELS = (UNKNOWN_SIGNIFICANCE, "not readable", "failed sample", "not reported", "not covered")
"""States of a gene that are neither mutated nor wild type, and that a study may name as levels of their own.

A variant of unknown significance was found; what the laboratory wrote cannot be read; the sample failed; the
gene was tested and no result is reported; the panel does not cover the gene. A study that does not name them
has them as unknown, and the last as not tested: never as wild type.
"""

LARGEST_CLIP = 1e15


def _headed(levels: tuple[str, ...], head: tuple[str, ...]) -> bool:
    """Tell whether levels begin with a head and go on with finer ones alone."""
    return levels[: len(head)] == head and set(levels[len(head) :]) <= set(FINER_LEVELS)


CALENDAR_UNIT = "days since 1970-01-01"


class Variable(Part):
    """One variable of the cohort: exactly one source, and either levels or a public clip.

    Attributes:
      variant: Mutated / wild type / not tested of one gene; ``levels`` are then those three words, in order,
        and behind them any of `FINER_LEVELS`.
      variants: Several variants, possibly of several genes; ``levels`` are then theirs in order, ``other``
        (every gene was looked at, none of them found), ``not tested`` and any of `FINER_LEVELS`. The first
        one found counts.
      person: A column of the patients table, such as ``age`` or ``sex``.
      claims: A money column of the claims table, summed over ``window``.
      count: On how many different days there is a record of some kind.
      first_day: The first day, from the index day, with a record of some kind; unknown where there is none.
        The start of an exposure.
      grade: The worst grade of adverse events; ``levels`` are then `GRADES`, in order.
      measurement: One value of what was measured in a window; unknown without one.
      sensor: What a continuous glucose sensor shows over a window; unknown where it was not worn enough.
      calendar: ``index``: the calendar day of the index day, if it lies ``between``; it takes no clip.
      between: First and last calendar day, both included, for ``calendar``.
      merge_into: Level to the coarser level that a small group joins, such as a variant to its gene; a
        coarser level may join a yet coarser one. For variables that define groups.
      levels: Public levels of a categorical variable. Any other value is the declared level ``unknown``.
      clip: Public range of a numeric variable; values outside are moved to its ends.
      window: Days from the index day, for ``claims``.
      unit: Unit of a numeric variable (ISO 4217 code for money).
    """

    variant: VariantSource | None = None
    person: Name | None = None
    claims: Literal["total_paid", "patient_paid"] | None = None
    variants: tuple[NamedVariant, ...] = Field(default=(), strict=False, exclude_if=_absent)
    count: RecordCount | None = Field(default=None, exclude_if=_absent)
    first_day: RecordCount | None = Field(default=None, exclude_if=_absent)
    grade: WorstGrade | None = Field(default=None, exclude_if=_absent)
    measurement: MeasuredValue | None = Field(default=None, exclude_if=_absent)
    sensor: SensorValue | None = Field(default=None, exclude_if=_absent)
    calendar: Literal["index"] | None = Field(default=None, exclude_if=_absent)
    between: tuple[date, date] | None = Field(default=None, strict=False, exclude_if=_absent)
    merge_into: dict[Level, Level] = Field(default={}, exclude_if=_absent)
    levels: tuple[Level, ...] = Field(default=(), strict=False)
    clip: tuple[float, float] | None = Field(default=None, strict=False)
    window: Window | None = None
    unit: Line | None = None

    @model_validator(mode="before")
    @classmethod
    def _calendar_clip(cls, given: Any) -> Any:
        """A calendar day is a number in days, clipped to ``between``; both are in the canonical form."""
        if not isinstance(given, dict) or given.get("calendar") is None:
            return given
        try:
            first, last = (date.fromisoformat(str(day)) for day in given["between"])
        except (KeyError, TypeError, ValueError):
            return given  # the fields say what is wrong
        made = {"clip": [day_number(first), day_number(last)], "unit": CALENDAR_UNIT}
        return {**made, **given, "between": [first, last]}

    @model_validator(mode="after")
    def _calendar_complete(self) -> Self:
        if (self.calendar is None) != (self.between is None):
            raise ValueError("calendar takes between = [first day, last day], and nothing else does")
        if self.between is not None and self.clip != tuple(day_number(day) for day in self.between):
            raise ValueError("calendar takes between, and no clip")
        return self

    @model_validator(mode="after")
    def _merges_end(self) -> Self:
        if self.merge_into and not self.levels:
            raise ValueError("merge_into is for variables with levels")
        for level in self.merge_into:
            path, at = {level}, level
            while (above := self.merge_into.get(at)) is not None:
                if above in path:
                    raise ValueError(f"merge_into runs in a circle at {above!r}")
                path.add(at := above)
        known = {*self.levels, *self.merge_into.values()}
        if unused := sorted(set(self.merge_into) - known):
            raise ValueError(f"merge_into: {unused[0]!r} is no level, and no level joins it")
        return self

    @model_validator(mode="after")
    def _one_source_one_shape(self) -> Self:
        sources = (
            self.variant,
            self.variants or None,
            self.person,
            self.claims,
            self.count,
            self.first_day,
            self.grade,
            self.measurement,
            self.sensor,
            self.calendar,
        )
        if sum(source is not None for source in sources) != 1:
            raise ValueError(
                "a variable has exactly one source: variant, variants, person, claims, count, first_day, "
                "grade, measurement, sensor, calendar"
            )
        for read in (self.measurement, self.sensor):
            if read is not None and (self.clip is None or self.unit != read.unit):
                raise ValueError(f"this is a number: it takes a clip and unit = {read.unit!r}")
        if self.first_day is not None and self.unit != "days":
            raise ValueError("first_day is a number of days: it takes a clip and unit = 'days'")
        head = (*(v.level for v in self.variants), OTHER_VARIANT, NOT_TESTED)
        if self.variants and not _headed(self.levels, head):
            raise ValueError(
                f"levels are those of variants, then {OTHER_VARIANT!r}, {NOT_TESTED!r}, then any of "
                f"{list(FINER_LEVELS)}"
            )
        if self.count is not None and self.clip is None:
            raise ValueError("a count is a number: it takes a clip, and no levels")
        if self.grade is not None and self.levels != GRADES:
            raise ValueError(f"a grade has the levels {list(GRADES)}")
        if bool(self.levels) == (self.clip is not None):
            raise ValueError("a variable has either levels (categorical) or clip (numeric)")
        if len(set(self.levels)) != len(self.levels) or "unknown" in self.levels:
            raise ValueError("levels are distinct, and 'unknown' is always there without being listed")
        if self.variant is not None and not _headed(self.levels, (MUTATED, WILD_TYPE, NOT_TESTED)):
            raise ValueError(
                "a variant has the levels ['mutated', 'wild type', 'not tested'], then any of "
                f"{list(FINER_LEVELS)}"
            )
        if finer := self._wild_by_merging():
            raise ValueError(f"merge_into makes a wild type of {finer!r}, which it is not")
        if self.clip is not None and not self.clip[0] < self.clip[1]:
            raise ValueError("clip is [lowest, highest] with lowest < highest")
        if self.clip is not None and max(map(abs, self.clip)) > LARGEST_CLIP:
            raise ValueError(f"clip lies within {LARGEST_CLIP:g}")
        if self.clip is not None and self.clip[1] - self.clip[0] < 1e-9 * max(1e-300, *map(abs, self.clip)):
            raise ValueError("clip is too narrow to tell its ends apart")
        if self.clip is not None and not self.unit:
            raise ValueError("a numeric variable states its unit")
        if (self.claims is not None) != (self.window is not None):
            raise ValueError("claims need a window, and nothing else takes one")
        if self.claims is not None and self.clip is None:
            raise ValueError("claims are money: they take a clip, and no levels")
        return self

    def _wild_by_merging(self) -> str | None:
        """Return the first finer level that merging would add to those without a variant."""
        for level in FINER_LEVELS if self.variant is not None or self.variants else ():
            above: str | None = level
            while above is not None and level in self.levels:
                above = self.merge_into.get(above)
                if above in (WILD_TYPE, OTHER_VARIANT):
                    return level
        return None

    @property
    def genes(self) -> tuple[str, ...]:
        """Genes whose report says what the variable is; empty for one that is known from day zero."""
        found = self.variants if self.variant is None else (self.variant,)
        return tuple(dict.fromkeys(variant.gene for variant in found))

    @property
    def categorical(self) -> bool:
        """True where the variable has levels."""
        return bool(self.levels)
