"""What every part of one agent shares: its configuration, random names, alarms and two queues."""

from __future__ import annotations

import hashlib
import ipaddress
import random
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from telephony.base.trace import Action, Trace
from telephony.sip.addresses import Destination, Send, Source
from telephony.sip.events import NeedResolve, SipEvent
from telephony.sip.headers import Via
from telephony.sip.limits import (
    MAX_CLOSED_FLOWS,
    MAX_EVENTS_PENDING,
    MAX_RESOLUTIONS,
    MAX_SENDS_PENDING,
)
from telephony.sip.message import Request, Response
from telephony.sip.timers import Alarms, Owner, Timers
from telephony.sip.uri import Uri

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, REFER, NOTIFY"
SUPPORTED = "timer, norefersub"
ACCEPT = "application/sdp"


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """What an agent is told once.

    host, port: the address written into Via and Contact; the external one behind a NAT.
    user_agent: the User-Agent and Server header; empty leaves it out.
    registrar: report REGISTER as an event instead of answering 405.
    session_expires, min_se: seconds, RFC 4028; 0 for ``session_expires`` asks for no timer.
    symmetric: send requests in a dialog over UDP to where the peer's messages come from, when its
        Contact is not that place but a private or unspecified address (RFC 3261 knows nothing of
        NATs; most phones behind one depend on it).
    check_response_source: take a response over UDP only from the host the request went to. Off
        for a multi-homed peer that answers from another address.
    unanswered: seconds after which an INVITE of ours that still rings is cancelled (as Timer C
        would in a proxy, RFC 3261 §16.6), and one of theirs is answered 480. A ring time-out of a
        dialplan is shorter and is its own matter.
    timers: the values of RFC 3261 table 4.
    """

    host: str = "127.0.0.1"
    port: int = 5060
    user_agent: str = "telephony"
    registrar: bool = False
    session_expires: int = 1800
    min_se: int = 90
    symmetric: bool = True
    check_response_source: bool = True
    unanswered: float = 240.0
    timers: Timers = field(default_factory=Timers)

    def __post_init__(self) -> None:
        if not self.host or any(c in self.host for c in " \r\n\t;,<>"):
            raise ValueError("host must be a name or a numeric address")
        if not 0 < self.port < 65536:
            raise ValueError("port must lie between 1 and 65535")
        # RFC 4028 §4: 90 s is the least a Session-Expires may be.
        if self.min_se < 90 or (self.session_expires and self.session_expires < self.min_se):
            raise ValueError("min_se is at least 90 and session_expires not below it")


Items = Sequence[tuple[str, str]]
"""Header rows to be added, in order."""
Resolved = Callable[[Sequence[Destination], float], None]


