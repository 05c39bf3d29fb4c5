"""The papers for an ethics board and a data officer: from study and policy, in both languages."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from fedvalue.cli import main
from fedvalue.planning.plan import make_plan
from fedvalue.server.dossier.papers import OPEN
from fedvalue.server.dossier.writing import dossier, markdown, write
from fedvalue.server.reports.sheet import Sheet
from fedvalue.server.reports.wording import phrase
from fedvalue.study.file import digest
from fedvalue.study.schema import Study
from fedvalue.study.site_policy import SitePolicy
from fedvalue.study.site_rules import Budget, Person
from tests.agreement import FULL, SMALL, changed, roster, study

POLICY = SitePolicy(
    site="s01",
    entity="Hospital | one",
    operator="IT department",
    budget=Budget(epsilon=4.0, delta=1e-6),
    people=(Person(name="王", role="second", key="ab" * 32),),
    four_eyes=True,
    consent="recorded",
)


def papers(read: Study, policy: SitePolicy | None = POLICY) -> Sheet:
    return dossier(read, make_plan(read, roster(5)), policy)


def test_the_papers_hold_what_the_study_and_the_policy_say() -> None:
    text = markdown(papers(study()), "en")
    for needed in (
        digest(study()), "EC-2026-014 (broad)", "DPIA-2026-7", "DUA-2026-3", "10 years",
        "gene EGFR", "L858R", "PIPL 55", "GDPR 35", "State Council Order 717", "epsilon 2",
        "only people whose consent is on record",
        "a second person countersigns", "王 (second)", POLICY.digest(), "IT department",
    ):  # fmt: skip
        assert needed in text, needed


def test_what_no_file_says_is_left_open_by_name_and_nothing_is_made_up() -> None:
    full, bare = markdown(papers(study()), "en"), markdown(papers(study(text=SMALL), None), "en")
    # Three answers are always a person's (necessity, measures, views). The EU study leaves open its
    # registration and the report and backup of genetic information: 3 + 3. The bare one leaves open all of
    # 13 lines, two of them (legal basis, recipients abroad) in two places: 3 + 15.
    assert (full.count(OPEN.en), bare.count(OPEN.en)) == (6, 18)
    assert "No policy was given." in bare
    assert "offices are kept apart" not in bare
    complete = study(text=FULL.replace('purpose = "payment standard for EGFR-guided therapy"\n', ""))
    assert "The governance block lacks: purpose." in markdown(papers(complete), "en")


def test_values_of_single_sites_and_recipients_abroad_are_named_as_risks() -> None:
    alone = FULL.replace(
        'kind = "proportion"\nendpoint = "response_6m"\nby = ["egfr"]', 'kind = "by_site"\nvariable = "cost"'
    )
    alone = alone[: alone.index("[[payments]]")].replace(
        "foreign_recipients = false", "foreign_recipients = true"
    )
    text = markdown(papers(study(text=alone)), "en")
    assert "noise alone: the study publishes values of single sites" in text
    assert "results go abroad" in text
    assert "results go abroad" not in markdown(papers(study()), "en")


def test_every_sentence_is_in_both_languages() -> None:
    sheet = papers(study())
    chinese = re.compile(r"[\u4e00-\u9fff]")
    english = markdown(sheet, "en").replace("王", "").replace("EGFR 检测指导一线治疗", "")
    assert chinese.search(english) is None
    for part in sheet.parts:
        for words in (part.title, *part.sentences, *(table.caption for table in part.tables)):
            assert chinese.search(phrase(words).read("zh")), words


def test_the_page_is_escaped_and_the_tables_of_markdown_keep_their_columns(tmp_path: Path) -> None:
    policy = POLICY.model_copy(update={"operator": "<script>alert(1)</script>"})
    paths = write(papers(study(), policy), tmp_path / "papers", "both")
    assert [path.name for path in paths] == ["dossier.html", "dossier.en.md", "dossier.zh.md"]
    page = paths[0].read_text(encoding="utf-8")
    assert "<script" not in page
    assert "Hospital | one" in page
    lines = paths[1].read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("|")]
    for row, after in pairwise(rows):
        if after.startswith("| ---"):
            columns = row.count("|")
        if not after.startswith("| ---") and row.startswith("| ---"):
            assert re.sub(r"\\\|", "", after).count("|") == columns
    assert "Hospital \\| one" in paths[1].read_text(encoding="utf-8")


def test_the_command_writes_the_papers_and_refuses_a_policy_that_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, policy = tmp_path / "study.toml", tmp_path / "policy.toml"
    path.write_bytes(changed(FULL))
    policy.write_text(POLICY.to_toml(), encoding="utf-8")
    words = ["study", "dossier", str(path), "--policy", str(policy), "--out", str(tmp_path / "papers")]
    assert main([*words, "--language", "zh"]) == 0
    assert sorted(found.name for found in (tmp_path / "papers").iterdir()) == [
        "dossier.html",
        "dossier.zh.md",
    ]
    policy.write_text(POLICY.to_toml().replace("simulation =", "colour = 1\nsimulation ="), encoding="utf-8")
    capsys.readouterr()
    assert main(words) == 2
    assert re.search(r"line \d+: colour: unknown key", capsys.readouterr().err)
