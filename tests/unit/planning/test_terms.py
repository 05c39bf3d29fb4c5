"""What a plan means to the private sum: whoever holds study and roster computes the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedvalue.errors import EntityRepeated, SpecificationDiffers
from fedvalue.planning.plan import make_plan
from fedvalue.planning.promises import three_promises
from fedvalue.planning.terms import membership_of, terms_of
from fedvalue.privacy.release import LOG2_SCALE
from fedvalue.study.roster import Roster
from tests.agreement import roster, study

PLAN = make_plan(study(), roster(5))


def test_the_members_are_the_rosters_sites_in_the_order_of_ids() -> None:
    sites = roster(5)
    turned = Roster(site=tuple(reversed(sites.site)))
    found = membership_of(turned, PLAN)
    assert [member.site for member in found.members] == sorted(site.id for site in sites.site)
    assert found == membership_of(sites, PLAN)
    assert found.roster_hash == PLAN.roster_hash == sites.digest() == turned.digest()
    assert found.thresholds == PLAN.thresholds
    first = found.members[0]
    assert first.public_key.hex() == next(s.public_key for s in sites.site if s.id == first.site)


def test_a_roster_with_one_entity_twice_gives_no_members() -> None:
    first, second, *others = roster(5).site
    twice = roster(5).model_copy(
        update={"site": (first, second.model_copy(update={"entity": first.entity}), *others)}
    )
    with pytest.raises(EntityRepeated):
        membership_of(twice, PLAN)


def test_the_terms_hold_every_block_of_the_release_and_what_fixes_it() -> None:
    (release,) = PLAN.releases
    terms = terms_of(PLAN, release)
    assert terms.query == PLAN.specification(release)
    assert (terms.label, terms.dimension, terms.log2_scale) == ("release-1", release.dimension, LOG2_SCALE)
    assert [block.name for block in terms.blocks] == [block.name for block in release.blocks]
    assert [block.gamma for block in terms.blocks] == [str(gamma) for gamma in release.scales.gammas]
    assert terms.analyses == tuple(analysis.label for analysis in PLAN.analyses)
    assert terms.asked(b"") == terms


def test_public_numbers_change_the_query_and_have_their_length() -> None:
    (release,) = PLAN.releases
    part, *others = release.parts
    asking = replace(release, parts=(replace(part, ask=replace(part.ask, public_size=1)), *others))
    terms = terms_of(PLAN, asking)
    assert terms.public_bytes == 8
    one, two = terms.asked(b"\0" * 8), terms.asked(b"\1" * 8)
    assert len({terms.query, one.query, two.query}) == 3
    for wrong in (b"", b"\0" * 16):
        with pytest.raises(SpecificationDiffers):
            terms.asked(wrong)


@pytest.mark.parametrize(("sites", "first"), [(3, "own_share"), (5, "own_share"), (6, "promised")])
def test_up_to_five_sites_the_promise_against_all_others_is_told_first(sites: int, first: str) -> None:
    told = three_promises(sites=sites, colluding=1, promised=2.0, own_share=4.0, no_collusion=1.5)
    assert told[0].against == first
    assert {p.against: (p.colluding, p.epsilon) for p in told} == {
        "own_share": (sites - 1, 4.0),
        "promised": (1, 2.0),
        "no_collusion": (0, 1.5),
    }