class Core:
    """The stock of one agent. Its parts hold it and each other, and nothing global."""

    def __init__(self, config: AgentConfig, rng: random.Random, trace: Trace | None) -> None:
        self.config = config
        self.timers = config.timers
        self.rng = rng
        self.trace = trace if trace is not None else Trace()
        self.alarms = Alarms()
        self.sends: deque[Send] = deque()
        self.events: deque[SipEvent] = deque()
        self.trusted: frozenset[str] = frozenset()
        self.resolving: dict[str, Resolved] = {}
        self.closed_flows: OrderedDict[int, None] = OrderedDict()
        self._secret = rng.getrandbits(128).to_bytes(16, "big")
        self.hostport = Uri("sip", host=config.host, port=config.port).hostport

    # -- random names -------------------------------------------------------------------------

    def token(self, bits: int = 64) -> str:
        """A random hexadecimal word."""
        return f"{self.rng.getrandbits(bits):0{bits // 4}x}"

    def branch(self) -> str:
        """RFC 3261 §8.1.1.7."""
        return f"z9hG4bK{self.token()}"

    def stateless_tag(self, request: Request) -> str:
        """A To tag that is the same for each retransmission of ``request`` (RFC 3261 §8.2.7)."""
        via = request.headers.get("Via") or ""
        text = f"{request.call_id}|{request.headers.get('From')}|{request.cseq.number}|{via}"
        data = text.encode("utf-8", "surrogateescape")
        return hashlib.blake2b(data, key=self._secret, digest_size=8).hexdigest()

    # -- header values ------------------------------------------------------------------------

    def via(self, transport: str, branch: str) -> Via:
        """Our Via; it asks for the reflected address (RFC 3581)."""
        params = (("branch", branch), ("rport", ""))
        return Via(transport, self.config.host, self.config.port, params)

    def contact(self, user: str, transport: str) -> str:
        """Our Contact for a dialog that runs over ``transport``."""
        params = () if transport == "UDP" else (("transport", transport.lower()),)
        uri = Uri("sip", user or None, host=self.config.host, port=self.config.port, params=params)
        return f"<{uri}>"

    def identify(self, message: Request | Response) -> None:
        """Say who we are, where that is configured."""
        if self.config.user_agent:
            name = "User-Agent" if isinstance(message, Request) else "Server"
            message.headers.add(name, self.config.user_agent)

    def capabilities(self, request: Request, to_tag: str) -> Response:
        """200 to OPTIONS (RFC 3261 §11.2)."""
        response = request.reply(200, to_tag=to_tag)
        response.headers.add("Allow", ALLOW)
        response.headers.add("Accept", f"{ACCEPT}, application/dtmf-relay")
        response.headers.add("Supported", SUPPORTED)
        self.identify(response)
        return response

    # -- queues -------------------------------------------------------------------------------

    def emit(self, event: SipEvent) -> None:
        """Queue a fact. A driver that never takes events loses the newest, with a trace."""
        if len(self.events) >= MAX_EVENTS_PENDING:
            self.trace.add(0.0, Action.SIP_DROPPED, reason="events not taken")
            return
        self.events.append(event)

    def send(
        self,
        message: bytes | Request | Response,
        destination: Destination,
        local: tuple[str, int] | None = None,
        key: str = "",
    ) -> None:
        """Queue a message for the wire."""
        if len(self.sends) >= MAX_SENDS_PENDING:
            self.trace.add(0.0, Action.SIP_DROPPED, reason="sends not taken")
            return
        data = message if isinstance(message, bytes) else bytes(message)
        self.sends.append(Send(data, destination, local, key))

    # -- names --------------------------------------------------------------------------------

    def resolve(self, uri: str, then: Resolved, now: float) -> None:
        """Ask for the destinations of ``uri`` and call ``then`` with them; () when none come."""
        if len(self.resolving) >= MAX_RESOLUTIONS:
            self.dropped(now, "too many names being resolved")
            then((), now)
            return
        token = self.token()
        self.resolving[token] = then
        self.alarm(self, token, now + self.timers.timeout)
        self.emit(NeedResolve(token, uri))

    def resolved(self, token: str, destinations: Sequence[Destination], now: float) -> None:
        """The answer, or none; what came too late is forgotten."""
        then = self.resolving.pop(token, None)
        self.silence(self, token)
        if then is not None:
            then(destinations, now)

    def on_alarm(self, name: str, now: float) -> None:
        """A name was not resolved in time."""
        self.resolved(name, (), now)

    # -- alarms -------------------------------------------------------------------------------

    def alarm(self, owner: Owner, name: str, at: float) -> None:
        """Let ``owner.on_alarm(name)`` be called at ``at``; replaces an earlier one."""
        self.alarms.set((owner, name), at)

    def silence(self, owner: Owner, *names: str) -> None:
        """Cancel alarms."""
        for name in names:
            self.alarms.cancel((owner, name))

    # -- trace --------------------------------------------------------------------------------

    def dropped(self, now: float, reason: str, source: Source | None = None) -> None:
        """Something was not answered; nothing is dropped without an entry."""
        host = "" if source is None else source.address[0]
        self.trace.add(now, Action.SIP_DROPPED, reason=reason, peer=host)

    def flow_closed(self, flow: int) -> None:
        """Remember that a connection is gone, for the dialogs that ran over it."""
        self.closed_flows[flow] = None
        if len(self.closed_flows) > MAX_CLOSED_FLOWS:
            self.closed_flows.popitem(last=False)

    def transport_failed(self, now: float, destination: Destination) -> None:
        """Something could not be put on the wire."""
        self.trace.add(now, Action.TRANSPORT_FAILED, peer=destination.address[0])

    def refused(self, now: float, reason: str, status: int, source: Source) -> None:
        """A request was refused without asking anybody."""
        self.trace.add(
            now, Action.SIP_REFUSED, reason=reason, status=status, peer=source.address[0]
        )


def numeric(host: str) -> bool:
    """Whether ``host`` is an IP address and not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def behind_nat(host: str) -> bool:
    """Whether ``host`` cannot be meant for us to send to unless we share its network."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_private or address.is_unspecified or address.is_link_local


def loopback(host: str) -> bool:
    """Whether ``host`` is a loopback address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
