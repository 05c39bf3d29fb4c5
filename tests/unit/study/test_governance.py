"""The governance block: each profile names the lines that are missing."""

from __future__ import annotations

import pytest

from fedvalue.errors import GovernanceIncomplete
from fedvalue.study.governance import Ethics, GeneticResources, Governance, LegalBasis
from tests.agreement import study

COMMON = (
    "purpose",
    "legal_basis.hospital",
    "legal_basis.payer",
    "ethics",
    "data_use_agreement",
    "accountable_officer",
    "retention",
    "server_location",
)
ASKED = {
    "none": set(),
    "us": set(COMMON),
    "eu": {*COMMON, "impact_assessment", "foreign_recipients"},
    "cn": {*COMMON, "impact_assessment", "foreign_recipients", "registration", "genetic_resources.report"},
}
COMPLETE = {
    "purpose": "payment standard",
    "legal_basis": LegalBasis(hospital="law", payer="law"),
    "ethics": (Ethics(site="*", approval="EC-1", consent="waived"),),
    "registration": "R-1",
    "impact_assessment": "D-1",
    "data_use_agreement": "A-1",
    "accountable_officer": "officer",
    "retention": "10 years",
    "server_location": "CN",
    "foreign_recipients": False,
    "genetic_resources": GeneticResources(report="G-1"),
}


@pytest.mark.parametrize("profile", ASKED)
def test_an_empty_block_names_every_line_that_its_profile_asks_for(profile: str) -> None:
    assert set(Governance.model_validate({"profile": profile}).missing()) == ASKED[profile]


@pytest.mark.parametrize("profile", ASKED)
def test_a_complete_block_passes_its_profile(profile: str) -> None:
    block = Governance.model_validate({"profile": profile, **COMPLETE})
    assert block.missing() == ()
    block.require_complete()


@pytest.mark.parametrize("line", sorted(ASKED["cn"]))
def test_one_missing_line_is_refused_by_its_name(line: str) -> None:
    table, _, key = line.partition(".")
    given = dict(COMPLETE)
    if key:
        given[table] = {**given[table].model_dump(), key: ""}  # type: ignore[attr-defined]  # a table of the block
    else:
        given[table] = () if table == "ethics" else None
    block = Governance.model_validate({"profile": "cn", **given}, strict=False)
    assert block.missing() == (line,)
    with pytest.raises(GovernanceIncomplete, match=f"profile 'cn' asks for {line}") as refused:
        block.require_complete()
    assert refused.value.where == "[governance]"


def test_an_answer_of_no_is_an_answer() -> None:
    assert study().governance.foreign_recipients is False
    assert study().governance.missing() == ()
