"""The packaged studies: files inside the installed project, found wherever it is installed."""

from __future__ import annotations

from importlib.resources import files


def demo_study() -> bytes:
    """Return ``study.toml`` of the demonstration over six hospitals; `fedvalue.study.file.parse` reads it."""
    return _read("study.toml")


def three_sites_study() -> bytes:
    """Return the small study for three sites that a Flower deployment runs."""
    return _read("three_sites.toml")


def _read(name: str) -> bytes:
    return files("fedvalue.synthetic").joinpath("demo", name).read_bytes()
