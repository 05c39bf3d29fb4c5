"""What a monitor may know of a site: every number, and why no patient can move it."""

from __future__ import annotations

from collections.abc import Mapping

from fedvalue.operations.metrics import Metric

DECLARED = (
    Metric(
        "fedvalue_site_info", "gauge", "Always 1; its labels say which versions run.",
        "Versions of programs.", ("fedvalue", "flower", "python"),
    ),
    Metric(
        "fedvalue_site_part_up", "gauge", "1 while a process of this site runs and is ready.",
        "Processes start and end for reasons of the machine; whatever a row holds ends none.", ("part",),
    ),
    Metric(
        "fedvalue_site_part_restarts_total", "counter", "How often a process died and was started again.",
        "As above.", ("part",), ("part died",),
    ),
    Metric(
        "fedvalue_site_paused", "gauge", "1 while this site's people have paused it.",
        "People pause it, by a file.",
    ),
    Metric(
        "fedvalue_site_messages_answered_total", "counter", "Messages that the node answered, by kind.",
        "The coordinator chooses the messages; after approval, a site answers alike whatever its rows are.",
        ("kind",), ("message answered",),
    ),
    Metric(
        "fedvalue_site_messages_refused_total", "counter", "Messages that it refused, by kind and code.",
        "A code follows from study, roster, policy, papers and ledger; the ledger is charged what the plan "
        "says, never what rows say.", ("kind", "code"), ("message refused",),
    ),
    Metric(
        "fedvalue_site_bundles_refused_total", "counter", "Runs of Flower whose bundle was not on the list.",
        "The SuperLink sends bundles; rows have no part in it.", (), ("bundle refused",),
    ),
    Metric(
        "fedvalue_site_paper_ends_timestamp_seconds", "gauge",
        "When a paper of this site ends, seconds since 1970-01-01 UTC.",
        "The authority dates papers.", ("paper",),
    ),
)  # fmt: skip


def ready(said: Mapping[str, object]) -> bool:
    """Tell from a line of the node that it answers."""
    return str(said.get("event", "")).startswith("answering on ")


def worker_ready(said: Mapping[str, object]) -> bool:
    """Tell from a line of the worker that it has found the SuperNode."""
    return said.get("event") == "worker ready"


def supernode_gave_up(said: Mapping[str, object]) -> bool:
    """Tell from a line of the SuperNode that it will not dial again, though its process stays (flwr 1.41).

    It takes a connection that a proxy or gate closes during the TLS handshake for a wrong certificate.
    """
    text = str(said.get("text", ""))
    return "Giving up reconnection" in text or "SSL/TLS handshake error detected" in text


def supernode_ready(said: Mapping[str, object]) -> bool:
    """Tell from a line of the SuperNode that the SuperLink knows it (flwr 1.41)."""
    return "SuperNode ID:" in str(said.get("text", ""))
