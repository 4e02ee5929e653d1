"""Follows executions as they happen while others are started, on one event loop."""

from __future__ import annotations

import asyncio

from fastn import AsyncFastn, Missed

SOURCE = "export default async function (ctx) { return ctx.input; }"
RUNS = 10


async def watch(fastn: AsyncFastn, ready: asyncio.Event) -> None:
    ended: set[str] = set()
    async with fastn.customer("cus_acme").follow(workflow="echo") as updates:
        ready.set()
        async for update in updates:
            if isinstance(update, Missed):
                print("some updates were missed")
            elif update.status in ("completed", "failed"):
                ended.add(update.id)
                print(len(ended), update.id, update.status)
            if len(ended) >= RUNS:
                return


async def main() -> None:
    async with AsyncFastn() as fastn:
        await fastn.put_customer({"id": "cus_acme"})
        await fastn.put_workflow({"id": "echo"})
        version = await fastn.publish("echo", {"source": SOURCE})
        await fastn.deploy("echo", "test", version.version)
        ready = asyncio.Event()
        watching = asyncio.create_task(watch(fastn, ready))
        await ready.wait()
        acme = fastn.customer("cus_acme")
        runs = await asyncio.gather(*(acme.run("echo", {"n": n}) for n in range(RUNS)))
        await asyncio.gather(*(acme.wait(run.execution_id) for run in runs))
        # What was told before the stream was open is not told again.
        try:
            await asyncio.wait_for(watching, timeout=5)
        except asyncio.TimeoutError:
            print("that is all")


if __name__ == "__main__":
    asyncio.run(main())
