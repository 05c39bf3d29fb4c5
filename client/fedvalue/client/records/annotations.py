"""What a line of a VCF says of genes: VEP's CSQ, SnpEff's ANN, or plain INFO keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from fedvalue.client.records.effects import SEVERITY, effect_class, short_protein_change
from fedvalue.client.records.mapping import InfoKeys

_FORMAT = re.compile(r"Format:\s*([^\"'>]+)")
_ANN = ("Allele", "Annotation", "Annotation_Impact", "Gene_Name", "Gene_ID", "Feature_Type", "Feature_ID",
        "Transcript_BioType", "Rank", "HGVS.c", "HGVS.p")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Annotation:
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
            names = tuple(name.strip() for name in found[1].split("|"))
            return lambda info, reference, alternatives: _vep(info, names, reference, alternatives)
    if any(line.startswith("##INFO=<ID=ANN,") for line in header):
        return _snpeff
    return lambda info, reference, alternatives: _plain(info, keys, reference, alternatives)


def _values(info: str) -> dict[str, str]:
    pairs = (item.partition("=") for item in info.split(";"))
    return {key: value for key, _, value in pairs}


def _vep(
    info: str, names: Sequence[str], reference: str, alternatives: Sequence[str]
) -> list[list[Annotation]]:
    entries = [
        dict(zip(names, entry.split("|"), strict=False))
        for entry in _values(info).get("CSQ", "").split(",")
        if entry
    ]
    chosen = []
    for number, alternative in enumerate(alternatives, start=1):
        own = [entry for entry in entries if _vep_allele(entry, number, reference, alternative)]
        if not own and len(alternatives) == 1:
            own = entries
        flagged = [entry for entry in own if entry.get("PICK") == "1"] or [
            entry for entry in own if entry.get("CANONICAL") == "YES" or entry.get("MANE_SELECT")
        ]
        genes_flagged = {entry.get("SYMBOL") for entry in flagged}
        own = [entry for entry in own if entry in flagged or entry.get("SYMBOL") not in genes_flagged]
        chosen.append(
            _one_per_gene(
                _annotation(
                    entry.get("SYMBOL", ""),
                    entry.get("HGVSp", ""),
                    entry.get("Consequence", ""),
                    reference,
                    alternative,
                )
                for entry in own
            )
        )
    return chosen


def _vep_allele(entry: dict[str, str], number: int, reference: str, alternative: str) -> bool:
    if "ALLELE_NUM" in entry:
        return entry["ALLELE_NUM"] == str(number)
    # VEP drops a base that both alleles share at the left of an insertion or deletion.
    shared = len(reference) != len(alternative) and reference[:1] == alternative[:1]
    return entry.get("Allele") == ((alternative[1:] or "-") if shared else alternative)


def _snpeff(info: str, reference: str, alternatives: Sequence[str]) -> list[list[Annotation]]:
    entries = [
        dict(zip(_ANN, entry.split("|"), strict=False))
        for entry in _values(info).get("ANN", "").split(",")
        if entry
    ]
    return [
        _one_per_gene(
            _annotation(
                entry.get("Gene_Name", ""),
                entry.get("HGVS.p", ""),
                entry.get("Annotation", ""),
                reference,
                alternative,
            )
            for entry in entries
            if entry.get("Allele") == alternative or len(alternatives) == 1
        )
        for alternative in alternatives
    ]


def _plain(info: str, keys: InfoKeys, reference: str, alternatives: Sequence[str]) -> list[list[Annotation]]:
    values = _values(info)
    genes = values.get(keys.gene, "").split(",")
    changes = values.get(keys.protein_change, "").split(",")
    effects = values.get(keys.effect, "").split(",")

    def of(texts: list[str], position: int) -> str:
        return texts[position] if position < len(texts) else texts[0]

    return [
        _one_per_gene(
            [
                _annotation(
                    of(genes, at), of(changes, at), of(effects, at) or "Unspecified", reference, alternative
                )
            ]
        )
        for at, alternative in enumerate(alternatives)
    ]


def _annotation(gene: str, change: str, term: str, reference: str, alternative: str) -> Annotation:
    # A term that we do not know stays as it is, and is counted as an unknown code when it is loaded.
    effect = effect_class(unquote(term), reference=reference, alternative=alternative) or term
    return Annotation(gene if gene != "." else "", short_protein_change(unquote(change)), effect)


def _severity(note: Annotation) -> int:
    return SEVERITY.index(note.effect) if note.effect in SEVERITY else len(SEVERITY)


def _one_per_gene(found: Iterable[Annotation]) -> list[Annotation]:
    best: dict[str, Annotation] = {}
    for note in found:
        if note.gene and (note.gene not in best or _severity(note) < _severity(best[note.gene])):
            best[note.gene] = note
    return list(best.values())
