"""What a study asks, of whom and at what price, as data and in plain words."""

from __future__ import annotations

import math
from typing import Any

from fedvalue.planning.measured import measured_in_words
from fedvalue.planning.plan import Plan, PlannedRelease, shares_of
from fedvalue.planning.promises import Adversary, Promise, three_promises
from fedvalue.privacy import accounting
from fedvalue.privacy.release import RHO_UNIT
from fedvalue.study.index import Index
from fedvalue.study.schema import Study

WHO_COORDINATES = (
    "A legal entity that pays for the care should not run the coordinator: it holds claims of the same "
    "patients and has a stake in the answer."
)


def preview(study: Study, plan: Plan, *, clear_sum: bool = False) -> dict[str, Any]:
    """Return what would be asked as JSON values: releases, blocks, prices, epsilons.

    ``noise_sd`` is that of the total with every site answering, in the block's own unit; ``epsilons``
    stand in the order in which people are told.

    Args:
      study: The study.
      plan: Its plan.
      clear_sum: True if each site's share reaches the coordinator unmasked, as only in a simulation.
    """
    limits = plan.thresholds
    promises = plan_promises(plan, study)
    return {
        "study": study.study.id,
        "study_hash": plan.study_hash,
        "sites": limits.sites,
        "must_answer": limits.answers,
        "colluding": limits.colluding,
        "dropouts": limits.dropouts,
        "honest_shares": limits.honest_shares,
        "delta": study.privacy.delta,
        "rho": float(plan.rho_units * RHO_UNIT),
        "epsilon": study.privacy.epsilon,
        "epsilon_own_share": own_share_epsilon(plan),
        "epsilons": [
            {"against": p.against, "colluding": p.colluding, "epsilon": p.epsilon} for p in promises
        ],
        "clear_sum": clear_sum,
        "ledger_rho": float(site_share_units(plan, clear_sum=clear_sum) * RHO_UNIT),
        "governance_missing": list(study.governance.missing()),
        "cohort": cohort_in_words(study),
        "analyses": analyses_in_words(study),
        "measured": measured_in_words(study),
        "payments": [f"{p.standard} ({p.mechanism}), decided by {p.uses}" for p in study.payments],
        "releases": [
            {"label": release.label, "numbers": release.dimension, "blocks": _blocks(release, limits.sites)}
            for release in plan.releases
        ],
    }


def site_share_units(plan: Plan, *, clear_sum: bool) -> int:
    """Return what a whole plan and every spare attempt take from one site's ledger, in 2^-40 zCDP.

    With sampled releases it is the rho of plain releases that would cost at least as much at every order of
    the ledger: far more than `charged_epsilon` says, and safe to add up.

    Args:
      plan: The plan.
      clear_sum: True if the site's share would travel unmasked, protected by its own noise alone.
    """
    if plan.sampled:
        return plan.price(1 if clear_sum else None).covering_rho_units
    return plan.attempts * sum(release.charged_units(clear_sum=clear_sum) for release in plan.releases)


def own_share_units(plan: Plan) -> int:
    """Return the price of one site's own share over a whole plan and every spare attempt, in 2^-40 zCDP."""
    return plan.attempts * sum(release.scales.rho_units(1) for release in plan.releases)


def own_share_epsilon(plan: Plan) -> float | None:
    """Return the epsilon of a site's own share over a whole plan and its spare attempts; None if exact."""
    if plan.exact:
        return None
    return accounting.epsilon_of(plan.price(1), plan.terms.delta)


def charged_epsilon(plan: Plan, *, clear_sum: bool) -> float | None:
    """Return the epsilon of what one site's ledger is charged for a whole plan; None if exact."""
    if plan.exact:
        return None
    return accounting.epsilon_of(plan.price(1 if clear_sum else None), plan.terms.delta)


