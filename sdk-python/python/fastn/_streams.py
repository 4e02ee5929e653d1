"""What comes piece by piece: live updates, and exports. Each ends its connection when it is closed or let go."""

from __future__ import annotations

from types import TracebackType
from typing import Any, AsyncIterator, Callable, Generic, Iterator, TypeVar

from . import _native as machine
from ._caller import waited
from .models import ExecutionUpdate

T = TypeVar("T")


class Missed:
    """Updates were missed, as the server was away for longer than it remembers: list executions once if you need them all."""

    def __repr__(self) -> str:
        return "Missed()"


def _update(item: Any) -> ExecutionUpdate | Missed:
    return Missed() if item is False else ExecutionUpdate(item)


def _piece(item: Any) -> bytes:
    return bytes(item)


class Stream(Generic[T]):
    """`for item in stream`. It has no end unless the server ends it; leave the loop and `close` it, or use `with`."""

    def __init__(self, native: machine.Stream, shape: Callable[[Any], T]) -> None:
        self._native = native
        self._shape = shape

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        item = self._native.next(None)
        if item is None:
            raise StopIteration
        return self._shape(item)

    def close(self) -> None:
        """Ends it."""
        self._native.close()

    def __enter__(self) -> Stream[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncStream(Generic[T]):
    """`async for item in stream`. A read that is cancelled loses nothing: the next one has what it would have had."""

    def __init__(self, native: machine.Stream, shape: Callable[[Any], T], mailbox: Callable[[], machine.Mailbox]) -> None:
        self._native = native
        self._shape = shape
        self._mailbox = mailbox

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        item = await waited(self._native.next(self._mailbox()))
        if item is None:
            raise StopAsyncIteration
        return self._shape(item)

    async def aclose(self) -> None:
        """Ends it."""
        self._native.close()

    async def __aenter__(self) -> AsyncStream[T]:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class Export(Stream[bytes]):
    """An export: pieces of any length, or, with `lines`, line by line."""

    def lines(self) -> Iterator[bytes]:
        """Lines of JSON, without their ends. The last has the type `end`; an export that broke off has none."""
        rest = b""
        for piece in self:
            *whole, rest = (rest + piece).split(b"\n")
            yield from (line for line in whole if line)
        if rest:
            yield rest


class AsyncExport(AsyncStream[bytes]):
    """An export: pieces of any length, or, with `lines`, line by line."""

    async def lines(self) -> AsyncIterator[bytes]:
        """Lines of JSON, without their ends. The last has the type `end`; an export that broke off has none."""
        rest = b""
        async for piece in self:
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                if line:
                    yield line
        if rest:
            yield rest


def follow(native: machine.Stream) -> Stream[ExecutionUpdate | Missed]:
    return Stream(native, _update)


def follow_async(
    native: machine.Stream, mailbox: Callable[[], machine.Mailbox]
) -> AsyncStream[ExecutionUpdate | Missed]:
    return AsyncStream(native, _update, mailbox)


def export(native: machine.Stream) -> Export:
    return Export(native, _piece)


def export_async(native: machine.Stream, mailbox: Callable[[], machine.Mailbox]) -> AsyncExport:
    return AsyncExport(native, _piece, mailbox)
