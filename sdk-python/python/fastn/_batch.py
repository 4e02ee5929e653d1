"""Events that are sent in the background, many in a request. None is lost without a word.

Memory is bounded: `send` waits while the buffer is full. Each event has an id, so that one that is sent again is admitted once.
What is still queued when the interpreter ends is sent then; what cannot be sent is told on stderr.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from datetime import timedelta
from multiprocessing import parent_process, util
from types import TracebackType
from typing import Any, Callable, Mapping, NamedTuple

from . import _native as machine
from ._caller import seconds, waited
from ._failure import BatchError, FastnError, UnknownOutcomeError
from .types import SendEvent

FLUSH_MAX = 10 * 365 * 24 * 3600.0
"""Seconds of a flush without a limit; its events give up by themselves."""
EXIT_MAX = 30.0
"""Seconds that the end of the interpreter waits for what is queued."""
TOLD_MAX = 10
"""Lost events that are named on stderr; of more their number is told."""

# Batchers that are not closed, each with its process: they are flushed when the interpreter ends.
_open: dict[int, tuple[int, _Batching]] = {}
_lock = threading.Lock()
_registered_in = 0


class FailedEvent(NamedTuple):
    """An event that the server did not take."""

    customer: str
    """Whose it was."""
    event: dict[str, Any]
    """With the id that it was sent under: send it again as it is."""
    error: FastnError
    """Why."""


class Flushed(NamedTuple):
    """What became of events since somebody asked before."""

    sent: int
    """How many the server has."""
    failed: list[FailedEvent]
    """Those that it has not."""


class _Batching:
    def __init__(self, native: machine.Batcher) -> None:
        self._native = native
        self._closed = False
        with _lock:
            _open[id(self)] = (os.getpid(), self)
            _register()

    def _sendable(self) -> None:
        if self._closed:
            raise FastnError("the batcher is closed; make another one", operation="send an event")

    def _told(self, answer: tuple[int, list[dict[str, Any]]] | None) -> Flushed:
        if answer is None:
            told = f"{self._native.pending} events are not settled yet; ask again"
            raise UnknownOutcomeError(f"the time ran out: {told}", operation="flush events")
        sent, failed = answer
        return Flushed(sent, [FailedEvent(**one) for one in failed])

    def _forget(self) -> None:
        self._closed = True
        with _lock:
            _open.pop(id(self), None)

    def at_exit(self, is_own: bool) -> None:
        """The last flush. One of the process before a fork has nothing here unless this one has used it."""
        if self._native.pending == 0:
            return self._forget() if is_own else None
        try:
            flushed = self._told(self._native.flush(None, EXIT_MAX))
        except FastnError as error:
            pending = self._native.pending
            self._forget()
            print(f"fastn: the interpreter ends, and of {pending} events it is not known whether the server has them: {error}", file=sys.stderr)
            return None
        self._forget()
        return _complain(flushed)


def _register() -> None:
    """Once in each process. A child of `multiprocessing` ends without what `atexit` knows, by finalizers of its own."""
    global _registered_in
    if _registered_in == os.getpid():
        return
    if _registered_in == 0:
        atexit.register(_flush_all)
        util.register_after_fork(_flush_all, _finalize)
    _registered_in = os.getpid()
    if parent_process() is not None:
        _finalize(None)


def _finalize(_: object) -> None:
    util.Finalize(None, _flush_all, exitpriority=100)


def _flush_all() -> None:
    for process, batching in list(_open.values()):
        batching.at_exit(process == os.getpid())


def _after_fork() -> None:
    """What the parent has queued is the parent's."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _complain(flushed: Flushed) -> None:
    for lost in flushed.failed[:TOLD_MAX]:
        kind, name = lost.event.get("type"), lost.event.get("id")
        print(f"fastn: event {name} ({kind}) of {lost.customer} was not sent: {lost.error}", file=sys.stderr)
    if len(flushed.failed) > TOLD_MAX:
        print(f"fastn: and {len(flushed.failed) - TOLD_MAX} more events were not sent", file=sys.stderr)


def _end(flushed: Flushed, error: BaseException | None) -> None:
    if not flushed.failed:
        return
    if error is not None:
        # What the block raised goes on; these must not take its place, nor be lost.
        return _complain(flushed)
    first = flushed.failed[0].error
    raise BatchError(f"{len(flushed.failed)} events were not sent; the first: {first}", flushed)


class Batcher(_Batching):
    """Sends events in the background: `with fastn.batcher() as batcher`. Threads may share it. Leaving the block sends what is
    queued, and raises `BatchError` if some of it was not taken."""

    def send(self, customer: str, event: SendEvent | Mapping[str, Any]) -> None:
        """Queues an event of a customer; waits while there is no room. It is durable once `flush` says so."""
        if self._closed:
            self._sendable()
        self._native.send(None, customer, event)

    def flush(self, timeout: float | timedelta | None = None) -> Flushed:
        """Waits until all that is queued is settled, and tells what became of it. Failures are told once."""
        limit = seconds(timeout)
        return self._told(self._native.flush(None, FLUSH_MAX if limit is None else limit))

    def close(self) -> Flushed:
        """The last flush."""
        if self._closed:
            return Flushed(0, [])
        flushed = self.flush() if self._native.pending else Flushed(0, [])
        self._forget()
        return flushed

    def __enter__(self) -> Batcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _end(self.close(), error)


class AsyncBatcher(_Batching):
    """Sends events in the background: `async with fastn.batcher() as batcher`. Leaving the block sends what is queued, and raises
    `BatchError` if some of it was not taken."""

    def __init__(self, native: machine.Batcher, mailbox: Callable[[], machine.Mailbox]) -> None:
        super().__init__(native)
        self._mailbox = mailbox

    async def send(self, customer: str, event: SendEvent | Mapping[str, Any]) -> None:
        """Queues an event of a customer; waits while there is no room. It is durable once `flush` says so."""
        if self._closed:
            self._sendable()
        call = self._native.send(self._mailbox(), customer, event)
        if call is not None:
            await waited(call)

    async def flush(self, timeout: float | timedelta | None = None) -> Flushed:
        """Waits until all that is queued is settled, and tells what became of it. Failures are told once."""
        limit = seconds(timeout)
        return self._told(await waited(self._native.flush(self._mailbox(), FLUSH_MAX if limit is None else limit)))

    async def aclose(self) -> Flushed:
        """The last flush."""
        if self._closed:
            return Flushed(0, [])
        flushed = await self.flush() if self._native.pending else Flushed(0, [])
        self._forget()
        return flushed

    async def __aenter__(self) -> AsyncBatcher:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _end(await self.aclose(), error)
