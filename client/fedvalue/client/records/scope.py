"""What a genomic source says of a gene that it names no variant in: the words of ``test.status``.

Only `TESTED` makes a patient wild type. A file that was read by position answers for the catalogue's variants
alone, and what keeps a gene from being read is a state of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from fedvalue.client.records.actionable import catalogue_genes, fusion_genes
from fedvalue.client.records.store import EVERY_GENE

TESTED = "tested"
NOT_TESTED = "not tested"
NOT_REPORTED = "not reported"
NOT_COVERED = "not covered"
FAILED = "failed sample"
NOT_READABLE = "not readable"
STATES = (TESTED, NOT_TESTED, NOT_REPORTED, NOT_COVERED, FAILED, NOT_READABLE)
"""What a mapping may say of a test; the last five are never wild type."""

EVERYTHING = "everything"
BY_POSITION = "by position"
BY_POSITION_NO_FUSIONS = "by position, no fusions"
NOTHING = "nothing"
LOOKED = (TESTED, BY_POSITION, BY_POSITION_NO_FUSIONS)
"""Status of a test that looked at the gene, at least in part, and could be read."""
ENDED = (*LOOKED, FAILED, NOT_READABLE)
"""Status of a test that came to an end, with or without a result: its day is a report."""
SCOPES = (NOTHING, BY_POSITION_NO_FUSIONS, BY_POSITION, EVERYTHING)
"""What a file can tell of the genes in it, from the least to the most."""


def tests_of(scope: str, genes: Sequence[str]) -> list[tuple[str, str]]:
    """Return gene and status of the tests that a file stands for.

    Args:
      scope: One of `SCOPES`.
      genes: What was looked at, as the mapping says; empty: every gene.
    """
    asked = list(genes) or [EVERY_GENE]
    if scope == EVERYTHING:
        return [(gene, TESTED) for gene in asked]
    if scope == NOTHING:
        return [(gene, NOT_READABLE) for gene in asked]
    known = [gene for gene in catalogue_genes() if not genes or gene in genes]
    rest = [gene for gene in asked if gene not in known]
    fusions = fusion_genes()
    return [(gene, scope if gene in fusions else BY_POSITION) for gene in known] + [
        (gene, NOT_READABLE) for gene in rest
    ]
