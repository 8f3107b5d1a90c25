"""Messages out of a stream: RFC 3261 §18.3, RFC 5626 §3.5.1."""

from __future__ import annotations

from pathlib import Path

import pytest

from telephony.sip import limits
from telephony.sip.framing import Framed, KeepAlive, StreamFramer
from telephony.sip.message import Request
from telephony.sip.parser import Malformed

VECTORS = Path(__file__).parents[2] / "vectors" / "rfc4475"

HEAD = (
    "{method} sip:b@example.com SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKabc\r\n"
    "From: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>\r\nCall-ID: id\r\n"
    "CSeq: 1 {method}\r\n{extra}\r\n"
)


def message(extra: str = "Content-Length: 0\r\n", body: bytes = b"", method: str = "INFO") -> bytes:
    return HEAD.format(method=method, extra=extra).encode() + body


def kinds(items: list[Framed]) -> list[str]:
    return [i.method if isinstance(i, Request) else type(i).__name__ for i in items]


STREAM = (
    message("l : 5\r\n", b"\r\n\r\nx")
    + b"\r\n"
    + message(method="BYE")
    + b"\r\n\r\n"
    + message("content-length:\r\n 3\r\n", b"abc", "MESSAGE")
    + b"\r\n"
)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 10_000])
def test_any_cut_gives_the_same_messages(size: int) -> None:
    framer = StreamFramer()
    items: list[Framed] = []
    for start in range(0, len(STREAM), size):
        items += framer.feed(STREAM[start : start + size])
    assert kinds(items) == ["INFO", "BYE", "KeepAlive", "MESSAGE"]
    assert [i.body for i in items if isinstance(i, Request)] == [b"\r\n\r\nx", b"", b"abc"]
    assert not framer.failed and not framer.mid_message


def test_one_byte_segments_are_looked_at_once() -> None:
    """Each feed searches from three bytes before what was searched, not from the start."""

    class Watched(bytearray):
        looked = 0

        def find(self, sub: bytes, start: int = 0, *rest: int) -> int:  # type: ignore[override]
            Watched.looked += len(self) - start
            return super().find(sub, start, *rest)

    framer = StreamFramer()
    framer._buffer = Watched()
    data = message("X: " + "y" * 3000 + "\r\nContent-Length: 0\r\n")
    items = [item for byte in data for item in framer.feed(bytes([byte]))]
    assert kinds(items) == ["INFO"]
    assert Watched.looked <= 5 * len(data)


def test_pings() -> None:
    framer = StreamFramer()
    assert framer.feed(b"\r\n") == [] and not framer.mid_message
    assert framer.feed(b"\r\n") == [KeepAlive()]
    assert framer.feed(b"\r\n\r\n") == [KeepAlive()]
    assert framer.feed(b"\r\n" * 10_000) == [KeepAlive()]
    assert framer.buffered == 0


@pytest.mark.parametrize(
    "extra",
    [
        "",
        "Content-Length: -1\r\n",
        "Content-Length: x\r\n",
        "Content-Length:\r\n",
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: 1\r\nl: 2\r\n",
        "Content-Length: 1\r\n 2\r\n",
        "Content-Length: " + "0" * 11 + "\r\n",
    ],
)
def test_a_length_that_cannot_be_known_ends_the_stream(extra: str) -> None:
    framer = StreamFramer()
    items = framer.feed(message(extra, b"xx") + message())
    assert len(items) == 1
    assert isinstance(items[0], Malformed) and items[0].status == 400 and items[0].answer
    assert framer.failed and framer.buffered == 0
    assert framer.feed(message()) == []


def test_equal_lengths_may_be_repeated() -> None:
    framer = StreamFramer()
    items = framer.feed(message("Content-Length: 1\r\nl: 1\r\n", b"x"))
    assert kinds(items) == ["INFO"]


def test_head_ceiling() -> None:
    framer = StreamFramer()
    head = message("X: y\r\n" * 4000 + "Content-Length: 0\r\n")
    items = framer.feed(head[: limits.MAX_STREAM_HEAD])
    assert items == [] and framer.mid_message
    items = framer.feed(head[limits.MAX_STREAM_HEAD : limits.MAX_STREAM_HEAD + 1])
    assert isinstance(items[0], Malformed) and items[0].status == 513 and items[0].answer
    assert framer.failed and framer.buffered == 0


def test_body_ceiling_is_known_before_the_body() -> None:
    framer = StreamFramer()
    assert framer.feed(message(f"Content-Length: {limits.MAX_BODY}\r\n")) == []
    framer = StreamFramer()
    items = framer.feed(message(f"Content-Length: {limits.MAX_BODY + 1}\r\n"))
    assert isinstance(items[0], Malformed) and items[0].status == 513 and items[0].answer
    assert framer.failed


def test_a_malformed_message_of_known_length_does_not_end_the_stream() -> None:
    framer = StreamFramer()
    bad = message().replace(b"CSeq: 1 INFO", b"CSeq: 1 BYE")
    assert kinds(framer.feed(bad + message())) == ["Malformed", "INFO"]
    assert not framer.failed


def test_the_end_within_a_message() -> None:
    framer = StreamFramer()
    framer.feed(message("Content-Length: 9\r\n", b"x"))
    ended = framer.end()
    assert ended is not None and ended.answer is not None
    assert framer.end() is None
    assert StreamFramer().end() is None


@pytest.mark.parametrize("name", ["clerr", "ncl", "mcl01", "inv2543"])
def test_rfc_4475_lengths_on_a_stream(name: str) -> None:
    """RFC 4475 §3.1.2.2, .3, §3.3.9, §3.4.1: wait for the rest, or answer and close."""
    framer = StreamFramer()
    items = framer.feed((VECTORS / f"{name}.dat").read_bytes())
    if name == "clerr":
        assert items == [] and framer.mid_message
    else:
        assert kinds(items) == ["Malformed"] and framer.failed


def test_dblreq_is_two_requests_on_a_stream() -> None:
    items = StreamFramer().feed((VECTORS / "dblreq.dat").read_bytes())
    assert kinds(items)[:2] == ["REGISTER", "INVITE"]
