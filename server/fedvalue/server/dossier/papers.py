"""The three papers: the study, its impact assessment, its genetic resources; each sentence in both languages.

Everything is read off the study, its plan and the hospital's policy. What no file says is left open, by name,
for the person who has to answer it; nothing is made up.

Personal Information Protection Law of the People's Republic of China (2021), articles 55 and 56; Regulation
(EU) 2016/679 (GDPR), article 35(7); Regulation on the Management of Human Genetic Resources, State Council
Order 717 (2019), with its implementing rules (Ministry of Science and Technology Order 21, 2023).
"""

from __future__ import annotations

import math

from fedvalue.planning.plan import Plan
from fedvalue.planning.words import charged_epsilon, own_share_epsilon
from fedvalue.server.dossier.risks import risks
from fedvalue.server.reports.drawing import Table
from fedvalue.server.reports.sheet import Part
from fedvalue.server.reports.wording import Phrase, Words
from fedvalue.study.schema import Study
from fedvalue.study.site_policy import SitePolicy

OPEN = Phrase("TO BE ANSWERED by the hospital's data officer", "【待填】由医院数据官填写")
_ITEM, _SAYS = Phrase("item", "事项"), Phrase("what the file says", "文件内容")


def study_part(study: Study, plan: Plan) -> Part:
    """Return what is asked, of whom, by whom, and what leaves a hospital."""
    charter, governance, limits = study.study, study.governance, plan.thresholds
    ethics = "; ".join(f"{line.site}: {line.approval} ({line.consent})" for line in governance.ethics)
    rows: list[tuple[Words, ...]] = [
        (Phrase("study", "研究编号"), charter.id),
        (Phrase("SHA-256 of the study file", "研究文件 SHA-256"), plan.study_hash),
        (Phrase("question", "研究问题"), Phrase(charter.question.read("en"), charter.question.read("zh"))),
        (Phrase("asked by", "申请人"), charter.principal_investigator),
        (Phrase("valid", "有效期"), f"{charter.valid.start} – {charter.valid.until}"),
        (Phrase("purpose", "处理目的"), _said(governance.purpose)),
        (Phrase("legal basis, hospital", "医院的合法性基础"), _said(governance.legal_basis.hospital)),
        (Phrase("legal basis, payer", "支付方的合法性基础"), _said(governance.legal_basis.payer)),
        (Phrase("ethics approvals", "伦理批件"), _said(ethics)),
        (Phrase("registration", "项目备案"), _said(governance.registration)),
        (Phrase("data use agreement", "数据使用协议"), _said(governance.data_use_agreement)),
        (Phrase("accountable officer", "责任人"), _said(governance.accountable_officer)),
        (Phrase("retention", "保存期限"), _said(governance.retention)),
        (Phrase("where the coordinator is", "协调方所在地"), _said(governance.server_location)),
        (Phrase("recipients abroad", "境外接收方"), _yes(governance.foreign_recipients)),
        (
            Phrase("hospitals", "参与医院"),
            Phrase(
                f"{limits.sites}; {limits.answers} must answer; up to {limits.colluding} may collude",
                f"{limits.sites} 家；至少 {limits.answers} 家应答；最多 {limits.colluding} 家可能合谋",
            ),
        ),
    ]
    return Part(
        "study", Phrase("1. The study", "一、研究概况"), (), (),
        (Table(Phrase("Study and parties", "研究与各方"), (_ITEM, _SAYS), tuple(rows), frozenset({1})),),
    )  # fmt: skip


