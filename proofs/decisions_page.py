"""The page of evidence on false decisions, and the promises that it checks."""

from __future__ import annotations

from collections.abc import Mapping

from proofs.harness import Found, Report
from proofs.keys.decisions import LOOKS, PATIENTS, RUNS, TAU, TOLERANCE
from proofs.mechanism_rates import SLOW_RUNS

RATES = ("d1_probability", "d2_guard_band", "d4_loss", "d5_sequential", "hysteresis")
HEAD = "| rule | noise SD | promise | met, noise counted | not met, noise counted | met, noise ignored |\n"
RULE = "|---|---|---|---|---|---|\n"

METHOD = f"""Each rate is over {RUNS:,} simulated studies of {PATIENTS} patients (D5: {LOOKS} looks of
{PATIENTS} new patients) against the threshold {TAU:.2f}; the noise is Gaussian, on the number of successes.
A promise counts as kept up to {TOLERANCE} above it; for a mechanism that is run study by study, which is
slow and therefore done fewer times, up to {TOLERANCE} and three standard errors of its rate. Without noise a
rate can only jump by the probability of one released count: it is allowed the count at which the answer
turns, so with one success more it is at or below its promise.
"""

PRICE = """This is the price of privacy: with more noise fewer true differences are found. The remedy is
patients or privacy budget, not another rule.

"""

MONEY = """## D3: mean net benefit of a decision, against keeping what there is

INB per patient is drawn from what is believed before (SD 1,000), estimated with a sampling SD of 600 and
the noise SD below, decided for 2,000 patients, and lived, with switching 150,000, reversing 300,000 and
data 60,000. *Predicted* is what the rule expected of its own choices.

"""

MECHANISMS = ("mechanisms", "mechanisms_by_run")
BARS = f"""## Mechanisms: at the bar, and beyond it

Each mechanism that sets is asked through its own function, with noise of SD 0, 1 and 2.5 times that of
sampling. *At the bar* nothing is to be found; *beyond* is its power. Calibration gate, split and ranking
judge several figures at once and are simulated run by run, {SLOW_RUNS:,} times; the others {RUNS:,} times.
At a promise of one half (provisional listing) ignoring the noise cannot show, and a rank among equals is
named far less often than promised, because institutions that noise cannot tell apart are shrunk together.

| mechanism | *met* means | promise | noise | at the bar | beyond | at the bar, noise ignored |
|---|---|---|---|---|---|---|
"""

WHAT = """## What the rules are

D1: P(theta >= threshold) at least .90. D2: the estimate a guard band of level .90 beyond it. D4: wasted
money weighs five times denied patients, so the promise is Phi(-c) of the ratio 5. D5: O'Brien-Fleming
spending of .10 on each side. Hysteresis: .95, the bar for going back within twelve months. The answer *not
met* has the same promise for D1, D2, D5 and hysteresis; D4 answers one of the two.
"""


def broken_promises(found: Mapping[str, Found]) -> tuple[str, ...]:
    """One sentence for each promise that was not kept."""
    broken = []
    for step in RATES:
        rule, promise = found[step]["rule"], found[step]["promise"]
        for row in found[step]["rows"]:
            if row["theta"] == "10 points above":
                continue
            name = f"{rule}, {row['theta']}, noise SD {row['sigma']}"
            allowed = promise + max(TOLERANCE, row["one_patient"])
            if row["noise_counted"] and row["met"] > allowed:
                broken.append(f"{name}: met in {row['met']:.3f}, promised at most {promise:.3f}")
            at = row["theta"] == "at the threshold" and row["sigma"] == 20
            if at and not row["noise_counted"] and row["met"] <= promise + TOLERANCE:
                broken.append(f"{name}: ignoring the noise was not found out ({row['met']:.3f})")
    for row in found["d3_net_benefit"]["rows"]:
        name = f"D3, noise SD {row['noise_sd']:.0f}"
        if abs(row["D3"] - row["predicted"]) > 4 * row["error"]:
            broken.append(f"{name}: lived {row['D3']:.0f}, predicted {row['predicted']:.0f}")
        if row["D3"] < row["D1"]:
            broken.append(f"{name}: D1 brought more, {row['D1']:.0f} against {row['D3']:.0f}")
    broken += [
        f"a 90 % interval at noise SD {row['sigma']}, theta {row['theta']:.2f}, covers {row['counted']:.3f}"
        for row in found["coverage"]["rows"]
        if not 0.88 <= row["counted"] <= 0.92
    ]
    for step in MECHANISMS:
        broken += [sentence for each in found[step]["rows"] for sentence in _mechanism_broken(each)]
    return tuple(broken)


