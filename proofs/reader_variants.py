"""Hostile VCF and BCF: any annotation, any build, genotypes and places that are none."""

from __future__ import annotations

import random
import struct
import tempfile
import zlib
from functools import lru_cache
from pathlib import Path

from proofs.reader_inputs import TEXTS, Made
from proofs.reader_tables import PEOPLE, people

VCF = """
mapping = 1
[files.people]
path = "people.csv"
[files.calls]
path = "calls.{}"
[patient]
file = "people"
patient_id = "id"
[[variant]]
file = "calls"
tested = "listed"
"""
_CSQ = "Allele|Consequence|IMPACT|SYMBOL|Gene|Feature|HGVSp|CANONICAL"
_META = (
    f'##INFO=<ID=CSQ,Number=.,Type=String,Description="Consequence. Format: {_CSQ}">',
    '##INFO=<ID=ANN,Number=.,Type=String,Description="Functional annotations">',
    '##INFO=<ID=EFF,Number=.,Type=String,Description="Effect ( Impact | Amino_Acid_Change | Gene_Name )">',
    '##INFO=<ID=GENE,Number=A,Type=String,Description="Gene">',
)
_BUILDS = (
    "##reference=GRCh38", "##reference=hg19", "##contig=<ID=chr7,length=159345973>", "##reference=T2T-CHM13",
    "##contig=<ID=7,length=159138663>", "##contig=<ID=7,length=99999999999999999999>", "##contig=<ID=chr7>",
)  # fmt: skip
_PLACES = (
    "55191822",
    "55174772",
    "25245350",
    "1",
    "0",
    "159345973",
    "159345974",
    "-1",
    "1e5",
    "99999999999",
    "",
    "٣",
)
_FORMATS = ("GT:AD:DP", "GT:DP:AF", "GT", "DP", "GT:AD:RD:FREQ", "DP:AU:CU:GU:TU", "", "GT:GT", ":")
_GENOTYPES = (
    "0/1", "1/1", "0|1", "./.", "0/0", "2/1", "9/9", "1", "", ".", "1/", "a/b", "-1/1",
    "999999999999/1", "٣/1",
)  # fmt: skip
_VALUES = ("10,20", "30", "0.5", "50%", ".", "", "-1,5", "1e400", "9" * 50, "10,20,30", "nan")
_PLAIN_META = (
    "##fileformat=VCFv4.2", "##reference=GRCh38", '##FILTER=<ID=q10,Description="x">',
    "##contig=<ID=chr7,length=159345973>",
    "##contig=<ID=chr12,length=133275309>", '##INFO=<ID=GENE,Number=1,Type=String,Description="Gene">',
    '##INFO=<ID=HGVSp,Number=1,Type=String,Description="Change">',
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="x">',
    '##FORMAT=<ID=AD,Number=R,Type=Integer,Description="x">',
    '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="x">',
)  # fmt: skip


def vcf(rng: random.Random, *, hostile: float) -> Made:
    """Return a VCF of one to three samples, annotated in any way or none, on any build."""
    samples = rng.sample(PEOPLE, rng.randrange(4))
    head = ["##fileformat=VCFv4.2", *rng.sample(_META, rng.randrange(3))]
    if rng.random() < 0.6:
        head.append(rng.choice(_BUILDS[:3]))
    if rng.random() < hostile:
        head.append(rng.choice((*_BUILDS, *TEXTS, "##INFO=<ID=CSQ,", "##=", "##contig=<ID=,length=>")))
    names = [
        "#CHROM",
        "POS",
        "ID",
        "REF",
        "ALT",
        "QUAL",
        "FILTER",
        "INFO",
        *(["FORMAT", *samples] if samples else []),
    ]
    lines = [_line(rng, len(samples), hostile) for _ in range(rng.randrange(1, 25))]
    end = "\r\n" if rng.random() < 0.1 else "\n"
    text = end.join([*head, "\t".join(names), *lines]) + (end if rng.random() < 0.8 else "")
    data = text.encode()
    if rng.random() < 0.1:
        data = packed(data)
    who, persons = people(rng)
    return Made({"people.csv": who, "calls.vcf": data}, {"people.csv": persons, "calls.vcf": len(lines)})


