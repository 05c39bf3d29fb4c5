"""A site's policy and audit log: what it says no to, and what cannot be changed unseen."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fedvalue.client.governance.audit import AuditLog
from fedvalue.client.governance.policy import (
    Budget,
    Caps,
    Limits,
    Opening,
    Person,
    Policy,
    Population,
    load_policy,
)
from fedvalue.errors import LedgerBroken, OutputError, PolicyForbids, StudyInvalid
from fedvalue.planning.plan import make_plan
from fedvalue.study.schema import Study
from fedvalue.study.toml import parse_toml
from tests.agreement import FULL, SMALL, roster, study
from tests.federation import noon

POLICY = Policy(
    site="s01",
    entity="Hospital s01",
    operator="Hospital s01",
    budget=Budget(epsilon=4.0, delta=1e-6),
    profiles=("eu",),
    unsafe=("clear_sum",),
)

ALONE = FULL.replace(
    'kind = "proportion"\nendpoint = "response_6m"\nby = ["egfr"]', 'kind = "by_site"\nvariable = "cost"'
)
ALONE = ALONE[: ALONE.index("[[payments]]")]
OWN_BASELINES = ALONE.replace(
    'kind = "by_site"\nvariable = "cost"',
    'kind = "cox"\nendpoint = "pfs"\ncovariates = ["sex"]\nstratify_by_site = true',
)

hostile = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40) | st.sampled_from(
    [
        '"',
        "\\",
        '"""',
        "'''",
        "]\nunsafe = ['no_noise']",
        "\x00\x1b\x7f",
        "#",
        "\\u0000",
        "医院\u202e",
        "\r\n",
    ]
)


def read_back(text: str) -> Policy:
    return parse_toml(
        text.encode(), Policy, failure=StudyInvalid, what="the policy", where="policy.toml", do=""
    )


@settings(max_examples=150, deadline=None)
@given(
    entity=hostile,
    operator=hostile,
    signers=st.lists(hostile, max_size=2),
    epsilon=st.floats(1e-9, 10_000),
    delta=st.floats(1e-300, 0.999),
)
def test_a_policy_reads_back_from_its_file_whatever_its_words_hold(
    entity: str, operator: str, signers: list[str], epsilon: float, delta: float
) -> None:
    policy = POLICY.model_copy(
        update={
            "entity": entity,
            "operator": operator,
            "study_signers": tuple(signers),
            "budget": Budget(epsilon=epsilon, delta=delta),
        }
    )
    again = read_back(policy.to_toml())
    assert again == policy
    assert again.digest() == policy.digest()


def test_text_that_no_file_holds_is_refused_before_it_is_written() -> None:
    with pytest.raises(ValidationError):
        Policy.model_validate({**POLICY.model_dump(), "entity": "\ud800"})


def test_the_policy_file_says_what_its_lines_mean() -> None:
    lines = POLICY.to_toml().splitlines()
    assert lines[0].startswith("# What this site answers at all.")
    assert any("what simulated sites may do: clear_sum" in line for line in lines)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[budget]", "colour = 1\n[budget]", "line 12: colour: unknown key"),
        ('"clear_sum"', '"everything"', r"unsafe\[0\]: Input should be 'clear_sum', 'no_noise' or"),
        (
            '"proportion", ',
            '"astrology", ',
            "'astrology' is no kind of analysis",
        ),
        ('"eu"', '"mars"', r"profiles\[0\]: Input should be"),
        ("epsilon = 4.0", "epsilon = 0.0", r"budget\.epsilon: Input should be greater than 0"),
        ("epsilon = 4.0", "epsilon = inf", r"budget\.epsilon"),
        ("delta = 1e-06", "delta = 1.0", r"budget\.delta"),
        ('site = "s01"', 'site = "../s01"', "site: String should match"),
        ('site = "s01"', "", "site: Field required"),
        ("[budget]", "[budget", "the policy is not a TOML file"),
    ],
)
def test_a_policy_that_does_not_follow_its_schema_is_refused(
    old: str, new: str, said: str, tmp_path: Path
) -> None:
    text = POLICY.to_toml()
    assert text.count(old) == 1
    path = tmp_path / "policy.toml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(StudyInvalid, match=said) as refused:
        load_policy(path)
    assert refused.value.where == str(path)


def test_a_home_without_a_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyInvalid, match="the policy cannot be read: No such file") as refused:
        load_policy(tmp_path / "policy.toml")
    assert "fedvalue site init" in refused.value.do


def require(policy: Policy, read: Study, *, clear_sum: bool = True, exact: bool = False) -> None:
    policy.require(read, make_plan(read, roster(5), unsafe_exact=exact), clear_sum=clear_sum)


def test_what_the_policy_allows_passes() -> None:
    require(POLICY.model_copy(update={"simulation": True}), study())
    require(POLICY.model_copy(update={"unsafe": ()}), study(), clear_sum=False)
    simulated = {"unsafe": ("clear_sum", "no_noise"), "simulation": True}
    require(POLICY.model_copy(update=simulated), study(), exact=True)


