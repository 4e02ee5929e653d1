"""The clients: for threads and for event loops, of an account and of one customer."""

from __future__ import annotations

import os
import weakref
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Mapping, TypeVar

from . import _native as machine
from . import models
from ._batch import AsyncBatcher, Batcher
from ._caller import AsyncCaller, Caller, asked, parts, seconds, shaped, waited
from ._failure import ConfigError
from ._operations import AsyncCustomerOperations, AsyncOperations, CustomerOperations, Operations
from ._streams import (
    AsyncExport,
    AsyncStream,
    Export,
    Missed,
    Stream,
    export,
    export_async,
    follow,
    follow_async,
)
from ._version import __version__
from .models import ExecutionUpdate
from .types import SendEvent

S = TypeVar("S", bound="_Shared[Any]")
B = TypeVar("B")

WAIT_MAX = 60.0
"""Seconds that an execution is waited for when nothing else is said."""


class _Shared(Generic[B]):
    """What all clients have, and share with their views."""

    _native: machine.Client
    _batchers: weakref.WeakSet[Any]

    def _configure(self, **given: Any) -> None:
        self._native = machine.Client(
            f"fastn-sdk-python/{__version__}",
            given["url"],
            given["access_key"],
            given["account"],
            given["customer"],
            seconds(given["timeout"]),
            given["attempts_max"],
            given["proxy"],
            _pem(given["ca_certificates"]),
        )
        self._batchers = weakref.WeakSet()

    def _view(self, kind: type[S], native: machine.Client) -> S:
        view = kind.__new__(kind)
        view.__dict__.update(self.__dict__)
        view._native = native
        return view

    @property
    def url(self) -> str:
        """The server."""
        return self._native.url

    def __repr__(self) -> str:
        customer = self._native.customer_id
        return f"<{type(self).__module__.split('.')[0]}.{type(self).__name__} {self.url}{f' of {customer}' if customer else ''}>"


def _pem(given: str | bytes | os.PathLike[str] | None) -> bytes | None:
    """Certificates as they are, or of a file."""
    if given is None or isinstance(given, bytes):
        return given
    if isinstance(given, str) and "-----BEGIN" in given:
        return given.encode()
    try:
        return Path(given).read_bytes()
    except OSError as error:
        raise ConfigError(f"the certificates of authorities cannot be read: {error}", operation="configure the client") from error


def _raw(body: object) -> bytes:
    if isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else machine.dumps(body)


class _SyncClient(_Shared[Batcher], Caller):
    def wait(self, execution: str, *, timeout: float | timedelta = WAIT_MAX) -> models.ExecutionView:
        """Waits until an execution has ended. While the server is away it is asked again.

        Raises `UnknownOutcomeError` when the time runs out: the execution goes on.
        """
        answer = self._native.wait(None, execution, seconds(timeout) or 0.0)
        return shaped(models.ExecutionView, answer, "GET", ("v1", "executions", execution))

    def follow(self, execution: str | None = None, *, workflow: str | None = None) -> Stream[ExecutionUpdate | Missed]:
        """Live updates of executions: of all, of one workflow, or of one execution, whose end is the stream's. A connection that
        breaks is opened again where it was; what cannot be made up for is told as `Missed`."""
        return follow(self._native.follow(execution, workflow))

    def export_customer(self, id: str) -> Export:
        """Everything of one customer as JSON lines, as they come. The last line has the type `end`."""
        return export(self._native.open(parts(("v1", "customers", id, "export")), asked()))

    def send_webhook(
        self,
        trigger: str,
        headers: Mapping[str, str],
        body: object,
        *,
        timeout: float | timedelta | None = None,
    ) -> models.Accepted:
        """Sends a body to a webhook trigger as its provider would, with the headers given. It is not sent again unless it
        certainly was not taken."""
        path = ("v1", "webhooks", trigger)
        how = asked(headers=headers, timeout=timeout, once=True)
        answer = self._native.request(None, "POST", parts(path), how, None, _raw(body), None)
        return shaped(models.Accepted, answer, "POST", path)

    def batcher(
        self,
        *,
        events_max: int = 500,
        bytes_max: int = 512 * 1024,
        wait_max: float | timedelta = 0.02,
        buffer_bytes_max: int = 16 * 1024 * 1024,
        give_up_after: float | timedelta = 300,
    ) -> Batcher:
        """Sends events of any customer in the background, many in a request.

        events_max: events in one request, at most 1,000.
        bytes_max: bytes of events in one request; the server takes a megabyte.
        wait_max: how long an event waits for others.
        buffer_bytes_max: bytes of events that are not settled, at most; `send` waits beyond it.
        give_up_after: for how long a request that may still succeed is sent again before its events have failed.
        """
        wait, give_up = seconds(wait_max) or 0.0, seconds(give_up_after) or 0.0
        native = self._native.batcher(events_max, bytes_max, wait, buffer_bytes_max, give_up)
        batcher = Batcher(native)
        self._batchers.add(batcher)
        return batcher

    def close(self) -> None:
        """Sends what batchers hold, and ends connections and threads, those of views too. Raises `BatchError` if a batcher's
        events were not taken."""
        try:
            for batcher in list(self._batchers):
                batcher.__exit__(None, None, None)
        finally:
            self._native.close()


