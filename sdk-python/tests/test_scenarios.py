"""The scenarios that every SDK runs, with both clients."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import re
import secrets
import time
from pathlib import Path
from typing import Any

import pytest

import fastn

ROOT = Path(__file__).resolve().parents[2]
NAMES: dict[str, str] = json.loads((ROOT / "sdk-rust/operations.json").read_text())
SCENARIOS = sorted((ROOT / "tests/scenarios").glob("*.json"))
UNTIL_MAX = float(os.environ.get("UNTIL_MAX", "60"))


class Sync:
    """The client for threads."""

    def __init__(self) -> None:
        self.fastn = fastn.Fastn()

    def call(self, client: Any, step: dict[str, Any], args: list[Any], more: dict[str, Any]) -> Any:
        return getattr(client, method_of(step))(*args, **keywords_of(step), **more)

    def rows(self, pager: fastn.Pager[Any], most: int) -> list[Any]:
        return pager.take(most)

    def follow(self, client: Any, execution: str) -> list[str]:
        return statuses(list(client.follow(execution)))

    def lines(self, export: fastn.Export) -> list[Any]:
        return [json.loads(line) for line in export.lines()]

    def batch(self, customer: str, events: list[Any]) -> fastn.Flushed:
        batcher = self.fastn.batcher()
        for event in events:
            batcher.send(customer, event)
        return batcher.close()

    def close(self) -> None:
        self.fastn.close()


class Async:
    """The client for event loops."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.fastn = fastn.AsyncFastn()

    def call(self, client: Any, step: dict[str, Any], args: list[Any], more: dict[str, Any]) -> Any:
        async def called() -> Any:
            answer = getattr(client, method_of(step))(*args, **keywords_of(step), **more)
            return await answer if inspect.isawaitable(answer) else answer

        return self.loop.run_until_complete(called())

    def rows(self, pager: fastn.AsyncPager[Any], most: int) -> list[Any]:
        return self.loop.run_until_complete(pager.take(most))

    def follow(self, client: Any, execution: str) -> list[str]:
        async def followed() -> list[Any]:
            return [update async for update in client.follow(execution)]

        return statuses(self.loop.run_until_complete(followed()))

    def lines(self, export: fastn.AsyncExport) -> list[Any]:
        async def read() -> list[Any]:
            return [json.loads(line) async for line in export.lines()]

        return self.loop.run_until_complete(read())

    def batch(self, customer: str, events: list[Any]) -> fastn.Flushed:
        async def sent() -> fastn.Flushed:
            batcher = self.fastn.batcher()
            for event in events:
                await batcher.send(customer, event)
            return await batcher.aclose()

        return self.loop.run_until_complete(sent())

    def close(self) -> None:
        self.loop.run_until_complete(self.fastn.aclose())
        self.loop.close()


def method_of(step: dict[str, Any]) -> str:
    helpers = {"wait": "wait", "runAndWait": "run_and_wait"}
    return helpers.get(step["do"]) or NAMES[step["do"]]


def keywords_of(step: dict[str, Any]) -> dict[str, Any]:
    given = {re.sub("([A-Z])", r"_\1", name).lower(): value for name, value in step.get("filters", {}).items()}
    if "idempotencyKey" in step:
        given["idempotency_key"] = step["idempotencyKey"]
    return given


def statuses(updates: list[Any]) -> list[str]:
    told = [update.status for update in updates if not isinstance(update, fastn.Missed)]
    return list(dict.fromkeys(told))


