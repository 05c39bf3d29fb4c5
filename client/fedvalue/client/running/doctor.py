"""The doctor: everything that a site needs, one line each, with what to do.

Each look is bounded in time and changes nothing. A look that itself fails is a line that fails, not a crash.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from fedvalue.client.home import Clock, SiteHome, system_clock
from fedvalue.client.identity import load_identity
from fedvalue.client.running import doctor_machine, doctor_network, doctor_records
from fedvalue.client.running.doctor_machine import Machine
from fedvalue.client.running.doctor_network import Target, chosen_proxy
from fedvalue.client.running.doctor_words import Line
from fedvalue.client.running.pause import paused
from fedvalue.client.running.settings import FlowerSettings, ServeSettings, load_settings, status_address
from fedvalue.errors import FedValueError, StudyInvalid
from fedvalue.operations.endpoint import ask

USUAL = Machine()


def examine(
    home: Path,
    others: tuple[str, ...] = (),
    *,
    machine: Machine = USUAL,
    clock: Clock = system_clock,
) -> tuple[Line, ...]:
    """Look at everything.

    Args:
      home: The site's home folder; there need be none yet.
      others: ``host:port`` to reach beside the configured SuperLink, by the same root and proxy.
      machine: Where the machine's facts are read.
      clock: Tells the time.

    Returns:
      The lines, in the order of what to mend first.
    """
    lines = [*doctor_machine.home_lines(home), *doctor_machine.version_lines(machine)]
    try:
        settings = load_settings(home)
        lines.append(Line("settings", "pass", "settings_good"))
    except StudyInvalid as error:
        settings = ServeSettings()
        lines.append(Line("settings", "fail", "settings_bad", {"why": error.what}))
    lines += [
        *doctor_machine.memory_lines(machine),
        *doctor_machine.disk_lines(home),
        *doctor_machine.encryption_lines(home, machine),
        *doctor_records.server_lines(home),
        *doctor_machine.clock_lines(machine),
        *_papers(home, clock),
        *_network(settings.flower, others, _node_runs(home, settings), clock()),
        _node(home, settings),
    ]
    return tuple(lines)


def _papers(home: Path, clock: Clock) -> list[Line]:
    try:
        opened = SiteHome.open(home, clock)
        if opened.policy.simulation:
            return [Line("papers", "pass", "papers_simulated")]
        found = load_identity(opened)
        found.require_own(clock())
    except FedValueError as error:
        return [Line("papers", "fail", "papers_bad", {"what": error.what, "code": error.code})]
    now, endings = clock(), found.endings()
    soon = [ending for ending in endings if ending.soon(now)]
    if soon:
        return [
            Line(
                "papers",
                "warn",
                "papers_soon",
                {"paper": ending.what, "day": f"{ending.until:%Y-%m-%d}", "do": ending.do},
            )
            for ending in soon
        ]
    return [Line("papers", "pass", "papers_good", {"day": f"{min(e.until for e in endings):%Y-%m-%d}"})]


def _network(flower: FlowerSettings, others: tuple[str, ...], running: bool, now: datetime) -> list[Line]:
    proxy = chosen_proxy(flower.proxy)
    lines: list[Line] = []
    targets = [Target(each, flower.root_certificates, proxy) for each in others]
    if flower.superlink:
        if not flower.unsafe_insecure:
            lines += doctor_network.key_lines(flower.key)
        root = "" if flower.unsafe_insecure else flower.root_certificates
        targets = [Target(flower.superlink, root, proxy, flower.unsafe_insecure), *targets]
        lines += doctor_network.port_lines(flower.port, running)
    else:
        lines.append(Line("supernode", "warn", "no_superlink"))
    for target in targets:
        lines += doctor_network.dns_lines(target)
        lines += doctor_network.proxy_lines(target)
        lines += doctor_network.coordinator_lines(target, now)
    return lines


def _node_runs(home: Path, settings: ServeSettings) -> bool:
    try:
        ask(status_address(home, settings))
    except (OSError, FedValueError):
        return False
    return True


def _node(home: Path, settings: ServeSettings) -> Line:
    try:
        status, text = ask(status_address(home, settings))
        parts = json.loads(text)["parts"]
    except (OSError, FedValueError, ValueError, KeyError):
        return Line("node", "warn", "node_stopped")
    if status != 200:
        down = ", ".join(name for name, part in parts.items() if part["state"] != "ready")
        return Line("node", "fail", "node_sick", {"parts": down})
    return Line("node", "warn", "node_paused") if paused(home) else Line("node", "pass", "node_runs")
