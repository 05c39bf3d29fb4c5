"""How long a yes holds: expiry, the second signature, amendments."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import pytest

from fedvalue.client.charge import debit_of
from fedvalue.client.governance.amendments import amended_by, inherited
from fedvalue.client.governance.approvals import approve, approved, countersign, examine
from fedvalue.client.home import SiteHome
from fedvalue.errors import NotApproved, OutsideValidity, PolicyForbids, SignatureInvalid, StudyClosed
from fedvalue.privacy import accounting
from fedvalue.study.approval import CLEAR_SUM
from fedvalue.study.file import digest
from fedvalue.study.schema import Study
from fedvalue.study.signature import public_hex
from tests.agreement import SMALL, key, study
from tests.federation import NOON
from tests.unit.client.governance.conftest import Desk

People = Callable[[str, str], dict[str, str]]


def later(home: SiteHome, days: int) -> SiteHome:
    return SiteHome.open(home.folder, lambda: NOON + timedelta(days=days))


def test_an_approval_ends_on_the_earlier_of_the_officers_and_the_policys_day(desk: Desk) -> None:
    home = desk.under(approval_days=30)
    assert approve(home, desk.study, desk.roster, unsafe=())[0].until == date(2026, 3, 31)
    soon, late = date(2026, 3, 5), date(2026, 5, 1)
    assert approve(home, desk.study, desk.roster, unsafe=(), until=soon)[0].until == soon
    assert approve(home, desk.study, desk.roster, unsafe=(), until=late)[0].until == date(2026, 3, 31)
    with pytest.raises(OutsideValidity):
        approve(home, desk.study, desk.roster, unsafe=(), until=date(2026, 2, 28))
    with pytest.raises(OutsideValidity, match="the approval ended on 2026-03-31"):
        approved(later(home, 31), digest(desk.study))
    found = approved(later(home, 30), digest(desk.study))
    found.standing(later(home, 30))
    with pytest.raises(OutsideValidity):  # a node that has read it once looks again
        found.standing(later(home, 31))


def test_an_approval_without_a_day_of_its_own_reads_as_it_always_did(desk: Desk) -> None:
    approval, _ = approve(desk.home, desk.study, desk.roster, unsafe=())
    assert approval.until is None
    assert "until" not in approval.content()
    assert "second" not in approval.model_dump()


def test_where_four_eyes_are_asked_for_nothing_is_answered_before_the_second_signature(
    desk: Desk, person: People
) -> None:
    home = desk.under(four_eyes=True, people=[person("zhao", "second"), person("qian", "system")])
    approve(home, desk.study, desk.roster, unsafe=())
    with pytest.raises(NotApproved, match="no second person has signed"):
        approved(home, digest(desk.study))
    for nobody in ("qian", "sun"):  # the system administrator may not, nor a stranger
        with pytest.raises(PolicyForbids, match="nobody who may sign second"):
            countersign(home, digest(desk.study), key(nobody))
    countersign(home, digest(desk.study), key("zhao"))
    assert approved(home, digest(desk.study)).approval.second is not None
    with pytest.raises(NotApproved):
        countersign(home, "0" * 64, key("zhao"))


def test_the_officer_holds_no_other_office(desk: Desk, person: People) -> None:
    for role in ("second", "system", "security", "audit"):
        own = {"name": "officer", "role": role, "key": public_hex(desk.home.officer_key())}
        home = desk.under(people=[person("zhao", "second"), own])
        with pytest.raises(PolicyForbids, match=f"the office '{role}' as well"):
            approve(home, desk.study, desk.roster, unsafe=())


def test_a_second_signature_by_the_officer_or_over_another_approval_does_not_count(
    desk: Desk, person: People
) -> None:
    home = desk.under(four_eyes=True, people=[person("zhao", "second")])
    approval, _ = approve(home, desk.study, desk.roster, unsafe=())
    officer = public_hex(home.officer_key())
    with pytest.raises(SignatureInvalid, match="may not give it"):
        approval.seconded(home.officer_key()).require_second({officer}, where="approval.json")
    path = home.study_folder(digest(desk.study)) / "approval.json"
    path.write_text(approval.seconded(home.officer_key()).model_dump_json(), encoding="utf-8")
    with pytest.raises(NotApproved, match="may not give it"):
        approved(home, digest(desk.study))
    other = approval.model_copy(update={"day": date(2026, 3, 2)}).seconded(key("zhao"))
    path.write_text(approval.model_copy(update={"second": other.second}).model_dump_json(), encoding="utf-8")
    with pytest.raises(NotApproved, match="signature does not match"):
        approved(home, digest(desk.study))


def amended(first: Study) -> Study:
    return study(('id = "small"', f'id = "small-2"\namends = "{digest(first)}"'), text=SMALL)


def test_an_amendment_inherits_what_was_spent_and_ends_the_study_that_it_amends(desk: Desk) -> None:
    home, second = desk.home, amended(desk.study)
    approve(home, desk.study, desk.roster, unsafe=(CLEAR_SUM,))
    found = approved(home, digest(desk.study))
    with home.ledger() as ledger:
        ledger.debit(debit_of(found, found.plan.releases[0], 1), reserve=True)
    spent = inherited(home, second)
    assert spent == found.plan.releases[0].price(1)
    # one study may have epsilon 5: the amendment's own 4 and what was spent pass that together
    assert accounting.epsilon_of(spent + found.plan.price(), 1e-6) > 5
    with pytest.raises(PolicyForbids, match="one study may have 5"):
        examine(desk.under(limits={"epsilon": 5.0}), second, desk.roster, unsafe=())
    home = desk.under()
    approve(home, second, desk.roster, unsafe=())
    with pytest.raises(NotApproved):
        approved(home, digest(desk.study))
    with pytest.raises(StudyClosed):
        approve(home, desk.study, desk.roster, unsafe=(CLEAR_SUM,))
    third = study(('id = "small"', f'id = "small-3"\namends = "{digest(second)}"'), text=SMALL)
    assert amended_by(home, third) == (
        digest(second), digest(desk.study),
    )  # fmt: skip


def test_a_study_without_an_amendment_has_the_hash_that_it_always_had() -> None:
    assert "amends" not in study(text=SMALL).study.model_dump()
