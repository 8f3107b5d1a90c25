"""The non-INVITE server transaction (RFC 3261 §17.2.2, figure 8, with RFC 4320 §4).

The table below is the machine; nothing else decides. Lay it beside the figure.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from enum import Enum

from telephony.sip.addresses import Destination, Source
from telephony.sip.message import Request, Response
from telephony.sip.transactions.hosts import Host


class State(Enum):
    """As the RFC names them."""

    TRYING = "Trying"
    PROCEEDING = "Proceeding"
    COMPLETED = "Completed"
    TERMINATED = "Terminated"


class Input(Enum):
    """What can happen to it."""

    REQUEST = "request retransmitted"
    TU_PROVISIONAL = "1xx from the TU"
    TU_FINAL = "200-699 from the TU"
    TIMER_J = "Timer J"
    TOO_LATE = "64*T1 without an answer of the TU"
    TRANSPORT_ERROR = "Transport Err."


class Action(Enum):
    """What is done about it, in the order given."""

    SEND = "send the response of the TU and keep it"
    RESEND = "send the kept response again"
    START_J = "start Timer J (0 s on a reliable transport)"


_S, _I, _A = State, Input, Action

TABLE: dict[tuple[State, Input], tuple[State, tuple[Action, ...]]] = {
    (_S.TRYING, _I.REQUEST): (_S.TRYING, ()),
    (_S.TRYING, _I.TU_PROVISIONAL): (_S.PROCEEDING, (_A.SEND,)),
    (_S.TRYING, _I.TU_FINAL): (_S.COMPLETED, (_A.SEND, _A.START_J)),
    (_S.TRYING, _I.TIMER_J): (_S.TRYING, ()),
    # RFC 4320 §4.2: nobody listens any more, and a 408 would only add to the storm.
    (_S.TRYING, _I.TOO_LATE): (_S.TERMINATED, ()),
    (_S.TRYING, _I.TRANSPORT_ERROR): (_S.TRYING, ()),
    (_S.PROCEEDING, _I.REQUEST): (_S.PROCEEDING, (_A.RESEND,)),
    (_S.PROCEEDING, _I.TU_PROVISIONAL): (_S.PROCEEDING, (_A.SEND,)),
    (_S.PROCEEDING, _I.TU_FINAL): (_S.COMPLETED, (_A.SEND, _A.START_J)),
    (_S.PROCEEDING, _I.TIMER_J): (_S.PROCEEDING, ()),
    (_S.PROCEEDING, _I.TOO_LATE): (_S.TERMINATED, ()),
    (_S.PROCEEDING, _I.TRANSPORT_ERROR): (_S.TERMINATED, ()),
    (_S.COMPLETED, _I.REQUEST): (_S.COMPLETED, (_A.RESEND,)),
    (_S.COMPLETED, _I.TU_PROVISIONAL): (_S.COMPLETED, ()),
    (_S.COMPLETED, _I.TU_FINAL): (_S.COMPLETED, ()),
    (_S.COMPLETED, _I.TIMER_J): (_S.TERMINATED, ()),
    (_S.COMPLETED, _I.TOO_LATE): (_S.COMPLETED, ()),
    (_S.COMPLETED, _I.TRANSPORT_ERROR): (_S.TERMINATED, ()),
    (_S.TERMINATED, _I.REQUEST): (_S.TERMINATED, ()),
    (_S.TERMINATED, _I.TU_PROVISIONAL): (_S.TERMINATED, ()),
    (_S.TERMINATED, _I.TU_FINAL): (_S.TERMINATED, ()),
    (_S.TERMINATED, _I.TIMER_J): (_S.TERMINATED, ()),
    (_S.TERMINATED, _I.TOO_LATE): (_S.TERMINATED, ()),
    (_S.TERMINATED, _I.TRANSPORT_ERROR): (_S.TERMINATED, ()),
}


class ServerTransaction:
    """One request of a peer other than INVITE and ACK."""

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
        self.method = request.method
        self.request = request
        self.source = source
        self.reply_to = reply_to
        self.state = State.TRYING
        self.arrived_at = now
        self._data: bytes | None = None
        host.alarm(self, "late", now + host.timers.timeout)

    @property
    def done(self) -> bool:
        """Whether it is in its last state."""
        return self.state is State.TERMINATED

    @property
    def open(self) -> bool:
        """Whether a final response may still be given."""
        return self.state in (State.TRYING, State.PROCEEDING)

    def receive(self, request: Request, now: float) -> None:
        """The request once more."""
        self.feed(Input.REQUEST, now)

    def respond(self, response: Response, now: float) -> None:
        """The TU's response."""
        self._response = response
        self.feed(Input.TU_PROVISIONAL if response.status < 200 else Input.TU_FINAL, now)

    def on_alarm(self, name: str, now: float) -> None:
        """Timer ``name`` is due."""
        self.feed(_TIMERS[name], now)

    def transport_failed(self, now: float) -> None:
        """The response could not be sent."""
        self.feed(Input.TRANSPORT_ERROR, now)

    def abandon(self) -> None:
        """Forget it: what was sent is sent once, and a retransmission is a new request."""
        self.state = State.TERMINATED
        self.host.silence(self, *_TIMERS)
        self.host.forget(self)

    def feed(self, given: Input, now: float) -> None:
        """Look the row up and do what it says."""
        before = self.state
        self.state, actions = TABLE[before, given]
        for action in actions:
            _DO[action](self, now)
        if self.state is State.TERMINATED and before is not State.TERMINATED:
            self.host.silence(self, *_TIMERS)
            self.host.forget(self)

    def _send(self, now: float) -> None:
        self._data = bytes(self._response)
        self.host.transmit(self, self._data, self.reply_to)

    def _resend(self, now: float) -> None:
        if self._data is not None:
            self.host.transmit(self, self._data, self.reply_to)

    def _start_j(self, now: float) -> None:
        self.host.silence(self, "late")
        wait = 0.0 if self.source.reliable else self.host.timers.timeout
        self.host.alarm(self, "J", now + wait)


_TIMERS = {"J": Input.TIMER_J, "late": Input.TOO_LATE}
_DO: dict[Action, Callable[[ServerTransaction, float], None]] = {
    Action.SEND: ServerTransaction._send,
    Action.RESEND: ServerTransaction._resend,
    Action.START_J: ServerTransaction._start_j,
}
