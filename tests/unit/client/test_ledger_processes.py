"""Real processes on one ledger: two at once, one killed, one whose disk is full."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedvalue.client.governance.ledger import Ledger, Receipt
from fedvalue.errors import LedgerBusy
from fedvalue.privacy.accounting import Price
from tests.ledger_cases import WHOLE, ask

Clock = Callable[[], datetime]


PRELUDE = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fedvalue.client.governance.ledger import Ledger
from fedvalue.errors import FedValueError
from tests.ledger_cases import ask

key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
clock = lambda: datetime(2026, 3, 1, 12, tzinfo=UTC)
path = Path(sys.argv[1])
"""
REPOSITORY = Path(__file__).resolve().parents[3]


def start(script: str, path: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(script), str(path), *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=REPOSITORY,  # so that the process finds the package of tests
    )  # fmt: skip


def test_a_second_process_waits_briefly_and_then_says_that_the_ledger_is_busy(
    ledger: Ledger, path: Path, site_key: Ed25519PrivateKey, clock: Clock
) -> None:
    holder = start(
        """
        import sqlite3
        db = sqlite3.connect(path, isolation_level=None)
        db.execute("BEGIN EXCLUSIVE")
        print("held", flush=True)
        sys.stdin.readline()
        db.execute("ROLLBACK")
        db.close()
        """,
        path,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(LedgerBusy, match="another process"):
        Ledger.open(path, site_key, clock, patience=0.2)
    assert holder.communicate("done\n", timeout=30)[1] == ""
    with Ledger.open(path, site_key, clock, patience=0.2) as again:
        assert again.debit(ask()).fresh


def test_processes_that_debit_at_once_are_each_counted_and_together_stay_within_the_budget(
    ledger: Ledger, path: Path
) -> None:
    each = WHOLE // 5 + 1  # four fit, five do not
    script = f"""
    with Ledger.open(path, key, clock) as ledger:
        for attempt in range(1, 4):
            try:
                print("charged", ledger.debit(ask({each}, attempt=attempt, release=sys.argv[2])).number)
            except FedValueError as error:
                print(error.code)
    """
    running = [start(script, path, f"release-{n}") for n in (1, 2)]
    lines = [line for process in running for line in process.communicate(timeout=60)[0].splitlines()]
    assert len(lines) == 6
    assert sorted(line for line in lines if line.startswith("charged")) == [
        f"charged {n}" for n in (2, 3, 4, 5)
    ]
    assert lines.count("budget_spent") == 2
    assert ledger.spent() == Price.plain(4 * each)


def test_a_process_killed_between_debit_and_reply_leaves_the_charge_and_no_reply(
    ledger: Ledger, path: Path, reopen: Callable[[], Ledger]
) -> None:
    process = start(
        """
        with Ledger.open(path, key, clock) as ledger:
            receipt = ledger.debit(ask(2**30))
            print(receipt.number, receipt.hash, flush=True)
            sys.stdin.readline()
            ledger.store_reply(receipt, b"never")
        """,
        path,
    )
    assert process.stdout is not None
    number, digest = process.stdout.readline().split()
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    after = reopen()
    assert after.spent() == Price.plain(2**30)
    receipt = after.debit(ask(2**30))
    assert receipt == Receipt(int(number), digest, fresh=False)
    assert after.reply_for(receipt) is None


def test_a_process_killed_at_any_moment_never_leaves_a_charge_uncounted(
    ledger: Ledger, path: Path, reopen: Callable[[], Ledger]
) -> None:
    # Charge, store, say so; killed after a random number of lines, wherever that finds it.
    script = """
    with Ledger.open(path, key, clock) as ledger:
        for attempt in range(1, 10_000):
            receipt = ledger.debit(ask(2**20, attempt=attempt, release=sys.argv[2]))
            print("charged", receipt.number, flush=True)
            ledger.store_reply(receipt, b"%d" % receipt.number)
            print("stored", receipt.number, flush=True)
    """
    rng = random.Random(1)
    charged: set[int] = set()
    stored: set[int] = set()
    for turn in range(3):
        process = start(script, path, f"release-{turn}")
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(rng.randrange(1, 30))]
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()  # communicate() would pass over what readline() had read ahead
        process.communicate(timeout=30)
        for word, number in (line.split() for line in lines if len(line.split()) == 2):
            (charged if word == "charged" else stored).add(int(number))
        entries = reopen().entries()
        debits = {entry.number: entry for entry in entries if entry.kind == "debit"}
        assert charged <= debits.keys()
        # At most one charge a turn that the process did not live to announce.
        assert len(debits) <= len(charged) + turn + 1
        assert reopen().spent() == Price.plain(2**20 * len(debits))
        for done in stored:
            receipt = Receipt(done, debits[done].hash, fresh=False)
            assert reopen().reply_for(receipt) == b"%d" % done


def test_a_full_disk_refuses_the_debit_and_releases_nothing(
    ledger: Ledger, path: Path, reopen: Callable[[], Ledger]
) -> None:
    # A file-size limit of the process stands in for a full disk: the write itself fails.
    process = start(
        """
        import resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        with Ledger.open(path, key, clock) as ledger:
            size = path.stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            done = 0
            try:
                for attempt in range(1, 100):
                    ledger.debit(ask(2**20, attempt=attempt))
                    done = attempt
            except FedValueError as error:
                print(type(error).__name__, done)
        """,
        path,
    )
    out, err = process.communicate(timeout=60)
    assert err == ""
    name, done = out.split()
    assert name == "LedgerError"
    assert reopen().spent() == Price.plain(2**20 * int(done))
