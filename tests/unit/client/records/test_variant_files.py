"""VCF and MAF: who carries what, and every line that is left out."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from fedvalue.client.records.effects import effect_class, short_protein_change
from fedvalue.errors import SourceMissing, SourceUnreadable
from tests.records_desk import Desk, reasons

PEOPLE = '[files.people]\npath = "people.csv"\n[patient]\nfile = "people"\npatient_id = "id"\n'
VCF = (
    '[files.calls]\npath = "{path}"\n{options}\n'
    + PEOPLE
    + '[[variant]]\nfile = "calls"\ntested = "listed"\n'
)
SURVIVAL = """
[files.times]
path = "times.csv"
optional = true
[[survival]]
file = "times"
patient_id = "id"
time = { duration = "days" }
event = { column = "dead", codes = { "0" = "censored", "1" = "death" } }
"""
HEADER = "##fileformat=VCFv4.3\n"
CSQ = (
    '##INFO=<ID=CSQ,Number=.,Type=String,Description="Consequence annotations from Ensembl VEP. Format: '
    'Allele|Consequence|SYMBOL|CANONICAL|HGVSp">\n'
)
COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ta\tb\tc\n"


def line(
    info: str, *genotypes: str, pos: str = "100", ref: str = "T", alt: str = "G", passed: str = "PASS"
) -> str:
    return "\t".join(["7", pos, ".", ref, alt, ".", passed, info, "GT:DP", *genotypes]) + "\n"


def loaded(
    desk: Desk, text: str | bytes, *, path: str = "calls.vcf", options: str = "", more: str = ""
) -> Desk:
    desk.write(people="id\na\nb\nc\n")
    (desk.folder / path).write_bytes(text.encode() if isinstance(text, str) else text)
    desk.load(VCF.format(path=path, options=options) + more)
    return desk


def test_the_genotype_decides_who_carries_and_everyone_in_the_header_was_tested(desk: Desk) -> None:
    info = "GENE=EGFR;HGVSp=p.Leu858Arg;EFFECT=missense_variant"
    loaded(desk, HEADER + COLUMNS + line(info, "0/1:30", "0|0:30", "./.:0"))
    assert desk.rows("SELECT patient_id, gene, protein_change, effect FROM variant") == [
        ("a", "EGFR", "p.L858R", "Missense_Mutation")
    ]
    assert desk.rows("SELECT patient_id, day, gene FROM test ORDER BY ALL") == [
        ("a", None, "*"),
        ("b", None, "*"),
        ("c", None, "*"),
    ]


def test_annotations_of_vep_are_taken_by_allele_and_canonical_transcript(desk: Desk) -> None:
    info = (
        "CSQ=G|missense_variant|EGFR|YES|ENSP1:p.Leu858Arg,G|missense_variant|EGFR||ENSP2:p.Leu813Arg,"
        "A|stop_gained|EGFR|YES|ENSP1:p.Leu858Ter,G|downstream_gene_variant|EGFR-AS1|YES|"
    )
    loaded(desk, HEADER + CSQ + COLUMNS + line(info, "0/1", "1/2", "0/0", alt="G,A"))
    assert desk.rows("SELECT patient_id, gene, protein_change, effect FROM variant ORDER BY ALL") == [
        ("a", "EGFR", "p.L858R", "Missense_Mutation"),
        ("a", "EGFR-AS1", "", "3'Flank"),
        ("b", "EGFR", "p.L858*", "Nonsense_Mutation"),
        ("b", "EGFR", "p.L858R", "Missense_Mutation"),
        ("b", "EGFR-AS1", "", "3'Flank"),
    ]


def test_vep_writes_a_deletion_without_the_shared_base(desk: Desk) -> None:
    info = "CSQ=-|inframe_deletion|EGFR|YES|ENSP1:p.Glu746_Ala750del,TT|frameshift_variant|TP53|YES|p.Arg10fs"
    loaded(desk, HEADER + CSQ + COLUMNS + line(info, "0/1", "0/2", "0/0", ref="A", alt="AC,ATT"))
    # REF A, ALT AC is an insertion: allele "C" for VEP, so "-" is nobody's; ATT is "TT".
    assert desk.rows("SELECT patient_id, gene, protein_change, effect FROM variant") == [
        ("b", "TP53", "p.R10fs", "Frame_Shift_Ins")
    ]
    loaded(desk, HEADER + CSQ + COLUMNS + line(info, "0/1", "0/0", "0/0", ref="AGAA", alt="A"))
    assert ("a", "EGFR", "p.E746_A750del", "In_Frame_Del") in desk.rows(
        "SELECT patient_id, gene, protein_change, effect FROM variant"
    )


def test_annotations_of_snpeff(desk: Desk) -> None:
    info = "ANN=G|missense_variant|MODERATE|EGFR|ENSG|transcript|ENST|coding|21/28|c.2573T>G|p.Leu858Arg|1/2"
    header = HEADER + '##INFO=<ID=ANN,Number=.,Type=String,Description="Functional annotations">\n'
    loaded(desk, header + COLUMNS + line(info, "1|1", "0/0", "0"))
    assert desk.rows("SELECT patient_id, gene, protein_change, effect FROM variant") == [
        ("a", "EGFR", "p.L858R", "Missense_Mutation")
    ]


def test_other_info_keys_may_be_named(desk: Desk) -> None:
    options = 'info = { gene = "SYM", protein_change = "AA", effect = "CLASS" }'
    loaded(desk, HEADER + COLUMNS + line("SYM=alk;CLASS=Fusion", "1", "0", "0"), options=options)
    assert desk.rows("SELECT patient_id, gene, protein_change, effect FROM variant") == [
        ("a", "ALK", "", "Fusion")
    ]


def test_every_line_that_cannot_be_read_is_counted_by_reason_and_line(desk: Desk) -> None:
    info = "GENE=EGFR;HGVSp=p.L858R;EFFECT=missense_variant"
    lines = [
        line(info, "0/1", "0/0", "0/0"),                       # line 3
        line(info, "0/1", "0/0"),                              # 4: a column short
        line(info, "0/1", "0/0", "0/0", pos="ten"),            # 5
        line(info, "0/1", "0/0", "0/0", ref="T?"),             # 6
        line(info, "0/1", "0/9", "0/0"),                       # 7: there is no ninth allele
        line(info, "0/1", "x/y", "0/0"),                       # 8
        line(info, "0/1", "0/0", "0/0", passed="LowQual"),     # 9
        line(".", "0/1", "0/0", "0/0"),                        # 10
        line(info, "0/1", "0/0", "0/0").replace("GT:DP", "DP"),  # 11
        "garbage\n",                                           # 12
        "\n",                                                  # 13: nothing
    ]  # fmt: skip
    desk.write(people="id\na\nb\nc\n")
    path = desk.folder / "calls.vcf"
    path.write_bytes((HEADER + COLUMNS + "".join(lines)).encode() + b"7\t1\t\xff\xff\n")
    report = desk.load(VCF.format(path="calls.vcf", options=""))
    found = {item.reason: (item.rows, item.lines) for item in report.files[0].left_out}
    assert found == {
        "malformed line": (4, (5, 6, 12, 14)),
        "wrong number of columns": (1, (4,)),
        "genotype that is none": (2, (7, 8)),
        "call did not pass its filter": (1, (9,)),
        "no gene annotation": (1, (10,)),
        "no genotype": (1, (11,)),
    }
    assert report.files[0].rows == 3  # 3, 7 and 8: in the last two b's genotype alone is missing
    assert desk.rows("SELECT patient_id FROM variant WHERE effect <> 'Unread'") == [("a",)]
    assert desk.load(VCF.format(path="calls.vcf", options="only_passing = false")).files[0].rows == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER, "no #CHROM line"),
        ("", "no #CHROM line"),
        (HEADER + "7\t1\t.\tA\tG\n", "stands above #CHROM"),
        (HEADER + COLUMNS.replace("\t", " "), "#CHROM line is not that of a VCF"),
        (HEADER + COLUMNS.replace("\tb\t", "\ta\t"), "#CHROM line is not that of a VCF"),
    ],
)
def test_a_vcf_with_a_broken_header_is_refused(desk: Desk, text: str, message: str) -> None:
    with pytest.raises(SourceUnreadable, match=message):
        loaded(desk, text)


def test_a_damaged_gzip_is_refused(desk: Desk) -> None:
    info = "GENE=EGFR;HGVSp=p.L858R;EFFECT=missense_variant"
    data = gzip.compress((HEADER + COLUMNS + line(info, "0/1", "0/0", "0/0") * 9999).encode())
    with pytest.raises(SourceUnreadable, match="damaged"):
        loaded(desk, data[:-100], path="calls.vcf.gz")
    loaded(desk, data, path="calls.vcf.gz")
    assert desk.rows("SELECT count(*) FROM variant") == [(1,)]


def test_chosen_samples_and_patients_named_by_their_files(desk: Desk) -> None:
    desk.write(people="id\np1\np2\n")
    for name, genotypes in (("p1", ("1/1", "0/0")), ("p2", ("0/0", "0/1"))):
        text = HEADER + COLUMNS.replace("a\tb\tc", "TUMOR\tNORMAL")
        text += line("GENE=EGFR;EFFECT=fusion", *genotypes)
        (desk.folder / f"{name}.vcf.gz").write_bytes(gzip.compress(text.encode()))
    by_file = VCF.format(path="p*.vcf.gz", options='samples = ["TUMOR"]') + 'patient_id = "file"\n'
    desk.load(by_file)
    assert desk.rows("SELECT patient_id, gene, protein_change, effect FROM variant") == [
        ("p1", "EGFR", "", "Fusion")
    ]
    assert desk.rows("SELECT patient_id FROM test ORDER BY ALL") == [("p1",), ("p2",)]
    with pytest.raises(SourceMissing, match="expects the sample 'TUMOUR'"):
        desk.load(by_file.replace("TUMOR", "TUMOUR"))


def test_a_maf_needs_no_column_names_and_barcodes_can_be_cut_to_patients(desk: Desk) -> None:
    desk.write(people="id\nTCGA-05-4244\nTCGA-05-4249\nTCGA-05-4250\n")
    (desk.folder / "calls.maf").write_text(
        "#version 2.4\n# made \"by hand\n"
        "Hugo_Symbol\tVariant_Classification\tTumor_Sample_Barcode\tProtein_Change\n"
        "EGFR\tMissense_Mutation\tTCGA-05-4244-01A\tp.L858R\n"
        "EGFR\tMissense_Mutation\tTCGA-05-4244-02A\tp.L858R\n"
        "egfr\t5'UTR\tTCGA-05-4249-01A\t\n"
        "KRAS\tSomething_New\tTCGA-05-4249-01A\tp.G12C\n"
        "KRAS\tMissense_Mutation\tTCGA-99-0000-01A\tp.G12C\n"
        "\tMissense_Mutation\tTCGA-05-4244-01A\tp.G12C\n"
    )  # fmt: skip
    report = desk.load(
        '[files.calls]\npath = "calls.maf"\n' + PEOPLE + '[[variant]]\nfile = "calls"\ntested = "listed"\n'
        'genes = ["EGFR"]\npatient_id = { column = "Tumor_Sample_Barcode", first_characters = 12 }\n'
    )
    assert desk.rows("SELECT patient_id, gene, protein_change, effect FROM variant ORDER BY ALL") == [
        ("TCGA-05-4244", "EGFR", "p.L858R", "Missense_Mutation"), ("TCGA-05-4249", "EGFR", "", "5'UTR"),
    ]  # fmt: skip
    assert reasons(report, "variant[0]") == {
        "duplicate row": (1, (5,)),
        "unknown code": (1, (7,)),
        "patient not in the patients table": (1, (8,)),
        "missing code": (1, (9,)),
    }
    # Somebody whose only call is left out was sequenced all the same; the third patient was not.
    assert desk.rows("SELECT patient_id, day, gene FROM test ORDER BY ALL") == [
        ("TCGA-05-4244", None, "EGFR"),
        ("TCGA-05-4249", None, "EGFR"),
    ]


def test_a_report_day_may_stand_in_the_variant_file_and_the_earliest_counts(desk: Desk) -> None:
    desk.write(people="id\na\nb\n", calls="id,gene,day\na,EGFR,9\na,KRAS,7\na,TP53,\n")
    text = (
        '[files.calls]\npath = "calls.csv"\n' + PEOPLE + '[[variant]]\nfile = "calls"\npatient_id = "id"\n'
        'gene = "gene"\nreport = { day = "day" }\ntested = "all patients"\n'
    )
    desk.load(text)
    assert desk.rows("SELECT patient_id, day, gene FROM test ORDER BY ALL") == [
        ("a", 7.0, "*"),
        ("b", None, "*"),
    ]
    assert desk.rows("SELECT DISTINCT effect FROM variant") == [("Unspecified",)]


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("p.L858R", "p.L858R"), ("L858R", "p.L858R"), ("p.Leu858Arg", "p.L858R"),
        ("p.(Leu858Arg)", "p.L858R"),
        ("ENSP00000275493.2:p.Leu858Arg", "p.L858R"), ("p.Glu746_Ala750del", "p.E746_A750del"),
        ("p.Leu747_Ala750delinsPro", "p.L747_A750delinsP"), ("p.Arg213Ter", "p.R213*"),
        ("p.R213*", "p.R213*"),
        ("p.Leu858%3D", "p.L858="), ("p.Arg10ProfsTer5", "p.R10Pfs*5"), ("p.?", ""), (".", ""), ("", ""),
        ("ex19del", "ex19del"), ("p.Met1?", "p.M1?"),
    ],
)  # fmt: skip
def test_protein_changes_in_short_form(text: str, short: str) -> None:
    assert short_protein_change(text) == short


@pytest.mark.parametrize(
    ("term", "known"),
    [
        ("Missense_Mutation", "Missense_Mutation"), ("missense_mutation", "Missense_Mutation"),
        ("missense_variant&splice_region_variant", "Missense_Mutation"), ("intron_variant", "Intron"),
        ("splice_region_variant&synonymous_variant", "Silent"), ("frameshift_variant", "Frame_Shift_Del"),
        ("fusion", "Fusion"), ("made_up_variant", None), ("", None),
    ],
)  # fmt: skip
def test_effects_are_words_of_the_maf_vocabulary(term: str, known: str | None) -> None:
    assert effect_class(term) == known


def test_a_frame_shift_is_an_insertion_or_a_deletion_by_its_alleles() -> None:
    assert effect_class("frameshift_variant", reference="A", alternative="AT") == "Frame_Shift_Ins"
    assert effect_class("frameshift_variant", reference="AT", alternative="A") == "Frame_Shift_Del"


def test_a_folder_where_the_file_should_be_is_missing(desk: Desk, tmp_path: Path) -> None:
    (desk.folder / "calls.vcf").mkdir()
    desk.write(people="id\na\n")
    with pytest.raises(SourceMissing, match=r"expects the file 'calls\.vcf'"):
        desk.load(VCF.format(path="calls.vcf", options=""))


EGFR = """
[variables.egfr]
variant = { gene = "EGFR", classes = ["any"] }
levels = ["mutated", "wild type", "not tested"]
[variables.kras]
variant = { gene = "KRAS", classes = ["any"] }
levels = ["mutated", "wild type", "not tested"]
"""


def test_after_a_line_of_a_wrong_width_a_gene_is_unknown_but_for_who_is_mutated_by_another_line(
    desk: Desk,
) -> None:
    info = "GENE=EGFR;HGVSp=p.L858R;EFFECT=missense_variant"
    loaded(
        desk, HEADER + COLUMNS + line(info, "0/1", "0/0", "0/0") + line(info, "0/0", "0/1", "0/0", "0/0"),
        more=SURVIVAL,
    )  # fmt: skip
    categories = desk.build(EGFR).cohort.categories
    # 0 mutated, 1 wild type, -1 unknown. Line 4 has a column too many; it says nothing of KRAS.
    assert categories["egfr"].tolist() == [0, -1, -1]
    assert categories["kras"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("genotype", ["x", "0/9", "-1/0", "1" * 5000, "\u0661/1", "0/1;?", "\x00", "", "/"])
def test_a_genotype_that_is_none_leaves_the_line_to_the_other_samples(desk: Desk, genotype: str) -> None:
    info = "GENE=EGFR;HGVSp=p.L858R;EFFECT=missense_variant"
    loaded(desk, HEADER + COLUMNS + line(info, "0/1", genotype, "1|0"))
    assert desk.rows("SELECT patient_id FROM variant ORDER BY ALL") == [("a",), ("c",)]


def test_bytes_of_one_sample_that_are_no_text_leave_the_line_to_the_others(desk: Desk) -> None:
    info = "GENE=EGFR;HGVSp=p.L858R;EFFECT=missense_variant"
    loaded(desk, (HEADER + COLUMNS + line(info, "0/1", "?", "1|0")).encode().replace(b"?", b"\xff\xe4"))
    assert desk.rows("SELECT patient_id FROM variant ORDER BY ALL") == [("a",), ("c",)]


def test_a_protein_change_keeps_its_text_whatever_stands_in_other_rows(desk: Desk) -> None:
    mapping = PEOPLE + (
        '[files.calls]\npath = "calls.csv"\n[[variant]]\nfile = "calls"\npatient_id = "id"\n'
        'gene = "gene"\nprotein_change = "change"\n'
    )
    for other in ("", "b,EGFR,1.0\n"):
        desk.write(people="id\na\nb\n", calls="id,gene,change\na,EGFR,1\n" + other)
        desk.load(mapping)
        assert desk.rows("SELECT protein_change FROM variant WHERE patient_id = 'a'") == [("1",)]
