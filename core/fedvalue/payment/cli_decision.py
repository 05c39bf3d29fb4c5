"""How decisions and proposals are printed, in English or Chinese."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Literal

import typer

from fedvalue.payment.decision import CashFlow, Decision
from fedvalue.payment.proposal import Proposal
from fedvalue.payment.said import named, said
from fedvalue.payment.standard import Standard

Language = Literal["en", "zh"]

WORDS: dict[str, dict[Language, str]] = {
    "question": {"en": "question", "zh": "问题"},
    "answer": {"en": "answer", "zh": "结论"},
    "probability": {"en": "probability", "zh": "概率"},
    "share": {"en": "share", "zh": "比例"},
    "money": {"en": "money", "zh": "资金"},
    "why": {"en": "why", "zh": "原因"},
    "would do": {"en": "would do", "zh": "所需"},
    "next": {"en": "next", "zh": "下一步"},
    "proposed": {"en": "proposed", "zh": "建议"},
    "change": {"en": "change", "zh": "何时改变"},
    "note": {"en": "note", "zh": "提示"},
    "bar": {"en": "bar", "zh": "门槛"},
    "together": {"en": "together", "zh": "联合"},
    "result": {"en": "result", "zh": "测算"},
    "expected": {"en": "expected", "zh": "预期支出"},
    "brake": {"en": "brake", "zh": "缓冲"},
    "path": {"en": "path", "zh": "路径"},
    "look": {"en": "look", "zh": "期中分析"},
    "instead": {"en": "instead", "zh": "替代方式"},
    "value": {"en": "value", "zh": "标准"},
    "needs": {"en": "needs", "zh": "须签署"},
    "bias": {"en": "bias", "zh": "偏倚"},
    "met": {"en": "MET", "zh": "达标"},
    "not_met": {"en": "NOT MET", "zh": "未达标"},
    "insufficient_evidence": {"en": "INSUFFICIENT EVIDENCE", "zh": "证据不足"},
    "sampling": {"en": "sampling", "zh": "抽样"},
    "privacy": {"en": "privacy", "zh": "隐私"},
    "missingness": {"en": "missingness", "zh": "缺失"},
    "heterogeneity": {"en": "heterogeneity", "zh": "异质性"},
    "model": {"en": "model", "zh": "模型"},
}
"""Labels and fixed words of the command line."""

DERIVED_ZH: dict[str, str] = {
    "event_free": "无事件生存",
    "expected_gross": "预期支付额",
    "expected_clawback": "预期追回额",
    "expected_net": "预期净支付",
    "net_share": "净支付占价格比例",
    "expected_rebate": "预期返还额",
    "expected_refund": "预期退款额",
    "expected_payment": "预期支付",
    "reduction": "下降幅度",
    "expected_addition": "预期奖扣额",
    "expected_factor": "预期支付系数",
    "surplus_rate": "结余率",
    "savings_rate": "节约率",
    "patient_pays": "患者自付",
    "all_conditions": "全部细分条件",
    "spread": "系数极差",
    "net_benefit": "增量净获益",
    "data_value": "数据价值",
    "data_net_value": "数据净价值",
}
"""Quantities that mechanisms derive, in Chinese."""

_SENTENCES: dict[str, dict[Language, str]] = {
    "levels": {
        "en": "met from {p_met}, not met up to {p_not} (rule {rule})",
        "zh": "达到 {p_met} 判为达标，不超过 {p_not} 判为未达标（规则 {rule}）",
    },
    "share": {
        "en": "{estimate:.3f} ({lower:.3f} to {upper:.3f}), {patients} patients; "
        "{privacy:.0%} of the variance is privacy noise",
        "zh": "{estimate:.3f}（{lower:.3f} 至 {upper:.3f}），{patients} 名患者；"
        "方差的 {privacy:.0%} 为隐私噪声",
    },
    "flow": {
        "en": "{name}: {before:,} -> {after:,} {currency} per {per} at most ({hundred:+,} per 100), "
        "borne by {bearer}",
        "zh": "{name}：每{per}至多 {before:,} -> {after:,} {currency}（每 100 为 {hundred:+,}），"
        "由{bearer}承担",
    },
    "expected": {
        "en": "{name}: {before:,.2f} -> {after:,.2f} {currency} per patient, borne by {bearer}",
        "zh": "{name}：每名患者 {before:,.2f} -> {after:,.2f} {currency}，由{bearer}承担",
    },
    "bar": {
        "en": "{of} {sign} {threshold} {unit}: {estimate:,.6g} ({lower:,.6g} to {upper:,.6g}), "
        "P {probability}; {privacy:.0%} of the variance is privacy noise",
        "zh": "{of} {sign} {threshold} {unit}：{estimate:,.6g}（{lower:,.6g} 至 {upper:,.6g}），"
        "概率 {probability}；方差的 {privacy:.0%} 为隐私噪声",
    },
    "next": {
        "en": "review on {review}, sunset of the current standard {sunset}",
        "zh": "{review} 复审，现行标准最迟沿用至 {sunset}",
    },
    "proposed": {"en": "from {start}; appeal until {appeal}", "zh": "自 {start} 起；申诉截止 {appeal}"},
    "brake": {
        "en": "{value}: {before} -> {wanted} wanted, {after} left ({because}); needed P {needed:.2f}",
        "zh": "{value}：拟由 {before} 调至 {wanted}，保留 {after}（{because}）；所需概率 {needed:.2f}",
    },
    "look": {
        "en": "{n} so far, z {z:.3f} against {bound:.3f}; {left} registered looks left",
        "zh": "已做 {n} 次，z {z:.3f}，界值 {bound:.3f}；尚余 {left} 次登记",
    },
}


def decision_lines(decision: Decision, language: Language, standard: Standard | None = None) -> Iterator[str]:
    """Return a decision line by line: question, answer, probability, money, what would change it.

    Args:
      decision: The decision.
      language: Of labels and sentences.
      standard: Gives actions and quantities in Chinese; without it they stay the words that are recorded.
    """
    say = _Say(language)
    yield say("question", decision.question.text.read(language))
    yield say("answer", f"{WORDS[decision.outcome][language]}: {_action(decision, language, standard)}")
    yield from _numbers(decision, say, _names(language, standard))
    yield from map(say.flow, decision.money)
    for flow_expected in decision.expected:
        yield say(
            "expected",
            say.sentence(
                "expected", name=named(flow_expected.name, language), before=flow_expected.before,
                after=flow_expected.after, currency=flow_expected.currency,
                bearer=named(flow_expected.bearer, language),
            ),
        )  # fmt: skip
    yield from _next(decision, say)
    for sentence in decision.what_would_change:
        yield say("change", said(sentence, language))
    for warning in decision.warnings:
        yield say("note", said(warning, language))


def _action(decision: Decision, language: Language, standard: Standard | None) -> str:
    if language == "zh" and standard is not None:
        answers = standard.consequences
        for consequence in (answers.met, answers.not_met, answers.insufficient_evidence):
            if consequence.action == decision.action:
                return consequence.text.read(language)
    return decision.action.replace("_", " ")


def _names(language: Language, standard: Standard | None) -> dict[str, str]:
    if language != "zh":
        return {}
    quantities = {} if standard is None else standard.quantities
    return {**DERIVED_ZH, **{name: quantity.text.read("zh") for name, quantity in quantities.items()}}


def _numbers(decision: Decision, say: _Say, names: dict[str, str]) -> Iterator[str]:
    found, rule, sign = decision.finding, decision.rule, _sign(decision.question.direction)
    levels = say.sentence("levels", p_met=rule.p_met, p_not=rule.p_not, rule=rule.name)
    if found is not None:
        share = WORDS["share"][say.language]
        yield say(
            "probability",
            f"P({share} {sign} {decision.question.threshold}): {shown(found.probability)}; {levels}",
        )
        yield say(
            "share",
            say.sentence(
                "share", estimate=found.estimate, lower=found.lower, upper=found.upper,
                patients=found.patients_banded, privacy=found.privacy_share,
            ),
        )  # fmt: skip
    for bar in decision.criteria:
        yield say(
            "bar",
            say.sentence(
                "bar",
                of=names.get(bar.of, bar.of.replace("_", " ")),
                sign=_sign(bar.direction),
                threshold=bar.threshold,
                unit=bar.unit,
                estimate=bar.estimate,
                lower=bar.lower,
                upper=bar.upper,
                probability=shown(bar.probability),
                privacy=bar.privacy_share,
            ),
        )
    if decision.joint_probability is not None:
        yield say("together", f"P {shown(decision.joint_probability)}; {levels}")
    for result in decision.results:
        yield say(
            "result", _result(result.name, result.value, result.lower, result.upper, result.unit, result.text)
        )
    if decision.worth is not None:
        worth = ", ".join(f"{path} {value:,.0f}" for path, value in decision.worth.worth.items())
        yield say("path", f"{decision.worth.path.replace('_', ' ')} ({worth})")
    if decision.sequence is not None:
        looks = decision.sequence
        yield say(
            "look",
            say.sentence("look", n=len(looks.looks), z=looks.z, bound=looks.bound, left=looks.looks_left),
        )


def _next(decision: Decision, say: _Say) -> Iterator[str]:
    if (refused := decision.refused) is not None:
        for vehicle in refused.vehicles:
            yield say("instead", f"{vehicle.name.replace('_', ' ')}: {vehicle.text}")
    if (lacking := decision.insufficient) is not None:
        yield say("why", f"{WORDS[lacking.reason][say.language]}: {said(lacking.text, say.language)}")
        yield say("would do", said(lacking.more_patients.text, say.language))
        yield say("", said(lacking.more_privacy.text, say.language))
        yield say("next", say.sentence("next", review=lacking.review_on, sunset=lacking.sunset))
    for row in decision.held_back:
        if row.because:
            yield say(
                "brake",
                say.sentence(
                    "brake", value=row.value, before=row.before, wanted=row.wanted, after=row.after,
                    because=", ".join(row.because), needed=row.needed,
                ),
            )  # fmt: skip
    if decision.effective_from is not None:
        yield say(
            "proposed", say.sentence("proposed", start=decision.effective_from, appeal=decision.appeal_until)
        )


def proposal_lines(proposal: Proposal, language: Language) -> Iterator[str]:
    """Return a proposal line by line: standard before and after, rule, probability, money, biases."""
    say = _Say(language)
    yield say("proposed", f"{proposal.standard}: {proposal.action.replace('_', ' ')}")
    yield say("", say.sentence("proposed", start=proposal.effective_from, appeal=proposal.appeal_until))
    for name, amount in proposal.values.items():
        before = proposal.before[name].amount if name in proposal.before else None
        if before != amount:
            yield say("value", f"{name}: {_amount(before)} -> {_amount(amount)} {proposal.units[name]}")
    if proposal.rule is not None and proposal.probability is not None:
        yield say("probability", f"P {shown(proposal.probability)} ({proposal.rule.name})")
    yield from map(say.flow, proposal.money)
    if proposal.bias is not None:
        items = proposal.bias.model_dump()
        open_items = [name.replace("_", " ") for name, item in items.items() if item["status"] == "open"]
        yield say("bias", ", ".join(open_items) or "-")
    signed = {signature.role for signature in proposal.signatures}
    for role in proposal.needs:
        yield say("needs", f"{role.replace('_', ' ')}{' (signed)' if role in signed else ''}")


def shown(value: float) -> str:
    """Show a probability to four decimals, and never one that is not certain as 0 or 1."""
    if 0 < value < 0.0001:
        return "below 0.0001"
    return "above 0.9999" if 0.9999 < value < 1 else f"{value:.4f}"


def _sign(direction: str) -> str:
    return ">=" if direction == "at_least" else "<="


def _amount(value: Decimal | None) -> str:
    return "-" if value is None else f"{value:,}"


def _result(
    name: str, value: float | None, lower: float | None, upper: float | None, unit: str, text: str | None
) -> str:
    if value is None:
        return f"{name}: {text or '-'}"
    interval = "" if lower is None or upper is None else f" ({lower:,.6g} to {upper:,.6g})"
    return f"{name}: {value:,.6g}{interval} {unit}{f'; {text}' if text else ''}"


class _Say:
    """Lines with a label in front, in one language."""

    def __init__(self, language: Language) -> None:
        self.language = language

    def __call__(self, label: str, text: str) -> str:
        word = WORDS[label][self.language] if label else ""
        # Chinese characters are two columns wide.
        width = sum(2 if ord(letter) > 0x2E7F else 1 for letter in word)
        return f"{word}{' ' * max(13 - width, 1)}{text}"

    def sentence(self, key: str, **values: object) -> str:
        return _SENTENCES[key][self.language].format(**values)

    def flow(self, flow: CashFlow) -> str:
        told = self.sentence(
            "flow",
            name=named(flow.name, self.language),
            before=flow.before,
            after=flow.after,
            currency=flow.currency,
            per=named(flow.per, self.language),
            hundred=flow.change_per_100,
            bearer=named(flow.bearer, self.language),
        )
        return self("money", told)


def print_lines(lines: Iterator[str]) -> None:
    """Print lines to the terminal."""
    for line in lines:
        typer.echo(line)
