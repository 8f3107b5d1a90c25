"""What every leg of the carrier shares: the way to the agents, sound, time, and the tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from telephony.base.clock import Clock
from telephony.base.trace import Action, Trace
from telephony.calls.ports import Media
from telephony.carriers.caps import TrunkCaps
from telephony.carriers.silence import NoSound
from telephony.carriers.trunk.board import Board
from telephony.carriers.trunk.config import TrunkConfig
from telephony.carriers.trunk.targets import Silences
from telephony.carriers.trunk.voice import Owner, Voice
from telephony.media.tally import Tally
from telephony.sip.addresses import Destination
from telephony.sip.agent import UserAgent
from telephony.sip.events import SipEvent
from telephony.sipnet.driver import SipDriver


class Timer(Protocol):
    """Something that can be called off."""

    def cancel(self) -> None: ...


class SessionOwner(Protocol):
    """Whoever is told what happens in a session."""

    def on_sip(self, event: SipEvent) -> None: ...

    def on_heard(self, session: str) -> None:
        """Some response to the session's INVITE came in, be it 100."""
        ...


@dataclass(slots=True, kw_only=True)
class Line:
    """Handed to each leg once. ``later`` and ``voice`` are the loop's and the engine's."""

    config: TrunkConfig
    clock: Clock
    rng: Random
    driver: SipDriver
    board: Board
    caps: TrunkCaps
    silences: Silences
    trace: Trace
    port: int
    """Of our SIP sockets."""
    host: Callable[[str], str]
    """Our address as a peer (a numeric host) is told it."""
    hostport: Callable[[str], str]
    """Our host and port as a peer (a numeric host) is told it."""
    later: Callable[[float, Callable[[], None]], Timer]
    voice: Callable[[str, bool, Owner], Voice]
    """A leg's sound: its peer, whether that is a stranger, and the leg."""
    silence: Media = field(default_factory=NoSound)
    sessions: dict[str, SessionOwner] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    """Of the sound of legs that are over."""

    @property
    def now(self) -> float:
        """Monotonic seconds."""
        return self.clock.monotonic()

    def agent(self, peer: str) -> UserAgent:
        """The agent that speaks with a numeric host."""
        return self.board.towards(peer)

    async def resolve(self, uri: str) -> Sequence[Destination]:
        """RFC 3263."""
        return await self.driver.resolve(uri)

    def name_session(self) -> str:
        """A name that nobody can guess, for a session or a Call-ID."""
        return f"{self.rng.getrandbits(128):032x}"

    def heard(self, call_id: str) -> None:
        """A response with this Call-ID came in. Sessions of ours are named by their Call-ID."""
        owner = self.sessions.get(call_id)
        if owner is not None:
            owner.on_heard(call_id)

    def refused(self, peer: str, status: int, reason: str) -> None:
        """Write down that a request was refused."""
        self.trace.add(self.now, Action.SIP_REFUSED, reason=reason, status=status, peer=peer)
