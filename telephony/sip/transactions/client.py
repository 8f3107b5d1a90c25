"""The non-INVITE client transaction (RFC 3261 §17.1.2, figure 6).

The table below is the machine; nothing else decides. Lay it beside the figure.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from telephony.sip.addresses import Destination
from telephony.sip.message import Request, Response
from telephony.sip.transactions.hosts import ClientUser, Host


class State(Enum):
    """As the RFC names them."""

    TRYING = "Trying"
    PROCEEDING = "Proceeding"
    COMPLETED = "Completed"
    TERMINATED = "Terminated"


class Input(Enum):
    """What can happen to it."""

    PROVISIONAL = "1xx"
    FINAL = "200-699"
    TIMER_E = "Timer E"
    TIMER_F = "Timer F"
    TIMER_K = "Timer K"
    TRANSPORT_ERROR = "Transport Err."


class Action(Enum):
    """What is done about it, in the order given."""

    PASS = "response to the TU"
    RETRANSMIT_DOUBLE = "send the request again and double Timer E, up to T2"
    RETRANSMIT_T2 = "send the request again and set Timer E to T2"
    STOP_EF = "stop Timers E and F"
    START_K = "start Timer K (0 s on a reliable transport)"
    TIMED_OUT = "inform the TU of a time-out"
    FAILED = "inform the TU of a transport error"


_S, _I, _A = State, Input, Action

TABLE: dict[tuple[State, Input], tuple[State, tuple[Action, ...]]] = {
    (_S.TRYING, _I.PROVISIONAL): (_S.PROCEEDING, (_A.PASS,)),
    (_S.TRYING, _I.FINAL): (_S.COMPLETED, (_A.STOP_EF, _A.START_K, _A.PASS)),
    (_S.TRYING, _I.TIMER_E): (_S.TRYING, (_A.RETRANSMIT_DOUBLE,)),
    (_S.TRYING, _I.TIMER_F): (_S.TERMINATED, (_A.STOP_EF, _A.TIMED_OUT)),
    (_S.TRYING, _I.TIMER_K): (_S.TRYING, ()),
    (_S.TRYING, _I.TRANSPORT_ERROR): (_S.TERMINATED, (_A.STOP_EF, _A.FAILED)),
    (_S.PROCEEDING, _I.PROVISIONAL): (_S.PROCEEDING, (_A.PASS,)),
    (_S.PROCEEDING, _I.FINAL): (_S.COMPLETED, (_A.STOP_EF, _A.START_K, _A.PASS)),
    (_S.PROCEEDING, _I.TIMER_E): (_S.PROCEEDING, (_A.RETRANSMIT_T2,)),
    (_S.PROCEEDING, _I.TIMER_F): (_S.TERMINATED, (_A.STOP_EF, _A.TIMED_OUT)),
    (_S.PROCEEDING, _I.TIMER_K): (_S.PROCEEDING, ()),
    (_S.PROCEEDING, _I.TRANSPORT_ERROR): (_S.TERMINATED, (_A.STOP_EF, _A.FAILED)),
    (_S.COMPLETED, _I.PROVISIONAL): (_S.COMPLETED, ()),
    (_S.COMPLETED, _I.FINAL): (_S.COMPLETED, ()),
    (_S.COMPLETED, _I.TIMER_E): (_S.COMPLETED, ()),
    (_S.COMPLETED, _I.TIMER_F): (_S.COMPLETED, ()),
    (_S.COMPLETED, _I.TIMER_K): (_S.TERMINATED, ()),
    (_S.COMPLETED, _I.TRANSPORT_ERROR): (_S.COMPLETED, ()),
    (_S.TERMINATED, _I.PROVISIONAL): (_S.TERMINATED, ()),
    (_S.TERMINATED, _I.FINAL): (_S.TERMINATED, ()),
    (_S.TERMINATED, _I.TIMER_E): (_S.TERMINATED, ()),
    (_S.TERMINATED, _I.TIMER_F): (_S.TERMINATED, ()),
    (_S.TERMINATED, _I.TIMER_K): (_S.TERMINATED, ()),
    (_S.TERMINATED, _I.TRANSPORT_ERROR): (_S.TERMINATED, ()),
}


class ClientTransaction:
    """One request other than INVITE and ACK to one destination."""

    def __init__(
        self,
        host: Host,
        key: tuple[str, str],
        request: Request,
        destination: Destination,
        user: ClientUser,
        now: float,
    ) -> None:
        self.host = host
        self.key = key
        self.method = request.method
        self.request = request
        self.destination = destination
        self.user = user
        self.state = State.TRYING
        self.sent_at = now
        self._data = bytes(request)
        self._interval = host.timers.t1
        host.transmit(self, self._data, destination)
        if not destination.reliable:
            host.alarm(self, "E", now + self._interval)
        host.alarm(self, "F", now + host.timers.timeout)

    @property
    def done(self) -> bool:
        """Whether it is in its last state."""
        return self.state is State.TERMINATED

    def receive(self, response: Response, now: float) -> None:
        """A response that matches."""
        given = Input.PROVISIONAL if response.status < 200 else Input.FINAL
        self.feed(given, now, response)

    def on_alarm(self, name: str, now: float) -> None:
        """Timer ``name`` is due."""
        self.feed(_TIMERS[name], now)

    def transport_failed(self, now: float) -> None:
        """The request could not be sent."""
        self.feed(Input.TRANSPORT_ERROR, now)

    def abandon(self) -> None:
        """Forget it without telling the TU."""
        self.state = State.TERMINATED
        self.host.silence(self, *_TIMERS)
        self.host.forget(self)

    def feed(self, given: Input, now: float, response: Response | None = None) -> None:
        """Look the row up and do what it says."""
        before = self.state
        self.state, actions = TABLE[before, given]
        for action in actions:
            _DO[action](self, now, response)
        if self.state is State.TERMINATED and before is not State.TERMINATED:
            self.host.silence(self, *_TIMERS)
            self.host.forget(self)

    def _pass(self, now: float, response: Response | None) -> None:
        if response is not None:
            self.user.on_response(self, response, now)

    def _retransmit_double(self, now: float, response: Response | None) -> None:
        self._interval = min(self._interval * 2, self.host.timers.t2)
        self.host.transmit(self, self._data, self.destination)
        self.host.alarm(self, "E", now + self._interval)

    def _retransmit_t2(self, now: float, response: Response | None) -> None:
        self._interval = self.host.timers.t2
        self.host.transmit(self, self._data, self.destination)
        self.host.alarm(self, "E", now + self._interval)

    def _stop_ef(self, now: float, response: Response | None) -> None:
        self.host.silence(self, "E", "F")

    def _start_k(self, now: float, response: Response | None) -> None:
        wait = 0.0 if self.destination.reliable else self.host.timers.t4
        self.host.alarm(self, "K", now + wait)

    def _timed_out(self, now: float, response: Response | None) -> None:
        self.user.on_no_response(self, False, now)

    def _failed(self, now: float, response: Response | None) -> None:
        self.user.on_no_response(self, True, now)


_TIMERS = {"E": Input.TIMER_E, "F": Input.TIMER_F, "K": Input.TIMER_K}
_DO: dict[Action, Callable[[ClientTransaction, float, Response | None], None]] = {
    Action.PASS: ClientTransaction._pass,
    Action.RETRANSMIT_DOUBLE: ClientTransaction._retransmit_double,
    Action.RETRANSMIT_T2: ClientTransaction._retransmit_t2,
    Action.STOP_EF: ClientTransaction._stop_ef,
    Action.START_K: ClientTransaction._start_k,
    Action.TIMED_OUT: ClientTransaction._timed_out,
    Action.FAILED: ClientTransaction._failed,
}
