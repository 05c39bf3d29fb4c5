"""Approvals: an officer's yes to exactly this study, roster and policy, and to rows that stay the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fedvalue.client.governance.approvals import approve, approved, examine, withdraw
from fedvalue.client.governance.policy import load_policy
from fedvalue.client.home import SiteHome, write_atomically
from fedvalue.client.records.snapshot import snapshot_path
from fedvalue.errors import (
    GovernanceIncomplete,
    NotApproved,
    OutsideValidity,
    PolicyForbids,
    RecordsError,
    Refusal,
    RosterMismatch,
    StudyChanged,
    TooFewSites,
)
from fedvalue.study.approval import CLEAR_SUM, NO_NOISE, SIMULATION, Approval
from fedvalue.study.file import canonical, digest
from fedvalue.study.roster import Roster
from fedvalue.study.signature import public_hex
from tests.agreement import SMALL, key, site, study
from tests.federation import FIVE, Hospitals, load_records, make_home, make_hospitals

OTHER = study(('"Dr. Example"', '"Dr. Other"'), ("min_sites = 3", "min_sites = 5"), text=SMALL)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Hospitals:
    return make_hospitals(tmp_path_factory.mktemp("approvals") / "homes")


@pytest.fixture
def hospitals(template: Hospitals, tmp_path: Path) -> Hospitals:
    return template.copy(tmp_path / "homes")


@pytest.fixture
def home(hospitals: Hospitals) -> SiteHome:
    return hospitals.home("s01")


@pytest.fixture
def folder(home: SiteHome) -> Path:
    """Folder of the approved study."""
    return home.study_folder(digest(FIVE))


def test_an_approval_names_study_roster_thresholds_policy_and_what_is_unsafe(
    hospitals: Hospitals, home: SiteHome, folder: Path
) -> None:
    approval = Approval.model_validate_json((folder / "approval.json").read_bytes())
    approval.verify(where="s01", officer_key=public_hex(home.officer_key()))
    assert approval.site == "s01"
    assert approval.study_hash == digest(FIVE)
    assert approval.roster_hash == hospitals.roster.digest()
    assert (approval.sites, approval.answers, approval.colluding) == (5, 4, 1)
    assert approval.policy_hash == home.policy.digest()
    assert approval.unsafe == (CLEAR_SUM, SIMULATION)
    assert str(approval.day) == "2026-03-01"


def test_an_approved_study_reads_back_with_the_plan_that_the_site_computes(
    hospitals: Hospitals, home: SiteHome
) -> None:
    found = approved(home, digest(FIVE))
    assert found.study == FIVE
    assert found.roster == hospitals.roster
    assert found.plan == hospitals.plan
    assert found.cohort(home).patients == 40


def test_an_approval_says_nothing_of_patients(hospitals: Hospitals, home: SiteHome, folder: Path) -> None:
    # the same officer, study and day over other patients: the same bytes
    before = (folder / "approval.json").read_bytes()
    rows = (folder / "frozen.json").read_bytes()
    (folder / "approval.json").unlink()
    snapshot_path(folder, digest(FIVE)).unlink()
    load_records(home, 7, seed=1)
    approve(home, FIVE, hospitals.roster, unsafe=(CLEAR_SUM,))
    assert (folder / "frozen.json").read_bytes() != rows
    assert (folder / "approval.json").read_bytes() == before


@pytest.mark.parametrize("field", ["public_key", "officer_key", "entity", "operator"])
def test_a_roster_with_another_card_of_this_site_is_refused(
    hospitals: Hospitals, home: SiteHome, field: str
) -> None:
    sites = [s.model_copy(update={field: "0" * 64}) if s.id == "s01" else s for s in hospitals.roster.site]
    with pytest.raises(RosterMismatch, match="is not this site's card"):
        examine(home, FIVE, Roster(site=tuple(sites)), unsafe=(CLEAR_SUM,))


def test_a_roster_without_this_site_is_refused(hospitals: Hospitals, home: SiteHome) -> None:
    others = (*hospitals.roster.site[1:], site("s99"))
    with pytest.raises(RosterMismatch):
        examine(home, FIVE, Roster(site=others), unsafe=(CLEAR_SUM,))


def test_an_incomplete_study_is_refused_with_the_lines_that_are_missing(
    hospitals: Hospitals, home: SiteHome
) -> None:
    with pytest.raises(GovernanceIncomplete, match="retention"):
        examine(home, study(("retention", "# retention")), hospitals.roster, unsafe=(CLEAR_SUM,))


def test_a_study_that_is_over_is_refused_and_one_that_is_to_come_is_not(
    hospitals: Hospitals, home: SiteHome
) -> None:
    over, early = datetime(2027, 1, 1, tzinfo=UTC), datetime(2025, 12, 31, tzinfo=UTC)
    with pytest.raises(OutsideValidity, match="the study ended on 2026-12-31"):
        examine(hospitals.home("s01", lambda: over), FIVE, hospitals.roster, unsafe=(CLEAR_SUM,))
    examine(hospitals.home("s01", lambda: early), FIVE, hospitals.roster, unsafe=(CLEAR_SUM,))


def test_a_study_that_the_policy_forbids_or_the_roster_cannot_carry_is_refused(
    hospitals: Hospitals, home: SiteHome
) -> None:
    narrow = SiteHome(home.folder, home.policy.model_copy(update={"unsafe": ()}), home.clock)
    with pytest.raises(PolicyForbids):
        examine(narrow, FIVE, hospitals.roster, unsafe=(CLEAR_SUM,))
    six = study(("min_sites = 3", "min_sites = 6"), text=SMALL)
    with pytest.raises(TooFewSites):
        examine(home, six, hospitals.roster, unsafe=(CLEAR_SUM,))


def test_a_refused_study_leaves_no_trace_of_an_approval(hospitals: Hospitals, home: SiteHome) -> None:
    with pytest.raises(RecordsError):  # the records lack what this study reads
        approve(home, study(), hospitals.roster, unsafe=(CLEAR_SUM,))
    with pytest.raises(NotApproved):
        approved(home, digest(study()))


def test_a_second_approval_keeps_the_rows_of_the_first(hospitals: Hospitals, home: SiteHome) -> None:
    before = approved(home, digest(FIVE)).cohort(home)
    load_records(home, 90, seed=1)
    approve(home, FIVE, hospitals.roster, unsafe=(CLEAR_SUM, NO_NOISE))
    again = approved(home, digest(FIVE))
    assert again.approval.unsafe == (CLEAR_SUM, NO_NOISE, SIMULATION)
    assert again.plan.exact
    assert again.cohort(home).patients == before.patients == 40


def test_the_audit_log_says_that_a_study_was_approved(home: SiteHome) -> None:
    text = home.audit_file.read_text(encoding="utf-8")
    assert '"event":"approved"' in text
    assert digest(FIVE) in text


def rewrite(name: str, old: bytes, new: bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        data = (folder / name).read_bytes()
        assert data.count(old) == 1
        (folder / name).write_bytes(data.replace(old, new))

    return change


CHANGED: dict[str, tuple[Callable[[Path], None], type[Refusal]]] = {
    "no approval": (lambda f: (f / "approval.json").unlink(), NotApproved),
    "no study": (lambda f: (f / "study.json").unlink(), NotApproved),
    "no roster": (lambda f: (f / "roster.json").unlink(), NotApproved),
    "an approval that does not parse": (lambda f: write_atomically(f / "approval.json", b"{}"), StudyChanged),
    "a study that does not parse": (lambda f: write_atomically(f / "study.json", b"\xff"), StudyChanged),
    "a roster that does not parse": (lambda f: write_atomically(f / "roster.json", b"[]"), StudyChanged),
    "another study": (lambda f: write_atomically(f / "study.json", canonical(OTHER)), StudyChanged),
    "the study with a larger epsilon": (rewrite("study.json", b'"epsilon":4', b'"epsilon":5'), StudyChanged),
    "the study in another form": (rewrite("study.json", b'"epsilon":4,', b'"epsilon":4.0,'), StudyChanged),
    "a roster with another operator": (
        rewrite("roster.json", b'"operator":"Hospital s03"', b'"operator":"somebody"'),
        RosterMismatch,
    ),
    "an approval by fewer": (rewrite("approval.json", b'"answers":4', b'"answers":3'), NotApproved),
    "an approval of everything": (rewrite("approval.json", b'["clear_sum",', b'["no_noise",'), NotApproved),
    "an approval without signature": (
        lambda f: write_atomically(
            f / "approval.json",
            Approval.model_validate_json((f / "approval.json").read_bytes())
            .model_copy(update={"signature": None})
            .model_dump_json()
            .encode(),
        ),
        NotApproved,
    ),
    "an approval by somebody else": (
        lambda f: write_atomically(
            f / "approval.json",
            Approval.model_validate_json((f / "approval.json").read_bytes())
            .signed(key("somebody"))
            .model_dump_json()
            .encode(),
        ),
        NotApproved,
    ),
}


@pytest.mark.parametrize("name", CHANGED)
def test_an_approval_no_longer_holds_with(name: str, home: SiteHome, folder: Path) -> None:
    change, refusal = CHANGED[name]
    change(folder)
    with pytest.raises(refusal):
        approved(home, digest(FIVE))


def test_an_approval_does_not_hold_for_another_study_s_name(home: SiteHome, folder: Path) -> None:
    folder.rename(home.study_folder(digest(OTHER)))
    with pytest.raises(StudyChanged):
        approved(home, digest(OTHER))


@pytest.mark.parametrize("name", ["", "..", "../../s02", "\0", "x" * 5000, "AB" * 32, "/etc"])
def test_a_name_that_is_no_hash_is_never_a_path(home: SiteHome, name: str) -> None:
    with pytest.raises(NotApproved, match="this is no hash"):
        approved(home, name)


def test_after_a_changed_policy_the_study_is_approved_again_or_not_answered(
    hospitals: Hospitals, home: SiteHome
) -> None:
    text = home.policy_file.read_text(encoding="utf-8")
    home.policy_file.write_text(text.replace('"no_noise", ', ""), encoding="utf-8")
    changed = SiteHome(home.folder, load_policy(home.policy_file), home.clock)
    with pytest.raises(PolicyForbids, match="the policy changed after the approval"):
        approved(changed, digest(FIVE))
    approve(changed, FIVE, hospitals.roster, unsafe=(CLEAR_SUM,))
    assert approved(changed, digest(FIVE)).plan == hospitals.plan


def test_rows_that_the_officer_did_not_freeze_are_not_read(
    hospitals: Hospitals, home: SiteHome, folder: Path, tmp_path: Path
) -> None:
    # another cohort of the same study, whole and consistent in itself
    twin = make_home(tmp_path / "twin", "s01", patients=50)
    roster = Roster(site=(twin.card(), *hospitals.roster.site[1:]))
    approve(twin, FIVE, roster, unsafe=(CLEAR_SUM,))
    rows = snapshot_path(twin.study_folder(digest(FIVE)), digest(FIVE)).read_bytes()
    snapshot_path(folder, digest(FIVE)).write_bytes(rows)
    with pytest.raises(RecordsError, match="not the one that was approved"):
        approved(home, digest(FIVE)).cohort(home)


def test_a_withdrawn_approval_stops_the_site_and_takes_the_frozen_rows_along(
    home: SiteHome, folder: Path
) -> None:
    study_hash = digest(FIVE)
    assert withdraw(home, study_hash)
    assert not snapshot_path(folder, study_hash).exists()
    with pytest.raises(NotApproved):
        approved(home, study_hash)
    with pytest.raises(NotApproved):
        withdraw(home, study_hash)


@pytest.mark.parametrize("name", ["../../etc", "a" * 63, "A" * 64, ""])
def test_only_a_study_hash_can_be_withdrawn(home: SiteHome, name: str) -> None:
    with pytest.raises(NotApproved):
        withdraw(home, name)
