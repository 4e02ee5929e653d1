"""What every error of the client has, and those that are no code of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ._batch import Flushed


class FieldError(NamedTuple):
    """A part of a request that is not valid."""

    path: str
    """Where, e.g. `routes[0].workflow`."""
    message: str
    """What is wrong with it."""


class FastnError(Exception):
    """A call that failed. `str()` says what was attempted, what happened, and what to do."""

    operation: str
    """What was attempted, e.g. `GET /v1/events`."""
    detail: str
    """What happened and what to do."""
    code: str | None
    """The public code, e.g. `QUOTA_EXCEEDED`, when the server answered with one."""
    status: int | None
    """The HTTP status, when the server answered."""
    request_id: str | None
    """By which the server's log tells of the request."""
    retry_after: float | None
    """Seconds to wait before another attempt, when the server says so."""
    details: dict[str, Any]
    """The problem document as the server sent it; empty when there was none."""
    execution_id: str | None
    """The execution that the request started, if it did."""
    fields: list[FieldError]
    """The parts of the request that are not valid."""
    base_url: str | None
    """The server of the customer's region, when the one that was asked serves another."""

    def __init__(
        self,
        detail: str,
        *,
        operation: str = "",
        code: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        details: object = None,
        execution_id: str | None = None,
        fields: list[tuple[str, str]] | None = None,
        base_url: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.operation = operation
        self.detail = detail
        self.details = details if isinstance(details, dict) else {}
        told = self.details.get("code")
        self.code = code if code is not None or not isinstance(told, str) else told
        self.status = status
        self.request_id = request_id
        self.retry_after = retry_after
        self.execution_id = execution_id
        self.fields = [FieldError(path, message) for path, message in fields or ()]
        self.base_url = base_url

    def __str__(self) -> str:
        told = f"{self.operation}: {self.detail}" if self.operation else self.detail
        told += "".join(f"\n  {path}: {message}" for path, message in self.fields if message not in self.detail)
        return f"{told} (request {self.request_id})" if self.request_id else told

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.detail, self.__dict__)


def _restored(kind: type[FastnError], detail: str, state: dict[str, Any]) -> FastnError:
    error = kind.__new__(kind, detail)
    error.__dict__.update(state)
    return error


class ApiError(FastnError):
    """The server answered with an error. Each code has a class of its own; this one stands for codes of a newer server."""


class ConfigError(FastnError):
    """The client is not configured, or is closed: a key is missing, the URL is no URL, an id is empty."""


class UnreachableError(FastnError):
    """The server could not be reached; the request was not taken."""


class UnknownOutcomeError(FastnError):
    """The connection broke or the time ran out: the request may have been taken. With the same idempotency key it is safe to make
    it again."""


class BadAnswerError(FastnError):
    """The server's answer was not understood."""


class WebhookVerificationError(FastnError):
    """A message that claims to be fastn's is not to be trusted."""


class BatchError(FastnError):
    """Events of a batcher were not sent: `flushed.failed` has them, each with the reason."""

    flushed: Flushed

    def __init__(self, detail: str, flushed: Flushed) -> None:
        super().__init__(detail, operation="send events")
        self.flushed = flushed


def make(name: str, detail: str, **told: Any) -> FastnError:
    """The error of a name; the machinery calls it."""
    from .errors import BY_NAME

    return BY_NAME.get(name, ApiError)(detail, **told)
