"""A site without a SuperLink, as the processes that people start: health, deaths, passphrase, one at once."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fedvalue.client.governance.policy import Budget, Policy
from fedvalue.client.home import Passphrases, SiteHome
from fedvalue.client.relay import relayed
from fedvalue.client.running.pause import pause, resume
from fedvalue.client.running.process import from_stdin
from fedvalue.client.running.site import serve_site
from fedvalue.errors import LedgerBusy, PassphraseWrong
from fedvalue.operations.endpoint import ask
from fedvalue.quiet import quiet_environment
from fedvalue.strategies.secure_aggregation.messages import STEP, Refused, StepRequest, Wire
from fedvalue.study.passphrases import nobody

MAIN = "from fedvalue.cli import main; raise SystemExit(main())"
POLICY = Policy(
    site="s01", entity="H", operator="H", budget=Budget(epsilon=1.0, delta=1e-6), simulation=True,
)  # fmt: skip


@contextmanager
def serving(home: Path, **variables: str) -> Iterator[subprocess.Popen[str]]:
    words = (sys.executable, "-c", MAIN, "site", "serve", str(home))
    environment = {**quiet_environment(), **variables}
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment) as site:
        try:
            yield site
        finally:
            if site.poll() is None:
                site.terminate()
            site.communicate(timeout=30)


def health(home: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(ask(str(home / "status.sock"))[1]))
    except OSError:
        return {}


def wait(condition: Callable[[], object], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def told(home: Path) -> object:
    return Wire.reply(relayed(home / "node.sock", STEP, Wire.pack(StepRequest("keys", b"\x00"))))


def test_a_site_under_a_passphrase_runs_pauses_survives_its_nodes_death_and_ends_with_it_all() -> None:
    with tempfile.TemporaryDirectory(prefix="fv-") as short:
        home, secret = Path(short) / "s01", Path(short) / "passphrase"
        made = SiteHome.create(home, POLICY, passphrases=Passphrases(site=b"open-sesame"))
        secret.write_text("open-sesame\n")
        secret.chmod(0o600)
        with serving(home, FEDVALUE_SITE_PASSPHRASE_FILE=str(secret)) as site:
            wait(lambda: health(home).get("ok"))
            secret.unlink()  # asked once; a node that is started again gets it from its supervisor
            first = health(home)["parts"]["node"]["pid"]
            assert told(home) == Refused("message_invalid")
            pause(made, "a test")
            assert told(home) == Refused("site_paused")
            assert health(home)["paused"]
            resume(made)

            os.kill(first, signal.SIGKILL)
            wait(lambda: health(home)["parts"]["node"]["restarts"] == 1 and health(home)["ok"])
            assert told(home) == Refused("message_invalid")
            node = health(home)["parts"]["node"]["pid"]
            # each of them counted by the supervisor from the node's log lines, whichever node it was
            twice = 'messages_refused_total{kind="step",code="message_invalid"} 2\n'
            wait(lambda: twice in ask(str(home / "status.sock"), "/metrics")[1])  # it reads them by and by
            _, numbers = ask(str(home / "status.sock"), "/metrics")
            assert 'messages_refused_total{kind="step",code="site_paused"} 1\n' in numbers
            assert 'fedvalue_site_part_restarts_total{part="node"} 1\n' in numbers

            with pytest.raises(LedgerBusy, match="served already"):
                serve_site(home, None, nobody)
            site.send_signal(signal.SIGTERM)
            assert site.wait(30) == 0
        assert not Path(f"/proc/{node}").exists()
        assert not (home / "status.sock").exists()
        assert not (home / "node.sock").exists()
        log = home / "logs" / "site.log"
        assert stat.S_IMODE(log.stat().st_mode) == 0o600
        events = [json.loads(line) for line in log.read_text().splitlines()]
        assert [e["event"] for e in events][-2:] == ["part stopped", "site stopped"]
        assert "open-sesame" not in log.read_text()
        assert {e["code"] for e in events if e["event"] == "message refused"} == {
            "message_invalid",
            "site_paused",
        }


def test_a_passphrase_comes_from_standard_input_and_is_bounded() -> None:
    for given, wanted in ((b"open sesame\n", b"open sesame"), (b"x" * 4096, b"x" * 4096)):
        assert piped(given) == wanted
    with pytest.raises(PassphraseWrong, match="at most"):
        piped(b"x" * 4097)


def piped(content: bytes) -> bytes:
    out, into = os.pipe()
    os.write(into, content)
    os.close(into)
    try:
        return from_stdin(out)("the site's key", Path("key"))
    finally:
        os.close(out)
