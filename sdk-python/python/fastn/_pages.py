"""Lists that ask for their pages as they are read."""

from __future__ import annotations

from typing import AsyncIterator, Awaitable, Callable, Generic, Iterator, TypeVar

T = TypeVar("T")

ROWS_MAX = 1_000
"""Most rows of a page."""


class Page(list[T]):
    """One page: its rows, and where the next one begins."""

    next_cursor: str | None
    """Ask for it as `cursor` of the next page; `None` on the last one."""

    def __init__(self, rows: list[T], next_cursor: str | None) -> None:
        super().__init__(rows)
        self.next_cursor = next_cursor


def _asked(cursor: str | None, limit: int | None) -> list[tuple[str, str]]:
    given = [] if cursor is None else [("cursor", cursor)]
    return given if limit is None else [*given, ("limit", str(limit))]


class Pager(Generic[T]):
    """A list on the server: `for row in pager` reads all of it, page by page. Nothing is asked for before."""

    def __init__(self, fetch: Callable[[list[tuple[str, str]]], Page[T]], page_size: int | None) -> None:
        self._fetch = fetch
        self._page_size = page_size

    def page(self, cursor: str | None = None, limit: int | None = None) -> Page[T]:
        """One page: the first without a cursor."""
        return self._fetch(_asked(cursor, limit or self._page_size))

    def pages(self) -> Iterator[Page[T]]:
        """Page by page."""
        cursor = None
        while True:
            page = self.page(cursor)
            yield page
            cursor = page.next_cursor
            if cursor is None:
                return

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from page

    def take(self, rows_max: int) -> list[T]:
        """At most so many rows, over as many pages as that takes."""
        rows: list[T] = []
        cursor = None
        while len(rows) < rows_max:
            page = self.page(cursor, min(rows_max - len(rows), self._page_size or ROWS_MAX))
            rows.extend(page)
            cursor = page.next_cursor
            if cursor is None:
                break
        return rows


class AsyncPager(Generic[T]):
    """A list on the server: `async for row in pager` reads all of it, page by page. Nothing is asked for before."""

    def __init__(self, fetch: Callable[[list[tuple[str, str]]], Awaitable[Page[T]]], page_size: int | None) -> None:
        self._fetch = fetch
        self._page_size = page_size

    async def page(self, cursor: str | None = None, limit: int | None = None) -> Page[T]:
        """One page: the first without a cursor."""
        return await self._fetch(_asked(cursor, limit or self._page_size))

    async def pages(self) -> AsyncIterator[Page[T]]:
        """Page by page."""
        cursor = None
        while True:
            page = await self.page(cursor)
            yield page
            cursor = page.next_cursor
            if cursor is None:
                return

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.pages():
            for row in page:
                yield row

    async def take(self, rows_max: int) -> list[T]:
        """At most so many rows, over as many pages as that takes."""
        rows: list[T] = []
        cursor = None
        while len(rows) < rows_max:
            page = await self.page(cursor, min(rows_max - len(rows), self._page_size or ROWS_MAX))
            rows.extend(page)
            cursor = page.next_cursor
            if cursor is None:
                break
        return rows
