"""The shape of the repository: what a reader who knows only the folder names may rely on."""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fedvalue.quiet import quiet_environment

REPOSITORY = Path(__file__).resolve().parents[2]
SETTINGS: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
ROOTS = tuple(
    REPOSITORY / root for root in SETTINGS["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
)
ROOMS = tuple(SETTINGS["tool"]["importlinter"]["root_packages"])

MOST_LINES = 450
MOST_LINES_OF_TESTS = 600
LONGER_ON_PURPOSE = {
    "core/fedvalue/errors.py"
}  # the whole tree of errors is one page to read, by our own rule
NOT_OURS = {".git", "out", "build", "dist", "__pycache__", "node_modules"}


@functools.cache
def files() -> tuple[Path, ...]:
    """Every file of the checkout that people wrote, without environments, caches and results."""
    found: list[Path] = []
    for folder, names, entries in os.walk(REPOSITORY):
        here = Path(folder)
        names[:] = [
            name
            for name in names
            if name not in NOT_OURS
            and not name.endswith((".egg-info", "_cache"))
            and name != ".hypothesis"
            and not (here / name / "pyvenv.cfg").exists()
        ]
        found += [here / entry for entry in entries]
    return tuple(sorted(found))


def modules() -> list[Path]:
    """Every module of the rooms, generated code left out."""
    return [
        path
        for path in files()
        if path.suffix == ".py" and path.is_relative_to(REPOSITORY) and "protos" not in path.parts
        if any(path.is_relative_to(root) for root in ROOTS)
    ]


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def place(path: Path, line: int = 0) -> str:
    return f"{path.relative_to(REPOSITORY)}:{line}" if line else str(path.relative_to(REPOSITORY))


def test_no_source_root_turns_the_namespace_into_a_package() -> None:
    # one __init__.py in any */fedvalue/ would hide the parts of the namespace in the other roots
    assert [
        place(path) for path in files() if path.name == "__init__.py" and path.parent.name == "fedvalue"
    ] == []


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_can_be_imported(room: str) -> None:
    importlib.import_module(room)


def test_every_room_folder_is_known_to_the_import_rules() -> None:
    folders = {
        f"fedvalue.{path.parent.name}"
        for path in files()
        if path.name == "__init__.py" and path.parent.parent.name == "fedvalue" and "protos" not in path.parts
    }
    assert folders == set(ROOMS)


def test_every_python_folder_of_the_rooms_is_a_package() -> None:
    # a sub-folder without __init__.py would be importable here and could be lost from a wheel
    missing = {place(path.parent) for path in modules() if path.parent not in ROOTS} - {
        place(path.parent) for path in modules() if path.name == "__init__.py"
    }
    assert missing == set()


def test_no_module_is_longer_than_its_idea() -> None:
    long = {}
    for path in files():
        if path.suffix == ".py" and "protos" not in path.parts:
            count = len(path.read_text(encoding="utf-8").splitlines())
            most = MOST_LINES_OF_TESTS if (REPOSITORY / "tests") in path.parents else MOST_LINES
            if count > most and place(path) not in LONGER_ON_PURPOSE:
                long[place(path)] = count
    assert long == {}


def test_no_validation_rests_on_assert() -> None:
    # python -O drops assert statements
    found = [
        place(path, node.lineno)
        for path in modules()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Assert)
    ]
    assert found == []


def test_nothing_is_left_to_do() -> None:
    words = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" * 3)) + r")\b")
    found = [
        place(path, number)
        for path in files()
        if path.suffix in {".py", ".md", ".toml", ".yaml", ".yml"}
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if words.search(line)
    ]
    unwritten = [
        place(path, node.lineno)
        for path in modules()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Raise) and node.exc and "NotImplementedError" in ast.unparse(node.exc)
    ]
    assert found + unwritten == []


def test_errors_are_defined_in_one_module_only() -> None:
    found = [
        f"{place(path, node.lineno)} {node.name}"
        for path in modules()
        if path.name != "errors.py"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef)
        for base in node.bases
        if re.search(r"(Error|Exception|Warning)$", ast.unparse(base))
        and not ast.unparse(base).endswith("Warning")
    ]
    # no error but a signal: an analysis asks for a round that has not been opened yet
    assert [each for each in found if not each.endswith(" _NotYet")] == []


def test_the_drawing_of_the_error_tree_is_the_tree() -> None:
    errors = importlib.import_module("fedvalue.errors")
    drawn = set(re.findall(r"\b[A-Z][A-Za-z]+\b", (errors.__doc__ or "").partition("The root is never")[0]))
    defined = {
        name
        for name, thing in vars(errors).items()
        if isinstance(thing, type) and issubclass(thing, Exception)
    }
    assert defined <= drawn
    codes = [
        getattr(errors, name).code
        for name in defined
        if issubclass(getattr(errors, name), errors.FedValueError)
    ]
    assert len(set(codes)) == len(codes)


# ---- randomness and clocks -------------------------------------------------------------------------------

SEEDED = {"default_rng", "Generator", "SeedSequence", "BitGenerator", "PCG64", "PCG64DXSM", "Philox"}


