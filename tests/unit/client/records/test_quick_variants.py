"""The quick reader of usual VCF lines against the reader of every line, on lines usual and unusual."""

from __future__ import annotations

import numpy as np
import pytest

from fedvalue.client.records import vcf
from tests.records_desk import CALLER, Desk

HEADER = (
    "##fileformat=VCFv4.2\n##reference=GRCh38\n"
    '##INFO=<ID=CSQ,Number=.,Type=String,Description="Format: {columns}">\n'
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tTUMOR\n"
)
LAYOUTS = {
    "canonical at the end": ("Allele", "Consequence", "SYMBOL", "HGVSp", "CANONICAL"),
    "picked in the middle": ("Allele", "Consequence", "PICK", "SYMBOL", "HGVSp", "BIOTYPE"),
    "no flag at all": ("Allele", "Consequence", "SYMBOL", "HGVSp"),
    "the change at the end": ("Allele", "CANONICAL", "SYMBOL", "Consequence", "HGVSp"),
}
# the usual word of each field first, often; then what a caller, an editor or an enemy may write
CELLS = {
    "Allele": ("G", "G", "G", "G", "G", "T", "-", ""),
    "Consequence": ("missense_variant", "missense_variant", "stop_gained", "intron_variant&x", "a%26b", ""),
    "SYMBOL": ("EGFR", "EGFR", "EGFR", "KRAS", "", "."),
    "HGVSp": (
        "NP_1.2:p.Leu858Arg", "NP_1.2:p.Gly12Cys", "NP:p.Leu858%3D", "p.L858R", "x(:p.Leu8Arg", "",
        "NP:p.Xaa1Leu",
    ),
    "CANONICAL": ("YES", "YES", "", "no"),
    "PICK": ("1", "", "1", "2"),
    "BIOTYPE": ("protein_coding", ""),
}  # fmt: skip
FIELDS = (
    ("chr7", "chr7", "chr7", "7", "chrUn", "chr7\0"),
    ("1000", "2000", "55191822", "999999999", "12345678901", "x", "1_0"),
    (".",),
    ("A", "A", "A", "T", "AT", "N", ""),
    ("G", "G", "G", "G", "T", "G,T", "AG", "<DEL>"),
    ("50",),
    ("PASS", "PASS", "PASS", ".", "LowQual"),
)
FORMATS = ("GT:AD:DP", "GT:AD:DP", "GT:DP", "GT:AD:DP:AF", "AD:DP", "GT")
CALLS = (
    "0/1:30,10:40", "1/1:0,10:10", "0|1:5,5:12", "0/0:9,0:9", "./.:.:.", "0/1:.:.", "0/1:3:4", "2/1:1,1:2",
    "0/1:a,b:c", "0/1:1,-1:2", "0/1:30,10:40:0.3", "1", "0/1:٣,1:4", "0/1:0,0:0", "",
)  # fmt: skip


def line(rng: np.random.Generator, columns: tuple[str, ...]) -> str:
    def one(words: tuple[str, ...]) -> str:
        # half of the time the usual word, so that most lines are unusual in one thing at most
        return words[0] if rng.random() < 0.75 else str(rng.choice(words))

    entries = ["|".join(one(CELLS[name]) for name in columns) for _ in range(rng.integers(1, 4))]
    csq = ",".join(entries) + ("|" if rng.random() < 0.05 else "")
    info = (f"CSQ={csq}", f"CSQ={csq}", f"DP=3;CSQ={csq};X=1", "DP=3", f"XCSQ={csq}")
    return "\t".join([*(one(words) for words in FIELDS), one(info), one(FORMATS), one(CALLS)])


@pytest.mark.parametrize("name", LAYOUTS)
def test_both_readers_of_variants_give_the_same_rows_and_the_same_faults(
    desk: Desk, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(list(LAYOUTS).index(name))
    columns = LAYOUTS[name]
    text = "".join(line(rng, columns) + "\n" for _ in range(500))
    desk.write(people="id\nTUMOR\n")
    (desk.folder / "calls.vcf").write_text(HEADER.format(columns="|".join(columns)) + text, encoding="utf-8")
    quick = desk.load(CALLER)
    found = desk.rows("FROM variant ORDER BY ALL"), desk.rows("FROM test ORDER BY ALL")
    desk.database.unlink()
    monkeypatch.setattr(vcf, "quick_reader", lambda *_, **__: None)
    assert desk.load(CALLER) == quick
    assert (desk.rows("FROM variant ORDER BY ALL"), desk.rows("FROM test ORDER BY ALL")) == found
    assert len(found[0]) > 5
