"""Figures as files: one SVG a figure, in one language, readable by itself."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedvalue.errors import OutputError
from fedvalue.evidence import documents
from fedvalue.server.report_cli import app
from fedvalue.server.reports import exported
from tests.unit.server.reports import samples


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_analysis_has_its_files_in_one_language(tmp_path: Path, language: str) -> None:
    package = samples.package("met")
    documents.write(package, tmp_path / "evidence.json")
    done = CliRunner().invoke(
        app,
        ["figures", str(tmp_path / "evidence.json"), "--out", str(tmp_path / "f"), "--language", language],
    )
    assert done.exit_code == 0, done.output
    found = sorted((tmp_path / "f").iterdir())
    assert {int(path.name[:2]) for path in found} == set(range(1, len(package.conclusions) + 1))
    text = " ".join("".join(ET.parse(path).getroot().itertext()) for path in found)
    assert bool(re.search(r"[\u4e00-\u9fff]", text)) == (language == "zh")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        exported.figures(samples.package("met"), tmp_path / "file", "en")
