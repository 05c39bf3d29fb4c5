"""What travels between coordinator and site: two questions, and replies that nobody just believes."""

from __future__ import annotations

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvalue import errors
from fedvalue.errors import MessageInvalid, ReplyInvalid
from fedvalue.strategies.secure_aggregation.messages import (
    CODE,
    ENROL,
    RECORD,
    RELEASE,
    EnrolReply,
    EnrolRequest,
    Refused,
    ReleaseReply,
    ReleaseRequest,
    Reply,
    Wire,
    signed_content,
)

text = st.text(st.characters(codec="utf-8"), max_size=30)
enrolments = st.builds(EnrolRequest, text, text)
questions = st.builds(ReleaseRequest, text, text, text, st.integers(-(2**63), 2**63 - 1), text)
answers = st.one_of(
    st.builds(EnrolReply, text, text, text),
    st.builds(ReleaseReply, text, st.binary(max_size=64), st.binary(max_size=32), text),
    st.builds(Refused, st.from_regex(CODE, fullmatch=True)),
)
QUESTION = ReleaseRequest("ab" * 32, "cd" * 32, "release-1", 1, "ef" * 32)


@settings(deadline=None)
@given(message=enrolments)
def test_a_question_for_approval_travels(message: EnrolRequest) -> None:
    assert Wire.request(ENROL, Wire.pack(message)) == message


@settings(deadline=None)
@given(message=questions)
def test_a_question_for_a_share_travels(message: ReleaseRequest) -> None:
    assert Wire.request(RELEASE, Wire.pack(message)) == message


@settings(deadline=None)
@given(message=answers)
def test_every_reply_travels(message: Reply) -> None:
    assert Wire.reply(Wire.pack(message)) == message


SALT = b"s" * 32


def record(**values: object) -> RecordDict:
    return RecordDict({RECORD: ConfigRecord(values)})  # type: ignore[arg-type]  # hostile on purpose


WHOLE = {
    "kind": "ReleaseRequest",
    "study_hash": "ab",
    "roster_hash": "cd",
    "release": "release-1",
    "attempt": 1,
    "specification": "ef",
    "public": b"",
}


def test_the_whole_record_is_read() -> None:
    assert Wire.request(RELEASE, record(**WHOLE)) == ReleaseRequest("ab", "cd", "release-1", 1, "ef")


@pytest.mark.parametrize("field", WHOLE)
def test_a_question_that_lacks_a_field_is_refused(field: str) -> None:
    less = {key: value for key, value in WHOLE.items() if key != field}
    with pytest.raises(MessageInvalid, match="does not parse"):
        Wire.request(RELEASE, record(**less))


@pytest.mark.parametrize("field", WHOLE)
@pytest.mark.parametrize("value", [b"1", 1.0, True, ["a"], [1], [], "x", 1])
def test_a_question_with_a_field_of_another_type_is_refused(field: str, value: object) -> None:
    changed = {**WHOLE, field: value}
    if type(value) is type(WHOLE[field]) and field != "kind":
        assert Wire.request(RELEASE, record(**changed))
        return
    with pytest.raises(MessageInvalid):
        Wire.request(RELEASE, record(**changed))


def test_a_question_with_a_field_too_many_is_refused() -> None:
    with pytest.raises(MessageInvalid):
        Wire.request(RELEASE, record(**WHOLE, epsilon=9.0))


ARRAYS = ArrayRecord({"a": Array(np.zeros(2))})


@pytest.mark.parametrize(
    "content",
    [
        RecordDict(),
        RecordDict({"other": ConfigRecord(WHOLE)}),  # type: ignore[arg-type]  # mypy knows no union of values here
        RecordDict({RECORD: ARRAYS}),
        RecordDict({RECORD: MetricRecord({"kind": 1})}),
        RecordDict({RECORD: ConfigRecord(WHOLE), "more": ARRAYS}),  # type: ignore[arg-type]  # the same
        record(),
    ],
)
def test_records_of_another_shape_are_refused_on_both_sides(content: RecordDict) -> None:
    for kind in (ENROL, RELEASE):
        with pytest.raises(MessageInvalid):
            Wire.request(kind, content)
    with pytest.raises(ReplyInvalid):
        Wire.reply(content)


@pytest.mark.parametrize("kind", ["", "train", "query", "query.other", "query.release2", "x" * 10_000])
def test_a_message_of_an_unknown_type_is_refused_and_little_of_it_is_kept(kind: str) -> None:
    with pytest.raises(MessageInvalid) as refused:
        Wire.request(kind, Wire.pack(QUESTION))
    assert len(refused.value.where) <= 40


def test_a_question_under_the_other_ones_name_is_refused() -> None:
    with pytest.raises(MessageInvalid):
        Wire.request(ENROL, Wire.pack(QUESTION))
    with pytest.raises(MessageInvalid):
        Wire.request(RELEASE, Wire.pack(EnrolRequest("ab", "cd", "ef")))
    with pytest.raises(MessageInvalid):
        Wire.request(RELEASE, Wire.pack(Refused("not_approved")))


def test_a_question_is_no_reply() -> None:
    with pytest.raises(ReplyInvalid):
        Wire.reply(Wire.pack(QUESTION))


@pytest.mark.parametrize(
    "code", ["", "Zhang San, EGFR mutated", "not_approved\n", "\x1b[8m", "x" * 41, "NOT_APPROVED", "a"]
)
def test_a_refusal_with_free_text_is_not_believed(code: str) -> None:
    with pytest.raises(ReplyInvalid, match="a refusal is a code"):
        Wire.reply(Wire.pack(Refused(code)))


def test_every_code_of_the_error_tree_may_travel() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "code")]
    assert len(kinds) > 20
    for kind in kinds:
        assert Wire.reply(Wire.pack(Refused(kind.code))) == Refused(kind.code)


@settings(max_examples=50, deadline=None)
@given(values=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20))
def test_a_vector_travels_as_little_endian_words(values: list[int]) -> None:
    vector = np.array(values, dtype=np.int64)
    reply = ReleaseReply("s01", vector.astype("<i8").tobytes(), b"", "")
    assert reply.values(len(values)).tolist() == values
    assert reply.vector == b"".join(v.to_bytes(8, "little", signed=True) for v in values)


@pytest.mark.parametrize("size", [0, 1, 15, 17, 24])
def test_a_vector_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(ReplyInvalid, match=f"a vector of {size} bytes came, 16 are due"):
        ReleaseReply("s01", bytes(size), b"", "").values(2)


def test_what_a_site_signs_names_question_site_and_answer() -> None:
    said = signed_content(QUESTION, "s01", SALT, b"12345678")
    others = [
        signed_content(
            ReleaseRequest("ab" * 32, "cd" * 32, "release-1", 2, "ef" * 32), "s01", SALT, b"12345678"
        ),
        signed_content(
            ReleaseRequest("ab" * 32, "cd" * 32, "release-1", 1, "ee" * 32), "s01", SALT, b"12345678"
        ),
        signed_content(QUESTION, "s02", SALT, b"12345678"),
        signed_content(QUESTION, "s01", SALT, b"12345679"),
    ]
    assert all(other != said for other in others)
