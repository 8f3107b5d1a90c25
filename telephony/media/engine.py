"""The engine: opens lanes, ticks every 20 ms in the loop's thread, says how well it keeps time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import structlog

from telephony.base.clock import Clock
from telephony.base.errors import Busy
from telephony.base.trace import Trace
from telephony.media.bank import Bank
from telephony.media.config import RATE, TICK_MS, MediaConfig
from telephony.media.contract import Attendant, Part
from telephony.media.lane import Lane
from telephony.media.ports import PortPairs, PortSource
from telephony.media.ring import RingSockets
from telephony.media.seats import Seat
from telephony.media.stats import TickStats
from telephony.media.wires import UdpWires
from telephony.media.writer import Writer

log = structlog.get_logger("telephony.media")

PERIOD = TICK_MS / 1000
BREATH = 0.002
"""Seconds left to the rest of the loop between ticks that catch up."""
MAX_BEHIND = 5
"""Ticks that are made up for one by one; of a longer stall the rest is passed over, because a
burst of packets helps no listener."""


class Engine:
    """All lanes of this process.

    ``await start()`` before the first lane, ``await stop()`` after the last. Everything else is
    called on the loop's thread.
    """

    def __init__(
        self,
        config: MediaConfig,
        clock: Clock,
        *,
        rng: random.Random,
        trace: Trace | None = None,
        ports: PortSource | None = None,
    ) -> None:
        """``ports``: where sockets come from; without it they are bound in ``config.ports``."""
        self.config = config
        self.stats = TickStats()
        self._clock = clock
        self._wires = UdpWires(
            ports or PortPairs(config.ports, config.drain_seconds, rng),
            clock,
            trace or Trace(),
            ring=_ring(config, clock),
        )
        self._writer = Writer(config.writer_bytes)
        self._bank = Bank(config, clock, self._wires, self._writer, rng)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._attendants: list[Attendant] = []

    @property
    def bank(self) -> Bank:
        """The lanes' arrays."""
        return self._bank

    @property
    def lanes(self) -> int:
        """Lanes open now."""
        return self._bank.count

    def parts(self) -> list[Part]:
        """See ``media.contract``: this process alone."""
        return [Part("0", self._loop is not None, self.lanes, self.stats)]

    def open(self, host: str | None = None, *, call: str = "") -> Lane:
        """A lane with a pair of ports on ``host`` (numeric, IPv4 or IPv6; None: the configured).

        All lanes of this engine are in one place, whatever their ``call``.

        Raises:
            Busy: every lane, port pair or file descriptor is taken.
            MediaFailed: ``host`` is not an address of this machine.
        """
        if self._bank.count >= self.config.max_lanes:
            raise Busy(f"all {self.config.max_lanes} lanes are taken")
        return self._bank.open(host or self.config.host)

    def sit(self, group: str, rate: int = RATE) -> Seat:
        """A seat in a mixing group, for a program of this process (``rooms``).

        Raises:
            ValueError: a rate that is none of 8, 16, 24 and 48 kHz.
        """
        return self._bank.sit(group, rate)

    def rise(self, seat: Seat) -> None:
        """Give a seat back. Idempotent."""
        self._bank.rise(seat)

    def attend(self, attendant: Attendant) -> None:
        """Call it with every tick from now on."""
        self._attendants.append(attendant)

    def ready(self) -> str | None:
        """Why no lane can be opened now, or None."""
        if self._loop is None:
            return "the media engine is not running"
        if self._bank.count >= self.config.max_lanes:
            return "every media lane is taken"
        return None

    async def start(self) -> None:
        """Start the recordings' writer and the clock work."""
        self._loop = asyncio.get_running_loop()
        self._writer.start(self._loop.call_soon_threadsafe)
        self._due = self._clock.monotonic() + PERIOD
        self._arm()

    async def stop(self) -> None:
        """Close every lane, finish every recording, stop the clock work. Idempotent."""
        if self._loop is None:
            return
        self._bank.close_all()
        self._deliver(self._bank.take_facts())
        if self._timer is not None:
            self._timer.cancel()
        loop, self._loop = self._loop, None
        await loop.run_in_executor(None, self._writer.stop)
        self._wires.shut()
        # The writer's last results were posted to this loop; they are delivered before we return.
        await asyncio.sleep(0)

    @property
    def io(self) -> str:
        """How datagrams are moved: ``io_uring`` or ``epoll``."""
        return "epoll" if self._wires.ring is None else "io_uring"

    def _arm(self) -> None:
        assert self._loop is not None
        wait = self._due - self._clock.monotonic()
        self._timer = self._loop.call_later(max(wait, BREATH), self._tick)

    def _tick(self) -> None:
        began = self._clock.monotonic()
        late = began - self._due
        behind = int(late / PERIOD)
        if behind > MAX_BEHIND:
            self._bank.pass_over(behind)
            self._due += behind * PERIOD
            self.stats.passed_over += behind
        try:
            for one in self._attendants:
                one.before()
            self._bank.tick(began)
            for one in self._attendants:
                one.after()
        except Exception:
            # A fault of ours in one tick must not end the sound of every call.
            self.stats.failed += 1
            log.exception("media.tick_failed")
        self._writer.wake()
        self._deliver(self._bank.take_facts())
        self.stats.add(late, self._clock.monotonic() - began, self._bank.count)
        self._due += PERIOD
        if self._loop is not None:
            self._arm()

    def _deliver(self, facts: list[Callable[[], None]]) -> None:
        if facts and self._loop is not None:
            for fact in facts:
                self._loop.call_soon(fact)


def _ring(config: MediaConfig, clock: Clock) -> RingSockets | None:
    if config.io == "epoll":
        return None
    try:
        return RingSockets(clock, config.max_lanes)
    except OSError as error:
        log.info("media.without_io_uring", reason=str(error))
        return None
