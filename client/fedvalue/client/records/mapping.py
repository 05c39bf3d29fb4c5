"""The mapping file: which local files, columns and codes mean what.

``docs/mapping.md`` is the reference. One schema serves a hospital's own folder and a pooled table that a
simulation splits. Unknown keys are refused with the keys that are allowed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from fedvalue.client.records.builds import Build
from fedvalue.client.records.cells import Day, Section
from fedvalue.client.records.claim_sections import Claim, ClaimLine, Enrolment, VitalStatus
from fedvalue.client.records.measurement_sections import Measurement
from fedvalue.client.records.sections import (
    Admission,
    AdverseEvent,
    Coded,
    Drug,
    Event,
    FollowUp,
    MolecularReport,
    Panel,
    Patient,
    Response,
    Survival,
    Table,
    Test,
    Variant,
)  # fmt: skip
from fedvalue.errors import MappingInvalid
from fedvalue.study.model import Name
from fedvalue.study.toml import load_toml, parse_toml

_DO = "see docs/mapping.md for every key and its values"
MISSING = ("", "NA", "N/A", "NaN", "nan", "NULL", "null", "None")

Format = Literal["csv", "tsv", "parquet", "maf", "vcf", "fhir", "omop"]
_ENDINGS: dict[str, Format] = {
    ".csv": "csv", ".txt": "tsv", ".tsv": "tsv", ".tab": "tsv", ".parquet": "parquet", ".maf": "maf",
    ".vcf": "vcf", ".bcf": "vcf", ".ndjson": "fhir",
}  # fmt: skip


class InfoKeys(Section):
    """INFO keys of a VCF that was annotated by neither VEP nor SnpEff."""

    gene: str = "GENE"
    protein_change: str = "HGVSp"
    effect: str = "EFFECT"


class SourceFile(Section):
    """One file of the hospital, or several of the same shape.

    Attributes:
      path: Below the hospital's folder; ``*`` and ``?`` in the file name take every match.
      format: Left out, it follows from the file's ending.
      delimiter: One character; left out, it follows from the format.
      skip: Lines above the header of a csv or tsv, such as the title that a device writes.
      encoding: Of text files.
      missing: Cells that mean "not known"; the empty cell always does.
      optional: A file that is missing or empty is reported and passed over.
      samples: Sample columns of a VCF to read; none named: all.
      only_passing: Take only calls of a VCF with FILTER ``PASS`` or ``.``.
      info: INFO keys of a VCF without CSQ or ANN.
      build: Genome build of a vcf or maf; a file that says another one is refused.
      resource: Type of the resources that are read from an fhir file; lines of another type are left out.
      table: Table of the database that ``path`` is or names, for omop.
      concepts: File of the vocabulary below the hospital's folder, for omop; a database has its own.
    """

    path: str = Field(min_length=1, max_length=500)
    format: Format | None = None
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    encoding: Literal["utf-8", "gb18030"] = "utf-8"
    missing: tuple[str, ...] = Field(default=MISSING, strict=False)
    optional: bool = False
    samples: tuple[str, ...] = Field(default=(), strict=False)
    only_passing: bool = True
    info: InfoKeys = InfoKeys()
    build: Build | None = None
    resource: str | None = Field(default=None, pattern=r"^[A-Z][A-Za-z]{2,40}$")
    table: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")
    concepts: str | None = Field(default=None, min_length=1, max_length=500)
    skip: int = Field(default=0, ge=0, le=50, exclude_if=lambda given: given == 0)

    @field_validator("path")
    @classmethod
    def _below_the_folder(cls, path: str) -> str:
        parts = PurePosixPath(path)
        if parts.is_absolute() or ".." in parts.parts or "\\" in path or "\0" in path:
            raise ValueError("a path stays below the hospital's folder: no leading '/', no '..', no '\\'")
        if any(mark in part for part in parts.parts[:-1] for mark in "*?"):
            raise ValueError("* and ? may stand in the file name only")
        return path

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        kind = self.kind
        if self.delimiter is not None and (kind == "parquet" or kind == "vcf" or self.delimiter in '"\r\n#'):
            raise ValueError(
                "delimiter is one character for csv, tsv or maf, and no quote, '#' or line break"
            )
        if kind != "vcf" and (
            self.samples or "only_passing" in self.model_fields_set or "info" in self.model_fields_set
        ):
            raise ValueError("samples, only_passing and info belong to vcf files")
        if kind not in ("csv", "tsv") and self.skip:
            raise ValueError("skip belongs to csv and tsv files")
        if kind not in ("vcf", "maf") and self.build is not None:
            raise ValueError("build belongs to vcf and maf files")
        if kind != "fhir" and self.resource is not None:
            raise ValueError("resource belongs to fhir files")
        if kind != "omop" and (self.table is not None or self.concepts is not None):
            raise ValueError("table and concepts belong to omop tables")
        return self

    @property
    def kind(self) -> Format:
        """The format, from the ending where it is not given.

        Raises:
          ValueError: the ending tells nothing.
        """
        if self.format is not None:
            return self.format
        name = PurePosixPath(self.path).name.lower().removesuffix(".gz").removesuffix(".bgz")
        for ending, kind in _ENDINGS.items():
            if name.endswith(ending):
                return kind
        raise ValueError(f"give the format of {self.path!r}: csv, tsv, parquet, maf, vcf, fhir or omop")


class Mapping(Section):
    """A validated mapping file."""

    mapping: Literal[1]
    files: dict[Name, SourceFile] = Field(min_length=1)
    patient: Patient
    drug: tuple[Drug, ...] = Field(default=(), strict=False)
    response: tuple[Response, ...] = Field(default=(), strict=False)
    event: tuple[Event, ...] = Field(default=(), strict=False)
    follow_up: tuple[FollowUp, ...] = Field(default=(), strict=False)
    condition: tuple[Coded, ...] = Field(default=(), strict=False)
    procedure: tuple[Coded, ...] = Field(default=(), strict=False)
    claim: tuple[Claim, ...] = Field(default=(), strict=False)
    claim_line: tuple[ClaimLine, ...] = Field(default=(), strict=False)
    enrolment: tuple[Enrolment, ...] = Field(default=(), strict=False)
    vital_status: tuple[VitalStatus, ...] = Field(default=(), strict=False)
    admission: tuple[Admission, ...] = Field(default=(), strict=False)
    adverse_event: tuple[AdverseEvent, ...] = Field(default=(), strict=False)
    measurement: tuple[Measurement, ...] = Field(default=(), strict=False)
    survival: tuple[Survival, ...] = Field(default=(), strict=False)
    variant: tuple[Variant, ...] = Field(default=(), strict=False)
    test: tuple[Test, ...] = Field(default=(), strict=False)
    panel: tuple[Panel, ...] = Field(default=(), strict=False)
    molecular_report: tuple[MolecularReport, ...] = Field(default=(), strict=False)

    def tables(self) -> Iterator[tuple[str, Table]]:
        """Yield ``("drug[0]", table)`` for every table of the file, patients first."""
        yield "patient", self.patient
        for name in TABLES:
            for position, table in enumerate(getattr(self, name)):
                yield f"{name}[{position}]", table

    def days(self) -> Iterator[tuple[str, Day]]:
        """Yield every day that the file maps, with its key."""
        for where, table in self.tables():
            for key in ("origin", "day", "time", "report", "discharge", "until"):
                if isinstance(day := getattr(table, key, None), Day):
                    yield f"{where}.{key}", day

    @property
    def calendar(self) -> bool:
        """True where the hospital's days are dates, False where they are numbers."""
        return any(day.date is not None for _, day in self.days())

    @model_validator(mode="after")
    def _files_resolve(self) -> Self:
        for where, table in self.tables():
            if table.file not in self.files:
                raise ValueError(
                    f"{where}.file = {table.file!r} is not under [files]; there are {sorted(self.files)}"
                )
            known = self.files[table.file].kind in ("maf", "vcf")
            if isinstance(table, Variant) and not known and (table.patient_id is None or table.gene is None):
                raise ValueError(
                    f"{where} needs patient_id and gene: only a maf or vcf has columns that are known"
                )
        return self

    @model_validator(mode="after")
    def _one_scale_of_days(self) -> Self:
        numbers = [where for where, day in self.days() if day.day is not None]
        durations = [where for where, day in self.days() if day.duration is not None]
        if not self.calendar and any(one.complete_until is not None for one in self.vital_status):
            raise ValueError("vital_status.complete_until is a date, and the hospital's days are numbers")
        if self.calendar and numbers:
            raise ValueError(
                f"{numbers[0]} is a day number beside dates elsewhere: use one scale for the hospital"
            )
        if self.calendar and durations and self.patient.origin is None:
            raise ValueError(
                f"{durations[0]} is a duration beside dates: say which date it counts from, patient.origin"
            )
        return self


TABLES = (
    "drug", "response", "event", "follow_up", "condition", "procedure", "claim", "survival", "variant",
    "test", "panel", "molecular_report", "admission", "adverse_event", "claim_line", "enrolment",
    "vital_status", "measurement",
)  # fmt: skip


def load_mapping(path: Path) -> Mapping:
    """Read and validate the mapping file at ``path``.

    Raises:
      MappingInvalid: unreadable, not TOML, an unknown key, a wrong type, a name that does not resolve.
    """
    return load_toml(path, Mapping, failure=MappingInvalid, what="the mapping", do=_DO)


def parse_mapping(raw: bytes, *, where: str) -> Mapping:
    """Validate the bytes of a mapping file; ``where`` names them in errors.

    Raises:
      MappingInvalid: as in `load_mapping`.
    """
    return parse_toml(raw, Mapping, failure=MappingInvalid, what="the mapping", where=where, do=_DO)
