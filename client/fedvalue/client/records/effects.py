"""Words for what a variant does: MAF classes, Sequence Ontology terms, and protein changes in short form.

Classes: GDC MAF format, ``Variant_Classification``. Terms: Sequence Ontology as VEP and SnpEff write them;
the translation follows the table of vcf2maf. Protein changes: HGVS recommendations, den Dunnen et al., Human
Mutation 37 (2016) 564-569.
"""

from __future__ import annotations

import re
from functools import lru_cache
from types import MappingProxyType

from fedvalue.client.records.store import UNREAD, UNSPECIFIED

PROTEIN_CHANGING = (
    "Missense_Mutation", "Nonsense_Mutation", "Nonstop_Mutation", "Frame_Shift_Del", "Frame_Shift_Ins",
    "In_Frame_Del", "In_Frame_Ins", "Splice_Site", "Translation_Start_Site", "Start_Codon_Del",
    "Start_Codon_Ins", "Start_Codon_SNP", "Stop_Codon_Del", "Stop_Codon_Ins", "De_novo_Start_InFrame",
    "De_novo_Start_OutOfFrame", "Fusion", UNSPECIFIED,
)  # fmt: skip
"""Effects that count as ``any`` protein-changing variant."""

SILENT = (
    "Silent", "Splice_Region", "Intron", "3'UTR", "5'UTR", "3'Flank", "5'Flank", "IGR", "RNA", "lincRNA",
    "Targeted_Region", "Unknown",
)  # fmt: skip
"""Effects that do not change a protein as far as the caller knows."""

SEVERITY = (*PROTEIN_CHANGING, *SILENT, UNREAD)
"""Every class; where a variant has several in one gene, the protein-changing ones go first."""

FRAME_SHIFT = "frame shift"
"""A class that the lengths of the alleles tell."""

_TERMS = MappingProxyType(
    {
        "transcript_ablation": "Splice_Site",
        "exon_loss_variant": "Splice_Site",
        "splice_acceptor_variant": "Splice_Site",
        "splice_donor_variant": "Splice_Site",
        "frameshift_variant": FRAME_SHIFT,
        "stop_gained": "Nonsense_Mutation",
        "stop_lost": "Nonstop_Mutation",
        "start_lost": "Translation_Start_Site",
        "initiator_codon_variant": "Translation_Start_Site",
        "missense_variant": "Missense_Mutation",
        "coding_sequence_variant": "Missense_Mutation",
        "conservative_missense_variant": "Missense_Mutation",
        "rare_amino_acid_variant": "Missense_Mutation",
        "protein_altering_variant": UNSPECIFIED,
        "inframe_insertion": "In_Frame_Ins",
        "conservative_inframe_insertion": "In_Frame_Ins",
        "disruptive_inframe_insertion": "In_Frame_Ins",
        "inframe_deletion": "In_Frame_Del",
        "conservative_inframe_deletion": "In_Frame_Del",
        "disruptive_inframe_deletion": "In_Frame_Del",
        "gene_fusion": "Fusion",
        "bidirectional_gene_fusion": "Fusion",
        "synonymous_variant": "Silent",
        "stop_retained_variant": "Silent",
        "start_retained_variant": "Silent",
        "incomplete_terminal_codon_variant": "Silent",
        "splice_region_variant": "Splice_Region",
        "splice_donor_5th_base_variant": "Splice_Region",
        "splice_donor_region_variant": "Splice_Region",
        "splice_polypyrimidine_tract_variant": "Splice_Region",
        "intron_variant": "Intron",
        "intragenic_variant": "Intron",
        "3_prime_utr_variant": "3'UTR",
        "5_prime_utr_variant": "5'UTR",
        "5_prime_utr_premature_start_codon_gain_variant": "5'UTR",
        "upstream_gene_variant": "5'Flank",
        "downstream_gene_variant": "3'Flank",
        "intergenic_variant": "IGR",
        "intergenic_region": "IGR",
        "non_coding_transcript_exon_variant": "RNA",
        "non_coding_transcript_variant": "RNA",
        "mature_mirna_variant": "RNA",
        "nmd_transcript_variant": "Silent",
        "fusion": "Fusion",
        # SnpEff before 4.1, field EFF
        "non_synonymous_coding": "Missense_Mutation",
        "non_synonymous_start": "Translation_Start_Site",
        "synonymous_coding": "Silent",
        "synonymous_start": "Silent",
        "synonymous_stop": "Silent",
        "start_gained": "5'UTR",
        "frame_shift": FRAME_SHIFT,
        "codon_change": "Missense_Mutation",
        "codon_insertion": "In_Frame_Ins",
        "codon_change_plus_codon_insertion": "In_Frame_Ins",
        "codon_deletion": "In_Frame_Del",
        "codon_change_plus_codon_deletion": "In_Frame_Del",
        "splice_site_acceptor": "Splice_Site",
        "splice_site_donor": "Splice_Site",
        "splice_site_region": "Splice_Region",
        "exon_deleted": "Splice_Site",
        "rare_amino_acid": "Missense_Mutation",
        "exon": "RNA",
        "transcript": "RNA",
        "intragenic": "Intron",
        "intron_conserved": "Intron",
        "intergenic": "IGR",
        "intergenic_conserved": "IGR",
        "upstream": "5'Flank",
        "downstream": "3'Flank",
        "utr_5_prime": "5'UTR",
        "utr_3_prime": "3'UTR",
    }
)
_CLASSES = MappingProxyType({name.lower(): name for name in SEVERITY})
_RESIDUES = MappingProxyType(
    {
        "Ala": "A", "Arg": "R", "Asn": "N", "Asp": "D", "Cys": "C", "Gln": "Q", "Glu": "E", "Gly": "G",
        "His": "H", "Ile": "I", "Leu": "L", "Lys": "K", "Met": "M", "Phe": "F", "Pro": "P", "Ser": "S",
        "Thr": "T", "Trp": "W", "Tyr": "Y", "Val": "V", "Sec": "U", "Ter": "*", "Xaa": "X",
    }
)  # fmt: skip
_SUBSTITUTION = re.compile(r"(?:[\w.]+:)?p\.([A-Z][a-z]{2})(\d+)([A-Z][a-z]{2})")
_LONG = re.compile("|".join(_RESIDUES))
_STARTS_AS_CHANGE = re.compile(r"p\.|[A-Z*][a-z]{0,2}\d")


