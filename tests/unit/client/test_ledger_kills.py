"""Real processes killed with SIGKILL at a reservation, a debit and a close, and a disk that is full there.

A process dies where its clock is asked for the time: inside the transaction, before the entry is written.
It dies again just after the call returned. What is on the disk must be all or nothing, and what a process
said was charged must be charged.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from fedvalue.client.governance.ledger import Ledger
from fedvalue.errors import StudyClosed
from tests.ledger_cases import STUDY, WHOLE, ask, plan

PRELUDE = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fedvalue.client.governance.ledger import Ledger
from fedvalue.errors import FedValueError
from tests.ledger_cases import STUDY, ask, plan

key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
path, calls = Path(sys.argv[1]), {"left": None}

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def clock():
    if calls["left"] == 0:
        die()
    if calls["left"] is not None:
        calls["left"] -= 1
    return datetime(2026, 3, 1, 12, tzinfo=UTC)
"""
REPOSITORY = Path(__file__).resolve().parents[3]
STEPS = {
    "reserve": "ledger.reserve(plan(10, attempts=3))",
    "debit": "ledger.debit(ask(10), reserve=True)",
    "reply": "ledger.store_reply(ledger.debit(ask(10), reserve=True), b'reply')",
    "close": "ledger.close_study(STUDY)",
}
ORDER = tuple(STEPS)


def run(path: Path, script: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(script), str(path)],
        capture_output=True, text=True, timeout=60, cwd=REPOSITORY, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    return done.returncode, done.stdout


def state(ledger: Ledger) -> tuple[int, int, int]:
    (account,) = ledger.accounts()
    return account.reserved.rho_units or 0, account.spent.rho_units or 0, len(ledger.entries())


# Reserved, spent and entries before each step is taken, and after all: 3 slots of 10 units.
STATES = [(0, 0, 1), (30, 0, 2), (20, 10, 3), (20, 10, 4), (0, 10, 5)]


@pytest.mark.parametrize("step", STEPS)
def test_a_site_killed_inside_or_after_a_step_leaves_all_of_it_or_nothing(
    ledger: Ledger, path: Path, reopen: Callable[[], Ledger], step: str
) -> None:
    position = ORDER.index(step)
    before = "\n".join(STEPS[each] for each in ORDER[:position])
    for statement in before.splitlines():
        exec(statement, {"ledger": ledger, "plan": plan, "ask": ask, "STUDY": STUDY})
    status, _ = run(
        path, f"with Ledger.open(path, key, clock) as ledger:\n    calls['left'] = 0\n    {STEPS[step]}"
    )
    assert status == -9
    assert state(reopen()) == STATES[position]
    status, _ = run(path, f"with Ledger.open(path, key, clock) as ledger:\n    {STEPS[step]}\n    die()")
    assert status == -9
    after = reopen()
    assert state(after) == STATES[position + 1]
    if step == "close":
        with pytest.raises(StudyClosed):
            after.debit(ask(10, attempt=2))
    else:
        assert after.remaining_units() == WHOLE - 30


def test_a_site_killed_five_times_at_every_entry_never_under_counts(
    ledger: Ledger, path: Path, reopen: Callable[[], Ledger]
) -> None:
    # Each process charges what it can and dies at its n-th entry; the last line it printed was charged.
    script = """
    with Ledger.open(path, key, clock) as ledger:
        ledger.reserve(plan(10, attempts=40))
        calls["left"] = {entries}
        for attempt in range(1, 41):
            receipt = ledger.debit(ask(10, attempt=attempt), reserve=True)
            print(attempt, flush=True)
            if ledger.reply_for(receipt) is None:
                ledger.store_reply(receipt, b"%d" % attempt)
    """
    said: set[int] = set()
    for entries in range(5):
        status, printed = run(path, script.format(entries=entries))
        assert status == -9
        said |= {int(line) for line in printed.split()}
        reserved, spent, _ = state(reopen())
        assert spent == 10 * len(said)
        assert reserved + spent == 400


@pytest.mark.parametrize("step", ["reserve", "close"])
def test_a_full_disk_refuses_a_reservation_and_a_close_and_changes_nothing(
    ledger: Ledger, path: Path, reopen: Callable[[], Ledger], step: str
) -> None:
    if step == "close":
        ledger.reserve(plan(10, attempts=3))
    before = state(ledger)
    # A file-size limit of the process stands in for a full disk; each entry is larger than a page.
    statement = {
        "reserve": "ledger.reserve(plan(10, releases=tuple(f'r{n}' for n in range(50))))",
        "close": "ledger.close_study(STUDY, 'x' * 9000)",
    }[step]
    status, printed = run(
        path,
        f"""
        import resource
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        with Ledger.open(path, key, clock) as ledger:
            resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size,) * 2)
            try:
                {statement}
            except FedValueError as error:
                print(type(error).__name__, error.code)
        """,
    )
    assert (status, printed.split()) == (0, ["LedgerError", "ledger_error"])
    assert state(reopen()) == before
