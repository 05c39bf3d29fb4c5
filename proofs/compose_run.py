"""Run the services of a compose file without Docker, in namespaces of Linux and by chroot.

Each service gets a network namespace of its own with an address on each of its networks and nothing else, a
root that is mounted read-only, its volumes, secrets and tmpfs, its user without any capability, and its
command. It needs root, and a root folder for each image. What it does not show: Docker's engine, its
resource limits, restarts, logging and published ports.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from proofs.images import Stage, read

_VARIABLE = re.compile(r"\$\{([A-Z_]+):-([^}]*)\}")

SWITCH = "fvswitch"


def load(text: str, variables: Mapping[str, str]) -> dict[str, Any]:
    """Read a compose file, with ``${NAME:-default}`` filled in."""
    filled = _VARIABLE.sub(lambda found: variables.get(found[1], found[2]), text)
    read_: dict[str, Any] = yaml.safe_load(filled)
    return read_


@dataclass(slots=True)
class Services:
    """The services of one compose file; use it as a context manager: everything ends with the block.

    Attributes:
      compose: As `load` returned it.
      folder: Of the compose file; relative paths start there.
      roots: Root folder of each image.
      dockerfiles: Dockerfile of each image that has one.
      volumes: Where named volumes are, a folder each, made here.
      logs: One log for each service.
    """

    compose: dict[str, Any]
    folder: Path
    roots: Mapping[str, Path]
    dockerfiles: Mapping[str, Path]
    volumes: Path
    logs: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)
    _addresses: dict[str, dict[str, str]] = field(default_factory=dict)
    _scratch: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="fv-compose-")))

    def __enter__(self) -> Self:
        self.logs.mkdir(parents=True, exist_ok=True)
        self._namespace(SWITCH)
        for number, network in enumerate(self.compose["networks"]):
            _ip("-n", SWITCH, "link", "add", f"br{number}", "type", "bridge")
            _ip("-n", SWITCH, "link", "set", f"br{number}", "up")
            members = [n for n, s in self.compose["services"].items() if network in s["networks"]]
            for place, service in enumerate(members, start=2):
                self._attach(service, network, number, place)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for service in reversed(list(self.running)):
            self.stop(service)
        self._stack.close()
        shutil.rmtree(self._scratch)  # nothing is mounted there outside of the services' own namespaces

    def _namespace(self, name: str) -> None:
        _ip("netns", "add", name)
        self._stack.callback(_ip, "netns", "delete", name)

    def _attach(self, service: str, network: str, number: int, place: int) -> None:
        name = _netns(service)
        if service not in self._addresses:
            self._namespace(name)
            _ip("-n", name, "link", "set", "lo", "up")
        address = f"10.89.{number}.{place}"
        inner, outer = f"eth{number}", f"v{number}-{place}"
        _ip("-n", SWITCH, "link", "add", outer, "type", "veth", "peer", "name", inner, "netns", name)
        _ip("-n", SWITCH, "link", "set", outer, "master", f"br{number}", "up")
        _ip("-n", name, "addr", "add", f"{address}/24", "dev", inner)
        _ip("-n", name, "link", "set", inner, "up")
        self._addresses.setdefault(service, {})[network] = address

    def hosts(self, service: str) -> str:
        """Return what Docker's name service would tell a service, as a hosts file."""
        own = self._addresses[service]
        lines = ["127.0.0.1 localhost"]
        for other, places in self._addresses.items():
            shared = [places[network] for network in own if network in places]
            lines += [f"{address} {other}" for address in shared[:1]]
        return "\n".join(lines) + "\n"

    def stage(self, image: str) -> Stage | None:
        """Return the last stage of an image's Dockerfile."""
        path = self.dockerfiles.get(image)
        return read(path.read_text(encoding="utf-8"))[-1] if path else None

    def words(self, service: str) -> list[str]:
        """Return the command of a service: the compose file's, else the image's."""
        said = self.compose["services"][service]
        stage = self.stage(said["image"])
        entry = said.get("entrypoint")
        command = said.get("command")
        found: list[str] = []
        for given, word in ((entry, "ENTRYPOINT"), (command, "CMD")):
            instruction = stage.last(word) if stage and not (word == "CMD" and entry) else None
            found += given if given is not None else instruction.listed() if instruction else []
        return [str(word) for word in found]

    def up(self, service: str) -> None:
        """Start a service."""
        with (self.logs / f"{service}.log").open("ab") as log:
            self.running[service] = subprocess.Popen(
                self.inside(service, self.words(service)), stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def stop(self, service: str, seconds: float = 30.0) -> int:
        """End a service as Docker does, SIGTERM and after a while SIGKILL; return its exit status."""
        process = self.running.pop(service)
        inner = _child(process.pid)
        subprocess.run(["kill", "-TERM", str(inner or process.pid)], check=False)
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def run(self, service: str, *words: str, binds: Mapping[str, str] | None = None) -> str:
        """Run one command as a service would, in its network and with its volumes, and return its output."""
        done = subprocess.run(
            self.inside(service, list(words), binds or {}), capture_output=True, text=True, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if done.returncode != 0:
            raise RuntimeError(
                f"{service}: {shlex.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done.stdout

    def well(self, service: str) -> bool:
        """Run a service's health check once: the compose file's, else the image's."""
        said = self.compose["services"][service]
        if "healthcheck" in said:
            test = said["healthcheck"]["test"]
            words = [str(word) for word in test[1:]]
        else:
            stage = self.stage(said["image"])
            check = stage.last("HEALTHCHECK") if stage else None
            words = check.listed() if check else []
        done = subprocess.run(self.inside(service, words), capture_output=True, check=False)
        return done.returncode == 0

    def inside(self, service: str, words: list[str], binds: Mapping[str, str] | None = None) -> list[str]:
        """Return the command line that runs ``words`` as a service."""
        said = self.compose["services"][service]
        stage = self.stage(said["image"])
        user, group = str(said["user"]).split(":")
        environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        environment |= stage.environment() if stage else {}
        environment |= said.get("environment", {})
        where = stage.last("WORKDIR") if stage else None
        hosts = self._scratch / f"{service}.hosts"
        hosts.write_text(self.hosts(service), encoding="utf-8")
        script = _SCRIPT.format(
            root=shlex.quote(str(self.roots[said["image"]])),
            at=shlex.quote(str(self._mount_point(service))),
            mounts="\n".join(self._mounts(said, user, group, binds or {})),
            hosts=shlex.quote(str(hosts)),
            environment=" ".join(shlex.quote(f"{k}={v}") for k, v in environment.items()),
            user=user,
            group=group,
            init=shlex.quote(_INIT),
            where=shlex.quote(where.rest if where else "/"),
            words=shlex.join(words),
        )
        return [
            "ip", "netns", "exec", _netns(service), "unshare", "--mount", "--pid", "--fork", "--kill-child",
            "--propagation", "private", "sh", "-euc", script,
        ]  # fmt: skip

    def _mount_point(self, service: str) -> Path:
        point = self._scratch / service
        point.mkdir(exist_ok=True)
        return point

    def _mounts(self, said: dict[str, Any], user: str, group: str, binds: Mapping[str, str]) -> list[str]:
        found = []
        for volume in [*said.get("volumes", []), *(f"{k}:{v}:ro" for k, v in binds.items())]:
            source, target, *mode = volume.split(":")
            beside = source.startswith((".", "/"))
            path = self.folder / source if beside else self._volume(source, user, group)
            found += _bound(path, target, read_only=mode == ["ro"])
        for line in said.get("tmpfs", []):
            target, _, options = line.partition(":")
            chosen = ",".join(option for option in options.split(",") if option != "rw")
            found.append(f'mount -t tmpfs -o {chosen} tmpfs "$AT{target}"')
        for secret in said.get("secrets", []):
            name, target = (
                (secret, secret) if isinstance(secret, str) else (secret["source"], secret["target"])
            )
            path = self.folder / self.compose["secrets"][name]["file"]
            found += _bound(path, f"/run/secrets/{target}", read_only=True)
        return found

    def _volume(self, name: str, user: str, group: str) -> Path:
        path = self.volumes / name
        if not path.exists():
            path.mkdir(parents=True, mode=0o700)
            subprocess.run(["chown", f"{user}:{group}", path], check=True)
        return path


# What Docker's init does: pass the end on, and collect what ended.
_INIT = """ulimit -c 0; cd "$0"; told=0; "$@" & it=$!; trap "told=1; kill -TERM $it" TERM INT
wait $it; status=$?; if [ $told = 1 ]; then wait $it; status=$?; fi; exit $status"""

_SCRIPT = """
AT={at}
mount --bind {root} "$AT"
mount -t tmpfs -o mode=755,size=1m tmpfs "$AT/run"
mkdir -p "$AT/run/secrets"
mount -t tmpfs -o mode=755,size=64m tmpfs "$AT/dev"
for name in null zero random urandom; do
    touch "$AT/dev/$name"
    mount --bind /dev/$name "$AT/dev/$name"
done
ln -s /proc/self/fd "$AT/dev/fd"
ln -s /proc/self/fd/1 "$AT/dev/stdout"
ln -s /proc/self/fd/2 "$AT/dev/stderr"
mkdir -m 1777 "$AT/dev/shm"
test -e "$AT/etc/hosts" || touch "$AT/etc/hosts"
mount --bind {hosts} "$AT/etc/hosts"
{mounts}
mount -o remount,ro "$AT/run"
mount -o remount,ro "$AT/dev"
mount -o remount,ro,bind "$AT"
mount -t proc -o nosuid,nodev,noexec proc "$AT/proc"
exec chroot "$AT" /usr/bin/env -i {environment} setpriv --reuid {user} --regid {group} --clear-groups \
    --bounding-set=-all --inh-caps=-all --no-new-privs sh -c {init} {where} {words}
"""


def _bound(path: Path, target: str, *, read_only: bool) -> list[str]:
    """Return the lines that mount a file or folder at its place."""
    made = "mkdir -p" if path.is_dir() else "touch"
    lines = [
        f'test -e "$AT{target}" || {made} "$AT{target}"',
        f'mount --bind {shlex.quote(str(path))} "$AT{target}"',
    ]
    return [*lines, f'mount -o remount,ro,bind "$AT{target}"'] if read_only else lines


def _netns(service: str) -> str:
    return f"fv-{service}"


def _child(parent: int) -> int | None:
    """Return the process that leads the new process namespace."""
    try:
        text = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii")
    except OSError:
        return None
    return int(text.split()[0]) if text.split() else None


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
