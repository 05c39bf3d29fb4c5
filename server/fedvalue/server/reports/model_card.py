"""The card of a model: what it is for, what was measured of it, where it fails, what it cost in privacy.

One page in the look of every report, made from the signed package alone. A protected group that was too small
reads "not assessed" in its row, never nothing and never "fair". A model whose way of training
nobody attacked is called not audited.
"""

from __future__ import annotations

from fedvalue.analyses.estimate import Conclusion, Estimate, Stratum
from fedvalue.analyses.groups import EVERYBODY
from fedvalue.evidence import documents
from fedvalue.payment.mechanisms.calibration_gate import LAST_QUARTER
from fedvalue.payment.model_gate import AREA, OVER, groups_of
from fedvalue.server.reports import model_figures
from fedvalue.server.reports.drawing import Figure, Table
from fedvalue.server.reports.formats import day, number, percent, whole
from fedvalue.server.reports.model_figures import told
from fedvalue.server.reports.sheet import Banner, Part, Sheet
from fedvalue.server.reports.wording import Phrase, Voice, Words, joined
from fedvalue.strategies.training.package.document import ModelPackage
from fedvalue.strategies.training.package.document import Words as Said
from fedvalue.study.cohort import Variable

DASH = "\u2013"
ATTACKS = ("membership_inference", "canary")


def card_sheet(package: ModelPackage, voice: Voice) -> Sheet:
    """Return the page.

    Args:
      package: A model package; its identity and signatures were checked.
      voice: Languages.
    """
    title = Phrase(package.title.read("en"), package.title.read("zh"))
    parts = [_purpose(package, voice), _gates(package, voice)]
    for i, conclusion in enumerate(package.evaluations):
        parts += [_metrics(conclusion, voice, i), _fairness(conclusion, voice, i), _use(conclusion, voice, i)]
    parts += [
        _reasons(package, voice), _dictionary(package, voice), _privacy(package, voice),
        _attacks(package, voice), _limits(package, voice), _provenance(package, voice),
    ]  # fmt: skip
    banners: list[Banner] = []
    if package.simulation:
        banners.append(Banner(voice("model.unsafe"), voice("model.simulated")))
    if package.unsafe:
        text = voice("model.unsafe_text", what=", ".join(package.unsafe))
        banners.append(Banner(voice("model.unsafe"), text))
    return Sheet(
        voice("model.kicker"), title, tuple(part for part in parts if part is not None),
        voice("model.meta", name=package.name, id=package.model_id, created=day(package.created)),
        tuple(banners),
    )  # fmt: skip


def _said(words: Said) -> Phrase:
    return Phrase(words.en, words.zh)


def _purpose(package: ModelPackage, voice: Voice) -> Part:
    shape = (
        voice("model.linear")
        if package.model.linear
        else voice("model.layers", n=whole(len(package.model.hidden)))
    )
    what = voice(
        "model.predicts", outcome=package.outcome_name.replace("_", " "),
        n=whole(len(package.model.variables)),
        shape=shape,
    )  # fmt: skip
    return Part("purpose", voice("model.purpose"), (_said(package.purpose), what, voice("model.not_alone")))


def _gates(package: ModelPackage, voice: Voice) -> Part | None:
    if not package.gates:
        return None
    order = ("not_met", "insufficient_evidence", "met")
    worst = min((gated.outcome for gated in package.gates), key=order.index)
    rows: list[tuple[Words, ...]] = []
    for gated in package.gates:
        rows += [(_gate(name, voice), voice(f"answer.{verdict}")) for name, verdict in gated.judged.items()]
        rows += [(_group(name, voice), voice("model.not_assessed")) for name in gated.small]
        rows += [(voice.matched("recorded", name), voice("model.not_reported")) for name in gated.missing]
    table = Table(
        voice("model.gates"), (voice("table.gate"), voice("table.answer")), tuple(rows), frozenset({1})
    )
    return Part(
        "gates", voice("model.gates"), (voice(f"model.gates_{worst}"),), tables=(table,), tone=worst,
        badge=voice(f"answer.{worst}"),
    )  # fmt: skip


def _gate(name: str, voice: Voice) -> Words:
    if name == "slope":
        return voice("calibration.slope")
    group = (
        voice("group.all")
        if name == EVERYBODY
        else voice("group.last_quarter")
        if name == LAST_QUARTER
        else _group(name, voice)
    )
    return voice("calibration.ratio", group=group)


def _group(name: str, voice: Voice) -> Phrase:
    """Return a group, tier, cell or variable in words: ``sex=female`` becomes ``sex: female``."""
    found: list[Words] = []
    for part in name.split(", "):
        variable, _, level = part.partition("=")
        shown = voice.either(f"variable.{variable}", variable.replace("_", " "))
        said = voice.either(f"level.{level.replace(' ', '_')}", level)
        found.append(voice("group.level", variable=shown, level=said) if level else shown)
    return joined(found, voice("group.separator"))


