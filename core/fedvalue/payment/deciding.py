"""From evidence and a standard to a decision: which question, which answer, what money, what next.

Nothing is read but the package, the standard and the day, so a decision can be made again bit for bit.
The answer is made from rounded figures, because the last bits of a sum differ between machines.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedvalue.analyses.estimate import Stratum
from fedvalue.analyses.groups import EVERYBODY
from fedvalue.errors import EvidenceError, PaymentError
from fedvalue.evidence import documents, sealing
from fedvalue.evidence.chain import verify_chain
from fedvalue.evidence.display import banded
from fedvalue.evidence.package import EvidencePackage
from fedvalue.payment import wording
from fedvalue.payment.decision import (
    Decision,
    DecisionBody,
    Finding,
    Insufficient,
    Outcome,
    Question,
    ReferenceCheck,
    Rule,
)
from fedvalue.payment.insufficient import Budgeted, Clock, not_estimable, too_few, undecided
from fedvalue.payment.money import cash_flows, proposed_values
from fedvalue.payment.operating import Rulebook, probability_met
from fedvalue.payment.outcome_linked import Counts, Posterior, Prior, counts_of, posterior
from fedvalue.payment.rules import guard_band, read, rounded, rule_called
from fedvalue.payment.standard import Standard
from fedvalue.payment.standard_file import StandardFile
from fedvalue.study.endpoints import Binary
from fedvalue.study.schema import Payment, Study


@dataclass(frozen=True, slots=True)
class _Case:
    """Everything that a decision is made from."""

    package: EvidencePackage
    study: Study
    endpoint: Binary
    payment: Payment
    stratum: Stratum
    file: StandardFile
    on: date

    @property
    def standard(self) -> Standard:
        return self.file.standard

    def amount(self, name: str) -> Decimal:
        return self.standard.amount(name, self.on)

    def days(self, name: str) -> date:
        return self.on + timedelta(days=int(self.amount(name)))


def decide(
    package: EvidencePackage,
    standard: StandardFile,
    on: date,
    *,
    key: Ed25519PrivateKey | None = None,
    coordinator_key: str | None = None,
) -> Decision:
    """Answer a standard's question from a study's evidence. Nothing is changed by it.

    Args:
      package: The evidence.
      standard: The standard as it is on file.
      on: The day whose values of the standard are used.
      key: The payer's key; None leaves the decision unsigned, to be looked at only.
      coordinator_key: Public key that must have signed the evidence, if it is known.

    Raises:
      EvidenceError: a link from the study to the evidence does not hold, or ``on`` is outside its dates.
      SignatureInvalid: a signature on the package does not match.
      PaymentError: the evidence is of another standard, endpoint or group, or counts otherwise.
      ParameterNotInForce: the standard has no value on that day.
    """
    verify_chain(package, coordinator_key=coordinator_key)
    if not package.valid_from <= on <= package.valid_to:
        raise EvidenceError(
            f"the evidence holds from {package.valid_from} to {package.valid_to}, not on {on}",
            where=package.evidence_id,
            do="run the study again, or decide on a day within its dates",
        )
    body = _body(_case(package, standard, on))
    fields = {name: getattr(body, name) for name in DecisionBody.model_fields}
    return Decision(**fields, **sealing.sealed_fields(body, key))


def _case(package: EvidencePackage, file: StandardFile, on: date) -> _Case:
    standard, study = file.standard, sealing.embedded_study(package)
    payment = next((p for p in study.payments if p.standard == standard.name), None)
    if payment is None:
        raise PaymentError(
            f"the study moves {[p.standard for p in study.payments]}, not this standard",
            where=standard.name,
            do="use evidence of a study whose [[payments]] names this standard",
        )
    endpoint = study.endpoints.get(payment.endpoint)
    if not isinstance(endpoint, Binary):
        raise PaymentError(f"{payment.endpoint!r} is no binary endpoint", where=standard.name)
    _same_measure(endpoint, standard, int(standard.amount("window", on)))
    return _Case(package, study, endpoint, payment, _stratum(package, payment), file, on)


def _same_measure(endpoint: Binary, standard: Standard, window: int) -> None:
    """Refuse evidence that counts, assesses or looks otherwise than the standard says."""
    metric, do = standard.metric, "evidence and standard must ask the same question"
    if endpoint.missing != metric.missing:
        raise PaymentError(
            f"the study counts missing outcomes as {endpoint.missing}, the standard as {metric.missing}",
            where=standard.name,
            do=do,
        )
    if endpoint.method is None:
        return
    if endpoint.method not in metric.methods:
        raise PaymentError(
            f"the outcome was assessed by {endpoint.method}; the standard accepts {list(metric.methods)}",
            where=standard.name,
            do=do,
        )
    first, last = endpoint.window
    day = last if endpoint.takes_best else (first + last) // 2
    if day != window:
        raise PaymentError(
            f"the study looks at day {day}, the standard at day {window}", where=standard.name, do=do
        )


def _stratum(package: EvidencePackage, payment: Payment) -> Stratum:
    wanted = payment.stratum
    for conclusion in package.conclusions:
        same = conclusion.kind == "proportion" and conclusion.endpoint == payment.endpoint
        if same and set(conclusion.by) == set(wanted):
            name = ", ".join(f"{v}={wanted[v]}" for v in conclusion.by) or EVERYBODY
            for stratum in conclusion.strata:
                if stratum.name == name:
                    return stratum
    raise PaymentError(
        f"the evidence holds no proportion of {payment.uses!r}",
        where=package.evidence_id,
        do="use evidence of the group that the study's [[payments]] names",
    )


def _body(case: _Case) -> DecisionBody:
    standard, metric = case.standard, case.standard.metric
    rule = Rule(name=standard.decision_rule, p_met=case.amount("p_met"), p_not=case.amount("p_not"))
    threshold = case.amount("threshold")
    book = Rulebook(
        rule_called(rule.name, p_met=rule.p_met, p_not=rule.p_not),
        float(threshold),
        metric.direction,
        Prior(float(case.amount("prior_success")), float(case.amount("prior_failure"))),
    )
    counts = counts_of(case.stratum, metric.missing) if case.stratum.released else None
    outcome, finding, reference, insufficient = _answer(case, book, rule, counts)
    consequence = getattr(standard.consequences, outcome)
    before = standard.in_force(case.on)
    starts = case.days("effective_after")
    after = proposed_values(standard, consequence, before, on=case.on, starts=starts)
    return DecisionBody(
        decided_on=case.on,
        simulation=case.package.simulation,
        unsafe=case.package.unsafe,
        study_id=case.package.study_id,
        evidence_id=case.package.evidence_id,
        evidence_digest=documents.digest(case.package),
        standard=standard.name,
        standard_status=standard.status,
        parameters_version=case.file.version,
        mechanism=standard.mechanism,
        question=Question(
            text=case.study.study.question,
            endpoint=case.payment.endpoint,
            stratum=case.stratum.name,
            direction=metric.direction,
            threshold=threshold,
            missing=metric.missing,
        ),
        rule=rule,
        outcome=outcome,
        finding=finding,
        reference=reference,
        warnings=wording.warnings(
            case.package, standard, reference, method=case.endpoint.method, counts=counts if finding else None
        ),
        action=consequence.action,
        standard_before=before,
        standard_after=after,
        effective_from=starts if after else None,
        appeal_until=case.days("appeal_within") if after else None,
        money=cash_flows(standard, after, on=case.on) if after else (),
        insufficient=insufficient,
        what_would_change=wording.what_would_change(book, counts, outcome) if counts and finding else (),
        heterogeneity=case.package.heterogeneity,
        bias=case.package.bias,
    )


def _answer(
    case: _Case, book: Rulebook, rule: Rule, counts: Counts | None
) -> tuple[Outcome, Finding | None, ReferenceCheck | None, Insufficient | None]:
    clock = Clock(review_on=case.days("review_after"), sunset=case.days("sunset_after"))
    minimum = int(case.amount("minimum_patients"))
    released = None if counts is None else counts.total.value
    if case.stratum.status == "below_minimum":
        asked = max(minimum, case.study.federation.min_released_patients)
        return "insufficient_evidence", None, None, too_few(minimum=asked, released=released, clock=clock)
    if counts is None or case.stratum.status == "not_estimable":
        noisy = not_estimable(case.stratum, minimum=minimum, released=released, clock=clock)
        return "insufficient_evidence", None, None, noisy
    if counts.total.value < minimum:
        return "insufficient_evidence", None, None, too_few(minimum=minimum, released=released, clock=clock)
    believed = posterior(counts, book.prior)
    finding = _finding(book, rule, counts, believed)
    reference = _reference(case, book, counts)
    outcome = book.rule.answer(read(believed, book.threshold, book.direction))
    if outcome != "insufficient_evidence":
        return outcome, finding, reference, None
    privacy = case.study.privacy
    insufficient = undecided(
        book,
        counts,
        believed,
        missing_share=_missing_share(case, counts),
        budget=Budgeted(privacy.epsilon, privacy.delta, privacy.patient_cap),
        clock=clock,
    )
    return outcome, finding, reference, insufficient


def _finding(book: Rulebook, rule: Rule, counts: Counts, believed: Posterior) -> Finding:
    reading = read(believed, book.threshold, book.direction)
    lower, upper = believed.interval()
    sampling, privacy = (_kept(v) for v in (reading.sampling_variance, reading.privacy_variance))
    return Finding(
        success=counts.success,
        total=counts.total,
        patients_banded=banded(counts.total.value),
        estimate=reading.estimate,
        lower=round(lower, 6),
        upper=round(upper, 6),
        probability=reading.probability,
        sampling_variance=sampling,
        privacy_variance=privacy,
        privacy_share=rounded(privacy / (sampling + privacy)),
        guard_band=_kept(guard_band(float(rule.p_met), sampling + privacy)),
    )


def _reference(case: _Case, book: Rulebook, counts: Counts) -> ReferenceCheck:
    value, threshold = case.amount("reference"), case.amount("threshold")
    patients = max(round(counts.total.value), 1)
    met = probability_met(book, float(value), patients, book.noise_variance(counts))
    source = case.standard.history("reference").on(case.on, "reference").source
    return ReferenceCheck(
        value=value,
        margin=value - threshold if book.direction == "at_least" else threshold - value,
        probability_met=round(met, 6),
        source=source.title,
    )


def _missing_share(case: _Case, counts: Counts) -> float:
    if case.standard.metric.missing != "non_response":
        return 0.0
    return case.stratum.released["missing"].value / max(counts.total.value, 1.0)


def _kept(value: float) -> float:
    """Return a figure as decisions keep it, to nine significant digits."""
    return float(f"{value:.9g}")
