"""Callers by the hundred from one cheap process: SIP from templates, RTP by epoll.

Nothing of ours is in it, so that what is measured is not measured with itself. It runs on a
core of its own, places calls, keeps 50 packets a second flowing each way, presses keys and
counts what comes back. It measures itself too: a generator that sends late or has no core left
measures nothing but itself. Its figures are one line of JSON on stdout.
"""

from __future__ import annotations

import argparse
import gc
import heapq
import json
import math
import re
import resource
import select
import socket
import struct
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

PTIME = 0.02
LATE = 0.005
"""A packet of ours that leaves this much after its time is late, as a tick of the service is."""
KEY = 9
"""The front desk begins again."""
SAMPLED = 16
"""One packet in so many is looked into."""


def speech_like(frames: int = 50) -> list[bytes]:
    """A second of a wavering tone in µ-law, 160 bytes a frame."""

    def ulaw(sample: int) -> int:
        sign = 0x80 if sample < 0 else 0
        value = min(abs(sample), 32635) + 132
        exponent = max(0, value.bit_length() - 8)
        return ~(sign | exponent << 4 | (value >> (exponent + 3)) & 0x0F) & 0xFF

    total = frames * 160
    samples = (
        int(6000 * math.sin(2 * math.pi * 310 * n / 8000) * (1.2 + math.sin(n / 900)))
        for n in range(total)
    )
    data = bytes(ulaw(s) for s in samples)
    return [data[i : i + 160] for i in range(0, total, 160)]


VOICE = speech_like()
SILENCE = b"\xff" * 16


@dataclass(slots=True)
class Caller:
    """One call: its dialog by hand and its RTP socket."""

    index: int
    media: socket.socket
    port: int
    call_id: str
    tag: str
    state: str = "new"
    started: float = 0.0
    answered: float = 0.0
    to: str = ""
    target: str = ""
    peer: tuple[str, int] | None = None
    cseq: int = 1
    sequence: int = 0
    timestamp: int = 0
    received: int = 0
    sent: int = 0
    digit_left: int = 0
    digit_stamp: int = 0
    retries: int = 0
    last_at: float = 0.0
    gaps: int = 0
    ack: bytes = b""


@dataclass
class Figures:
    """What the run saw."""

    placed: int = 0
    answered: int = 0
    completed: int = 0
    failed: int = 0
    retransmissions: int = 0
    setup_ms: list[float] = field(default_factory=list)
    received: int = 0
    sent: int = 0
    gaps: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    repeated: int = 0
    """Answers and requests of the service that came again."""
    hung_up: int = 0
    """Calls that the service ended."""
    digits: int = 0
    late: int = 0
    sampled: int = 0
    sounding: int = 0
    """Of the sampled packets, those that held something else than silence."""


