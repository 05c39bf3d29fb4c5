"""The one form that people sign: the same for files that mean the same, another for every change."""

from __future__ import annotations

import json
import random
import tomllib
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedvalue.errors import StudyInvalid
from fedvalue.study.file import canonical, digest, from_canonical, parse
from fedvalue.study.schema import Study
from tests.agreement import FULL, SMALL, study

GOLDEN = "491a73bf13d193dc23747f61b939374a9181a7a1cb0f054842d44eebceaa8cc2"


def as_toml(value: Any, chance: random.Random) -> str:
    """Write a value as TOML on one line, keys in any order, with any space that TOML allows."""
    space = chance.choice(["", " ", "\t  "])
    if isinstance(value, dict):
        items = list(value.items())
        chance.shuffle(items)
        inside = ",".join(f"{space} {key}{space}={space}{as_toml(item, chance)} " for key, item in items)
        return f"{{{inside}}}"
    if isinstance(value, list):
        return f"[{','.join(space + as_toml(item, chance) for item in value)}]"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        return chance.choice([repr(value), f"{value:.17e}"])
    return json.dumps(value, ensure_ascii=chance.random() < 0.5)


def rewritten(document: dict[str, Any], chance: random.Random) -> bytes:
    items = list(document.items())
    chance.shuffle(items)
    lines = ["# a comment", *(f"{key} = {as_toml(item, chance)}  # another" for key, item in items), ""]
    return chance.choice(["\n", "\n\n", "\r\n"]).join(lines).encode()


@settings(max_examples=40, deadline=None)
@given(chance=st.randoms(use_true_random=False))
def test_order_of_keys_white_space_and_comments_do_not_change_the_hash(chance: random.Random) -> None:
    text = chance.choice([FULL, SMALL])
    original = parse(text.encode(), where="study.toml")
    again = parse(rewritten(tomllib.loads(text), chance), where="study.toml")
    assert again == original
    assert digest(again) == digest(original)


def test_defaults_written_out_do_not_change_the_hash() -> None:
    written = study(
        ("min_released_patients = 50", ""),
        ('max_sites_per_patient = { value = 3, basis = "assumed" }', "spare_attempts = 0"),
        ('kind = "binary"', 'kind = "binary", success = ["CR", "PR"], missing = "non_response"'),
        ('kind = "time_to_event"', 'kind = "time_to_event", origin = "index"'),
    )
    assert digest(written) == digest(study())


def test_the_order_of_a_list_is_content() -> None:
    assert digest(study(('["progression", "death"]', '["death", "progression"]'))) != digest(study())


def test_the_hash_of_a_known_study_stays_what_it_was() -> None:
    # Officers approved hashes, and ledgers and evidence name them. Whoever changes this number makes every
    # approval worthless: a new key with a default is such a change, and CHANGELOG.md must say so.
    assert digest(study()) == GOLDEN


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from leaves(item, (*path, position))
    else:
        yield path, value