def effect_class(term: str, *, reference: str = "", alternative: str = "") -> str | None:
    """Return the MAF class of a class or of Sequence Ontology terms joined by ``&``; None where unknown.

    A frame shift is a deletion or insertion by the lengths of the two alleles. SnpEff before 4.1 joins its
    own terms by ``+``.
    """
    return effect_by_length(term, len(alternative) > len(reference))


@lru_cache(maxsize=4096)
def effect_by_length(term: str, longer: bool) -> str | None:
    """Return what `effect_class` does; ``longer``: the alternative allele is longer than the reference."""
    found = []
    for part in re.split("[,&+]", term):
        word = part.strip().lower()
        known = _CLASSES.get(word) or _TERMS.get(word)
        if known == FRAME_SHIFT:
            known = "Frame_Shift_Ins" if longer else "Frame_Shift_Del"
        if known is not None:
            found.append(known)
    return min(found, key=SEVERITY.index) if found else None


@lru_cache(maxsize=1 << 16)
def short_protein_change(text: str) -> str:
    """Return ``p.L858R`` for ``ENSP00000275493.2:p.(Leu858Arg)``, ``L858R`` and the like; empty for none.

    Words that are no change, such as ``ex19del``, come back as they are.
    """
    simple = _SUBSTITUTION.fullmatch(text)
    if simple is not None and simple[1] in _RESIDUES and simple[3] in _RESIDUES:
        return f"p.{_RESIDUES[simple[1]]}{simple[2]}{_RESIDUES[simple[3]]}"
    change = text.strip().rpartition(":")[2].replace("%3D", "=").replace("(", "").replace(")", "")
    if change in ("", ".", "p.", "p.?", "?"):
        return ""
    if _STARTS_AS_CHANGE.match(change) is None:
        return change
    return "p." + _LONG.sub(lambda found: _RESIDUES[found[0]], change.removeprefix("p."))
