"""Signatures and approvals: they hold for exactly what was signed, by exactly who signed it."""

from __future__ import annotations

from base64 import b64encode
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fedvalue.errors import SignatureInvalid
from fedvalue.study.approval import Approval
from fedvalue.study.signature import Signature, fingerprint, public_hex, sign, verify
from tests.agreement import key

CONTENT = {"study": "ab" * 32, "sites": 5, "who": "医院"}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=50, deadline=None)
@given(content=json_values, other=json_values)
def test_a_signature_holds_for_its_content_and_for_no_other(content: Any, other: Any) -> None:
    made = sign(content, key("a"), "site")
    verify(content, made, where="x", public_key=public_hex(key("a")))
    if repr(other) != repr(content):
        with pytest.raises(SignatureInvalid):
            verify(other, made, where="x")


def test_the_order_of_keys_is_not_content() -> None:
    made = sign({"a": 1, "b": 2}, key("a"), "site")
    verify({"b": 2, "a": 1}, made, where="x")


def test_a_signature_in_another_role_does_not_hold() -> None:
    made = sign(CONTENT, key("a"), "site")
    with pytest.raises(SignatureInvalid, match="does not match the content"):
        verify(CONTENT, made.model_copy(update={"role": "officer"}), where="x")


def test_a_signature_by_another_key_than_expected_does_not_hold() -> None:
    made = sign(CONTENT, key("a"), "site")
    with pytest.raises(SignatureInvalid, match="another key") as refused:
        verify(CONTENT, made, where="approval of s01", public_key=public_hex(key("b")))
    assert refused.value.where == "approval of s01"


def test_a_key_put_in_place_of_the_signers_does_not_hold() -> None:
    made = sign(CONTENT, key("a"), "site")
    with pytest.raises(SignatureInvalid):
        verify(CONTENT, made.model_copy(update={"public_key": public_hex(key("b"))}), where="x")


@pytest.mark.parametrize(
    "value", ["", "not base64!", b64encode(bytes(64)).decode(), b64encode(bytes(63)).decode(), "é"]
)
def test_bytes_that_are_no_signature_are_refused_as_ours(value: str) -> None:
    made = sign(CONTENT, key("a"), "site")
    with pytest.raises(SignatureInvalid):
        verify(CONTENT, made.model_copy(update={"value": value}), where="x")


def test_content_that_has_no_canonical_form_is_refused_as_ours() -> None:
    with pytest.raises(SignatureInvalid):
        verify({"x": float("nan")}, sign(CONTENT, key("a"), "site"), where="x")


def test_another_crypto_suite_is_not_negotiated() -> None:
    made = sign(CONTENT, key("a"), "site").model_dump()
    with pytest.raises(ValidationError):
        Signature.model_validate({**made, "suite": "sm-1"})


def test_a_fingerprint_is_short_and_tells_keys_apart() -> None:
    one, other = (fingerprint(public_hex(key(name))) for name in "ab")
    assert len(one) == 16
    assert one != other


def approval() -> Approval:
    return Approval(
        site="s01",
        study_hash="ab" * 32,
        roster_hash="cd" * 32,
        sites=5,
        answers=4,
        colluding=1,
        policy_hash="ef" * 32,
        unsafe=("clear_sum",),
        day=date(2026, 3, 1),
    ).signed(key("officer"))


OFFICER = public_hex(key("officer"))


def test_an_approval_is_the_officers() -> None:
    approval().verify(where="s01", officer_key=OFFICER)
    again = Approval.model_validate_json(approval().model_dump_json())
    again.verify(where="s01", officer_key=OFFICER)


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("site", "s02"),
        ("study_hash", "ac" * 32),
        ("roster_hash", "ce" * 32),
        ("sites", 6),
        ("answers", 3),
        ("colluding", 2),
        ("policy_hash", "ee" * 32),
        ("unsafe", ()),
        ("unsafe", ("clear_sum", "no_noise")),
        ("day", date(2026, 3, 2)),
        ("until", date(2026, 3, 2)),
        ("dictionary", "ee" * 32),
    ],
)
def test_an_approval_binds(field: str, other: object) -> None:
    with pytest.raises(SignatureInvalid, match="does not match"):
        approval().model_copy(update={field: other}).verify(where="s01", officer_key=OFFICER)


def test_an_approval_binds_every_field_it_has() -> None:
    whole = approval().model_copy(update={"until": date(2026, 3, 2), "dictionary": "ee" * 32})
    assert set(whole.content()) == set(Approval.model_fields) - {"signature", "second"}
    # what was approved before these lines existed is signed as it was
    assert set(approval().content()) == set(whole.content()) - {"until", "dictionary"}


def test_an_approval_that_no_officer_signed_is_refused() -> None:
    unsigned = approval().model_copy(update={"signature": None})
    as_site = unsigned.model_copy(update={"signature": sign(unsigned.content(), key("officer"), "site")})
    for refused in (unsigned, as_site):
        with pytest.raises(SignatureInvalid, match="not signed by an officer"):
            refused.verify(where="s01", officer_key=OFFICER)
    with pytest.raises(SignatureInvalid, match="another key"):
        unsigned.signed(key("somebody")).verify(where="s01", officer_key=OFFICER)
