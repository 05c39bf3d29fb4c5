"""The page of evidence on coverage, what is promised of an interval, and which are wider than need be."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import groupby

from proofs.coverage import MANY, SITES
from proofs.harness import Found, Report

LEAST, MOST, NOMINAL = 0.93, 0.97, 0.95
AGAIN = (1, 3)
"""A setting with an interval outside the band is run again afresh, so many times as long each time."""

SHOWN = 200
"""Replications in which the noise is left out of the intervals."""

FEWEST_SHARE = 0.1
"""An interval printed in fewer studies than this share is refused: its coverage is not stated."""

OFTEN = 0.5
"""Where more studies than this are refused, the noise chooses which are printed: see `METHOD`."""

EDGES = (
    "the interval holds every grid edge that is not rejected and reaches to the next one: it is right "
    "for any distribution inside a cell; a finer grid makes it narrower"
)
FEW_SITES = "the interval of few noisy hospitals is never narrower than that of hospitals that do not differ"
SQUARES = "its sampling variance comes from noisy squares and is never taken for less than nothing"
FOURTH = "few patients' fourth moments are noisy, and the kurtosis is never taken for less than 1"
NUISANCE = (
    "the noise of the nuisance models is carried to first order through curvatures that are noisy "
    "themselves, whose inverses are too large on average; clones of a grace period are taken for independent"
)
SKEWED = (
    "at a high threshold a handful of patients decide: both shares have score intervals, the lower ends "
    "corrected for continuity"
)
BAND = "its ends are where the pointwise band first reaches one half; noise makes the band fall and rise"
RISING = "its ends are stretched to hold the line, which is made to rise"
THIN = "where noise is a third of those at risk its derivatives, at noisy numbers, are too large on average"
WARY = "where its divisor is barely told from noise the divisor's error is added as a bias"
MERGED = "few noisy bins are merged, and the noise of their mean predictions is added as if on its own"
DROWNED = "a number smaller than its noise is never taken for further out than one standard error from 0"
DERIVED = "its derivatives are taken at noisy counts, and are too large on average"
FIXED = "the hospitals of the study are the same every time; it allows for others"
WIDE: tuple[tuple[str, str, str], ...] = (
    ("quantiles", "median", EDGES),
    ("quantiles", "quantile", EDGES),
    ("quantiles", "cumulative share", RISING),
    ("by_site", "mean over", FEW_SITES),
    ("by_site", "prediction", FEW_SITES),
    ("by_site", "standard deviation", FEW_SITES),
    ("delayed_entry", "share of time", SQUARES),
    ("by_site", "mean", SQUARES),
    ("cross_moments", "mean", SQUARES),
    ("model_evaluation", "mean prediction", SQUARES),
    ("model_evaluation", "relative prediction", SQUARES),
    ("diagnostics", "missing", DROWNED),
    ("monthly", "patients", DROWNED),
    ("kaplan_meier", "survival curve", DERIVED),
    ("delayed_entry", "survival curve", DERIVED),
    ("model_evaluation", "concordance", DERIVED),
    ("model_evaluation", "area", DERIVED),
    ("treatment_effect", "bias", DERIVED),
    ("calibration", "area", DERIVED),
    ("difference_in_differences", "", SQUARES),
    ("mean", "mean", SQUARES),
    ("mean", "coefficient of variation", FOURTH),
    ("mean", "variance", WARY),
    ("mean", "standard deviation", WARY),
    ("calibration", "net benefit", SKEWED),
    ("model_evaluation", "net benefit", SKEWED),
    ("model_evaluation", "calibration", MERGED),
    ("model_evaluation", "heterogeneity", FIXED),
    ("kaplan_meier", "median", BAND),
    ("delayed_entry", "median", BAND),
    ("treatment_effect", "restricted mean", THIN),
    ("treatment_effect", "effect", NUISANCE),
    ("treatment_effect", "ratio", NUISANCE),
    ("treatment_effect", "mean if", NUISANCE),
    ("treatment_effect", "after", NUISANCE),
    ("interrupted_time_series", "change", "scatter beyond the known variance is added, never taken away"),
    ("interrupted_time_series", "slope", "scatter beyond the known variance is added, never taken away"),
)
"""Kind, beginning of the name, reason: intervals that may cover more than 97 %."""

METHOD = f"""Each row is a question; *n* patients are in {SITES} hospitals of 38, 25, 17, 10, 6 and 4 %. A
share is over 1,000 simulated studies (SE .007 at .95). Patients are drawn once and contribute once, and noise
is added at every epsilon: Gaussian noise of the planned standard deviation, which stands in for the discrete
one. Questions that ask in several rounds contribute again at the coefficients that noise has led to. What is
true was planted (a coefficient, a survival curve, an effect), is in the data (counts, spending), or is the
same estimate of {MANY:,} other patients without noise (means, shares).

