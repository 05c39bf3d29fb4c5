"""The words of molecular reports, English and Chinese, as patterns over lower-case text in NFKC.

Names of changes: HGVS recommendations, den Dunnen et al., Human Mutation 37 (2016) 564-569, and the older
"delE746-A750", "185delAG".
"""

from __future__ import annotations

import re

from fedvalue.client.records.scope import FAILED, NOT_COVERED, NOT_READABLE, NOT_REPORTED, NOT_TESTED

LONGEST_TEXT = 20_000
"""Characters of a report; a longer one is not readable."""
ALIASES = {
    "HER2": "ERBB2", "HER-2": "ERBB2", "NEU": "ERBB2", "C-MET": "MET", "CMET": "MET", "K-RAS": "KRAS",
    "B-RAF": "BRAF", "C-ROS1": "ROS1", "ROS-1": "ROS1", "ERBB1": "EGFR", "HER1": "EGFR",
}  # fmt: skip
KNOWN_GENES = (
    "AKT1", "APC", "ATM", "CDKN2A", "CTNNB1", "FGFR1", "FGFR2", "FGFR3", "HRAS", "IDH1", "IDH2", "KEAP1",
    "KIT", "MAP2K1", "MLH1", "MSH2", "NF1", "NRAS", "NTRK1", "NTRK2", "NTRK3", "PALB2", "PDGFRA", "PIK3CA",
    "POLE", "PTEN", "RB1", "SMAD4", "STK11", "TP53",
)  # fmt: skip
"""Symbols that the words may name besides the catalogue's and the panel's."""
STATES: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        FAILED,
        re.compile(
            r"fail(?:ed|ure)|insufficient|inadequate|\bqns\b|quantity not sufficient|low tumou?r content|"
            r"poor quality|不合格|检测失败|质控失败|样本不足|样本量不足|肿瘤含量不足"
        ),
    ),
    (
        NOT_COVERED,
        re.compile(
            r"(?:not|n't) (?:covered|included|in (?:the )?panel|part of|on (?:the )?panel)|(?:not|n't) cover|"
            r"outside (?:the )?panel|未覆盖|不在检测范围|未包含|不包含"
        ),
    ),
    (
        NOT_TESTED,
        re.compile(
            r"(?:not|n't) (?:been )?(?:tested|done|performed|assessed|ordered|examined)|untested|\bn/?t\b|"
            r"未检测|未做|未行|未送检|没有检测"
        ),
    ),
    (
        NOT_REPORTED,
        re.compile(
            r"(?:not|n't) (?:been )?(?:yet )?reported|pending|to follow|in progress|await|未报告|未出|待报告|"
            r"待回报|结果未回"
        ),
    ),
    (
        NOT_READABLE,
        re.compile(
            r"illegible|unreadable|not (?:readable|legible|interpretable)|uninterpretable|indeterminate|"
            r"equivocal|inconclusive|无法判读|无法识别|字迹不清|看不清|无法判断"
        ),
    ),
)
"""What becomes of a test instead of a result, and the words for it."""
DOUBT = re.compile(
    r"\?|suspect|possibl|probabl|cannot (?:be )?exclude|can't|rule[d]? out|likely|borderline|query|"
    r"previous|prior|history|formerly|family|疑似|可疑|可能|不除外|既往|家族"
)
SIGNIFICANCE_WORDS = re.compile(r"likely (?:pathogenic|benign)")
EXCEPTION = re.compile(r"\b(?:except|other than|apart from|besides|but|only|excluding|unless)\b|除|以外|仅")
UNCERTAIN = re.compile(
    r"\bvus\b|(?:uncertain|unknown|undetermined|unclear) (?:clinical )?significance|意义不明|意义未明"
)
NEGATIVE = re.compile(
    r"\b(?:no|none|without)\b(?:[^,;、]{0,80}?\b(?:detected|found|identified|present|seen)\b)?"
    r"|\bnot (?:been )?(?:detected|found|seen|identified|present|mutated|rearranged)|"
    r"negative|\bneg\b|\babsent\b|wild[- ]?types?|\bwt\b|\bundetected\b|\bnil\b|\bnormal\b|"
    r"未检出|未见|未发现|阴性|野生型?|无突变|没有突变"
)
POSITIVE = re.compile(
    r"(?<!not )\bdetected|(?<!not )(?<!un)\bmutated|positive|\bpos\b|\bpresent\b|\bfound\b|identified|"
    r"(?<!未)检出|阳性|突变型"
)
MUTATION_WORDS = re.compile(
    r"\b(?:mutant|mutation|variant|alteration)s?\b|rearrang|translocat|fusion|突变|重排|融合|变异"
)
FUSED = re.compile(r"fusion|fused|rearrang|translocat|融合|重排|易位")
EVERY = re.compile(r"\b(?:all|any|other|others|remaining|rest)\b|其余|其他|其它|所有|均|余")
CHANGE = re.compile(
    r"(?<![a-z0-9*.])(?:p\.)?\(?("
    r"[a-z]\d{1,4}_[a-z]\d{1,4}(?:delins[a-z*]{1,30}|del|dup|ins[a-z*]{1,30})"
    r"|[a-z]\d{1,4}(?:delins[a-z*]{1,30}|del|dup|[a-z]?fs(?:\*\d{1,4})?)"
    r"|x\d{1,4}_splice|[a-z]\d{1,4}[a-z*]"
    r"|(?:[a-z]{3}\d{1,4}_[a-z]{3}\d{1,4}|[a-z]{3}\d{1,4})(?:delins(?:[a-z]{3}){1,9}|del|dup|ins(?:[a-z]{3}){1,9}|"
    r"(?:[a-z]{3})?fs(?:ter\d{1,4}|\*\d{1,4})?|[a-z]{3}|\*)"
    r")\)?(?![a-z0-9*_])"
)
LEGACY = re.compile(r"(?<![a-z0-9])del ?([a-z]\d{1,4})[-_]([a-z]\d{1,4})(?![a-z0-9])")
EXON = re.compile(
    r"(?:exons?|ex|e|第)\s*-?(\d{1,2})\s*(?:号)?(?:外显子)?\s*-?\s*"
    r"(del(?:etion)?s?|ins(?:ertion)?s?|skip(?:ping)?|缺失|插入|跳跃|跳读)"
    r"|(?<![a-z0-9])(\d{1,2})\s*-?\s*(?:外显子)?\s*-?\s*(del|ins|缺失|插入|跳跃)(?![a-z])"
)
CODING = re.compile(r"(?<![a-z0-9])(?:[cgmn]\.[^\s,;()]{1,60}|\d{2,4}(?:del|ins)[acgt]{1,6}(?![a-z0-9]))")
RSID = re.compile(r"(?<![a-z0-9])(rs\d{3,12})(?!\d)")
STAR = re.compile(r"(?<![a-z0-9*])(\*\d{1,3}[a-z]?)(?![a-z0-9])")
CLAUSE = re.compile(r"[;；。\n\r|]+|\.(?=\s|$)")
PIECE = re.compile(r"[,，、/+&]+|\band\b|\bwith\b|和|及|伴|合并")
PARTNERS = re.compile(r"(?<![a-z0-9])[a-z][a-z0-9]{1,9}\s?(?:-|::)\s?[a-z][a-z0-9]{1,9}(?![a-z0-9])")
PREFIXED = re.compile(r"\b(?:no|without|absence of)\b|未检出|未见|未发现|无")
PROTEIN = re.compile(r"(?<![a-z0-9])(?:her-?2|neu)(?![a-z0-9])")
"""A name that pathologists use of the protein: bare "positive" is not of the gene."""
REFERENCE_ALLELES = re.compile(r"\*1[a-z]?\s?/\s?\*1[a-z]?(?![0-9])")
SHAPE = re.compile(
    r"(?P<first>[a-z]{3}|[a-z])(?P<at>\d{1,4})(?:_(?P<second>[a-z]{3}|[a-z])(?P<to>\d{1,4}))?(?P<tail>.*)"
)
TAIL = re.compile(
    r"(?P<operation>delins|del|dup|ins|_splice|)(?P<put>[a-z*]*?)(?P<fs>fs(?P<stop>(?:ter|\*)\d{1,4})?)?"
)
THREE = {
    "ala", "arg", "asn", "asp", "cys", "gln", "glu", "gly", "his", "ile", "leu", "lys", "met", "phe", "pro",
    "ser", "thr", "trp", "tyr", "val", "ter", "sec",
}  # fmt: skip
ONE = set("acdefghiklmnpqrstvwyx*")
