"""Bearer keys: a keyed digest is looked up, so a lookup's time says nothing of a key."""

from __future__ import annotations

from collections import OrderedDict
from datetime import timedelta

import structlog
from aiohttp import web

from telephony.accounts.keys import digest_key, make_pepper
from telephony.accounts.model import Key
from telephony.accounts.ports import KeyStore
from telephony.api.routes import Caller
from telephony.base.clock import Clock
from telephony.base.errors import StoreUnavailable, TelephonyError

log = structlog.get_logger("telephony.api")

CACHE_SECONDS = 5.0
STALE_SECONDS = 3600.0
CACHE_CEILING = 1024
TOUCH_EVERY = timedelta(minutes=1)
KEY_CEILING = 200


class Unauthorized(TelephonyError):
    """No key, or none that opens anything."""

    code = "UNAUTHORIZED"


class Authenticator:
    """Finds who asks.

    A key that was found is remembered for ``CACHE_SECONDS``, which is how long a revoked one may
    still open; while the store is away it stays good for ``STALE_SECONDS``, so that a live call
    can be ended.
    """

    def __init__(self, keys: KeyStore, clock: Clock, secret_key: str) -> None:
        self._keys = keys
        self._clock = clock
        self._pepper = make_pepper(secret_key)
        self._known: OrderedDict[str, tuple[Key, float]] = OrderedDict()

    async def caller(self, request: web.Request) -> Caller:
        """Who asks. Raises Unauthorized or StoreUnavailable."""
        scheme, _, presented = request.headers.get("Authorization", "").strip().partition(" ")
        presented = presented.strip()
        if scheme.lower() != "bearer" or not presented or len(presented) > KEY_CEILING:
            raise Unauthorized("Unauthorized")
        key = await self._find(digest_key(presented, self._pepper))
        now = self._clock.now()
        if key is None or (key.expires_at is not None and key.expires_at <= now):
            raise Unauthorized("Unauthorized")
        return Caller(
            organization=key.organization,
            key=key.id,
            live=key.live,
            scopes=key.scopes,
            requests_per_second=key.requests_per_second,
        )

    async def _find(self, digest: str) -> Key | None:
        now = self._clock.monotonic()
        known = self._known.get(digest)
        if known is not None and now - known[1] < CACHE_SECONDS:
            return known[0]
        try:
            key = await self._keys.by_digest(digest)
            if key is not None:
                await self._touch(key)
        except StoreUnavailable:
            if known is not None and now - known[1] < STALE_SECONDS:
                return known[0]
            raise
        self._known.pop(digest, None)
        if key is not None:
            self._known[digest] = (key, now)
            if len(self._known) > CACHE_CEILING:
                self._known.popitem(last=False)
        return key

    async def _touch(self, key: Key) -> None:
        """Write the last use, once a minute: not worth a write a request."""
        now = self._clock.now()
        if key.last_used_at is None or now - key.last_used_at >= TOUCH_EVERY:
            await self._keys.touch(key.id, now)
