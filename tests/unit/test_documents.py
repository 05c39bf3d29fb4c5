"""What the documents say is so: links resolve, commands exist, marked blocks run, every key is explained.

A fenced ``sh`` or ``python`` block with the comment ``<!-- run -->`` on the line before it is run, together
with the other such blocks of the same document, in order, by one shell, in a copy of what a checkout holds
after ``make demo``. Where a block is marked ``<!-- prints -->``, each of its lines must appear in what was
printed, in order; ``...`` in a line stands for anything.
"""

from __future__ import annotations

import functools
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args, get_origin

import click
import pytest
from pydantic import BaseModel

from fedvalue import errors
from fedvalue.cli import FAULT_STATUS, ROOMS, STOPPED_STATUS, USAGE_STATUS, LazyCommand
from fedvalue.quiet import quiet_environment
from fedvalue.study.file import parse
from fedvalue.study.schema import Study

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENTS = tuple(sorted((*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md"))))
SECONDS = 150

BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^>]*?) -->\n)?^```(?P<language>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
      mark: Text of the comment on the line before, may be empty.
      language: Word after the fence.
      body: What is inside.
    """

    mark: str
    language: str
    body: str


@functools.cache
def blocks(document: Path) -> tuple[Block, ...]:
    found = BLOCK.finditer(document.read_text(encoding="utf-8"))
    return tuple(Block((match["mark"] or "").strip(), match["language"], match["body"]) for match in found)


def name(document: Path) -> str:
    return document.relative_to(REPOSITORY).as_posix()


def runnable() -> list[Path]:
    return [document for document in DOCUMENTS if any(block.mark == "run" for block in blocks(document))]


def environment(*first: Path) -> dict[str, str]:
    """The environment of this test run, with ``first`` and its interpreter's commands first on PATH."""
    path = os.pathsep.join([*map(str, first), str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**quiet_environment(), "PATH": path, "COLUMNS": "160", "NO_COLOR": "1"}


@pytest.fixture(scope="module")
def checkout_after_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a reader's checkout holds after ``make demo``, as far as the documents use it."""
    folder = tmp_path_factory.mktemp("checkout")
    for part in ("docs", "core/fedvalue/synthetic/demo", "core/fedvalue/payment/standards"):
        shutil.copytree(REPOSITORY / part, folder / part)
    shell("fedvalue demo --out out/demo", folder)
    return folder


def shell(script: str, folder: Path, *first: Path) -> str:
    """Run a shell script in ``folder``, with ``first`` on its PATH, and return what it printed."""
    done = subprocess.run(
        ["sh", "-c", f"set -eu\n{script}"],
        cwd=folder,
        env=environment(*first),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.mark.timeout(2 * SECONDS)
@pytest.mark.parametrize("document", runnable(), ids=name)
def test_marked_blocks_run_after_the_demo_and_print_what_is_shown(
    document: Path, tmp_path: Path, checkout_after_demo: Path, warm_commands: Path
) -> None:
    script, shown = [], []
    for block in blocks(document):
        if block.mark == "run":
            python = block.language == "python"
            script.append(f"python - <<'END_OF_BLOCK'\n{block.body}END_OF_BLOCK" if python else block.body)
        elif block.mark == "prints":
            shown += [line.strip() for line in block.body.splitlines() if line.strip()]
    shutil.copytree(checkout_after_demo, tmp_path, dirs_exist_ok=True)
    printed = shell("\n".join(script), tmp_path, warm_commands)
    pattern = ".*".join(re.escape(line).replace(re.escape("..."), ".*") for line in shown)
    assert re.search(pattern, printed, re.DOTALL), f"not printed as shown: {shown}\n{printed}"


# ---- links -----------------------------------------------------------------------------------------------


def anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(document: Path) -> set[str]:
    return {anchor(line) for line in re.findall(r"^#+ (.+)$", prose(document), re.MULTILINE)}


def prose(document: Path) -> str:
    return BLOCK.sub("", document.read_text(encoding="utf-8"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_link_inside_the_repository_leads_somewhere(document: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(document)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, part = target.partition("#")
        file = (document.parent / path).resolve() if path else document
        if not file.exists() or (part and part not in anchors(file)):
            broken.append(target)
    assert broken == []


# ---- commands --------------------------------------------------------------------------------------------


@functools.cache
def entry(word: str) -> click.Command | None:
    for room in ROOMS:
        if room.name == word:
            return room.load()
    return None


def mentioned(document: Path) -> Iterator[list[str]]:
    """Every ``fedvalue ...`` in a shell block or between backticks, as words."""
    text = document.read_text(encoding="utf-8")
    lines = [
        line
        for block in blocks(document)
        if block.language in {"sh", "console"}
        for line in joined(block.body)
    ]
    lines += re.findall(r"`(fedvalue [^`\n]+)`", text)
    for line in lines:
        for part in re.split(r"\s*(?:&&|\|\||[|;])\s*", line.strip().removeprefix("$ ")):
            if part.startswith("fedvalue "):
                yield shlex.split(part.replace("'s", "s"), comments=True)[1:]


def joined(body: str) -> list[str]:
    """Lines of a shell block, continued lines put together."""
    return body.replace("\\\n", " ").splitlines()


def wrong(words: list[str]) -> str:
    """Say what in ``fedvalue WORDS`` does not exist; empty where all of it does."""
    if not words or words[0].startswith("-") or words == ["..."]:
        return ""
    command = entry(words[0])
    if command is None:
        return f"no command {words[0]!r}"
    rest = words[1:]
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-") and rest[0] != "...":
        inner = command.commands.get(rest[0])
        if inner is None and (default := getattr(command, "default", None)):
            inner, rest = command.commands[default], [default, *rest]
        if inner is None:
            return f"{command.name} has no {rest[0]!r}"
        command, rest = inner.room.load() if isinstance(inner, LazyCommand) else inner, rest[1:]
    known = {flag for option in command.params for flag in (*option.opts, *option.secondary_opts)} | {
        "--help",
        "-h",
    }
    absent = [
        word
        for word in rest
        if re.match(r"\[?--?[a-z]", word) and word.strip("[]").partition("=")[0] not in known
    ]
    return f"{command.name} has no {absent}" if absent else ""


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_command_and_option_that_is_mentioned_exists(document: Path) -> None:
    problems = [
        f"fedvalue {' '.join(words)}: {found}" for words in mentioned(document) if (found := wrong(words))
    ]
    assert problems == []


def test_every_make_target_that_is_mentioned_exists() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    asked = {
        target
        for document in DOCUMENTS
        for target in re.findall(r"(?:^|`)make ([a-z]+)", document.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert asked <= targets


def test_the_table_of_exit_statuses_is_that_of_the_errors() -> None:
    text = (REPOSITORY / "docs" / "guides" / "payer.md").read_text(encoding="utf-8")
    listed = {int(status) for status in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    raised = {
        kind.exit_status
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.FedValueError)
    }
    assert listed == raised - {errors.FedValueError.exit_status} | {
        0,
        USAGE_STATUS,
        FAULT_STATUS,
        STOPPED_STATUS,
    }


# ---- the study file --------------------------------------------------------------------------------------


def models(kind: object, seen: set[type[BaseModel]]) -> set[type[BaseModel]]:
    """Every model that the type ``kind`` reaches."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if kind not in seen:
            seen.add(kind)
            for field in kind.model_fields.values():
                models(field.annotation, seen)
    else:
        for part in get_args(kind):
            models(part, seen)
    return seen


def test_every_key_of_the_schema_is_explained() -> None:
    text = (REPOSITORY / "docs" / "study-file.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`\n]+)`", BLOCK.sub("", text)))))
    reached = models(Study, set())
    keys = {field.alias or key for model in reached for key, field in model.model_fields.items()}
    assert len(reached) > 15
    assert sorted(keys - explained) == []


def test_every_allowed_word_of_the_schema_is_explained() -> None:
    text = (REPOSITORY / "docs" / "study-file.md").read_text(encoding="utf-8")
    words: set[str] = set()

    def collect(kind: object) -> None:
        if str(get_origin(kind)) == "typing.Literal":
            words.update(value for value in get_args(kind) if isinstance(value, str))
        else:
            for part in get_args(kind):
                collect(part)

    for model in models(Study, set()):
        for field in model.model_fields.values():
            collect(field.annotation)
    assert len(words) > 30
    assert sorted(word for word in words if word not in text) == []


@pytest.mark.parametrize(
    "document", [d for d in DOCUMENTS if any(b.mark == "example: study" for b in blocks(d))], ids=name
)
def test_every_study_that_is_shown_is_valid_and_complete(document: Path) -> None:
    for block in blocks(document):
        if block.mark == "example: study":
            parse(block.body.encode(), where=name(document)).governance.require_complete()
