"""The client for event loops: many calls at once, cancellation, loops of threads, uvloop."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any, Callable, Coroutine

import pytest
import uvloop

import fastn
from scripted import Answer, Scripted, problem

Run = Callable[[Coroutine[Any, Any, Any]], Any]
CALLS = 10_000


def on_uvloop(work: Coroutine[Any, Any, Any]) -> Any:
    return uvloop.run(work)


both = pytest.mark.parametrize("run", [asyncio.run, on_uvloop], ids=["asyncio", "uvloop"])


def client_of(scripted: Scripted, **more: Any) -> fastn.AsyncFastn:
    return fastn.AsyncFastn(url=scripted.url, access_key="k", **more)


class Quick:
    """A server on an event loop that answers all requests alike, whatever their number."""

    def __init__(self) -> None:
        self.requests = 0
        self.open = self.open_most = 0

    async def __aenter__(self) -> Quick:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)
        self.url = "http://127.0.0.1:%d" % self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.open_most = max(self.open_most, self.open)
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                self.requests += 1
                writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{"id":"w"}')
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()


@both
def test_ten_thousand_calls_at_once(run: Run) -> None:
    """Property: 10,000 calls at once all succeed, over few connections, and each has its own answer."""

    async def work() -> None:
        async with Quick() as server, fastn.AsyncFastn(url=server.url, access_key="k") as client:
            answers = await asyncio.gather(*(client.workflow("w") for _ in range(CALLS)))
            assert len(answers) == CALLS and all(answer.id == "w" for answer in answers)
            assert server.requests == CALLS and server.open_most <= 300

    run(work())


@both
def test_cancelling_ends_the_request(scripted: Scripted, run: Run) -> None:
    """Property: a task that is cancelled ends at once and its request too; the client works on."""
    stop, arrived = threading.Event(), threading.Event()

    def slow(seen: Any) -> Answer:
        if "slow" in seen.path:
            return Answer(200, {"id": "slow"}, act=lambda: (arrived.set(), stop.wait(60)))
        return Answer(200, {"id": "w"})

    scripted.default = slow

    async def work() -> None:
        async with client_of(scripted) as fast:
            task = asyncio.create_task(fast.workflow("slow"))
            await asyncio.get_running_loop().run_in_executor(None, arrived.wait, 30)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(fast.workflow("slow"), 0.1)
            assert (await fast.workflow("w")).id == "w"

    began = time.monotonic()
    run(work())
    stop.set()
    assert time.monotonic() - began < 30


@both
def test_everything_is_there_to_await(scripted: Scripted, run: Run) -> None:
    """Property: lists, errors, events and health are the same as for threads."""

    async def work() -> None:
        async with client_of(scripted) as fast:
            scripted.script = [
                Answer(200, {"items": [{"id": "a"}], "nextCursor": "1"}),
                Answer(200, {"items": [{"id": "b"}]}),
                Answer(404, problem("NOT_FOUND", 404)),
                Answer(202, {"eventId": "e"}),
                Answer(200, b"{"),
                Answer(202, {"eventId": "hook"}),
            ]
            assert [row.id async for row in fast.workflows()] == ["a", "b"]
            with pytest.raises(fastn.NotFoundError):
                await fast.workflow("w")
            assert (await fast.customer("c").send_many([{"type": "t"}])).event_id == "e"
            with pytest.raises(fastn.BadAnswerError):
                await fast.health()
            assert (await fast.send_webhook("hook", {}, {"n": 1})).event_id == "hook"
            with pytest.raises(ValueError):
                await fast.customer("c").send({"type": "t", "data": float("nan")})

    run(work())


def test_loops_of_several_threads(scripted: Scripted) -> None:
    """Property: event loops of several threads, one after the other and at once, share one client."""
    scripted.default = Answer(200, {"id": "w"})
    shared = client_of(scripted)
    failed: list[BaseException] = []

    async def work() -> None:
        answers = await asyncio.gather(*(shared.workflow("w") for _ in range(50)))
        assert all(answer.id == "w" for answer in answers)

    def loops(run: Run) -> None:
        try:
            for _ in range(5):
                run(work())
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=loops, args=(run,)) for run in (asyncio.run, on_uvloop) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failed
    asyncio.run(shared.aclose())
    with pytest.raises(fastn.ConfigError, match="closed"):
        asyncio.run(work())


@both
def test_closing_ends_calls_under_way(scripted: Scripted, run: Run) -> None:
    """Property: calls that wait when the client is closed fail, and none waits for ever."""
    stop, arrived = threading.Event(), threading.Event()
    scripted.default = Answer(200, {}, act=lambda: (arrived.set(), stop.wait(60)))

    async def work() -> None:
        fast = client_of(scripted)
        tasks = [asyncio.create_task(fast.health()) for _ in range(5)]
        await asyncio.get_running_loop().run_in_executor(None, arrived.wait, 30)
        await fast.aclose()
        ended = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 30)
        assert all(isinstance(one, fastn.FastnError) and "closed" in str(one) for one in ended)

    run(work())
    stop.set()


def test_a_loop_that_ends_early(scripted: Scripted) -> None:
    """Property: answers for a loop that has ended disturb nobody."""
    stop, arrived = threading.Event(), threading.Event()
    scripted.default = Answer(200, {"id": "w"}, act=lambda: (arrived.set(), stop.wait(30)))
    shared = client_of(scripted)
    calls: list[Any] = []

    async def start() -> None:
        loop = asyncio.get_running_loop()
        abandoned = shared.workflow("w").__await__()
        next(abandoned)
        calls.append(abandoned)
        await loop.run_in_executor(None, arrived.wait, 30)

    asyncio.run(start())
    stop.set()

    async def again() -> str:
        return (await shared.workflow("w")).id

    assert asyncio.run(again()) == "w"
    asyncio.run(shared.aclose())


STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"


def event(n: int, status: str) -> bytes:
    told = {"id": "e", "customer": "c", "status": status, "attempt": 1, "at": "2026-11-26T03:04:05Z"}
    return b"event: execution\nid: %d\ndata: %s\n\n" % (n, json.dumps(told).encode())


@both
def test_streams_are_cancelled_without_loss(scripted: Scripted, run: Run) -> None:
    """Property: live updates come one by one; a read that is given up loses none; a connection that breaks is opened again where it
    was, and what cannot be made up for is told."""
    go_on = threading.Event()
    scripted.script = [
        Answer(raw=STREAM + event(1, "queued"), act=go_on.wait),
        Answer(raw=STREAM + event(2, "running") + b"event: reset\ndata: gone\n\n"),
        Answer(raw=STREAM + event(3, "completed")),
    ]

    async def work() -> None:
        async with client_of(scripted) as fast, fast.follow("e") as updates:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(updates.__anext__(), 0.2)
            go_on.set()
            told: list[Any] = [update async for update in updates]
            assert [getattr(one, "status", "missed") for one in told] == ["queued", "running", "missed", "completed"]
            assert isinstance(told[2], fastn.Missed)

    run(work())
    assert [seen.headers.get("last-event-id") for seen in scripted.seen] == [None, "1", "2"]


def test_streams_for_threads(client: fastn.Fastn, scripted: Scripted) -> None:
    """Property: the same for threads; exports come as pieces and as lines."""
    scripted.script = [Answer(raw=STREAM + event(1, "completed"))]
    with client.follow("e") as updates:
        assert [update.status for update in updates if not isinstance(update, fastn.Missed)] == ["completed"]
    lines = b'{"type":"a"}\n{"type":"end"}\n'
    scripted.script = [Answer(200, lines), Answer(200, lines), Answer(404, problem("NOT_FOUND", 404))]
    assert b"".join(client.export_customer("c")) == lines
    assert list(client.export_customer("c").lines()) == lines.split()
    with pytest.raises(fastn.NotFoundError):
        list(client.export_customer("c"))



def test_closing_a_stream_ends_its_readers(client: fastn.Fastn, scripted: Scripted) -> None:
    """Property: whoever waits for the next item of a stream is let go when another thread closes it."""
    stop, arrived = threading.Event(), threading.Event()
    scripted.default = Answer(raw=STREAM, act=lambda: (arrived.set(), stop.wait(60)))
    updates = client.follow()
    reading = threading.Thread(target=list, args=(updates,))
    reading.start()
    assert arrived.wait(30)
    updates.close()
    reading.join(30)
    stop.set()
    assert not reading.is_alive()
