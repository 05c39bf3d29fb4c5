"""The roster: who takes part, each hospital once."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from fedvalue.errors import StudyInvalid, TooFewSites
from fedvalue.study.roster import Roster, Site, card, load_roster
from tests.agreement import roster, site, study


def written(folder: Path, *sites: Site) -> Path:
    path = folder / "roster.toml"
    path.write_text("".join(map(card, sites)), encoding="utf-8")
    return path


def test_a_roster_is_the_hospitals_cards_one_after_the_other(tmp_path: Path) -> None:
    odd = site("s04").model_copy(update={"entity": 'St. "Mary\\\'s"\n\t医院 # ]', "operator": "\x00\x7f"})
    sites = (*roster(3).site, odd)
    assert load_roster(written(tmp_path, *sites)) == Roster(site=sites)


@pytest.mark.parametrize("what", ["id", "entity", "public_key"])
def test_a_hospital_is_on_the_roster_once(what: str, tmp_path: Path) -> None:
    twin = site("s02").model_copy(update={what: getattr(site("s01"), what)})
    with pytest.raises(StudyInvalid, match=f"{what} '.*' is on the roster twice"):
        load_roster(written(tmp_path, site("s01"), twin))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('id = "s01"', 'id = "s 01"', r"site\[0\]\.id"),
        ('id = "s01"', 'id = "../s01"', r"site\[0\]\.id"),
        ("[[site]]", "[[site]]\nrank = 1", r"site\[0\]\.rank: unknown key"),
        ("[[site]]", "[[sites]]", "sites: unknown key"),
        ('entity = "Hospital s01"', 'entity = ""', r"site\[0\]\.entity"),
        ('public_key = "', 'public_key = "z', r"site\[0\]\.public_key"),
    ],
)
def test_a_roster_that_does_not_follow_its_schema_is_refused(
    old: str, new: str, said: str, tmp_path: Path
) -> None:
    path = written(tmp_path, site("s01"))
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(StudyInvalid, match=said) as refused:
        load_roster(path)
    assert refused.value.where == str(path)


def test_a_roster_of_nobody_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyInvalid):
        load_roster(written(tmp_path))
    with pytest.raises(StudyInvalid, match="cannot be read"):
        load_roster(tmp_path / "none.toml")


def test_the_order_of_hospitals_does_not_change_the_hash_and_everything_else_does() -> None:
    sites = list(roster(6).site)
    whole = Roster(site=tuple(sites))
    random.Random(1).shuffle(sites)
    assert Roster(site=tuple(sites)).digest() == whole.digest()
    seen = {whole.digest()}
    for field, other in {"id": "other", "entity": "other", "operator": "other",
                         "public_key": "0" * 64, "officer_key": "0" * 64}.items():  # fmt: skip
        changed = (sites[0].model_copy(update={field: other}), *sites[1:])
        seen.add(Roster(site=changed).digest())
    seen.add(Roster(site=tuple(sites[1:])).digest())
    assert len(seen) == 7


def test_the_thresholds_come_from_the_roster_and_the_study() -> None:
    federation = study().federation
    limits = roster(10).thresholds(federation)
    assert (limits.sites, limits.colluding, limits.dropouts, limits.answers) == (10, 1, 1, 9)
    with pytest.raises(TooFewSites):
        roster(2).thresholds(federation)


def test_a_hospital_that_is_not_there_is_nobody() -> None:
    assert roster(3).get("s02") == site("s02")
    assert roster(3).get("s04") is None
