"""From what each lane hears to datagrams: prompts, mixing, codes, headers, one send a lane."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import numpy as np

from telephony.audio import g711
from telephony.base.clock import Clock
from telephony.media.bridge import Mixer
from telephony.media.columns import Codes, Flags, Rows, Samples
from telephony.media.config import FRAME
from telephony.media.datagrams import Send
from telephony.media.digits import Keypads
from telephony.media.hush import Hush
from telephony.media.playback import Playback
from telephony.media.sounds import Sounds
from telephony.media.streams import Streams
from telephony.media.wide import Wide
from telephony.media.wires import COMFORT_NOISE, Wires
from telephony.rtp.packet import HEADER_BYTES, write_headers

PACKET = HEADER_BYTES + FRAME


class Outlet:
    """Sends for a bank. ``first_sent``: when each lane's first packet left; ``unsent``: packets of
    keys that the kernel did not take; ``wide``: the 16 kHz lanes, once there are any."""

    def __init__(
        self,
        capacity: int,
        clock: Clock,
        wires: Wires,
        streams: Streams,
        playback: Playback,
        mixer: Mixer,
        sounds: Sounds,
        keypads: Keypads,
    ) -> None:
        self.first_sent: dict[int, datetime] = {}
        self.unsent = 0
        self.wide: Wide | None = None
        self._clock = clock
        self._wires = wires
        self._streams = streams
        self._playback = playback
        self._mixer = mixer
        self._sounds = sounds
        self._keypads = keypads
        self._sends: dict[int, Callable[[], Send]] = {}
        self._roster: Rows = np.empty(0, np.int64)
        self._stale = False
        self._packets: Codes = np.empty((0, PACKET), np.uint8)
        self.hush = Hush(capacity)
        self._held: Rows = np.empty(0, np.int64)
        self._described: list[tuple[int, bytes]] = []
        self.grow(capacity)

    def grow(self, capacity: int) -> None:
        """Room for so many lanes; what their packets hold stays."""
        packets: Codes = np.full((capacity, PACKET), g711.SILENCE[g711.ULAW], np.uint8)
        packets[: self._packets.shape[0]] = self._packets
        self._packets = packets
        self._sounding: Flags = np.zeros(capacity, np.bool_)
        self.hush.grow(capacity)
        self._stale = True

    def add(self, row: int, send: Callable[[], Send]) -> None:
        """A lane was opened; ``send()`` is what sends its datagrams now."""
        self._sends[row] = send
        self._packets[row, HEADER_BYTES:] = g711.SILENCE[g711.ULAW]

    def changed(self) -> None:
        """A lane's way or direction is another one."""
        self._stale = True

    def forget(self, row: int) -> None:
        """The lane is closed."""
        del self._sends[row]
        self.hush.forget(row)
        self.first_sent.pop(row, None)
        self._stale = True

    def speak(self, count: int, voice: Samples, heard: Samples, events: dict[int, bytes]) -> None:
        """What each lane hears now, as samples and as codes in its packet."""
        streams = self._streams
        sounding = self._sounding[:count]
        sounding[:] = False
        heard[:] = 0
        free = streams.sends[:count]
        if events:
            free = free.copy()
            free[list(events)] = False
        rows, frames = self._playback.take(free)
        self._sounds.lay(self._mixer.plan(), rows, frames, heard, sounding)
        if self.wide is not None:
            self.wide.lay(heard, sounding)
        self._mixer.mix(voice, heard, sounding)
        if events:
            heard[list(events)] = 0
        self._held, self._described = self.hush.listen(heard, streams.marker)
        loud = streams.loud[:count]
        changed = np.flatnonzero(sounding | loud)
        if changed.size:
            self._encode(changed, heard)
        loud[:] = sounding
        if self.wide is not None:
            self.wide.speak(voice, free, self._packets[:count, HEADER_BYTES:])

    def _encode(self, rows: Rows, heard: Samples) -> None:
        samples = heard if rows.size == heard.shape[0] else heard[rows]
        codes = g711.encode(g711.ULAW, samples)
        law = self._streams.law[rows]
        other = np.flatnonzero(law)
        if other.size:
            codes[other] = g711.encode(g711.ALAW, samples[other])
        self._packets[rows, HEADER_BYTES:] = codes

    def send(self, count: int, events: dict[int, bytes]) -> None:
        """One datagram a lane that may send."""
        if self._stale:
            self._list_roster()
        streams = self._streams
        sends = streams.sends[:count].copy()
        if events:
            sends[list(events)] = False
        if self._held.size:
            sends[self._held] = False
        streams.sequence[:count] += sends
        write_headers(
            self._packets[:count],
            streams.voice_type[:count] & 0x7F,
            streams.marker[:count],
            streams.sequence[:count],
            streams.timestamp[:count],
            streams.ssrc[:count],
        )
        rows = self._roster
        if events:
            rows = rows[~np.isin(rows, list(events))]
        if self._held.size:
            rows = rows[~np.isin(rows, self._held)]
        if rows.size:
            self._wires.send(rows, self._packets, PACKET)
        for row, data in events.items():
            self._send_event(row, data)
        for row, payload in self._described:
            if streams.sends[row] and row not in events:
                self._describe(row, payload)
        streams.marker[:count] &= ~sends
        streams.sent[:count] += sends
        streams.timestamp[:count] += np.uint32(FRAME)

    def _list_roster(self) -> None:
        self._stale = False
        rows = [row for row in sorted(self._sends) if self._streams.sends[row]]
        # Another object each time, which tells the wires that something changed.
        self._roster = np.array(rows, np.int64)
        for row in rows:
            if row not in self.first_sent:
                self.first_sent[row] = self._clock.now()

    def keys_due(self) -> dict[int, bytes]:
        """Keys that are sent in this tick instead of sound: lane → packet."""
        found: dict[int, bytes] = {}
        streams = self._streams
        for row in self._keypads.rows:
            if not streams.sends[row]:
                continue
            out = self._keypads.due(row, int(streams.timestamp[row]))
            if out is None:
                continue
            # A slice: a scalar that wraps is a warning, an array is not.
            streams.sequence[row : row + 1] += np.uint16(1)
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

    def _describe(self, row: int, payload: bytes) -> None:
        """One packet of comfort noise instead of sound."""
        streams = self._streams
        streams.sequence[row : row + 1] += np.uint16(1)
        packet = np.zeros((1, HEADER_BYTES + len(payload)), np.uint8)
        # RFC 3389 §4: no marker.
        numbers = streams.sequence[row], streams.timestamp[row], streams.ssrc[row]
        write_headers(packet, COMFORT_NOISE, False, *numbers)
        packet[0, HEADER_BYTES:] = np.frombuffer(payload, np.uint8)
        try:
            self._sends[row]()(packet.tobytes())
        except OSError:
            self.unsent += 1
        streams.sent[row] += 1

    def _send_event(self, row: int, data: bytes) -> None:
        try:
            self._sends[row]()(data)
        except OSError:
            self.unsent += 1
        self._streams.sent[row] += 1
        self._streams.marker[row] = True
