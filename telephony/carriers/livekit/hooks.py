"""LiveKit's webhook: ``POST /carriers/livekit/webhook``.

The token in ``Authorization`` is signed with the API secret and holds the hash of the body. What a
webhook says is not believed beyond what it names: legs look for themselves (see ``leg``). Bodies
are never logged: those of rooms hold a ``turnPassword``. Names of rooms hold callers' numbers.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable

import jwt
import structlog
from aiohttp import web
from google.protobuf.json_format import Parse, ParseError
from livekit.api import TokenVerifier
from livekit.protocol.webhook import WebhookEvent

from telephony.base.errors import BadInput, Refused
from telephony.base.number import mask
from telephony.carriers.hook import Hook
from telephony.carriers.livekit.config import LiveKitConfig
from telephony.carriers.livekit.wire import Notice, notice

log = structlog.get_logger("telephony.livekit")

PATH = "/carriers/livekit/webhook"
MAX_BODY = 256 * 1024
BODY_SECONDS = 10.0
MAX_TOKEN = 8192
MAX_KNOWN = 4096
"""Ids that are remembered, so that what is sent again is known."""


class Webhook:
    """``told`` once for each event that concerns a room."""

    def __init__(self, config: LiveKitConfig, told: Callable[[Notice], None]) -> None:
        self._verifier = TokenVerifier(config.key, config.secret)
        self._told = told
        self._known: OrderedDict[str, None] = OrderedDict()

    def routes(self) -> list[Hook]:
        """See ``carriers.hook``."""
        return [Hook("POST", PATH, self.take)]

    async def take(self, request: web.Request) -> web.StreamResponse:
        """200 for everything that LiveKit has signed, known or not.

        Raises:
            Refused: no token of LiveKit's, or of another body (code UNAUTHORIZED).
            BadInput: too large, too slow, or no event.
        """
        token = request.headers.get("Authorization", "")
        claimed = self._claimed(token.removeprefix("Bearer ").strip())
        body = await _body(request)
        if not hmac.compare_digest(hashlib.sha256(body).digest(), claimed):
            raise _unproved()
        try:
            event = Parse(body.decode(), WebhookEvent(), ignore_unknown_fields=True)
        except (ParseError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise BadInput("the body is no webhook event") from error
        found = notice(event)
        if found is not None and self._is_new(found):
            log.debug("livekit.webhook", event_type=found.event, room=mask(found.room))
            self._told(found)
        return web.Response(status=200)

    def _claimed(self, token: str) -> bytes:
        """The body's hash, as the token has it."""
        if not token or len(token) > MAX_TOKEN:
            raise _unproved()
        try:
            claims = self._verifier.verify(token)
            return base64.b64decode(claims.sha256 or "", validate=True)
        except (jwt.PyJWTError, binascii.Error, TypeError, ValueError, AttributeError) as error:
            raise _unproved() from error

    def _is_new(self, found: Notice) -> bool:
        if not found.id:
            return True
        if found.id in self._known:
            return False
        self._known[found.id] = None
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return True


async def _body(request: web.Request) -> bytes:
    if (request.content_length or 0) > MAX_BODY:
        raise BadInput("the body is too large", code="BODY_TOO_LARGE")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.content.iter_chunked(64 * 1024):
                body += chunk
                if len(body) > MAX_BODY:
                    raise BadInput("the body is too large", code="BODY_TOO_LARGE")
    except TimeoutError:
        raise BadInput("the body did not arrive in time", code="REQUEST_TIMEOUT") from None
    except web.RequestPayloadError:
        raise BadInput("the body cannot be read") from None
    return bytes(body)


def _unproved() -> Refused:
    return Refused("this is not signed by LiveKit", code="UNAUTHORIZED")
