"""A network between user agents, in memory: seeded loss, duplication, delay and reordering.

Nothing sleeps. Time is a :class:`~telephony.testing.clock.ManualClock` that :meth:`Link.run` moves
from one thing that is due to the next, so 32 seconds of Timer B pass in microseconds.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass

from telephony.sip.addresses import Destination, Send, Source
from telephony.sip.agent import UserAgent
from telephony.sip.events import SipEvent
from telephony.testing.clock import ManualClock

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Weather:
    """What the network does to datagrams. Streams lose, repeat and reorder nothing.

    loss, duplicates: the share of datagrams dropped or doubled, 0 to 1.
    delay: seconds every message takes.
    jitter: up to so many seconds more, each datagram by itself, which reorders them.
    """

    loss: float = 0.0
    duplicates: float = 0.0
    delay: float = 0.01
    jitter: float = 0.0


class Link:
    """Any number of agents, each at an address, and the weather between them."""

    def __init__(
        self,
        clock: ManualClock | None = None,
        *,
        weather: Weather | None = None,
        seed: int = 0,
    ) -> None:
        self.clock = clock or ManualClock()
        self.weather = weather or Weather()
        self.sent: list[tuple[Address, Send]] = []
        """Every message given to the network, with its sender, whether it arrives or not."""
        self.drop: Callable[[Address, Send], bool] | None = None
        """A written rule beside the weather: ``True`` drops the message."""
        self._rng = random.Random(seed)
        self._agents: dict[Address, UserAgent] = {}
        self._handlers: dict[Address, Callable[[SipEvent], None]] = {}
        self._flight: list[tuple[float, int, Address, Address, bytes, str]] = []
        self._plans: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = 0
        self._flows: dict[tuple[Address, Address], int] = {}

    @property
    def now(self) -> float:
        """Monotonic seconds."""
        return self.clock.monotonic()

    def add(self, agent: UserAgent, handler: Callable[[SipEvent], None] | None = None) -> UserAgent:
        """Connect ``agent`` at its own address; ``handler`` gets its events as they come."""
        address = (agent.config.host, agent.config.port)
        self._agents[address] = agent
        self._handlers[address] = handler or (lambda event: None)
        return agent

    def at(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something in ``seconds`` from now."""
        self._serial += 1
        heapq.heappush(self._plans, (self.now + seconds, self._serial, action))

    def flush(self) -> None:
        """Hand out events and put what the agents sent on its way, until all are quiet."""
        busy = True
        while busy:
            busy = False
            for address, agent in self._agents.items():
                for event in agent.take_events():
                    busy = True
                    self._handlers[address](event)
                for send in agent.take_sends():
                    busy = True
                    self._carry(address, send)

    def run(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        end = self.now + seconds
        self.flush()
        while True:
            at = self._next()
            if at is None or at > end:
                break
            self.clock.advance(max(0.0, at - self.now))
            self._step()
            self.flush()
        self.clock.advance(max(0.0, end - self.now))

    def run_until_quiet(self, limit: float = 3600.0) -> None:
        """Let time pass until nothing is planned or due, at most ``limit`` seconds."""
        end = self.now + limit
        self.flush()
        while (at := self._next()) is not None and at <= end:
            self.clock.advance(max(0.0, at - self.now))
            self._step()
            self.flush()

    def _next(self) -> float | None:
        times = [agent.next_deadline() for agent in self._agents.values()]
        due = [at for at in times if at is not None]
        if self._flight:
            due.append(self._flight[0][0])
        if self._plans:
            due.append(self._plans[0][0])
        return min(due, default=None)

    def _step(self) -> None:
        now = self.now
        while self._plans and self._plans[0][0] <= now:
            heapq.heappop(self._plans)[2]()
        while self._flight and self._flight[0][0] <= now:
            _, _, sender, receiver, data, transport = heapq.heappop(self._flight)
            agent = self._agents.get(receiver)
            if agent is not None:
                agent.receive(data, self._source(sender, receiver, transport), now)
        for agent in self._agents.values():
            deadline = agent.next_deadline()
            if deadline is not None and deadline <= now:
                agent.expire(now)

    def _source(self, sender: Address, receiver: Address, transport: str) -> Source:
        flow = 0
        if transport != "UDP":
            pair = (min(sender, receiver), max(sender, receiver))
            flow = self._flows.setdefault(pair, len(self._flows) + 1)
        return Source(sender, transport, receiver, flow)

    def _carry(self, sender: Address, send: Send) -> None:
        self.sent.append((sender, send))
        destination: Destination = send.destination
        if self.drop is not None and self.drop(sender, send):
            return
        weather, rng = self.weather, self._rng
        if destination.transport != "UDP":
            if destination.address not in self._agents:
                self._agents[sender].transport_failed(send, self.now)
                return
            self._post(self.now + weather.delay, sender, send)
            return
        if rng.random() < weather.loss:
            return
        copies = 2 if rng.random() < weather.duplicates else 1
        for _ in range(copies):
            late = weather.delay + rng.random() * weather.jitter
            self._post(self.now + late, sender, send)

    def _post(self, at: float, sender: Address, send: Send) -> None:
        self._serial += 1
        destination = send.destination
        item = (at, self._serial, sender, destination.address, send.data, destination.transport)
        heapq.heappush(self._flight, item)
