"""Named lists of codes: put in place before anything is hashed; made from files and vocabularies."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from fedvalue.cli import main
from fedvalue.errors import StudyInvalid
from fedvalue.study.code_lists import list_from
from fedvalue.study.file import canonical, digest, from_canonical
from fedvalue.study.schema import Study
from fedvalue.study.vocabulary import Vocabulary
from tests.records_desk import Desk

NAMED = """
[codes]
tki = ["L01EB*", "L01ED01"]
lung = ["C34*"]
[cohort]
index = { first = "line", number = 1, codes = ["@tki"] }
lines = { codes = ["@tki", "L01XA*"], maintenance = ["L01XA01"] }
require = [{ condition = ["@lung"], within = "-365d..0d" }]
[variables.scans]
count = { of = "procedure", codes = ["87.4", "@tki", "L01ED01"], within = "0d..90d" }
clip = [0, 9]
unit = "tests"
"""
WRITTEN = NAMED.partition("[cohort]")[1] + NAMED.partition("[cohort]")[2]


def study(text: str) -> Study:
    return Desk(Path(), Path()).study(text)


def test_a_named_list_is_the_same_study_as_its_codes_written_out() -> None:
    plain = (
        WRITTEN.replace('"87.4", "@tki", "L01ED01"', '"87.4", "L01EB*", "L01ED01"')
        .replace('"@tki"', '"L01EB*", "L01ED01"')
        .replace('"@lung"', '"C34*"')
    )
    assert digest(study(NAMED)) == digest(study(plain))
    assert from_canonical(canonical(study(NAMED))) == study(NAMED)
    assert study(NAMED).cohort.index.codes == ("L01EB*", "L01ED01")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"@lung"', '"@lungs"', "'@lungs' stands for no list"),
        ('["@lung"]', '["C34*"]', "nothing uses this list"),
        ('lung = ["C34*"]', "lung = []", "list of 1 to 5000"),
        ('lung = ["C34*"]', 'lung = ["@tki"]', "is no code"),
        ('lung = ["C34*"]', 'lung = ["C*34"]', "is no code"),
        ('lung = ["C34*"]', "lung = [34]", "is no code"),
        ("lung =", "Lung =", "is no name"),
    ],
)
def test_what_is_no_list_or_stands_for_none_is_refused(old: str, new: str, said: str) -> None:
    with pytest.raises(StudyInvalid, match=said):
        study(NAMED.replace(old, new))


def test_a_list_comes_from_a_file_with_what_lies_below_each_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "CONCEPT.csv").write_text(
        "concept_id,concept_code,vocabulary_id\n1,C34,ICD10CM\n2,C34.1,ICD10CM\n3,C34.9,ICD10CM\n4,C34,Other\n"
    )
    (tmp_path / "CONCEPT_ANCESTOR.csv").write_text(
        "ancestor_concept_id,descendant_concept_id\n1,1\n1,3\n1,2\n4,4\n"
    )
    given = tmp_path / "list.csv"
    given.write_text("\ufeffname,icd\nlung,C34\n# the rest,\nlung,C34.9\n", encoding="utf-8")
    vocabulary = Vocabulary(tmp_path)
    assert list_from(given, column="icd") == ["C34", "C34.9"]
    assert list_from(given, column="icd", vocabulary=vocabulary, system="ICD10CM") == [
        "C34",
        "C34.1",
        "C34.9",
    ]
    assert list_from(given, column="icd", system="ATC") == ["C34*", "C34.9*"]
    words = ["study", "codes", str(given), "--name", "lung", "--column", "icd", "--system", "ICD10CM"]
    assert main([*words, "--vocabulary", str(tmp_path)]) == 0
    assert tomllib.loads(capsys.readouterr().out) == {"codes": {"lung": ["C34", "C34.1", "C34.9"]}}
    with pytest.raises(StudyInvalid, match="--column"):
        list_from(given, column="atc")
    with pytest.raises(StudyInvalid, match="need the vocabulary"):
        list_from(given, column="icd", system="SNOMED")
    with pytest.raises(StudyInvalid, match="has no SNOMED C34"):
        list_from(given, column="icd", system="SNOMED", vocabulary=vocabulary)
    with pytest.raises(StudyInvalid, match="cannot be read"):
        list_from(tmp_path / "none.csv")
    (tmp_path / "plain.txt").write_text("C34.1\n\nC34 .2\n")
    with pytest.raises(StudyInvalid, match="is no code"):
        list_from(tmp_path / "plain.txt")
