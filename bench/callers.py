"""The far ends' calls: those that they place, and those that they take, by SIP from templates."""

from __future__ import annotations

import heapq
import math
import re
from collections import deque
from dataclasses import dataclass, field

from bench.far import Far
from bench.lines import Line, response
from bench.ng import Engine
from bench.sounds import Voice

KEY = 9
"""The front desk begins again."""
RETRIES = 6
FIRST_RETRY = 0.5
STATES = ("new", "calling", "proceeding", "talking", "leaving", "over")
REUSE = 5.0
"""Seconds that a lane rests before another call has it."""


@dataclass(slots=True)
class Caller:
    """One call: its dialog by hand and its lane."""

    index: int
    lane: int
    call_id: str
    tag: str = ""
    state: str = "new"
    started: float = 0.0
    to: str = ""
    target: str = ""
    cseq: int = 1
    retries: int = 0
    ack: str = ""
    taken: str = ""
    """The INVITE, of a call that was taken."""


@dataclass
class Figures:
    """What the run saw of signalling."""

    placed: int = 0
    answered: int = 0
    taken: int = 0
    """Calls that came to us."""
    completed: int = 0
    failed: int = 0
    retransmissions: int = 0
    setup_ms: list[float] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    repeated: int = 0
    """Answers and requests of the service that came again."""
    hung_up: int = 0
    """Calls that the service ended."""
    digits: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What the callers do: whom they call, what they speak, when they press and leave."""

    host: str
    port: int
    user: str
    codec: Voice
    callee_codec: Voice
    digit_every: float = 0.0
    hold: float = 0.0
    bridged: bool = False
    """The service calls us back for each call, from the number of who called."""


class Callers:
    """All calls of this process."""

    def __init__(self, far: Far, line: Line, plan: Plan) -> None:
        self.far = far
        self.line = line
        self.plan = plan
        self.by_call: dict[str, Caller] = {}
        self.placed: dict[int, Caller] = {}
        self.taken: dict[int, Caller] = {}
        self.figures = Figures()
        self.quiet_at = math.inf
        """No key is begun after this: its call would be over before the key is."""
        self._states = dict.fromkeys(STATES, 0)
        self._timers: list[tuple[float, int, str, Caller]] = []
        self._order = 0
        self._free: deque[tuple[float, int]] = deque()

    @property
    def live(self) -> int:
        return sum(self._states[state] for state in STATES if state != "over")

    def standing(self) -> bool:
        """Whether no call is on its way any more, each with both its sides where it has two."""
        early = self._states["calling"] + self._states["proceeding"]
        return not early and (not self.plan.bridged or len(self.taken) >= self.figures.answered)

    def over(self) -> bool:
        return not self.live

    # --- time ------------------------------------------------------------------------------

    def at(self, when: float, what: str, caller: Caller) -> None:
        self._order += 1
        heapq.heappush(self._timers, (when, self._order, what, caller))

    def next_deadline(self) -> float:
        return self._timers[0][0] if self._timers else math.inf

    def expire(self, now: float) -> None:
        while self._timers and self._timers[0][0] <= now:
            when, _, what, caller = heapq.heappop(self._timers)
            if what == "digit" and caller.state == "talking" and now < self.quiet_at:
                self.far.key(caller.lane, KEY)
                self.figures.digits += 1
                self.at(when + self.plan.digit_every, "digit", caller)
            elif what == "leave":
                self.leave(caller, now)
            elif what == "retry" and caller.state in ("calling", "leaving"):
                self._retry(caller, now)

    def _retry(self, caller: Caller, now: float) -> None:
        caller.retries += 1
        if caller.retries > RETRIES:
            self.figures.failed += 1
            self.close(caller, now)
            return
        if self.line.transport == "UDP":
            self.figures.retransmissions += 1
            if caller.state == "calling":
                self.invite(caller)
            else:
                self.send(self.request("BYE", caller))
        self.at(now + FIRST_RETRY * 2**caller.retries, "retry", caller)

    def turn(self, caller: Caller, state: str) -> None:
        self._states[caller.state] -= caller.state != "new"
        self._states[state] += 1
        caller.state = state

    # --- lanes -----------------------------------------------------------------------------

    def lane(self, now: float) -> int:
        if self._free and self._free[0][0] <= now:
            return self._free.popleft()[1]
        return self.far.open()

    def close(self, caller: Caller, now: float) -> None:
        self.turn(caller, "over")
        self.far.hush(caller.lane)
        self._free.append((now + REUSE, caller.lane))

    # --- calls that need no SIP ------------------------------------------------------------

    def echoed(self, index: int, port: int, now: float) -> None:
        """A caller of a peer that only sends back what comes."""
        caller = self._silent(index, now)
        self.far.talk(caller.lane, port, echoed=True, pair=caller.lane)

    def relayed(self, index: int, engine: Engine, now: float) -> None:
        """Two parties whose sound an rtpengine hands on."""
        one, other = self._silent(2 * index, now), self._silent(2 * index + 1, now)
        codecs = (self.plan.codec, self.plan.callee_codec)
        sdps = [
            self.sdp(party.lane, codec, index)
            for party, codec in zip((one, other), codecs, strict=True)
        ]
        ports = engine.connect(one.call_id, sdps[0], sdps[1], (codecs[0].name, codecs[1].name))
        self.far.talk(one.lane, ports[0], codecs[0].name, pair=other.lane)
        self.far.talk(other.lane, ports[1], codecs[1].name, pair=one.lane)

    def _silent(self, index: int, now: float) -> Caller:
        caller = Caller(index, self.lane(now), f"{index}@bench")
        self.by_call[caller.call_id] = caller
        self.turn(caller, "talking")
        self.figures.placed += 1
        self.figures.answered += 1
        return caller

    # --- calls that are placed -------------------------------------------------------------

    def place(self, index: int, now: float) -> None:
        caller = Caller(index, self.lane(now), f"{index}-{now:.6f}@bench", f"t{index}")
        caller.started = now
        self.turn(caller, "calling")
        self.by_call[caller.call_id] = self.placed[index] = caller
        self.figures.placed += 1
        self.invite(caller)
        self.at(now + FIRST_RETRY, "retry", caller)

    def head(self, method: str, caller: Caller, branch: str, extra: str = "") -> str:
        (host, port), plan = self.line.local, self.plan
        uri = caller.target or f"sip:{plan.user}@{plan.host}:{plan.port}"
        return (
            f"{method} {uri} SIP/2.0\r\n"
            f"Via: SIP/2.0/{self.line.transport} {host}:{port};rport;branch=z9hG4bK{branch}\r\n"
            f"Max-Forwards: 70\r\n"
            f"From: <sip:+1202555{caller.index:04}@{host}:{port}>;tag={caller.tag}\r\n"
            f"To: {caller.to or f'<sip:{plan.user}@{plan.host}>'}\r\n"
            f"Call-ID: {caller.call_id}\r\n"
            f"CSeq: {caller.cseq} {method}\r\n{extra}"
        )

    def sdp(self, lane: int, codec: Voice, index: int) -> str:
        return (
            f"v=0\r\no=- {index} 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {self.far.port(lane)} RTP/AVP {codec.payload_type} 101\r\n"
            f"a=rtpmap:{codec.payload_type} {codec.name}/8000\r\n"
            f"a=rtpmap:101 telephone-event/8000\r\n"
            f"a=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
        )

    def contact(self) -> str:
        host, port = self.line.local
        transport = f";transport={self.line.transport.lower()}"
        return f"Contact: <sip:bench@{host}:{port}{transport}>\r\nContent-Type: application/sdp\r\n"

    def invite(self, caller: Caller) -> None:
        body = self.sdp(caller.lane, self.plan.codec, caller.index)
        branch = f"i{caller.index}x{caller.call_id[:20]}"
        text = self.head("INVITE", caller, branch, self.contact())
        self.send(f"{text}Content-Length: {len(body)}\r\n\r\n{body}")

    def request(self, method: str, caller: Caller) -> str:
        branch = f"{method[0].lower()}{caller.index}x{caller.cseq}x{caller.call_id[:20]}"
        return f"{self.head(method, caller, branch)}Content-Length: 0\r\n\r\n"

    def send(self, text: str) -> None:
        if not self.line.send(text):
            self.figures.retransmissions += 1

    # --- what comes ------------------------------------------------------------------------

    def on_message(self, text: str, now: float) -> None:
        found = re.search(r"(?im)^(?:call-id|i): *(\S+)", text)
        call_id = found.group(1) if found else ""
        caller = self.by_call.get(call_id)
        if text.startswith("SIP/2.0 "):
            if caller is not None:
                self.on_response(caller, text, now)
        elif caller is not None:
            self.on_request(caller, text, now)
        elif text.startswith("INVITE"):
            self.take(call_id, text, now)
        elif not text.startswith("ACK"):
            self.send(response(text, "200 OK"))

    def on_response(self, caller: Caller, text: str, now: float) -> None:
        status = int(text[8:11])
        method = re.search(r"(?im)^cseq: *\d+ +(\w+)", text)
        if method is None or status < 200:
            if caller.state == "calling":
                self.turn(caller, "proceeding")
            return
        if method.group(1) == "BYE":
            if caller.state == "leaving":
                self.figures.completed += 1
                self.close(caller, now)
            return
        to = re.search(r"(?im)^to: *(.*?)\r?$", text)
        if status >= 300:
            caller.to = to.group(1) if to else caller.to
            self.send(self.request("ACK", caller))
            if caller.state != "over":
                key = str(status)
                self.figures.statuses[key] = self.figures.statuses.get(key, 0) + 1
                self.figures.failed += 1
                self.close(caller, now)
            return
        if caller.state in ("calling", "proceeding"):
            contact = re.search(r"(?im)^contact: *<([^>]+)>", text)
            assert to and contact
            caller.to, caller.target = to.group(1), contact.group(1)
            self._answered(caller, text, now)
        elif caller.ack:
            self.figures.repeated += 1
        self.send(caller.ack)

    def _answered(self, caller: Caller, text: str, now: float) -> None:
        self.turn(caller, "talking")
        self.figures.answered += 1
        self.figures.setup_ms.append((now - caller.started) * 1000)
        caller.ack = self.request("ACK", caller)
        other = self.taken.get(caller.index)
        pair = other.lane if other is not None else caller.lane
        self.far.talk(caller.lane, port_of(text), self.plan.codec.name, pair=pair)
        if self.plan.hold > 0:
            self.at(now + self.plan.hold, "leave", caller)
        if self.plan.digit_every > 0:
            first = 1.0 + self.plan.digit_every * ((caller.index * 7919) % 100) / 100
            self.at(now + first, "digit", caller)

    def on_request(self, caller: Caller, text: str, now: float) -> None:
        if text.startswith("INVITE") and caller.taken:
            self.figures.repeated += 1
            self.answer(caller)
            return
        if not text.startswith("ACK"):
            self.send(response(text, "200 OK"))
        if text.startswith("BYE"):
            if caller.state == "over":
                self.figures.repeated += 1
                return
            if not caller.taken:
                self.figures.completed += 1
                self.figures.hung_up += 1
            self.close(caller, now)

    # --- calls that are taken --------------------------------------------------------------

    def take(self, call_id: str, text: str, now: float) -> None:
        """A call of the service's to us; whose other side it is, its number says."""
        number = re.match(r"INVITE sip:\+1202555(\d{4})@", text)
        index = int(number.group(1)) if number else len(self.taken)
        caller = Caller(index, self.lane(now), call_id, taken=text)
        self.turn(caller, "talking")
        self.by_call[call_id] = caller
        self.taken[index] = caller
        self.figures.taken += 1
        first = self.placed.get(index)
        pair = first.lane if first is not None else -1
        if first is not None:
            self.far.pair(first.lane, caller.lane)
        self.far.talk(caller.lane, port_of(text), self.plan.callee_codec.name, pair=pair)
        self.answer(caller)

    def answer(self, caller: Caller) -> None:
        body = self.sdp(caller.lane, self.plan.callee_codec, caller.index)
        self.send(response(caller.taken, "200 OK", self.contact(), body))

    # --- the end ---------------------------------------------------------------------------

    def leave(self, caller: Caller, now: float) -> None:
        if caller.state != "talking" or caller.taken:
            return
        if not caller.target:
            self.close(caller, now)
            return
        caller.cseq += 1
        self.turn(caller, "leaving")
        caller.retries = 0
        self.send(self.request("BYE", caller))
        self.at(now + FIRST_RETRY, "retry", caller)

    def leave_all(self, now: float, rate: float) -> None:
        placed = [c for c in self.by_call.values() if c.state == "talking" and not c.taken]
        for place, caller in enumerate(placed):
            self.at(now + place / rate, "leave", caller)

    def give_up(self, now: float) -> None:
        """What has not ended by now has failed."""
        for caller in self.by_call.values():
            if caller.state != "over":
                self.figures.failed += 1
                self.close(caller, now)


def port_of(text: str) -> int:
    found = re.search(r"(?m)^m=audio (\d+)", text)
    if found is None:
        raise SystemExit(f"an SDP without sound:\n{text}")
    return int(found.group(1))
