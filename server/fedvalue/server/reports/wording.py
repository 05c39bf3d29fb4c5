"""Every word of a report, in English and Chinese, from one catalogue.

A label is written once, in ``catalogue.yaml``, in both languages. A page in one language shows one of
them; a page in both holds both, and the reader's choice (a radio button and CSS, no script) hides one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Literal

import yaml
from markupsafe import Markup, escape

from fedvalue.errors import OutputError

try:
    from yaml import CSafeLoader as SafeLoader  # libyaml reads the catalogue seven times as fast
except ImportError:  # a build of PyYAML without it
    from yaml import SafeLoader  # type: ignore[assignment]  # same interface

Language = Literal["en", "zh", "both"]
LANGUAGES = ("en", "zh")

_BIDIRECTIONAL = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

_DATE = re.compile(r"\b(\d{4}-\d{2}-\d{2})\b")


def clean(text: str) -> str:
    """Return ``text`` without characters that XML forbids or that reorder a line on the reader's screen."""
    return "".join(
        " " if c in "\n\r\t" else c
        for c in text
        if c not in _BIDIRECTIONAL and (c in "\n\r\t" or unicodedata.category(c) not in ("Cc", "Cs", "Cn"))
    )


@dataclass(frozen=True, slots=True)
class Phrase:
    """The same words in both languages, as plain text (escaped where they are written).

    Attributes:
      en: English.
      zh: Chinese.
    """

    en: str
    zh: str

    @classmethod
    def same(cls, text: str) -> Phrase:
        """Return a phrase that reads the same in both languages: a number, a name, a hash."""
        return cls(text, text)

    def read(self, language: str) -> str:
        """Return the words in ``language``, ``en`` or ``zh``."""
        return clean(self.zh if language == "zh" else self.en)

    def __add__(self, other: Phrase | str) -> Phrase:
        more = other if isinstance(other, Phrase) else Phrase.same(other)
        return Phrase(self.en + more.en, self.zh + more.zh)


Words = Phrase | str
"""A phrase, or text that is the same in both languages."""


def phrase(words: Words) -> Phrase:
    """Return ``words`` as a phrase."""
    return words if isinstance(words, Phrase) else Phrase.same(words)


def joined(parts: Sequence[Words], separator: Words = ", ") -> Phrase:
    """Return ``parts`` one after the other with ``separator`` between them."""
    both, between = [phrase(part) for part in parts], phrase(separator)
    return Phrase(between.en.join(p.en for p in both), between.zh.join(p.zh for p in both))


def sentences(*parts: Phrase) -> Phrase:
    """Return sentences one after the other, with a space between them where the language has one."""
    return joined(parts, Phrase(" ", ""))


class _StrictLoader(SafeLoader):
    """YAML in which a key that occurs twice is an error: the second would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if twice := sorted({str(key) for key in keys if keys.count(key) > 1}):
            raise yaml.YAMLError(f"{', '.join(twice)} occurs twice")
        return super().construct_mapping(node, deep)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Key to phrase template; ``{name}`` in a template is filled in when it is read."""

    entries: Mapping[str, Phrase]

    @classmethod
    def parse(cls, text: str) -> Catalogue:
        """Read a catalogue: ``section: {name: {en: ..., zh: ...}}``, keys then being ``section.name``.

        Raises:
          OutputError: not YAML, a key occurs twice, or an entry does not have exactly ``en`` and ``zh``.
        """
        try:
            tree = yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a subclass of SafeLoader
        except yaml.YAMLError as error:
            raise OutputError(
                f"the report catalogue is not valid: {error}", where="catalogue.yaml"
            ) from error
        entries: dict[str, Phrase] = {}
        for section, names in tree.items():
            for name, words in names.items():
                if not isinstance(words, dict) or set(words) != set(LANGUAGES) or not all(words.values()):
                    raise OutputError(
                        "an entry of the report catalogue needs en and zh, and nothing else",
                        where=f"catalogue.yaml: {section}.{name}",
                        do="write both languages",
                    )
                entries[f"{section}.{name}"] = Phrase(str(words["en"]), str(words["zh"]))
        return cls(MappingProxyType(entries))

    @classmethod
    def shipped(cls) -> Catalogue:
        """Return the catalogue of this package."""
        return _shipped()


