"""What a line of a VCF says of genes: VEP's CSQ, SnpEff's ANN or EFF, or plain INFO keys.

VEP: McLaren et al., Genome Biology 17 (2016) 122. SnpEff: Cingolani et al., Fly 6 (2012) 80-92; ANN is the
variant annotation format 1.0, EFF what SnpEff wrote before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple
from urllib.parse import unquote

from fedvalue.client.records.effects import SEVERITY, effect_by_length, short_protein_change
from fedvalue.client.records.mapping import InfoKeys

_FORMAT = re.compile(r"Format:\s*([^\"'>]+)")
_EFF_FORMAT = re.compile(r"Effect\s*\(([^)\[]+)")
_EFF = re.compile(r"([^,()]+)\(([^()]*)\)")
_ANN_ALLELE, _ANN_TERM, _ANN_GENE, _ANN_CHANGE = 0, 1, 3, 10
"""Columns of ANN: Allele, Annotation, Gene_Name, HGVS.p."""
_RANK = {name: rank for rank, name in enumerate(SEVERITY)}


class Annotation(NamedTuple):
    """One gene that a call falls in.

    Attributes:
      gene: Symbol.
      protein_change: Short form such as ``p.L858R``, or empty.
      effect: MAF class.
    """

    gene: str
    protein_change: str
    effect: str


Annotator = Callable[[str, str, Sequence[str]], list[list[Annotation]]]
"""From INFO, REF and the ALT alleles to the annotations of each ALT allele."""


def annotator(header: Sequence[str], keys: InfoKeys) -> Annotator:
    """Return the reader of annotations that fits the ``##INFO`` lines of a header."""
    for line in header:
        if line.startswith("##INFO=<ID=CSQ,") and (found := _FORMAT.search(line)) is not None:
            return _vep([name.strip() for name in found[1].split("|")])
    if any(line.startswith("##INFO=<ID=ANN,") for line in header):
        return _snpeff
    for line in header:
        if line.startswith("##INFO=<ID=EFF,") and (found := _EFF_FORMAT.search(line)) is not None:
            names = [name.strip().lower() for name in found[1].split("|")]
            return lambda info, reference, alternatives: _old_snpeff(info, names, reference, alternatives)
    return lambda info, reference, alternatives: _plain(info, keys, reference, alternatives)


def declares_genes(header: Sequence[str], keys: InfoKeys) -> bool:
    """Tell whether the ``##INFO`` lines of a header promise genes."""
    words = tuple(f"##INFO=<ID={key}," for key in ("CSQ", "ANN", "EFF", keys.gene))
    return any(line.startswith(words) for line in header)


def info_value(info: str, key: str) -> str:
    """Return the value of a key of INFO, empty where it is not there."""
    mark = f"{key}="
    if info.startswith(mark):
        start = len(mark)
    else:
        at = info.find(f";{mark}")
        if at < 0:
            return ""
        start = at + 1 + len(mark)
    end = info.find(";", start)
    return info[start:] if end < 0 else info[start:end]


def _vep(names: Sequence[str]) -> Annotator:
    """Return the reader of CSQ for the columns that its header names."""
    at = {name: position for position, name in enumerate(names)}
    allele, number, gene = at.get("Allele", -1), at.get("ALLELE_NUM", -1), at.get("SYMBOL", -1)
    change, term = at.get("HGVSp", -1), at.get("Consequence", -1)
    marks = [
        [(at[name], wanted) for name, wanted in group if name in at]
        for group in ((("PICK", "1"),), (("CANONICAL", "YES"), ("MANE_SELECT", "")))
    ]
    width = max(len(names), 1) + 1

    def read(info: str, reference: str, alternatives: Sequence[str]) -> list[list[Annotation]]:
        text = info_value(info, "CSQ")
        if not text or gene < 0:
            return [[] for _ in alternatives]
        # Every entry ends in an empty cell, which is what a column that is not there (-1) reads.
        entries = [f"{part}|".split("|") for part in text.split(",")]
        for entry in entries:
            if len(entry) < width:
                entry += [""] * (width - len(entry))
        found = []
        for position, alternative in enumerate(alternatives, start=1):
            if number >= 0:
                wanted, column = str(position), number
            else:
                # VEP drops a base that both alleles share at the left of an insertion or deletion.
                shared = len(reference) != len(alternative) and reference[:1] == alternative[:1]
                wanted, column = (alternative[1:] or "-") if shared else alternative, allele
            own = [entry for entry in entries if entry[column] == wanted]
            if not own and len(alternatives) == 1:
                own = entries
            longer = len(alternative) > len(reference)
            found.append(
                _one_per_gene(
                    [
                        _annotation(entry[gene], entry[change], entry[term], longer)
                        for entry in _chosen(own, marks, gene)
                    ]
                )
            )
        return found

    return read


