"""Names that the relay needs: Flower starts it anew for every message, so they cost it no import."""

from __future__ import annotations

RECORDS, RECORDS_SERVER = "records.duckdb", "records.toml"
"""In a home: the site's records, or the file that names the PostgreSQL server that holds them."""

SOCKET = "node.sock"
"""Name of the socket on which a site node listens, in its home."""

NODE_KEY, TLS_ROOT, COORDINATOR = "supernode", "coordinator-ca.crt", "coordinator.txt"
"""In `SiteHome.identity_folder`: the SuperNode's key (OpenSSH), whom it trusts, and what it dials."""
