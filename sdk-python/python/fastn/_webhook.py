"""Verifies what fastn itself sends, such as messages of alerts (Standard Webhooks)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Iterable, Mapping, cast

from . import _native as machine
from ._caller import seconds


def verify_webhook(
    secrets: str | Iterable[str],
    headers: Mapping[str, str] | Iterable[tuple[str, str]],
    body: bytes | str,
    *,
    now: datetime | None = None,
    tolerance: float | timedelta = 300,
) -> None:
    """Checks that a message is fastn's, by its headers and its body as it came, before anything has read it.

    `secrets` are the `whsec_…` keys that are valid now: two while one takes the other's place. Remember `webhook-id` to take
    each message once. `now` and `tolerance` say how far the message's time may lie from now.

    Raises `WebhookVerificationError` when it is not to be trusted.
    """
    given: Iterable[tuple[str, str]]
    if isinstance(headers, Mapping):
        given = cast("Mapping[str, str]", headers).items()
    else:
        given = headers
    machine.verify_webhook(
        [secrets] if isinstance(secrets, str) else list(secrets),
        [(name.lower(), value) for name, value in given],
        body.encode() if isinstance(body, str) else body,
        None if now is None else now.timestamp(),
        seconds(tolerance) or 0.0,
    )
