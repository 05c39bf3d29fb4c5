"""Every question of a study in one Chinese sentence, as `Question.in_words` has it in English.

A kind that is newer than this page is told in English: nothing that is asked is left unsaid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fedvalue.study.diagnostics import Diagnostics
from fedvalue.study.questions.question import Measured, Question, entry_at_origin

EVENTS: Mapping[str, str] = {
    "death": "死亡", "progression": "疾病进展", "relapse": "复发", "new_treatment": "更换治疗",
    "discontinuation": "停药",
}  # fmt: skip
UNITS: Mapping[str, str] = {"day": "天", "week": "周", "month": "个月", "year": "年"}
SHAPES: Mapping[str, str] = {
    "exponential": "恒定风险（指数模型）", "weibull": "Weibull 模型", "piecewise": "分段恒定风险",
}  # fmt: skip
MODELS: Mapping[str, str] = {
    "linear": "线性模型", "logistic": "逻辑回归", "poisson": "泊松模型（对数连接）",
    "gamma": "Gamma 模型（对数连接）", "two_part": "两部分费用模型（有无支出用逻辑回归，金额用 Gamma）",
}  # fmt: skip


def duration(text: str) -> str:
    """Return ``"6 months"`` as ``6 个月``; other words as they are."""
    number, _, unit = text.partition(" ")
    known = UNITS.get(unit.rstrip("s"))
    return f"{number} {known}" if known else text


def in_chinese(question: Question, measured: Measured) -> str:
    """Return what is asked in one sentence without its full stop."""
    told = SENTENCES.get(str(getattr(question, "kind", "")))
    return question.in_words(measured) if told is None else told(question, measured)


def diagnostics_in_chinese(diagnostics: Diagnostics) -> str:
    """Return what a study checks of its own data."""
    if not diagnostics.share:
        return "数据诊断：按研究设定，无。"
    compared = f"{diagnostics.balance} 各水平之间的均衡" if diagnostics.balance else "各组之间的均衡"
    return (
        f"数据诊断：各筛选步骤剩余人数、缺失值、{compared}、随访时长；占预算 {diagnostics.share * 100:.3g}%。"
    )


def _by(names: Sequence[str]) -> str:
    return f"（按 {'、'.join(names)} 分组）" if names else ""


def _events(question: Any, measured: Measured) -> str:
    return "或".join(EVENTS.get(e, e) for e in measured.time_to_event(question.endpoint).events)


def _until(question: Any, measured: Measured) -> str:
    return duration(measured.time_to_event(question.endpoint).until)


def _entry(question: Any, names: Sequence[str], measured: Measured) -> str:
    at_origin = entry_at_origin(question.endpoint, tuple(names), measured)
    return f"患者自{'起始日' if at_origin else '基因检测报告之日'}起计入"


def _clip(name: str, measured: Measured) -> str:
    low, high = measured.number(name)
    return f"{low:g} 至 {high:g} {measured.variables[name].unit}"


def _proportion(q: Any, m: Measured) -> str:
    missing = "缺失计为失败" if m.binary(q.endpoint).missing == "non_response" else "缺失者不计入"
    how = "（各项限值均达标）" if m.binary(q.endpoint).targets else ""
    return f"达到 {q.endpoint}{how} 的患者比例{_by(q.by)}；{missing}"


def _kaplan_meier(q: Any, m: Measured) -> str:
    step = duration(m.time_to_event(q.endpoint).grid)
    test = "，并作对数秩检验" if q.compare else ""
    return (
        f"{_until(q, m)}内未发生{_events(q, m)}的生存曲线，步长 {step}{_by(q.by)}{test}；{_entry(q, q.by, m)}"
    )


def _log_rank(q: Any, m: Measured) -> str:
    same = f"{_until(q, m)}内未发生{_events(q, m)}的生存是否相同{_by(q.by)}（对数秩检验）"
    return f"{same}；{_entry(q, q.by, m)}"


def _competing_risks(q: Any, m: Measured) -> str:
    kinds = "、".join(EVENTS.get(e, e) for e in m.time_to_event(q.endpoint).events)
    first = f"{_until(q, m)}内以{kinds}各为首发事件的患者比例（竞争风险）"
    return f"{first}{_by(q.by)}；{_entry(q, q.by, m)}"


def _parametric(q: Any, m: Measured) -> str:
    past = f"，外推至 {duration(q.horizon)}" if q.horizon is not None else ""
    return (
        f"以{SHAPES.get(q.model, q.model)}拟合 {_until(q, m)}内未发生{_events(q, m)}的生存{past}{_by(q.by)}；"
        f"{_entry(q, q.by, m)}"
    )


def _delayed_entry(q: Any, m: Measured) -> str:
    split = "、".join(duration(each) for each in q.split)
    weights = f"，并按 {'、'.join(q.weights)} 以被检测概率的倒数加权" if q.weights else ""
    return (
        f"{q.tested} 报告之前经过的时间、{_until(q, m)}内{_events(q, m)}是否与报告日有关（以 {split} 划分），"
        f"以及已检测与未检测患者的生存比较{weights}"
    )


def _cox(q: Any, m: Measured) -> str:
    parts = [*q.covariates, *([f"自 {q.exposure} 之日起的暴露"] if q.exposure else [])]
    own = f"；{'、'.join(q.strata)} 的每组各有基线风险" if q.strata else ""
    if q.stratify_by_site:
        own += "；每家医院各有基线风险，其带噪数值将被公布"
    return (
        f"{'、'.join(parts)} 对{_until(q, m)}内{_events(q, m)}的风险比（Cox 模型）{own}；"
        f"{_entry(q, (*q.covariates, *q.strata), m)}；有未知值的患者不计入"
    )


def _regression(q: Any, m: Measured) -> str:
    why = "由研究指定" if q.family is not None else "按结局类型依规则选择"
    what = "给出系数及区间" if q.answer == "coefficients" else "仅给出预测评分，无区间"
    return (
        f"{q.outcome} 与 {'、'.join(q.covariates)} 的共同关系：{MODELS[q.chosen(m)]}，{why}；{what}；"
        "有未知值的患者不计入"
    )


def _treatment_effect(q: Any, m: Measured) -> str:
    del m
    if q.trial.grace is not None:
        arms = f"在 {duration(q.trial.grace.within)}内开始与不开始治疗相比（克隆、删失、分层加权）"
    else:
        arms = f"{q.treatment}={q.treated} 与 {q.control} 相比（双重稳健）"
    design = "".join(
        f"，{word}"
        for word, stated in (("新使用者", q.trial.new_user), ("活性对照", q.trial.active_comparator))
        if stated
    )
    groups = f"；另按 {'、'.join(q.subgroups)} 分亚组（{q.multiplicity}）" if q.subgroups else ""
    controls = f"；{len(q.negative_controls)} 个阴性对照" if q.negative_controls else ""
    return (
        f"{arms}对 {q.outcome} 的效应，调整 {'、'.join(q.covariates)}；目标试验：{q.trial.eligibility}"
        f"{design}{groups}{controls}"
    )


def _calibration(q: Any, m: Measured) -> str:
    del m
    source = f"评分 {q.score}" if q.score else "已发表模型"
    return f"{source}预测的 {q.outcome} 风险在 {q.bins} 个分箱中是否应验、区分能力与使用价值{_by(q.by)}"


def _milestones(q: Any, m: Measured) -> str:
    at = "、".join(duration(each) for each in q.at)
    due = "" if q.as_of is None else f"，截至 {q.as_of} 到期者"
    return f"在 {at} 的节点{due}，未发生{_events(q, m)}而通过、失败或无法判断的人数{_by(q.by)}"


def _training(q: Any, m: Measured) -> str:
    del m
    how = (
        f"至多 {q.rounds} 轮，各医院将抽中患者的梯度（每名患者截断至 {q.clip_norm:g}）相加"
        if q.local is None
        else f"至多 {q.rounds} 轮，各医院自行训练 {q.local.steps} 步并加入自己的噪声后相加"
    )
    return f"由 {'、'.join(q.features)} 预测 {q.outcome} 的模型（{q.architecture.kind}）：{how}"


def _evaluation(q: Any, m: Measured) -> str:
    source = "给定模型" if q.model is not None else f"评分 {q.score}" if q.score else "给定系数"
    parts = []
    if q.outcome is not None:
        parts.append(f"{source}对 {q.outcome} 的预测是否准确：校准、区分能力与使用价值{_by(q.by)}")
    if q.time is not None:
        timed = q.model is not None and q.model.timed and entry_at_origin(q.time, q.read, m)
        parts.append(f"{source}能否区分谁先到达 {q.time}" + "，以及观察期末的校准" * timed)
    if q.tiers is not None:
        parts.append(f"各风险层级 {'、'.join(q.tiers.names)} 的人数与事件率")
    if q.cells:
        parts.append(f"按 {'、'.join(q.cells)} 交叉的预测与观察风险")
    if q.sites:
        parts.append("每家医院的观察/预测比，带噪公布")
    if q.calendar is not None:
        parts.append("最后一个季度单独列出")
    return "；".join(parts)


def _change(q: Any, m: Measured) -> str:
    first, last = m.calendar_days(q.calendar)
    return f"{first} 至 {last}"


SENTENCES: Mapping[str, Callable[[Any, Measured], str]] = {
    "proportion": _proportion,
    "kaplan_meier": _kaplan_meier,
    "log_rank": _log_rank,
    "competing_risks": _competing_risks,
    "parametric_survival": _parametric,
    "delayed_entry": _delayed_entry,
    "cox": _cox,
    "regression": _regression,
    "treatment_effect": _treatment_effect,
    "calibration": _calibration,
    "milestones": _milestones,
    "training": _training,
    "model_evaluation": _evaluation,
    "mean": lambda q, m: f"{q.variable} 的均值与离散程度，截断在 {_clip(q.variable, m)}{_by(q.by)}",
    "quantiles": lambda q, m: (
        f"{q.variable} 的 {'、'.join(f'{100 * each:g}%' for each in q.at)} 分位数，"
        f"在 {_clip(q.variable, m)} 的 {q.cells} 个格子上{_by(q.by)}"
    ),
    "trimmed_mean": lambda q, m: (
        f"{q.variable} 去除离群值后的均值{_by(q.by)}：第一次发布求 {_clip(q.variable, m)} 内的四分位数，"
        f"第二次对其 {q.whiskers:g} 倍四分位距以内者求均值"
    ),
    "cross_moments": lambda q, m: (
        f"同一批患者的 {q.cost} 均值与 {q.effect} 均值{_by(q.by)}"
        + (f"；{m.levels(q.by[0])[0]} 与 {m.levels(q.by[0])[1]} 比较" if q.compare else "")
    ),
    "counts": lambda q, _: f"患者人数{'' if q.across is None else f'（按 {q.across} 的各水平）'}{_by(q.by)}",
    "rate": lambda q, m: (
        f"{_until(q, m)}内首次{_events(q, m)}每 {q.per} 人年的发生率{_by(q.by)}；{_entry(q, q.by, m)}"
    ),
    "utilisation": lambda q, m: (
        f"患者使用 {q.variable} 的次数（至多 {m.number(q.variable)[1]:g} 次）及重复使用"
        + ("" if q.indication is None else f"，以及是否有适应证（{q.indication}）")
        + _by(q.by)
    ),
    "spend": lambda q, m: (
        f"{q.variable} 的总额{_by(q.by)}，与预算 {q.limit:,.15g} {m.variables[q.variable].unit} 比较"
    ),
    "adverse_events": lambda q, _: f"按 {q.variable} 最高级别的患者人数{_by(q.by)}",
    "monthly": lambda q, m: (
        f"{_change(q, m)} 逐月的患者人数{'' if q.of is None else f'及 {q.of} 的均值'}{_by(q.by)}"
    ),
    "interrupted_time_series": lambda q, m: (
        f"{_change(q, m)} 的月度{'患者人数' if q.of is None else f' {q.of} 均值'}在 {q.change} "
        f"是否出现水平或斜率变化{_by(q.by)}"
    ),
    "difference_in_differences": lambda q, m: (
        f"{q.change} 起 {q.group}={q.applies} 的 {q.of} 均值变化比 {q.group}={q.compared} 多多少，"
        f"患者自 {_change(q, m)}"
    ),
    "by_site": lambda q, _: (
        f"每家医院的 {q.variable}，带噪公布：医院间差异、逐一去除后的均值，以及新医院的预期范围"
    ),
}
"""Kind of question to its sentence."""
