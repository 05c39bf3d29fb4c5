"""The line on which a key stands, found with the parser itself."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fedvalue.study.toml_lines import TomlLines

TEXT = """# a comment
site = "s01"   # here

analyses = [
  "mean",
  "cox" ]
[limits]
# another
epsilon = 2.0
[[people]]
name = "a"
[[people]]
name = \"\"\"b
c\"\"\"
role = "audit"
"""


def test_a_key_stands_where_its_statement_begins() -> None:
    lines = TomlLines.of(TEXT)
    assert lines.line("site") == 2
    assert lines.line("analyses", 1) == 4
    assert lines.line("limits", "epsilon") == 9
    assert lines.line("people", 0, "name") == 11
    assert lines.line("people", 1, "name") == 13
    assert lines.line("people", 1, "role") == 15


def test_a_key_that_is_missing_stands_where_its_table_begins_and_else_nowhere() -> None:
    lines = TomlLines.of(TEXT)
    assert lines.line("limits", "numbers") == 7
    assert lines.line("people", 0, "key") == 10
    assert lines.line("opening") is None


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=60))
def test_whatever_the_text_holds_there_is_an_answer(text: str) -> None:
    found = TomlLines.of(text).line("a", 0, "b")
    assert found is None or 1 <= found <= len(text.splitlines())
