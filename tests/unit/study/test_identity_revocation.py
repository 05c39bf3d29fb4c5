"""The revocation list: the authority's own, whole, newest and in its time, or nobody is believed."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from fedvalue.errors import (
    AuthorityUnknown,
    CertificateExpired,
    CertificateNotOnRoster,
    CertificateRevoked,
    ClockSkewed,
    FedValueError,
    RevocationListInvalid,
    RevocationListStale,
)
from fedvalue.study.identity.authority import Authority, issue_revocations
from fedvalue.study.identity.clock import TOLERANCE, require_later, require_same_time
from fedvalue.study.identity.revocation import RevocationList, lapsed, read_revocations
from fedvalue.study.identity.signed_roster import load_signed_roster
from fedvalue.study.roster import Roster
from tests.agreement import key, roster, site
from tests.identity_desk import (
    AUTHORITY_LAST,
    DAY,
    DUE,
    ISSUED,
    LAST,
    NOW,
    SECOND,
    authority,
    clock,
    revocations,
    roster_file,
    roster_text,
)


@pytest.fixture(scope="module")
def ours() -> Authority:
    return authority()


@pytest.fixture(scope="module")
def certified(ours: Authority, tmp_path_factory: pytest.TempPathFactory) -> Roster:
    path = roster_file(tmp_path_factory.mktemp("roster"), roster_text(ours))
    return load_signed_roster(path, ours.trust, revocations(ours), clock)


def read(data: bytes, ours: Authority, now: datetime = NOW, least: int = 0) -> RevocationList:
    return read_revocations(data, ours.trust, now, where="list", least=least)


def listed(by: Authority, *serials: str, number: int = 7) -> bytes:
    return issue_revocations(by, serials, number=number, issued=ISSUED, due=DUE)


def builder(by: Authority) -> x509.CertificateRevocationListBuilder:
    """A list that is right but for what a test adds to it."""
    return (
        x509.CertificateRevocationListBuilder()
        .issuer_name(by.trust.certificate.subject)
        .last_update(ISSUED)
        .next_update(DUE)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(by.key.public_key()), critical=False
        )
    )


def test_a_list_is_read_back_and_an_empty_one_is_a_list(ours: Authority) -> None:
    found = read(listed(ours, "ff", "1a", "ff"), ours)
    assert (found.number, found.issued, found.due) == (7, ISSUED, DUE)
    assert found.serials == {"ff", "1a"}
    assert found.authority == ours.trust.fingerprint
    assert read(listed(ours), ours).serials == frozenset()


def test_a_list_is_stale_one_second_after_its_date(ours: Authority) -> None:
    data = listed(ours)
    assert read(data, ours, DUE).number == 7
    with pytest.raises(RevocationListStale) as refused:
        read(data, ours, DUE + SECOND)
    assert refused.value.code == "revocation_list_stale"
    held = read(data, ours)  # read in its time, and relied on later
    with pytest.raises(RevocationListStale):
        held.require_current(DUE + SECOND)


def test_a_list_older_than_one_seen_here_is_refused(ours: Authority) -> None:
    assert read(listed(ours, number=8), ours, least=8).number == 8
    with pytest.raises(RevocationListStale, match="older than list 8"):
        read(listed(ours, number=7), ours, least=8)


def test_a_list_of_another_authority_is_refused_be_it_of_the_same_name(ours: Authority) -> None:
    for other in (authority(secret="another"), authority(name="Another", secret="another")):
        with pytest.raises(AuthorityUnknown) as refused:
            read(listed(other), ours)
    assert refused.value.code == "authority_unknown"


def test_a_list_that_only_claims_the_authority_is_refused(ours: Authority) -> None:
    forged = builder(ours).add_extension(x509.CRLNumber(9), critical=False).sign(key("mallory"), None)
    with pytest.raises(RevocationListInvalid) as refused:
        read(forged.public_bytes(Encoding.DER), ours)
    assert refused.value.code == "revocation_list_invalid"


def test_every_changed_byte_is_refused_as_ours(ours: Authority) -> None:
    der = x509.load_pem_x509_crl(listed(ours, "ff")).public_bytes(Encoding.DER)
    for place in range(len(der)):
        for flip in (0x01, 0x80):
            changed = der[:place] + bytes([der[place] ^ flip]) + der[place + 1 :]
            with pytest.raises(FedValueError):
                read(changed, ours)


@pytest.mark.parametrize("data", [b"", b"no list", b"-----BEGIN X509 CRL-----\n"])
def test_what_is_no_list_is_refused_as_ours(data: bytes, ours: Authority) -> None:
    with pytest.raises(RevocationListInvalid):
        read(data, ours)


def test_a_list_of_changes_or_of_some_certificates_only_is_refused(ours: Authority) -> None:
    part = x509.IssuingDistributionPoint(None, None, True, False, None, False, False)
    plain = builder(ours).add_extension(x509.CRLNumber(9), critical=False)
    entry = x509.RevokedCertificateBuilder().serial_number(5).revocation_date(ISSUED)
    removed = entry.add_extension(x509.CRLReason(x509.ReasonFlags.remove_from_crl), critical=False)
    for forged in (
        builder(ours),
        plain.add_extension(x509.DeltaCRLIndicator(8), critical=True),
        plain.add_extension(part, critical=True),
        plain.add_revoked_certificate(removed.build()),
    ):
        with pytest.raises(RevocationListInvalid):
            read(forged.sign(ours.key, None).public_bytes(Encoding.DER), ours)
    whole = plain.add_revoked_certificate(entry.build()).sign(ours.key, None)
    assert read(whole.public_bytes(Encoding.DER), ours).serials == {"5"}


def test_a_list_is_not_read_after_the_authoritys_own_last_second(ours: Authority) -> None:
    data = issue_revocations(ours, (), number=1, issued=NOW, due=AUTHORITY_LAST + 2 * DAY)
    with pytest.raises(CertificateExpired):
        read(data, ours, AUTHORITY_LAST + SECOND)


@pytest.mark.parametrize(
    ("serials", "number", "due"),
    [(("zz",), 1, DUE), (("0",), 1, DUE), (("f" * 41,), 1, DUE), ((), -1, DUE), ((), 1, ISSUED)],
)
def test_what_no_list_can_say_is_not_issued(
    serials: tuple[str, ...], number: int, due: datetime, ours: Authority
) -> None:
    with pytest.raises(RevocationListInvalid):
        issue_revocations(ours, serials, number=number, issued=ISSUED, due=due)


# ---- clocks ----------------------------------------------------------------------------------------------


def test_a_clock_behind_what_was_signed_is_refused(ours: Authority) -> None:
    data = listed(ours)
    assert read(data, ours, ISSUED - TOLERANCE).number == 7
    with pytest.raises(ClockSkewed) as refused:
        read(data, ours, ISSUED - TOLERANCE - SECOND)
    assert refused.value.code == "clock_skewed"


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_live_message_is_refused_when_two_clocks_differ_either_way(sign: int) -> None:
    require_same_time(NOW, NOW + sign * TOLERANCE, where="message")
    with pytest.raises(ClockSkewed):
        require_same_time(NOW, NOW + sign * (TOLERANCE + SECOND), where="message")


def test_a_time_without_its_zone_is_no_time() -> None:
    bare = NOW.replace(tzinfo=None)
    for ours, theirs in ((bare, NOW), (NOW, bare)):
        with pytest.raises(ClockSkewed):
            require_same_time(ours, theirs, where="message")
        with pytest.raises(ClockSkewed):
            require_later(ours, theirs, where="message")


# ---- who has lapsed since the approval -------------------------------------------------------------------


def test_a_site_that_was_revoked_after_the_approval_counts_as_dropped(
    ours: Authority, certified: Roster
) -> None:
    assert lapsed(certified, revocations(ours), NOW) == frozenset()
    assert lapsed(certified, revocations(ours, "s02", "s09"), NOW) == {"s02"}


def test_sites_whose_certificates_have_expired_count_as_dropped(ours: Authority, certified: Roster) -> None:
    fresh = revocations(ours, due=LAST + DAY)
    assert lapsed(certified, fresh, LAST) == frozenset()
    assert lapsed(certified, fresh, LAST + timedelta(microseconds=1)) == {"s01", "s02", "s03"}


def test_who_has_lapsed_is_not_said_from_a_stale_or_foreign_list(ours: Authority, certified: Roster) -> None:
    with pytest.raises(RevocationListStale):
        lapsed(certified, revocations(ours), DUE + SECOND)
    with pytest.raises(AuthorityUnknown):
        lapsed(certified, revocations(authority(secret="another")), NOW)
    with pytest.raises(AuthorityUnknown):
        lapsed(roster(3), revocations(ours), NOW)


def test_one_site_in_good_standing_is_told_from_one_that_is_not(ours: Authority, certified: Roster) -> None:
    entry = certified.site[0]
    revocations(ours).require_standing(entry, NOW)
    with pytest.raises(CertificateRevoked, match="s01"):
        revocations(ours, "s01").require_standing(entry, NOW)
    with pytest.raises(CertificateNotOnRoster):
        revocations(ours).require_standing(site("s01"), NOW)
