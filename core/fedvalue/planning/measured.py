"""What a study reads of measurements and lines of therapy, one sentence each, in English and Chinese."""

from __future__ import annotations

from collections.abc import Sequence

from fedvalue.study.endpoints import OF_THERAPY, Binary, TimeToEvent
from fedvalue.study.index import Lines
from fedvalue.study.questions.chinese import EVENTS, duration
from fedvalue.study.schema import Study


def measured_in_words(study: Study, language: str = "en") -> list[str]:
    """Return a sentence for each variable and endpoint that hospitals work out of measurements or drugs.

    Args:
      study: The study.
      language: ``en`` or ``zh``.
    """
    stop, comma = ("。", "，") if language == "zh" else (".", ", in ")
    told = [
        f"{name}{'：' if language == 'zh' else ': '}{read.in_words(language)}{comma}{read.unit}{stop}"
        for name, variable in study.variables.items()
        for read in (variable.measurement, variable.sensor)
        if read is not None
    ]
    for name, endpoint in study.endpoints.items():
        if isinstance(endpoint, Binary) and endpoint.targets:
            limits = [target.in_words(language) for target in endpoint.targets]
            joined = "，且 ".join(limits) if language == "zh" else " and ".join(limits)
            told.append(f"{name}{'：' if language == 'zh' else ': '}{joined}{stop}")
        if isinstance(endpoint, TimeToEvent) and endpoint.therapy is not None:
            events = [event for event in endpoint.events if event in OF_THERAPY]
            told.append(_therapy(name, events, endpoint.therapy, language))
    return told


def _therapy(name: str, events: Sequence[str], lines: Lines, language: str) -> str:
    if language == "zh":
        codes, which = "、".join(lines.codes), "、".join(EVENTS[event] for event in events)
        kept = f"；维持用药 {'、'.join(lines.maintenance)} 不另起一线" if lines.maintenance else ""
        return (
            f"{name}：{which}由 {codes} 的用药起始日推算；"
            f"起始后 {duration(lines.combine)}内加入的药物属于同一线，"
            f"停药超过 {duration(lines.gap)}视为该线结束{kept}。"
        )
    codes, which = ", ".join(lines.codes), " and ".join(event.replace("_", " ") for event in events)
    kept = f"; {', '.join(lines.maintenance)} begin no line" if lines.maintenance else ""
    return (
        f"{name}: {which} told by starts of {codes}; drugs that start within {lines.combine} join a line, "
        f"and more than {lines.gap} without one end it{kept}."
    )