def _metrics(conclusion: Conclusion, voice: Voice, i: int) -> Part:
    shown = {EVERYBODY: voice("group.all"), LAST_QUARTER: voice("group.last_quarter")}
    rows: list[tuple[Words, ...]] = []
    for stratum in conclusion.strata:
        if stratum.name not in shown:
            continue
        if stratum.status != "estimated":
            rows.append((shown[stratum.name], voice("model.not_assessed"), DASH, DASH))
        rows += [
            (shown[stratum.name], voice.matched("estimate_pattern", name), told(e.value, e.unit),
             _ends(e, voice))
            for name, e in stratum.estimates.items()
        ]  # fmt: skip
    head = tuple(voice(f"table.{word}") for word in ("group", "figure", "estimate", "interval"))
    notes = tuple(voice.recorded(note) for note in conclusion.notes)
    return Part(
        f"metrics-{i}", voice("model.metrics"), (voice("model.metrics_lead"), *notes),
        tables=(Table(voice("model.metrics"), head, tuple(rows), frozenset({1})),),
    )  # fmt: skip


def _fairness(conclusion: Conclusion, voice: Voice, i: int) -> Part:
    groups = groups_of(conclusion)
    if not groups:
        return Part(f"fairness-{i}", voice("model.fairness"), (voice("model.no_groups"),))
    columns = (OVER, AREA, "Brier score", "calibration slope")
    rows = tuple(_fair(name, stratum, columns, voice) for name, stratum in groups.items())
    head = (
        voice("table.group"), voice("model.patients"),
        *(voice.matched("estimate_pattern", name) for name in columns),
    )  # fmt: skip
    whole_ = conclusion.stratum(EVERYBODY)
    line = "observed by predicted risk"
    named: dict[str, Stratum] = {EVERYBODY: whole_, **groups}
    lines = [
        (voice("group.all") if n == EVERYBODY else _group(n, voice), s.series[line])
        for n, s in named.items()
        if line in s.series
    ]
    figures = (model_figures.reliability(lines, voice, f"reliability-{i}"),) if lines else ()
    return Part(
        f"fairness-{i}", voice("model.fairness"), (voice("model.fairness_lead"),), figures,
        (Table(voice("model.fairness"), head, rows, frozenset({2})),),
    )  # fmt: skip


def _fair(name: str, stratum: Stratum, columns: tuple[str, ...], voice: Voice) -> tuple[Words, ...]:
    if stratum.status != "estimated":
        return (_group(name, voice), DASH, voice("model.not_assessed"), *(DASH for _ in columns[1:]))
    n = stratum.released["patients"].value
    return (
        _group(name, voice), whole(round(n, -1)),
        *(_short(stratum.estimates.get(column), voice) for column in columns),
    )  # fmt: skip


def _ends(found: Estimate, voice: Voice) -> Words:
    if found.lower is None or found.upper is None:
        return DASH
    return voice("estimate.range", low=told(found.lower, found.unit), high=told(found.upper, found.unit))


def _short(found: Estimate | None, voice: Voice) -> Words:
    if found is None:
        return voice("model.not_estimable")
    if found.lower is None or found.upper is None:
        return number(found.value, 3)
    ends = voice("estimate.range", low=number(found.lower, 3), high=number(found.upper, 3))
    return voice("estimate.with_interval", value=number(found.value, 3), ends=ends)


def _use(conclusion: Conclusion, voice: Voice, i: int) -> Part | None:
    """Risk tiers, cells, and the decision curve."""
    tables, figures = [], list[Figure]()
    rows = []
    for stratum in conclusion.strata:
        rate = stratum.estimates.get("event rate")
        mean = stratum.estimates.get("mean prediction")
        if not stratum.name.startswith("tier=") and mean is None:
            continue
        people: Words = voice("model.not_assessed")
        if stratum.status == "estimated":
            people = whole(round(stratum.released["patients"].value, -1))
        rows.append((_group(stratum.name, voice), people, *(_share(e, voice) for e in (rate, mean))))
    if rows:
        head = (
            voice("table.group"), voice("model.patients"),
            *(voice.matched("estimate_pattern", name) for name in ("event rate", "mean prediction")),
        )  # fmt: skip
        tables.append(Table(voice("model.tiers"), head, tuple(rows)))
    series = (
        conclusion.stratum(EVERYBODY).series if any(s.name == EVERYBODY for s in conclusion.strata) else {}
    )
    lines = {name: one for name, one in series.items() if name.startswith("net benefit")}
    if lines:
        figures.append(model_figures.decision_curve(lines, voice, f"decision-{i}"))
    if not rows and not lines:
        return None
    return Part(f"use-{i}", voice("model.use"), (), tuple(figures), tuple(tables))


def _share(found: Estimate | None, voice: Voice) -> Words:
    if found is None or found.lower is None or found.upper is None:
        return DASH
    ends = voice("estimate.range", low=percent(found.lower), high=percent(found.upper))
    return voice("estimate.with_interval", value=percent(found.value), ends=ends)


