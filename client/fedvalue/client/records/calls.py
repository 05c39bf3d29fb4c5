"""One sample's call on a line of a VCF: genotype, depth and allele fraction, as the callers write them.

Depth is ``DP``, else the sum of ``AD``. The fraction is ``AF``, ``FA`` (MuTect) or ``FREQ`` (VarScan) where
they are there, else the reads of the allele by all reads. Strelka writes no genotype: of its samples NORMAL
and TUMOR the genotypes stand in INFO ``SGT`` (Saunders et al., Bioinformatics 28 (2012) 1811-1817), the reads
by base in ``AU`` to ``TU``, tier 1 first, those of insertions and deletions in ``TIR``.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from fedvalue.client.records.annotations import info_value

_ALLELES = re.compile(r"[/|]")
_MOST_DIGITS = 6
"""Of the number of an allele, and of a depth; both have far fewer."""
_MOST_READS = 10**9
_HOMOZYGOUS = 2
_STRELKA = {"NORMAL": 0, "TUMOR": 1}
_STRELKA_WORDS = {"ref": (0, 0), "het": (0, 1), "hom": (1, 1)}
_FRACTION = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?%?")


class Call(NamedTuple):
    """What one sample has.

    Attributes:
      alleles: Numbers of the alternative alleles that are called.
      genotype: As it is written.
    """

    alleles: tuple[int, ...]
    genotype: str


class Layout(NamedTuple):
    """Where the keys of a FORMAT stand; None where one is not there.

    ``plain``: the fraction follows from the reads of all alleles in ``AD``, as GATK writes it.
    """

    names: tuple[str, ...]
    gt: int | None
    dp: int | None
    ad: int | None
    rd: int | None
    fraction: int | None
    plain: bool

    @property
    def strelka(self) -> bool:
        """True where genotypes stand in INFO."""
        return self.gt is None and ("AU" in self.names or "TIR" in self.names)


@lru_cache(maxsize=256)
def layout(format_text: str) -> Layout:
    """Return where the keys of a FORMAT column stand."""
    names = tuple(format_text.split(":"))
    at = {name: position for position, name in enumerate(names)}
    fraction = next((at[name] for name in ("AF", "FA", "FREQ") if name in at), None)
    plain = fraction is None and "RD" not in at
    return Layout(names, at.get("GT"), at.get("DP"), at.get("AD"), at.get("RD"), fraction, plain)


@lru_cache(maxsize=1024)
def called(genotype: str, alternatives: int) -> tuple[int, ...] | None:
    """Return the numbers of the alternative alleles that a genotype calls, None where it is none."""
    alleles = [allele for allele in _ALLELES.split(genotype) if allele != "."]
    if not all(allele.isascii() and allele.isdigit() and len(allele) <= _MOST_DIGITS for allele in alleles):
        return None
    present = set(map(int, alleles))
    return tuple(sorted(present - {0})) if max(present, default=0) <= alternatives else None


def strelka_call(sample: str, info: str, reference: str, alternatives: list[str]) -> Call | None:
    """Return the call of Strelka's NORMAL or TUMOR, None where INFO does not tell it."""
    side = _STRELKA.get(sample)
    told = info_value(info, "SGT").split("->")
    if side is None or len(told) != _HOMOZYGOUS:
        return None
    words = told[side]
    if words in _STRELKA_WORDS:
        numbers = _STRELKA_WORDS[words]
    else:
        bases = {reference: 0} | {base: number for number, base in enumerate(alternatives, start=1)}
        if len(words) != _HOMOZYGOUS or not all(base in bases for base in words):
            return None
        numbers = (bases[words[0]], bases[words[1]])
    first, second = sorted(numbers)
    return Call(tuple(sorted(set(numbers) - {0})), f"{first}/{second}")


def depth_and_fraction(
    values: list[str], keys: Layout, number: int, alternatives: list[str]
) -> tuple[str, str]:
    """Return depth and allele fraction of one allele as text, empty where they are not known.

    Args:
      values: Cells of the sample, parted by colons.
      keys: Where they stand.
      number: Of the allele, from 1.
      alternatives: The ALT alleles.
    """
    if keys.plain and keys.ad is not None and keys.dp is not None:
        try:
            counts = [int(one) for one in values[keys.ad].split(",")]
            whole, reads_in_all, own = sum(counts), int(values[keys.dp]), counts[number]
            sound = 0 <= own <= whole < _MOST_READS > reads_in_all >= 0 < whole and min(counts) >= 0
            if sound and len(counts) == len(alternatives) + 1:
                return str(reads_in_all), f"{own / whole:.6g}"
        except (ValueError, IndexError):
            pass  # a cell that is none: looked at one by one below
    reads = _numbers(_cell(values, keys.ad))
    total = _cell(values, keys.dp)
    depth = total if _is_depth(total) else ""
    if depth == "" and reads and None not in reads:
        depth = str(sum(one for one in reads if one is not None) + (_number(_cell(values, keys.rd)) or 0))
    if (told := _cell(values, keys.fraction)) != "":
        parts = told.split(",")
        fraction = _fraction(parts[number - 1] if number <= len(parts) else "")
        if fraction:
            return depth, fraction
    return depth, _by_reads(values, keys, number, alternatives, reads, depth)


def _by_reads(
    values: list[str],
    keys: Layout,
    number: int,
    alternatives: list[str],
    reads: list[int | None],
    depth: str,
) -> str:
    own: int | None = None
    whole: int | None = None
    if len(reads) == len(alternatives) + 1:
        own = reads[number]
        whole = None if None in reads else sum(one for one in reads if one is not None)
    elif len(reads) == len(alternatives) and keys.rd is not None:  # VarScan: AD holds the ALT alone
        other = _number(_cell(values, keys.rd))
        own, whole = (
            reads[number - 1],
            None if other is None or None in reads else other + sum(filter(None, reads)),
        )
    elif keys.strelka:
        names = {name: at for at, name in enumerate(keys.names)}
        alternative = alternatives[number - 1]
        column = names.get(f"{alternative}U", names.get("TIR") if len(alternative) > 1 else None)
        own = next(iter(_numbers(_cell(values, column))), None)
    if whole is None and depth:
        whole = int(depth)
    return f"{own / whole:.6g}" if own is not None and whole and own <= whole else ""


def _cell(values: list[str], at: int | None) -> str:
    return values[at] if at is not None and at < len(values) and values[at] != "." else ""


def _is_depth(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS + 3


def _number(text: str) -> int | None:
    return int(text) if _is_depth(text) else None


def _numbers(text: str) -> list[int | None]:
    return [_number(part) for part in text.split(",")] if text else []


def _fraction(text: str) -> str:
    """Return a fraction of 0 to 1 as text; ``48.7%`` is .487."""
    if _FRACTION.fullmatch(text) is None:
        return ""
    value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    return f"{value:.6g}" if value <= 1 else ""
