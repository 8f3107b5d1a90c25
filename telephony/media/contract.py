"""What carriers, rooms and metrics need of a media engine, wherever it runs.

``media.engine.Engine`` ticks in this process; ``media.workers.engine.WorkerEngine`` stands for
the engines of worker processes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from telephony.calls.events import MediaQuality
from telephony.calls.ports import Media
from telephony.calls.role import Role
from telephony.media.config import RATE, MediaConfig
from telephony.media.seats import Seat
from telephony.media.stats import TickStats
from telephony.media.terms import Address


@runtime_checkable
class Guest(Protocol):
    """A lane as a room sees it."""

    @property
    def closed(self) -> bool: ...

    def enter(self, group: str, role: Role = Role.SPEAKER) -> None:
        """Hear a group and be heard as the role has it; leaves a bridge or another group."""
        ...

    def leave_group(self, group: str) -> None:
        """Leave this group; nothing where the lane is bridged or elsewhere by now."""
        ...


class MediaLane(Media, Guest, Protocol):
    """A lane as the carrier that negotiates its stream sees it.

    The callbacks come on the loop's thread, never from within a call of a method.
    """

    on_digit: Callable[[str, int], None]
    """A key and its duration in ms."""
    on_timeout: Callable[[], None]
    """The far end has been silent for too long."""
    on_tone: Callable[[str], None]
    """A tone of the network or of a machine; see ``media.lane.Lane``."""
    on_lost: Callable[[], None]
    """The engine died under the lane. Every ``done`` was called or follows; ``end`` it."""

    @property
    def local_address(self) -> Address: ...

    def start(
        self,
        *,
        remote: Address | None,
        rtcp: Address | None = None,
        payload_type: int = 0,
        codec: str = "PCMU",
        dtmf_payload_type: int | None = None,
        ptime_ms: int = 20,
        can_send: bool = True,
        can_receive: bool = True,
        trusted_ip: str | None = None,
        patient: bool = False,
        comfort_noise: bool = False,
    ) -> None:
        """See ``media.lane.Lane.start``. Raises MediaFailed."""
        ...

    def end(self, done: Callable[[MediaQuality], None]) -> None:
        """Close. ``done`` is called once with all that was counted: before this returns where the
        engine is in this process, else within a tick or two."""
        ...


@dataclass(frozen=True, slots=True)
class Part:
    """One process of an engine. ``name`` is ``0`` for this one; ``restarts`` since the start."""

    name: str
    alive: bool
    lanes: int
    stats: TickStats
    restarts: int = 0


class Attendant(Protocol):
    """Who writes and reads seats with the tick: called on the loop's thread, and must be quick."""

    def before(self) -> None:
        """A tick begins: what is written to a seat now is said in it."""
        ...

    def after(self) -> None:
        """It is over: what seats hear of it can be read."""
        ...


class MediaEngine(Protocol):
    """Opens lanes and seats, says how it fares. Everything on the loop's thread."""

    @property
    def config(self) -> MediaConfig: ...

    @property
    def lanes(self) -> int:
        """Lanes open now."""
        ...

    @property
    def stats(self) -> TickStats:
        """Of all its processes together."""
        ...

    def parts(self) -> list[Part]:
        """Its processes, one by one."""
        ...

    def open(self, host: str | None = None, *, call: str = "") -> MediaLane:
        """A lane with ports on ``host``. Lanes of one ``call`` are placed together.

        Raises:
            Busy: every lane, port pair or file descriptor is taken.
            MediaFailed: ``host`` is not an address of this machine.
        """
        ...

    def sit(self, group: str, rate: int = RATE) -> Seat:
        """A seat in a mixing group, for a program of this process.

        Raises:
            ValueError: a rate that is none of 8, 16, 24 and 48 kHz.
        """
        ...

    def rise(self, seat: Seat) -> None:
        """Give a seat back. Idempotent."""
        ...

    def attend(self, attendant: Attendant) -> None:
        """Call it with every tick of this process from now on."""
        ...

    def ready(self) -> str | None:
        """Why no lane can be opened now, or None."""
        ...

    async def start(self) -> None: ...

    async def stop(self) -> None:
        """Close every lane, finish every recording. Idempotent."""
        ...