def _reasons(package: ModelPackage, voice: Voice) -> Part:
    coefficients = package.model.coefficients if package.model.linear else {}
    rows = []
    for name in package.model.variables:
        effects = [
            f"{column.name}: {number(coefficients[column.name], 3)}"
            for column in package.model.columns
            if column.variable == name and column.name in coefficients
        ]
        rows.append((_group(name, voice), _said(package.reasons[name]), "; ".join(effects) or DASH))
    head = (voice("model.variable"), voice("model.reason"), voice("model.coefficient"))
    sentences = [voice("model.reasons_lead")]
    if package.genomic:
        sentences.append(voice("model.genes", names=", ".join(package.genomic)))
    table = Table(voice("model.reasons"), head, tuple(rows), frozenset({1, 2}))
    return Part("reasons", voice("model.reasons"), tuple(sentences), tables=(table,))


def _dictionary(package: ModelPackage, voice: Voice) -> Part:
    rows = tuple((_group(name, voice), _source(v), _range(v)) for name, v in package.variables.items())
    head = (voice("model.variable"), voice("model.source"), voice("model.values"))
    table = Table(voice("model.dictionary"), head, rows, frozenset({1, 2}))
    return Part("dictionary", voice("model.dictionary"), (voice("model.unknown"),), tables=(table,))


def _source(variable: Variable) -> str:
    if variable.variant is not None:
        return f"{variable.variant.gene} {' '.join(variable.variant.classes)}"
    if variable.variants:
        return ", ".join(f"{v.gene} {' '.join(v.classes)}" for v in variable.variants)
    if (named := variable.person or variable.claims) is not None:
        return named
    kinds = ("count", "first_day", "grade", "calendar")
    return next((kind for kind in kinds if getattr(variable, kind) is not None), DASH)


def _range(variable: Variable) -> str:
    if variable.clip is not None:
        low, high = (number(end, 6) for end in variable.clip)
        return f"{low} {DASH} {high} {variable.unit or ''}".strip()
    return ", ".join(variable.levels)


def _privacy(package: ModelPackage, voice: Voice) -> Part:
    rows = tuple(
        (
            voice(f"model.{spent.purpose}"), spent.study_id,
            voice("model.no_promise") if spent.epsilon is None else number(spent.epsilon, 3),
            f"{spent.delta:g}", whole(spent.releases), whole(len(spent.sites)),
        )
        for spent in package.spent
    )  # fmt: skip
    head = tuple(
        voice(f"model.{word}") for word in ("for_what", "study", "epsilon", "delta", "releases", "hospitals")
    )
    sites = sorted({site for spent in package.spent for site in spent.sites})
    told = voice("model.sites", names=", ".join(sites))
    table = Table(voice("model.privacy"), head, rows, frozenset({1}))
    return Part("privacy", voice("model.privacy"), (voice("model.privacy_lead"), told), tables=(table,))


def _attacks(package: ModelPackage, voice: Voice) -> Part:
    rows: list[tuple[Words, ...]] = []
    for attack in ATTACKS:
        found = [one for one in package.checks if one.attack == attack and one.value is not None]
        rows += [
            (voice(f"model.{attack}"), voice(f"model.attacked_{check.of}"), number(check.value or 0.0, 3),
             _or_dash(check.upper), _or_dash(check.bound), _or_dash(check.epsilon_at_least),
             _or_dash(check.epsilon), joined([check.command, check.source] if check.source else
                                             [check.command], ", "))
            for check in found
        ]  # fmt: skip
        if not found:
            rows.append((voice(f"model.{attack}"), voice("model.not_audited"), *[DASH] * 6))
    words = ("attack", "attacked", "advantage", "upper_end", "allowed", "shown", "promised", "command")
    table = Table(
        voice("model.attacks"), tuple(voice(f"model.{w}") for w in words), tuple(rows), frozenset({1, 7})
    )
    lead = [voice("model.attacks_lead")]
    if any(check.of == "method" for check in package.checks):
        lead.append(voice("model.attacks_method"))
    return Part("attacks", voice("model.attacks"), tuple(lead), tables=(table,))


def _or_dash(value: float | None) -> str:
    return DASH if value is None else number(value, 3)


def _limits(package: ModelPackage, voice: Voice) -> Part:
    return Part("limits", voice("section.limits"), tuple(_said(limit) for limit in package.limits))


def _provenance(package: ModelPackage, voice: Voice) -> Part:
    signed = joined([signature.public_key[:16] for signature in package.signatures], ", ")
    rows: tuple[tuple[Words, ...], ...] = (
        (voice("model.package"), package.model_id),
        (voice("model.digest"), documents.digest(package)),
        (voice("model.onnx"), package.onnx or DASH),
        (voice("model.signed_by"), signed),
        *((voice("model.evidence"), f"{s.study_id}: {s.evidence_id}") for s in package.spent),
    )
    table = Table(
        voice("section.provenance"), (voice("model.what"), voice("model.value")), rows, frozenset({1})
    )
    return Part("provenance", voice("section.provenance"), (voice("model.verify"),), tables=(table,))