class Generator:
    """All callers of this process."""

    def __init__(self, target: tuple[str, int], user: str, digit_every: float, hold: float) -> None:
        self.target = target
        self.user = user
        self.digit_every = digit_every
        self.hold = hold
        self.sip = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sip.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.sip.bind(("127.0.0.1", 0))
        self.sip.setblocking(False)
        self.local = self.sip.getsockname()
        self.epoll = select.epoll()
        self.epoll.register(self.sip, select.EPOLLIN)
        self.by_fd: dict[int, Caller] = {}
        self.by_call: dict[str, Caller] = {}
        self.timers: list[tuple[float, int, str, Caller]] = []
        self.order = 0
        self.figures = Figures()
        self.quiet_at = math.inf
        """No key is begun after this: its call would be over before the key is."""
        self.buffer = bytearray(2048)
        self.sound = memoryview(self.buffer)[12:28]

    def at(self, when: float, what: str, caller: Caller) -> None:
        self.order += 1
        heapq.heappush(self.timers, (when, self.order, what, caller))

    # --- SIP by template -------------------------------------------------------------------

    def place(self, index: int, now: float) -> Caller:
        media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        media.bind(("127.0.0.1", 0))
        media.setblocking(False)
        caller = Caller(
            index, media, media.getsockname()[1], f"{index}-{now:.6f}@bench", f"t{index}"
        )
        caller.started = now
        caller.sequence = index & 0x7FFF
        self.by_fd[media.fileno()] = caller
        self.by_call[caller.call_id] = caller
        self.epoll.register(media, select.EPOLLIN)
        self.figures.placed += 1
        caller.state = "calling"
        self.invite(caller)
        self.at(now + 0.5, "retry", caller)
        return caller

    def head(self, method: str, caller: Caller, uri: str, branch: str, extra: str = "") -> str:
        host, port = self.local
        return (
            f"{method} {uri} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {host}:{port};rport;branch=z9hG4bK{branch}\r\n"
            f"Max-Forwards: 70\r\n"
            f"From: <sip:bench{caller.index}@{host}:{port}>;tag={caller.tag}\r\n"
            f"To: {caller.to or f'<sip:{self.user}@{self.target[0]}>'}\r\n"
            f"Call-ID: {caller.call_id}\r\n"
            f"CSeq: {caller.cseq} {method}\r\n{extra}"
        )

    def invite(self, caller: Caller) -> None:
        host, port = self.local
        body = (
            f"v=0\r\no=- {caller.index} 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
            f"m=audio {caller.port} RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"
            f"a=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
        )
        contact = f"Contact: <sip:bench@{host}:{port}>\r\nContent-Type: application/sdp\r\n"
        uri = f"sip:{self.user}@{self.target[0]}:{self.target[1]}"
        text = self.head("INVITE", caller, uri, f"i{caller.index}x{caller.call_id[:20]}", contact)
        self.send(f"{text}Content-Length: {len(body)}\r\n\r\n{body}".encode())

    def send(self, data: bytes) -> None:
        try:
            self.sip.sendto(data, self.target)
        except BlockingIOError:
            self.figures.retransmissions += 1

    def request(self, method: str, caller: Caller) -> bytes:
        uri = caller.target or f"sip:{self.user}@{self.target[0]}:{self.target[1]}"
        branch = f"{method[0].lower()}{caller.index}x{caller.cseq}x{caller.call_id[:20]}"
        return f"{self.head(method, caller, uri, branch)}Content-Length: 0\r\n\r\n".encode()

    def on_sip(self, now: float) -> None:
        while True:
            try:
                size = self.sip.recv_into(self.buffer)
            except BlockingIOError:
                return
            text = self.buffer[:size].decode("latin-1")
            call_id = re.search(r"(?im)^call-id: *(\S+)", text)
            caller = self.by_call.get(call_id.group(1)) if call_id else None
            if caller is None:
                continue
            if text.startswith("SIP/2.0 "):
                self.on_response(caller, text, now)
            else:
                self.on_request(caller, text, now)

    def on_response(self, caller: Caller, text: str, now: float) -> None:
        status = int(text[8:11])
        method = re.search(r"(?im)^cseq: *\d+ +(\w+)", text)
        if method is None or status < 200:
            if caller.state == "calling":
                caller.state = "proceeding"
            return
        if method.group(1) == "BYE":
            if caller.state == "leaving":
                self.figures.completed += 1
                self.close(caller)
            return
        if status >= 300:
            to = re.search(r"(?im)^to: *(.*?)\r?$", text)
            caller.to = to.group(1) if to else caller.to
            self.send(self.request("ACK", caller))
            if caller.state != "over":
                key = str(status)
                self.figures.statuses[key] = self.figures.statuses.get(key, 0) + 1
                self.figures.failed += 1
                self.close(caller)
            return
        if caller.state in ("calling", "proceeding"):
            to = re.search(r"(?im)^to: *(.*?)\r?$", text)
            contact = re.search(r"(?im)^contact: *<([^>]+)>", text)
            address = re.search(r"(?m)^c=IN IP4 (\S+)", text)
            port = re.search(r"(?m)^m=audio (\d+)", text)
            assert to and contact and address and port
            caller.to, caller.target = to.group(1), contact.group(1)
            caller.peer = (address.group(1), int(port.group(1)))
            caller.media.connect(caller.peer)
            caller.state = "talking"
            caller.answered = now
            self.figures.answered += 1
            self.figures.setup_ms.append((now - caller.started) * 1000)
            caller.ack = self.request("ACK", caller)
            self.at(now + PTIME * (caller.index % 20) / 20, "packet", caller)
            if self.hold > 0:
                self.at(now + self.hold, "leave", caller)
            if self.digit_every > 0:
                first = 1.0 + self.digit_every * ((caller.index * 7919) % 100) / 100
                self.at(now + first, "digit", caller)
        elif caller.ack:
            self.figures.repeated += 1
        self.send(caller.ack)

    def on_request(self, caller: Caller, text: str, now: float) -> None:
        lines = text.split("\r\n")
        kept = [li for li in lines if re.match(r"(?i)(via|from|to|call-id|cseq):", li)]
        if lines[0].startswith(("BYE", "OPTIONS", "UPDATE", "INVITE")):
            self.send(("SIP/2.0 200 OK\r\n" + "\r\n".join(kept) + "\r\n\r\n").encode())
        if lines[0].startswith("BYE"):
            if caller.state == "over":
                self.figures.repeated += 1
                return
            self.figures.completed += 1
            self.figures.hung_up += 1
            self.close(caller)

    def leave(self, caller: Caller, now: float) -> None:
        if caller.state == "talking":
            caller.cseq += 1
            caller.state = "leaving"
            self.send(self.request("BYE", caller))
            self.at(now + 0.5, "retry", caller)

    def close(self, caller: Caller) -> None:
        caller.state = "over"
        self.figures.received += caller.received
        self.figures.sent += caller.sent
        self.figures.gaps += caller.gaps
        self.epoll.unregister(caller.media)
        del self.by_fd[caller.media.fileno()]
        caller.media.close()

    def echoed(self, index: int, port: int, now: float) -> None:
        """A caller without SIP, for a peer that only sends back what comes."""
        media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        media.connect(("127.0.0.1", port))
        media.setblocking(False)
        caller = Caller(index, media, 0, f"{index}", "", state="talking")
        self.by_fd[media.fileno()] = caller
        self.epoll.register(media, select.EPOLLIN)
        self.figures.placed += 1
        self.figures.answered += 1
        self.at(now + PTIME * (index % 20) / 20, "packet", caller)

    # --- RTP -------------------------------------------------------------------------------

    def packet(self, caller: Caller, when: float, now: float) -> None:
        if caller.state != "talking":
            return
        if now - when > LATE:
            self.figures.late += 1
        sequence = caller.sequence & 0xFFFF
        if caller.digit_left:
            left = caller.digit_left
            duration = (8 - max(left, 3) + 1) * 160
            end = 0x80 if left <= 3 else 0
            marker = 0x80 if left == 8 else 0
            data = struct.pack(
                "!BBHII", 0x80, marker | 101, sequence, caller.digit_stamp, caller.index
            ) + struct.pack("!BBH", KEY, end | 10, duration)
            caller.digit_left -= 1
        else:
            head = struct.pack("!BBHII", 0x80, 0, sequence, caller.timestamp, caller.index)
            data = head + VOICE[(caller.sent + caller.index) % 50]
        try:
            caller.media.send(data)
            caller.sent += 1
        except OSError:
            pass
        caller.sequence += 1
        caller.timestamp = (caller.timestamp + 160) & 0xFFFFFFFF
        self.at(when + PTIME, "packet", caller)

    def run(self, calls: int, rate: float, seconds: float, ports: Sequence[int] = ()) -> Figures:
        """Place ``calls`` at ``rate`` a second, go on for ``seconds`` after the last, then hang up
        at twice the rate. ``ports``: echo servers to talk to instead."""
        began = time.monotonic()
        placed = 0
        end = began + calls / rate + seconds
        self.quiet_at = end - 0.5
        leaving = up = False
        while True:
            now = time.monotonic()
            while placed < calls and now >= began + placed / rate:
                if ports:
                    self.echoed(placed, ports[placed], now)
                else:
                    self.place(placed, now)
                placed += 1
            if placed == calls and not up:
                up = True
                print(json.dumps({"up": True}), flush=True)
            while self.timers and self.timers[0][0] <= now:
                when, _, what, caller = heapq.heappop(self.timers)
                self.fire(when, what, caller, now)
            if now >= end and not leaving:
                leaving = True
                for place, caller in enumerate(list(self.by_fd.values())):
                    self.at(now + place / rate / 2, "leave", caller)
                end = now + len(self.by_fd) / rate / 2 + 5
            if (placed == calls and not self.by_fd) or (leaving and (ports or now >= end)):
                break
            wait = 0.002
            if self.timers:
                wait = min(wait, max(0.0, self.timers[0][0] - time.monotonic()))
            for fd, _ in self.epoll.poll(wait):
                if (found := self.by_fd.get(fd)) is not None:
                    self.drain(found)
                elif fd == self.sip.fileno():
                    self.on_sip(time.monotonic())
        for caller in list(self.by_fd.values()):
            self.figures.failed += not ports
            self.close(caller)
        return self.figures

    def drain(self, caller: Caller) -> None:
        while True:
            try:
                caller.media.recv_into(self.buffer)
            except (BlockingIOError, ConnectionRefusedError):
                return
            now = time.monotonic()
            if caller.last_at and now - caller.last_at > 0.06:
                caller.gaps += 1
            caller.last_at = now
            caller.received += 1
            if not caller.received % SAMPLED:
                self.figures.sampled += 1
                self.figures.sounding += self.sound != SILENCE

    def fire(self, when: float, what: str, caller: Caller, now: float) -> None:
        if what == "packet":
            self.packet(caller, when, now)
        elif what == "digit" and caller.state == "talking" and now < self.quiet_at:
            caller.digit_left, caller.digit_stamp = 8, caller.timestamp
            self.figures.digits += 1
            self.at(when + self.digit_every, "digit", caller)
        elif what == "leave":
            self.leave(caller, now)
        elif what == "retry" and caller.state in ("calling", "leaving"):
            caller.retries += 1
            self.figures.retransmissions += 1
            if caller.retries > 6:
                self.figures.failed += 1
                self.close(caller)
            elif caller.state == "calling":
                self.invite(caller)
                self.at(now + 0.5 * 2**caller.retries, "retry", caller)
            else:
                self.send(self.request("BYE", caller))
                self.at(now + 0.5 * 2**caller.retries, "retry", caller)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--user", default="front-desk")
    parser.add_argument("--calls", type=int, required=True)
    parser.add_argument("--rate", type=float, default=50.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--hold", type=float, default=0.0)
    parser.add_argument("--digit-every", type=float, default=0.0)
    parser.add_argument("--echo", type=int, nargs="*", default=[], help="ports of echo servers")
    a = parser.parse_args()
    # Thousands of sockets, and no pauses of our own that would pass for the service's.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.disable()
    began, used = time.monotonic(), time.process_time()
    generator = Generator(("127.0.0.1", a.port), a.user, a.digit_every, a.hold)
    figures = generator.run(a.calls, a.rate, a.seconds, a.echo)
    setups = sorted(figures.setup_ms) or [0.0]
    json.dump(
        {
            "placed": figures.placed,
            "answered": figures.answered,
            "completed": figures.completed,
            "failed": figures.failed,
            "statuses": figures.statuses,
            "retransmissions": figures.retransmissions,
            "setup_p50_ms": setups[len(setups) // 2],
            "setup_p99_ms": setups[len(setups) * 99 // 100],
            "sent": figures.sent,
            "received": figures.received,
            "gaps": figures.gaps,
            "repeated": figures.repeated,
            "hung_up": figures.hung_up,
            "digits": figures.digits,
            "late": figures.late,
            "sounding": figures.sounding / max(1, figures.sampled),
            "core": (time.process_time() - used) / (time.monotonic() - began),
        },
        sys.stdout,
    )
    print()


if __name__ == "__main__":
    main()
