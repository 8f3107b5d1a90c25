"""The INVITE client transaction (RFC 3261 §17.1.1, figure 5, with RFC 6026 §7.2).

The table below is the machine; nothing else decides. Lay it beside the figure.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from telephony.sip.addresses import Destination
from telephony.sip.headers import Headers
from telephony.sip.message import Request, Response
from telephony.sip.transactions.hosts import ClientUser, Host


class State(Enum):
    """As the RFC names them."""

    CALLING = "Calling"
    PROCEEDING = "Proceeding"
    ACCEPTED = "Accepted"
    COMPLETED = "Completed"
    TERMINATED = "Terminated"


class Input(Enum):
    """What can happen to it."""

    PROVISIONAL = "1xx"
    SUCCESS = "2xx"
    FAILURE = "300-699"
    TIMER_A = "Timer A"
    TIMER_B = "Timer B"
    TIMER_D = "Timer D"
    TIMER_M = "Timer M"
    TRANSPORT_ERROR = "Transport Err."


class Action(Enum):
    """What is done about it, in the order given."""

    PASS = "response to the TU"
    ACK = "send ACK"
    RETRANSMIT = "send INVITE again and double Timer A"
    STOP_AB = "stop Timers A and B"
    START_D = "start Timer D (0 s on a reliable transport)"
    START_M = "start Timer M"
    TIMED_OUT = "inform the TU of a time-out"
    FAILED = "inform the TU of a transport error"


_S, _I, _A = State, Input, Action

TABLE: dict[tuple[State, Input], tuple[State, tuple[Action, ...]]] = {
    (_S.CALLING, _I.PROVISIONAL): (_S.PROCEEDING, (_A.STOP_AB, _A.PASS)),
    (_S.CALLING, _I.SUCCESS): (_S.ACCEPTED, (_A.STOP_AB, _A.START_M, _A.PASS)),
    (_S.CALLING, _I.FAILURE): (_S.COMPLETED, (_A.STOP_AB, _A.ACK, _A.START_D, _A.PASS)),
    (_S.CALLING, _I.TIMER_A): (_S.CALLING, (_A.RETRANSMIT,)),
    (_S.CALLING, _I.TIMER_B): (_S.TERMINATED, (_A.TIMED_OUT,)),
    (_S.CALLING, _I.TIMER_D): (_S.CALLING, ()),
    (_S.CALLING, _I.TIMER_M): (_S.CALLING, ()),
    (_S.CALLING, _I.TRANSPORT_ERROR): (_S.TERMINATED, (_A.FAILED,)),
    (_S.PROCEEDING, _I.PROVISIONAL): (_S.PROCEEDING, (_A.PASS,)),
    (_S.PROCEEDING, _I.SUCCESS): (_S.ACCEPTED, (_A.START_M, _A.PASS)),
    (_S.PROCEEDING, _I.FAILURE): (_S.COMPLETED, (_A.ACK, _A.START_D, _A.PASS)),
    (_S.PROCEEDING, _I.TIMER_A): (_S.PROCEEDING, ()),
    (_S.PROCEEDING, _I.TIMER_B): (_S.PROCEEDING, ()),
    (_S.PROCEEDING, _I.TIMER_D): (_S.PROCEEDING, ()),
    (_S.PROCEEDING, _I.TIMER_M): (_S.PROCEEDING, ()),
    # The INVITE has arrived: a connection lost later does not take the answer with it.
    (_S.PROCEEDING, _I.TRANSPORT_ERROR): (_S.PROCEEDING, ()),
    (_S.ACCEPTED, _I.PROVISIONAL): (_S.ACCEPTED, ()),
    # 2xx of other forks, and retransmitted ones: the TU sends the ACKs (RFC 6026 §7.2).
    (_S.ACCEPTED, _I.SUCCESS): (_S.ACCEPTED, (_A.PASS,)),
    (_S.ACCEPTED, _I.FAILURE): (_S.ACCEPTED, ()),
    (_S.ACCEPTED, _I.TIMER_A): (_S.ACCEPTED, ()),
    (_S.ACCEPTED, _I.TIMER_B): (_S.ACCEPTED, ()),
    (_S.ACCEPTED, _I.TIMER_D): (_S.ACCEPTED, ()),
    (_S.ACCEPTED, _I.TIMER_M): (_S.TERMINATED, ()),
    (_S.ACCEPTED, _I.TRANSPORT_ERROR): (_S.ACCEPTED, ()),
    (_S.COMPLETED, _I.PROVISIONAL): (_S.COMPLETED, ()),
    (_S.COMPLETED, _I.SUCCESS): (_S.COMPLETED, ()),
    (_S.COMPLETED, _I.FAILURE): (_S.COMPLETED, (_A.ACK,)),
    (_S.COMPLETED, _I.TIMER_A): (_S.COMPLETED, ()),
    (_S.COMPLETED, _I.TIMER_B): (_S.COMPLETED, ()),
    (_S.COMPLETED, _I.TIMER_D): (_S.TERMINATED, ()),
    (_S.COMPLETED, _I.TIMER_M): (_S.COMPLETED, ()),
    # Deviation: RFC 3261 §17.1.1.2 also informs the TU; ours has the final response already.
    (_S.COMPLETED, _I.TRANSPORT_ERROR): (_S.TERMINATED, ()),
    (_S.TERMINATED, _I.PROVISIONAL): (_S.TERMINATED, ()),
    (_S.TERMINATED, _I.SUCCESS): (_S.TERMINATED, ()),
    (_S.TERMINATED, _I.FAILURE): (_S.TERMINATED, ()),
    (_S.TERMINATED, _I.TIMER_A): (_S.TERMINATED, ()),
    (_S.TERMINATED, _I.TIMER_B): (_S.TERMINATED, ()),
    (_S.TERMINATED, _I.TIMER_D): (_S.TERMINATED, ()),
    (_S.TERMINATED, _I.TIMER_M): (_S.TERMINATED, ()),
    (_S.TERMINATED, _I.TRANSPORT_ERROR): (_S.TERMINATED, ()),
}


class InviteClientTransaction:
    """One INVITE to one destination."""

    method = "INVITE"

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
        self.request = request
        self.destination = destination
        self.user = user
        self.state = State.CALLING
        self.sent_at = now
        self._data = bytes(request)
        self._interval = host.timers.t1
        self._ack: bytes | None = None
        host.transmit(self, self._data, destination)
        if not destination.reliable:
            host.alarm(self, "A", now + self._interval)
        host.alarm(self, "B", now + host.timers.timeout)

    @property
    def done(self) -> bool:
        """Whether it is in its last state."""
        return self.state is State.TERMINATED

    def receive(self, response: Response, now: float) -> None:
        """A response that matches."""
        if response.status < 200:
            self.feed(Input.PROVISIONAL, now, response)
        elif response.status < 300:
            self.feed(Input.SUCCESS, now, response)
        else:
            self.feed(Input.FAILURE, now, response)

    def on_alarm(self, name: str, now: float) -> None:
        """Timer ``name`` is due."""
        self.feed(_TIMERS[name], now)

    def transport_failed(self, now: float) -> None:
        """The INVITE or an ACK could not be sent."""
        self.feed(Input.TRANSPORT_ERROR, now)

    def abandon(self) -> None:
        """Forget it without telling the TU: another destination is tried in its place."""
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

    def _send_ack(self, now: float, response: Response | None) -> None:
        if self._ack is None and response is not None:
            self._ack = bytes(ack_for_failure(self.request, response))
        if self._ack is not None:
            self.host.transmit(self, self._ack, self.destination)

    def _retransmit(self, now: float, response: Response | None) -> None:
        self._interval *= 2
        self.host.transmit(self, self._data, self.destination)
        self.host.alarm(self, "A", now + self._interval)

    def _stop_ab(self, now: float, response: Response | None) -> None:
        self.host.silence(self, "A", "B")

    def _start_d(self, now: float, response: Response | None) -> None:
        wait = 0.0 if self.destination.reliable else self.host.timers.d
        self.host.alarm(self, "D", now + wait)

    def _start_m(self, now: float, response: Response | None) -> None:
        self.host.alarm(self, "M", now + self.host.timers.timeout)

    def _timed_out(self, now: float, response: Response | None) -> None:
        self.user.on_no_response(self, False, now)

    def _failed(self, now: float, response: Response | None) -> None:
        self.user.on_no_response(self, True, now)


def ack_for_failure(invite: Request, response: Response) -> Request:
    """The ACK of a 300-699 (RFC 3261 §17.1.1.3): the INVITE's own branch, the response's To."""
    headers = Headers()
    headers.add("Via", str(invite.top_via))
    headers.copy_from(invite.headers, "Route", "Max-Forwards", "From")
    headers.copy_from(response.headers, "To")
    headers.copy_from(invite.headers, "Call-ID")
    headers.add("CSeq", f"{invite.cseq.number} ACK")
    # RFC 3261 §22.1: credentials of the INVITE go into its ACK.
    headers.copy_from(invite.headers, "Authorization", "Proxy-Authorization")
    return Request("ACK", invite.uri, headers)


_TIMERS = {
    "A": Input.TIMER_A,
    "B": Input.TIMER_B,
    "D": Input.TIMER_D,
    "M": Input.TIMER_M,
}
_DO: dict[Action, Callable[[InviteClientTransaction, float, Response | None], None]] = {
    Action.PASS: InviteClientTransaction._pass,
    Action.ACK: InviteClientTransaction._send_ack,
    Action.RETRANSMIT: InviteClientTransaction._retransmit,
    Action.STOP_AB: InviteClientTransaction._stop_ab,
    Action.START_D: InviteClientTransaction._start_d,
    Action.START_M: InviteClientTransaction._start_m,
    Action.TIMED_OUT: InviteClientTransaction._timed_out,
    Action.FAILED: InviteClientTransaction._failed,
}
