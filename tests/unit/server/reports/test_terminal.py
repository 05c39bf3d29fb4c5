"""The short answer on a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from fedvalue.server.reports import summary_table
from fedvalue.server.reports.wording import Language
from tests.unit.server.reports import samples
from tests.unit.server.reports.sample_decisions import decision


def shown(
    story: samples.Story,
    language: Language = "en",
    width: int = 100,
    title: str = "",
    *,
    sites: int = 6,
    clear_sum: bool = False,
) -> str:
    study = samples.study(title={"en": title}) if title else None
    package = samples.package(story, of=study, sites=sites, clear_sum=clear_sum)
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
        "2 against the coordinator with 1 of the sites (charged)",
        "4.29",
        "680 patients",
        "epsilon 4.7",
        "2027-05-23",
    ):
        assert part in told, part
    assert "SIMULATION" in told
    assert "clear" not in told


def test_a_clear_sum_is_stamped_and_its_price_is_the_own_shares() -> None:
    told = shown("met", clear_sum=True)
    assert "UNSAFE: clear_sum" in told
    assert "4.29 a site (own share, sum in clear); a private sum would promise 2" in told


@pytest.mark.parametrize("sites", [3, 5, 6])
def test_up_to_five_sites_the_epsilon_against_all_others_stands_first(sites: int) -> None:
    told = " ".join(shown("met", width=400, sites=sites).split())
    others, charged, alone = (
        told.index(f"against the coordinator {part}")
        for part in ("and all other sites", "with 1 of the sites (charged)", "alone")
    )
    assert (others < charged < alone) if sites <= 5 else (charged < alone < others)


@pytest.mark.parametrize("story", samples.STORIES)
@pytest.mark.parametrize("language", ["en", "zh", "both"])
def test_every_answer_fits_a_terminal_of_eighty_columns(story: samples.Story, language: Language) -> None:
    told = shown(story, language, width=80)
    assert max(len(line) for line in told.splitlines()) <= 80
    assert 6 < len(told.splitlines()) < 40


def test_words_of_a_study_are_no_markup() -> None:
    assert "[bold red]Title[/]" in shown("met", title="[bold red]Title[/]")
