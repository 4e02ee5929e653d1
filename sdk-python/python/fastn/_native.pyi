"""The client's machinery, in Rust. Use the package `fastn`."""

import asyncio
from typing import Any, Protocol, final, overload

class Asked(Protocol):
    """How requests differ apart from what they ask for."""

    @property
    def query(self) -> list[tuple[str, str]]: ...
    @property
    def headers(self) -> list[tuple[str, str]]: ...
    @property
    def idempotency_key(self) -> str | None: ...
    @property
    def once(self) -> bool: ...
    @property
    def timeout(self) -> float | None: ...

@final
class Mailbox:
    """The answers for one event loop."""

    def __new__(cls, event_loop: asyncio.AbstractEventLoop) -> Mailbox: ...

@final
class Call:
    """A call that an event loop waits for."""

    def future(self) -> asyncio.Future[Any]: ...
    def abort(self) -> None: ...

@final
class Stream:
    """What comes piece by piece."""

    @overload
    def next(self, mailbox: None) -> Any: ...
    @overload
    def next(self, mailbox: Mailbox) -> Call: ...
    def close(self) -> None: ...

@final
class Batcher:
    """Events that are sent in the background."""

    @overload
    def send(self, mailbox: None, customer: str, event: object) -> None: ...
    @overload
    def send(self, mailbox: Mailbox, customer: str, event: object) -> Call | None: ...
    @overload
    def flush(self, mailbox: None, seconds: float) -> tuple[int, list[dict[str, Any]]] | None: ...
    @overload
    def flush(self, mailbox: Mailbox, seconds: float) -> Call: ...
    @property
    def pending(self) -> int: ...

@final
class Client:
    """A client, or a view of one that is bound to a customer."""

    def __new__(
        cls,
        agent: str,
        url: str | None,
        access_key: str | None,
        account: str | None,
        customer: str | None,
        timeout: float | None,
        attempts_max: int | None,
        proxy: str | None,
        ca_certificates: bytes | None,
    ) -> Client: ...
    @property
    def url(self) -> str: ...
    @property
    def customer_id(self) -> str | None: ...
    def customer(self, id: str | None) -> Client: ...
    def for_account(self) -> Client: ...
    @overload
    def request(
        self,
        mailbox: None,
        method: str,
        path: list[str],
        asked: Asked,
        body: object | None,
        raw: bytes | None,
        row_class: type[Any] | None,
    ) -> Any: ...
    @overload
    def request(
        self,
        mailbox: Mailbox,
        method: str,
        path: list[str],
        asked: Asked,
        body: object | None,
        raw: bytes | None,
        row_class: type[Any] | None,
    ) -> Call: ...
    @overload
    def wait(self, mailbox: None, execution: str, seconds: float) -> Any: ...
    @overload
    def wait(self, mailbox: Mailbox, execution: str, seconds: float) -> Call: ...
    @overload
    def run_and_wait(self, mailbox: None, path: list[str], asked: Asked, body: object, seconds: float) -> Any: ...
    @overload
    def run_and_wait(self, mailbox: Mailbox, path: list[str], asked: Asked, body: object, seconds: float) -> Call: ...
    def follow(self, execution: str | None, workflow: str | None) -> Stream: ...
    def open(self, path: list[str], asked: Asked) -> Stream: ...
    def batcher(
        self,
        events_max: int,
        bytes_max: int,
        wait_max: float,
        buffer_bytes_max: int,
        give_up_after: float,
    ) -> Batcher: ...
    def close(self) -> None: ...

def verify_webhook(
    secrets: list[str], headers: list[tuple[str, str]], body: bytes, now: float | None, tolerance: float
) -> None: ...
def dumps(value: object) -> bytes: ...
def loads(text: bytes, row_class: type[Any] | None = None) -> Any: ...
