"""The dispatcher: lazy rooms, and the one place where an error becomes an exit status."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from fedvalue.cli import FAULT_STATUS, ROOMS, STOPPED_STATUS, USAGE_STATUS, LazyCommand, Room, main

FAKE = '''
"""A room with one command for every way to end."""

import os

import typer

from fedvalue.errors import BudgetSpent, StudyInvalid

app = typer.Typer()


@app.command()
def well(count: int = 1, json: bool = False) -> None:
    """Do it well."""
    print("did it", count, os.environ["FLWR_TELEMETRY_ENABLED"], os.environ["FLWR_DISABLE_UPDATE_CHECK"])


@app.command()
def refuse(json: bool = False) -> None:
    """Refuse."""
    raise BudgetSpent("the ledger has rho 0.01 left", where="site alpha", do="ask for less")


@app.command()
def escape() -> None:
    """Quote a hostile file."""
    raise StudyInvalid("bad key \\x1b[2Jred\\x07 [bold]x[/bold]", where="a\\x1bb.toml")


@app.command()
def fault(json: bool = False) -> None:
    """Fail in a way nobody thought of."""
    raise KeyError("patient 4711")


@app.command()
def stop(json: bool = False) -> None:
    """Be stopped."""
    raise KeyboardInterrupt


@app.command()
def leave() -> None:
    """End with a status of its own."""
    raise typer.Exit(3)
'''


@pytest.fixture
def rooms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Room, ...]:
    """A command line with one working room and one that is not there."""
    (tmp_path / "fake_room.py").write_text(FAKE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "fake_room", raising=False)
    monkeypatch.delenv("FEDVALUE_TRACEBACK", raising=False)
    return (
        Room("fake", "Every way to end.", "fake_room"),
        Room("well", "One member of a room.", "fake_room", member="well"),
        Room("gone", "A room that is not installed.", "no_such_room_at_all"),
    )


def test_a_command_of_a_room_runs_with_its_own_options(
    rooms: tuple[Room, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fake", "well", "--count", "3"], rooms) == 0
    assert capsys.readouterr().out.startswith("did it 3")


def test_one_command_of_a_room_can_stand_alone(
    rooms: tuple[Room, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["well", "--count", "2"], rooms) == 0
    assert capsys.readouterr().out.startswith("did it 2")


def test_telemetry_and_update_check_of_flower_are_off_whatever_the_environment_says(
    rooms: tuple[Room, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLWR_TELEMETRY_ENABLED", "1")
    monkeypatch.setenv("FLWR_DISABLE_UPDATE_CHECK", "0")
    assert main(["well"], rooms) == 0
    assert capsys.readouterr().out == "did it 1 0 1\n"


def test_a_refusal_says_what_where_and_what_to_do_on_standard_error(
    rooms: tuple[Room, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fake", "refuse"], rooms) == 4  # Refusal.exit_status
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        "budget_spent: the ledger has rho 0.01 left",
        "  where: site alpha",
        "  do:    ask for less",
    ]


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (["fake", "refuse", "--json"], 4, "budget_spent"),
        (["fake", "fault", "--json"], FAULT_STATUS, "fault"),
        (["fake", "stop", "--json"], STOPPED_STATUS, "interrupted"),
        (["fake", "nothing", "--json"], USAGE_STATUS, "usage"),
        (["nothing", "--json"], USAGE_STATUS, "usage"),
        (["gone", "--json"], FAULT_STATUS, "not_installed"),
    ],
)
def test_with_json_every_failure_is_one_json_object_on_standard_error(
    rooms: tuple[Room, ...], capsys: pytest.CaptureFixture[str], words: list[str], status: int, code: str
) -> None:
    assert main(words, rooms) == status
    printed = capsys.readouterr()
    told = json.loads(printed.err)
    assert printed.out == ""
    assert set(told) == {"error", "what", "where", "do"}
    assert told["error"] == code


def test_control_characters_quoted_from_a_file_do_not_reach_the_terminal(
    rooms: tuple[Room, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fake", "escape"], rooms) == 2
    told = capsys.readouterr().err
    assert "\x1b" not in told
    assert "\x07" not in told
    assert r"bad key \x1b[2Jred\x07 [bold]x[/bold]" in told


def test_an_unexpected_error_names_its_type_and_never_its_message(
    rooms: tuple[Room, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fake", "fault"], rooms) == FAULT_STATUS
    told = capsys.readouterr().err
    assert "KeyError" in told
    assert "FEDVALUE_TRACEBACK=1" in told
    assert "4711" not in told
    assert "Traceback" not in told


def test_the_traceback_of_an_unexpected_error_is_there_when_asked_for(
    rooms: tuple[Room, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEDVALUE_TRACEBACK", "1")
    assert main(["fake", "fault"], rooms) == FAULT_STATUS
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c_ends_with_status_130(rooms: tuple[Room, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fake", "stop"], rooms) == STOPPED_STATUS
    assert "stopped by the user" in capsys.readouterr().err


def test_a_command_may_choose_its_status(rooms: tuple[Room, ...]) -> None:
    assert main(["fake", "leave"], rooms) == 3


def test_a_wrong_option_points_to_the_help_of_that_command(
    rooms: tuple[Room, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fake", "well", "--colour"], rooms) == USAGE_STATUS
    assert "see fedvalue fake well --help" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_help_lists_every_command_with_one_line_and_imports_no_room(
    rooms: tuple[Room, ...], capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main(words, rooms) == 0
    told = capsys.readouterr().out
    for room in rooms:
        assert room.name in told
        assert room.summary in told
    assert "fake_room" not in sys.modules


def test_the_version_is_that_of_the_installed_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("fedvalue 0.")


# What must not be loaded when only these words are asked for. The words of one list share a process, because
# each import costs more than all the commands; what none of them loads is what no single one loads.
_FOREIGN = ("torch", "fedvalue.server", "fedvalue.simulation", "ray", "matplotlib")
_PROBE = """
import sys
from fedvalue.cli import main
watched, *asked = sys.argv[1:]
for words in asked:
    print("STATUS", main(words.split()))
print("LOADED", sorted(set(sys.modules) & set(watched.split(","))))
"""


def _loaded(asked: list[str], watched: tuple[str, ...]) -> str:
    """Give commands to one process, each as one string; all must succeed and load nothing watched."""
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, ",".join(watched), *asked],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("STATUS 0") == len(asked), done.stderr
    assert "LOADED []" in done.stdout
    return done.stdout


def test_the_help_of_the_whole_command_loads_no_room() -> None:
    watched = tuple(room.module for room in ROOMS) + _FOREIGN + ("flwr", "grpc", "pandas", "duckdb", "scipy")
    _loaded(["--help"], watched)


def test_the_commands_of_a_site_load_neither_the_coordinator_nor_pytorch() -> None:
    _loaded(["site init --help", "site load --help"], _FOREIGN)


def test_every_command_answers_help() -> None:
    told = _loaded([f"{room.name} --help" for room in ROOMS], ("torch", "ray"))
    for room in ROOMS:
        assert f"fedvalue {room.name}" in told


def _every(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        whole = below.room.load() if isinstance(below, LazyCommand) else below
        yield from _every(whole, f"{path} {name}")


def test_no_word_in_brackets_is_lost_from_a_help_text_as_markup() -> None:
    markup = re.compile(r"(?<!\\)\[[a-z_.\[\]]+\]")
    for room in ROOMS:
        for path, found in _every(room.load(), room.name):
            texts = [found.help or "", *(getattr(option, "help", None) or "" for option in found.params)]
            assert not [text for text in texts if markup.search(text)], path
