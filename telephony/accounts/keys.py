"""API keys: how one is made, and what is kept of it."""

from __future__ import annotations

import hashlib
import random
import string

_ALPHABET = string.ascii_letters + string.digits
_LENGTH = 32
HINT = 4
"""How many characters of a key may be shown: its last."""


def make_secret(rng: random.Random, *, live: bool = True) -> str:
    """A new key: 190 random bits behind ``sk_live_`` or ``sk_test_``.

    ``rng`` must be a ``random.SystemRandom`` outside of tests.
    """
    body = "".join(rng.choice(_ALPHABET) for _ in range(_LENGTH))
    return f"sk_{'live' if live else 'test'}_{body}"


def make_pepper(secret_key: str) -> bytes:
    """What keys are hashed under, derived from SECRET_KEY: a stolen table opens nothing."""
    return hashlib.blake2b(secret_key.encode(), digest_size=32, person=b"telephony-keys").digest()


def digest_key(secret: str, pepper: bytes) -> str:
    """Keyed BLAKE2b of a key, 64 hex digits. ``pepper``: 32 bytes."""
    data = secret.encode("utf-8", "surrogateescape")
    return hashlib.blake2b(data, key=pepper, digest_size=32).hexdigest()


def hint(secret: str) -> str:
    """The end of a key, by which its owner knows it."""
    return secret[-HINT:]


def is_live(secret: str) -> bool:
    """Whether a key makes real calls: one that begins ``sk_test_`` does not."""
    return not secret.startswith("sk_test_")
