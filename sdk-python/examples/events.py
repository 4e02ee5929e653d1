"""Sends many events in the background, and looks at what became of the customer's executions since then."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from fastn import BatchError, Fastn, NotFoundError


def main() -> None:
    with Fastn() as fastn:
        fastn.put_customer({"id": "cus_acme"})
        since = datetime.now(timezone.utc) - timedelta(minutes=1)
        try:
            with fastn.batcher(wait_max=timedelta(milliseconds=5)) as batcher:
                for n in range(1_000):
                    batcher.send("cus_acme", {"type": "reading", "data": {"n": n, "at": datetime.now(timezone.utc)}})
        except BatchError as error:
            for lost in error.flushed.failed:
                print(lost.event["id"], lost.error)
        acme = fastn.customer("cus_acme")
        for execution in acme.executions(status="failed", since=since).take(10):
            reason = execution.error.message if execution.error else "no reason is known"
            print(execution.id, execution.created_at, reason)
        try:
            acme.event("no-such-event")
        except NotFoundError as error:
            print("as expected:", error.code)


if __name__ == "__main__":
    main()
