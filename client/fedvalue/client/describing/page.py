"""The description as a page of one file: no script, nothing from a network, both languages."""

from __future__ import annotations

from importlib.resources import files

from jinja2 import DictLoader, Environment, StrictUndefined

from fedvalue.client.describing.description import PAGE, Description
from fedvalue.client.describing.measure import AREAS
from fedvalue.client.describing.words import HEADS, TITLES, VERDICTS, said
from fedvalue.client.home import SiteHome, write_atomically


def described_page(found: Description) -> str:
    """Return a description as HTML; everything in it that comes from the records is escaped."""
    source = files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    environment = Environment(
        loader=DictLoader({"page.html": source}), autoescape=True, undefined=StrictUndefined
    )
    areas = [
        {
            "title": TITLES[area],
            "rows": [
                {
                    "en": said(m, "en"), "zh": said(m, "zh"), "count": m.count, "of": m.of,
                    "share": f"{100 * m.share:.1f}%", "width": round(100 * min(1.0, m.share), 1),
                    "verdict": m.verdict, "verdicts": VERDICTS[m.verdict],
                }
                for m in found.measures
                if m.area == area
            ],
        }
        for area in AREAS
        if any(m.area == area for m in found.measures)
    ]  # fmt: skip
    return environment.get_template("page.html").render(found=found, areas=areas, heads=HEADS)


def write_page(home: SiteHome, found: Description) -> None:
    """Write the page into the home, mode 0600.

    Raises:
      OutputError: the home cannot be written.
    """
    write_atomically(home.folder / PAGE, described_page(found).encode())
