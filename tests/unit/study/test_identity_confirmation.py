"""Confirmation: whom this site's people have not compared fingerprints with counts as colluding."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from fedvalue.errors import EntitiesUnconfirmed, IdentityKeyDiffers, RosterMismatch
from fedvalue.study.identity.confirmation import Fingerprint, require_confirmed, spoken
from fedvalue.study.signature import fingerprint
from tests.agreement import roster, site


def known(*names: str) -> dict[str, str]:
    return {site(name).entity: spoken(site(name).public_key) for name in names}


def test_people_compare_the_beginning_of_a_hash_in_eight_groups() -> None:
    # SHA-256 of 32 zero bytes begins 66687aadf862bd776c8fc18b8e9f8e20
    assert spoken("00" * 32) == "6668 7aad f862 bd77 6c8f c18b 8e9f 8e20"
    assert spoken("00" * 32).replace(" ", "").startswith(fingerprint("00" * 32))


def test_a_site_takes_part_when_c_covers_everybody_it_has_not_confirmed() -> None:
    # five entities, itself one of them: s02 and s03 are confirmed, so s04 and s05 are not
    confirmed = known("s02", "s03")
    assert require_confirmed(roster(5), confirmed, 2, own="s01") == ("Hospital s04", "Hospital s05")
    with pytest.raises(
        EntitiesUnconfirmed, match=r"2 entities.*c = 1: Hospital s04; Hospital s05"
    ) as refused:
        require_confirmed(roster(5), confirmed, 1, own="s01")
    assert refused.value.code == "entities_unconfirmed"


def test_a_site_that_has_confirmed_nobody_takes_part_with_nobody() -> None:
    with pytest.raises(EntitiesUnconfirmed, match="4 entities"):
        require_confirmed(roster(5), {}, 3, own="s01")


@given(st.integers(3, 12), st.data())
def test_the_rule_is_a_count(count: int, data: st.DataObject) -> None:
    others = [f"s{number:02d}" for number in range(2, count + 1)]
    chosen = data.draw(st.sets(st.sampled_from(others)))
    colluding = data.draw(st.integers(0, count))
    missing = len(others) - len(chosen)
    if missing <= colluding:
        found = require_confirmed(roster(count), known(*chosen), colluding, own="s01")
        assert len(found) == missing
    else:
        with pytest.raises(EntitiesUnconfirmed):
            require_confirmed(roster(count), known(*chosen), colluding, own="s01")


def test_another_key_than_the_confirmed_one_is_refused_whatever_c_is() -> None:
    swapped = {**known("s02", "s03"), site("s04").entity: spoken(site("s09").public_key)}
    with pytest.raises(IdentityKeyDiffers, match="Hospital s04"):
        require_confirmed(roster(5), swapped, 4, own="s01")
    with pytest.raises(IdentityKeyDiffers):  # this site's own, too
        require_confirmed(roster(5), {site("s01").entity: spoken(site("s09").public_key)}, 4, own="s01")


def test_a_confirmed_key_under_another_entitys_name_confirms_nobody() -> None:
    stolen = {"Hospital elsewhere": spoken(site("s02").public_key)}
    with pytest.raises(EntitiesUnconfirmed):
        require_confirmed(roster(3), stolen, 1, own="s01")


def test_names_and_digits_may_be_spelled_as_people_do() -> None:
    loose = {"  hospital  S02": spoken(site("s02").public_key).upper().replace(" ", ":")}
    assert require_confirmed(roster(3), loose, 1, own="s01") == ("Hospital s03",)
    shape = TypeAdapter(Fingerprint)
    digits = spoken(site("s02").public_key)
    for written in (digits, digits.replace(" ", ""), digits.replace(" ", "-").upper()):
        assert shape.validate_python(written) == digits


@pytest.mark.parametrize("text", ["", "6668 7aad", "6668" * 16, "zzzz" * 8, "6668 7aad f862 bd77"])
def test_half_a_fingerprint_is_none(text: str) -> None:
    with pytest.raises(ValidationError, match="all of them compared"):
        TypeAdapter(Fingerprint).validate_python(text)


def test_one_fingerprint_confirms_one_entity_only() -> None:
    keys = [spoken(site("s02").public_key), spoken(site("s09").public_key)]
    for one, two in (keys, reversed(keys)):
        with pytest.raises(EntitiesUnconfirmed, match="named twice"):
            require_confirmed(roster(3), {"Hospital s02": one, "HOSPITAL S02": two}, 1, own="s01")


def test_what_is_no_fingerprint_confirms_nobody_and_is_refused_as_ours() -> None:
    with pytest.raises(EntitiesUnconfirmed, match="all of them compared"):
        require_confirmed(roster(3), {"Hospital s02": "yes"}, 2, own="s01")


def test_simulations_confirm_everybody() -> None:
    assert require_confirmed(roster(9), "all", 1, own="s01") == ()


def test_a_site_that_is_not_on_the_roster_has_nothing_to_confirm() -> None:
    with pytest.raises(RosterMismatch):
        require_confirmed(roster(3), "all", 1, own="s09")
