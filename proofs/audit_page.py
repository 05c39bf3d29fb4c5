"""The page of evidence on what an adversary can tell of one patient, and the promises that it checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proofs.adversary import DELTA, Setting
from proofs.harness import Found, Report
from proofs.keys.audit import BUGS, KEPT, SOUND
from proofs.likelihood_ratio import LARGE, SMALL, SPREAD

METHOD = f"""Every coordinate of a release is a trial: one patient, at k honest sites, moves it by D; f of n
sites vanish, the sum is opened by the private sum's protocol, and the vectors of the c colluding sites are
taken away, noise and all. What is left has exactly m = t - c shares of noise. The adversary says "there"
above D / 2. *mu shown* is what its two error rates prove at 99.9 % confidence (Clopper-Pearson, half of the
error on each rate), *mu near* at 97.5 %.

* **Not too little noise**: mu shown is at most mu promised. A sound pipeline fails this at most once in a
  thousand audits, whatever the shape of its noise.
* **Not too much**: mu near is at least .95 of mu promised.
* **Variance** within .006 of m 4^20, on a million coordinates or more.

*epsilon shown* is the epsilon, at delta {DELTA:g}, of Gaussian noise with the mu shown; *epsilon promised* is
what the plan was given. The conversion that a ledger may use is not tight: a perfect attack on a sound
pipeline stays 6 to 8 % below it, which is why the checks are on mu. *By chance* is how often each check would
fail a sound pipeline (normal approximation).
"""


def page(found: Mapping[str, Found]) -> Report:
    """The page in Markdown, with what was broken."""
    broken = [f"{name}: {', '.join(found[name]['failed'])}" for name in SOUND if found[name]["failed"]]
    for name, (_, title, expected) in BUGS.items():
        if missing := [check for check in expected if check not in found[name]["failed"]]:
            broken.append(f"the planted bug {title!r} passed as not {', '.join(missing)}")
    verdict = (
        "Every promise was kept from both sides, and every planted bug was caught."
        if not broken
        else "Broken: " + "; ".join(broken) + "."
    )
    parts = [verdict + "\n\n" + METHOD, "## The pipeline as it is\n\n" + _sound(found)]
    parts.append("## Planted bugs\n\n" + _planted_table(found) + "\n" + LIMITS)
    lines = tuple(
        f"{_title(name, found[name])}: epsilon shown at least {found[name]['epsilon_shown']:.3f}, "
        f"promised {found[name]['epsilon']:.3f}"
        for name in KEPT
    )
    return Report("\n".join(parts), tuple(broken), lines)


LIMITS = """Each bug was planted at epsilon 3 with n = 10, c = 2, f = 1, m = 7. *Escapes* is how often the
check that must catch it would not, in one audit of this size. A silent site is one share of m, so with more
shares it is harder to see: of m = 80 shares it moves the variance by 1.25 %, which the band of .006 misses
once in four hundred thousand audits of a million coordinates; one of m = 140 it may well miss.
"""


def _title(name: str, row: Mapping[str, Any]) -> str:
    """What a row of the first table is called."""
    limits = Setting(row["epsilon"], row["n"], row["k"]).limits
    base = f"n = {row['n']}, c = {limits.colluding}, f = {limits.dropouts}, k = {row['k']}"
    what = SOUND[name][1]
    return f"{base}; {what}" if what else base


def _sound(found: Mapping[str, Found]) -> str:
    lines = [
        (
            "| federation | shares | trials a side | epsilon promised | epsilon shown | mu promised "
            "| mu shown | mu near | variance | failed | by chance (less / more / variance) |\n"
        ),
        "|---|---|---|---|---|---|---|---|---|---|---|\n",
    ]
    for name in SOUND:
        row = found[name]
        chance = " / ".join(f"{row['chances'][check]:.0e}" for check in (SMALL, LARGE, SPREAD))
        lines.append(
            f"| {_title(name, row)} | {row['m']} | {row['trials']:,} | {row['epsilon']:.3f} | "
            f"{row['epsilon_shown']:.3f} | {row['mu']:.4f} | {row['at_least']:.4f} | {row['near']:.4f} | "
            f"{row['variance']:.4f} | {', '.join(row['failed']) or 'nothing'} | {chance} |\n"
        )
    return "".join(lines)


def _planted_table(found: Mapping[str, Found]) -> str:
    lines = [
        (
            "| planted | epsilon promised | epsilon shown | mu promised | mu shown | mu near | variance "
            "| caught as | escapes |\n"
        ),
        "|---|---|---|---|---|---|---|---|---|\n",
    ]
    for name, (_, title, _) in BUGS.items():
        row = found[name]
        escapes = "never" if row["escapes"] is None else f"below {max(row['escapes'], 1e-9):.0e}"
        lines.append(
            f"| {title} | {row['epsilon']:.3f} | {row['epsilon_shown']:.3f} | {row['mu']:.4f} | "
            f"{row['at_least']:.4f} | {row['near']:.4f} | {row['variance']:.4f} | "
            f"{', '.join(row['failed']) or '**not caught**'} | {escapes} |\n"
        )
    return "".join(lines)