def _line(rng: random.Random, samples: int, hostile: float) -> str:
    """Return one line that is not empty."""
    alternative = rng.choice(("G", "T", "A,G", "GAT", "<DEL>", "N[chr2:1[", "*", "."))
    csq = ",".join(
        f"{alternative}|{rng.choice(('missense_variant', 'stop_gained', 'nothing_known'))}|HIGH|"
        f"{rng.choice(('EGFR', 'TP53', '', '.'))}|ENSG1|ENST{k}|"
        f"ENSP1.2:p.{rng.choice(('Leu858Arg', 'Gly12Cys', '%3D', ''))}|"
        f"{rng.choice(('YES', ''))}"
        for k in range(rng.randrange(1, 4))
    )
    info = rng.choice((f"CSQ={csq}", f"DP=3;CSQ={csq};X", "ANN=G|missense_variant|HIGH|EGFR", "GENE=EGFR",
                       ".",
                       "",
                       "EFF=MISSENSE(HIGH|x|y|L858R|EGFR|t|1)"))  # fmt: skip
    form = rng.choice(_FORMATS) if rng.random() < hostile else _FORMATS[0]
    place = _PLACES[0] if rng.random() > hostile else rng.choice(_PLACES)
    reference, passed = rng.choice(("T", "G", "GGAATTAAGAGAAGC")), rng.choice(("PASS", "q10", "."))
    fields = [rng.choice(("chr7", "7", "12")), place, ".", reference, alternative, "50", passed, info]
    if samples:
        values = [
            ":".join(
                [
                    rng.choice(_GENOTYPES if rng.random() < hostile else _GENOTYPES[:6]),
                    rng.choice(_VALUES),
                    "30",
                ]
            )
            for _ in range(samples)
        ]
        fields += [form, *values]
    if rng.random() < hostile:
        fields[rng.randrange(len(fields))] = "".join(x for x in rng.choice(TEXTS) if x not in "\n\r")
    if rng.random() < hostile / 3:
        fields = fields[: rng.randrange(1, len(fields) + 1)] + ["more"] * rng.randrange(3)
    # a line without a letter is no line
    return "\t".join(fields).strip("\n") or "x"


def packed(data: bytes) -> bytes:
    """Return BGZF: small gzip members with their lengths, and the empty one at the end."""
    out = b""
    for at in range(0, len(data), 60_000):
        part = data[at : at + 60_000]
        press = zlib.compressobj(1, zlib.DEFLATED, -15)
        body = press.compress(part) + press.flush()
        out += (
            b"\x1f\x8b\x08\x04"
            + bytes(4)
            + b"\0\xff\x06\0BC\x02\0"
            + struct.pack("<H", len(body) + 25)
            + body
        )
        out += struct.pack("<II", zlib.crc32(part), len(part))
    return out + bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


@lru_cache(maxsize=64)
def _bcf(seed: int) -> tuple[bytes, int]:
    """Return the unpacked bytes of a sound BCF, and its records."""
    import pysam  # only here

    rng = random.Random(seed)  # noqa: S311 (made-up inputs)
    lines = [
        f"chr7\t{rng.randrange(1, 150_000_000)}\t.\t{rng.choice('ACG')}\tT\t50\t{rng.choice(('PASS', 'q10'))}"
        f"\tGENE={rng.choice(('EGFR', 'KRAS'))};HGVSp=p.L858R\tGT:AD:DP"
        f"\t{rng.choice(('0/1', '1/1', './.'))}:10,20:30\t0/0:9,0:9"
        for _ in range(rng.randrange(1, 20))
    ]
    text = (
        "\n".join([*_PLAIN_META, "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tP001\tP002", *lines])
        + "\n"
    )
    with tempfile.TemporaryDirectory(prefix="bcf-") as room:
        plain, binary = Path(room) / "in.vcf", Path(room) / "out.bcf"
        plain.write_text(text)
        with (
            pysam.VariantFile(str(plain)) as source,
            pysam.VariantFile(str(binary), "wb", header=source.header) as out,
        ):
            for record in source:
                out.write(record)
        data = binary.read_bytes()
    return b"".join(_members(data)), len(lines)


def _members(data: bytes) -> list[bytes]:
    found = []
    while data[:2] == b"\x1f\x8b":
        press = zlib.decompressobj(31)
        found.append(press.decompress(data))
        data = press.unused_data
    return found or [data]


def bcf(rng: random.Random, *, hostile: float) -> Made:
    """Return a BCF; a hostile one has other bytes inside, and checksums that fit them."""
    data, count = _bcf(rng.randrange(40))
    rows = {"calls.bcf": count}
    if rng.random() < hostile:
        flipped = bytearray(data)
        # past the header's text more often than not: that is where records are taken apart
        start = data.find(b"#CHROM") if rng.random() < 0.8 else 0
        for _ in range(rng.randrange(1, 6)):
            flipped[rng.randrange(start, len(data))] = rng.choice(
                (0, 1, 7, 0x0F, 0x7F, 0x80, 0xFF, rng.randrange(256))
            )
        data, rows = bytes(flipped), {}
    who, persons = people(rng)
    return Made({"people.csv": who, "calls.bcf": packed(data)}, {"people.csv": persons, **rows})