def _chosen(own: list[list[str]], marks: Sequence[Sequence[tuple[int, str]]], gene: int) -> list[list[str]]:
    """Return the transcripts to take: of each gene the picked one, else the canonical ones, else all."""
    for group in marks:
        flagged = []
        for column, wanted in group:
            # an empty word stands for any text
            flagged += [entry for entry in own if (entry[column] == wanted if wanted else entry[column])]
        if flagged:
            genes = {entry[gene] for entry in flagged}
            return flagged + [entry for entry in own if entry[gene] not in genes]
    return own


def _snpeff(info: str, reference: str, alternatives: Sequence[str]) -> list[list[Annotation]]:
    entries = []
    for part in info_value(info, "ANN").split(","):
        entry = part.split("|")
        if entry != [""]:
            entries.append(entry + [""] * (_ANN_CHANGE + 1 - len(entry)))
    return [
        _one_per_gene(
            _annotation(
                entry[_ANN_GENE], entry[_ANN_CHANGE], entry[_ANN_TERM], len(alternative) > len(reference)
            )
            for entry in entries
            if entry[_ANN_ALLELE] == alternative or len(alternatives) == 1
        )
        for alternative in alternatives
    ]


def _old_snpeff(
    info: str, names: Sequence[str], reference: str, alternatives: Sequence[str]
) -> list[list[Annotation]]:
    """EFF names no allele but by its number, and not in every version: without one an entry is of each."""
    entries = [
        (term, dict(zip(names, cells.split("|"), strict=False)))
        for term, cells in _EFF.findall(info_value(info, "EFF"))
    ]
    return [
        _one_per_gene(
            _annotation(
                cells.get("gene_name", ""),
                cells.get("amino_acid_change", "").partition("/")[0],
                term.strip(),
                len(alternative) > len(reference),
            )
            for term, cells in entries
            if cells.get("genotype_number", "").strip() in ("", str(number))
        )
        for number, alternative in enumerate(alternatives, start=1)
    ]


def _plain(info: str, keys: InfoKeys, reference: str, alternatives: Sequence[str]) -> list[list[Annotation]]:
    genes = info_value(info, keys.gene).split(",")
    if genes == [""]:
        return [[] for _ in alternatives]
    changes = info_value(info, keys.protein_change).split(",")
    effects = info_value(info, keys.effect).split(",")

    def of(texts: list[str], position: int) -> str:
        return texts[position] if position < len(texts) else texts[0]

    return [
        _one_per_gene(
            [
                _annotation(
                    of(genes, at),
                    of(changes, at),
                    of(effects, at) or "Unspecified",
                    len(alternative) > len(reference),
                )
            ]
        )
        for at, alternative in enumerate(alternatives)
    ]


def _annotation(gene: str, change: str, term: str, longer: bool) -> Annotation:
    """Return an annotation in our words; ``longer``: the alternative allele is longer than the reference."""
    if "%" in term:
        term = unquote(term)
    if change:
        change = short_protein_change(unquote(change) if "%" in change else change)
    # A term that we do not know stays as it is, and is counted as an unknown code when it is loaded.
    return Annotation("" if gene == "." else gene, change, effect_by_length(term, longer) or term)


def _severity(note: Annotation) -> int:
    return _RANK.get(note.effect, len(_RANK))


def _one_per_gene(found: Iterable[Annotation]) -> list[Annotation]:
    """Return one annotation a gene, the worst: a transcript that says missense beats one that says silent."""
    best: dict[str, Annotation] = {}
    for note in found:
        gene = note[0]
        if gene and (gene not in best or _severity(note) < _severity(best[gene])):
            best[gene] = note
    return list(best.values())
