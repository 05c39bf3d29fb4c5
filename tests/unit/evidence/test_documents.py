"""Canonical documents: written once, read back as they are, or refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvalue.errors import EvidenceError, OutputError, PaymentError
from fedvalue.evidence import documents
from fedvalue.evidence.package import BlockRecord, EvidencePackage
from tests.unit.evidence.sealed import package

RAW = documents.canonical(package())


def test_a_document_survives_being_written_and_read() -> None:
    read = documents.parse(EvidencePackage, RAW, where="evidence.json")
    assert read == package()
    assert documents.canonical(read) == RAW


def test_white_space_and_the_order_of_keys_do_not_matter() -> None:
    loose = json.dumps(json.loads(RAW), indent=2, sort_keys=False).encode()
    assert documents.canonical(documents.parse(EvidencePackage, loose, where="x")) == RAW


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((b'"n":3', b'"n":"3"'), "written again"),  # text where a number stands is not taken for the number
        ((b'"simulation":false', b'"simulation":0'), "written again"),
        ((b'"n":3', b'"n":3,"n":3'), "stands twice"),
        ((b'"n":3', b'"n":3,"extra":1'), "unknown key"),
        ((b'"n":3', b'"n":NaN'), "does not follow its schema|not a JSON|no canonical form"),
        ((b'"n":3', b'"n":4'), "t = n - f"),
        ((b'"delta":0.000001', b'"delta":1e999'), "canonical form|schema"),
        ((b"{", b"["), "not a JSON document"),
        ((RAW, b"[]"), "not a JSON object"),
        ((RAW, b"\xff\xfe"), "not a JSON document"),
        ((RAW, b"[" * 100_000), "not a JSON document"),
    ],
)
def test_a_document_that_would_read_otherwise_is_refused(change: tuple[bytes, bytes], message: str) -> None:
    hostile = RAW.replace(*change, 1)
    assert hostile != RAW
    with pytest.raises(EvidenceError, match=message):
        documents.parse(EvidencePackage, hostile, where="evidence.json")


def test_the_caller_chooses_the_error() -> None:
    with pytest.raises(PaymentError):
        documents.parse(EvidencePackage, b"{}", where="x", error=PaymentError)


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_no_bytes_raise_anything_but_our_own_error(raw: bytes) -> None:
    with pytest.raises(EvidenceError):
        documents.parse(EvidencePackage, raw, where="x")


@pytest.mark.parametrize("fraction", ["2/4", "1/0", "-1", "1.5", "", "03"])
def test_a_fraction_is_in_lowest_terms(fraction: str) -> None:
    with pytest.raises(ValueError, match=r"bound_squared"):
        BlockRecord(name="b", dimension=1, bound_squared=fraction, gamma="1", rho_units=1, noise_variance=0)


def test_a_missing_file_and_a_closed_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="cannot be read") as error:
        documents.read_bytes(tmp_path / "no.json")
    assert "no.json" in error.value.where
    with pytest.raises(OutputError, match="cannot be written"):
        documents.write(package(), tmp_path / "no folder" / "evidence.json")


def test_a_document_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    documents.write(package(), tmp_path / "evidence.json")
    assert [path.name for path in tmp_path.iterdir()] == ["evidence.json"]
    assert (tmp_path / "evidence.json").read_bytes() == RAW


def test_an_earlier_state_of_an_append_only_file_is_found_by_its_digest() -> None:
    states = [b"a: 1\n", b"a: 1\nb: 2\n", b"a: 1\nb: 2\nc: 3"]
    for state in states:
        wanted = hashlib.sha256(state).hexdigest()
        assert documents.prefix_with_digest(states[-1] + b"\nd: 4\n", wanted) == state
    assert documents.prefix_with_digest(states[-1], hashlib.sha256(b"a: 2\n").hexdigest()) is None
