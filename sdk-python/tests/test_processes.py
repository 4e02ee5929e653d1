"""Processes: forks, spawns, and what is left after close."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import fastn
from scripted import Answer, Scripted

# A million take a few minutes; `FASTN_TEST_CALLS=1000000` makes them.
CALLS = int(os.environ.get("FASTN_TEST_CALLS", "50000"))


def child(client: fastn.Fastn, answers: Any) -> None:
    acme = client.customer("cus_a")
    for _ in range(3):
        answers.put(acme.workflow("w").id)
    client.close()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_forked_processes(client: fastn.Fastn, scripted: Scripted) -> None:
    """Property: after a fork, while other threads of the parent are in the midst of calls, child and parent both go on, each over
    connections of its own; a stream of the parent says so in the child."""
    scripted.default = Answer(200, {"id": "w"})
    client.workflow("w")
    stop = threading.Event()

    def calls() -> None:
        while not stop.is_set():
            client.workflow("w")

    threads = [threading.Thread(target=calls) for _ in range(4)]
    for thread in threads:
        thread.start()
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    for _ in range(10):
        process = context.Process(target=child, args=(client, answers))
        process.start()
        process.join(30)
        assert process.exitcode == 0
        assert [answers.get() for _ in range(3)] == ["w"] * 3
    stop.set()
    for thread in threads:
        thread.join(30)
    assert client.workflow("w").id == "w"

    stream = client.follow()

    def reads() -> None:
        try:
            next(iter(stream))
        except fastn.ConfigError as error:
            answers.put(str(error))

    process = context.Process(target=reads)
    process.start()
    process.join(30)
    assert "before the fork" in answers.get()


def spawned(url: str, answers: Any) -> None:
    with fastn.Fastn(url=url, access_key="k") as client:
        answers.put(client.workflow("w").id)


def test_spawned_processes(scripted: Scripted) -> None:
    """Property: a process that was spawned uses the client as any other."""
    scripted.default = Answer(200, {"id": "w"})
    context = multiprocessing.get_context("spawn")
    answers = context.SimpleQueue()
    process = context.Process(target=spawned, args=(scripted.url, answers))
    process.start()
    process.join(60)
    assert process.exitcode == 0 and answers.get() == "w"


def held() -> tuple[int, int]:
    """Files and threads of this process that are not Python's own."""
    return len(os.listdir("/proc/self/fd")), sum(
        Path(f"/proc/self/task/{task}/comm").read_text().startswith("fastn") for task in os.listdir("/proc/self/task")
    )


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts in /proc")
def test_nothing_is_left_after_close(scripted: Scripted) -> None:
    """Property: after `close`, `aclose` and the end of a client that nobody closed, no file and no thread is left, whatever was under
    way: calls, streams, batchers."""
    scripted.default = lambda seen: Answer(200, {"items": [], "id": "w", "eventId": "e"})

    async def loop() -> None:
        async with fastn.AsyncFastn(url=scripted.url, access_key="k") as client:
            await asyncio.gather(*(client.workflow("w") for _ in range(20)))
            async with client.batcher() as batcher:
                await batcher.send("c", {"type": "t"})

    def everything() -> None:
        with fastn.Fastn(url=scripted.url, access_key="k") as client:
            client.workflow("w")
            list(client.workflows())
            stream = client.follow()
            next(iter(client.export_customer("c")))
            client.batcher().send("c", {"type": "t"})
        assert stream is not None
        asyncio.run(loop())
        forgotten = fastn.Fastn(url=scripted.url, access_key="k")
        forgotten.workflow("w")

    everything()
    gc.collect()
    deadline = time.monotonic() + 30
    before = (0, 0)
    # The server's own ends of connections go a little later.
    while time.monotonic() < deadline:
        before, last = held(), before
        if before == last and before[1] == 0:
            break
        time.sleep(0.2)
    for _ in range(10):
        everything()
    gc.collect()
    while held() > before and time.monotonic() < deadline:
        time.sleep(0.1)
    assert held()[1] == 0 and held()[0] <= before[0]


def resident() -> int:
    """Bytes of memory that the process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_memory_stays_flat() -> None:
    """Property: many calls, of which some fail, and many events leave no memory behind."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if b"content-length" in head:
                    length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
                    await reader.readexactly(length)
                bad = b"/bad " in head
                told = b'{"code":"NOT_FOUND","detail":"no","status":404}' if bad else b'{"id":"w","eventId":"e","x":{"y":[1,2]}}'
                writer.write(b"HTTP/1.1 %s\r\ncontent-length: %d\r\n\r\n%s" % (b"404 no" if bad else b"200 OK", len(told), told))
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass

    async def work() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)
        url = "http://127.0.0.1:%d" % server.sockets[0].getsockname()[1]
        async with fastn.AsyncFastn(url=url, access_key="k") as client:

            async def one(n: int) -> None:
                if n % 10 == 0:
                    with pytest.raises(fastn.NotFoundError):
                        await client.workflow("bad")
                else:
                    await client.put_workflow({"id": "w", "description": "x" * 100})

            async def round_of(calls: int) -> int:
                for _ in range(calls // 500):
                    await asyncio.gather(*map(one, range(500)))
                async with client.batcher(buffer_bytes_max=1_000_000) as batcher:
                    for _ in range(calls):
                        await batcher.send("c", {"type": "t", "data": "x" * 200})
                gc.collect()
                return resident()

            start = await round_of(max(CALLS // 5, 5_000))
            for _ in range(4):
                end = await round_of(CALLS // 5)
            grown = end - start
            # The allocator's pages come and go; what a call left behind would be hundreds of bytes each.
            assert grown < 4_000_000 + CALLS * 20, f"{grown} bytes more after {CALLS} calls"
        server.close()

    asyncio.run(work())
