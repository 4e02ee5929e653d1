"""The fastn client for Python.

    from fastn import Fastn

    with Fastn() as fastn:
        acme = fastn.customer("cus_acme")
        acme.send({"type": "user.signed_up", "data": {"email": "ada@example.com"}})

`Fastn` is for threads, `AsyncFastn` for event loops. Answers are dictionaries with attributes (`fastn.models`), what is sent is a
dictionary with the names of the wire (`fastn.types`), and every failure is a `FastnError` (`fastn.errors`).
"""

from . import errors, models, types
from ._batch import AsyncBatcher, Batcher, FailedEvent, Flushed
from ._client import AsyncCustomer, AsyncFastn, Customer, Fastn
from ._pages import AsyncPager, Page, Pager
from ._streams import AsyncExport, AsyncStream, Export, Missed, Stream
from ._version import __version__
from ._webhook import verify_webhook

# Derived by `generate.py` from here on.
from .errors import (
    ApiError as ApiError,
    AuthExpiredError as AuthExpiredError,
    AuthInvalidError as AuthInvalidError,
    BadAnswerError as BadAnswerError,
    BatchError as BatchError,
    ConfigError as ConfigError,
    ConflictError as ConflictError,
    DbError as DbError,
    EvtWebhookAuthFailedError as EvtWebhookAuthFailedError,
    FastnError as FastnError,
    FieldError as FieldError,
    ForbiddenError as ForbiddenError,
    InternalError as InternalError,
    MethodNotAllowedError as MethodNotAllowedError,
    NotFoundError as NotFoundError,
    PayloadTooLargeError as PayloadTooLargeError,
    QuotaExceededError as QuotaExceededError,
    RateLimitedError as RateLimitedError,
    ServiceUnavailableError as ServiceUnavailableError,
    TimeoutError as TimeoutError,
    UnknownOutcomeError as UnknownOutcomeError,
    UnreachableError as UnreachableError,
    UnsupportedMediaTypeError as UnsupportedMediaTypeError,
    UpstreamError as UpstreamError,
    ValidationError as ValidationError,
    WebhookVerificationError as WebhookVerificationError,
    WfCancelledError as WfCancelledError,
    WfExecFailedError as WfExecFailedError,
    WfTimeoutError as WfTimeoutError,
    WorkflowInvalidError as WorkflowInvalidError,
    WorkflowNotPublishedError as WorkflowNotPublishedError,
    WrongRegionError as WrongRegionError,
)

__all__ = [
    "ApiError",
    "AsyncBatcher",
    "AsyncCustomer",
    "AsyncExport",
    "AsyncFastn",
    "AsyncPager",
    "AsyncStream",
    "AuthExpiredError",
    "AuthInvalidError",
    "BadAnswerError",
    "BatchError",
    "Batcher",
    "ConfigError",
    "ConflictError",
    "Customer",
    "DbError",
    "EvtWebhookAuthFailedError",
    "Export",
    "FailedEvent",
    "Fastn",
    "FastnError",
    "FieldError",
    "Flushed",
    "ForbiddenError",
    "InternalError",
    "MethodNotAllowedError",
    "Missed",
    "NotFoundError",
    "Page",
    "Pager",
    "PayloadTooLargeError",
    "QuotaExceededError",
    "RateLimitedError",
    "ServiceUnavailableError",
    "Stream",
    "UnknownOutcomeError",
    "UnreachableError",
    "UnsupportedMediaTypeError",
    "UpstreamError",
    "ValidationError",
    "WebhookVerificationError",
    "WfCancelledError",
    "WfExecFailedError",
    "WfTimeoutError",
    "WorkflowInvalidError",
    "WorkflowNotPublishedError",
    "WrongRegionError",
    "__version__",
    "errors",
    "models",
    "types",
    "verify_webhook",
]
