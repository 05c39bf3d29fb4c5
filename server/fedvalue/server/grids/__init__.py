"""Grids: how a ServerApp reaches its sites.

`fedvalue.server.grids.local.LocalGrid` calls them in this process; Flower's own grid reaches SuperNodes.
"""

from fedvalue.quiet import silence

silence()  # before any module of this package imports Flower, which reads its telemetry switch only once
