"""`site check`: what would leave, what stands against it by line, and a dry run that stays at the site."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from fedvalue.client.cli import app
from fedvalue.client.describing.description import describe
from fedvalue.client.governance.audit import AuditLog
from fedvalue.client.governance.check_words import KINDS_ZH, check_text, kind_name
from fedvalue.client.governance.checking import look_at, rehearse
from fedvalue.client.governance.consent import Word
from fedvalue.client.governance.versions import sign_policy
from fedvalue.client.governance.withdrawals import take_words
from fedvalue.errors import BudgetSpent, PolicyForbids
from fedvalue.evidence import statements
from fedvalue.study.file import digest, load
from fedvalue.study.roster import Roster, card
from fedvalue.study.schema import KINDS
from fedvalue.study.signature import sign
from tests.agreement import SMALL, key, study
from tests.agreement import site as roster_site
from tests.federation import NOON, make_home
from tests.unit.client.governance.conftest import Desk


def test_every_kind_of_analysis_has_a_chinese_name() -> None:
    assert set(KINDS) <= set(KINDS_ZH)
    assert kind_name("a kind of tomorrow", "zh") == "a kind of tomorrow"


def test_what_would_leave_is_all_there_as_data(desk: Desk) -> None:
    facts = look_at(desk.home, desk.study, desk.roster, SMALL).facts
    (release,) = facts["releases"]
    assert release["numbers"] == 36
    assert [(b["numbers"], round(b["one_patient_moves_at_most"], 2)) for b in release["blocks"]] == [
        (9, 1.0), (15, 1.25), (12, 1.22),
    ]  # fmt: skip
    assert facts["how_often"] == {"attempts_of_each_release": 2, "releases": 1}
    assert facts["to_whom"]["hospitals"] == ["Hospital s02", "Hospital s03"]
    assert facts["publishes_single_sites"] is False
    assert facts["amends"] == []


def test_everything_that_stands_against_a_study_is_named_with_both_lines(desk: Desk) -> None:
    home = desk.under(profiles=["eu"], limits={"numbers": 35}, analyses=["proportion"])
    found = look_at(home, desk.study, desk.roster, SMALL).against
    policy, text = home.policy_file.read_text(encoding="utf-8").splitlines(), SMALL.splitlines()
    assert [each.finding.policy for each in found] == ["analyses", "profiles", "limits.numbers"]
    for each in found:
        assert each.policy_line is not None
        assert each.study_line is not None
        key = each.finding.policy.rpartition(".")[2]
        assert policy[each.policy_line - 1].startswith(key)
    assert text[found[0].study_line - 1] == 'kind = "kaplan_meier"'  # type: ignore[operator]  # seen above
    assert text[found[1].study_line - 1] == 'profile = "none"'  # type: ignore[operator]  # seen above


def test_a_change_that_the_security_administrator_has_not_signed_stands_against_every_study(
    desk: Desk, person: Callable[[str, str], dict[str, str]]
) -> None:
    home = desk.under(people=[person("li", "security")])
    sign_policy(home, home.officer_key())
    assert look_at(home, desk.study, desk.roster, SMALL).against == ()
    home = desk.under(people=[person("li", "security")], approval_days=9)
    found = look_at(home, desk.study, desk.roster, SMALL)
    assert [each.finding.policy for each in found.against] == ["people"]
    assert found.unsigned[1:] == ("+approval_days = 9         # an approval ends by itself",)


def test_missing_governance_lines_and_a_poor_budget_stand_there_too(desk: Desk) -> None:
    text = SMALL.replace('profile = "none"', 'profile = "us"\npurpose = "x"').replace(
        "epsilon = 4.0", "epsilon = 20.0"
    )
    read = study(
        ('profile = "none"', 'profile = "us"\npurpose = "x"'), ("epsilon = 4.0", "epsilon = 20.0"), text=SMALL
    )
    home = desk.under(profiles=["us"])
    found = look_at(home, read, desk.roster, text).against
    assert any(each.finding.study == ("governance", "retention") for each in found)
    missing = next(each for each in found if each.finding.study == ("governance", "retention"))
    assert missing.facts()["code"] == "governance_incomplete"
    assert text.splitlines()[missing.study_line - 1] == "[governance]"  # type: ignore[operator]  # it has a line


def test_the_dry_run_counts_the_real_records_leaves_nothing_behind_and_minds_consent(desk: Desk) -> None:
    before = sorted(path.relative_to(desk.home.folder) for path in desk.home.folder.rglob("*"))
    checked = look_at(desk.home, desk.study, desk.roster, SMALL)
    found = rehearse(desk.home, desk.study, checked.plan)
    assert (found.cohort, found.without_consent, found.steps[0][1]) == (30, 0, 30)
    assert found.vectors == {"release-1": 36}
    assert set(found.unknown) == {"egfr", "responded", "os"}
    after = sorted(path.relative_to(desk.home.folder) for path in desk.home.folder.rglob("*"))
    assert after == before
    take_words(desk.home, [Word("P0", "objects", "research", NOON.date())])
    again = rehearse(desk.home, desk.study, checked.plan)
    assert (again.cohort, again.without_consent) == (29, 1)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_words_hold_shapes_bounds_prices_recipients_and_refusals_in_both_languages(
    desk: Desk, language: str
) -> None:
    home = desk.under(profiles=["eu"])
    checked = look_at(home, desk.study, desk.roster, SMALL)
    text = check_text(checked, rehearse(home, desk.study, checked.plan), language)  # type: ignore[arg-type]  # en, zh
    for needed in ("release-1", "36", "1.25", "Hospital s02", "policy.toml:", "profiles", "epsilon 4"):
        assert needed in text
    headings = {
        "en": ("To whom", "How often", "Dry run", "What stands against it"),
        "zh": ("发送给谁", "次数", "试运行", "拒绝理由"),
    }
    assert all(heading in text for heading in headings[language])


def test_readiness_for_a_study_says_who_is_left_and_what_is_unknown(desk: Desk) -> None:
    told = {(m.key, m.about): m for m in describe(desk.home, desk.study).measures if m.area == "readiness"}
    assert (told["cohort", "small"].count, told["cohort", "small"].verdict) == (30, "good")
    assert told["unknown", "egfr"].of == 30
    few = study(("min_released_patients = 5", "min_released_patients = 31"), text=SMALL)
    found = [m for m in describe(desk.home, few).measures if m.key == "cohort"]
    assert [m.verdict for m in found] == ["look"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def site(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    assert run("init", home, "--site", "s01", "--entity", "H", "--epsilon", 9, "--simulation").exit_code == 0
    return home


def test_the_policy_is_signed_shown_and_its_unsigned_change_listed_at_the_shell(site: Path) -> None:
    assert run("policy", "sign", site).output == "nothing changed\n"
    text = (site / "policy.toml").read_text(encoding="utf-8")
    (site / "policy.toml").write_text(text + "\n[limits]\nepsilon = 1.0\n", encoding="utf-8")
    shown = run("policy", "show", site).output
    assert "policy.toml as it stands is not signed" in shown
    assert "+epsilon = 1.0" in shown
    assert run("policy", "sign", site).output.startswith("signed version 2")
    assert json.loads(run("policy", "show", site, "--json").output)["signed"] is True
    assert run("policy", "show", site, "--version", 1).output == text


def test_offices_consent_audit_and_seals_work_at_the_shell(site: Path, tmp_path: Path) -> None:
    made = run("person", "--name", "王", "--role", "audit", "--key", tmp_path / "audit.pem").output
    assert made.startswith('[[people]]\nname = "王"\nrole = "audit"\nkey = "')
    with (site / "policy.toml").open("a", encoding="utf-8") as file:
        file.write("\n" + made)
    assert run("policy", "sign", site).exit_code == 0
    assert isinstance(run("audit", "seal", site, "--out", tmp_path / "no.json").exception, PolicyForbids)
    sealed = run("audit", "seal", site, "--key", tmp_path / "audit.pem", "--out", tmp_path / "seal.json")
    assert sealed.output.startswith("sealed 2 lines")
    (tmp_path / "words.csv").write_text("patient_id,day,said\nP0,2026-01-01,objects\n", encoding="utf-8")
    told = json.loads(run("consent", site, "--from", tmp_path / "words.csv", "--json").output)
    assert told == {"people": 1, "out": 1, "removed": {}}
    shown = run("audit", "show", site).output.splitlines()
    assert [line.split("  ")[1] for line in shown] == ["policy signed", "policy signed", "consent recorded"]
    assert (
        "seal.json: holds (2 lines)" in run("audit", "verify", site, "--seal", tmp_path / "seal.json").output
    )
    assert run("audit", "export", site, "--out", tmp_path / "copy.jsonl").output.startswith("copied 3 lines")
    assert (tmp_path / "copy.jsonl").read_bytes() == (site / "audit.jsonl").read_bytes()


def test_an_approval_that_was_refused_is_in_the_audit_log(desk: Desk, tmp_path: Path) -> None:
    path, roster = tmp_path / "study.toml", tmp_path / "roster.toml"
    path.write_text(SMALL.replace("until = 2026-12-31", "until = 2099-12-31"), encoding="utf-8")
    signature = sign(statements.study_statement(digest(load(path))), key("author"), "study")
    path.with_name("study.toml.sig").write_text(signature.model_dump_json(), encoding="utf-8")
    roster.write_text("".join(card(site) for site in desk.roster.site), encoding="utf-8")
    home = desk.under(profiles=["eu"])
    assert isinstance(run("approve", home.folder, path, "--roster", roster).exception, PolicyForbids)
    last = AuditLog(home.audit_file, home.clock).entries()[-1]
    assert (last["event"], last["code"], last["study"]) == (
        "approval refused",
        "policy_forbids",
        digest(load(path)),
    )


def test_a_budget_that_is_too_small_is_among_the_reasons(tmp_path: Path) -> None:
    home = make_home(tmp_path, "s01", epsilon=0.1, patients=3)
    roster = Roster(site=(home.card(), roster_site("s02"), roster_site("s03")))
    found = look_at(home, study(text=SMALL), roster, SMALL)
    assert not found.enough
    assert [each.finding.code for each in found.against] == [BudgetSpent.code]
