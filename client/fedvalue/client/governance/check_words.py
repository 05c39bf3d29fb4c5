"""`fedvalue site check` in words, English and Chinese: what would leave, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from fedvalue.client.governance.checking import Checked, Rehearsal
from fedvalue.planning.chinese import analyses_in_chinese
from fedvalue.planning.measured import measured_in_words
from fedvalue.planning.words import in_words
from fedvalue.study.questions.chinese import duration

Language = Literal["en", "zh"]

KINDS_ZH: Mapping[str, str] = {
    "proportion": "比例", "kaplan_meier": "生存曲线（Kaplan-Meier）", "mean": "均值", "quantiles": "分位数",
    "trimmed_mean": "截尾均值", "cross_moments": "成本与效果的联合矩", "counts": "计数与交叉表",
    "rate": "发生率（每人年）", "milestones": "分期付款节点", "utilisation": "使用次数与适应证符合率",
    "spend": "费用总额", "adverse_events": "不良事件最高分级", "monthly": "按月序列",
    "interrupted_time_series": "中断时间序列", "difference_in_differences": "双重差分",
    "log_rank": "对数秩检验", "competing_risks": "竞争风险", "parametric_survival": "参数生存模型",
    "delayed_entry": "延迟入组生存分析", "regression": "回归模型", "cox": "Cox 模型", "by_site": "逐机构数值",
    "calibration": "校准", "treatment_effect": "治疗效应", "training": "模型训练",
    "model_evaluation": "模型评估",
}  # fmt: skip
"""What each kind of analysis is called; a kind that is newer than this table keeps its own name."""

_HEADS: Mapping[str, tuple[str, str]] = {
    "also": ("What else crosses this site's border", "除上述数值外还会离开本机构的内容"),
    "whom": ("To whom", "发送给谁"),
    "often": ("How often", "次数"),
    "dry": ("Dry run on this site's records (it stays here)", "在本机构真实数据上的试运行（仅留在本机构）"),
    "against": ("What stands against it", "拒绝理由"),
}
_ALSO_ZH: Mapping[str, str] = {
    "this site's approval with the hashes of study, roster and policy": (
        "本机构的批准书及研究、名册、政策的哈希值"
    ),
    "public keys of each epoch, and secret shares that only one other hospital can open": (
        "每个周期的公钥，以及只有另一家医院能打开的密钥份额"
    ),
    "counter and hash of this site's ledger": "本机构台账的计数与哈希值",
    "codes of refusals": "拒绝代码",
}

_STEPS_ZH: Mapping[str, str] = {
    "patients in the store": "库中患者", "with a known day of origin": "起始日已知", "with a ": "有",
    "require ": "须有", "exclude ": "须无", "drug ": "用药 ", "condition ": "诊断 ", "procedure ": "操作 ",
    " or ": " 或 ", " within ": "，时间窗 ",
}  # fmt: skip


def check_text(checked: Checked, rehearsal: Rehearsal | None, language: Language) -> str:
    """Return everything that an officer reads before a yes.

    Args:
      checked: From `fedvalue.client.governance.checking.look_at`.
      rehearsal: The dry run; None where it could not be made.
      language: ``en`` or ``zh``.
    """
    zh = language == "zh"
    lines = _chinese(checked) if zh else [in_words(checked.study, checked.plan)]
    lines += [
        "",
        _head("also", zh),
        *(f"  {_ALSO_ZH[item] if zh else item}" for item in checked.facts["also_leaves"]),
    ]
    lines += ["", _head("whom", zh), *(f"  {line}" for line in _whom(checked.facts, zh))]
    lines += ["", _head("often", zh), *(f"  {line}" for line in _often(checked.facts, zh))]
    left = f"{checked.epsilon_left:.3g}"
    if zh:
        lines += ["", f"本机构预算：剩余 epsilon {left}；{'足够' if checked.enough else '不足'}。"]
    else:
        enough = "enough" if checked.enough else "NOT enough"
        lines += ["", f"This site's budget: epsilon {left} left; {enough}."]
    if checked.facts["amends"]:
        inherited = f"{checked.facts['epsilon_inherited']:.3g}"
        told = "本研究为修订版，继承原研究已消耗的 epsilon" if zh else "It amends a study that spent epsilon"
        lines += ["", f"{told} {inherited}"]
    if rehearsal is not None:
        lines += ["", _head("dry", zh), *(f"  {line}" for line in _rehearsed(rehearsal, zh))]
    if checked.unsigned:
        told = (
            "policy.toml 与最新签名版本不同："
            if zh
            else "policy.toml differs from its newest signed version:"
        )
        lines += ["", told, *(f"  {line}" for line in checked.unsigned)]
    lines += ["", _head("against", zh), *(f"  {line}" for line in _against(checked, zh))]
    return "\n".join(lines)


def kind_name(kind: str, language: Language) -> str:
    """Return what a kind of analysis is called."""
    known = KINDS_ZH.get(kind)
    return f"{known}（{kind}）" if language == "zh" and known else kind


def _head(key: str, zh: bool) -> str:
    return _HEADS[key][zh]


def _chinese(checked: Checked) -> list[str]:
    study, facts, plan = checked.study, checked.facts, checked.plan
    charter, privacy = study.study, study.privacy
    lines = [
        f"{charter.title.read('zh')}（{charter.id}）",
        f"研究问题：{charter.question.read('zh')}",
        f"申请人：{charter.principal_investigator}；有效期 {charter.valid.start} 至 {charter.valid.until}。",
        "",
        "统计量",
        *(f"  {n}. {sentence}" for n, sentence in enumerate(analyses_in_chinese(study), start=1)),
        *(f"  {sentence}" for sentence in measured_in_words(study, "zh")),
        "",
        "入组条件",
        *(f"  {line}" for line in _cohort_zh(checked)),
        "",
        "离开本机构的数值",
        f"  每次发布发出一个看似随机的掩码向量；只打开至少 {facts['must_answer']} 家之和，不公开单家数值。",
    ]
    for release in facts["releases"]:
        noise = "不加噪声" if plan.exact else "每个数值都加噪声"
        lines.append(f"  {release['label']}：{release['numbers']} 个数值，{noise}：")
        lines += [
            f"    {block['name']}：{block['numbers']} 个数值；单个患者最多使其移动 "
            f"{block['one_patient_moves_at_most']:.3g}，合计噪声标准差 {block['noise_sd']:.3g}"
            for block in release["blocks"]
        ]
    lines += ["", "隐私代价", f"  整项研究每名患者，delta = {privacy.delta:g}："]
    who = {
        "own_share": "对抗协调方与其余全部医院（仅靠本机构自己的噪声）",
        "promised": "对抗协调方与约定数量的合谋医院（台账按此计费）",
    }  # fmt: skip
    for each in facts["epsilons"]:
        lines.append(f"  epsilon {each['epsilon'] or 0:.3g}：{who.get(each['against'], '仅对抗协调方')}")
    repeated = privacy.max_sites_per_patient
    least = study.federation.min_released_patients
    lines.append(f"  同一患者最多出现在 {repeated.value} 家机构；分组少于 {least} 人不报告。")
    return lines


def _cohort_zh(checked: Checked) -> list[str]:
    kinds = {"drug": "用药", "condition": "诊断", "procedure": "操作"}
    cohort = checked.study.cohort
    first = cohort.index.first
    codes = "、".join(cohort.index.codes)
    lines = [
        "患者表中的全部患者，自起始日计。" if first == "patient"
        else f"第 {cohort.index.number} 线治疗（{codes or '任何药物'}）开始之日为起点。" if first == "line"
        else f"首次{kinds[first]}记录 {codes} 之日为起点。"
    ]  # fmt: skip
    if cohort.index.washout is not None:
        lines.append(f"该记录之前 {duration(cohort.index.washout)} 内无同类记录。")
    if cohort.observable is not None:
        lines.append(f"起点之前须连续参保 {duration(cohort.observable)}。")
    for word, criteria in (("必须有", cohort.require), ("不得有", cohort.exclude)):
        lines += [
            f"{word}{kinds[each.kind]} {'、'.join(each.codes)}，时间窗 {each.within}。" for each in criteria
        ]
    return lines


def _whom(facts: dict[str, Any], zh: bool) -> list[str]:
    whom = facts["to_whom"]
    where = f" ({whom['coordinator']})" if whom["coordinator"] else ""
    hospitals = ", ".join(whom["hospitals"])
    if zh:
        lines = [f"协调方{where}：打开后的总和", f"其他医院（{hospitals}）：只收到给各自的密钥份额与签名"]
        if whom["foreign_recipients"] is not None:
            lines.append("有境外接收方" if whom["foreign_recipients"] else "无境外接收方")
    else:
        lines = [
            f"the coordinator{where}: the opened sum",
            f"other hospitals ({hospitals}): keys and signatures of the protocol",
        ]  # fmt: skip
        if whom["foreign_recipients"] is not None:
            lines.append(f"{'some' if whom['foreign_recipients'] else 'no'} recipients abroad")
    if facts["publishes_single_sites"]:
        lines.append(
            "本机构单独的加噪数值将被公布" if zh else "NOISY VALUES OF THIS SITE ALONE are published"
        )
    return lines


def _often(facts: dict[str, Any], zh: bool) -> list[str]:
    releases, attempts = facts["how_often"]["releases"], facts["how_often"]["attempts_of_each_release"]
    period = facts["answers_every_seconds"]
    if zh:
        return [f"{releases} 次发布，每次最多请求 {attempts} 次；应答时刻取 {period:g} 秒的整数倍"]
    asked = f"{releases} release(s), each asked at most {attempts} time(s)"
    return [f"{asked}; answers leave on multiples of {period:g} s"]


def _rehearsed(rehearsal: Rehearsal, zh: bool) -> list[str]:
    lines = [f"{_step(what) if zh else what}: {patients}" for what, patients in rehearsal.steps]
    if zh:
        lines.append(f"因反对、撤回或无同意记录而不计入：{rehearsal.without_consent}")
        lines.append(f"今日批准将冻结的队列：{rehearsal.cohort} 名患者")
        unknown, computed = "未知值", "已在本机计算并丢弃"
    else:
        lines.append(f"left out for want of consent: {rehearsal.without_consent}")
        lines.append(f"cohort that an approval would freeze today: {rehearsal.cohort} patients")
        unknown, computed = "unknown", "computed here and thrown away"
    lines += [f"{unknown}, {name}: {count}" for name, count in rehearsal.unknown.items()]
    lines += [f"{label}: {numbers} ({computed})" for label, numbers in rehearsal.vectors.items()]
    return lines


def _step(what: str) -> str:
    """Return a step of the selection in Chinese; the steps are those of `records.selection`."""
    for english, chinese in _STEPS_ZH.items():
        what = what.replace(english, chinese)
    return what


def _against(checked: Checked, zh: bool) -> list[str]:
    lines = []
    for each in checked.against:
        places = []
        if each.finding.policy:
            line = "" if each.policy_line is None else f":{each.policy_line}"
            places.append(f"policy.toml{line} {each.finding.policy}")
        if each.finding.study:
            line = "" if each.study_line is None else f":{each.study_line}"
            places.append(
                f"{'研究文件' if zh else 'study file'}{line} {'.'.join(map(str, each.finding.study))}"
            )
        at = f" [{'; '.join(places)}]" if places else ""
        lines.append(f"{each.finding.code}: {each.finding.zh if zh else each.finding.en}{at}")
    return lines or ["无" if zh else "nothing"]
