"""A VEP-annotated VCF into the site's store, beside a bare loop of cyvcf2 over the same fields.

The loop reads what we read: chromosome, position, alleles, filter, genotype, depth, reads of each allele, and
the transcripts of CSQ cut into columns. It keeps none of it; ours chooses the transcript, names the variant
in the catalogue, checks everything and writes the store. Each reads in a process of its own; CPU seconds of
all threads. ``python -m benchmarks.rows.vcf_vs_reader 5000000`` measures another number of lines;
``make prove KEY=size`` runs five million.
"""

from __future__ import annotations

import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from benchmarks import claims_at_size, variants_at_size
from benchmarks.row import Row

AT_MOST = 2.0
LINES = 300_000


def measure(folder: Path, lines: int = LINES) -> Row:
    """Read both ways.

    Args:
      folder: Where the files go.
      lines: Of the VCF.

    Raises:
      RuntimeError: one of the two read another number of calls.
    """
    place = str(variants_at_size.files(folder, lines))
    theirs = claims_at_size.alone("bare", place, module="benchmarks.variants_at_size")
    ours = claims_at_size.alone("load", place, module="benchmarks.variants_at_size")
    if not theirs.rows == ours.rows == lines:
        raise RuntimeError(f"{lines} lines, cyvcf2 read {theirs.rows}, ours {ours.rows}")
    how = (
        f"{lines:,} lines of a VEP-annotated VCF, one sample, three transcripts a line: from the file "
        f"to the store, beside a bare loop of cyvcf2 {version('cyvcf2')} that reads the same fields and "
        f"keeps none; CPU seconds of all threads; ours peaks at {ours.peak:.0f} MiB"
    )
    return Row(ours=ours.cpu, other=theirs.cpu, ratio=ours.cpu / theirs.cpu, unit="s", how=how)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="bench-") as room:
        sys.stdout.write(f"{measure(Path(room), int(sys.argv[1]) if sys.argv[1:] else LINES)}\n")
