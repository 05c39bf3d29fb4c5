"""The page of a study that has not been asked: expected widths by epsilon, and the numbers behind them."""

from __future__ import annotations

from fedvalue.planning.programme import Reviews
from fedvalue.planning.prospect import Prospect, widest
from fedvalue.server.reports import look
from fedvalue.server.reports.drawing import Figure, Pieces, Table, circle, drawn, path, text
from fedvalue.server.reports.formats import number, percent, whole
from fedvalue.server.reports.look import Size
from fedvalue.server.reports.naming import Names
from fedvalue.server.reports.payment import chart
from fedvalue.server.reports.sheet import Part, Sheet
from fedvalue.server.reports.wording import Voice, Words
from fedvalue.study.schema import Study

_MOST = len(look.STROKES)


def plan_sheet(found: Prospect, study: Study, voice: Voice) -> Sheet:
    """Return the page.

    Args:
      found: What to expect.
      study: The study.
      voice: Languages.
    """
    names = Names(voice, study)
    title = names.title
    sentences = [
        voice("study_plan.lead", sites=str(found.sites), patients=whole(found.patients),
              epsilon=number(found.epsilon), releases=str(found.releases), trips=str(found.trips)),
        voice("study_plan.assumed"),
    ]  # fmt: skip
    if found.reviews is not None:
        key = "study_plan.lasts" if found.reviews.exhausted is None else "study_plan.ends"
        sentences.append(
            voice(key, n=str(found.reviews.bears), epsilon=number(found.reviews.partition_epsilon),
                  years=str(found.reviews.years))
        )  # fmt: skip
    sentences += [
        voice("study_plan.training", name=one.label, rounds=str(one.rounds), size=whole(one.size),
              z=number(one.multiplier), noise=number(one.noise))
        for one in found.trainings
    ]  # fmt: skip
    parts = [
        Part(
            "widths", voice("study_plan.widths"), tuple(sentences),
            (figure(found, voice),), (_expected(found, names),),
        )
    ]  # fmt: skip
    if found.split is not None:
        parts.append(
            Part("split", voice("study_plan.split"), (_told(found, voice),), (), (_split(found, voice),))
        )
    if found.unanswered:
        parts.append(
            Part("unanswered", voice("study_plan.unanswered"), (voice("study_plan.unanswered_lead"),), (),
                 (_unanswered(found, names),))
        )  # fmt: skip
    if found.reviews is not None:
        parts.append(Part("years", voice("study_plan.years"), (), (), (_years(found.reviews, voice),)))
    return Sheet(voice("study_plan.kicker"), title, tuple(parts))


def _told(found: Prospect, voice: Voice) -> Words:
    widest_then, now = (found.split.widest, found.split.before) if found.split else (0.0, 0.0)
    return voice("study_plan.split_lead", then=number(widest_then), now=number(now))


def figure(found: Prospect, voice: Voice) -> Figure:
    """Return widths against epsilon, one line an analysis, in multiples of the width without noise."""
    lines = [(label, _line(found, label)) for label in found.shares]
    shown = [(label, points) for label, points in lines if points][:_MOST]
    title = voice("study_plan.widths")
    head: tuple[Words, ...] = (
        voice("study_plan.analysis"),
        *(f"\u03b5 {number(epsilon)}" for epsilon in found.at),
    )
    rows: list[tuple[Words, ...]] = []
    for label in found.shares:
        cells = [widest(rows_at, label) for rows_at in found.at.values()]
        rows.append((label, *("\u2013" if c is None else number(c.width or 0.0) for c in cells)))
    told = voice("study_plan.alt", n=str(len(shown)))
    return Figure(
        voice("study_plan.caption"),
        drawn(voice, lambda size: _pieces(shown, found, voice, size), name="plan-widths", title=title,
              description=told),
        Table(voice("study_plan.table"), head, tuple(rows)),
    )  # fmt: skip


def _line(found: Prospect, label: str) -> list[tuple[float, float]]:
    points = []
    for epsilon, rows in found.at.items():
        row = widest(rows, label)
        if row is not None and row.width is not None and row.without > 0:
            points.append((epsilon, row.width / row.without))
    return points