class _AsyncClient(_Shared[AsyncBatcher], AsyncCaller):
    async def wait(self, execution: str, *, timeout: float | timedelta = WAIT_MAX) -> models.ExecutionView:
        """Waits until an execution has ended. While the server is away it is asked again.

        Raises `UnknownOutcomeError` when the time runs out: the execution goes on.
        """
        answer = await waited(self._native.wait(self._mailbox(), execution, seconds(timeout) or 0.0))
        return shaped(models.ExecutionView, answer, "GET", ("v1", "executions", execution))

    def follow(
        self, execution: str | None = None, *, workflow: str | None = None
    ) -> AsyncStream[ExecutionUpdate | Missed]:
        """Live updates of executions: of all, of one workflow, or of one execution, whose end is the stream's. A connection that
        breaks is opened again where it was; what cannot be made up for is told as `Missed`."""
        return follow_async(self._native.follow(execution, workflow), self._mailbox)

    def export_customer(self, id: str) -> AsyncExport:
        """Everything of one customer as JSON lines, as they come. The last line has the type `end`."""
        return export_async(self._native.open(parts(("v1", "customers", id, "export")), asked()), self._mailbox)

    async def send_webhook(
        self,
        trigger: str,
        headers: Mapping[str, str],
        body: object,
        *,
        timeout: float | timedelta | None = None,
    ) -> models.Accepted:
        """Sends a body to a webhook trigger as its provider would, with the headers given. It is not sent again unless it
        certainly was not taken."""
        path = ("v1", "webhooks", trigger)
        how = asked(headers=headers, timeout=timeout, once=True)
        call = self._native.request(self._mailbox(), "POST", parts(path), how, None, _raw(body), None)
        return shaped(models.Accepted, await waited(call), "POST", path)

    def batcher(
        self,
        *,
        events_max: int = 500,
        bytes_max: int = 512 * 1024,
        wait_max: float | timedelta = 0.02,
        buffer_bytes_max: int = 16 * 1024 * 1024,
        give_up_after: float | timedelta = 300,
    ) -> AsyncBatcher:
        """Sends events of any customer in the background, many in a request.

        events_max: events in one request, at most 1,000.
        bytes_max: bytes of events in one request; the server takes a megabyte.
        wait_max: how long an event waits for others.
        buffer_bytes_max: bytes of events that are not settled, at most; `send` waits beyond it.
        give_up_after: for how long a request that may still succeed is sent again before its events have failed.
        """
        wait, give_up = seconds(wait_max) or 0.0, seconds(give_up_after) or 0.0
        native = self._native.batcher(events_max, bytes_max, wait, buffer_bytes_max, give_up)
        batcher = AsyncBatcher(native, self._mailbox)
        self._batchers.add(batcher)
        return batcher

    async def aclose(self) -> None:
        """Sends what batchers hold, and ends connections and threads, those of views too. Raises `BatchError` if a batcher's
        events were not taken."""
        try:
            for batcher in list(self._batchers):
                await batcher.__aexit__(None, None, None)
        finally:
            self._native.close()


class Customer(_SyncClient, CustomerOperations):
    """A client that is bound to one customer: what it reads, writes and sends is this customer's."""

    @property
    def id(self) -> str:
        """The customer's id."""
        return self._native.customer_id or ""

    def send_many(
        self, events: list[SendEvent], *, idempotency_key: str | None = None, timeout: float | timedelta | None = None
    ) -> models.Accepted:
        """Sends events in one request, all or none. They are durable when this returns."""
        return self._one(
            models.Accepted,
            "POST",
            ("v1", "events"),
            body=list(events),
            idempotency_key=idempotency_key,
            timeout=timeout,
        )

    def run_and_wait(
        self,
        workflow: str,
        input: Any = None,
        *,
        environment: str | None = None,
        timeout: float | timedelta = WAIT_MAX,
        idempotency_key: str | None = None,
    ) -> models.ExecutionView:
        """Runs a workflow and waits for its end. Whether it succeeded is in the execution's status.

        Raises `UnknownOutcomeError` when the time runs out, with the execution's id: it goes on.
        """
        path, how, body = _run(workflow, input, environment, idempotency_key)
        answer = self._native.run_and_wait(None, path, how, body, seconds(timeout) or 0.0)
        return shaped(models.ExecutionView, answer, "POST", path)


