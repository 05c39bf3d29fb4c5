"""What a description says, in English and Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from fedvalue.client.describing.description import Description
from fedvalue.client.describing.measure import AREAS, Area, Measure, Verdict

Language = Literal["en", "zh"]

TITLES: Mapping[Area, tuple[str, str]] = {
    "completeness": ("Completeness", "完整性"),
    "codes": ("Validity of codes", "编码有效性"),
    "dates": ("Days out of order", "日期顺序"),
    "amounts": ("Amounts out of range", "金额范围"),
    "duplicates": ("Duplicates", "重复记录"),
    "vital_status": ("Unknown vital status", "生存状态未知"),
    "drift": ("Drift against the last load", "与上次装载相比的变化"),
    "readiness": ("Readiness for the study", "对该研究的就绪程度"),
}
VERDICTS: Mapping[Verdict, tuple[str, str]] = {
    "good": ("good", "正常"), "look": ("look", "请核查"), "bad": ("BAD", "异常"),
}  # fmt: skip
SENTENCES: Mapping[str, tuple[str, str]] = {
    "without_record": (
        "people without any record in {about} ({detail} rows)",
        "在 {about} 中没有任何记录的患者（共 {detail} 行）",
    ),
    "empty": ("empty values in {about}", "{about} 的空值"),
    "looks_like": ("codes in {about} that look like {detail}", "{about} 中符合 {detail} 的编码"),
    "no_system": ("codes in {about} of no known system", "{about} 中不符合任何已知编码体系的编码"),
    "to_come": ("records in {about} of a day to come", "{about} 中日期在将来的记录"),
    "implausible": ("records in {about} of before 1870", "{about} 中日期早于 1870 年的记录"),
    "after_death": ("records in {about} after the day of death", "{about} 中晚于死亡日的记录"),
    "ends_early": ("rows of {about} that end before they begin", "{about} 中结束早于开始的行"),
    "before_origin": ("records in {about} before the day of origin", "{about} 中早于起始日的记录"),
    "negative": ("negative amounts in {about}", "{about} 中的负数金额"),
    "zero": ("amounts of nothing in {about}", "{about} 中的零金额"),
    "large": ("amounts above 10,000,000 in {about}", "{about} 中超过一千万的金额"),
    "parts_pass_whole": ("claims of which the parts pass the whole", "分项之和超过总额的结算"),
    "currencies": ("currencies in {about} beyond one", "{about} 中除一种以外的货币数"),
    "repeated": ("rows of {about} that repeat another one", "{about} 中的重复行"),
    "unknown_at": ("people of unknown vital status after {about} months", "{about} 个月后生存状态未知的患者"),
    "known_by": (
        "people of whom the source '{about}' tells; last known alive on {detail}",
        "由来源“{about}”得知生存状态的患者；最后确认存活日 {detail}",
    ),
    "unknown_by": (
        "people of unknown vital status after {about} months by '{detail}' alone",
        "仅凭来源“{detail}”，{about} 个月后生存状态未知的患者",
    ),
    "rows": ("rows of {about}: {detail}", "{about} 的行数变化：{detail}"),
    "share": ("percentage points of {about}: {detail}", "{about} 的百分点变化：{detail}"),
    "mix": (
        "distance between the mixes of codes of {about}, in thousandths",
        "{about} 编码构成的差异（千分之一）",
    ),
    "not_ready": ("the records lack what {about} reads: {detail}", "记录缺少 {about} 所需的内容：{detail}"),
    "step": ("people left: {about}", "剩余患者：{about}"),
    "cohort": (
        "people in the cohort of {about}; it reports groups from {detail}",
        "{about} 的队列人数；分组至少 {detail} 人",
    ),
    "unknown": ("unknown values of {about} in the cohort", "队列中 {about} 的未知值"),
}
SOURCES_ZH: Mapping[str, str] = {
    "records": "诊疗记录", "follow-up": "随访与死亡登记表", "in hospital": "住院", "enrolment": "参保信息",
    "registry": "死亡登记", "call": "电话随访",
}  # fmt: skip
"""Sources of vital status."""
HEADS: Mapping[str, tuple[str, str]] = {
    "title": ("How good the records are", "数据质量说明"),
    "stays": ("It stays at this hospital.", "本说明仅留在本机构。"),
    "what": ("what", "内容"), "count": ("count", "数量"), "of": ("of", "总数"), "share": ("share", "占比"),
    "verdict": ("verdict", "判断"), "nothing": ("nothing was counted", "无可统计内容"),
}  # fmt: skip


def said(measure: Measure, language: Language) -> str:
    """Return the sentence of a measure."""
    about, detail = measure.about, measure.detail
    if language == "zh" and measure.area == "vital_status":
        about, detail = SOURCES_ZH.get(about, about), SOURCES_ZH.get(detail, detail)
    return SENTENCES[measure.key][language == "zh"].format(about=about, detail=detail)


def described_text(found: Description, language: Language, *, everything: bool = False) -> str:
    """Return a description for a terminal.

    Args:
      found: The description.
      language: ``en`` or ``zh``.
      everything: True for what is good as well; else only what somebody should look at.
    """
    zh = language == "zh"
    lines = [f"{HEADS['title'][zh]}: {found.site}, {found.made:%Y-%m-%d %H:%M} UTC. {HEADS['stays'][zh]}"]
    for area in AREAS:
        measures = [m for m in found.measures if m.area == area]
        if not measures:
            continue
        worth = [m for m in measures if everything or m.verdict != "good" or m.area == "readiness"]
        good = len(measures) - len(worth)
        lines.append(f"{TITLES[area][zh]} ({good} {VERDICTS['good'][zh]})")
        lines += [
            f"  {VERDICTS[m.verdict][zh]:<4} {said(m, language)}: {m.count} / {m.of} ({100 * m.share:.1f}%)"
            for m in worth
        ]
    return "\n".join(lines) + "\n"
