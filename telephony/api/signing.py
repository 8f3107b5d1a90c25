"""URLs that carry their own permission: one file, until a time, without a key."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import datetime, timedelta

RECORDING_URL_LIFE = timedelta(minutes=5)
TOKEN_CEILING = 1000


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token opens. ``message`` names one of the call's messages; None: the recording."""

    organization: str
    session: str
    expires: datetime
    message: str | None = None


class Signer:
    """Writes and reads tokens under SECRET_KEY."""

    def __init__(self, secret_key: str) -> None:
        self._key = hashlib.blake2b(
            secret_key.encode(), digest_size=32, person=b"telephony-urls"
        ).digest()

    def sign(self, grant: Grant) -> str:
        """The token of a grant: URL-safe."""
        fields = [grant.organization, grant.session, int(grant.expires.timestamp()), grant.message]
        body = _text(json.dumps(fields, separators=(",", ":")).encode())
        return f"{body}.{_text(self._mac(body))}"

    def open(self, token: str, now: datetime) -> Grant | None:
        """The grant, or None: forged, changed or expired."""
        body, _, mac = token.partition(".")
        if len(token) > TOKEN_CEILING or not token.isascii():
            return None
        if not hmac.compare_digest(mac, _text(self._mac(body))):
            return None
        try:
            padded = body + "=" * (-len(body) % 4)
            organization, session, expires, message = json.loads(base64.urlsafe_b64decode(padded))
        except (ValueError, binascii.Error):
            return None
        until = datetime.fromtimestamp(expires, tz=now.tzinfo)
        return Grant(organization, session, until, message) if now < until else None

    def _mac(self, body: str) -> bytes:
        return hashlib.blake2b(body.encode(), key=self._key, digest_size=24).digest()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
