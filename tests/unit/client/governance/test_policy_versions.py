"""The policy as signed versions: a change counts once somebody who may has signed it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from fedvalue.client.enrolling import new_officer
from fedvalue.client.governance.approvals import approve, approved
from fedvalue.client.governance.versions import (
    changes,
    history,
    require_signed,
    sign_policy,
    standing,
    version_file,
)
from fedvalue.errors import PolicyForbids, SignatureInvalid
from fedvalue.study.file import digest
from tests.agreement import key
from tests.unit.client.governance.conftest import Desk

People = Callable[[str, str], dict[str, str]]


def test_a_home_without_a_history_answers_as_before_and_its_first_approval_signs_version_1(
    desk: Desk,
) -> None:
    require_signed(desk.home)
    assert standing(desk.home).number == 0
    approve(desk.home, desk.study, desk.roster, unsafe=())
    (first,) = history(desk.home)
    assert (first.number, first.digest, first.before) == (1, desk.home.policy.digest(), "0" * 64)
    assert first.text == desk.home.policy_file.read_text(encoding="utf-8")
    assert sign_policy(desk.home, desk.home.officer_key()) is None  # nothing changed


def test_a_change_that_nobody_signed_stops_the_answers_and_shows_its_lines(desk: Desk) -> None:
    approve(desk.home, desk.study, desk.roster, unsafe=())
    changed = desk.under(four_eyes=False, approval_days=30)
    with pytest.raises(PolicyForbids, match=r"policy.toml is not version 1|the policy changed"):
        approved(changed, digest(desk.study))
    with pytest.raises(PolicyForbids, match=r"not version 1"):
        require_signed(changed)
    assert "+approval_days = 30         # an approval ends by itself" in changes(changed, history(changed))
    approve(changed, desk.study, desk.roster, unsafe=())
    assert [version.number for version in history(changed)] == [1, 2]
    assert approved(changed, digest(desk.study)).approval.policy_hash == changed.policy.digest()


def test_once_a_security_administrator_is_named_nobody_else_signs_the_policy(
    desk: Desk, person: People
) -> None:
    home = desk.under(people=[person("li", "security")])
    sign_policy(home, home.officer_key())  # the first version, by the officer: it names the administrator
    home = desk.under(people=[person("li", "security")], approval_days=9)
    with pytest.raises(PolicyForbids, match="may not sign the policy"):
        sign_policy(home, home.officer_key())
    with pytest.raises(PolicyForbids, match="not version 1"):
        approve(home, desk.study, desk.roster, unsafe=())
    signed = sign_policy(home, key("li"))
    assert signed is not None
    assert signed.number == 2
    approve(home, desk.study, desk.roster, unsafe=())
    # taking the administrator out needs the administrator
    home = desk.under(approval_days=9)
    with pytest.raises(PolicyForbids, match="may not sign the policy"):
        sign_policy(home, home.officer_key())


def test_what_an_officer_who_was_replaced_has_signed_counts_no_more(desk: Desk) -> None:
    sign_policy(desk.home, desk.home.officer_key())
    new_officer(desk.home, None)
    with pytest.raises(PolicyForbids):
        require_signed(desk.home)
    sign_policy(desk.home, desk.home.officer_key())
    require_signed(desk.home)
    assert [version.number for version in history(desk.home)] == [1, 2]


@pytest.mark.parametrize("field", ["text", "day", "digest", "number", "before"])
def test_a_version_of_which_anything_was_changed_is_refused(desk: Desk, field: str) -> None:
    sign_policy(desk.home, desk.home.officer_key())
    home = desk.under(approval_days=9)
    sign_policy(home, home.officer_key())
    path = version_file(home, 1)
    content = json.loads(path.read_text(encoding="utf-8"))
    other = {
        "text": content["text"] + "# x\n",
        "day": "2020-01-01",
        "digest": "0" * 64,
        "number": 2,
        "before": "1" * 64,
    }
    path.write_text(json.dumps({**content, field: other[field]}), encoding="utf-8")
    with pytest.raises(SignatureInvalid):
        history(home)


def test_a_version_that_was_taken_out_is_missed(desk: Desk) -> None:
    sign_policy(desk.home, desk.home.officer_key())
    home = desk.under(approval_days=9)
    sign_policy(home, home.officer_key())
    version_file(home, 1).unlink()
    with pytest.raises(SignatureInvalid, match="does not follow"):
        history(home)
