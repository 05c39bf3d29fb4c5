"""What the tests of the report room share."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from fedvalue.server.reports.naming import Names
from fedvalue.server.reports.page import render
from fedvalue.server.reports.wording import Language, Voice
from tests.unit.server.reports import samples
from tests.unit.server.reports.sample_decisions import decision

Report = Callable[[samples.Story, Language], str]


@cache
def _report(story: samples.Story, language: Language) -> str:
    package = samples.package(story)
    return render(package, (decision(package, story),), language)


@pytest.fixture(scope="session")
def report() -> Report:
    """Render the report that tells a story; each is made once."""
    return _report


@pytest.fixture(scope="session")
def english() -> Voice:
    return Voice.of("en")


@pytest.fixture(scope="session")
def names(english: Voice) -> Names:
    return Names(english, samples.study())
