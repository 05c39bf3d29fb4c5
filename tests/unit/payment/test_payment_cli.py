"""The payer's and the auditor's commands, through the dispatcher."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fedvalue.cli import main
from fedvalue.evidence import documents
from fedvalue.study.keys import make_key
from tests.unit.evidence.sealed import package

NAME = "lung/egfr_tki_outcome_linked"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with evidence and a payer's key."""
    documents.write(package(), tmp_path / "evidence.json")
    make_key(tmp_path / "payer.pem")
    return tmp_path


def run(*words: object) -> int:
    return main([str(word) for word in words])


def decide(folder: Path, *more: object) -> int:
    signed = ("--key", folder / "payer.pem", "--out", folder)
    return run("payment", "decide", folder / "evidence.json", "--on", "2026-12-01", *signed, *more)


def test_from_evidence_to_an_approved_value_and_back(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert decide(folder) == 0
    told = capsys.readouterr().out
    assert "MET: keep full reimbursement and pay bonus" in told
    assert "+1,000,000.00 per 100" in told
    standards = folder / "standards"
    approval = ("--standards", standards, "--key", folder / "payer.pem", "--on", "2026-12-02")
    assert run("payment", "approve", folder / "proposal.json", *approval) == 0
    assert "bonus = 10000 CNY per patient from 2027-01-30" in capsys.readouterr().out
    assert run("payment", "show", NAME, "--standards", standards, "--on", "2027-03-01") == 0
    assert "approved on evidence ev-" in capsys.readouterr().out
    assert run("payment", "history", NAME, "--standards", standards) == 0
    assert "reimbursement_share" in capsys.readouterr().out
    files = (folder / "decision.json", folder / "evidence.json")
    assert run("payment", "replay", *files, "--standards", standards) == 0
    assert "bit for bit" in capsys.readouterr().out
    assert run("evidence", "verify", folder, standards / f"{NAME}.yaml") == 0
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines() if line.startswith("ok")][
        -3:
    ] == [
        "decision",
        "proposal",
        "standard",
    ]


def test_an_approved_value_that_was_edited_is_neither_shown_as_approved_nor_decided_upon(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert decide(folder) == 0
    standards = folder / "standards"
    approval = ("--standards", standards, "--key", folder / "payer.pem", "--on", "2026-12-02")
    assert run("payment", "approve", folder / "proposal.json", *approval) == 0
    file = standards / f"{NAME}.yaml"
    file.write_text(file.read_text().replace("bonus: '10000'", "bonus: '20000'"))
    capsys.readouterr()
    for words in (
        ("payment", "show", NAME, "--on", "2027-03-01"),
        ("payment", "history", NAME),
        ("payment", "decide", folder / "evidence.json", "--on", "2027-03-01"),
    ):
        assert run(*words, "--standards", standards) == 2
        said = capsys.readouterr()
        assert said.err.startswith("signature_invalid:")
        assert "20,000" not in said.out


def test_json_is_one_document(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert decide(folder, "--json") == 0
    assert json.loads(capsys.readouterr().out)["outcome"] == "met"
    for words in (
        ("evidence", "verify", folder, "--json"),
        ("evidence", "show", folder / "evidence.json", "--json"),
        ("payment", "show", NAME, "--on", "2026-03-01", "--json"),
        ("payment", "history", NAME, "--json"),
    ):
        assert run(*words) == 0
        assert isinstance(json.loads(capsys.readouterr().out), dict)


def test_evidence_is_shown_in_words_with_banded_counts(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("evidence", "show", folder / "evidence.json") == 0
    told = capsys.readouterr().out
    assert "egfr=mutated: estimated, 100-199 patients" in told
    assert "clear" not in told
    # n = 3: what stands against both other sites comes first
    lines = [line.split(maxsplit=1) for line in told.splitlines()]
    first = next(i for i, line in enumerate(lines) if line[:1] == ["epsilon"])
    assert "against the coordinator and all 2 other sites" in lines[first][1]
    assert "against the coordinator and 1 colluding site(s)" in lines[first + 1][1]
    assert "against the coordinator alone" in lines[first + 2][1]


def test_without_a_key_a_decision_is_looked_at_and_nothing_is_proposed(folder: Path) -> None:
    out = folder / "look"
    assert run("payment", "decide", folder / "evidence.json", "--on", "2026-12-01", "--out", out) == 0
    assert [path.name for path in out.iterdir()] == ["decision.json"]


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("evidence", "verify", "{folder}/payer.pem"), 8, "not a JSON document"),
        (("evidence", "verify", "{folder}/nothing"), 8, "cannot be read"),
        (("evidence", "verify", "{folder}", "{folder}/evidence.json"), 8, "2 evidence packages"),
        (("evidence", "verify", "{folder}", "--coordinator", "00"), 8, "another key"),
        (("payment", "decide", "{folder}/evidence.json", "--on", "2030-01-01"), 8, "holds from"),
        (("payment", "decide", "{folder}/evidence.json", "--standard", "lung/other"), 9, "no such standard"),
        (("payment", "decide", "{folder}/evidence.json", "--on", "soon"), 2, "does not match"),
        (("payment", "show", NAME, "--on", "2020-01-01"), 9, "has no value on 2020-01-01"),
        (("payment", "replay", "{folder}/evidence.json", "{folder}/evidence.json"), 9, "schema"),
    ],
)
def test_what_cannot_be_done_says_why_and_exits_by_kind(
    folder: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], status: int, message: str
) -> None:
    assert run(*(word.format(folder=folder) for word in words)) == status
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("words", ["payment decide", "payment approve", "payment history", "evidence verify"])
def test_help_gives_an_example(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*words.split(), "--help") == 0
    assert f"Example: fedvalue {words}" in " ".join(capsys.readouterr().out.split())
