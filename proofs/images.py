"""Build a Dockerfile without Docker: every instruction in a clean root, by copying and chroot.

A strict reader of the few instructions that our Dockerfiles use, and a builder that follows them: a stage is
a copy of a base root (made with debootstrap), ``COPY`` copies what ``.dockerignore`` lets in, ``RUN`` runs in
the stage by chroot. It needs root. What it cannot show: layers, the engine's own limits, and the contents of
Docker's base image, in whose place the base root stands.
"""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

KNOWN = frozenset(
    {"FROM", "LABEL", "WORKDIR", "COPY", "RUN", "ENV", "USER", "VOLUME", "STOPSIGNAL", "EXPOSE",
     "HEALTHCHECK", "ENTRYPOINT", "CMD"}
)  # fmt: skip
"""Instructions that we use; ADD and ARG fetch or leak, and a reader that does not know one refuses it."""

_FROM = re.compile(r"(\S+)(?: AS ([a-z][a-z0-9-]*))?")
_PAIR = re.compile(r'([A-Za-z_][\w.]*)=("[^"]*"|\S*)')


class DockerfileError(ValueError):
    """A Dockerfile says something that the reader does not know."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction.

    Attributes:
      word: In capitals.
      rest: What follows, continuation lines joined.
      line: Its first line, from 1.
    """

    word: str
    rest: str
    line: int

    def listed(self) -> list[str]:
        """Return an exec form's words.

        Raises:
          DockerfileError: it is a shell form.
        """
        text = self.rest[self.rest.index("[") :] if "[" in self.rest else ""
        try:
            words = json.loads(text)
        except json.JSONDecodeError:
            raise DockerfileError(f"line {self.line}: {self.word} wants the exec form") from None
        return [str(word) for word in words]

    def pairs(self) -> dict[str, str]:
        """Return the names and values of ENV or LABEL."""
        return {name: value.strip('"') for name, value in _PAIR.findall(self.rest)}

    def copied(self) -> tuple[str | None, list[str], str]:
        """Return the stage that a COPY takes from, its sources and its target."""
        words = self.rest.split()
        stage = words.pop(0).removeprefix("--from=") if words[0].startswith("--from=") else None
        if any(word.startswith("--") for word in words) or len(words) < 2:
            raise DockerfileError(f"line {self.line}: a COPY that the reader does not know")
        return stage, words[:-1], words[-1]


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage.

    Attributes:
      base: Image that it starts from.
      name: Empty for the last.
      instructions: After its FROM.
    """

    base: str
    name: str
    instructions: tuple[Instruction, ...]

    def last(self, word: str) -> Instruction | None:
        """Return the instruction that counts where a later one replaces an earlier."""
        return next((one for one in reversed(self.instructions) if one.word == word), None)

    def environment(self) -> dict[str, str]:
        """Return what its ENV instructions set."""
        return {k: v for one in self.instructions if one.word == "ENV" for k, v in one.pairs().items()}


def read(text: str) -> tuple[Stage, ...]:
    """Read a Dockerfile.

    Raises:
      DockerfileError: an instruction is unknown, stands before the first FROM, or breaks off.
    """
    stages: list[tuple[str, str, list[Instruction]]] = []
    for one in _instructions(text):
        if one.word not in KNOWN:
            raise DockerfileError(f"line {one.line}: {one.word} is not used here")
        if one.word == "FROM":
            found = _FROM.fullmatch(one.rest)
            if found is None:
                raise DockerfileError(f"line {one.line}: a FROM that the reader does not know")
            stages.append((found[1], found[2] or "", []))
        elif not stages:
            raise DockerfileError(f"line {one.line}: {one.word} before the first FROM")
        else:
            stages[-1][2].append(one)
    if not stages:
        raise DockerfileError("no FROM")
    return tuple(Stage(base, name, tuple(said)) for base, name, said in stages)


def _instructions(text: str) -> Iterator[Instruction]:
    lines = iter(enumerate(text.splitlines(), start=1))
    for number, line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        whole = line
        while whole.endswith("\\"):
            following = next(lines, None)
            if following is None:
                raise DockerfileError(f"line {number}: breaks off")
            whole = f"{whole[:-1].rstrip()} {following[1].strip()}"
        word, _, rest = whole.strip().partition(" ")
        yield Instruction(word, rest.strip(), number)


def let_in(path: str, rules: Sequence[str]) -> bool:
    """Tell whether ``.dockerignore`` lets a path into the build; the last rule that fits wins."""
    allowed = True
    for rule in (rule.strip() for rule in rules):
        if not rule or rule.startswith("#"):
            continue
        keeps, pattern = rule.startswith("!"), rule.lstrip("!").removeprefix("**/")
        parts = path.split("/")
        heads = ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]
        anywhere = [*heads, *parts] if "**/" in rule else heads
        if any(fnmatch.fnmatchcase(head, pattern) for head in anywhere):
            allowed = keeps
    return allowed


@dataclass(slots=True)
class Builder:
    """Builds the stages of one Dockerfile.

    Attributes:
      base: A clean root that stands for the base image.
      context: The checkout.
      folder: Where the stages are made, a folder each.
      binds: Folders and files of this machine that RUN sees, such as the way to the package registry.
      environment: Variables that RUN sees on top; none of them stays.
      said: One line for each instruction that was followed.
    """

    base: Path
    context: Path
    folder: Path
    binds: tuple[Path, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def build(self, stages: Sequence[Stage]) -> Path:
        """Follow every instruction, and return the root of the last stage."""
        root = self.folder
        for number, stage in enumerate(stages):
            root = self.folder / (stage.name or f"stage-{number}")
            subprocess.run(["cp", "-a", "--reflink=auto", self.base, root], check=True)
            where, environment = "/", dict[str, str]()
            for one in stage.instructions:
                if one.word == "ENV":
                    environment |= one.pairs()
                elif one.word == "WORKDIR":
                    where = one.rest
                    (root / where.lstrip("/")).mkdir(parents=True, exist_ok=True)
                elif one.word == "COPY":
                    self._copy(one, root, where)
                elif one.word == "RUN":
                    self._run(one, root, where, environment)
                else:
                    continue
                self.said.append(f"{stage.name or 'last'}: {one.word} {one.rest}")
        return root

    def _copy(self, one: Instruction, root: Path, where: str) -> None:
        stage, sources, target = one.copied()
        to = root / str(Path(where) / target).lstrip("/")
        rules = [] if stage else (self.context / ".dockerignore").read_text(encoding="utf-8").splitlines()
        start = self.folder / stage if stage else self.context
        for source in sources:
            found = start / source.lstrip("/")
            if found.is_dir():
                shutil.copytree(
                    found, to, symlinks=True, dirs_exist_ok=True, ignore=self._left_out(rules, start)
                )
            else:
                if not let_in(source, rules):
                    raise DockerfileError(f"line {one.line}: .dockerignore keeps {source} out")
                into = to / found.name if target.endswith("/") or to.is_dir() else to
                into.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(found, into)

    @staticmethod
    def _left_out(rules: Sequence[str], start: Path):  # type: ignore[no-untyped-def]  # shutil's own callback
        def left_out(folder: str, names: list[str]) -> set[str]:
            inside = Path(folder).relative_to(start)
            return (
                {name for name in names if not let_in((inside / name).as_posix(), rules)} if rules else set()
            )

        return left_out

    def _run(self, one: Instruction, root: Path, where: str, environment: dict[str, str]) -> None:
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        with mounted(root, self.binds):
            subprocess.run(
                [shutil.which("chroot") or "chroot", root, "/bin/sh", "-c", f"cd {where} && {one.rest}"],
                env={"PATH": path, "HOME": "/root", **environment, **self.environment}, check=True,
            )  # fmt: skip


@contextmanager
def mounted(root: Path, binds: Sequence[Path] = ()) -> Iterator[None]:
    """Give a root its ``/proc``, ``/dev`` and what is bound into it, for as long as the block lasts."""
    held: list[Path] = []
    try:
        for source in (Path("/proc"), Path("/dev"), *binds):
            target = root / str(source).lstrip("/")
            if source.is_dir():
                target.mkdir(parents=True, exist_ok=True)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.touch()
            subprocess.run(["mount", "--bind", source, target], check=True)
            held.append(target)
        yield
    finally:
        for target in reversed(held):
            subprocess.run(["umount", "--lazy", target], check=False)