@cache  # reading a thousand lines takes longer than a page, and the result never changes
def _shipped() -> Catalogue:
    return Catalogue.parse(files(__package__).joinpath("catalogue.yaml").read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Voice:
    """Speaks the catalogue in the languages of one page.

    Attributes:
      catalogue: Where the words come from.
      languages: ``("en",)``, ``("zh",)`` or both.
    """

    catalogue: Catalogue
    languages: tuple[str, ...]

    @classmethod
    def of(cls, language: Language, catalogue: Catalogue | None = None) -> Voice:
        """Return the voice for ``language``.

        Raises:
          OutputError: ``language`` is none of en, zh, both.
        """
        if language not in (*LANGUAGES, "both"):
            raise OutputError(f"a report has no language {language!r}", do="use en, zh or both")
        return cls(catalogue or Catalogue.shipped(), LANGUAGES if language == "both" else (language,))

    def __call__(self, key: str, /, **values: Words) -> Phrase:
        """Return the phrase called ``key`` with its blanks filled in.

        Raises:
          OutputError: the catalogue has no such key.
        """
        try:
            template = self.catalogue.entries[key]
        except KeyError:
            raise OutputError(
                "the report catalogue lacks a label", where=key, do="add it in both languages"
            ) from None
        given = {name: phrase(words) for name, words in values.items()}
        return Phrase(
            template.en.format(**{name: words.en for name, words in given.items()}),
            template.zh.format(**{name: words.zh for name, words in given.items()}),
        )

    def either(self, key: str, otherwise: Words) -> Phrase:
        """Return the phrase called ``key``, or ``otherwise`` where a word is not in the catalogue.

        For names that come from a study or a mechanism, which may be newer than the catalogue.
        """
        return self(key) if key in self.catalogue.entries else phrase(otherwise)

    def recorded(self, sentence: str) -> Phrase:
        """Return a sentence of a package or decision, which are written in English, in both languages.

        The catalogue's section ``recorded`` holds those that FedValue writes; a blank stands for anything.
        A sentence that is not there stays as it was recorded, in both.
        """
        return self.matched("recorded", sentence)

    def matched(self, section: str, sentence: str) -> Phrase:
        """Return English words in both languages by the patterns of a section; as they are if none fits."""
        key, blanks = self._known(sentence, section)
        if not key:
            return Phrase.same(sentence)
        words = {w.en: w.zh for name, w in self.catalogue.entries.items() if name.startswith("word.")}
        chinese = {blank: words.get(value, value) for blank, value in blanks.items()}
        return Phrase(sentence, self.catalogue.entries[key].zh.format(**chinese))

    def says(self, sentence: str, key: str) -> bool:
        """Tell whether a recorded sentence is the one called ``key`` in the section ``recorded``."""
        return self._known(sentence)[0] == f"recorded.{key}"

    def _known(self, sentence: str, section: str = "recorded") -> tuple[str, dict[str, str]]:
        for key, template in self.catalogue.entries.items():
            if not key.startswith(f"{section}."):
                continue
            if (found := _pattern(template.en).fullmatch(sentence)) is not None:
                return key, found.groupdict()
        return "", {}

    def html(self, words: Words) -> Markup:
        """Return ``words`` escaped, each language in a ``span`` of its own where a page has both."""
        if isinstance(words, Markup):
            return words
        both = phrase(words)
        if len(self.languages) == 1 or both.en == both.zh:
            return _marked(both.read(self.languages[0]))
        return Markup("").join(
            Markup('<span class="{0}" lang="{1}">{2}</span>').format(
                language, _tag(language), _marked(both.read(language))
            )
            for language in self.languages
        )

    def plain(self, words: Words) -> str:
        """Return ``words`` as text for an attribute: one language, or both with a slash between."""
        both = phrase(words)
        if both.en == both.zh:
            return both.read("en")
        return " / ".join(both.read(language) for language in self.languages)


@cache
def _pattern(template: str) -> re.Pattern[str]:
    """Return the pattern of a phrase in which blanks stand for anything."""
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+?)", re.escape(template)))


def _tag(language: str) -> str:
    return "zh-Hans" if language == "zh" else language


def _marked(text: str) -> Markup:
    """Return ``text`` escaped, its dates marked so that a line never breaks inside one."""
    parts = _DATE.split(text)
    return Markup("").join(
        Markup("<time>{0}</time>").format(part) if i % 2 else escape(part) for i, part in enumerate(parts)
    )
