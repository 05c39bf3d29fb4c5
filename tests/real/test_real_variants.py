"""Callers' own files through the records room, beside a bare reader (pysam) and the MAF that is expected."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from fedvalue.client.records.load import load
from fedvalue.client.records.mapping import load_mapping, parse_mapping
from fedvalue.client.records.store import MODEST, reading
from tests.records_desk import CALLER

pysam = pytest.importorskip("pysam", reason="pysam is the bare reader that ours is compared with")

CALLERS = ("mutect", "strelka", "varscan", "merged")


def room(tmp_path: Path, text: str, samples: list[str]) -> Path:
    folder = tmp_path / "hospital"
    folder.mkdir()
    (folder / "calls.vcf").write_text(text)
    (folder / "people.csv").write_text("id\n" + "\n".join(samples) + "\n")
    return folder


def rows(folder: Path, tmp_path: Path, sql: str, options: str = "") -> list[tuple[object, ...]]:
    mapping = f"mapping = 1\n{CALLER}".replace('"calls.vcf"', f'"calls.vcf"\n{options}')
    load(folder, parse_mapping(mapping.encode(), where="variants"), tmp_path / "s.duckdb")
    with reading(tmp_path / "s.duckdb", limits=MODEST) as connection:
        return connection.execute(sql).fetchall()


def with_gene_of_the_place(path: Path) -> tuple[str, list[str]]:
    """Name a gene after each line's place, so that every call of a caller without genes is kept."""
    lines, samples = [], list[str]()
    for line in path.read_text(encoding="utf-8").splitlines():
        cells = line.split("\t")
        if line.startswith("#CHROM"):
            samples = cells[9:]
        elif not line.startswith("#"):
            extra = f"GENE=G{cells[0]}-{cells[1]};EFFECT=missense_variant"
            cells[7] = extra if cells[7] in (".", "") else f"{cells[7]};{extra}"
        lines.append("\t".join(cells))
    return "\n".join(lines) + "\n", samples


@pytest.mark.parametrize("caller", ["mutect", "varscan", "merged"])
def test_genotypes_and_depths_agree_with_a_bare_reader(
    shared_data: Path, tmp_path: Path, caller: str
) -> None:
    path = shared_data / "variants" / f"vcf2maf_test_{caller}.vcf"
    expected = set()
    loud = pysam.set_verbosity(0)
    with pysam.VariantFile(str(path)) as source:
        for record in source:
            for sample in record.samples.values():
                alleles = [allele for allele in sample["GT"] if allele is not None]
                if any(alleles):
                    depth = sample.get("DP")
                    expected.add((sample.name, f"G{record.chrom}-{record.pos}", depth))
    pysam.set_verbosity(loud)
    text, samples = with_gene_of_the_place(path)
    found = rows(
        room(tmp_path, text, samples), tmp_path, "SELECT DISTINCT patient_id, gene, depth FROM variant "
        "WHERE gene LIKE 'G%-%'",
        "only_passing = false",
    )  # fmt: skip
    ours = {(who, gene, depth) for who, gene, depth in found}
    without_depth = {one[:2] for one in expected if one[2] is None}
    assert {one[:2] for one in ours} == {(who, gene.upper()) for who, gene, _ in expected}
    assert {one for one in ours if one[:2] not in without_depth} == {
        (who, gene.upper(), depth) for who, gene, depth in expected if (who, gene) not in without_depth
    }


