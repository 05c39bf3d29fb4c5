"""A laboratory's own words: what they say of each gene, and that nothing but a plain "no" is wild type."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedvalue.client.records.actionable import actionable
from fedvalue.client.records.laboratory_words import NEGATIVE, REFERENCE_ALLELES
from fedvalue.client.records.wording import read_words
from fedvalue.errors import MappingInvalid, StudyInvalid
from tests.records_desk import Desk, table_of

PEOPLE = '[files.people]\npath = "people.csv"\n[patient]\nfile = "people"\npatient_id = "id"\n'
REPORTS = (
    '[files.reports]\npath = "reports.csv"\n' + PEOPLE + '[[molecular_report]]\nfile = "reports"\n'
    'patient_id = "id"\ntext = "result"\n'
)
LEVELS = '["mutated", "wild type", "not tested"]'
FINER = (
    '["mutated", "wild type", "not tested", "unknown significance", "not readable", "failed sample", '
    '"not reported", "not covered"]'
)
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


def said(text: str, gene: str = "", genes: tuple[str, ...] = ()) -> list[str]:
    """One text a finding: gene, state, change, then "?" where the significance is unknown."""
    return [
        " ".join(
            part
            for part in (one.gene, one.state, one.change or one.effect, "?" * bool(one.significance))
            if part
        )
        for one in read_words(text, gene, genes)
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("l858r, t790m", ["EGFR tested p.L858R", "EGFR tested p.T790M"]),
        ("E746_A750del", ["EGFR tested p.E746_A750del"]),
        ("g12c", ["KRAS tested p.G12C"]),
        ("EGFR p.(Leu858Arg) c.2573T>G", ["EGFR tested p.L858R"]),
        ("EGFR p.Leu747_Pro753delinsSer", ["EGFR tested p.L747_P753delinsS"]),
        ("BRCA1 p.Glu23ValfsTer17", ["BRCA1 tested p.E23Vfs*17"]),
        ("BRCA1 185delAG", ["BRCA1 tested 185delAG"]),
        ("EGFR delE746-A750", ["EGFR tested p.E746_A750del"]),
        ("EGFR ex 19 deletion and T790M", ["EGFR tested ex19del", "EGFR tested p.T790M"]),
        ("HER2 exon 20 insertion", ["ERBB2 tested ex20ins"]),
        ("MET exon 14 skipping", ["MET tested ex14skip"]),
        ("EML4-ALK fusion", ["ALK tested Fusion"]),
        ("ALK fusion not detected", ["ALK tested"]),
        ("CYP2C9 *2/*3", ["CYP2C9 tested *2", "CYP2C9 tested *3"]),
        ("CYP2C9 *1/*1", ["CYP2C9 tested"]),
        ("ＥＧＦＲ　Ｌ８５８Ｒ", ["EGFR tested p.L858R"]),
        ("EGFR 19外显子缺失", ["EGFR tested ex19del"]),
        ("EGFR未检出突变；KRAS G12C 突变", ["EGFR tested", "KRAS tested p.G12C"]),
        ("EGFR L858R (+), KRAS wild type", ["EGFR tested p.L858R", "KRAS tested"]),
        ("EGFR/ALK/ROS1 negative", ["EGFR tested", "ALK tested", "ROS1 tested"]),
        ("EGFR mutated", ["EGFR tested Unspecified"]),
        ("EGFR S720F VUS", ["EGFR tested p.S720F ?"]),
        ("BRCA1 variant of uncertain significance", ["BRCA1 tested Unspecified ?"]),
        ("EGFR not tested", ["EGFR not tested"]),
        ("KRAS and BRAF not covered by the panel", ["KRAS not covered", "BRAF not covered"]),
        ("EGFR pending", ["EGFR not reported"]),
        ("sample failed QC", ["failed sample"]),
        ("ALK: illegible", ["ALK not readable"]),
        ("EGFR样本不合格", ["EGFR failed sample"]),
        ("", ["not reported"]),
    ],
)  # fmt: skip
def test_words_and_what_they_say(text: str, found: list[str]) -> None:
    assert said(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "L858R, T790M not detected",         # how far does the "not" reach?
        "no T790M and L858R detected",
        "no mutation except T790M",
        "suspected L858R",
        "possible wild type",
        "wild type? please repeat",
        "not tested, previously L858R",
        "no c.9999T>G",                      # a change that we cannot name is not there
        "likely negative",
        "lorem ipsum",
        "no mutation; mutation detected failed",
        "KRAS negative",                     # in a row of EGFR
        "\0",
        "x" * 30_000,
    ],
)  # fmt: skip
def test_words_that_are_not_certain_are_not_readable(text: str) -> None:
    assert said(text, "EGFR") == ["EGFR not readable"]


def test_the_absence_of_one_variant_is_no_wild_type() -> None:
    assert said("T790M not detected", "EGFR") == ["EGFR not reported"]
    assert said("L858R detected, T790M not detected", "EGFR") == ["EGFR tested p.L858R"]
    assert said("T790M not detected; otherwise wild type", "EGFR") == ["EGFR tested"]


def test_her2_negative_may_be_of_the_protein() -> None:
    assert said("HER2 negative") == ["ERBB2 not readable"]
    assert said("HER2 mutation negative") == ["ERBB2 tested"]


@given(st.sampled_from([(g, e.change) for g, x in actionable().genes.items() for e in x.entries if e.change]),
       st.sampled_from(["{}", "p.{}", "P.({})", " {} ", "{} detected", "{} mutation", "{}!"]),
       st.booleans())  # fmt: skip
def test_every_protein_change_of_the_catalogue_is_known_in_any_spelling(
    known: tuple[str, str], form: str, upper: bool
) -> None:
    gene, change = known
    text = form.format(change.removeprefix("p."))
    found = read_words(text.upper() if upper else text.lower(), gene)
    assert [(one.gene, actionable().name(gene, one.change, one.effect)) for one in found] == [
        (gene, actionable().name(gene, change, ""))
    ]


WORDS = [
    "EGFR", "KRAS", "ALK", "L858R", "G12C", "wild type", "negative", "not detected", "detected",
    "no",
    "except", "VUS", "failed", "not tested", "suspected", ",", ";", "and", "fusion", "未检出", "阳性",
    "mutation", "*1/*1",
]  # fmt: skip


@given(st.one_of(st.text(max_size=80), st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join)),
       st.sampled_from(["", "EGFR"]))  # fmt: skip
def test_whatever_is_written_nobody_is_wild_type_without_a_negation(text: str, gene: str) -> None:
    found = read_words(text, gene)
    assert found
    if any(one.wild_type for one in found):
        plain = text.lower().replace("(-)", "negative")
        assert NEGATIVE.search(plain) or REFERENCE_ALLELES.search(plain)
    for one in found:
        assert not (one.wild_type and any(other.effect for other in found if other.gene == one.gene))


def test_reports_become_variants_and_tests_and_keep_panel_and_assay(desk: Desk) -> None:
    desk.write(
        people="id\na\nb\nc\nd\n",
        reports="""
            id,day,result,panel,version
            a,5,EGFR L858R,Lung 4,v2.1
            b,6,no mutations detected,Lung 4,v2.1
            c,7,sample failed QC,Lung 4,v2.2
            d,8,no mutations detected,Mystery,v1
        """,
    )
    report = desk.load(
        REPORTS + 'day = { day = "day" }\npanel = "panel"\nassay = "version"\n'
        'panels = { "Lung 4" = ["EGFR", "KRAS"] }\n'
    )
    assert desk.rows("SELECT patient_id, gene, protein_change, catalogued FROM variant") == [
        ("a", "EGFR", "p.L858R", "L858R")
    ]
    assert desk.rows("SELECT patient_id, day, gene, status, panel, assay FROM test ORDER BY ALL") == [
        ("a", 5.0, "EGFR", "tested", "Lung 4", "v2.1"),
        ("a", 5.0, "KRAS", "not reported", "Lung 4", "v2.1"),  # the words do not mention it
        ("b", 6.0, "EGFR", "tested", "Lung 4", "v2.1"),
        ("b", 6.0, "KRAS", "tested", "Lung 4", "v2.1"),
        ("c", 7.0, "EGFR", "failed sample", "Lung 4", "v2.2"),
        ("c", 7.0, "KRAS", "failed sample", "Lung 4", "v2.2"),
        ("d", 8.0, "*", "not reported", "Mystery", "v1"),  # no mutation of which genes?
    ]
    blanked = {item.reason: item.lines for item in table_of(report, "molecular_report[0]").blanked}
    assert blanked == {"panel without a list of genes": (5,)}


def test_states_are_levels_of_their_own_and_none_is_wild_type(desk: Desk) -> None:
    words = (
        "L858R",
        "wild type",
        "not tested",
        "S720F VUS",
        "illegible",
        "failed",
        "pending",
        "not covered",
        "",
    )
    people = [f"p{number}" for number in range(len(words))]
    desk.write(
        people="id\n" + "\n".join([*people, "p9"]),
        reports="id,gene,result\n"
        + "\n".join(f"{who},EGFR,{word}" for who, word in zip(people, words, strict=True)),
    )
    desk.load(REPORTS + 'gene = "gene"\n' + OS)
    variable = 'egfr = {{ variant = {{ gene = "EGFR", classes = ["{}"] }}, levels = {} }}\n'
    found = {
        (classes, name): desk.build("[variables]\n" + variable.format(classes, levels))
        .cohort.categories["egfr"]
        .tolist()
        for classes in ("any", "L858R")
        for name, levels in (("three", LEVELS), ("finer", FINER))
    }
    # mutated 0, wild type 1, not tested 2, then the finer ones in the order of the study; p9 has no report
    for classes in ("any", "L858R"):
        assert found[classes, "finer"] == [0, 1, 2, 3, 4, 5, 6, 7, 6, 2]
        assert found[classes, "three"] == [0, 1, 2, -1, -1, -1, -1, 2, -1, 2]


def test_several_genes_with_finer_levels(desk: Desk) -> None:
    desk.write(
        people="id\na\nb\nc\nd\ne\n",
        reports="""
            id,gene,result
            a,EGFR,wild type
            a,KRAS,g12c
            b,EGFR,wild type
            b,KRAS,failed
            c,EGFR,wild type
            c,KRAS,wild type
            d,EGFR,wild type
        """,
    )
    desk.load(REPORTS + 'gene = "gene"\n' + OS)
    text = """
        [variables.driver]
        variants = [{ level = "EGFR", gene = "EGFR" }, { level = "KRAS", gene = "KRAS" }]
        levels = ["EGFR", "KRAS", "other", "not tested"%s]
    """
    # KRAS 1, other 2, not tested 3; d was tested with a report that does not speak of KRAS
    assert desk.build(text % "").cohort.categories["driver"].tolist() == [1, -1, 2, 3, 3]
    finer = text % ', "failed sample", "not covered"'
    assert desk.build(finer).cohort.categories["driver"].tolist() == [1, 4, 2, 5, 3]


def test_a_later_result_decides_when_the_patient_enters(desk: Desk) -> None:
    desk.write(
        people="id,day0\na,0\nb,0\n",
        times="id,days,dead\na,100,1\nb,100,1\n",
        reports="id,gene,day,result\na,EGFR,10,failed\na,EGFR,40,l858r\nb,EGFR,10,failed\n",
    )
    desk.load(
        REPORTS.replace('patient_id = "id"\n[[mol', 'patient_id = "id"\norigin = { day = "day0" }\n[[mol')
        + 'gene = "gene"\nday = { day = "day" }\n' + OS
    )  # fmt: skip
    study = """
        [variables]
        egfr = { variant = { gene = "EGFR" }, levels = %s }
        [endpoints.os]
        kind = "time_to_event"
        entry = "later of origin and test report"
        events = ["death"]
        until = "24 months"
        grid = "1 month"
        [diagnostics]
        share = 0
        [[analyses]]
        kind = "kaplan_meier"
        endpoint = "os"
        by = ["egfr"]
        budget = 1.0
    """
    outcome = desk.build(study % FINER).cohort.survival["os"]
    assert outcome.entry.tolist() == [40.0, 10.0]  # mutated since day 40; failed since day 10


def test_a_study_may_not_merge_a_state_into_wild_type_and_names_only_known_levels(desk: Desk) -> None:
    variable = '[variables]\negfr = { variant = { gene = "EGFR" }, levels = %s%s }'
    for above in ('"wild type"', '"not tested", "not tested" = "wild type"'):
        with pytest.raises(StudyInvalid, match="which it is not"):
            desk.study(variable % (FINER, f', merge_into = {{ "failed sample" = {above} }}'))
    with pytest.raises(StudyInvalid, match="then any of"):
        desk.study(variable % ('["mutated", "wild type", "not tested", "lost"]', ""))
    with pytest.raises(StudyInvalid, match="then any of"):
        desk.study(variable % ('["mutated", "not tested", "wild type"]', ""))


def test_a_test_and_a_panel_may_say_why_there_is_no_result(desk: Desk) -> None:
    desk.write(people="id,ALK\na,0\nb,vus\nc,qns\n", tests="id,what\na,done\nb,bad\nc,huh\n")
    desk.load(
        PEOPLE + '[files.tests]\npath = "tests.csv"\n[[panel]]\nfile = "people"\npatient_id = "id"\n'
        'genes = { ALK = "ALK" }\ncodes = { "0" = "wild type", vus = "unknown significance", '
        'qns = "failed sample" }\n'
        '[[test]]\nfile = "tests"\npatient_id = "id"\ngenes = ["EGFR"]\nassay = { constant = "v3" }\n'
        'status = { column = "what", codes = { done = "tested", bad = "failed sample" } }\n' + OS
    )  # fmt: skip
    levels = "[variables]\n" + "".join(
        f'{gene.lower()} = {{ variant = {{ gene = "{gene}" }}, levels = {FINER} }}\n'
        for gene in ("EGFR", "ALK")
    )
    found = desk.build(levels).cohort.categories
    assert found["egfr"].tolist() == [1, 5, 4]  # an unknown word for what became of it: not readable
    assert found["alk"].tolist() == [1, 3, 5]
    assert desk.rows("SELECT DISTINCT assay FROM test WHERE gene = 'EGFR'") == [("v3",)]


def test_a_mapping_that_calls_the_unmentioned_wild_type_says_of_which_genes(desk: Desk) -> None:
    desk.write(people="id\na\n", reports="id,result\na,EGFR l858r\n")
    with pytest.raises(MappingInvalid, match="needs the genes that were looked at"):
        desk.load(REPORTS + 'unmentioned = "wild type"\n')
    desk.load(REPORTS + 'unmentioned = "wild type"\ngenes = ["EGFR", "KRAS"]\n')
    assert desk.rows("SELECT gene, status FROM test ORDER BY ALL") == [("EGFR", "tested"), ("KRAS", "tested")]
