"""The report: one self-contained HTML file that a payer can read, print and pass on.

It asks nothing of a network (its content security policy forbids every request), needs no script, and
keeps every word as text. With both languages in one file, a radio button chooses the one that is shown.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined

from fedvalue.analyses.estimate import Conclusion
from fedvalue.errors import EvidenceError, OutputError
from fedvalue.evidence import sealing
from fedvalue.evidence.documents import content
from fedvalue.evidence.package import EvidencePackage
from fedvalue.payment.decision import Decision
from fedvalue.server.reports import budget, kaplan_meier, look, provenance, variance
from fedvalue.server.reports.answers import answer
from fedvalue.server.reports.drawing import Table
from fedvalue.server.reports.formats import day, interval, quantity
from fedvalue.server.reports.kinds import choice
from fedvalue.server.reports.limits import banners, limits
from fedvalue.server.reports.look import Publication
from fedvalue.server.reports.naming import Names
from fedvalue.server.reports.wording import Language, Voice, Words
from fedvalue.study.endpoints import TimeToEvent
from fedvalue.study.schema import Study

BIASES = ("confounding", "immortal_time", "informative_censoring", "test_access", "site_selection")


def render(
    package: EvidencePackage,
    decisions: tuple[Decision, ...],
    language: Language = "en",
    publication: Publication = "parties",
) -> str:
    """Return the report as one HTML page.

    Args:
      package: The evidence; its identity, signatures and embedded study are checked first.
      decisions: Decisions that rest on it; none gives a report without an answer.
      language: ``en``, ``zh``, or ``both``: one page on which the reader chooses.
      publication: Who may see it; every figure says so.

    Raises:
      EvidenceError: the package or a decision is not what it says it is, or it rests on other evidence.
      SignatureInvalid: a signature does not match.
      OutputError: an unknown language, or a label that the catalogue lacks.
    """
    voice = Voice.of(language)
    sealing.check(package)
    for decision in decisions:
        _check_decision(decision, package)
    study = sealing.embedded_study(package)
    template = environment().get_template("report.html")
    return template.render(_view(package, tuple(decisions), study, voice), publication=publication)


def write(
    package: EvidencePackage,
    decisions: tuple[Decision, ...],
    path: Path,
    language: Language = "en",
    publication: Publication = "parties",
) -> Path:
    """Write the report so that a reader sees the whole page or none of it; return ``path``.

    Args:
      package: As for `render`.
      decisions: As for `render`.
      path: The file; its folder exists.
      language: As for `render`.
      publication: As for `render`.

    Raises:
      EvidenceError: as for `render`.
      SignatureInvalid: as for `render`.
      OutputError: the place cannot be written, or as for `render`.
    """
    return save(render(package, decisions, language, publication), path)


def save(page: str, path: Path) -> Path:
    """Write a page so that a reader sees the whole of it or nothing; return ``path``.

    Raises:
      OutputError: the place cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(page, encoding="utf-8", newline="\n")
        part.replace(path)
    except OSError as failure:
        part.unlink(missing_ok=True)
        raise OutputError(
            f"the report cannot be written: {failure.strerror}",
            where=str(path),
            do="choose a writable folder",
        ) from failure
    return path


def _check_decision(decision: Decision, package: EvidencePackage) -> None:
    if decision.evidence_id != package.evidence_id:
        raise EvidenceError(
            f"the decision rests on {decision.evidence_id}, not on this evidence",
            where=decision.decision_id,
            do=f"give the decisions made from {package.evidence_id}",
        )
    document = content(decision)
    if decision.signatures:
        sealing.check_sealed(document, where=decision.decision_id)
        return
    body = {key: value for key, value in document.items() if key not in ("signatures", "decision_id")}
    if decision.decision_id != sealing.identity(body):
        raise EvidenceError(
            "decision_id is not that of the content",
            where=decision.decision_id,
            do="ask for the original decision",
        )


def environment() -> Environment:
    """Return the templates of every page, with escaping on."""
    folder = files(__package__).joinpath("templates")
    sources = {
        name: folder.joinpath(name).read_text(encoding="utf-8")
        for name in ("head.html", "report.html", "sheet.html", "figures.html", "style.css")
    }
    sources["palette.css"] = look.css_variables()
    return Environment(
        loader=DictLoader(sources),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=False,
        lstrip_blocks=True,
    )


