"""The risks of a study to the people in it, what is done about each, and what remains.

What remains is what `docs/threat-model.md` says is not covered; a measure that this study or this hospital
does not take is not claimed.
"""

from __future__ import annotations

from fedvalue.planning.plan import Plan
from fedvalue.server.reports.wording import Phrase, Words
from fedvalue.study.schema import Study
from fedvalue.study.site_policy import SitePolicy

Row = tuple[Words, ...]


def risks(study: Study, plan: Plan, policy: SitePolicy | None) -> tuple[Row, ...]:
    """Return risk, measure and what remains, in the order of a record's way out of the hospital.

    Args:
      study: The study.
      plan: Its plan.
      policy: The hospital's; None where it was not given, and then no measure of it is named.
    """
    found = [_records(), _learned(study, plan), _single(study, plan), _membership(study), _operators(policy)]
    found.append(_consent(study, policy))
    if study.governance.foreign_recipients:
        found.append(_abroad())
    return tuple(found)


def _records() -> Row:
    return (
        Phrase("records leave the hospital", "记录离开医院"),
        Phrase(
            "records stay in one file of mode 0600; the program sends one vector a release and nothing else",
            "记录保存在权限 0600 的单一文件中；程序每次发布只发送一个向量",
        ),
        Phrase(
            "whoever holds the hospital's machine holds the records; encryption at rest is the disk's",
            "掌控医院设备者即掌控记录；静态加密依靠磁盘",
        ),
    )


def _learned(study: Study, plan: Plan) -> Row:
    if plan.exact:
        measure = Phrase("none: the study is without noise", "无：本研究不加噪声")
    else:
        measure = Phrase(
            f"noise for epsilon {study.privacy.epsilon:g} at delta {study.privacy.delta:g} over the whole "
            "study, charged to a ledger for life before anything is computed",
            f"整项研究的噪声按 epsilon {study.privacy.epsilon:g}、delta {study.privacy.delta:g} 添加，"
            "计算前先从终身台账扣除",
        )
    return (
        Phrase("somebody learns of one patient from what is released", "从发布结果推断某位患者"),
        measure,
        Phrase("what epsilon allows; several studies add up", "epsilon 所允许的部分；多项研究会累加"),
    )


def _single(study: Study, plan: Plan) -> Row:
    t = plan.thresholds
    alone = any(question.tells_of_sites() for question in study.analyses)
    measure = (
        Phrase("noise alone: the study publishes values of single sites", "仅靠噪声：本研究公布逐机构数值")
        if alone
        else Phrase(
            f"masks: only the sum over at least {t.answers} of {t.sites} hospitals opens",
            f"掩码：只有 {t.sites} 家中至少 {t.answers} 家之和才能打开",
        )
    )
    return (
        Phrase("the coordinator sees one hospital's numbers", "协调方看到单家医院的数值"),
        measure,
        Phrase(
            f"more than {t.colluding} hospitals working with the coordinator see more",
            f"若合谋医院多于 {t.colluding} 家，则可看到更多",
        ),
    )


def _membership(study: Study) -> Row:
    repeated = study.privacy.max_sites_per_patient
    return (
        Phrase(
            "one person is at several hospitals and is counted more than once", "同一人在多家医院被重复计入"
        ),
        Phrase(
            f"every bound assumes up to {repeated.value} hospitals a person ({repeated.basis})",
            f"所有上限均按每人最多 {repeated.value} 家医院计算（{repeated.basis}）",
        ),
        Phrase("somebody at more hospitals has a weaker promise", "出现在更多医院的人所受保护较弱"),
    )


def _operators(policy: SitePolicy | None) -> Row:
    measures = [
        Phrase(
            "each approval is signed for exactly this study and policy", "每份批准书只对本研究与本政策签名"
        )
    ]
    if policy is not None and policy.four_eyes:
        measures.append(Phrase("a second person countersigns", "须经第二人复核签名"))
    if policy is not None and policy.people:
        measures.append(Phrase("offices are kept apart by key", "岗位以密钥分离"))
    measures.append(
        Phrase(
            "a signed, chained audit log of every load, approval, refusal and release",
            "装载、批准、拒绝、发布均记入签名链式审计日志",
        )
    )
    return (
        Phrase("somebody at the hospital misuses the node", "院内人员滥用节点"),
        Phrase("; ".join(m.en for m in measures), "；".join(m.zh for m in measures)),
        Phrase("one person with every key and the machine", "同时掌握全部密钥与设备的一人"),
    )


def _consent(study: Study, policy: SitePolicy | None) -> Row:
    del study
    mode = "objection" if policy is None else policy.consent or "objection"
    measure = (
        Phrase(
            "only people whose consent is on record are frozen into the cohort", "仅有同意记录者进入冻结队列"
        )
        if mode == "recorded"
        else Phrase(
            "people who objected or withdrew are left out when the cohort is frozen",
            "反对或撤回者不进入冻结队列",
        )
    )
    return (
        Phrase("a patient objects or withdraws", "患者反对或撤回同意"),
        measure,
        Phrase("what was released before stays released", "此前已发布的结果不可收回"),
    )


def _abroad() -> Row:
    return (
        Phrase("results go abroad", "结果出境"),
        Phrase("only opened sums under noise go", "仅打开的加噪合计数值出境"),
        Phrase("the rules on cross-border transfer are the hospital's to check", "跨境规则由医院核查"),
    )
