"""Reading a JSON body: whole, in time, and nothing that would hurt later."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any, NoReturn

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from telephony.base.errors import BadInput

MAX_BODY = 1024 * 1024
BODY_SECONDS = 20.0
MAX_DEPTH = 64


async def read_object(request: web.Request) -> dict[str, Any]:
    """The body as a JSON object; an empty one is ``{}``, whatever its type is said to be.

    Raises:
        BadInput: not JSON, not an object, a key twice, NaN, too deep; too large (code
            BODY_TOO_LARGE) or too slow (code REQUEST_TIMEOUT).
    """
    try:
        async with asyncio.timeout(BODY_SECONDS):
            raw = await request.read()
    except TimeoutError:
        raise BadInput("the body did not arrive in time", code="REQUEST_TIMEOUT") from None
    except web.HTTPRequestEntityTooLarge:
        raise _too_large() from None
    except (web.RequestPayloadError, HttpProcessingError):
        raise BadInput("the body cannot be read: broken encoding or length") from None
    if len(raw) > MAX_BODY:
        raise _too_large()
    if not raw.strip():
        return {}
    return parse_object(raw)


def _too_large() -> BadInput:
    return BadInput(f"the body is larger than {MAX_BODY} bytes", code="BODY_TOO_LARGE")


def parse_object(raw: bytes) -> dict[str, Any]:
    """A JSON object from its bytes. Raises BadInput."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"the body is not UTF-8 (byte {error.start})") from None
    try:
        value = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite
        )
    except RecursionError:
        raise BadInput(f"the body is nested deeper than {MAX_DEPTH} levels") from None
    except json.JSONDecodeError as error:
        raise BadInput(
            f"the body is not JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        ) from None
    except ValueError as error:
        # An integer of more digits than the interpreter converts (4,300).
        raise BadInput(f"the body is not JSON that can be used: {error}") from None
    if not isinstance(value, dict):
        raise BadInput("the body must be a JSON object")
    _check(value)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise BadInput(f"{key}: this key stands in the object twice", field=key)
            seen.add(key)
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise BadInput(f"the body is not JSON: {name} is no number")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise BadInput("the body holds a number that is too large")
    return value


def _check(root: dict[str, Any]) -> None:
    """Depth, and strings that no database takes: lone surrogates and NUL."""
    level: list[tuple[str, Any]] = [("", root)]
    depth = 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise BadInput(f"the body is nested deeper than {MAX_DEPTH} levels")
        below: list[tuple[str, Any]] = []
        for path, value in level:
            if isinstance(value, dict):
                for key, item in value.items():
                    _check_text(path or key, key)
                    below.append((path or key, item))
            elif isinstance(value, list):
                below.extend((path, item) for item in value)
            elif isinstance(value, str):
                _check_text(path, value)
        level = below


def _check_text(field: str, text: str) -> None:
    if text.isascii():
        bad = "\x00" in text
    else:
        bad = "\x00" in text or any("\ud800" <= char <= "\udfff" for char in text)
    if bad:
        shown = field.encode("ascii", "replace").decode().replace("\x00", "?")
        raise BadInput(f"{shown}: text with a NUL or half a character", field=shown)