def _view(
    package: EvidencePackage, decisions: tuple[Decision, ...], study: Study, voice: Voice
) -> dict[str, Any]:
    """Return everything that the template shows."""
    epsilon, names = study.privacy.epsilon, Names(voice, study)
    found = tuple(
        answer(decision, _conclusion(decision, package), names, f"decision-{i}")
        for i, decision in enumerate(decisions, start=1)
    )
    rows = variance.shares(package.conclusions, decisions, names)
    return {
        "t": voice,
        "h": voice.html,
        "plain": voice.plain,
        "bilingual": len(voice.languages) == 2,
        "tag": "zh-Hans" if voice.languages == ("zh",) else "en",
        "title": names.title,
        "question": names.question,
        "meta": voice(
            "page.meta",
            study=package.study_id,
            investigator=study.study.principal_investigator,
            created=day(package.created),
        ),
        "evidence": voice("page.evidence", evidence=package.evidence_id),
        "banners": banners(package, decisions, voice),
        "answers": found,
        "survival": _survival(package, names),
        "described": _described(package, names),
        "results": tuple(_results(c, names) for c in package.conclusions),
        "variance": variance.figure(rows, voice, "variance"),
        "budget": budget.figure(package, epsilon, voice, "budget"),
        "budget_sentence": budget.sentence(package, epsilon, voice),
        "bias": _bias(package, voice),
        "limits": limits(package, decisions, names),
        "provenance": provenance.summary(package, decisions, voice),
        "lineage": (provenance.sites(package, voice), provenance.releases(package, voice)),
        "glossary": _glossary(voice),
    }


def _conclusion(decision: Decision, package: EvidencePackage) -> Conclusion | None:
    """Return the proportion that the decision's question names."""
    question = decision.question
    fitting = [
        c
        for c in package.conclusions
        if c.kind == "proportion"
        and c.endpoint == question.endpoint
        and any(s.name == question.stratum for s in c.strata)
    ]
    return (
        min(fitting, key=lambda c: len(c.by), default=None)
        if question.stratum == "all"
        else next(iter(fitting), None)
    )


def _survival(package: EvidencePackage, names: Names) -> tuple[dict[str, Any], ...]:
    found = []
    for i, conclusion in enumerate(package.conclusions):
        endpoint = names.study.endpoints.get(conclusion.endpoint)
        if conclusion.kind == "kaplan_meier" and isinstance(endpoint, TimeToEvent):
            found.append(
                {
                    "title": names.analysis(conclusion),
                    "figure": kaplan_meier.figure(conclusion, endpoint.edges[-1], names, f"survival-{i}"),
                    "notes": tuple(names.voice.recorded(note) for note in conclusion.notes),
                }
            )
    return tuple(found)


def _described(package: EvidencePackage, names: Names) -> tuple[dict[str, Any], ...]:
    """Return title, figures and notes of every analysis that has no section of its own."""
    return tuple(
        {
            "title": names.analysis(conclusion),
            "figures": figures,
            "notes": tuple(names.voice.recorded(note) for note in conclusion.notes),
        }
        for i, conclusion in enumerate(package.conclusions)
        if (figures := choice.figures(conclusion, names, f"described-{i}"))
    )


def _results(conclusion: Conclusion, names: Names) -> Table:
    """Return every estimate of an analysis with its interval, and every refusal in its place."""
    voice = names.voice
    rows: list[tuple[Words, ...]] = []
    for stratum in conclusion.strata:
        label = names.group(stratum.name)
        if not stratum.estimates:
            rows.append((label, names.refusal(stratum), "\u2013", "\u2013"))
        rows += [
            (
                label,
                names.estimate(name),
                quantity(e.value, e.unit, voice),
                interval(e.lower, e.upper, e.unit, voice),
            )
            for name, e in stratum.estimates.items()
        ]
    head = tuple(voice(f"table.{key}") for key in ("group", "figure", "estimate", "interval"))
    return Table(names.analysis(conclusion), head, tuple(rows), frozenset({1}))


def _bias(package: EvidencePackage, voice: Voice) -> tuple[dict[str, Any], ...]:
    found = []
    for name in BIASES:
        item = getattr(package.bias, name)
        slug = item.status.replace(" ", "_")
        found.append(
            {
                "name": voice(f"bias.{name}"),
                "status": voice(f"bias.{slug}"),
                "text": voice.recorded(item.text),
                "tone": slug,
            }
        )
    return tuple(found)


def _glossary(voice: Voice) -> Table:
    terms = (entry for key, entry in voice.catalogue.entries.items() if key.startswith("glossary."))
    return Table(
        voice("page.glossary"),
        (voice("table.english"), voice("table.chinese")),
        tuple((p.en, p.zh) for p in terms),
    )
