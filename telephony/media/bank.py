"""All lanes of one sample rate, and the tick that advances them together.

A tick: receive → place into the jitter rings → take 20 ms of every lane → prompts and mixing →
encode, headers → one send a lane → recordings → reports and time-outs. Samples never pass through
a Python loop over lanes; the loops that there are make system calls or handle what is rare.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from telephony.audio import g711, tones
from telephony.base.clock import Clock
from telephony.calls.events import MediaQuality
from telephony.calls.ports import Played, Sound
from telephony.media.bridge import Mixer
from telephony.media.columns import (
    Codes,
    Columns,
    Counts,
    Flags,
    Floats,
    Rows,
    Samples,
    Shorts,
    Words,
)
from telephony.media.config import FRAME, RATE, TICK_MS, MediaConfig
from telephony.media.digits import Keypads, keys_only
from telephony.media.jitter import JitterRings
from telephony.media.lane import Lane
from telephony.media.playback import Playback
from telephony.media.recording import Recordings
from telephony.media.reports import Received, Reports, Sent
from telephony.media.seats import Seat, Seats
from telephony.media.sources import Sources
from telephony.media.terms import Terms
from telephony.media.wires import COMFORT_NOISE, WIDTH, Batch, Wires
from telephony.media.writer import Writer
from telephony.rtp.packet import HEADER_BYTES, Headers, parse_headers, write_headers
from telephony.rtp.quality import judge

FIRST_LANES = 16
PASSES = 2
"""Looks at the sockets in a tick: the second finds lanes that had two datagrams waiting."""
MAX_PASSES = 8
"""Looks in every eighth tick, and while an eighth of all lanes had one more: datagrams that one
lane may have taken in a tick. The rest waits in the kernel."""
PACKET = HEADER_BYTES + FRAME
NO_TYPE = -1
MEASURE_EVERY = 16
"""Jitter is measured on two neighbouring ticks of so many: a system call a packet less."""
CONTROL_EVERY = 5
"""Ticks between looks at the RTCP ports."""
TIMEOUT_EVERY = 25
MAX_REPORTS = 16
"""RTCP datagrams sent in one tick; more wait for the next."""
NEVER = float("inf")


class Streams(Columns):
    """What was agreed on, and our side of the numbering."""

    LAYOUT = {
        "hears": (np.bool_, (), False),
        "sends": (np.bool_, (), False),
        "law": (np.uint8, (), 0),
        "voice_type": (np.int16, (), NO_TYPE),
        "event_type": (np.int16, (), NO_TYPE),
        "sequence": (np.uint16, (), 0),
        "timestamp": (np.uint32, (), 0),
        "ssrc": (np.uint32, (), 0),
        "marker": (np.bool_, (), True),
        "sent": (np.int64, (), 0),
        "loud": (np.bool_, (), False),
        "quiet_since": (np.float64, (), 0.0),
        "timed_out": (np.bool_, (), False),
        "report_due": (np.float64, (), NEVER),
    }
    hears: Flags
    sends: Flags
    law: Codes
    voice_type: Counts
    event_type: Counts
    sequence: Shorts
    timestamp: Words
    ssrc: Words
    marker: Flags
    sent: Counts
    loud: Flags
    """The packet row holds something else than silence."""
    quiet_since: Floats
    """When the far end was heard last, or was first allowed to be."""
    timed_out: Flags
    report_due: Floats


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
        self.rings = JitterRings(FIRST_LANES, config.depth_ms, config.max_depth_ms)
        self.keypads = Keypads()
        self.seats = Seats()
        self.reports = Reports(clock, rng, config.rtcp_seconds)
        self._clock = clock
        self._wires = wires
        self._rng = rng
        self._capacity = FIRST_LANES
        self._lanes: dict[int, Lane] = {}
        self._seated: dict[int, tuple[Seat, int]] = {}
        self._terms: dict[int, Terms] = {}
        self._first_heard: dict[int, datetime] = {}
        self._first_sent: dict[int, datetime] = {}
        self._high = 0
        self._facts: list[Callable[[], None]] = []
        self._tick = 0
        self._batch = Batch(2 * FIRST_LANES)
        self._roster: list[tuple[Callable[[Any], object], memoryview]] = []
        self._roster_rows: list[int] = []
        self._stale = False
        self.unsent = 0
        self._packets: Codes = np.empty((0, PACKET), np.uint8)
        self._allocate()

    # -- lanes ----------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """Lanes open now."""
        return len(self._lanes)

    def open(self, host: str) -> Lane:
        """A lane with bound ports. Raises Busy, MediaFailed."""
        row = self._free_row()
        wire = self._wires.open(row, host, self._changed)
        lane = self._lanes[row] = Lane(self, row, wire)
        self._measure_height()
        self.streams.sequence[row] = self._rng.randrange(1 << 15)
        self.streams.timestamp[row] = self._rng.randrange(1 << 32)
        self.streams.ssrc[row] = self._rng.randrange(1, 1 << 32)
        self._packets[row, HEADER_BYTES:] = g711.SILENCE[g711.ULAW]
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
        streams.law[row] = terms.law
        streams.voice_type[row] = terms.payload_type
        streams.event_type[row] = (
            NO_TYPE if terms.dtmf_payload_type is None else terms.dtmf_payload_type
        )
        if before is None:
            streams.report_due[row] = now + self.reports.interval() / 2
        elif before.law != terms.law or before.remote != terms.remote or not hears:
            # What is sent while we do not listen, or by whoever was there before, is no loss.
            self.rings.forget(row)
            self.sources.suspend(row)
        # RFC 3551 §4.1: the first packet after a pause carries the marker.
        streams.marker[row] = True
        streams.loud[row] = True
        self._changed()

    def close(self, row: int) -> MediaQuality:
        """End everything of a lane and free its ports; what was counted."""
        lane = self._lanes[row]
        self.playback.stop(row)
        self.recordings.finish(row)
        self.mixer.leave(row)
        quality = self.quality(row)
        if self._terms.pop(row, None) is not None:
            lane.wire.send_rtcp(self._report(row, self._clock.monotonic(), bye=True))
        lane.wire.close()
        self.keypads.forget(row)
        self.reports.forget(row)
        self._first_heard.pop(row, None)
        self._first_sent.pop(row, None)
        for part in (self.streams, self.sources, self.rings, self.playback):
            part.clear(row)
        del self._lanes[row]
        self._measure_height()
        self._changed()
        return quality

    def sit(self, group: str) -> Seat:
        """A seat in a mixing group."""
        row = self._free_row()
        place = self.seats.take(row)
        seat = Seat(self.seats, place)
        self._seated[row] = (seat, place)
        self._measure_height()
        self.mixer.enter(row, group)
        return seat

    def rise(self, seat: Seat) -> None:
        """Give a seat back; nothing where it was given back."""
        for row, (held, place) in list(self._seated.items()):
            if held is seat:
                seat.open = False
                self.mixer.leave(row)
                self.seats.give_back(place)
                del self._seated[row]
        self._measure_height()

    def close_all(self) -> None:
        """Every lane and seat that is still open."""
        for lane in list(self._lanes.values()):
            lane.close()
        for seat, _ in list(self._seated.values()):
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

    def quality(self, row: int) -> MediaQuality:
        """What was counted so far."""
        sources, rings = self.sources, self.rings
        terms = self._terms.get(row)
        expected, lost = sources.expected(row), sources.lost(row)
        late = int(rings.late[row])
        jitter_ms = float(sources.jitter[row]) * 1000 / RATE
        round_trip = self.reports.round_trip_ms(row)
        depth = max(0, int(rings.top[row] - rings.cursor[row])) * 10
        verdict = judge(
            expected=expected,
            lost=lost,
            late=late,
            jitter_ms=jitter_ms,
            delay_ms=(round_trip or 0.0) / 2 + depth + TICK_MS,
        )
        return MediaQuality(
            packets_received=int(sources.received[row]),
            packets_sent=int(self.streams.sent[row]),
            lost=lost,
            late=late,
            duplicated=int(sources.duplicated[row]),
            concealed=-(-int(rings.concealed_halves[row]) // 2),
            jitter_ms=round(jitter_ms, 2),
            round_trip_ms=None if round_trip is None else round(round_trip, 2),
            mos=round(verdict.mos, 2) if expected else None,
            codec=terms.codec if terms is not None else "",
            first_packet_at=self._first_heard.get(row),
            first_sent_at=self._first_sent.get(row),
        )

    # -- time -----------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """20 ms pass for every lane. ``now``: monotonic seconds."""
        self._tick += 1
        count = self._high
        if not count:
            return
        self._receive(now)
        voice, heard = self._voice[:count], self._heard[:count]
        rings, streams = self.rings, self.streams
        rings.watch(count)
        rings.take(count, streams.law[:count], g711.DECODE_TABLES, voice)
        rings.adapt(count, self._tick, voice, streams.law, g711.DECODE_TABLES)
        self.seats.speak(voice)
        events = self._events_due() if self.keypads.rows else {}
        self._speak(count, voice, heard, events)
        self._send(count, events)
        self.seats.hear(heard)
        self.recordings.append(voice, heard)
        if self._tick % CONTROL_EVERY == 0:
            self._control(now)
        if self._tick % TIMEOUT_EVERY == 0:
            self._find_silent(count, now)

    def pass_over(self, ticks: int) -> None:
        """The process stood still for so long: what would have been sent is not sent later."""
        count = self._high
        self.streams.timestamp[:count] += np.uint32(ticks * FRAME)
        self.streams.marker[:count] = True

    def take_facts(self) -> list[Callable[[], None]]:
        """Callbacks that the last tick and the orders before it made due, oldest first."""
        facts, self._facts = self._facts, []
        return facts

    # -- receiving ------------------------------------------------------------------------------

    def _receive(self, now: float) -> None:
        batch, enough = self._batch, len(self._lanes) // 8
        thorough = self._tick % MAX_PASSES == 0
        for number in range(1, MAX_PASSES + 1):
            found = self._wires.receive(batch)
            if not batch.room:
                self._take_all(now)
            if not found or (number >= PASSES and found <= enough and not thorough):
                break
        self._take_all(now)

    def _take_all(self, now: float) -> None:
        """What the batch holds, in turns of distinct lanes, the datagrams of each in order."""
        batch = self._batch
        if not batch.lanes:
            return
        matrix = batch.matrix[: len(batch.lanes)]
        rows = np.array(batch.lanes, np.int64)
        sizes = np.array(batch.sizes, np.int32)
        batch.clear()
        if np.bincount(rows).max() == 1:
            self._take_batch(rows, sizes, matrix, now)
            return
        turns = _turns(rows)
        for turn in range(int(turns.max()) + 1):
            chosen = turns == turn
            self._take_batch(rows[chosen], sizes[chosen], matrix[chosen], now)

    def _take_batch(
        self, rows: Rows, sizes: npt.NDArray[np.int32], matrix: Codes, now: float
    ) -> None:
        """Datagrams of distinct lanes."""
        streams, sources = self.streams, self.sources
        heads = parse_headers(matrix, sizes)
        kind = heads.payload_type.astype(np.int16)
        voice = kind == streams.voice_type[rows]
        event = kind == streams.event_type[rows]
        wanted = heads.valid & (sizes < WIDTH) & streams.hears[rows]
        wanted &= voice | event | (kind == COMFORT_NOISE)
        step = sources.steps(rows, heads.sequence)
        regular = wanted & sources.regular(rows, heads.ssrc, step)
        strange = np.flatnonzero(wanted & ~regular)
        if strange.size:
            self._admit(strange, rows, heads, now)
            step = sources.steps(rows, heads.sequence)
            regular = wanted & sources.regular(rows, heads.ssrc, step)
        taken = rows[regular]
        sources.count(taken, step[regular], now)
        streams.quiet_since[taken] = now
        self._measure(rows, regular & voice, heads)
        self._put(np.flatnonzero(regular & voice), rows, heads, step, matrix)
        # Of whatever source and number: some gateways send keys beside their stream, and the latch
        # has vouched for the sender.
        for index in np.flatnonzero(wanted & event).tolist():
            self._key(index, int(rows[index]), heads, matrix, now)

    def _admit(self, indices: Rows, rows: Rows, heads: Headers, now: float) -> None:
        for index in indices.tolist():
            row = int(rows[index])
            ssrc, sequence = int(heads.ssrc[index]), int(heads.sequence[index])
            if self.sources.admit(row, ssrc, sequence, now):
                self.rings.forget(row)
                self._first_heard.setdefault(row, self._clock.now())

    def _measure(self, rows: Rows, chosen: Flags, heads: Headers) -> None:
        if self._tick % MEASURE_EVERY >= 2:
            return
        lanes = rows[chosen]
        if lanes.size:
            arrivals = self._wires.arrivals(lanes.tolist())
            self.sources.measure(lanes, heads.timestamp[chosen], arrivals, self._tick)

    def _put(self, chosen: Rows, rows: Rows, heads: Headers, step: Counts, matrix: Codes) -> None:
        """Payloads into the rings, those of one shape together."""
        offset, length = heads.offset[chosen], heads.length[chosen]
        while chosen.size:
            start, size = int(offset[0]), int(length[0])
            alike = (offset == start) & (length == size)
            group = chosen[alike]
            lanes = rows[group]
            payload = matrix[group, start : start + size]
            duplicate = self.rings.put(lanes, heads.timestamp[group], step[group], payload)
            self.sources.duplicated[lanes] += duplicate
            chosen, offset, length = chosen[~alike], offset[~alike], length[~alike]

    def _key(self, index: int, row: int, heads: Headers, matrix: Codes, now: float) -> None:
        start, size = int(heads.offset[index]), int(heads.length[index])
        payload = matrix[index, start : start + size].tobytes()
        digit = self.keypads.heard(
            row, payload, int(heads.timestamp[index]), int(heads.ssrc[index]), now
        )
        if digit is not None:
            self._later(partial(self._lanes[row].on_digit, digit, 0))

    # -- sending --------------------------------------------------------------------------------

    def _speak(self, count: int, voice: Samples, heard: Samples, events: dict[int, bytes]) -> None:
        """What each lane hears now, as samples and as codes in its packet."""
        streams = self.streams
        sounding = self._sounding[:count]
        sounding[:] = False
        heard[:] = 0
        free = streams.sends[:count]
        if events:
            free = free.copy()
            free[list(events)] = False
        rows, frames = self.playback.take(free)
        heard[rows] = frames
        sounding[rows] = True
        self.mixer.mix(voice, heard, sounding)
        if events:
            heard[list(events)] = 0
        loud = streams.loud[:count]
        changed = np.flatnonzero(sounding | loud)
        if changed.size:
            self._encode(changed, heard)
        loud[:] = sounding

    def _encode(self, rows: Rows, heard: Samples) -> None:
        samples = heard if rows.size == heard.shape[0] else heard[rows]
        codes = g711.encode(g711.ULAW, samples)
        law = self.streams.law[rows]
        other = np.flatnonzero(law)
        if other.size:
            codes[other] = g711.encode(g711.ALAW, samples[other])
        self._packets[rows, HEADER_BYTES:] = codes

    def _send(self, count: int, events: dict[int, bytes]) -> None:
        if self._stale:
            self._list_roster()
        streams = self.streams
        sends = streams.sends[:count].copy()
        if events:
            sends[list(events)] = False
        streams.sequence[:count] += sends
        write_headers(
            self._packets[:count],
            streams.voice_type[:count] & 0x7F,
            streams.marker[:count],
            streams.sequence[:count],
            streams.timestamp[:count],
            streams.ssrc[:count],
        )
        failures = 0
        for send, packet in self._due(events):
            try:
                send(packet)
            except OSError:
                # Refused: the far end does not listen yet. Full: what is late need not go out.
                failures += 1
        for row, data in events.items():
            self._send_event(row, data)
        self.unsent += failures
        streams.marker[:count] &= ~sends
        streams.sent[:count] += sends
        streams.timestamp[:count] += np.uint32(FRAME)

    def _due(self, events: dict[int, bytes]) -> list[tuple[Callable[[Any], object], memoryview]]:
        if not events:
            return self._roster
        pairs = zip(self._roster_rows, self._roster, strict=True)
        return [entry for row, entry in pairs if row not in events]

    def _list_roster(self) -> None:
        self._stale = False
        self._roster_rows = [row for row in sorted(self._lanes) if self.streams.sends[row]]
        views = self._views
        self._roster = [(self._lanes[row].wire.send, views[row]) for row in self._roster_rows]
        for row in self._roster_rows:
            if row not in self._first_sent:
                self._first_sent[row] = self._clock.now()

    def _events_due(self) -> dict[int, bytes]:
        """Keys that are sent in this tick instead of sound: lane → packet."""
        found: dict[int, bytes] = {}
        streams = self.streams
        for row in self.keypads.rows:
            if not streams.sends[row]:
                continue
            out = self.keypads.due(row, int(streams.timestamp[row]))
            if out is None:
                continue
            streams.sequence[row] += np.uint16(1)
            packet = np.zeros((1, HEADER_BYTES + len(out.payload)), np.uint8)
            write_headers(
                packet,
                int(streams.event_type[row]) & 0x7F,
                out.marker,
                streams.sequence[row],
                out.timestamp,
                streams.ssrc[row],
            )
            packet[0, HEADER_BYTES:] = np.frombuffer(out.payload, np.uint8)
            found[row] = packet.tobytes()
        return found

    def _send_event(self, row: int, data: bytes) -> None:
        try:
            self._lanes[row].wire.send(data)
        except OSError:
            self.unsent += 1
        self.streams.sent[row] += 1
        self.streams.marker[row] = True

    # -- reports and time-outs ------------------------------------------------------------------

    def _control(self, now: float) -> None:
        for row, data in self._wires.receive_rtcp():
            if row in self._lanes:
                self.reports.take(row, data, int(self.streams.ssrc[row]), now)
        due = np.flatnonzero(self.streams.report_due[: self._high] <= now)
        for row in due[:MAX_REPORTS].tolist():
            self.streams.report_due[row] = now + self.reports.interval()
            self._lanes[row].wire.send_rtcp(self._report(row, now))

    def _report(self, row: int, now: float, *, bye: bool = False) -> bytes:
        streams, sources = self.streams, self.sources
        packets = int(streams.sent[row])
        sent = Sent(int(streams.ssrc[row]), int(streams.timestamp[row]), packets, packets * FRAME)
        received = None
        if sources.known[row]:
            received = Received(
                int(sources.ssrc[row]),
                sources.fraction_lost(row),
                sources.lost(row),
                int(sources.highest[row]),
                float(sources.jitter[row]),
            )
        return self.reports.compound(row, sent, received, now, bye=bye)

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

    def _changed(self) -> None:
        self._stale = True

    def _free_row(self) -> int:
        taken = self._lanes.keys() | self._seated.keys()
        row = next(r for r in range(self._high + 1) if r not in taken)
        if row >= self._capacity:
            self._grow()
        return row

    def _measure_height(self) -> None:
        self._high = 1 + max(max(self._lanes, default=-1), max(self._seated, default=-1))

    def _grow(self) -> None:
        self._capacity *= 2
        for part in (self.streams, self.sources, self.rings, self.playback):
            part.grow(self._capacity)
        self._batch.grow(2 * self._capacity)
        self._allocate()

    def _allocate(self) -> None:
        packets: Codes = np.full((self._capacity, PACKET), g711.SILENCE[g711.ULAW], np.uint8)
        packets[: self._packets.shape[0]] = self._packets
        self._packets = packets
        self._views = [memoryview(row) for row in packets]
        self._voice: Samples = np.zeros((self._capacity, FRAME), np.int16)
        self._heard: Samples = np.zeros((self._capacity, FRAME), np.int16)
        self._sounding: Flags = np.zeros(self._capacity, np.bool_)
        self._changed()


def _turns(rows: Rows) -> Rows:
    """For each entry, how many before it are of the same lane."""
    order = np.argsort(rows, kind="stable")
    ranked = rows[order]
    first = np.searchsorted(ranked, ranked)
    turns = np.empty(rows.size, np.int64)
    turns[order] = np.arange(rows.size) - first
    return turns


def _unheeded(played: Played) -> None:
    return None


_PAUSE = np.zeros(RATE // 2, np.int16)