class AsyncCustomer(_AsyncClient, AsyncCustomerOperations):
    """A client that is bound to one customer: what it reads, writes and sends is this customer's."""

    @property
    def id(self) -> str:
        """The customer's id."""
        return self._native.customer_id or ""

    async def send_many(
        self, events: list[SendEvent], *, idempotency_key: str | None = None, timeout: float | timedelta | None = None
    ) -> models.Accepted:
        """Sends events in one request, all or none. They are durable when this returns."""
        return await self._one(
            models.Accepted,
            "POST",
            ("v1", "events"),
            body=list(events),
            idempotency_key=idempotency_key,
            timeout=timeout,
        )

    async def run_and_wait(
        self,
        workflow: str,
        input: Any = None,
        *,
        environment: str | None = None,
        timeout: float | timedelta = WAIT_MAX,
        idempotency_key: str | None = None,
    ) -> models.ExecutionView:
        """Runs a workflow and waits for its end. Whether it succeeded is in the execution's status.

        Raises `UnknownOutcomeError` when the time runs out, with the execution's id: it goes on.
        """
        path, how, body = _run(workflow, input, environment, idempotency_key)
        answer = await waited(self._native.run_and_wait(self._mailbox(), path, how, body, seconds(timeout) or 0.0))
        return shaped(models.ExecutionView, answer, "POST", path)


def _run(workflow: str, input: Any, environment: str | None, key: str | None) -> tuple[list[str], Any, dict[str, Any]]:
    body = {"input": input} if environment is None else {"input": input, "environment": environment}
    return parts(("v1", "workflows", workflow, "run")), asked(idempotency_key=key), body


class Fastn(_SyncClient, Operations):
    """A client of one server, for an account. Threads may share it; after a fork each process has connections of its own.

    What is not given is taken from `FASTN_URL`, `FASTN_ACCESS_KEY`, `FASTN_ACCOUNT_ID` and `FASTN_TENANT_ID`, then from the
    nearest `.fastn/config.json`.

    url: the server, e.g. `https://fastn.example.com`.
    access_key: the key.
    account: the account.
    customer: the customer that calls are for; lists and reads show this one only.
    timeout: the longest time of one attempt, in seconds or as a `timedelta`; 75 seconds when not given.
    attempts_max: attempts of a call, the first included; 4 when not given.
    proxy: e.g. `http://proxy.example.com:3128`. Without it `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` are heeded.
    ca_certificates: further authorities to trust: PEM, or the path of a file of it.
    """

    def __init__(
        self,
        *,
        url: str | None = None,
        access_key: str | None = None,
        account: str | None = None,
        customer: str | None = None,
        timeout: float | timedelta | None = None,
        attempts_max: int | None = None,
        proxy: str | None = None,
        ca_certificates: str | bytes | os.PathLike[str] | None = None,
    ) -> None:
        self._configure(
            url=url,
            access_key=access_key,
            account=account,
            customer=customer,
            timeout=timeout,
            attempts_max=attempts_max,
            proxy=proxy,
            ca_certificates=ca_certificates,
        )

    def customer(self, id: str | None = None) -> Customer:
        """The same client bound to one customer: the configured one when none is named."""
        return self._view(Customer, self._native.customer(id))

    def account(self) -> Fastn:
        """The same client for the account as a whole, whatever customer is configured."""
        return self._view(Fastn, self._native.for_account())

    def __enter__(self) -> Fastn:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncFastn(_AsyncClient, AsyncOperations):
    """A client of one server, for an account, for `asyncio` and `uvloop`. Event loops of several threads may share it.

    What is not given is taken from `FASTN_URL`, `FASTN_ACCESS_KEY`, `FASTN_ACCOUNT_ID` and `FASTN_TENANT_ID`, then from the
    nearest `.fastn/config.json`.

    url: the server, e.g. `https://fastn.example.com`.
    access_key: the key.
    account: the account.
    customer: the customer that calls are for; lists and reads show this one only.
    timeout: the longest time of one attempt, in seconds or as a `timedelta`; 75 seconds when not given.
    attempts_max: attempts of a call, the first included; 4 when not given.
    proxy: e.g. `http://proxy.example.com:3128`. Without it `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` are heeded.
    ca_certificates: further authorities to trust: PEM, or the path of a file of it.
    """

    def __init__(
        self,
        *,
        url: str | None = None,
        access_key: str | None = None,
        account: str | None = None,
        customer: str | None = None,
        timeout: float | timedelta | None = None,
        attempts_max: int | None = None,
        proxy: str | None = None,
        ca_certificates: str | bytes | os.PathLike[str] | None = None,
    ) -> None:
        self._configure(
            url=url,
            access_key=access_key,
            account=account,
            customer=customer,
            timeout=timeout,
            attempts_max=attempts_max,
            proxy=proxy,
            ca_certificates=ca_certificates,
        )
        self._mailboxes = weakref.WeakKeyDictionary()

    def customer(self, id: str | None = None) -> AsyncCustomer:
        """The same client bound to one customer: the configured one when none is named."""
        return self._view(AsyncCustomer, self._native.customer(id))

    def account(self) -> AsyncFastn:
        """The same client for the account as a whole, whatever customer is configured."""
        return self._view(AsyncFastn, self._native.for_account())

    async def __aenter__(self) -> AsyncFastn:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
