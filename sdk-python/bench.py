"""Measures the client against the server that `FASTN_URL` and `FASTN_ACCESS_KEY` name, and prints a line of JSON: events of 1 KiB by
the batcher and by httpx, one request each, with the CPU of this process for each event; and the decoding of a page of 1,000
executions beside orjson. `make bench-sdks` runs it beside Rust and Node. Needs httpx and orjson (`build.sh --venv`)."""

from __future__ import annotations

import json
import os
import statistics
import time
from typing import Any, Callable

import httpx
import orjson

import fastn
from fastn import _native
from fastn.models import ExecutionView

CUSTOMER = "cus_bench"
EVENTS = int(os.environ.get("BENCH_EVENTS", "100000"))
REQUESTS = int(os.environ.get("BENCH_REQUESTS", "2000"))
ROWS = 1_000


def measured(events: int, work: Callable[[int], None]) -> dict[str, float]:
    began, before = time.perf_counter(), time.process_time()
    work(events)
    seconds, cpu = time.perf_counter() - began, time.process_time() - before
    return {
        "events": events,
        "seconds": seconds,
        "eventsPerSecond": events / seconds,
        "cpuMicrosPerEvent": cpu * 1e6 / events,
    }


def batched(client: fastn.Fastn) -> Callable[[int], None]:
    def send(events: int) -> None:
        with client.batcher() as batcher:
            for n in range(events):
                batcher.send(CUSTOMER, {"type": "bench.sent", "data": {"n": n, "text": "x" * 960}})

    return send


def one_by_one(client: fastn.Fastn) -> Callable[[int], None]:
    def send(events: int) -> None:
        headers = {"x-fastn-access-key": os.environ["FASTN_ACCESS_KEY"], "x-fastn-account-tenant-id": CUSTOMER}
        with httpx.Client(base_url=client.url, headers=headers, timeout=60) as other:
            for n in range(events):
                event = {"type": "bench.sent", "data": {"n": n, "text": "x" * 960}}
                other.post("v1/events", json=event).raise_for_status()

    return send


def page_of(client: fastn.Fastn) -> bytes:
    """A page of 1,000 executions as the server sends it; rows of a smaller one are taken again."""
    client.put_workflow({"id": "bench"})
    client.publish("bench", {"source": "export default async function (ctx) { return ctx.input; }"})
    acme = client.customer(CUSTOMER)
    for n in range(20):
        acme.run_and_wait("bench", {"n": n})
    rows: list[Any] = list(acme.executions(workflow="bench").take(ROWS))
    return json.dumps({"items": (rows * ROWS)[:ROWS], "nextCursor": "x"}, separators=(",", ":")).encode()


def milliseconds(work: Callable[[], object]) -> float:
    took = []
    for _ in range(60):
        began = time.perf_counter()
        work()
        took.append((time.perf_counter() - began) * 1e3)
    return statistics.median(took)


def main() -> None:
    with fastn.Fastn() as client:
        client.put_customer({"id": CUSTOMER})
        page = page_of(client)
        # Rows that stand one after the other must not be alike by this test's doing: each has an id of its own.
        told = json.loads(page)
        for n, row in enumerate(told["items"]):
            row["id"] = f"exec_{n:026}"
            row["eventId"] = f"run_{n:032x}"
        page = json.dumps(told, separators=(",", ":")).encode()
        decode = {
            "rows": ROWS,
            "bytes": len(page),
            "pageMs": milliseconds(lambda: _native.loads(page, ExecutionView)),
            "parseMs": milliseconds(lambda: orjson.loads(page)),
        }
        batched(client)(min(EVENTS, 5_000))
        result = {
            "sdk": "python",
            "batcher": measured(EVENTS, batched(client)),
            "httpx": measured(REQUESTS, one_by_one(client)),
            "decode": decode,
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
