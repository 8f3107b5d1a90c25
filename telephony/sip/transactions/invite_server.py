"""The INVITE server transaction (RFC 3261 §17.2.1, figure 7, with RFC 6026 §7.1).

The table below is the machine; nothing else decides. Lay it beside the figure.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from enum import Enum

from telephony.sip.addresses import Destination, Source
from telephony.sip.message import Request, Response
from telephony.sip.transactions.hosts import AnyServer, Host


class State(Enum):
    """As the RFC names them."""

    PROCEEDING = "Proceeding"
    ACCEPTED = "Accepted"
    COMPLETED = "Completed"
    CONFIRMED = "Confirmed"
    TERMINATED = "Terminated"


class Input(Enum):
    """What can happen to it."""

    INVITE = "INVITE retransmitted"
    ACK = "ACK"
    TU_PROVISIONAL = "1xx from the TU"
    TU_SUCCESS = "2xx from the TU"
    TU_FAILURE = "300-699 from the TU"
    TIMER_G = "Timer G"
    TIMER_H = "Timer H"
    TIMER_I = "Timer I"
    TIMER_L = "Timer L"
    TRANSPORT_ERROR = "Transport Err."


class Action(Enum):
    """What is done about it, in the order given."""

    SEND = "send the response of the TU and keep it"
    RESEND = "send the kept response again"
    PASS_ACK = "ACK to the TU"
    START_GH = "start Timers G (unreliable transport only) and H"
    RESTART_G = "double Timer G, up to T2"
    STOP_GH = "stop Timers G and H"
    START_I = "start Timer I (0 s on a reliable transport)"
    START_L = "start Timer L"


_S, _I, _A = State, Input, Action

TABLE: dict[tuple[State, Input], tuple[State, tuple[Action, ...]]] = {
    (_S.PROCEEDING, _I.INVITE): (_S.PROCEEDING, (_A.RESEND,)),
    (_S.PROCEEDING, _I.ACK): (_S.PROCEEDING, ()),
    (_S.PROCEEDING, _I.TU_PROVISIONAL): (_S.PROCEEDING, (_A.SEND,)),
    (_S.PROCEEDING, _I.TU_SUCCESS): (_S.ACCEPTED, (_A.SEND, _A.START_L)),
    (_S.PROCEEDING, _I.TU_FAILURE): (_S.COMPLETED, (_A.SEND, _A.START_GH)),
    (_S.PROCEEDING, _I.TIMER_G): (_S.PROCEEDING, ()),
    (_S.PROCEEDING, _I.TIMER_H): (_S.PROCEEDING, ()),
    (_S.PROCEEDING, _I.TIMER_I): (_S.PROCEEDING, ()),
    (_S.PROCEEDING, _I.TIMER_L): (_S.PROCEEDING, ()),
    # RFC 6026 §7.1: a response that could not be sent changes no state; its timers end it.
    (_S.PROCEEDING, _I.TRANSPORT_ERROR): (_S.PROCEEDING, ()),
    # A retransmitted INVITE is absorbed: the TU retransmits its 2xx by itself (§13.3.1.4).
    (_S.ACCEPTED, _I.INVITE): (_S.ACCEPTED, ()),
    (_S.ACCEPTED, _I.ACK): (_S.ACCEPTED, (_A.PASS_ACK,)),
    (_S.ACCEPTED, _I.TU_PROVISIONAL): (_S.ACCEPTED, ()),
    (_S.ACCEPTED, _I.TU_SUCCESS): (_S.ACCEPTED, (_A.SEND,)),
    (_S.ACCEPTED, _I.TU_FAILURE): (_S.ACCEPTED, ()),
    (_S.ACCEPTED, _I.TIMER_G): (_S.ACCEPTED, ()),
    (_S.ACCEPTED, _I.TIMER_H): (_S.ACCEPTED, ()),
    (_S.ACCEPTED, _I.TIMER_I): (_S.ACCEPTED, ()),
    (_S.ACCEPTED, _I.TIMER_L): (_S.TERMINATED, ()),
    (_S.ACCEPTED, _I.TRANSPORT_ERROR): (_S.ACCEPTED, ()),
    (_S.COMPLETED, _I.INVITE): (_S.COMPLETED, (_A.RESEND,)),
    (_S.COMPLETED, _I.ACK): (_S.CONFIRMED, (_A.STOP_GH, _A.START_I)),
    (_S.COMPLETED, _I.TU_PROVISIONAL): (_S.COMPLETED, ()),
    (_S.COMPLETED, _I.TU_SUCCESS): (_S.COMPLETED, ()),
    (_S.COMPLETED, _I.TU_FAILURE): (_S.COMPLETED, ()),
    (_S.COMPLETED, _I.TIMER_G): (_S.COMPLETED, (_A.RESEND, _A.RESTART_G)),
    # Deviation: the RFC informs the TU; ours forgot the session when it refused it.
    (_S.COMPLETED, _I.TIMER_H): (_S.TERMINATED, (_A.STOP_GH,)),
    (_S.COMPLETED, _I.TIMER_I): (_S.COMPLETED, ()),
    (_S.COMPLETED, _I.TIMER_L): (_S.COMPLETED, ()),
    (_S.COMPLETED, _I.TRANSPORT_ERROR): (_S.COMPLETED, ()),
    (_S.CONFIRMED, _I.INVITE): (_S.CONFIRMED, ()),
    (_S.CONFIRMED, _I.ACK): (_S.CONFIRMED, ()),
    (_S.CONFIRMED, _I.TU_PROVISIONAL): (_S.CONFIRMED, ()),
    (_S.CONFIRMED, _I.TU_SUCCESS): (_S.CONFIRMED, ()),
    (_S.CONFIRMED, _I.TU_FAILURE): (_S.CONFIRMED, ()),
    (_S.CONFIRMED, _I.TIMER_G): (_S.CONFIRMED, ()),
    (_S.CONFIRMED, _I.TIMER_H): (_S.CONFIRMED, ()),
    (_S.CONFIRMED, _I.TIMER_I): (_S.TERMINATED, ()),
    (_S.CONFIRMED, _I.TIMER_L): (_S.CONFIRMED, ()),
    (_S.CONFIRMED, _I.TRANSPORT_ERROR): (_S.CONFIRMED, ()),
    (_S.TERMINATED, _I.INVITE): (_S.TERMINATED, ()),
    (_S.TERMINATED, _I.ACK): (_S.TERMINATED, ()),
    (_S.TERMINATED, _I.TU_PROVISIONAL): (_S.TERMINATED, ()),
    (_S.TERMINATED, _I.TU_SUCCESS): (_S.TERMINATED, ()),
    (_S.TERMINATED, _I.TU_FAILURE): (_S.TERMINATED, ()),
    (_S.TERMINATED, _I.TIMER_G): (_S.TERMINATED, ()),
    (_S.TERMINATED, _I.TIMER_H): (_S.TERMINATED, ()),
    (_S.TERMINATED, _I.TIMER_I): (_S.TERMINATED, ()),
    (_S.TERMINATED, _I.TIMER_L): (_S.TERMINATED, ()),
    (_S.TERMINATED, _I.TRANSPORT_ERROR): (_S.TERMINATED, ()),
}


class InviteServerTransaction:
    """One INVITE of a peer."""

    method = "INVITE"

    def __init__(
        self,
        host: Host,
        key: Hashable,
        request: Request,
        source: Source,
        reply_to: Destination,
        now: float,
    ) -> None:
        self.host = host
        self.key = key
        self.request = request
        self.source = source
        self.reply_to = reply_to
        self.state = State.PROCEEDING
        self.arrived_at = now
        self.on_ack: Callable[[Request, float], None] | None = None
        self.on_cancel: Callable[[AnyServer, float], None] | None = None
        self._data: bytes | None = None
        self._interval = host.timers.t1

    @property
    def done(self) -> bool:
        """Whether it is in its last state."""
        return self.state is State.TERMINATED

    @property
    def open(self) -> bool:
        """Whether a final response may still be given."""
        return self.state is State.PROCEEDING

    def receive(self, request: Request, now: float) -> None:
        """The INVITE once more, or its ACK."""
        self.feed(Input.ACK if request.method == "ACK" else Input.INVITE, now, request)

    def respond(self, response: Response, now: float) -> None:
        """The TU's response."""
        self._response = response
        if response.status < 200:
            self.feed(Input.TU_PROVISIONAL, now)
        elif response.status < 300:
            self.feed(Input.TU_SUCCESS, now)
        else:
            self.feed(Input.TU_FAILURE, now)

    def on_alarm(self, name: str, now: float) -> None:
        """Timer ``name`` is due."""
        self.feed(_TIMERS[name], now)

    def transport_failed(self, now: float) -> None:
        """A response could not be sent."""
        self.feed(Input.TRANSPORT_ERROR, now)

    def abandon(self) -> None:
        """Forget it: what was sent is sent once, and a retransmission is a new request."""
        self.state = State.TERMINATED
        self.host.silence(self, *_TIMERS)
        self.host.forget(self)

    def feed(self, given: Input, now: float, request: Request | None = None) -> None:
        """Look the row up and do what it says."""
        before = self.state
        self.state, actions = TABLE[before, given]
        for action in actions:
            _DO[action](self, now, request)
        if self.state is State.TERMINATED and before is not State.TERMINATED:
            self.host.silence(self, *_TIMERS)
            self.host.forget(self)

    def _send(self, now: float, request: Request | None) -> None:
        self._data = bytes(self._response)
        self.host.transmit(self, self._data, self.reply_to)

    def _resend(self, now: float, request: Request | None) -> None:
        if self._data is not None:
            self.host.transmit(self, self._data, self.reply_to)

    def _pass_ack(self, now: float, request: Request | None) -> None:
        if self.on_ack is not None and request is not None:
            self.on_ack(request, now)

    def _start_gh(self, now: float, request: Request | None) -> None:
        if not self.source.reliable:
            self.host.alarm(self, "G", now + self._interval)
        self.host.alarm(self, "H", now + self.host.timers.timeout)

    def _restart_g(self, now: float, request: Request | None) -> None:
        self._interval = min(self._interval * 2, self.host.timers.t2)
        self.host.alarm(self, "G", now + self._interval)

    def _stop_gh(self, now: float, request: Request | None) -> None:
        self.host.silence(self, "G", "H")

    def _start_i(self, now: float, request: Request | None) -> None:
        self.host.alarm(self, "I", now + (0.0 if self.source.reliable else self.host.timers.t4))

    def _start_l(self, now: float, request: Request | None) -> None:
        self.host.alarm(self, "L", now + self.host.timers.timeout)


_TIMERS = {
    "G": Input.TIMER_G,
    "H": Input.TIMER_H,
    "I": Input.TIMER_I,
    "L": Input.TIMER_L,
}
_DO: dict[Action, Callable[[InviteServerTransaction, float, Request | None], None]] = {
    Action.SEND: InviteServerTransaction._send,
    Action.RESEND: InviteServerTransaction._resend,
    Action.PASS_ACK: InviteServerTransaction._pass_ack,
    Action.START_GH: InviteServerTransaction._start_gh,
    Action.RESTART_G: InviteServerTransaction._restart_g,
    Action.STOP_GH: InviteServerTransaction._stop_gh,
    Action.START_I: InviteServerTransaction._start_i,
    Action.START_L: InviteServerTransaction._start_l,
}
