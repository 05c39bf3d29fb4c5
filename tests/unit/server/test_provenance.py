"""Which programs made the evidence, and the biases that noise does not show."""

from __future__ import annotations

from fedvalue.evidence.bias import bias_checklist
from fedvalue.server.provenance import installed_code
from tests.agreement import SMALL, study


def test_the_digest_of_the_code_is_the_same_twice_and_of_64_digits() -> None:
    once = installed_code()
    assert once == installed_code()
    assert len(once.digest) == 64
    assert once.version


def test_the_checklist_follows_from_the_design_alone() -> None:
    found = bias_checklist(study())
    assert found.confounding.status == "open"
    assert found.immortal_time.status == "addressed"
    assert found.test_access.status == "open"
    assert "egfr is known only of those who were tested" in found.test_access.text
    assert found.site_selection.status == "open"


def test_entry_at_the_origin_leaves_immortal_time_open() -> None:
    read = study(('grid = "1 month"', 'grid = "1 month", entry = "origin"'))
    assert bias_checklist(read).immortal_time.status == "open"


def test_where_nobody_is_compared_there_is_nothing_to_confound() -> None:
    alone = study(
        ('endpoint = "responded"\nby = ["egfr"]', 'endpoint = "responded"'),
        ('endpoint = "os"\nby = ["egfr"]', 'endpoint = "os"'),
        text=SMALL,
    )
    found = bias_checklist(alone)
    assert found.confounding.status == "not applicable"
    assert found.immortal_time.status == "not applicable"
    assert found.test_access.status == "not applicable"
    assert found.informative_censoring.status == "open"