def plan_promises(plan: Plan, study: Study) -> tuple[Promise, ...]:
    """Return the three epsilons of a whole plan and its spare attempts, in the order of telling."""
    limits = plan.thresholds
    return three_promises(
        sites=limits.sites,
        colluding=limits.colluding,
        promised=None if plan.exact else study.privacy.epsilon,
        own_share=own_share_epsilon(plan),
        no_collusion=(
            None if plan.exact else accounting.epsilon_of(plan.price(limits.answers), plan.terms.delta)
        ),
    )


def _blocks(release: PlannedRelease, sites: int) -> list[dict[str, Any]]:
    return [
        {
            "name": block.name,
            "numbers": block.dimension,
            "one_patient_moves_at_most": math.sqrt(block.bound_squared),
            "rho": float(block.rho_units * RHO_UNIT),
            "noise_sd": math.sqrt(release.noise_variance(sites)) / float(gamma),
        }
        for block, gamma in zip(release.blocks, release.scales.gammas, strict=True)
    ]


def analyses_in_words(study: Study) -> list[str]:
    """Return a sentence for each analysis, and one for the diagnostics."""
    sentences = [
        f"{question.in_words(study.measured)}; {float(share) * 100:.3g}% of the budget."
        for question, share in zip(study.analyses, shares_of(study), strict=False)
    ]
    return [*sentences, study.diagnostics.in_words()]


def in_words(study: Study, plan: Plan, *, clear_sum: bool = False) -> str:
    """Return the preview as text for people; arguments as for `preview`."""
    facts = preview(study, plan, clear_sum=clear_sum)
    charter = study.study
    lines = [
        f"{charter.title.read('en')} ({charter.id})",
        f"Question: {charter.question.read('en')}",
        f"Asked by {charter.principal_investigator}, from {charter.valid.start} until {charter.valid.until}.",
        "",
        "What is asked",
        *(f"  {n}. {sentence}" for n, sentence in enumerate(facts["analyses"], start=1)),
        *(f"  {sentence}" for sentence in facts["measured"]),
        "",
        "Of whom",
        *(f"  {sentence}" for sentence in cohort_in_words(study)),
        f"  {_federation_in_words(facts)}",
        f"  Under {study.federation.min_released_patients} released patients a stratum gets no estimate.",
        "",
        "What leaves a hospital",
        f"  {_leaves_in_words(facts)}",
        *(
            f"  {line}"
            for first, last in _runs(plan)
            for line in _release_in_words(facts["releases"][first], plan, first, last)
        ),
        "",
        "At what price",
        *(f"  {sentence}" for sentence in _price_in_words(study, plan, facts)),
    ]
    if facts["payments"]:
        lines += ["", "What it may move", *(f"  {text}" for text in facts["payments"])]
    if facts["governance_missing"]:
        lines += ["", "Governance lines still missing: " + ", ".join(facts["governance_missing"])]
    if study.governance.profile == "none":
        lines += ["", "Governance profile 'none': for simulations; a hospital's default policy refuses it."]
    return "\n".join(lines)


def cohort_in_words(study: Study) -> list[str]:
    """Return sentences that say which patients are in."""
    index = study.cohort.index
    whom = (
        "Every patient of the patients table, from the day of origin."
        if index.first == "patient"
        else f"Patients from their {_event_in_words(index)}."
    )
    insured = (
        []
        if study.cohort.observable is None
        else [f"Only those insured without a break for {study.cohort.observable} before that day."]
    )
    ways = (("who must have", study.cohort.require), ("who must not have", study.cohort.exclude))
    criteria = (
        f"Only those {way} a {one.kind} record with {', '.join(one.codes)} on days {one.within}."
        for way, found in ways
        for one in found
    )
    return [whom, *insured, *criteria]


def _event_in_words(index: Index) -> str:
    coded = ", ".join(index.codes)
    if index.first == "line":
        return f"line of therapy {index.number}" + (f" with {coded}" if coded else "")
    washout = "" if index.washout is None else f" after {index.washout} without one"
    return f"first {index.first} record with {coded}{washout}"


