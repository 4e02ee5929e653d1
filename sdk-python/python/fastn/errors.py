"""The errors of the API, a class for each code, and those of the client.

Derived by `generate.py`: do not edit.
"""

from __future__ import annotations

from ._failure import (
    ApiError as ApiError,
    BadAnswerError as BadAnswerError,
    BatchError as BatchError,
    ConfigError as ConfigError,
    FastnError as FastnError,
    FieldError as FieldError,
    UnknownOutcomeError as UnknownOutcomeError,
    UnreachableError as UnreachableError,
    WebhookVerificationError as WebhookVerificationError,
)


class AuthInvalidError(ApiError):
    """`AUTH_INVALID`: The request carries no access key, or one that this server does not know."""


class AuthExpiredError(ApiError):
    """`AUTH_EXPIRED`: The access key was valid, and its time is over."""


class ForbiddenError(ApiError):
    """`FORBIDDEN`: The key is known, but it may not do this: it belongs to another account, acts for one customer only, or the customer is suspended."""


class NotFoundError(ApiError):
    """`NOT_FOUND`: There is no such object, or it is not within reach of this key. The answer is the same for both, so that nobody learns what others have."""


class MethodNotAllowedError(ApiError):
    """`METHOD_NOT_ALLOWED`: The path exists, but not with this method."""


class ValidationError(ApiError):
    """`VALIDATION_ERROR`: A part of the request is not valid. `errors` names each part with its path into the body, or the name of the parameter or header."""


class ConflictError(ApiError):
    """`CONFLICT`: The object was changed since you read it, exists already, or its state does not allow this; or a run that the workflow's singleton lets run alone has not ended; or the `Idempotency-Key` was used for another request."""


class WrongRegionError(ApiError):
    """`WRONG_REGION`: The customer's data is kept in another region than the one that this cell serves. Nothing of the request was stored."""


class PayloadTooLargeError(ApiError):
    """`PAYLOAD_TOO_LARGE`: The body is larger than the limit: 1 MiB for one event, 2 MiB for a request to the API, or less where a quota (`payloadBytes`) says so."""


class UnsupportedMediaTypeError(ApiError):
    """`UNSUPPORTED_MEDIA_TYPE`: The `Content-Type` or `Content-Encoding` is not one that this endpoint understands."""


class RateLimitedError(ApiError):
    """`RATE_LIMITED`: Too many requests or events in this minute. The field `RateLimit` says what is left of which limit."""


class QuotaExceededError(ApiError):
    """`QUOTA_EXCEEDED`: A quota of the customer or account is used up: events or API calls of the day, workflows, triggers. Or an execution asked for
    more steps than it may take; then the code is the execution's error. Running work goes on; new work is refused. A refused event
    is kept and shown under Events.
    """


class InternalError(ApiError):
    """`INTERNAL_ERROR`: The server failed. This is a defect; the server's log has the reason."""


class ServiceUnavailableError(ApiError):
    """`SERVICE_UNAVAILABLE`: The server cannot take the request now: it starts, stops, is overloaded, or its disk is full."""


class UpstreamError(ApiError):
    """`UPSTREAM_ERROR`: A system that the request needs answered with an error."""


class DbError(ApiError):
    """`DB_ERROR`: The database failed, or holds something that cannot be read."""


class TimeoutError(ApiError):
    """`TIMEOUT`: The request took longer than its limit. If it started an execution, that goes on: its id is in `executionId`."""


class WfExecFailedError(ApiError):
    """`WF-EXEC-FAILED`: The workflow ended with an error of its own. The detail has its message and its place in the TypeScript."""


class WfTimeoutError(ApiError):
    """`WF-TIMEOUT`: The workflow did not finish within its limit."""


class WfCancelledError(ApiError):
    """`WF-CANCELLED`: Somebody cancelled the execution before it ended."""


class WorkflowNotPublishedError(ApiError):
    """`WORKFLOW_NOT_PUBLISHED`: The workflow has no published version, none in this environment, not the version asked for, or it is disabled."""


class WorkflowInvalidError(ApiError):
    """`WORKFLOW_INVALID`: The TypeScript does not compile. `errors` has the message, and the line and column where known."""


class EvtWebhookAuthFailedError(ApiError):
    """`EVT-WEBHOOK-AUTH-FAILED`: The signature, timestamp or token of the webhook is wrong, so nobody knows who sent it. Nothing was taken."""


BY_NAME: dict[str, type[FastnError]] = {
    "ApiError": ApiError,
    "AuthExpiredError": AuthExpiredError,
    "AuthInvalidError": AuthInvalidError,
    "BadAnswerError": BadAnswerError,
    "ConfigError": ConfigError,
    "ConflictError": ConflictError,
    "DbError": DbError,
    "EvtWebhookAuthFailedError": EvtWebhookAuthFailedError,
    "FastnError": FastnError,
    "ForbiddenError": ForbiddenError,
    "InternalError": InternalError,
    "MethodNotAllowedError": MethodNotAllowedError,
    "NotFoundError": NotFoundError,
    "PayloadTooLargeError": PayloadTooLargeError,
    "QuotaExceededError": QuotaExceededError,
    "RateLimitedError": RateLimitedError,
    "ServiceUnavailableError": ServiceUnavailableError,
    "TimeoutError": TimeoutError,
    "UnknownOutcomeError": UnknownOutcomeError,
    "UnreachableError": UnreachableError,
    "UnsupportedMediaTypeError": UnsupportedMediaTypeError,
    "UpstreamError": UpstreamError,
    "ValidationError": ValidationError,
    "WebhookVerificationError": WebhookVerificationError,
    "WfCancelledError": WfCancelledError,
    "WfExecFailedError": WfExecFailedError,
    "WfTimeoutError": WfTimeoutError,
    "WorkflowInvalidError": WorkflowInvalidError,
    "WorkflowNotPublishedError": WorkflowNotPublishedError,
    "WrongRegionError": WrongRegionError,
}
"""Each class by its name, which is the same in every language."""

__all__ = [
    "ApiError",
    "AuthExpiredError",
    "AuthInvalidError",
    "BadAnswerError",
    "BatchError",
    "ConfigError",
    "ConflictError",
    "DbError",
    "EvtWebhookAuthFailedError",
    "FastnError",
    "FieldError",
    "ForbiddenError",
    "InternalError",
    "MethodNotAllowedError",
    "NotFoundError",
    "PayloadTooLargeError",
    "QuotaExceededError",
    "RateLimitedError",
    "ServiceUnavailableError",
    "TimeoutError",
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
]
