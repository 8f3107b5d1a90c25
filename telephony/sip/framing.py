"""Messages out of a byte stream (RFC 3261 §18.3, RFC 5626 §3.5.1).

The framer keeps what has not become a message yet, never more than one message's ceiling, and
looks at each byte a constant number of times however the stream is cut into pieces. When a length
cannot be known the stream is lost: `failed` is set, and whoever owns it answers what can be
answered and closes it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from telephony.sip.limits import (
    MAX_BODY,
    MAX_CONTENT_LENGTH_DIGITS,
    MAX_MESSAGE,
    MAX_STREAM_HEAD,
)
from telephony.sip.message import Request, Response
from telephony.sip.parser import Malformed, parse, refuse

_LENGTHS = re.compile(
    rb"\r\n(?:content-length|l)[ \t]*+:[ \t]*+(?:\r\n[ \t]++)?([^\r\n]*+(?:\r\n[ \t])?)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """A double CRLF between messages, to be answered with a single one. Several that come in one
    piece count once, so that nobody makes us send more than he does."""


Framed = Request | Response | Malformed | KeepAlive


class StreamFramer:
    """One direction of one connection. Feed it what was read; never raises.

    failed: "" while the stream can go on, else why it must be closed. `mid_message` tells whether
    a message has begun that is not whole, for the deadline its owner keeps.
    """

    __slots__ = ("_buffer", "_half_ping", "_head_end", "_need", "_scanned", "failed")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scanned = 0
        self._head_end = -1
        self._need = 0
        self._half_ping = False
        self.failed = ""

    @property
    def mid_message(self) -> bool:
        """Whether a message has begun and is not whole."""
        return len(self._buffer) > 0 and not self.failed

    @property
    def buffered(self) -> int:
        """Bytes kept."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Framed]:
        """What `data` completes, in order; nothing once `failed` is set."""
        out: list[Framed] = []
        if self.failed:
            return out
        self._buffer += data
        start = 0
        while not self.failed:
            if self._head_end < 0:
                start = self._skip_blank(start, out)
                if not self._find_head(start, out):
                    break
            end = self._need
            if len(self._buffer) < end:
                break
            out.append(parse(bytes(self._buffer[start:end])))
            start = self._scanned = end
            self._head_end = -1
        if self.failed:
            self._buffer.clear()
        elif start:
            # Once per feed, not per message: pipelined messages are not moved again and again.
            del self._buffer[:start]
            self._scanned -= start
            if self._head_end >= 0:
                self._head_end -= start
                self._need -= start
        return out

    def end(self) -> Malformed | None:
        """The stream has ended; what can be said of a message that was cut off."""
        if not self.mid_message:
            return None
        rest = bytes(self._buffer)
        self._buffer.clear()
        self.failed = self.failed or "stream ended within a message"
        return refuse(rest, 400, "Message cut off")

    def _skip_blank(self, start: int, out: list[Framed]) -> int:
        """Drop CRLFs before a start line; each second one in a row completes a ping."""
        buffer = self._buffer
        while buffer.startswith(b"\r\n", start):
            start += 2
            if self._half_ping and not (out and isinstance(out[-1], KeepAlive)):
                out.append(KeepAlive())
            self._half_ping = not self._half_ping
        if start < len(buffer) and buffer[start] != 13:
            self._half_ping = False
        self._scanned = max(self._scanned, start)
        return start

    def _find_head(self, start: int, out: list[Framed]) -> bool:
        """Look for the end of the headers and work out where the message ends."""
        buffer = self._buffer
        # Three bytes back: the empty line may be cut anywhere.
        found = buffer.find(b"\r\n\r\n", max(start, self._scanned - 3))
        size = found - start if found >= 0 else len(buffer) - start
        if size > MAX_STREAM_HEAD:
            self._fail(start, found, 513, "Message Too Large", out)
            return False
        if found < 0:
            self._scanned = len(buffer)
            return False
        lengths = {match[1].strip(b" \t") for match in _LENGTHS.finditer(buffer, start, found)}
        if len(lengths) != 1:
            reason = "Differing Content-Length" if lengths else "Missing Content-Length"
            self._fail(start, found, 400, reason, out)
            return False
        text = lengths.pop()
        if not text.isdigit() or len(text) > MAX_CONTENT_LENGTH_DIGITS:
            self._fail(start, found, 400, "Malformed Content-Length", out)
            return False
        length = int(text)
        if length > MAX_BODY or size + length > MAX_MESSAGE:
            self._fail(start, found, 513, "Message Too Large", out)
            return False
        self._head_end = found + 4
        self._need = found + 4 + length
        return True

    def _fail(self, start: int, found: int, status: int, reason: str, out: list[Framed]) -> None:
        stop = found if found >= 0 else start + MAX_STREAM_HEAD
        out.append(refuse(bytes(self._buffer[start:stop]), status, reason))
        self.failed = reason
