"""The rule as a coordinator meets it: refused by a code, and the reason stays in the site's own log."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from fedvalue.client.governance.approvals import approve, countersign
from fedvalue.client.governance.audit import AuditLog
from fedvalue.client.home import SiteHome
from fedvalue.strategies.secure_aggregation.messages import ENROL, EnrolReply, EnrolRequest, Refused, Wire
from fedvalue.study.file import digest
from tests.agreement import key
from tests.federation import NOON, once
from tests.unit.client.governance.conftest import Desk

People = Callable[[str, str], dict[str, str]]


def asked(desk: Desk, home: SiteHome) -> object:
    request = EnrolRequest(digest(desk.study), desk.roster.digest(), "0" * 32)
    return Wire.reply(once(home.folder, home.clock)(ENROL, Wire.pack(request)))


@pytest.mark.parametrize(
    ("changes", "days", "code"),
    [
        ({"opening": [{"start": "00:00", "until": "06:00"}]}, 0, "outside_validity"),
        ({"approval_days": 5}, 6, "outside_validity"),
        ({"approval_days": 5}, 5, None),
        ({"opening": [{"start": "12:00", "until": "12:01"}]}, 0, None),
    ],
)
def test_hours_and_expiry_hold_at_the_node(
    desk: Desk, changes: dict[str, object], days: int, code: str | None
) -> None:
    home = desk.under(**changes)
    approve(home, desk.study, desk.roster, unsafe=())
    later = SiteHome.open(home.folder, lambda: NOON + timedelta(days=days))
    reply = asked(desk, later)
    assert isinstance(reply, EnrolReply) if code is None else reply == Refused(code)


def test_a_missing_second_signature_and_an_unsigned_policy_hold_at_the_node(
    desk: Desk, person: People
) -> None:
    rule = {"four_eyes": True, "people": [person("zhao", "second")]}
    home = desk.under(**rule)
    approve(home, desk.study, desk.roster, unsafe=())
    assert asked(desk, home) == Refused("not_approved")
    countersign(home, digest(desk.study), key("zhao"))
    assert isinstance(asked(desk, home), EnrolReply)
    changed = desk.under(**rule, approval_days=9)
    assert asked(desk, changed) == Refused("policy_forbids")
    last = AuditLog(home.audit_file, home.clock).entries()[-1]
    assert (last["event"], last["code"]) == ("refused", "policy_forbids")