The promise: at least 93 % everywhere; at most 97 % where every expected count is 20 or more. A setting with
an interval outside is run again afresh, and where one is outside still again, three times as long; the last
run is what stands here. A setting that prints nothing in its first studies is taken for refused. *Least* and
*most* are over the estimates of a row, and over the points of a line. Where more than half of the studies
refuse an estimate or a point, noise chooses which are printed, and among those that are fewer may hold the
truth: the promise there is that at most 7 % of all studies print an interval that misses. Coverage of what
fewer than 10 % print is not stated. *refused* is the largest share of studies without the estimate.
"""


def slack(printed: int) -> float:
    """Return how far from .95 a share of so many may lie: as far as .02 is in 1,000."""
    return 0.02 * max(1.0, math.sqrt(1_000 / max(printed, 1)))


def below(row: Found) -> bool:
    """Tell whether an interval covers too little."""
    if row["missed"] > 1 - LEAST:
        return True
    if row["least"] is None or row["refused"] > OFTEN:
        return False
    return bool(row["least"] < NOMINAL - slack(row["printed"]) - 1e-9)


def above(row: Found) -> bool:
    """Tell whether an interval covers more than it needs to."""
    if row["most"] is None or row["refused"] > OFTEN:
        return False
    return bool(row["most"] > NOMINAL + slack(row["printed"]) + 1e-9)


def outside(row: Found, kind: str = "") -> bool:
    """Tell whether an interval is outside the band, and not one of `WIDE` of its kind that is only wide."""
    return below(row) or (above(row) and why_wide(kind, row["name"]) is None)


def why_wide(kind: str, name: str) -> str | None:
    """Return why an interval may cover more than 97 %; None where it may not."""
    return next((why for one, start, why in WIDE if one == kind and name.startswith(start)), None)


def page(found: Mapping[str, Found], unasked: list[str]) -> Report:
    """The page, and what was broken."""
    worlds = [step for step in found.values() if "ignoring" in step]
    broken = [*unasked, *(each for world in worlds for each in world["untold"])]
    for world in worlds:
        broken += _broken(world)
    naive = found.get("naive_kaplan_meier")
    broken += [
        f"Kaplan-Meier that ignores late entry was not found out: {row['name']} holds in {row['naive']:.3f}"
        for row in (naive or {"rows": ()})["rows"] if row["naive"] >= LEAST
    ]  # fmt: skip
    intervals = sum(row["judged"] for world in worlds for row in world["rows"])
    verdict = (
        f"{intervals:,} intervals were looked at; all hold the truth as often as promised."
        if not broken else f"{intervals:,} intervals were looked at. FAILED: " + "; ".join(broken) + "."
    )  # fmt: skip
    text = [verdict, "\n\n", METHOD, "\n", *_table(worlds), *_wide(worlds), *_ignoring(worlds)]
    if naive is not None:
        text += _naive(naive)
    return Report("".join(text), tuple(broken), (verdict,))


def _broken(world: Found) -> list[str]:
    label = f"{world['kind']} ({world['name']})" if world["name"] else world["kind"]
    sentences = []
    for row in world["rows"]:
        setting = f"{row['patients']:,} patients, epsilon {row['epsilon']:g}"
        where = f"{label}: {row['name']} of {row['stratum']}, {setting}"
        if below(row):
            sentences.append(f"{where} holds in {row['least']:.3f}, refused {row['refused']:.2f}")
        if above(row) and why_wide(world["kind"], row["name"]) is None:
            sentences.append(f"{where} holds in {row['most']:.3f}")
    shown = [row["least"] for row in world["ignoring"] if row["least"] is not None]
    if not shown or min(shown) >= LEAST:
        sentences.append(f"{label}: leaving the noise out of the intervals was not found out")
    return sentences


def _cell(rows: list[Found]) -> str:
    """Least and most coverage of some rows, and the largest share refused."""
    refused = max(row["refused"] for row in rows)
    told = [row for row in rows if row["least"] is not None]
    if not told:
        return "refused"
    least, most = min(row["least"] for row in told), max(row["most"] or row["least"] for row in told)
    word = f"{least:.3f}" if most - least < 0.0005 else f"{least:.3f}-{most:.3f}"
    return word + (f", refused {refused:.0%}" if refused >= 0.005 else "")


def _table(worlds: Iterable[Found]) -> list[str]:
    lines = [
        "## Every interval\n\n",
        "| question | interval | n | epsilon .5 | 1 | 3 | 8 |\n",
        "|---|---|---|---|---|---|---|\n",
    ]
    for world in worlds:
        label = f"{world['kind']}: {world['name']}" if world["name"] else world["kind"]

        def place(row: Found) -> tuple[str, int]:
            return str(row["name"]), int(row["patients"])

        for (name, patients), some in groupby(sorted(world["rows"], key=place), place):
            rows = list(some)
            cells = [_cell(at) if (at := [r for r in rows if r["epsilon"] == e]) else
                     ("refused" if e in world["epsilons"] else "") for e in (0.5, 1.0, 3.0, 8.0)]  # fmt: skip
            lines.append(f"| {label} | {name} | {patients:,} | {' | '.join(cells)} |\n")
    return lines


def _wide(worlds: Iterable[Found]) -> list[str]:
    """Intervals that are outside the band on the wide side, and why."""
    found: dict[tuple[str, str], float] = {}
    for world in worlds:
        for row in world["rows"]:
            why = why_wide(world["kind"], row["name"])
            if above(row) and why is not None:
                key = (world["kind"], why)
                found[key] = max(found.get(key, 0.0), row["most"])
    if not found:
        return []
    lines = ["\n## Outside the band: wider than they need be\n\n| question | up to | why |\n|---|---|---|\n"]
    return lines + [f"| {kind} | {most:.3f} | {why} |\n" for (kind, why), most in sorted(found.items())]


def _ignoring(worlds: Iterable[Found]) -> list[str]:
    lines = [
        "\n## The same without the privacy term\n\n",
        "Noisy sums, concluded as if they had no noise, at the smallest n and epsilon of each question at\n",
        f"which that gives intervals; {SHOWN} studies. Under .93 is a failure, and each must fail.\n\n",
        "| question | n | epsilon | interval that holds least | holds in |\n|---|---|---|---|---|\n"
    ]  # fmt: skip
    for world in worlds:
        told = [row for row in world["ignoring"] if row["least"] is not None]
        if told:
            worst = min(told, key=lambda row: float(row["least"]))
            label = f"{world['kind']}: {world['name']}" if world["name"] else world["kind"]
            name = f"{worst['name']} ({worst['stratum']})"
            where = f"{worst['patients']:,} | {worst['epsilon']:g}"
            lines.append(f"| {label} | {where} | {name} | {worst['least']:.3f} |\n")
    return lines


def _naive(found: Found) -> list[str]:
    lines = [
        "\n## Naive Kaplan-Meier under late entry\n\n",
        f"Half of {found['patients']:,} patients are known only from a genomic report on, and who died\n",
        f"before it is not among them; epsilon {found['epsilon']:g}, {found['replications']:,} studies.\n",
        "*Naive* takes everybody for followed from day zero.\n\n",
        "| interval | naive | from the report on |\n|---|---|---|\n"
    ]  # fmt: skip
    return lines + [
        f"| {row['name']} | {row['naive']:.3f} | {row['delayed']:.3f} |\n" for row in found["rows"]
    ]