def _federation_in_words(facts: dict[str, Any]) -> str:
    return (
        f"{facts['sites']} hospitals; {facts['must_answer']} must answer; up to {facts['colluding']} "
        f"may collude with the coordinator and up to {facts['dropouts']} may fail."
    )


def _runs(plan: Plan) -> list[tuple[int, int]]:
    """Return first and last place of releases that follow each other and are rounds of one training."""
    found: list[tuple[int, int]] = []
    for place, release in enumerate(plan.releases):
        before = plan.releases[found[-1][1]] if found else None
        alike = (
            before is not None
            and release.drawn is not None
            and before.drawn == release.drawn
            and before.parts[0].analysis.label == release.parts[0].analysis.label
        )
        found = [*found[:-1], (found[-1][0], place)] if alike else [*found, (place, place)]
    return found


def _release_in_words(release: dict[str, Any], plan: Plan, first: int, last: int) -> list[str]:
    noise = "WITHOUT noise" if plan.exact else "each with noise"
    if plan.releases[first].local:
        noise = "WITHOUT noise" if plan.exact else "each with the noise of its hospital's own steps"
    moved = _moved(plan.releases[first])
    label = (
        release["label"]
        if first == last
        else f"{release['label']} to {plan.releases[last].label}, one a round"
    )
    return [
        f"{label}: {release['numbers']} numbers, {noise}:",
        *(
            f"  {b['name']}: {b['numbers']} numbers; one patient moves {moved} by at most "
            f"{b['one_patient_moves_at_most']:.3g}{_noise_of(b['noise_sd'])}"
            for b in release["blocks"]
        ),
    ]


def _moved(release: PlannedRelease) -> str:
    return "the sum of one step" if release.local else "them"


def _noise_of(deviation: float) -> str:
    return f", noise of the total +-{deviation:.3g}" if deviation else ""


def _leaves_in_words(facts: dict[str, Any]) -> str:
    if facts["clear_sum"]:
        return (
            "IN CLEAR, as only in a simulation: the coordinator sees each hospital's numbers by themselves."
        )
    return (
        "For each release one masked vector, which looks random to everybody; what is opened is the sum over "
        f"at least {facts['must_answer']} hospitals, never one hospital's numbers."
    )


def _price_in_words(study: Study, plan: Plan, facts: dict[str, Any]) -> list[str]:
    privacy, repeated = study.privacy, study.privacy.max_sites_per_patient
    appears = f"One person may appear at {repeated.value} site(s) ({repeated.basis})."
    if plan.exact:
        return ["No noise: there is no promise at all.", appears, WHO_COORDINATES]
    rho = "" if plan.sampled else f" (rho {facts['ledger_rho']:.5f} each)"
    whole = f"Per patient, at delta {privacy.delta:g} for the whole study{rho}:"
    promises = plan_promises(plan, study)
    if facts["clear_sum"]:
        told = _price_in_clear({p.against: p for p in promises})
    else:
        told = [
            f"epsilon {promise.epsilon or 0.0:.3g} {_against(promise)}"
            + ("; this is what each ledger is charged." if promise.against == "promised" else ".")
            for promise in promises
        ]
    return [whole, *(f"  {sentence}" for sentence in told), appears, WHO_COORDINATES]


def _price_in_clear(promises: dict[Adversary, Promise]) -> list[str]:
    own, masked = promises["own_share"], promises["promised"]
    seen = "which sees this hospital's own noise alone; this is what each ledger is charged."
    return [
        f"epsilon {own.epsilon or 0.0:.3g} against the coordinator, {seen}",
        f"With the private sum it would be epsilon {masked.epsilon or 0.0:.3g} {_against(masked)}.",
    ]


def _against(promise: Promise) -> str:
    if promise.against == "own_share":
        others = f"all {promise.colluding} other hospitals"
        return f"against the coordinator and {others}: this hospital's own noise alone"
    if promise.against == "promised":
        return f"against the coordinator and {promise.colluding} colluding hospital(s)"
    return "against the coordinator alone"
