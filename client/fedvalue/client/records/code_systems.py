"""Shapes of codes: what a code of a system looks like, not whether it is on this year's list.

ICD-10 in the edition of the Chinese insurance (医保版, such as C34.100x003) and without a point, as CMS
writes it; ICD-11 for Mortality and Morbidity Statistics, stem codes and clusters; ICD-9-CM volume 3 (医保版
32.4101); drugs and consumables after the national codes: 医保药品编码 (X for chemical drugs, Z for Chinese
medicines, T for herbs, S for hospital preparations) and 医保医用耗材编码 (C and 19 digits).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal

System = Literal["icd10", "icd11", "icd9cm3", "nhsa drug", "nhsa consumable"]
SHAPES: MappingProxyType[System, str] = MappingProxyType(
    {
        "icd10": r"[A-Z][0-9][0-9A-Z](?:\.?[0-9A-Za-z]{1,10}[+*]?)?",
        "icd11": (
            r"[1-9A-HJ-NP-X][A-HJ-NP-Z][0-9][0-9A-HJ-NP-Z](?:\.[0-9A-HJ-NP-Z]{1,2})?(?:[&/][0-9A-Z.&/]+)?"
        ),
        "icd9cm3": r"[0-9]{2}(?:\.?[0-9A-Za-z]{1,8})?",
        "nhsa drug": r"[XZTS][A-Z0-9]{8,24}",
        "nhsa consumable": r"C[0-9]{19}",
    }
)
"""System to a regular expression (RE2) that a whole code fits."""
ANOTHER_SYSTEM = "code of another system"
