"""Reports: what a payer reads. One look, two languages, no request to a network."""

from fedvalue.server.reports.page import render, write
from fedvalue.server.reports.terminal import summary_table

__all__ = ["render", "summary_table", "write"]
