"""Measures the client against the server that FASTN_URL, FASTN_ACCESS_KEY and FASTN_ACCOUNT_ID name, and prints one line of
JSON: events of 1 KiB by the batcher, the same sends by httpx, one request each, and decoding a page of 1,000 executions
beside orjson.

BENCH_EVENTS      events by the batcher, 100,000
BENCH_REQUESTS    events by httpx, 10,000
"""

import asyncio
import json
import multiprocessing
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from typing import Any

import httpx
import orjson

from fastn import Fastn

EVENTS = int(os.environ.get("BENCH_EVENTS", "100000"))
REQUESTS = int(os.environ.get("BENCH_REQUESTS", "10000"))
CONCURRENCY = 32  # Requests of httpx under way at once.
CUSTOMER = "cus_bench"


def event(n: int) -> dict[str, Any]:
    return {"type": "bench.sent", "data": {"n": n, "text": "x" * 960}}


def told(events: int, seconds: float, cpu: float) -> dict[str, float]:
    return {
        "events": events,
        "seconds": seconds,
        "eventsPerSecond": events / seconds,
        "cpuMicrosPerEvent": cpu * 1e6 / events,
    }


def by_batcher(client: Fastn, events: int) -> dict[str, float]:
    began, cpu = time.perf_counter(), time.process_time()
    batcher = client.batcher()
    for n in range(events):
        batcher.send(CUSTOMER, event(n))
    flushed = batcher.close()
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    assert flushed.sent == events and not flushed.failed, flushed.failed[:1]
    return told(events, seconds, cpu)


def by_httpx(events: int) -> dict[str, float]:
    headers = {
        "x-fastn-access-key": os.environ["FASTN_ACCESS_KEY"],
        "x-fastn-account-tenant-id": CUSTOMER,
    }
    numbers = iter(range(events))

    async def sender(client: httpx.AsyncClient) -> None:
        for n in numbers:
            answer = await client.post("/v1/events", json=event(n))
            assert answer.status_code == 202, answer.text
            answer.json()

    async def send() -> None:
        limits = httpx.Limits(max_connections=CONCURRENCY)
        async with httpx.AsyncClient(base_url=os.environ["FASTN_URL"], headers=headers, limits=limits) as client:
            await asyncio.gather(*(sender(client) for _ in range(CONCURRENCY)))

    began, cpu = time.perf_counter(), time.process_time()
    asyncio.run(send())
    return told(events, time.perf_counter() - began, time.process_time() - cpu)


def page() -> bytes:
    """A page of 1,000 executions, as the server writes it."""

    def row(n: int) -> dict[str, Any]:
        return {
            "id": f"exec_{n:026}", "customer": "cus_acme", "workflow": "triage", "version": 3, "environment": "test",
            "tier": "standard", "status": "completed", "triggeredBy": "webhook", "trigger": "github",
            "eventId": f"evt_{n:026}", "attempt": 1, "stepCount": 4, "durationMs": 1234,
            "createdAt": "2026-01-02T03:04:05.678Z", "finishedAt": "2026-01-02T03:04:06.912Z",
        }

    body = {"items": [row(n) for n in range(1_000)], "nextCursor": None}
    return json.dumps(body, separators=(",", ":")).encode()


def answer_pages(ready: Connection) -> None:
    """Another process, which answers every request with the page."""
    text = page()

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    ready.send(server.server_port)
    server.serve_forever()


def decoding() -> dict[str, float]:
    """Milliseconds of CPU that the calling thread takes, at its least disturbed: a whole call for the page, and orjson alone."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=answer_pages, args=(theirs,), daemon=True)
    process.start()
    client = Fastn(url=f"http://127.0.0.1:{ours.recv()}", access_key="k", account="a")
    text = page()
    pages, parses = [], []
    for _ in range(300):
        began = time.thread_time()
        rows = client.executions().page(limit=1_000)
        pages.append(time.thread_time() - began)
        assert len(rows) == 1_000
        began = time.thread_time()
        orjson.loads(text)
        parses.append(time.thread_time() - began)
    client.close()
    process.kill()

    def undisturbed(times: list[float]) -> float:
        return sorted(times)[len(times) // 50] * 1_000

    return {"bytes": len(text), "pageMs": undisturbed(pages), "parseMs": undisturbed(parses)}


def main() -> None:
    with Fastn() as client:
        client.put_customer({"id": CUSTOMER})
        by_batcher(client, min(EVENTS, 5_000))
        batcher = by_batcher(client, EVENTS)
        by_httpx(min(REQUESTS, 500))
        via_httpx = by_httpx(REQUESTS)
    print(json.dumps({"sdk": "python", "batcher": batcher, "httpx": via_httpx, "decode": decoding()}))


if __name__ == "__main__":
    main()
