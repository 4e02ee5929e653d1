"""Events in the background: sent once, in order, within a bound of memory, and never lost without a word."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

import fastn
from scripted import Answer, Scripted, problem


class Sink:
    """A server that takes events, refuses those of the type `bad`, and remembers each once."""

    def __init__(self, scripted: Scripted) -> None:
        self.events: list[Any] = []
        self.keys: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()
        scripted.default = self.take

    def take(self, seen: Any) -> Answer:
        self.gate.wait(60)
        events = seen.json()
        if any(event["type"] == "bad" for event in events):
            return Answer(400, problem("VALIDATION_ERROR", 400))
        if seen.headers["idempotency-key"] not in self.keys:
            self.keys.add(seen.headers["idempotency-key"])
            self.events.extend(events)
        return Answer(202, {"eventId": events[0]["id"]})


@pytest.fixture
def sink(scripted: Scripted) -> Sink:
    return Sink(scripted)


def test_events_arrive_in_order(client: fastn.Fastn, sink: Sink, scripted: Scripted) -> None:
    """Property: what several threads send arrives once, each customer's in order, many in a request, though answers are lost."""
    scripted.script = [Answer(503, {}, {"retry-after": "0"}), Answer(raw=b"")]

    def sends(customer: str) -> None:
        for n in range(500):
            batcher.send(customer, {"id": f"{customer}-{n}", "type": "t", "data": n})

    with client.batcher() as batcher:
        threads = [threading.Thread(target=sends, args=(f"c{at}",)) for at in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for at in range(4):
        ids = [event["id"] for event in sink.events if event["id"].startswith(f"c{at}-")]
        assert ids == [f"c{at}-{n}" for n in range(500)]
    assert len(scripted.seen) < 200


def test_only_what_is_at_fault_fails(client: fastn.Fastn, sink: Sink) -> None:
    """Property: of many events only those at fault fail, with their reason and the id that they were sent under; leaving the block
    raises them, and does not take the place of what the block raised."""
    with pytest.raises(fastn.BatchError, match="2 events were not sent") as caught:
        with client.batcher() as batcher:
            for n in range(50):
                batcher.send("c", {"type": "bad" if n in (7, 30) else "t", "data": n})
    assert [lost.event["data"] for lost in caught.value.flushed.failed] == [7, 30]
    assert all(lost.event["id"] and isinstance(lost.error, fastn.ValidationError) for lost in caught.value.flushed.failed)
    assert caught.value.flushed.sent == 48 == len(sink.events)
    with pytest.raises(KeyError):
        with client.batcher() as batcher:
            batcher.send("c", {"type": "bad"})
            raise KeyError
    with client.batcher() as batcher:
        batcher.send("c", {"type": "bad"})
        assert len(batcher.flush().failed) == 1
        assert batcher.flush() == fastn.Flushed(0, [])
    with pytest.raises(fastn.FastnError, match="closed"):
        batcher.send("c", {"type": "t"})


def test_mistakes_are_told_at_once(client: fastn.Fastn, sink: Sink) -> None:
    """Property: what is no event is an error of `send` and is not queued."""
    with client.batcher() as batcher:
        for wrong, kind in [({"data": 1}, fastn.ConfigError), ({"type": "t", "data": {1}}, TypeError), (7, fastn.ConfigError)]:
            with pytest.raises(kind):
                batcher.send("c", wrong)  # type: ignore[arg-type]
        assert batcher.flush().sent == 0


def test_the_bound_holds(client: fastn.Fastn, sink: Sink) -> None:
    """Property: `send` waits while the buffer is full, other threads run meanwhile, and goes on when there is room; `flush` with a time
    limit tells that it is not known yet."""
    sink.gate.clear()
    batcher = client.batcher(buffer_bytes_max=4_096)
    sent: list[int] = []

    def sends() -> None:
        for n in range(100):
            batcher.send("c", {"type": "t", "data": n})
            sent.append(n)

    thread = threading.Thread(target=sends)
    thread.start()
    deadline = time.monotonic() + 30
    while len(sent) < 10 and time.monotonic() < deadline:
        time.sleep(0.01)
    with pytest.raises(fastn.UnknownOutcomeError, match="not settled"):
        batcher.flush(0.05)
    assert thread.is_alive() and 10 <= len(sent) < 60
    sink.gate.set()
    thread.join(30)
    assert batcher.close().failed == [] and [event["data"] for event in sink.events] == list(range(100))


def test_on_event_loops(scripted: Scripted, sink: Sink) -> None:
    """Property: the same on an event loop, which runs on while `send` waits for room."""

    async def work() -> None:
        async with fastn.AsyncFastn(url=scripted.url, access_key="k") as client:
            sink.gate.clear()
            asyncio.get_running_loop().call_later(0.2, sink.gate.set)
            async with client.batcher(buffer_bytes_max=4_096) as batcher:
                for n in range(200):
                    await batcher.send("c", {"type": "t", "data": n})
                flushed = await batcher.flush()
                assert flushed.failed == []
            with pytest.raises(fastn.BatchError):
                async with client.batcher() as batcher:
                    await batcher.send("c", {"type": "bad"})

    asyncio.run(work())
    assert [event["data"] for event in sink.events] == list(range(200))


def test_closing_the_client_sends_the_rest(scripted: Scripted, sink: Sink) -> None:
    """Property: `close` of the client sends what its batchers hold, and raises what was not taken."""
    client = fastn.Fastn(url=scripted.url, access_key="k")
    client.batcher(wait_max=60).send("c", {"type": "t"})
    client.close()
    assert len(sink.events) == 1
    client = fastn.Fastn(url=scripted.url, access_key="k")
    client.batcher(wait_max=60).send("c", {"type": "bad"})
    with pytest.raises(fastn.BatchError):
        client.close()


EXITS = {
    "end": "",
    "raise": "raise SystemExit(3)",
    "child": """
import multiprocessing
def child():
    batcher.send("child", {"type": "t", "data": "child"})
process = multiprocessing.get_context("fork").Process(target=child)
process.start()
process.join()
""",
    "loop": """
import asyncio
async def work():
    batcher = fastn.AsyncFastn().batcher(wait_max=60)
    await batcher.send("loop", {"type": "t", "data": "loop"})
asyncio.run(work())
""",
}


@pytest.mark.parametrize("how", EXITS)
def test_the_end_of_the_interpreter(scripted: Scripted, sink: Sink, how: str) -> None:
    """Property: what is queued when a process ends, or a process forked from it, is sent; nothing is sent twice."""
    code = f"import fastn\nbatcher = fastn.Fastn().batcher(wait_max=60)\nbatcher.send('c', {{'type': 't', 'data': 'own'}})\n{EXITS[how]}"
    environment = {"FASTN_URL": scripted.url, "FASTN_ACCESS_KEY": "k", "PATH": ""}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == (3 if how == "raise" else 0), ended.stderr
    also = {"child": ["child"], "loop": ["loop"]}.get(how, [])
    assert sorted(event["data"] for event in sink.events) == sorted(["own", *also])


def test_what_is_lost_is_told_on_stderr(scripted: Scripted, sink: Sink) -> None:
    """Property: events that cannot be sent when the interpreter ends are named on stderr, as far as they are few."""
    code = """
import fastn
batcher = fastn.Fastn().batcher(wait_max=60)
for n in range(12):
    batcher.send('acme', {'type': 'bad', 'id': f'lost-{n}'})
"""
    environment = {"FASTN_URL": scripted.url, "FASTN_ACCESS_KEY": "k", "PATH": ""}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert "event lost-0 (bad) of acme was not sent" in ended.stderr and "and 2 more events" in ended.stderr
    assert ended.stderr.count("\n") == 11 and ended.stdout == ""
