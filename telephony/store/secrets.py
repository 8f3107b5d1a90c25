"""What is kept at rest under SECRET_KEY: the passwords of trunks and phones."""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from telephony.base.errors import ConfigError


def derive(secret_key: str, purpose: str) -> bytes:
    """32 bytes of SECRET_KEY for one purpose; those of another purpose tell nothing of it."""
    kdf = HKDF(SHA256(), length=32, salt=None, info=b"telephony/" + purpose.encode())
    return kdf.derive(secret_key.encode())


class Cipher:
    """Seals and opens short texts (Fernet: AES-128-CBC and HMAC-SHA256)."""

    def __init__(self, secret_key: str) -> None:
        if not secret_key:
            raise ConfigError("secret_key is empty", field="secret_key")
        self._fernet = Fernet(base64.urlsafe_b64encode(derive(secret_key, "store")))

    def seal(self, text: str) -> str:
        """The sealed text; nothing stays nothing."""
        return self._fernet.encrypt(text.encode()).decode() if text else ""

    def open(self, sealed: str, whose: str) -> str:
        """What was sealed.

        Raises:
            ConfigError: it was sealed under another SECRET_KEY, or changed since.
        """
        if not sealed:
            return ""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken as error:
            raise ConfigError(
                f"the password of {whose} was stored under another secret_key: "
                "restore that key, or set the password again",
                field="secret_key",
            ) from error
