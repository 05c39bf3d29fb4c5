"""The chain from study to decision: it holds as made, and every forged link is named."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import pytest

from fedvalue.errors import EvidenceError, SignatureInvalid
from fedvalue.evidence import documents, sealing, statements
from fedvalue.evidence.chain import Following, verify_chain
from fedvalue.evidence.package import EvidencePackage
from fedvalue.payment import standard_file
from fedvalue.payment.deciding import decide
from fedvalue.payment.proposal import propose
from fedvalue.privacy import accounting
from fedvalue.study.signature import public_hex, sign
from tests.unit.evidence.sealed import SITES, key, package, resealed, study

PACKAGE = package()
RECORD = PACKAGE.releases[0]
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


def test_the_chain_holds_without_noise() -> None:
    links = verify_chain(package(exact=True))
    assert links[-1].name == "evidence"


def test_the_epsilons_are_those_of_the_accountant() -> None:
    # One release, k = 1, n = t = 3, c = 1, m = 2: the own share costs twice what the plan promises.
    privacy, charged = PACKAGE.privacy, RECORD.charged_rho_units
    assert charged == pytest.approx(2 * RECORD.promised_rho_units, abs=2)
    assert privacy.epsilon_own_share == accounting.epsilon(charged, 1e-6)
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
    other = PACKAGE.approvals[0].model_copy(update={"unsafe": ()})
    return {"approvals": (other.signed(key("alpha officer")), *PACKAGE.approvals[1:])}


def reply_of_another_site() -> dict[str, Any]:
    first, second, third = RECORD.replies
    return changed_release(replies=(first.model_copy(update={"signature": second.signature}), second, third))


def reply_with_an_officers_role() -> dict[str, Any]:
    first = RECORD.replies[0]
    said = statements.reply(
        specification=RECORD.specification, attempt=1, site="alpha", vector_digest=first.vector_digest
    )
    forged = first.model_copy(update={"signature": sign(said, key("alpha site"), "officer")})
    return changed_release(replies=(forged, *RECORD.replies[1:]))


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
    return changed_release(answered=SITES[:2], replies=RECORD.replies[:2])


FORGERIES: list[tuple[Callable[[], dict[str, Any]], str, type[Exception]]] = [
    (lambda: {"study_signatures": ()}, "study signature", EvidenceError),
    (lambda: {"study_signatures": (sign({"study_hash": "x"}, key("author"), "study"),)}, "study signature",
     SignatureInvalid),
    (lambda: {"roster_hash": "d" * 64}, "roster", EvidenceError),
    (lambda: {"approvals": PACKAGE.approvals[1:]}, "approvals: alpha", EvidenceError),
    (signed_by_another_officer, "approvals: alpha", SignatureInvalid),
    (approval_of_another_study, "approvals: alpha", EvidenceError),
    (approval_without_the_clear_sum, "approvals: alpha", EvidenceError),
    (other_thresholds, "approvals: alpha|plan", EvidenceError),
    (smaller_delta, "budget", EvidenceError),
    (lambda: changed_release(label="release-7"), "releases: release-7", EvidenceError),
    (lambda: changed_release(charged_rho_units=1), "releases: release-1", EvidenceError),
    (lambda: changed_release(specification="e" * 64), "releases: release-1", EvidenceError),
    (lambda: {"releases": (RECORD, RECORD)}, "releases", EvidenceError),
    (fewer_answers, "releases: release-1", EvidenceError),
    (louder_block, "releases: release-1", EvidenceError),
    (lambda: changed_release(total_digest="f" * 64), "release-1", EvidenceError),
    (lambda: changed_release(total="not base64!"), "release-1", EvidenceError),
    (reply_of_another_site, "releases: release-1, alpha", SignatureInvalid),
    (reply_with_an_officers_role, "releases: release-1", EvidenceError),
    (cheaper_ledger, "budget: alpha", EvidenceError),
    (smaller_epsilon_stated, "budget", EvidenceError),
    (another_total, "conclusions", EvidenceError),
    (better_conclusion, "conclusions", EvidenceError),
    (lambda: {"conclusions": ()}, "conclusions", EvidenceError),
]  # fmt: skip


@pytest.mark.parametrize("forgery", range(len(FORGERIES)))
def test_a_coordinator_that_seals_a_forged_package_is_found_at_that_link(forgery: int) -> None:
    changes, where, error = FORGERIES[forgery]
    with pytest.raises(error) as raised:
        verify_chain(resealed(PACKAGE, **changes()))
    assert any(raised.value.where.startswith(part) for part in where.split("|")), raised.value.where  # type: ignore[attr-defined] # both kinds carry it


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
