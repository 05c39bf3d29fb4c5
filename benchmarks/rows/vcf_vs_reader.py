"""A VEP-annotated VCF into the site's store, beside a bare loop of cyvcf2 over the same fields.

The loop reads what we read: chromosome, position, alleles, filter, genotype, depth, reads of each allele, and
the transcripts of CSQ cut into columns. It keeps none of it; ours chooses the transcript, names the variant
in the catalogue, checks everything and writes the store. Both are CPU seconds of the process, all threads.
``python -m benchmarks.rows.vcf_vs_reader 5000000`` measures another number of lines.
"""

from __future__ import annotations

import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

from benchmarks.row import Row
from fedvalue.client.records.load import load
from fedvalue.client.records.mapping import parse_mapping

AT_LEAST = 0.01  # less is better; the bar is the next line
RATIO_AT_MOST = 2.0
LINES = 300_000
RUNS = 1
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


def measure(folder: Path, lines: int = LINES) -> Row:
    """Take turns and keep the fastest of each.

    Args:
      folder: Where the files go.
      lines: Of the VCF.

    Raises:
      RuntimeError: one of the two read another number of calls.
    """
    mapping = parse_mapping(MAPPING, where="vcf_vs_reader")
    path = folder / "calls.vcf"
    write(path, lines, np.random.default_rng(20261122))
    (folder / "people.csv").write_text("id\nTUMOR\n", encoding="ascii")
    ours, theirs = [], []
    for _ in range(RUNS):
        began = time.process_time()
        counted = bare(path)
        theirs.append(time.process_time() - began)
        began = time.process_time()
        report = load(folder, mapping, folder / "store.duckdb")
        ours.append(time.process_time() - began)
        if not counted == report.files[1].rows == lines:
            raise RuntimeError(f"{lines} lines, cyvcf2 read {counted}, ours {report.files[1].rows}")
    how = (
        f"{lines:,} lines of a VEP-annotated VCF, one sample, three transcripts a line: from the file "
        f"to the store, beside a bare loop of cyvcf2 {version('cyvcf2')} that reads the same fields and "
        "keeps none; "
        "CPU seconds of all threads"
    )
    return Row(ours=min(ours), other=min(theirs), ratio=min(ours) / min(theirs), unit="s", how=how)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="bench-") as room:
        sys.stdout.write(f"{measure(Path(room), int(sys.argv[1]) if sys.argv[1:] else LINES)}\n")
