"""A few real variants, and the two kinds of file in which laboratories deliver them: MAF and VCF.

Positions are on GRCh38, chromosome names with ``chr``. Classes are those of MAF
``Variant_Classification``; the VCF carries them as SnpEff's ``ANN`` field (VCF annotation format 1.0) or
as plain INFO keys.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

GENES = ("EGFR", "KRAS", "ALK", "TP53")
"""What every made-up panel looks at."""


_ANN = (
    "Allele", "Annotation", "Annotation_Impact", "Gene_Name", "Gene_ID", "Feature_Type", "Feature_ID",
    "Transcript_BioType", "Rank", "HGVS.c", "HGVS.p", "cDNA.pos / cDNA.length", "CDS.pos / CDS.length",
    "AA.pos / AA.length", "Distance", "ERRORS / WARNINGS / INFO",
)  # fmt: skip
"""Sub-fields of SnpEff's ``ANN``, in its order."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One variant as both formats write it.

    Attributes:
      gene: HGNC symbol.
      short: Protein change with one-letter codes.
      long: Protein change with three-letter codes, as SnpEff writes it.
      effect: MAF ``Variant_Classification``.
      term: Sequence Ontology term of the same effect.
      chromosome: With ``chr``.
      position: Of the first base of ``reference`` in the VCF, 1-based.
      reference: VCF allele; the base before a deletion leads both alleles.
      alternative: VCF allele.
    """

    gene: str
    short: str
    long: str
    effect: str
    term: str
    chromosome: str
    position: int
    reference: str
    alternative: str


_MISSENSE = ("Missense_Mutation", "missense_variant")
_SILENT = ("Silent", "synonymous_variant")
_DELETION = ("In_Frame_Del", "conservative_inframe_deletion")

CATALOGUE = (
    Variant("EGFR", "p.L858R", "p.Leu858Arg", *_MISSENSE, "chr7", 55191822, "T", "G"),
    Variant(
        "EGFR", "p.E746_A750del", "p.Glu746_Ala750del", *_DELETION, "chr7", 55174771, "AGGAATTAAGAGAAGC", "A"
    ),
    Variant("EGFR", "p.G719S", "p.Gly719Ser", *_MISSENSE, "chr7", 55174014, "G", "A"),
    Variant("EGFR", "p.Q787=", "p.Gln787Gln", *_SILENT, "chr7", 55181370, "G", "A"),
    Variant("KRAS", "p.G12C", "p.Gly12Cys", *_MISSENSE, "chr12", 25245351, "C", "A"),
    Variant("TP53", "p.R273H", "p.Arg273His", *_MISSENSE, "chr17", 7673802, "C", "T"),
)
"""The first two make the planted group "mutated"; G719S and the silent change do not, on purpose."""


def variants_of(
    mutated: NDArray[np.bool_], deletion: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Draw which variants of `CATALOGUE` each tested patient carries.

    Args:
      mutated: True where EGFR is mutated in the planted sense, shape ``(n,)``.
      deletion: True where that is the exon 19 deletion, shape ``(n,)``.
      rng: Source of randomness for the bystander variants.

    Returns:
      Carriers, shape ``(n, len(CATALOGUE))``.
    """
    chance = np.where(mutated[:, None], [0, 0, 0, 0.1, 0, 0.5], [0, 0, 0.05, 0.1, 0.15, 0.45])
    carried = rng.random(chance.shape) < chance
    carried[:, 0] = mutated & ~deletion
    carried[:, 1] = mutated & deletion
    return carried


def write_maf(path: Path, samples: list[str], carried: NDArray[np.bool_]) -> None:
    """Write one row per carried variant; a patient without any is not named, as in real MAF files."""
    patient, which = np.nonzero(carried)
    chosen = [CATALOGUE[v] for v in which]
    pd.DataFrame(
        {
            "Hugo_Symbol": [v.gene for v in chosen],
            "NCBI_Build": "GRCh38",
            "Chromosome": [v.chromosome for v in chosen],
            "Start_Position": [v.position + (len(v.reference) > 1) for v in chosen],
            "End_Position": [v.position + len(v.reference) - 1 for v in chosen],
            "Variant_Classification": [v.effect for v in chosen],
            "Variant_Type": ["DEL" if len(v.reference) > 1 else "SNP" for v in chosen],
            "Reference_Allele": [v.reference[len(v.reference) > 1 :] for v in chosen],
            "Tumor_Seq_Allele2": [v.alternative if len(v.reference) == 1 else "-" for v in chosen],
            "Tumor_Sample_Barcode": [samples[p] for p in patient],
            "HGVSp_Short": [v.short for v in chosen],
        }
    ).pipe(_write_with_version, path)


def write_vcf(path: Path, samples: list[str], carried: NDArray[np.bool_], *, annotated: bool) -> None:
    """Write one line per variant and one genotype column per tested patient; ``.gz`` names are compressed.

    Args:
      path: The file.
      samples: Column names, n of them.
      carried: Carriers, shape ``(n, len(CATALOGUE))``.
      annotated: True for SnpEff's ``ANN``, False for INFO keys ``GENE``, ``HGVSp``, ``EFFECT``.
    """
    lines = [
        "##fileformat=VCFv4.2",
        "##reference=GRCh38",
        '##FILTER=<ID=PASS,Description="All filters passed">',
    ]
    if annotated:
        fields = "'" + " | ".join(_ANN) + "'"
        text = f"Functional annotations: {fields}"
        lines.append(f'##INFO=<ID=ANN,Number=.,Type=String,Description="{text}">')
    else:
        keys = {"GENE": "Gene symbol", "HGVSp": "Protein change", "EFFECT": "MAF Variant_Classification"}
        lines += [
            f'##INFO=<ID={key},Number=1,Type=String,Description="{text}">' for key, text in keys.items()
        ]
    lines.append('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">')
    lines.append(
        "\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *samples])
    )
    order = sorted(
        range(len(CATALOGUE)), key=lambda v: (int(CATALOGUE[v].chromosome[3:]), CATALOGUE[v].position)
    )
    for v in order:
        variant = CATALOGUE[v]
        if not annotated and not carried[:, v].any():
            continue  # a single patient's file lists that patient's variants only
        genotypes = np.where(carried[:, v], "0/1", "0/0").tolist()
        fixed = [
            variant.chromosome,
            str(variant.position),
            ".",
            variant.reference,
            variant.alternative,
            ".",
            "PASS",
        ]
        lines.append("\t".join([*fixed, _info(variant, annotated), "GT", *genotypes]))
    content = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def _info(variant: Variant, annotated: bool) -> str:
    if not annotated:
        return f"GENE={variant.gene};HGVSp={variant.short.replace('=', '%3D')};EFFECT={variant.effect}"
    known = {
        "Allele": variant.alternative,
        "Annotation": variant.term,
        "Gene_Name": variant.gene,
        "Feature_Type": "transcript",
        "Transcript_BioType": "protein_coding",
        "HGVS.p": variant.long,
    }
    return "ANN=" + "|".join(known.get(field, "") for field in _ANN)


def _write_with_version(table: pd.DataFrame, path: Path) -> None:
    text = "#version 2.4\n" + table.to_csv(sep="\t", index=False, lineterminator="\n")
    path.write_bytes(gzip.compress(text.encode(), mtime=0) if path.suffix == ".gz" else text.encode())