@pytest.mark.parametrize(
    ("change", "text", "exact", "line", "said"),
    [
        ({"analyses": ("proportion",)}, FULL, False, "analyses", "['kaplan_meier'] are not allowed"),
        ({"analyses": ()}, FULL, False, "analyses", "['kaplan_meier', 'proportion'] are not allowed"),
        ({}, SMALL, False, "profiles", "the governance profile 'none' is not accepted"),
        ({"profiles": ()}, FULL, False, "profiles", "the governance profile 'eu' is not accepted"),
        ({}, FULL, False, "unsafe, simulation", "the coordinator sees this site's share"),
        ({"unsafe": (), "simulation": True}, FULL, False, "unsafe, simulation", "the coordinator sees this"),
        ({"simulation": True}, FULL, True, "unsafe, simulation", "without noise"),
        ({"unsafe": ("no_noise",)}, FULL, True, "unsafe, simulation", "without noise"),
        ({}, ALONE, False, "release_site_values", "noisy values of this site alone"),
        ({}, OWN_BASELINES, False, "release_site_values", "noisy values of this site alone"),
        ({"release_site_values": False, "simulation": True}, ALONE, False, "release_site_values", "alone"),
    ],
)
def test_what_the_policy_does_not_allow_is_refused_by_its_line(
    change: dict[str, object], text: str, exact: bool, line: str, said: str
) -> None:
    clear = exact is False or "simulation" in change
    with pytest.raises(PolicyForbids) as refused:
        require(POLICY.model_copy(update=change), study(text=text), clear_sum=clear, exact=exact)
    assert said in refused.value.what
    assert refused.value.where == f"policy.toml {line}"


def test_every_line_of_a_policy_is_in_its_hash() -> None:
    others = {
        "site": "s02", "entity": "x", "operator": "x", "budget": Budget(epsilon=4.1, delta=1e-6),
        "analyses": ("proportion",), "profiles": (), "unsafe": (), "study_signers": ("ab",),
        "simulation": True, "answer_every": 2.0, "release_site_values": True, "confirmed": {"x": "ab" * 16},
        "architectures": (), "partitions": {"2027": Budget(epsilon=1.0, delta=1e-6)},
        "populations": (Population(name="lung", codes=("C34*",), epsilon=1.0),),
        "limits": Limits(releases=1), "caps": Caps(threads=1),
        "opening": (Opening(start="08:00", until="18:00"),),
        "people": (Person(name="x", role="audit", key="ab" * 32),), "four_eyes": True, "approval_days": 9,
        "consent": "recorded", "kind": "payer",
    }  # fmt: skip
    assert set(others) == set(Policy.model_fields)
    digests = {POLICY.model_copy(update={field: value}).digest() for field, value in others.items()}
    assert len(digests | {POLICY.digest()}) == len(others) + 1


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    made = AuditLog(tmp_path / "audit.jsonl", noon)
    for number in range(5):
        made.write("answered", message="query.release", attempt=number)
    return made


def test_the_log_holds_what_was_written_in_order_and_is_its_owners_alone(log: AuditLog) -> None:
    found = log.entries()
    assert [entry["attempt"] for entry in found] == [0, 1, 2, 3, 4]
    assert found[0]["before"] == "0" * 64
    assert found[0]["time"] == "2026-03-01T12:00:00+00:00"
    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600


def test_a_log_that_nobody_wrote_is_empty(tmp_path: Path) -> None:
    assert AuditLog(tmp_path / "none.jsonl", noon).entries() == []


def edited(log: AuditLog, *, line: int, instead: list[bytes]) -> None:
    lines = log.path.read_bytes().splitlines()
    lines[line : line + 1] = instead
    log.path.write_bytes(b"\n".join(lines) + b"\n")


@pytest.mark.parametrize("line", [0, 1, 2, 3, 4])
def test_a_line_that_was_changed_is_named_the_last_one_too(log: AuditLog, line: int) -> None:
    old = log.path.read_bytes().splitlines()[line]
    edited(log, line=line, instead=[old.replace(b"answered", b"approved")])
    with pytest.raises(LedgerBroken) as refused:
        log.entries()
    assert refused.value.where == f"{log.path}:{line + 1}"


@pytest.mark.parametrize("line", [0, 1, 2, 3, 4])
def test_a_line_that_was_taken_out_or_written_twice_shows(log: AuditLog, line: int) -> None:
    whole = log.path.read_bytes()
    edited(log, line=line, instead=[])
    with pytest.raises(LedgerBroken):
        log.entries()
    log.path.write_bytes(whole)
    edited(log, line=line, instead=[whole.splitlines()[line]] * 2)
    with pytest.raises(LedgerBroken):
        log.entries()


@pytest.mark.parametrize(
    "instead", [b"not json", b"[]", b"null", b'"x"', b"{}", b"", b"[" * 100_000, b"\xff"]
)
def test_a_line_that_is_no_event_shows(log: AuditLog, instead: bytes) -> None:
    edited(log, line=2, instead=[instead])
    with pytest.raises(LedgerBroken):
        log.entries()


def test_two_lines_that_changed_places_show(log: AuditLog) -> None:
    lines = log.path.read_bytes().splitlines()
    lines[1], lines[2] = lines[2], lines[1]
    log.path.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(LedgerBroken):
        log.entries()


def test_several_writers_keep_one_chain(log: AuditLog) -> None:
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(log.write, "refused", code=f"code_{n}") for n in range(24)]:
            done.result()
    assert len(log.entries()) == 29
    assert all(json.loads(line) for line in log.path.read_bytes().splitlines())


def test_a_log_that_cannot_be_written_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="the audit log cannot be written"):
        AuditLog(tmp_path / "none" / "audit.jsonl", noon).write("answered")
