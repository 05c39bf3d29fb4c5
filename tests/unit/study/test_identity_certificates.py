"""Certificates: what the authority issued is believed in its time, and nothing else ever is."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fedvalue.errors import (
    AuthorityUnknown,
    CertificateExpired,
    CertificateInvalid,
    CertificateNotOnRoster,
    CertificateNotYetValid,
    CertificateRevoked,
    ClockSkewed,
    FedValueError,
    IdentityKeyDiffers,
    KeyWeak,
    RevocationListStale,
    SiteNameDiffers,
    SiteNotOnRoster,
)
from fedvalue.study.identity.authority import Authority, issue_site_certificate
from fedvalue.study.identity.certificate import (
    authority_usage,
    read_authority,
    read_site_certificate,
    site_usage,
)
from fedvalue.study.identity.names import site_name
from fedvalue.study.identity.presented import verify_presented
from fedvalue.study.identity.request import CertificateRequest
from fedvalue.study.identity.signed_roster import load_signed_roster
from fedvalue.study.identity.sound_key import require_sound_key
from fedvalue.study.roster import Roster, Site
from fedvalue.study.signature import public_hex
from tests.agreement import key, site
from tests.identity_desk import (
    AUTHORITY_FIRST,
    AUTHORITY_LAST,
    DUE,
    FIRST,
    LAST,
    NOW,
    SECOND,
    Forgery,
    authority,
    certificate,
    clock,
    request,
    revocations,
    roster_file,
    roster_text,
    serial,
)


@pytest.fixture(scope="module")
def ours() -> Authority:
    return authority()


@pytest.fixture(scope="module")
def roster(ours: Authority, tmp_path_factory: pytest.TempPathFactory) -> Roster:
    path = roster_file(tmp_path_factory.mktemp("roster"), roster_text(ours))
    return load_signed_roster(path, ours.trust, revocations(ours), clock)


def present(data: bytes, roster: Roster, ours: Authority, now: datetime = NOW) -> Site:
    # a list that is fresh whenever it is asked, so that only the certificate's own dates are tried
    fresh = revocations(ours, issued=min(now, NOW), due=max(now, NOW) + SECOND)
    return verify_presented(data, roster, ours.trust, fresh, now, where="presented")


def public(name: str = "site s01") -> Ed25519PublicKey:
    return key(name).public_key()


# ---- what is issued --------------------------------------------------------------------------------------


def test_what_the_authority_issued_is_read_back(ours: Authority, roster: Roster) -> None:
    pem = certificate("s01", ours)
    held = read_site_certificate(pem, ours.trust, where="s01")
    assert (held.site, held.entity, held.operator) == ("s01", "Hospital s01", "Hospital s01")
    assert (held.public_key, held.serial) == (site("s01").public_key, f"{serial('s01'):x}")
    assert (held.valid_from, held.valid_until) == (FIRST, LAST)
    der = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    assert present(pem, roster, ours) == present(der, roster, ours) == roster.get("s01")


def test_names_of_any_script_and_of_unusual_length_are_carried(ours: Authority) -> None:
    long = "Universitätsklinikum " + "x" * 100
    card = site("s01").model_copy(update={"entity": "第一人民医院, 肿瘤科", "operator": long})
    asked = CertificateRequest.signed(card, key("site s01"))
    pem = issue_site_certificate(ours, asked, serial=5, valid_from=FIRST, valid_until=LAST)
    read_site_certificate(pem, ours.trust, where="s01").require_site(card)


@pytest.mark.parametrize(
    "name", ["", " ", "Two  spaces", " lead", "new\nline", "\u202eevil", "\u200b", "x" * 201]
)
@pytest.mark.parametrize("what", ["entity", "operator"])
def test_a_name_that_people_cannot_read_as_it_is_gets_no_certificate(
    what: str, name: str, ours: Authority
) -> None:
    asked = CertificateRequest.signed(site("s01").model_copy(update={what: name}), key("site s01"))
    with pytest.raises(CertificateInvalid):
        issue_site_certificate(ours, asked, serial=5, valid_from=FIRST, valid_until=LAST)


@pytest.mark.parametrize("number", [0, -1, 1 << 159])
def test_a_serial_number_out_of_range_is_not_issued(number: int, ours: Authority) -> None:
    with pytest.raises(CertificateInvalid, match="serial"):
        issue_site_certificate(ours, request("s01"), serial=number, valid_from=FIRST, valid_until=LAST)


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (LAST, FIRST),
        (FIRST, FIRST),
        (AUTHORITY_FIRST - SECOND, LAST),
        (FIRST, AUTHORITY_LAST + SECOND),
    ],
)
def test_dates_outside_the_authoritys_own_are_not_issued(
    first: datetime, last: datetime, ours: Authority
) -> None:
    with pytest.raises(CertificateInvalid):
        certificate("s01", ours, first=first, last=last)


# ---- who may ask -----------------------------------------------------------------------------------------


def test_nobody_gets_a_certificate_of_another_sites_key(ours: Authority) -> None:
    with pytest.raises(IdentityKeyDiffers):
        CertificateRequest.signed(site("s01"), key("site s02"))
    stolen = site("s02").model_copy(update={"public_key": site("s01").public_key})
    forged = request("s01").model_copy(update={"site": stolen})
    other = request("s02").model_copy(update={"site": stolen})
    for asked in (forged, other):
        with pytest.raises(IdentityKeyDiffers):
            issue_site_certificate(ours, asked, serial=5, valid_from=FIRST, valid_until=LAST)


def test_a_signature_for_another_purpose_asks_for_no_certificate(ours: Authority) -> None:
    asked = request("s01")
    reused = asked.model_copy(update={"signature": asked.signature.model_copy(update={"role": "site"})})
    with pytest.raises(IdentityKeyDiffers, match="another purpose"):
        issue_site_certificate(ours, reused, serial=5, valid_from=FIRST, valid_until=LAST)


# ---- its time --------------------------------------------------------------------------------------------


def test_a_certificate_is_good_on_its_first_and_last_second(ours: Authority, roster: Roster) -> None:
    pem = certificate("s01", ours)
    assert present(pem, roster, ours, FIRST).id == present(pem, roster, ours, LAST).id == "s01"


def test_a_certificate_expired_by_one_second_is_refused(ours: Authority, roster: Roster) -> None:
    pem = certificate("s01", ours)
    for late in (timedelta(microseconds=1), SECOND, timedelta(days=400)):
        with pytest.raises(CertificateExpired) as refused:
            present(pem, roster, ours, LAST + late)
    assert refused.value.code == "certificate_expired"


def test_a_certificate_of_the_future_is_refused(ours: Authority, roster: Roster) -> None:
    with pytest.raises(CertificateNotYetValid) as refused:
        present(certificate("s01", ours), roster, ours, FIRST - SECOND)
    assert refused.value.code == "certificate_not_yet_valid"


def test_the_time_zone_of_the_clock_does_not_matter_and_a_clock_without_one_is_refused(
    ours: Authority, roster: Roster
) -> None:
    east = timezone(timedelta(hours=9))
    pem = certificate("s01", ours)
    assert present(pem, roster, ours, LAST.astimezone(east)).id == "s01"
    with pytest.raises(CertificateExpired):
        present(pem, roster, ours, (LAST + SECOND).astimezone(east))
    with pytest.raises(ClockSkewed, match="no time zone"):
        verify_presented(pem, roster, ours.trust, revocations(ours), NOW.replace(tzinfo=None), where="x")


def test_nothing_counts_after_the_authoritys_own_last_second() -> None:
    brief = authority(last=LAST)
    path_free = Roster(site=(site("s01"),))
    listed = revocations(brief, due=LAST + 2 * SECOND)
    with pytest.raises(CertificateExpired, match="authority"):
        verify_presented(certificate("s01", brief), path_free, brief.trust, listed, LAST + SECOND, where="x")


# ---- revoked ---------------------------------------------------------------------------------------------


def test_a_revoked_certificate_is_refused(ours: Authority, roster: Roster) -> None:
    listed = revocations(ours, "s01")
    with pytest.raises(CertificateRevoked) as refused:
        verify_presented(certificate("s01", ours), roster, ours.trust, listed, NOW, where="x")
    assert refused.value.code == "certificate_revoked"
    assert verify_presented(certificate("s02", ours), roster, ours.trust, listed, NOW, where="x").id == "s02"


def test_without_a_current_list_nobody_is_believed(ours: Authority, roster: Roster) -> None:
    with pytest.raises(RevocationListStale):
        verify_presented(
            certificate("s01", ours), roster, ours.trust, revocations(ours), DUE + SECOND, where="x"
        )
    strangers = revocations(authority(secret="other"))
    with pytest.raises(AuthorityUnknown):
        verify_presented(certificate("s01", ours), roster, ours.trust, strangers, NOW, where="x")


# ---- forged ----------------------------------------------------------------------------------------------


def test_every_changed_byte_is_refused_as_ours(ours: Authority, roster: Roster) -> None:
    der = x509.load_pem_x509_certificate(certificate("s01", ours)).public_bytes(Encoding.DER)
    for place in range(len(der)):
        for flip in (0x01, 0x80):
            changed = der[:place] + bytes([der[place] ^ flip]) + der[place + 1 :]
            with pytest.raises(FedValueError):
                read_site_certificate(changed, ours.trust, where="changed")


@pytest.mark.parametrize("data", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\n", b"0" * 2_000_000])
def test_what_is_no_certificate_is_refused_as_ours(data: bytes, ours: Authority) -> None:
    with pytest.raises(CertificateInvalid):
        read_site_certificate(data, ours.trust, where="x")
    with pytest.raises(CertificateInvalid):
        read_authority(data, where="x")


def test_a_certificate_has_one_spelling(ours: Authority) -> None:
    pem = certificate("s01", ours)
    der = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    for data in (pem + certificate("s02", ours), der + b"\x00"):
        with pytest.raises(CertificateInvalid):
            read_site_certificate(data, ours.trust, where="x")


def test_an_authority_of_the_same_name_is_another_authority(ours: Authority, roster: Roster) -> None:
    twin = authority(secret="another key")
    assert twin.trust.certificate.subject == ours.trust.certificate.subject
    with pytest.raises(AuthorityUnknown) as refused:
        present(certificate("s01", twin), roster, ours)
    assert refused.value.code == "authority_unknown"
    with pytest.raises(AuthorityUnknown):
        present(certificate("s01", authority(name="Another", secret="another key")), roster, ours)


def test_claiming_the_right_authority_without_its_signature_gains_nothing(
    ours: Authority, roster: Roster
) -> None:
    for signer in (key("site s01"), key("another key"), ec.generate_private_key(ec.SECP256R1())):
        with pytest.raises(CertificateInvalid):
            present(Forgery(ours, public(), signer=signer).der(), roster, ours)


@pytest.mark.parametrize(
    "other",
    [
        rsa.generate_private_key(65537, 2048),
        ec.generate_private_key(ec.SECP256R1()),
        ed448.Ed448PrivateKey.generate(),
    ],
    ids=["RSA", "EC", "Ed448"],
)
def test_keys_of_another_kind_are_refused(
    other: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey,
    ours: Authority,
    roster: Roster,
) -> None:
    with pytest.raises(CertificateInvalid, match="another kind of key"):
        present(Forgery(ours, other.public_key()).der(), roster, ours)


def test_a_certificate_for_another_use_is_refused(ours: Authority, roster: Roster) -> None:
    forgeries = {
        "authority": Forgery(ours, public(), ca=True),
        "authority with its usage": Forgery(ours, public(), ca=True, usage=authority_usage()),
        "issues": Forgery(ours, public(), usage=authority_usage()),
        "TLS": Forgery(ours, public(), use=ExtendedKeyUsageOID.SERVER_AUTH),
        "any use": Forgery(ours, public(), use=ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE),
        "no use": Forgery(ours, public(), use=None),
        "unknown and critical": Forgery(
            ours, public(), extra=(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"0"), True)
        ),
        "alternative name": Forgery(
            ours, public(), extra=(x509.SubjectAlternativeName([x509.DNSName("s02")]), False)
        ),
        "another issuer's key": Forgery(ours, public(), issuer_key=key("another key")),
    }
    kinds = {}
    for what, forgery in forgeries.items():
        with pytest.raises(FedValueError) as refused:
            present(forgery.der(), roster, ours)
        kinds[what] = refused.value.code
    assert kinds == dict.fromkeys(forgeries, "certificate_invalid") | {
        "another issuer's key": "authority_unknown"
    }
    # the same by the same hand and without a fault passes, so that each fault above is what was refused
    assert read_site_certificate(Forgery(ours, public()).der(), ours.trust, where="x").site == "s01"


@pytest.mark.parametrize(
    "parts",
    [
        [(NameOID.COMMON_NAME, "s01")],
        [
            (NameOID.COMMON_NAME, "s01"),
            (NameOID.ORGANIZATIONAL_UNIT_NAME, "x"),
            (NameOID.ORGANIZATION_NAME, "y"),
        ],
        [
            (NameOID.COMMON_NAME, "s02"),
            (NameOID.COMMON_NAME, "s01"),
            (NameOID.ORGANIZATION_NAME, "x"),
            (NameOID.ORGANIZATIONAL_UNIT_NAME, "y"),
        ],
    ],
)
def test_a_subject_says_three_things_once_each(
    parts: list[tuple[x509.ObjectIdentifier, str]], ours: Authority
) -> None:
    subject = x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])
    with pytest.raises(CertificateInvalid):
        read_site_certificate(Forgery(ours, public(), subject=subject).der(), ours.trust, where="x")


def test_a_site_cannot_issue_a_certificate_for_another(ours: Authority, roster: Roster) -> None:
    chained = Forgery(ours, public("mallory"), signer=key("site s01"), issuer_key=key("site s01"))
    with pytest.raises(AuthorityUnknown):
        present(chained.der(), roster, ours)


# ---- names and keys against the roster -------------------------------------------------------------------


def test_a_genuine_certificate_that_the_roster_does_not_name_speaks_for_nobody(
    ours: Authority, roster: Roster
) -> None:
    with pytest.raises(SiteNotOnRoster):  # a sybil
        present(certificate("s09", ours), roster, ours)
    with pytest.raises(CertificateNotOnRoster) as refused:  # minted once more for a site that is there
        present(certificate("s01", ours, number=99), roster, ours)
    assert refused.value.code == "certificate_not_on_roster"


@pytest.mark.parametrize(
    ("subject", "refusal"),
    [
        (("s02", "Hospital s02", "Hospital s02"), IdentityKeyDiffers),
        (("s02", "Hospital s01", "Hospital s01"), SiteNameDiffers),
        (("s01", "Hospital s02", "Hospital s01"), SiteNameDiffers),
        (("s01", "Hospital s01", "Somebody"), SiteNameDiffers),
        (("../s01", "Hospital s01", "Hospital s01"), SiteNotOnRoster),
    ],
)
def test_a_certificate_under_another_name_or_with_swapped_keys_is_refused(
    subject: tuple[str, str, str], refusal: type[FedValueError], ours: Authority, roster: Roster
) -> None:
    with pytest.raises(refusal):
        present(Forgery(ours, public(), subject=site_name(*subject)).der(), roster, ours)


# ---- weak keys -------------------------------------------------------------------------------------------

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P


def doubled(x: int, y: int) -> tuple[int, int]:
    """Affine doubling on edwards25519 (RFC 8032, section 5.1.4), the slow obvious way."""
    product = D * x * x * y * y
    return 2 * x * y * pow(1 + product, -1, P) % P, (y * y + x * x) * pow(1 - product, -1, P) % P


def root(square: int) -> int:
    found = pow(square, (P + 3) // 8, P)
    return found if found * found % P == square % P else found * pow(2, (P - 1) // 4, P) % P


def test_the_keys_of_low_order_are_all_refused_in_every_spelling() -> None:
    order_8 = (
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    )
    ys = {0, 1, P - 1, *(int.from_bytes(bytes.fromhex(text), "little") for text in order_8)}
    for y in ys:
        point = (root((y * y - 1) * pow(D * y * y + 1, -1, P) % P), y)
        assert doubled(*doubled(*doubled(*point))) == (0, 1)  # eight times the point is the neutral element
        for spelling in (y, y + P):
            for sign in (0, 1 << 255):
                if spelling < 1 << 255:
                    with pytest.raises(KeyWeak):
                        require_sound_key((spelling + sign).to_bytes(32, "little").hex(), where="x")


def test_what_is_no_point_of_the_curve_or_no_key_is_refused() -> None:
    refused = 0
    for y in range(2, 102):
        try:
            require_sound_key(y.to_bytes(32, "little").hex(), where="x")
        except KeyWeak:
            refused += 1
    assert 30 < refused < 70  # about every other y is on no point
    for text in ("", "00", "zz" * 32, "ff" * 32):
        with pytest.raises(KeyWeak):
            require_sound_key(text, where="x")


def test_every_key_that_is_made_is_sound() -> None:
    for number in range(50):
        text = public_hex(key(str(number)))
        assert require_sound_key(text, where="x") == text


def test_a_weak_key_is_never_certified_and_never_believed(ours: Authority, roster: Roster) -> None:
    weak = (1).to_bytes(32, "little")
    card = site("s01").model_copy(update={"public_key": weak.hex()})
    asked = request("s01").model_copy(update={"site": card})
    with pytest.raises(KeyWeak):
        issue_site_certificate(ours, asked, serial=5, valid_from=FIRST, valid_until=LAST)
    with pytest.raises(KeyWeak):
        present(Forgery(ours, Ed25519PublicKey.from_public_bytes(weak)).der(), roster, ours)


def test_the_usages_are_one_each() -> None:
    assert site_usage().digital_signature
    assert not site_usage().key_cert_sign
    assert authority_usage().key_cert_sign
    assert not authority_usage().digital_signature
