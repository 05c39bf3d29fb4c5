"""The ``fedvalue`` command: a thin dispatcher.

Each room brings its own subcommands as a Typer application. A room is imported when one of its commands
is asked for and not before, so a hospital's commands load neither the coordinator nor PyTorch, and
``fedvalue --help`` loads no room at all. This is also the one place where an error becomes an exit status.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click
import typer.core
import typer.main

from fedvalue.errors import FedValueError
from fedvalue.quiet import silence

USAGE_STATUS = 2
STOPPED_STATUS = 130
FAULT_STATUS = 70
"""Exit statuses beside those of `fedvalue.errors`: a wrong command line, Ctrl-C, a fault of our own."""

TRACEBACK = "FEDVALUE_TRACEBACK"
"""Environment variable: ``1`` prints the traceback of an unexpected error."""


_COMPLETION = ("install_completion", "show_completion")


@dataclass(frozen=True, slots=True)
class Room:
    """Where one subcommand lives.

    Attributes:
      name: Word after ``fedvalue``.
      summary: One line for ``fedvalue --help``, known without importing the room.
      module: Module to import when the word is used.
      attribute: The Typer application in that module.
      member: Command of that application to run; empty: the application is the subcommand.
      parts: Where its commands come from several rooms: each of them, imported when it is used.
    """

    name: str
    summary: str
    module: str = ""
    attribute: str = "app"
    member: str = ""
    parts: tuple[Room, ...] = ()

    def load(self) -> click.Command:
        """Import the room and return its command."""
        if self.parts:
            return typer.core.TyperGroup(
                name=self.name,
                commands={part.name: LazyCommand(part) for part in self.parts},
                help=self.summary,
                no_args_is_help=True,
                rich_markup_mode="rich",
            )
        command = typer.main.get_command(getattr(importlib.import_module(self.module), self.attribute))
        # Typer offers completion per application; it would complete a program called "fedvalue site".
        command.params = [option for option in command.params if option.name not in _COMPLETION]
        if self.member and isinstance(command, click.Group):
            command = command.commands[self.member]
        return command


_MODELS = "fedvalue.strategies.training.package.cli"

ROOMS = (
    Room(
        "demo",
        "Six made-up hospitals, one study, one payment decision.",
        "fedvalue.simulation.cli",
        member="demo",
    ),
    Room(
        "simulate",
        "Run a study over folders or one table on this machine.",
        "fedvalue.simulation.cli",
        member="simulate",
    ),
    Room("study", "Check, price, sign and run a study.", "fedvalue.server.cli", "study_app"),
    Room("site", "A hospital's node: load records, check and approve studies.", "fedvalue.client.cli"),
    Room(
        "authority",
        "Tell hospitals apart: certificates, revocation lists, the signed roster.",
        "fedvalue.study.identity.cli",
    ),
    Room(
        "federation",
        "The coordinator's papers: TLS, enrolment tokens, SuperNodes.",
        "fedvalue.server.federation_cli",
    ),
    Room("evidence", "Show and verify evidence packages.", "fedvalue.evidence.cli"),
    Room("payment", "Decide, approve and replay payment standards.", "fedvalue.payment.cli"),
    Room(
        "model",
        "Models: evaluate, pack, read, verify, score own patients.",
        parts=(
            Room(
                "question",
                "Print the lines of a study file that evaluate a trained model.",
                _MODELS,
                member="question",
            ),
            Room("make", "Make the signed package of a model from evidence.", _MODELS, member="make"),
            Room("show", "Print what a package says.", _MODELS, member="show"),
            Room("verify", "Check a package, and the evidence behind it.", _MODELS, member="verify"),
            Room("card", "Write the model's card, HTML.", "fedvalue.server.model_cli", member="card"),
            Room(
                "score",
                "Score this hospital's own patients; nothing is sent.",
                "fedvalue.client.scoring_cli",
                member="score",
            ),
            Room("coefficients", "Print risk coefficients by cell.", _MODELS, member="coefficients"),
        ),
    ),
    Room(
        "report",
        "Write pages with figures: a budget impact, evidence with decisions.",
        "fedvalue.server.report_cli",
    ),
)


class LazyCommand(click.Command):
    """Stands in a listing for a command whose room is not imported yet."""

    def __init__(self, room: Room) -> None:
        super().__init__(room.name, help=room.summary)
        self.room = room

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Import the room and let its own command read the arguments; click then invokes that one."""
        return self.room.load().make_context(info_name, args, parent=parent, **extra)


