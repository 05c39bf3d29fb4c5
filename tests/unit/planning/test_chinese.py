"""Every kind of question has its Chinese sentence, and `study check` speaks it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fedvalue.cli import main
from fedvalue.planning.chinese import analyses_in_chinese, page_in_chinese
from fedvalue.planning.plan import plan_on
from fedvalue.planning.words import analyses_in_words
from fedvalue.secure_sum.thresholds import thresholds
from fedvalue.study.questions.chinese import SENTENCES, duration
from fedvalue.study.schema import KINDS
from proofs.neighbour_forms import FORMS, study
from tests.agreement import FULL, SMALL
from tests.agreement import study as agreed

CHINESE = re.compile(r"[\u4e00-\u9fff]")
ENGLISH = re.compile(r"\b(the|of|patients|without|over|with)\b")


def test_every_kind_has_its_sentence() -> None:
    assert set(SENTENCES) == set(KINDS)


@pytest.mark.parametrize("kind", FORMS)
def test_a_sentence_names_what_the_english_one_names(kind: str) -> None:
    for form in range(len(FORMS[kind])):
        asked = study(kind, form)
        (zh, *_), (en, *_) = analyses_in_chinese(asked), analyses_in_words(asked)
        assert CHINESE.search(zh)
        assert not ENGLISH.search(zh), zh
        for name in {*asked.variables, *asked.endpoints} - {"score", "risk", "response"}:  # words too
            if re.search(rf"\b{name}\b", en):
                assert name in zh, (name, zh)


def test_the_whole_page_is_chinese_and_holds_the_same_numbers() -> None:
    for text in (FULL, SMALL):
        read = agreed(text=text)
        page = page_in_chinese(read, plan_on(read, thresholds(5, colluding=1, dropouts=1), "0" * 64))
        for head in ("问什么", "问谁", "离开医院的内容", "隐私代价"):
            assert head in page
        assert f"epsilon {read.privacy.epsilon:.3g}" in page


def test_durations_are_read_out() -> None:
    assert duration("6 months") == "6 个月"
    assert duration("1 day") == "1 天"
    assert duration("soon") == "soon"


def test_study_check_speaks_chinese_on_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "study.toml"
    path.write_text(SMALL, encoding="utf-8")
    assert main(["study", "check", str(path), "--language", "zh"]) == 0
    said = capsys.readouterr().out
    assert "研究问题" in said
    assert "生存曲线" in said
