"""The tables that a mapping file may hold: patients, treatments, outcomes, variants, tests."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from fedvalue.client.records.cells import Cell, Day, Section
from fedvalue.client.records.claim_sections import Claim, ClaimLine, Enrolment, VitalStatus
from fedvalue.client.records.code_systems import System
from fedvalue.client.records.measurement_sections import Measurement
from fedvalue.client.records.rows import Rows
from fedvalue.study.model import Name

METHODS = ("recist", "clinician", "report_text")
STATUSES = ("CR", "PR", "SD", "PD", "NE")
KINDS = ("death", "progression", "relapse", "new_treatment", "discontinuation")
CENSORED = "censored"
RESULTS = (
    "mutated", "wild type", "not tested", "fusion", "ex19del", "unknown significance", "not reported",
    "not covered", "failed sample", "not readable",
)  # fmt: skip
"""Words for what a panel found in a gene, or for why it found nothing that counts."""
TEST_STATES = ("tested", "not tested", "not reported", "not covered", "failed sample", "not readable")
"""What a test may say of a gene; only the first can make a wild type."""
SIGNIFICANCES = ("pathogenic", "likely pathogenic", "uncertain", "likely benign", "benign")
"""Of a variant, after Richards et al., Genetics in Medicine 17 (2015) 405-424."""

Gene = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.@_-]{0,39}$")]


class Patient(Rows):
    """The one table with one row per patient."""

    patient_id: Cell
    origin: Day | None = None
    attributes: dict[Name, Cell] = {}

    @model_validator(mode="after")
    def _origin_is_a_day(self) -> Self:
        if self.origin is not None and self.origin.duration is not None:
            raise ValueError("origin is a date or a day; a duration counts from it")
        if reserved := {"patient_id", "origin"} & set(self.attributes):
            raise ValueError(f"attributes: the name {sorted(reserved)[0]!r} is taken")
        for name, cell in self.attributes.items():
            if cell.several or cell.row_number:
                raise ValueError(f"attributes.{name} is one value of one column")
        return self


class Drug(Rows):
    """Starts of treatments.

    Attributes:
      system: What the codes have to look like.
    """

    patient_id: Cell
    day: Day
    code: Cell
    line: Cell | None = None
    system: System | None = Field(default=None, exclude_if=lambda system: system is None)


class Coded(Rows):
    """Diagnoses or procedures.

    Attributes:
      system: What the codes have to look like.
    """

    patient_id: Cell
    day: Day
    code: Cell
    system: System | None = Field(default=None, exclude_if=lambda system: system is None)


class Admission(Rows):
    """Stays in hospital.

    Attributes:
      day: Of admission.
      discharge: Day of discharge, not before ``day``.
      code: Main diagnosis.
    """

    patient_id: Cell
    day: Day
    discharge: Day
    code: Cell


class AdverseEvent(Rows):
    """Adverse events, such as CTCAE terms.

    Attributes:
      grade: 1 to 5; anything else is not known.
    """

    patient_id: Cell
    day: Day
    code: Cell
    grade: Cell


class Response(Rows):
    """Assessments of response."""

    patient_id: Cell
    day: Day
    method: Cell
    status: Cell

    @model_validator(mode="after")
    def _codes(self) -> Self:
        self.method.require_results(METHODS, "method")
        self.status.require_results(STATUSES, "status")
        return self


class Event(Rows):
    """Deaths, progressions and the like."""

    patient_id: Cell
    day: Day
    kind: Cell

    @model_validator(mode="after")
    def _codes(self) -> Self:
        self.kind.require_results(KINDS, "kind")
        return self


class FollowUp(Rows):
    """Last day a patient is known to have been followed."""

    patient_id: Cell
    day: Day


class Survival(Rows):
    """A time and a flag in one row: an event where the flag says so, and the follow-up."""

    patient_id: Cell
    time: Day
    event: Cell

    @model_validator(mode="after")
    def _codes(self) -> Self:
        self.event.require_results((*KINDS, CENSORED), "event")
        return self


class Variant(Rows):
    """Variants, one row each; a MAF or VCF needs no column names.

    Attributes:
      significance: One of `SIGNIFICANCES`; a variant of uncertain significance is neither mutated nor wild
        type, a benign one is not mutated.
      genotype: As the caller writes it.
      depth: Reads.
      alt_depth: Reads of the variant, where there is no allele fraction.
      allele_fraction: 0 to 1.
      filter: What the caller's filters say.
      tested: Who was tested, as far as this file tells.
      genes: What was looked at in them; empty: every gene.
      report: Day of the genomic report.
      panel: Name of the panel.
      assay: Version of the assay.
    """

    patient_id: Cell | None = None
    gene: Cell | None = None
    protein_change: Cell | None = None
    effect: Cell | None = None
    significance: Cell | None = None
    genotype: Cell | None = None
    depth: Cell | None = None
    alt_depth: Cell | None = None
    allele_fraction: Cell | None = None
    filter: Cell | None = None
    tested: Literal["listed", "all patients", "nobody"] = "nobody"
    genes: tuple[Gene, ...] = Field(default=(), strict=False)
    report: Day | None = None
    panel: Cell | None = None
    assay: Cell | None = None

    @model_validator(mode="after")
    def _known_words(self) -> Self:
        if self.significance is not None:
            self.significance.require_results(SIGNIFICANCES, "significance")
        return self


def _genes(value: object) -> object:
    return {"symbols": value} if isinstance(value, list | tuple) else {"cell": value}


class Genes(Section):
    """Gene symbols, the same for every row or out of a cell."""

    symbols: tuple[Gene, ...] = Field(default=(), strict=False)
    cell: Cell | None = None

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.symbols and self.cell is None:
            raise ValueError("name at least one gene")
        return self


class Test(Rows):
    """Which genes were looked at, and when that was reported.

    Attributes:
      status: What became of it, one of `TEST_STATES`; left out: tested.
      panel: Name of the panel.
      assay: Version of the assay.
    """

    patient_id: Cell
    genes: Annotated[Genes, BeforeValidator(_genes)]
    day: Day | None = None
    status: Cell | None = None
    panel: Cell | None = None
    assay: Cell | None = None

    @model_validator(mode="after")
    def _known_words(self) -> Self:
        if self.status is not None:
            self.status.require_results(TEST_STATES, "status")
        return self


class MolecularReport(Rows):
    """Results in a laboratory's own words, one row a report, or one row a report and gene.

    Attributes:
      text: The words, such as ``l858r, t790m`` or ``KRAS not tested``.
      gene: The gene that a row is of; left out: the words name it.
      genes: What was looked at, the same for every row or out of a cell; left out: see ``panels``.
      panels: Name of a panel to its genes.
      unmentioned: What holds for a gene of the panel that the words do not mention.
      day: Of the report.
      panel: Name of the panel.
      assay: Version of the assay.
    """

    patient_id: Cell
    text: Cell
    gene: Cell | None = None
    genes: Annotated[Genes, BeforeValidator(_genes)] | None = None
    panels: dict[str, tuple[Gene, ...]] = Field(default={}, strict=False)
    unmentioned: Literal["not reported", "wild type"] = "not reported"
    day: Day | None = None
    panel: Cell | None = None
    assay: Cell | None = None

    @model_validator(mode="before")
    @classmethod
    def _lists_of_genes(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("panels"), dict):
            panels = {
                name: tuple(genes) if isinstance(genes, list) else genes
                for name, genes in value["panels"].items()
            }
            return {**value, "panels": panels}
        return value

    @model_validator(mode="after")
    def _one_extent(self) -> Self:
        if self.text.several or self.text.row_number:
            raise ValueError("text is one column")
        if self.panels and (self.panel is None or self.genes is not None):
            raise ValueError("panels says which genes a panel has: give panel, and leave genes out")
        if self.unmentioned == "wild type" and self.genes is None and not self.panels and self.gene is None:
            raise ValueError("unmentioned = 'wild type' needs the genes that were looked at: genes or panels")
        return self


class Panel(Rows):
    """Wide columns, one per gene.

    Attributes:
      genes: Gene symbol to column.
      codes: Local code to one of `RESULTS` or a protein change.
      report: Day of the genomic report.
      panel: Name of the panel.
      assay: Version of the assay.
    """

    patient_id: Cell
    genes: dict[Gene, str] = Field(min_length=1)
    codes: dict[str, str] = {"0": "wild type", "1": "mutated"}
    report: Day | None = None
    panel: Cell | None = None
    assay: Cell | None = None

    @model_validator(mode="after")
    def _results(self) -> Self:
        for result in self.codes.values():
            if result not in RESULTS and not result.startswith("p."):
                raise ValueError(
                    f"codes: {result!r} is none of {', '.join(RESULTS)} or a protein change such as p.L858R"
                )
        return self


Records = (
    Drug
    | Coded
    | Admission
    | AdverseEvent
    | Response
    | Event
    | FollowUp
    | Claim
    | ClaimLine
    | Enrolment
    | VitalStatus
    | Measurement
    | Survival
    | Variant
    | Test
    | Panel
    | MolecularReport
)
Table = Patient | Records