def _mechanism_broken(each: Found) -> list[str]:
    """Sentences on one mechanism; few runs are allowed three standard errors beyond the tolerance."""
    promise = each["promise"]
    allowed = promise + TOLERANCE + 3 * (promise * (1 - promise) / each["runs"]) ** 0.5
    broken = []
    for row in each["rows"]:
        name = f"{each['name']}, noise {row['noise']} times sampling"
        if row["where"] == "at" and row["counted"] > allowed:
            broken.append(f"{name}: met in {row['counted']:.3f}, promised at most {promise:.3f}")
        last = row["where"] == "at" and row["noise"] == max(r["noise"] for r in each["rows"])
        if last and each["found_out"] and row["ignored"] <= allowed:
            broken.append(f"{name}: ignoring the noise was not found out ({row['ignored']:.3f})")
    return broken


def page(found: Mapping[str, Found]) -> Report:
    """The page in Markdown, with what was broken."""
    broken = broken_promises(found)
    verdict = (
        "Every promise was kept, and every promised error rate is broken where the rule ignores the noise."
        if not broken
        else "Broken: " + "; ".join(broken) + "."
    )
    parts = [
        verdict + "\n\n" + METHOD,
        "## At the threshold: nothing is to be found, so *met* is an error\n\n"
        + _rates(found, "at the threshold"),
        "## Five points below it\n\n" + _rates(found, "5 points below"),
        "## Power: ten points above it\n\n" + PRICE + _rates(found, "10 points above"),
        _money(found["d3_net_benefit"]),
        _coverage(found["coverage"]),
        _mechanisms([each for step in MECHANISMS for each in found[step]["rows"]]),
        WHAT,
    ]
    return Report("\n".join(parts), broken)


def _rates(found: Mapping[str, Found], where: str) -> str:
    lines = [HEAD, RULE]
    for step in RATES:
        rows = [row for row in found[step]["rows"] if row["theta"] == where]
        for sigma in sorted({row["sigma"] for row in rows}):
            counted, ignored = (
                next(r for r in rows if r["sigma"] == sigma and r["noise_counted"] is c)
                for c in (True, False)
            )
            lines.append(
                f"| {found[step]['rule']} | {sigma} | {found[step]['promise']:.3f} | {counted['met']:.3f} | "
                f"{counted['not_met']:.3f} | {ignored['met']:.3f} |\n"
            )
    return "".join(lines)


def _mechanisms(rows: list[Found]) -> str:
    lines = [BARS]
    for each in rows:
        for noise in sorted({row["noise"] for row in each["rows"]}):
            at, beyond = (
                next(r for r in each["rows"] if r["noise"] == noise and r["where"] == where)
                for where in ("at", "beyond")
            )
            lines.append(
                f"| {each['name']} | {each['question']} | {each['promise']:.2f} | {noise:g} | "
                f"{at['counted']:.3f} | {beyond['counted']:.3f} | {at['ignored']:.3f} |\n"
            )
    return "".join(lines)


def _money(step: Found) -> str:
    lines = [
        MONEY,
        "| noise SD | D3 | predicted | standard error | D3 ignoring noise | D1 at .90 |\n",
        "|---|---|---|---|---|---|\n",
    ]
    lines += [
        f"| {row['noise_sd']:.0f} | {row['D3']:,.0f} | {row['predicted']:,.0f} | {row['error']:,.0f} | "
        f"{row['D3 ignoring noise']:,.0f} | {row['D1']:,.0f} |\n"
        for row in step["rows"]
    ]
    return "".join(lines)


def _coverage(step: Found) -> str:
    lines = [
        "## 90 % intervals that hold the truth, over 2,000 studies\n\n",
        "| noise SD | theta | noise counted | noise ignored |\n",
        "|---|---|---|---|\n",
    ]
    lines += [
        f"| {row['sigma']} | {row['theta']:.2f} | {row['counted']:.3f} | {row['ignored']:.3f} |\n"
        for row in step["rows"]
    ]
    return "".join(lines)
