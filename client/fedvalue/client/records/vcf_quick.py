"""The usual line of a VCF, read in one go: one sample, one alternative base, transcripts of VEP in one gene.

Most lines of an annotated file are such lines, and this reads them several times faster than `vcf` does. What
is not usual in any way is left to `vcf`, so that this changes no result; a test reads the same lines by both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from types import MappingProxyType

from fedvalue.client.records.actionable import STRETCH, Positions
from fedvalue.client.records.calls import depth_and_fraction, layout
from fedvalue.client.records.effects import effect_by_length, short_protein_change

_FORMAT = re.compile(r"Format:\s*([^\"'>]+)")
_BASE = frozenset("ACGT")
_PASSING = frozenset(("PASS", ".", ""))
_CARRIED = frozenset(("0/1", "1/1", "0|1", "1|0", "1|1", "1/0", "1", "./1", "1/."))
_NOT_CARRIED = frozenset(("0/0", "0|0", "./.", ".|.", "0", "."))
_MOST_DIGITS = 10
_MOST_READS = 1_000_000_000
_RESIDUES = MappingProxyType(
    {
        "Ala": "A", "Arg": "R", "Asn": "N", "Asp": "D", "Cys": "C", "Gln": "Q", "Glu": "E", "Gly": "G",
        "His": "H", "Ile": "I", "Leu": "L", "Lys": "K", "Met": "M", "Phe": "F", "Pro": "P", "Ser": "S",
        "Thr": "T", "Trp": "W", "Tyr": "Y", "Val": "V",
    }
)  # fmt: skip

Quick = Callable[[str], str | None]
"""From a line to its one row, ``""`` where the sample does not carry the allele, None where it is unusual."""


def quick_reader(
    meta: Sequence[str],
    samples: Sequence[tuple[str, int]],
    *,
    width: int,
    stem: str,
    only_passing: bool,
    lengths: dict[str, int],
    catalogue: Positions | None,
) -> Quick | None:
    """Return the reader of usual lines of a file, None where its lines are of another kind.

    Args:
      meta: The ``##`` lines.
      samples: Those that are read, with the position of their column.
      width: Columns of a line.
      stem: The file's name without its ending.
      only_passing: Whether calls that did not pass their filter are left out.
      lengths: Chromosome, as files write it, to its bases.
      catalogue: The catalogue on the file's build; a line near one of its places is not usual.
    """
    declared = next((line for line in meta if line.startswith("##INFO=<ID=CSQ,")), "")
    form = _FORMAT.search(declared)
    if form is None or len(samples) != 1:
        return None
    at = {name.strip(): position for position, name in enumerate(form[1].split("|"))}
    step = len(at) - 1
    needed = ("Allele", "SYMBOL", "HGVSp", "Consequence")
    groups = [
        [(at[name], wanted) for name, wanted in group if name in at]
        for group in ((("PICK", "1"),), (("CANONICAL", "YES"), ("MANE_SELECT", "")))
    ]
    flags = next((group for group in groups if group), [])
    # where ALLELE_NUM is there it decides, not the base
    if any(name not in at for name in needed) or at["Allele"] != 0 or "ALLELE_NUM" in at:
        return None
    if sum(map(bool, groups)) != 1 or len(flags) != 1:
        return None
    gene_at, change_at, term_at = at["SYMBOL"], at["HGVSp"], at["Consequence"]
    (flag_at, flag), sample, column = flags[0], samples[0][0], samples[0][1]
    cut, most = gene_at + 1, max(change_at, term_at, gene_at) + 1
    ending = f"|{flag}" if flag and flag_at == step else ""
    flagged = flag.__eq__ if flag else bool
    near: frozenset[tuple[str, int]] = frozenset() if catalogue is None else catalogue.near

    def read(line: str) -> str | None:
        fields = line.split("\t")
        if len(fields) != width or "\0" in line:
            return None
        chromosome, place, reference, base, passed = fields[0], fields[1], fields[3], fields[4], fields[6]
        if (
            base not in _BASE
            or reference not in _BASE
            or not (place.isdigit() and place.isascii() and len(place) <= _MOST_DIGITS)
            or (only_passing and passed not in _PASSING)
        ):
            return None
        position = int(place)
        if position > lengths.get(chromosome, position):
            return None
        if (chromosome, position >> STRETCH) in near:
            return None
        info = fields[7]
        start = 4 if info.startswith("CSQ=") else info.find(";CSQ=") + 5
        if start == 4 and info[:4] != "CSQ=":
            return None
        end = info.find(";", start)
        text = info[start:] if end < 0 else info[start:end]
        entries = text.split(",")
        if text.count("|") != step * len(entries):
            return None
        chosen = ""
        for entry in entries:
            if not ending and entry.count("|") < flag_at:
                return None
            if entry.endswith(ending) if ending else flagged(entry.split("|", flag_at + 1)[flag_at]):
                if chosen:
                    return None
                chosen = entry
        cells = chosen.split("|", most)
        if chosen.count("|") != step or cells[0] != base:
            return None
        gene = cells[gene_at]
        if not gene or gene == ".":
            return None
        # the others are of this base and gene too; most have the same effect, and then begin like it
        lead = "|".join(cells[:cut]) + "|"
        for entry in entries:
            if not entry.startswith(lead):
                other = entry.split("|", cut)
                if len(other) <= cut or other[0] != base or other[gene_at] != gene:
                    return None
        keys = layout(fields[8])
        values = fields[column].split(":")
        gt = keys.gt
        if gt is None or gt >= len(values):
            return None
        genotype = values[gt]
        if genotype not in _CARRIED:
            return "" if genotype in _NOT_CARRIED else None
        term, change = cells[term_at], cells[change_at]
        if "%" in change or "%" in term:
            return None
        if change:
            known_as, _, tail = change.rpartition(":p.")
            old, new, codon = _RESIDUES.get(tail[:3]), _RESIDUES.get(tail[-3:]), tail[3:-3]
            if old and new and codon.isdigit() and codon.isascii() and known_as:
                change = f"p.{old}{codon}{new}"
            else:
                change = short_protein_change(change)
        effect = effect_by_length(term, False) or term
        ad, dp, known = keys.ad, keys.dp, None
        if keys.plain and ad is not None and dp is not None and max(ad, dp) < len(values):
            known = _depth(values[ad], values[dp])
        depth, fraction = known or depth_and_fraction(values, keys, 1, [base])
        return f"{sample}\t{stem}\t{gene}\t{change}\t{effect}\t{genotype}\t{depth}\t{fraction}\t{passed}"

    return read


@lru_cache(maxsize=1 << 16)
def _depth(reads: str, total: str) -> tuple[str, str] | None:
    """Return depth and fraction where ``AD`` and ``DP`` are whole numbers, None where they are not."""
    kept, _, own = reads.partition(",")
    if not (kept + own + total).isascii() or not (kept.isdigit() and own.isdigit() and total.isdigit()):
        return None
    if max(len(kept), len(own), len(total)) >= _MOST_DIGITS:
        return None
    whole = int(kept) + int(own)
    return (str(int(total)), f"{int(own) / whole:.6g}") if 0 < whole < _MOST_READS > int(total) else None
