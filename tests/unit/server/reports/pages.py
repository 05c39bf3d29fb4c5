"""Reads a report back as a browser would: elements, text, sections, drawings."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = frozenset({"meta", "input", "br", "hr", "img", "link"})
SECTIONS = (
    "question",
    "answer",
    "probability",
    "estimate",
    "money",
    "change",
    "survival",
    "variance",
    "budget",
    "bias",
    "limits",
    "provenance",
    "results",
)
"""Ids of the sections, in the order in which they are read."""


@dataclass
class Page(HTMLParser):
    """A parsed page; elements that are not closed in order are an error.

    Attributes:
      elements: Tag and attributes of every element, in order.
      words: Text outside ``style``, piece by piece, with the path of tags around it.
      within: Id of the section to its text.
    """

    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    words: list[tuple[tuple[str, ...], str]] = field(default_factory=list)
    within: dict[str, str] = field(default_factory=dict)
    _open: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    @classmethod
    def read(cls, html: str) -> Page:
        page = cls()
        page.feed(html)
        page.close()
        if page._open:
            raise ValueError(f"never closed: {[tag for tag, _ in page._open]}")
        return page

    @property
    def text(self) -> str:
        return " ".join(piece for _, piece in self.words)

    @property
    def ids(self) -> list[str]:
        return [given["id"] for _, given in self.elements if "id" in given]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.elements.append((tag, given))
        if tag not in VOID:
            self._open.append((tag, given))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        opened, _ = self._open.pop()
        if opened != tag:
            raise ValueError(f"<{opened}> is closed by </{tag}>")

    def handle_data(self, data: str) -> None:
        path = tuple(tag for tag, _ in self._open)
        if "style" in path or not data.strip():
            return
        self.words.append((path, data.strip()))
        for tag, given in self._open:
            if tag == "section" and "id" in given:
                self.within[given["id"]] = self.within.get(given["id"], "") + " " + data.strip()
