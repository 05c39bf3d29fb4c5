"""The catalogue of actionable variants: by position on both builds, by name, and what it may not say."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedvalue.client.records.actionable import actionable, judged, positions
from fedvalue.client.records.builds import LENGTHS, Build, agreed_build, stated_build
from fedvalue.errors import SourceUnreadable
from tests.records_desk import Desk

BUILDS: tuple[Build, ...] = ("GRCh37", "GRCh38")
PEOPLE = '[files.people]\npath = "people.csv"\n[patient]\nfile = "people"\npatient_id = "id"\n'
CALLS = (
    '[files.calls]\npath = "{path}"\n{options}\n'
    + PEOPLE
    + '[[variant]]\nfile = "calls"\ntested = "listed"\n'
)
LEVELS = '["mutated", "wild type", "not tested"]'
FINER = '["mutated", "wild type", "not tested", "not readable"]'
COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ta\tb\n"
HEAD38 = "##fileformat=VCFv4.3\n##reference=GRCh38\n" + COLUMNS
OS = """
[files.times]
path = "times.csv"
optional = true
[[survival]]
file = "times"
patient_id = "id"
time = { duration = "days" }
event = { column = "dead", codes = { "0" = "censored", "1" = "death" } }
"""


def row(chromosome: str, place: str, *cells: str, info: str = ".", keys: str = "GT") -> str:
    position, alleles = place.split(" ")
    reference, alternative = alleles.split(">")
    return (
        "\t".join([chromosome, position, ".", reference, alternative, ".", "PASS", info, keys, *cells]) + "\n"
    )


def loaded(desk: Desk, text: str, options: str = "") -> Desk:
    desk.write(people="id\na\nb\n")
    (desk.folder / "calls.vcf").write_text(text)
    desk.load(CALLS.format(path="calls.vcf", options=options) + OS)
    return desk


def test_the_catalogue_is_dated_and_every_entry_has_a_source_and_both_builds() -> None:
    catalogue = actionable()
    assert catalogue.as_of <= date.today()
    for gene in catalogue.genes.values():
        for entry in gene.entries:
            assert entry.source in catalogue.sources
            assert set(entry.spots or entry.spans) == set(BUILDS)


def test_the_two_builds_differ_by_one_offset_in_each_gene_and_lie_inside_its_chromosome() -> None:
    # No gene of the catalogue was re-assembled between the builds: every place of one gene moves as far.
    for gene in actionable().genes.values():
        places = {build: [int(one.split()[0]) for entry in gene.entries for one in entry.spots.get(build, ())]
                  + [base for entry in gene.entries for span in entry.spans.get(build, ()) for base in span]
                  for build in BUILDS}  # fmt: skip
        assert len({a - b for a, b in zip(places["GRCh37"], places["GRCh38"], strict=True)}) <= 2
        for build in BUILDS:
            assert max(places[build]) < LENGTHS[build][gene.chromosome]


def test_coding_exons_of_the_brca_genes_are_as_long_as_their_proteins() -> None:
    # BRCA1 NM_007294: 1,863 amino acids and a stop: 1,864 x 3 = 5,592 bases.
    # BRCA2 NM_000059: 3,419 x 3 = 10,257.
    for gene, bases in (("BRCA1", 5592), ("BRCA2", 10257)):
        entry = next(one for one in actionable().genes[gene].entries if one.name == "truncating")
        for build in BUILDS:
            assert sum(last - first + 1 for first, last in entry.spans[build]) == bases


@pytest.mark.parametrize("build", BUILDS)
def test_every_exact_place_is_found_with_and_without_chr(build: Build) -> None:
    known = positions(build)
    for symbol, gene in actionable().genes.items():
        for entry in gene.entries:
            for spot in entry.spots.get(build, ()):
                place, alleles = spot.split(" ")
                reference, alternative = alleles.split(">")
                for mark in ("", "chr"):
                    name = mark + gene.chromosome
                    assert known.worth_a_look(name, int(place), reference, alternative)
                    found = known.found(name, int(place), reference, [alternative], "")
                    assert found == [[(symbol, entry.shown, entry.effect)]], (symbol, entry.name)


@pytest.mark.parametrize(
    ("chromosome", "place", "info", "name"),
    [
        ("7", "55174771 AGGAATTAAGAGAAGC>A", "", "EGFR ex19del"),       # E746_A750del, 15 bases
        ("7", "55174771 AGGAATTAAGAGAAG>A", "", ""),                    # 14 bases: out of frame
        ("7", "55181312 G>GGCCAGCGTG", "", "EGFR ex20ins"),             # 9 bases
        ("17", "39724728 A>AGCATACGTGATG", "", "ERBB2 ex20ins"),        # 12 bases
        ("7", "116771990 G>T", "", "MET ex14skip"),                     # c.3028+1G>T
        ("7", "116771848 G>A", "", "MET ex14skip"),                     # the last base of intron 13
        ("7", "116771900 G>A", "", ""),                                 # inside exon 14
        ("13", "32340300 GT>G", "", "BRCA2 p.S1982fs"),                 # 6174delT
        ("13", "32340500 GT>G", "", "BRCA2 truncating"),
        ("13", "32340500 GTTT>G", "", ""),                              # in frame: of unknown significance
        ("17", "43047641 A>G", "", "BRCA1 truncating"),                 # one base before exon 23
        ("2", "42295516 G>G]2:29223528]", "", "ALK fusion"),            # EML4 to ALK
        ("2", "29223528 C><INV>", "SVTYPE=INV;END=42295516", "ALK fusion"),
        ("2", "29223528 C><DEL>", "END=29224000", ""),                  # both ends in ALK
        ("10", "43116584 G>[chr10:32017143[G", "", "RET fusion"),       # KIF5B
    ],
)  # fmt: skip
def test_changes_of_a_shape_are_known_by_their_place(
    chromosome: str, place: str, info: str, name: str
) -> None:
    position, alleles = place.split(" ")
    reference, alternative = alleles.split(">", 1)
    known = positions("GRCh38")
    found = known.found(chromosome, int(position), reference, [alternative], info)[0]
    assert " ".join(note for one in found for note in one[:2]) == name
    assert not name or known.worth_a_look(chromosome, int(position), reference, alternative)


def test_a_vcf_without_genes_is_read_by_position_and_judged_for_the_catalogue_alone(desk: Desk) -> None:
    loaded(desk, HEAD38 + row("chr7", "55191822 T>G", "0/1", "0/0") + row("chr1", "100 A>C", "0/1", "0/0"))
    assert desk.rows("SELECT patient_id, gene, protein_change, catalogued FROM variant") == [
        ("a", "EGFR", "p.L858R", "L858R")
    ]
    found = desk.build(
        """
        [variables]
        named = { variant = { gene = "EGFR", classes = ["L858R", "ex19del"] }, levels = LEVELS }
        whole = { variant = { gene = "EGFR" }, levels = LEVELS }
        finer = { variant = { gene = "EGFR" }, levels = FINER }
        alk = { variant = { gene = "ALK", classes = ["fusion"] }, levels = LEVELS }
        tp53 = { variant = { gene = "TP53" }, levels = LEVELS }
        """.replace("LEVELS", LEVELS).replace("FINER", FINER)
    ).cohort.categories
    assert found["named"].tolist() == [0, 1]
    assert found["whole"].tolist() == [0, -1]  # b may have what the catalogue does not know
    assert found["finer"].tolist() == [0, 3]
    assert found["alk"].tolist() == [-1, -1]  # small variants say nothing of fusions
    assert found["tp53"].tolist() == [-1, -1]


def test_a_vcf_without_genes_and_without_a_build_makes_nobody_wild_type(desk: Desk) -> None:
    text = "##fileformat=VCFv4.3\n" + COLUMNS + row("chr7", "55191822 T>G", "0/1", "0/0")
    loaded(desk, text)
    levels = (
        f'[variables]\negfr = {{ variant = {{ gene = "EGFR", classes = ["L858R"] }}, levels = {LEVELS} }}'
    )
    assert desk.build(levels).cohort.categories["egfr"].tolist() == [-1, -1]
    loaded(desk, text, 'build = "GRCh38"')
    assert desk.build(levels).cohort.categories["egfr"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("##reference=GRCh37\n", "is on GRCh37, and the mapping says GRCh38"),
        ("##contig=<ID=chr7,length=159138663>\n", "is on GRCh37"),
        ("##reference=hg38.fa\n##contig=<ID=7,length=159138663>\n", "more than one genome build"),
        ("##contig=<ID=7,length=158821424>\n", "neither GRCh37 nor GRCh38"),  # hg18
        ("##reference=hg18\n", "neither GRCh37 nor GRCh38"),
        ("##reference=file:///chm13v2.0.fa\n", "neither GRCh37 nor GRCh38"),
    ],
)
def test_a_file_on_another_build_is_refused(desk: Desk, header: str, message: str) -> None:
    with pytest.raises(SourceUnreadable, match=message):
        loaded(desk, "##fileformat=VCFv4.3\n" + header + COLUMNS, 'build = "GRCh38"')


def test_a_reference_base_of_another_build_leaves_the_gene_unknown(desk: Desk) -> None:
    # 55191822 of GRCh38 is a T; a file that says A there is on another build, whatever its header says.
    loaded(desk, HEAD38 + row("chr7", "55191822 A>G", "0/1", "0/0") + row("7", "160000000 A>G", "0/1", "0/0"))
    assert desk.rows("SELECT patient_id, gene, effect FROM variant ORDER BY ALL") == [
        ("a", "EGFR", "Unread"),
        ("b", "EGFR", "Unread"),
    ]


def test_a_maf_of_another_build_is_refused_and_single_rows_are_counted(desk: Desk) -> None:
    desk.write(people="id\na\nb\n")
    head = (
        "Hugo_Symbol NCBI_Build Variant_Classification Tumor_Sample_Barcode HGVSp_Short t_depth t_alt_count\n"
    )
    head = head.replace(" ", "\t")
    rows = [
        "EGFR\t37\tMissense_Mutation\ta\tp.L858R\t80\t20\n",
        "KRAS\tGRCh38\tMissense_Mutation\tb\tp.G12C\t.\t3\n",
    ]
    (desk.folder / "calls.maf").write_text(head + "".join(rows))
    report = desk.load(CALLS.format(path="calls.maf", options='build = "GRCh37"'))
    assert [(item.reason, item.rows, item.lines) for item in report.tables[1].left_out] == [
        ("another genome build", 1, (3,))
    ]
    assert desk.rows("SELECT gene, catalogued, depth, allele_fraction FROM variant") == [
        ("EGFR", "L858R", 80, 0.25)  # 20 of 80 reads
    ]
    (desk.folder / "calls.maf").write_text(head + rows[1])
    with pytest.raises(SourceUnreadable, match="no row is on GRCh37"):
        desk.load(CALLS.format(path="calls.maf", options='build = "GRCh37"'))


@pytest.mark.parametrize(
    ("keys", "cell", "depth", "fraction"),
    [
        ("GT:AD:DP", "0/1:30,10:44", 44, 0.25),           # 10 / (30 + 10)
        ("GT:AD:DP", "0/1:.,21:54", 54, 21 / 54),         # the reference's reads are not known
        ("GT:AD", "0/1:30,10", 40, 0.25),
        ("GT:AD:DP:AF", "0/1:30,10:44:0.2", 44, 0.2),
        ("GT:AD:FA", "0/1:30,10:0.146", 40, 0.146),       # MuTect
        ("GT:DP:RD:AD:FREQ", "0/1:56:35:21:37.5%", 56, 0.375),  # VarScan
        ("GT:DP:RD:AD", "0/1:56:35:21", 56, 0.375),       # 21 / (35 + 21)
        ("GT", "0/1", None, None),
        ("GT:AD:DP", "0/1:x,10:-4", None, None),
        ("GT:AD:DP:AF", "0/1:1,2:3:7.5", 3, 2 / 3),       # no fraction is above 1
        ("GT:AD:DP", "0/1:0,0:0", 0, None),
    ],
)  # fmt: skip
def test_depth_and_allele_fraction_as_the_callers_write_them(
    desk: Desk, keys: str, cell: str, depth: int | None, fraction: float | None
) -> None:
    loaded(desk, HEAD38 + row("7", "55191822 T>G", cell, "0/0", keys=keys))
    found = desk.rows("SELECT genotype, depth, allele_fraction, filter FROM variant")
    assert found[0][:2] == ("0/1", depth)
    assert found[0][2] == (None if fraction is None else pytest.approx(fraction, rel=1e-5))
    assert found[0][3] == "PASS"


def test_names_of_the_catalogue_are_found_in_annotated_calls() -> None:
    catalogue = actionable()
    assert catalogue.name("EGFR", "p.E746_A750del", "In_Frame_Del") == "ex19del"
    assert catalogue.name("EGFR", "p.A767_V769dup", "In_Frame_Ins") == "ex20ins"
    assert catalogue.name("MET", "p.X1010_splice", "Splice_Site") == "ex14skip"
    assert catalogue.name("CYP2C9", "p.R144C", "Missense_Mutation") == "*2"
    assert catalogue.name("BRCA2", "p.K100*", "Nonsense_Mutation") == "truncating"
    assert catalogue.name("EGFR", "p.S720F", "Missense_Mutation") == ""
    assert judged("EGFR", ["L858R", "ex19del"])
    assert not judged("EGFR", ["any"])


def test_an_annotated_file_has_names_where_the_annotation_has_none(desk: Desk) -> None:
    # rs7903146 lies in an intron: the annotation has no protein change, the catalogue has a name.
    info = "GENE=TCF7L2;EFFECT=intron_variant"
    loaded(desk, HEAD38 + row("chr10", "112998590 C>T", "0/1", "1/1", info=info))
    study = '[variables]\nrisk = { variant = { gene = "TCF7L2", classes = ["rs7903146"] }, levels = LEVELS }'
    study = study.replace("LEVELS", LEVELS)
    assert desk.build(study).cohort.categories["risk"].tolist() == [0, 0]


@given(st.lists(st.text(max_size=60).map(lambda text: "##" + text), max_size=6))
def test_any_header_has_one_build_or_none_or_is_refused(meta: list[str]) -> None:
    try:
        assert stated_build(meta, where="x") in (None, *BUILDS)
        assert agreed_build(meta, "GRCh38", where="x") == "GRCh38"
    except SourceUnreadable:
        pass


@given(
    st.sampled_from(["7", "chr7", "17", "2", "X", "weird"]),
    st.integers(0, 2**34),
    st.text("ACGTN", min_size=1, max_size=40),
    st.one_of(st.text("ACGTN*.", min_size=1, max_size=40), st.text("<>[]:2A9", min_size=1, max_size=30)),
    st.text(max_size=30),
)
def test_no_line_breaks_the_catalogue(chromosome: str, at: int, ref: str, alt: str, info: str) -> None:
    for build in BUILDS:
        found = positions(build).found(chromosome, at, ref, [alt], info)
        assert len(found) == 1
        assert isinstance(positions(build).wrong_base(chromosome, at, ref), str)
