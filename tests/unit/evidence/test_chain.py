"""The chain from study to decision: it holds as made, and every forged link is named."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from fedvalue.errors import EvidenceError, SignatureInvalid
from fedvalue.evidence import documents, records, sealing, statements
from fedvalue.evidence.chain import Following, verify_chain
from fedvalue.evidence.package import EvidencePackage
from fedvalue.evidence.transcript import TranscriptRecord
from fedvalue.payment import standard_file
from fedvalue.payment.deciding import decide
from fedvalue.payment.proposal import propose
from fedvalue.planning.plan import make_plan
from fedvalue.privacy import accounting
from fedvalue.secure_sum.specification import EpochSettings
from fedvalue.study.approval import Approval
from fedvalue.study.signature import public_hex, sign
from tests.unit.evidence.rounds import transcript_of
from tests.unit.evidence.sealed import SITES, key, package, resealed, roster, site_key, study

PACKAGE = package()
CLEAR = package(clear_sum=True)
RECORD = PACKAGE.releases[0]
CLEAR_RECORD = CLEAR.releases[0]
STANDARD = standard_file.read("lung/egfr_tki_outcome_linked")
DECISION = decide(PACKAGE, STANDARD, date(2026, 12, 1), key=key("payer"))


def following(**changes: Any) -> Following:
    proposal = propose(DECISION, key("payer"))
    whole = {
        "decisions": (documents.content(DECISION),),
        "proposals": (documents.content(proposal),) if proposal else (),
        "standards": (STANDARD.raw,),
    }
    return Following(**(whole | changes))


def test_the_chain_holds_from_study_to_standard() -> None:
    links = verify_chain(
        PACKAGE, study=study(), following=following(), coordinator_key=public_hex(key("coordinator"))
    )
    assert [link.name for link in links] == [
        "study", "study signature", "roster", "approvals", "plan", "releases", "budget", "conclusions",
        "dates and bias", "evidence", "decision", "proposal", "standard",
    ]  # fmt: skip
    assert "drawn again" in links[7].text


@pytest.mark.parametrize("clear_sum", [False, True])
def test_the_chain_holds_without_noise(clear_sum: bool) -> None:
    links = verify_chain(package(exact=True, clear_sum=clear_sum))
    assert links[-1].name == "evidence"


def test_the_links_say_what_a_transcript_shows_and_what_it_does_not() -> None:
    links = {link.name: link.text for link in verify_chain(PACKAGE)}
    assert "each with at least 3 survivors' signatures under who delivered" in links["releases"]
    assert "that a total is the sum of these vectors is not shown" in links["releases"]
    assert "coordinator's word" not in " ".join(links.values())
    assert "signed the end of its ledger" in links["budget"]
    clear = {link.name: link.text for link in verify_chain(CLEAR)}
    assert "that the sum is theirs is the coordinator's word" in clear["releases"]


def test_a_private_sum_is_charged_at_m_shares_and_a_clear_one_at_its_own() -> None:
    # One release, k = 1, n = t = 3, c = 1, m = 2: the own share costs twice what the plan promises.
    assert RECORD.charged_rho_units == RECORD.promised_rho_units
    charged = CLEAR.releases[0].charged_rho_units
    assert charged == pytest.approx(2 * RECORD.promised_rho_units, abs=2)
    assert CLEAR.privacy.epsilon_own_share == accounting.epsilon(charged, 1e-6)


def test_the_epsilons_are_those_of_the_accountant() -> None:
    # the own share's price is D^2 / 2 4^s, the plan's half of it, that of t = 3 shares a third, rounded up
    privacy, own = PACKAGE.privacy, CLEAR.releases[0].charged_rho_units
    assert privacy.epsilon_own_share == accounting.epsilon(own, 1e-6)
    assert privacy.epsilon_no_collusion == pytest.approx(accounting.epsilon(own // 3 + 1, 1e-6), rel=1e-9)
    assert privacy.epsilon_promised == accounting.epsilon(RECORD.promised_rho_units, 1e-6)
    assert privacy.epsilon_promised is not None
    assert privacy.epsilon_promised <= 8.0
    assert privacy.epsilon_no_collusion is not None
    assert privacy.epsilon_no_collusion < privacy.epsilon_promised


def test_without_noise_no_epsilon_is_stated() -> None:
    privacy = package(exact=True).privacy
    assert (privacy.epsilon_promised, privacy.epsilon_own_share, privacy.epsilon_no_collusion) == (
        None,
        None,
        None,
    )


def changed_release(**changes: Any) -> dict[str, Any]:
    return {"releases": (RECORD.model_copy(update=changes),)}


def louder_block() -> dict[str, Any]:
    return changed_release(blocks=(RECORD.blocks[0].model_copy(update={"noise_variance": 0.5}),))


def another_total() -> dict[str, Any]:
    total = np.frombuffer(b64decode(RECORD.total or ""), dtype="<i8").astype(np.int64)
    total[0] += 10**7
    return changed_release(
        total=b64encode(total.tobytes()).decode(), total_digest=statements.vector_digest(total)
    )


def better_conclusion() -> dict[str, Any]:
    conclusion = PACKAGE.conclusions[0]
    stratum = conclusion.strata[0]
    estimate = stratum.estimates["proportion"].model_copy(update={"value": 0.9})
    better = stratum.model_copy(update={"estimates": {**stratum.estimates, "proportion": estimate}})
    return {"conclusions": (conclusion.model_copy(update={"strata": (better, *conclusion.strata[1:])}),)}


def signed_by_another_officer() -> dict[str, Any]:
    return {"approvals": (PACKAGE.approvals[0].signed(key("somebody")), *PACKAGE.approvals[1:])}


def approval_of_another_study() -> dict[str, Any]:
    other = PACKAGE.approvals[0].model_copy(update={"study_hash": "b" * 64})
    return {"approvals": (other.signed(key("alpha officer")), *PACKAGE.approvals[1:])}


def approval_without_the_clear_sum() -> dict[str, Any]:
    first = CLEAR.approvals[0].model_copy(update={"unsafe": ("simulation",)})
    return {"approvals": (first.signed(key("alpha officer")), *CLEAR.approvals[1:])}


def changed_clear(**changes: Any) -> dict[str, Any]:
    return {"releases": (CLEAR_RECORD.model_copy(update=changes),)}


def reply_of_another_site() -> dict[str, Any]:
    first, second, third = CLEAR_RECORD.replies
    return changed_clear(replies=(first.model_copy(update={"signature": second.signature}), second, third))


def reply_with_an_officers_role() -> dict[str, Any]:
    first = CLEAR_RECORD.replies[0]
    said = statements.reply(
        specification=CLEAR_RECORD.specification, attempt=1, site="alpha", vector_digest=first.vector_digest
    )
    forged = first.model_copy(update={"signature": sign(said, key("alpha site"), "officer")})
    return changed_clear(replies=(forged, *CLEAR_RECORD.replies[1:]))


def smaller_delta() -> dict[str, Any]:
    return {"privacy": PACKAGE.privacy.model_copy(update={"delta": 1e-9})}


def cheaper_ledger() -> dict[str, Any]:
    spent = PACKAGE.privacy.spent
    first = spent[0].model_copy(update={"rho_units": 1})
    return {"privacy": PACKAGE.privacy.model_copy(update={"spent": (first, *spent[1:])})}


def other_thresholds() -> dict[str, Any]:
    return {"federation": PACKAGE.federation.model_copy(update={"c": 0, "m": 3})}


def smaller_epsilon_stated() -> dict[str, Any]:
    return {"privacy": PACKAGE.privacy.model_copy(update={"epsilon_promised": 0.5})}


def fewer_answers() -> dict[str, Any]:
    return changed_clear(answered=SITES[:2], replies=CLEAR_RECORD.replies[:2])


def opened(**changes: Any) -> dict[str, Any]:
    """The release with a transcript that was changed after it was signed."""
    assert RECORD.transcript is not None
    changed = RECORD.transcript.model_copy(update=changes)
    return changed_release(transcript=changed, answered=changed.survivors)


def signed_anew(**how: Any) -> dict[str, Any]:
    """The release with a transcript that its own sites signed, but of something else."""
    plan = make_plan(study(), roster())
    total = records.released_sum(RECORD)
    assert total is not None
    made = transcript_of(plan, plan.releases[0], total, SITES, how.pop("key_of", site_key), **how)
    return changed_release(transcript=TranscriptRecord.of(made), attempt=made.specification.attempt)


def two_survivors() -> dict[str, Any]:
    plan = make_plan(study(), roster())
    total = records.released_sum(RECORD)
    assert total is not None
    made = TranscriptRecord.of(transcript_of(plan, plan.releases[0], total, SITES[:2], site_key))
    return changed_release(transcript=made, answered=made.survivors)


def another_ledger_end() -> dict[str, Any]:
    assert RECORD.transcript is not None
    first, *others = RECORD.transcript.inputs
    return opened(inputs=(first.model_copy(update={"ledger_counter": 2}), *others))


def another_study(settings: EpochSettings) -> EpochSettings:
    return replace(settings, study_hash="b" * 64)


def fewer_colluders(settings: EpochSettings) -> EpochSettings:
    return replace(settings, colluding=0)


Forgery = tuple[Callable[[], dict[str, Any]], str, type[Exception]]

FORGERIES: list[Forgery] = [
    (lambda: {"study_signatures": ()}, "study signature", EvidenceError),
    (lambda: {"study_signatures": (sign({"study_hash": "x"}, key("author"), "study"),)}, "study signature",
     SignatureInvalid),
    (lambda: {"roster_hash": "d" * 64}, "roster", EvidenceError),
    (lambda: {"approvals": PACKAGE.approvals[1:]}, "approvals: alpha", EvidenceError),
    (signed_by_another_officer, "approvals: alpha", SignatureInvalid),
    (approval_of_another_study, "approvals: alpha", EvidenceError),
    (other_thresholds, "approvals: alpha|plan", EvidenceError),
    (smaller_delta, "budget", EvidenceError),
    (lambda: changed_release(label="release-7"), "releases: release-7", EvidenceError),
    (lambda: changed_release(charged_rho_units=1), "releases: release-1", EvidenceError),
    (lambda: changed_release(specification="e" * 64), "releases: release-1", EvidenceError),
    (lambda: changed_release(public="AAAAAAAAAAA="), "releases: release-1", EvidenceError),
    (lambda: changed_release(public="AA"), "releases: release-1", EvidenceError),
    (lambda: {"releases": (RECORD, RECORD)}, "releases", EvidenceError),
    (louder_block, "releases: release-1", EvidenceError),
    (lambda: changed_release(total_digest="f" * 64), "release-1", EvidenceError),
    (lambda: changed_release(total="not base64!"), "release-1", EvidenceError),
    (lambda: changed_release(total=None), "releases: release-1", EvidenceError),
    (cheaper_ledger, "budget: alpha", EvidenceError),
    (smaller_epsilon_stated, "budget", EvidenceError),
    (another_total, "releases: release-1", EvidenceError),
    (better_conclusion, "conclusions", EvidenceError),
    (lambda: {"conclusions": ()}, "conclusions", EvidenceError),
    (lambda: {"releases": ()}, "budget", EvidenceError),
]  # fmt: skip

TRANSCRIPTS: list[Forgery] = [
    (two_survivors, "releases: release-1", EvidenceError),
    (another_ledger_end, "releases: release-1", EvidenceError),
    (lambda: opened(suite="intl-2"), "releases: release-1", EvidenceError),
    (lambda: opened(epoch="1" * 32), "releases: release-1", EvidenceError),
    (lambda: opened(rounds=9), "releases: release-1", EvidenceError),
    (lambda: opened(number=2), "releases: release-1", EvidenceError),
    (lambda: opened(key_list_hash="a" * 64), "releases: release-1", EvidenceError),
    (lambda: opened(last_hash="a" * 64), "releases: release-1", EvidenceError),
    (lambda: opened(question="a" * 64), "releases: release-1", EvidenceError),
    (lambda: opened(total_hash="a" * 64), "releases: release-1", EvidenceError),
    (lambda: opened(members=SITES[:2]), "releases: release-1", EvidenceError),
    (lambda: opened(members=(*SITES, "omega")), "releases: release-1", EvidenceError),
    (lambda: opened(signatures=()), "releases: release-1", EvidenceError),
    (lambda: signed_anew(signers=SITES[:2]), "releases: release-1", EvidenceError),
    (lambda: signed_anew(members=(*SITES, "omega")), "releases: release-1", EvidenceError),
    (lambda: signed_anew(settings=another_study), "releases: release-1", EvidenceError),
    (lambda: signed_anew(settings=fewer_colluders), "releases: release-1", EvidenceError),
    (lambda: signed_anew(key_of=lambda site: key("coordinator")), "releases: release-1", EvidenceError),
    (lambda: signed_anew(last=b"x" * 32), "releases: release-1", EvidenceError),
    (lambda: signed_anew(attempt=2), "releases: release-1", EvidenceError),
]

CLEAR_FORGERIES: list[Forgery] = [
    (approval_without_the_clear_sum, "approvals: alpha", EvidenceError),
    (lambda: {"unsafe": ()}, "plan", EvidenceError),
    (fewer_answers, "releases: release-1", EvidenceError),
    (reply_of_another_site, "releases: release-1, alpha", SignatureInvalid),
    (reply_with_an_officers_role, "releases: release-1", EvidenceError),
]


def refused_at(forged: EvidencePackage, where: str, error: type[Exception]) -> None:
    with pytest.raises(error) as raised:
        verify_chain(forged)
    assert any(raised.value.where.startswith(part) for part in where.split("|")), raised.value.where  # type: ignore[attr-defined] # both kinds carry it


@pytest.mark.parametrize("forgery", range(len(FORGERIES)))
def test_a_coordinator_that_seals_a_forged_package_is_found_at_that_link(forgery: int) -> None:
    changes, where, error = FORGERIES[forgery]
    refused_at(resealed(PACKAGE, **changes()), where, error)


@pytest.mark.parametrize("forgery", range(len(TRANSCRIPTS)))
def test_a_transcript_of_something_else_is_refused_whoever_signed_it(forgery: int) -> None:
    changes, where, error = TRANSCRIPTS[forgery]
    refused_at(resealed(PACKAGE, **changes()), where, error)


@pytest.mark.parametrize("forgery", range(len(CLEAR_FORGERIES)))
def test_a_forged_clear_sum_is_found_at_that_link(forgery: int) -> None:
    changes, where, error = CLEAR_FORGERIES[forgery]
    refused_at(resealed(CLEAR, **changes()), where, error)


def test_a_clear_sum_that_does_not_call_itself_a_simulation_is_refused() -> None:
    real = {"approvals": tuple(approval_for_real(site) for site in SITES), "simulation": False}
    refused_at(resealed(CLEAR, **real), "plan", EvidenceError)


def approval_for_real(site: str) -> Approval:
    made = next(approval for approval in CLEAR.approvals if approval.site == site)
    return made.model_copy(update={"unsafe": ("clear_sum",)}).signed(key(f"{site} officer"))


def test_a_release_has_a_transcript_or_replies_and_not_both() -> None:
    fields = {name: getattr(RECORD, name) for name in type(RECORD).model_fields}
    for changes in (
        {"replies": CLEAR_RECORD.replies},
        {"transcript": None},
        {"answered": SITES[:2]},
        {"attempt": 2},
    ):
        with pytest.raises(ValidationError):
            type(RECORD)(**(fields | changes))


def test_another_study_file_is_named() -> None:
    with pytest.raises(EvidenceError, match="not the one that was run"):
        verify_chain(PACKAGE, study=study(epsilon=7.0))


def test_a_package_changed_after_sealing_is_refused() -> None:
    forged = PACKAGE.model_copy(update={"valid_to": date(2030, 1, 1)})
    with pytest.raises(EvidenceError, match="not that of the content"):
        sealing.check(forged)


def test_a_signature_over_other_content_is_refused() -> None:
    forged = PACKAGE.model_copy(update={"signatures": package((1.0, 60.0, 0.0)).signatures})
    with pytest.raises(SignatureInvalid, match="does not match"):
        sealing.check(forged)


def test_the_expected_coordinator_must_have_signed() -> None:
    with pytest.raises(EvidenceError, match="another key"):
        verify_chain(PACKAGE, coordinator_key="0" * 64)


def test_a_package_whose_study_has_another_hash_is_not_sealed() -> None:
    with pytest.raises(EvidenceError, match="another hash"):
        resealed(PACKAGE, study_hash="a" * 64)
    with pytest.raises(EvidenceError, match="cannot be read"):
        resealed(PACKAGE, study={"not": "a study"})


def test_a_decision_on_other_evidence_is_named() -> None:
    other = decide(package((61.0, 70.0, 10.0)), STANDARD, date(2026, 12, 1), key=key("payer"))
    with pytest.raises(EvidenceError, match="other evidence") as error:
        verify_chain(PACKAGE, following=following(decisions=(documents.content(other),)))
    assert error.value.where == "decision"


def test_an_unsigned_decision_is_no_link() -> None:
    unsigned = decide(PACKAGE, STANDARD, date(2026, 12, 1))
    with pytest.raises(EvidenceError, match="not signed by a payer"):
        verify_chain(PACKAGE, following=Following(decisions=(documents.content(unsigned),)))


def test_a_changed_decision_and_a_changed_proposal_are_named() -> None:
    whole = following()
    forged = {**whole.decisions[0], "outcome": "not_met"}
    with pytest.raises(EvidenceError, match="decision_id"):
        verify_chain(PACKAGE, following=following(decisions=(forged,)))
    forged = {**whole.proposals[0], "values": {"bonus": "99999"}}
    with pytest.raises(EvidenceError, match="proposal_id"):
        verify_chain(PACKAGE, following=following(proposals=(forged,)))


def test_another_standard_is_named() -> None:
    with pytest.raises(EvidenceError, match="no decision was made with this standard"):
        verify_chain(PACKAGE, following=following(standards=(STANDARD.raw.replace(b"0.30", b"0.20"),)))


def test_a_document_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(EvidenceError, match="unknown format"):
        sealing.check_sealed({"format": "something/1"}, where="x")
    with pytest.raises(EvidenceError, match="form of one"):
        sealing.check_sealed({**documents.content(DECISION), "signatures": [{"role": 1}]}, where="x")


def test_reading_a_sealed_package_back_gives_the_same_identity() -> None:
    read = documents.parse(EvidencePackage, documents.canonical(PACKAGE), where="x")
    sealing.check(read)
    assert read.evidence_id == PACKAGE.evidence_id
