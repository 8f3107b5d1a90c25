"""URLs that carry their own permission: one file, until a time, without a key."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

RECORDING_URL_LIFE = timedelta(minutes=5)
TOKEN_CEILING = 1000


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token opens. ``message`` names one of the call's messages; None: the recording."""

    organization: str
    session: str
    expires: datetime
    message: str | None = None


@dataclass(frozen=True, slots=True)
class UploadGrant:
    """What an upload's token lets in: the bytes of one document, until a time."""

    organization: str
    base: str
    document: str
    expires: datetime


class Signer:
    """Writes and reads tokens under SECRET_KEY."""

    def __init__(self, secret_key: str) -> None:
        self._key = hashlib.blake2b(
            secret_key.encode(), digest_size=32, person=b"telephony-urls"
        ).digest()

    def sign(self, grant: Grant) -> str:
        """The token of a grant: URL-safe."""
        expires = int(grant.expires.timestamp())
        return self._seal([grant.organization, grant.session, expires, grant.message])

    def sign_upload(self, grant: UploadGrant) -> str:
        """The token of an upload. It opens nothing else, for it has a member more."""
        expires = int(grant.expires.timestamp())
        return self._seal([grant.organization, grant.base, expires, grant.document, "upload"])

    def open(self, token: str, now: datetime) -> Grant | None:
        """The grant, or None: forged, changed or expired."""
        match self._unseal(token, now):
            case [organization, session, until, message]:
                return Grant(organization, session, until, message)
        return None

    def open_upload(self, token: str, now: datetime) -> UploadGrant | None:
        """The grant of an upload, or None: forged, changed or expired."""
        match self._unseal(token, now):
            case [organization, base, until, document, "upload"]:
                return UploadGrant(organization, base, document, until)
        return None

    def _seal(self, fields: list[Any]) -> str:
        body = _text(json.dumps(fields, separators=(",", ":")).encode())
        return f"{body}.{_text(self._mac(body))}"

    def _unseal(self, token: str, now: datetime) -> list[Any] | None:
        """What was sealed, the third of it as a time; None where that is over."""
        body, _, mac = token.partition(".")
        if len(token) > TOKEN_CEILING or not token.isascii():
            return None
        if not hmac.compare_digest(mac, _text(self._mac(body))):
            return None
        try:
            padded = body + "=" * (-len(body) % 4)
            first, second, expires, *rest = json.loads(base64.urlsafe_b64decode(padded))
        except (ValueError, binascii.Error):
            return None
        until = datetime.fromtimestamp(expires, tz=now.tzinfo)
        return [first, second, until, *rest] if now < until else None

    def _mac(self, body: str) -> bytes:
        return hashlib.blake2b(body.encode(), key=self._key, digest_size=24).digest()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
