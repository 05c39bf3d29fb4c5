"""The answer on a terminal, in a few lines."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from fedvalue.evidence import display, sealing
from fedvalue.evidence.package import EvidencePackage
from fedvalue.payment.decision import Decision
from fedvalue.server.reports.budget import in_clear
from fedvalue.server.reports.formats import day, interval, level, number, patients, percent, probability
from fedvalue.server.reports.naming import Names
from fedvalue.server.reports.wording import Language, Phrase, Voice, Words, joined, sentences

_STYLES = {"met": "bold green", "not_met": "bold red", "insufficient_evidence": "bold yellow"}


def summary_table(
    package: EvidencePackage, decisions: tuple[Decision, ...], language: Language = "en"
) -> Table:
    """Return question, answer, probability, interval, epsilon spent and what would change the answer.

    Nothing from a study or a standard is read as markup of the terminal.

    Args:
      package: The evidence.
      decisions: Decisions that rest on it, one block of rows each.
      language: ``en``, ``zh``, or ``both``, which then stand side by side.

    Raises:
      EvidenceError: the embedded study cannot be read.
      OutputError: an unknown language.
    """
    voice = Voice.of(language)
    names = Names(voice, sealing.embedded_study(package))
    stamp = voice("banner.simulation") if package.simulation else Phrase.same("")
    caption = joined([stamp, *(voice("banner.unsafe", switch=s) for s in package.unsafe)], "  ")
    title = Text(voice.plain(names.title), style="bold")
    table = Table(
        title=title, caption=Text(voice.plain(caption), style="bold red"), show_header=False, min_width=60
    )
    table.add_column(no_wrap=True, style="cyan")
    table.add_column(overflow="fold")

    def row(key: str, words: Words, style: str = "") -> None:
        table.add_row(Text(voice.plain(voice(f"terminal.{key}"))), Text(voice.plain(words), style=style))

    row("question", names.question)
    for decision in decisions:
        row("answer", voice(f"answer.{decision.outcome}"), _STYLES[decision.outcome])
        row("probability", _probability(decision, voice))
        row("estimate", _estimate(decision, voice))
        row("change", _change(decision, voice))
    if not decisions:
        row("answer", voice("answer.none"))
    row("epsilon", _spent(package, voice))
    return table


def _levels(decision: Decision) -> dict[str, Words]:
    return {"p_met": level(decision.rule.p_met), "p_not": level(decision.rule.p_not)}


def _probability(decision: Decision, voice: Voice) -> Words:
    if decision.finding is None:
        return "\u2013"
    told = probability(decision.finding.probability)
    if decision.rule.name != "D1":
        return told
    return voice("terminal.of_threshold", p=told, **_levels(decision))


def _estimate(decision: Decision, voice: Voice) -> Words:
    finding = decision.finding
    if finding is None:
        return voice("refusal.no_estimate")
    ends = interval(finding.lower, finding.upper, "probability", voice)
    return voice("estimate.with_interval", value=percent(finding.estimate), ends=ends)


def _spent(package: EvidencePackage, voice: Voice) -> Words:
    privacy = package.privacy
    if privacy.epsilon_own_share is None or privacy.epsilon_promised is None:
        return voice("budget.none")
    if in_clear(package):
        own, promised = number(privacy.epsilon_own_share, 3), number(privacy.epsilon_promised, 3)
        return voice("terminal.spent_clear", own=own, promised=promised)
    told = [
        voice(
            f"terminal.spent_{promise.against}",
            epsilon=number(promise.epsilon or 0.0, 3),
            c=str(promise.colluding),
        )
        for promise in display.promises(package)
    ]
    return joined(told, voice("terminal.then"))


def _change(decision: Decision, voice: Voice) -> Words:
    lacking = decision.insufficient
    if lacking is None:
        return voice(f"change.{decision.outcome}_{decision.rule.name.lower()}", **_levels(decision))
    more, less = lacking.more_patients.patients, lacking.more_privacy.epsilon
    ways: list[Words] = []
    if more is not None:
        ways.append(_likely(patients(more, voice), lacking.more_patients.assurance, voice))
    if less is not None:
        priced = voice("budget.allowed", n=number(less, 3))
        ways.append(_likely(priced, lacking.more_privacy.assurance, voice))
    told = joined(ways, voice("outcome.or")) if ways else voice.recorded(lacking.text)
    return sentences(told, voice("terminal.again", review=day(lacking.review_on)))


def _likely(way: Phrase, assurance: float | None, voice: Voice) -> Phrase:
    """Return a remedy with the probability that it leads to an answer, where that is known."""
    return way if assurance is None else voice("terminal.likely", way=way, p=percent(assurance))
