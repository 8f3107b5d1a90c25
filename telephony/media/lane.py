"""One leg's row, as the rest of the service sees it: it steers, the bank does the work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from telephony.base.errors import MediaFailed
from telephony.calls.events import MediaQuality
from telephony.calls.ports import AnswerHeard, GreetingHeard, Media, Played, Recorded, Sound
from telephony.calls.role import Role
from telephony.media.terms import Address, Terms

if TYPE_CHECKING:
    from telephony.media.bank import Bank
    from telephony.media.wires import Wire


class Lane:
    """Implements ``calls.ports.Media``; opened by the engine, started by whoever negotiated.

    ``on_digit(digit, duration_ms)`` is called at the first packet of a key, or when one was
    recognized in the sound (its duration is not known then: 0), ``on_timeout()`` once when the far
    end has been silent for too long, ``on_tone(kind)`` when a tone of ``audio.progress.Tone`` was
    recognized. All
    callbacks come on the loop's thread, never from within a call of a method, save ``done`` of
    sounds, which ``stop`` and ``close`` call before they return.
    """

    def __init__(self, bank: Bank, row: int, wire: Wire) -> None:
        self.row = row
        self.on_digit: Callable[[str, int], None] = lambda digit, duration_ms: None
        self.on_timeout: Callable[[], None] = lambda: None
        self.on_lost: Callable[[], None] = lambda: None
        self.on_tone: Callable[[str], None] = lambda kind: None
        self._bank = bank
        self._wire = wire
        self._closed: MediaQuality | None = None

    # -- the stream -----------------------------------------------------------------------------

    @property
    def local_address(self) -> Address:
        """Numeric host and even port that RTP is bound to; RTCP is on the port above."""
        return self._wire.local

    @property
    def wire(self) -> Wire:
        """The sockets."""
        return self._wire

    @property
    def closed(self) -> bool:
        return self._closed is not None

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
        """Begin to send and to listen, as ``Terms`` has it. What came in before is dropped.

        A second call is a renegotiation.

        Raises:
            MediaFailed: a codec that we do not speak, an address that no socket takes.
        """
        if self._closed is not None:
            raise MediaFailed("the lane is closed")
        terms = Terms(
            remote=remote,
            rtcp=rtcp,
            payload_type=payload_type,
            codec=codec,
            dtmf_payload_type=dtmf_payload_type,
            ptime_ms=ptime_ms,
            can_send=can_send,
            can_receive=can_receive,
            trusted_ip=trusted_ip,
            patient=patient,
            comfort_noise=comfort_noise,
        )
        self._bank.start(self.row, terms)

    def renegotiate(
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
        """The far end or we changed the session (re-INVITE, UPDATE, 200 after 183).

        The only moment at which another source may latch. Numbering, recordings and prompts go on.
        """
        self.start(
            remote=remote,
            rtcp=rtcp,
            payload_type=payload_type,
            codec=codec,
            dtmf_payload_type=dtmf_payload_type,
            ptime_ms=ptime_ms,
            can_send=can_send,
            can_receive=can_receive,
            trusted_ip=trusted_ip,
            patient=patient,
            comfort_noise=comfort_noise,
        )

    def close(self) -> MediaQuality:
        """Stop sound and recordings (every ``done`` is called), send RTCP BYE, free the ports.

        Idempotent: later calls give the same counts.
        """
        if self._closed is None:
            self._closed = self._bank.close(self.row)
        return self._closed

    def end(self, done: Callable[[MediaQuality], None]) -> None:
        """``close``, as ``media.contract`` has it; ``done`` before this returns."""
        done(self.close())

    # -- calls.ports.Media ----------------------------------------------------------------------

    def play(self, sound: Sound, done: Callable[[Played], None], *, loop: bool = False) -> None:
        """As the port has it. Sounds wait for ``start`` and while we may not send."""
        if self._closed is not None:
            done(Played(0, sound.duration_ms, False, None))
            return
        self._bank.playback.play(self.row, sound, done, loop=loop)

    def stop(self) -> None:
        if self._closed is None:
            self._bank.playback.stop(self.row)

    def send_digits(self, digits: str) -> None:
        """RFC 4733 events, or tones in the sound where the far end takes no events.

        Characters that are no key (0-9, ``*``, ``#``, A-D, ``,`` and ``w`` for a pause) are
        passed over.
        """
        if self._closed is None:
            self._bank.send_digits(self.row, digits)

    def record_call(self, path: Path, done: Callable[[Recorded], None]) -> None:
        if self._closed is not None:
            done(Recorded(path, 0, 0, "failed", "the leg is over"))
            return
        self._bank.recordings.record_call(self.row, path, done)

    def record_message(
        self,
        path: Path,
        done: Callable[[Recorded], None],
        *,
        max_seconds: float,
        silence_seconds: float | None,
    ) -> None:
        if self._closed is not None:
            done(Recorded(path, 0, 0, "failed", "the leg is over"))
            return
        self._bank.recordings.record_message(self.row, path, done, max_seconds, silence_seconds)

    def stop_message(self) -> None:
        if self._closed is None:
            self._bank.recordings.stop_message(self.row)

    def finish(self) -> None:
        """End every recording; each ``done`` comes when its file is whole."""
        if self._closed is None:
            self._bank.recordings.finish(self.row)

    def watch_answer(self, done: Callable[[AnswerHeard], None], *, seconds: float) -> None:
        if self._closed is None:
            self._bank.watch_answer(self.row, done, seconds)

    def await_greeting(
        self, done: Callable[[GreetingHeard], None], *, seconds: float, beep_only: bool = False
    ) -> None:
        if self._closed is None:
            self._bank.await_greeting(self.row, done, seconds, beep_only=beep_only)

    def bridge(self, other: Media) -> None:
        """Two lanes of the same engine hear each other; whoever was heard before is not."""
        if not isinstance(other, Lane) or other._bank is not self._bank:
            raise MediaFailed("only lanes of one engine are bridged")
        if self._closed is None and other._closed is None:
            self._bank.mixer.bridge(self.row, other.row)

    def quality(self) -> MediaQuality:
        return self._closed if self._closed is not None else self._bank.quality(self.row)

    # -- rooms ----------------------------------------------------------------------------------

    def enter(self, group: str, role: Role = Role.SPEAKER) -> None:
        """Hear a mixing group and be heard as the role has it; leaves a bridge or another group."""
        if self._closed is None:
            self._bank.mixer.enter(self.row, group, role)

    def relay(self, group: str) -> None:
        """Carry what coaches of a group say to where its other members are, and back."""
        if self._closed is None:
            self._bank.mixer.enter(self.row, group, None)

    def leave_group(self, group: str) -> None:
        """Leave this mixing group; nothing where the lane is bridged or elsewhere by now."""
        if self._closed is None and self._bank.mixer.is_in(self.row, group):
            self._bank.mixer.leave(self.row)
