"""The short answer on a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from fedvalue.server.reports import summary_table
from fedvalue.server.reports.wording import Language
from tests.unit.server.reports import samples
from tests.unit.server.reports.sample_decisions import decision


def shown(story: samples.Story, language: Language = "en", width: int = 100, title: str = "") -> str:
    study = samples.study(title={"en": title}) if title else None
    package = samples.package(story, of=study)
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(summary_table(package, (decision(package, story),), language))
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_it_tells_question_answer_probability_interval_price_and_what_would_change() -> None:
    told = shown("insufficient")
    for part in (
        "Question",
        "Insufficient evidence",
        "87.0%",
        "33.2% (",
        "4.29",
        "680 patients",
        "epsilon 4.7",
        "2027-05-23",
    ):
        assert part in told, part
    assert "SIMULATION" in told
    assert "UNSAFE: clear_sum" in told


@pytest.mark.parametrize("story", samples.STORIES)
@pytest.mark.parametrize("language", ["en", "zh", "both"])
def test_every_answer_fits_a_terminal_of_eighty_columns(story: samples.Story, language: Language) -> None:
    told = shown(story, language, width=80)
    assert max(len(line) for line in told.splitlines()) <= 80
    assert 6 < len(told.splitlines()) < 40


def test_words_of_a_study_are_no_markup() -> None:
    assert "[bold red]Title[/]" in shown("met", title="[bold red]Title[/]")
