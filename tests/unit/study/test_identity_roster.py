"""The signed roster: the authority's words, letter by letter, and an authority that keeps its key."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from pydantic import ValidationError

from fedvalue.errors import (
    AuthorityUnknown,
    CertificateExpired,
    CertificateInvalid,
    CertificateNotOnRoster,
    CertificateRevoked,
    ClockSkewed,
    FedValueError,
    IdentityKeyDiffers,
    OutputError,
    PassphraseWrong,
    RevocationListStale,
    RosterUnsigned,
    SiteNameDiffers,
    StudyInvalid,
    SuiteUnknown,
)
from fedvalue.study.identity.authority import (
    CERTIFICATE_FILE,
    KEY_FILE,
    Authority,
    load_authority,
    load_trusted,
    make_authority,
)
from fedvalue.study.identity.certificate import read_authority
from fedvalue.study.identity.clock import TOLERANCE
from fedvalue.study.identity.signed_roster import ROLE, SignedRoster, load_signed_roster, sign_roster
from fedvalue.study.roster import Roster, load_roster
from fedvalue.study.signature import sign
from fedvalue.study.toml import parse_toml
from tests.agreement import key, roster, site, study
from tests.identity_desk import (
    DUE,
    FIRST,
    LAST,
    NOW,
    SECOND,
    authority,
    certificate,
    clock,
    revocations,
    roster_file,
    roster_text,
    serial,
)


@pytest.fixture(scope="module")
def ours() -> Authority:
    return authority()


@pytest.fixture(scope="module")
def text(ours: Authority) -> str:
    return roster_text(ours)


def load(folder: Path, text: str, ours: Authority) -> Roster:
    return load_signed_roster(roster_file(folder, text), ours.trust, revocations(ours), clock)


def signed_again(text: str, ours: Authority, secret: str = "authority", role: str = ROLE) -> str:
    """The roster of ``text`` with a new signature by ``key(secret)``, as an editor would make it."""
    plain = text[: text.index("[signature]")]
    found = parse_toml(
        plain.encode(), SignedRoster, failure=StudyInvalid, what="the roster", where="x", do=""
    )
    signature = sign(found.content(), key(secret), role)
    return found.model_copy(update={"signature": signature}).to_toml()


# ---- signed and read -------------------------------------------------------------------------------------


def test_a_signed_roster_is_read_back(text: str, ours: Authority, tmp_path: Path) -> None:
    found = load(tmp_path, text, ours)
    assert (found.suite, found.authority, found.issued) == ("intl-1", ours.trust.fingerprint, NOW)
    assert [entry.card() for entry in found.site] == list(roster(3).site)
    assert found.site[0].serial == f"{serial('s01'):x}"
    assert found.site[0].valid_until == LAST
    assert found.thresholds(study().federation.model_copy(update={"tolerated_dropouts": 0})).sites == 3


def test_its_hash_covers_everything_that_the_authority_said(
    text: str, ours: Authority, tmp_path: Path
) -> None:
    found = load(tmp_path, text, ours)
    changed = [
        found.model_copy(update={"suite": "other-1"}),
        found.model_copy(update={"authority": "0" * 64}),
        found.model_copy(update={"issued": NOW + SECOND}),
        *(
            found.model_copy(update={"site": (found.site[0].model_copy(update=part), *found.site[1:])})
            for part in ({"fingerprint": "0" * 64}, {"serial": "1"}, {"valid_until": LAST - SECOND})
        ),
        roster(3),
    ]
    assert len({found.digest(), *(other.digest() for other in changed)}) == len(changed) + 1
    assert Roster.model_validate_json(found.model_dump_json()).digest() == found.digest()


def test_a_roster_without_an_authority_keeps_the_hash_that_officers_approved() -> None:
    # The SHA-256 of {"site": [...]} with the five keys of a card, as release 0.1.0 computed it.
    assert roster(6).digest() == "3f4baa38d159cef8222a6d50f9e7f9ba9ee522a2e83d58b68c8d4dbc5acce8ec"


# ---- changed ---------------------------------------------------------------------------------------------


def test_one_changed_byte_anywhere_is_refused(text: str, ours: Authority, tmp_path: Path) -> None:
    raw = text.encode()
    path = tmp_path / "roster.toml"
    listed = revocations(ours)
    for place in range(len(raw)):
        path.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
        with pytest.raises(FedValueError):
            load_signed_roster(path, ours.trust, listed, clock)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[[site]]", "# a comment\n[[site]]"),
        ('operator = "Hospital s01"', 'operator = "Somebody else"'),
        ('operator = "Hospital s01"', 'operator = "\\u0048ospital s01"'),
        ("\n\n", "\n\n\n"),
        ("Z\n", "Z \n"),
    ],
)
def test_an_edited_roster_is_refused_be_it_for_a_space(
    old: str, new: str, text: str, ours: Authority, tmp_path: Path
) -> None:
    with pytest.raises(RosterUnsigned) as refused:
        load(tmp_path, text.replace(old, new, 1), ours)
    assert refused.value.code == "roster_unsigned"


def test_swapped_keys_are_refused(text: str, ours: Authority, tmp_path: Path) -> None:
    one, two = site("s01").public_key, site("s02").public_key
    swapped = text.replace(one, "?").replace(two, one).replace("?", two)
    with pytest.raises(RosterUnsigned):
        load(tmp_path, swapped, ours)


def test_a_line_break_of_another_system_is_a_change(text: str, ours: Authority, tmp_path: Path) -> None:
    with pytest.raises(RosterUnsigned, match="not as the authority wrote it"):
        load(tmp_path, text.replace("\n", "\r\n"), ours)


def test_a_roster_that_nobody_signed_is_refused(text: str, ours: Authority, tmp_path: Path) -> None:
    with pytest.raises(RosterUnsigned, match="no authority has signed"):
        load(tmp_path, text[: text.index("[signature]")], ours)
    plain = "\n".join(part for part in SignedRoster(site=roster(3).site).to_toml().splitlines())
    with pytest.raises(RosterUnsigned, match="no authority has signed"):
        load(tmp_path, plain, ours)


def test_a_roster_that_somebody_else_signed_is_refused(text: str, ours: Authority, tmp_path: Path) -> None:
    with pytest.raises(AuthorityUnknown):
        load(tmp_path, signed_again(text, ours, "coordinator"), ours)
    with pytest.raises(AuthorityUnknown):  # the authority's own key, for another purpose
        load(tmp_path, signed_again(text, ours, role="site"), ours)
    twin = authority(secret="another key")
    with pytest.raises(AuthorityUnknown):
        load(tmp_path, roster_text(twin), ours)


def test_the_signature_is_checked_and_not_only_the_name_beside_it(
    text: str, ours: Authority, tmp_path: Path
) -> None:
    forged = signed_again(text, ours, "coordinator").replace(
        f'public_key = "{signed_again(text, ours, "coordinator").rsplit("public_key = ", 1)[1][1:65]}"',
        f'public_key = "{ours.trust.public_key}"',
    )
    with pytest.raises(RosterUnsigned, match="changed after it was signed"):
        load(tmp_path, forged, ours)


def test_a_roster_of_another_suite_is_not_negotiated(text: str, ours: Authority, tmp_path: Path) -> None:
    other = signed_again(text.replace('suite = "intl-1"', 'suite = "intl-0"', 1), ours)
    with pytest.raises(SuiteUnknown):
        load(tmp_path, other, ours)


def test_the_plain_reader_does_not_pass_over_a_signature(text: str, tmp_path: Path) -> None:
    with pytest.raises(StudyInvalid, match="signature: unknown key"):
        load_roster(roster_file(tmp_path, text))
    with pytest.raises(RosterUnsigned):
        load_roster(roster_file(tmp_path, text[: text.index("[signature]")]))


def test_a_roster_that_cannot_be_read_is_refused_as_ours(ours: Authority, tmp_path: Path) -> None:
    listed = revocations(ours)
    with pytest.raises(StudyInvalid, match="cannot be read"):
        load_signed_roster(tmp_path / "none", ours.trust, listed, clock)
    with pytest.raises(StudyInvalid, match="larger"):
        load(tmp_path, "#" * 1_000_001, ours)


# ---- its time --------------------------------------------------------------------------------------------


def test_a_roster_holds_in_its_time_only(text: str, ours: Authority, tmp_path: Path) -> None:
    path = roster_file(tmp_path, text)
    late = revocations(ours, due=LAST + 2 * SECOND)
    assert load_signed_roster(path, ours.trust, late, lambda: LAST).issued == NOW
    with pytest.raises(CertificateExpired, match="s01"):
        load_signed_roster(path, ours.trust, late, lambda: LAST + SECOND)
    with pytest.raises(RevocationListStale):
        load_signed_roster(path, ours.trust, revocations(ours), lambda: DUE + SECOND)
    early = revocations(ours, issued=FIRST)
    with pytest.raises(ClockSkewed):
        load_signed_roster(path, ours.trust, early, lambda: NOW - TOLERANCE - SECOND)
    with pytest.raises(AuthorityUnknown):
        load_signed_roster(path, ours.trust, revocations(authority(secret="other")), clock)


def test_a_roster_with_a_revoked_site_is_refused(text: str, ours: Authority, tmp_path: Path) -> None:
    with pytest.raises(CertificateRevoked, match="s02"):
        load_signed_roster(roster_file(tmp_path, text), ours.trust, revocations(ours, "s02"), clock)


# ---- what is not signed ----------------------------------------------------------------------------------


def test_the_authority_signs_only_sites_with_their_own_certificates(ours: Authority) -> None:
    cards = [site("s01"), site("s02"), site("s03")]
    papers = {name: certificate(name, ours) for name in ("s01", "s02", "s03")}
    listed = revocations(ours)

    def refused(kind: type[FedValueError], **changed: bytes) -> None:
        with pytest.raises(kind):
            sign_roster(ours, cards, {**papers, **changed}, listed, NOW)

    refused(SiteNameDiffers, s01=papers["s02"])
    refused(AuthorityUnknown, s01=certificate("s01", authority(secret="another")))
    refused(CertificateExpired, s01=certificate("s01", ours, last=NOW - SECOND))
    refused(StudyInvalid, s01=certificate("s01", ours, number=serial("s02")))
    with pytest.raises(CertificateNotOnRoster):
        sign_roster(ours, cards, {"s01": papers["s01"]}, listed, NOW)
    with pytest.raises(CertificateRevoked):
        sign_roster(ours, cards, papers, revocations(ours, "s03"), NOW)
    swapped = [cards[0].model_copy(update={"public_key": site("s09").public_key}), *cards[1:]]
    with pytest.raises(IdentityKeyDiffers):
        sign_roster(ours, swapped, papers, listed, NOW)


@pytest.mark.parametrize("what", ["serial", "fingerprint"])
def test_a_certificate_stands_on_a_roster_once(what: str, text: str, ours: Authority, tmp_path: Path) -> None:
    found = load(tmp_path, text, ours)
    twin = found.site[1].model_copy(update={what: getattr(found.site[0], what)})
    with pytest.raises(ValidationError, match=f"{what} .* is on the roster twice"):
        Roster.model_validate({**found.model_dump(), "site": [found.site[0], twin]})


@pytest.mark.parametrize(
    "twin", ["HOSPITAL S01", "Hospital  s01", " Hospital s01 ", "Ｈospital s01", "Hospi\u200btal s01"]
)
def test_one_legal_entity_in_another_spelling_has_no_second_seat(twin: str) -> None:
    with pytest.raises(ValidationError, match="is on the roster twice"):
        Roster(site=(site("s01"), site("s02").model_copy(update={"entity": twin})))


def test_half_a_certificate_or_half_a_signed_roster_is_refused(
    text: str, ours: Authority, tmp_path: Path
) -> None:
    found = load(tmp_path, text, ours)
    for part in ("serial", "fingerprint", "valid_until"):
        with pytest.raises(ValidationError, match="go together"):
            type(found.site[0]).model_validate({**found.site[0].model_dump(), part: None})
    for part in ("suite", "authority", "issued"):
        with pytest.raises(ValidationError, match="go together"):
            Roster.model_validate({**found.model_dump(), part: None})
    with pytest.raises(ValidationError, match="go together"):
        Roster.model_validate({**found.model_dump(), "site": [found.site[0], site("s02")]})


# ---- the authority's own papers --------------------------------------------------------------------------


def test_an_authority_keeps_its_key_to_itself(tmp_path: Path) -> None:
    made = make_authority(tmp_path / "a", "Example 联盟", valid_from=FIRST, valid_until=LAST)
    assert stat.S_IMODE((tmp_path / "a" / KEY_FILE).stat().st_mode) == 0o600
    assert "PRIVATE" not in (tmp_path / "a" / CERTIFICATE_FILE).read_text()
    assert (
        load_authority(tmp_path / "a").trust == load_trusted(tmp_path / "a" / CERTIFICATE_FILE) == made.trust
    )
    assert "Ed25519PrivateKey" not in repr(made)
    assert roster_text(made).count("[[site]]") == 3
    with pytest.raises(OutputError, match="a key is there already"):
        make_authority(tmp_path / "a", "Example", valid_from=FIRST, valid_until=LAST)


def test_an_authority_may_lock_its_key(tmp_path: Path) -> None:
    make_authority(tmp_path, "Example", valid_from=FIRST, valid_until=LAST, passphrase=b"four words")
    assert load_authority(tmp_path, passphrase=b"four words").trust.name == "Example"
    with pytest.raises(PassphraseWrong):
        load_authority(tmp_path)


def test_the_parts_of_two_authorities_are_no_authority(tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_authority(tmp_path / name, name, valid_from=FIRST, valid_until=LAST)
    (tmp_path / "a" / CERTIFICATE_FILE).write_bytes((tmp_path / "b" / CERTIFICATE_FILE).read_bytes())
    with pytest.raises(IdentityKeyDiffers):
        load_authority(tmp_path / "a")
    with pytest.raises(CertificateInvalid, match="cannot be read"):
        load_trusted(tmp_path / "none")


@pytest.mark.parametrize("name", ["", "  ", "x" * 65, "two\nlines", "\u202eevil"])
def test_an_authority_has_a_name_that_people_can_read(name: str, tmp_path: Path) -> None:
    with pytest.raises(CertificateInvalid):
        make_authority(tmp_path, name, valid_from=FIRST, valid_until=LAST)
    assert list(tmp_path.iterdir()) == []


def test_a_sites_certificate_is_no_authoritys(ours: Authority) -> None:
    with pytest.raises(CertificateInvalid):
        read_authority(certificate("s01", ours), where="x")
