"""Every sentence that FedValue writes into evidence and decisions is known to the report in Chinese."""

from __future__ import annotations

import inspect
import re
from datetime import date
from functools import cache

import pytest

from fedvalue.analyses import kaplan_meier, proportion
from fedvalue.evidence.bias import bias_checklist
from fedvalue.evidence.package import EvidencePackage
from fedvalue.payment import standard_file
from fedvalue.payment.deciding import decide
from fedvalue.payment.decision import Decision
from fedvalue.server.reports import render
from fedvalue.server.reports.wording import Voice
from tests.unit.evidence import sealed
from tests.unit.server.reports import samples
from tests.unit.server.reports.pages import SECTIONS, Page

DAY = date(2026, 11, 21)
CHINESE = re.compile(r"[\u4e00-\u9fff]")


COUNTS: dict[samples.Story, tuple[float, float, float]] = {
    "met": (60.0, 70.0, 10.0),
    "not_met": (20.0, 110.0, 10.0),
    "insufficient": (45.0, 90.0, 5.0),
    "below_minimum": (12.0, 16.0, 2.0),
    "not_estimable": (2.0, 3.0, 0.0),
    "exact": (60.0, 70.0, 10.0),
}


@cache
def evidence(story: samples.Story) -> EvidencePackage:
    """A package whose whole chain holds, so that the engine decides on it."""
    return sealed.package(COUNTS[story], exact=story == "exact")


@cache
def made(story: samples.Story) -> Decision:
    return decide(evidence(story), standard_file.read("lung/egfr_tki_outcome_linked"), DAY)


def sentences(decision: Decision) -> list[str]:
    found = [*decision.warnings, *decision.what_would_change]
    if (lacking := decision.insufficient) is not None:
        found += [lacking.text, lacking.more_patients.text, lacking.more_privacy.text]
    return found


@pytest.mark.parametrize("story", samples.STORIES)
def test_a_decision_as_the_engine_makes_it_reads_in_both_languages(story: samples.Story) -> None:
    voice, decision = Voice.of("both"), made(story)
    assert sentences(decision)
    for sentence in sentences(decision):
        assert CHINESE.search(voice.recorded(sentence).zh), sentence
        assert "{" not in voice.recorded(sentence).zh


@pytest.mark.parametrize("story", samples.STORIES)
def test_a_decision_as_the_engine_makes_it_fills_the_report(story: samples.Story) -> None:
    page = Page.read(render(evidence(story), (made(story),), "zh"))
    shown = [name for name in page.ids if name in SECTIONS]
    assert set(SECTIONS) - set(shown) <= {"survival"}
    assert shown == [name for name in SECTIONS if name in shown]
    expected = {"met": "达标", "exact": "达标", "not_met": "未达标"}.get(story, "证据不足")
    assert f" {expected} " in page.within["answer"]


def test_biases_are_explained_in_both_languages() -> None:
    voice, checklist = Voice.of("both"), bias_checklist(samples.study())
    for item in checklist.model_dump().values():
        assert CHINESE.search(voice.recorded(item["text"]).zh), item["text"]


def test_notes_of_the_analyses_are_known() -> None:
    voice = Voice.of("both")
    for module in (proportion, kaplan_meier):
        source = inspect.getsource(module)
        notes = re.findall(r'(?<!")"([A-Z][^"]+ [^"]+\.)"(?!")', source)
        assert notes
        for note in notes:
            assert CHINESE.search(voice.recorded(note).zh), note


def test_figures_of_a_recorded_sentence_are_kept() -> None:
    voice = Voice.of("zh")
    told = voice.recorded("A released share of at least 34.1 % would be not met at this size and noise.").zh
    assert "34.1%" in told
    assert "未达标" in told