def others(value: Any) -> list[Any]:
    """What might stand in place of a value."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return [other for other in (value + 1, value - 1, value / 2) if other != value]
    words = (
        "origin person method column recist exclude report_text PD relapse new_treatment CR cn assumed linked"
    )
    if value is None:
        return ["x", 1, True, "day", "recist", "origin", [0, 1], {"report": "x"}]
    longer = [
        f"{value}x",
        f"{value}1",
        value.replace("1", "2"),
        value.replace("6", "7"),
        value.replace("2", "3"),
    ]
    return [w for w in (*longer, *words.split(), "waived", "2027-06-30", "2026-06-30") if w != value]


def replaced(document: Any, path: tuple[str | int, ...], value: Any) -> Any:
    copy = json.loads(json.dumps(document))
    here = copy
    for step in path[:-1]:
        here = here[step]
    here[path[-1]] = value
    return copy


def test_every_value_that_can_be_changed_changes_the_hash() -> None:
    document = json.loads(canonical(study()))
    untouched = []
    for path, value in leaves(document):
        seen = 0
        for other in others(value):
            try:
                changed = Study.model_validate_json(json.dumps(replaced(document, path, other)))
            except ValueError:
                continue
            assert digest(changed) != GOLDEN, (path, other)
            seen += 1
        if not seen:
            untouched.append(".".join(map(str, path)))
    # what no single change leaves valid: fixed words, and names that other parts of the study use
    assert set(untouched) == FIXED


FIXED = {
    "analyses.0.by.0", "analyses.0.endpoint", "analyses.0.kind", "analyses.1.endpoint", "analyses.1.kind",
    "analyses.1.by.0", "cohort.index.first", "endpoints.pfs.kind", "endpoints.pfs.origin",
    "endpoints.response_6m.column", "endpoints.response_6m.kind", "endpoints.response_6m.source",
    "payments.0.mechanism", "payments.0.purpose", "payments.0.uses", "privacy.unit",
    "variables.cost.claims", "variables.cost.person", "variables.cost.variant",
    "variables.egfr.claims", "variables.egfr.clip", "variables.egfr.levels.0", "variables.egfr.levels.1",
    "variables.egfr.levels.2", "variables.egfr.person", "variables.egfr.window", "variables.sex.claims",
    "variables.sex.clip", "variables.sex.variant", "variables.sex.window",
}  # fmt: skip


agreements = st.fixed_dictionaries(
    {
        "epsilon": st.floats(0.01, 20),
        "delta": st.floats(1e-12, 1e-7),
        "cap": st.integers(1, 10**6),
        "sites": st.integers(3, 200),
        "minimum": st.integers(1, 10**6),
        "spare": st.integers(0, 10),
        "who": st.text("abc 你好\"'\\", min_size=1),
    }
)


def agreed(terms: dict[str, Any]) -> Study:
    return study(
        ("epsilon = 2.0", f"epsilon = {terms['epsilon']!r}"),
        ("delta = 1e-6", f"delta = {terms['delta']!r}"),
        ("patient_cap = 100000", f"patient_cap = {terms['cap']}\nspare_attempts = {terms['spare']}"),
        ("min_sites = 5", f"min_sites = {terms['sites']}"),
        ("min_released_patients = 50", f"min_released_patients = {terms['minimum']}"),
        ('"Dr. Example"', json.dumps(terms["who"])),
    )


@settings(max_examples=60, deadline=None)
@given(one=agreements, other=agreements, same=st.booleans())
def test_two_agreements_have_one_hash_exactly_if_they_are_one(
    one: dict[str, Any], other: dict[str, Any], same: bool
) -> None:
    other = {**one, "epsilon": one["epsilon"] if same else other["epsilon"]}
    assert (digest(agreed(one)) == digest(agreed(other))) == (one == other)


@settings(max_examples=60, deadline=None)
@given(terms=agreements)
def test_the_canonical_form_reads_back_as_the_same_study(terms: dict[str, Any]) -> None:
    original = agreed(terms)
    again = from_canonical(canonical(original))
    assert again == original
    assert canonical(again) == canonical(original)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data + b"\n",
        lambda data: b" " + data,
        lambda data: data.replace(b'"epsilon":2,', b'"epsilon":2.0,'),
        lambda data: data.replace(b'"spare_attempts":0,', b""),
        lambda data: data.replace(b'"unit":"patient"', b'"unit":"patient","unit":"patient"'),
        lambda data: json.dumps(json.loads(data)).encode(),
        lambda data: json.dumps(json.loads(data), sort_keys=True, separators=(",", ":")).encode(),
    ],
)
def test_bytes_that_are_not_the_canonical_form_are_refused_though_they_mean_the_same(spoil: Any) -> None:
    data = canonical(study())
    assert spoil(data) != data
    with pytest.raises(StudyInvalid, match="canonical form"):
        from_canonical(spoil(data))


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"null", b"{}", b"\xff", b'"\xed\xa0\x80"', b"[" * 100_000, b"1e999"]
)
def test_bytes_that_are_no_study_are_refused(data: bytes) -> None:
    with pytest.raises(StudyInvalid):
        from_canonical(data)
    with pytest.raises(StudyInvalid, match="larger than"):
        from_canonical(b" " * 1_000_001)


def test_an_unknown_key_in_the_canonical_form_is_refused() -> None:
    document = json.loads(canonical(study()))
    document["privacy"]["colour"] = "red"
    with pytest.raises(StudyInvalid, match=r"privacy\.colour: unknown key"):
        from_canonical(json.dumps(document).encode())
