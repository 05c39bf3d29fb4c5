"""What the study took from each site's privacy budget, and against whom which epsilon stands."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from fedvalue.evidence import display
from fedvalue.evidence.package import EvidencePackage
from fedvalue.planning.promises import Adversary
from fedvalue.privacy.accounting import epsilon
from fedvalue.server.reports import look
from fedvalue.server.reports.drawing import Axis, Figure, Pieces, Table, drawn, fitted, line, rect, text
from fedvalue.server.reports.formats import number, whole
from fedvalue.server.reports.look import Size
from fedvalue.server.reports.wording import Phrase, Voice, Words

TOP, THICK = 50.0, 13.0
FILL: dict[Adversary, tuple[str, str]] = {
    "own_share": (look.PRIVACY, look.PRIVACY),
    "promised": (look.PAPER, look.SAMPLING),
}
"""The bars of a site: fill and border."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Sites from which the study took the same.

    Attributes:
      sites: Their ids.
      own_share: Epsilon of the site's own noise alone (m = 1), None where nothing finite is promised.
      promised: Epsilon against the coordinator and c sites, None likewise.
      releases: Number of debits.
    """

    sites: tuple[str, ...]
    own_share: float | None
    promised: float | None
    releases: int

    def read(self, against: Adversary) -> float | None:
        """Return the epsilon of a bar."""
        return self.own_share if against == "own_share" else self.promised


def in_clear(package: EvidencePackage) -> bool:
    """Tell whether the sums traveled in clear, as only in a simulation."""
    return "clear_sum" in package.unsafe


def order(package: EvidencePackage) -> tuple[Adversary, ...]:
    """Return the bars of a site; in a small federation that against all other sites is first.

    In a clear sum the own share is what is charged, and first too.
    """
    if in_clear(package):
        return ("own_share", "promised")
    return tuple(p.against for p in display.promises(package) if p.against in FILL)


def sentence(package: EvidencePackage, allowed: float, voice: Voice) -> Phrase:
    """Return the three epsilons in a sentence; ``allowed`` is the study's."""
    privacy, numbers = package.privacy, package.federation
    if privacy.epsilon_own_share is None:
        return voice("budget.sentence_none")
    first = display.promises(package)[0].against
    key = "sentence_small" if first == "own_share" else "sentence"
    return voice(
        "budget.sentence_clear" if in_clear(package) else f"budget.{key}",
        own=number(privacy.epsilon_own_share, 3),
        promised=number(privacy.epsilon_promised or 0.0, 3),
        alone=number(privacy.epsilon_no_collusion or 0.0, 3),
        delta=f"{privacy.delta:g}".replace("e-0", "e-"),
        c=str(numbers.c),
        others=str(numbers.n - 1),
        allowed=number(allowed, 3),
    )


def spending(package: EvidencePackage) -> tuple[Spent, ...]:
    """Return what was debited, sites with the same debits together, in the roster's order.

    A private sum debits the price at m honest shares; of the own share alone it is m times as much.
    """
    privacy, clear = package.privacy, in_clear(package)
    together: dict[tuple[int, int], list[str]] = {}
    for site in privacy.spent:
        together.setdefault((site.rho_units, site.releases), []).append(site.site)
    found = []
    for (rho, releases), sites in together.items():
        own = promised = None
        if privacy.epsilon_own_share is not None:
            own = epsilon(rho if clear else package.federation.m * rho, privacy.delta)
            promised = privacy.epsilon_promised if clear else epsilon(rho, privacy.delta)
        found.append(Spent(tuple(sites), own, promised, releases))
    return tuple(found)


def figure(package: EvidencePackage, allowed: float, voice: Voice, name: str) -> Figure:
    """Draw epsilon by site: against the coordinator and c sites, and against all other sites.

    Args:
      package: The evidence.
      allowed: Epsilon of the whole study, as the study file says.
      voice: Languages.
      name: Unique on the page.
    """
    rows, bars = spending(package), order(package)
    title, kind = voice("budget.title"), "_clear" if in_clear(package) else ""
    c = str(package.federation.c)
    finite = [value for row in rows for value in (row.own_share, row.promised) if value is not None]
    told = voice(
        f"budget.alt{kind}",
        own=_shown(package.privacy.epsilon_own_share, voice),
        promised=_shown(package.privacy.epsilon_promised, voice),
        sites=str(len(package.privacy.spent)),
        c=c,
    )
    table = tuple(
        (site, *(_shown(row.read(bar), voice) for bar in bars), str(row.releases))
        for row in rows
        for site in row.sites
    )
    keys = {bar: voice(f"budget.key_{bar}{kind}", c=c) for bar in bars}
    drawings: tuple[Markup, ...] = ()
    if finite:
        drawings = drawn(
            voice,
            lambda size: _pieces(rows, keys, max(*finite, allowed), allowed, voice, size),
            name=name,
            title=title,
            description=told,
        )
    epsilons = (voice(f"table.epsilon_{bar}{kind}", c=c) for bar in bars)
    head = (voice("table.site"), *epsilons, voice("table.releases"))
    return Figure(voice("budget.caption"), drawings, Table(title, head, table))


def _shown(value: float | None, voice: Voice) -> Words:
    return voice("budget.none") if value is None else number(value, 3)


def _label(row: Spent, alone: bool, voice: Voice) -> Phrase:
    if len(row.sites) == 1:
        return Phrase.same(row.sites[0])
    return voice("budget.all_sites" if alone else "budget.sites", n=whole(len(row.sites)))


def _pieces(
    rows: tuple[Spent, ...],
    keys: dict[Adversary, Phrase],
    most: float,
    allowed: float,
    voice: Voice,
    size: Size,
) -> Pieces:
    x = Axis(0.0, most * 1.02, 0.0 if size.narrow else 210.0, size.width - 70)
    top = TOP + (18.0 if size.narrow else 0.0)
    parts = _key(x.left, keys, voice, size)
    y = top
    for row in rows:
        name = _label(row, len(rows) == 1, voice)
        if size.narrow:
            parts.append(text(voice, 0, y + 12, fitted(name, size.width), bold=True))
            y += 20
        else:
            parts.append(text(voice, 0, y + 18, fitted(name, x.left - 14), bold=True))
        for bar in keys:
            value, (fill, border) = row.read(bar), FILL[bar]
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


def _key(left: float, keys: dict[Adversary, Phrase], voice: Voice, size: Size) -> list[Markup]:
    parts = []
    for i, (bar, told) in enumerate(keys.items()):
        fill, border = FILL[bar]
        x, y = (0.0, 18.0 * i) if size.narrow else (left + 270.0 * i, 0.0)
        parts.append(rect(x, y + 4, 16, 11, fill, border=border))
        parts.append(text(voice, x + 22, y + 14, told, size=look.SMALL))
    return parts