def test_allele_fractions_of_varscan_are_its_own(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "variants" / "vcf2maf_test_varscan.vcf"
    text, samples = with_gene_of_the_place(path)
    found = rows(
        room(tmp_path, text, samples), tmp_path, "SELECT patient_id, gene, allele_fraction FROM variant"
    )
    assert ("NORMAL", "G1-1991014", pytest.approx(0.487)) in found  # FREQ 48.7%
    assert ("TUMOR", "G1-1991014", pytest.approx(0.3846)) in found
    assert all(one[2] is not None and 0 <= one[2] <= 1 for one in found)  # type: ignore[operator]  # a DOUBLE column


def test_strelka_has_the_tumor_and_not_the_normal(shared_data: Path, tmp_path: Path) -> None:
    # Strelka writes no genotype: SGT=CC->TT is the normal's, then the tumor's.
    path = shared_data / "variants" / "vcf2maf_test_strelka.vcf"
    text, samples = with_gene_of_the_place(path)
    found = rows(
        room(tmp_path, text, samples), tmp_path,
        "SELECT patient_id, gene, genotype, depth, allele_fraction FROM variant ORDER BY ALL",
    )  # fmt: skip
    passing = [
        line
        for line in text.splitlines()
        if not line.startswith("#") and line.split("\t")[6] in ("PASS", ".")
    ]
    assert len({gene for who, gene, *_ in found if who == "TUMOR"}) == len(
        {tuple(line.split("\t")[:2]) for line in passing}
    )
    # 1:12170228 C>T: TU 57 of 57 reads of tier 1 in the tumor
    assert ("TUMOR", "G1-12170228", "1/1", 57, 1.0) in found
    assert not [one for one in found if one[0] == "NORMAL" and one[1] == "G1-12170228"]


def test_depth_and_fraction_agree_with_the_expected_maf(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "variants"
    text, samples = with_gene_of_the_place(folder / "vcf2maf_test_b38.vcf")
    found = rows(
        room(tmp_path, text, samples), tmp_path,
        "SELECT gene, depth, allele_fraction FROM variant WHERE patient_id = 'TUMOR'", 'build = "GRCh38"',
    )  # fmt: skip
    lines = [
        line.split("\t")
        for line in (folder / "vcf2maf_test_b38_output.maf").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    ]
    at = {name: lines[0].index(name) for name in ("Chromosome", "vcf_pos", "t_depth", "t_alt_count")}
    ours = {gene: (depth, fraction) for gene, depth, fraction in found}
    assert len(ours) == len(lines) - 1
    for line in lines[1:]:
        depth, fraction = ours[f"G{line[at['Chromosome']]}-{line[at['vcf_pos']]}"]
        assert depth == int(line[at["t_depth"]])
        assert fraction == pytest.approx(int(line[at["t_alt_count"]]) / int(line[at["t_depth"]]), abs=0.02)


def test_old_snpeff_annotations_name_genes(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "variants" / "cyvcf2_test.snpeff.vcf"
    text = path.read_text(encoding="utf-8")
    samples = next(line for line in text.splitlines() if line.startswith("#CHROM")).split("\t")[9:]
    found = rows(
        room(tmp_path, text, samples), tmp_path,
        "SELECT DISTINCT gene, protein_change, effect FROM variant", "only_passing = false",
    )  # fmt: skip
    assert ("OR4F5", "p.D224V", "Missense_Mutation") in found
    assert ("OR4F5", "p.S60", "Silent") in found or ("OR4F5", "p.S60S", "Silent") in found
    named = {
        part.split("|")[5]
        for line in text.splitlines()
        if "EFF=" in line
        for part in line.split("EFF=")[1].split("\t")[0].split(",")
    }
    assert {gene for gene, _, _ in found} <= {one.upper() for one in named}


def test_the_mutations_of_the_cancer_atlas_get_the_names_of_the_catalogue(
    shared_data: Path, tmp_path: Path
) -> None:
    mapping = load_mapping(Path(__file__).parent / "mappings" / "luad_mutations.toml")
    store = tmp_path / "luad.duckdb"
    load(shared_data / "tcga_luad", mapping, store)
    with reading(store, limits=MODEST) as connection:
        found = dict(
            connection.execute(
                "SELECT gene || ' ' || catalogued, count(DISTINCT patient_id) FROM variant "
                "WHERE catalogued IS NOT NULL GROUP BY ALL"
            ).fetchall()
        )
        deep = connection.execute("SELECT count(*) FROM variant WHERE depth IS NULL").fetchone()
    with gzip.open(
        shared_data / "tcga_luad" / "luad_all_nonsyn.maf.tsv.gz", "rt", encoding="utf-8"
    ) as stream:
        lines = [line.rstrip("\n").split("\t") for line in stream]
    at = {name: position for position, name in enumerate(lines[0])}
    for gene, change in (("EGFR", "p.L858R"), ("KRAS", "p.G12C"), ("BRAF", "p.V600E"), ("EGFR", "p.T790M")):
        bare = {
            line[at["Tumor_Sample_Barcode"]]
            for line in lines[1:]
            if line[at["Hugo_Symbol"]] == gene and line[at["Protein_Change"]] == change
        }
        assert found.get(f"{gene} {change[2:]}", 0) == len(bare)
    assert found["EGFR L858R"] == 21
    # Oncotator writes p.ELREA746del: 17 + 3 + 1 + 1 + 1 rows begin at codons 746 to 754
    assert found["EGFR ex19del"] == 23
    assert deep == (sum(not line[at["t_depth"]].isdigit() for line in lines[1:]),)