def _pieces(
    shown: list[tuple[str, list[tuple[float, float]]]], found: Prospect, voice: Voice, size: Size
) -> Pieces:
    entries = [
        chart.Entry(label, color=look.stroke(i).color, dash=look.stroke(i).dash)
        for i, (label, _) in enumerate(shown)
    ]
    height, parts = chart.key(voice, size, entries)
    highest = max((y for _, points in shown for _, y in points), default=2.0)
    epsilons = list(found.at)
    area = chart.frame(size, (0.0, max(epsilons)), (0.0, max(1.5, highest)), top=height + 26)
    across: list[chart.Tick] = [(x, chart.short(x)) for x in chart.ticks(0.0, max(epsilons), size.ticks)]
    up: list[chart.Tick] = [(y, chart.short(y)) for y in chart.ticks(0.0, max(1.5, highest), 6)]
    parts += chart.axes(
        voice, area, across, up, across_title=voice("study_plan.epsilon"), up_title=voice("study_plan.times"),
        zero=True,
    )  # fmt: skip
    for i, (_, points) in enumerate(shown):
        style = look.stroke(i)
        xs, ys = [x for x, _ in points], [y for _, y in points]
        parts.append(path(chart.points(xs, ys, area), color=style.color, dash=style.dash, width=2.4))
        parts += [
            circle(area.x(x), area.y(y), 4.5, style.color, look.PAPER, 1.5)
            for x, y in points
            if x == found.epsilon
        ]
    if not shown:
        parts.append(
            text(voice, area.x.left + 12, area.bottom - 12, voice("study_plan.nothing"), color=look.MUTED)
        )
    return area.bottom + 46, parts


def _expected(found: Prospect, names: Names) -> Table:
    voice = names.voice
    head = tuple(
        voice(f"study_plan.{key}")
        for key in ("analysis", "group", "estimate", "value", "width", "without", "power", "answered")
    )
    rows: list[tuple[Words, ...]] = []
    for row in found.own:
        group, answered = names.group(row.group), percent(row.answered)
        if row.width is None:
            rows.append((row.analysis, group, *("\u2013",) * 5, answered))
            continue
        rows.append(
            (row.analysis, group, names.estimate(row.estimate), number(row.value), number(row.width),
             number(row.without), percent(row.power(found.difference)), answered)
        )  # fmt: skip
    caption = voice("study_plan.expected", difference=number(found.difference), epsilon=number(found.epsilon))
    return Table(caption, head, tuple(rows), words=frozenset({1, 2}))


def _unanswered(found: Prospect, names: Names) -> Table:
    """What the study's epsilon does not answer, and the epsilon that would do."""
    voice = names.voice
    rows: list[tuple[Words, ...]] = []
    for one in found.unanswered:
        never = voice("study_plan.never") if one.never else voice("study_plan.none_tried")
        would = never if one.never or one.epsilon is None else f"\u03b5 {number(one.epsilon)}"
        rows.append((one.analysis, names.group(one.group), percent(one.answered), would))
    head = tuple(voice(f"study_plan.{key}") for key in ("analysis", "group", "answered", "would_do"))
    return Table(voice("study_plan.unanswered"), head, tuple(rows), words=frozenset({1, 3}))


def _years(found: Reviews, voice: Voice) -> Table:
    """Year by year what the first partition has spent, and how many years of entry can still be asked."""
    head = tuple(voice(f"study_plan.{key}") for key in ("year", "spent", "counted"))
    rows = tuple(
        (str(year), number(spent), str(counted))
        for year, (spent, counted) in enumerate(zip(found.spent, found.counted, strict=True), start=1)
    )
    return Table(voice("study_plan.years"), head, rows)


def _split(found: Prospect, voice: Voice) -> Table:
    shares = found.split.shares if found.split else {}
    every = sum(found.shares[label] for label in shares)
    rows = tuple(
        (label, percent(found.shares[label] / every), percent(share)) for label, share in shares.items()
    )
    head = tuple(voice(f"study_plan.{key}") for key in ("analysis", "now", "then"))
    return Table(voice("study_plan.split"), head, rows)
