"""Six ways in which hospitals keep the same facts: file formats, languages, headers, codes and calendars.

A layout says how a hospital writes; `write_folder` follows it, and `mapping_text` turns the same layout
into the hospital's ``map.toml``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Calendar = Literal["iso", "slash", "dotted", "numbers", "durations"]

ENGLISH: Mapping[str, str] = {
    "patient_id": "patient_id", "sex": "sex", "age": "age", "diagnosed": "diagnosis_date",
    "last_contact": "last_contact", "started": "start_date", "drug": "atc_code", "line": "line",
    "assessed": "assessed_on", "status": "best", "happened": "event_date", "kind": "event",
    "claim_id": "claim_no", "billed": "service_date", "diagnosis": "diagnosis", "total": "paid_total",
    "self": "paid_self", "currency": "currency", "reported": "report_date", "genes": "genes",
}  # fmt: skip

ENGLISH_DAYS: Mapping[str, str] = {
    **ENGLISH, "diagnosed": "diagnosis_day", "last_contact": "last_contact_day", "started": "start_day",
    "assessed": "assessed_day", "happened": "event_day", "billed": "service_day", "reported": "report_day",
}  # fmt: skip

TERSE: Mapping[str, str] = {
    "patient_id": "PID", "sex": "GENDER", "age": "AGE_DX", "diagnosed": "DX_DT", "last_contact": "LAST_FU",
    "started": "TX_START", "drug": "TX_CODE", "line": "TX_LINE", "assessed": "RESP_DT", "status": "RESP",
    "happened": "EVT_DT", "kind": "EVT", "claim_id": "BILL", "billed": "BILL_DT", "diagnosis": "DX",
    "total": "AMT", "self": "AMT_SELF", "currency": "CUR", "reported": "NGS_DT", "genes": "PANEL",
}  # fmt: skip

TERSE_DAYS: Mapping[str, str] = {
    **TERSE, "last_contact": "FU_DAYS", "started": "TX_DAY", "assessed": "RESP_DAY", "happened": "EVT_DAY",
    "billed": "BILL_DAY", "reported": "NGS_DAY",
}  # fmt: skip

CHINESE: Mapping[str, str] = {
    "patient_id": "病案号", "sex": "性别", "age": "年龄", "diagnosed": "确诊日期",
    "last_contact": "末次随访日期", "started": "用药开始日期", "drug": "药品", "line": "治疗线数",
    "assessed": "评估日期", "status": "疗效评价", "happened": "发生日期", "kind": "事件",
    "claim_id": "结算单号", "billed": "结算日期", "diagnosis": "诊断编码", "total": "总费用",
    "self": "个人自付", "currency": "币种", "reported": "报告日期", "genes": "检测基因",
}  # fmt: skip

_ENGLISH_WORDS: Mapping[str, Mapping[str, str]] = {
    "sex": {"female": "F", "male": "M"},
    "status": {"CR": "complete", "PR": "partial", "SD": "stable", "PD": "progressive", "NE": "not evaluable"},
    "kind": {"progression": "progressed", "death": "died"},
}

_CHINESE_WORDS: Mapping[str, Mapping[str, str]] = {
    "sex": {"female": "女", "male": "男"},
    "status": {"CR": "完全缓解", "PR": "部分缓解", "SD": "疾病稳定", "PD": "疾病进展", "NE": "无法评价"},
    "kind": {"progression": "进展", "death": "死亡"},
    "drug": {"L01EB01": "吉非替尼", "L01EB02": "厄洛替尼", "L01EB04": "奥希替尼", "L01BA04": "培美曲塞"},
}

_SHORT_WORDS: Mapping[str, Mapping[str, str]] = {
    "sex": {"female": "2", "male": "1"},
    "kind": {"progression": "PROG", "death": "DEATH"},
}


@dataclass(frozen=True, slots=True)
class Layout:
    """How one hospital writes.

    Attributes:
      name: For people.
      files: Table to file name: patients, treatments, responses, events, claims, tests, variants.
      headers: Our column name to the local header.
      words: Our column name to (our code to the local code); a column that is absent uses our codes.
      encoding: Of the text files.
      calendar: ``iso`` 2024-03-01, ``slash`` 2024/03/01, ``dotted`` 01.03.2024, ``numbers`` days since
        2023-01-01, ``durations`` days since the patient's diagnosis, which alone is a date.
      origin: Whether the mapping declares the diagnosis as the patient's origin.
      joined_diagnoses: Whether a bill carries all its diagnoses in one cell, or only the first.
      currency_column: Whether bills name their currency.
      panel_column: Whether each report lists its genes.
      tested: What the mapping says of the variant file.
    """

    name: str
    files: Mapping[str, str]
    headers: Mapping[str, str]
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    encoding: Literal["utf-8", "gb18030"] = "utf-8"
    calendar: Calendar = "iso"
    origin: bool = False
    joined_diagnoses: bool = False
    currency_column: bool = False
    panel_column: bool = False
    tested: Literal["listed", "nobody"] = "nobody"

    @property
    def variants(self) -> Literal["maf", "vcf", "vcf per patient"]:
        """How the laboratory delivers variants."""
        name = self.files["variants"]
        return "maf" if ".maf" in name else "vcf per patient" if "*" in name else "vcf"


def _files(ending: str, variants: str, **others: str) -> Mapping[str, str]:
    tables = ("patients", "treatments", "responses", "events", "claims", "tests")
    return {table: f"{table}{ending}" for table in tables} | {"variants": variants} | others


_CHINESE_FILES: Mapping[str, str] = {
    "patients": "患者.tsv", "treatments": "用药.tsv", "responses": "疗效.tsv", "events": "事件.tsv",
    "claims": "结算.tsv", "tests": "检测.tsv", "variants": "variants.vcf.gz",
}  # fmt: skip

LAYOUTS: tuple[Layout, ...] = (
    Layout(
        "English CSV, one MAF",
        _files(".csv", "variants.maf"),
        ENGLISH,
        _ENGLISH_WORDS,
        origin=True,
        joined_diagnoses=True,
    ),
    Layout(
        "Chinese TSV in GB 18030, one annotated VCF",
        _CHINESE_FILES,
        CHINESE,
        _CHINESE_WORDS,
        encoding="gb18030",
        calendar="slash",
        currency_column=True,
        tested="listed",
    ),
    Layout(
        "Parquet patients, terse CSV, compressed MAF",
        _files(".csv", "somatic.maf.gz", patients="patients.parquet"),
        TERSE,
        _SHORT_WORDS,
        origin=True,
        panel_column=True,
    ),
    Layout(
        "Chinese TSV in UTF-8, one MAF",
        _files(".tsv", "variants.maf"),
        CHINESE,
        _CHINESE_WORDS,
        calendar="dotted",
        joined_diagnoses=True,
        panel_column=True,
    ),
    Layout(
        "durations since diagnosis, one plain VCF",
        _files(".csv", "variants.vcf"),
        TERSE_DAYS,
        _SHORT_WORDS,
        calendar="durations",
        origin=True,
        currency_column=True,
    ),
    Layout(
        "day numbers, one VCF a patient",
        _files(".csv", "vcf/*.vcf"),
        ENGLISH_DAYS,
        _ENGLISH_WORDS,
        calendar="numbers",
    ),
)
"""The n-th hospital of a world uses the n-th layout; past the sixth they begin again."""
