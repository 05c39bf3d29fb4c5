"""What dies is started again, later and later; what is stopped or killed with its parent leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fedvalue.client.running.supervisor import Part, Supervisor, Waits
from fedvalue.client.running.watched import supernode_gave_up

FAST = Waits(first=0.05, longest=0.2)
ENVIRONMENT = {"PATH": os.environ.get("PATH", os.defpath)}


@dataclass(slots=True)
class Running:
    """A supervisor in a thread of its own, and what it said."""

    supervisor: Supervisor
    said: list[tuple[str, dict[str, object]]]
    stop: threading.Event = field(default_factory=threading.Event)

    def events(self, name: str) -> list[dict[str, object]]:
        return [event for _, event in list(self.said) if event["event"] == name]


def run_until(parts: tuple[Part, ...], done: Callable[[Running], bool], seconds: float = 10.0) -> Running:
    """Run parts in this thread until something is so, then stop them."""
    said: list[tuple[str, dict[str, object]]] = []

    def note(part: str, event: Mapping[str, object]) -> None:
        said.append((part, dict(event)))

    running = Running(Supervisor(parts, note, FAST), said)
    until = time.monotonic() + seconds

    def tick() -> None:
        if done(running) or time.monotonic() > until:
            running.stop.set()

    running.supervisor.run(running.stop, tick)
    assert time.monotonic() < until, said
    return running


def part(script: str, name: str = "one", **more: object) -> Part:
    return Part(name, ("/bin/sh", "-c", script), ENVIRONMENT, **more)  # type: ignore[arg-type]  # fields of Part


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def all_gone(pids: list[int], seconds: float = 5.0) -> bool:
    """Wait for processes to end: a killed one takes a moment."""
    until = time.monotonic() + seconds
    while any(alive(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.02)
    return not any(alive(pid) for pid in pids)


def test_a_part_that_dies_is_started_again_later_and_later() -> None:
    running = run_until((part("exit 3"),), lambda found: len(found.events("part died")) == 4)
    died = running.events("part died")
    # 0.05 s, doubled: 0.1, 0.2, and never above the longest
    assert [event["again_in_seconds"] for event in died] == [0.05, 0.1, 0.2, 0.2]
    assert {event["exit"] for event in died} == {3}


def test_the_waits_double_up_to_the_longest() -> None:
    waits = Waits()
    assert [waits.after(deaths) for deaths in (1, 2, 3, 8, 9, 10_000)] == [0.5, 1.0, 2.0, 60.0, 60.0, 60.0]


def test_a_killed_part_comes_back_while_the_other_runs_on() -> None:
    killed: list[int] = []

    def done(found: Running) -> bool:
        state = found.supervisor.state()
        if not killed and all(each["state"] == "ready" for each in state.values()):
            killed.append(int(str(state["one"]["pid"])))
            os.kill(killed[0], signal.SIGKILL)
        return state["one"]["restarts"] == 1 and state["one"]["state"] == "ready"

    running = run_until((part("sleep 60"), part("sleep 60", "two")), done)
    assert [event["exit"] for event in running.events("part died")] == [-signal.SIGKILL]
    assert running.supervisor.state()["two"]["restarts"] == 0


def test_what_a_dead_part_had_started_is_killed_before_it_starts_again(tmp_path: Path) -> None:
    left = tmp_path / "pids"
    script = f"sleep 60 & echo $! >> {left}; sleep 0.1; exit 1"
    run_until((part(script),), lambda found: len(found.events("part died")) == 2)
    pids = [int(word) for word in left.read_text().split()]
    assert len(pids) >= 2
    assert all_gone(pids)


def test_a_part_that_ignores_the_word_is_killed_after_its_grace_and_parts_end_in_the_other_order() -> None:
    stubborn = part("trap '' TERM; while :; do sleep 0.05; done", "stubborn", grace=0.3)
    running = run_until((part("sleep 60"), stubborn), lambda found: len(found.events("part started")) == 2)
    assert [name for name, event in running.said if event["event"] == "part stopped"] == ["stubborn", "one"]
    assert running.supervisor.state()["stubborn"]["exit"] in {-signal.SIGKILL, -signal.SIGTERM}


def test_lines_are_read_whole_and_the_last_one_before_a_death_too() -> None:
    script = "printf 'half'; sleep 0.1; echo ' and half'; echo '{\"event\": \"ready\"}'; sleep 60"
    ready = part(script, ready=lambda said: said.get("event") == "ready")
    running = run_until((ready,), lambda found: found.supervisor.state()["one"]["state"] == "ready")
    assert [event["text"] for event in running.events("line")] == ["half and half"]
    last = run_until((part("echo last words; exit 1"),), lambda found: bool(found.events("part died")))
    assert last.events("line")[0]["text"] == "last words"


def test_a_secret_goes_through_standard_input_and_into_no_argument_or_variable() -> None:
    read = part("read word; echo got $word; sleep 60", stdin=b"open-sesame\n")
    seen: list[bytes] = []

    def done(found: Running) -> bool:
        pid = found.supervisor.state()["one"]["pid"]
        if found.events("line"):
            seen.extend(Path(f"/proc/{pid}/{what}").read_bytes() for what in ("cmdline", "environ"))
        return bool(seen)

    assert run_until((read,), done).events("line")[0]["text"] == "got open-sesame"
    assert not any(b"open-sesame" in each for each in seen)
    assert "open-sesame" not in repr(read)


def test_a_program_that_is_not_there_is_a_death_with_its_reason() -> None:
    absent = Part("absent", ("/no/such/program",), ENVIRONMENT)
    running = run_until((absent,), lambda found: bool(found.events("part died")))
    assert "cannot be started" in str(running.events("line")[0]["text"])


@pytest.mark.skipif(sys.platform != "linux", reason="processes are tied to their parent on Linux only")
def test_parts_end_with_a_supervisor_that_is_killed() -> None:
    script = (
        "import threading; from fedvalue.client.running.supervisor import Part, Supervisor\n"
        "parts = tuple(Part(n, ('/bin/sleep', '60'), {}) for n in ('a', 'b'))\n"
        "s = Supervisor(parts, lambda p, e: print(e.get('pid'), flush=True))\n"
        "s.run(threading.Event())"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        pids = [int(supervisor.stdout.readline()) for _ in range(2)]
        time.sleep(0.2)  # until both have become their program
        assert all(alive(pid) for pid in pids)
        supervisor.kill()
        supervisor.wait()
    assert all_gone(pids)


def test_a_part_that_gives_up_but_stays_is_killed_and_started_again() -> None:
    # Flower's SuperNode does so behind a gate whose other side is away: it runs on and never dials again.
    running = run_until(
        (
            part(
                "echo Giving up; exec sleep 600",
                ours=False,
                gave_up=lambda said: said.get("text") == "Giving up",
            ),
        ),
        lambda it: len(it.events("part died")) >= 2,
    )
    assert {event["exit"] for event in running.events("part died")} == {-signal.SIGKILL}


def test_a_supernode_that_says_it_will_not_dial_again_is_known_by_its_words() -> None:
    for text in (
        "ERROR :     SSL/TLS handshake error detected.",
        "WARNING :   Giving up reconnection after 2.00 seconds and 3 tries.",
    ):
        assert supernode_gave_up({"event": "line", "text": text})
    for text in (
        "WARNING :   Connection attempt failed, retrying in 2.00 seconds",
        "INFO :      Sent successfully",
    ):
        assert not supernode_gave_up({"event": "line", "text": text})