class Runner:
    def __init__(self, side: Sync | Async) -> None:
        self.side = side
        run = "py" + secrets.token_hex(4)
        self.variables: dict[str, Any] = {"run": run, "RUN": run.upper()}

    def filled(self, value: Any) -> Any:
        if isinstance(value, str):
            whole = re.fullmatch(r"\$\{(\w+)\}", value)
            if whole:
                return self.variables[whole[1]]
            return re.sub(r"\$\{(\w+)\}", lambda found: str(self.variables[found[1]]), value)
        if isinstance(value, list):
            return [self.filled(one) for one in value]
        if isinstance(value, dict):
            return {key: self.filled(one) for key, one in value.items()}
        return value

    def do(self, step: dict[str, Any]) -> Any:
        args, client = list(step.get("args", [])), self.side.fastn
        if "as" in step:
            client = client.customer(step["as"])
        if step["do"] == "verifyWebhook":
            fastn.verify_webhook(*args)
            return True
        if step["do"] == "follow":
            return self.side.follow(client, *args)
        if step["do"] == "batch":
            flushed = self.side.batch(*args)
            failed = [
                {"customer": one.customer, "event": one.event, "error": {"name": type(one.error).__name__, "code": one.error.code}}
                for one in flushed.failed
            ]
            return {"sent": flushed.sent, "failed": failed}
        more = {"timeout": args.pop()} if step["do"] in ("wait", "runAndWait") else {}
        answer = self.side.call(client, step, args, more)
        if isinstance(answer, (fastn.Export, fastn.AsyncExport)):
            return self.side.lines(answer)
        if isinstance(answer, (fastn.Pager, fastn.AsyncPager)):
            return self.side.rows(answer, step.get("take", 100))
        return answer

    def once(self, step: dict[str, Any]) -> str | None:
        """What is not as it is told, or nothing."""
        try:
            answer = self.do(step)
        except fastn.FastnError as error:
            told = {"name": type(error).__name__, "code": error.code, "status": error.status}
            expected = step.get("error")
            if expected is None:
                return f"it failed: {error!r} {error}"
            return None if expected.items() <= told.items() else f"it failed as {told}, not as {expected}"
        if "error" in step:
            return f"it did not fail: {answer}"
        if "expect" in step and not matches(step["expect"], answer):
            return f"it answered {answer}, not {step['expect']}"
        for variable, path in step.get("save", {}).items():
            value = answer
            for part in filter(None, path.split(".")):
                value = value[int(part) if part.isdigit() else part]
            self.variables[variable] = value
        return None

    def run(self, steps: list[dict[str, Any]]) -> None:
        for at, step in enumerate(steps):
            step = self.filled(step)
            deadline = time.monotonic() + (UNTIL_MAX if step.get("until") else 0)
            while (wrong := self.once(step)) is not None:
                assert time.monotonic() < deadline, f"step {at}, {step['do']}: {wrong}"
                time.sleep(0.1)


def matches(expected: Any, got: Any) -> bool:
    if expected == "$any":
        return got is not None
    if isinstance(expected, dict) and "$count" in expected:
        return isinstance(got, list) and len(got) == expected["$count"]
    if isinstance(expected, dict) and "$has" in expected:
        return isinstance(got, list) and any(matches(expected["$has"], row) for row in got)
    if isinstance(expected, dict):
        return isinstance(got, dict) and all(matches(one, got.get(key)) for key, one in expected.items())
    if isinstance(expected, list):
        return isinstance(got, list) and len(got) == len(expected) and all(map(matches, expected, got))
    return bool(expected == got) and isinstance(expected, bool) == isinstance(got, bool)


@pytest.mark.parametrize("side", [Sync, Async])
@pytest.mark.parametrize("path", SCENARIOS, ids=[path.stem for path in SCENARIOS])
def test_scenario(node: fastn.Fastn, path: Path, side: type[Sync] | type[Async]) -> None:
    """Property: what a scenario's file says happens, with the same results and errors as in every SDK."""
    runner = Runner(side())
    try:
        runner.run(json.loads(path.read_text())["steps"])
    finally:
        runner.side.close()


@pytest.mark.parametrize("kind", [fastn.Customer, fastn.AsyncCustomer])
def test_every_operation_has_its_method(kind: type) -> None:
    """Property: each operation that the SDKs share is a method of a customer's client, with a docstring; only what needs a customer
    is missing at the account."""
    account = fastn.Fastn if kind is fastn.Customer else fastn.AsyncFastn
    for name in NAMES.values():
        assert (getattr(kind, name).__doc__ or "").strip(), name
        assert hasattr(account, name) == (name not in ("send", "run")), name
