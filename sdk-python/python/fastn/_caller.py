"""How methods become requests: for a thread that waits, and for an event loop."""

from __future__ import annotations

import asyncio
import os
import weakref
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Any, Iterable, Mapping, NamedTuple, TypeVar

from . import _native as machine
from ._failure import BadAnswerError, ConfigError
from ._model import Model
from ._pages import AsyncPager, Page, Pager

M = TypeVar("M", bound=Model)
Query = Iterable["tuple[str, object]"]


class Asked(NamedTuple):
    """How requests differ apart from what they ask for."""

    query: list[tuple[str, str]]
    headers: list[tuple[str, str]]
    idempotency_key: str | None
    once: bool
    timeout: float | None


_PLAIN = Asked([], [], None, False, None)


def asked(
    query: Query = (),
    idempotency_key: str | None = None,
    timeout: float | timedelta | None = None,
    if_match: int | str | None = None,
    headers: Mapping[str, str] | None = None,
    once: bool = False,
) -> Asked:
    given = [(name, parameter(name, value)) for name, value in query if value is not None]
    told = [] if headers is None else list(headers.items())
    if if_match is not None:
        told.append(("if-match", str(if_match)))
    return Asked(given, told, idempotency_key, once, seconds(timeout))


def seconds(time: float | timedelta | None) -> float | None:
    return time.total_seconds() if isinstance(time, timedelta) else time


def parameter(name: str, value: object) -> str:
    """A value of the query."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{name} has no time zone: use datetime.now(timezone.utc), or .astimezone() for local time")
        return value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return f"{value.total_seconds():.0f}s"
    if isinstance(value, (list, tuple)):
        return ",".join(parameter(name, one) for one in value)
    return str(value)


def parts(path: Iterable[object]) -> list[str]:
    """The parts of a path. One that is missing is empty, which the core refuses."""
    return ["" if part is None else str(part) for part in path]


def part_of(body: Mapping[str, Any], key: str) -> str:
    """A part of the path that the body names."""
    part = body.get(key)
    if not isinstance(part, str) or not part:
        raise ConfigError(f"the body has no {key!r}, which names the object", operation="make a request")
    return part


# What the server adds to what was stored; it is not sent back.
_STORED = ("revision", "createdAt", "updatedAt")


def sendable(body: object) -> object:
    """A body, without what the server adds to it if it was read before."""
    if isinstance(body, Model) and any(key in body for key in _STORED):
        return {key: value for key, value in body.items() if key not in _STORED}
    return body


def shaped(kind: type[M], answer: object, method: str, path: Iterable[object]) -> M:
    if not isinstance(answer, dict):
        operation = f"{method} /{'/'.join(map(str, path))}"
        told = "nothing" if answer is None else f"a {type(answer).__name__}"
        raise BadAnswerError(f"the answer was not understood: {told} in place of an object", operation=operation)
    return kind(answer)


def page(kind: type[M], answer: object, method: str, path: Iterable[object]) -> Page[M]:
    told = shaped(Model, answer, method, path)
    items = told.get("items")
    if not isinstance(items, list):
        raise BadAnswerError("the answer was not understood: it has no items", operation=f"{method} a list")
    return Page(items, told.get("nextCursor"))


class Caller:
    """Makes requests and waits for their answers. Other threads go on meanwhile."""

    _native: machine.Client

    def _one(self, kind: type[M], method: str, path: tuple[object, ...], *, body: object = None, **how: Any) -> M:
        how_asked = asked(**how) if how else _PLAIN
        answer = self._native.request(None, method, parts(path), how_asked, sendable(body), None, None)
        return shaped(kind, answer, method, path)

    def _nothing(self, method: str, path: tuple[object, ...], **how: Any) -> None:
        self._native.request(None, method, parts(path), asked(**how), None, None, None)

    def _list(
        self,
        kind: type[M],
        method: str,
        path: tuple[object, ...],
        *,
        query: Query = (),
        page_size: int | None = None,
    ) -> Pager[M]:
        filters = asked(query).query
        native, where = self._native, parts(path)

        def fetch(more: list[tuple[str, str]]) -> Page[M]:
            how = Asked(filters + more, [], None, False, None)
            return page(kind, native.request(None, method, where, how, None, None, kind), method, path)

        return Pager(fetch, page_size)


async def waited(call: machine.Call) -> Any:
    """The answer of a call; one that nobody waits for any more is ended."""
    future = call.future()
    try:
        return await future
    finally:
        call.abort()
        # The error that it holds has this frame in its trace.
        del future


class AsyncCaller:
    """Makes requests for event loops, of any number of threads."""

    _native: machine.Client
    _mailboxes: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[int, machine.Mailbox]]

    def _mailbox(self) -> machine.Mailbox:
        loop = asyncio.get_running_loop()
        known = self._mailboxes.get(loop)
        process = os.getpid()
        if known is None or known[0] != process:
            known = self._mailboxes[loop] = (process, machine.Mailbox(loop))
        return known[1]

    async def _one(self, kind: type[M], method: str, path: tuple[object, ...], *, body: object = None, **how: Any) -> M:
        how_asked = asked(**how) if how else _PLAIN
        call = self._native.request(self._mailbox(), method, parts(path), how_asked, sendable(body), None, None)
        return shaped(kind, await waited(call), method, path)

    async def _nothing(self, method: str, path: tuple[object, ...], **how: Any) -> None:
        await waited(self._native.request(self._mailbox(), method, parts(path), asked(**how), None, None, None))

    def _list(
        self,
        kind: type[M],
        method: str,
        path: tuple[object, ...],
        *,
        query: Query = (),
        page_size: int | None = None,
    ) -> AsyncPager[M]:
        filters = asked(query).query
        native, where = self._native, parts(path)

        async def fetch(more: list[tuple[str, str]]) -> Page[M]:
            how = Asked(filters + more, [], None, False, None)
            call = native.request(self._mailbox(), method, where, how, None, None, kind)
            return page(kind, await waited(call), method, path)

        return AsyncPager(fetch, page_size)