def data_part(study: Study, plan: Plan) -> Part:
    """Return which data are read at the hospital, and which numbers leave it."""
    read = [
        (name, _source(variable.model_dump(exclude_none=True))) for name, variable in study.variables.items()
    ]
    read += [(name, endpoint.kind) for name, endpoint in study.endpoints.items()]
    leaves = tuple(
        (
            release.label, str(release.dimension), str(plan.attempts),
            "–" if plan.exact else f"{math.sqrt(limit):.3g}",
        )
        for release in plan.releases
        for limit in [max(block.bound_squared for block in release.blocks)]
    )  # fmt: skip
    least = study.federation.min_released_patients
    return Part(
        "data",
        Phrase("2. Data: what is read, what leaves", "二、数据：读取的内容与离开的内容"),
        (
            Phrase(
                "Records are read at the hospital, by the hospital's own program, and never leave it. "
                "What leaves, once for each release, is one vector of numbers with noise and under a mask; "
                f"only the sum over at least {plan.thresholds.answers} hospitals can be opened. Groups of "
                f"fewer than {least} released patients are not reported.",
                "记录只由医院自己的程序在院内读取，不离开医院。每次发布只发出一个加噪并带掩码的数值向量；"
                f"只有至少 {plan.thresholds.answers} 家医院之和才能被打开。"
                f"发布人数少于 {least} 人的分组不予报告。",
            ),
        ),
        (),
        (
            Table(
                Phrase("Read at the hospital", "在院内读取"),
                (Phrase("name", "名称"), Phrase("source", "来源")), tuple(read), frozenset({1}),
            ),
            Table(
                Phrase("Leaves the hospital", "离开医院"),
                (
                    Phrase("release", "发布"), Phrase("numbers", "数值个数"),
                    Phrase("asked at most", "最多请求次数"),
                    Phrase("one patient moves a block by", "单个患者的最大影响"),
                ),
                leaves,
            ),
        ),
    )  # fmt: skip


def assessment_part(study: Study, plan: Plan, policy: SitePolicy | None) -> Part:
    """Return the impact assessment: description, necessity, risks and measures, what remains open."""
    missing = study.governance.missing()
    found = ", ".join(missing)
    left = (
        Phrase(f"The governance block lacks: {found}.", f"治理信息缺少：{found}。")
        if missing
        else Phrase(
            "The governance block has every line that its profile asks for.",
            "治理信息已满足其规范的全部要求。",
        )
    )
    promised = charged_epsilon(plan, clear_sum=False)
    return Part(
        "assessment",
        Phrase(
            "3. Impact assessment (PIPL 55, 56; GDPR 35)",
            "三、个人信息保护影响评估（《个人信息保护法》第五十五、五十六条；GDPR 第 35 条）",
        ),
        (
            Phrase(
                "Why one is made: health and genetic data are sensitive personal information (PIPL 28, "
                "55(1); GDPR 9, 35(3)(b)). Keep it for at least three years (PIPL 56).",
                "评估依据：健康与基因数据属于敏感个人信息（《个人信息保护法》第二十八条、第五十五条第一项；"
                "GDPR 第 9 条、第 35 条第 3 款 b 项）。评估报告至少保存三年（第五十六条）。",
            ),
            _epsilon_sentence(promised, own_share_epsilon(plan), study.privacy.delta),
            left,
        ),
        (),
        (
            Table(
                Phrase("What the law asks, and where it is answered", "法定事项与对应说明"),
                (Phrase("question", "法定事项"), Phrase("answer", "说明")),
                _asked(study), frozenset({1}),
            ),
            Table(
                Phrase("Risks and measures", "风险与措施"),
                (Phrase("risk", "风险"), Phrase("measure", "措施"), Phrase("what remains", "剩余风险")),
                risks(study, plan, policy), frozenset({1, 2}),
            ),
        ),
    )  # fmt: skip


