"""The sentences of a decision in Chinese; they are recorded in English, which is what is signed."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

from fedvalue.payment.parameters import load_yaml


@cache
def _names() -> dict[str, str]:
    raw = resources.files("fedvalue.payment").joinpath("said.yaml").read_bytes()
    names: dict[str, str] = load_yaml(raw, where="said.yaml")["names"]
    return names


@cache
def _sentences() -> tuple[tuple[tuple[re.Pattern[str], str], ...], dict[str, str]]:
    raw = resources.files("fedvalue.payment").joinpath("said.yaml").read_bytes()
    document = load_yaml(raw, where="said.yaml")
    patterns = tuple(
        (re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+?)", re.escape(entry["en"]))), entry["zh"])
        for entry in document["sentences"].values()
    )
    return patterns, document["words"]


def said(sentence: str, language: str) -> str:
    """Return a recorded sentence in ``en`` or ``zh``; one that is not known stays as it was recorded."""
    if language != "zh":
        return sentence
    patterns, words = _sentences()
    for pattern, chinese in patterns:
        if (found := pattern.fullmatch(sentence)) is not None:
            return chinese.format(**{k: words.get(v, v) for k, v in found.groupdict().items()})
    return sentence


def named(name: str, language: str) -> str:
    """Return who bears, what flows or what is paid per, in ``en`` or ``zh``; an unknown name stays."""
    return _names().get(name, name) if language == "zh" else name
