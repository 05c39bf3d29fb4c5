"""Which genome build a variant file was called on, by what its header says; a wrong one is refused.

Lengths: Genome Reference Consortium, assembly reports GRCh37.p13 (GCF_000001405.25) and GRCh38.p14
(GCF_000001405.40), in bases.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import MappingProxyType
from typing import Literal

from fedvalue.errors import SourceUnreadable

Build = Literal["GRCh37", "GRCh38"]
ANOTHER = "another build"
_CHROMOSOMES = (*map(str, range(1, 23)), "X", "Y")
LENGTHS: MappingProxyType[Build, dict[str, int]] = MappingProxyType(
    {
        "GRCh37": dict(zip(_CHROMOSOMES, (
            249250621, 243199373, 198022430, 191154276, 180915260, 171115067, 159138663, 146364022, 141213431,
            135534747, 135006516, 133851895, 115169878, 107349540, 102531392, 90354753, 81195210, 78077248,
            59128983, 63025520, 48129895, 51304566, 155270560, 59373566), strict=True)),
        "GRCh38": dict(zip(_CHROMOSOMES, (
            248956422, 242193529, 198295559, 190214555, 181538259, 170805979, 159345973, 145138636, 138394717,
            133797422, 135086622, 133275309, 114364328, 107043718, 101991189, 90338345, 83257441, 80373285,
            58617616, 64444167, 46709983, 50818468, 156040895, 57227415), strict=True)),
    }
)  # fmt: skip
_WORDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("GRCh37", re.compile(r"GRCh37|hg19|hs37|b37|human_g1k_v37|GCA_000001405\.1\b", re.IGNORECASE)),
    ("GRCh38", re.compile(r"GRCh38|hg38|hs38|b38|GCA_000001405\.15", re.IGNORECASE)),
    (
        ANOTHER,
        re.compile(r"hg1[678]\b|NCBI_?(?:build)?3[456]|CHM13|T2T|GRCm|\bmm(?:9|10|39)\b", re.IGNORECASE),
    ),
)
_SAYS = re.compile(r"##(?:reference|assembly|SnpEffCmd|VEP)=|##contig=<.*assembly=", re.IGNORECASE)
_CONTIG = re.compile(r"##contig=<.*?ID=([^,>]+).*?length=(\d+)")
_COLUMN = MappingProxyType(
    {
        "37": "GRCh37",
        "GRCH37": "GRCh37",
        "HG19": "GRCh37",
        "38": "GRCh38",
        "GRCH38": "GRCh38",
        "HG38": "GRCh38",
    }
)


def plain_chromosome(name: str) -> str:
    """Return ``7`` for ``chr7``."""
    return name[3:] if name[:3].lower() == "chr" else name


def stated_build(meta: Sequence[str], *, where: str) -> Build | None:
    """Return the build that the ``##`` lines of a header speak of, None where they say nothing.

    Args:
      meta: The lines.
      where: The file, for the error.

    Raises:
      SourceUnreadable: they speak of two builds, or of one that is neither GRCh37 nor GRCh38.
    """
    found: dict[str, str] = {}
    for line in meta:
        if _SAYS.match(line) is not None:
            for build, words in _WORDS:
                if words.search(line) is not None:
                    found.setdefault(build, line.partition("=")[0].lstrip("#"))
        if (contig := _CONTIG.match(line)) is not None:
            chromosome, length = plain_chromosome(contig[1]), int(contig[2][:12])
            known = [build for build, lengths in LENGTHS.items() if lengths.get(chromosome) == length]
            if chromosome in _CHROMOSOMES:
                found.setdefault(known[0] if known else ANOTHER, f"the length of chromosome {chromosome}")
    if len(found) > 1:
        said = "; ".join(f"{build} by {by}" for build, by in sorted(found.items()))
        raise SourceUnreadable(
            f"the header speaks of more than one genome build: {said}",
            where=where,
            do="call the variants again on one build, or mend the header",
        )
    if ANOTHER in found:
        raise SourceUnreadable(
            f"the file is on a genome build that is neither GRCh37 nor GRCh38, by {found[ANOTHER]}",
            where=where,
            do="lift the calls over to GRCh38",
        )
    return next((build for build in LENGTHS if build in found), None)


def agreed_build(meta: Sequence[str], told: Build | None, *, where: str) -> Build | None:
    """Return the build of a file, from its header and from the mapping.

    Args:
      meta: The ``##`` lines of the header.
      told: What the mapping says.
      where: The file, for the error.

    Raises:
      SourceUnreadable: the two differ, or the header contradicts itself.
    """
    stated = stated_build(meta, where=where)
    if stated is not None and told is not None and stated != told:
        raise SourceUnreadable(
            f"the file is on {stated}, and the mapping says {told}",
            where=where,
            do=f"set build = {stated!r} for this file if its header is right",
        )
    return stated or told


def column_words(build: Build) -> tuple[str, ...]:
    """Return the words of a MAF's ``NCBI_Build`` column that mean a build, in upper case."""
    return tuple(word for word, meant in _COLUMN.items() if meant == build)
