"""Every failure as ``{"error": str, "code": str}`` with its status (contract section 1.2)."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from telephony.base.errors import (
    BadInput,
    Busy,
    Conflict,
    NotFound,
    Refused,
    TelephonyError,
    Unavailable,
)

STORE_RETRY_SECONDS = 5
FAULT = "INTERNAL"

# The first class that fits decides; a Busy says by its code whose limit it was.
_STATUS: tuple[tuple[type[TelephonyError], int], ...] = (
    (BadInput, 400),
    (NotFound, 404),
    (Conflict, 409),
    (Busy, 503),
    (Refused, 403),
    (Unavailable, 503),
    (TelephonyError, 500),
)
_STATUS_OF_CODE = {
    "TRUNK_BUSY": 429,
    "RATE_LIMITED": 429,
    "IDEMPOTENCY_CONFLICT": 409,
    "BODY_TOO_LARGE": 413,
    "REQUEST_TIMEOUT": 408,
    "LENGTH_REQUIRED": 411,
    "UNAUTHORIZED": 401,
    "INSUFFICIENT_CREDITS": 402,
    "NOT_IMPLEMENTED": 501,
}


def json_reply(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A JSON reply of anything that ``json`` can write."""
    # ASCII, so that half a character of somebody's input cannot break the reply that names it.
    text = json.dumps(body, separators=(",", ":"))
    return web.Response(text=text, status=status, headers=headers, content_type="application/json")


def error_reply(
    status: int,
    code: str,
    message: str,
    *,
    headers: dict[str, str] | None = None,
    **extra: Any,
) -> web.Response:
    """A failure, with further members beside ``error`` and ``code``."""
    return json_reply({"error": message, "code": code, **extra}, status, headers)


def reply_of(error: TelephonyError, fault: str = FAULT) -> web.Response:
    """The reply that an error of ours becomes. ``fault``: the code where the fault is ours."""
    status = _STATUS_OF_CODE.get(error.code) or next(
        status for cls, status in _STATUS if isinstance(error, cls)
    )
    headers: dict[str, str] = {}
    if isinstance(error, Busy):
        headers["Retry-After"] = str(max(1, error.retry_after))
    elif isinstance(error, Unavailable):
        headers["Retry-After"] = str(STORE_RETRY_SECONDS)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status == 500:
        # What went wrong inside is for the log, not for the world.
        return error_reply(500, fault, "internal error")
    return error_reply(status, error.code, error.message, headers=headers, **error.extra())


# What aiohttp itself raises, in our words.
_HTTP = {
    400: ("BAD_REQUEST", "bad request"),
    404: ("NOT_FOUND", "not found"),
    405: ("METHOD_NOT_ALLOWED", "method not allowed"),
    408: ("REQUEST_TIMEOUT", "the request took too long"),
    411: ("LENGTH_REQUIRED", "length required"),
    413: ("BODY_TOO_LARGE", "the body is too large"),
    417: ("EXPECTATION_FAILED", "this expectation cannot be met"),
}


def reply_of_status(status: int, fault: str = FAULT) -> web.Response:
    """The reply of an HTTP failure that has no error of ours behind it."""
    fallback = (fault, "internal error") if status >= 500 else ("BAD_REQUEST", "bad request")
    code, message = _HTTP.get(status, fallback)
    return error_reply(status, code, message)
