"""Takes messages from the site's SuperNode and hands them to the site node, without running any bundle.

Flower's own worker unpacks the bundle of a run and imports the ClientApp that it names, as the user of the
SuperNode: a program of whoever submitted the run. The SuperNode is therefore started with
``--isolation process``, in which it starts nobody, and this process takes that place: it looks at the
bundle's bytes, drops them, and calls the installed ClientApp, which relays to the node's socket.

All that is Flower's inside is in this module, and a test starts a real SuperNode against it (flwr 1.41).
"""

from __future__ import annotations

import logging
import sys
import threading
from pathlib import Path

import httpx
from flwr.app import Context, Error, Message
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode, SubStatus
from flwr.proto.runtime_pb2 import AcquireTaskRequest
from flwr.proto.task_pb2 import Task
from flwr.supercore.constant import TaskType
from flwr.supercore.heartbeat import HeartbeatSender, make_task_heartbeat_fn_http
from flwr.supercore.interceptors import (
    RuntimeTokenHttpInterceptor,
    RuntimeVersionHttpInterceptor,
    SuperExecAuthHttpInterceptor,
)
from flwr.supercore.retry import make_simple_http_retry_invoker
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supernode.runtime.run_clientapp import pull_task_input, push_message, push_task_output

from fedvalue.client.app import make_app
from fedvalue.client.relay import relayed
from fedvalue.client.running.bundles import BundleList
from fedvalue.client.running.frame import until_told
from fedvalue.client.running.settings import TASK_SECRET, load_settings, node_socket
from fedvalue.errors import BundleRefused, OutputError, SiteFault
from fedvalue.operations import logs

LOG = logging.getLogger("fedvalue.worker")

ACQUIRE = frozenset({"/flwr.proto.Runtime/AcquireTask"})
"""What the SuperNode gives only to a holder of the shared secret."""

POLL_SECONDS = 0.2
AWAY_SECONDS = 1.0
REMEMBERED = 1000
"""Runs whose refusal was said once already."""


class Worker:
    """Takes one message at a time, as a SuperNode hands them out."""

    def __init__(self, address: str, secret: bytes, bundles: BundleList, app: ClientApp) -> None:
        """Prepare; nothing is asked yet.

        Args:
          address: ``host:port`` of the SuperNode's own interface, on this machine.
          secret: What the SuperNode was started with.
          bundles: What is let in.
          app: The installed ClientApp.
        """
        self._address, self._bundles, self._app = address, bundles, app
        self._said: set[int] = set()
        self._client = RuntimeHttpClient.from_server_address(
            address,
            insecure=True,
            root_certificates=None,
            interceptors=[
                RuntimeVersionHttpInterceptor(component_name="SuperExec"),
                SuperExecAuthHttpInterceptor(master_secret=secret, protected_methods=ACQUIRE),
            ],
        )

    def run(self, stop: threading.Event) -> None:
        """Work until told to stop; a SuperNode that is away is asked again."""
        near = False
        # every kind is taken, so that none is left lying and holds the others up; one kind is answered
        ask = AcquireTaskRequest(supported_task_types=[str(kind) for kind in TaskType])
        while not stop.is_set():
            try:
                found = self._client.AcquireTask(ask)
            except httpx.HTTPError:
                near = False
                stop.wait(AWAY_SECONDS)
                continue
            if not near:
                near = True
                logs.event(LOG, "worker ready")
            if found.HasField("task") and found.token:
                self._take(found.task, found.token)
            else:
                stop.wait(POLL_SECONDS)

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    def _take(self, task: Task, token: str) -> None:
        client = RuntimeHttpClient.from_server_address(
            self._address,
            insecure=True,
            root_certificates=None,
            interceptors=[
                RuntimeVersionHttpInterceptor(component_name="flwr-clientapp"),
                RuntimeTokenHttpInterceptor(token),
            ],
            retry_invoker=make_simple_http_retry_invoker(),
        )
        beat = HeartbeatSender(make_task_heartbeat_fn_http(client))
        try:
            beat.start()
            message, context, run, bundle = pull_task_input(client)
            push_message(client, self._reply(task, message, context, run.run_id, bundle.content), context)
            # without its context, so that nothing of a run stays
            push_task_output(client, context=None, sub_status=SubStatus.COMPLETED, details="")
        except Exception as error:
            # said to be finished, it would never be answered; left alone, the SuperNode reports its loss
            logs.event(LOG, "a message was lost", level=logging.WARNING, error=type(error).__name__)
        finally:
            if beat.is_running:
                beat.stop()
            client.close()

    def _reply(self, task: Task, message: Message, context: Context, run: int, bundle: bytes) -> Message:
        """Return a reply to a message, whatever happens: a SuperNode waits for it before it takes another."""
        try:
            self._require(task, bundle)
            return self._app(message=message, context=context)
        except BundleRefused as error:
            self._refused(run, error)
            return Message(Error(ErrorCode.INVALID_FAB, error.code), reply_to=message)
        except Exception as error:
            # a text might hold anything, and Flower would pass it on
            logs.event(LOG, "message without an answer", level=logging.WARNING, error=type(error).__name__)
            return Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, SiteFault.code), reply_to=message)

    def _require(self, task: Task, content: bytes) -> None:
        digest = self._bundles.require(content)
        if task.type != TaskType.CLIENT_APP:
            raise BundleRefused(f"the bundle {digest} asks for another program than a ClientApp")

    def _refused(self, run: int, error: BundleRefused) -> None:
        if run in self._said:
            return
        if len(self._said) >= REMEMBERED:
            self._said.clear()
        self._said.add(run)
        logs.event(
            LOG, "bundle refused", level=logging.WARNING, run=str(run), code=error.code, reason=error.what
        )


def work(home: Path, socket: Path, stop: threading.Event) -> None:
    """Work for the SuperNode of a home until told to stop.

    Args:
      home: The site's home folder.
      socket: Where its node listens.
      stop: Ends it.

    Raises:
      OutputError: there is no secret: the supervisor makes it.
      StudyInvalid: serve.toml is not valid.
    """
    settings = load_settings(home).flower
    try:
        secret = (home / TASK_SECRET).read_bytes()
    except OSError as error:
        raise OutputError(
            f"what the SuperNode shares with its worker cannot be read: {error.strerror}",
            where=str(home / TASK_SECRET),
            do="start the site with `fedvalue site serve`",
        ) from error
    app = make_app(lambda _: lambda name, content: relayed(socket, name, content))
    worker = Worker(f"127.0.0.1:{settings.port}", secret, BundleList(frozenset(settings.bundles)), app)
    try:
        worker.run(stop)
    finally:
        worker.close()


if __name__ == "__main__":
    HOME, *REST = sys.argv[1:]
    PLACE = node_socket(Path(HOME), Path(REST[0]) if REST else None)
    sys.exit(until_told(lambda stop: work(Path(HOME), PLACE, stop), "fedvalue.worker"))
