"""The catalogue is complete in both languages, and words reach a page as words."""

from __future__ import annotations

import ast
import re
from html import unescape
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedvalue.errors import OutputError
from fedvalue.server.reports.wording import Catalogue, Phrase, Voice, clean

LETTERS = re.compile(r"[^\W\d_]{2,}")
CHINESE = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.shipped()


@pytest.fixture(scope="module")
def sources(repository: Path) -> dict[str, str]:
    folder = repository / "server" / "fedvalue" / "server" / "reports"
    paths = [*folder.rglob("*.py"), *(folder / "templates").glob("*.html")]
    return {path.name: path.read_text(encoding="utf-8") for path in paths}


def templates(sources: dict[str, str]) -> str:
    return "".join(text for name, text in sources.items() if name.endswith(".html"))


def literals(sources: dict[str, str]) -> tuple[set[str], set[str]]:
    """Keys written out in the sources, and beginnings of keys that are put together."""
    whole, begun = set(re.findall(r"t\('([a-z_]+\.\w+)'\)", templates(sources))), set()
    for name, text in sources.items():
        if not name.endswith(".py"):
            continue
        nodes = list(ast.walk(ast.parse(text)))
        pieces = {id(piece) for node in nodes if isinstance(node, ast.JoinedStr) for piece in node.values}
        for node in nodes:
            if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
                begun.add(str(node.values[0].value))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in pieces:
                whole.add(node.value)
    return whole, begun


def test_every_blank_of_a_label_is_in_both_languages(catalogue: Catalogue) -> None:
    for key, words in catalogue.entries.items():
        assert set(re.findall(r"{(\w+)}", words.en)) == set(re.findall(r"{(\w+)}", words.zh)), key


def test_chinese_is_chinese_and_english_is_not(catalogue: Catalogue) -> None:
    for key, words in catalogue.entries.items():
        if key.startswith("language."):
            continue
        assert not CHINESE.search(words.en), key
        if LETTERS.search(re.sub(r"{\w+}", "", words.en)) and "epsilon {n}" not in words.zh:
            assert CHINESE.search(words.zh) or "{" in words.zh, key


def test_every_label_that_is_used_is_in_the_catalogue_and_every_label_is_used(
    catalogue: Catalogue, sources: dict[str, str]
) -> None:
    whole, begun = literals(sources)
    sections = {key.partition(".")[0] for key in catalogue.entries}
    named = {
        text for text in whole if re.fullmatch(r"[a-z_]+\.\w+", text) and text.partition(".")[0] in sections
    }
    assert named <= set(catalogue.entries)
    prefixes = tuple(text for text in begun if text.partition(".")[0] in sections and "." in text)
    tails = {text for text in whole if re.fullmatch(r"\w+", text)}
    for key in catalogue.entries:
        put_together = any(key.startswith(prefix) for prefix in prefixes)
        assert (
            key in named
            or put_together
            or key.partition(".")[2] in tails
            or key.startswith(
                (
                    "recorded.",
                    "glossary.",
                    "estimate_pattern.",
                    "unit_name.",
                    "level_pattern.",
                    "result_name.",
                )
            )
        ), key


def test_no_label_is_written_into_the_template(sources: dict[str, str]) -> None:
    text = re.sub(r"{%.*?%}|{{.*?}}|<style>.*?</style>|<[^>]*>", " ", templates(sources), flags=re.DOTALL)
    assert not LETTERS.search(text), LETTERS.findall(text)


def test_no_label_is_written_into_a_figure(sources: dict[str, str]) -> None:
    # words reach a drawing only through text(); its fourth argument is never a sentence
    for name, source in sources.items():
        for node in ast.walk(ast.parse(source)) if name.endswith(".py") else ():
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "text" and len(node.args) > 3:
                words = node.args[3]
                assert not (isinstance(words, ast.Constant) and LETTERS.search(str(words.value))), name


def test_the_glossary_holds_the_terms_of_payment(catalogue: Catalogue) -> None:
    pairs = {entry.en: entry.zh for key, entry in catalogue.entries.items() if key.startswith("glossary.")}
    assert pairs["insufficient evidence"] == "证据不足"
    assert pairs["privacy budget"] == "隐私预算"
    assert len(pairs) == 20


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("answer:\n  met: {en: Met, zh: 达标}\n  met: {en: Met, zh: 达标}\n", "met occurs twice"),
        ("answer:\n  met: {en: Met}\n", "needs en and zh"),
        ("answer:\n  met: {en: Met, zh: ''}\n", "needs en and zh"),
        ("answer:\n  met: {en: Met, zh: 达标, fr: atteint}\n", "needs en and zh"),
        ("answer: [", "not valid"),
    ],
)
def test_a_catalogue_that_lacks_a_language_or_says_a_thing_twice_is_refused(text: str, what: str) -> None:
    with pytest.raises(OutputError, match=what):
        Catalogue.parse(text)


def test_a_missing_label_is_an_error_and_not_an_empty_place(english: Voice) -> None:
    with pytest.raises(OutputError, match="lacks a label"):
        english("answer.perhaps")


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(OutputError, match="no language 'fr'"):
        Voice.of("fr")  # type: ignore[arg-type] # what a careless caller does


@given(st.text())
def test_any_text_arrives_on_the_page_as_text(words: str) -> None:
    html = str(Voice.of("en", Catalogue({})).html(words))
    assert unescape(re.sub(r"</?time>", "", html)) == clean(words)
    assert "<" not in html.replace("<time>", "").replace("</time>", "")


def test_text_that_turns_a_line_around_or_breaks_xml_is_cleaned() -> None:
    assert clean("not \u202emet\u202c\x00\x1b[31m\n") == "not met[31m "


def test_a_page_in_both_languages_marks_each(english: Voice) -> None:
    voice = Voice.of("both")
    assert str(voice.html(voice("answer.met"))) == (
        '<span class="en" lang="en">Met</span><span class="zh" lang="zh-Hans">达标</span>'
    )
    assert str(voice.html("36%")) == "36%"
    assert str(english.html(english("answer.met"))) == "Met"


def test_a_date_is_marked_so_that_no_line_breaks_inside_it(english: Voice) -> None:
    assert str(english.html("until 2026-12-31 & on")) == "until <time>2026-12-31</time> &amp; on"


def test_a_recorded_sentence_is_read_in_chinese_where_it_is_known() -> None:
    voice = Voice.of("zh")
    assert voice.recorded("A missing outcome counts as failure.").zh == "结局缺失按未达到计。"
    assert voice.recorded("Something new.") == Phrase.same("Something new.")


def test_templates_and_catalogue_are_found_as_resources_of_the_package() -> None:
    folder = files("fedvalue.server.reports")
    for name in ("catalogue.yaml", "templates/report.html", "templates/style.css"):
        assert folder.joinpath(name).is_file(), name