def ambient_randomness(path: Path) -> Iterator[str]:
    """Name every use of a generator that nobody passed in."""
    for node in ast.walk(tree(path)):
        told = ""
        if isinstance(node, ast.Import):
            told = "import" if {alias.name for alias in node.names} & {"random", "numpy.random"} else ""
        elif isinstance(node, ast.ImportFrom):
            told = "import" if node.module == "random" else ""
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) in {"np.random", "numpy.random"}:
            told = "global state" if node.attr not in SEEDED else ""
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("default_rng"):
            told = "no seed" if not node.args and not node.keywords else ""
        if told and isinstance(node, ast.expr | ast.stmt):
            yield f"{place(path, node.lineno)} {ast.unparse(node)}: {told}"


def test_randomness_is_an_argument() -> None:
    assert [found for path in modules() for found in ambient_randomness(path)] == []


def test_the_check_for_ambient_randomness_sees_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("import random\nimport numpy as np\nnp.random.normal()\nnp.random.default_rng()\n")
    monkeypatch.setattr(sys.modules[__name__], "REPOSITORY", tmp_path)
    assert len(list(ambient_randomness(bad))) == 3


# ---- what may be named -----------------------------------------------------------------------------------

# Written so that no pattern matches its own line.
MACHINE = re.compile(r"/(?:wor[k]|roo[t]|hom[e]/\w+|User[s]/\w+|tm[p]/contracts)/|/tm[p]/contracts")
REGISTRY = re.compile(
    r"pypi[.]\w|pythonhosted[.]|npmjs[.]|deb[.]debian|(?:extra-)?index[-]url|find[-]links|trusted[-]host"
)
TEXT = {
    "",
    ".py",
    ".md",
    ".toml",
    ".txt",
    ".yaml",
    ".yml",
    ".json",
    ".html",
    ".j2",
    ".sh",
    ".cfg",
    ".csv",
    ".proto",
}


def test_no_file_names_a_machine_path_or_a_package_registry() -> None:
    found = [
        f"{place(path, number)}: {line.strip()[:80]}"
        for path in files()
        if path.suffix in TEXT and path.name != "LICENSE" and path.stat().st_size < 2_000_000
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if MACHINE.search(line) or REGISTRY.search(line)
    ]
    assert found == []


# ---- dependencies ----------------------------------------------------------------------------------------


def pins() -> dict[str, str]:
    """Project name to exact version in constraints.txt."""
    lines = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if line and not line.startswith("#")]
    for line in kept:
        assert re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line), f"{line!r} is not name==version"
    return dict(line.split("==") for line in kept)


def declared() -> list[Requirement]:
    """Every requirement of pyproject.toml, run-time and extras."""
    project = SETTINGS["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    return [
        Requirement(line) for line in project["dependencies"] + extras + SETTINGS["build-system"]["requires"]
    ]


def closure(start: list[Requirement]) -> set[str]:
    """Every distribution that ``start`` draws on this machine, as far as it is installed."""
    seen: set[str] = set()
    todo = list(start)
    asked: set[tuple[str, str]] = set()
    while todo:
        requirement = todo.pop()
        for extra in ("", *requirement.extras):
            name = canonicalize_name(requirement.name)
            if (name, extra) in asked:
                continue
            asked.add((name, extra))
            try:
                lines = importlib.metadata.requires(name) or []
            except importlib.metadata.PackageNotFoundError:
                continue
            seen.add(name)
            drawn = [Requirement(line) for line in lines]
            todo += [line for line in drawn if line.marker is None or line.marker.evaluate({"extra": extra})]
    return seen


def test_every_declared_package_is_pinned_within_its_range() -> None:
    fixed = pins()
    for requirement in declared():
        version = fixed[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement} against {version}"


def test_every_package_that_is_drawn_is_pinned() -> None:
    drawn = closure(declared()) - {"fedvalue", "pip"}
    assert sorted(drawn - set(pins())) == []


_IMPORT_WITH_THESE_ONLY = """
import importlib, importlib.abc, pkgutil, sys

refused = set(sys.argv[1].split(","))

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in refused:
            raise ModuleNotFoundError(f"{name} is no run-time dependency", name=name)

sys.meta_path.insert(0, Refuse())
import fedvalue
for found in pkgutil.walk_packages(fedvalue.__path__, "fedvalue."):
    # networks need the extra "train", and are imported where something is trained alone
    if not found.name.startswith("fedvalue.strategies.training.models."):
        importlib.import_module(found.name)
"""


def test_every_module_imports_with_the_run_time_dependencies_alone() -> None:
    run_time = closure([Requirement(line) for line in SETTINGS["project"]["dependencies"]]) | {"fedvalue"}
    provided = importlib.metadata.packages_distributions()
    refused = {
        module
        for module, names in provided.items()
        if not {canonicalize_name(name) for name in names} & run_time
    }
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_WITH_THESE_ONLY, ",".join(sorted(refused))],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=quiet_environment(),
    )
    assert done.returncode == 0, done.stderr[-2000:]
