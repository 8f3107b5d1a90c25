"""Every SIP agent of the carrier behind one set of doors, with the door-keeper in front.

An agent writes one address into what it sends, so there is one for each address that we are known
by: inside and outside of a NAT, IPv4 and IPv6. Which one a message belongs to follows from the
peer's address alone, in both directions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from telephony.base.trace import Action, Trace
from telephony.carriers.trunk.addresses import Addresses
from telephony.sip.addresses import Destination, Send, Source
from telephony.sip.agent import AgentConfig, UserAgent
from telephony.sip.events import SipEvent
from telephony.sip.message import Request, Response
from telephony.sip.parser import Malformed, parse

MAX_AGENTS = 16
"""Addresses of one machine that peers know it by."""

Screen = Callable[[Request, Source, float], str | None]


class Board:
    """The doors of :class:`UserAgent`, shared by several."""

    def __init__(
        self,
        config: Callable[[str], AgentConfig],
        addresses: Addresses,
        rng: Random,
        trace: Trace,
        *,
        screen: Screen,
        banned: Callable[[str, float], bool],
        dropped: Callable[[str, str, float], None],
        heard: Callable[[str], None],
        closed: Callable[[int], None],
    ) -> None:
        """``config`` makes the agent of an address.

        ``screen`` says why a request is met with silence, ``dropped(host, reason, now)`` is told
        of it. ``heard(call_id)``: a response came. ``closed(flow)``: a connection is gone.
        """
        self._config = config
        self._addresses = addresses
        self._rng = rng
        self._trace = trace
        self._screen = screen
        self._banned = banned
        self._dropped = dropped
        self._heard = heard
        self._closed = closed
        self._agents: dict[str, UserAgent] = {}
        self._trusted: list[str] = []
        self._default = addresses.default()
        self._is_open = False

    def open(self) -> None:
        """The port is known: agents can say who they are."""
        self._is_open = True
        self._agent(self._default)

    def towards(self, peer: str) -> UserAgent:
        """The agent that speaks with a peer (a numeric host)."""
        return self._agent(self._addresses.towards(peer))

    def trust(self, hosts: Sequence[str]) -> None:
        """As :meth:`UserAgent.trust`, for all of them."""
        self._trusted = list(hosts)
        for agent in self._agents.values():
            agent.trust(self._trusted)

    def sessions(self) -> int:
        """Sessions that have not ended."""
        return sum(len(agent.sessions()) for agent in self._agents.values())

    # -- the doors ------------------------------------------------------------------------------

    def receive(
        self, data: bytes | Request | Response | Malformed, source: Source, now: float
    ) -> None:
        """A message: screened, then given to the agent that speaks with its sender."""
        host = source.address[0]
        if not self._is_open:
            self._trace.add(now, Action.SIP_DROPPED, reason="not open yet", peer=host)
            return
        if isinstance(data, bytes):
            # A flood costs a table look-up each, not a parse.
            if self._banned(host, now):
                self._drop(host, "banned", now)
                return
            data = parse(data)
        if isinstance(data, Request):
            reason = self._screen(data, source, now)
            if reason is not None:
                self._drop(host, reason, now)
                return
        elif isinstance(data, Response):
            self._heard(data.call_id)
        self.towards(host).receive(data, source, now)

    def expire(self, now: float) -> None:
        for agent in self._agents.values():
            deadline = agent.next_deadline()
            if deadline is not None and deadline <= now:
                agent.expire(now)

    def next_deadline(self) -> float | None:
        found = [d for d in (a.next_deadline() for a in self._agents.values()) if d is not None]
        return min(found, default=None)

    def take_sends(self) -> list[Send]:
        return [send for agent in self._agents.values() for send in agent.take_sends()]

    def take_events(self) -> list[SipEvent]:
        return [event for agent in self._agents.values() for event in agent.take_events()]

    def transport_failed(self, send: Send, now: float) -> None:
        self.towards(send.destination.address[0]).transport_failed(send, now)

    def flow_closed(self, flow: int, now: float) -> None:
        for agent in self._agents.values():
            agent.flow_closed(flow, now)
        self._closed(flow)

    def resolved(self, token: str, destinations: Sequence[Destination], *, now: float) -> None:
        for agent in self._agents.values():
            agent.resolved(token, destinations, now=now)

    # -- inside ---------------------------------------------------------------------------------

    def _agent(self, address: str) -> UserAgent:
        agent = self._agents.get(address)
        if agent is None:
            if len(self._agents) >= MAX_AGENTS:
                return self._agents[self._default]
            agent = UserAgent(self._config(address), self._rng, trace=self._trace)
            agent.trust(self._trusted)
            self._agents[address] = agent
        return agent

    def _drop(self, host: str, reason: str, now: float) -> None:
        self._trace.add(now, Action.SIP_DROPPED, reason=reason, peer=host)
        self._dropped(host, reason, now)
