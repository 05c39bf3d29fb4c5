"""The Flower app of a benchmark: names only, its apps are imported from the checkout."""

from __future__ import annotations


def described(module: str, **config: int) -> str:
    """Return the ``pyproject.toml`` of an app whose ServerApp and ClientApp stand in ``benchmarks.<module>``.

    Args:
      module: The module; it has ``server`` and ``client``.
      config: The run's settings; ``out`` is there too, empty.
    """
    settings = "\n".join(f"{key} = {value}" for key, value in config.items())
    return f"""
[project]
name = "{module}"
version = "1"
description = "Names only: the apps are imported from the checkout."
license = "Apache-2.0"

[tool.flwr.app]
publisher = "fedvalue"
fab-include = ["README.md"]

[tool.flwr.app.components]
serverapp = "benchmarks.{module}:server"
clientapp = "benchmarks.{module}:client"

[tool.flwr.app.config]
{settings}
out = ""
"""
