"""All lanes of one sample rate, and the tick that advances them together.

A tick: receive → place into the jitter rings → take 20 ms of every lane → prompts and mixing →
encode, headers → one send a lane → recordings → reports and time-outs. Samples never pass through
a Python loop over lanes; the loops that there are make system calls or handle what is rare.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Protocol

import numpy as np

from telephony.audio import tones
from telephony.base.clock import Clock
from telephony.calls.events import MediaQuality
from telephony.calls.ports import Played, Sound
from telephony.media.amd import AnswerDone, Answers, GreetingDone, ticks
from telephony.media.bridge import Mixer
from telephony.media.columns import Samples
from telephony.media.config import FRAME, RATE, TICK_MS, MediaConfig
from telephony.media.detect import Detectors
from telephony.media.digits import Keypads, keys_only
from telephony.media.hearing import Hearing
from telephony.media.intake import Intake
from telephony.media.lane import Lane
from telephony.media.outlet import Outlet
from telephony.media.places import Places
from telephony.media.playback import Playback
from telephony.media.playout import Playout
from telephony.media.playout_voice import g711_decoder
from telephony.media.recording import Recordings
from telephony.media.reports import Received, Reports, Sent
from telephony.media.seats import Seat, Seats
from telephony.media.sounds import Sounds
from telephony.media.sources import Sources
from telephony.media.streams import NO_TYPE, Streams
from telephony.media.terms import Terms
from telephony.media.wide import Wide
from telephony.media.wires import Wires
from telephony.media.writer import Writer

FIRST_LANES = 16
CONTROL_EVERY = 5
"""Ticks between looks at the RTCP ports."""
TIMEOUT_EVERY = 25
MAX_REPORTS = 16
"""RTCP datagrams sent in one tick; more wait for the next."""


class Part(Protocol):
    """Arrays with a row a lane."""

    def grow(self, capacity: int) -> None: ...

    def clear(self, row: int) -> None: ...


class Bank:
    """8 kHz lanes. ``tick(now)`` is all that time does; everything else happens between ticks."""

    def __init__(
        self,
        config: MediaConfig,
        clock: Clock,
        wires: Wires,
        writer: Writer,
        rng: random.Random,
    ) -> None:
        self.config = config
        self.mixer = Mixer()
        self.playback = Playback(FIRST_LANES, config, clock, self._later)
        self.recordings = Recordings(config, writer, self._later)
        self.streams = Streams(FIRST_LANES)
        self.sources = Sources(FIRST_LANES)
        self.playout = Playout(
            FIRST_LANES, g711_decoder(self.streams), config.depth_ms, config.max_depth_ms
        )
        self.keypads = Keypads()
        self.detectors = Detectors(FIRST_LANES)
        self.answers = Answers(FIRST_LANES, self._later)
        self.sounds = Sounds(FIRST_LANES, self.detectors.activity, config.hold_music)
        self.seats = Seats()
        self.reports = Reports(clock, rng, config.rtcp_seconds)
        self._hearing = Hearing(
            FIRST_LANES,
            self.sources,
            self.playout,
            self.detectors.activity,
            self.reports,
            config.max_depth_ms,
        )
        self._clock = clock
        self._wires = wires
        self._rng = rng
        self._capacity = FIRST_LANES
        self._lanes: dict[int, Lane] = {}
        self._seated: dict[int, Seat] = {}
        self._terms: dict[int, Terms] = {}
        self._places = Places()
        self._facts: list[Callable[[], None]] = []
        self._tick = 0
        self._intake = Intake(
            wires,
            clock,
            self.streams,
            self.sources,
            self.playout,
            self.keypads,
            self._pressed,
        )
        self._outlet = Outlet(
            FIRST_LANES,
            clock,
            wires,
            self.streams,
            self.playback,
            self.mixer,
            self.sounds,
            self.keypads,
        )
        self._wide: Wide | None = None
        self._parts: tuple[Part, ...] = (
            self.streams,
            self.sources,
            self.playout,
            self.playback,
            self.detectors,
            self.sounds,
            self.answers,
            self._hearing.losses,
        )
        self._allocate()

    # -- lanes ----------------------------------------------------------------------------------

    @property
    def unsent(self) -> int:
        """Datagrams that the kernel did not take."""
        return self._wires.unsent + self._outlet.unsent

    @property
    def count(self) -> int:
        """Lanes open now."""
        return len(self._lanes)

    def open(self, host: str) -> Lane:
        """A lane with bound ports. Raises Busy, MediaFailed."""
        row = self._free_row()
        try:
            wire = self._wires.open(row, host, self._outlet.changed)
        except BaseException:
            self._places.give(row)
            raise
        lane = self._lanes[row] = Lane(self, row, wire)
        self.streams.sequence[row] = self._rng.randrange(1 << 15)
        self.streams.timestamp[row] = self._rng.randrange(1 << 32)
        self.streams.ssrc[row] = self._rng.randrange(1, 1 << 32)
        self._outlet.add(row, lambda: wire.send)
        return lane

    def start(self, row: int, terms: Terms) -> None:
        """Agree on a stream, or on another one. Raises MediaFailed."""
        streams, now = self.streams, self._clock.monotonic()
        self._lanes[row].wire.aim(terms)
        before = self._terms.get(row)
        self._terms[row] = terms
        hears = terms.can_receive and terms.remote is not None
        # Early media may be promised and never come: the time-out begins again with the answer.
        streams.quiet_since[row] = now
        streams.timed_out[row] = False
        streams.hears[row] = hears
        streams.sends[row] = terms.can_send and terms.remote is not None
        self.mixer.hold(row, not streams.sends[row])
        streams.law[row] = terms.law
        self._widen(row, terms.wide)
        streams.voice_type[row] = terms.payload_type
        streams.event_type[row] = (
            NO_TYPE if terms.dtmf_payload_type is None else terms.dtmf_payload_type
        )
        self.detectors.listen_for_keys(row, hears and terms.dtmf_payload_type is None)
        if hears:
            self.detectors.watch(row, round(self.config.tone_seconds * 1000 / TICK_MS))
        if before is None:
            streams.report_due[row] = now + self.reports.interval() / 2
        elif before.codec != terms.codec or before.remote != terms.remote or not hears:
            # What is sent while we do not listen, or by whoever was there before, is no loss.
            self.playout.forget(row)
            self.sources.suspend(row)
        self._outlet.hush.agree(row, terms.comfort_noise and not terms.wide)
        # RFC 3551 §4.1: the first packet after a pause carries the marker.
        streams.marker[row] = True
        streams.loud[row] = True
        self._outlet.changed()

    def close(self, row: int) -> MediaQuality:
        """End everything of a lane and free its ports; what was counted."""
        lane = self._lanes[row]
        self.playback.stop(row)
        self.recordings.finish(row)
        self.mixer.forget(row)
        quality = self.quality(row)
        if self._terms.pop(row, None) is not None:
            lane.wire.send_rtcp(self._report(row, self._clock.monotonic(), bye=True))
        lane.wire.close()
        self.keypads.forget(row)
        self.reports.forget(row)
        self._intake.forget(row)
        self._outlet.forget(row)
        for part in self._parts:
            part.clear(row)
        del self._lanes[row]
        self._places.give(row)
        return quality

    def sit(self, group: str, rate: int = RATE) -> Seat:
        """A seat in a mixing group. Raises ValueError: a rate that seats do not have."""
        row = self._free_row()
        try:
            seat = self._seated[row] = self.seats.take(row, rate)
        except BaseException:
            self._places.give(row)
            raise
        self.mixer.enter(row, group)
        return seat

    def rise(self, seat: Seat) -> None:
        """Give a seat back; nothing where it was given back."""
        for row, held in list(self._seated.items()):
            if held is seat:
                seat.leave()
                self.mixer.forget(row)
                for part in self._parts:
                    part.clear(row)
                del self._seated[row]
                self._places.give(row)

    def close_all(self) -> None:
        """Every lane and seat that is still open."""
        for lane in list(self._lanes.values()):
            lane.close()
        for seat in list(self._seated.values()):
            self.rise(seat)

    def send_digits(self, row: int, digits: str) -> None:
        """As events where they were negotiated, else as tones."""
        digits = keys_only(digits)
        if not digits:
            return
        if self.streams.event_type[row] != NO_TYPE:
            self.keypads.dial(row, digits)
            return
        sounds = [tones.dtmf(c) if c not in ",wW" else _PAUSE for c in digits]
        sound = Sound(np.concatenate(sounds).astype("<i2").tobytes())
        self.playback.play(row, sound, _unheeded)

    def watch_answer(self, row: int, done: AnswerDone, seconds: float) -> None:
        """Find out who answers."""
        self.detectors.watch(row, ticks(seconds))
        self.answers.watch(row, done, seconds)

    def await_greeting(
        self, row: int, done: GreetingDone, seconds: float, *, beep_only: bool
    ) -> None:
        """Find the end of a machine's greeting."""
        self.detectors.watch(row, ticks(seconds))
        self.answers.await_end(row, done, seconds, beep_only=beep_only)

    def quality(self, row: int) -> MediaQuality:
        """What was counted so far."""
        sources, playout, reports = self.sources, self.playout, self.reports
        terms = self._terms.get(row)
        verdict = self._hearing.judge(row)
        round_trip = reports.round_trip_ms(row)
        remote = reports.remote(row)
        return MediaQuality(
            packets_received=int(sources.received[row]),
            packets_sent=int(self.streams.sent[row]),
            lost=sources.lost(row),
            late=int(playout.late[row]),
            duplicated=int(sources.duplicated[row]),
            concealed=-(-int(playout.concealed[row]) // FRAME),
            concealed_ms=playout.concealed_ms(row),
            scaled_ms=playout.scaled_ms(row),
            underruns=int(playout.underruns[row]),
            buffer_ms=round(playout.depth_ms(row), 1),
            buffer_target_ms=round(playout.target_ms(row), 1),
            jitter_ms=round(verdict.jitter_ms, 2),
            round_trip_ms=None if round_trip is None else round(round_trip, 2),
            mos=round(verdict.mos, 2) if verdict.mos else None,
            remote_lost=None if remote is None else remote.lost,
            remote_jitter_ms=None if remote is None else round(remote.jitter * 1000 / RATE, 2),
            remote_mos=None if remote is None else remote.mos,
            codec=terms.codec if terms is not None else "",
            first_packet_at=self._intake.first_heard.get(row),
            first_sent_at=self._outlet.first_sent.get(row),
        )

    # -- time -----------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """20 ms pass for every lane. ``now``: monotonic seconds."""
        self._tick += 1
        count = self._places.height
        if not count:
            return
        self._intake.receive(self._tick, now)
        voice, heard = self.playout.take(count), self._heard[:count]
        if self._wide is not None:
            self._wide.hear(voice)
        self._hearing.follow(count, self._tick)
        self.seats.speak(voice)
        self._detect(voice, now)
        keys = self._outlet.keys_due()
        self._outlet.speak(count, voice, heard, keys)
        self._outlet.send(count, keys)
        self.seats.hear(heard)
        self.recordings.append(voice, heard, self.detectors.activity.voiced[:count])
        if self._tick % CONTROL_EVERY == 0:
            self._control(now)
        if self._tick % TIMEOUT_EVERY == 0:
            self._find_silent(count, now)

    def pass_over(self, ticks: int) -> None:
        """The process stood still for so long: what would have been sent is not sent later."""
        count = self._places.height
        self.streams.timestamp[:count] += np.uint32(ticks * FRAME)
        self.streams.marker[:count] = True
        self.playout.pass_over(ticks)

    def take_facts(self) -> list[Callable[[], None]]:
        """Callbacks that the last tick and the orders before it made due, oldest first."""
        facts, self._facts = self._facts, []
        return facts

    # -- reports and time-outs ------------------------------------------------------------------

    def _control(self, now: float) -> None:
        for row, data in self._wires.receive_rtcp():
            if row in self._lanes:
                self.reports.take(row, data, int(self.streams.ssrc[row]), now)
        due = np.flatnonzero(self.streams.report_due[: self._places.height] <= now)
        for row in due[:MAX_REPORTS].tolist():
            self.streams.report_due[row] = now + self.reports.interval()
            self._lanes[row].wire.send_rtcp(self._report(row, now))

    def _report(self, row: int, now: float, *, bye: bool = False) -> bytes:
        streams, sources = self.streams, self.sources
        packets = int(streams.sent[row])
        sent = Sent(int(streams.ssrc[row]), int(streams.timestamp[row]), packets, packets * FRAME)
        received, metrics = None, None
        if sources.known[row]:
            metrics = self._hearing.metrics(row)
            received = Received(
                int(sources.ssrc[row]),
                sources.fraction_lost(row),
                sources.lost(row),
                int(sources.highest[row]),
                float(sources.jitter[row]),
            )
        return self.reports.compound(row, sent, received, metrics, now, bye=bye)

    def _find_silent(self, count: int, now: float) -> None:
        streams = self.streams
        heard = self.sources.received[:count] > 0
        patience = np.where(heard, self.config.silence_seconds, self.config.first_packet_seconds)
        silent = streams.hears[:count] & (now - streams.quiet_since[:count] > patience)
        for row in np.flatnonzero(silent & ~streams.timed_out[:count]).tolist():
            streams.timed_out[row] = True
            self._later(self._lanes[row].on_timeout)

    # -- room -----------------------------------------------------------------------------------

    def _later(self, fact: Callable[[], None]) -> None:
        self._facts.append(fact)

    def _detect(self, voice: Samples, now: float) -> None:
        count, activity = voice.shape[0], self.detectors.activity
        self.detectors.hear(voice, now)
        for row, key in self.detectors.take_keys():
            self._pressed(row, key)
        for found in self.detectors.take_tones():
            self._later(partial(self._lanes[found.row].on_tone, found.kind.value))
            self.answers.hear_tone(found.row, found.kind)
        self.answers.listen(
            activity.level[:count], activity.voiced[:count], self.detectors.tones.pure[:count]
        )

    def _widen(self, row: int, wide: bool) -> None:
        if self._wide is None:
            if not wide:
                return
            self._wide = self._outlet.wide = Wide(self._capacity, self.playout, self.mixer)
            self._parts += (self._wide,)
        self._wide.assign(row, wide)

    def _pressed(self, row: int, digit: str) -> None:
        self._later(partial(self._lanes[row].on_digit, digit, 0))

    def _free_row(self) -> int:
        row = self._places.take()
        if row >= self._capacity:
            self._grow()
        return row

    def _grow(self) -> None:
        self._capacity *= 2
        for part in self._parts:
            part.grow(self._capacity)
        self._outlet.grow(self._capacity)
        self._allocate()

    def _allocate(self) -> None:
        self._heard: Samples = np.zeros((self._capacity, FRAME), np.int16)


def _unheeded(played: Played) -> None:
    return None


_PAUSE = np.zeros(RATE // 2, np.int16)
