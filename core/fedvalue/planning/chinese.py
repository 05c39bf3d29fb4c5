"""What a study asks, of whom and at what price, in Chinese: the page of `words` for people who read it so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fedvalue.planning.measured import measured_in_words
from fedvalue.planning.plan import Plan, shares_of
from fedvalue.planning.words import preview
from fedvalue.study.questions.chinese import diagnostics_in_chinese, duration, in_chinese
from fedvalue.study.schema import Study

WHO_COORDINATES = "支付医疗费用的法人不应担任协调方：它掌握同一批患者的结算数据，且与结论有利害关系。"
RECORDS: Mapping[str, str] = {"drug": "用药", "condition": "诊断", "procedure": "操作"}
BASES: Mapping[str, str] = {"assumed": "假定", "linked": "经关联核实", "declared disjoint": "声明互不重叠"}
AGAINST: Mapping[str, str] = {
    "own_share": "对抗协调方与其余全部医院（仅靠一家医院自己的噪声）",
    "promised": "对抗协调方与约定数量的合谋医院；各台账按此计费",
    "no_collusion": "仅对抗协调方",
}


def analyses_in_chinese(study: Study) -> list[str]:
    """Return a sentence for each analysis, and one for the diagnostics."""
    told = [
        f"{in_chinese(question, study.measured)}；占预算 {float(share) * 100:.3g}%。"
        for question, share in zip(study.analyses, shares_of(study), strict=False)
    ]
    return [*told, diagnostics_in_chinese(study.diagnostics)]


def page_in_chinese(study: Study, plan: Plan) -> str:
    """Return the preview of a study as text for people."""
    facts, charter, repeated = preview(study, plan), study.study, study.privacy.max_sites_per_patient
    lines = [
        f"{charter.title.read('zh')}（{charter.id}）",
        f"研究问题：{charter.question.read('zh')}",
        f"申请人：{charter.principal_investigator}；有效期 {charter.valid.start} 至 {charter.valid.until}。",
        "",
        "问什么",
        *(f"  {n}. {sentence}" for n, sentence in enumerate(analyses_in_chinese(study), start=1)),
        *(f"  {sentence}" for sentence in measured_in_words(study, "zh")),
        "",
        "问谁",
        *(f"  {line}" for line in _cohort(study)),
        f"  {_federation(facts)}",
        f"  发布人数不足 {study.federation.min_released_patients} 的分组不给出估计。",
        "",
        "离开医院的内容",
        f"  每次发布发出一个看似随机的掩码向量；只打开至少 {facts['must_answer']} 家之和，不公开单家数值。",
        *(f"  {line}" for release in facts["releases"] for line in _release(release, exact=plan.exact)),
        "",
        "隐私代价",
        *(f"  {line}" for line in _price(study, facts, exact=plan.exact)),
        f"  同一患者最多出现在 {repeated.value} 家机构（{BASES[repeated.basis]}）。",
        f"  {WHO_COORDINATES}",
    ]
    if study.payments:
        moved = [f"  {p.standard}（{p.mechanism}），依据 {p.uses}" for p in study.payments]
        lines += ["", "可能改变的支付标准", *moved]
    if facts["governance_missing"]:
        lines += ["", "尚缺的治理信息：" + "、".join(facts["governance_missing"])]
    if study.governance.profile == "none":
        lines += ["", "治理类型 none：仅供模拟；医院的默认策略会拒绝。"]
    return "\n".join(lines)


def _federation(facts: dict[str, Any]) -> str:
    return (
        f"{facts['sites']} 家医院；至少 {facts['must_answer']} 家须作答；"
        f"至多 {facts['colluding']} 家可能与协调方合谋，至多 {facts['dropouts']} 家可以缺席。"
    )


def _cohort(study: Study) -> list[str]:
    cohort, index = study.cohort, study.cohort.index
    codes = "、".join(index.codes)
    if index.first == "patient":
        lines = ["患者表中的全部患者，自起始日计。"]
    elif index.first == "line":
        lines = [f"以第 {index.number} 线治疗（{codes or '任何药物'}）开始之日为起点。"]
    else:
        lines = [f"以首次{RECORDS.get(index.first, index.first)}记录（{codes}）之日为起点。"]
    if index.washout is not None:
        lines.append(f"该记录之前 {duration(index.washout)} 内无同类记录。")
    if cohort.observable is not None:
        lines.append(f"起点之前须连续参保 {duration(cohort.observable)}。")
    for word, criteria in (("必须有", cohort.require), ("不得有", cohort.exclude)):
        lines += [
            f"{word}{RECORDS.get(one.kind, one.kind)}记录（{'、'.join(one.codes)}），时间窗 {one.within}。"
            for one in criteria
        ]
    return lines


def _release(release: dict[str, Any], *, exact: bool) -> list[str]:
    noise = "不加噪声" if exact else "每个数值都加噪声"
    return [
        f"{release['label']}：{release['numbers']} 个数值，{noise}：",
        *(
            f"  {block['name']}：{block['numbers']} 个数值；单个患者最多使其移动 "
            f"{block['one_patient_moves_at_most']:.3g}，合计噪声标准差 {block['noise_sd']:.3g}"
            for block in release["blocks"]
        ),
    ]


def _price(study: Study, facts: dict[str, Any], *, exact: bool) -> list[str]:
    if exact:
        return ["不加噪声：没有任何隐私承诺。"]
    told = [f"整项研究每名患者，delta = {study.privacy.delta:g}："]
    return told + [
        f"  epsilon {each['epsilon'] or 0.0:.3g}：{AGAINST[each['against']]}。" for each in facts["epsilons"]
    ]
