"""What the study took from each site's privacy budget, beside what the private sum will promise."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from fedvalue.evidence.package import EvidencePackage
from fedvalue.privacy.accounting import epsilon
from fedvalue.server.reports import look
from fedvalue.server.reports.drawing import Axis, Figure, Pieces, Table, drawn, fitted, line, rect, text
from fedvalue.server.reports.formats import number, whole
from fedvalue.server.reports.look import Size
from fedvalue.server.reports.wording import Phrase, Voice, Words

TOP, THICK = 50.0, 13.0
BARS = (("own", look.PRIVACY, look.PRIVACY), ("promised", look.PAPER, look.SAMPLING))
"""The two bars of a site: name, fill and border."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Sites from which the study took the same.

    Attributes:
      sites: Their ids.
      own_share: Epsilon of the site's own noise share alone (m = 1), None where nothing finite is promised.
      promised: Epsilon that the private sum promises for the same releases, None likewise.
      releases: Number of debits.
    """

    sites: tuple[str, ...]
    own_share: float | None
    promised: float | None
    releases: int


def spending(package: EvidencePackage) -> tuple[Spent, ...]:
    """Return what was debited, sites with the same debits together, in the roster's order."""
    privacy, finite = package.privacy, package.privacy.epsilon_own_share is not None
    together: dict[tuple[int, int], list[str]] = {}
    for site in privacy.spent:
        together.setdefault((site.rho_units, site.releases), []).append(site.site)
    return tuple(
        Spent(
            tuple(sites), epsilon(rho, privacy.delta) if finite else None, privacy.epsilon_promised, releases
        )
        for (rho, releases), sites in together.items()
    )


def figure(package: EvidencePackage, allowed: float, voice: Voice, name: str) -> Figure:
    """Draw epsilon by site: charged for the own share, and promised by the private sum.

    Args:
      package: The evidence.
      allowed: Epsilon of the whole study, as the study file says.
      voice: Languages.
      name: Unique on the page.
    """
    rows = spending(package)
    title = voice("budget.title")
    finite = [value for row in rows for value in (row.own_share, row.promised) if value is not None]
    told = voice(
        "budget.alt",
        own=_shown(package.privacy.epsilon_own_share, voice),
        promised=_shown(package.privacy.epsilon_promised, voice),
        sites=str(len(package.privacy.spent)),
    )
    table = tuple(
        (site, _shown(row.own_share, voice), _shown(row.promised, voice), str(row.releases))
        for row in rows
        for site in row.sites
    )
    drawings: tuple[Markup, ...] = ()
    if finite:
        drawings = drawn(
            voice,
            lambda size: _pieces(rows, max(*finite, allowed), allowed, voice, size),
            name=name,
            title=title,
            description=told,
        )
    head = tuple(voice(f"table.{key}") for key in ("site", "epsilon_own", "epsilon_promised", "releases"))
    return Figure(voice("budget.caption"), drawings, Table(title, head, table))


def _shown(value: float | None, voice: Voice) -> Words:
    return voice("budget.none") if value is None else number(value, 3)


def _label(row: Spent, alone: bool, voice: Voice) -> Phrase:
    if len(row.sites) == 1:
        return Phrase.same(row.sites[0])
    return voice("budget.all_sites" if alone else "budget.sites", n=whole(len(row.sites)))


def _pieces(rows: tuple[Spent, ...], most: float, allowed: float, voice: Voice, size: Size) -> Pieces:
    x = Axis(0.0, most * 1.02, 0.0 if size.narrow else 210.0, size.width - 70)
    top = TOP + (18.0 if size.narrow else 0.0)
    parts = _key(x.left, voice, size)
    y = top
    for row in rows:
        name = _label(row, len(rows) == 1, voice)
        if size.narrow:
            parts.append(text(voice, 0, y + 12, fitted(name, size.width), bold=True))
            y += 20
        else:
            parts.append(text(voice, 0, y + 18, fitted(name, x.left - 14), bold=True))
        for value, (_, fill, border) in zip((row.own_share, row.promised), BARS, strict=True):
            if value is not None:
                told = voice("budget.epsilon", n=number(value, 3))
                parts.append(rect(x.left, y, x(value) - x.left, THICK, fill, border=border))
                parts.append(text(voice, x(value) + 8, y + 11, told, size=look.SMALL))
            y += THICK + 3
        y += 12
    middle = min(max(x(allowed), x.left + 80), size.width - 80)
    told = voice("budget.allowed", n=number(allowed, 3))
    parts += [
        line(x(allowed), top - 10, x(allowed), y - 6, look.INK, 1.5, "5 3"),
        text(voice, middle, top - 16, told, anchor="middle", size=look.SMALL, bold=True),
    ]
    return y, parts


def _key(left: float, voice: Voice, size: Size) -> list[Markup]:
    parts = []
    for i, (key, fill, border) in enumerate(BARS):
        x, y = (0.0, 18.0 * i) if size.narrow else (left + 270.0 * i, 0.0)
        parts.append(rect(x, y + 4, 16, 11, fill, border=border))
        parts.append(text(voice, x + 22, y + 14, voice(f"budget.key_{key}"), size=look.SMALL))
    return parts