def genetics_part(study: Study) -> Part:
    """Return the summary of human genetic resources."""
    governance = study.governance
    genes = sorted({gene for variable in study.variables.values() for gene in variable.genes})
    rows: tuple[tuple[Words, ...], ...] = (
        (Phrase("genes whose status is read", "读取状态的基因"), ", ".join(genes) or Phrase("none", "无")),
        (
            Phrase("what leaves of them", "离开医院的内容"),
            Phrase(
                "noised counts of groups, summed over hospitals; no sequence, no variant of a person",
                "各医院合计的加噪分组计数；不含任何序列，也不含任何个人的变异信息",
            ) if genes else Phrase("nothing", "无"),
        ),
        (Phrase("samples that leave", "离开的生物样本"), Phrase("none", "无")),
        (Phrase("recipients abroad", "境外接收方"), _yes(governance.foreign_recipients)),
        (Phrase("report or filing", "报告或备案号"), _said(governance.genetic_resources.report)),
        (Phrase("backup of information", "信息备份"), _said(governance.genetic_resources.backup)),
    )  # fmt: skip
    return Part(
        "genetics",
        Phrase("4. Human genetic resources", "四、人类遗传资源说明"),
        (
            Phrase(
                "Regulation on the Management of Human Genetic Resources (State Council Order 717). Whether "
                "statistics under noise are genetic-resource information that has to be filed is for the "
                "hospital to decide.",
                "依据《中华人民共和国人类遗传资源管理条例》（国务院令第 717 号）。"
                "加噪统计结果是否属于需要备案的人类遗传资源信息，由医院判断。",
            ),
        ),
        (),
        (Table(Phrase("Summary", "摘要"), (_ITEM, _SAYS), rows, frozenset({1})),),
    )


def policy_part(policy: SitePolicy | None) -> Part:
    """Return what the hospital's own policy allows."""
    title = Phrase("5. The hospital's own rule", "五、医院自身的规则")
    if policy is None:
        return Part("policy", title, (Phrase("No policy was given.", "未提供医院政策文件。"),))
    hours = "; ".join(f"{'/'.join(o.days)} {o.start}–{o.until} {o.zone}" for o in policy.opening)
    people = "; ".join(f"{person.name} ({person.role})" for person in policy.people)
    consent = {
        "recorded": Phrase("only people whose consent is on record", "仅计入有同意记录的患者"),
        "objection": Phrase("everybody but who objected or withdrew", "除反对或撤回者外均计入"),
    }[policy.consent or "objection"]
    rows: tuple[tuple[Words, ...], ...] = (
        (Phrase("hospital", "医院"), f"{policy.entity} ({policy.site})"),
        (Phrase("who runs the machines", "设备运行方"), policy.operator),
        (Phrase("SHA-256 of the policy", "政策 SHA-256"), policy.digest()),
        (
            Phrase("privacy for life", "终身隐私预算"),
            f"epsilon {policy.budget.epsilon:g}, delta {policy.budget.delta:g}",
        ),
        (
            Phrase("most for one study", "单项研究上限"),
            _not_set() if policy.limits.epsilon is None else f"epsilon {policy.limits.epsilon:g}",
        ),
        (Phrase("whose rows are counted", "计入的患者"), consent),
        (Phrase("analyses allowed", "允许的分析"), ", ".join(policy.analyses) or Phrase("none", "无")),
        (Phrase("values of single sites", "逐机构数值"), _yes(bool(policy.release_site_values))),
        (Phrase("second signature", "双人复核"), _yes(policy.four_eyes)),
        (Phrase("people with an office", "岗位人员"), people or _not_set()),
        (Phrase("hours", "应答时段"), hours or Phrase("always", "全天")),
        (Phrase("hospitals whose keys were compared", "已核对密钥的医院"), _confirmed(policy)),
    )
    return Part(
        "policy", title, (), (), (Table(Phrase("Policy", "政策"), (_ITEM, _SAYS), rows, frozenset({1})),)
    )


def signatures_part() -> Part:
    """Return the lines that people sign."""
    rows = tuple(
        (who, "", "")
        for who in (
            Phrase("principal investigator", "项目负责人"),
            Phrase("data officer of the hospital", "医院数据官（个人信息保护负责人）"),
            Phrase("ethics board", "伦理委员会"),
        )
    )
    head = (Phrase("who", "签署人"), Phrase("name", "姓名"), Phrase("day and signature", "日期与签名"))
    return Part(
        "signatures", Phrase("6. Signatures", "六、签署"), (), (),
        (Table(Phrase("Signed by", "签署"), head, rows, frozenset({1, 2})),),
    )  # fmt: skip


