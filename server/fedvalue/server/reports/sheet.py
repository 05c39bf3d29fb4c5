"""A page of figures without a study behind it: title, sections with sentences, figures and tables.

The report (`page`) tells one study's evidence in a fixed order. A sheet tells whatever a payer looked at: a
budget impact, a split of a group, a schedule of instalments. Look, languages and safety are the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from fedvalue.server.reports.answers import MARKS
from fedvalue.server.reports.drawing import Figure, Table
from fedvalue.server.reports.look import Publication
from fedvalue.server.reports.page import environment
from fedvalue.server.reports.wording import Language, Phrase, Voice, Words


@dataclass(frozen=True, slots=True)
class Banner:
    """What a reader must know first.

    Attributes:
      head: In a word or two.
      text: In a sentence.
    """

    head: Words
    text: Words


@dataclass(frozen=True, slots=True)
class Part:
    """One section.

    Attributes:
      name: Its place on the page, for links: letters and hyphens.
      title: Its heading.
      sentences: Paragraphs.
      figures: Drawn, each with its table behind it.
      tables: Shown as they are.
      tone: An outcome that the section answers with (``met``), or empty.
      badge: The outcome in words.
    """

    name: str
    title: Words
    sentences: tuple[Words, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    tone: str = ""
    badge: Words = ""

    @property
    def mark(self) -> str:
        """SVG path of the outcome's mark; empty without one."""
        return MARKS.get(self.tone, "")


@dataclass(frozen=True, slots=True)
class Sheet:
    """A page.

    Attributes:
      kicker: What kind of page.
      title: Its title.
      parts: Its sections, in order.
      meta: When, by whom, from what.
      banners: What must be known first.
    """

    kicker: Words
    title: Words
    parts: tuple[Part, ...]
    meta: Words = ""
    banners: tuple[Banner, ...] = ()


def render(sheet: Sheet, language: Language, publication: Publication = "internal") -> str:
    """Return the page as HTML.

    Args:
      sheet: What is on it; its words in both languages.
      language: ``en``, ``zh``, or ``both``.
      publication: Who may see it; every figure says so.

    Raises:
      OutputError: an unknown language, or a label that the catalogue lacks.
    """
    voice = Voice.of(language)
    title: Phrase | str = sheet.title
    return (
        environment()
        .get_template("sheet.html")
        .render(
            t=voice,
            h=voice.html,
            plain=voice.plain,
            bilingual=len(voice.languages) == 2,
            tag="zh-Hans" if voice.languages == ("zh",) else "en",
            title=title,
            sheet=sheet,
            publication=publication,
        )
    )
