"""A real server that is killed and started again in the midst of a stream, of a batch and of a wait."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

import fastn
from scripted import unused_port

BINARY = os.environ.get("FASTN_BIN", "")
DEADLINE = 60.0

SLEEPS = "export default async function (ctx) { await ctx.sleep('2s'); return ctx.input; }"
ECHOES = "export default async function (ctx) { return ctx.input; }"


class Node:
    """A server with a directory of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, unused_port()
        self.start()

    def start(self) -> None:
        command = [BINARY, "serve", "--data", str(self.folder), "--listen", f"127.0.0.1:{self.port}", "--log-level", "error"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def client(self) -> fastn.Fastn:
        until(lambda: (self.folder / "access.key").exists() and (self.folder / "access.key").read_text().strip())
        key = (self.folder / "access.key").read_text().strip()
        client = fastn.Fastn(url=f"http://127.0.0.1:{self.port}", access_key=key)
        until(lambda: is_ready(client))
        return client


def is_ready(client: fastn.Fastn) -> bool:
    try:
        return client.health().status == "ok"
    except fastn.FastnError:
        return False


def until(holds: Callable[[], Any]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, fastn.Fastn]]:
    if not BINARY:
        pytest.skip("needs a server to kill: sdk-python/check.sh names one by FASTN_BIN")
    node = Node(tmp_path_factory.mktemp("node"))
    try:
        with node.client() as client:
            client.put_customer({"id": "acme"})
            for workflow, source in {"sleeps": SLEEPS, "echoes": ECHOES}.items():
                client.put_workflow({"id": workflow})
                client.deploy(workflow, "test", client.publish(workflow, {"source": source}).version)
            yield node, client
    finally:
        node.kill()


def restart(node: Node, client: fastn.Fastn) -> None:
    node.kill()
    node.start()
    until(lambda: is_ready(client))


def test_a_wait_outlives_the_server(server: tuple[Node, fastn.Fastn]) -> None:
    """Property: whoever waits for an execution gets its result, though the server is killed and started again meanwhile."""
    node, client = server
    acme = client.customer("acme")
    run = acme.run("sleeps", {"n": 7})
    ended: list[fastn.models.ExecutionView] = []
    waiting = threading.Thread(target=lambda: ended.append(acme.wait(run.execution_id, timeout=DEADLINE)))
    waiting.start()
    restart(node, client)
    waiting.join(DEADLINE)
    assert ended and ended[0].status == "completed" and ended[0].output == {"n": 7}


def test_a_stream_outlives_the_server(server: tuple[Node, fastn.Fastn]) -> None:
    """Property: a stream goes on after the server was killed: what happens then is told, and nothing is passed over without a word."""
    node, client = server
    acme = client.customer("acme")
    told: list[fastn.models.ExecutionUpdate | fastn.Missed] = []
    updates = acme.follow(workflow="echoes")

    def ended(execution: str) -> bool:
        return any(not isinstance(one, fastn.Missed) and one.id == execution and one.status == "completed" for one in told)

    reading = threading.Thread(target=lambda: [told.append(update) for update in updates], daemon=True)
    reading.start()
    # Until the stream is open, nobody is told; from the first update on it is.
    first = []

    def opened() -> bool:
        first.append(acme.run_and_wait("echoes", {}).id)
        return any(ended(execution) for execution in first)

    until(opened)
    restart(node, client)
    during = acme.run_and_wait("echoes", {"n": 2}, timeout=DEADLINE).id
    until(lambda: ended(during) or any(isinstance(one, fastn.Missed) for one in told))
    until(lambda: ended(acme.run_and_wait("echoes", {"n": 3}, timeout=DEADLINE).id) or ended(during))
    updates.close()


def test_a_batch_outlives_the_server(server: tuple[Node, fastn.Fastn]) -> None:
    """Property: of events that were sent while the server was killed none is lost and none is admitted twice."""
    node, client = server
    count = 3_000
    killer = threading.Timer(0.05, restart, (node, client))
    with client.batcher(buffer_bytes_max=64 * 1024) as batcher:
        for n in range(count):
            if n == 500:
                killer.start()
            batcher.send("acme", {"id": f"e-{n}", "type": "batched", "data": n})
    killer.join(DEADLINE)
    acme = client.customer("acme")
    found: list[str] = []

    def all_there() -> bool:
        # What came again is shown again, as a duplicate that starts nothing.
        events = acme.events(type="batched", page_size=1_000)
        found[:] = [event.id for event in events if event.status != "duplicate"]
        return len(found) >= count

    until(all_there)
    assert sorted(found) == sorted(f"e-{n}" for n in range(count))
