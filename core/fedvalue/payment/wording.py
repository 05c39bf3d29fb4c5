"""The sentences of a decision: what a reader must know before acting, and what would change the answer."""

from __future__ import annotations

from fedvalue.evidence.package import EvidencePackage
from fedvalue.payment.decision import Outcome, ReferenceCheck
from fedvalue.payment.operating import Rulebook, critical
from fedvalue.payment.outcome_linked import Counts
from fedvalue.payment.standard import Standard

NO_BITE = 0.99
"""Probability of "met" under the declared reference above which a threshold decides nothing."""

_UNSAFE = {
    "clear_sum": "The sums travelled in clear: the coordinator saw each site's noised share.",
    "no_noise": "There is no privacy noise: the figures are exact and nobody is protected.",
}
_STATUS = {
    "example": "The standard is an example.",
    "unverified": "Nobody has compared the standard's amounts with an official document.",
}


def warnings(
    package: EvidencePackage,
    standard: Standard,
    reference: ReferenceCheck | None,
    *,
    method: str | None,
    counts: Counts | None,
) -> tuple[str, ...]:
    """Return what a reader must know before acting, the gravest first.

    Args:
      package: The evidence.
      standard: The standard.
      reference: Whether the threshold can bite, if that was checked.
      method: How the outcome was assessed, if it was assessed.
      counts: The released figures, if they were used.
    """
    found = []
    if package.simulation:
        found.append("The evidence is a simulation: it binds nobody.")
    found += [_UNSAFE.get(word, f"Protection was lowered: {word}.") for word in package.unsafe]
    if standard.status in _STATUS:
        found.append(_STATUS[standard.status])
    if reference is not None and reference.probability_met > NO_BITE:
        found.append(
            "The threshold cannot bite: at the declared reference this rule answers met "
            "with probability above .99."
        )
    if method in ("clinician", "report_text"):
        found.append(
            "The outcome was not measured by RECIST; clinicians report more responses than RECIST does."
        )
    if method is None:
        found.append("The outcome is a column of the patients table: its day and method cannot be checked.")
    if counts is not None and not 0 <= counts.success.value <= counts.total.value:
        found.append("The released share lies outside 0 to 100 %: that is noise, and it is used as it is.")
    items = package.bias.model_dump().values()
    if open_items := sum(item["status"] == "open" for item in items):
        found.append(f"{open_items} of {len(items)} biases that noise does not show are open.")
    return tuple(found)


def what_would_change(book: Rulebook, counts: Counts, outcome: Outcome) -> tuple[str, ...]:
    """Return at which released shares the answer turns, for this number of patients and this noise.

    Args:
      book: The rule at work.
      counts: The released figures.
      outcome: The answer.
    """
    patients = max(round(counts.total.value), 1)
    found = critical(book, patients, book.noise_variance(counts))
    high, low = (None if turn is None else 100 * turn / patients for turn in (found.high, found.low))
    if book.direction == "at_most":
        met, not_met, better, worse = low, high, "at most", "at least"
    else:
        met, not_met, better, worse = high, low, "at least", "at most"
    sentences = {
        "met": _sentence("met", better, met),
        "not_met": _sentence("not met", worse, not_met),
    }
    if outcome == "insufficient_evidence":
        return (sentences["met"], sentences["not_met"])
    other = "not_met" if outcome == "met" else "met"
    return (sentences[outcome].replace("would be", "keeps the answer", 1), sentences[other])


def _sentence(answer: str, side: str, share: float | None) -> str:
    if share is None:
        return f"No released share would be {answer} at this size and noise."
    return f"A released share of {side} {share:.1f} % would be {answer} at this size and noise."
