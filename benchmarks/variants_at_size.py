"""A VEP-annotated VCF of one sample, written once, and what reads it.

``python -m benchmarks.variants_at_size bare|load FOLDER`` reads in a process of its own and prints seconds,
peak memory and lines, so that what the bench itself holds does not count.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.memory import peak_mib
from fedvalue.client.records.load import load
from fedvalue.client.records.mapping import Mapping, parse_mapping

MAPPING = b"""
mapping = 1
[files.people]
path = "people.csv"
[files.calls]
path = "calls.vcf"
[patient]
file = "people"
patient_id = "id"
[[variant]]
file = "calls"
tested = "listed"
"""
COLUMNS = (
    "Allele|Consequence|IMPACT|SYMBOL|Gene|Feature_type|Feature|BIOTYPE|EXON|INTRON|HGVSc|HGVSp|cDNA_position|"
    "CDS_position|Protein_position|Amino_acids|Codons|Existing_variation|DISTANCE|STRAND|FLAGS|SYMBOL_SOURCE|"
    "HGNC_ID|CANONICAL"
)
HEADER = (
    "##fileformat=VCFv4.2\n##reference=GRCh38\n##contig=<ID=chr7,length=159345973>\n"
    '##FILTER=<ID=PASS,Description="All filters passed">\n'
    '##INFO=<ID=CSQ,Number=.,Type=String,Description="Consequence annotations from Ensembl VEP. Format: '
    f'{COLUMNS}">\n'
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
    '##FORMAT=<ID=AD,Number=R,Type=Integer,Description="Allelic depths">\n'
    '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Depth">\n'
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tTUMOR\n"
)
RESIDUES = ("Ala", "Arg", "Asp", "Cys", "Gln", "Glu", "Gly", "Leu", "Ser", "Val")


def write(path: Path, lines: int, rng: np.random.Generator) -> None:
    """Write a VCF of one sample with three transcripts a line, of which the first is canonical."""
    where = np.sort(rng.integers(1, 159_000_000, lines)).tolist()
    draws = rng.integers(0, [20_000, 5_000, 10, 10, 3, 200, 200], (lines, 7)).tolist()
    with path.open("w", encoding="ascii") as out:
        out.write(HEADER)
        for at, (gene, codon, old, new, base, kept, reads) in zip(where, draws, strict=True):
            alternative = "CGT"[base]
            csq = ",".join(
                f"{alternative}|missense_variant|MODERATE|GENE{gene}|ENSG{gene:011}|Transcript|"
                f"ENST{gene:010}{k}|"
                f"protein_coding|{1 + codon % 20}/28||ENST{gene:010}{k}.3:c.{codon * 3}A>{alternative}|"
                f"ENSP{gene:010}{k}.2:p.{RESIDUES[old]}{codon + 1}{RESIDUES[new]}|"
                f"{codon * 3 + 200}|{codon * 3}|"
                f"{codon}|L/R|cTg/cGg|||1||HGNC|HGNC:{gene}|{'YES' if k == 0 else ''}"
                for k in range(3)
            )
            out.write(
                f"chr7\t{at}\t.\tA\t{alternative}\t50\tPASS\tCSQ={csq}\tGT:AD:DP\t"
                f"0/1:{kept},{reads}:{kept + reads}\n"
            )


def bare(path: Path) -> int:
    """Read every field with cyvcf2; return the number of lines."""
    import cyvcf2  # only who runs this row has it

    lines = 0
    for record in cyvcf2.VCF(str(path)):
        fields = (
            record.CHROM, record.POS, record.REF, record.ALT, record.FILTER, record.genotypes,
            record.format("DP"), record.format("AD"),
            [entry.split("|") for entry in record.INFO.get("CSQ").split(",")],
        )  # fmt: skip
        lines += len(fields) > 0
    return lines


def mapping() -> Mapping:
    """Return what the files mean."""
    return parse_mapping(MAPPING, where="variants_at_size")


def files(folder: Path, lines: int) -> Path:
    """Return a folder of a VCF of so many lines and its one patient, written where it is not there."""
    if (folder / f"whole-{lines}").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "calls.vcf", lines, np.random.default_rng(20261122))
    (folder / "people.csv").write_text("id\nTUMOR\n", encoding="ascii")
    (folder / f"whole-{lines}").touch()
    return folder


def main(words: list[str]) -> None:
    """Do one thing and print what it took: seconds, CPU seconds, peak MiB, lines."""
    folder = Path(words[1])
    began, used = time.monotonic(), os.times()
    if words[0] == "load":
        (folder / "store.duckdb").unlink(missing_ok=True)
        read = load(folder, mapping(), folder / "store.duckdb").files[1]
        # by chance a line or two stands at a place of the catalogue, where its base is another: counted
        rows = read.rows + sum(item.rows for item in read.left_out)
    else:
        rows = bare(folder / "calls.vcf")
    now = os.times()
    cpu = now.user - used.user + now.system - used.system
    sys.stdout.write(json.dumps([time.monotonic() - began, cpu, peak_mib(), rows]))


if __name__ == "__main__":
    main(sys.argv[1:])