def command(rooms: Sequence[Room] = ROOMS) -> click.Group:
    """Return the whole command line over ``rooms``, none of them imported."""
    return typer.core.TyperGroup(
        name="fedvalue",
        commands={room.name: LazyCommand(room) for room in rooms},
        help="Federated evidence for payment standards: hospitals keep their records, payers get answers.",
        epilog="New here? fedvalue demo --out out/demo",
        params=[
            click.Option(
                ["--version"],
                is_flag=True,
                expose_value=False,
                is_eager=True,
                callback=_print_version,
                help="Print the version and stop.",
            )
        ],
        no_args_is_help=True,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def main(arguments: Sequence[str] | None = None, rooms: Sequence[Room] = ROOMS) -> int:
    """Run ``fedvalue`` and return its exit status.

    Args:
      arguments: Words after ``fedvalue``; by default those of this process.
      rooms: The subcommands.
    """
    silence()
    words = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in words
    try:
        status = command(rooms).main(words, prog_name="fedvalue", standalone_mode=False)
    except FedValueError as error:
        _tell(as_json, error.code, error.what, error.where, error.do)
        return error.exit_status
    except click.exceptions.NoArgsIsHelpError as error:
        error.show(sys.stdout)
        return 0
    except click.ClickException as error:
        path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "fedvalue"
        _tell(as_json, "usage", error.format_message(), path, f"see {path} --help")
        return USAGE_STATUS
    except (KeyboardInterrupt, click.Abort):
        status = STOPPED_STATUS
    except ModuleNotFoundError as error:
        _show_traceback_if_asked()
        _tell(
            as_json,
            "not_installed",
            f"the Python module {error.name} is not installed",
            "this installation of fedvalue",
            "install fedvalue again, with the extra that brings it: see README.md",
        )
        return FAULT_STATUS
    except Exception as error:
        _show_traceback_if_asked()
        _tell(
            as_json,
            "fault",
            f"an unexpected {type(error).__name__}; this is a fault of FedValue, not of yours",
            _place(error),
            f"run it again with {TRACEBACK}=1 to see the traceback, and report it",
        )
        return FAULT_STATUS
    if status == STOPPED_STATUS:
        _tell(as_json, "interrupted", "stopped by the user", "", "")
    return status if isinstance(status, int) else 0


def _print_version(context: click.Context, _option: click.Parameter, asked: bool) -> None:
    if asked and not context.resilient_parsing:
        click.echo(f"fedvalue {importlib.metadata.version('fedvalue')}")
        context.exit()


def _show_traceback_if_asked() -> None:
    if os.environ.get(TRACEBACK) == "1":
        traceback.print_exc()


def _place(error: Exception) -> str:
    """Name the last line of our own code on the way to ``error``; never its message, which may hold data."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "fedvalue" in frame.filename.replace("\\", "/").split("/")]
    if not ours:
        return ""
    return f"{ours[-1].filename.replace(os.sep, '/').rpartition('/fedvalue/')[2]}:{ours[-1].lineno}"


def _tell(as_json: bool, code: str, what: str, where: str, do: str) -> None:
    """Print one error on standard error: for people, or as one JSON object."""
    if as_json:
        sys.stderr.write(
            json.dumps({"error": code, "what": what, "where": where, "do": do}, ensure_ascii=False) + "\n"
        )
        return
    # Imported here because a command that succeeds needs no colors for its errors.
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(Text.assemble((f"{code}: ", "bold red"), (_printable(what), "bold")))
    for label, value in (("where", where), ("do", do)):
        if value:
            console.print(Text.assemble((f"  {label + ':':<7}", "dim"), _printable(value)))


def _printable(text: str) -> str:
    """Show control characters instead of sending them to the terminal: a message may quote a file."""
    return "".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text)


if __name__ == "__main__":
    sys.exit(main())
