"""A bank on a manual clock, without sockets: the test is the network and the passing of time."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from telephony.audio import g711, g722
from telephony.base.clock import ManualClock
from telephony.media.bank import Bank
from telephony.media.config import MediaConfig
from telephony.media.lane import Lane
from telephony.media.writer import File, Writer, open_file
from telephony.rtp.packet import Packet
from telephony.testing.wires import MemoryWire, MemoryWires

FAR = ("192.0.2.7", 4000)
TYPES = {"PCMU": 0, "PCMA": 8, "G722": 9}


class Rig:
    """One bank and its surroundings."""

    def __init__(
        self, config: MediaConfig | None = None, opener: Callable[[Path], File] = open_file
    ) -> None:
        self.config = config or MediaConfig()
        self.clock = ManualClock()
        self.wires = MemoryWires()
        self.writer = Writer(self.config.writer_bytes, opener)
        rng = random.Random(7)
        self.bank = Bank(self.config, self.clock, self.wires, self.writer, rng)

    def lane(self, codec: str = "PCMU", dtmf: int | None = 101, **terms: object) -> Lane:
        """A lane that has been started."""
        lane = self.bank.open("127.0.0.1")
        lane.start(
            remote=terms.pop("remote", FAR),  # type: ignore[arg-type]
            codec=codec,
            payload_type=TYPES[codec],
            dtmf_payload_type=dtmf,
            **terms,  # type: ignore[arg-type]
        )
        return lane

    def wire(self, lane: Lane) -> MemoryWire:
        return self.wires.wires[lane.row]

    def tick(self, count: int = 1) -> None:
        """So many times 20 ms."""
        for _ in range(count):
            self.clock.advance(0.02)
            self.bank.tick(self.clock.monotonic())
            self.writer.run_queued()
            for fact in self.bank.take_facts():
                fact()

    def talk(self, lane: Lane, sound: npt.NDArray[np.int16], stream: Stream | None = None) -> None:
        """The far end says something, a packet of 20 ms a tick."""
        stream = stream or Stream()
        for packet in stream.packets(sound):
            self.wire(lane).arrive(packet)
            self.tick()


class Stream:
    """A far end's numbering."""

    def __init__(
        self, ssrc: int = 77, sequence: int = 100, timestamp: int = 1000, codec: str = "PCMU"
    ) -> None:
        self.ssrc, self.sequence, self.timestamp, self.codec = ssrc, sequence, timestamp, codec
        self._encoder = g722.Encoder(1)

    def packet(self, payload: bytes, kind: int | None = None, step: int | None = None) -> Packet:
        """The next packet; ``step`` in samples where it is not the payload's length."""
        if kind is None:
            kind = TYPES[self.codec]
        made = Packet(kind, self.sequence, self.timestamp, self.ssrc, payload)
        self.sequence = (self.sequence + 1) % 65536
        self.timestamp = (self.timestamp + (len(payload) if step is None else step)) % (1 << 32)
        return made

    def packets(self, sound: npt.NDArray[np.int16], ptime: int = 20) -> list[Packet]:
        size = ptime * 8
        if self.codec == "G722":
            frames = sound[: sound.size // 320 * 320].reshape(-1, 1, 320)
            codes = np.concatenate([self._encoder.encode(frame)[0] for frame in frames])
        else:
            codes = g711.encode(g711.ALAW if self.codec == "PCMA" else g711.ULAW, sound)
        return [
            self.packet(codes[at : at + size].tobytes())
            for at in range(0, codes.size - size + 1, size)
        ]


def hear(packets: Sequence[Packet], law: int = g711.ULAW) -> npt.NDArray[np.int16]:
    """The sound in what a lane sent."""
    data = b"".join(p.payload for p in packets if p.payload_type in (0, 8))
    return g711.decode(law, np.frombuffer(data, np.uint8))


def hear_wide(packets: Sequence[Packet]) -> npt.NDArray[np.int16]:
    """The 16 kHz sound in what a G.722 lane sent from its beginning."""
    decoder = g722.Decoder(1)
    data = [np.frombuffer(p.payload, np.uint8)[None] for p in packets if p.payload_type == 9]
    return np.concatenate([decoder.decode(octets)[0] for octets in data])


@pytest.fixture
def rig() -> Rig:
    return Rig()
