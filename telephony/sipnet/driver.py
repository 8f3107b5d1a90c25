"""The driver: puts sockets and the clock under the agent, and decides nothing.

After every input it does the same three things in the same order: hand out events, put sends on
the wire, arm one timer. It is the only code that touches the loop for the agent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import ParamSpec, Protocol, TypeVar

import structlog

from telephony.base.trace import Action, Trace
from telephony.sip.addresses import Destination, Send, Source
from telephony.sip.events import NeedResolve, SipEvent
from telephony.sip.message import Request, Response
from telephony.sip.parser import Malformed
from telephony.sipnet.resolver import Resolver
from telephony.sipnet.stream import StreamConfig, Streams
from telephony.sipnet.udp import UdpEndpoint

log = structlog.get_logger("telephony.sipnet")

P = ParamSpec("P")
T = TypeVar("T")
Address = tuple[str, int]


class Doors(Protocol):
    """What is driven: a `UserAgent`, or several behind one set of the same doors."""

    def receive(
        self, data: bytes | Request | Response | Malformed, source: Source, now: float
    ) -> None:
        """A datagram, or a message a stream framer made."""

    def expire(self, now: float) -> None:
        """Do what is due."""

    def next_deadline(self) -> float | None:
        """When to expire next."""

    def take_sends(self) -> list[Send]:
        """What must go out."""

    def take_events(self) -> list[SipEvent]:
        """What happened."""

    def transport_failed(self, send: Send, now: float) -> None:
        """A message could not be delivered."""

    def flow_closed(self, flow: int, now: float) -> None:
        """A connection is gone."""

    def resolved(self, token: str, destinations: Sequence[Destination], *, now: float) -> None:
        """The answer to NeedResolve."""


class SipDriver:
    """Runs a `UserAgent`, or anything with its doors, on one event loop.

    `on_event` gets every event but NeedResolve, which the driver answers itself. It may give the
    agent orders through `order`; an exception in it is logged and ends nothing.
    """

    def __init__(
        self,
        agent: Doors,
        on_event: Callable[[SipEvent], None],
        *,
        clock: Callable[[], float],
        resolver: Resolver | None = None,
        streams: StreamConfig | None = None,
        trace: Trace | None = None,
        trusted: Callable[[str], bool] | None = None,
    ) -> None:
        """`clock` gives monotonic seconds, the `now` of every order. `trace` gets an entry for
        what the sockets refuse, end or cannot send. `trusted`: see `Streams`."""
        self.agent = agent
        self.resolver = resolver
        self._on_event = on_event
        self._clock = clock
        self._udp: list[UdpEndpoint] = []
        self._streams = Streams(self, clock, streams or StreamConfig(), trace, trusted)
        self._trace = trace
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._resolving: set[asyncio.Task[None]] = set()
        self._busy = False
        self._armed_for = 0.0
        self._closed = False

    # -- life --------------------------------------------------------------------------------------

    async def listen(
        self, host: str, port: int, *, transports: Sequence[str] = ("UDP", "TCP")
    ) -> Address:
        """Open UDP and TCP on one numeric address, on the same port; returns (host, port).

        Port 0 takes a port that is free for both. OSError when it cannot be had. May be called
        again for another address, as IPv6 beside IPv4.
        """
        loop = self._loop = asyncio.get_running_loop()
        for attempt in range(20):
            endpoint = UdpEndpoint(self._datagram, self.failed)
            bound = (host, port)
            try:
                if "UDP" in transports:
                    endpoint.open(host, port, loop)
                    bound = endpoint.local
                if "TCP" in transports:
                    bound = await self._streams.listen(host, bound[1])
            except OSError:
                endpoint.close()
                # The free UDP port may be taken for TCP: ask for another.
                if port or attempt == 19:
                    raise
                continue
            if "UDP" in transports:
                self._udp.append(endpoint)
            return bound
        raise OSError("no port is free for both UDP and TCP")

    async def close(self) -> None:
        """Stop the timer and close every socket. Events are no longer handed out."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for task in self._resolving:
            task.cancel()
        await asyncio.gather(*self._resolving, return_exceptions=True)
        for endpoint in self._udp:
            endpoint.close()
        await self._streams.close()

    @property
    def local(self) -> list[Address]:
        """The UDP addresses bound to."""
        return [endpoint.local for endpoint in self._udp]

    def now(self) -> float:
        """Monotonic seconds, the agent's clock."""
        return self._clock()

    # -- orders ------------------------------------------------------------------------------------

    def order(self, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Give the agent an order and do what follows: `driver.order(agent.bye, id, now=…)`.

        What the method returns is returned; what it raises (a bad header of ours) is raised.
        """
        try:
            return method(*args, **kwargs)
        finally:
            self._after()

    async def resolve(self, uri: str) -> list[Destination]:
        """Where to send a request for `uri` (RFC 3263); [] when nothing was found."""
        if self.resolver is None:
            return []
        return await self.resolver.resolve(uri)

    # -- what the sockets bring --------------------------------------------------------------------

    def _datagram(self, data: bytes, source: Source) -> None:
        self._feed(self.agent.receive, data, source)

    def received(self, message: Request | Response | Malformed, source: Source) -> None:
        """A message from a stream."""
        self._feed(self.agent.receive, message, source)

    def failed(self, send: Send) -> None:
        """A message could not be delivered."""
        self._note_failure(send)
        self._feed(self.agent.transport_failed, send)

    def closed(self, flow: int) -> None:
        """A connection is gone."""
        self._feed(self.agent.flow_closed, flow)

    def _expire(self) -> None:
        self._timer = None
        self._feed(self.agent.expire)

    def _feed(self, door: Callable[..., None], *args: object) -> None:
        """One input. A fault in the agent costs this message and no other."""
        if self._closed:
            return
        try:
            door(*args, self._clock())
        except Exception:
            log.exception("sip.internal_error", door=door.__name__)
        self._after()

    # -- what follows every input ------------------------------------------------------------------

    def _after(self) -> None:
        """Events, sends, timer; again while one of them gave the agent more to do."""
        if self._busy or self._closed:
            return
        self._busy = True
        try:
            while True:
                events = self.agent.take_events()
                for event in events:
                    self._hand_out(event)
                sends = self.agent.take_sends()
                for send in sends:
                    self._put(send)
                if not events and not sends:
                    break
        finally:
            self._busy = False
        self._arm()

    def _hand_out(self, event: SipEvent) -> None:
        if isinstance(event, NeedResolve):
            task = asyncio.ensure_future(self._answer_name(event))
            self._resolving.add(task)
            task.add_done_callback(self._resolving.discard)
            return
        try:
            self._on_event(event)
        except Exception:
            log.exception("sip.event_failed", sip_event=type(event).__name__)

    def _put(self, send: Send) -> None:
        if send.destination.transport == "UDP":
            endpoint = self._endpoint(send)
            sent = endpoint is not None and endpoint.send(send)
        else:
            sent = self._streams.send(send)
        if not sent:
            self._note_failure(send)
            try:
                self.agent.transport_failed(send, self._clock())
            except Exception:
                log.exception("sip.internal_error", door="transport_failed")

    def _note_failure(self, send: Send) -> None:
        if self._trace is not None:
            destination = send.destination
            self._trace.add(
                self._clock(),
                Action.TRANSPORT_FAILED,
                reason="not delivered",
                peer=destination.address[0],
                transport=destination.transport,
            )

    def _endpoint(self, send: Send) -> UdpEndpoint | None:
        """The socket the peer knows us by, else the first of the destination's family."""
        wants_ipv6 = ":" in send.destination.address[0]
        first = None
        for endpoint in self._udp:
            if endpoint.local == send.local:
                return endpoint
            if first is None and (":" in endpoint.local[0]) == wants_ipv6:
                first = endpoint
        return first

    def _arm(self) -> None:
        """One timer, for the agent's next deadline. One that comes early is left: it re-arms."""
        deadline = self.agent.next_deadline()
        timer = self._timer
        if deadline is None or self._loop is None:
            if timer is not None:
                timer.cancel()
                self._timer = None
            return
        if timer is not None:
            if self._armed_for <= deadline:
                return
            timer.cancel()
        self._armed_for = deadline
        self._timer = self._loop.call_later(max(0.0, deadline - self._clock()), self._expire)

    async def _answer_name(self, event: NeedResolve) -> None:
        destinations = await self.resolve(event.uri)
        if not self._closed:
            self.order(self.agent.resolved, event.token, destinations, now=self._clock())
