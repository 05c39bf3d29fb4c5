"""The papers as one page (HTML, both languages) and as Markdown, a file for each language."""

from __future__ import annotations

from pathlib import Path

from fedvalue.errors import OutputError
from fedvalue.planning.plan import Plan
from fedvalue.server.dossier import papers
from fedvalue.server.reports import page, sheet
from fedvalue.server.reports.sheet import Part, Sheet
from fedvalue.server.reports.wording import LANGUAGES, Language, Phrase, phrase
from fedvalue.study.schema import Study
from fedvalue.study.site_policy import SitePolicy

NAME = "dossier"
TITLE = Phrase("Papers for the ethics board and the data officer", "伦理委员会与数据官审查材料")
_FOOT = Phrase(
    "Written by FedValue from the study file and the policy. No legal advice: people complete and sign it.",
    "由 FedValue 根据研究文件与医院政策生成，不构成法律意见；须由相关人员审阅、补充并签署。",
)


def dossier(study: Study, plan: Plan, policy: SitePolicy | None) -> Sheet:
    """Return the papers.

    Args:
      study: The study.
      plan: Its plan, on a roster or on as many hospitals as it demands.
      policy: The hospital's; None for papers of the study alone.
    """
    parts = (
        papers.study_part(study, plan),
        papers.data_part(study, plan),
        papers.assessment_part(study, plan, policy),
        papers.genetics_part(study),
        papers.policy_part(policy),
        papers.signatures_part(),
    )
    title = Phrase(study.study.title.read("en"), study.study.title.read("zh"))
    return Sheet(TITLE, title, parts, _FOOT)


def write(found: Sheet, folder: Path, language: Language) -> tuple[Path, ...]:
    """Write ``dossier.html`` and a Markdown file for each language, and return where they are.

    Raises:
      OutputError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the folder cannot be made: {error.strerror}", where=str(folder)) from error
    written = [page.save(sheet.render(found, language), folder / f"{NAME}.html")]
    languages = LANGUAGES if language == "both" else (language,)
    written += [page.save(markdown(found, each), folder / f"{NAME}.{each}.md") for each in languages]
    return tuple(written)


def markdown(found: Sheet, language: str) -> str:
    """Return the papers as Markdown in one language."""
    lines = [
        f"# {_plain(found.title, language)}",
        "",
        _plain(found.kicker, language),
        "",
        _plain(found.meta, language),
    ]
    for part in found.parts:
        lines += ["", *_section(part, language)]
    return "\n".join(lines) + "\n"


def _section(part: Part, language: str) -> list[str]:
    lines = [f"## {_plain(part.title, language)}"]
    for sentence in part.sentences:
        lines += ["", _plain(sentence, language)]
    for table in part.tables:
        head = [_plain(cell, language) for cell in table.head]
        lines += ["", f"**{_plain(table.caption, language)}**", "", _row(head), _row(["---"] * len(head))]
        lines += [_row([_plain(cell, language) for cell in row]) for row in table.rows]
    return lines


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(words: Phrase | str, language: str) -> str:
    """Return words as Markdown that shows them as they are."""
    text = phrase(words).read(language)
    for mark in ("\\", "|", "*", "_", "`", "<", "[", "#"):
        text = text.replace(mark, f"\\{mark}")
    return text
