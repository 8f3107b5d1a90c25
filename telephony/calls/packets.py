"""Data packets of a room, as browsers and agents speak them (contract section 14.2)."""

from __future__ import annotations

import json

from telephony.calls.meeting import MAX_DATA

TYPES = {"respond": "user_message", "context": "contextual_update"}
"""What becomes of a message: it is answered, or only known."""


def message_packets(message: str, text: str, mode: str) -> list[bytes]:
    """A text for the agent: one packet, or several where it does not fit one.

    Of several the last alone is what ``mode`` makes of it and the others are context before it,
    so that an agent which knows nothing of parts still has the whole text and answers once.
    ``message`` is its id, ``part`` and ``parts`` say how it was cut.
    """
    pieces = _cut(text, MAX_DATA - 200)
    packets = []
    for number, piece in enumerate(pieces, 1):
        kind = TYPES[mode] if number == len(pieces) else TYPES["context"]
        packet: dict[str, object] = {"type": kind, "text": piece, "message_id": message}
        if len(pieces) > 1:
            packet |= {"part": number, "parts": len(pieces)}
        packets.append(_packed(packet))
    return packets


def _packed(packet: dict[str, object]) -> bytes:
    text = json.dumps(packet, ensure_ascii=False, separators=(",", ":"))
    # A lone surrogate is no text that anybody could send on.
    return text.encode("utf-8", "replace")


def _size(text: str) -> int:
    return len(json.dumps(text, ensure_ascii=False).encode("utf-8", "replace"))


def _cut(text: str, ceiling: int) -> list[str]:
    """Pieces of at most so many octets each, cut between words where there are any."""
    pieces = []
    while _size(text) > ceiling:
        low, high = 1, len(text)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if _size(text[:middle]) <= ceiling else (low, middle - 1)
        space = text.rfind(" ", low // 2, low)
        end = space + 1 if space > 0 else low
        pieces.append(text[:end])
        text = text[end:]
    return [*pieces, text]
