"""The words of a load report in Chinese: one for every reason why a row or a value was left out."""

from __future__ import annotations

from types import MappingProxyType

ZH = MappingProxyType(
    {
        "malformed line": "行格式错误",
        "missing id": "缺少标识",
        "patient not in the patients table": "患者不在患者表中",
        "duplicate patient": "患者重复",
        "duplicate claim": "结算单重复",
        "duplicate row": "行重复",
        "missing day": "缺少日期",
        "unparseable date": "日期无法解析",
        "date out of range": "日期超出范围",
        "not a finite number": "不是有限数值",
        "number out of range": "数值超出范围",
        "negative time": "时间为负",
        "negative number": "数值为负",
        "discharge before admission": "出院早于入院",
        "end before the start": "终止早于开始",
        "no grade": "无分级",
        "before origin": "早于起始日",
        "origin not known": "起始日未知",
        "missing code": "缺少编码",
        "unknown code": "编码未知",
        "code of another system": "编码不属于该编码体系",
        "ignored": "按设定忽略",
        "not a whole number": "不是整数",
        "no event": "无事件",
        "no report": "无报告",
        "no value": "无数值",
        "missing unit": "缺少单位",
        "unknown unit": "单位未知",
        "value that cannot be": "数值不可能",
        "missing amount": "缺少金额",
        "negative amount": "金额为负",
        "unknown currency": "币种未知",
        "another line of its claim": "同一结算单的其他明细行",
        "another amount than the claim's first line": "与该结算单首行金额不一致",
        "superseded by an adjustment": "已被调整取代",
        "void": "已作废",
        "reversed": "已冲销",
        "reversal of more than was paid": "冲销金额超过已付金额",
        "adjusts a claim that is not there": "所调整的结算单不存在",
        "fund and personal share do not add up to the total": "基金支付与个人负担之和不等于总额",
        "wrong number of columns": "列数错误",
        "reference base of another genome build": "参考碱基属于另一基因组版本",
        "position behind the end of its chromosome": "位置超出染色体末端",
        "another genome build": "另一基因组版本",
        "genotype that is none": "基因型无效",
        "no gene annotation": "无基因注释",
        "no genotype": "无基因型",
        "call did not pass its filter": "变异未通过过滤",
        "result not readable": "结果无法判读",
        "panel without a list of genes": "检测套餐没有基因列表",
    }
)
"""English reason to Chinese."""


def said(reason: str, language: str) -> str:
    """Return a reason in a language, ``en`` or ``zh``; one without a word of its own stays in English."""
    return ZH.get(reason, reason) if language == "zh" else reason
