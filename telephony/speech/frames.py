"""What goes over the pipe to the synthesiser: a JSON header and octets, prefixed by lengths."""

from __future__ import annotations

import json
import struct
from typing import Any

MAX_FRAME = 16 * 1024 * 1024
"""Octets of a frame: ten minutes at 8 kHz are 9.6 million."""
PREFIX = struct.Struct("!LL")

Header = dict[str, Any]


class FrameError(ValueError):
    """The pipe carries something else; the process at its end is of no more use."""


def pack(header: Header, body: bytes = b"") -> bytes:
    """One frame: length of all that follows the prefix, length of the header, header, body."""
    text = json.dumps(header).encode()
    return PREFIX.pack(len(text) + len(body), len(text)) + text + body


def sizes(prefix: bytes) -> tuple[int, int]:
    """(whole, header) lengths in the eight octets before a frame.

    Raises:
        FrameError: over the ceiling or contradictory.
    """
    whole, head = PREFIX.unpack(prefix)
    if whole > MAX_FRAME or head > whole:
        raise FrameError(f"a frame of {whole} octets with a header of {head}")
    return whole, head


def unpack(content: bytes, head: int) -> tuple[Header, bytes]:
    """Header and body of what followed the prefix.

    Raises:
        FrameError: the header is no JSON object.
    """
    try:
        header = json.loads(content[:head])
    except ValueError as error:
        raise FrameError("a header that is no JSON") from error
    if not isinstance(header, dict):
        raise FrameError("a header that is no object")
    return header, content[head:]