def _asked(study: Study) -> tuple[tuple[Words, ...], ...]:
    governance = study.governance
    lawful = _said(governance.legal_basis.hospital)
    return (
        (
            Phrase(
                "PIPL 56(1), GDPR 35(7)(a),(b): are purpose and method lawful, legitimate and necessary?",
                "第五十六条第一项、GDPR 35(7)(a)(b)：处理目的、方式是否合法、正当、必要？",
            ),
            Phrase("Purpose and legal basis: see part 1. ", "目的与合法性基础见第一部分。") + lawful,
        ),
        (
            Phrase("Why are these data necessary, and no fewer?", "为何必须处理这些数据，而不能更少？"),
            Phrase(
                "Only the variables of part 2 are read, for patients of the cohort, and only sums leave. ",
                "仅读取第二部分所列变量，仅涉及入组患者，仅合计数值离开医院。",
            ) + OPEN,
        ),
        (
            Phrase(
                "PIPL 56(2), GDPR 35(7)(c): what is the impact on people's rights, and the risk?",
                "第五十六条第二项、GDPR 35(7)(c)：对个人权益的影响及安全风险？",
            ),
            Phrase("See the risks below.", "见下表风险。"),
        ),
        (
            Phrase(
                "PIPL 56(3), GDPR 35(7)(d): are the measures lawful, effective and fitting?",
                "第五十六条第三项、GDPR 35(7)(d)：保护措施是否合法、有效并与风险程度相适应？",
            ),
            Phrase("See the measures below. ", "见下表措施。") + OPEN,
        ),
        (
            Phrase("GDPR 35(2), (9): views of data officer and patients", "GDPR 35(2)(9)：各方意见"),
            OPEN,
        ),
        (Phrase("Assessment on file", "已有评估编号"), _said(governance.impact_assessment)),
    )  # fmt: skip


def _epsilon_sentence(promised: float | None, alone: float | None, delta: float) -> Phrase:
    if promised is None or alone is None:
        return Phrase(
            "The study is without noise: there is no promise of privacy at all.",
            "本研究不加噪声：不提供任何隐私保证。",
        )
    odds = math.exp(promised)
    return Phrase(
        "The promise: whoever sees all that is released, and works with as many hospitals as the study "
        "assumes, can change their odds that a given patient was counted by a factor of at most "
        f"{odds:.3g} (epsilon {promised:.3g}, except with a probability of at most {delta:g}); if all other "
        f"hospitals collude, epsilon is {alone:.3g}.",
        "隐私保证：即使看到全部发布结果，并与研究所假定数量的医院合谋，"
        f"推断某位患者是否被计入的几率比最多改变 {odds:.3g} 倍"
        f"（epsilon {promised:.3g}，例外概率不超过 {delta:g}）；若其余医院全部合谋，epsilon 为 {alone:.3g}。",
    )


def _source(given: dict[str, object]) -> str:
    for key in ("variant", "variants", "person", "claims", "count", "first_day", "grade", "calendar"):
        value = given.get(key)
        if value:
            return f"{key}: {_plain(value)}"
    return ""


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items() if item not in (None, ()))
    if isinstance(value, list | tuple):
        return " ".join(_plain(item) for item in value)
    return str(value)


def _said(text: str | None) -> Words:
    return text or OPEN


def _yes(value: bool | None) -> Words:
    if value is None:
        return OPEN
    return Phrase("yes", "是") if value else Phrase("no", "否")


def _not_set() -> Phrase:
    return Phrase("not set", "未设定")


def _confirmed(policy: SitePolicy) -> Words:
    if policy.confirmed == "all":
        return Phrase("all (a simulation)", "全部（模拟）")
    return ", ".join(sorted(policy.confirmed)) or Phrase("none", "无")
