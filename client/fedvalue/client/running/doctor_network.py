"""The doctor's look outwards: names, proxy, ports, the coordinator's certificate and clock.

Nothing of this site is sent: a TLS greeting, and one HTTP HEAD for the coordinator's time.
"""

from __future__ import annotations

import base64
import os
import re
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fedvalue.client.running.doctor_words import Line

SECONDS = 4.0
"""Longest wait for one answer from outside."""

SKEW_GOOD, SKEW_MOST = 5.0, 60.0
PROXIES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


@dataclass(frozen=True, slots=True)
class Target:
    """Something to reach.

    Attributes:
      address: ``host:port``.
      root: PEM file of whom to believe; empty takes the system's authorities.
      proxy: ``http://host:port``; empty dials straight.
      insecure: No TLS is spoken.
    """

    address: str
    root: str = ""
    proxy: str = ""
    insecure: bool = False

    @property
    def host(self) -> str:
        """Name or number without the port."""
        return self.address.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port."""
        return int(self.address.rpartition(":")[2])


def chosen_proxy(setting: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return the proxy that a setting means: none, the environment's, or one."""
    if setting != "environment":
        return setting
    return next((environment[name] for name in PROXIES if environment.get(name)), "")


def dns_lines(target: Target) -> list[Line]:
    """Ask for the host's address; through a proxy, the proxy's."""
    host = urlsplit(target.proxy).hostname or "" if target.proxy else target.host
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return [Line("dns", "fail", "dns_bad", {"host": host})]
    return [Line("dns", "pass", "dns_good", {"host": host, "address": str(found[0][4][0])})]


def proxy_lines(target: Target, environment: Mapping[str, str] = os.environ) -> list[Line]:
    """Look whether the proxy lets the target through, or say that none is used."""
    if not target.proxy:
        names = [name for name in PROXIES if environment.get(name)]
        if names:
            return [Line("proxy", "pass", "proxy_ignored", {"names": ", ".join(names)})]
        return [Line("proxy", "pass", "proxy_none")]
    proxy = re.sub(r"//[^/@]*@", "//", target.proxy)  # without a password
    values = {"proxy": proxy, "target": target.address}
    try:
        _dial(target).close()
    except OSError as error:
        return [Line("proxy", "fail", "proxy_bad", {**values, "why": _why(error)})]
    return [Line("proxy", "pass", "proxy_good", values)]


def port_lines(port: int, running: bool) -> list[Line]:
    """Look whether the SuperNode's own port is free, or its own."""
    values = {"port": str(port)}
    with socket.socket() as one:
        one.settimeout(SECONDS)
        taken = one.connect_ex(("127.0.0.1", port)) == 0
    if not taken:
        return [Line("ports", "pass", "port_free", values)]
    return [Line("ports", "pass" if running else "fail", "port_ours" if running else "port_taken", values)]


def coordinator_lines(target: Target, now: datetime) -> list[Line]:
    """Reach the coordinator: its port, its certificate, and how far its clock is from this one.

    Args:
      target: The coordinator.
      now: The present by this machine's clock.
    """
    values = {"target": target.address}
    try:
        line = _dial(target)
    except OSError as error:
        return [Line("coordinator", "fail", "tcp_bad", {**values, "why": _why(error)})]
    with line:
        if target.insecure:
            return [Line("coordinator", "warn", "tls_insecure", values), *_clock(line, target, now)]
        try:
            context = ssl.create_default_context(cafile=target.root or None)
            with context.wrap_socket(line, server_hostname=target.host) as secured:
                ends = str((secured.getpeercert() or {}).get("notAfter", ""))
                day = datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC)
                good = Line("coordinator", "pass", "tls_good", {**values, "day": f"{day:%Y-%m-%d}"})
                return [good, *_clock(secured, target, now)]
        except (OSError, ValueError) as error:
            return [Line("coordinator", "fail", "tls_bad", {**values, "why": _why(error)})]


def _clock(line: socket.socket, target: Target, now: datetime) -> list[Line]:
    """Compare clocks by the Date of an HTTP answer; nothing where the other end gives none."""
    with suppress(OSError, ValueError, TypeError):
        line.sendall(f"HEAD / HTTP/1.1\r\nHost: {target.address}\r\nConnection: close\r\n\r\n".encode())
        head = _head(line)
        said = re.search(r"^date: *(.+)$", head, re.IGNORECASE | re.MULTILINE)
        if said is not None:
            away = abs((parsedate_to_datetime(said[1].strip()) - now).total_seconds())
            values = {"seconds": f"{away:.0f}"}
            if away <= SKEW_GOOD:
                return [Line("clock", "pass", "clock_agrees", {"seconds": f"{SKEW_GOOD:.0f}"})]
            return [Line("clock", "warn" if away <= SKEW_MOST else "fail", "clock_off", values)]
    return []


def _dial(target: Target) -> socket.socket:
    """Connect, through the proxy if there is one (HTTP CONNECT, RFC 9110 9.3.6).

    Raises:
      OSError: it cannot be reached, or the proxy says no.
    """
    if not target.proxy:
        return socket.create_connection((target.host, target.port), SECONDS)
    proxy = urlsplit(target.proxy)
    line = socket.create_connection((proxy.hostname or "", proxy.port or 80), SECONDS)
    words = f"CONNECT {target.address} HTTP/1.1\r\nHost: {target.address}\r\n"
    if proxy.username:
        secret = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}".encode()
        words += f"Proxy-Authorization: Basic {base64.b64encode(secret).decode()}\r\n"
    try:
        line.sendall(f"{words}\r\n".encode())
        first = _head(line).partition("\r\n")[0]
    except BaseException:
        line.close()
        raise
    if re.match(r"HTTP/1\.[01] 200\b", first) is None:
        line.close()
        raise OSError(0, f"it says {first[:60]!r}")
    return line


def _head(line: socket.socket) -> str:
    found = b""
    while b"\r\n\r\n" not in found and len(found) < 16_384:
        piece = line.recv(1)  # byte by byte: what follows the head is not ours to read
        if not piece:
            break
        found += piece
    return found.decode("latin-1")


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        return error.reason or "no TLS"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, socket.gaierror):
        return "its name has no address"
    return (error.strerror if isinstance(error, OSError) else "") or type(error).__name__


def key_lines(path: str) -> list[Line]:
    """Look at the SuperNode's private key."""
    file, values = Path(path), {"path": path}
    if not file.is_file():
        return [Line("supernode", "fail", "key_missing", values)]
    if file.stat().st_mode & 0o077:
        return [Line("supernode", "fail", "key_open", values)]
    return [Line("supernode", "pass", "key_good", values)]
