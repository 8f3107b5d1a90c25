"""What a dead process wrote of a recording, made playable: its header was still open."""

from __future__ import annotations

from pathlib import Path

from telephony.audio import wav
from telephony.calls.ports import Recorded
from telephony.media.config import RATE

_CHANNELS_AT = 22
"""Offset of the channel count in the 44 octets that ``audio.wav.header`` makes."""


def salvage(path: Path) -> Recorded:
    """Close the header of a recording over what is there; blocks. ``reason`` is ``interrupted``."""
    try:
        with path.open("r+b") as file:
            channels = int.from_bytes(file.read(wav.HEADER_BYTES)[_CHANNELS_AT:][:2], "little")
            width = 2 * max(1, channels)
            sound = file.seek(0, 2) - wav.HEADER_BYTES
            sound -= sound % width
            if channels not in (1, 2) or sound <= 0:
                return Recorded(path, 0, 0, "failed", "nothing was written before the stop")
            file.truncate(wav.HEADER_BYTES + sound)
            for offset, octets in wav.patches(sound):
                file.seek(offset)
                file.write(octets)
    except OSError as error:
        return Recorded(path, 0, 0, "failed", error.strerror or str(error))
    duration = sound // width * 1000 // RATE
    return Recorded(path, duration, wav.HEADER_BYTES + sound, "interrupted")
