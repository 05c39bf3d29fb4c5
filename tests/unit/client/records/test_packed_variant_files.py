"""BGZF and BCF, and VCF that somebody broke: read whole, refused, or counted by line."""

from __future__ import annotations

import contextlib
import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedvalue.client.records.text_lines import LONGEST_LINE
from fedvalue.errors import RecordsError, SourceUnreadable
from tests.records_desk import Desk

pysam = pytest.importorskip("pysam", reason="pysam writes the BCF that these tests read")

PEOPLE = '[files.people]\npath = "people.csv"\n[patient]\nfile = "people"\npatient_id = "id"\n'
CALLS = '[files.calls]\npath = "{}"\n' + PEOPLE + '[[variant]]\nfile = "calls"\ntested = "listed"\n'
HEADER = """##fileformat=VCFv4.3
##reference=GRCh38
##contig=<ID=chr7,length=159345973>
##FILTER=<ID=PASS,Description="All filters passed">
##INFO=<ID=GENE,Number=1,Type=String,Description="Gene">
##INFO=<ID=EFFECT,Number=1,Type=String,Description="Effect">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##FORMAT=<ID=AD,Number=R,Type=Integer,Description="Reads">
##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Depth">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ta\tb
"""
ROWS = (
    "chr7\t55191822\t.\tT\tG\t50\tPASS\t.\tGT:AD:DP\t0/1:30,10:40\t0/0:50,0:50\n"
    "chr7\t55191900\t.\tA\tC,G\t50\tPASS\tGENE=EGFR;EFFECT=missense_variant\tGT:AD:DP\t./.:.:.\t1|2:0,5,15:20\n"
)
EVERYTHING = "FROM variant ORDER BY ALL"


def packed(folder: Path, name: str, text: str = HEADER + ROWS) -> Path:
    """Write the same calls as ``name``: .vcf, .vcf.gz (BGZF) or .bcf."""
    plain = folder / "plain.vcf"
    plain.write_text(text)
    path = folder / name
    if name.endswith(".gz"):
        pysam.tabix_compress(str(plain), str(path), force=True)
    elif name.endswith(".bcf"):
        with (
            pysam.VariantFile(str(plain)) as source,
            pysam.VariantFile(str(path), "wb", header=source.header) as out,
        ):
            for record in source:
                out.write(record)
    else:
        path.write_text(text)
    plain.unlink(missing_ok=name != "plain.vcf")
    return path


@pytest.mark.parametrize("name", ["calls.vcf.gz", "calls.bcf"])
def test_packed_files_hold_the_same_calls_as_the_plain_one(desk: Desk, name: str) -> None:
    desk.write(people="id\na\nb\n")
    (desk.folder / "calls.vcf").write_text(HEADER + ROWS)
    desk.load(CALLS.format("calls.vcf"))
    plain = desk.rows(EVERYTHING)
    assert [row[:3] for row in plain] == [("a", "EGFR", "p.L858R"), ("b", "EGFR", "")] or len(plain) == 3
    packed(desk.folder, name)
    desk.load(CALLS.format(name))
    assert desk.rows(EVERYTHING) == plain


@pytest.mark.parametrize("name", ["calls.vcf.gz", "calls.bcf"])
@pytest.mark.parametrize("cut", [28, 29, 60, -1])
def test_a_file_that_lost_its_end_is_refused_even_between_two_blocks(desk: Desk, name: str, cut: int) -> None:
    # The last 28 bytes are an empty block: without them gzip itself unpacks the rest without complaint.
    desk.write(people="id\na\nb\n")
    path = packed(desk.folder, name)
    data = path.read_bytes()
    path.write_bytes(data[:-cut] if cut > 0 else data[: len(data) // 2])
    with pytest.raises(SourceUnreadable, match="damaged or cut short"):
        desk.load(CALLS.format(name))


def test_plain_gzip_needs_no_end_mark(desk: Desk) -> None:
    desk.write(people="id\na\nb\n")
    (desk.folder / "calls.vcf.gz").write_bytes(gzip.compress((HEADER + ROWS).encode()))
    desk.load(CALLS.format("calls.vcf.gz"))
    assert desk.rows("SELECT DISTINCT patient_id FROM variant ORDER BY ALL") == [("a",), ("b",)]


def test_a_nul_or_a_line_that_never_ends_costs_its_line_alone(desk: Desk) -> None:
    desk.write(people="id\na\nb\n")
    nul = ROWS.splitlines(keepends=True)[0].replace("\t.\tGT", "\tGENE=EG\0FR\tGT")
    huge = "chr7\t1\t.\tA\tG\t.\tPASS\tGENE=" + "X" * LONGEST_LINE + "\tGT\t0/1\t0/1\n"
    (desk.folder / "calls.vcf").write_text(HEADER + nul + huge + ROWS)
    report = desk.load(CALLS.format("calls.vcf"))
    assert [(item.reason, item.lines) for item in report.files[0].left_out] == [("malformed line", (11, 12))]
    assert report.files[0].rows == 2
    (desk.folder / "calls.vcf").write_text(HEADER.replace("\ta\tb", "\ta\0\tb") + ROWS)
    with pytest.raises(SourceUnreadable, match="not that of a VCF"):
        desk.load(CALLS.format("calls.vcf"))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_bcf_with_flipped_bytes_is_read_or_refused_and_never_crashes(
    desk: Desk, data: st.DataObject
) -> None:
    desk.write(people="id\na\nb\n")
    path = packed(desk.folder, "calls.bcf")
    raw = bytearray(gzip.decompress(path.read_bytes()))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(9, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(raw))  # unpacked BCF is BCF too
    with contextlib.suppress(RecordsError):
        desk.load(CALLS.format("calls.bcf"))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 9), st.text(max_size=12)), max_size=4))
def test_cells_of_any_text_are_counted_or_read(desk: Desk, changes: list[tuple[int, str]]) -> None:
    desk.write(people="id\na\nb\n")
    cells = ROWS.splitlines()[0].split("\t")
    for column, text in changes:
        cells[column] = text
    line = "\t".join(cells).encode("utf-8", "replace") + b"\n"
    (desk.folder / "calls.vcf").write_bytes(HEADER.encode() + line + ROWS.encode())
    report = desk.load(CALLS.format("calls.vcf")).files[0]
    lines = [
        one for one in (HEADER.encode() + line + ROWS.encode()).split(b"\n")[10:] if one not in (b"", b"\r")
    ]
    lost = sum(item.rows for item in report.left_out if item.reason != "genotype that is none")
    assert report.rows + lost == len(lines)
    assert ("a", "EGFR", "p.L858R") in desk.rows("SELECT patient_id, gene, protein_change FROM variant")
