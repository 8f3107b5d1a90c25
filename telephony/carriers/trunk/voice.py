"""The sound of one leg: its SDP, and the lane of the media engine that carries what was agreed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from telephony.base.errors import MediaFailed
from telephony.calls.events import MediaQuality
from telephony.calls.ports import Media, Played, Recorded, Sound
from telephony.sdp.address import AddressPolicy
from telephony.sdp.exchange import Exchange
from telephony.sdp.model import SdpError
from telephony.sdp.offer_answer import LocalMedia, Negotiated, NotAcceptable, answer

Digit = Callable[[str, int], None]
"""A key and its duration in ms."""


class Lane(Media, Protocol):
    """What a leg asks of its lane besides the sound orders of ``calls.ports.Media``."""

    @property
    def port(self) -> int:
        """Our RTP port; RTCP is the next one."""
        ...

    def connect(self, agreed: Negotiated) -> None:
        """Talk to that far end from now on, by these payload types and in this direction."""
        ...

    def close(self) -> MediaQuality:
        """Give the ports back; what was counted."""
        ...


class Engine(Protocol):
    """What a leg asks of the media engine."""

    def open(self, host: str, *, digit: Digit, timeout: Callable[[], None], info: Digit) -> Lane:
        """A lane that is told to peers as ``host``. Raises MediaFailed where none is free."""
        ...


@dataclass(frozen=True, slots=True)
class Objection:
    """Why an offer cannot be taken. ``warning`` as in RFC 3261 §20.43."""

    status: int
    warning: int
    words: str


def unusable(offer: bytes | None, host: str, policy: AddressPolicy) -> Objection | None:
    """Why nothing can be made of an offer, or None; no lane is taken for it."""
    if offer is None:
        return None
    try:
        answer(offer, LocalMedia(host=host, port=9, session_id=0), policy)
    except NotAcceptable as fault:
        return Objection(488, fault.warning, fault.message)
    except SdpError as fault:
        return Objection(400, 399, str(fault))
    return None


class Voice:
    """Built with the leg; a lane is taken with the first description that goes out."""

    def __init__(
        self,
        engine: Engine,
        *,
        advertised: str,
        session_id: int,
        policy: AddressPolicy,
        digit: Digit,
        timeout: Callable[[], None],
        info: Digit,
    ) -> None:
        """``digit``: a key was heard. ``timeout``: no media. ``info``: send a key as INFO."""
        self._engine = engine
        self._advertised = advertised
        self._session_id = session_id
        self._policy = policy
        self._digit = digit
        self._timeout = timeout
        self._info = info
        self._lane: Lane | None = None
        self._exchange: Exchange | None = None
        self._first_offer = b""
        self._closed = False

    @property
    def media(self) -> Media:
        """The lane, or silence where there is none."""
        return self._lane if self._lane is not None else NO_SOUND

    @property
    def agreed(self) -> bool:
        """Whether an offer and its answer stand."""
        return self._exchange is not None and self._exchange.current is not None

    @property
    def held(self) -> bool:
        """Whether the far end holds us."""
        exchange = self._exchange
        return exchange is not None and exchange.current is not None and exchange.current.held

    @property
    def codec(self) -> str:
        """The codec agreed on, "" before."""
        if self._exchange is None or self._exchange.current is None:
            return ""
        return self._exchange.current.codec

    def first_offer(self) -> bytes:
        """The offer of our INVITEs: the same in every fork. Raises MediaFailed: no lane."""
        if not self._first_offer:
            self._first_offer = self._opened().offer()
        return self._first_offer

    def offer(self) -> bytes:
        """Our offer, in a 200 to an INVITE without one. Raises MediaFailed: no lane."""
        return self._opened().offer()

    def answer(self, offer: bytes) -> bytes:
        """Our answer; sound flows by it from now on.

        Raises:
            SdpError, NotAcceptable: nothing can be made of it; what stood, stands.
            MediaFailed: no lane.
        """
        found = self._opened().answer(offer)
        self._connect(found.negotiated)
        return found.body

    def accept(self, answer: bytes) -> None:
        """Their answer to our offer. Raises SdpError, NotAcceptable."""
        self._connect(self._opened().accept(answer))

    def withdraw(self) -> None:
        """Our offer was refused."""
        if self._exchange is not None:
            self._exchange.withdraw()

    def close(self) -> MediaQuality | None:
        """Give the lane back; what it counted, None where there was none."""
        self._closed = True
        return None if self._lane is None else self._lane.close()

    def _opened(self) -> Exchange:
        if self._exchange is None:
            if self._closed:
                raise MediaFailed("the leg has ended")
            self._lane = self._engine.open(
                self._advertised, digit=self._digit, timeout=self._timeout, info=self._info
            )
            local = LocalMedia(
                host=self._advertised, port=self._lane.port, session_id=self._session_id
            )
            self._exchange = Exchange(local, self._policy)
        return self._exchange

    def _connect(self, agreed: Negotiated) -> None:
        if self._lane is not None and not self._closed:
            self._lane.connect(agreed)


class NoSound:
    """The sound of a leg that has no lane yet: everything is taken, nothing is heard."""

    def play(self, sound: Sound, done: Callable[[Played], None], *, loop: bool = False) -> None:
        """Over before it begins."""
        done(Played(0, sound.duration_ms, completed=False, started_at=None))

    def stop(self) -> None:
        """Nothing plays."""

    def send_digits(self, digits: str) -> None:
        """Nobody hears them."""

    def record_call(self, path: Path, done: Callable[[Recorded], None]) -> None:
        """There is nothing to record."""
        done(Recorded(path, 0, 0, "failed", "the leg has no sound"))

    def record_message(
        self,
        path: Path,
        done: Callable[[Recorded], None],
        *,
        max_seconds: float,
        silence_seconds: float | None,
    ) -> None:
        """There is nothing to record."""
        done(Recorded(path, 0, 0, "failed", "the leg has no sound"))

    def stop_message(self) -> None:
        """None is being recorded."""

    def finish(self) -> None:
        """Nothing is being recorded."""

    def bridge(self, other: Media) -> None:
        """Silence is heard by nobody."""

    def unbridge(self) -> None:
        """As it was."""

    def quality(self) -> MediaQuality:
        """Nothing was counted."""
        return MediaQuality()


NO_SOUND = NoSound()
